//! The run guard from outside: runs on one stack take turns, dead ones are followed, and who loses the lease stops.

mod errors;
mod loss;
mod terminal;
mod turns;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use crate::support::account::{ACCOUNT, Account, REGION};
use crate::support::listener::Listener;
use crate::support::moto::Moto;
use crate::support::sandbox::Sandbox;
use crate::support::wire::Wire;

const TABLE: &str = "stackctl-locks";
const KEY: &str = "stackctl/123456789012/us-east-1/demo";

/// The stack that makes the table, as the program advises.
const LOCKS: &str = "stack: locks
region: us-east-1
resources:
  locks: {type: dynamodb_table, name: stackctl-locks, hash_key: {name: LockID, type: S}, billing_mode: PAY_PER_REQUEST}
";

/// A stack of which every run writes both parameters, one after the other.
const QUICK: &str = "stack: demo
region: us-east-1
lock: {table: stackctl-locks, ttl: 30s}
variables: {run: {type: string, default: none}}
resources:
  first: {type: ssm_parameter, name: /demo/first, parameter_type: String, value: '${var.run}'}
  second: {type: ssm_parameter, name: /demo/second, parameter_type: String, value: '${var.run}', depends_on: [first]}
";

/// A stack whose first step takes long, when state changes do.
const SLOW: &str = "stack: demo
region: us-east-1
lock: {table: stackctl-locks, ttl: 5s}
resources:
  orders: {type: kinesis_stream, shard_count: 1}
  after: {type: ssm_parameter, name: /demo/after, parameter_type: String, value: x, depends_on: [orders]}
";

/// A served local cloud with a lock table, and a folder with a stack.
struct World {
    listener: Listener,
    account: Account,
    sandbox: Sandbox,
}

impl World {
    fn new(stack: &str, delay: &str) -> Self {
        let home = Sandbox::new().set("STACKCTL_LOCAL_DELAY_MS", delay);
        let listener = Listener::start(&home);
        let sandbox = home.remote(listener.url());
        sandbox.write("locks.yaml", LOCKS);
        sandbox.write("stack.yaml", stack);
        sandbox.ok(&["apply", "-y", "locks.yaml"]);
        Self { account: Account::at(listener.url(), ACCOUNT, REGION), listener, sandbox }
    }

    /// Starts a run and waits until it has printed a text.
    fn started(&self, args: &[&str], until: &str) -> Started {
        let mut command = self.sandbox.command();
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut reader = BufReader::new(child.stderr.take().unwrap());
        let mut text = String::new();
        while !text.contains(until) {
            assert_ne!(reader.read_line(&mut text).unwrap(), 0, "{text}");
        }
        Started { child, reader, text }
    }

    fn lease(&self) -> Value {
        shown(&self.sandbox)
    }
}

fn shown(sandbox: &Sandbox) -> Value {
    let output = sandbox.ok(&["lock", "show", "--format", "json"]);
    serde_json::from_str(&output.stdout).unwrap()
}

/// A run that is at work.
struct Started {
    child: Child,
    reader: BufReader<std::process::ChildStderr>,
    text: String,
}

