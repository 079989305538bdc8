//! Log events: the newest of each stream are kept, older ones are dropped.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::local::store::Table;
use crate::local::{Call, Fault, Tx};

use super::group;
use super::stream::{self, Stream};
use super::{decoded, encoded, invalid, number, size, text};

/// Events by stream and number of the first, one row for those that were written together.
const EVENTS: Table = Table::regional("logs.event");

/// Events that one stream keeps.
const MOST_KEPT: usize = 1000;
const MOST_IN_CALL: usize = 10_000;
const MOST_BYTES: usize = 1_048_576;
/// What AWS counts for each event beside its text.
const EVENT_BYTES: usize = 26;

const HOUR: i64 = 60 * 60 * 1000;
const OLDEST: i64 = 14 * 24 * HOUR;
const NEWEST: i64 = 2 * HOUR;

/// One log event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) time: i64,
    pub(super) ingested: i64,
    pub(super) message: String,
}

fn batches(stream: &Stream) -> String {
    format!("{}\n", stream::key(&stream.group, &stream.name))
}

/// Adds events to a stream, in a row of their own, and drops rows that are too old to be kept.
pub(super) fn append(
    tx: &mut Tx<'_>,
    stream: &mut Stream,
    now: i64,
    events: impl Iterator<Item = (i64, String)>,
) -> Result<(), Fault> {
    let new: Vec<_> = events.map(|(time, message)| Event { time, ingested: now, message }).collect();
    let times = new.iter().map(|event| event.time).chain(stream.span.into_iter().flat_map(|(from, to)| [from, to]));
    stream.span = times.fold(None, |span: Option<(i64, i64)>, time| {
        Some(span.map_or((time, time), |(from, to)| (from.min(time), to.max(time))))
    });
    tx.put(EVENTS, &format!("{}{:020}", batches(stream), stream.written), &new)?;
    let before = stream.written;
    stream.written += count(&new);
    stream.ingested = Some(now);
    // Not each time: it reads all that is kept.
    if before / count_kept() != stream.written / count_kept() {
        drop_old(tx, stream)?;
    }
    Ok(())
}

fn count(events: &[Event]) -> u64 {
    u64::try_from(events.len()).unwrap_or(0)
}

fn count_kept() -> u64 {
    u64::try_from(MOST_KEPT).unwrap_or(u64::MAX)
}

fn drop_old(tx: &mut Tx<'_>, stream: &Stream) -> Result<(), Fault> {
    let rows: Vec<(String, Vec<Event>)> = tx.list_from(EVENTS, &batches(stream))?;
    let mut surplus = rows.iter().map(|(_, events)| events.len()).sum::<usize>().saturating_sub(MOST_KEPT);
    for (key, events) in rows {
        if events.len() > surplus {
            break;
        }
        surplus -= events.len();
        tx.delete(EVENTS, &key)?;
    }
    Ok(())
}

/// Deletes the events of a stream that is going away.
pub(super) fn forget(tx: &mut Tx<'_>, stream: &Stream) -> Result<(), Fault> {
    let rows: Vec<(String, Value)> = tx.list_from(EVENTS, &batches(stream))?;
    rows.iter().try_for_each(|(key, _)| tx.delete(EVENTS, key).map(|_| ()))
}

/// Reads the events that a stream keeps in the order of their times, with their numbers.
fn kept(tx: &Tx<'_>, stream: &Stream) -> Result<Vec<(u64, Event)>, Fault> {
    let rows: Vec<(String, Vec<Event>)> = tx.list_from(EVENTS, &batches(stream))?;
    let mut events: Vec<Event> = rows.into_iter().flat_map(|(_, events)| events).collect();
    events.sort_by_key(|event| event.time);
    events.drain(..events.len().saturating_sub(MOST_KEPT));
    Ok((stream.written - count(&events)..).zip(events).collect())
}

/// Answers `PutLogEvents`.
pub(super) fn put(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let events = given(call)?;
    let mut stream = stream::named(tx, call)?;
    let too_old = events.iter().take_while(|(time, _)| *time < call.now - OLDEST).count();
    let too_new = events.iter().position(|(time, _)| *time > call.now + NEWEST);
    let good = events.into_iter().take(too_new.unwrap_or(usize::MAX)).skip(too_old);
    append(tx, &mut stream, call.now, good)?;
    stream.save(tx)?;
    let mut answer = json!({"nextSequenceToken": format!("{:056}", call.now)});
    if too_old > 0 {
        answer["rejectedLogEventsInfo"]["tooOldLogEventEndIndex"] = json!(too_old);
    }
    if let Some(place) = too_new {
        answer["rejectedLogEventsInfo"]["tooNewLogEventStartIndex"] = json!(place);
    }
    Ok(answer)
}

