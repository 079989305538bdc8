//! Hides secrets in an outcome before a format escapes what they are made of, after which nobody would find them.

use super::super::Screen;
use crate::drift::{Author, Entry, Finding, Ignored, Outcome, Report, Unread};
use crate::kind::Halt;

/// Returns the outcome with every text masked.
#[must_use]
pub fn masked(outcome: Outcome, screen: &Screen) -> Outcome {
    let Outcome { reports, failures, fail_on } = outcome;
    let failures = failures.into_iter().map(|(file, error)| (screen.masked(&file), screen.masked(&error)));
    Outcome {
        reports: reports.into_iter().map(|report| of_report(report, screen)).collect(),
        failures: failures.collect(),
        fail_on,
    }
}

fn of_report(report: Report, screen: &Screen) -> Report {
    let texts = |texts: Vec<String>| texts.iter().map(|text| screen.masked(text)).collect();
    let unread = report.unread.into_iter().map(|unread| Unread {
        what: screen.masked(&unread.what),
        error: screen.masked(&unread.error),
        help: unread.help.map(|help| screen.masked(&help)),
    });
    Report {
        stack: screen.masked(&report.stack),
        file: screen.masked(&report.file),
        region: report.region,
        account: report.account,
        entries: report.entries.into_iter().map(|entry| of_entry(entry, screen)).collect(),
        unread: unread.collect(),
        expired: texts(report.expired),
        unused: texts(report.unused),
    }
}

fn of_entry(entry: Entry, screen: &Screen) -> Entry {
    let text = |text: String| screen.masked(&text);
    let ignored = entry.ignored.into_iter().map(|item| Ignored {
        finding: of_finding(item.finding, screen),
        reason: text(item.reason),
        expires: item.expires,
    });
    Entry {
        id: text(entry.id),
        kind: entry.kind,
        name: text(entry.name),
        physical_id: entry.physical_id.map(text),
        line: entry.line,
        class: entry.class,
        findings: entry.findings.into_iter().map(|finding| of_finding(finding, screen)).collect(),
        ignored: ignored.collect(),
        halt: entry.halt.map(|halt| Halt { since: halt.since, reason: halt.reason.map(text) }),
        mend: entry.mend.map(text),
        author: entry.author.map(|author| Author { user: text(author.user), ..author }),
    }
}

fn of_finding(finding: Finding, screen: &Screen) -> Finding {
    Finding {
        class: finding.class,
        path: screen.masked(&finding.path),
        wanted: screen.masked_value(&finding.wanted),
        live: screen.masked_value(&finding.live),
        note: finding.note.map(|note| screen.masked(&note)),
        line: finding.line,
    }
}
