//! `send` from outside: what arrives in a stream, what is refused before anything is sent, counts and signals.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::types::ShardIteratorType;
use serde_json::Value;

use crate::support::account::{Account, LOCAL_ACCOUNT, REGION};
use crate::support::listener::Listener;
use crate::support::sandbox::{Sandbox, project};

const STACK: &str = "stack: demo
region: us-east-1
resources:
  orders: {type: kinesis_stream, name: Orders, shard_count: 2}
  news: {type: sns_topic}
";

const SAMPLE: &str = "stacks/samples/airline_tickets.csv";

/// A sandbox with two shards to send to.
fn applied() -> Sandbox {
    let sandbox = Sandbox::with_stacks().local();
    sandbox.write("stack.yaml", STACK);
    sandbox.ok(&["apply", "-y"]);
    sandbox
}

/// Returns what is in the stream, with its partition keys.
fn arrived(sandbox: &Sandbox) -> Vec<(String, String)> {
    let listener = Listener::start(sandbox);
    let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
    let kinesis = account.aws.kinesis();
    let shards = account.call(kinesis.list_shards().stream_name("Orders").send()).shards.unwrap();
    let mut all = Vec::new();
    for shard in shards {
        let request = kinesis.get_shard_iterator().stream_name("Orders").shard_id(shard.shard_id);
        let request = request.shard_iterator_type(ShardIteratorType::TrimHorizon);
        let mut iterator = account.call(request.send()).shard_iterator;
        loop {
            let page = account.call(kinesis.get_records().set_shard_iterator(iterator).send());
            let record = |record: aws_sdk_kinesis::types::Record| {
                (record.partition_key.unwrap(), String::from_utf8(record.data.into_inner()).unwrap())
            };
            all.extend(page.records.into_iter().map(record));
            iterator = page.next_shard_iterator;
            if page.millis_behind_latest == Some(0) {
                break;
            }
        }
    }
    all
}

#[test]
fn a_month_of_tickets_arrives_as_the_agent_would_send_it() {
    let sandbox = applied();
    let output = sandbox.ok(&["send", "orders", SAMPLE, "--stack", "stack.yaml"]);
    assert!(output.stdout.starts_with("Sent 1000 records (") && output.stdout.contains(" to Orders in "), "{output}");
    assert!(output.stderr.contains("waiting until the records have flowed"), "{output}");
    let arrived = arrived(&sandbox);
    let keys: BTreeSet<&String> = arrived.iter().map(|(key, _)| key).collect();
    assert_eq!((arrived.len(), keys.len()), (1000, 1000));
    let mut tickets = BTreeSet::new();
    for (_, text) in &arrived {
        let ticket: Value = serde_json::from_str(text.strip_suffix('\n').unwrap()).unwrap();
        let fields = ticket.as_object().unwrap();
        assert!(fields.len() == 14 && fields.values().all(Value::is_string), "{text}");
        tickets.insert(ticket["record_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(tickets.len(), 1000);
}

#[test]
fn the_sample_is_what_its_readme_says() {
    let text = fs_err::read_to_string(project().join(SAMPLE)).unwrap();
    let agent = fs_err::read_to_string(project().join("userdata/agent.json")).unwrap();
    let agent: Value = serde_json::from_str(&agent).unwrap();
    let names = agent["flows"][0]["dataProcessingOptions"][0]["customFieldNames"].as_array().unwrap();
    let names: Vec<&str> = names.iter().map(|name| name.as_str().unwrap()).collect();
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap(), names.join(","));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let is_aeroflot = |row: &&Vec<&str>| row[6] == "Aeroflot";
    let cost = |row: &Vec<&str>| row[0].parse::<f64>().unwrap();
    let aeroflot: Vec<_> = rows.iter().filter(is_aeroflot).collect();
    let cheap = aeroflot.iter().filter(|row| cost(row) < 5000.0).count();
    let edge = aeroflot.iter().filter(|row| row[0] == "5000").count();
    let readme = fs_err::read_to_string(project().join("stacks/samples/README.md")).unwrap();
    assert!(readme.contains(&format!("{} tickets, {cheap} of them", rows.len())), "{cheap}");
    assert!(readme.contains(&format!("{edge} Aeroflot tickets cost exactly 5000")), "{edge}");
}

#[test]
fn lines_are_sent_as_they_are_and_counts_are_told_to_programs() {
    let sandbox = applied();
    sandbox.write("lines.json", "{\"n\": 1}\n\n[2]\n");
    let output = sandbox.ok(&["send", "Orders", "lines.json", "--format", "json"]);
    let counts: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&counts["records"], &counts["bytes"], &counts["retries"]), (&2.into(), &13.into(), &0.into()));
    assert_eq!((&counts["stream"], &counts["interrupted"]), (&"Orders".into(), &false.into()));
    sandbox.write("plain.txt", "no json\n");
    sandbox.ok(&["send", "Orders", "plain.txt", "--raw"]).has("Sent 1 record (8 bytes)");
    sandbox.write("bare.log", "7,x\n");
    sandbox.ok(&["send", "Orders", "bare.log", "--csv-columns", "cost,gate,missing"]);
    let texts: BTreeSet<String> = arrived(&sandbox).into_iter().map(|(_, text)| text).collect();
    let bare = "{\"cost\":\"7\",\"gate\":\"x\",\"missing\":null}\n";
    assert_eq!(texts, ["[2]\n", "no json\n", "{\"n\": 1}\n", bare].map(str::to_owned).into());
}

