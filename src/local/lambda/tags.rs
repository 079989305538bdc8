//! Tags of functions and of event source mappings, by ARN.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{Answer, Call, Fault, Input, Outcome, Tx};
use super::{function, invalid, mapping};

const MOST_TAGS: usize = 50;

/// Reads a map of tags.
pub(super) fn parse(given: Option<&Value>) -> Result<BTreeMap<String, String>, Fault> {
    let mut tags = BTreeMap::new();
    for (key, value) in given.and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let lengths = (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
        if !lengths || key.starts_with("aws:") {
            return Err(invalid(format!("Tag '{key}' is not valid: its length is wrong or its key is reserved")));
        }
        tags.insert(key.clone(), value.to_owned());
    }
    within_limit(&tags)?;
    Ok(tags)
}

fn within_limit(tags: &BTreeMap<String, String>) -> Result<(), Fault> {
    if tags.len() > MOST_TAGS {
        return Err(invalid(format!("A resource can have {MOST_TAGS} tags at most")));
    }
    Ok(())
}

/// `TagResource`, `UntagResource` and `ListTags`.
pub(super) fn handle(tx: &mut Tx<'_>, call: &Call, method: &str, arn: &str) -> Outcome {
    let given = if method == "POST" { parse(call.json().get("Tags"))? } else { BTreeMap::new() };
    let change = |tags: &mut BTreeMap<String, String>| {
        match method {
            "POST" => tags.extend(given.clone()),
            "DELETE" => removed_keys(call).for_each(|key| drop(tags.remove(key))),
            _ => {}
        }
        within_limit(tags)
    };
    let tags = match arn.strip_prefix(&call.arn("lambda", "event-source-mapping:")) {
        Some(id) => {
            let mut row = mapping::load(tx, call, id)?;
            change(&mut row.tags)?;
            row.save(tx)?;
            row.tags
        }
        None if arn.starts_with("arn:") => {
            let mut row = function::load(tx, call, arn)?;
            change(&mut row.tags)?;
            row.save(tx)?;
            row.tags
        }
        None => return Err(invalid(format!("{arn} is not the ARN of a function or an event source mapping"))),
    };
    Ok(if method == "GET" { Answer::json(json!({ "Tags": tags })) } else { Answer::Json(204, Value::Null) })
}

fn removed_keys(call: &Call) -> impl Iterator<Item = &str> {
    let query = match &call.input {
        Input::Rest { query, .. } => query.as_slice(),
        _ => &[],
    };
    query.iter().filter(|(name, _)| name == "tagKeys").map(|(_, key)| key.as_str())
}
