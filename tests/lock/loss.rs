//! Runs that lose their lease, and runs that are interrupted.

use super::{QUICK, SLOW, TABLE, World, hold, now};
use crate::support::proxy::{Proxy, Strike};

/// Starts a slow run, takes its lease away, and returns what it says. Nothing new may have been started.
fn robbed(take_away: impl FnOnce(&World), text: &str) -> World {
    let world = World::new(SLOW, "9000");
    let run = world.started(&["apply", "-y"], "creating");
    take_away(&world);
    let (code, printed) = run.end();
    assert_eq!(code, Some(1), "{printed}");
    for part in [
        "The lease on the stack is lost: nothing new is started; waiting for 1 step.",
        "kinesis_stream.orders: created",
        "Not started: ssm_parameter.after (creating)",
        "Apply incomplete. Resources: 1 added",
        "error: the lease on stack demo was lost: ",
        "what is done stays done",
        text,
    ] {
        assert!(printed.contains(part), "no {part:?} in {printed}");
    }
    let parameters = world.account.call(world.account.aws.ssm().describe_parameters().send()).parameters;
    assert_eq!(parameters.unwrap_or_default().len(), 0);
    world
}

#[test]
fn who_is_released_by_another_stops() {
    let release = |world: &World| {
        world.sandbox.ok(&["lock", "release", "-y"]).has("The lease on stack demo is free.");
    };
    let world = robbed(release, " ended it at ");
    world.sandbox.ok(&["apply", "-y"]).has("1 added");
}

#[test]
fn who_is_followed_by_another_stops_and_leaves_it_alone() {
    let world =
        robbed(|world| hold(&world.account, 60_000, now() + 60_000), "another run has it now, destroy of bob@desk");
    assert_eq!(world.lease()["lease"]["run_id"], "9f2c");
}

#[test]
fn who_cannot_renew_the_lease_stops_in_time() {
    let table = |world: &World| {
        world.account.call(world.account.aws.dynamodb().delete_table().table_name(TABLE).send());
    };
    robbed(table, "it could not be renewed in time: UpdateItem: ResourceNotFoundException");
}

#[test]
fn signals_give_the_lease_back() {
    let world = World::new(SLOW, "3000");
    let run = world.started(&["apply", "-y"], "creating");
    let waiting = world.started(&["apply", "-y", "--lock-timeout", "1m"], "Waiting for another run");
    waiting.signal("TERM");
    let (code, text) = waiting.end();
    assert_eq!(code, Some(143), "{text}");
    assert!(text.contains("interrupted: nothing was changed"), "{text}");
    assert_eq!(world.lease()["held"], true);
    run.signal("INT");
    let (code, text) = run.end();
    assert_eq!(code, Some(130), "{text}");
    assert!(text.contains("Not started: ssm_parameter.after"), "{text}");
    let lease = world.lease();
    assert_eq!((&lease["held"], &lease["lease"]["token"]), (&false.into(), &1.into()));
}

/// Answers that do not arrive: the next attempt finds what the first one did, and knows it for its own.
#[test]
fn a_lost_answer_is_nobody_elses_lease() {
    let world = World::new(QUICK, "0");
    let run = |at: usize, value: &str| {
        let proxy = Proxy::start(world.listener.url(), at, Strike::LoseAnswer);
        let mut command = world.sandbox.command();
        command.args(["apply", "-y", "--var", &format!("run={value}")]).env("AWS_ENDPOINT_URL", proxy.url());
        let output = command.output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.contains("Apply complete!") && !text.contains("lease"), "{text}");
        (proxy.has_struck(), proxy.calls())
    };
    // The second call takes the lease; the attempt after it is refused, and a look tells why.
    let (struck, calls) = run(2, "a");
    assert!(struck);
    assert_eq!(calls[1..4], ["UpdateItem", "UpdateItem", "GetItem"]);
    let (_, calls) = run(usize::MAX, "b");
    // The last call gives it back.
    let (struck, calls) = run(calls.len(), "c");
    assert!(struck);
    assert_eq!(calls[calls.len() - 3..], ["UpdateItem", "UpdateItem", "GetItem"]);
    let lease = world.lease();
    assert_eq!((&lease["held"], &lease["lease"]["token"]), (&false.into(), &3.into()));
}
