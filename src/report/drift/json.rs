//! A drift report as one JSON document, and the schema of such documents.

use indexmap::IndexMap;
use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde_json::{Value, json as value};

use super::super::documents::FORMAT_VERSION;
use crate::drift::{Class, Entry, Outcome, Report, Unread};

/// What `stackctl drift --format json` prints.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "stackctl drift report")]
struct Document<'a> {
    /// Version of this form. A new minor number adds fields; a new major number changes or removes some.
    format_version: &'static str,
    /// Whether anything is of a class that counts as drift.
    drifted: bool,
    /// Whether everything could be read.
    complete: bool,
    /// The classes that count as drift.
    fail_on: &'a [Class],
    /// The stacks that were checked.
    stacks: Vec<Checked<'a>>,
    /// The stacks that could not be checked at all.
    failures: Vec<Failure<'a>>,
}

/// One stack.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Stack")]
struct Checked<'a> {
    /// Its name.
    stack: &'a str,
    /// Its file, as the user named it.
    file: &'a str,
    /// Region.
    region: &'a str,
    /// Account.
    account: &'a str,
    /// Number of resources by class; a class that none has is left out.
    counts: IndexMap<&'static str, usize>,
    /// Number of findings that ignore rules cover.
    ignored: usize,
    /// Its resources: those of the file in its order, then what the file does not list.
    resources: &'a [Entry],
    /// What else could not be read.
    unread: &'a [Unread],
    /// Ignore rules that no longer hold.
    expired: &'a [String],
    /// Ignore rules that hold and cover nothing.
    unused: &'a [String],
}

/// A stack that could not be checked.
#[derive(Serialize, JsonSchema)]
struct Failure<'a> {
    /// Its file.
    file: &'a str,
    /// Why.
    error: &'a str,
}

/// Returns the document.
#[must_use]
pub fn json(outcome: &Outcome) -> Value {
    value!(Document {
        format_version: FORMAT_VERSION,
        drifted: outcome.has_drift(),
        complete: outcome.is_complete(),
        fail_on: &outcome.fail_on,
        stacks: outcome.reports.iter().map(stack).collect(),
        failures: outcome.failures.iter().map(|(file, error)| Failure { file, error }).collect(),
    })
}

/// Returns the JSON Schema of the document.
#[must_use]
pub fn schema() -> Value {
    schema_for!(Document<'static>).to_value()
}

fn stack(report: &Report) -> Checked<'_> {
    Checked {
        stack: &report.stack,
        file: &report.file,
        region: &report.region,
        account: &report.account,
        counts: report.counts().into_iter().map(|(class, count)| (class.name(), count)).collect(),
        ignored: report.ignored(),
        resources: &report.entries,
        unread: &report.unread,
        expired: &report.expired,
        unused: &report.unused,
    }
}
