//! Runs DynamoDB operations in the `dynoxide` engine with JSON on both sides.
//!
//! The engine has one account and region of its own; ARNs are changed to the caller's and back here.

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::local::{Answer, Call, Fault};

/// Result of an engine operation.
pub(super) type Ran = Result<Value, DynoxideError>;

/// Operations on items and on the records of a table's stream.
pub(super) const ITEMS: &[&str] = &[
    "PutItem",
    "GetItem",
    "DeleteItem",
    "UpdateItem",
    "Query",
    "Scan",
    "BatchGetItem",
    "BatchWriteItem",
    "TransactWriteItems",
    "TransactGetItems",
    "ExecuteStatement",
    "ExecuteTransaction",
    "BatchExecuteStatement",
    "GetRecords",
];

/// One caller's tables.
pub(super) struct Engine<'a> {
    pub(super) database: Database,
    pub(super) call: &'a Call,
}

impl Engine<'_> {
    /// Runs one operation on tables.
    pub(super) fn table(&self, operation: &str, body: &Value) -> Option<Ran> {
        let db = &self.database;
        Some(self.localized(match operation {
            "CreateTable" => run(body, |request| db.create_table(request)),
            "DescribeTable" => run(body, |request| db.describe_table(request)),
            "UpdateTable" => run(body, |request| db.update_table(request)),
            "DeleteTable" => run(body, |request| db.delete_table(request)),
            "ListTables" => run(body, |request| db.list_tables(request)),
            "UpdateTimeToLive" => run(body, |request| db.update_time_to_live(request)),
            "DescribeTimeToLive" => run(body, |request| db.describe_time_to_live(request)),
            "ListStreams" => run(&self.foreign(body), |request| db.list_streams(request)),
            "DescribeStream" => run(&self.foreign(body), |request| db.describe_stream(request)),
            "GetShardIterator" => run(&self.foreign(body), |request| db.get_shard_iterator(request)),
            _ => return None,
        }))
    }

    /// Runs one of [`ITEMS`].
    pub(super) fn item(&self, operation: &str, body: &Value) -> Option<Ran> {
        let db = &self.database;
        Some(match operation {
            "PutItem" => run(body, |request| db.put_item(request)),
            "GetItem" => run(body, |request| db.get_item(request)),
            "DeleteItem" => run(body, |request| db.delete_item(request)),
            "UpdateItem" => run(body, |request| db.update_item(request)),
            "Query" => run(body, |request| db.query(request)),
            "Scan" => run(body, |request| db.scan(request)),
            "BatchGetItem" => run(body, |request| db.batch_get_item(request)),
            "BatchWriteItem" => run(body, |request| db.batch_write_item(request)),
            "TransactWriteItems" => run(body, |request| db.transact_write_items(request)),
            "TransactGetItems" => run(body, |request| db.transact_get_items(request)),
            "ExecuteStatement" => run(body, |request| db.execute_statement(request)),
            "ExecuteTransaction" => run(body, |request| db.execute_transaction(request)),
            "BatchExecuteStatement" => run(body, |request| db.batch_execute_statement(request)),
            "GetRecords" => run(body, |request| db.get_records(request)),
            _ => return None,
        })
    }

    fn here(&self) -> String {
        format!(":{}:{}:", self.call.region, self.call.account)
    }

    fn localized(&self, ran: Ran) -> Ran {
        let mut value = ran?;
        replace(&mut value, &there(), &self.here());
        Ok(value)
    }

    fn foreign(&self, body: &Value) -> Value {
        let mut body = body.clone();
        replace(&mut body, &self.here(), &there());
        body
    }
}

fn there() -> String {
    format!(":{}:{}:", dynoxide::streams::LOCAL_REGION, dynoxide::streams::LOCAL_ACCOUNT)
}

/// Changes account and region in every ARN of a description.
fn replace(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text.starts_with("arn:aws:") => *text = text.replacen(from, to, 1),
        Value::Array(values) => values.iter_mut().for_each(|value| replace(value, from, to)),
        Value::Object(fields) => fields.values_mut().for_each(|value| replace(value, from, to)),
        _ => {}
    }
}

fn run<Q: DeserializeOwned, A: Serialize>(body: &Value, act: impl FnOnce(Q) -> dynoxide::Result<A>) -> Ran {
    // Through text, because the engine's own readers look at the error positions that only text has.
    let request = serde_json::from_str(&body.to_string()).map_err(|cause| unreadable(&cause.to_string()))?;
    let answer = act(request)?;
    serde_json::to_value(answer).map_err(|cause| DynoxideError::InternalServerError(cause.to_string()))
}

/// Tells validation from serialization errors: the engine marks its own with a word before a colon.
fn unreadable(text: &str) -> DynoxideError {
    let text = text.rsplit_once(" at line ").map_or(text, |(message, _)| message).to_owned();
    let marked = text.split_once(':').map(|(mark, rest)| (mark.to_owned(), rest.to_owned()));
    match marked {
        Some((mark, rest)) if mark.starts_with("VALIDATION") => DynoxideError::ValidationException(rest),
        Some((mark, rest)) if mark.starts_with("SERIALIZATION") => DynoxideError::SerializationException(rest),
        _ if is_about_values(&text) => DynoxideError::ValidationException(text),
        _ => DynoxideError::SerializationException(text),
    }
}

fn is_about_values(text: &str) -> bool {
    ["missing field", "unknown variant", "invalid type: null", "AttributeValue"].iter().any(|part| text.contains(part))
}

/// Turns an engine result into the answer; errors keep what only the engine knows (cancellation reasons, items).
pub(super) fn answer(ran: Ran) -> Answer {
    let error = match ran {
        Ok(value) => return Answer::json(value),
        Err(error) => error,
    };
    let fault = fault(&error);
    let body = serde_json::from_str(&error.to_json()).unwrap_or(Value::Null);
    Answer::Headed(fault.status, vec![("x-amzn-errortype", fault.code)], body)
}

/// Turns an engine error into a fault.
pub(super) fn fault(error: &DynoxideError) -> Fault {
    let name = error.error_type();
    let code = name.rsplit_once('#').map_or(name, |(_, code)| code);
    Fault::with_status(error.status_code(), code, error.to_string())
}
