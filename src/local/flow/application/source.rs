//! The input of an application: all shards of its stream, read through the public API with the input's role.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::journal::Journal;
use super::preprocess::Preprocessor;
use super::{Desk, now};
use crate::local::analytics::note::Note;
use crate::local::analytics::run::{Origin, Problem, Program, Schema};
use crate::local::analytics::{Application, Part};
use crate::local::{Answer, Fault, Input, Who};

/// Records of one read of one shard.
const MOST: u32 = 1000;
/// How often the list of shards is read again, in milliseconds.
const FRESH: i64 = 2000;

const INPUT_PROBLEM: &str = "There is a problem related to the configuration of your input. Please check that the \
    resource exists, the role has the correct permissions to access the resource and that Kinesis Analytics can \
    assume the role provided.";

/// One record as read.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Number of the in-application stream that it goes to.
    pub(super) stream: usize,
    pub(super) origin: Origin,
    pub(super) data: Vec<u8>,
}

struct Shard {
    id: String,
    iterator: Option<String>,
    /// Read up to its end, after it was closed.
    ended: bool,
}

/// Reads one input.
pub(super) struct Source {
    id: String,
    arn: Option<String>,
    who: Who,
    pub(super) schema: Schema,
    /// In-application streams: number in the program, and name.
    pub(super) streams: Vec<(usize, String)>,
    shards: Vec<Shard>,
    listed: i64,
    preprocessor: Option<Preprocessor>,
}

impl Source {
    pub(super) fn new(desk: &Desk, application: &Application, input: &Part, program: &Program) -> Result<Self, String> {
        let given = &input.body["KinesisStreamsInput"];
        let streams = input.stream_names().into_iter().filter_map(|name| Some((program.place(&name)?, name)));
        Ok(Self {
            id: input.id.clone(),
            arn: given["ResourceARN"].as_str().map(str::to_owned),
            who: Who { role: given["RoleARN"].as_str().map(str::to_owned), ..desk.who.clone() },
            schema: input.schema().map_err(|why| why.to_string())?,
            streams: streams.collect(),
            shards: Vec::new(),
            listed: i64::MIN,
            preprocessor: Preprocessor::new(desk, application, input),
        })
    }

    /// Names a shard in the notes.
    pub(super) fn place(&self, shard: &str) -> String {
        format!("{}/{shard}", self.id)
    }

    /// Passes records through the function of the input, if it has one; none when the task must end before.
    pub(super) async fn preprocess(
        &self,
        desk: &Desk,
        records: Vec<Record>,
        now: i64,
        problems: &mut Vec<Problem>,
        journal: &mut Journal,
    ) -> Option<Vec<Record>> {
        match &self.preprocessor {
            Some(preprocessor) if !records.is_empty() => preprocessor.run(desk, records, now, problems, journal).await,
            _ => Some(records),
        }
    }

    /// Reads all shards once.
    pub(super) async fn read(&mut self, desk: &Desk, note: &Note, journal: &mut Journal) -> Vec<Record> {
        match self.try_read(desk, note).await {
            Ok(records) => {
                journal.fine(&self.id);
                records
            }
            Err(fault) if fault.code == "ProvisionedThroughputExceededException" => Vec::new(),
            Err(fault) => {
                let text = format!("{INPUT_PROBLEM} {}: {}", fault.code, fault.message);
                journal.error(&text, Some(&self.id), "InputError").await;
                Vec::new()
            }
        }
    }

    async fn try_read(&mut self, desk: &Desk, note: &Note) -> Result<Vec<Record>, Fault> {
        let Some(arn) = self.arn.clone() else {
            return Err(Fault::new("UnsupportedOperationException", "the local cloud has no Firehose to read"));
        };
        if now() - self.listed.max(0) > FRESH {
            self.list(desk, &arn).await?;
            self.listed = now();
        }
        let mut found = Vec::new();
        for place in 0..self.shards.len() {
            match self.read_shard(desk, note, &arn, place).await {
                Ok(records) => found.extend(records),
                // What other shards gave is not lost: it is delivered before this is tried again.
                Err(_) if !found.is_empty() => self.shards[place].iterator = None,
                Err(fault) => {
                    self.shards[place].iterator = None;
                    return Err(fault);
                }
            }
        }
        Ok(found)
    }

