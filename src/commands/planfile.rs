//! Saved plans as files: told from stack files, read with care, and written whole or not at all.

use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::cli::StackArgs;
use crate::failure::Failure;
use crate::plan::saved::{Saved, begins};

/// Largest plan that is read.
const MAX_BYTES: u64 = 32_000_000;

/// How much of a file tells what it is.
const BEGINNING: u64 = 512;

/// Returns the file that is named as the stack, if it is a saved plan. What it holds says so, not its name.
pub(super) fn named(args: &StackArgs) -> Option<&Path> {
    args.stack.as_deref().filter(|path| is_plan(path))
}

/// Tells whether a file begins as a saved plan does.
pub(super) fn is_plan(path: &Path) -> bool {
    // A pipe can be read once only: what comes out of one is a stack file.
    let is_file = fs_err::metadata(path).is_ok_and(|meta| meta.is_file());
    is_file && beginning(path).is_ok_and(|text| begins(&text))
}

fn beginning(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BEGINNING).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads a saved plan.
pub(super) fn read(path: &Path) -> Result<Saved, Failure> {
    let parsed = text(path).and_then(|text| Saved::parse(&text));
    parsed.map_err(|reason| {
        Failure::new(format!("could not use the saved plan {}: {reason}", path.display()))
            .help("make it anew with `stackctl plan --out FILE`")
    })
}

fn text(path: &Path) -> Result<String, String> {
    let reason = |error: std::io::Error| error.kind().to_string();
    let mut bytes = Vec::new();
    File::open(path).map_err(reason)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(reason)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it has more than {} MB", MAX_BYTES / 1_000_000));
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("it is not UTF-8 text (byte {})", error.utf8_error().valid_up_to()))
}

/// Checks that a plan can be written to a file: there is none, an empty one, or an older plan.
pub(super) fn check_free(path: &Path) -> Result<(), Failure> {
    let taken = match fs_err::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(unwritable(path, &error)),
        Ok(meta) => what_is_there(path, &meta),
    };
    match taken {
        None => Ok(()),
        Some(what) => Err(Failure::new(format!("--out {}: {what}; nothing was written", path.display()))
            .help("name another file: only an older plan is ever replaced")),
    }
}

/// Says what else than an older plan is there.
fn what_is_there(path: &Path, meta: &Metadata) -> Option<&'static str> {
    if meta.is_symlink() {
        Some("this is a symbolic link")
    } else if meta.is_dir() {
        Some("this is a folder")
    } else if !meta.is_file() {
        Some("this is no ordinary file")
    } else if meta.len() > 0 && !is_plan(path) {
        Some("this file exists and is not a saved plan")
    } else {
        None
    }
}

/// Writes a plan for its owner's eyes only, whole or not at all.
pub(super) fn write(path: &Path, saved: &Saved) -> Result<(), Failure> {
    let text = saved.text().map_err(|reason| Failure::new(format!("could not write the plan: {reason}")))?;
    check_free(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
    let save = || -> std::io::Result<()> {
        // Such a file is made with mode 0600, and what is renamed over a link takes the link's place.
        let mut file = tempfile::Builder::new().prefix(".stackctl-plan-").tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    save().map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("could not write {}: {}", path.display(), error.kind()))
        .help("name a file in a folder that exists and can be written to")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plan_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let is = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs_err::write(&path, text).unwrap();
            is_plan(&path)
        };
        assert!(is("a", "{\"type\": \"stackctl_plan\"") && is("b", "\u{feff} {\n\t\"type\" : \"stackctl_plan\", …"));
        assert!(!is("c", "{\"stack\": \"x\"}") && !is("d", "stack: x\n") && !is("e", "") && !is_plan(dir.path()));
    }

    #[test]
    fn nothing_but_an_older_plan_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs_err::write(path("notes"), "mine").unwrap();
        fs_err::write(path("empty"), "").unwrap();
        fs_err::write(path("plan"), "{\"type\":\"stackctl_plan\"").unwrap();
        fs_err::os::unix::fs::symlink(path("plan"), path("link")).unwrap();
        let why = |name: &str| check_free(&path(name)).map_err(|failure| failure.message);
        assert!(why("notes").unwrap_err().contains("is not a saved plan"));
        assert!(why("link").unwrap_err().contains("symbolic link"));
        assert!(check_free(dir.path()).unwrap_err().message.contains("folder"));
        assert!(why("empty").is_ok() && why("plan").is_ok() && why("none").is_ok());
        assert!(why("notes/under").unwrap_err().starts_with("could not write"));
    }
}
