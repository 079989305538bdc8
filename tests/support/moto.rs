//! moto, an AWS stand-in of other people, from a pinned requirements file.
//!
//! Its virtual environment is made once below the target folder and shared by all runs of the tests.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use sha2::{Digest, Sha256};

use super::sandbox::project;

/// Makes moto as strict as it can be.
const STRICT: &[(&str, &str)] = &[
    ("MOTO_IAM_LOAD_MANAGED_POLICIES", "true"),
    ("MOTO_ENABLE_KEYPAIR_VALIDATION", "1"),
    ("MOTO_ENABLE_AMI_VALIDATION", "1"),
];

/// A running moto server with an account of its own; ends with its owner.
pub(crate) struct Moto {
    process: Child,
    url: String,
}

impl Moto {
    /// Starts a server on a free port.
    pub(crate) fn start() -> Self {
        // The scripts of a virtual environment break when its folder is moved; its interpreter does not.
        let mut command = Command::new(python());
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]).envs(STRICT.iter().copied());
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.split_once("Running on ").map(|(_, url)| url.trim().to_owned()));
        // The server logs every request and would stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url: url.expect("moto says where it listens") }
    }

    /// Runs a script of Python with boto3 against it and returns what it prints; the address is its first argument.
    pub(crate) fn python(&self, script: &str, args: &[&str]) -> String {
        let mut command = Command::new(environment().join("bin/python3"));
        command.args(["-c", script, &self.url]).args(args).env("AWS_DEFAULT_REGION", super::account::REGION);
        command.env("AWS_ACCESS_KEY_ID", super::account::ACCOUNT).env("AWS_SECRET_ACCESS_KEY", "none");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns the address for clients.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do for it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns an interpreter that has boto3.
pub(crate) fn python() -> PathBuf {
    environment().join("bin/python3")
}

/// Returns the virtual environment of the requirements file, making it when it is not there.
fn environment() -> PathBuf {
    let requirements = project().join("tests/requirements.txt");
    let hash = Sha256::digest(fs_err::read(&requirements).unwrap());
    let name: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let venv = home.join(format!("venv-{name}"));
    // Tests run in parallel: the first one makes it, the others wait. The mark says that it is whole.
    let lock = File::create(home.join(format!("venv-{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let mark = venv.join("complete");
    if !mark.exists() {
        succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        succeed(
            Command::new(venv.join("bin/python3"))
                .args(["-m", "pip", "install", "--quiet", "--requirement"])
                .arg(&requirements),
        );
        fs_err::write(&mark, "").unwrap();
    }
    venv
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}\nthe tests against moto need Python 3 and PyPI, once");
}
