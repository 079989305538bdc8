//! One outcome with every class and with values made to do harm, as each format shows it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{MASK, Paint, Screen};
use super::*;
use crate::drift::{Author, Class, Entry, Finding, Ignored, Outcome, Report, Unread};
use crate::kind::Halt;

/// Escape sequences, markup of every format, commands, mentions and links.
pub(in crate::report) const HOSTILE: &str =
    "\u{1b}[31m\u{202e}|`</details><script>&\"'\n::error::x\n```\n@everyone [l](http://x) ]]>\u{0}\u{9b}%0A";

fn finding(class: Class, path: &str, wanted: Value, live: Value) -> Finding {
    Finding { class, path: path.into(), wanted, live, note: None, line: Some(7) }
}

fn whole(class: Class, note: Option<&str>) -> Finding {
    Finding { note: note.map(Into::into), ..finding(class, "", Value::Null, Value::Null) }
}

fn entry(kind: &str, id: &str, findings: Vec<Finding>) -> Entry {
    let class = findings.first().map_or(Class::InSync, |finding| finding.class);
    Entry {
        id: id.into(),
        kind: kind.into(),
        name: id.into(),
        physical_id: Some(format!("{id}-in-aws")),
        line: Some(5),
        class,
        findings,
        ignored: Vec::new(),
        halt: None,
        mend: (class != Class::InSync).then(|| format!("stackctl apply stack.yaml --target {id}")),
        author: None,
    }
}

fn policy(effect: &str) -> Value {
    let statement = |at: usize| {
        let effect = if at == 2 { effect } else { "Allow" };
        json!({"Effect": effect, "Action": [format!("kinesis:Get{at}")], "Resource": ["arn:aws:kinesis:us-east-1:1:stream/x"]})
    };
    json!({"Version": "2012-10-17", "Statement": (0..4).map(statement).collect::<Vec<_>>()})
}

fn entries() -> Vec<Entry> {
    let role = vec![
        finding(Class::Drifted, "inline_policies.main", policy("Allow"), policy("Deny")),
        finding(Class::Drifted, "tags.owner", Value::Null, json!("somebody")),
        finding(Class::Drifted, "description", json!("a role"), Value::Null),
    ];
    let token = vec![finding(Class::Both, "value", json!(MASK), json!(MASK))];
    let tickets = vec![
        finding(Class::Stopped, "status", json!("running"), json!("stopped")),
        finding(Class::Pending, "code", json!("a\nb\nc\n"), json!("a\nB\nc\n")),
    ];
    vec![
        entry("kinesis_stream", "quiet", Vec::new()),
        entry("dynamodb_table", "secret", vec![whole(Class::Unreadable, Some("DescribeTable: AccessDenied: no"))]),
        entry("sns_topic", "alerts", vec![whole(Class::LookAlike, Some("it has lost the stack's tags"))]),
        Entry { physical_id: None, ..entry("iam_policy", "gone", vec![whole(Class::Missing, None)]) },
        Entry {
            halt: Some(Halt { since: Some("2026-01-02T03:04:05Z".into()), reason: Some("code failed".into()) }),
            ..entry("kinesis_analytics_application", "tickets", tickets)
        },
        entry("ssm_parameter", "token", token),
        Entry {
            author: Some(Author {
                user: "alice".into(),
                event: "PutRolePolicy".into(),
                time: "2026-01-02T03:04:05Z".into(),
            }),
            ..entry("iam_role", "role", role)
        },
        entry("ec2_security_group", "ssh", vec![finding(Class::Undeclared, "ingress", json!([22]), json!([22, 80]))]),
        Entry {
            line: None,
            ..entry("kinesis_stream", "old", vec![Finding { line: None, ..whole(Class::Orphan, None) }])
        },
        entry("kinesis_stream", "orders", vec![finding(Class::Pending, "shard_count", json!(2), json!(1))]),
    ]
}

fn ignoring() -> Entry {
    let ignored = Ignored {
        finding: finding(Class::Drifted, "display_name", json!("A"), json!("B")),
        reason: "changed by hand until the move".into(),
        expires: Some("2027-01-31".into()),
    };
    Entry { ignored: vec![ignored], ..entry("sns_topic", "news", Vec::new()) }
}

