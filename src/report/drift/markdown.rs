//! A drift report as GitHub-flavoured Markdown, for comments and step summaries.
//!
//! Whatever comes from AWS or from the user stands in code spans, fenced blocks or escaped HTML, where nothing of it is
//! markup. The document never gets longer than it may be: what does not fit is counted.

use super::super::{Paint, safe};
use super::lines::{address, clipped, ignored, line, rules, word};
use super::text;
use crate::drift::{Class, Entry, Outcome, Report};

/// Longest document that fits a comment of the usual code hosts, in bytes.
pub const COMMENT: usize = 65_000;

/// Longest document that fits a step summary of GitHub, in bytes.
pub const SUMMARY: usize = 1024 * 1024 - 1_000;

/// By this a comment that is to be updated is known.
const MARK: &str = "<!-- stackctl drift -->";

/// Longest cell of a table, line of a list or line of a block.
const LINE: usize = 400;

/// Longest block of one resource.
const BLOCK: usize = 8_000;

/// Room for the words that say what was cut, and for what surrounds a stack's lists.
const FRAME: usize = 300;

/// Returns the document, no longer than `limit` bytes.
#[must_use]
pub fn markdown(outcome: &Outcome, limit: usize) -> String {
    let head = format!("{MARK}\n### stackctl drift: {}\n", text::summary(outcome));
    let room = limit.saturating_sub(head.len() + 2 * FRAME);
    let mut parts: Vec<Part> = outcome.failures.iter().map(|(file, error)| failure(file, error)).collect();
    parts.extend(outcome.reports.iter().map(part));
    // Titles first, then the tables, then the details: what matters most has room.
    let all = parts.len();
    let mut left = room / 3;
    parts.retain(|part| spend(&mut left, part.title.len() + FRAME));
    left += room / 3;
    for part in &mut parts {
        part.rows = part.report.map(|report| kept(rows(report), &mut left)).unwrap_or_default();
    }
    left += room / 3;
    for part in &mut parts {
        part.details = part.report.map(|report| kept(details(report), &mut left)).unwrap_or_default();
    }
    let mut out = head;
    out.extend(parts.iter().map(Part::text));
    out + &cut(all - parts.len(), "stack")
}

fn spend(left: &mut usize, cost: usize) -> bool {
    let fits = cost <= *left;
    *left -= if fits { cost } else { 0 };
    fits
}

/// The pieces that have room, and how many have not.
#[derive(Default)]
struct Pieces {
    kept: Vec<String>,
    dropped: usize,
}

fn kept<'a>(pieces: impl Iterator<Item = Piece<'a>>, left: &mut usize) -> Pieces {
    let mut all = Pieces::default();
    for piece in pieces {
        // Once something is cut, nothing more is written: it costs time, and what is missing should be at the end.
        let text = (all.dropped == 0).then(piece).filter(|text| spend(left, text.len()));
        all.dropped += usize::from(text.is_none());
        all.kept.extend(text);
    }
    all
}

/// Writes a piece when it is its turn.
type Piece<'a> = Box<dyn Fn() -> String + 'a>;

/// One stack.
struct Part<'a> {
    title: String,
    report: Option<&'a Report>,
    /// Rows of the table.
    rows: Pieces,
    details: Pieces,
}

impl Part<'_> {
    fn text(&self) -> String {
        let mut out = self.title.clone();
        if !self.rows.kept.is_empty() {
            out.push_str("\n| | resource | class | |\n|---|---|---|---|\n");
            out.extend(self.rows.kept.iter().map(String::as_str));
        }
        out.push_str(&cut(self.rows.dropped, "line"));
        out.extend(self.details.kept.iter().map(String::as_str));
        out + &cut(self.details.dropped, "detail")
    }
}

fn cut(number: usize, what: &str) -> String {
    if number == 0 {
        return String::new();
    }
    format!("\n… and {}: see `stackctl drift`\n", super::super::count(number, &format!("more {what}")))
}

fn failure<'a>(file: &str, error: &str) -> Part<'a> {
    let title = format!("\n#### {} could not be checked\n\n{}", code(file), block(error, ""));
    Part { title, report: None, rows: Pieces::default(), details: Pieces::default() }
}

fn part(report: &Report) -> Part<'_> {
    let title = format!(
        "\n#### {} in {}, account {}\n\n**{}**\n",
        code(&report.stack),
        code(&report.region),
        code(&report.account),
        text::closing(report)
    );
    Part { title, report: Some(report), rows: Pieces::default(), details: Pieces::default() }
}

fn differing(report: &Report) -> impl Iterator<Item = &Entry> {
    report.entries.iter().filter(|entry| entry.class != Class::InSync)
}

