//! A large stack against AWS's rates: no call is refused for coming too fast, and the rates are what decides the time.
//!
//! Ratios and memory are printed (`-- --nocapture`), the refused calls are asserted. `tests/limits.sh` runs it with 500
//! resources, as the benchmark that it is then: only there a run that is too slow or too large is an error, since times
//! depend on what else a machine does.

mod ledger;
mod stack;

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::listener::Listener;
use crate::support::sandbox::Sandbox;
use ledger::Ledger;

/// Sets the size of the stack, a multiple of ten.
const RESOURCES: &str = "STACKCTL_TEST_RESOURCES";
/// Makes it a benchmark, whose goals must be met.
const ASSERT: &str = "STACKCTL_LIMITS_ASSERT";
/// How many times the least time that the rates allow a run may take.
const MOST_RATIO: f64 = 1.3;
/// How many megabytes a run may have.
const MOST_MB: u64 = 150;
/// How long a state change takes in the local cloud.
const DELAY: Duration = Duration::from_millis(300);
/// How many streams may be CREATING or DELETING at once.
const STREAMS_AT_ONCE: usize = 5;

/// What one run took.
struct Took {
    time: Duration,
    peak_kb: u64,
    stdout: String,
}

/// Runs the program to its end, watching its memory.
fn run(sandbox: &Sandbox, args: &[&str]) -> Took {
    let start = Instant::now();
    let mut command = sandbox.command();
    let log = |name: &str| fs_err::File::create(sandbox.dir().join(name)).unwrap().into_parts().0;
    command.arg("--local").args(args).stdout(log("out.txt")).stderr(log("err.txt")).stdin(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut peak_kb = 0;
    let code = loop {
        peak_kb = peak(child.id()).unwrap_or(peak_kb);
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let time = start.elapsed();
    let text = |name: &str| fs_err::read_to_string(sandbox.dir().join(name)).unwrap();
    let stdout = text("out.txt");
    assert_eq!(code, Some(0), "{args:?}\n{stdout}\n{}", text("err.txt"));
    Took { time, peak_kb, stdout }
}

/// Returns the most memory that a process had, where the system tells.
fn peak(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Prints what a run took beside what the rates allow; returns what of it is more than the goals.
fn tell(name: &str, took: &Took, before: &Ledger, after: &Ledger, streams: usize) -> Option<String> {
    let (calls, decides) = after.bound(before);
    let turns = u32::try_from(streams.div_ceil(STREAMS_AT_ONCE)).unwrap();
    let bound = calls.max(DELAY * turns);
    let (time, bound) = (took.time.as_secs_f64(), bound.as_secs_f64());
    let (ratio, peak) = (time / bound.max(0.001), took.peak_kb / 1024);
    let line = format!("{name:>8}: {time:6.1} s, bound {bound:6.1} s ({decides}), ratio {ratio:.2}, peak {peak} MB\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    (ratio > MOST_RATIO || peak > MOST_MB).then(|| line.trim().to_owned())
}

#[test]
fn a_large_stack_is_never_too_fast() {
    let resources = std::env::var(RESOURCES).map_or(80, |text| text.parse().unwrap());
    let cells = resources / stack::RESOURCES_IN_CELL;
    let delay = DELAY.as_millis().to_string();
    let sandbox = Sandbox::new().set("STACKCTL_LOCAL_LIMITS", "aws").set("STACKCTL_LOCAL_DELAY_MS", &delay);
    stack::write(&sandbox, cells);
    let listener = Listener::start(&sandbox);
    println!("{resources} resources");
    let runs: [(&str, &[&str], &str, usize); 5] = [
        ("plan", &["plan"], " to add, 0 to change, 0 to destroy.", 0),
        ("apply", &["apply", "-y"], " added, 0 changed, 0 destroyed.", cells),
        ("plan", &["plan"], "No changes.", 0),
        ("destroy", &["destroy", "-y"], " destroyed.", cells),
        ("plan", &["plan"], " to add, 0 to change, 0 to destroy.", 0),
    ];
    let mut missed = Vec::new();
    for (name, args, says, streams) in runs {
        let before = Ledger::read(&listener);
        let took = run(&sandbox, args);
        let after = Ledger::read(&listener);
        missed.extend(tell(name, &took, &before, &after, streams));
        assert!(took.stdout.contains(says), "{name}: {}", took.stdout);
        assert_eq!(after.refused(), Vec::<String>::new(), "{name}");
    }
    let missed = if std::env::var_os(ASSERT).is_some() { missed } else { Vec::new() };
    assert!(missed.is_empty(), "more than {MOST_RATIO} times the bound, or than {MOST_MB} MB: {missed:#?}");
}