#[test]
fn nothing_is_sent_of_a_file_that_is_wrong() {
    let sandbox = applied();
    sandbox.write("late.json", &format!("{}{{\"a\":\n", "{}\n".repeat(2000)));
    sandbox
        .run(&["send", "Orders", "late.json"])
        .code(1)
        .has("late.json:2001: this is not JSON")
        .has("nothing was sent");
    sandbox.write("wide.csv", "a,b\n1,2\n1,2,3\n");
    sandbox.run(&["send", "Orders", "wide.csv"]).code(1).has("wide.csv:3: there are 3 fields for 2 columns");
    sandbox.run(&["send", "Orders", "none.csv"]).code(1).has("none.csv");
    sandbox.run(&["send", "orders", "wide.csv"]).code(1).has("there is no stream orders in us-east-1");
    sandbox.run(&["send", "news", "wide.csv", "--stack", "stack.yaml"]).code(64).has("takes no records");
    sandbox.run(&["send", "Orders", "wide.csv", "--rate", "fast"]).code(64).has("such as 100/s");
    assert_eq!(arrived(&sandbox), []);
}

#[test]
fn standard_input_is_read_and_the_region_can_be_given() {
    let sandbox = applied();
    let mut command = sandbox.command();
    command.args(["--local", "--region", REGION, "send", "Orders", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.stderr(Stdio::null()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(b"{\"from\": \"a pipe\"}\n").unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"Sent 1 record"), "{output:?}");
    assert_eq!(arrived(&sandbox).len(), 1);
    sandbox.run(&["--region", "eu-west-1", "send", "Orders", "stack.yaml"]).code(1).has("in eu-west-1");
}

#[test]
fn a_rate_is_kept_and_an_interrupt_tells_how_many_went() {
    let sandbox = applied();
    sandbox.write("ten.json", &"{}\n".repeat(10));
    let begun = Instant::now();
    sandbox.ok(&["send", "Orders", "ten.json", "--rate", "10/s"]).has("Sent 10 records");
    assert!(begun.elapsed() > Duration::from_millis(900), "{:?}", begun.elapsed());
    sandbox.write("many.json", &"{}\n".repeat(1000));
    let mut command = sandbox.command();
    command.args(["--local", "send", "Orders", "many.json", "--rate", "50/s"]);
    let process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let kill = std::process::Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let sent = text.strip_prefix("Interrupted: sent ").and_then(|rest| rest.split(' ').next()).unwrap();
    assert_eq!(arrived(&sandbox).len(), 10 + sent.parse::<usize>().unwrap(), "{text}");
}
