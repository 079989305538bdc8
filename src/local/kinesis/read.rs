//! `GetRecords`: what a shard holds from an iterator on, and where to go when it has ended.
//!
//! It does not know how records are stored.

use ferrokinesis::types::{Shard, Stream};
use serde_json::{Value, json};

use super::clock::{made, retained_since, seconds};
use super::cursor::Cursor;
use super::log::{Page, Portion, Record};
use super::sequence::is_open;
use super::{Desk, invalid};
use crate::local::{Answer, Fault, Outcome};

const MOST_RECORDS: usize = 10_000;
/// Characters of base64 that stand for the 10 MiB of data that one answer can have.
const MOST_DATA: usize = (10 << 20) / 3 * 4;

impl Desk<'_> {
    /// Answers `GetRecords`.
    pub(super) async fn get_records(&self) -> Outcome {
        self.checked(&self.body)?;
        let cursor = Cursor::decode(self.body["ShardIterator"].as_str().unwrap_or_default())?;
        cursor.check_age(self.call.now)?;
        if !self.name().is_empty() && self.name() != cursor.key.stream {
            return Err(invalid("The ShardIterator is not of the stream that StreamARN names."));
        }
        let stream = self.stream_of(&cursor).await?;
        let page = self.log.read(&cursor.key, cursor.next, self.portion(&stream))?;
        let shard = stream.shards.get(cursor.key.shard);
        let ended = page.records.is_empty()
            && shard.is_some_and(|shard| !is_open(shard))
            && self.log.seal(&cursor.key, page.next);
        let mut answer = json!({"MillisBehindLatest": self.behind(&page)});
        if ended {
            answer["ChildShards"] = children(&stream, shard);
        } else {
            let next = Cursor { issued: self.call.now, key: cursor.key, next: page.next };
            answer["NextShardIterator"] = json!(next.encode());
        }
        answer["Records"] = page.records.iter().map(form).collect();
        Ok(Answer::json(answer))
    }

    /// Returns the iterator's stream, if it is still the one that the iterator was made for.
    async fn stream_of(&self, cursor: &Cursor) -> Result<Stream, Fault> {
        let key = &cursor.key;
        let missing = || self.no_shard(&ferrokinesis::sequence::shard_id_name(index(key.shard)), &key.stream);
        let stream = self.engine.get_stream(&key.stream).await.map_err(|_| missing())?;
        if made(&stream) != key.made || key.shard >= stream.shards.len() {
            return Err(missing());
        }
        Ok(stream)
    }

    fn portion(&self, stream: &Stream) -> Portion {
        let limit = self.body["Limit"].as_u64().and_then(|limit| usize::try_from(limit).ok());
        Portion {
            records: limit.unwrap_or(MOST_RECORDS),
            size: MOST_DATA,
            since: retained_since(stream, self.call.now),
        }
    }

    /// How far the last record of a page is from the tip; never 0 while there are more.
    fn behind(&self, page: &Page) -> i64 {
        match page.records.last() {
            Some(last) if page.more => (self.call.now - last.arrived).max(1),
            _ => 0,
        }
    }
}

fn index(shard: usize) -> i64 {
    i64::try_from(shard).unwrap_or(i64::MAX)
}

fn form(record: &Record) -> Value {
    let mut form = json!({
        "SequenceNumber": record.number,
        "ApproximateArrivalTimestamp": seconds(record.arrived),
        "Data": record.data,
        "PartitionKey": record.key,
    });
    if record.encrypted {
        form["EncryptionType"] = json!("KMS");
    }
    form
}

fn children(stream: &Stream, parent: Option<&Shard>) -> Value {
    let Some(parent) = parent.map(|parent| parent.shard_id.as_str()) else { return json!([]) };
    let parents = |shard: &Shard| -> Vec<String> {
        [&shard.parent_shard_id, &shard.adjacent_parent_shard_id].into_iter().flatten().cloned().collect()
    };
    let born = stream.shards.iter().filter(|shard| parents(shard).iter().any(|one| one == parent));
    born.map(|shard| {
        json!({
            "ShardId": shard.shard_id,
            "ParentShards": parents(shard),
            "HashKeyRange": shard.hash_key_range,
        })
    })
    .collect()
}
