//! The options of one mapping, read from its row.
//!
//! It does not check them: a stored mapping was checked when it was made.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::local::lambda::polling::Polled;

/// Where records come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A Kinesis stream.
    Stream,
    /// The stream of a DynamoDB table.
    Table,
}

impl Kind {
    /// Tells what an event source is by its ARN; queues are not polled here.
    fn of(arn: &str) -> Option<Self> {
        match arn.split(':').nth(2) {
            Some("kinesis") => Some(Self::Stream),
            Some("dynamodb") => Some(Self::Table),
            _ => None,
        }
    }
}

/// What a mapping says about polling.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) id: String,
    pub(super) kind: Kind,
    /// ARN of the event source.
    pub(super) source: String,
    /// ARN of the function.
    pub(super) function: String,
    pub(super) region: String,
    pub(super) role: Option<String>,
    pub(super) batch: usize,
    /// How long a batch may wait to become full.
    pub(super) wait: Duration,
    /// Batches of one shard that are handled at once.
    pub(super) lanes: u32,
    pub(super) rules: Rules,
    /// Length of a tumbling window in milliseconds.
    pub(super) tumble: Option<i64>,
    /// Whether the function's answer names the records that failed.
    pub(super) report: bool,
    pub(super) destination: Option<String>,
    pub(super) filters: Vec<Map<String, Value>>,
    /// Milliseconds since the epoch of the first record to read; none for all that there are.
    pub(super) start: Option<i64>,
}

/// What happens to a batch that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rules {
    pub(super) bisect: bool,
    /// How often a batch is tried again; none for ever.
    pub(super) retries: Option<u32>,
    /// Milliseconds after which a record is given up; none never.
    pub(super) age: Option<i64>,
}

impl Options {
    /// Reads the options of a mapping; none for a source that is not polled.
    pub(super) fn read(row: &Polled) -> Option<Self> {
        let view = &row.view;
        let text = |field: &str| view.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |field: &str| view.get(field).and_then(Value::as_i64);
        let source = text("EventSourceArn");
        let kind = Kind::of(&source)?;
        let start = start(view, row.since).map(|start| match kind {
            Kind::Stream => start,
            // Changes of tables tell their time in whole seconds.
            Kind::Table => start - start.rem_euclid(1000),
        });
        Some(Self {
            id: text("UUID"),
            kind,
            source,
            function: text("FunctionArn"),
            region: row.region.clone(),
            role: row.role.clone(),
            batch: number("BatchSize").and_then(|size| usize::try_from(size).ok()).unwrap_or(100).max(1),
            wait: Duration::from_secs(small(number("MaximumBatchingWindowInSeconds")).unwrap_or(0).into()),
            lanes: small(number("ParallelizationFactor")).unwrap_or(1).max(1),
            rules: Rules {
                bisect: view.get("BisectBatchOnFunctionError") == Some(&Value::Bool(true)),
                retries: small(number("MaximumRetryAttempts")),
                age: number("MaximumRecordAgeInSeconds").filter(|age| *age >= 0).map(|age| age * 1000),
            },
            tumble: number("TumblingWindowInSeconds").filter(|window| *window > 0).map(|window| window * 1000),
            report: view.get("FunctionResponseTypes").and_then(Value::as_array).is_some_and(|all| !all.is_empty()),
            destination: view.get("DestinationConfig").and_then(destination),
            filters: view.get("FilterCriteria").map(filters).unwrap_or_default(),
            start,
        })
    }
}

/// Minus one stands for "without end".
fn small(number: Option<i64>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}

fn destination(config: &Value) -> Option<String> {
    config.pointer("/OnFailure/Destination").and_then(Value::as_str).map(str::to_owned)
}

fn filters(criteria: &Value) -> Vec<Map<String, Value>> {
    let all = criteria.get("Filters").and_then(Value::as_array).into_iter().flatten();
    let patterns = all.filter_map(|filter| filter.get("Pattern").and_then(Value::as_str));
    patterns.filter_map(|pattern| serde_json::from_str(pattern).ok()).collect()
}

/// `LATEST` is fixed when the mapping is enabled first, so a reader that starts later misses nothing.
fn start(view: &Map<String, Value>, since: i64) -> Option<i64> {
    match view.get("StartingPosition").and_then(Value::as_str) {
        Some("LATEST") => Some(since),
        Some("AT_TIMESTAMP") => view.get("StartingPositionTimestamp").and_then(milliseconds),
        _ => None,
    }
}

/// Reads a time in seconds since the epoch, as JSON APIs write it.
pub(super) fn milliseconds(seconds: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this era fit an i64")]
    seconds.as_f64().map(|seconds| (seconds * 1000.0).round() as i64)
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// Reads options from a row with the service's defaults and some changes.
    pub(in super::super) fn options(changes: &Value) -> Option<Options> {
        let mut view = json!({
            "UUID": "u", "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s",
            "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f", "BatchSize": 100,
            "MaximumBatchingWindowInSeconds": 0, "ParallelizationFactor": 1, "MaximumRecordAgeInSeconds": -1,
            "MaximumRetryAttempts": -1, "TumblingWindowInSeconds": 0, "BisectBatchOnFunctionError": false,
            "DestinationConfig": { "OnFailure": {} }, "FunctionResponseTypes": [], "StartingPosition": "LATEST",
        });
        view.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        Options::read(&Polled {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            view: view.as_object().unwrap().clone(),
            since: 5_000,
            role: Some("arn:aws:iam::000000000000:role/worker".to_owned()),
            version: String::new(),
        })
    }

    #[test]
    fn defaults_retry_for_ever_from_when_the_mapping_was_enabled() {
        let options = options(&json!({})).unwrap();
        assert_eq!(options.rules, Rules::default());
        assert_eq!((options.batch, options.lanes, options.tumble, options.start), (100, 1, None, Some(5_000)));
        assert_eq!((options.destination, options.filters.len(), options.report), (None, 0, false));
    }

    #[test]
    fn each_option_is_read() {
        let options = options(&json!({
            "MaximumRecordAgeInSeconds": 60, "MaximumRetryAttempts": 0, "TumblingWindowInSeconds": 2,
            "BisectBatchOnFunctionError": true, "DestinationConfig": { "OnFailure": { "Destination": "arn:x" } },
            "FunctionResponseTypes": ["ReportBatchItemFailures"], "StartingPosition": "AT_TIMESTAMP",
            "StartingPositionTimestamp": 1.5, "FilterCriteria": { "Filters": [{ "Pattern": r#"{"a":[1]}"# }] },
        }))
        .unwrap();
        assert_eq!(options.rules, Rules { bisect: true, retries: Some(0), age: Some(60_000) });
        assert_eq!((options.tumble, options.start, options.report), (Some(2_000), Some(1_500), true));
        assert_eq!((options.destination.as_deref(), options.filters.len()), (Some("arn:x"), 1));
    }

    #[test]
    fn queues_are_not_polled() {
        assert!(options(&json!({ "EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q" })).is_none());
        assert_eq!(options(&json!({ "StartingPosition": "TRIM_HORIZON" })).unwrap().start, None);
    }
}
