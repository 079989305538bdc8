//! Asks CloudTrail who changed last what is not as it was applied.
//!
//! The answer helps and is never needed: where CloudTrail cannot be asked, a note says so. Events come some minutes after
//! the change, and stay for 90 days. AWS lets an account ask twice a second in each region.

use std::time::Duration;

use aws_sdk_cloudtrail::config::{Builder, Region};
use aws_sdk_cloudtrail::primitives::DateTimeFormat;
use aws_sdk_cloudtrail::types::{Event, LookupAttribute, LookupAttributeKey};
use serde_json::Value;

use super::{Author, Class, Entry, Report};
use crate::aws::Aws;
use crate::aws::error::failed;
use crate::kind::KindError;

/// Most resources of a stack that are asked about.
const MOST: usize = 20;

/// Time between two questions.
const PACE: Duration = Duration::from_millis(550);

/// Where AWS keeps the events of services without regions.
const GLOBAL: &str = "us-east-1";

/// Fills in the authors of changes; returns what the user should know about it.
pub async fn ask(aws: &Aws, report: &mut Report) -> Option<String> {
    let mut questions = 0;
    let entries = report.entries.iter_mut().filter(|entry| is_changed(entry));
    for (at, entry) in entries.enumerate() {
        if at < MOST {
            match author(aws, entry, &mut questions).await {
                Ok(author) => entry.author = author,
                Err(error) => return Some(format!("CloudTrail did not say who made the changes: {error}")),
            }
        } else if at == MOST {
            return Some(format!("CloudTrail was asked about the first {MOST} resources only"));
        }
    }
    None
}

/// Tells whether somebody has changed it in AWS.
fn is_changed(entry: &Entry) -> bool {
    !entry.findings.iter().all(|finding| matches!(finding.class, Class::Pending | Class::Unreadable))
}

/// Looks by identifier first, then by name: services differ in what they call a resource.
async fn author(aws: &Aws, entry: &Entry, questions: &mut usize) -> Result<Option<Author>, KindError> {
    let physical = entry.physical_id.as_deref().filter(|physical| *physical != entry.name);
    for name in physical.into_iter().chain([entry.name.as_str()]) {
        if *questions > 0 {
            tokio::time::sleep(PACE).await;
        }
        *questions += 1;
        let events = lookup(aws, entry, name).await?;
        if let Some(author) = events.iter().find_map(told) {
            return Ok(Some(author));
        }
    }
    Ok(None)
}

async fn lookup(aws: &Aws, entry: &Entry, name: &str) -> Result<Vec<Event>, KindError> {
    let key = LookupAttributeKey::ResourceName;
    let attribute = LookupAttribute::builder().attribute_key(key).attribute_value(name).build();
    let attribute = attribute.map_err(|error| KindError::invalid(error.to_string()))?;
    let mut call = aws.cloudtrail().lookup_events().lookup_attributes(attribute).customize();
    if entry.kind.starts_with("iam_") && aws.place.partition == "aws" {
        call = call.config_override(Builder::new().region(Region::new(GLOBAL)));
    }
    Ok(call.send().await.map_err(failed("LookupEvents"))?.events.unwrap_or_default())
}

/// Reads an event, the newest of which come first; one that only read, or was refused, changed nothing.
fn told(event: &Event) -> Option<Author> {
    let record: Value = serde_json::from_str(event.cloud_trail_event().unwrap_or("null")).unwrap_or_default();
    if event.read_only() == Some("true") || record.get("errorCode").is_some_and(|code| !code.is_null()) {
        return None;
    }
    Some(Author {
        user: user(event.username(), &record),
        event: event.event_name()?.to_owned(),
        time: event.event_time()?.fmt(DateTimeFormat::DateTime).ok()?,
    })
}

/// A session's name alone does not tell whose it is: its role does.
fn user(name: Option<&str>, record: &Value) -> String {
    let arn = record.pointer("/userIdentity/arn").and_then(Value::as_str).unwrap_or_default();
    let session = arn.split_once(":assumed-role/").map(|(_, session)| session);
    session.or(name).or_else(|| record.pointer("/userIdentity/invokedBy")?.as_str()).unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudtrail::primitives::DateTime;
    use serde_json::json;

    use super::*;

    fn event(read_only: &str, record: &Value) -> Event {
        Event::builder()
            .event_name("PutRolePolicy")
            .read_only(read_only)
            .username("alice")
            .event_time(DateTime::from_secs(1_790_000_000))
            .cloud_trail_event(record.to_string())
            .build()
    }

    #[test]
    fn sessions_are_told_with_their_role() {
        let record = json!({"userIdentity": {"arn": "arn:aws:sts::1:assumed-role/admin/alice"}});
        let found = told(&event("false", &record)).unwrap();
        assert_eq!((found.user.as_str(), found.event.as_str()), ("admin/alice", "PutRolePolicy"));
        assert_eq!(found.time, "2026-09-21T14:13:20Z");
        assert_eq!(told(&event("false", &json!({}))).unwrap().user, "alice");
    }

    #[test]
    fn what_only_read_or_was_refused_is_passed_over() {
        assert_eq!(told(&event("true", &json!({}))), None);
        assert_eq!(told(&event("false", &json!({"errorCode": "AccessDenied"}))), None);
        assert!(told(&event("false", &json!({"errorCode": null}))).is_some());
    }
}