    async fn ask(&self, desk: &Desk, operation: &str, body: Value) -> Result<Value, Fault> {
        match desk.cloud.ask(&self.who, "kinesis", operation, Input::Json(body)).await? {
            Answer::Json(_, body) | Answer::Headed(_, _, body) => Ok(body),
            Answer::Xml(_) => Ok(Value::Null),
        }
    }

    async fn list(&mut self, desk: &Desk, arn: &str) -> Result<(), Fault> {
        let mut last: Option<String> = None;
        loop {
            let mut body = json!({ "StreamARN": arn });
            if let Some(last) = &last {
                body["ExclusiveStartShardId"] = json!(last);
            }
            let answer = self.ask(desk, "DescribeStream", body).await?;
            let described = &answer["StreamDescription"];
            let shards = described["Shards"].as_array().map_or(&[][..], Vec::as_slice);
            for id in shards.iter().filter_map(|shard| shard["ShardId"].as_str()) {
                if self.shards.iter().all(|known| known.id != id) {
                    self.shards.push(Shard { id: id.to_owned(), iterator: None, ended: false });
                }
                last = Some(id.to_owned());
            }
            if described["HasMoreShards"] != true || shards.is_empty() {
                return Ok(());
            }
        }
    }

    async fn read_shard(&mut self, desk: &Desk, note: &Note, arn: &str, place: usize) -> Result<Vec<Record>, Fault> {
        if self.shards[place].ended {
            return Ok(Vec::new());
        }
        let iterator = match &self.shards[place].iterator {
            Some(iterator) => iterator.clone(),
            None => self.iterator(desk, note, arn, &self.shards[place].id).await?,
        };
        let body = json!({ "ShardIterator": iterator, "Limit": MOST });
        let answer = self.ask(desk, "GetRecords", body).await?;
        let shard = &mut self.shards[place];
        shard.iterator = answer["NextShardIterator"].as_str().map(str::to_owned);
        shard.ended = shard.iterator.is_none();
        let stream = self.streams.get(place % self.streams.len().max(1)).map_or(0, |(stream, _)| *stream);
        let records = answer["Records"].as_array().map_or(&[][..], Vec::as_slice);
        Ok(records.iter().map(|record| read_record(record, stream, &shard.id)).collect())
    }

    async fn iterator(&self, desk: &Desk, note: &Note, arn: &str, shard: &str) -> Result<String, Fault> {
        let mut body = json!({ "StreamARN": arn, "ShardId": shard });
        for (field, value) in self.start(note, shard) {
            body[field] = value;
        }
        let answer = self.ask(desk, "GetShardIterator", body).await?;
        let found = answer["ShardIterator"].as_str().map(str::to_owned);
        found.ok_or_else(|| Fault::with_status(500, "InternalFailure", "the stream gave no iterator"))
    }

    /// Tells where a shard is read from: after the last noted record, else from where the application was told to
    /// start. NOW is the moment of the start request, whenever the shard is first seen.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this era fit a double exactly")]
    fn start(&self, note: &Note, shard: &str) -> Vec<(&'static str, Value)> {
        if let Some(sequence) = note.shards.get(&self.place(shard)) {
            return vec![
                ("ShardIteratorType", json!("AFTER_SEQUENCE_NUMBER")),
                ("StartingSequenceNumber", json!(sequence)),
            ];
        }
        if note.since == 0 {
            return vec![("ShardIteratorType", json!("TRIM_HORIZON"))];
        }
        vec![("ShardIteratorType", json!("AT_TIMESTAMP")), ("Timestamp", json!(note.since as f64 / 1000.0))]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a float to integer cast saturates")]
fn read_record(record: &Value, stream: usize, shard: &str) -> Record {
    let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let arrival = record["ApproximateArrivalTimestamp"].as_f64().unwrap_or_default();
    let origin = Origin {
        arrival: (arrival * 1000.0).round() as i64,
        partition_key: text("PartitionKey"),
        sequence_number: text("SequenceNumber"),
        shard: shard.to_owned(),
    };
    Record { stream, origin, data: STANDARD.decode(text("Data")).unwrap_or_default() }
}