fn given(call: &Call) -> Result<Vec<(i64, String)>, Fault> {
    let events = call.json()["logEvents"].as_array().map_or(&[][..], Vec::as_slice);
    if events.is_empty() || events.len() > MOST_IN_CALL {
        return Err(invalid(format!("logEvents must have between 1 and {MOST_IN_CALL} members.")));
    }
    let read = |event: &Value| Some((event["timestamp"].as_i64()?, event["message"].as_str()?.to_owned()));
    let events: Option<Vec<_>> = events.iter().map(read).collect();
    let events = events.ok_or_else(|| invalid("Each log event needs a timestamp and a message."))?;
    if events.iter().any(|(time, message)| *time < 0 || message.is_empty()) {
        return Err(invalid("A log event has a negative timestamp or an empty message."));
    }
    if !events.is_sorted_by_key(|(time, _)| *time) {
        return Err(invalid("Log events in a single PutLogEvents request must be in chronological order."));
    }
    if let (Some((first, _)), Some((last, _))) = (events.first(), events.last())
        && last - first > 24 * HOUR
    {
        return Err(invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    let bytes: usize = events.iter().map(|(_, message)| message.len() + EVENT_BYTES).sum();
    if bytes > MOST_BYTES {
        return Err(invalid(format!("Upload too large: {bytes} bytes exceeds limit of {MOST_BYTES}")));
    }
    Ok(events)
}

struct Span {
    start: Option<i64>,
    end: Option<i64>,
}

impl Span {
    fn read(call: &Call) -> Result<Self, Fault> {
        let (start, end) = (number(call, "startTime", 0, i64::MAX)?, number(call, "endTime", 0, i64::MAX)?);
        Ok(Self { start, end })
    }

    fn holds(&self, event: &Event) -> bool {
        self.start.is_none_or(|start| event.time >= start) && self.end.is_none_or(|end| event.time < end)
    }
}

/// Answers `GetLogEvents`. Tokens name the place between two events, so a token at the end stays the same.
pub(super) fn get(tx: &Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let stream = stream::named(tx, call)?;
    let limit = size(call, "limit", 10_000, 10_000)?;
    let span = Span::read(call)?;
    let mut numbered = kept(tx, &stream)?;
    let first = numbered.first().map_or(stream.written, |(number, _)| *number);
    numbered.retain(|(_, event)| span.holds(event));
    let from_head = call.json()["startFromHead"].as_bool().unwrap_or(false);
    let place = text(call, "nextToken").map(place).transpose()?;
    let (from, to) = match place {
        Some((true, place)) => forward(&numbered, place, limit),
        Some((false, place)) => backward(&numbered, place, limit),
        None if from_head => (0, limit.min(numbered.len())),
        None => (numbered.len().saturating_sub(limit), numbered.len()),
    };
    let part = numbered.get(from..to).unwrap_or_default();
    let fallback = place.map_or(first, |(_, place)| place);
    let (start, end) = match (part.first(), part.last()) {
        (Some((first, _)), Some((last, _))) => (*first, last + 1),
        _ => (fallback, fallback),
    };
    let events: Vec<_> = part.iter().map(|(_, event)| shown(event)).collect();
    Ok(json!({
        "events": events,
        "nextForwardToken": format!("f/{end:056}"),
        "nextBackwardToken": format!("b/{start:056}"),
    }))
}

fn forward(numbered: &[(u64, Event)], place: u64, limit: usize) -> (usize, usize) {
    let from = numbered.partition_point(|(number, _)| *number < place);
    (from, numbered.len().min(from + limit))
}

fn backward(numbered: &[(u64, Event)], place: u64, limit: usize) -> (usize, usize) {
    let to = numbered.partition_point(|(number, _)| *number < place);
    (to.saturating_sub(limit), to)
}

fn place(token: &str) -> Result<(bool, u64), Fault> {
    let wrong = || invalid("The specified nextToken is invalid.");
    let (direction, digits) = token.split_once('/').ok_or_else(wrong)?;
    let place = digits.parse().map_err(|_| wrong())?;
    match direction {
        "f" => Ok((true, place)),
        "b" => Ok((false, place)),
        _ => Err(wrong()),
    }
}

fn shown(event: &Event) -> Value {
    json!({"timestamp": event.time, "message": event.message, "ingestionTime": event.ingested})
}

/// Answers `FilterLogEvents`.
pub(super) fn filter(tx: &Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let group = group::named(tx, call)?;
    let names: Vec<_> =
        call.json()["logStreamNames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let prefix = text(call, "logStreamNamePrefix");
    if prefix.is_some() && !names.is_empty() {
        return Err(invalid("Only one of logStreamNames and logStreamNamePrefix may be given."));
    }
    let limit = size(call, "limit", 10_000, 10_000)?;
    let span = Span::read(call)?;
    let terms = Terms::read(text(call, "filterPattern").unwrap_or_default())?;
    let mut found = Vec::new();
    for stream in stream::of_group(tx, &group.name)? {
        let wanted = names.is_empty() || names.contains(&stream.name.as_str());
        if !wanted || prefix.is_some_and(|prefix| !stream.name.starts_with(prefix)) {
            continue;
        }
        let events = kept(tx, &stream)?.into_iter();
        for (number, event) in events.filter(|(_, event)| span.holds(event) && terms.fit(&event.message)) {
            let mut one = shown(&event);
            one["logStreamName"] = json!(stream.name);
            let id = format!("{:020}/{number:020}/{}", event.time, stream.name);
            one["eventId"] = json!(id);
            found.push((id, one));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let after = text(call, "nextToken").map(decoded).transpose()?.unwrap_or_default();
    found.retain(|(id, _)| *id > after);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(id, _)| encoded(id));
    let events: Vec<_> = found.into_iter().map(|(_, event)| event).collect();
    let mut answer = json!({"events": events, "searchedLogStreams": []});
    if let Some(token) = next {
        answer["nextToken"] = json!(token);
    }
    Ok(answer)
}

/// A filter pattern of words: all must be there, one of those with `?`, none of those with `-`.
struct Terms {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

impl Terms {
    fn read(pattern: &str) -> Result<Self, Fault> {
        if pattern.trim_start().starts_with(['{', '[', '%']) {
            let text = "Invalid filter pattern: the local cloud knows patterns of words only, not of JSON or columns.";
            return Err(invalid(text));
        }
        let mut terms = Self { all: Vec::new(), any: Vec::new(), none: Vec::new() };
        let mut rest = pattern.trim_start();
        while !rest.is_empty() {
            let (list, start) = match rest.chars().next() {
                Some('?') => (&mut terms.any, 1),
                Some('-') => (&mut terms.none, 1),
                _ => (&mut terms.all, 0),
            };
            let (term, tail) = word(rest.get(start..).unwrap_or_default())?;
            list.push(term.to_owned());
            rest = tail.trim_start();
        }
        Ok(terms)
    }

    fn fit(&self, message: &str) -> bool {
        let has = |term: &String| message.contains(term.as_str());
        self.all.iter().all(has) && (self.any.is_empty() || self.any.iter().any(has)) && !self.none.iter().any(has)
    }
}

fn word(text: &str) -> Result<(&str, &str), Fault> {
    match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or_else(|| invalid("Invalid filter pattern: a quote is not closed.")),
        None => Ok(text.split_once(char::is_whitespace).unwrap_or((text, ""))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::group::{GROUPS, Group};
    use serde_json::json;

    use super::super::testing::{Bench, NOW};
    use super::*;

    /// Writes lines to a stream; group and stream are made when missing.
    fn write(tx: &mut Tx<'_>, call: &Call, group: &str, name: &str, lines: &[String]) -> Result<(), Fault> {
        if !tx.has(GROUPS, group)? {
            tx.put(GROUPS, group, &Group::new(call, group))?;
        }
        let mut stream = stream::find(tx, group, name)?.unwrap_or_else(|| Stream::new(call, group, name));
        append(tx, &mut stream, call.now, lines.iter().map(|line| (call.now, line.clone())))?;
        stream.save(tx)
    }

    fn put(bench: &Bench, events: &[(i64, &str)]) -> Result<Value, Fault> {
        let events: Vec<_> = events.iter().map(|(time, text)| json!({"timestamp": time, "message": text})).collect();
        bench.run("PutLogEvents", &json!({"logGroupName": "g", "logStreamName": "s", "logEvents": events}))
    }

    fn messages(answer: &Value) -> Vec<String> {
        let events = answer["events"].as_array().unwrap().iter();
        events.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    }

    fn get(bench: &Bench, fields: &Value) -> Value {
        let mut body = json!({"logGroupName": "g", "logStreamName": "s"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        bench.ok("GetLogEvents", &body)
    }

    #[test]
    fn tokens_walk_in_both_directions_and_stop_at_the_ends() {
        let bench = Bench::with_stream();
        put(&bench, &[(NOW, "1"), (NOW + 1, "2"), (NOW + 2, "3")]).unwrap();
        assert_eq!(messages(&get(&bench, &json!({"limit": 2}))), ["2", "3"]);
        let head = get(&bench, &json!({"limit": 2, "startFromHead": true}));
        assert_eq!(messages(&head), ["1", "2"]);
        let next = get(&bench, &json!({"nextToken": head["nextForwardToken"]}));
        assert_eq!(messages(&next), ["3"]);
        let end = get(&bench, &json!({"nextToken": next["nextForwardToken"]}));
        assert_eq!((messages(&end).len(), &end["nextForwardToken"]), (0, &next["nextForwardToken"]));
        let back = get(&bench, &json!({"nextToken": next["nextBackwardToken"]}));
        assert_eq!(messages(&back), ["1", "2"]);
        let wrong = json!({"logGroupName": "g", "logStreamName": "s", "nextToken": "x"});
        assert_eq!(bench.code("GetLogEvents", &wrong), "InvalidParameterException");
    }

    #[test]
    fn only_the_newest_events_are_kept() {
        let bench = Bench::with_stream();
        let lines: Vec<_> = (0..600).map(|number| number.to_string()).collect();
        for _ in 0..2 {
            bench.inside(|tx, call| write(tx, call, "g", "s", &lines));
        }
        let all = get(&bench, &json!({"startFromHead": true}));
        assert_eq!((messages(&all).len(), messages(&all)[0].as_str()), (MOST_KEPT, "200"));
    }

    #[test]
    fn other_services_write_without_making_groups_first() {
        let bench = Bench::new();
        bench.inside(|tx, call| write(tx, call, "g", "s", &["line".to_owned()]));
        assert_eq!(messages(&get(&bench, &json!({}))), ["line"]);
    }

    #[test]
    fn batches_are_ordered_and_bounded() {
        let bench = Bench::with_stream();
        let code = |events: &[(i64, &str)]| put(&bench, events).unwrap_err().code;
        for events in [&[][..], &[(NOW, "b"), (NOW - 1, "a")], &[(NOW - 25 * HOUR, "a"), (NOW, "b")], &[(NOW, "")]] {
            assert_eq!(code(events), "InvalidParameterException");
        }
        assert_eq!(code(&[(NOW, &"x".repeat(MOST_BYTES))]), "InvalidParameterException");
    }

    #[test]
    fn events_out_of_time_are_told_and_dropped() {
        let bench = Bench::with_stream();
        let new = put(&bench, &[(NOW, "good"), (NOW + 3 * HOUR, "new")]).unwrap();
        assert_eq!(new["rejectedLogEventsInfo"], json!({"tooNewLogEventStartIndex": 1}));
        let old = put(&bench, &[(NOW - OLDEST - 1, "old")]).unwrap();
        assert_eq!(old["rejectedLogEventsInfo"], json!({"tooOldLogEventEndIndex": 1}));
        assert_eq!(messages(&get(&bench, &json!({}))), ["good"]);
    }

    #[test]
    fn filters_search_all_streams_of_a_group() {
        let bench = Bench::with_stream();
        put(&bench, &[(NOW, "error one"), (NOW + 1, "fine"), (NOW + 2, "error \"two\"")]).unwrap();
        bench.inside(|tx, call| write(tx, call, "g", "t", &["error three".to_owned()]));
        let found = |fields: Value| {
            let mut body = json!({"logGroupName": "g"});
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            messages(&bench.ok("FilterLogEvents", &body))
        };
        assert_eq!(found(json!({"filterPattern": "error"})).len(), 3);
        assert_eq!(found(json!({"filterPattern": "error -three", "logStreamNames": ["t"]})).len(), 0);
        assert_eq!(found(json!({"filterPattern": "?one ?three"})).len(), 2);
        assert_eq!(found(json!({"filterPattern": "\"error one\""})), ["error one"]);
        assert_eq!(found(json!({"startTime": NOW + 1, "endTime": NOW + 2})), ["fine"]);
        let first = bench.ok("FilterLogEvents", &json!({"logGroupName": "g", "limit": 3}));
        assert_eq!(found(json!({"nextToken": first["nextToken"]})).len(), 1);
        let pattern = json!({"logGroupName": "g", "filterPattern": "{ $.a = 1 }"});
        assert_eq!(bench.code("FilterLogEvents", &pattern), "InvalidParameterException");
    }
}