fn hostile() -> Entry {
    let long = "x".repeat(20_000);
    let findings = vec![
        finding(Class::Drifted, HOSTILE, json!(HOSTILE), json!({HOSTILE: [HOSTILE, "${x.arn}"]})),
        finding(Class::Drifted, "long", json!(long), json!(vec![json!({"a": long}); 3])),
        whole(Class::Drifted, Some(HOSTILE)),
    ];
    let author = Author { user: HOSTILE.into(), event: HOSTILE.into(), time: HOSTILE.into() };
    let halt = Halt { since: Some(HOSTILE.into()), reason: Some(HOSTILE.into()) };
    let ignored = Ignored {
        finding: finding(Class::Drifted, HOSTILE, json!(1), json!(2)),
        reason: HOSTILE.into(),
        expires: None,
    };
    Entry {
        physical_id: Some(HOSTILE.into()),
        author: Some(author),
        halt: Some(halt),
        mend: Some(HOSTILE.into()),
        ignored: vec![ignored],
        ..entry("iam_role", HOSTILE, findings)
    }
}

fn report(entries: Vec<Entry>) -> Report {
    Report {
        stack: "tickets".into(),
        file: "stacks/tickets.yaml".into(),
        region: "us-east-1".into(),
        account: "123456789012".into(),
        entries,
        unread: Vec::new(),
        expired: Vec::new(),
        unused: Vec::new(),
    }
}

fn outcome(reports: Vec<Report>) -> Outcome {
    let all = Class::ALL.into_iter();
    let fail_on = all.filter(|class| ![Class::Unreadable, Class::Pending, Class::InSync].contains(class)).collect();
    Outcome { reports, failures: Vec::new(), fail_on }
}

fn sample() -> Outcome {
    let unread = Unread {
        what: "sns_subscription".into(),
        error: "ListSubscriptions: AuthorizationError: no".into(),
        help: Some("allow sns:ListSubscriptions".into()),
    };
    let full = Report {
        unread: vec![unread],
        expired: vec!["orders: expired on 2026-01-01: moved".into()],
        unused: vec!["news tags: nobody knows".into()],
        ..report(entries().into_iter().chain([ignoring()]).collect())
    };
    let quiet = Report {
        stack: "quiet".into(),
        file: "stacks/quiet.yaml".into(),
        ..report(vec![entry("kinesis_stream", "orders", Vec::new())])
    };
    let failure =
        ("stacks/bad.yaml".to_owned(), "  x unknown field `shard_cuont`\n   ,-[stacks/bad.yaml:3:5]\n".to_owned());
    Outcome { failures: vec![failure], ..outcome(vec![full, quiet]) }
}

fn attacked() -> Outcome {
    let text = || HOSTILE.to_owned();
    let unread = Unread { what: text(), error: text(), help: Some(text()) };
    let full = Report { unread: vec![unread], expired: vec![text()], unused: vec![text()], ..report(vec![hostile()]) };
    Outcome { failures: vec![(text(), text())], ..outcome(vec![full]) }
}

fn many(stacks: usize, each: usize) -> Outcome {
    let one = |stack: usize| {
        let of = |at: usize| {
            let changed = finding(Class::Drifted, "inline_policies.main", policy("Allow"), policy("Deny"));
            entry("iam_role", &format!("role{at}"), vec![changed])
        };
        Report { stack: format!("stack{stack}"), ..report((0..each).map(of).collect()) }
    };
    outcome((0..stacks).map(one).collect())
}

#[test]
fn as_text() {
    insta::assert_snapshot!(text(&sample(), Paint::default()));
}

#[test]
fn as_json() {
    insta::assert_json_snapshot!(json(&sample()));
}

#[test]
fn as_markdown() {
    insta::assert_snapshot!(markdown(&sample(), COMMENT));
}

#[test]
fn as_junit() {
    insta::assert_snapshot!(junit(&sample()));
}

#[test]
fn as_sarif() {
    let mut document = sarif(&sample());
    document["runs"][0]["tool"]["driver"]["version"] = "VERSION".into();
    document["runs"][0]["tool"]["driver"]["semanticVersion"] = "VERSION".into();
    insta::assert_json_snapshot!(document);
}

#[test]
fn as_github() {
    insta::assert_snapshot!(annotations(&sample()) + "=====\n" + &outputs(&sample()));
}

