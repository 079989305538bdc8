//! Makes the zip of a Lambda function: the same bytes for the same source, on any machine and at any time.
//!
//! Entries are sorted by name, dated 1980-01-01, and carry no permissions but the executable bit. Up to [`STORED`] bytes
//! they are not compressed, so that the hash does not depend on a compression library. Knows nothing of AWS.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Largest source that is stored without compression.
const STORED: usize = 10 * 1024 * 1024;
/// Largest zip that goes with an API call, and largest source (`facts/aws.md` 11a.3).
const MOST_ZIPPED: usize = 50 * 1024 * 1024;
const MOST_UNZIPPED: usize = 250 * 1024 * 1024;

/// A zip and its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The bytes that Lambda gets.
    pub zip: Vec<u8>,
    /// SHA-256 of the bytes in base64: what Lambda shows as `CodeSha256`.
    pub sha256: String,
}

/// Why source cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file or folder cannot be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// The zip cannot be written.
    #[error("could not write the zip: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// A link leads out of the folder.
    #[error("{} is a link to something outside {}", .link.display(), .root.display())]
    Outside {
        /// The link.
        link: PathBuf,
        /// The folder that is packed.
        root: PathBuf,
    },
    /// A name is not Unicode.
    #[error("the name {} is not Unicode", .0.display())]
    Name(PathBuf),
    /// A link leads to a folder that it is in.
    #[error("{} is a link that goes round in a circle", .0.display())]
    Circle(PathBuf),
    /// There is nothing to pack.
    #[error("{} has no files", .0.display())]
    Empty(PathBuf),
    /// It is larger than Lambda takes.
    #[error(
        "{what} has {size} bytes, Lambda takes {most} at most; put the zip into S3 and name it with s3_bucket and s3_key"
    )]
    Large {
        /// What is too large.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        most: usize,
    },
}

/// One file of a zip.
struct File {
    bytes: Vec<u8>,
    executable: bool,
}

/// Packs a folder or a single file; a file that ends in `.zip` is taken as it is.
///
/// # Errors
/// Returns why the source cannot be packed.
pub fn pack(source: &Path) -> Result<Package, PackError> {
    let zip = if source.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zip")) {
        fs_err::read(source)?
    } else {
        zip_of(&files_of(source)?)?
    };
    if zip.len() > MOST_ZIPPED {
        return Err(PackError::Large { what: "the zip", size: zip.len(), most: MOST_ZIPPED });
    }
    let sha256 = STANDARD.encode(Sha256::digest(&zip));
    Ok(Package { zip, sha256 })
}

fn files_of(source: &Path) -> Result<BTreeMap<String, File>, PackError> {
    let mut files = BTreeMap::new();
    if fs_err::metadata(source)?.is_dir() {
        let root = fs_err::canonicalize(source)?;
        collect(&mut vec![root], source, "", &mut files)?;
    } else {
        let name = source.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| PackError::Name(source.to_owned()))?;
        files.insert(name.to_owned(), read(source)?);
    }
    if files.is_empty() {
        return Err(PackError::Empty(source.to_owned()));
    }
    let size = files.values().map(|file| file.bytes.len()).sum();
    if size > MOST_UNZIPPED {
        return Err(PackError::Large { what: "the source", size, most: MOST_UNZIPPED });
    }
    Ok(files)
}

/// Adds the files of a folder; `trail` holds the real paths of the folders on the way, the root first.
fn collect(
    trail: &mut Vec<PathBuf>,
    folder: &Path,
    prefix: &str,
    files: &mut BTreeMap<String, File>,
) -> Result<(), PackError> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| PackError::Name(path.clone()))?;
        if is_clutter(name) {
            continue;
        }
        let real = fs_err::canonicalize(&path)?;
        if let Some(root) = trail.first().filter(|root| !real.starts_with(root)) {
            return Err(PackError::Outside { link: path.clone(), root: root.clone() });
        }
        let inside = format!("{prefix}{name}");
        if !fs_err::metadata(&path)?.is_dir() {
            files.insert(inside, read(&path)?);
        } else if trail.contains(&real) {
            return Err(PackError::Circle(path.clone()));
        } else {
            trail.push(real);
            collect(trail, &path, &format!("{inside}/"), files)?;
            trail.pop();
        }
    }
    Ok(())
}

/// Tells whether a name is of something that tools leave behind and that differs between machines.
fn is_clutter(name: &str) -> bool {
    let compiled = Path::new(name).extension().is_some_and(|ending| ending == "pyc");
    compiled || ["__pycache__", ".DS_Store", ".git"].contains(&name)
}

