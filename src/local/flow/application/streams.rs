//! The streams that applications read and write: the local cloud's own, or those of another Kinesis.
//!
//! Both are asked in the JSON of the API, as far as applications use it. The roles of inputs and outputs mean
//! something to the local cloud alone; another Kinesis is called by the account. It does not know what records mean.

use std::time::Duration;

use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Record, Shard, ShardIteratorType, StreamDescription};
use aws_sdk_kinesis::{Client, Config};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Desk;
use crate::local::{Answer, Cloud, Fault, Input, Who};

/// Time between two looks at another Kinesis: a shard may be read five times a second (`facts/aws.md` 1).
const REST: Duration = Duration::from_millis(200);
/// Longest time for one attempt, so that a Kinesis that hangs does not hold up a stop.
const LIMIT: Duration = Duration::from_secs(5);

/// Where the streams of applications are.
#[derive(Clone)]
pub(super) enum Streams {
    Own(Cloud),
    Elsewhere(Client),
}

impl Streams {
    /// Finds the streams by the settings of the cloud.
    pub(super) fn new(desk: &Desk) -> Self {
        match &desk.cloud.settings().streams_url {
            None => Self::Own(desk.cloud.clone()),
            Some(url) => Self::Elsewhere(client(url, &desk.who)),
        }
    }

    /// Makes one of the calls that applications need.
    pub(super) async fn ask(&self, who: &Who, operation: &str, body: Value) -> Result<Value, Fault> {
        match (self, operation) {
            (Self::Own(cloud), _) => match cloud.ask(who, "kinesis", operation, Input::Json(body)).await? {
                Answer::Json(_, body) | Answer::Headed(_, _, body) => Ok(body),
                Answer::Xml(_) => Ok(Value::Null),
            },
            (Self::Elsewhere(client), "DescribeStream") => describe_stream(client, &body).await,
            (Self::Elsewhere(client), "GetShardIterator") => get_shard_iterator(client, &body).await,
            (Self::Elsewhere(client), "GetRecords") => get_records(client, &body).await,
            (Self::Elsewhere(client), "PutRecords") => put_records(client, &body).await,
            (Self::Elsewhere(_), _) => {
                Err(Fault::new("UnknownOperationException", format!("applications do not call {operation}")))
            }
        }
    }

    /// Returns how long to leave an input alone after a look at it. The own streams are read whenever records come
    /// in, and tell by themselves what is too often.
    pub(super) fn rest(&self) -> Duration {
        match self {
            Self::Own(_) => Duration::ZERO,
            Self::Elsewhere(_) => REST,
        }
    }
}

fn client(url: &str, who: &Who) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new(who.region.clone()))
        .credentials_provider(Credentials::new(&who.account, "local", None, None, "local cloud"))
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(LIMIT).build());
    Client::from_conf(config.build())
}

fn text(body: &Value, field: &str) -> Option<String> {
    body[field].as_str().map(str::to_owned)
}

async fn describe_stream(client: &Client, body: &Value) -> Result<Value, Fault> {
    let request = client.describe_stream().set_stream_arn(text(body, "StreamARN"));
    let request = request.set_exclusive_start_shard_id(text(body, "ExclusiveStartShardId"));
    let answer = request.send().await.map_err(|error| fault(&error))?;
    let description = answer.stream_description();
    let shards = description.map_or(&[][..], |description| description.shards());
    let shards: Vec<_> = shards.iter().map(Shard::shard_id).map(|id| json!({ "ShardId": id })).collect();
    let more = description.is_some_and(StreamDescription::has_more_shards);
    Ok(json!({ "StreamDescription": { "Shards": shards, "HasMoreShards": more } }))
}

async fn get_shard_iterator(client: &Client, body: &Value) -> Result<Value, Fault> {
    let request = client.get_shard_iterator().set_stream_arn(text(body, "StreamARN"));
    let request = request
        .set_shard_id(text(body, "ShardId"))
        .set_shard_iterator_type(body["ShardIteratorType"].as_str().map(ShardIteratorType::from))
        .set_starting_sequence_number(text(body, "StartingSequenceNumber"))
        .set_timestamp(body["Timestamp"].as_f64().map(moment));
    let answer = request.send().await.map_err(|error| fault(&error))?;
    Ok(json!({ "ShardIterator": answer.shard_iterator() }))
}

/// Reads seconds as whole milliseconds; what is below comes from their fraction having no exact double.
#[expect(clippy::cast_possible_truncation, reason = "a float to integer cast saturates")]
fn moment(seconds: f64) -> DateTime {
    DateTime::from_millis((seconds * 1000.0).round() as i64)
}

async fn get_records(client: &Client, body: &Value) -> Result<Value, Fault> {
    let limit = body["Limit"].as_i64().and_then(|limit| i32::try_from(limit).ok());
    let request = client.get_records().set_shard_iterator(text(body, "ShardIterator")).set_limit(limit);
    let answer = request.send().await.map_err(|error| fault(&error))?;
    let records: Vec<_> = answer.records().iter().map(record).collect();
    Ok(json!({ "Records": records, "NextShardIterator": answer.next_shard_iterator() }))
}

fn record(record: &Record) -> Value {
    json!({
        "SequenceNumber": record.sequence_number(),
        "PartitionKey": record.partition_key(),
        "ApproximateArrivalTimestamp": record.approximate_arrival_timestamp().map(DateTime::as_secs_f64),
        "Data": STANDARD.encode(record.data().as_ref()),
    })
}

