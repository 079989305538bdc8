//! Draws problems with a piece of the file around them.
//!
//! Knows nothing of stacks: places and texts come with the problems.

use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents,
};

use super::problem::{Problem, Report, Severity, Spot};
use super::spans::Source;

/// Lines longer than this are shown in part.
const LONG_LINE: usize = 240;
/// Bytes shown before and after the marked place of a long line.
const AROUND: usize = 60;

/// Draws all problems of a report, and how many there are.
pub(super) fn render(report: &Report, source: &Source, color: bool, width: usize) -> String {
    let handler = handler(color, width);
    let mut text = String::new();
    for problem in &report.problems {
        let drawing = Drawing { problem, source };
        let mut one = String::new();
        if handler.render_report(&mut one, &drawing).is_err() {
            one = format!("  error: {}\n", problem.message);
        }
        text.push_str(one.trim_start_matches('\n').strip_prefix("  ").unwrap_or(&one));
        text.push('\n');
    }
    text.push_str(&count(report));
    text
}

fn handler(color: bool, width: usize) -> GraphicalReportHandler {
    let mut theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    "error:".clone_into(&mut theme.characters.error);
    "warning:".clone_into(&mut theme.characters.warning);
    GraphicalReportHandler::new_themed(theme).with_width(width.max(40)).with_context_lines(1).with_links(false)
}

fn count(report: &Report) -> String {
    let errors = report.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let noun = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    match (errors, report.problems.len() - errors) {
        (0, 0) => String::new(),
        (0, warnings) => format!("{} found\n", noun(warnings, "warning")),
        (errors, 0) => format!("{} found\n", noun(errors, "problem")),
        (errors, warnings) => format!("{} and {} found\n", noun(errors, "problem"), noun(warnings, "warning")),
    }
}

#[derive(Debug)]
struct Drawing<'a> {
    problem: &'a Problem,
    source: &'a Source,
}

impl Drawing<'_> {
    fn label(&self, path: &str, spot: &Spot, text: &str) -> LabeledSpan {
        let range = self.source.range(path, spot);
        LabeledSpan::new(Some(text.to_owned()), range.start, range.len())
    }
}

impl fmt::Display for Drawing<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.problem.message)
    }
}

impl std::error::Error for Drawing<'_> {}

impl miette::Diagnostic for Drawing<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.problem.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let problem = self.problem;
        let range = self.source.range(&problem.path, &problem.spot);
        let first = LabeledSpan::new_primary_with_span(Some(problem.label.clone()), range.start..range.end);
        let others = problem.also.iter().map(|mark| self.label(&mark.path, &mark.spot, &mark.label));
        Some(Box::new(std::iter::once(first).chain(others)))
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (start, end) = (span.offset(), span.offset() + span.len());
        if end > self.text().len() {
            return Err(MietteError::OutOfBounds);
        }
        let shown = if before + after == 0 { start..end } else { self.window(start, end, before) };
        let (line, column) = self.position(shown.start);
        let lines = self.text()[shown.clone()].matches('\n').count();
        Ok(Box::new(MietteSpanContents::new_named(
            self.name().to_owned(),
            &self.text().as_bytes()[shown.clone()],
            shown.into(),
            line - 1,
            if before + after == 0 { column - 1 } else { 0 },
            lines,
        )))
    }
}

impl Source {
    fn window(&self, start: usize, end: usize, context: usize) -> std::ops::Range<usize> {
        let (first, last) = (self.line_of(start), self.line_of(end));
        let lines = first.saturating_sub(context)..=last + context;
        if lines.clone().all(|line| self.line_range(line).len() <= LONG_LINE) {
            return self.line_range(*lines.start()).start..self.line_range(*lines.end()).end;
        }
        let (from, to) = (self.line_range(first).start, self.line_range(last).end);
        let from = from.max(start.saturating_sub(AROUND));
        self.floor(from)..self.floor(to.min(end + AROUND))
    }

    fn floor(&self, mut at: usize) -> usize {
        while !self.text().is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_shown_in_part() {
        let text = format!("a: {}x{}\nb: 1\n", "[".repeat(5_000), "]".repeat(5_000));
        let problem = Problem::error("", "too long").at_bytes(5_003..5_004);
        let report = Report::new(Source::new("f.yaml", &text), vec![problem], &[]);
        let drawn = report.render(false, 100);
        assert!(drawn.len() < 1_000, "{drawn}");
        assert!(drawn.contains("[f.yaml:1:5004]"), "{drawn}");
    }

    #[test]
    fn two_places_far_apart_are_both_drawn() {
        let text = format!("a: 1\n{}a: 2\n", "b: 1\n".repeat(50));
        let problem = Problem::error("", "twice").at_bytes(255..256).also("", Spot::Bytes(0..1), "first here");
        let report = Report::new(Source::new("f.yaml", &text), vec![problem], &[]);
        insta::assert_snapshot!(report.render(false, 80));
    }
}
