//! A drift report for people.

use serde_json::Value;

use super::super::values::{LINE, has_lines, text_diff};
use super::super::{MASK, Paint, count, safe};
use super::lines::{address, clipped, difference, ignored, line, rules, whole, word};
use crate::drift::{Class, Entry, Finding, Outcome, Report, Unread};

/// Longest line of a broken value.
const LONGEST: usize = 300;

/// Most lines of one broken value: the JSON report has all.
const MOST: usize = 60;

/// Returns the report: what is not in sync, then one line a stack.
#[must_use]
pub fn text(outcome: &Outcome, paint: Paint) -> String {
    let stacks: Vec<String> = outcome.reports.iter().map(|report| stack(report, paint)).collect();
    let mut out = stacks.join("\n");
    for (file, error) in &outcome.failures {
        let gap = if out.is_empty() { "" } else { "\n" };
        let error = safe(error);
        let error = error.trim_end().trim_start_matches('\n');
        out.push_str(&format!("{gap}{} {} could not be checked\n{error}\n", paint.red("error:"), line(file)));
    }
    if outcome.reports.len() + outcome.failures.len() > 1 {
        out.push_str(&format!("\n{}\n", paint.bold(&summary(outcome))));
    }
    out
}

fn stack(report: &Report, paint: Paint) -> String {
    let Report { stack, region, account, .. } = report;
    let mut out = line(&format!("Drift of stack {stack} in {region}, account {account}")) + "\n\n";
    for item in report.entries.iter().filter(|item| item.class != Class::InSync) {
        out.push_str(&entry(item, paint));
        out.push('\n');
    }
    let before = out.len();
    out.extend(report.unread.iter().map(|item| unread(item, paint)));
    let ignored = report.entries.iter().flat_map(ignored);
    out.extend(ignored.map(|text| format!("  {}\n", paint.dim(&format!("ignored: {text}")))));
    out.extend(rules(report).into_iter().map(|text| format!("  {} {text}\n", paint.yellow("!"))));
    let gap = if out.len() > before { "\n" } else { "" };
    out + gap + &paint.bold(&closing(report)) + "\n"
}

fn unread(unread: &Unread, paint: Paint) -> String {
    let mut out = format!("  {} {}: {}\n", paint.yellow("?"), line(&unread.what), line(&unread.error));
    out.extend(unread.help.iter().map(|help| format!("      help: {}\n", line(help))));
    out
}

/// Returns one resource: a title, its differences, what is known besides, and the command that mends it.
#[must_use]
pub(super) fn entry(entry: &Entry, paint: Paint) -> String {
    let physical = entry.physical_id.iter().filter(|physical| **physical != entry.id);
    let physical: String = physical.map(|physical| format!(" [{}]", clipped(&line(physical), LONGEST))).collect();
    let title = paint.bold(&address(entry));
    let meaning = entry.class.meaning();
    let mut out = format!("  {} {title}{physical}  # {}: {meaning}\n", sign(entry.class, paint), entry.class.name());
    out.extend(entry.findings.iter().map(|item| finding(item, entry.class, paint)));
    if let Some(halt) = &entry.halt {
        let since = halt.since.iter().map(|since| format!(" since {since}"));
        let reason = halt.reason.iter().map(|reason| format!(": {reason}"));
        let text: String = since.chain(reason).collect();
        out.push_str(&format!("      not running{}\n", line(&text)));
    }
    if let Some(author) = &entry.author {
        let text = format!("last change: {} by {} at {}", author.event, author.user, author.time);
        out.push_str(&format!("      {}\n", line(&text)));
    }
    out.extend(entry.mend.iter().map(|mend| format!("      mend: {}\n", line(mend))));
    out
}

