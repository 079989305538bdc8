//! A drift report as SARIF 2.1.0, as GitHub's code scanning takes it: a rule for each class, a result for each finding.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::safe;
use super::lines::{clipped, line, sentence, word};
use crate::drift::{Class, Entry, Finding, Outcome, Report};

/// Most results of a run that GitHub takes.
const MOST: usize = 25_000;

/// What a path cannot have in a URI.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b':');

/// Returns the document.
#[must_use]
pub fn sarif(outcome: &Outcome) -> Value {
    let mut results: Vec<Value> = outcome.reports.iter().flat_map(results).collect();
    let cut = results.len().saturating_sub(MOST);
    results.truncate(MOST);
    let mut notes = notes(outcome);
    if cut > 0 {
        notes.push(note("warning", &format!("{cut} more findings are left out: see `stackctl drift`"), None));
    }
    let rules: Vec<Value> = rules().map(rule).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "stackctl",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "automationDetails": {"id": "stackctl-drift/"},
            "columnKind": "utf16CodeUnits",
            "invocations": [{
                "executionSuccessful": outcome.is_complete(),
                "toolExecutionNotifications": notes,
            }],
            "results": results,
            "properties": {
                "drifted": outcome.has_drift(),
                "complete": outcome.is_complete(),
                "ignored": outcome.reports.iter().map(Report::ignored).sum::<usize>(),
            },
        }],
    })
}

/// The classes that findings can have.
fn rules() -> impl Iterator<Item = Class> {
    Class::ALL.into_iter().filter(|class| *class != Class::InSync)
}

fn level(class: Class) -> &'static str {
    match class {
        Class::LookAlike | Class::Missing | Class::Stopped | Class::Both | Class::Drifted => "error",
        Class::Undeclared | Class::Orphan | Class::Unreadable => "warning",
        Class::Pending | Class::InSync => "note",
    }
}

fn advice(class: Class) -> &'static str {
    match class {
        Class::Unreadable => "Give the check the rights that it lacks: `stackctl policy --drift` lists them.",
        Class::LookAlike => "Find out who made it. `stackctl apply --adopt ID` takes it over.",
        Class::Pending => "Run `stackctl apply`, or take the change of the file back.",
        Class::Orphan => "Run `stackctl apply`, which deletes it, or put it back into the file.",
        _ => "Run `stackctl apply`, or change the file to match AWS.",
    }
}

fn rule(class: Class) -> Value {
    let name = word(class);
    let title = format!("{}{}: {}", name[..1].to_uppercase(), &name[1..], class.meaning());
    json!({
        "id": class.name(),
        "name": title.split(':').next().unwrap_or_default().replace(' ', ""),
        "shortDescription": {"text": title},
        "fullDescription": {"text": format!("{title}.")},
        "help": {"text": advice(class), "markdown": advice(class)},
        "defaultConfiguration": {"level": level(class)},
        "properties": {"tags": ["drift"], "problem.severity": match level(class) {
            "note" => "recommendation",
            level => level,
        }},
    })
}

fn results(report: &Report) -> Vec<Value> {
    let one = |entry: &Entry, finding: &Finding| {
        let print = fingerprint(report, entry, finding);
        json!({
            "ruleId": finding.class.name(),
            "ruleIndex": rules().position(|class| class == finding.class),
            "level": level(finding.class),
            "message": {"text": plain(&sentence(entry, finding))},
            "locations": [location(&report.file, finding.line.or(entry.line))],
            "partialFingerprints": {"primaryLocationLineHash": format!("{print}:1"), "stackctlFinding/v1": print},
        })
    };
    report.entries.iter().flat_map(|entry| entry.findings.iter().map(move |finding| one(entry, finding))).collect()
}

fn location(file: &str, line: Option<usize>) -> Value {
    let artifact = if file.starts_with('/') {
        // Outside of the repository: nothing can be relative to its root.
        json!({"uri": format!("file://{}", utf8_percent_encode(file, RESERVED))})
    } else {
        let file = file.trim_start_matches("./");
        json!({"uri": utf8_percent_encode(file, RESERVED).to_string(), "uriBaseId": "%SRCROOT%"})
    };
    json!({"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": line.unwrap_or(1).max(1)}}})
}

/// Returns what stays the same from run to run for the same difference: neither lines nor values, but for what is known
/// by its value only.
fn fingerprint(report: &Report, entry: &Entry, finding: &Finding) -> String {
    let own = if finding.class == Class::Undeclared { finding.live.to_string() } else { String::new() };
    let parts =
        [&report.account, &report.region, &report.stack, &entry.kind, &entry.id, &entry.name, &finding.path, &own];
    let text = parts.map(String::as_str).join("\u{0}") + "\u{0}" + finding.class.name();
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What could not be checked.
fn notes(outcome: &Outcome) -> Vec<Value> {
    let unread = outcome.reports.iter().flat_map(|report| report.unread.iter().map(move |unread| (report, unread)));
    let unread = unread.map(|(report, unread)| {
        let text = format!("{} could not be read: {}", line(&unread.what), line(&unread.error));
        note("warning", &text, Some(&report.file))
    });
    let failures = outcome.failures.iter().map(|(file, error)| note("error", &safe(error), Some(file)));
    failures.chain(unread).collect()
}

fn note(level: &str, text: &str, file: Option<&str>) -> Value {
    let mut note = json!({"level": level, "message": {"text": plain(&clipped(text, 4_000))}});
    if let Some(file) = file {
        note["locations"] = json!([location(file, None)]);
    }
    note
}

/// Keeps a text from having what SARIF takes for a link.
fn plain(text: &str) -> String {
    text.replace("](", "] (")
}
