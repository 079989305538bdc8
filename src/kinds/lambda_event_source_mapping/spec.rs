//! What a mapping is like: the fields of a stack file, their normal form and what is checked offline.
//!
//! Knows no AWS client.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::kind::Fault;

/// What a mapping is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// ARN of the Kinesis stream, DynamoDB stream or SQS queue that is read.
    #[schemars(extend("x-immutable" = true))]
    pub event_source_arn: String,
    /// Name or ARN of the function, possibly of a version or alias of it.
    #[serde(deserialize_with = "function")]
    pub function_name: String,
    /// Where reading begins; required for streams.
    #[schemars(extend("x-immutable" = true))]
    #[serde(default)]
    pub starting_position: Option<StartingPosition>,
    /// With `AT_TIMESTAMP`: seconds since 1970-01-01 UTC.
    #[schemars(extend("x-immutable" = true))]
    #[serde(default)]
    pub starting_position_timestamp: Option<i64>,
    /// Most records of one invocation; unset for 100 from streams and 10 from queues.
    #[schemars(range(min = 1, max = 10_000))]
    #[serde(default)]
    pub batch_size: Option<i32>,
    /// Seconds for which records are gathered before an invocation, 0 unless set.
    #[schemars(range(min = 0, max = 300))]
    #[serde(default)]
    pub maximum_batching_window_in_seconds: i32,
    /// Batches of one shard that are worked on at once, 1 unless set.
    #[schemars(range(min = 1, max = 10))]
    #[serde(default = "one")]
    pub parallelization_factor: i32,
    /// Whether a failed batch is split in two before it is tried again.
    #[serde(default)]
    pub bisect_batch_on_function_error: bool,
    /// How often a failed batch is tried again; -1, as when unset, until its records expire.
    #[schemars(range(min = -1, max = 10_000))]
    #[serde(default = "endless")]
    pub maximum_retry_attempts: i32,
    /// Seconds after which a record is passed over; -1, as when unset, never, else 60 or more.
    #[schemars(range(min = -1, max = 604_800))]
    #[serde(default = "endless")]
    pub maximum_record_age_in_seconds: i32,
    /// Seconds of a tumbling window, 0 unless set for none.
    #[schemars(range(min = 0, max = 900))]
    #[serde(default)]
    pub tumbling_window_in_seconds: i32,
    /// Which records start the function; unset for all.
    #[serde(default)]
    pub filter_criteria: FilterCriteria,
    /// Where notes about records that were passed over go.
    #[serde(default)]
    pub destination_config: DestinationConfig,
    /// `ReportBatchItemFailures` lets the function name the records that failed.
    #[serde(default)]
    pub function_response_types: BTreeSet<FunctionResponseType>,
    /// Whether the function is started, true unless set.
    #[serde(default = "yes")]
    #[schemars(extend("x-status" = true))]
    pub enabled: bool,
    /// ARN of the key that encrypts the filters; unset for one of AWS's.
    #[serde(default, deserialize_with = "no_empty_text")]
    pub kms_key_arn: Option<String>,
    /// Further metrics of the mapping.
    #[serde(default)]
    pub metrics_config: MetricsConfig,
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StartingPosition {
    /// With the oldest record that the stream keeps.
    TrimHorizon,
    /// With the next record.
    Latest,
    /// With the first record since a time.
    AtTimestamp,
}

/// Which records start the function: those that any filter lets through.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilterCriteria {
    /// Filters, at most ten.
    #[schemars(length(max = 10))]
    #[serde(deserialize_with = "sorted_filters")]
    pub filters: Vec<Filter>,
}

/// One filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Pattern, as an object or as JSON text; for the payload of Kinesis records below `data`.
    #[serde(deserialize_with = "pattern")]
    pub pattern: Value,
}

/// Where notes about records that were passed over go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DestinationConfig {
    /// What happens on failure.
    pub on_failure: OnFailure,
}

/// What happens on failure.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OnFailure {
    /// ARN of a queue, a topic or a bucket; the function's role must be allowed to write to it.
    #[serde(deserialize_with = "no_empty_text")]
    pub destination: Option<String>,
}

/// What the function answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum FunctionResponseType {
    /// The records of the batch that failed.
    ReportBatchItemFailures,
}

/// Further metrics of a mapping.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// `EventCount` for numbers of records polled, filtered, delivered and failed.
    pub metrics: BTreeSet<Metric>,
}

/// A metric of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Metric {
    /// Numbers of records.
    EventCount,
    /// Numbers of errors.
    ErrorCount,
    /// Kafka's own.
    KafkaMetrics,
}

pub(super) fn one() -> i32 {
    1
}

pub(super) fn endless() -> i32 {
    -1
}

fn yes() -> bool {
    true
}

fn function<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    Ok(function_of(&String::deserialize(input)?))
}

/// Returns the normal form of a function's name: `NAME` or `NAME:QUALIFIER`, also for an ARN or a partial ARN.
///
/// A mapping and its function are always of one account and region, so nothing is lost.
pub(super) fn function_of(text: &str) -> String {
    let Some((_, name)) = text.split_once("function:") else { return text.to_owned() };
    name.strip_suffix(":$LATEST").unwrap_or(name).to_owned()
}

fn pattern<'de, D: Deserializer<'de>>(input: D) -> Result<Value, D::Error> {
    Ok(pattern_of(Value::deserialize(input)?))
}

