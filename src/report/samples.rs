//! One plan with every action and every reason, as each format shows it.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::drift::samples::{HOSTILE, inert};
use super::{Paint, Screen, documents, plan as text};
use crate::diff::Change;
use crate::kind::{AnyKind, Found, Tags};
use crate::plan::{Action, Blocked, Plan, Reason, Step};

fn kind(name: &str) -> &'static dyn AnyKind {
    crate::kinds::find(name).unwrap()
}

fn step(kind_name: &str, id: &str, action: Action, reasons: Vec<Reason>) -> Step {
    let exists = action != Action::Create;
    Step {
        id: id.to_owned(),
        kind: kind(kind_name),
        name: id.to_owned(),
        physical: exists.then(|| format!("{id}-in-aws")),
        action,
        reasons,
        changes: Vec::new(),
        set_tags: Tags::new(),
        remove_tags: Vec::new(),
        want: Value::Null,
        hidden: std::collections::BTreeSet::new(),
        found: exists.then(Found::default),
        in_file: true,
    }
}

fn change(path: &str, before: Value, after: Value) -> Change {
    Change { path: path.to_owned(), before, after, forces_replacement: false, sensitive: false }
}

fn forced(path: &str, before: Value, after: Value) -> Change {
    Change { forces_replacement: true, ..change(path, before, after) }
}

fn made() -> Vec<Step> {
    let mut table = step("dynamodb_table", "tickets", Action::Create, vec![Reason::Missing]);
    table.want = json!({
        "key_schema": {"hash": "record_id"}, "billing_mode": "PROVISIONED", "read_capacity_units": 5, "empty": [],
        "sse_key": "${key.arn}", "indexes": [{"index_name": "by_gate", "projection": "ALL", "note": null}],
    });
    table.set_tags = Tags::from([("env".into(), "dev".into()), ("stackctl:stack".into(), "s".into())]);
    let mut secret = step("ssm_parameter", "token", Action::Create, vec![Reason::Missing]);
    secret.want = json!({"type": "SecureString", "value": "hunter2"});
    vec![table, secret]
}

fn changed() -> Vec<Step> {
    let statement = |number: usize, effect: &str| json!({"Effect": effect, "Action": [format!("kinesis:Get{number}")], "Resource": ["arn:aws:kinesis:us-east-1:1:stream/x"]});
    let policy = |effect: &str| json!({"Version": "2012-10-17", "Statement": (0..5).map(|number| statement(number, if number == 3 { effect } else { "Allow" })).collect::<Vec<_>>()});
    let mut role = step("iam_role", "role", Action::Update, vec![Reason::Pending]);
    role.changes = vec![change("inline_policies.main", policy("Allow"), policy("Deny"))];
    let sql = |limit: u32| {
        format!(
            "CREATE STREAM a (x INT);\nCREATE PUMP p AS\nINSERT INTO a\nSELECT x FROM b\nWHERE x < {limit}\nAND x > 0;\n"
        )
    };
    let mut application = step("kinesis_analytics_application", "app", Action::Update, vec![Reason::Drift]);
    application.changes = vec![
        change("application_code", json!(sql(5_000)), json!(sql(100))),
        change("status", json!("stopped"), json!("running")),
    ];
    let mut parameter = step("ssm_parameter", "token2", Action::Update, vec![Reason::Pending]);
    parameter.changes = vec![Change { sensitive: true, ..change("value", json!("hunter1"), json!("hunter2")) }];
    let mut adopted = step("sns_topic", "alerts", Action::Update, vec![Reason::Adopted, Reason::Pending]);
    adopted.changes =
        vec![change("display_name", Value::Null, json!("Alerts")), change("kms_key", json!("k"), Value::Null)];
    let mut tags = step("sns_topic", "labels", Action::Update, vec![Reason::Tags]);
    tags.found = Some(Found { tags: Tags::from([("env".into(), "dev".into())]), ..Found::default() });
    tags.set_tags = Tags::from([("env".into(), "prod".into()), ("team".into(), "x".into())]);
    tags.remove_tags = vec!["old".into()];
    vec![role, application, parameter, adopted, tags]
}

fn replaced() -> Vec<Step> {
    let cannot = |path: &str| vec![Reason::CannotUpdate { paths: vec![path.to_owned()] }];
    let mut table = step("dynamodb_table", "table", Action::DeleteCreate, cannot("key_schema.hash"));
    table.changes = vec![forced("key_schema.hash", json!("a"), json!("b"))];
    let mut instance = step("ec2_instance", "producer", Action::CreateDelete, cannot("user_data"));
    instance.changes = vec![
        forced(
            "user_data",
            json!("#!/bin/sh\nset -e\nyum install agent\nstart\n"),
            json!("#!/bin/sh\nset -e\ndnf install agent\nstart\n"),
        ),
        change("security_group_ids.0", json!("sg-1"), json!("${ssh.id}")),
    ];
    let undone = vec![Reason::Undone { by: "role".into() }];
    let mut profile = step("iam_instance_profile", "profile", Action::Update, undone);
    profile.changes = vec![change("role", json!(null), json!("role"))];
    let renamed = vec![Reason::Renamed { from: "old".into() }];
    let renamed = step("kinesis_stream", "stream", Action::CreateDelete, renamed);
    vec![table, instance, profile, renamed, step("sns_topic", "wish", Action::DeleteCreate, vec![Reason::Requested])]
}

