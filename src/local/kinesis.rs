//! Kinesis: the `ferrokinesis` engine for streams and shards, made as strict as AWS where it is not
//! (`facts/aws.md` 1), and a log of our own for records.
//!
//! One engine and one log per account and region, opened on their first call. Tags and what else other services
//! look at stand in the rows of [`STREAMS`], which are the truth for tags.

mod clock;
mod cursor;
mod engine;
mod log;
mod put;
mod read;
mod sequence;
mod shards;
mod tags;
mod tend;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferrokinesis::actions::{Operation, dispatch};
use ferrokinesis::error::KinesisErrorResponse;
use ferrokinesis::store::Store as Engine;
use ferrokinesis::types::{EpochSeconds, Stream, StreamMode, StreamStatus};
use ferrokinesis::validation::{FieldDef, check_types, check_validations};
use serde_json::{Value, json};

use self::log::Log;
use self::tags::tags_in;
use super::store::{Store, Table};
use super::{Answer, Call, Fault, Outcome, Tx, private, unknown_operation};

/// Mirror of the streams: key is the name, value has `arn` and `tags`.
pub(crate) const STREAMS: Table = Table::regional("kinesis.stream");

const IN_TRANSITION: usize = 5;
const MAXIMUM_TAGS: usize = 50;
const ON_DEMAND_SHARDS: u64 = 4;
const RECORD_SIZE: u64 = 1024;
const MAXIMUM_RETENTION: u32 = 8760;
/// Default quota of streams in on-demand mode (`facts/aws.md` 1.6).
const ON_DEMAND_STREAMS: usize = 50;

/// Returns the stream that a shard iterator or a token of `ListShards` is about.
pub(crate) fn stream_of(token: &str) -> Option<String> {
    cursor::stream_of(token).or_else(|| shards::stream_of(token))
}

/// The streams of all accounts and regions.
pub(crate) struct Streams {
    home: Option<PathBuf>,
    places: Mutex<HashMap<(String, String), Place>>,
    /// Makes "how many are in transition" and the creation that follows one step, which no record gets between.
    gate: tokio::sync::RwLock<()>,
}

/// What one account has in one region.
#[derive(Clone)]
struct Place {
    engine: Engine,
    log: Arc<Log>,
}

impl Streams {
    /// Makes the service; `home` is the folder of its state, none for memory.
    pub(crate) fn new(home: Option<PathBuf>) -> Self {
        Self { home, places: Mutex::default(), gate: tokio::sync::RwLock::default() }
    }

    /// Answers one call.
    pub(crate) async fn handle(&self, rows: &Store, call: &Call) -> Outcome {
        let (Place { engine, log }, opened) = self.place(call)?;
        if opened {
            let made = engine.list_stream_names().await;
            rows.transaction(call, |tx| forget_unmade(tx, &made))?;
        }
        let desk = Desk { engine: engine::paced(engine, call), log, rows, call, body: named(call)? };
        if RECORDS.contains(&call.operation.as_str()) {
            let _none_is_made = self.gate.read().await;
            return desk.records().await;
        }
        match call.operation.as_str() {
            "CreateStream" => {
                let _one_at_a_time = self.gate.write().await;
                desk.create().await
            }
            "DeleteStream" => {
                let answer = desk.delete().await?;
                let _none_is_made = self.gate.write().await;
                desk.clear().await?;
                Ok(answer)
            }
            "ListShards" => desk.list_shards().await,
            "ListStreams" => desk.list().await,
            "DescribeStreamSummary" => desk.summary().await,
            "DescribeLimits" => desk.limits().await,
            "IncreaseStreamRetentionPeriod" | "DecreaseStreamRetentionPeriod" => desk.retain().await,
            "AddTagsToStream" | "RemoveTagsFromStream" | "ListTagsForStream" => desk.tags_of_stream().await,
            "TagResource" | "UntagResource" | "ListTagsForResource" => desk.tags_of_resource().await,
            "SubscribeToShard" => Err(Fault::new(
                "UnsupportedOperationException",
                "the local cloud has no enhanced fan-out stream; use GetRecords",
            )),
            _ => desk.other().await,
        }
    }

