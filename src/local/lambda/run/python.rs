//! The Python that runs functions: the user's choice, or a virtual environment with boto3 that is made once.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::local::Settings;

/// What functions can import beside Python's own library.
const REQUIREMENT: &str = "boto3==1.43.106";
/// Lines of a failed command that are shown.
const SHOWN: usize = 6;

/// The interpreter for functions.
pub(super) struct Python {
    given: Option<PathBuf>,
    cache: Option<PathBuf>,
    ready: OnceCell<PathBuf>,
}

impl Python {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { given: settings.python.clone(), cache: settings.cache.clone(), ready: OnceCell::new() }
    }

    /// Returns the interpreter, made when it is not there; `tell` is told when that takes long.
    pub(super) async fn interpreter(&self, tell: impl FnOnce(&str)) -> Result<PathBuf, String> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let ready = self.ready.get_or_try_init(|| async move {
            let cache = self.cache.clone().ok_or_else(|| advice("neither XDG_CACHE_HOME nor HOME is set"))?;
            let folder = cache.join(name());
            let checked = folder.clone();
            if !blocking(move || is_whole(&checked, "python3")).await? {
                let text = format!("making a Python with {REQUIREMENT} in {}, once", folder.display());
                tracing::info!("{text}");
                tell(&text);
            }
            blocking(move || make(&folder, "python3", REQUIREMENT)).await??;
            Ok(cache.join(name()).join("bin/python3"))
        });
        ready.await.cloned()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|cause| cause.to_string())
}

fn name() -> String {
    let hash = Sha256::digest(REQUIREMENT);
    format!("python-{}", hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn advice(problem: &str) -> String {
    format!(
        "{problem}. Functions need a python3 with venv and pip and, once, a connection to the Python package index; or set STACKCTL_LOCAL_PYTHON to an interpreter that has boto3"
    )
}

/// The environment's mark names the Python that it was made from: it breaks when that one is replaced.
fn is_whole(folder: &Path, python: &str) -> bool {
    let mark = fs_err::read_to_string(folder.join("complete")).ok();
    mark.is_some() && mark == version(python).ok()
}

fn version(python: &str) -> Result<String, String> {
    run(Command::new(python).args(["-c", "import sys; print(sys.version, sys.executable)"]))
}

/// Makes the environment unless it is there; processes that want it at once wait for the first.
fn make(folder: &Path, python: &str, requirement: &str) -> Result<(), String> {
    let failed = |cause: io::Error| advice(&format!("{} could not be made: {cause}", folder.display()));
    fs_err::create_dir_all(folder).map_err(failed)?;
    let lock = File::create(folder.with_extension("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if is_whole(folder, python) {
        return Ok(());
    }
    let base = version(python)?;
    run(Command::new(python).args(["-m", "venv", "--clear"]).arg(folder))?;
    let flags = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"];
    run(Command::new(folder.join("bin/python3")).args(flags).arg(requirement))?;
    // The mark comes last and in one piece: without it the environment is made anew.
    let part = folder.join("complete.part");
    fs_err::write(&part, base).and_then(|()| fs_err::rename(&part, folder.join("complete"))).map_err(failed)
}

fn run(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}").replace('"', "");
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|cause| advice(&format!("`{shown}` could not be run: {cause}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(SHOWN)..].join("; ");
    Err(advice(&format!("`{shown}` failed ({last})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_given_interpreter_is_taken_as_it_is() {
        let settings = Settings { python: Some("/p/python3".into()), ..Settings::default() };
        let found = Python::new(&settings).interpreter(|_| panic!("nothing to make")).await;
        assert_eq!(found, Ok("/p/python3".into()));
    }

    #[test]
    fn a_machine_that_cannot_make_it_is_told_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("python");
        for python in ["/none/python3", "false"] {
            let error = make(&folder, python, "none").unwrap_err();
            assert!(error.contains(python) && error.contains("STACKCTL_LOCAL_PYTHON"), "{error}");
        }
    }

    #[test]
    fn an_environment_is_made_once_and_again_when_it_is_broken() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("python");
        // `pip install --help` installs nothing and needs no network.
        let nothing = "--help";
        make(&folder, "python3", nothing).unwrap();
        assert!(is_whole(&folder, "python3"));
        fs_err::write(folder.join("kept"), "").unwrap();
        make(&folder, "python3", nothing).unwrap();
        assert!(folder.join("kept").exists(), "it is not made again");
        fs_err::write(folder.join("complete"), "another Python").unwrap();
        assert!(!is_whole(&folder, "python3"), "it breaks with the Python that it was made from");
    }
}
