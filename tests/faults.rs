//! The program against the faults of AWS: throttling, failures, lost and late answers, garbage, quotas, IAM that
//! spreads late, and things that happen by themselves.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use stackctl::kinds::KINDS;

use crate::support::account::{Account, LOCAL_ACCOUNT, REGION};
use crate::support::fixture::Fixture;
use crate::support::listener::Listener;
use crate::support::sandbox::{Output, Sandbox};

/// Things that are made by one call or a few.
const SMALL: &str = "\
stack: small
region: us-east-1
resources:
  jobs: {type: kinesis_stream, retention_period_hours: 48}
  news: {type: sns_topic, display_name: News}
  reader:
    type: iam_role
    service: lambda.amazonaws.com
    grants: [{read: jobs}]
  logs: {type: cloudwatch_log_group, name: small/logs, retention_in_days: 7}
";

/// How many kinds are tried at once.
const AT_ONCE: usize = 4;

/// The ticket stack and its variable.
const TICKETS: &[&str] = &["stacks/airline_tickets.yaml", "--var", "phone=+79990001122"];

/// A sandbox, its listener, the account behind it, and the arguments of every command.
struct World {
    sandbox: Sandbox,
    listener: Listener,
    account: Account,
    args: &'static [&'static str],
}

impl World {
    fn of(sandbox: Sandbox, args: &'static [&'static str]) -> Self {
        let sandbox = sandbox.local();
        let listener = Listener::start(&sandbox);
        let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
        Self { sandbox, listener, account, args }
    }

    /// A world with the small stack's file, whose runs have little patience.
    fn small() -> Self {
        let sandbox = Sandbox::new().set("STACKCTL_READ_TIMEOUT_MS", "1500").set("AWS_MAX_ATTEMPTS", "3");
        sandbox.write("stack.yaml", SMALL);
        Self::of(sandbox, &[])
    }

    fn tickets() -> Self {
        Self::of(Sandbox::with_stacks(), TICKETS)
    }

    fn under(self, experiment: &Value) -> Self {
        self.listener.trouble(experiment);
        self
    }

    fn run(&self, command: &[&str]) -> Output {
        self.sandbox.run(&[command, self.args].concat())
    }

    fn apply(&self) -> Output {
        self.run(&["apply", "-y"])
    }

    #[track_caller]
    fn in_sync(&self) {
        self.listener.peace();
        self.run(&["plan", "--detailed-exitcode"]).code(0).has("No changes.");
    }

    /// How often the first rule struck.
    fn struck(&self) -> u64 {
        self.listener.troubled()["rules"][0]["injected"].as_u64().unwrap()
    }

    /// The number of things in the account: twice the same thing would be one more.
    fn size(&self) -> usize {
        self.account.contents().len() + self.account.applications().len()
    }
}

#[test]
fn faults_that_pass_are_waited_out() {
    let whats =
        ["throttle", "internal", "unavailable", "reset-before", "reset-after", "slow", "html", "truncated", "empty"];
    for what in whats {
        let rule = json!({"what": what, "only": "writes", "calls": 1, "per": "resource"});
        let world = World::small().under(&json!({"rules": [rule]}));
        let output = world.apply().code(0).has("Apply complete").lacks("error");
        assert!(world.struck() > 5, "{what} struck {} calls: {output}", world.struck());
        world.in_sync();
        assert_eq!(world.size(), 4 + 1, "{what}: the four things, and the account's own group");
    }
}

#[test]
fn faults_that_stay_are_told_truthfully_and_the_next_run_goes_on() {
    let page = "a web page came instead of AWS's answer (HTTP 200)";
    for (what, says, help) in [
        ("throttle", "Throttled: Rate exceeded", "--parallelism"),
        ("internal", "InternalFailure", "may have taken effect or not"),
        ("unavailable", "ServiceUnavailable", "may have taken effect or not"),
        ("reset-before", "dispatch failure", "run the same command again"),
        ("reset-after", "dispatch failure", "run the same command again"),
        ("slow", "timeout", "run the same command again"),
        ("html", page, "may have taken effect or not"),
        ("truncated", "the answer cannot be read (HTTP 200)", "may have taken effect or not"),
        ("empty", "the answer cannot be read (HTTP 200)", "may have taken effect or not"),
        ("quota", "TopicLimitExceeded", "higher quota"),
        ("denied", "AuthorizationError", "credentials"),
    ] {
        let world = World::small().under(&json!({"rules": [{"what": what, "on": "sns:CreateTopic"}]}));
        let output = world.apply();
        assert!(output.stderr.contains("failed"), "{what}: {output}");
        let output = output.code(1).has("sns_topic.news: CreateTopic: ").has(says).has(help).has("3 added");
        if ["throttle", "internal", "unavailable", "quota", "denied"].contains(&what) {
            assert!(output.stderr.contains("request id "), "{output}");
        }
        world.listener.peace();
        world.apply().code(0);
        world.in_sync();
        assert_eq!(world.size(), 4 + 1, "{what}");
    }
}

