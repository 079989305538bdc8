//! `PutRecord` and `PutRecords`: which shard a record goes to, and what AWS refuses to take (`facts/aws.md` 1).
//!
//! It does not know how records are stored.

use std::collections::{BTreeMap, btree_map};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferrokinesis::sequence::{parse_sequence, partition_key_to_hash_key};
use ferrokinesis::types::{EncryptionType, Shard, Stream, StreamStatus};
use serde_json::{Map, Value, json};

use super::clock::made;
use super::log::{Batch, Draft, Unwritten};
use super::sequence::{Origin, is_open};
use super::{Desk, RECORD_SIZE, invalid, not_found, refused};
use crate::local::{Answer, Fault, Outcome};

/// Most bytes that the data of any record can have (`facts/aws.md` 1.2).
const LARGEST_RECORD: usize = 10 << 20;
/// Most bytes of data and keys in one call.
const LARGEST_CALL: usize = 10 << 20;
/// Milliseconds that the numbers of a new child shard can be ahead of the clock: it counts as made a second later.
const AHEAD: i64 = 1000;
/// How often records are put anew whose shard was closed meanwhile; each time the engine knows of the change.
const ATTEMPTS: usize = 10;

/// One record as the caller sent it.
struct Entry<'a> {
    key: &'a str,
    data: &'a str,
    /// Bytes of the data and the key.
    size: usize,
    hash: u128,
}

/// Where records went: shard and sequence number each, and the stream that took them.
struct Placed {
    stream: Stream,
    records: Vec<(String, String)>,
}

