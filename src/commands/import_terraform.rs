//! `import-terraform`: makes a stack file of a Terraform state file, without AWS.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::DONE;
use crate::cli::ImportTerraformArgs;
use crate::failure::Failure;
use crate::kinds;
use crate::report::{Screen, terraform as text};
use crate::terraform::state::{self, MAX_BYTES};
use crate::terraform::{Imported, Options, import};

/// Runs the command.
pub(super) fn run(args: &ImportTerraformArgs, screen: &mut Screen) -> Result<u8, Failure> {
    let stack = match &args.name {
        Some(name) => checked(name)?,
        None => stack_name(&args.state),
    };
    let state = state::read(&read(&args.state)?)
        .map_err(|error| Failure::new(format!("could not read {}: {error}", args.state.display())).help(error.help))?;
    let options = Options { stack, base: base(&args.state, args.write.as_deref()) };
    let mut imported = import(state, kinds::all(), &options);
    screen.hide(&imported.secrets);
    imported.sheet.comment = comment(&imported, args);
    if let Some(path) = &args.write {
        write(path, &imported.sheet.text())?;
    }
    screen.note(&text::summary(&imported, &next(&imported, args), screen.paint_err));
    match &args.write {
        Some(path) => screen.result(&format!("{} is written.\n", path.display()))?,
        None => screen.verbatim(&imported.sheet.text())?,
    }
    Ok(DONE)
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |reason: String| Failure::new(format!("could not read {}: {reason}", path.display()));
    let file = fs_err::File::open(path).map_err(|error| failed(error.kind().to_string()))?;
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(failed(format!("it has more than {} MB", MAX_BYTES / 1_000_000)));
    }
    Ok(text)
}

/// Writes a new file; one that is there may hold somebody's work.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(format!("{} exists already, and is not overwritten", path.display()))
            .help("name another file, or move this one away"),
        _ => Failure::new(format!("could not write {}: {error}", path.display())),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

/// Takes the name of the state file, or that of its folder where it has Terraform's own.
fn stack_name(path: &Path) -> String {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    let folder = || {
        let path = std::path::absolute(path).ok()?;
        Some(path.parent()?.file_name()?.to_str()?.to_owned())
    };
    let name = if stem == "terraform" { folder().unwrap_or(stem) } else { stem };
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(letter).take(63).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "imported".to_owned() } else { name.to_owned() }
}

fn checked(name: &str) -> Result<String, Failure> {
    if crate::stack::load::is_stack_name(name) {
        return Ok(name.to_owned());
    }
    Err(Failure::usage(format!("--name {name}: this cannot be the name of a stack"))
        .help("use up to 63 lower-case letters, digits and `-`, not beginning with `-`"))
}

/// Returns what leads from the stack file's folder to the state file's, unless they are the same.
fn base(state: &Path, file: Option<&Path>) -> Option<String> {
    let folder = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
    let (from, to) = (file.map(folder).unwrap_or_default(), folder(state));
    if from == to {
        return None;
    }
    let path = if from == PathBuf::new() { to } else { std::path::absolute(to).ok()? };
    Some(path.to_string_lossy().into_owned()).filter(|path| !path.is_empty())
}

fn comment(imported: &Imported, args: &ImportTerraformArgs) -> Vec<String> {
    let file = args.state.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut lines = vec![
        format!("Made by `stackctl import-terraform` from {file}. What AWS has stays as it is: take it over with"),
        format!("  {}", next(imported, args)),
        "and then remove it from Terraform's state (`terraform state rm`), so that only one program manages it."
            .to_owned(),
    ];
    if !imported.unknown.is_empty() {
        lines.push("Not taken over:".to_owned());
        lines.extend(imported.unknown.iter().map(|unknown| format!("  {}: {}", unknown.address, unknown.reason)));
    }
    lines
}

/// Returns the command that takes everything over.
fn next(imported: &Imported, args: &ImportTerraformArgs) -> String {
    let file = args.write.as_ref().map_or_else(|| "FILE".to_owned(), |path| quoted(&path.to_string_lossy()));
    let objects = imported.adopt.iter().map(|(id, physical)| format!("{id}={physical}"));
    let all: Vec<String> = std::iter::once("all".to_owned()).chain(objects).collect();
    format!("stackctl apply {file} --adopt {}", quoted(&all.join(",")))
}

/// Quotes a word for a shell where it needs it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./=,:@+".contains(letter);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
