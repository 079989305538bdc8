//! `export`: what the stack has in AWS, for another tool to take over; reads only.

use std::path::Path;

use super::{DONE, headline, import_terraform, open};
use crate::cli::{ExportArgs, ExportFormat, Globals};
use crate::export::{cloudformation, terraform};
use crate::failure::Failure;
use crate::report::{Screen, export as text};

/// Runs the command.
pub(super) async fn run(globals: &Globals, args: &ExportArgs, screen: &mut Screen) -> Result<u8, Failure> {
    let opened = open(globals, &args.stack, screen).await?;
    let live = opened.observe().await;
    if let Some(unreadable) = live.unreadable.first() {
        return Err(Failure::new(format!("{} could not be read: {}", unreadable.what, unreadable.error)));
    }
    screen.note(&headline("Export of", &opened, globals.local));
    let export = match args.format {
        ExportFormat::Cloudformation => cloudformation(&opened.stack, &live),
        ExportFormat::TerraformImport => terraform(&opened.stack, &live),
    };
    match &args.write {
        None => screen.verbatim(&text::files(&export))?,
        Some(folder) => {
            fs_err::create_dir_all(folder)?;
            for (name, text) in &export.files {
                let path = folder.join(name);
                import_terraform::write(&path, &screen.masked(text))?;
                screen.result(&format!("{} is written.\n", path.display()))?;
            }
        }
    }
    screen.note(&text::summary(&export, &next(args, &opened.stack.name), screen.paint_err));
    Ok(DONE)
}

/// Returns the commands that take the objects over.
fn next(args: &ExportArgs, stack: &str) -> String {
    let folder = args.write.as_deref().unwrap_or_else(|| Path::new("."));
    match args.format {
        ExportFormat::Cloudformation => format!(
            "  aws cloudformation create-change-set --stack-name {stack} --change-set-name import --change-set-type IMPORT \\\n    \
             --template-body file://{0} --resources-to-import file://{1} --capabilities CAPABILITY_NAMED_IAM\n  \
             aws cloudformation execute-change-set --stack-name {stack} --change-set-name import\n",
            folder.join("template.json").display(),
            folder.join("resources-to-import.json").display()
        ),
        ExportFormat::TerraformImport => {
            "  terraform plan -generate-config-out=generated.tf\n  terraform apply\n".to_owned()
        }
    }
}
