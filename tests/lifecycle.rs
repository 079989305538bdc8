//! Whole lives of stacks on the local cloud: made, seen, changed by hand, repaired, taken over, kept and destroyed.

use std::collections::BTreeSet;

use crate::support::account::{Account, LOCAL_ACCOUNT};
use crate::support::listener::Listener;
use crate::support::sandbox::{Output, Sandbox};

const SMALL: &str = "\
stack: small
region: us-east-1
tags: {project: tests}
resources:
  jobs: {type: kinesis_stream, retention_period_hours: 48}
  news: {type: sns_topic, display_name: News}
  reader:
    type: iam_role
    service: lambda.amazonaws.com
    grants: [{read: jobs}]
  logs: {type: cloudwatch_log_group, name: small/logs, retention_in_days: 7}
";

/// A sandbox, its listener, and the account behind it.
struct World {
    sandbox: Sandbox,
    listener: Listener,
    account: Account,
}

impl World {
    fn of(sandbox: Sandbox, region: &str) -> Self {
        let sandbox = sandbox.local();
        let listener = Listener::start(&sandbox);
        let account = Account::at(listener.url(), LOCAL_ACCOUNT, region);
        Self { sandbox, listener, account }
    }

    /// A world with the small stack's file.
    fn small() -> Self {
        let world = Self::of(Sandbox::new(), "us-east-1");
        world.sandbox.write("stack.yaml", SMALL);
        world
    }

    /// A world in which the small stack has been applied.
    fn applied() -> Self {
        let world = Self::small();
        world.apply(&[]);
        world
    }

    fn edit(&self, from: &str, to: &str) {
        self.sandbox.edit("stack.yaml", from, to);
    }

    fn run(&self, command: &[&str], args: &[&str]) -> Output {
        self.sandbox.run(&[command, args].concat())
    }

    fn plan(&self, args: &[&str]) -> Output {
        self.listener.reading(|| self.run(&["plan", "--detailed-exitcode"], args))
    }

    fn apply(&self, args: &[&str]) -> Output {
        self.run(&["apply", "-y"], args).code(0)
    }

    fn destroy(&self, args: &[&str]) -> Output {
        self.run(&["destroy", "-y"], args)
    }

    #[track_caller]
    fn in_sync(&self, args: &[&str]) {
        self.plan(args).code(0).has("No changes.");
        self.listener.reading(|| self.apply(args)).has("No changes.");
    }

    /// Tells whether the account has something whose name or ARN ends like this.
    fn has(&self, end: &str) -> bool {
        self.account.contents().iter().any(|name| name.ends_with(end))
    }

    fn retention(&self) -> i32 {
        let kinesis = self.account.aws.kinesis();
        let answer = self.account.call(kinesis.describe_stream_summary().stream_name("jobs").send());
        answer.stream_description_summary.unwrap().retention_period_hours
    }

    fn retain_longer(&self) {
        let kinesis = self.account.aws.kinesis();
        let call = kinesis.increase_stream_retention_period().stream_name("jobs").retention_period_hours(72);
        self.account.call(call.send());
    }

    fn stream_tags(&self) -> Vec<String> {
        let answer = self.account.call(self.account.aws.kinesis().list_tags_for_stream().stream_name("jobs").send());
        answer.tags.into_iter().map(|tag| tag.key).collect()
    }
}

#[test]
fn the_ticket_stack_lives_and_dies() {
    let world = World::of(Sandbox::with_stacks(), "us-east-1");
    let args = &["stacks/airline_tickets.yaml", "--var", "phone=+79990001122"];
    let before = world.account.contents();
    world.plan(args).code(2).has("20 to add, 0 to change, 0 to destroy.").lacks("9990001122");
    world.apply(args).has("Apply complete").lacks("9990001122");
    world
        .run(&["show"], args)
        .code(0)
        .has("RUNNING")
        .has("DESTINATION_SQL_STREAM → special_stream")
        .lacks("9990001122");
    world.in_sync(args);
    world.destroy(args).code(0).has("nothing is left").lacks("9990001122");
    assert_eq!(world.account.contents(), before);
    assert!(world.account.applications().is_empty());
    assert_eq!(world.account.tagged(), BTreeSet::new());
}

#[test]
fn an_application_stopped_by_hand_is_started_again() {
    let world = World::of(Sandbox::with_stacks(), "us-east-1");
    let args = &["stacks/airline_tickets.yaml", "--target", "analytics"];
    let name = "kinesis_analytics_airlines_app";
    world.apply(args);
    world.account.call(world.account.aws.analytics().stop_application().application_name(name).send());
    world.plan(args).code(2).has("drift").has("status: \"stopped\" -> \"running\"");
    world.apply(args);
    world.in_sync(args);
}

