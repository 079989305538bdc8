//! CloudWatch Logs of the local cloud: groups, streams and a bounded number of events.
//!
//! Rules follow `facts/aws.md` 13. Other services write their logs through [`deliver`], as far as a role lets them;
//! nothing is delivered onwards and retention never deletes.

mod deliver;
mod event;
mod group;
mod stream;
mod tags;
#[cfg(test)]
mod testing;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::constraint::Charset;
use super::{Answer, Call, Fault, Outcome, Service, Tx, unknown_operation};

pub(crate) use self::deliver::deliver;
pub(crate) use self::group::GROUPS;

const GROUP_NAME: Charset = Charset {
    pattern: r"[\.\-_/#A-Za-z0-9]+",
    allows: |letter| letter.is_ascii_alphanumeric() || ".-_/#".contains(letter),
};

const STREAM_NAME: Charset = Charset { pattern: "[^:*]*", allows: |letter| letter != ':' && letter != '*' };

/// The service `logs`.
pub(crate) struct Logs;

impl Service for Logs {
    fn handle(&self, tx: &mut Tx<'_>, call: &Call) -> Outcome {
        let answer = match call.operation.as_str() {
            "CreateLogGroup" => group::create(tx, call),
            "DescribeLogGroups" => group::describe(tx, call),
            "DeleteLogGroup" => group::delete(tx, call),
            "PutRetentionPolicy" => group::put_retention(tx, call),
            "DeleteRetentionPolicy" => group::delete_retention(tx, call),
            "AssociateKmsKey" => group::associate_key(tx, call),
            "DisassociateKmsKey" => group::disassociate_key(tx, call),
            "PutLogGroupDeletionProtection" => group::protect(tx, call),
            "TagResource" => tags::tag(tx, call),
            "UntagResource" => tags::untag(tx, call),
            "ListTagsForResource" => tags::list(tx, call),
            "TagLogGroup" => tags::tag_group(tx, call),
            "UntagLogGroup" => tags::untag_group(tx, call),
            "ListTagsLogGroup" => tags::list_group(tx, call),
            "CreateLogStream" => stream::create(tx, call),
            "DescribeLogStreams" => stream::describe(tx, call),
            "DeleteLogStream" => stream::delete(tx, call),
            "PutLogEvents" => event::put(tx, call),
            "GetLogEvents" => event::get(tx, call),
            "FilterLogEvents" => event::filter(tx, call),
            _ => return Err(unknown_operation(call)),
        };
        answer.map(Answer::json)
    }
}

fn invalid(text: impl Into<String>) -> Fault {
    Fault::new("InvalidParameterException", text)
}

fn not_found(text: &str) -> Fault {
    Fault::new("ResourceNotFoundException", text)
}

fn text<'a>(call: &'a Call, field: &str) -> Option<&'a str> {
    call.json()[field].as_str()
}

/// Returns the number in a field, which must be within bounds when it is there.
fn number(call: &Call, field: &str, least: i64, most: i64) -> Result<Option<i64>, Fault> {
    let value = &call.json()[field];
    if value.is_null() {
        return Ok(None);
    }
    let found = value.as_i64().filter(|found| (least..=most).contains(found));
    found.map(Some).ok_or_else(|| {
        let rule = format!("Member must have value between {least} and {most}");
        invalid(format!(
            "1 validation error detected: Value '{value}' at '{field}' failed to satisfy constraint: {rule}"
        ))
    })
}

fn size(call: &Call, field: &str, usual: i64, most: i64) -> Result<usize, Fault> {
    let found = number(call, field, 1, most)?.unwrap_or(usual);
    Ok(usize::try_from(found).unwrap_or(1))
}

fn encoded(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

fn decoded(token: &str) -> Result<String, Fault> {
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| invalid("The specified nextToken is invalid."))
}

/// Cuts one page of at most `limit` items after `nextToken` into the field `name` of an answer.
fn page(call: &Call, items: Vec<(String, Value)>, name: &str) -> Result<Value, Fault> {
    let limit = size(call, "limit", 50, 50)?;
    let skip = match text(call, "nextToken") {
        None => 0,
        Some(token) => {
            let after = decoded(token)?;
            items.iter().position(|(key, _)| *key == after).map_or(items.len(), |place| place + 1)
        }
    };
    let more = items.len() > skip + limit;
    let mut last = String::new();
    let mut part = Vec::new();
    for (key, item) in items.into_iter().skip(skip).take(limit) {
        last = key;
        part.push(item);
    }
    let mut answer = json!({ name: part });
    if more {
        answer["nextToken"] = json!(encoded(&last));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::testing::Bench;
    use super::*;

    #[test]
    fn unknown_operations_are_refused() {
        assert_eq!(Bench::new().code("StartQuery", &json!({})), "UnknownOperationException");
    }
}
