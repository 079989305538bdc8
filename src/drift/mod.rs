//! How AWS differs from a stack file, told apart by whose doing it is.
//!
//! [`assess`] compares what is wanted with what was found; pure, like everything here but [`who`], which asks
//! CloudTrail. Whatever leads here can only read: it holds kinds as [`crate::kind::AnyKind`], which cannot write.

mod assess;
pub mod ignore;
pub mod places;
pub mod reads;
pub mod who;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kind::Halt;
pub use assess::assess;

/// What is the matter with a resource, the most pressing first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It could not be read, so the check is incomplete.
    Unreadable,
    /// Something of the right name is there, without the stack's tags or with another stack's.
    LookAlike,
    /// It is in the file and not in AWS.
    Missing,
    /// It does not run, or runs, against the file.
    Stopped,
    /// AWS differs from what was last applied, and the file has changed since, too.
    Both,
    /// AWS differs from what was last applied.
    Drifted,
    /// It has something that the file does not list, such as a rule or a subscription.
    Undeclared,
    /// It is the stack's by its tags, and not in the file.
    Orphan,
    /// The file has changed since it was last applied.
    Pending,
    /// AWS is as the file says.
    InSync,
}

impl Class {
    /// All classes, the most pressing first.
    pub const ALL: [Self; 10] = [
        Self::Unreadable,
        Self::LookAlike,
        Self::Missing,
        Self::Stopped,
        Self::Both,
        Self::Drifted,
        Self::Undeclared,
        Self::Orphan,
        Self::Pending,
        Self::InSync,
    ];

    /// Returns its name, as flags and documents have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::LookAlike => "look_alike",
            Self::Missing => "missing",
            Self::Stopped => "stopped",
            Self::Both => "both",
            Self::Drifted => "drifted",
            Self::Undeclared => "undeclared",
            Self::Orphan => "orphan",
            Self::Pending => "pending",
            Self::InSync => "in_sync",
        }
    }

    /// Returns what it means, in a few words.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Unreadable => "could not be read",
            Self::LookAlike => "same name, but not the stack's by its tags",
            Self::Missing => "in the file, not in AWS",
            Self::Stopped => "not in the wanted status",
            Self::Both => "changed in AWS and in the file",
            Self::Drifted => "changed in AWS since the last apply",
            Self::Undeclared => "more than the file lists",
            Self::Orphan => "the stack's by its tags, not in the file",
            Self::Pending => "changed in the file since the last apply",
            Self::InSync => "in sync",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What is the matter.
    pub class: Class,
    /// Dotted path below the resource, `tags.KEY` for a tag, empty for the resource as a whole.
    pub path: String,
    /// What the file says; null when it says nothing. Secrets are masked.
    pub wanted: Value,
    /// What AWS has; null when it has nothing. Secrets are masked.
    pub live: Value,
    /// More about it, for people.
    pub note: Option<String>,
    /// Line of the stack file, from one: the field's where the file has it, else the resource's.
    pub line: Option<usize>,
}

/// A finding that an ignore rule covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ignored {
    /// The finding.
    pub finding: Finding,
    /// The rule's reason.
    pub reason: String,
    /// The last day on which the rule holds.
    pub expires: Option<String>,
}

/// Who made the last change to an object, by CloudTrail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Author {
    /// User or role session.
    pub user: String,
    /// What was called, such as `UpdateFunctionConfiguration`.
    pub event: String,
    /// When, in RFC 3339.
    pub time: String,
}

/// What was found out about one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Logical id.
    pub id: String,
    /// Type of the resource.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name.
    pub name: String,
    /// Identifier in AWS, when there is an object.
    pub physical_id: Option<String>,
    /// Line of the stack file, from one; none for what is not in the file.
    pub line: Option<usize>,
    /// What is the matter, most pressing first: that of the first finding.
    pub class: Class,
    /// The differences, most pressing first; empty when it is in sync.
    pub findings: Vec<Finding>,
    /// Findings that ignore rules cover.
    pub ignored: Vec<Ignored>,
    /// Since when and why it does not run.
    pub halt: Option<Halt>,
    /// The command that would mend it.
    pub mend: Option<String>,
    /// Who changed it last.
    pub author: Option<Author>,
}

impl Entry {
    /// Tells whether any finding is of one of these classes.
    #[must_use]
    pub fn has(&self, classes: &[Class]) -> bool {
        self.findings.iter().any(|finding| classes.contains(&finding.class))
    }
}

/// Something besides resources that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unread {
    /// What was asked about.
    pub what: String,
    /// Operation, code, text and request id.
    pub error: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// What was found out about one stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Name of the stack.
    pub stack: String,
    /// Its file, as the user named it.
    pub file: String,
    /// Region.
    pub region: String,
    /// Account.
    pub account: String,
    /// Its resources: those of the file in its order, then what the file does not list.
    pub entries: Vec<Entry>,
    /// What else could not be read: listings by which the stack's objects are found.
    pub unread: Vec<Unread>,
    /// Ignore rules that no longer hold, as `RESOURCE: expired on DATE: REASON`.
    pub expired: Vec<String>,
    /// Ignore rules that hold and cover nothing, as `RESOURCE: REASON`.
    pub unused: Vec<String>,
}

impl Report {
    /// Tells whether everything could be read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unread.is_empty() && self.entries.iter().all(|entry| entry.class != Class::Unreadable)
    }

    /// Tells whether any finding is of one of these classes.
    #[must_use]
    pub fn has(&self, classes: &[Class]) -> bool {
        self.entries.iter().any(|entry| entry.has(classes))
    }

    /// Counts the resources by their classes; a class that none has is left out.
    #[must_use]
    pub fn counts(&self) -> Vec<(Class, usize)> {
        let count = |class: Class| self.entries.iter().filter(|entry| entry.class == class).count();
        Class::ALL.into_iter().map(|class| (class, count(class))).filter(|(_, count)| *count > 0).collect()
    }

    /// Counts the findings that ignore rules cover.
    #[must_use]
    pub fn ignored(&self) -> usize {
        self.entries.iter().map(|entry| entry.ignored.len()).sum()
    }
}

/// What was found out about all stacks that were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The stacks that were checked.
    pub reports: Vec<Report>,
    /// Files of stacks that could not be checked at all, and why.
    pub failures: Vec<(String, String)>,
    /// The classes that count as drift.
    pub fail_on: Vec<Class>,
}

impl Outcome {
    /// Tells whether anything counts as drift.
    #[must_use]
    pub fn has_drift(&self) -> bool {
        self.reports.iter().any(|report| report.has(&self.fail_on))
    }

    /// Counts the resources that count as drift.
    #[must_use]
    pub fn drifted(&self) -> usize {
        self.reports.iter().flat_map(|report| &report.entries).filter(|entry| entry.has(&self.fail_on)).count()
    }

    /// Tells whether everything could be read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.reports.iter().all(Report::is_complete)
    }
}

#[cfg(test)]
mod tests;