#[test]
fn the_producers_boot_is_reported() {
    let world = World::of(Sandbox::with_stacks(), "us-east-1");
    let stack = ["stacks/airline_tickets.yaml"];
    world.apply(&stack);
    let show = || world.listener.reading(|| world.run(&["show"], &stack)).code(0);
    show().has("running, boot not reported yet");
    let instance = world.run(&["output", "producer", "--stack"], &stack).code(0).stdout.trim().to_owned();
    let report = |text: &str| {
        let put = world.account.aws.ssm().put_parameter().name("/airline_tickets/producer_boot");
        let put = put.value(format!("{instance} 2026-11-22T10:00:00Z {text}")).overwrite(true);
        world.account.call(put.send());
    };
    report(
        "FAILED while installing the Kinesis agent (exit code 7)\nproducer: installing\nno such package \u{1b}[31m\n",
    );
    show()
        .has("running, boot FAILED while installing the Kinesis agent (exit code 7) at 2026-11-22T10:00:00Z")
        .has("  no such package \u{fffd}[31m\n");
    report("ok");
    show().has("running, boot ok at 2026-11-22T10:00:00Z");
    world.in_sync(&stack);
}

#[test]
fn the_second_stack_lives_and_dies() {
    let world = World::of(Sandbox::with_stacks(), "eu-west-1");
    let args = &["stacks/clickstream.yaml", "--var", "email=someone@example.com"];
    let before = world.account.contents();
    world.apply(args).has("Apply complete").lacks("someone@example.com");
    world.run(&["show"], args).code(0).has("pending confirmation");
    world.in_sync(args);
    world.destroy(args).code(0).has("nothing is left");
    assert_eq!(world.account.contents(), before);
    assert_eq!(world.account.tagged(), BTreeSet::new());
    world.destroy(args).code(0).has("nothing is left");
}

#[test]
fn what_leaves_the_file_is_deleted() {
    let world = World::applied();
    world.edit("  logs: {type: cloudwatch_log_group, name: small/logs, retention_in_days: 7}\n", "");
    world.plan(&[]).code(2).has("- cloudwatch_log_group.logs").has("no longer in the file").has("1 to destroy.");
    world.apply(&[]);
    assert!(!world.has("small/logs") && world.has("stream jobs"));
    world.in_sync(&[]);
}

#[test]
fn another_logical_id_is_only_another_tag() {
    let world = World::applied();
    world.edit("  logs: {type: cloudwatch_log_group,", "  texts: {type: cloudwatch_log_group,");
    let plan = world.plan(&[]).code(2).has("~ cloudwatch_log_group.texts [small/logs]  # tags only");
    let plan = plan.has("stackctl:resource: \"logs\" -> \"texts\"");
    plan.has("0 to add, 1 to change, 0 to destroy.");
    world.apply(&[]);
    world.in_sync(&[]);
}

#[test]
fn a_role_on_another_path_is_adopted_with_a_word_about_its_path() {
    let world = World::of(Sandbox::new(), "us-east-1");
    world.sandbox.write(
        "stack.yaml",
        "stack: small\nresources:\n  reader: {type: iam_role, service: lambda.amazonaws.com}\n  other: {type: iam_role, service: ec2.amazonaws.com}\n",
    );
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda.amazonaws.com"}}]}"#;
    let iam = world.account.aws.iam();
    world.account.call(iam.create_role().role_name("reader").assume_role_policy_document(trust).send());
    let own = iam.create_role().role_name("other").path("/stackctl/small/").assume_role_policy_document(trust);
    world.account.call(own.send());
    let plan = world.plan(&["--adopt", "all"]).code(2).has("is taken over");
    assert_eq!(plan.stdout.matches("not on the stack's IAM path").count(), 1, "{plan}");
    world.apply(&["--adopt", "all"]);
    world.run(&["destroy", "-y"], &[]).code(0).has("nothing is left");
    assert!(world.account.contents().iter().all(|arn| !arn.contains(":role/")));
}

#[test]
fn a_foreign_stream_is_not_touched_until_it_is_adopted() {
    let world = World::small();
    let kinesis = world.account.aws.kinesis();
    world.account.call(kinesis.create_stream().stream_name("jobs").shard_count(2).send());
    let plan = world.plan(&[]).code(1).has("error: jobs: a Kinesis data stream `jobs` exists already");
    plan.has("--adopt jobs");
    world.listener.reading(|| world.run(&["apply", "-y"], &[]).code(1)).has("--adopt jobs");
    assert!(world.stream_tags().is_empty());
    world.plan(&["--adopt", "jobs"]).code(2).has("is taken over").has("shard_count: 2 -> 1");
    world.apply(&["--adopt", "jobs"]);
    world.in_sync(&[]);
    world.destroy(&[]).code(0);
    assert!(!world.has("stream jobs"));
}

