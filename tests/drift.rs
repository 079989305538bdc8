//! Drift: what somebody did behind a stack's back is told in its class and at its field, and the command that is printed
//! mends it; what AWS does by itself is nobody's drift.
//!
//! `tests/drift/changes.yaml` is the table, `tests/drift/stack.yaml` the stack, `tests/drift/change.py` makes the changes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};
use stackctl::drift::reads;
use stackctl::kinds;

use crate::support::account::{ACCOUNT, Account, LOCAL_ACCOUNT, REGION};
use crate::support::listener::Listener;
use crate::support::moto::{self, Moto};
use crate::support::sandbox::{Sandbox, project};

const FILE: &str = "stack.yaml";

/// One row of the table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// What happens.
    change: String,
    /// The resource that it happens to.
    to: String,
    /// Python that makes it happen.
    #[serde(rename = "do")]
    does: String,
    class: String,
    path: String,
    /// Why moto is left out.
    not_on_moto: Option<String>,
}

fn table() -> Vec<Row> {
    let text = fs_err::read_to_string(project().join("tests/drift/changes.yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

fn stack() -> Value {
    let text = fs_err::read_to_string(project().join("tests/drift/stack.yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

/// A stack that was applied to some endpoint.
struct World {
    sandbox: Sandbox,
    url: String,
    account: &'static str,
    _listener: Option<Listener>,
}

impl World {
    /// Applies the stack to the local cloud, which is like AWS in what it can search for.
    fn local() -> Self {
        let sandbox = Sandbox::with_fixture_files().local();
        let listener = Listener::start(&sandbox);
        let url = listener.url().to_owned();
        Self { sandbox, url, account: LOCAL_ACCOUNT, _listener: Some(listener) }.apply(&stack())
    }

    /// Applies a stack to another emulator.
    fn remote(url: &str, stack: &Value) -> Self {
        let sandbox = Sandbox::with_fixture_files().remote(url);
        Self { sandbox, url: url.to_owned(), account: ACCOUNT, _listener: None }.apply(stack)
    }

    fn apply(self, stack: &Value) -> Self {
        self.sandbox.write(FILE, &serde_yaml::to_string(stack).unwrap());
        self.sandbox.ok(&["apply", "-y"]);
        self
    }

    /// Makes changes with boto3.
    fn change(&self, snippets: &[&str]) {
        let script = project().join("tests/drift/change.py");
        let mut command = Command::new(moto::python());
        command.arg(script).args([self.url.as_str(), self.account, self.url.as_str()]);
        let mut process = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        process.stdin.take().unwrap().write_all(json!(snippets).to_string().as_bytes()).unwrap();
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Returns what is not in sync, by logical id.
    fn drift(&self, code: i32) -> BTreeMap<String, Value> {
        let output = self.sandbox.run(&["drift", "--format", "json"]).code(code);
        let document: Value = serde_json::from_str(&output.stdout).unwrap();
        let entries = document["stacks"][0]["resources"].as_array().unwrap().iter();
        let off = entries.filter(|entry| entry["class"] != "in_sync");
        off.map(|entry| (entry["id"].as_str().unwrap().to_owned(), entry.clone())).collect()
    }

    /// Runs the commands that drift printed.
    fn mend(&self, entry: &Value) {
        let command = entry["mend"].as_str().unwrap();
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(words[0], "stackctl", "{command}");
        let words: Vec<&str> = words[1..].iter().copied().filter(|word| *word != "--local").collect();
        self.sandbox.ok(&[&words[..], &["-y"]].concat());
    }

    /// Makes changes that do not disturb each other, and expects each to be told, and nothing else.
    fn wave(&self, rows: &[Row]) {
        self.change(&rows.iter().map(|row| row.does.as_str()).collect::<Vec<_>>());
        let entries = self.drift(2);
        let told: BTreeSet<&str> = entries.keys().map(String::as_str).collect();
        let changed: BTreeSet<&str> = rows.iter().map(|row| row.to.as_str()).collect();
        assert_eq!(told, changed, "{entries:#?}");
        for row in rows {
            let findings = entries[&row.to]["findings"].as_array().unwrap();
            let is_it = |finding: &&Value| finding["class"] == *row.class && finding["path"] == *row.path;
            assert!(findings.iter().any(|finding| is_it(&finding)), "{}: {}: {findings:#?}", row.to, row.change);
            assert_eq!(entries[&row.to]["class"], *row.class, "{}: {}", row.to, row.change);
        }
        // What needs a look-alike cannot be mended before it.
        let (first, rest): (Vec<_>, Vec<_>) = entries.values().partition(|entry| entry["class"] == "look_alike");
        first.into_iter().chain(rest).for_each(|entry| self.mend(entry));
        assert_eq!(self.drift(0), BTreeMap::new());
    }
}

/// Takes the rows in waves, in each of which nothing is changed twice.
fn waves(mut rows: Vec<Row>) -> Vec<Vec<Row>> {
    let mut waves = Vec::new();
    while !rows.is_empty() {
        let mut taken = BTreeSet::new();
        let (now, later): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| taken.insert(row.to.clone()));
        waves.push(now);
        rows = later;
    }
    waves
}

#[test]
fn what_was_changed_by_hand_is_told_and_mended() {
    let world = World::local();
    for wave in &waves(table()) {
        world.wave(wave);
    }
    world.sandbox.ok(&["destroy", "-y"]).has("nothing is left");
}

#[test]
fn what_was_changed_by_hand_on_moto_is_told_and_mended() {
    let moto = Moto::start();
    let account = Account::at(moto.url(), ACCOUNT, REGION);
    let mut stack = stack();
    // moto has no Analytics of the API of 2015-08-14, resolves no parameters at launch, keeps no spot requests, and has
    // no CPU credits.
    let resources = stack["resources"].as_object_mut().unwrap();
    resources.retain(|_, resource| resource["type"] != "kinesis_analytics_application");
    resources["machine"].as_object_mut().unwrap().remove("credit_specification");
    stack["variables"]["image"]["default"] = account.image().into();
    stack["variables"]["spot"]["default"] = false.into();
    let world = World::remote(moto.url(), &stack);
    let rows = table().into_iter().filter(|row| row.not_on_moto.is_none()).collect();
    for wave in &waves(rows) {
        world.wave(wave);
    }
}

#[test]
fn the_table_has_every_kind_and_every_sort_of_change() {
    let rows = table();
    assert!(rows.len() >= 40, "{} changes", rows.len());
    let stack = stack();
    for kind in kinds::all() {
        let is_of = |row: &&Row| stack["resources"][&row.to]["type"] == kind.type_name();
        let classes: BTreeSet<&str> = rows.iter().filter(is_of).map(|row| row.class.as_str()).collect();
        let whole = ["missing", "look_alike"].iter().any(|class| classes.contains(class));
        let parts = ["drifted", "undeclared", "stopped"].iter().any(|class| classes.contains(class));
        assert!(whole && parts, "{}: {classes:?}", kind.type_name());
    }
}

/// What AWS does by itself: it moves times and versions, takes its time with orders and spellings, and brings out images.
const BY_ITSELF: &[&str] = &[
    // The same again, by another call: versions and times move.
    r#"iam.create_policy_version(PolicyArn=policy("reader"), SetAsDefault=True, PolicyDocument='{"Statement": {"Resource": ["' + arn("kinesis", "stream/stream") + '"], "Action": ["kinesis:ListShards", "kinesis:GetRecords"], "Effect": "Allow"},  "Version": "2012-10-17"}')"#,
    r#"iam.put_role_policy(RoleName="worker_role", PolicyName="lists", PolicyDocument='{\n "Statement": [{"Resource": ["*"], "Action": ["s3:Get*", "s3:List*"], "Effect": "Allow"}], "Version": "2012-10-17"}')"#,
    r#"iam.update_assume_role_policy(RoleName="worker_role", PolicyDocument=trust("lambda.amazonaws.com"))"#,
    r#"sns.set_subscription_attributes(SubscriptionArn=subscription("first"), AttributeName="FilterPolicy", AttributeValue='{ "gate":["Aeroflot"] }')"#,
    r#"ssm.put_parameter(Name="/drift-table/setting", Value="one", Description="A setting", Overwrite=True)"#,
    r#"awslambda.update_function_configuration(FunctionName="drift-table", Timeout=15)"#,
    r#"dynamodb.put_item(TableName="table", Item={"id": {"S": "one"}})"#,
    r#"kinesis.put_record(StreamName="stream", Data=b"{}", PartitionKey="p")"#,
    // A value that was set by hand where the file leaves it to people.
    r#"ssm.put_parameter(Name="/drift-table/spare", Value="secret", Type="SecureString", Overwrite=True)"#,
];

#[test]
fn what_aws_does_by_itself_is_no_drift() {
    let world = World::local();
    world.change(BY_ITSELF);
    assert_eq!(world.drift(0), BTreeMap::new());
}

#[test]
fn nothing_that_checks_drift_can_name_what_writes() {
    let folder = fs_err::read_dir(project().join("src/drift")).unwrap().map(|entry| entry.unwrap().path());
    let files = folder.chain(["src/commands/drift.rs", "src/live.rs"].map(|file| project().join(file)));
    for file in files {
        let text = fs_err::read_to_string(&file).unwrap();
        for word in ["Writes", "KINDS"] {
            assert!(!text.contains(word), "{} names {word}", file.display());
        }
    }
}

#[test]
fn every_read_is_the_name_of_a_read() {
    for action in reads::actions(kinds::all(), true, true) {
        let (_, operation) = action.split_once(':').unwrap();
        let start = ["Get", "List", "Describe", "Lookup"].iter().any(|start| operation.starts_with(start));
        assert!(start, "{action} may write");
    }
}
