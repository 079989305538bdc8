//! Records through the ticket stack on the local cloud, by the sequence of commands that the README documents.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use aws_sdk_kinesis::types::ShardIteratorType;
use serde_json::{Value, json};

use crate::support::account::{Account, LOCAL_ACCOUNT, REGION};
use crate::support::listener::Listener;
use crate::support::sandbox::{Output, Sandbox, project};

const STACK: &str = "stacks/airline_tickets.yaml";
const SAMPLES: &str = "stacks/samples/airline_tickets.csv";
const VAR: &str = "phone=+79990000000";
const PHONE: &str = "+79990000000";
const TABLE: &str = "airline_tickets";
const APPLICATION: &str = "kinesis_analytics_airlines_app";

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_mins(2);

/// Lines of messages with how often each is there.
type Lines = BTreeMap<String, usize>;

/// A folder with the stacks, whose functions find boto3.
fn sandbox() -> Sandbox {
    Sandbox::with_stacks().with_python()
}

fn apply(sandbox: &Sandbox) {
    sandbox.ok(&["--local", "apply", STACK, "--var", VAR, "-y"]);
}

fn send(sandbox: &Sandbox) {
    sandbox.ok(&["--local", "send", "airline_tickets", SAMPLES]).has("1000 records");
}

fn verify(sandbox: &Sandbox) -> Output {
    sandbox.run(&["--local", "verify", STACK, "--var", VAR])
}

fn at(listener: &Listener) -> Account {
    Account::at(listener.url(), LOCAL_ACCOUNT, REGION)
}

fn count(lines: impl IntoIterator<Item = String>) -> Lines {
    let mut counted = Lines::new();
    lines.into_iter().for_each(|line| *counted.entry(line).or_default() += 1);
    counted
}

fn total(lines: &Lines) -> usize {
    lines.values().sum()
}

/// Tells whether every line of one is in the other, at least as often.
fn is_within(some: &Lines, all: &Lines) -> bool {
    some.iter().all(|(line, times)| all.get(line).is_some_and(|most| times <= most))
}

/// What the sample holds: the keys of all tickets, and the line that a message has for each cheap one.
fn expected() -> (BTreeSet<String>, Lines) {
    let mut file = csv::Reader::from_path(project().join(SAMPLES)).unwrap();
    let rows: Vec<BTreeMap<String, String>> = file.deserialize().collect::<Result<_, _>>().unwrap();
    let is_cheap = |row: &&BTreeMap<String, String>| {
        row["gate"] == "Aeroflot" && row["cost"].parse::<f64>().is_ok_and(|cost| cost < 5000.0)
    };
    let line = |row: &BTreeMap<String, String>| format!("Aeroflot: {} RUB", row["cost"]);
    let cheap = count(rows.iter().filter(is_cheap).map(line));
    let keys: BTreeSet<String> = rows.into_iter().map(|mut row| row.remove("record_id").unwrap()).collect();
    assert_eq!((keys.len(), total(&cheap)), (1000, 110), "the sample is another one than its README tells of");
    (keys, cheap)
}

/// Returns the keys in the table, which are distinct as keys are.
fn keys(account: &Account) -> BTreeSet<String> {
    let scan = account.aws.dynamodb().scan().table_name(TABLE).into_paginator().items().send();
    let items = account.call(scan.collect::<Result<Vec<_>, _>>());
    let keys: BTreeSet<String> = items.iter().map(|item| item["record_id"].as_s().unwrap().clone()).collect();
    assert_eq!(keys.len(), items.len(), "a key is there twice");
    keys
}

/// Returns the lines that messages would have for the rows on the stream of cheap tickets.
fn selected(account: &Account) -> Lines {
    let kinesis = account.aws.kinesis();
    let shard = account.call(kinesis.list_shards().stream_name("special_stream").send()).shards.unwrap().remove(0);
    let iterator = kinesis.get_shard_iterator().stream_name("special_stream").shard_id(shard.shard_id);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon);
    let mut next = account.call(iterator.send()).shard_iterator;
    let mut lines = Vec::new();
    loop {
        let page = account.call(kinesis.get_records().shard_iterator(next.unwrap()).send());
        lines.extend(page.records.iter().map(|record| line(record.data.as_ref())));
        if page.millis_behind_latest == Some(0) {
            return count(lines);
        }
        next = page.next_shard_iterator;
    }
}

