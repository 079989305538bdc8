//! `local outbox` and `local logs` from outside: with a listener and without, for people and for programs.

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use serde_json::Value;

use crate::support::account::{Account, LOCAL_ACCOUNT, REGION};
use crate::support::listener::Listener;
use crate::support::sandbox::Sandbox;

const PHONE: &str = "+79990001122";

/// A sandbox in whose local cloud messages were published and a function has written lines.
fn lived() -> Sandbox {
    let sandbox = Sandbox::new();
    let listener = Listener::start(&sandbox);
    let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
    let topic = account.call(account.aws.sns().create_topic().name("Airlines").send()).topic_arn.unwrap();
    let sms = account.aws.sns().subscribe().topic_arn(&topic).protocol("sms").endpoint(PHONE);
    account.call(sms.send());
    account.call(account.aws.sns().publish().topic_arn(&topic).subject("Tickets").message("3200 \u{1b}[31mRUB").send());
    let logs = account.aws.logs();
    account.call(logs.create_log_group().log_group_name("/aws/lambda/f").send());
    account.call(logs.create_log_stream().log_group_name("/aws/lambda/f").log_stream_name("s").send());
    write(&account, now() - 3_600_000, "an hour ago");
    write(&account, now(), "START \u{1b}[2J\n");
    drop(listener);
    sandbox
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn write(account: &Account, time: i64, text: &str) {
    let event = InputLogEvent::builder().timestamp(time).message(text).build().unwrap();
    let put = account.aws.logs().put_log_events().log_group_name("/aws/lambda/f").log_stream_name("s");
    account.call(put.log_events(event).send());
}

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Checks the answers of both commands.
fn look(sandbox: &Sandbox) {
    let outbox = sandbox.ok(&["local", "outbox"]);
    outbox.has(&format!("sms to {PHONE}, topic Airlines\n  Subject: Tickets\n  3200 \u{fffd}[31mRUB\n"));
    let messages = document(&sandbox.ok(&["local", "outbox", "--format", "json"]).stdout);
    assert_eq!((&messages["format_version"], &messages["messages"][0]["endpoint"]), (&"1.0".into(), &PHONE.into()));
    sandbox.ok(&["local", "outbox", "--region", "eu-west-1"]).has("The outbox of eu-west-1 is empty.");
    sandbox.ok(&["local", "logs", "f"]).has("an hour ago\n").has("START \u{fffd}[2J\n");
    sandbox.ok(&["local", "logs", "f", "--since", "10m"]).has("START").lacks("an hour ago");
    let lines = document(&sandbox.ok(&["local", "logs", "f", "--format", "json"]).stdout);
    assert_eq!((&lines["function"], &lines["lines"][0]["message"]), (&"f".into(), &"an hour ago".into()));
    sandbox.run(&["local", "logs", "g"]).code(1).has("there is no log of a function g in us-east-1");
    sandbox.run(&["local", "logs", "f", "--since", "soon"]).code(64).has("--since soon: expected a time such as 10m");
}

#[test]
fn messages_and_lines_are_printed_with_a_listener_and_without() {
    let sandbox = lived();
    look(&sandbox);
    sandbox.ok(&["local", "outbox", "--follow"]).has("is not served");
    let _listener = Listener::start(&sandbox);
    look(&sandbox);
}

/// A command that goes on until the test ends.
struct Following(Child, std::io::Lines<BufReader<std::process::ChildStdout>>);

impl Following {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut command = sandbox.command();
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self(child, lines)
    }

    fn next(&mut self) -> Value {
        document(&self.1.next().unwrap().unwrap())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_comes_later_is_followed() {
    let sandbox = lived();
    let listener = Listener::start(&sandbox);
    let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
    let mut outbox = Following::start(&sandbox, &["local", "outbox", "-f", "--format", "json"]);
    let mut logs = Following::start(&sandbox, &["local", "logs", "f", "-f", "--since", "10m", "--format", "json"]);
    assert_eq!(outbox.next()["subject"], "Tickets");
    assert_eq!(logs.next()["message"], "START \u{1b}[2J\n");
    account.call(account.aws.sns().publish().phone_number(PHONE).message("again").send());
    write(&account, now(), "END");
    let sent = outbox.next();
    assert_eq!((&sent["message"], &sent["topic"]), (&"again".into(), &Value::Null));
    assert_eq!(logs.next()["message"], "END");
}

#[test]
fn the_state_is_its_owners_alone_whatever_was_there() {
    let sandbox = Sandbox::with_stacks();
    let state = sandbox.dir().join(".stackctl/local");
    fs_err::create_dir_all(state.join("kinesis")).unwrap();
    fs_err::write(state.join("kinesis/left"), "x").unwrap();
    for (path, mode) in [(&state, 0o777), (&state.join("kinesis"), 0o777), (&state.join("kinesis/left"), 0o666)] {
        fs_err::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let program = env!("CARGO_BIN_EXE_stackctl");
    let mut shell = std::process::Command::new("sh");
    let args = "--local apply -y stacks/airline_tickets.yaml --var phone=+79990001122";
    shell.args(["-c", &format!("umask 000; exec {program} {args}")]).current_dir(sandbox.dir()).stdout(Stdio::null());
    assert!(shell.status().unwrap().success());
    let mut seen = 0;
    let mut folders = vec![state];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            let want = if meta.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(meta.permissions().mode() & 0o777, want, "{}", entry.path().display());
            folders.extend(meta.is_dir().then(|| entry.path()));
            seen += 1;
        }
        assert_eq!(fs_err::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700, "{}", folder.display());
    }
    assert!(seen > 8, "{seen}");
}