impl Desk<'_> {
    /// Answers `PutRecord`.
    pub(super) async fn put_record(&self) -> Outcome {
        let size = data_size(&self.body["Data"])?;
        self.checked(&blank(&self.body))?;
        check_length("data", size)?;
        self.check_order()?;
        let placed = self.put(&[entry(&self.body, size)?]).await?;
        let (shard, number) = placed.records.into_iter().next().unwrap_or_default();
        let mut answer = json!({"ShardId": shard, "SequenceNumber": number});
        note_encryption(&mut answer, &placed.stream);
        Ok(Answer::json(answer))
    }

    /// Answers `PutRecords`: all records are taken or none, so no record fails alone.
    pub(super) async fn put_records(&self) -> Outcome {
        let records = self.body["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
        let sizes = records.iter().map(|record| data_size(&record["Data"])).collect::<Result<Vec<_>, _>>()?;
        let mut shadow = self.shadow();
        if self.body["Records"].is_array() {
            shadow["Records"] = records.iter().map(blank).collect();
        }
        self.checked(&shadow)?;
        let mut entries = Vec::with_capacity(records.len());
        for (index, (record, size)) in records.iter().zip(sizes).enumerate() {
            check_length(&format!("records.{}.member.data", index + 1), size)?;
            entries.push(entry(record, size)?);
        }
        if entries.iter().map(|entry| entry.size).sum::<usize>() > LARGEST_CALL {
            return Err(invalid(format!("Records' total data + partition key payload exceeds {LARGEST_CALL} bytes")));
        }
        let placed = self.put(&entries).await?;
        let results =
            placed.records.into_iter().map(|(shard, number)| json!({"ShardId": shard, "SequenceNumber": number}));
        let mut answer = json!({"FailedRecordCount": 0, "Records": results.collect::<Vec<_>>()});
        note_encryption(&mut answer, &placed.stream);
        Ok(Answer::json(answer))
    }

    /// The parameters without the records.
    fn shadow(&self) -> Value {
        let fields = self.body.as_object().into_iter().flatten();
        let others = fields.filter(|(name, _)| *name != "Records" || !self.body["Records"].is_array());
        Value::Object(others.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// Refuses an ordering number that no record can have yet.
    fn check_order(&self) -> Result<(), Fault> {
        let Some(number) = self.body["SequenceNumberForOrdering"].as_str() else { return Ok(()) };
        let time = parse_sequence(number).ok().map(|parsed| parsed.seq_time.unwrap_or_default());
        match time.map(i64::try_from) {
            Some(Ok(time)) if time <= self.call.now + AHEAD => Ok(()),
            _ => Err(invalid(format!(
                "ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {} under account {} is invalid.",
                self.name(),
                self.call.account
            ))),
        }
    }

    async fn put(&self, entries: &[Entry<'_>]) -> Result<Placed, Fault> {
        for _ in 0..ATTEMPTS {
            let stream = self.writable().await?;
            check_records(&stream, entries)?;
            match self.log.append(&self.batch(&stream, entries)?) {
                Ok(numbers) => return Ok(placed(stream, entries, numbers)),
                Err(Unwritten::Failed(fault)) => return Err(fault),
                Err(Unwritten::Sealed) => tokio::task::yield_now().await,
            }
        }
        Err(Fault::with_status(500, "InternalFailure", "the stream's shards change too fast; put the records again"))
    }

    /// Returns the stream when it takes records; one in CREATING or DELETING counts as not there.
    async fn writable(&self) -> Result<Stream, Fault> {
        let name = self.name();
        if name.is_empty() {
            return Err(invalid("Either StreamName or StreamARN must be provided."));
        }
        let stream = self.engine.get_stream(name).await.map_err(refused)?;
        match stream.stream_status {
            StreamStatus::Active | StreamStatus::Updating => Ok(stream),
            StreamStatus::Creating | StreamStatus::Deleting => Err(not_found(self.call, name)),
        }
    }

    fn batch<'b>(&self, stream: &'b Stream, entries: &[Entry<'b>]) -> Result<Batch<'b>, Fault> {
        let open = Ranges::of(stream);
        let (mut shards, mut drafts) = (BTreeMap::new(), Vec::with_capacity(entries.len()));
        for entry in entries {
            let missing = || Fault::with_status(500, "InternalFailure", "no open shard has the record's hash key");
            let (index, shard) = open.find(entry.hash).ok_or_else(missing)?;
            if let btree_map::Entry::Vacant(new) = shards.entry(index) {
                new.insert(Origin::of(shard).ok_or_else(missing)?);
            }
            drafts.push(Draft { shard: index, key: entry.key, data: entry.data });
        }
        let encrypted = stream.encryption_type == EncryptionType::Kms;
        Ok(Batch { stream: &stream.stream_name, made: made(stream), shards, drafts, encrypted, now: self.call.now })
    }
}

/// The open shards in the order of their hash ranges, which cover all hash keys.
struct Ranges<'a>(Vec<(u128, usize, &'a Shard)>);

impl<'a> Ranges<'a> {
    fn of(stream: &'a Stream) -> Self {
        let open = stream.shards.iter().enumerate().filter(|(_, shard)| is_open(shard));
        let mut ranges: Vec<_> = open.map(|(index, shard)| (shard.hash_key_range.start_u128(), index, shard)).collect();
        ranges.sort_by_key(|(start, ..)| *start);
        Self(ranges)
    }

    fn find(&self, hash: u128) -> Option<(usize, &'a Shard)> {
        let after = self.0.partition_point(|(start, ..)| *start <= hash);
        let (_, index, shard) = self.0.get(after.checked_sub(1)?)?;
        (hash <= shard.hash_key_range.end_u128()).then_some((*index, *shard))
    }
}

fn placed(stream: Stream, entries: &[Entry<'_>], numbers: Vec<String>) -> Placed {
    let open = Ranges::of(&stream);
    let shard = |entry: &Entry<'_>| open.find(entry.hash).map(|(_, shard)| shard.shard_id.clone()).unwrap_or_default();
    let records = entries.iter().map(shard).zip(numbers).collect();
    Placed { stream, records }
}

fn entry(record: &Value, size: usize) -> Result<Entry<'_>, Fault> {
    let (key, data) =
        (record["PartitionKey"].as_str().unwrap_or_default(), record["Data"].as_str().unwrap_or_default());
    let hash = match record["ExplicitHashKey"].as_str() {
        None => partition_key_to_hash_key(key),
        Some(hash) => hash.parse().map_err(|_| {
            invalid(format!(
                "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {hash}"
            ))
        })?,
    };
    Ok(Entry { key, data, size: size + key.len(), hash })
}

/// Returns how many bytes some data has; what is no text is left to the checks of types.
fn data_size(data: &Value) -> Result<usize, Fault> {
    let Some(text) = data.as_str() else { return Ok(0) };
    STANDARD.decode(text).map(|bytes| bytes.len()).map_err(|cause| {
        Fault::new("SerializationException", format!("the data of a record can not be converted to a Blob: {cause}"))
    })
}

/// The record without its data, which would only slow the checks down.
fn blank(record: &Value) -> Value {
    let Some(fields) = record.as_object() else { return record.clone() };
    let without = |(name, value): (&String, &Value)| {
        let value = if name == "Data" && value.is_string() { json!("") } else { value.clone() };
        (name.clone(), value)
    };
    Value::Object(fields.iter().map(without).collect::<Map<_, _>>())
}

fn check_length(field: &str, size: usize) -> Result<(), Fault> {
    if size <= LARGEST_RECORD {
        return Ok(());
    }
    let text = format!(
        "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]' at '{field}' failed to satisfy constraint: Member must have length less than or equal to {LARGEST_RECORD}"
    );
    Err(Fault::new("ValidationException", text))
}

fn check_records(stream: &Stream, entries: &[Entry<'_>]) -> Result<(), Fault> {
    let most = u64::from(stream.max_record_size_kib).max(RECORD_SIZE) << 10;
    match entries.iter().position(|entry| entry.size as u64 > most) {
        None => Ok(()),
        Some(index) => Err(invalid(format!(
            "Record {} has {} bytes of data and partition key, more than the maximum record size of stream {}: {most} bytes",
            index + 1,
            entries.get(index).map_or(0, |entry| entry.size),
            stream.stream_name
        ))),
    }
}

fn note_encryption(answer: &mut Value, stream: &Stream) {
    if stream.encryption_type == EncryptionType::Kms {
        answer["EncryptionType"] = json!("KMS");
    }
}