fn line(row: &[u8]) -> String {
    let row: Value = serde_json::from_slice(row).unwrap();
    // Rust, unlike JSON's writers, shows a whole DOUBLE without a fraction, as the sample has it.
    format!("{}: {} RUB", row["gate"].as_str().unwrap(), row["cost"].as_f64().unwrap())
}

/// What the messages in the outbox say.
#[derive(Debug, Default)]
struct Told {
    tickets: usize,
    /// The lines that are written out: a text message is shortened to what SNS sends.
    shown: Lines,
}

fn told(sandbox: &Sandbox) -> Told {
    let outbox = sandbox.ok(&["local", "outbox", "--format", "json"]);
    let document: Value = serde_json::from_str(&outbox.stdout).unwrap();
    let mut told = Told::default();
    for message in document["messages"].as_array().unwrap() {
        let parts = [&message["protocol"], &message["endpoint"], &message["undelivered"]];
        assert_eq!(parts, [&json!("sms"), &json!(PHONE), &Value::Null], "{message:#}");
        assert!(message["topic"].as_str().is_some_and(|topic| topic.ends_with(":Airlines")), "{message:#}");
        told.add(message["subject"].as_str().unwrap(), message["message"].as_str().unwrap());
    }
    told
}

impl Told {
    /// Adds a message, whose subject, first line and lines must agree on how many tickets it is about.
    fn add(&mut self, subject: &str, text: &str) {
        let tickets: usize = subject.strip_prefix("Cheap tickets: ").unwrap().parse().unwrap();
        let mut lines = text.lines();
        let head = lines.next().unwrap();
        assert_eq!(head.split(' ').next(), Some(tickets.to_string().as_str()), "{subject}\n{text}");
        let is_rest = |line: &&str| line.starts_with("and ") && line.ends_with(" more");
        let (rest, shown): (Vec<&str>, Vec<&str>) = lines.partition(is_rest);
        let rest: usize = rest.iter().map(|line| line.split(' ').nth(1).unwrap().parse::<usize>().unwrap()).sum();
        assert_eq!(shown.len() + rest, tickets, "{subject}\n{text}");
        self.tickets += tickets;
        for line in shown {
            *self.shown.entry(line.to_owned()).or_default() += 1;
        }
    }
}

/// Waits until a look gives what is waited for.
#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "{what}: does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Checks that everything has arrived, and once: all tickets in the table, the cheap ones, and no others, at the phone.
#[track_caller]
fn all_arrived_once(account: &Account, told: &Told) {
    let (all, cheap) = expected();
    assert_eq!(keys(account), all);
    assert_eq!(selected(account), cheap);
    assert_eq!(told.tickets, 110, "{told:?}");
    assert!(is_within(&told.shown, &cheap), "{told:?}");
}

#[test]
fn the_documented_sequence() {
    let sandbox = sandbox();
    let listener = Listener::start(&sandbox);
    apply(&sandbox);
    send(&sandbox);
    let account = at(&listener);
    until("all tickets", || keys(&account).len() >= 1000 && told(&sandbox).tickets >= 110);
    verify(&sandbox).code(0);
    sandbox.ok(&["local", "outbox"]).has(&format!("sms to {PHONE}, topic Airlines")).has("Aeroflot: ");
    sandbox.ok(&["--local", "plan", STACK, "--var", VAR, "--detailed-exitcode"]).has("No changes.");
    all_arrived_once(&account, &told(&sandbox));
}

/// Messages may repeat: a batch is done with only when its function has ended well, so one that was in flight when
/// the process died is delivered again, and so are rows that the application had written but not yet noted.
#[test]
fn nothing_is_lost_when_the_local_cloud_is_killed() {
    let sandbox = sandbox();
    let listener = Listener::start(&sandbox);
    apply(&sandbox);
    send(&sandbox);
    let mut seen = 0;
    until("the first item", || {
        seen = keys(&at(&listener)).len();
        seen > 0
    });
    assert!(seen < 1000, "too fast to be killed in the middle");
    drop(listener);
    let listener = Listener::start(&sandbox);
    let account = at(&listener);
    let (all, cheap) = expected();
    until("all tickets", || {
        let selected = selected(&account);
        keys(&account).len() >= 1000 && is_within(&cheap, &selected) && told(&sandbox).tickets >= total(&selected)
    });
    assert_eq!(keys(&account), all);
    let told = told(&sandbox);
    assert!(told.tickets >= 110, "{told:?}");
    let lines = |lines: &Lines| lines.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(lines(&selected(&account)), lines(&cheap));
    assert!(lines(&told.shown).is_subset(&lines(&cheap)), "{told:?}");
    verify(&sandbox).code(0);
}

