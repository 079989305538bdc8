//! `verify` from outside, on the local cloud: a stack that is whole, and the mistakes that it exists to name.

use serde_json::{Value, json};

use crate::support::account::{Account, LOCAL_ACCOUNT, REGION};
use crate::support::listener::Listener;
use crate::support::sandbox::{Output, Sandbox};

const STACK: &str = "stacks/airline_tickets.yaml";
const PHONE: &str = "phone=+79990001122";
const APPLICATION: &str = "kinesis_analytics_airlines_app";

/// The ticket stack, applied, behind a listener.
struct World {
    sandbox: Sandbox,
    listener: Listener,
    account: Account,
}

impl World {
    fn applied() -> Self {
        let sandbox = Sandbox::with_stacks().local();
        let listener = Listener::start(&sandbox);
        let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
        sandbox.ok(&["apply", STACK, "-y", "--var", PHONE]);
        Self { sandbox, listener, account }
    }

    fn verify(&self) -> Output {
        self.listener.reading(|| self.sandbox.run(&["verify", STACK, "--var", PHONE]))
    }

    fn document(&self) -> Value {
        let output = self.sandbox.run(&["verify", STACK, "--var", PHONE, "--format", "json"]);
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"))
    }

    fn stop(&self) {
        self.account.call(self.account.aws.analytics().stop_application().application_name(APPLICATION).send());
    }

    /// Renames the application's output, by hand as it were.
    fn rename_output(&self, name: &str) {
        use aws_sdk_kinesisanalytics::types::{ApplicationUpdate, OutputUpdate};
        let analytics = self.account.aws.analytics();
        let detail = self.account.call(analytics.describe_application().application_name(APPLICATION).send());
        let detail = detail.application_detail.unwrap();
        let output = detail.output_descriptions().first().and_then(|output| output.output_id.clone()).unwrap();
        let update = OutputUpdate::builder().output_id(output).name_update(name).build().unwrap();
        let request = analytics.update_application().application_name(APPLICATION);
        let request = request.current_application_version_id(detail.application_version_id);
        self.account
            .call(request.application_update(ApplicationUpdate::builder().output_updates(update).build()).send());
    }

    /// Replaces what the role may do by a policy with these actions on everything.
    fn allow_only(&self, role: &str, actions: &[&str]) {
        let iam = self.account.aws.iam();
        let policy = json!({
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
        });
        let request = iam.put_role_policy().role_name(role).policy_name("grants").policy_document(policy.to_string());
        self.account.call(request.send());
    }
}

/// Returns the hop that is named first, and why.
fn first(document: &Value) -> (&str, &str) {
    let broken = &document["first_broken"];
    (broken["hop"].as_str().unwrap_or_default(), broken["reason"].as_str().unwrap_or_default())
}

fn failed(document: &Value) -> Vec<String> {
    let hops = document["hops"].as_array().unwrap().iter().filter(|hop| hop["state"] == "failed");
    hops.map(|hop| format!("{} -> {}", hop["from"].as_str().unwrap(), hop["to"].as_str().unwrap())).collect()
}

#[test]
fn a_stack_that_was_applied_is_bound_and_running() {
    let world = World::applied();
    let output = world.verify().code(0);
    assert!(output.stderr.contains("Verification of stack airline-tickets in us-east-1"), "{output}");
    insta::assert_snapshot!(output.stdout);
    let document = world.document();
    assert_eq!((&document["format_version"], &document["first_broken"]), (&json!("1.0"), &Value::Null));
    assert_eq!(document["hops"].as_array().unwrap().len(), 8);
    world.sandbox.write("one.json", "{}\n");
    world.sandbox.ok(&["send", "airline_tickets", "one.json", "--region", REGION]);
    let document = world.document();
    let producer = document["hops"].as_array().unwrap().iter().find(|hop| hop["from"] == "producer").unwrap();
    assert_eq!(producer["state"], "ok", "{producer:#}");
}

#[test]
fn an_output_that_the_sql_does_not_create_is_named() {
    let world = World::applied();
    world.rename_output("IN_APP_STREAM");
    let document = world.document();
    let (hop, reason) = first(&document);
    assert_eq!(
        (hop, failed(&document)),
        ("analytics -> special_stream", vec!["analytics -> special_stream".to_owned()])
    );
    assert!(reason.contains("`IN_APP_STREAM`") && reason.contains("DESTINATION_SQL_STREAM"), "{reason}");
    insta::assert_snapshot!(world.verify().code(2).stdout);
}

