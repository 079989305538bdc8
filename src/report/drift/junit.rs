//! A drift report as JUnit XML: a suite for each stack, a case for each resource.

use super::super::{Paint, safe};
use super::lines::{address, ignored, line, rules, word};
use super::text;
use crate::drift::{Class, Entry, Outcome, Report};

/// Returns the document.
#[must_use]
pub fn junit(outcome: &Outcome) -> String {
    let mut suites: Vec<Suite> = outcome.reports.iter().map(|report| suite(report, &outcome.fail_on)).collect();
    suites.extend(outcome.failures.iter().map(|(file, error)| failed(file, error)));
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let total = |of: fn(&Suite) -> usize| suites.iter().map(of).sum::<usize>();
    let counts = [total(Suite::tests), total(Suite::failures), total(Suite::errors), total(Suite::skipped)];
    out.push_str(&format!("<testsuites name=\"stackctl drift\"{}>\n", numbers(counts)));
    out.extend(suites.iter().map(Suite::text));
    out + "</testsuites>\n"
}

/// How a case came out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    Error,
    Skipped,
}

struct Case {
    verdict: Verdict,
    text: String,
}

struct Suite {
    name: String,
    cases: Vec<Case>,
    /// What else is to be said.
    remarks: Vec<String>,
}

impl Suite {
    fn tests(&self) -> usize {
        self.cases.len()
    }

    fn of(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|case| case.verdict == verdict).count()
    }

    fn failures(&self) -> usize {
        self.of(Verdict::Failed)
    }

    fn errors(&self) -> usize {
        self.of(Verdict::Error)
    }

    fn skipped(&self) -> usize {
        self.of(Verdict::Skipped)
    }

    fn text(&self) -> String {
        let counts = numbers([self.tests(), self.failures(), self.errors(), self.skipped()]);
        let mut out = format!("  <testsuite name={}{counts} time=\"0\">\n", quoted(&self.name));
        out.extend(self.cases.iter().map(|case| case.text.as_str()));
        if !self.remarks.is_empty() {
            out.push_str(&format!("    <system-out>{}</system-out>\n", escaped(&self.remarks.join("\n"))));
        }
        out + "  </testsuite>\n"
    }
}

fn numbers([tests, failures, errors, skipped]: [usize; 4]) -> String {
    format!(" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
}

fn suite(report: &Report, fail_on: &[Class]) -> Suite {
    let mut cases: Vec<Case> = report.entries.iter().map(|entry| of_resource(report, entry, fail_on)).collect();
    cases.extend(report.unread.iter().map(|unread| {
        let help = unread.help.iter().map(|help| format!("help: {help}")).collect::<String>();
        let body = element("error", &line(&unread.error), "unreadable", &help);
        case(Verdict::Error, &report.stack, &unread.what, (&report.file, None), &body)
    }));
    let remarks = report.entries.iter().flat_map(ignored).map(|text| format!("ignored: {text}"));
    let place = format!("{} in {}, account {}", report.stack, report.region, report.account);
    Suite { name: place, cases, remarks: remarks.chain(rules(report)).collect() }
}

fn failed(file: &str, error: &str) -> Suite {
    let first = safe(error).lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("failed").to_owned();
    let body = element("error", &first, "failed", error);
    Suite {
        name: file.to_owned(),
        cases: vec![case(Verdict::Error, file, "could be checked", (file, None), &body)],
        remarks: Vec::new(),
    }
}

fn of_resource(report: &Report, entry: &Entry, fail_on: &[Class]) -> Case {
    let verdict = match () {
        () if entry.class == Class::Unreadable => Verdict::Error,
        () if entry.has(fail_on) => Verdict::Failed,
        () if entry.findings.is_empty() && entry.ignored.is_empty() => Verdict::Passed,
        () => Verdict::Skipped,
    };
    let shown = text::entry(entry, Paint::default());
    let class = word(entry.class);
    let message = format!("{}: {}", address(entry), entry.class.meaning());
    let body = match verdict {
        Verdict::Passed => String::new(),
        Verdict::Failed => element("failure", &message, &class, &shown),
        Verdict::Error => element("error", &message, &class, &shown),
        Verdict::Skipped => {
            let why = if entry.findings.is_empty() { ignored(entry).join("; ") } else { message };
            format!("      <skipped message={}/>\n", quoted(&why))
        }
    };
    let group = format!("{}.{}", report.stack, entry.kind);
    case(verdict, &group, &entry.id, (&report.file, entry.line), &body)
}

fn case(verdict: Verdict, class: &str, name: &str, (file, line): (&str, Option<usize>), body: &str) -> Case {
    let line = line.iter().map(|line| format!(" line=\"{line}\"")).collect::<String>();
    let names = format!("classname={} name={} file={}{line}", quoted(class), quoted(name), quoted(file));
    let text = if body.is_empty() {
        format!("    <testcase {names} time=\"0\"/>\n")
    } else {
        format!("    <testcase {names} time=\"0\">\n{body}    </testcase>\n")
    };
    Case { verdict, text }
}

fn element(name: &str, message: &str, class: &str, text: &str) -> String {
    format!("      <{name} message={} type={}>{}</{name}>\n", quoted(message), quoted(class), escaped(text))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(&line(text)))
}

/// Escapes a text for XML 1.0 and replaces what it does not allow.
fn escaped(text: &str) -> String {
    let allowed = |letter: char| !matches!(letter, '\u{fffe}' | '\u{ffff}');
    let text: String = safe(text).chars().map(|letter| if allowed(letter) { letter } else { '\u{fffd}' }).collect();
    super::markdown::html(&text)
}
