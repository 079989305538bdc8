//! Shard iterators: a position in a shard that is good for five minutes, and `GetShardIterator`, which makes them.
//!
//! An iterator holds all that is needed to read on, so nothing is kept for it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ferrokinesis::sequence::{resolve_shard_id, shard_id_name};
use ferrokinesis::types::Stream;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::clock::{made, millis};
use super::log::ShardKey;
use super::sequence::{Misplaced, Origin};
use super::{Desk, invalid};
use crate::local::{Answer, Fault, Outcome};

/// Milliseconds for which an iterator or a token can be used.
pub(super) const LIFETIME: i64 = 300_000;
const VERSION: &str = "1";

/// What a shard iterator stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Milliseconds since the epoch at which it was given out.
    pub(super) issued: i64,
    pub(super) key: ShardKey,
    /// Position of the first record to read.
    pub(super) next: i64,
}

impl Cursor {
    /// Writes the iterator as callers see it.
    pub(super) fn encode(&self) -> String {
        let Self { issued, key: ShardKey { stream, made, shard }, next } = self;
        URL_SAFE_NO_PAD.encode(format!("{VERSION}/{issued}/{stream}/{made}/{shard}/{next}"))
    }

    /// Reads what a caller sent.
    pub(super) fn decode(text: &str) -> Result<Self, Fault> {
        Self::parse(text).ok_or_else(|| invalid("Invalid ShardIterator."))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let parts: Vec<&str> = text.split('/').collect();
        let [VERSION, issued, stream, made, shard, next] = parts.as_slice() else { return None };
        let key = ShardKey { stream: (*stream).to_owned(), made: made.parse().ok()?, shard: shard.parse().ok()? };
        Some(Self { issued: issued.parse().ok()?, key, next: next.parse().ok()? })
    }

    /// Refuses an iterator that is too old.
    pub(super) fn check_age(&self, now: i64) -> Result<(), Fault> {
        if now.saturating_sub(self.issued) <= LIFETIME {
            return Ok(());
        }
        let text = format!(
            "Iterator expired. The iterator was created at time {} while right now it is {} which is further in the future than the tolerated delay of {LIFETIME} milliseconds.",
            date(self.issued),
            date(now)
        );
        Err(Fault::new("ExpiredIteratorException", text))
    }
}

fn date(milliseconds: i64) -> String {
    let time = Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%a %b %d %H:%M:%S UTC %Y").to_string()
}

/// Returns the stream that an iterator is about.
pub(super) fn stream_of(iterator: &str) -> Option<String> {
    Cursor::parse(iterator).map(|cursor| cursor.key.stream)
}

impl Desk<'_> {
    /// Answers `GetShardIterator`.
    pub(super) async fn shard_iterator(&self) -> Outcome {
        self.checked(&self.body)?;
        let asked = self.body["ShardId"].as_str().unwrap_or_default();
        let (id, index) = resolve_shard_id(asked).map_err(|_| self.no_shard(asked, self.name()))?;
        let stream = self.engine.get_stream(self.name()).await.map_err(|_| self.no_shard(&id, self.name()))?;
        let shard = usize::try_from(index).map_err(|_| self.no_shard(&id, self.name()))?;
        let key = ShardKey { stream: self.name().to_owned(), made: made(&stream), shard };
        let next = self.position(&stream, &key, &id)?;
        let cursor = Cursor { issued: self.call.now, key, next };
        Ok(Answer::json(json!({"ShardIterator": cursor.encode()})))
    }

    /// The fault for a shard that is not, or no longer, there.
    pub(super) fn no_shard(&self, id: &str, stream: &str) -> Fault {
        let text = format!("Shard {id} in stream {stream} under account {} does not exist", self.call.account);
        Fault::new("ResourceNotFoundException", text)
    }

    fn position(&self, stream: &Stream, key: &ShardKey, id: &str) -> Result<i64, Fault> {
        let shard = stream.shards.get(key.shard).ok_or_else(|| self.no_shard(id, &key.stream))?;
        let (kind, number) =
            (self.body["ShardIteratorType"].as_str().unwrap_or_default(), self.body["StartingSequenceNumber"].as_str());
        match (kind, number) {
            ("TRIM_HORIZON", None) => Ok(0),
            ("LATEST", None) => Ok(self.log.end(key)),
            ("AT_TIMESTAMP", _) => self.log.at_time(key, self.time()?),
            ("AT_SEQUENCE_NUMBER", Some(number)) => self.numbered(shard, key, id, number),
            ("AFTER_SEQUENCE_NUMBER", Some(number)) => {
                Ok(self.numbered(shard, key, id, number)?.saturating_add(1).min(self.log.end(key)))
            }
            (kind, number) => Err(invalid(format!(
                "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and {} StartingSequenceNumber.",
                if number.is_some() { "also a" } else { "no" }
            ))),
        }
    }

    fn time(&self) -> Result<i64, Fault> {
        let missing = "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.";
        let time = self.body["Timestamp"].as_f64().map(millis).ok_or_else(|| invalid(missing))?;
        if time > self.call.now {
            return Err(invalid(format!(
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: {time}, currentTimestampInMillis: {}",
                self.call.now
            )));
        }
        Ok(time)
    }

    fn numbered(
        &self,
        shard: &ferrokinesis::types::Shard,
        key: &ShardKey,
        id: &str,
        number: &str,
    ) -> Result<i64, Fault> {
        let used = |why: &str| {
            invalid(format!(
                "StartingSequenceNumber {number} used in GetShardIterator on shard {id} in stream {} under account {} is invalid{why}",
                key.stream, self.call.account
            ))
        };
        let origin = Origin::of(shard).ok_or_else(|| self.no_shard(id, &key.stream))?;
        let end = self.log.end(key);
        match origin.position(number) {
            Ok(i64::MAX) => Ok(end),
            Ok(position) if position < end => Ok(position),
            Ok(_) => Err(used(" because no record of the shard has it yet.")),
            Err(Misplaced::Unreadable) => Err(used(".")),
            Err(Misplaced::OtherStream) => Err(used(" because it did not come from this stream.")),
            Err(Misplaced::OtherShard(other)) => Err(invalid(format!(
                "Invalid StartingSequenceNumber. It encodes {}, while it was used in a call to a shard with {id}",
                shard_id_name(other)
            ))),
        }
    }
}

/// Reads the text of an optional field.
pub(super) fn text<'a>(body: &'a Value, field: &str) -> Option<&'a str> {
    body.get(field).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn iterators_read_back_and_fit(stream in "[a-zA-Z0-9_.-]{1,128}", issued: i64, made: i64, shard: usize, next: i64) {
            let cursor = Cursor { issued, key: ShardKey { stream, made, shard }, next };
            prop_assert!(cursor.encode().len() <= 512);
            prop_assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".{0,60}") {
            let _ = Cursor::decode(&text);
        }
    }

    #[test]
    fn iterators_live_five_minutes() {
        let key = ShardKey { stream: "jobs".to_owned(), made: 0, shard: 0 };
        let cursor = Cursor { issued: 1_421_889_722_000, key, next: 1 };
        assert!(cursor.check_age(cursor.issued + LIFETIME).is_ok());
        let fault = cursor.check_age(cursor.issued + LIFETIME + 1).unwrap_err();
        assert_eq!(fault.code, "ExpiredIteratorException");
        insta::assert_snapshot!(fault.message, @"Iterator expired. The iterator was created at time Thu Jan 22 01:22:02 UTC 2015 while right now it is Thu Jan 22 01:27:02 UTC 2015 which is further in the future than the tolerated delay of 300000 milliseconds.");
    }
}
