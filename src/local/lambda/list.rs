//! Pages of functions, versions and event source mappings.

use serde_json::{Map, Value, json};

use super::super::{Answer, Call, Fault, Outcome, Tx};
use super::function::{FUNCTIONS, Function, load, plain_name};
use super::{constraint, mapping, query};

const FUNCTIONS_PER_PAGE: usize = 50;
const MAPPINGS_PER_PAGE: usize = 100;

/// Cuts a page out of items in the order of their keys; the marker is the key that the page before ended with.
fn page(call: &Call, field: &str, items: Vec<(String, Value)>, most: usize) -> Outcome {
    let size = match query(call, "MaxItems") {
        Some(text) => text.parse::<usize>().ok().filter(|size| (1..=10_000).contains(size)).ok_or_else(|| {
            constraint(&format!("Value '{text}' at 'maxItems'"), "Member must have value between 1 and 10000")
        })?,
        None => most,
    };
    let after = query(call, "Marker").unwrap_or_default();
    let rest: Vec<_> = items.into_iter().filter(|(key, _)| key.as_str() > after).collect();
    let taken = size.min(most);
    let mut answer = Map::new();
    if rest.len() > taken {
        answer.insert("NextMarker".to_owned(), json!(rest[taken - 1].0));
    }
    answer.insert(field.to_owned(), rest.into_iter().take(taken).map(|(_, item)| item).collect());
    Ok(Answer::json(Value::Object(answer)))
}

/// `ListFunctions`: without states and tags, as AWS lists them.
pub(super) fn functions(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let all = tx.list::<Function>(FUNCTIONS)?;
    let items = all.into_iter().map(|(name, function)| (name, Value::Object(function.configuration)));
    page(call, "Functions", items.collect(), FUNCTIONS_PER_PAGE)
}

/// `ListVersionsByFunction`: only `$LATEST`, as nothing is ever published.
pub(super) fn versions(tx: &mut Tx<'_>, call: &Call, given: &str) -> Outcome {
    let function = load(tx, call, given)?;
    let mut latest = function.shown(call.now);
    latest["FunctionArn"] = json!(format!("{}:$LATEST", function.arn));
    Ok(Answer::json(json!({ "Versions": [latest] })))
}

/// `ListEventSourceMappings`, all or by source and function.
pub(super) fn mappings(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let source = query(call, "EventSourceArn");
    let function = query(call, "FunctionName").map(|given| plain_name(call, given)).transpose()?;
    let arn = function.map(|name| call.arn("lambda", &format!("function:{name}")));
    let chosen = |row: &mapping::Mapping| {
        source.is_none_or(|source| source == row.text("EventSourceArn"))
            && arn.as_ref().is_none_or(|arn| arn == row.text("FunctionArn"))
    };
    let all = mapping::live(tx, call, arn.as_deref().or(source).unwrap_or_default())?.into_iter().filter(chosen);
    let items: Result<Vec<_>, Fault> = all.map(|row| Ok((row.text("UUID").to_owned(), row.shown(call.now)))).collect();
    page(call, "EventSourceMappings", items?, MAPPINGS_PER_PAGE)
}
