//! Whole lives of the ticket stack while a tenth of all calls goes wrong in one way or another, and everything takes its
//! time. Every run ends well or says truthfully what failed, and at most two more runs put it right.
//!
//! By default a few seeds are tried; `STACKCTL_CHAOS=200` tries as many as that, `STACKCTL_CHAOS_SEED=17` only that one.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::support::sandbox::Output;
use crate::support::trial::{Census, EDITS, Trial};

/// How many seeds are tried by default.
const SOME: u64 = 4;

/// How many lives run at once.
const AT_ONCE: usize = 6;

/// Runs that it may take until a step is done: the first one and two more.
const RUNS: usize = 3;

/// Returns what goes wrong: one call of ten, in all the ways that pass.
fn weather(seed: u64) -> Value {
    let rule = |what: &str, chance: f64| json!({"what": what, "chance": chance});
    let slow = json!({"what": "slow", "chance": 0.005, "ms": 700});
    json!({
        "seed": seed,
        "latency_ms": "0..4",
        "delay_ms": 120,
        "iam_delay_ms": 400,
        "ec2_delay_ms": 400,
        "rules": [
            rule("throttle", 0.025),
            rule("internal", 0.02),
            rule("unavailable", 0.015),
            rule("reset-before", 0.015),
            rule("reset-after", 0.015),
            rule("html", 0.002),
            rule("truncated", 0.0015),
            rule("empty", 0.0015),
            slow,
        ],
    })
}

/// Runs a command until it ends well, in bad weather.
fn weathered(trial: &Trial, command: &str, place: &str) {
    for run in 1..=RUNS {
        let output = trial.run(&[command, "-y"]);
        let said = output.to_string();
        assert!(!said.contains("panicked"), "{place}\n{said}");
        match output.exit() {
            Some(0) => return,
            Some(1) if run < RUNS => check_truth(&output, place),
            _ => panic!("{place}, run {run}\n{said}"),
        }
    }
}

/// A failed run names what failed, and how to go on.
fn check_truth(output: &Output, place: &str) {
    let names = |line: &str| line.contains("error: ") && line.contains(": ");
    // What keeps a plan from being made stands in the plan.
    assert!(output.stdout.lines().chain(output.stderr.lines()).any(names), "{place}\n{output}");
    let advice = ["again", "help:"];
    assert!(
        advice.iter().any(|word| output.stderr.contains(word) || output.stdout.contains(word)),
        "{place}\n{output}"
    );
}

/// Makes, changes and deletes the stack.
fn live(seed: u64, made: &Census, changed: &Census, empty: &Census) {
    let place = format!("chaos with seed {seed}");
    let mut trial = Trial::of(None, &[]);
    trial.sandbox = trial.sandbox.set("STACKCTL_READ_TIMEOUT_MS", "500");
    trial.listener.trouble(&weather(seed));
    weathered(&trial, "apply", &place);
    check(&trial, made, &place, seed);
    for (file, from, to) in EDITS {
        trial.sandbox.edit(file, from, to);
    }
    weathered(&trial, "apply", &place);
    check(&trial, changed, &place, seed);
    weathered(&trial, "destroy", &place);
    trial.listener.peace();
    assert_eq!(&trial.census(), empty, "{place}");
}

/// Sees in good weather that everything is there once.
fn check(trial: &Trial, census: &Census, place: &str, seed: u64) {
    trial.listener.peace();
    assert_eq!(&trial.census(), census, "{place}");
    trial.in_sync();
    trial.listener.trouble(&weather(seed + 1_000_000));
}

/// Returns what is there after an undisturbed run.
fn calm(edits: bool) -> Census {
    let trial = Trial::of(None, if edits { &EDITS } else { &[] });
    trial.again("apply");
    trial.census()
}

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    match number("STACKCTL_CHAOS_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("STACKCTL_CHAOS").unwrap_or(SOME)).collect(),
    }
}

#[test]
fn every_life_ends_well_in_bad_weather() {
    let (made, changed, empty) = (calm(false), calm(true), Trial::of(None, &[]).census());
    let (seeds, next) = (seeds(), AtomicU64::new(0));
    let work = || {
        while let Some(seed) = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).ok().and_then(|at| seeds.get(at)) {
            live(*seed, &made, &changed, &empty);
        }
    };
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
}