fn rows(report: &Report) -> impl Iterator<Item = Piece<'_>> {
    let unread = report
        .unread
        .iter()
        .map(|item| -> Piece<'_> { Box::new(move || cells("?", &item.what, "unreadable", &code(&item.error))) });
    differing(report).map(|entry| -> Piece<'_> { Box::new(move || row(entry)) }).chain(unread)
}

fn details(report: &Report) -> impl Iterator<Item = Piece<'_>> {
    let ignored: Vec<String> = report.entries.iter().flat_map(ignored).collect();
    let folds = folded("ignored", &ignored).into_iter().chain(folded("ignore rules to look at", &rules(report)));
    let folds = folds.map(|text| -> Piece<'_> { Box::new(move || text.clone()) });
    differing(report).map(|entry| -> Piece<'_> { Box::new(move || detail(entry)) }).chain(folds)
}

fn row(entry: &Entry) -> String {
    /// Most fields that a row names.
    const MOST: usize = 5;
    let paths: Vec<String> =
        entry.findings.iter().filter(|finding| !finding.path.is_empty()).map(|finding| code(&finding.path)).collect();
    let more = if paths.len() > MOST { format!(" and {} more", paths.len() - MOST) } else { String::new() };
    let note =
        entry.findings.iter().filter(|finding| finding.path.is_empty()).find_map(|finding| finding.note.as_ref());
    let said = match (paths.is_empty(), note) {
        (true, Some(note)) => code(note),
        (true, None) => entry.class.meaning().to_owned(),
        _ => format!("{}{more}", paths[..paths.len().min(MOST)].join(", ")),
    };
    cells(text::letter(entry.class), &address(entry), &word(entry.class), &said)
}

fn cells(sign: &str, subject: &str, class: &str, said: &str) -> String {
    format!("| `{sign}` | {} | {class} | {said} |\n", code(subject))
}

fn detail(entry: &Entry) -> String {
    let shown = text::entry(entry, Paint::default());
    let lines: String = shown.lines().skip(1).map(|line| coloured(line) + "\n").collect();
    let summary = format!("<code>{}</code>: {}", html(&address(entry)), entry.class.meaning());
    format!("\n<details><summary>{summary}</summary>\n\n{}\n</details>\n", block(&lines, "diff"))
}

fn folded(title: &str, lines: &[String]) -> Option<String> {
    let text = lines.join("\n");
    (!lines.is_empty()).then(|| format!("\n<details><summary>{title}</summary>\n\n{}\n</details>\n", block(&text, "")))
}

/// Puts the sign of a line first, where the language `diff` looks for it.
fn coloured(line: &str) -> String {
    let inner = line.trim_start();
    let indent = line.len() - inner.len();
    match (inner.chars().next(), inner.chars().nth(1)) {
        (Some(sign @ ('+' | '-')), Some(' ')) => format!("{sign}{}{}", " ".repeat(indent), &inner[1..]),
        _ => line.to_owned(),
    }
}

/// Returns a fenced block whose fence is longer than any in the text.
fn block(text: &str, language: &str) -> String {
    let text = safe(text);
    let mut inner = String::new();
    for line in text.lines() {
        let line = clipped(line, LINE);
        if inner.len() + line.len() > BLOCK {
            inner.push_str("…\n");
            break;
        }
        inner.push_str(&line);
        inner.push('\n');
    }
    let fence = "`".repeat(longest_run(&inner).max(2) + 1);
    format!("{fence}{language}\n{inner}{fence}\n")
}

/// Returns a code span that may stand in a table.
pub(in crate::report) fn code(text: &str) -> String {
    let text = clipped(&line(text), LINE);
    // In a table a bar ends the cell even in code, unless a backslash is before it, and only one.
    let text = text.replace("\\|", "\\\u{a6}").replace('|', "\\|");
    let fence = "`".repeat(longest_run(&text) + 1);
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ', '\\']) { " " } else { "" };
    if text.is_empty() { "` `".to_owned() } else { format!("{fence}{pad}{text}{pad}{fence}") }
}

fn longest_run(text: &str) -> usize {
    text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0)
}

/// Escapes a text for HTML.
pub(super) fn html(text: &str) -> String {
    let escape = |letter: char| match letter {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn code_stays_code() {
        for (text, want) in [
            ("a", "`a`"),
            ("", "` `"),
            ("a|b", "`a\\|b`"),
            ("a\\|b", "`a\\\u{a6}b`"),
            ("`x`", "`` `x` ``"),
            ("a``b", "```a``b```"),
            ("a\nb\u{1b}", "`a b\u{fffd}`"),
        ] {
            assert_eq!(code(text), want);
        }
    }

    #[test]
    fn fences_are_longer_than_what_they_hold() {
        assert_eq!(block("a\n````\nb", "diff"), "`````diff\na\n````\nb\n`````\n");
        assert!(block(&"long line of text\n".repeat(2_000), "").len() < BLOCK + LINE);
    }

    proptest! {
        #[test]
        fn nothing_leaves_its_span_or_its_cell(text in "[a`|\\\\ \\n<@]{0,12}") {
            let span = code(&text);
            let fence = span.chars().take_while(|letter| *letter == '`').count();
            prop_assert!(fence > 0 && span.ends_with(&"`".repeat(fence)));
            let inner = &span[fence..span.len() - fence];
            prop_assert!(inner.split(|letter| letter != '`').all(|run| run.len() != fence), "{span}");
            prop_assert!(!span.contains('\n'));
            let bars = span.match_indices('|');
            for (at, _) in bars {
                let slashes = span[..at].chars().rev().take_while(|letter| *letter == '\\').count();
                prop_assert_eq!(slashes, 1, "{}", span);
            }
        }

        #[test]
        fn nothing_closes_a_fence(text in "[a`~\\n ]{0,30}") {
            let shown = block(&text, "");
            let fence = shown.lines().next().unwrap().to_owned();
            prop_assert_eq!(shown.lines().filter(|line| line.trim().starts_with(&fence)).count(), 2);
        }
    }
}
