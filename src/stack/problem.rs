//! What is wrong with a stack file, where, and what to do about it.
//!
//! Knows how problems look as plain data; drawing them is the business of `render`.

use std::ops::Range;

use serde::Serialize;

use super::spans::Source;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but the user should know.
    Warning,
}

/// Which part of the place at a path is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// The value; of a mapping or list with a key, the key.
    Value,
    /// The key.
    Key,
    /// The first occurrence of a text inside the value.
    Text(String),
    /// These bytes of the file, whatever the path is.
    Bytes(Range<usize>),
}

/// A further place that belongs to a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Dotted path in the file.
    pub path: String,
    /// Which part of it.
    pub spot: Spot,
    /// Text at the place.
    pub label: String,
}

/// One problem of a stack file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
    /// Dotted path in the file, such as `resources.orders.shard_count`; empty for the file as a whole.
    pub path: String,
    /// Which part of the place at the path.
    pub spot: Spot,
    /// Text at the marked place, such as `unknown field`.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Further places.
    pub also: Vec<Mark>,
}

impl Problem {
    /// Makes an error at a path.
    pub fn error(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            path: path.into(),
            spot: Spot::Value,
            label: "here".to_owned(),
            help: None,
            also: Vec::new(),
        }
    }

    /// Makes a warning at a path.
    pub fn warning(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, message) }
    }

    /// Marks the key instead of the value.
    #[must_use]
    pub fn at_key(self) -> Self {
        Self { spot: Spot::Key, ..self }
    }

    /// Marks the first occurrence of a text in the value.
    #[must_use]
    pub fn at_text(self, text: impl Into<String>) -> Self {
        Self { spot: Spot::Text(text.into()), ..self }
    }

    /// Marks bytes of the file.
    #[must_use]
    pub fn at_bytes(self, bytes: Range<usize>) -> Self {
        Self { spot: Spot::Bytes(bytes), ..self }
    }

    /// Sets the text at the marked place.
    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// Adds advice.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Adds advice when there is some.
    #[must_use]
    pub fn maybe_help(self, help: Option<String>) -> Self {
        Self { help: help.or(self.help), ..self }
    }

    /// Adds a further place.
    #[must_use]
    pub fn also(mut self, path: impl Into<String>, spot: Spot, label: impl Into<String>) -> Self {
        self.also.push(Mark { path: path.into(), spot, label: label.into() });
        self
    }
}

/// Returns a dotted path one step longer; an empty side adds nothing.
#[must_use]
pub fn join(path: &str, step: &str) -> String {
    match (path, step) {
        ("", _) => step.to_owned(),
        (_, "") => path.to_owned(),
        _ => format!("{path}.{step}"),
    }
}

/// All problems of a file, in the order of the file.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// In the order of the file.
    pub problems: Vec<Problem>,
    /// The file.
    pub source: Source,
    /// Texts that must not show.
    secrets: Vec<String>,
}

/// A problem as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The file, as the user named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Dotted path in the file.
    pub path: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Report {
    /// Sorts problems by their place, drops doubles, masks secrets and shortens what is very long.
    #[must_use]
    pub fn new(source: Source, problems: Vec<Problem>, secrets: &[String]) -> Self {
        let secrets: Vec<String> =
            secrets.iter().filter(|secret| !super::variables::is_short(secret)).cloned().collect();
        let mut problems: Vec<Problem> = problems.into_iter().map(|problem| tidy(problem, &secrets)).collect();
        problems.sort_by_key(|problem| (source.range(&problem.path, &problem.spot).start, problem.severity as u8));
        let mut seen = std::collections::HashSet::new();
        problems.retain(|problem| seen.insert((problem.path.clone(), problem.message.clone())));
        Self { problems, source, secrets }
    }

    /// Tells whether there is no problem.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Tells whether a problem keeps the file from being used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Returns the problems as plain data.
    #[must_use]
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        self.problems.iter().map(|problem| self.diagnostic(problem)).collect()
    }

    fn diagnostic(&self, problem: &Problem) -> Diagnostic {
        let (line, column) = self.source.position(self.source.range(&problem.path, &problem.spot).start);
        Diagnostic {
            severity: problem.severity,
            message: problem.message.clone(),
            file: self.source.name().to_owned(),
            line,
            column,
            path: problem.path.clone(),
            help: problem.help.clone(),
        }
    }

    /// Draws the problems with their places.
    #[must_use]
    pub fn render(&self, color: bool, width: usize) -> String {
        super::render::render(self, &self.source.masked(&self.secrets), color, width)
    }
}

/// Longest message; what a file holds is part of it and can be of any length.
const MAX_TEXT: usize = 400;

fn clipped(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Masks first: a secret cut in two would show.
fn tidy(mut problem: Problem, secrets: &[String]) -> Problem {
    for secret in secrets {
        let mask = |text: &str| text.replace(secret.as_str(), "(sensitive)");
        problem.message = mask(&problem.message);
        problem.label = mask(&problem.label);
        problem.help = problem.help.as_deref().map(mask);
    }
    problem.message = clipped(&problem.message, MAX_TEXT);
    problem.label = clipped(&problem.label, MAX_TEXT);
    problem.help = problem.help.map(|help| clipped(&help, 4 * MAX_TEXT));
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show_in_any_text() {
        let problem = Problem::error("a", "`hunter2` is wrong").label("hunter2").help("not hunter2");
        let report = Report::new(Source::new("f", "a: hunter2\n"), vec![problem], &["hunter2".into()]);
        let shown = format!("{}{:?}", report.render(false, 80), report.diagnostics());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("(sensitive)"), "{shown}");
    }

    #[test]
    fn doubles_are_told_once() {
        let problem = Problem::error("a", "bad");
        assert_eq!(Report::new(Source::default(), vec![problem.clone(), problem], &[]).problems.len(), 1);
    }
}
