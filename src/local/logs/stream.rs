//! Log streams.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::local::constraint::Constraints;
use crate::local::store::Table;
use crate::local::{Call, Fault, Tx};

use super::{STREAM_NAME, event, group, invalid, not_found, page, text};

/// Log streams by group and name.
const STREAMS: Table = Table::regional("logs.stream");

/// One log stream; its events are rows of their own, so that writing a few does not write all of them again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stream {
    pub(super) arn: String,
    pub(super) group: String,
    pub(super) name: String,
    pub(super) created: i64,
    pub(super) ingested: Option<i64>,
    /// How many events were ever written.
    pub(super) written: u64,
    /// Time of the earliest and of the latest event.
    pub(super) span: Option<(i64, i64)>,
}

impl Stream {
    /// Makes an empty stream.
    pub(super) fn new(call: &Call, group: &str, name: &str) -> Self {
        Self {
            arn: call.arn("logs", &format!("log-group:{group}:log-stream:{name}")),
            group: group.to_owned(),
            name: name.to_owned(),
            created: call.now,
            ingested: None,
            written: 0,
            span: None,
        }
    }

    /// Writes the stream back.
    pub(super) fn save(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        tx.put(STREAMS, &key(&self.group, &self.name), self)
    }
}

/// Returns a row's key: a group's name has no line feed, so the parts cannot run together.
pub(super) fn key(group: &str, name: &str) -> String {
    format!("{group}\n{name}")
}

/// Reads a stream.
pub(super) fn find(tx: &Tx<'_>, group: &str, name: &str) -> Result<Option<Stream>, Fault> {
    tx.get(STREAMS, &key(group, name))
}

/// Returns the streams of a group in the order of their names.
pub(super) fn of_group(tx: &Tx<'_>, group: &str) -> Result<Vec<Stream>, Fault> {
    let all: Vec<(String, Stream)> = tx.list(STREAMS)?;
    Ok(all.into_iter().map(|(_, stream)| stream).filter(|stream| stream.group == group).collect())
}

/// Deletes the streams of a group that is going away.
pub(super) fn forget(tx: &mut Tx<'_>, group: &str) -> Result<(), Fault> {
    of_group(tx, group)?.iter().try_for_each(|stream| remove(tx, stream))
}

fn remove(tx: &mut Tx<'_>, stream: &Stream) -> Result<(), Fault> {
    event::forget(tx, stream)?;
    tx.delete(STREAMS, &key(&stream.group, &stream.name)).map(|_| ())
}

fn name(call: &Call) -> Result<&str, Fault> {
    let name = text(call, "logStreamName");
    let mut check = Constraints::new();
    check.required("logStreamName", name);
    check.length("logStreamName", name, 1, 512);
    check.charset("logStreamName", name, STREAM_NAME);
    check.done("InvalidParameterException")?;
    Ok(name.unwrap_or_default())
}

/// Returns the stream that a call names.
pub(super) fn named(tx: &Tx<'_>, call: &Call) -> Result<Stream, Fault> {
    let name = name(call)?;
    let group = group::named(tx, call)?;
    find(tx, &group.name, name)?.ok_or_else(|| not_found("The specified log stream does not exist."))
}

/// Answers `CreateLogStream`.
pub(super) fn create(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let name = name(call)?;
    let group = group::named(tx, call)?;
    if find(tx, &group.name, name)?.is_some() {
        return Err(Fault::new("ResourceAlreadyExistsException", "The specified log stream already exists"));
    }
    Stream::new(call, &group.name, name).save(tx)?;
    Ok(json!({}))
}

/// Answers `DeleteLogStream`.
pub(super) fn delete(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let stream = named(tx, call)?;
    remove(tx, &stream)?;
    Ok(json!({}))
}

/// Answers `DescribeLogStreams`.
pub(super) fn describe(tx: &Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let (prefix, order) = (text(call, "logStreamNamePrefix"), text(call, "orderBy"));
    let mut check = Constraints::new();
    check.one_of("orderBy", order, &["LogStreamName", "LastEventTime"]);
    check.charset("logStreamNamePrefix", prefix, STREAM_NAME);
    check.done("InvalidParameterException")?;
    if prefix.is_some() && order == Some("LastEventTime") {
        return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let group = group::named(tx, call)?;
    let mut streams = of_group(tx, &group.name)?;
    streams.retain(|stream| prefix.is_none_or(|prefix| stream.name.starts_with(prefix)));
    if order == Some("LastEventTime") {
        streams.sort_by_key(|stream| stream.span.map(|(_, latest)| latest));
    }
    if call.json()["descending"].as_bool().unwrap_or(false) {
        streams.reverse();
    }
    page(call, streams.iter().map(|stream| (stream.name.clone(), described(stream))).collect(), "logStreams")
}

fn described(stream: &Stream) -> Value {
    let mut found = json!({
        "logStreamName": stream.name,
        "creationTime": stream.created,
        "arn": stream.arn,
        "storedBytes": 0,
    });
    if let Some((first, last)) = stream.span {
        found["firstEventTimestamp"] = json!(first);
        found["lastEventTimestamp"] = json!(last);
        found["lastIngestionTime"] = json!(stream.ingested);
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Bench, NOW};

    #[test]
    fn streams_are_made_listed_and_deleted() {
        let bench = Bench::with_stream();
        let stream = json!({"logGroupName": "g", "logStreamName": "s"});
        assert_eq!(bench.code("CreateLogStream", &stream), "ResourceAlreadyExistsException");
        bench.ok("CreateLogStream", &json!({"logGroupName": "g", "logStreamName": "t"}));
        let found = bench.ok("DescribeLogStreams", &json!({"logGroupName": "g", "logStreamNamePrefix": "t"}));
        assert_eq!(found["logStreams"][0]["arn"], "arn:aws:logs:us-east-1:000000000000:log-group:g:log-stream:t");
        bench.ok("DeleteLogStream", &stream);
        assert_eq!(bench.code("DeleteLogStream", &stream), "ResourceNotFoundException");
    }

    #[test]
    fn broken_streams_are_refused() {
        let bench = Bench::with_stream();
        let code = |name: &str| bench.code("CreateLogStream", &json!({"logGroupName": "g", "logStreamName": name}));
        assert_eq!((code("a:b"), code("a*"), code("")).0, "InvalidParameterException");
        let missing = json!({"logGroupName": "none", "logStreamName": "s"});
        assert_eq!(bench.code("CreateLogStream", &missing), "ResourceNotFoundException");
        let both = json!({"logGroupName": "g", "logStreamNamePrefix": "s", "orderBy": "LastEventTime"});
        assert_eq!(bench.code("DescribeLogStreams", &both), "InvalidParameterException");
    }

    #[test]
    fn the_stream_with_the_newest_event_comes_last() {
        let bench = Bench::with_stream();
        bench.ok("CreateLogStream", &json!({"logGroupName": "g", "logStreamName": "a"}));
        for (stream, time) in [("a", NOW), ("s", NOW - 1)] {
            let events = json!([{"timestamp": time, "message": "m"}]);
            bench.ok("PutLogEvents", &json!({"logGroupName": "g", "logStreamName": stream, "logEvents": events}));
        }
        let found = bench.ok("DescribeLogStreams", &json!({"logGroupName": "g", "orderBy": "LastEventTime"}));
        assert_eq!(found["logStreams"][1]["logStreamName"], "a");
        assert_eq!(found["logStreams"][1]["lastEventTimestamp"], NOW);
    }
}
