//! The program is struck at one call after the other; one more run puts everything right, with nothing doubled and
//! nothing left behind.
//!
//! By default some calls of each run are tried, evenly spread; `STACKCTL_CRASH=all` tries every one (some minutes).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::account::{Account, LOCAL_ACCOUNT, REGION};
use crate::support::listener::Listener;
use crate::support::proxy::{KILL, Proxy, Strike};
use crate::support::sandbox::{Sandbox, copy};

const FILE: &str = "stacks/airline_tickets.yaml";
const PHONE: &str = "phone=+15550100";
const STATE: &str = ".stackctl";

/// How many strikes are tried of each kind and scene by default.
const SOME: usize = 2;

/// Longer than any run takes; a run that hangs fails its test.
const LIMIT: Duration = Duration::from_mins(2);

/// How many trials run at once.
const AT_ONCE: usize = 2;

/// Changes of the file for a run that updates, creates, replaces and deletes.
const EDITS: [Edit; 8] = [
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
type Edit = (&'static str, &'static str, &'static str);

/// Kinds of things by how many there are of each.
type Census = BTreeMap<String, usize>;

/// A run that is struck.
struct Scene {
    command: &'static str,
    /// What is there before.
    state: Option<PathBuf>,
    edits: &'static [Edit],
    /// What is there afterwards.
    census: Census,
    /// Calls of an undisturbed run, by name.
    calls: Vec<String>,
    _base: Option<Sandbox>,
}

/// A folder, its local cloud and the account behind it.
struct Trial {
    sandbox: Sandbox,
    listener: Listener,
    account: Account,
}

impl Trial {
    fn of(state: Option<&PathBuf>, edits: &[Edit]) -> Self {
        let sandbox = Sandbox::with_stacks().local();
        if let Some(state) = state {
            copy(state, &sandbox.dir().join(STATE));
        }
        for (file, from, to) in edits {
            sandbox.edit(file, from, to);
        }
        let listener = Listener::start(&sandbox);
        let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
        Self { sandbox, listener, account }
    }

    /// Runs a command through a proxy, and returns its exit code and what it said.
    fn struck(&self, command: &str, proxy: &Proxy) -> (Option<i32>, String) {
        self.announce(proxy.url());
        let output = self.sandbox.dir().join("output");
        let file = || fs_err::File::create(&output).unwrap().into_parts().0;
        let mut process = self.sandbox.command();
        process.args(["--local", command, FILE, "-y", "--var", PHONE]).stdin(Stdio::null());
        let mut process = process.stdout(file()).stderr(file()).spawn().unwrap();
        proxy.aim(process.id());
        let code = wait(&mut process);
        self.announce(self.listener.url());
        (code, fs_err::read_to_string(&output).unwrap())
    }

    /// Lets runs in the folder find the local cloud at this address.
    fn announce(&self, url: &str) {
        self.sandbox.write(".stackctl/local/listener", url);
    }

    fn again(&self, command: &str) {
        self.sandbox.ok(&[command, FILE, "-y", "--var", PHONE]);
    }

    fn census(&self) -> Census {
        let mut census = Census::new();
        for name in self.account.contents() {
            *census.entry(without_ids(&name)).or_default() += 1;
        }
        census
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
fn without_ids(name: &str) -> String {
    let made_up = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(i|sg|sgr|vol|sir)-[0-9a-f]{8,17}";
    regex::Regex::new(made_up).unwrap().replace_all(name, "#$2").into_owned()
}

impl Scene {
    /// A stack is made.
    fn apply() -> Self {
        Self::of("apply", None, &[])
    }

    /// A stack is changed.
    fn update() -> Self {
        Self::of("apply", Some(applied()), &EDITS)
    }

    /// A stack is deleted.
    fn destroy() -> Self {
        Self::of("destroy", Some(applied()), &[])
    }

    /// Plays a scene once without a strike.
    fn of(command: &'static str, base: Option<Sandbox>, edits: &'static [Edit]) -> Self {
        let state = base.as_ref().map(|base| base.dir().join(STATE));
        let trial = Trial::of(state.as_ref(), edits);
        let proxy = Proxy::start(trial.listener.url(), 0, Strike::LoseAnswer);
        let (code, said) = trial.struck(command, &proxy);
        assert_eq!(code, Some(0), "{said}");
        let calls = proxy.calls();
        assert!(calls.len() > 20, "{calls:?}");
        Self { command, state, edits, census: trial.census(), calls, _base: base }
    }

    /// Strikes at calls from the first to the last, one run each.
    fn play(&self, strike: Strike, counts: impl Fn(&str) -> bool) {
        let all = std::env::var("STACKCTL_CRASH").is_ok_and(|value| value == "all");
        let points: Vec<usize> = (1..=self.calls.len()).filter(|at| counts(&self.calls[at - 1])).collect();
        let step = if all { 1 } else { points.len().div_ceil(SOME) };
        let points: Vec<usize> = points.into_iter().step_by(step).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(at) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.trial(*at, strike);
            }
        };
        std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    }

    fn trial(&self, at: usize, strike: Strike) {
        let trial = Trial::of(self.state.as_ref(), self.edits);
        let proxy = Proxy::start(trial.listener.url(), at, strike);
        let (code, said) = trial.struck(self.command, &proxy);
        let calls = proxy.calls();
        let name = calls.get(at - 1).map_or("never made", String::as_str);
        let place = format!("{} struck at call {at} ({name}) by {strike:?}, exit {code:?}", self.command);
        eprintln!("{place}");
        self.check_end(&proxy, strike, code, &place, &said);
        if code != Some(0) {
            trial.again(self.command);
        }
        assert_eq!(trial.census(), self.census, "{place}\n{said}");
        if self.command == "apply" {
            trial.sandbox.ok(&["plan", FILE, "--detailed-exitcode", "--var", PHONE]).has("No changes.");
        }
        trial.again("destroy");
        assert_eq!(trial.census(), Trial::of(None, &[]).census(), "{place}");
    }

    /// A run that was not killed ends by itself and says how.
    fn check_end(&self, proxy: &Proxy, strike: Strike, code: Option<i32>, place: &str, said: &str) {
        let expected: &[Option<i32>] = match strike {
            // Calls come in another order each time: the last ones may not come at all.
            _ if !proxy.has_struck() => &[Some(0)],
            Strike::Before(KILL) | Strike::After(KILL) => &[None],
            // While nothing is written, a signal ends the run as it ends any program.
            Strike::Before(_) | Strike::After(_) if !proxy.calls().iter().any(|call| writes(call)) => &[None],
            Strike::Before("-INT") | Strike::After("-INT") => &[Some(130), Some(0)],
            Strike::Before(_) | Strike::After(_) => &[Some(143), Some(0)],
            Strike::LoseAnswer => &[Some(0)],
        };
        assert!(expected.contains(&code), "{place}\n{said}");
        assert!(!said.contains("panicked"), "{place}\n{said}");
    }
}

/// A folder in which the stack has been applied.
fn applied() -> Sandbox {
    let sandbox = Sandbox::with_stacks().local();
    sandbox.ok(&["apply", FILE, "-y", "--var", PHONE]);
    sandbox
}

fn every(_: &str) -> bool {
    true
}

fn writes(call: &str) -> bool {
    !["Get", "List", "Describe"].iter().any(|read| call.starts_with(read)) && !call.starts_with("GET ")
}

#[test]
fn killed_before_a_call() {
    for scene in [Scene::apply(), Scene::update(), Scene::destroy()] {
        scene.play(Strike::Before(KILL), every);
    }
}

#[test]
fn killed_after_a_call() {
    for scene in [Scene::apply(), Scene::update(), Scene::destroy()] {
        scene.play(Strike::After(KILL), every);
    }
}

#[test]
fn the_answer_of_a_write_is_lost() {
    for scene in [Scene::apply(), Scene::update(), Scene::destroy()] {
        scene.play(Strike::LoseAnswer, writes);
    }
}

#[test]
fn interrupted_at_a_call() {
    for scene in [Scene::apply(), Scene::update(), Scene::destroy()] {
        scene.play(Strike::Before("-INT"), every);
    }
}

#[test]
fn terminated_at_a_call() {
    for scene in [Scene::apply(), Scene::update(), Scene::destroy()] {
        scene.play(Strike::After("-TERM"), every);
    }
}
