//! `validate`: parses and checks a stack file, without AWS.

use serde_json::json;

use super::{DONE, graph_of, inputs, load, stack_file, width};
use crate::cli::{RunFormat, ValidateArgs};
use crate::failure::Failure;
use crate::report::documents::FORMAT_VERSION;
use crate::report::{Screen, count};

/// Runs the command.
pub(super) fn run(args: &ValidateArgs, screen: &mut Screen) -> Result<u8, Failure> {
    let path = stack_file(args.stack.stack.as_deref())?;
    let loaded = load(&path, &inputs(&args.stack)?);
    let (report, resources) = match &loaded {
        Ok(loaded) => (&loaded.warnings, loaded.stack.resources.len()),
        Err(report) => (report, 0),
    };
    if let Ok(loaded) = &loaded {
        screen.hide(&loaded.stack.secrets);
        graph_of(&loaded.stack)?;
    }
    if args.format == RunFormat::Json {
        let document =
            json!({"format_version": FORMAT_VERSION, "valid": loaded.is_ok(), "diagnostics": report.diagnostics()});
        screen.json(&document)?;
        return Ok(u8::from(loaded.is_err()));
    }
    if loaded.is_err() {
        return Err(Failure::report(report.render(screen.paint_err.is_on(), width())));
    }
    if !report.is_empty() {
        screen.note(&report.render(screen.paint_err.is_on(), width()));
    }
    screen.result(&format!("{} is valid: {}.\n", path.display(), count(resources, "resource")))?;
    Ok(DONE)
}