#[test]
fn values_made_to_do_harm() {
    let shown = [
        text(&attacked(), Paint::default()),
        markdown(&attacked(), COMMENT),
        junit(&attacked()),
        annotations(&attacked()),
    ];
    for (at, shown) in shown.iter().enumerate() {
        let bad = |letter: char| letter != '\n' && (letter.is_control() || letter == '\u{202e}');
        assert!(!shown.chars().any(bad), "format {at}: {shown}");
        assert!(shown.lines().all(|line| line.chars().count() < 6_000), "format {at}");
    }
    let [text, markdown, ..] = &shown;
    assert!(text.contains("${x.arn}"), "what looks like a reference is what AWS has");
    assert!(!markdown.contains("<script>") || inert(markdown), "{markdown}");
    insta::assert_snapshot!(shown.join("\n=====\n").replace(&"x".repeat(200), "(200 x)"));
}

/// Tells whether all markup of a document is our own: outside of code there is nothing of the hostile text.
pub(in crate::report) fn inert(markdown: &str) -> bool {
    let mut fence: Option<String> = None;
    markdown.lines().all(|line| {
        let run: String = line.chars().take_while(|letter| *letter == '`').collect();
        match &fence {
            Some(open) => {
                if line.trim_end() == open {
                    fence = None;
                }
                true
            }
            None if run.len() > 2 => {
                fence = Some(run);
                true
            }
            // What stands in HTML code in a block of HTML is neither Markdown nor a mention.
            None if line.starts_with("<details><summary><code>") => !line.contains("<script"),
            None => !["<script", "@everyone", "](http"].iter().any(|bad| without_spans(line).contains(bad)),
        }
    })
}

fn without_spans(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('`') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let fence: String = from.chars().take_while(|letter| *letter == '`').collect();
        let inner = &from[fence.len()..];
        let mut from_here = 0;
        let end = loop {
            let Some(found) = inner[from_here..].find('`').map(|found| found + from_here) else { break None };
            let run = inner[found..].chars().take_while(|letter| *letter == '`').count();
            if run == fence.len() {
                break Some(found + run);
            }
            from_here = found + run;
        };
        let Some(end) = end else { return out + from };
        rest = &inner[end..];
    }
    out + rest
}

#[test]
fn nothing_at_all() {
    let empty = outcome(vec![report(Vec::new())]);
    assert_eq!(
        text(&empty, Paint::default()),
        "Drift of stack tickets in us-east-1, account 123456789012\n\nNo resources.\n"
    );
    assert!(markdown(&empty, COMMENT).contains("### stackctl drift: no drift in 1 stack\n"));
    assert!(junit(&empty).contains("<testsuites name=\"stackctl drift\" tests=\"0\" failures=\"0\""));
    assert_eq!(sarif(&empty)["runs"][0]["results"], json!([]));
    assert_eq!(annotations(&empty), "stackctl drift: no drift in 1 stack\n");
    assert_eq!(outputs(&empty), "drifted=false\nincomplete=false\nresources=0\n");
    assert_eq!(outputs(&many(2, 3)), "drifted=true\nincomplete=false\nresources=6\n");
}

#[test]
fn documents_keep_to_the_limits_of_their_readers() {
    for (stacks, each) in [(1, 5_000), (5_000, 1), (70, 70)] {
        let outcome = many(stacks, each);
        for limit in [COMMENT, SUMMARY] {
            let shown = markdown(&outcome, limit);
            assert!(shown.len() <= limit && shown.len() > limit / 3, "{} of {limit}", shown.len());
            assert!(shown.contains("… and ") && inert(&shown));
            assert_eq!(shown.matches("<details>").count(), shown.matches("</details>").count());
        }
        assert_eq!(annotations(&outcome).lines().count(), stacks * each + 1);
    }
    assert!(markdown(&attacked(), 0).len() < 1_000);
    let many = sarif(&many(6, 5_000));
    assert_eq!(many["runs"][0]["results"].as_array().unwrap().len(), 25_000);
    let notes = &many["runs"][0]["invocations"][0]["toolExecutionNotifications"];
    assert!(notes[0]["message"]["text"].as_str().unwrap().starts_with("5000 more findings"), "{notes}");
}

