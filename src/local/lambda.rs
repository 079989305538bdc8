//! Lambda: functions, their permissions and event source mappings, and invocation of Python code.
//!
//! All but invocation is a function of stored rows; invocations run in the processes of [`Functions`]. Paths are
//! matched without their version date. It does not poll event sources: a mapping is a row that says what is to be
//! polled, and [`flow`](super::flow) polls.

mod code;
mod concurrency;
mod configuration;
mod environment;
mod function;
mod happen;
mod invoke;
mod list;
mod mapping;
mod mapping_options;
mod mapping_source;
mod permission;
pub(crate) mod polling;
mod run;
mod runtime;
mod tags;
#[cfg(test)]
mod tests;
mod update;

use serde_json::{Value, json};

use super::{Answer, Call, Cloud, Fault, Input, Outcome, Service, Tx, unknown_operation};

pub(crate) use self::run::{Functions, resume};

pub(crate) use self::function::exists;
pub(crate) use self::happen::{disable, fail, idle};
pub(crate) use self::permission::of_function as policy;

/// Tables whose rows can be tagged.
pub(crate) const TAGGABLE: &[super::store::Table] = &[function::FUNCTIONS, mapping::MAPPINGS];

/// Answers a call; a function that it changes starts anew.
pub(super) async fn handle(cloud: &Cloud, call: &Call) -> Outcome {
    if let Some(name) = invoke::target(call) {
        return invoke::invoke(cloud, call, name).await;
    }
    let answer = cloud.rows().transaction(call, |tx| Lambda.handle(tx, call))?;
    if let (Input::Rest { segments, .. }, "PUT" | "DELETE") = (&call.input, call.operation.as_str()) {
        let given = segments.iter().filter(|segment| !segment.is_empty()).nth(2);
        if let Some(Ok(name)) = given.map(|given| function::plain_name(call, given)) {
            cloud.functions().forget(call, &name);
        }
    }
    Ok(answer)
}

/// The service but for invocations; one value serves all accounts and regions.
pub(crate) struct Lambda;

impl Service for Lambda {
    fn handle(&self, tx: &mut Tx<'_>, call: &Call) -> Outcome {
        let Input::Rest { segments, .. } = &call.input else { return Err(unknown_operation(call)) };
        let path: Vec<&str> = segments.iter().map(String::as_str).filter(|segment| !segment.is_empty()).collect();
        match (call.operation.as_str(), path.as_slice()) {
            ("POST", [_, "functions"]) => function::create(tx, call),
            ("GET", [_, "functions"]) => list::functions(tx, call),
            (method, [_, "functions", name]) => whole(tx, call, method, name),
            (method, [_, "functions", name, part]) => part_of(tx, call, method, (name, part)),
            ("DELETE", [_, "functions", name, "policy", statement]) => permission::remove(tx, call, name, statement),
            ("POST", [_, "event-source-mappings"]) => mapping::create(tx, call),
            ("GET", [_, "event-source-mappings"]) => list::mappings(tx, call),
            (method, [_, "event-source-mappings", id]) => of_mapping(tx, call, method, id),
            (method, [_, "tags", arn @ ..]) => tags::handle(tx, call, method, &arn.join("/")),
            ("GET", [_, "account-settings"]) => concurrency::account(tx),
            _ => Err(unknown(call, &path)),
        }
    }
}

fn unknown(call: &Call, path: &[&str]) -> Fault {
    let text = format!("the local cloud's Lambda has no operation {} /{}", call.operation, path.join("/"));
    Fault::with_status(404, "UnknownOperationException", text)
}

fn whole(tx: &mut Tx<'_>, call: &Call, method: &str, name: &str) -> Outcome {
    match method {
        "GET" => function::get(tx, call, name),
        "DELETE" => function::delete(tx, call, name),
        _ => Err(unknown(call, &["functions", name])),
    }
}

