//! What is wrong with a stack file, where, and what to do about it.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but the user should know.
    Warning,
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
    /// Text at the marked place, such as `unknown field`.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// All problems of a file.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// In the order of the file.
    pub problems: Vec<Problem>,
}