#[test]
fn fingerprints_are_stable_and_one_of_a_kind() {
    let prints = |outcome: &Outcome| -> Vec<String> {
        let document = sarif(outcome);
        let results = document["runs"][0]["results"].as_array().unwrap().clone();
        results
            .iter()
            .map(|result| result["partialFingerprints"]["stackctlFinding/v1"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = prints(&sample());
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    let mut moved = sample();
    for entry in &mut moved.reports[0].entries {
        entry.line = entry.line.map(|line| line + 40);
        entry.findings.iter_mut().for_each(|finding| finding.line = Some(99));
    }
    assert_eq!(prints(&moved), all);
}

#[test]
fn secrets_are_hidden_before_they_are_escaped() {
    let secret = "pa<ss>&\"wo\nrd%20|`x`";
    let mut screen = Screen::default();
    screen.hide(&[secret.to_owned()]);
    let mut leaky = attacked();
    let entry = &mut leaky.reports[0].entries[0];
    entry.findings = vec![
        finding(Class::Drifted, secret, json!(secret), json!({secret: [secret]})),
        whole(Class::Drifted, Some(secret)),
    ];
    entry.halt = Some(Halt { since: None, reason: Some(secret.into()) });
    (entry.mend, entry.physical_id, entry.name) = (Some(secret.into()), Some(secret.into()), secret.into());
    entry.ignored[0].reason = secret.into();
    leaky.reports[0].unread[0].error = secret.into();
    leaky.reports[0].unused = vec![secret.into()];
    leaky.failures[0].1 = secret.into();
    let leaky = masked(leaky, &screen);
    for shown in [
        text(&leaky, Paint::default()),
        json(&leaky).to_string(),
        markdown(&leaky, COMMENT),
        junit(&leaky),
        sarif(&leaky).to_string(),
        annotations(&leaky),
    ] {
        assert!(!shown.contains("ss>") && !shown.contains("ss&gt;") && !shown.contains("rd%20"), "{shown}");
        assert!(shown.contains(MASK));
    }
}

/// Reads XML with an independent parser; returns the elements with their attributes, and the text.
fn xml(document: &str) -> (Vec<String>, String) {
    use xmlparser::{ElementEnd, Token, Tokenizer};
    let (mut elements, mut open, mut text) = (Vec::new(), Vec::new(), String::new());
    for token in Tokenizer::from(document) {
        match token.unwrap_or_else(|error| panic!("{error} in {document}")) {
            Token::ElementStart { local, .. } => {
                open.push(local.as_str().to_owned());
                elements.push(open.join("/"));
            }
            Token::Attribute { local, value, .. } => {
                assert!(!value.as_str().contains(['<', '\n']), "{value}");
                elements.push(format!("{} @{local}", open.join("/")));
            }
            Token::ElementEnd { end: ElementEnd::Empty, .. } => drop(open.pop()),
            Token::ElementEnd { end: ElementEnd::Close(_, local), .. } => {
                assert_eq!(open.pop().as_deref(), Some(local.as_str()));
            }
            Token::Text { text: part } => text.push_str(part.as_str()),
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
    (elements, text)
}

/// Elements and attributes of JUnit XML, as Jenkins and GitLab read it.
const JUNIT: &[(&str, &[&str])] = &[
    ("testsuites", &["name", "tests", "failures", "errors", "skipped"]),
    ("testsuites/testsuite", &["name", "tests", "failures", "errors", "skipped", "time"]),
    ("testsuites/testsuite/testcase", &["classname", "name", "file", "line", "time"]),
    ("testsuites/testsuite/testcase/failure", &["message", "type"]),
    ("testsuites/testsuite/testcase/error", &["message", "type"]),
    ("testsuites/testsuite/testcase/skipped", &["message"]),
    ("testsuites/testsuite/system-out", &[]),
];

#[test]
fn junit_has_the_shape_that_its_readers_know() {
    for outcome in [sample(), attacked(), outcome(Vec::new()), many(3, 100)] {
        let (elements, _) = xml(&junit(&outcome));
        for item in &elements {
            let (path, attribute) =
                item.split_once(" @").map_or((item.as_str(), None), |(path, name)| (path, Some(name)));
            let known = JUNIT.iter().find(|(known, _)| *known == path).unwrap_or_else(|| panic!("{path}"));
            assert!(attribute.is_none_or(|name| known.1.contains(&name)), "{item}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_makes_well_formed_documents(value in any::<String>(), path in ".{0,20}") {
        let findings = vec![finding(Class::Drifted, &path, json!(value), json!({"a": value})), whole(Class::Drifted, Some(&value))];
        let one = Entry { mend: Some(value.clone()), ..entry("iam_role", &value, findings) };
        let mut outcome = outcome(vec![report(vec![one])]);
        outcome.failures = vec![(value.clone(), value)];
        let (_, text) = xml(&junit(&outcome));
        let odd = text.contains(['\u{fffe}', '\u{ffff}', '\u{1b}', '\u{0}']);
        prop_assert!(!odd);
        prop_assert!(inert(&markdown(&outcome, COMMENT)));
        prop_assert_eq!(annotations(&outcome).lines().filter(|line| line.starts_with("::")).count(), 3);
    }
}
