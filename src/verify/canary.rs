//! Sends a labelled record through a stack and waits for what becomes of it. Writes: one record, and one deletion.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::ShardIteratorType;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::aws::Aws;
use crate::aws::error::failed;
use crate::kind::{KindError, Result, State};
use crate::live::Live;
use crate::stack::Stack;
use crate::stack::canary::{Canary, Item, Label, Message, Output};

/// Time between two looks at one place.
const LOOK: Duration = Duration::from_millis(250);

/// A place that the canary passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Station {
    /// Id of the resource.
    pub id: String,
    /// What was looked for there.
    pub what: String,
    /// How it came out.
    pub state: State,
    /// Time from the put until it was seen.
    pub latency: Option<Duration>,
    /// What went wrong.
    pub reason: Option<String>,
}

/// What became of a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flight {
    /// Its label.
    pub label: Label,
    /// The places, in the order of its way.
    pub stations: Vec<Station>,
    /// What is left of it, or why it could not be removed.
    pub left: Vec<String>,
}

/// Makes a label that nothing else has.
#[must_use]
pub fn label() -> Label {
    let id = Uuid::new_v4();
    Label { digits: format!("{:06}", id.as_u128() % 1_000_000), id: format!("canary-{id}") }
}

/// Sends the canary of a stack and waits at each of its places for as long as `timeout` says.
pub async fn fly(aws: &Arc<Aws>, stack: &Stack, live: &Live, canary: &Canary, timeout: Duration) -> Flight {
    let flight = Flying { aws, stack, live, canary, label: label(), start: Instant::now(), timeout };
    flight.run().await
}

struct Flying<'a> {
    aws: &'a Aws,
    stack: &'a Stack,
    live: &'a Live,
    canary: &'a Canary,
    label: Label,
    start: Instant,
    timeout: Duration,
}