#[test]
fn a_stopped_application_is_named() {
    let world = World::applied();
    world.stop();
    let document = world.document();
    assert_eq!(failed(&document), ["airline_tickets -> analytics"]);
    assert!(first(&document).1.contains("`analytics` is READY"), "{document:#}");
    world.verify().code(2).has("First broken hop: airline_tickets -> analytics: `analytics` is READY");
}

#[test]
fn a_role_that_may_not_write_is_named() {
    let world = World::applied();
    let role = "Lambda-TicketsProcessingRole";
    let reads = ["kinesis:Get*", "kinesis:List*", "kinesis:Describe*"];
    world.allow_only(role, &reads);
    let document = world.document();
    let missing = "role Lambda-TicketsProcessingRole may not dynamodb:PutItem, dynamodb:BatchWriteItem on tickets";
    assert_eq!(first(&document), ("collector -> tickets", missing));
    assert_eq!(failed(&document), ["collector -> tickets"]);
    world.verify().code(2).has("`collector_role` needs `grants: [{write: tickets}]`");
    world.allow_only(role, &["dynamodb:PutItem"]);
    let document = world.document();
    assert_eq!(failed(&document), ["airline_tickets -> collector"]);
    assert!(document.to_string().contains("may not kinesis:GetRecords"), "{document:#}");
}

#[test]
fn what_is_not_there_is_named() {
    let sandbox = Sandbox::with_stacks().local();
    let output = sandbox.run(&["verify", STACK]).code(2);
    output.has("First broken hop: producer -> airline_tickets: `producer` does not exist.").has("run `stackctl apply`");
}

#[test]
fn a_disabled_mapping_and_an_unconfirmed_subscriber_are_named() {
    let world = World::applied();
    let lambda = world.account.aws.lambda();
    let mappings = world.account.call(lambda.list_event_source_mappings().function_name("airline_collector").send());
    let uuid = mappings.event_source_mappings.unwrap().remove(0).uuid.unwrap();
    world.account.call(lambda.update_event_source_mapping().uuid(uuid).enabled(false).send());
    let document = world.document();
    assert_eq!(failed(&document), ["airline_tickets -> collector"]);
    assert!(first(&document).1.contains("`collector_mapping` is Disabled"), "{document:#}");
    let second = Sandbox::with_stacks().local();
    let args = ["stacks/clickstream.yaml", "--var", "email=someone@example.com"];
    second.ok(&[&["apply", "-y"][..], &args].concat());
    let output = second.run(&[&["verify"][..], &args].concat()).code(2);
    output.has("failures -> failures_email").has("is pending confirmation").lacks("someone@example.com");
}

#[test]
fn a_canary_needs_a_record_and_is_not_sent_into_a_broken_stack() {
    let sandbox = Sandbox::new().local();
    sandbox.write("stack.yaml", "stack: s\nregion: us-east-1\nresources: {orders: {type: kinesis_stream}}\n");
    sandbox.run(&["verify", "--canary"]).code(1).has("the stack file has no canary");
    sandbox.run(&["verify", "--canary", "--timeout", "soon"]).code(64).has("such as 60s");
    let world = World::applied();
    world.stop();
    let args = ["verify", STACK, "--var", PHONE, "--canary"];
    let output = world.listener.reading(|| world.sandbox.run(&args)).code(2);
    output.has("The canary was not sent: a hop is broken.");
}

#[test]
fn a_canary_goes_all_the_way_and_is_cleaned_up() {
    let world = World::applied();
    let args = ["verify", STACK, "--var", PHONE, "--canary", "--timeout", "2m", "--format", "json"];
    let output = world.sandbox.run(&args).code(0);
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    let stations = document["canary"]["stations"].as_array().unwrap();
    let seen =
        |station: &Value| format!("{} {}", station["resource"].as_str().unwrap(), station["state"].as_str().unwrap());
    let seen: Vec<String> = stations.iter().map(seen).collect();
    assert_eq!(seen, ["airline_tickets ok", "special_stream ok", "notifier ok", "tickets ok"], "{output}");
    let items = world.account.call(world.account.aws.dynamodb().scan().table_name("airline_tickets").send());
    assert_eq!(items.count, 0, "{output}");
}