impl Started {
    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits for its end, and returns how it ended and what it printed.
    fn end(mut self) -> (Option<i32>, String) {
        self.reader.read_to_string(&mut self.text).unwrap();
        self.child.stdout.take().unwrap().read_to_string(&mut self.text).unwrap();
        (self.child.wait().unwrap().code(), std::mem::take(&mut self.text))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Puts the lease of a run into the table that nobody ever renews.
fn hold(account: &Account, length: i64, expires: i64) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: i64| AttributeValue::N(number.to_string());
    let item = HashMap::from([
        ("LockID".to_owned(), text(KEY)),
        ("owner".to_owned(), text("9f2c")),
        ("who".to_owned(), text("bob@desk")),
        ("host".to_owned(), text("desk")),
        ("pid".to_owned(), number(4242)),
        ("operation".to_owned(), text("destroy")),
        ("version".to_owned(), text("0.0.9")),
        ("token".to_owned(), number(41)),
        ("beat".to_owned(), number(3)),
        ("length".to_owned(), number(length)),
        ("since".to_owned(), number(1_790_000_000_000)),
        ("expires".to_owned(), number(expires)),
    ]);
    account.call(account.aws.dynamodb().put_item().table_name(TABLE).set_item(Some(item)).send());
}

/// What works at every AWS: taking, refusing, showing, ending, following a dead run.
fn basics(account: &Account, sandbox: &Sandbox) {
    sandbox.ok(&["lock", "show"]).has("No run has ever held stack demo in us-east-1, account 123456789012");
    sandbox.ok(&["apply", "-y"]).has("2 added");
    sandbox.ok(&["lock", "show"]).has("The last one was apply of").has("token 1.");
    hold(account, 3_600_000, now() + 3_000_000);
    let before = sandbox.ok(&["lock", "show"]);
    before.has("destroy of bob@desk (process 4242)").has("token     41").has("longer while it is at work");
    for command in ["apply", "destroy"] {
        let output = sandbox.run(&[command, "-y"]).code(1);
        let output =
            output.has("stack demo is held by another run: destroy of bob@desk (process 4242), since 2026-09-21T");
        output.has("wait for it with --lock-timeout 10m").lacks("Plan:");
    }
    let waited = sandbox.run(&["apply", "-y", "--lock-timeout", "2s"]).code(1);
    waited.has("Waiting for another run on stack demo: destroy of bob@desk").has("another run after 2s");
    // Looking needs no lease.
    sandbox.ok(&["plan", "--detailed-exitcode"]).has("No changes.");
    sandbox.run(&["lock", "release"]).code(1).has("nobody can be asked");
    sandbox.ok(&["lock", "release", "-y"]).has("The lease on stack demo is free.");
    sandbox.ok(&["lock", "release", "-y"]).has("There is nothing to release.");
    let lease = shown(sandbox);
    assert_eq!((&lease["held"], &lease["lease"]["token"]), (&false.into(), &41.into()));
    // Its holder died: it has not renewed the lease, which ended five seconds ago.
    hold(account, 4_000, now() - 5_000);
    let taken = sandbox.ok(&["apply", "-y", "--var", "run=again"]);
    taken.has("it is taken over when it shows no life for 4s").has("2 changed");
    assert_eq!(shown(sandbox)["lease"]["token"], 42);
    sandbox.ok(&["destroy", "-y"]).has("nothing is left");
}

#[test]
fn runs_take_turns_on_the_local_cloud() {
    let world = World::new(QUICK, "0");
    basics(&world.account, &world.sandbox);
}

#[test]
fn runs_take_turns_on_moto() {
    let moto = Moto::start();
    let sandbox = Sandbox::new().remote(moto.url());
    sandbox.write("locks.yaml", LOCKS);
    sandbox.write("stack.yaml", QUICK);
    sandbox.ok(&["apply", "-y", "locks.yaml"]);
    basics(&Account::at(moto.url(), ACCOUNT, REGION), &sandbox);
}

#[test]
fn the_lease_comes_before_the_first_look() {
    let world = World::new(QUICK, "0");
    let wire = Wire::to(world.listener.url());
    let run = |args: &[&str], number: usize| -> Vec<String> {
        let mut command = world.sandbox.command();
        command.args(args).env("AWS_ENDPOINT_URL", wire.end(number));
        command.output().unwrap();
        wire.asked().into_iter().filter(|call| call.run == number).map(|call| call.operation).collect()
    };
    let apply = run(&["apply", "-y"], 0);
    assert_eq!(apply[..2], ["GetCallerIdentity", "UpdateItem"]);
    assert_eq!((apply.last().unwrap().as_str(), apply.len() > 4), ("UpdateItem", true));
    for (number, command) in ["plan", "drift", "show", "output", "verify"].into_iter().enumerate() {
        let calls = run(&[command], number + 1);
        assert!(calls.iter().all(|call| call != "UpdateItem" && call != "GetItem"), "{command}: {calls:?}");
    }
}

#[test]
fn a_dead_run_is_followed_when_its_lease_is_over() {
    let world = World::new(&SLOW.replace("ttl: 5s", "ttl: 10s"), "3000");
    let mut first = world.started(&["apply", "-y"], "creating");
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    world.sandbox.run(&["apply", "-y"]).code(1).has("stack demo is held by another run: apply of");
    assert_eq!(world.lease()["held"], true);
    let second = world.sandbox.ok(&["apply", "-y", "--lock-timeout", "1m"]);
    second.has("Waiting for another run on stack demo: apply of").has("Apply complete!");
    let lease = world.lease();
    assert_eq!((&lease["held"], &lease["lease"]["token"]), (&false.into(), &2.into()));
    world.sandbox.ok(&["plan", "--detailed-exitcode"]);
}

#[test]
fn failures_give_the_lease_back() {
    let world = World::new(QUICK, "0");
    world.account.call(
        world
            .account
            .aws
            .ssm()
            .put_parameter()
            .name("/demo/first")
            .value("x")
            .r#type(aws_sdk_ssm::types::ParameterType::String)
            .send(),
    );
    world.sandbox.run(&["apply", "-y"]).code(1).has("--adopt");
    assert_eq!(world.lease()["held"], false);
}

#[test]
fn waits_are_events_of_json_runs() {
    let world = World::new(QUICK, "0");
    hold(&world.account, 3_600_000, now() + 3_000_000);
    let output = world.sandbox.run(&["apply", "-y", "--format", "json", "--lock-timeout", "1s"]).code(1);
    let event: Value = serde_json::from_str(output.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&event["type"], &event["lease"]["who"]), (&"diagnostic".into(), &"bob@desk".into()));
}

#[test]
fn the_local_cloud_in_the_process_has_leases_too() {
    let sandbox = Sandbox::new().local();
    sandbox.write("locks.yaml", LOCKS);
    sandbox.write("stack.yaml", QUICK);
    sandbox.run(&["apply", "-y"]).code(1).has("the lock table stackctl-locks is not in us-east-1");
    sandbox.ok(&["apply", "-y", "locks.yaml"]);
    sandbox.ok(&["apply", "-y"]).has("2 added");
    sandbox.ok(&["lock", "show"]).has("token 1.");
}

#[test]
fn no_secret_gets_into_the_table() {
    let world = World::new(&QUICK.replace("type: string,", "type: string, sensitive: true,"), "0");
    world.sandbox.ok(&["apply", "-y", "--var", "run=hunter2hunter2"]).has("2 added").lacks("hunter2hunter2");
    let items = world.account.call(world.account.aws.dynamodb().scan().table_name(TABLE).send()).items.unwrap();
    assert_eq!((items.len(), items[0]["operation"].as_s().unwrap().as_str()), (1, "apply"));
    assert!(!format!("{items:?}").contains("hunter2"), "{items:?}");
}