impl Flying<'_> {
    async fn run(mut self) -> Flight {
        let iterators = match &self.canary.output {
            Some(output) => self.latest(self.name(&output.id)).await,
            None => Ok(Vec::new()),
        };
        let since = Timestamp::now().as_millisecond();
        self.start = Instant::now();
        let put = match iterators {
            Ok(_) => self.put().await,
            Err(ref error) => Err(error.clone()),
        };
        let mut stations = vec![self.station(&self.canary.stream, "put", put.map(Some))];
        if stations.iter().all(|station| station.state == State::Ok) {
            let (far, item) = tokio::join!(self.far(iterators.unwrap_or_default(), since), self.item());
            stations.extend(far);
            stations.extend(item);
        }
        let left = self.clear(&stations).await;
        Flight { label: self.label, stations, left }
    }

    /// Waits for the record on the other stream, then for the message.
    async fn far(&self, iterators: Vec<String>, since: i64) -> Vec<Station> {
        let mut stations = Vec::new();
        if let Some(output) = &self.canary.output {
            let seen = self.row(output, iterators).await;
            stations.push(self.station(&output.id, "row", seen));
        }
        if let Some(message) = &self.canary.message
            && stations.iter().all(|station| station.state == State::Ok)
        {
            let seen = self.published(message, since).await;
            stations.push(self.station(&message.id, "message", seen));
        }
        stations
    }

    fn station(&self, id: &str, what: &str, seen: Result<Option<Duration>>) -> Station {
        let (state, latency, reason) = match seen {
            Ok(Some(latency)) => (State::Ok, Some(latency), None),
            Ok(None) => (State::Failed, None, Some(format!("not seen within {} s", self.timeout.as_secs()))),
            Err(error) => (State::Failed, None, Some(error.to_string())),
        };
        Station { id: id.to_owned(), what: what.to_owned(), state, latency, reason }
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.stack.resources.get(id).map_or(id, |resource| &resource.name)
    }

    /// Asks again and again until `look` sees something; nothing when time is up.
    async fn until<F: Future<Output = Result<bool>>>(&self, mut look: impl FnMut() -> F) -> Result<Option<Duration>> {
        loop {
            if look().await? {
                return Ok(Some(self.start.elapsed()));
            }
            if self.start.elapsed() > self.timeout {
                return Ok(None);
            }
            sleep(LOOK).await;
        }
    }

    async fn put(&self) -> Result<Duration> {
        let record = Value::Object(self.label.fill(&self.canary.record));
        let data = Blob::new(format!("{record}\n"));
        let request = self.aws.kinesis().put_record().stream_name(self.name(&self.canary.stream));
        request.data(data).partition_key(&self.label.id).send().await.map_err(failed("PutRecord"))?;
        Ok(self.start.elapsed())
    }

    /// Returns iterators that show what comes after this moment.
    async fn latest(&self, stream: &str) -> Result<Vec<String>> {
        let kinesis = self.aws.kinesis();
        let shards = kinesis.list_shards().stream_name(stream).send().await.map_err(failed("ListShards"))?;
        let mut iterators = Vec::new();
        for shard in shards.shards.unwrap_or_default() {
            let request = kinesis.get_shard_iterator().stream_name(stream).shard_id(shard.shard_id);
            let answer = request.shard_iterator_type(ShardIteratorType::Latest).send().await;
            iterators.extend(answer.map_err(failed("GetShardIterator"))?.shard_iterator);
        }
        Ok(iterators)
    }

    async fn row(&self, output: &Output, iterators: Vec<String>) -> Result<Option<Duration>> {
        let wanted = self.label.fill(&output.record);
        let mut iterators = iterators;
        loop {
            let mut next = Vec::new();
            for iterator in iterators {
                let answer = self.aws.kinesis().get_records().shard_iterator(iterator).send().await;
                let answer = answer.map_err(failed("GetRecords"))?;
                if answer.records.iter().any(|record| is_row(record.data.as_ref(), &wanted)) {
                    return Ok(Some(self.start.elapsed()));
                }
                next.extend(answer.next_shard_iterator);
            }
            if self.start.elapsed() > self.timeout {
                return Ok(None);
            }
            iterators = next;
            sleep(LOOK).await;
        }
    }

    async fn published(&self, message: &Message, since: i64) -> Result<Option<Duration>> {
        let group = self.log_group(&message.id);
        self.until(|| async {
            let request = self.aws.logs().filter_log_events().log_group_name(&group).start_time(since);
            let mut pages = request.into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = match page.map_err(failed("FilterLogEvents")) {
                    Ok(page) => page,
                    // Lambda makes the group with the first line.
                    Err(error) if error.is_not_found() => return Ok(false),
                    Err(error) => return Err(error),
                };
                let mut lines = page.events.unwrap_or_default().into_iter().filter_map(|event| event.message);
                if lines.any(|line| line.contains(&message.log)) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await
    }

    fn log_group(&self, function: &str) -> String {
        let found = self.live.found.get(function);
        let own = found.and_then(|found| found.spec.pointer("/logging_config/log_group")?.as_str());
        own.map_or_else(|| format!("/aws/lambda/{}", self.name(function)), str::to_owned)
    }

    async fn item(&self) -> Option<Station> {
        let table = self.canary.table.as_ref()?;
        let seen = match self.key(table) {
            Ok(key) => {
                let look = || async {
                    let request = self.aws.dynamodb().get_item().table_name(self.name(&table.id)).consistent_read(true);
                    let answer = request.set_key(Some(key.clone())).send().await.map_err(failed("GetItem"))?;
                    Ok(answer.item.is_some())
                };
                self.until(look).await
            }
            Err(error) => Err(error),
        };
        Some(self.station(&table.id, "item", seen))
    }

    fn key(&self, table: &Item) -> Result<HashMap<String, AttributeValue>> {
        let attribute = |value: Value| match value {
            Value::String(text) => Ok(AttributeValue::S(text)),
            Value::Number(number) => Ok(AttributeValue::N(number.to_string())),
            other => Err(KindError::invalid(format!("{other} cannot be part of a key"))),
        };
        self.label.fill(&table.key).into_iter().map(|(name, value)| Ok((name, attribute(value)?))).collect()
    }

    /// Deletes the item; says what is left.
    async fn clear(&self, stations: &[Station]) -> Vec<String> {
        let mut left = Vec::new();
        let sent = stations.first().is_some_and(|put| put.state == State::Ok);
        if !sent {
            return left;
        }
        if let Some(table) = &self.canary.table {
            let missing = stations.iter().any(|station| station.what == "item" && station.state != State::Ok);
            match self.delete(table).await {
                Ok(()) if missing => left.push(format!(
                    "its item may still come into {}: delete what has the key {}",
                    table.id, self.label.id
                )),
                Ok(()) => {}
                Err(error) => left.push(format!("its item {} is still in {}: {error}", self.label.id, table.id)),
            }
        }
        if self.canary.message.is_some() {
            left.push("a message cannot be taken back: whoever subscribed got it, or gets it yet".to_owned());
        }
        left.push("its records leave the streams when they expire".to_owned());
        left
    }

    async fn delete(&self, table: &Item) -> Result<()> {
        let request = self.aws.dynamodb().delete_item().table_name(self.name(&table.id));
        request.set_key(Some(self.key(table)?)).send().await.map_err(failed("DeleteItem"))?;
        Ok(())
    }
}

/// Tells whether a record has the wanted fields. Numbers are compared as such: SQL may have made them of texts.
fn is_row(data: &[u8], wanted: &Map<String, Value>) -> bool {
    let Ok(Value::Object(row)) = serde_json::from_slice(data) else { return false };
    let field = |name: &str| row.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    wanted.iter().all(|(name, value)| field(name).is_some_and(|found| is_same(found, value)))
}

fn is_same(found: &Value, wanted: &Value) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (found, wanted) = (text(found), text(wanted));
    match (found.trim().parse::<f64>(), wanted.trim().parse::<f64>()) {
        (Ok(found), Ok(wanted)) => (found - wanted).abs() <= 1e-9 * wanted.abs().max(1.0),
        _ => found == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_are_known_by_their_fields() {
        let wanted = json!({"cost": "1.482913", "gate": "Aeroflot"}).as_object().unwrap().clone();
        assert!(is_row(br#"{"COST":1.482913,"gate":"Aeroflot","more":1}"#, &wanted));
        for other in [&br#"{"cost":1.482914,"gate":"Aeroflot"}"#[..], br#"{"cost":1.482913}"#, b"[]", b"x"] {
            assert!(!is_row(other, &wanted), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn labels_are_fresh_and_fill_records() {
        let (one, other) = (label(), label());
        assert!(one.id != other.id && one.digits.len() == 6);
        let record = json!({"id": "${canary.id}", "cost": "1.${canary.digits}", "n": 1, "dollar": "$${x}"});
        let filled = one.fill(record.as_object().unwrap());
        assert_eq!(filled["id"], json!(one.id));
        assert_eq!(filled["cost"], json!(format!("1.{}", one.digits)));
        assert_eq!((&filled["n"], &filled["dollar"]), (&json!(1), &json!("${x}")));
    }
}
