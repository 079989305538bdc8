//! A drift report for GitHub Actions: annotations on the stack file's lines, and the step's outputs.

use super::super::safe;
use super::lines::{clipped, line, rules, sentence, word};
use super::text::summary;
use crate::drift::{Class, Entry, Finding, Outcome, Report};

/// Returns the workflow commands that make annotations, the most pressing first, and a last line for the log.
///
/// Whatever is of the user's or of AWS's making stands inside a command, where its line breaks are escaped: on a line of
/// its own it could be a command itself.
#[must_use]
pub fn annotations(outcome: &Outcome) -> String {
    let mut out: String = outcome.failures.iter().map(|(file, error)| failure(file, error)).collect();
    for class in Class::ALL {
        for report in &outcome.reports {
            let of_class = |finding: &&Finding| finding.class == class;
            let findings = report.entries.iter().flat_map(|entry| {
                entry.findings.iter().filter(of_class).map(move |finding| annotation(outcome, report, entry, finding))
            });
            out.extend(findings);
        }
    }
    for report in &outcome.reports {
        out.extend(remarks(report));
    }
    out + "stackctl drift: " + &summary(outcome) + "\n"
}

/// Returns the lines for `GITHUB_OUTPUT`. None of their values can have a line break.
#[must_use]
pub fn outputs(outcome: &Outcome) -> String {
    let (drifted, incomplete) = (outcome.has_drift(), !outcome.is_complete());
    format!("drifted={drifted}\nincomplete={incomplete}\nresources={}\n", outcome.drifted())
}

fn annotation(outcome: &Outcome, report: &Report, entry: &Entry, finding: &Finding) -> String {
    let level = match finding.class {
        Class::Unreadable => "error",
        class if outcome.fail_on.contains(&class) => "error",
        Class::Pending | Class::InSync => "notice",
        _ => "warning",
    };
    let title = format!("{}: {}", word(finding.class), entry.id);
    command(level, &report.file, finding.line.or(entry.line), &title, &sentence(entry, finding))
}

fn failure(file: &str, error: &str) -> String {
    command("error", file, None, "drift could not be checked", &clipped(safe(error).trim(), 4_000))
}

fn remarks(report: &Report) -> Vec<String> {
    let unread = report.unread.iter().map(|unread| {
        let help = unread.help.iter().map(|help| format!("\nhelp: {help}")).collect::<String>();
        let text = clipped(&format!("{}: {}{help}", unread.what, unread.error), 4_000);
        command("error", &report.file, None, "drift check incomplete", &safe(&text))
    });
    let rules = rules(report);
    let rules = rules.iter().map(|rule| command("warning", &report.file, None, "drift ignore rule", rule));
    unread.chain(rules).collect()
}

fn command(level: &str, file: &str, line_number: Option<usize>, title: &str, message: &str) -> String {
    let file = file.trim_start_matches("./");
    let at = line_number.iter().map(|line| format!(",line={line}")).collect::<String>();
    format!("::{level} file={}{at},title={}::{}\n", property(&line(file)), property(&line(title)), data(message))
}

/// Escapes a message as the runner's toolkit does.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property as the runner's toolkit does.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_are_escaped() {
        let shown = command("error", "./a,b:c.yaml", Some(3), "x: 50%", "a\r\n::set-output name=x::y");
        assert_eq!(shown, "::error file=a%2Cb%3Ac.yaml,line=3,title=x%3A 50%25::a%0D%0A::set-output name=x::y\n");
    }

    proptest! {
        #[test]
        fn a_command_is_one_line_with_its_own_properties(text in "[a%:,\\r\\n]{0,12}") {
            let shown = command("error", &text, None, &text, &text);
            prop_assert_eq!(shown.lines().count(), 1);
            let head = shown.trim_start_matches("::error ").split("::").next().unwrap_or_default();
            prop_assert_eq!(head.split(',').count(), 2, "{}", shown);
        }
    }
}
