//! Kinesis Data Analytics for SQL, API version 2015-08-14: applications as control-plane objects.
//!
//! It checks what the service checked (names, schemas, roles, versions, states) and accepts what the service
//! accepted, above all an output name that the SQL never creates (`facts/aws.md` 2.8). [`run`] is the SQL itself;
//! what moves the records of a running application is [`flow`](super::flow).

mod application;
mod checks;
mod lifecycle;
pub(crate) mod note;
mod parts;
mod program;
pub(crate) mod run;
mod second;
mod sql;
mod tags;
#[cfg(test)]
mod tests;

use std::fmt::Display;

use serde_json::Value;

pub(crate) use application::{Application, Part, TABLE};
pub(crate) use lifecycle::halt;
pub(crate) use second::Second;

use super::{Answer, Call, Fault, Outcome, Service, Tx, unknown_operation};

/// Tables whose rows can be tagged.
pub(crate) const TAGGABLE: &[super::store::Table] = &[application::TABLE];

/// The service; one value serves all accounts and regions.
pub(crate) struct Analytics;

impl Service for Analytics {
    fn handle(&self, tx: &mut Tx<'_>, call: &Call) -> Outcome {
        refuse_retired(call)?;
        match call.operation.as_str() {
            "CreateApplication" => application::create(tx, call),
            "DescribeApplication" => application::describe(tx, call),
            "ListApplications" => application::list(tx, call),
            "UpdateApplication" => parts::update(tx, call),
            "DeleteApplication" => lifecycle::delete(tx, call),
            "StartApplication" => lifecycle::start(tx, call),
            "StopApplication" => lifecycle::stop(tx, call),
            "TagResource" => tags::tag(tx, call),
            "UntagResource" => tags::untag(tx, call),
            "ListTagsForResource" => tags::list(tx, call),
            "DiscoverInputSchema" => Err(Fault::new(
                "UnableToDetectSchemaException",
                "the local cloud does not sample records; write the schema of the input by hand",
            )),
            _ => part(tx, call),
        }
    }
}

fn part(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    match call.operation.as_str() {
        "AddApplicationInput" => parts::add_input(tx, call),
        "AddApplicationInputProcessingConfiguration" => parts::add_processing(tx, call),
        "DeleteApplicationInputProcessingConfiguration" => parts::delete_processing(tx, call),
        "AddApplicationOutput" => parts::add_output(tx, call),
        "DeleteApplicationOutput" => parts::delete_output(tx, call),
        "AddApplicationReferenceDataSource" => parts::add_reference(tx, call),
        "DeleteApplicationReferenceDataSource" => parts::delete_reference(tx, call),
        "AddApplicationCloudWatchLoggingOption" => parts::add_logging(tx, call),
        "DeleteApplicationCloudWatchLoggingOption" => parts::delete_logging(tx, call),
        _ => Err(unknown_operation(call)),
    }
}

/// Refuses new applications as AWS has done since 15 October 2025 (`facts/aws.md` 15), when it is asked for.
// The code and the form of the text follow the refusals that AWS gave when it closed other SQL features for an
// account; the refusal of the retirement itself is not on record (`facts/aws.md` 15.2).
fn refuse_retired(call: &Call) -> Result<(), Fault> {
    if !call.retired || !matches!(call.operation.as_str(), "CreateApplication" | "StartApplication") {
        return Ok(());
    }
    let text = format!("{} is not allowed for SQL applications under account: {}", call.operation, call.account);
    Err(Fault::new("UnsupportedOperationException", text))
}

/// Makes the fault that the service gives for anything wrong in a request.
fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidArgumentException", message)
}

/// Makes the fault for a call that the application's state does not allow.
fn in_use(name: &str, status: impl Display) -> Fault {
    let text = format!("Application {name} cannot take this call in its current state {status}");
    Fault::new("ResourceInUseException", text)
}

/// Returns a text field of an object, or nothing.
fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

/// Returns a text field of an object that must be there.
fn required<'a>(value: &'a Value, field: &str) -> Result<&'a str, Fault> {
    text(value, field).ok_or_else(|| missing(field))
}

fn missing(field: &str) -> Fault {
    Fault::new(
        "ValidationException",
        format!(
            "1 validation error detected: Value null at '{field}' failed to satisfy constraint: Member must not be null"
        ),
    )
}

/// Returns the members of a list field; none when the field is missing.
fn members<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The answer of calls that return nothing.
fn empty() -> Answer {
    Answer::json(Value::Object(serde_json::Map::new()))
}