fn read(path: &Path) -> Result<File, PackError> {
    Ok(File { bytes: fs_err::read(path)?, executable: is_executable(path)? })
}

#[cfg(unix)]
fn is_executable(path: &Path) -> Result<bool, PackError> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs_err::metadata(path)?.permissions().mode() & 0o100 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> Result<bool, PackError> {
    Ok(false)
}

fn zip_of(files: &BTreeMap<String, File>) -> Result<Vec<u8>, PackError> {
    let size: usize = files.values().map(|file| file.bytes.len()).sum();
    let method = if size <= STORED { CompressionMethod::Stored } else { CompressionMethod::Deflated };
    let options = SimpleFileOptions::default()
        .compression_method(method)
        .last_modified_time(DateTime::DEFAULT)
        .system(zip::System::Unix);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, file) in files {
        let mode = if file.executable { 0o755 } else { 0o644 };
        writer.start_file(name, options.unix_permissions(mode))?;
        writer.write_all(&file.bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(folder.path().join("lib/__pycache__")).unwrap();
        fs_err::write(folder.path().join("main.py"), "import lib.a\n").unwrap();
        fs_err::write(folder.path().join("lib/a.py"), "A = 1\n").unwrap();
        fs_err::write(folder.path().join("lib/__pycache__/a.cpython-313.pyc"), "x").unwrap();
        fs_err::write(folder.path().join(".DS_Store"), "x").unwrap();
        folder
    }

    fn names(zip: &[u8]) -> Vec<String> {
        let archive = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
        archive.file_names().map(|name| name.unwrap().into_owned()).collect()
    }

    #[test]
    fn the_same_source_gives_the_same_bytes_for_ever() {
        let package = pack(folder().path()).unwrap();
        assert_eq!(names(&package.zip), ["lib/a.py", "main.py"]);
        assert_eq!(package, pack(folder().path()).unwrap());
        // Another value means that every function of every stack is uploaded anew.
        assert_eq!(package.sha256, "kNTP/rvbot3SWrOW1a9uc0OlQlttFtZb38Hn6wMNptY=");
    }

    #[test]
    fn other_contents_give_another_hash() {
        let folder = folder();
        let before = pack(folder.path()).unwrap();
        fs_err::write(folder.path().join("main.py"), "import lib.b\n").unwrap();
        assert_ne!(before.sha256, pack(folder.path()).unwrap().sha256);
    }

    #[test]
    fn a_single_file_and_a_ready_zip_are_taken() {
        let folder = folder();
        let single = pack(&folder.path().join("main.py")).unwrap();
        assert_eq!(names(&single.zip), ["main.py"]);
        let ready = folder.path().join("ready.zip");
        fs_err::write(&ready, &single.zip).unwrap();
        assert_eq!(pack(&ready).unwrap(), single);
    }

    #[test]
    fn large_sources_are_compressed_and_larger_ones_refused() {
        let folder = folder();
        fs_err::write(folder.path().join("data"), vec![b'a'; STORED + 1]).unwrap();
        assert!(pack(folder.path()).unwrap().zip.len() < STORED / 10);
        fs_err::write(folder.path().join("ready.zip"), vec![0; MOST_ZIPPED + 1]).unwrap();
        assert!(matches!(pack(&folder.path().join("ready.zip")), Err(PackError::Large { .. })));
    }

    #[test]
    fn nothing_and_nowhere_are_refused() {
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(pack(empty.path()), Err(PackError::Empty(_))));
        let error = pack(&empty.path().join("missing")).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_inside_and_modes_are_two() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = folder();
        symlink(folder.path().join("main.py"), folder.path().join("alias.py")).unwrap();
        let script = folder.path().join("run");
        fs_err::write(&script, "#!/bin/sh\n").unwrap();
        fs_err::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
        let package = pack(folder.path()).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(package.zip)).unwrap();
        assert_eq!(archive.by_name("alias.py").unwrap().unix_mode().unwrap() & 0o777, 0o644);
        assert_eq!(archive.by_name("run").unwrap().unix_mode().unwrap() & 0o777, 0o755);
        symlink("/", folder.path().join("root")).unwrap();
        assert!(matches!(pack(folder.path()), Err(PackError::Outside { .. })));
        fs_err::remove_file(folder.path().join("root")).unwrap();
        symlink(folder.path(), folder.path().join("self")).unwrap();
        assert!(matches!(pack(folder.path()), Err(PackError::Circle(_))));
    }
}
