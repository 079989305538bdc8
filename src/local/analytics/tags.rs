//! Tags of applications.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{Answer, Call, Fault, Outcome, Tx};
use super::application::{Application, load_named};
use super::{empty, invalid, members, required, text};

/// Tags per application (`facts/aws.md` 2.7).
const MOST_TAGS: usize = 50;

/// Reads a list of `{Key, Value}`.
pub(super) fn parse(list: &[Value]) -> Result<BTreeMap<String, String>, Fault> {
    let mut tags = BTreeMap::new();
    for tag in list {
        let key = required(tag, "Key")?;
        let value = text(tag, "Value").unwrap_or_default();
        if key.is_empty() || key.len() > 128 || value.len() > 256 || key.starts_with("aws:") {
            return Err(invalid(format!("Tag {key} is not valid")));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(invalid(format!("Tag key {key} is given twice")));
        }
    }
    within_limit(&tags)?;
    Ok(tags)
}

fn within_limit(tags: &BTreeMap<String, String>) -> Result<(), Fault> {
    if tags.len() > MOST_TAGS {
        return Err(Fault::new("TooManyTagsException", format!("An application can have {MOST_TAGS} tags at most")));
    }
    Ok(())
}

fn target(tx: &mut Tx<'_>, call: &Call) -> Result<Application, Fault> {
    let arn = required(call.json(), "ResourceARN")?;
    let start = call.arn("kinesisanalytics", "application/");
    let name = arn.strip_prefix(&start).ok_or_else(|| invalid(format!("{arn} is no application of this region")))?;
    load_named(tx, call, name)
}

/// `TagResource`.
pub(super) fn tag(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let mut application = target(tx, call)?;
    application.tags.extend(parse(members(call.json(), "Tags"))?);
    within_limit(&application.tags)?;
    application.save(tx, call.now)?;
    Ok(empty())
}

/// `UntagResource`.
pub(super) fn untag(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let mut application = target(tx, call)?;
    for key in members(call.json(), "TagKeys").iter().filter_map(Value::as_str) {
        application.tags.remove(key);
    }
    application.save(tx, call.now)?;
    Ok(empty())
}

/// `ListTagsForResource`.
pub(super) fn list(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let application = target(tx, call)?;
    let tags: Vec<_> = application.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(Answer::json(json!({ "Tags": tags })))
}
