//! Records as functions see them, and which of them the filters let through; pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::options::{Kind, Options, milliseconds};
use crate::local::pattern;

/// One record that was read.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) sequence: String,
    /// Milliseconds since the epoch.
    pub(super) arrival: i64,
    /// What keeps its order: the partition key, or the item's key.
    pub(super) key: String,
    /// The member of `Records` in the event.
    pub(super) event: Value,
    /// Bytes of `event`.
    pub(super) size: usize,
}

impl Record {
    /// Shapes one member of an answer of `GetRecords`; none when it lacks what every record has.
    pub(super) fn read(options: &Options, shard: &str, given: &Value) -> Option<Self> {
        let record = match options.kind {
            Kind::Stream => Self::of_stream(options, shard, given)?,
            Kind::Table => Self::of_table(options, given)?,
        };
        Some(Self { size: record.event.to_string().len(), ..record })
    }

    fn of_stream(options: &Options, shard: &str, given: &Value) -> Option<Self> {
        let (sequence, key) = (given["SequenceNumber"].as_str()?, given["PartitionKey"].as_str()?);
        let time = &given["ApproximateArrivalTimestamp"];
        let event = json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": key, "sequenceNumber": sequence,
                "data": given["Data"], "approximateArrivalTimestamp": time,
            },
            "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": format!("{shard}:{sequence}"),
            "eventName": "aws:kinesis:record", "invokeIdentityArn": options.role, "awsRegion": options.region,
            "eventSourceARN": options.source,
        });
        let (sequence, key) = (sequence.to_owned(), key.to_owned());
        Some(Self { sequence, arrival: milliseconds(time)?, key, event, size: 0 })
    }

    fn of_table(options: &Options, given: &Value) -> Option<Self> {
        let change = &given["dynamodb"];
        let mut event = given.clone();
        event["awsRegion"] = json!(options.region);
        event["eventSourceARN"] = json!(options.source);
        Some(Self {
            sequence: change["SequenceNumber"].as_str()?.to_owned(),
            arrival: milliseconds(&change["ApproximateCreationDateTime"])?,
            key: sorted(&change["Keys"]).to_string(),
            event,
            size: 0,
        })
    }

    /// Tells which of some lanes the record goes through; the same key always takes the same.
    pub(super) fn lane(&self, lanes: u32) -> u32 {
        let hash = Sha256::digest(&self.key);
        hash.iter()
            .take(8)
            .fold(0, |sum, byte| (sum * 256 + u64::from(*byte)) % u64::from(lanes))
            .try_into()
            .unwrap_or_default()
    }

    /// Tells whether one of the filters lets the record through, or there are none.
    pub(super) fn passes(&self, options: &Options) -> bool {
        if options.filters.is_empty() {
            return true;
        }
        let (document, binary) = match options.kind {
            Kind::Stream => decoded(&self.event["kinesis"]),
            Kind::Table => (self.event.clone(), false),
        };
        options.filters.iter().any(|filter| {
            // What is no text has nothing that a rule on the data could hold for.
            !(binary && filter.contains_key("data")) && pattern::fits(filter, Some(&document))
        })
    }
}

fn sorted(keys: &Value) -> Value {
    let mut fields: Vec<(String, Value)> =
        keys.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields.into_iter().collect::<Map<String, Value>>().into()
}

/// Puts the data in clear: JSON as such, other text as text. Tells also whether it is neither.
fn decoded(kinesis: &Value) -> (Value, bool) {
    let mut document = kinesis.clone();
    let bytes = kinesis["data"].as_str().and_then(|data| STANDARD.decode(data).ok()).unwrap_or_default();
    let Ok(text) = String::from_utf8(bytes) else { return (document, true) };
    document["data"] = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (document, false)
}

