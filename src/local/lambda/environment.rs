//! Environment variables of functions: names, reserved names and size.

use serde_json::{Map, Value, json};

use super::super::Fault;
use super::{constraint, invalid};

const LARGEST: usize = 4096;
const RESERVED: [&str; 17] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
];

/// Replaces the environment as a whole; an empty map removes it.
pub(super) fn apply(into: &mut Map<String, Value>, body: &Value) -> Result<(), Fault> {
    let Some(given) = body.get("Environment").filter(|given| !given.is_null()) else { return Ok(()) };
    let variables = given.get("Variables").and_then(Value::as_object).cloned().unwrap_or_default();
    check(&variables)?;
    if variables.is_empty() {
        into.shift_remove("Environment");
    } else {
        into.insert("Environment".to_owned(), json!({ "Variables": variables }));
    }
    Ok(())
}

fn check(variables: &Map<String, Value>) -> Result<(), Fault> {
    let start =
        "Lambda was unable to configure your environment variables because the environment variables you have provided";
    let reserved: Vec<&str> = variables.keys().map(String::as_str).filter(|name| RESERVED.contains(name)).collect();
    if !reserved.is_empty() {
        return Err(invalid(format!(
            "{start} contains reserved keys that are currently not supported for modification. Reserved keys used in this request: {}",
            reserved.join(", ")
        )));
    }
    for (name, value) in variables {
        let letters = name.len() > 1 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !letters || !name.starts_with(|first: char| first.is_ascii_alphabetic()) || !value.is_string() {
            let rule = "Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+ and have a text";
            return Err(constraint(&format!("Value '{name}' at 'environment.variables'"), rule));
        }
    }
    // The size that counts is that of the variables written as JSON.
    if Value::Object(variables.clone()).to_string().len() > LARGEST {
        return Err(invalid(format!("{start} exceeded the 4KB limit.")));
    }
    Ok(())
}