#[test]
fn a_foreign_stream_survives_the_destruction_of_the_stack() {
    let world = World::small();
    let kinesis = world.account.aws.kinesis();
    world.account.call(kinesis.create_stream().stream_name("jobs").shard_count(1).send());
    world.apply(&["--exclude", "jobs"]);
    world.destroy(&[]).code(0).has("nothing is left");
    assert!(world.has("stream jobs"));
}

#[test]
fn what_another_stack_owns_is_refused() {
    let world = World::applied();
    world.edit("stack: small", "stack: other");
    for args in [&[][..], &["--adopt", "all"], &["--adopt", "jobs"]] {
        world.plan(args).code(1).has("`jobs` belongs to the stack `small`");
    }
    world.listener.reading(|| world.run(&["apply", "-y", "--adopt", "all"], &[]).code(1));
    // The role has a path of its own in each stack; its name does not.
    world.listener.reading(|| world.destroy(&[]).code(0));
    world.edit("stack: other", "stack: small");
    world.in_sync(&[]);
}

#[test]
fn what_is_protected_is_neither_deleted_nor_replaced() {
    let world = World::small();
    world.edit("{type: kinesis_stream,", "{type: kinesis_stream, protect: true,");
    world.apply(&[]);
    let reading = |command: &[&str]| world.listener.reading(|| world.run(command, &[]).code(1)).has("protected");
    reading(&["destroy", "-y"]);
    reading(&["apply", "-y", "--replace", "jobs"]);
    world.edit("  jobs: {type: kinesis_stream, protect: true, retention_period_hours: 48}\n", "");
    world.edit("    grants: [{read: jobs}]\n", "");
    reading(&["apply", "-y"]);
    world.sandbox.write("stack.yaml", SMALL);
    world.plan(&[]).code(2).has("tags only");
    world.apply(&[]);
    world.destroy(&[]).code(0);
    assert!(!world.has("stream jobs"));
}

#[test]
fn what_is_retained_stays_without_marks() {
    let world = World::small();
    world.edit("{type: kinesis_stream,", "{type: kinesis_stream, retain: true,");
    world.apply(&[]);
    world.destroy(&[]).code(0).has("retained").has("nothing is left");
    assert_eq!(world.account.contents().iter().filter(|name| name.contains("jobs")).count(), 1);
    assert_eq!(world.stream_tags(), ["project"]);
    assert!(!world.has("reader"));
}

#[test]
fn what_is_retained_stays_when_it_leaves_the_file() {
    let world = World::small();
    world.edit("{type: sns_topic,", "{type: sns_topic, retain: true,");
    world.apply(&[]);
    world.edit("  news: {type: sns_topic, retain: true, display_name: News}\n", "");
    world.plan(&[]).code(2).has("# sns_topic.news").has("1 left in AWS.");
    world.apply(&[]);
    world.in_sync(&[]);
    assert!(world.has(":news"));
}

#[test]
fn drift_is_named_and_repaired() {
    let world = World::applied();
    world.retain_longer();
    let name = "small/logs";
    world.account.call(world.account.aws.logs().delete_log_group().log_group_name(name).send());
    let plan = world.plan(&[]).code(2).has("~ kinesis_stream.jobs  # drift").has("retention_period_hours: 72 -> 48");
    plan.has("+ cloudwatch_log_group.logs").has("1 to add, 1 to change, 0 to destroy.");
    world.apply(&[]);
    assert_eq!(world.retention(), 48);
    world.in_sync(&[]);
}

#[test]
fn a_change_of_the_file_is_not_drift() {
    let world = World::applied();
    world.edit("retention_period_hours: 48", "retention_period_hours: 96");
    world.plan(&[]).code(2).has("retention_period_hours: 48 -> 96").lacks("drift");
    world.apply(&[]);
    assert_eq!(world.retention(), 96);
}

#[test]
fn tags_changed_by_hand_are_set_right() {
    let world = World::applied();
    let kinesis = world.account.aws.kinesis();
    world.account.call(kinesis.add_tags_to_stream().stream_name("jobs").tags("project", "mine").send());
    world.plan(&[]).code(2).has("tags only").has("tags.project: \"mine\" -> \"tests\"");
    world.apply(&[]);
    world.in_sync(&[]);
}

#[test]
fn ignored_changes_are_left_alone() {
    let world = World::small();
    world.edit("{type: kinesis_stream,", "{type: kinesis_stream, ignore_changes: [retention_period_hours],");
    world.apply(&[]);
    world.retain_longer();
    world.in_sync(&[]);
    assert_eq!(world.retention(), 72);
}

#[test]
fn a_target_brings_what_it_needs() {
    let world = World::small();
    world.plan(&["--target", "reader"]).code(2).has("2 to add");
    world.apply(&["--target", "reader"]);
    assert!(world.has("stream jobs") && world.has("/reader") && !world.has(":news") && !world.has("small/logs"));
}