    /// Returns the caller's place and whether this call opened it.
    fn place(&self, call: &Call) -> Result<(Place, bool), Fault> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (call.account.clone(), call.region.clone());
        if let Some(place) = places.get(&at) {
            return Ok((place.clone(), false));
        }
        let home = self.home.as_ref().map(|home| home.join(&call.account).join(&call.region));
        let log = home.as_ref().map(|home| home.join("records.sqlite"));
        if let (Some(home), Some(log)) = (&home, &log) {
            private::make(home).and_then(|()| private::begin(log)).map_err(|cause| engine::broken(&cause))?;
        }
        let engine = engine::open(home, call)?;
        let log = Log::open(log.as_deref())?;
        let place = Place { engine, log: Arc::new(log) };
        places.insert(at, place.clone());
        Ok((place, true))
    }
}

/// Drops rows whose stream was never made because the process died in between.
fn forget_unmade(tx: &mut Tx<'_>, made: &[String]) -> Result<(), Fault> {
    for (name, _) in tx.list::<Value>(STREAMS)? {
        if !made.contains(&name) {
            tx.delete(STREAMS, &name)?;
        }
    }
    Ok(())
}

/// Returns the body with `StreamARN` resolved to `StreamName` for operations that the engine knows by name only.
fn named(call: &Call) -> Result<Cow<'_, Value>, Fault> {
    let body = call.json();
    let by_arn = [
        "ListStreamConsumers",
        "RegisterStreamConsumer",
        "DeregisterStreamConsumer",
        "DescribeStreamConsumer",
        "UpdateStreamMode",
        "UpdateMaxRecordSize",
    ];
    let Some(arn) = body["StreamARN"].as_str().map(str::to_owned) else { return Ok(Cow::Borrowed(body)) };
    let name = name_of(call, &arn).ok_or_else(|| not_found(call, &arn))?.to_owned();
    if by_arn.contains(&call.operation.as_str()) {
        return Ok(Cow::Borrowed(body));
    }
    let mut body = body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("StreamARN");
        let known = fields.entry("StreamName").or_insert_with(|| json!(name));
        if *known != json!(name) {
            return Err(invalid("StreamName and StreamARN name different streams"));
        }
    }
    Ok(Cow::Owned(body))
}

fn name_of<'a>(call: &Call, arn: &'a str) -> Option<&'a str> {
    arn.strip_prefix(&call.arn("kinesis", "stream/"))?.split('/').next().filter(|name| !name.is_empty())
}

fn not_found(call: &Call, name: &str) -> Fault {
    Fault::new("ResourceNotFoundException", format!("Stream {name} under account {} not found.", call.account))
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidArgumentException", message)
}

fn refused(error: KinesisErrorResponse) -> Fault {
    Fault::with_status(error.status_code, &error.body.error_type, error.body.message.unwrap_or_default())
}

/// One call at one engine.
struct Desk<'a> {
    engine: Engine,
    log: Arc<Log>,
    rows: &'a Store,
    call: &'a Call,
    body: Cow<'a, Value>,
}

