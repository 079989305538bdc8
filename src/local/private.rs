//! Keeps the state's folder to its owner: it holds code, secret parameters and the tokens of sessions.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;

/// Makes a folder for its owner only; one that is there already becomes that.
pub(super) fn make(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(FOLDER).create(dir)?;
    fs_err::set_permissions(dir, Permissions::from_mode(FOLDER))
}

/// Writes a file for its owner only. A database that is begun as an empty one keeps its mode, and its journal takes it.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().create(true).write(true).truncate(true).mode(FILE).open(path)?;
    file.write_all(text.as_bytes())
}

/// Begins a database for its owner only, unless it is there.
pub(super) fn begin(path: &Path) -> io::Result<()> {
    File::options().create(true).append(true).mode(FILE).open(path).map(drop)
}

/// Closes a folder when it is done with: what others wrote in it has the modes that they chose.
pub(super) struct Closing(pub(super) PathBuf);

impl Drop for Closing {
    fn drop(&mut self) {
        // The folder itself is closed; this is for those who move its files elsewhere.
        let _ = close(&self.0);
    }
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
