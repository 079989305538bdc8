//! What calls to DynamoDB need: a batch or transaction needs each of its actions on each of its tables.

use serde_json::Value;

use crate::local::dynamodb::TABLES;
use crate::local::{Call, Fault, Tx};

use super::needs::Need;

fn need(operation: &str, resource: &str) -> Need {
    Need::new("dynamodb", operation, resource)
}

pub(super) fn needs(tx: &Tx<'_>, call: &Call) -> Result<Vec<Need>, Fault> {
    let mut needs = match call.operation.as_str() {
        "BatchGetItem" | "BatchWriteItem" => batch(call),
        "TransactWriteItems" | "TransactGetItems" => transaction(call),
        "ExecuteStatement" | "BatchExecuteStatement" | "ExecuteTransaction" => statements(call, call.json()),
        "GetRecords" => vec![need("GetRecords", &stream_in(tx, call)?)],
        "ListStreams" => match text(call.json(), "TableName") {
            Some(table) => vec![need("ListStreams", &format!("{}/stream/*", arn(call, table)))],
            None => Vec::new(),
        },
        _ => vec![need(&call.operation, &resource(call))],
    };
    needs.dedup();
    if needs.is_empty() {
        needs.push(need(&call.operation, "*"));
    }
    Ok(needs)
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

fn members<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn arn(call: &Call, table: &str) -> String {
    if table.starts_with("arn:") { table.to_owned() } else { call.arn("dynamodb", &format!("table/{table}")) }
}

/// A query of an index is one on the index, not on its table.
fn resource(call: &Call) -> String {
    let body = call.json();
    if let Some(arn) = ["ResourceArn", "StreamArn", "TableArn"].into_iter().find_map(|field| text(body, field)) {
        return arn.to_owned();
    }
    match (text(body, "TableName"), text(body, "IndexName")) {
        (Some(table), Some(index)) => format!("{}/index/{index}", arn(call, table)),
        (Some(table), None) => arn(call, table),
        (None, _) => "*".to_owned(),
    }
}

fn batch(call: &Call) -> Vec<Need> {
    let tables = call.json().get("RequestItems").and_then(Value::as_object).into_iter().flatten();
    tables.map(|(table, _)| need(&call.operation, &arn(call, table))).collect()
}

fn transaction(call: &Call) -> Vec<Need> {
    let parts = members(call.json(), "TransactItems").filter_map(Value::as_object).flatten();
    parts
        .filter_map(|(kind, part)| {
            let operation = match kind.as_str() {
                "Put" => "PutItem",
                "Update" => "UpdateItem",
                "Delete" => "DeleteItem",
                "Get" => "GetItem",
                "ConditionCheck" => "ConditionCheckItem",
                _ => return None,
            };
            Some(need(operation, &arn(call, text(part, "TableName")?)))
        })
        .collect()
}

fn statements(call: &Call, body: &Value) -> Vec<Need> {
    let own = text(body, "Statement").into_iter();
    let all = ["Statements", "TransactStatements"].into_iter().flat_map(|field| members(body, field));
    own.chain(all.filter_map(|part| text(part, "Statement"))).map(|statement| partiql(call, statement)).collect()
}

/// Reads verb and table of a `PartiQL` statement; a table that cannot be read needs the action on all.
fn partiql(call: &Call, statement: &str) -> Need {
    let words: Vec<&str> = statement.split_whitespace().collect();
    let verb = words.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
    let after = |marker: &str| {
        let place = words.iter().position(|word| word.eq_ignore_ascii_case(marker))?;
        words.get(place + 1).copied()
    };
    let (operation, table) = match verb.as_str() {
        "SELECT" | "EXISTS" | "EXISTS(SELECT" => ("PartiQLSelect", after("FROM")),
        "INSERT" => ("PartiQLInsert", after("INTO")),
        "UPDATE" => ("PartiQLUpdate", words.get(1).copied()),
        "DELETE" => ("PartiQLDelete", after("FROM")),
        _ => (call.operation.as_str(), None),
    };
    let resource = table.map_or_else(|| "*".to_owned(), |table| quoted(call, table));
    need(operation, &resource)
}

/// `"table"."index"` names an index.
fn quoted(call: &Call, written: &str) -> String {
    let mut parts = written.trim_end_matches([';', ')']).split("\".\"").map(|part| part.trim_matches('"'));
    let table = arn(call, parts.next().unwrap_or_default());
    parts.next().map_or_else(|| table.clone(), |index| format!("{table}/index/{index}"))
}

/// An iterator names a table; a policy may name the very stream that the table has now.
fn stream_in(tx: &Tx<'_>, call: &Call) -> Result<String, Fault> {
    let iterator = text(call.json(), "ShardIterator").unwrap_or_default();
    let decoded = dynoxide::actions::get_shard_iterator::decode_shard_iterator(iterator);
    let Some((table, ..)) = decoded else { return Ok("*".to_owned()) };
    let row: Option<Value> = tx.get(TABLES, &table)?;
    let known = row.as_ref().and_then(|row| text(row, "stream_arn"));
    Ok(known.map_or_else(|| format!("{}/stream/*", arn(call, &table)), str::to_owned))
}
