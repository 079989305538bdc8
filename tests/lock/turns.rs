//! Twenty runs at once, and the order of what each of them asked for.

use std::process::{Child, Stdio};

use serde_json::Value;

use super::{QUICK, World};
use crate::support::wire::{Asked, Wire};

/// Tells whether a call gives the lease, renews it, or is any other.
#[derive(Debug, PartialEq)]
enum Role {
    Take,
    Renew,
    Release,
    Look,
    Other,
}

fn role(call: &Asked) -> Role {
    match call.operation.as_str() {
        "GetCallerIdentity" | "GetItem" => Role::Look,
        "UpdateItem" if call.status != 200 => Role::Look,
        "UpdateItem" if call.body.contains("REMOVE #owner") => Role::Release,
        "UpdateItem" if call.body.contains("#token = if_not_exists") => Role::Take,
        "UpdateItem" => Role::Renew,
        _ => Role::Other,
    }
}

/// Twenty runs at once, half of them without patience, on one stack that each of them changes.
#[test]
fn twenty_runs_take_turns() {
    const RUNS: usize = 20;
    let world = World::new(QUICK, "0");
    let wire = Wire::to(world.listener.url());
    let start = |run: usize| {
        let patience = if run.is_multiple_of(2) { "170s" } else { "2s" };
        let mut command = world.sandbox.command();
        command.args(["apply", "-y", "--var", &format!("run=r{run}"), "--lock-timeout", patience]);
        command.env("AWS_ENDPOINT_URL", wire.end(run));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<Child> = (0..RUNS).map(start).collect();
    let mut done = Vec::new();
    for (run, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        match output.status.code() {
            Some(0) => {
                assert!(text.contains("Apply complete! Resources: "), "{run}: {text}");
                done.push(run);
            }
            Some(1) => {
                assert!(text.contains("error: stack demo is still held by another run after"), "{run}: {text}");
                assert!(text.contains("with --lock-timeout 10m"), "{run}: {text}");
            }
            code => panic!("{run}: {code:?}: {text}"),
        }
    }
    assert!((0..RUNS).step_by(2).all(|run| done.contains(&run)), "{done:?}");
    let calls = wire.asked();
    let order = turns(&calls, &done);
    // Every turn wrote both parameters, and the last one's values are there.
    let puts = |run: usize| calls.iter().filter(|call| call.run == run && call.operation == "PutParameter").count();
    assert!(order.iter().all(|run| puts(*run) == 2), "{order:?}");
    for name in ["/demo/first", "/demo/second"] {
        let history = world.account.call(world.account.aws.ssm().get_parameter_history().name(name).send());
        let values: Vec<_> = history.parameters.unwrap().into_iter().filter_map(|version| version.value).collect();
        assert_eq!(values, order.iter().map(|run| format!("r{run}")).collect::<Vec<_>>());
    }
}

/// Checks that everything that a run asked lies inside its own turn, and that turns do not meet; returns their order.
fn turns(calls: &[Asked], done: &[usize]) -> Vec<usize> {
    let mut turns = Vec::new();
    for run in 0..20 {
        let own: Vec<&Asked> = calls.iter().filter(|call| call.run == run).collect();
        let of = |wanted: Role| own.iter().filter(|call| role(call) == wanted).collect::<Vec<_>>();
        let work = of(Role::Other);
        match (&of(Role::Take)[..], &of(Role::Release)[..]) {
            ([take], [release]) => {
                assert!(done.contains(&run), "{run}");
                assert!(
                    work.iter().all(|call| take.ended < call.began && call.ended < release.began),
                    "{run}: {work:?}"
                );
                let token: Value = serde_json::from_str(&take.answer).unwrap();
                let token: u64 = token["Attributes"]["token"]["N"].as_str().unwrap().parse().unwrap();
                turns.push((take.ended, release.began, token, run));
            }
            ([], []) => assert!(work.is_empty() && !done.contains(&run), "{run} worked without a lease: {work:?}"),
            other => panic!("{run}: {other:?}"),
        }
    }
    turns.sort_unstable();
    // A lease is free once its release has come in, and given before the answer of the take goes out.
    assert!(turns.windows(2).all(|pair| pair[0].1 < pair[1].0), "{turns:?}");
    let tokens: Vec<u64> = turns.iter().map(|turn| turn.2).collect();
    assert_eq!(tokens, (1..=turns.len() as u64).collect::<Vec<_>>());
    turns.into_iter().map(|turn| turn.3).collect()
}
