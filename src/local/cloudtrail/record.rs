//! Writes events down.

use serde_json::json;

use crate::local::registry::Entry;
use crate::local::store::Store;
use crate::local::{Call, DEFAULT_REGION, Fault, Input, Outcome, Tx, sts};

use super::event::{Event, name, resources, source};
use super::{COUNT, EVENTS, KEPT};

/// Writes a call down when it is a management event that writes. What it asks for is left out: it may be secret.
pub(crate) fn record(rows: &Store, entry: &Entry, call: &Call, outcome: &Outcome) -> Result<(), Fault> {
    let Some(name) = name(call) else { return Ok(()) };
    // Events of services without regions are in us-east-1.
    let region = if entry.signing == "iam" { DEFAULT_REGION } else { &call.region };
    let mut place = Call::new("Record", Input::Json(serde_json::Value::Null), call.now);
    (place.account, place.region) = (call.account.clone(), region.to_owned());
    rows.transaction(&place, |tx| {
        let number = tx.get::<u64>(COUNT, "")?.unwrap_or_default();
        let event = event(number, name, entry, call, outcome.as_ref().err());
        tx.put(COUNT, "", &(number + 1))?;
        tx.put(EVENTS, &format!("{:06}", number % KEPT), &event)
    })
}

fn event(number: u64, name: String, entry: &Entry, call: &Call, fault: Option<&Fault>) -> Event {
    let id = uuid::Uuid::new_v4().to_string();
    let arn = sts::caller_arn(call);
    let kind = if call.role.is_some() { "AssumedRole" } else { "Root" };
    let user = if call.role.is_some() { arn.rsplit('/').next().unwrap_or_default() } else { "root" };
    let user = user.to_owned();
    let moment = jiff::Timestamp::from_millisecond(call.now).unwrap_or_default();
    let mut record = json!({
        "eventVersion": "1.11",
        "userIdentity": {"type": kind, "arn": arn, "accountId": call.account},
        "eventTime": moment.round(jiff::Unit::Second).unwrap_or(moment).to_string(),
        "eventSource": source(entry),
        "eventName": name,
        "awsRegion": call.region,
        "readOnly": false,
        "eventID": id,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": call.account,
        "eventCategory": "Management",
    });
    if let Some(fault) = fault {
        record["errorCode"] = fault.code.as_str().into();
        record["errorMessage"] = fault.message.as_str().into();
    }
    let source = source(entry);
    Event { number, id, name, source, time: call.now, user, resources: resources(call), record: record.to_string() }
}

/// Reads all events that are kept, the newest first.
pub(super) fn newest(tx: &Tx<'_>) -> Result<Vec<Event>, Fault> {
    let mut events: Vec<Event> = tx.list(EVENTS)?.into_iter().map(|(_, event)| event).collect();
    events.sort_by_key(|event| std::cmp::Reverse(event.number));
    Ok(events)
}