#[test]
fn a_lost_answer_of_every_write_doubles_nothing() {
    let clean = World::tickets();
    let before = clean.size();
    clean.apply().code(0);
    let rule = json!({"what": "reset-after", "only": "writes", "calls": 1, "per": "resource"});
    let world = World::tickets().under(&json!({"rules": [rule]}));
    world.apply().code(0).has("Apply complete");
    assert!(world.struck() > 25, "{}", world.listener.troubled());
    world.in_sync();
    assert_eq!(world.size(), clean.size());
    world.listener.trouble(&json!({"rules": [rule]}));
    world.run(&["destroy", "-y"]).code(0).has("nothing is left");
    assert!(world.struck() > 15, "{}", world.listener.troubled());
    assert_eq!(world.size(), before);
}

/// Takes a kind through its variants and down again, while the answer of each write to each object is lost once and
/// changes take their time, so that the call is sent again when the object is at it, or done. Returns what failed.
fn lose_answers(kind: &str) -> Vec<String> {
    let world = World::of(Sandbox::with_fixture_files(), &[]);
    let fixture = Fixture::of(kind).with(world.account.variables());
    let empty = world.size();
    let rule = json!({"what": "reset-after", "only": "writes", "calls": 1, "per": "resource"});
    let mut failed = Vec::new();
    let mut run = |command: &str| {
        world.listener.trouble(&json!({"rules": [rule], "delay_ms": 300}));
        let output = world.run(&[command, "-y"]);
        assert!(world.struck() > 0, "{kind}: no answer was lost: {output}");
        if output.exit() != Some(0) {
            failed.push(output.to_string());
            world.listener.peace();
            world.run(&[command, "-y"]).code(0);
        }
    };
    for variant in &fixture.variants {
        world.sandbox.write("stack.yaml", &fixture.file(Some(variant)));
        run("apply");
        world.in_sync();
    }
    run("destroy");
    assert_eq!(world.size(), empty, "{kind}");
    failed
}

#[test]
fn every_change_of_every_kind_survives_the_loss_of_its_answer() {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(kind) = KINDS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let of_kind = lose_answers(kind.type_name());
            failed.lock().unwrap().extend(of_kind);
        }
    };
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn iam_that_spreads_late_is_waited_for() {
    let world = World::tickets().under(&json!({"seed": 4, "iam_delay_ms": 2500}));
    world.apply().code(0).has("Apply complete");
    let refusals: Vec<String> = world
        .listener
        .journal(0)
        .iter()
        .filter(|call| call["outcome"] != "ok" && call["writes"] == true)
        .map(|call| format!("{}: {}", call["operation"].as_str().unwrap(), call["outcome"].as_str().unwrap()))
        .collect();
    for refusal in ["CreateFunction: InvalidParameterValueException", "RunInstances: InvalidParameterValue"] {
        assert!(refusals.iter().any(|seen| seen == refusal), "no {refusal} in {refusals:?}");
    }
    world.in_sync();
}

/// A mistake in the file, the call that AWS refuses for it, and what is said of it.
const WRONG: [(&str, &str, &str, [&str; 3]); 4] = [
    (
        "      - read: airline_tickets\n      - write: tickets",
        "      - write: tickets",
        "CreateEventSourceMapping",
        [
            "lambda_event_source_mapping.collector_mapping",
            "role Lambda-TicketsProcessingRole may not kinesis:GetRecords, kinesis:GetShardIterator, kinesis:ListShards, ",
            "add `{read: airline_tickets}` to `grants:` of `collector_role`",
        ],
    ),
    (
        "    service: lambda.amazonaws.com",
        "    service: ec2.amazonaws.com",
        "CreateFunction",
        [
            "lambda_function.collector",
            "role Lambda-TicketsProcessingRole does not let lambda.amazonaws.com take it on",
            "add lambda.amazonaws.com to `service:` of `collector_role`",
        ],
    ),
    (
        "      - read: airline_tickets\n      - write: special_stream",
        "      - write: special_stream",
        "CreateApplication",
        [
            "kinesis_analytics_application.analytics",
            "role KinesisAnalytics-AirlinesRole may not kinesis:DescribeStream, kinesis:GetShardIterator, kinesis:GetRecords on airline_tickets",
            "add `{read: airline_tickets}` to `grants:` of `analytics_role`",
        ],
    ),
    (
        "      - read: airline_tickets\n      - write: special_stream",
        "      - read: airline_tickets",
        "CreateApplication",
        [
            "kinesis_analytics_application.analytics",
            "role KinesisAnalytics-AirlinesRole may not kinesis:PutRecord or kinesis:PutRecords",
            "add `{write: special_stream}` to `grants:` of `analytics_role`",
        ],
    ),
];

