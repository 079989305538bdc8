//! The run guard from outside: runs on one stack take turns, dead ones are followed, and who loses the lease stops.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use crate::support::account::{self, ACCOUNT, Account, REGION};
use crate::support::listener::Listener;
use crate::support::moto::Moto;
use crate::support::sandbox::{Output, Sandbox};
use crate::support::wire::{Asked, Wire};

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
        let patience = if run % 2 == 0 { "170s" } else { "2s" };
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
    for (number, command) in ["plan", "show", "output", "verify"].into_iter().enumerate() {
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

/// Credentials of a role that may do everything but what is denied.
fn without(account: &Account, url: &str, denied: &str) -> Credentials {
    let iam = account.aws.iam();
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:root"}}}}]}}"#
    );
    let rights = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"*","Resource":"*"}},{{"Effect":"Deny","Action":"{denied}","Resource":"*"}}]}}"#
    );
    let role = account.call(iam.create_role().role_name("ci").assume_role_policy_document(trust).send()).role.unwrap();
    account.call(iam.put_role_policy().role_name("ci").policy_name("p").policy_document(rights).send());
    let sts = aws_sdk_sts::Client::new(&account::config(url, Credentials::from_keys(ACCOUNT, "none", None), REGION));
    let session = account.call(sts.assume_role().role_arn(role.arn).role_session_name("t").send()).credentials.unwrap();
    Credentials::from_keys(session.access_key_id, session.secret_access_key, Some(session.session_token))
}

#[test]
fn errors_of_the_table_say_what_to_do() {
    let world = World::new(QUICK, "0");
    world.sandbox.write("other.yaml", &QUICK.replace("table: stackctl-locks", "table: elsewhere"));
    let missing = |output: Output| {
        let output = output.code(1).has("the lock table elsewhere is not in us-east-1, account 123456789012");
        let output =
            output.has("aws dynamodb create-table --table-name elsewhere --attribute-definitions AttributeName=LockID");
        output.has("billing_mode: PAY_PER_REQUEST}`");
    };
    missing(world.sandbox.run(&["apply", "-y", "other.yaml"]));
    missing(world.sandbox.run(&["lock", "show", "other.yaml"]));
    let tables = world.account.call(world.account.aws.dynamodb().list_tables().send()).table_names.unwrap();
    assert_eq!(tables, [TABLE]);
    world.sandbox.write(
        "locks.yaml",
        &LOCKS.replace("stackctl-locks", "elsewhere").replace("LockID", "Id").replace("stack: locks", "stack: more"),
    );
    world.sandbox.ok(&["apply", "-y", "locks.yaml"]);
    world.sandbox.run(&["apply", "-y", "other.yaml"]).code(1).has("a lock table has the hash key LockID, of type S");
    world.sandbox.write("none.yaml", &QUICK.replace("lock: {table: stackctl-locks, ttl: 30s}", ""));
    world
        .sandbox
        .run(&["lock", "show", "none.yaml"])
        .code(1)
        .has("has no lock")
        .has("write `lock: {table: stackctl-locks}`");
}

#[test]
fn a_missing_right_is_named() {
    let world = World::new(QUICK, "0");
    let keys = without(&world.account, world.listener.url(), "dynamodb:UpdateItem");
    let token = keys.session_token().unwrap();
    let sandbox = Sandbox::new().remote(world.listener.url()).set("AWS_SESSION_TOKEN", token);
    let sandbox = sandbox.set("AWS_ACCESS_KEY_ID", keys.access_key_id());
    let sandbox = sandbox.set("AWS_SECRET_ACCESS_KEY", keys.secret_access_key());
    sandbox.write("stack.yaml", QUICK);
    let output = sandbox.run(&["apply", "-y"]).code(1).has("AccessDenied");
    output.has("this call needs dynamodb:UpdateItem").has("table/stackctl-locks").lacks("Plan:");
    sandbox.ok(&["lock", "show"]);
}

/// Runs a program on a terminal: waits for a question, does something, answers.
const TERMINAL: &str = r#"
import os, pty, signal, sys, time
wait, answer, program = float(sys.argv[1]), sys.argv[2], sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(program[0], program)
text, asked = b"", False
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    text += part
    if b"accepted" in text and not asked:
        asked = True
        time.sleep(wait)
        os.kill(pid, signal.SIGINT) if answer == "INT" else os.write(terminal, answer.encode() + b"\n")
_, status = os.waitpid(pid, 0)
sys.stdout.write(text.decode())
sys.exit(os.waitstatus_to_exitcode(status))
"#;

fn on_terminal(sandbox: &Sandbox, wait: &str, answer: &str) -> Command {
    let program = sandbox.command();
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL, wait, answer]).arg(program.get_program()).arg("apply");
    command.current_dir(sandbox.dir()).env_clear();
    for (name, value) in program.get_envs() {
        command.env(name, value.unwrap());
    }
    command.stdout(Stdio::piped());
    command
}

#[test]
fn the_lease_is_kept_while_the_user_thinks() {
    let world = World::new(&QUICK.replace("ttl: 30s", "ttl: 5s"), "0");
    let thinking = on_terminal(&world.sandbox, "8", "yes").spawn().unwrap();
    while world.lease()["held"] == false {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    // Longer than the lease lasts without a renewal.
    std::thread::sleep(std::time::Duration::from_secs(6));
    world.sandbox.run(&["apply", "-y"]).code(1).has("stack demo is held by another run");
    let output = thinking.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("2 added"), "{text}");
    assert_eq!(world.lease()["held"], false);
}

#[test]
fn an_interrupt_while_the_user_thinks_gives_the_lease_back() {
    let world = World::new(QUICK, "0");
    let output = on_terminal(&world.sandbox, "0.5", "INT").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("interrupted: nothing was changed"), "{text}");
    let lease = world.lease();
    assert_eq!((&lease["held"], &lease["lease"]["token"]), (&false.into(), &1.into()));
}