async fn put_records(client: &Client, body: &Value) -> Result<Value, Fault> {
    let entry = |record: &Value| {
        let data = STANDARD.decode(record["Data"].as_str().unwrap_or_default());
        let data = data.map_err(|why| Fault::new("InvalidArgumentException", why.to_string()))?;
        let entry = PutRecordsRequestEntry::builder().data(Blob::new(data));
        let entry = entry.set_partition_key(text(record, "PartitionKey")).build();
        entry.map_err(|why| Fault::new("InvalidArgumentException", why.to_string()))
    };
    let records = body["Records"].as_array().map_or(&[][..], Vec::as_slice);
    let records = records.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let request = client.put_records().set_stream_arn(text(body, "StreamARN")).set_records(Some(records));
    let answer = request.send().await.map_err(|error| fault(&error))?;
    let results: Vec<_> = answer.records().iter().map(|result| json!({ "ErrorCode": result.error_code() })).collect();
    Ok(json!({ "Records": results }))
}

/// Says what another Kinesis answered, or why it gave no answer.
fn fault<E: ProvideErrorMetadata + std::error::Error + 'static, R: std::fmt::Debug + 'static>(
    error: &SdkError<E, R>,
) -> Fault {
    let causes = || {
        let first: &dyn std::error::Error = error;
        std::iter::successors(Some(first), |cause| cause.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    };
    let code = error.code().unwrap_or("ServiceUnavailableException");
    Fault::new(code, error.message().map_or_else(causes, str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::{DEFAULT_ACCOUNT, DEFAULT_REGION, Settings, serve};

    const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

    fn who() -> Who {
        let (account, region) = (DEFAULT_ACCOUNT.to_owned(), DEFAULT_REGION.to_owned());
        Who { account, region, role: None, endpoint: String::new() }
    }

    async fn ask(streams: &Streams, operation: &str, body: Value) -> Value {
        streams.ask(&who(), operation, body).await.unwrap()
    }

    /// Puts two records and reads the second, by its time when a time is given.
    async fn round_trip(streams: &Streams, since: f64) -> [Value; 4] {
        let entry = |data: &str| json!({ "Data": STANDARD.encode(data), "PartitionKey": "k" });
        let put = ask(streams, "PutRecords", json!({ "StreamARN": ARN, "Records": [entry("a"), entry("b")] })).await;
        let described = ask(streams, "DescribeStream", json!({ "StreamARN": ARN })).await;
        let described = &described["StreamDescription"];
        let shard = described["Shards"][0]["ShardId"].clone();
        let body =
            json!({ "StreamARN": ARN, "ShardId": shard, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": since });
        let iterator = ask(streams, "GetShardIterator", body).await;
        let body = json!({ "ShardIterator": iterator["ShardIterator"], "Limit": 1 });
        let first = ask(streams, "GetRecords", body).await;
        let number = &first["Records"][0]["SequenceNumber"];
        let body = json!({ "StreamARN": ARN, "ShardId": shard, "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
            "StartingSequenceNumber": number });
        let iterator = ask(streams, "GetShardIterator", body).await;
        let second = ask(streams, "GetRecords", json!({ "ShardIterator": iterator["ShardIterator"] })).await;
        assert!(second["NextShardIterator"].is_string());
        assert!(first["Records"][0]["ApproximateArrivalTimestamp"].as_f64().unwrap() >= since);
        let shown = |answer: &Value| {
            let records = answer["Records"].as_array().unwrap();
            records.iter().map(|record| json!([record["Data"], record["PartitionKey"]])).collect::<Value>()
        };
        [put["Records"][0]["ErrorCode"].clone(), described["HasMoreShards"].clone(), shown(&first), shown(&second)]
    }

    #[tokio::test]
    async fn another_kinesis_answers_as_the_own_one() {
        let dir = tempfile::tempdir().unwrap();
        let listener = serve(dir.path(), ([127, 0, 0, 1], 0).into(), Settings::default()).await.unwrap();
        let elsewhere = client(&listener.url(), &who());
        elsewhere.create_stream().stream_name("s").shard_count(1).send().await.unwrap();
        let own = Cloud::memory(Settings::default()).unwrap();
        let body = json!({ "StreamName": "s", "ShardCount": 1 });
        own.ask(&who(), "kinesis", "CreateStream", Input::Json(body)).await.unwrap();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this era fit a double exactly")]
        let since = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
        let (own, elsewhere) = (Streams::Own(own), Streams::Elsewhere(elsewhere));
        let expected = [Value::Null, json!(false), json!([["YQ==", "k"]]), json!([["Yg==", "k"]])];
        assert_eq!(round_trip(&own, since).await, expected);
        assert_eq!(round_trip(&elsewhere, since).await, expected);

        let missing = json!({ "StreamARN": format!("{ARN}_not") });
        let told = own.ask(&who(), "DescribeStream", missing.clone()).await.unwrap_err();
        assert_eq!(told.code, "ResourceNotFoundException");
        let heard = elsewhere.ask(&who(), "DescribeStream", missing).await.unwrap_err();
        assert_eq!((heard.code, heard.message), (told.code, told.message));
        listener.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_kinesis_that_is_not_there_is_told_of() {
        let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let streams = Streams::Elsewhere(client(&format!("http://{nowhere}"), &who()));
        let heard = streams.ask(&who(), "DescribeStream", json!({ "StreamARN": ARN })).await.unwrap_err();
        assert_eq!(heard.code, "ServiceUnavailableException");
        assert!(heard.message.contains("dispatch failure: "), "{}", heard.message);
    }
}