#[test]
fn records_flow_without_a_listener() {
    let sandbox = sandbox();
    apply(&sandbox);
    send(&sandbox);
    let told = told(&sandbox);
    // Functions cannot run any more, so what is there now was there when `send` ended.
    let sandbox = sandbox.set("STACKCTL_LOCAL_PYTHON", "/nowhere/python3");
    all_arrived_once(&at(&Listener::start(&sandbox)), &told);
    verify(&sandbox).code(0);
}

/// Gives the application another output in place of the one it has, by hand as it were.
fn replace_output(account: &Account, name: &str) {
    use aws_sdk_kinesisanalytics::types::{DestinationSchema, KinesisStreamsOutput, Output, RecordFormatType};
    let analytics = account.aws.analytics();
    let detail = || {
        let answer = account.call(analytics.describe_application().application_name(APPLICATION).send());
        answer.application_detail.unwrap()
    };
    let before = detail();
    let old = before.output_descriptions().first().unwrap();
    let stream = old.kinesis_streams_output_description().unwrap();
    let stream = KinesisStreamsOutput::builder()
        .resource_arn(stream.resource_arn().unwrap())
        .role_arn(stream.role_arn().unwrap())
        .build();
    let schema = DestinationSchema::builder().record_format_type(RecordFormatType::Json).build();
    let new = Output::builder().name(name).kinesis_streams_output(stream.unwrap()).destination_schema(schema.unwrap());
    let delete = analytics.delete_application_output().application_name(APPLICATION);
    let delete = delete.current_application_version_id(before.application_version_id);
    account.call(delete.output_id(old.output_id().unwrap()).send());
    let add = analytics.add_application_output().application_name(APPLICATION);
    let add = add.current_application_version_id(detail().application_version_id);
    account.call(add.output(new.build().unwrap()).send());
}

/// Applies the stack, breaks it, sends the sample until nothing moves any more, and checks that the table has all of
/// it and the phone has nothing.
fn nothing_comes_after(mistake: impl FnOnce(&Account)) -> Sandbox {
    let sandbox = sandbox();
    apply(&sandbox);
    mistake(&at(&Listener::start(&sandbox)));
    // Without a listener `send` waits until everything has arrived that ever will.
    send(&sandbox);
    sandbox.ok(&["local", "outbox"]).has("The outbox of us-east-1 is empty.");
    let listener = Listener::start(&sandbox);
    assert_eq!(keys(&at(&listener)), expected().0);
    assert_eq!(selected(&at(&listener)), Lines::new());
    sandbox
}

#[test]
fn nothing_comes_out_of_an_output_with_the_wrong_name() {
    let sandbox = nothing_comes_after(|account| replace_output(account, "IN_APP_STREAM"));
    verify(&sandbox).code(2).has("First broken hop: analytics -> special_stream").has("`IN_APP_STREAM`");
    let mistake = "name: IN_APP_STREAM #";
    sandbox.edit(STACK, "name: DESTINATION_SQL_STREAM #", mistake);
    sandbox.run(&["validate", STACK]).code(1).has("IN_APP_STREAM").has("DESTINATION_SQL_STREAM");
}

#[test]
fn nothing_comes_out_of_a_stopped_application() {
    let sandbox = nothing_comes_after(|account| {
        account.call(account.aws.analytics().stop_application().application_name(APPLICATION).send());
    });
    verify(&sandbox).code(2).has("First broken hop: airline_tickets -> analytics: `analytics` is READY");
}

#[test]
fn nothing_gets_into_the_table_without_the_permission() {
    let sandbox = sandbox();
    let listener = Listener::start(&sandbox);
    apply(&sandbox);
    let account = at(&listener);
    let iam = account.aws.iam();
    let reads = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": ["kinesis:*", "logs:*"], "Resource": "*" },
    ]});
    let role = iam.put_role_policy().role_name("Lambda-TicketsProcessingRole").policy_name("grants");
    account.call(role.policy_document(reads.to_string()).send());
    send(&sandbox);
    until("the refusal and the messages", || {
        let logs = sandbox.run(&["local", "logs", "airline_collector"]);
        logs.stdout.contains("AccessDenied") && told(&sandbox).tickets >= 110
    });
    assert_eq!(keys(&account), BTreeSet::new());
    let broken = "First broken hop: collector -> tickets: role Lambda-TicketsProcessingRole may not dynamodb:PutItem";
    verify(&sandbox).code(2).has(broken);
}