#[test]
fn a_policy_that_can_never_allow_it_is_told_at_once() {
    for (from, to, operation, says) in WRONG {
        let world = World::tickets();
        world.sandbox.edit("stacks/airline_tickets.yaml", from, to);
        let foreseen = world.run(&["plan"]).code(0).has("AWS will refuse this");
        let output = world.apply().code(1).has(&format!("{}: {operation}: ", says[0]));
        let output = output.has("the stack's own policies cannot allow it");
        for text in says {
            assert!(output.stderr.contains(text) && foreseen.stderr.contains(text), "{foreseen}\n{output}");
        }
        let refused = |call: &&Value| call["operation"] == operation && call["outcome"] != "ok";
        assert_eq!(world.listener.journal(0).iter().filter(refused).count(), 1, "it is asked for once: {output}");
        world.sandbox.edit("stacks/airline_tickets.yaml", to, from);
        world.apply().code(0).lacks("warning: lambda").lacks("warning: kinesis_analytics_application.");
        world.in_sync();
    }
}

#[test]
fn what_the_stack_cannot_tell_of_a_role_is_waited_for() {
    let world = World::tickets();
    let (from, to) = ("      - read: airline_tickets\n      - write: tickets", "      - write: tickets");
    let attached = "    managed_policy_arns: arn:aws:iam::aws:policy/AmazonKinesisReadOnlyAccess\n    grants:\n      - write: tickets";
    world.sandbox.edit("stacks/airline_tickets.yaml", &format!("    grants:\n{from}"), attached);
    assert!(!attached.contains("read:") && attached.contains(to));
    world.run(&["plan"]).code(0).lacks("AWS will refuse this");
    world.apply().code(0);
    world.in_sync();
}

#[test]
fn what_happens_by_itself_is_seen_and_repaired() {
    let world = World::tickets();
    world.apply().code(0);
    let (ec2, lambda) = (world.account.aws.ec2(), world.account.aws.lambda());
    let mappings = world.account.call(lambda.list_event_source_mappings().send()).event_source_mappings.unwrap();
    let mapping = mappings[0].uuid().unwrap();
    let application = world.account.applications().first().unwrap().rsplit_once('/').unwrap().1.to_owned();
    let reservations = world.account.call(ec2.describe_instances().send()).reservations.unwrap();
    let instance = reservations[0].instances()[0].instance_id().unwrap();
    for (what, to) in
        [("mapping-disabled", mapping), ("application-stop", &application), ("spot-interruption", instance)]
    {
        world.listener.post("happen", &json!({"what": what, "to": to}));
    }
    let shown = world.account.call(lambda.get_event_source_mapping().uuid(mapping).send());
    assert_eq!(shown.state(), Some("Disabled"));
    assert!(shown.last_processing_result().unwrap().starts_with("PROBLEM: Cannot access stream"));
    let shown = world.account.call(ec2.describe_instances().instance_ids(instance).send()).reservations.unwrap();
    assert_eq!(shown[0].instances()[0].state_reason().unwrap().code(), Some("Server.SpotInstanceTermination"));
    world.run(&["plan", "--detailed-exitcode"]).code(2);
    world.apply().code(0);
    world.in_sync();
}

#[test]
fn a_run_of_chance_tells_its_seed_and_can_be_repeated() {
    let rules = r#"{"rules":[{"what":"internal","only":"writes","chance":0.4}]}"#;
    let sandbox = Sandbox::new().local().set("STACKCTL_LOCAL_TROUBLE", rules);
    sandbox.write("stack.yaml", SMALL);
    let output = sandbox.run(&["apply", "-y"]).code(0);
    let seed = output.stderr.split("STACKCTL_LOCAL_SEED=").nth(1).unwrap().split(' ').next().unwrap();
    assert!(seed.parse::<u64>().is_ok(), "{output}");
    let sandbox = sandbox.set("STACKCTL_LOCAL_SEED", seed);
    sandbox.run(&["destroy", "-y"]).code(0).lacks("STACKCTL_LOCAL_SEED");
}

#[test]
fn malformed_settings_are_refused_by_name() {
    for name in ["TROUBLE", "SEED", "LATENCY_MS", "DELAY_MS", "IAM_DELAY_MS", "ANALYTICS"] {
        let name = format!("STACKCTL_LOCAL_{name}");
        let sandbox = Sandbox::new().set(&name, "sometimes");
        sandbox.run(&["local", "serve", "--port", "0"]).code(1).has(&format!("{name} must be ")).has("`sometimes`");
    }
    for name in ["STACKCTL_READ_TIMEOUT_MS", "AWS_MAX_ATTEMPTS"] {
        let sandbox = Sandbox::new().local().set(name, "0");
        sandbox.write("stack.yaml", SMALL);
        sandbox.run(&["plan"]).code(1).has(&format!("{name} must be ")).has("`0`");
    }
}