/// Writes a time as AWS does in events: with three digits of a second, or none.
pub(super) fn moment(time: i64) -> String {
    let format = if time % 1000 == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S.%3fZ" };
    jiff::Timestamp::from_millisecond(time).unwrap_or_default().strftime(format).to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::options::tests::options;
    use super::*;

    /// Makes a record of a Kinesis stream.
    pub(in super::super) fn record(number: usize, arrival: i64, data: &[u8]) -> Record {
        keyed(number, arrival, "k", data)
    }

    fn keyed(number: usize, arrival: i64, key: &str, data: &[u8]) -> Record {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let given = json!({
            "SequenceNumber": number.to_string(), "PartitionKey": key, "Data": STANDARD.encode(data),
            "ApproximateArrivalTimestamp": arrival as f64 / 1000.0,
        });
        Record::read(&options(&json!({})).unwrap(), "shardId-000000000000", &given).unwrap()
    }

    #[test]
    fn a_record_of_a_stream_has_the_shape_of_aws() {
        insta::assert_json_snapshot!(record(7, 1_545_084_650_987, b"Hello").event, @r#"
        {
          "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "k",
            "sequenceNumber": "7",
            "data": "SGVsbG8=",
            "approximateArrivalTimestamp": 1545084650.987
          },
          "eventSource": "aws:kinesis",
          "eventVersion": "1.0",
          "eventID": "shardId-000000000000:7",
          "eventName": "aws:kinesis:record",
          "invokeIdentityArn": "arn:aws:iam::000000000000:role/worker",
          "awsRegion": "us-east-1",
          "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/s"
        }
        "#);
    }

    #[test]
    fn filters_see_the_data_in_clear() {
        let passes = |data: &[u8], patterns: &[Value]| {
            let filters: Vec<Value> = patterns.iter().map(|one| json!({ "Pattern": one.to_string() })).collect();
            record(1, 0, data).passes(&options(&json!({ "FilterCriteria": { "Filters": filters } })).unwrap())
        };
        let cheap = json!({ "data": { "cost": [{ "numeric": ["<", 5000] }] } });
        assert!(passes(b"{\"cost\":10}", std::slice::from_ref(&cheap)));
        assert!(!passes(b"{\"cost\":\"10\"}", std::slice::from_ref(&cheap)), "a number in quotes is none");
        assert!(!passes(b"cost=10", std::slice::from_ref(&cheap)), "no JSON");
        assert!(!passes(&[0xff], std::slice::from_ref(&cheap)), "no text");
        assert!(!passes(&[0xff], &[json!({ "data": { "cost": [{ "exists": false }] } })]));
        assert!(passes(b"cost=10", &[json!({ "data": ["cost=10"] })]));
        assert!(passes(&[0xff], &[json!({ "partitionKey": ["k"] })]));
        assert!(passes(b"{}", &[cheap, json!({ "partitionKey": [{ "prefix": "k" }] })]), "one is enough");
        assert!(passes(b"{}", &[]));
    }

    #[test]
    fn a_key_keeps_its_lane() {
        let lanes: std::collections::BTreeSet<u32> =
            (0..100).map(|key| keyed(1, 0, &format!("key{key}"), b"").lane(4)).collect();
        assert_eq!(lanes, (0..4).collect());
        assert_eq!(record(1, 0, b"").lane(1), 0);
        assert_eq!(record(1, 0, b"a").lane(10), record(2, 5, b"b").lane(10));
    }

    #[test]
    fn a_change_of_a_table_keeps_its_shape() {
        let source = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/1";
        let options = options(&json!({ "EventSourceArn": source })).unwrap();
        let given = json!({ "eventID": "e", "eventName": "INSERT", "awsRegion": "here", "dynamodb": {
            "Keys": { "b": { "S": "1" }, "a": { "S": "2" } }, "SequenceNumber": "5", "ApproximateCreationDateTime": 3.0,
        }});
        let record = Record::read(&options, "shard", &given).unwrap();
        assert_eq!((record.sequence.as_str(), record.arrival), ("5", 3000));
        assert_eq!(record.key, r#"{"a":{"S":"2"},"b":{"S":"1"}}"#);
        assert_eq!(
            (&record.event["awsRegion"], &record.event["eventSourceARN"]),
            (&json!("us-east-1"), &json!(source))
        );
        assert!(Record::read(&options, "shard", &json!({})).is_none());
    }
}