#[test]
fn an_exclusion_takes_its_dependents_along() {
    let world = World::small();
    world.apply(&["--exclude", "jobs"]);
    assert!(!world.has("stream jobs") && !world.has("/reader") && world.has(":news"));
    world.apply(&[]);
    world.destroy(&["--exclude", "reader"]).code(0);
    assert!(world.has("stream jobs") && world.has("/reader") && !world.has(":news"));
    world.destroy(&["--target", "jobs"]).code(0);
    assert!(!world.has("stream jobs") && !world.has("/reader"));
}

#[test]
fn a_replacement_can_be_asked_for() {
    let world = World::applied();
    let topic = || world.account.call(world.account.aws.sns().list_topics().send()).topics.unwrap_or_default();
    assert_eq!(topic().len(), 1);
    let subscribe = world.account.aws.sns().subscribe().protocol("sms").endpoint("+79990000000");
    world.account.call(subscribe.topic_arn(topic()[0].topic_arn.as_deref().unwrap()).send());
    world.plan(&["--replace", "news"]).code(2).has("-/+ sns_topic.news").has("replacement requested");
    world.apply(&["--replace", "news"]);
    // The new topic has the old one's name, but not its subscriptions.
    let subscriptions = world.account.call(world.account.aws.sns().list_subscriptions().send()).subscriptions;
    assert!(subscriptions.unwrap_or_default().is_empty());
    assert_eq!(topic().len(), 1);
    world.in_sync(&[]);
}

const GROUPS: &str = "\
stack: groups
region: us-east-1
resources:
  front: {type: ec2_security_group, description: Front}
  back:
    type: ec2_security_group
    ingress: [{ip_protocol: tcp, from_port: 80, source_security_group_id: \"${front.id}\"}]
";

/// EC2 would refuse to delete the group for as long as the other one's rule names it.
#[test]
fn a_group_in_use_is_made_anew_under_another_name_only() {
    let world = World::of(Sandbox::new(), "us-east-1");
    world.sandbox.write("stack.yaml", GROUPS);
    world.apply(&[]);
    world.edit("description: Front", "description: Face");
    let used = "AWS does not delete it while it is used by back (ingress.source_security_group_id)";
    world.run(&["plan"], &[]).code(1).has(used).has("give it another `name:`");
    world.run(&["apply", "-y"], &[]).code(1).has(used);
    world.edit("description: Face", "name: face, description: Face");
    world.apply(&[]).has("1 added, 1 changed, 1 destroyed");
    world.in_sync(&[]);
}

const BOUND: &str = "\
stack: bound
region: us-east-1
resources:
  policy:
    type: iam_policy
    policy_document: {Version: \"2012-10-17\", Statement: [{Effect: Allow, Action: \"s3:*\", Resource: \"*\"}]}
  role: {type: iam_role, service: ec2.amazonaws.com, managed_policy_arns: [\"${policy.arn}\"]}
  guest:
    type: iam_role
    assume_role_policy:
      Version: \"2012-10-17\"
      Statement: [{Effect: Allow, Action: \"sts:AssumeRole\", Principal: {AWS: \"${role.arn}\"}}]
  profile: {type: iam_instance_profile, role: \"${role.name}\"}
  news: {type: sns_topic}
  phone: {type: sns_subscription, topic_arn: \"${news.arn}\", protocol: sms, endpoint: \"+15550100\"}
";

#[test]
fn what_goes_with_a_replacement_comes_back_with_it() {
    let world = World::of(Sandbox::new(), "us-east-1");
    world.sandbox.write("stack.yaml", BOUND);
    world.apply(&[]);
    for (replaced, done) in [
        ("role", "1 added, 2 changed, 1 destroyed"),
        ("policy", "1 added, 1 changed, 1 destroyed"),
        ("news", "2 added, 0 changed, 2 destroyed"),
    ] {
        world.apply(&["--replace", replaced]).has(&format!("undone by the replacement of {replaced}")).has(done);
        world.in_sync(&[]);
    }
}

#[test]
fn a_tier_goes_down_by_a_new_parameter() {
    let world = World::of(Sandbox::new(), "us-east-1");
    let text = "stack: tiers\nregion: us-east-1\nresources:\n  given: {type: ssm_parameter, value: x, tier: Advanced}\n  \
                kept: {type: ssm_parameter, tier: Advanced}\n";
    world.sandbox.write("stack.yaml", text);
    world.apply(&[]);
    world.edit("value: x, tier: Advanced", "value: x, tier: Standard");
    world.apply(&[]).has("tier cannot be changed in place; the old one is deleted first");
    world.in_sync(&[]);
    world.edit("tier: Advanced", "tier: Standard");
    world.run(&["plan"], &[]).code(1).has("an Advanced parameter cannot become Standard again");
}