fn finding(finding: &Finding, class: Class, paint: Paint) -> String {
    let note = finding.note.iter().map(|note| format!("      {}\n", line(note))).collect::<String>();
    if finding.path.is_empty() {
        return note;
    }
    let other = if finding.class == class { String::new() } else { format!(" ({})", word(finding.class)) };
    let sign = match (finding.wanted.is_null(), finding.live.is_null()) {
        (true, false) => paint.red("+"),
        (false, true) => paint.red("-"),
        _ => paint.yellow("~"),
    };
    if !is_broken(finding) {
        return format!("      {sign} {}{other}\n{note}", difference(finding));
    }
    let diff = text_diff(&long(&finding.wanted), &long(&finding.live), 10, paint);
    let path = clipped(&line(&finding.path), LONGEST);
    format!("      {sign} {path}: - in the file, + in AWS{other}\n{}{note}", shortened(&diff))
}

/// Tells whether a difference is shown line by line: it has lines, or does not fit on one.
fn is_broken(finding: &Finding) -> bool {
    let sides = [&finding.wanted, &finding.live];
    let is_compound = |value: &&&Value| value.is_object() || value.is_array();
    let length: usize = sides.iter().map(|side| whole(side).chars().count()).sum();
    sides.iter().any(|side| has_lines(side))
        || (sides.iter().any(|side| is_compound(&side)) && length > LINE.saturating_sub(finding.path.len() + 30))
}

/// Returns a value as the lines to compare.
fn long(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text == MASK => text.clone(),
        Value::String(text) => safe(text),
        other => safe(&format!("{other:#}")),
    }
}

fn shortened(text: &str) -> String {
    let all = text.lines().count();
    let mut out: String = text.lines().take(MOST).map(|line| clipped(line, LONGEST) + "\n").collect();
    if all > MOST {
        out.push_str(&format!("          … {} more lines\n", all - MOST));
    }
    out
}

fn sign(class: Class, paint: Paint) -> String {
    match class {
        Class::InSync => " ".to_owned(),
        Class::Pending | Class::Unreadable => paint.yellow(letter(class)),
        _ => paint.red(letter(class)),
    }
}

/// Returns the sign of a class.
#[must_use]
pub(super) fn letter(class: Class) -> &'static str {
    match class {
        Class::InSync => " ",
        Class::Pending => "*",
        Class::Unreadable => "?",
        Class::Missing => "-",
        Class::Orphan | Class::Undeclared => "+",
        Class::LookAlike | Class::Stopped | Class::Both | Class::Drifted => "~",
    }
}

/// Returns the last line of a stack: how many resources there are of each class.
#[must_use]
pub(super) fn closing(report: &Report) -> String {
    let all = count(report.entries.len(), "resource");
    let counts: Vec<String> =
        report.counts().into_iter().map(|(class, number)| format!("{number} {}", word(class))).collect();
    let ignored =
        if report.ignored() == 0 { String::new() } else { format!("; {} ignored", count(report.ignored(), "finding")) };
    let incomplete = if report.is_complete() { "" } else { " The check is incomplete." };
    match &counts[..] {
        [] => format!("No resources.{incomplete}"),
        [_] if report.counts()[0].0 == Class::InSync => format!("No drift: {all} in sync{ignored}.{incomplete}"),
        _ => format!("{all}: {}{ignored}.{incomplete}", counts.join(", ")),
    }
}

/// Returns the last line of several stacks, and the headline of documents.
#[must_use]
pub(super) fn summary(outcome: &Outcome) -> String {
    let stacks = outcome.reports.len() + outcome.failures.len();
    let drifted = outcome.reports.iter().filter(|report| report.has(&outcome.fail_on)).count();
    let incomplete = outcome.reports.iter().filter(|report| !report.is_complete()).count();
    let parts = [
        (drifted, format!("drift in {drifted} of {}", count(stacks, "stack"))),
        (incomplete, format!("{incomplete} incomplete")),
        (outcome.failures.len(), format!("{} could not be checked", outcome.failures.len())),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(number, _)| *number > 0).map(|(_, text)| text).collect();
    if parts.is_empty() { format!("no drift in {}", count(stacks, "stack")) } else { parts.join(", ") }
}
