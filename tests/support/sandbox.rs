//! A folder of its own with a pinned environment, in which the program runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use assert_cmd::Command;
use tempfile::TempDir;

/// Longer than any run takes: a run that hangs fails its test.
const LIMIT: Duration = Duration::from_mins(3);

/// Variables of the tests' stacks that are sensitive.
const SENSITIVE: [&str; 3] = ["phone", "pin", "token"];

/// A temporary folder, the flags and the environment of every run in it.
pub(crate) struct Sandbox {
    dir: TempDir,
    flags: Vec<String>,
    env: BTreeMap<String, String>,
    /// Values that sensitive variables were given in runs so far.
    secrets: Mutex<BTreeSet<String>>,
}

impl Sandbox {
    /// Makes an empty folder; runs in it have no way to AWS.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("stackctl-").tempdir().unwrap();
        let home = dir.path().display().to_string();
        let path = std::env::var("PATH").unwrap();
        let pinned = [
            ("HOME", home.as_str()),
            ("PATH", path.as_str()),
            ("NO_COLOR", "1"),
            ("COLUMNS", "100"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let env = pinned.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { dir, flags: Vec::new(), env, secrets: Mutex::default() }
    }

    /// Makes a folder with the project's stacks and what they refer to.
    pub(crate) fn with_stacks() -> Self {
        let sandbox = Self::new();
        for folder in ["stacks", "lambdas", "userdata"] {
            copy(&project().join(folder), &sandbox.dir().join(folder));
        }
        sandbox
    }

    /// Makes a folder with the files that the kinds' fixtures refer to.
    pub(crate) fn with_fixture_files() -> Self {
        let sandbox = Self::new();
        copy(&project().join("tests/kinds/files"), sandbox.dir());
        sandbox
    }

    /// Lets every run use the local cloud in this folder.
    pub(crate) fn local(mut self) -> Self {
        self.flags = vec!["--local".to_owned()];
        self
    }

    /// Lets functions of the local cloud run in the tests' own Python, which has boto3.
    pub(crate) fn with_python(self) -> Self {
        let python = super::moto::python();
        self.set("STACKCTL_LOCAL_PYTHON", &python.display().to_string())
    }

    /// Lets every run use the AWS stand-in at this address.
    pub(crate) fn remote(self, url: &str) -> Self {
        let key = super::account::ACCOUNT;
        let keys = [("AWS_ENDPOINT_URL", url), ("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", "none")];
        keys.into_iter().fold(self, |sandbox, (name, value)| sandbox.set(name, value))
    }

    /// Sets a variable of the environment.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Returns the folder.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        fs_err::write(self.dir().join(path), text).unwrap();
    }

    /// Replaces a text in a file, which must have it.
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs_err::read_to_string(self.dir().join(path)).unwrap();
        assert!(text.contains(from), "{path} has no {from:?}");
        self.write(path, &text.replacen(from, to, 1));
    }

    /// Returns the program with the flags and the environment of this folder; a benchmark says which program.
    pub(crate) fn command(&self) -> std::process::Command {
        let program = std::env::var_os("STACKCTL_TEST_BINARY");
        let mut command = std::process::Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_stackctl").into()));
        command.current_dir(self.dir()).env_clear().envs(&self.env);
        command
    }

    /// Runs the program to its end. Straight after an apply of the whole stack, nothing has drifted.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let output = self.call(args);
        if output.code == Some(0)
            && !args.iter().any(|arg| self.is_plan(arg))
            && let Some(check) = drift_after(args)
        {
            let drift = self.call(&check);
            let is_empty = drift.stdout.contains("No drift") || drift.stdout.contains("No resources");
            assert!(drift.code == Some(0) && is_empty, "drift straight after {}:\n{drift}", output.line);
        }
        output
    }

    /// Tells whether an argument is a file with a saved plan, which says itself what it is about.
    fn is_plan(&self, arg: &str) -> bool {
        fs_err::read_to_string(self.dir().join(arg)).is_ok_and(|text| text.trim_start().starts_with('{'))
    }

    fn call(&self, args: &[&str]) -> Output {
        let output = Command::from_std(self.command()).args(&self.flags).args(args).timeout(LIMIT).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let line = args.join(" ");
        let output =
            Output { line, stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() };
        self.check_secrets(args, &output);
        output
    }

    /// Searches what a run printed and saved for the values of sensitive variables.
    #[track_caller]
    fn check_secrets(&self, args: &[&str], output: &Output) {
        let given = args.iter().filter_map(|arg| arg.split_once('='));
        let given = given.filter(|(name, value)| SENSITIVE.contains(name) && value.len() > 5);
        let mut secrets = self.secrets.lock().unwrap();
        secrets.extend(given.map(|(_, value)| value.to_owned()));
        // What the local cloud's topics would have sent is shown as it would have been sent.
        if args.first() == Some(&"local") {
            return;
        }
        let saved = fs_err::read_dir(self.dir())
            .unwrap()
            .filter_map(|entry| fs_err::read_to_string(entry.unwrap().path()).ok());
        let saved: Vec<String> = saved.filter(|text| text.trim_start().starts_with('{')).collect();
        for secret in secrets.iter() {
            assert!(!output.to_string().replace(&output.line, "").contains(secret), "a secret is shown: {output}");
            assert!(!saved.iter().any(|text| text.contains(secret)), "a secret is saved by {}", output.line);
        }
    }

    /// Runs the program, which must end well.
    pub(crate) fn ok(&self, args: &[&str]) -> Output {
        self.run(args).code(0)
    }
}

/// Returns the check that goes with an apply; none for other commands, and for an apply that leaves something out.
fn drift_after<'a>(args: &[&'a str]) -> Option<Vec<&'a str>> {
    const PARTIAL: [&str; 3] = ["--target", "--exclude", "--help"];
    let (before, rest) = args.split_at(args.iter().position(|arg| *arg == "apply")?);
    if args.iter().any(|arg| PARTIAL.contains(arg)) || before.iter().any(|arg| !arg.starts_with("--")) {
        return None;
    }
    let mut check = [before, &["drift", "--format", "text"]].concat();
    let mut words = rest[1..].iter();
    while let Some(word) = words.next() {
        match *word {
            "--var" | "--var-file" => check.extend([Some(*word), words.next().copied()].into_iter().flatten()),
            "--format" | "--lock-timeout" | "--adopt" | "--replace" | "--prune" | "--parallelism" => drop(words.next()),
            flag if flag.starts_with('-') => {}
            stack => check.push(stack),
        }
    }
    Some(check)
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    line: String,
    /// Results.
    pub(crate) stdout: String,
    /// Progress and diagnostics.
    pub(crate) stderr: String,
    /// Exit code; none when a signal ended the run.
    code: Option<i32>,
}

impl Output {
    /// Returns the exit code; none when a signal ended the run.
    pub(crate) fn exit(&self) -> Option<i32> {
        self.code
    }

    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Checks that both streams together have a text.
    #[track_caller]
    pub(crate) fn has(self, text: &str) -> Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "no {text:?} in {self}");
        self
    }

    /// Checks that neither stream has a text.
    #[track_caller]
    pub(crate) fn lacks(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text) && !self.stderr.contains(text), "{text:?} in {self}");
        self
    }
}

impl fmt::Display for Output {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, stdout, stderr, code } = self;
        write!(out, "stackctl {line}: exit {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Returns the project's folder.
pub(crate) fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Copies a folder with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs_err::copy(entry.path(), target).unwrap();
        }
    }
}
