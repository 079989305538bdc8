//! Options of event source mappings: ranges, which source takes which, and defaults (`facts/aws.md` 11b.2).

use serde_json::{Map, Value, json};

use super::super::{Fault, pattern};
use super::mapping_source::Source;
use super::{constraint, invalid, within};

const MOST_FILTERS: usize = 5;
const STREAM_ONLY: [&str; 6] = [
    "ParallelizationFactor",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "BisectBatchOnFunctionError",
    "TumblingWindowInSeconds",
    "DestinationConfig",
];
const KEPT: [&str; 9] = [
    "BatchSize",
    "MaximumBatchingWindowInSeconds",
    "ParallelizationFactor",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "BisectBatchOnFunctionError",
    "TumblingWindowInSeconds",
    "FunctionResponseTypes",
    "ScalingConfig",
];

/// Returns what a mapping has that its creation does not say.
pub(super) fn defaults(source: &Source) -> Map<String, Value> {
    let all = if source.is_queue() {
        json!({ "BatchSize": 10, "MaximumBatchingWindowInSeconds": 0, "FunctionResponseTypes": [] })
    } else {
        json!({
            "BatchSize": 100, "MaximumBatchingWindowInSeconds": 0, "ParallelizationFactor": 1,
            "DestinationConfig": { "OnFailure": {} }, "MaximumRecordAgeInSeconds": -1,
            "BisectBatchOnFunctionError": false, "MaximumRetryAttempts": -1, "TumblingWindowInSeconds": 0,
            "FunctionResponseTypes": [],
        })
    };
    all.as_object().cloned().unwrap_or_default()
}

/// Checks the options of a mapping as a whole.
pub(super) fn check(source: &Source, body: &Value) -> Result<(), Fault> {
    within(body, "BatchSize", 1, 10_000)?;
    within(body, "MaximumBatchingWindowInSeconds", 0, 300)?;
    within(body, "ParallelizationFactor", 1, 10)?;
    within(body, "MaximumRetryAttempts", -1, 10_000)?;
    within(body, "TumblingWindowInSeconds", 0, 900)?;
    within(body, "MaximumRecordAgeInSeconds", -1, 604_800)?;
    let number = |field: &str| body.get(field).and_then(Value::as_i64);
    if number("MaximumRecordAgeInSeconds").is_some_and(|age| (0..60).contains(&age)) {
        return Err(invalid("MaximumRecordAgeInSeconds must be -1 or between 60 and 604800."));
    }
    if number("TumblingWindowInSeconds").is_some_and(|window| window > 0)
        && number("ParallelizationFactor").is_some_and(|factor| factor > 1)
    {
        return Err(invalid("ParallelizationFactor greater than 1 is not supported with a tumbling window."));
    }
    if source.is_queue() {
        check_queue(source, body)?;
    }
    response_types(body)?;
    filters(body)
}

fn check_queue(source: &Source, body: &Value) -> Result<(), Fault> {
    if let Some(field) = STREAM_ONLY.iter().find(|field| body.get(**field).is_some_and(|value| !value.is_null())) {
        return Err(invalid(format!("Unsupported parameter {field} for SQS event sources.")));
    }
    let batch = body.get("BatchSize").and_then(Value::as_i64).unwrap_or(10);
    let window = body.get("MaximumBatchingWindowInSeconds").and_then(Value::as_i64).unwrap_or(0);
    if source.is_fifo() && (batch > 10 || window > 0) {
        return Err(invalid("A FIFO queue has a batch size of at most 10 and no batching window."));
    }
    if batch > 10 && window == 0 {
        return Err(invalid(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
        ));
    }
    Ok(())
}

fn response_types(body: &Value) -> Result<(), Fault> {
    let given = body.get("FunctionResponseTypes").and_then(Value::as_array);
    match given.map_or(&[][..], Vec::as_slice) {
        [] => Ok(()),
        [one] if one == "ReportBatchItemFailures" => Ok(()),
        other => {
            let value = format!("Value '{}' at 'functionResponseTypes'", json!(other));
            Err(constraint(&value, "Member must satisfy enum value set: [ReportBatchItemFailures]"))
        }
    }
}

fn filters(body: &Value) -> Result<(), Fault> {
    let given = body.pointer("/FilterCriteria/Filters").and_then(Value::as_array);
    let filters = given.map_or(&[][..], Vec::as_slice);
    if filters.len() > MOST_FILTERS {
        return Err(invalid(format!("A mapping can have {MOST_FILTERS} filters at most.")));
    }
    for filter in filters {
        let pattern = filter.get("Pattern").and_then(Value::as_str).unwrap_or_default();
        if pattern.len() > 4096 || !serde_json::from_str(pattern).is_ok_and(|pattern| pattern::is_valid(&pattern)) {
            return Err(invalid("Invalid filter pattern definition."));
        }
    }
    Ok(())
}

/// Carries the options of a request over; an empty filter list clears, a missing one keeps.
pub(super) fn apply(into: &mut Map<String, Value>, body: &Value) {
    for field in KEPT {
        if let Some(value) = body.get(field).filter(|value| !value.is_null()) {
            into.insert(field.to_owned(), value.clone());
        }
    }
    if let Some(criteria) = body.get("FilterCriteria").filter(|value| !value.is_null()) {
        match criteria.get("Filters").and_then(Value::as_array).filter(|filters| !filters.is_empty()) {
            Some(filters) => into.insert("FilterCriteria".to_owned(), json!({ "Filters": filters })),
            None => into.shift_remove("FilterCriteria"),
        };
    }
    if let Some(destination) = body.get("DestinationConfig").filter(|value| !value.is_null()) {
        let target =
            destination.pointer("/OnFailure/Destination").and_then(Value::as_str).filter(|target| !target.is_empty());
        let kept = target
            .map_or_else(|| json!({ "OnFailure": {} }), |target| json!({ "OnFailure": { "Destination": target } }));
        into.insert("DestinationConfig".to_owned(), kept);
    }
    for field in ["KMSKeyArn", "MetricsConfig"] {
        match body.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.is_empty() => drop(into.shift_remove(field)),
            Some(value) => drop(into.insert(field.to_owned(), value.clone())),
        }
    }
}
