//! The ticket stack in a folder of its own, to be disturbed and compared with what should be there. It has a secret of
//! each sort, none of which may be told by a run that goes wrong.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::account::{Account, LOCAL_ACCOUNT, REGION};
use super::listener::Listener;
use super::proxy::Proxy;
use super::sandbox::{Output, Sandbox, copy};

/// The stack's file.
pub(crate) const FILE: &str = "stacks/airline_tickets.yaml";

/// The variable that makes the subscription.
const PHONE: &str = "phone=+15550100";

/// The variable that becomes a `SecureString` and a value of an environment.
const TOKEN: &str = "token=Zx9-hush-hush-Qw7";

/// Arguments of every run.
const ARGS: [&str; 5] = [FILE, "--var", PHONE, "--var", TOKEN];

/// What makes use of the second variable, and where it stands.
const SECRETS: [Edit; 3] = [
    (FILE, "variables:\n", "variables:\n  token: {type: string, sensitive: true}\n"),
    (
        FILE,
        "resources:\n",
        "resources:\n  token: {type: ssm_parameter, parameter_type: SecureString, value: '${var.token}'}\n",
    ),
    (FILE, "{TABLE_NAME: \"${tickets.name}\"}", "{TABLE_NAME: \"${tickets.name}\", TOKEN: '${var.token}'}"),
];

/// Folder of the local cloud's state.
pub(crate) const STATE: &str = ".stackctl";

/// Longer than any run takes; a run that hangs fails its test.
const LIMIT: Duration = Duration::from_mins(2);

/// Changes of the file for a run that updates, creates, replaces and deletes.
pub(crate) const EDITS: [Edit; 8] = [
    (FILE, "    shard_count: 1", "    shard_count: 2"),
    (FILE, "timeout: 15", "timeout: 20"),
    (FILE, "env: dev", "env: test"),
    (FILE, "name: Airlines", "name: Planes"),
    (FILE, "name: record_id, type: S", "name: ticket, type: S"),
    (FILE, "  collector_logs:", "  collector_log:"),
    (FILE, "logs: collector_logs", "logs: collector_log"),
    ("stacks/sql/airline_tickets.sql", "< 5000", "< 6000"),
];

/// A file, a text in it and what stands there instead.
pub(crate) type Edit = (&'static str, &'static str, &'static str);

/// Kinds of things by how many there are of each.
pub(crate) type Census = BTreeMap<String, usize>;

/// A folder, its local cloud and the account behind it.
pub(crate) struct Trial {
    /// The folder.
    pub(crate) sandbox: Sandbox,
    /// The local cloud.
    pub(crate) listener: Listener,
    account: Account,
}

impl Trial {
    /// Makes it, with a state and changes of the files.
    pub(crate) fn of(state: Option<&PathBuf>, edits: &[Edit]) -> Self {
        let sandbox = Sandbox::with_stacks().local();
        if let Some(state) = state {
            copy(state, &sandbox.dir().join(STATE));
        }
        for (file, from, to) in SECRETS.iter().chain(edits) {
            sandbox.edit(file, from, to);
        }
        let listener = Listener::start(&sandbox);
        let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
        Self { sandbox, listener, account }
    }

    /// Runs a command through a proxy, and returns its exit code and what it said.
    pub(crate) fn struck(&self, command: &str, proxy: &Proxy) -> (Option<i32>, String) {
        self.announce(proxy.url());
        let output = self.sandbox.dir().join("output");
        let file = || fs_err::File::create(&output).unwrap().into_parts().0;
        let mut process = self.sandbox.command();
        process.args(["--local", "-v", command, "-y"]).args(ARGS).stdin(Stdio::null());
        let mut process = process.stdout(file()).stderr(file()).spawn().unwrap();
        proxy.aim(process.id());
        let code = wait(&mut process);
        self.announce(self.listener.url());
        let said = fs_err::read_to_string(&output).unwrap();
        check_silence(&said);
        (code, said)
    }

    /// Lets runs in the folder find the local cloud at this address.
    fn announce(&self, url: &str) {
        self.sandbox.write(".stackctl/local/listener", url);
    }

    /// Runs a command with the logs of its calls.
    pub(crate) fn run(&self, command: &[&str]) -> Output {
        self.sandbox.run(&[command, &["-v"], &ARGS].concat())
    }

    /// Runs a command undisturbed.
    pub(crate) fn again(&self, command: &str) {
        self.run(&[command, "-y"]).code(0);
    }

    /// Sees that nothing is left to do.
    pub(crate) fn in_sync(&self) {
        self.run(&["plan", "--detailed-exitcode"]).code(0).has("No changes.");
    }

    /// Counts what is there, service by service.
    pub(crate) fn census(&self) -> Census {
        let mut census = Census::new();
        for name in self.account.contents() {
            *census.entry(without_ids(&name)).or_default() += 1;
        }
        census
    }
}

/// Searches what a run said for the secrets.
fn check_silence(said: &str) {
    for secret in [PHONE, TOKEN].map(|given| given.split_once('=').unwrap().1) {
        assert!(!said.contains(secret), "a secret is shown: {said}");
    }
}

fn wait(process: &mut Child) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status.code();
        }
        if start.elapsed() > LIMIT {
            let _ = process.kill();
            panic!("the run hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Replaces what AWS makes up anew for each object.
pub(crate) fn without_ids(name: &str) -> String {
    let made_up = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(i|sg|sgr|vol|sir)-[0-9a-f]{8,17}";
    regex::Regex::new(made_up).unwrap().replace_all(name, "#$2").into_owned()
}

/// A folder in which the stack has been applied.
pub(crate) fn applied() -> Sandbox {
    let trial = Trial::of(None, &[]);
    trial.again("apply");
    trial.sandbox
}