/// Patterns are compared as JSON; text that is none is kept as it is and found by the check.
pub(super) fn pattern_of(value: Value) -> Value {
    let mut pattern = match value {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    };
    pattern.sort_all_objects();
    pattern
}

fn sorted_filters<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Filter>, D::Error> {
    Ok(sorted(Vec::deserialize(input)?))
}

/// The order of filters means nothing.
pub(super) fn sorted(mut filters: Vec<Filter>) -> Vec<Filter> {
    filters.sort_by_cached_key(|filter| filter.pattern.to_string());
    filters
}

fn no_empty_text<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(input)?.filter(|text| !text.is_empty()))
}

impl Spec {
    /// Lists what is wrong with the spec.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut range = |path: &str, value: i32, low: i32, high: i32| {
            if !(low..=high).contains(&value) {
                faults.push(Fault::new(path, format!("must be between {low} and {high}")));
            }
        };
        range("batch_size", self.batch_size.unwrap_or(1), 1, 10_000);
        range("maximum_batching_window_in_seconds", self.maximum_batching_window_in_seconds, 0, 300);
        range("parallelization_factor", self.parallelization_factor, 1, 10);
        range("maximum_retry_attempts", self.maximum_retry_attempts, -1, 10_000);
        range("maximum_record_age_in_seconds", self.maximum_record_age_in_seconds, -1, 604_800);
        range("tumbling_window_in_seconds", self.tumbling_window_in_seconds, 0, 900);
        if (0..60).contains(&self.maximum_record_age_in_seconds) {
            faults.push(Fault::new("maximum_record_age_in_seconds", "must be -1, or 60 or more"));
        }
        self.check_position(&mut faults);
        self.check_filters(&mut faults);
        faults
    }

    fn check_position(&self, faults: &mut Vec<Fault>) {
        let at_time = self.starting_position == Some(StartingPosition::AtTimestamp);
        if at_time != self.starting_position_timestamp.is_some() {
            faults.push(Fault::new(
                "starting_position_timestamp",
                "goes with starting_position AT_TIMESTAMP, and only with it",
            ));
        }
        let stream = [":kinesis:", ":dynamodb:"].iter().any(|service| self.event_source_arn.contains(service));
        if stream && self.starting_position.is_none() {
            faults.push(Fault::new("starting_position", "is required for a stream").help("set LATEST or TRIM_HORIZON"));
        }
    }

    fn check_filters(&self, faults: &mut Vec<Fault>) {
        if self.filter_criteria.filters.len() > 10 {
            faults.push(Fault::new("filter_criteria.filters", "has more than 10 filters"));
        }
        for (index, filter) in self.filter_criteria.filters.iter().enumerate() {
            let later = filter.pattern.as_str().is_some_and(|text| text.contains("${"));
            if !filter.pattern.is_object() && !later {
                let at = format!("filter_criteria.filters.{index}.pattern");
                faults.push(Fault::new(at, "must be a JSON object").help("such as {data: {gate: [Aeroflot]}}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(changes: &Value) -> Spec {
        let mut value = json!({"event_source_arn": "${s.arn}", "function_name": "f", "starting_position": "LATEST"});
        for (name, change) in changes.as_object().into_iter().flatten() {
            value[name] = change.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_function_is_known_by_name_however_it_is_named() {
        for (given, normal) in [
            ("f", "f"),
            ("${f.arn}", "${f.arn}"),
            ("arn:aws:lambda:us-east-1:123456789012:function:f", "f"),
            ("123456789012:function:f:live", "f:live"),
            ("arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST", "f"),
        ] {
            assert_eq!(function_of(given), normal);
            assert_eq!(function_of(&function_of(given)), normal);
        }
    }

    #[test]
    fn patterns_are_compared_as_json_in_any_order() {
        let text = json!({"filters": [{"pattern": r#"{"data": {"b": [1], "a": [2]}}"#}, {"pattern": {"a": ["x"]}}]});
        let object = json!({"filters": [{"pattern": {"a": ["x"]}}, {"pattern": {"data": {"a": [2], "b": [1]}}}]});
        let specs = [spec(&json!({"filter_criteria": text})), spec(&json!({"filter_criteria": object}))];
        assert_eq!(serde_json::to_string(&specs[0]).unwrap(), serde_json::to_string(&specs[1]).unwrap());
        assert!(specs[0].faults().is_empty());
        let broken = spec(&json!({"filter_criteria": {"filters": [{"pattern": "{"}]}}));
        assert_eq!(broken.faults()[0].path, "filter_criteria.filters.0.pattern");
    }

    #[test]
    fn positions_and_ranges_are_checked() {
        let at_time = spec(&json!({"starting_position": "AT_TIMESTAMP"}));
        assert_eq!(at_time.faults()[0].path, "starting_position_timestamp");
        let stream = json!({"event_source_arn": "arn:aws:kinesis:us-east-1:1:stream/s", "starting_position": null});
        assert_eq!(spec(&stream).faults()[0].path, "starting_position");
        assert_eq!(spec(&json!({"maximum_record_age_in_seconds": 30})).faults().len(), 1);
        assert_eq!(spec(&json!({"parallelization_factor": 0})).faults()[0].path, "parallelization_factor");
    }
}
