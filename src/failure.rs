//! What ends a command early, with its exit code and advice.

use std::fmt;

use crate::kind::KindError;

/// Why a command could not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Exit code.
    pub code: u8,
    /// What went wrong, ready to be shown; may have several lines.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
    /// How it is shown.
    pub style: Style,
}

/// How a failure is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// After the word `error:`.
    Plain,
    /// As it is: a report that brings its own headings.
    Report,
    /// Not at all: nobody reads any more.
    Silent,
}

impl Failure {
    /// Makes a failure with exit code 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into(), help: None, style: Style::Plain }
    }

    /// Makes a failure of usage, exit code 64.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: 64, ..Self::new(message) }
    }

    /// Makes a failure from a report that brings its own headings.
    pub fn report(text: impl Into<String>) -> Self {
        Self { style: Style::Report, ..Self::new(text) }
    }

    /// Adds advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl From<KindError> for Failure {
    fn from(error: KindError) -> Self {
        Self { help: error.hint.clone(), ..Self::new(error.to_string()) }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let style = if error.kind() == std::io::ErrorKind::BrokenPipe { Style::Silent } else { Style::Plain };
        Self { style, ..Self::new(error.to_string()) }
    }
}
