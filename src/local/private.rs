//! Keeps the state's folder to its owner: it holds code, secret parameters and the tokens of sessions.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;

/// Makes a folder for its owner only; one that is there already becomes that.
pub(super) fn make(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(FOLDER).create(dir)?;
    fs_err::set_permissions(dir, Permissions::from_mode(FOLDER))
}

/// Takes everybody else's rights from all that is in a folder. What lies elsewhere is not followed.
pub(super) fn close(dir: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs_err::set_permissions(entry.path(), Permissions::from_mode(FOLDER))?;
            close(&entry.path())?;
        } else if kind.is_file() {
            fs_err::set_permissions(entry.path(), Permissions::from_mode(FILE))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_folder_is_closed_and_links_are_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let (dir, other) = (place.path().join("state"), place.path().join("other"));
        fs_err::create_dir_all(dir.join("kinesis")).unwrap();
        for file in [dir.join("rows"), dir.join("kinesis/log"), other.clone()] {
            fs_err::write(&file, "x").unwrap();
            fs_err::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        }
        fs_err::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        fs_err::os::unix::fs::symlink(&other, dir.join("link")).unwrap();
        make(&dir).unwrap();
        close(&dir).unwrap();
        let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join("kinesis"))), (0o700, 0o700));
        assert_eq!((mode(&dir.join("rows")), mode(&dir.join("kinesis/log")), mode(&other)), (0o600, 0o600, 0o644));
    }
}
