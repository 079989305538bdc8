//! `LookupEvents`.

use serde_json::{Value, json};

use crate::local::{Call, Fault, Tx};

use super::event::Event;
use super::record::newest;

/// What events can be looked up by.
const KEYS: [&str; 8] =
    ["EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId"];

/// Most events of an answer, and how many there are unless it is said.
const PAGE: u64 = 50;

/// Answers the events that an attribute and a time range select, the newest first.
pub(super) fn lookup(tx: &Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let body = call.json();
    let wanted = attribute(body)?;
    let (start, end) = (time(body, "StartTime"), time(body, "EndTime"));
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        let text = "The start time is later than the end time.";
        return Err(Fault::new("InvalidTimeRangeException", text));
    }
    let size = match body.get("MaxResults").filter(|value| !value.is_null()) {
        None => PAGE,
        Some(value) => value.as_u64().filter(|size| (1..=PAGE).contains(size)).ok_or_else(|| {
            Fault::new("InvalidMaxResultsException", format!("The value {value} is not between 1 and {PAGE}."))
        })?,
    };
    let before = match body["NextToken"].as_str() {
        None => u64::MAX,
        Some(token) => token.parse().map_err(|_| Fault::new("InvalidNextTokenException", "The token is not valid."))?,
    };
    let is_meant = |event: &Event| {
        event.number < before
            && start.is_none_or(|start| event.time >= start)
            && end.is_none_or(|end| event.time <= end)
            && wanted.as_ref().is_none_or(|(key, value)| has(event, key, value))
    };
    let mut found: Vec<Event> = newest(tx)?.into_iter().filter(is_meant).collect();
    let size = usize::try_from(size).unwrap_or_default();
    let more = found.len() > size;
    found.truncate(size);
    let mut answer = json!({"Events": found.iter().map(shown).collect::<Vec<_>>()});
    if let Some(last) = found.last().filter(|_| more) {
        answer["NextToken"] = last.number.to_string().into();
    }
    Ok(answer)
}

fn attribute(body: &Value) -> Result<Option<(String, String)>, Fault> {
    let invalid = |text: &str| Fault::new("InvalidLookupAttributesException", text);
    let given = body["LookupAttributes"].as_array().map(Vec::as_slice).unwrap_or_default();
    match given {
        [] => Ok(None),
        [one] => {
            let text = |name: &str| one[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            let key = text("AttributeKey").filter(|key| KEYS.contains(&key.as_str()));
            let both = key.zip(text("AttributeValue"));
            both.map(Some).ok_or_else(|| invalid("The lookup attribute is not valid."))
        }
        _ => Err(invalid("Only one lookup attribute can be specified.")),
    }
}

/// Times are seconds, with a fraction or without.
fn time(body: &Value, field: &str) -> Option<i64> {
    let seconds = body[field].as_f64()?;
    jiff::SignedDuration::try_from_secs_f64(seconds).ok().and_then(|time| i64::try_from(time.as_millis()).ok())
}

fn has(event: &Event, key: &str, value: &str) -> bool {
    match key {
        "EventId" => event.id == value,
        "EventName" => event.name == value,
        "ReadOnly" => value == "false",
        "Username" => event.user == value,
        "ResourceName" => event.resources.iter().any(|name| name == value),
        "EventSource" => event.source == value,
        // No event here has a type of resource or an access key.
        _ => false,
    }
}

fn shown(event: &Event) -> Value {
    let resources: Vec<Value> = event.resources.iter().map(|name| json!({"ResourceName": name})).collect();
    json!({
        "EventId": event.id,
        "EventName": event.name,
        "ReadOnly": "false",
        "EventTime": event.time.div_euclid(1000),
        "EventSource": event.source,
        "Username": event.user,
        "Resources": resources,
        "CloudTrailEvent": event.record,
    })
}
