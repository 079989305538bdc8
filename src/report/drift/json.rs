//! A drift report as one JSON document.

use serde_json::{Value, json as value};

use super::super::documents::FORMAT_VERSION;
use crate::drift::{Class, Outcome, Report};

/// Returns the document; its schema is `stacks/drift.schema.json`.
#[must_use]
pub fn json(outcome: &Outcome) -> Value {
    let failure = |(file, error): &(String, String)| value!({"file": file, "error": error});
    value!({
        "format_version": FORMAT_VERSION,
        "drifted": outcome.has_drift(),
        "complete": outcome.is_complete(),
        "fail_on": outcome.fail_on,
        "stacks": outcome.reports.iter().map(report).collect::<Vec<_>>(),
        "failures": outcome.failures.iter().map(failure).collect::<Vec<_>>(),
    })
}

fn report(report: &Report) -> Value {
    let counts =
        report.counts().into_iter().map(|(class, count): (Class, usize)| (class.name().to_owned(), count.into()));
    value!({
        "stack": report.stack,
        "file": report.file,
        "region": report.region,
        "account": report.account,
        "counts": Value::Object(counts.collect()),
        "ignored": report.ignored(),
        "resources": report.entries,
        "unread": report.unread,
        "expired": report.expired,
    })
}
