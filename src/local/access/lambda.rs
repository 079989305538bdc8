//! What calls to Lambda need: method and path are the operation.

use serde_json::Value;

use crate::local::{Call, Input};

use super::needs::Need;

/// Operations on one function: method, part of the path behind its name, action.
const PARTS: &[(&str, &str, &str)] = &[
    ("GET", "", "GetFunction"),
    ("DELETE", "", "DeleteFunction"),
    ("GET", "configuration", "GetFunctionConfiguration"),
    ("PUT", "configuration", "UpdateFunctionConfiguration"),
    ("PUT", "code", "UpdateFunctionCode"),
    ("POST", "invocations", "InvokeFunction"),
    ("GET", "policy", "GetPolicy"),
    ("POST", "policy", "AddPermission"),
    ("DELETE", "policy", "RemovePermission"),
    ("GET", "concurrency", "GetFunctionConcurrency"),
    ("PUT", "concurrency", "PutFunctionConcurrency"),
    ("DELETE", "concurrency", "DeleteFunctionConcurrency"),
    ("GET", "versions", "ListVersionsByFunction"),
    ("GET", "aliases", "ListAliases"),
    ("GET", "code-signing-config", "GetFunctionCodeSigningConfig"),
    ("GET", "recursion-config", "GetFunctionRecursionConfig"),
    ("GET", "runtime-management-config", "GetRuntimeManagementConfig"),
    ("GET", "event-invoke-config", "GetFunctionEventInvokeConfig"),
    ("GET", "url", "GetFunctionUrlConfig"),
    ("GET", "provisioned-concurrency", "GetProvisionedConcurrencyConfig"),
];

/// What stands for a path that the service does not have either.
const NOTHING: &str = "UnknownOperation";

pub(super) fn needs(call: &Call) -> Vec<Need> {
    let Input::Rest { segments, query, body } = &call.input else { return vec![need(NOTHING, "*")] };
    let path: Vec<&str> = segments.iter().map(String::as_str).filter(|segment| !segment.is_empty()).collect();
    let method = call.operation.as_str();
    let qualifier = query.iter().find(|(name, _)| name == "Qualifier").map(|(_, value)| value.as_str());
    let mut needs = match path.as_slice() {
        [_, "functions"] if method == "POST" => {
            vec![need("CreateFunction", &function(call, text(body, "FunctionName"), None))]
        }
        [_, "functions"] => vec![need("ListFunctions", "*")],
        [_, "functions", name, rest @ ..] => {
            let part = rest.first().copied().unwrap_or_default();
            let known = PARTS.iter().find(|(known, place, _)| *known == method && *place == part);
            vec![need(known.map_or(NOTHING, |(.., action)| action), &function(call, name, qualifier))]
        }
        [_, "event-source-mappings", rest @ ..] => vec![mapping(call, method, rest.first().copied())],
        [_, "tags", arn @ ..] => vec![need(tags(method), &arn.join("/"))],
        [_, "account-settings"] => vec![need("GetAccountSettings", "*")],
        _ => vec![need(NOTHING, "*")],
    };
    let changes = matches!((method, path.last()), ("POST", Some(&"functions")) | ("PUT", Some(&"configuration")));
    if let Some(role) = body.get("Role").and_then(Value::as_str).filter(|_| changes) {
        needs.push(Need::pass(role, "lambda.amazonaws.com"));
    }
    needs
}

fn need(operation: &str, resource: &str) -> Need {
    Need::new("lambda", operation, resource)
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Builds the ARN of a function that is given by name, partial ARN or ARN.
fn function(call: &Call, given: &str, qualifier: Option<&str>) -> String {
    let name = given.split_once("function:").map_or(given, |(_, name)| name);
    let arn =
        if given.starts_with("arn:") { given.to_owned() } else { call.arn("lambda", &format!("function:{name}")) };
    qualifier.map_or_else(|| arn.clone(), |qualifier| format!("{arn}:{qualifier}"))
}

fn mapping(call: &Call, method: &str, id: Option<&str>) -> Need {
    let operation = match (method, id) {
        ("POST", None) => return need("CreateEventSourceMapping", "*"),
        (_, None) => return need("ListEventSourceMappings", "*"),
        ("PUT", _) => "UpdateEventSourceMapping",
        ("DELETE", _) => "DeleteEventSourceMapping",
        _ => "GetEventSourceMapping",
    };
    need(operation, &call.arn("lambda", &format!("event-source-mapping:{}", id.unwrap_or_default())))
}

fn tags(method: &str) -> &'static str {
    match method {
        "POST" => "TagResource",
        "DELETE" => "UntagResource",
        _ => "ListTags",
    }
}