impl Desk<'_> {
    fn name(&self) -> &str {
        self.body["StreamName"].as_str().unwrap_or_default()
    }

    /// Answers what reads or writes records, which the engine has no part in.
    async fn records(&self) -> Outcome {
        self.tend().await?;
        match self.call.operation.as_str() {
            "PutRecord" => self.put_record().await,
            "PutRecords" => self.put_records().await,
            "GetShardIterator" => self.shard_iterator().await,
            _ => self.get_records().await,
        }
    }

    /// Runs the operation in the engine.
    async fn run(&self, body: &Value) -> Result<Value, Fault> {
        let (operation, data) = self.checked(body)?;
        Ok(dispatch(&self.engine, operation, data).await.map_err(refused)?.unwrap_or_default())
    }

    /// Checks the parameters by the engine's rules for types, lengths and patterns.
    fn checked(&self, body: &Value) -> Result<(Operation, Value), Fault> {
        let operation: Operation = self.call.operation.parse().map_err(|()| unknown_operation(self.call))?;
        let rules = operation.validation_rules();
        let fields: Vec<(&str, &FieldDef)> = rules.iter().map(|(name, rule)| (*name, rule)).collect();
        let data = check_types(body, &fields).map_err(refused)?;
        check_validations(&data, &fields, None).map_err(refused)?;
        Ok((operation, data))
    }

    async fn other(&self) -> Outcome {
        let arn = self.body["StreamARN"].as_str();
        let name = arn.and_then(|arn| name_of(self.call, arn)).unwrap_or_else(|| self.name()).to_owned();
        if CHANGES.contains(&self.call.operation.as_str()) {
            self.checked(&self.body)?;
            let stream = self.active(&name).await?;
            if self.call.operation == "UpdateShardCount" {
                check_steps(&stream, &self.body)?;
            }
        }
        let answer = self.run(&self.body).await?;
        self.settle(&name).await;
        Ok(Answer::json(answer))
    }

    /// Refuses to change a stream that is not ACTIVE (`facts/aws.md` 1.4).
    async fn active(&self, name: &str) -> Result<Stream, Fault> {
        let stream = self.engine.get_stream(name).await.map_err(refused)?;
        if stream.stream_status == StreamStatus::Active {
            return Ok(stream);
        }
        let (account, status) = (&self.call.account, &stream.stream_status);
        let text = format!("Stream {name} under account {account} not ACTIVE, instead in state {status}");
        Err(Fault::new("ResourceInUseException", text))
    }

    /// Waits for the end of a change that is set to take no time: the engine ends it in the background.
    async fn settle(&self, name: &str) {
        for _ in 0..200 {
            let moving = match self.engine.get_stream(name).await {
                Ok(stream) => stream.stream_status != StreamStatus::Active,
                Err(_) => false,
            };
            if self.call.delay > 0 || !moving {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn create(&self) -> Outcome {
        let mut body = self.body.clone().into_owned();
        let mode = self.mode(&mut body)?;
        let (tags, size) = (tags_in(&self.body["Tags"])?, self.record_size()?);
        let name = self.name();
        if self.engine.contains_stream(name).await {
            let text = format!("Stream {name} under account {} already exists.", self.call.account);
            return Err(Fault::new("ResourceInUseException", text));
        }
        self.check_transitions().await?;
        if mode == StreamMode::OnDemand && self.on_demand().await >= ON_DEMAND_STREAMS {
            let text = format!(
                "This request would exceed the limit on the number of On-Demand streams. Limit: {ON_DEMAND_STREAMS}."
            );
            return Err(Fault::new("LimitExceededException", text));
        }
        self.log.forget(name, None)?;
        // The row comes first, so that a stream never lacks the tags it was made with.
        let row = json!({"arn": self.call.arn("kinesis", &format!("stream/{name}")), "tags": tags});
        self.rows.transaction(self.call, |tx| tx.put(STREAMS, name, &row))?;
        if let Err(fault) = self.run(&body).await {
            self.rows.transaction(self.call, |tx| tx.delete(STREAMS, name))?;
            return Err(fault);
        }
        // The engine's times are whole seconds, within which a stream can be deleted and made again.
        let time = EpochSeconds(clock::seconds(self.call.now));
        let set = |stream: &mut Stream| {
            stream.stream_creation_timestamp = time;
            stream.stream_mode_details.stream_mode = mode;
            stream.max_record_size_kib = size;
            Ok(())
        };
        self.engine.update_stream(name, set).await.map_err(refused)?;
        self.settle(name).await;
        Ok(Answer::json(Value::Null))
    }

    fn mode(&self, body: &mut Value) -> Result<StreamMode, Fault> {
        match self.body["StreamModeDetails"]["StreamMode"].as_str() {
            None | Some("PROVISIONED") => Ok(StreamMode::Provisioned),
            Some("ON_DEMAND") if self.body["ShardCount"].is_null() => {
                body["ShardCount"] = json!(ON_DEMAND_SHARDS);
                Ok(StreamMode::OnDemand)
            }
            Some("ON_DEMAND") => Err(invalid("ShardCount cannot be given for a stream in ON_DEMAND mode")),
            Some(other) => Err(invalid(format!("StreamMode must be PROVISIONED or ON_DEMAND, not {other}"))),
        }
    }

    fn record_size(&self) -> Result<u32, Fault> {
        let size = &self.body["MaxRecordSizeInKiB"];
        match if size.is_null() { Some(RECORD_SIZE) } else { size.as_u64() } {
            Some(size @ 1024..=10240) => u32::try_from(size).map_err(|cause| invalid(cause.to_string())),
            _ => Err(invalid("MaxRecordSizeInKiB must be between 1024 and 10240")),
        }
    }

    /// Allows five streams in CREATING or DELETING at once (`facts/aws.md` 1.3).
    async fn check_transitions(&self) -> Result<(), Fault> {
        let mut moving = 0;
        for name in self.engine.list_stream_names().await {
            let status = self.engine.get_stream(&name).await.map(|stream| stream.stream_status);
            moving += usize::from(matches!(status, Ok(StreamStatus::Creating | StreamStatus::Deleting)));
        }
        if moving < IN_TRANSITION {
            return Ok(());
        }
        let text = format!(
            "This request would exceed the number of streams of account {} that can simultaneously be in CREATING or DELETING. Limit: {IN_TRANSITION}.",
            self.call.account
        );
        Err(Fault::new("LimitExceededException", text))
    }

    async fn on_demand(&self) -> usize {
        let mut count = 0;
        for name in self.engine.list_stream_names().await {
            let mode = self.engine.get_stream(&name).await.map(|stream| stream.stream_mode_details.stream_mode);
            count += usize::from(matches!(mode, Ok(StreamMode::OnDemand)));
        }
        count
    }

    async fn limits(&self) -> Outcome {
        let mut answer = self.run(&self.body).await?;
        answer["OnDemandStreamCount"] = json!(self.on_demand().await);
        answer["OnDemandStreamCountLimit"] = json!(ON_DEMAND_STREAMS);
        Ok(Answer::json(answer))
    }

    /// Changes how long records are kept: up to a year, where the engine knows seven days (`facts/aws.md` 1.4).
    async fn retain(&self) -> Outcome {
        let name = self.name();
        let hours = self.body["RetentionPeriodHours"].as_u64().and_then(|hours| u32::try_from(hours).ok());
        let hours = hours
            .filter(|hours| (24..=MAXIMUM_RETENTION).contains(hours))
            .ok_or_else(|| invalid(format!("RetentionPeriodHours must be between 24 and {MAXIMUM_RETENTION}")))?;
        let (now, longer) =
            (self.active(name).await?.retention_period_hours, self.call.operation.starts_with("Increase"));
        if (longer && hours < now) || (!longer && hours > now) {
            let (order, other) = if longer { ("shorter", "Decrease") } else { ("longer", "Increase") };
            return Err(invalid(format!(
                "Requested retention period ({hours} hours) for stream {name} can not be {order} than existing retention period ({now} hours). Use {other}RetentionPeriod API."
            )));
        }
        let set = |stream: &mut Stream| {
            stream.retention_period_hours = hours;
            Ok(())
        };
        self.engine.update_stream(name, set).await.map_err(refused)?;
        Ok(Answer::json(Value::Null))
    }

    async fn delete(&self) -> Outcome {
        let name = self.name();
        let stream = self.active(name).await?;
        let consumers = self.engine.list_consumers_for_stream(&stream.stream_arn).await;
        if !consumers.is_empty() && self.body["EnforceConsumerDeletion"] != json!(true) {
            let text = format!("Stream {name} under account {} has registered consumers", self.call.account);
            return Err(Fault::new("ResourceInUseException", text));
        }
        for consumer in consumers {
            self.engine.delete_consumer(&consumer.consumer_arn).await.map_err(refused)?;
        }
        self.run(&self.body).await?;
        self.rows.transaction(self.call, |tx| tx.delete(STREAMS, name))?;
        self.settle(name).await;
        Ok(Answer::json(Value::Null))
    }

    async fn list(&self) -> Outcome {
        let limit = match self.body["Limit"].as_u64() {
            Some(limit @ 1..=10_000) => usize::try_from(limit).unwrap_or(100),
            None if self.body["Limit"].is_null() => 100,
            _ => return Err(invalid("Limit must be between 1 and 10000")),
        };
        let after =
            [&self.body["NextToken"], &self.body["ExclusiveStartStreamName"]].into_iter().find_map(Value::as_str);
        let names = self.engine.list_stream_names().await.into_iter();
        let mut names: Vec<_> = names.filter(|name| after.is_none_or(|after| name.as_str() > after)).collect();
        let more = names.len() > limit;
        names.truncate(limit);
        let mut summaries = Vec::new();
        for name in &names {
            if let Ok(stream) = self.engine.get_stream(name).await {
                summaries.push(summary_of(&stream));
            }
        }
        let mut answer = json!({"StreamNames": names, "HasMoreStreams": more, "StreamSummaries": summaries});
        if let Some(last) = names.last().filter(|_| more) {
            answer["NextToken"] = json!(last);
        }
        Ok(Answer::json(answer))
    }

    async fn summary(&self) -> Outcome {
        let mut answer = self.run(&self.body).await?;
        let stream = self.engine.get_stream(self.name()).await.map_err(refused)?;
        answer["StreamDescriptionSummary"]["MaxRecordSizeInKiB"] = json!(stream.max_record_size_kib);
        Ok(Answer::json(answer))
    }
}

/// Operations on records.
const RECORDS: &[&str] = &["PutRecord", "PutRecords", "GetShardIterator", "GetRecords"];

/// Operations that AWS refuses unless the stream is ACTIVE and that the engine lets through.
const CHANGES: &[&str] = &[
    "EnableEnhancedMonitoring",
    "DisableEnhancedMonitoring",
    "UpdateStreamMode",
    "UpdateMaxRecordSize",
    "UpdateShardCount",
    "StartStreamEncryption",
    "StopStreamEncryption",
];

/// Shard counts change within half and double, and only in provisioned mode (`facts/aws.md` 1.4).
fn check_steps(stream: &Stream, body: &Value) -> Result<(), Fault> {
    if stream.stream_mode_details.stream_mode == StreamMode::OnDemand {
        let text = format!("Stream {} is in ON_DEMAND mode, in which shards cannot be updated", stream.stream_name);
        return Err(Fault::new("ValidationException", text));
    }
    let open = stream.shards.iter().filter(|shard| shard.sequence_number_range.ending_sequence_number.is_none());
    let (current, target) = (open.count() as u64, body["TargetShardCount"].as_u64().unwrap_or_default());
    if target > current * 2 || target * 2 < current {
        let text =
            format!("UpdateShardCount takes a stream of {current} shards to between half and double, not to {target}");
        return Err(invalid(text));
    }
    Ok(())
}

fn summary_of(stream: &Stream) -> Value {
    json!({
        "StreamName": stream.stream_name,
        "StreamARN": stream.stream_arn,
        "StreamStatus": stream.stream_status,
        "StreamModeDetails": stream.stream_mode_details,
        "StreamCreationTimestamp": stream.stream_creation_timestamp,
    })
}

#[cfg(test)]
mod tests;
