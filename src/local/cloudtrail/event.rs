//! What CloudTrail writes down of a call: which calls are events at all, what they are called, and what they name.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::local::registry::Entry;
use crate::local::{Call, Input};

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Event {
    /// Counts the events of an account and region.
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) source: String,
    /// Milliseconds since the epoch.
    pub(super) time: i64,
    pub(super) user: String,
    pub(super) resources: Vec<String>,
    /// The event as JSON text, as trails have it.
    pub(super) record: String,
}

/// Starts of the names of operations that only read.
const READS: [&str; 12] = [
    "Get",
    "List",
    "Describe",
    "Lookup",
    "Simulate",
    "BatchGet",
    "Query",
    "Scan",
    "Filter",
    "Discover",
    "Test",
    "AssumeRole",
];

/// Operations on data, which are no management events.
const DATA: [&str; 18] = [
    "PutRecord",
    "PutRecords",
    "SubscribeToShard",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "BatchWriteItem",
    "TransactWriteItems",
    "TransactGetItems",
    "ExecuteStatement",
    "ExecuteTransaction",
    "BatchExecuteStatement",
    "Publish",
    "PublishBatch",
    "PutLogEvents",
    "StartQuery",
    "StopQuery",
    "Invoke",
];

/// Fields of requests that name resources.
const NAMES: [&str; 26] = [
    "StreamName",
    "StreamARN",
    "TableName",
    "Name",
    "ResourceArn",
    "ResourceARN",
    "ResourceId",
    "ApplicationName",
    "FunctionName",
    "EventSourceArn",
    "logGroupName",
    "logGroupIdentifier",
    "resourceArn",
    "RoleName",
    "PolicyName",
    "PolicyArn",
    "InstanceProfileName",
    "TopicArn",
    "SubscriptionArn",
    "GroupId",
    "GroupName",
    "InstanceId",
    "SpotInstanceRequestId",
    "VolumeId",
    "KeyName",
    "Names",
];

/// Returns the name of a call's event, when it is a management event that writes.
pub(super) fn name(call: &Call) -> Option<String> {
    if let Input::Rest { segments, .. } = &call.input {
        return function_event(&call.operation, segments);
    }
    let operation = call.operation.as_str();
    let reads = READS.iter().any(|start| operation.starts_with(start));
    (!reads && !DATA.contains(&operation)).then(|| operation.to_owned())
}

/// CloudTrail puts the date of the API, and of its revision, behind the names of Lambda's operations.
fn function_event(method: &str, segments: &[String]) -> Option<String> {
    let parts: Vec<&str> = segments.iter().skip(1).map(String::as_str).collect();
    let name = match (method, parts.as_slice()) {
        ("POST", ["functions"]) => "CreateFunction20150331",
        ("DELETE", ["functions", _]) => "DeleteFunction20150331",
        ("PUT", ["functions", _, "code"]) => "UpdateFunctionCode20150331v2",
        ("PUT", ["functions", _, "configuration"]) => "UpdateFunctionConfiguration20150331v2",
        ("POST", ["functions", _, "policy"]) => "AddPermission20150331v2",
        ("DELETE", ["functions", _, "policy", _]) => "RemovePermission20150331v2",
        ("PUT", ["functions", _, "concurrency"]) => "PutFunctionConcurrency20171031",
        ("DELETE", ["functions", _, "concurrency"]) => "DeleteFunctionConcurrency20171031",
        ("POST", ["event-source-mappings"]) => "CreateEventSourceMapping20150331",
        ("PUT", ["event-source-mappings", _]) => "UpdateEventSourceMapping20150331",
        ("DELETE", ["event-source-mappings", _]) => "DeleteEventSourceMapping20150331",
        ("POST", ["tags", ..]) => "TagResource20170331v2",
        ("DELETE", ["tags", ..]) => "UntagResource20170331v2",
        _ => return None,
    };
    Some(name.to_owned())
}

/// Returns the names of the resources that a request has.
pub(super) fn resources(call: &Call) -> Vec<String> {
    let mut names = match &call.input {
        Input::Json(body) => in_body(body),
        Input::Query(params) => {
            let is_name = |field: &str| {
                let field = field.split('.').next().unwrap_or_default();
                NAMES.contains(&field)
            };
            params.0.iter().filter(|(field, _)| is_name(field)).map(|(_, value)| value.clone()).collect()
        }
        Input::Rest { segments, body, .. } => {
            let mut names = in_body(body);
            match segments.get(1).map(String::as_str) {
                Some("tags") => names.push(segments[2..].join("/")),
                _ => names.extend(segments.get(2).cloned()),
            }
            names
        }
    };
    names.sort();
    names.dedup();
    names
}

fn in_body(body: &Value) -> Vec<String> {
    let texts = |value: &Value| match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    NAMES.iter().filter_map(|name| body.get(name)).flat_map(texts).collect()
}

/// Returns the name of the service in events.
pub(super) fn source(entry: &Entry) -> String {
    format!("{}.amazonaws.com", entry.signing)
}
