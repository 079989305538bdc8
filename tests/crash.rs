//! The program is struck at one call after the other; one more run puts everything right, with nothing doubled and
//! nothing left behind.
//!
//! By default some calls of each run are tried, evenly spread; `STACKCTL_CRASH=all` tries every one (some minutes).

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::support::proxy::{KILL, Proxy, Strike};
use crate::support::sandbox::Sandbox;
use crate::support::trial::{Census, EDITS, Edit, STATE, Trial, applied};

/// How many strikes are tried of each kind and scene by default.
const SOME: usize = 2;

/// How many trials run at once.
const AT_ONCE: usize = 2;

/// A run that is struck.
struct Scene {
    command: &'static str,
    /// What is there before.
    state: Option<PathBuf>,
    edits: &'static [Edit],
    /// What is there in an account without the stack.
    empty: Census,
    /// What is there afterwards.
    census: Census,
    /// Calls of an undisturbed run, by name.
    calls: Vec<String>,
    _base: Option<Sandbox>,
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
        Self { command, state, edits, empty: Trial::of(None, &[]).census(), census: trial.census(), calls, _base: base }
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
        Self::check_end(&proxy, strike, code, &place, &said);
        if code != Some(0) {
            trial.again(self.command);
        }
        assert_eq!(trial.census(), self.census, "{place}\n{said}");
        if self.command == "apply" {
            trial.in_sync();
        }
        trial.again("destroy");
        assert_eq!(trial.census(), self.empty, "{place}");
    }

    /// A run that was not killed ends by itself and says how.
    fn check_end(proxy: &Proxy, strike: Strike, code: Option<i32>, place: &str, said: &str) {
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
fn killed_after_a_launch_that_is_listed_late() {
    let scene = Scene::apply();
    let trial = Trial::of(None, &[]);
    trial.listener.trouble(&json!({"seed": 1, "ec2_delay_ms": 8000}));
    let proxy = Proxy::on(trial.listener.url(), Some("RunInstances"), 1, Strike::After(KILL));
    let (code, said) = trial.struck(scene.command, &proxy);
    assert!(proxy.has_struck() && code.is_none(), "{said}");
    trial.again("apply");
    let launches = trial.listener.calls()[&("ec2".to_owned(), "RunInstances".to_owned())];
    assert_eq!(launches, 2, "the second run has found the instance, so that nothing was tried");
    assert_eq!(trial.census(), scene.census);
    trial.in_sync();
    trial.again("destroy");
    assert_eq!(trial.census(), scene.empty);
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