fn ended() -> Vec<Step> {
    vec![
        step("kinesis_stream", "same", Action::NoOp, Vec::new()),
        Step { in_file: false, ..step("iam_role", "gone", Action::Delete, vec![Reason::Removed]) },
        step("iam_role", "end", Action::Delete, vec![Reason::Destroyed]),
        step("dynamodb_table", "kept", Action::Leave, vec![Reason::Retained]),
    ]
}

fn plan() -> Plan {
    let outputs = [("arn", json!("arn:aws:sns:us-east-1:1:alerts")), ("instance", json!("${producer.id}"))];
    Plan {
        stack: "s".into(),
        region: "us-east-1".into(),
        account: "111111111111".into(),
        steps: [made(), changed(), replaced(), ended()].concat(),
        blocked: Vec::new(),
        outputs: outputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<IndexMap<_, _>>(),
    }
}

fn blocked() -> Plan {
    let blocked = Blocked {
        id: "alerts".into(),
        message: "an SNS topic `alerts` exists already and does not belong to this stack\x1b[2J".into(),
        help: "give the resource another `name:`, or take the existing one over with `--adopt alerts`".into(),
    };
    Plan { steps: made(), blocked: vec![blocked], ..plan() }
}

/// A plan in which every text that can be somebody else's is made to do harm.
fn attacked() -> Plan {
    let value = || json!({HOSTILE: [HOSTILE, {"a": HOSTILE}]});
    let reasons = ["a", HOSTILE].map(|from| Reason::Moved { from: from.to_owned() });
    let mut changed = step("iam_role", HOSTILE, Action::Update, reasons.to_vec());
    changed.physical = Some(HOSTILE.to_owned());
    changed.changes = vec![
        change(HOSTILE, json!(HOSTILE), value()),
        change("a", json!("${x.arn}\u{202e}"), json!(format!("a\n{HOSTILE}"))),
        change("b", json!({"a": "x".repeat(200)}), value()),
    ];
    changed.set_tags = Tags::from([(HOSTILE.to_owned(), HOSTILE.to_owned())]);
    changed.found = Some(Found { tags: changed.set_tags.clone(), ..Found::default() });
    changed.remove_tags = vec![HOSTILE.to_owned()];
    let mut made = step("iam_role", "made", Action::Create, Vec::new());
    (made.name, made.want, made.set_tags) = (HOSTILE.to_owned(), value(), changed.set_tags.clone());
    let blocked = Blocked { id: HOSTILE.into(), message: HOSTILE.into(), help: HOSTILE.into() };
    let outputs = IndexMap::from([(HOSTILE.to_owned(), json!(HOSTILE))]);
    Plan { steps: vec![made, changed], blocked: vec![blocked], outputs, ..plan() }
}

#[test]
fn values_made_to_do_harm() {
    let (text, markdown) = (text::text(&attacked(), Paint::default()), documents::plan_markdown(&attacked()));
    for shown in [&text, &markdown] {
        let bad = |letter: char| letter != '\n' && (letter.is_control() || letter == '\u{202e}');
        assert!(!shown.contains(bad), "{shown}");
    }
    assert!(inert(&markdown), "{markdown}");
    insta::assert_snapshot!(format!("{text}\n=====\n{markdown}"));
    let document = Screen::default().document(&documents::plan_json(&attacked()));
    assert!(document.contains("\\u202e") && !document.contains(['\u{202e}', '\u{1b}', '\u{9b}']), "{document}");
}

#[test]
fn as_text() {
    insta::assert_snapshot!(text::text(&plan(), Paint::default()));
}

#[test]
fn as_markdown() {
    insta::assert_snapshot!(documents::plan_markdown(&plan()));
}

#[test]
fn as_json() {
    insta::assert_json_snapshot!(documents::plan_json(&plan()));
}

#[test]
fn blocked_in_every_format() {
    let json = documents::plan_json(&blocked())["blocked"].clone();
    insta::assert_snapshot!(format!(
        "{}\n=====\n{}\n=====\n{json:#}",
        text::text(&blocked(), Paint::default()),
        documents::plan_markdown(&blocked())
    ));
}

#[test]
fn nothing_to_do() {
    let idle = Plan { steps: vec![step("kinesis_stream", "same", Action::NoOp, Vec::new())], ..plan() };
    assert_eq!(text::text(&idle, Paint::default()), "No changes.\n");
    assert!(documents::plan_markdown(&idle).ends_with("**No changes.**\n"));
}

#[test]
fn no_line_is_too_long_and_no_secret_is_shown() {
    for shown in [text::text(&plan(), Paint::default()), documents::plan_json(&plan()).to_string()] {
        assert!(!shown.contains("hunter"), "{shown}");
    }
    for line in text::text(&plan(), Paint::default()).lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
}

#[test]
fn reasons_explain_and_never_decide() {
    let with = plan();
    let mut without = plan();
    without.steps.iter_mut().for_each(|step| step.reasons.clear());
    assert_eq!(with.counts(), without.counts());
    let graph = crate::graph::Graph::from_needs(
        with.steps.iter().map(|step| (step.id.clone(), std::collections::BTreeSet::default())),
    )
    .unwrap();
    assert_eq!(crate::apply::jobs::jobs(&with, &graph), crate::apply::jobs::jobs(&without, &graph));
}

#[test]
fn markdown_fits_a_comment() {
    let mut long = plan();
    long.steps = (0..4_000).flat_map(|_| made()).take(500).collect();
    long.steps.iter_mut().for_each(|step| step.want = json!({"text": "line\n".repeat(60)}));
    let text = documents::plan_markdown(&long);
    assert!(text.len() <= 65_536 && text.contains("… cut: run `stackctl plan`") && text.ends_with("</details>\n"));
}
