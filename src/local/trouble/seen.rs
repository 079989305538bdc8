//! A call as experiments and the journal see it.

use crate::local::access;
use crate::local::registry::{Entry, Wire};
use crate::local::{Call, Input};

/// Starts of the names of operations that change nothing.
const READS: &[&str] = &[
    "Get", "List", "Describe", "Lookup", "Simulate", "Query", "Scan", "BatchGet", "Filter", "Test", "Check",
    "Discover", "Assume",
];

/// Fields in which calls name what they are about, the most telling first.
const NAMES: &[&str] = &[
    "StreamName",
    "TableName",
    "FunctionName",
    "ApplicationName",
    "InstanceProfileName",
    "RoleName",
    "PolicyName",
    "logGroupName",
    "TopicArn",
    "SubscriptionArn",
    "StreamARN",
    "PolicyArn",
    "ResourceARN",
    "ResourceArn",
    "resourceArn",
    "GroupName",
    "GroupId",
    "InstanceId.1",
    "InstanceId",
    "SpotInstanceRequestId.1",
    "VolumeId",
    "ResourceId.1",
    "EventSourceArn",
    "Name",
];

/// What is known of a call before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) service: &'static str,
    pub(super) operation: String,
    /// Name or identifier of what it is about, as the call gives it.
    pub(super) resource: Option<String>,
    /// Whether it may change something.
    pub(super) writes: bool,
}

impl Seen {
    pub(super) fn of(entry: &Entry, call: &Call) -> Self {
        let operation = operation(entry, call);
        let writes = !READS.iter().any(|start| operation.starts_with(start));
        Self { service: entry.signing, operation, resource: resource(call), writes }
    }
}

/// Returns the operation as AWS names it; Lambda's calls show it only by method and path.
pub(super) fn operation(entry: &Entry, call: &Call) -> String {
    match entry.wire {
        Wire::Rest => access::lambda_operation(call),
        _ => call.operation.clone(),
    }
}

fn resource(call: &Call) -> Option<String> {
    let field = |name: &&str| match &call.input {
        Input::Query(params) => params.get(name).map(str::to_owned),
        Input::Json(body) | Input::Rest { body, .. } => body.get(name)?.as_str().map(str::to_owned),
    };
    let in_path = match &call.input {
        Input::Rest { segments, .. } => segments.iter().filter(|part| !part.is_empty()).nth(2).cloned(),
        _ => None,
    };
    in_path.or_else(|| NAMES.iter().find_map(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::registry::SERVICES;
    use crate::local::{Call, Params};
    use serde_json::json;

    fn seen(service: &str, operation: &str, input: Input) -> Seen {
        let entry = SERVICES.iter().find(|entry| entry.signing == service).unwrap();
        Seen::of(entry, &Call::new(operation, input, 0))
    }

    #[test]
    fn calls_are_known_by_their_operation_and_what_they_are_about() {
        let role = Input::Query(Params::parse(b"RoleName=r&PolicyName=p"));
        let put = seen("iam", "PutRolePolicy", role);
        assert_eq!((put.resource.as_deref(), put.writes), (Some("r"), true));
        let read = seen("dynamodb", "BatchGetItem", Input::Json(json!({})));
        assert_eq!((read.resource, read.writes), (None, false));
    }

    #[test]
    fn operations_of_lambda_have_their_names() {
        let rest = |path: &str, body| {
            let segments = path.split('/').map(str::to_owned).collect();
            Input::Rest { segments, query: Vec::new(), body }
        };
        let made = seen("lambda", "POST", rest("2015-03-31/functions", json!({"FunctionName": "f"})));
        assert_eq!(
            (made.operation.as_str(), made.resource.as_deref(), made.writes),
            ("CreateFunction", Some("f"), true)
        );
        let called = seen("lambda", "POST", rest("2015-03-31/functions/f/invocations", json!({})));
        assert_eq!((called.operation.as_str(), called.writes), ("Invoke", true));
        let read = seen("lambda", "GET", rest("2015-03-31/event-source-mappings/m", json!(null)));
        assert_eq!(
            (read.operation.as_str(), read.resource.as_deref(), read.writes),
            ("GetEventSourceMapping", Some("m"), false)
        );
    }
}
