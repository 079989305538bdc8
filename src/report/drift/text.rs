//! A drift report for people.

use super::super::values::short;
use super::super::{Paint, count, safe};
use crate::drift::{Class, Entry, Finding, Outcome, Report};

/// Returns the report: what is not in sync, then one line a stack.
#[must_use]
pub fn text(outcome: &Outcome, paint: Paint) -> String {
    let mut out: String = outcome.reports.iter().map(|report| stack(report, paint)).collect();
    for (file, error) in &outcome.failures {
        out.push_str(&format!("{} {}: {}\n", paint.red("error:"), safe(file), safe(error)));
    }
    out
}

fn stack(report: &Report, paint: Paint) -> String {
    let mut out = format!("Drift of stack {} in {}, account {}\n\n", report.stack, report.region, report.account);
    for item in report.entries.iter().filter(|item| item.class != Class::InSync) {
        out.push_str(&entry(item, paint));
        out.push('\n');
    }
    for unread in &report.unread {
        out.push_str(&format!("  {} {}: {}\n", paint.yellow("?"), safe(&unread.what), safe(&unread.error)));
        out.extend(unread.help.iter().map(|help| format!("      help: {}\n", safe(help))));
    }
    out.extend(report.expired.iter().map(|rule| format!("  ignore rule of {}\n", safe(rule))));
    out + &paint.bold(&closing(report)) + "\n"
}

fn entry(entry: &Entry, paint: Paint) -> String {
    let title = paint.bold(&format!("{}.{}", entry.kind, entry.id));
    let physical = entry.physical_id.iter().filter(|physical| **physical != entry.id);
    let physical: String = physical.map(|physical| format!(" [{physical}]")).collect();
    let meaning = entry.class.meaning();
    let mut out =
        format!("  {} {title}{}  # {}: {meaning}\n", sign(entry.class, paint), safe(&physical), entry.class.name());
    for item in &entry.findings {
        out.push_str(&finding(item, entry.class));
    }
    if let Some(halt) = &entry.halt {
        let since = halt.since.iter().map(|since| format!(" since {since}"));
        let reason = halt.reason.iter().map(|reason| format!(": {reason}"));
        let text: String = since.chain(reason).collect();
        out.push_str(&safe(&format!("      not running{text}\n")));
    }
    if let Some(author) = &entry.author {
        out.push_str(&safe(&format!("      last change: {} by {} at {}\n", author.event, author.user, author.time)));
    }
    out.extend(entry.mend.iter().map(|mend| format!("      mend: {}\n", safe(mend))));
    out
}

fn finding(finding: &Finding, class: Class) -> String {
    let note = finding.note.iter().map(|note| format!("      {}\n", safe(note))).collect::<String>();
    if finding.path.is_empty() {
        return note;
    }
    let word = if finding.class == class { String::new() } else { format!(" ({})", finding.class.name()) };
    let line = match (finding.wanted.is_null(), finding.live.is_null()) {
        (true, false) => format!("{}: {} in AWS, nothing in the file", finding.path, short(&finding.live)),
        (false, true) => format!("{}: nothing in AWS, {} in the file", finding.path, short(&finding.wanted)),
        _ => format!("{}: {} in AWS, {} in the file", finding.path, short(&finding.live), short(&finding.wanted)),
    };
    format!("      {}{word}\n{note}", safe(&line))
}

fn sign(class: Class, paint: Paint) -> String {
    match class {
        Class::InSync => " ".to_owned(),
        Class::Pending | Class::Unreadable => paint.yellow(if class == Class::Pending { "*" } else { "?" }),
        Class::Missing => paint.red("-"),
        Class::Orphan | Class::Undeclared => paint.red("+"),
        _ => paint.red("~"),
    }
}

/// Returns the last line: how many resources there are of each class.
#[must_use]
pub(super) fn closing(report: &Report) -> String {
    let all = count(report.entries.len(), "resource");
    let counts: Vec<String> = report
        .counts()
        .into_iter()
        .map(|(class, number)| format!("{number} {}", class.name().replace('_', " ")))
        .collect();
    let ignored =
        if report.ignored() == 0 { String::new() } else { format!("; {} ignored", count(report.ignored(), "finding")) };
    let incomplete = if report.is_complete() { "" } else { " The check is incomplete." };
    match &counts[..] {
        [] => "No resources.".to_owned(),
        [_] if report.counts()[0].0 == Class::InSync => format!("No drift: {all} in sync{ignored}.{incomplete}"),
        _ => format!("{all}: {}{ignored}.{incomplete}", counts.join(", ")),
    }
}