fn part_of(tx: &mut Tx<'_>, call: &Call, method: &str, (name, part): (&str, &str)) -> Outcome {
    match (method, part) {
        ("GET", "configuration") => function::get_configuration(tx, call, name),
        ("PUT", "configuration") => update::configuration(tx, call, name),
        ("PUT", "code") => update::code(tx, call, name),
        ("GET", "policy") => permission::get(tx, call, name),
        ("POST", "policy") => permission::add(tx, call, name),
        ("GET", "concurrency") => concurrency::get(tx, call, name),
        ("PUT", "concurrency") => concurrency::put(tx, call, name),
        ("DELETE", "concurrency") => concurrency::delete(tx, call, name),
        ("GET", "versions") => list::versions(tx, call, name),
        ("GET", other) => side(tx, call, name, other),
        _ => Err(unknown(call, &["functions", name, part])),
    }
}

/// Answers for features that no function here uses, as AWS does for a function that does not use them.
fn side(tx: &mut Tx<'_>, call: &Call, name: &str, part: &str) -> Outcome {
    let function = function::load(tx, call, name)?;
    match part {
        "code-signing-config" => Ok(Answer::json(json!({ "FunctionName": function.name() }))),
        "aliases" => Ok(Answer::json(json!({ "Aliases": [] }))),
        "recursion-config" => Ok(Answer::json(json!({ "RecursiveLoop": "Terminate" }))),
        "runtime-management-config" => {
            Ok(Answer::json(json!({ "UpdateRuntimeOn": "Auto", "FunctionArn": function.arn })))
        }
        "event-invoke-config" => {
            Err(not_found(format!("The function {} doesn't have an EventInvokeConfig", function.arn)))
        }
        "url" => Err(not_found("The resource you requested does not exist.")),
        "provisioned-concurrency" => {
            let text = "No Provisioned Concurrency Config found for this function";
            Err(Fault::with_status(404, "ProvisionedConcurrencyConfigNotFoundException", text))
        }
        _ => Err(unknown(call, &["functions", name, part])),
    }
}

fn of_mapping(tx: &mut Tx<'_>, call: &Call, method: &str, id: &str) -> Outcome {
    match method {
        "GET" => mapping::get(tx, call, id),
        "PUT" => mapping::update(tx, call, id),
        "DELETE" => mapping::delete(tx, call, id),
        _ => Err(unknown(call, &["event-source-mappings", id])),
    }
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidParameterValueException", message)
}

fn not_found(message: impl Into<String>) -> Fault {
    Fault::with_status(404, "ResourceNotFoundException", message)
}

fn conflict(message: impl Into<String>) -> Fault {
    Fault::with_status(409, "ResourceConflictException", message)
}

/// Returns a text field of the body.
fn text<'a>(body: &'a Value, field: &str) -> Option<&'a str> {
    body.get(field).and_then(Value::as_str)
}

/// Returns a text field of the body that must be there.
fn required<'a>(body: &'a Value, field: &str) -> Result<&'a str, Fault> {
    text(body, field).ok_or_else(|| {
        let place = format!("{}{}", field[..1].to_lowercase(), &field[1..]);
        constraint(&format!("Value null at '{place}'"), "Member must not be null")
    })
}

fn constraint(what: &str, rule: &str) -> Fault {
    Fault::new(
        "ValidationException",
        format!("1 validation error detected: {what} failed to satisfy constraint: {rule}"),
    )
}

/// Checks a number against its bounds; a missing field passes.
fn within(body: &Value, field: &str, least: i64, most: i64) -> Result<(), Fault> {
    let Some(value) = body.get(field).filter(|value| !value.is_null()) else { return Ok(()) };
    let rule = match value.as_i64() {
        Some(number) if (least..=most).contains(&number) => return Ok(()),
        Some(number) if number < least => format!("Member must have value greater than or equal to {least}"),
        Some(_) => format!("Member must have value less than or equal to {most}"),
        None => "Member must be a number".to_owned(),
    };
    Err(constraint(&format!("Value '{value}' at '{field}'"), &rule))
}

/// Returns a field of the query string.
fn query<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    let Input::Rest { query, .. } = &call.input else { return None };
    query.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}
