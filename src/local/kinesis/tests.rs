//! Records of streams as callers see them, with a clock that the tests move.

mod reshard;

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Streams;
use crate::local::store::Store;
use crate::local::{Answer, Call, Fault, Input};

struct Bench {
    streams: Streams,
    delay: i64,
    rows: Store,
    /// How far the clock of calls is ahead of the engine's.
    ahead: AtomicI64,
}

impl Bench {
    fn new(home: Option<&Path>, delay: i64) -> Self {
        Self {
            streams: Streams::new(home.map(Path::to_owned)),
            delay,
            rows: Store::memory().unwrap(),
            ahead: AtomicI64::new(0),
        }
    }

    async fn with_stream(shards: u64) -> Self {
        let bench = Self::new(None, 0);
        bench.ask("CreateStream", json!({"StreamName": "jobs", "ShardCount": shards})).await.unwrap();
        bench
    }

    async fn ask(&self, operation: &str, body: Value) -> Result<Value, Fault> {
        let now = jiff::Timestamp::now().as_millisecond() + self.ahead.load(Ordering::SeqCst);
        let call = Call { delay: self.delay, ..Call::new(operation, Input::Json(body), now) };
        match self.streams.handle(&self.rows, &call).await? {
            Answer::Json(_, body) => Ok(body),
            other => panic!("no JSON: {other:?}"),
        }
    }

    /// Sets how much later than now it is.
    fn wait(&self, milliseconds: i64) {
        self.ahead.store(milliseconds, Ordering::SeqCst);
    }

    async fn refused(&self, operation: &str, body: Value) -> String {
        let fault = self.ask(operation, body).await.unwrap_err();
        format!("{} {}: {}", fault.status, fault.code, fault.message)
    }

    async fn put(&self, key: &str, data: &str) -> Value {
        self.ask("PutRecord", json!({"StreamName": "jobs", "PartitionKey": key, "Data": encode(data)})).await.unwrap()
    }

    async fn iterator(&self, shard: usize, kind: &str, more: Value) -> String {
        let mut body = json!({"StreamName": "jobs", "ShardId": id(shard), "ShardIteratorType": kind});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        text(&self.ask("GetShardIterator", body).await.unwrap()["ShardIterator"])
    }

    async fn get(&self, iterator: &str) -> Value {
        self.ask("GetRecords", json!({"ShardIterator": iterator})).await.unwrap()
    }

    async fn read(&self, kind: &str, more: Value) -> Vec<String> {
        let iterator = self.iterator(0, kind, more).await;
        data(&self.get(&iterator).await)
    }

    /// Reads a shard to its end: for an open one where nothing more comes, and the children of a closed one.
    async fn drain(&self, shard: usize) -> (Vec<Value>, Vec<usize>) {
        let mut iterator = self.iterator(shard, "TRIM_HORIZON", Value::Null).await;
        let mut records = Vec::new();
        loop {
            let answer = self.ask("GetRecords", json!({"ShardIterator": iterator, "Limit": 7})).await.unwrap();
            let found = answer["Records"].as_array().unwrap();
            records.extend(found.iter().cloned());
            match answer["NextShardIterator"].as_str() {
                None => return (records, children(&answer)),
                Some(_) if found.is_empty() => return (records, Vec::new()),
                Some(next) => next.clone_into(&mut iterator),
            }
        }
    }

    async fn shards(&self, filter: Value) -> Vec<String> {
        let listed = self.ask("ListShards", json!({"StreamName": "jobs", "ShardFilter": filter})).await.unwrap();
        listed["Shards"].as_array().unwrap().iter().map(|shard| text(&shard["ShardId"])).collect()
    }
}

fn children(answer: &Value) -> Vec<usize> {
    let number = |shard: &Value| text(&shard["ShardId"]).trim_start_matches("shardId-").parse().unwrap();
    answer["ChildShards"].as_array().unwrap().iter().map(number).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn id(shard: usize) -> String {
    format!("shardId-{shard:012}")
}

fn encode(data: &str) -> String {
    STANDARD.encode(data)
}

fn plain(record: &Value) -> String {
    String::from_utf8(STANDARD.decode(text(&record["Data"])).unwrap()).unwrap()
}

fn data(answer: &Value) -> Vec<String> {
    answer["Records"].as_array().unwrap().iter().map(plain).collect()
}

#[tokio::test]
async fn every_kind_of_iterator_starts_where_it_says() {
    let bench = Bench::with_stream(1).await;
    bench.put("k", "a").await;
    bench.wait(5000);
    let second = text(&bench.put("k", "b").await["SequenceNumber"]);
    bench.wait(9000);
    let latest = bench.iterator(0, "LATEST", Value::Null).await;
    bench.put("k", "c").await;
    let now = jiff::Timestamp::now().as_millisecond();
    let time = |milliseconds: i64| json!({"Timestamp": super::clock::seconds(now + milliseconds)});
    assert_eq!(bench.read("TRIM_HORIZON", Value::Null).await, ["a", "b", "c"]);
    assert_eq!(data(&bench.get(&latest).await), ["c"]);
    assert_eq!(bench.read("AT_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": second})).await, ["b", "c"]);
    assert_eq!(bench.read("AFTER_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": second})).await, ["c"]);
    assert_eq!(bench.read("AT_TIMESTAMP", time(3000)).await, ["b", "c"]);
    assert_eq!(bench.read("AT_TIMESTAMP", time(-90_000_000)).await, ["a", "b", "c"]);
    let first = bench.ask("ListShards", json!({"StreamName": "jobs"})).await.unwrap();
    let start = &first["Shards"][0]["SequenceNumberRange"]["StartingSequenceNumber"];
    assert_eq!(bench.read("AT_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": start})).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn iterators_are_refused_as_aws_refuses_them() {
    let bench = Bench::with_stream(2).await;
    let number = text(
        &bench
            .ask("PutRecord", json!({"StreamName": "jobs", "PartitionKey": "k", "ExplicitHashKey": "0", "Data": ""}))
            .await
            .unwrap()["SequenceNumber"],
    );
    let ask = |shard: &str, kind: &str, more: Value| {
        let mut body = json!({"StreamName": "jobs", "ShardId": shard, "ShardIteratorType": kind});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        bench.refused("GetShardIterator", body)
    };
    let (one, other) = (id(0), id(1));
    let found = [
        ask(&id(7), "LATEST", Value::Null).await,
        ask("nine", "LATEST", Value::Null).await,
        ask(&one, "NEWEST", Value::Null).await,
        ask(&one, "AT_SEQUENCE_NUMBER", Value::Null).await,
        ask(&one, "LATEST", json!({"StartingSequenceNumber": "1"})).await,
        ask(&one, "AT_TIMESTAMP", Value::Null).await,
        ask(&one, "AT_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": "x"})).await,
        bench.refused("GetRecords", json!({"ShardIterator": "nonsense"})).await,
        bench
            .refused(
                "GetRecords",
                json!({"ShardIterator": bench.iterator(0, "LATEST", Value::Null).await, "Limit": 10_001}),
            )
            .await,
        bench
            .refused("GetShardIterator", json!({"StreamName": "none", "ShardId": one, "ShardIteratorType": "LATEST"}))
            .await,
    ];
    insta::assert_snapshot!(found.join("\n"));
    for (shard, sent) in [(&one, "7"), (&other, number.as_str())] {
        let fault = ask(shard, "AT_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": sent})).await;
        assert!(fault.starts_with("400 InvalidArgumentException"), "{fault}");
    }
    let future = json!({"Timestamp": 4_102_444_800_i64});
    assert!(ask(&one, "AT_TIMESTAMP", future).await.contains("cannot be greater than the currentTimestampInMillis"));
    let old = bench.iterator(0, "LATEST", Value::Null).await;
    bench.wait(300_000 + 5000);
    assert!(bench.refused("GetRecords", json!({"ShardIterator": old})).await.contains("ExpiredIteratorException"));
}

#[tokio::test]
async fn puts_are_refused_as_aws_refuses_them() {
    let bench = Bench::with_stream(1).await;
    let record = |key: &str, size: usize| json!({"PartitionKey": key, "Data": STANDARD.encode(vec![b'x'; size])});
    let one = |mut record: Value| {
        record["StreamName"] = json!("jobs");
        bench.refused("PutRecord", record)
    };
    let many = |records: Value| bench.refused("PutRecords", json!({"StreamName": "jobs", "Records": records}));
    let found = [
        one(record("", 1)).await,
        one(json!({"PartitionKey": "k"})).await,
        one(json!({"PartitionKey": "k", "Data": "%"})).await,
        one(json!({"PartitionKey": "k", "Data": 7})).await,
        one(json!({"PartitionKey": "k", "Data": "", "ExplicitHashKey": u128::MAX.to_string().replace("340", "350")}))
            .await,
        one(json!({"PartitionKey": "k", "Data": "", "SequenceNumberForOrdering": "9".repeat(60)})).await,
        one(record("k", 1 << 20)).await,
        one(record("k", (10 << 20) + 1)).await,
        many(json!([])).await,
        many(json!(7)).await,
        many(json!([{"PartitionKey": "k"}])).await,
        many((0..11).map(|_| record("k", 1_048_000)).collect()).await,
        bench.refused("PutRecords", json!({"StreamName": "none", "Records": [record("k", 1)]})).await,
        bench.refused("PutRecord", record("k", 1)).await,
    ];
    insta::assert_snapshot!(found.join("\n"));
    assert!(one(record(&"k".repeat(257), 1)).await.contains("length less than or equal to 256"));
    assert!(many((0..501).map(|_| record("k", 1)).collect()).await.contains("length less than or equal to 500"));
    assert!(bench.read("TRIM_HORIZON", Value::Null).await.is_empty());
    let largest = json!({"StreamName": "jobs", "PartitionKey": "k", "Data": record("", (1 << 20) - 1)["Data"]});
    bench.ask("PutRecord", largest).await.unwrap();
}

#[tokio::test]
async fn a_stream_takes_larger_records_and_says_that_it_encrypts_them() {
    let bench = Bench::new(None, 0);
    let made = json!({"StreamName": "jobs", "ShardCount": 1, "MaxRecordSizeInKiB": 2048});
    bench.ask("CreateStream", made).await.unwrap();
    let record = json!({"PartitionKey": "k", "Data": STANDARD.encode(vec![b'x'; 2_000_000])});
    let put = json!({"StreamName": "jobs", "Records": [record]});
    let answer = bench.ask("PutRecords", put.clone()).await.unwrap();
    assert_eq!((&answer["FailedRecordCount"], &answer["EncryptionType"]), (&json!(0), &Value::Null));
    let key = json!({"StreamName": "jobs", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"});
    bench.ask("StartStreamEncryption", key).await.unwrap();
    assert_eq!(bench.ask("PutRecords", put).await.unwrap()["EncryptionType"], "KMS");
    let iterator = bench.iterator(0, "TRIM_HORIZON", Value::Null).await;
    let read = bench.get(&iterator).await;
    let kinds: Vec<&Value> = read["Records"].as_array().unwrap().iter().map(|one| &one["EncryptionType"]).collect();
    assert_eq!(kinds, [&Value::Null, &json!("KMS")]);
}

#[tokio::test]
async fn a_stream_that_is_being_made_takes_no_records() {
    let bench = Bench::new(None, 60_000);
    bench.ask("CreateStream", json!({"StreamName": "jobs", "ShardCount": 1})).await.unwrap();
    let put = json!({"StreamName": "jobs", "PartitionKey": "k", "Data": ""});
    assert!(bench.refused("PutRecord", put).await.contains("ResourceNotFoundException"));
}

#[tokio::test]
async fn records_leave_with_the_retention_period_and_with_their_stream() {
    let bench = Bench::with_stream(1).await;
    bench.put("k", "old").await;
    bench.wait(23 * 3_600_000);
    let answer = bench.put("k", "new").await;
    assert_eq!(bench.read("TRIM_HORIZON", Value::Null).await, ["old", "new"]);
    bench.wait(25 * 3_600_000);
    assert_eq!(bench.read("TRIM_HORIZON", Value::Null).await, ["new"]);

    bench.wait(0);
    let iterator = bench.iterator(0, "TRIM_HORIZON", Value::Null).await;
    bench.ask("DeleteStream", json!({"StreamName": "jobs"})).await.unwrap();
    let gone = bench.refused("GetRecords", json!({"ShardIterator": iterator})).await;
    assert!(gone.contains("ResourceNotFoundException") && gone.contains("shardId-000000000000"), "{gone}");
    bench.ask("CreateStream", json!({"StreamName": "jobs", "ShardCount": 1})).await.unwrap();
    assert!(bench.read("TRIM_HORIZON", Value::Null).await.is_empty());
    let gone = bench.refused("GetRecords", json!({"ShardIterator": iterator})).await;
    assert!(gone.contains("ResourceNotFoundException"), "{gone}");
    assert_ne!(bench.put("k", "first").await["SequenceNumber"], answer["SequenceNumber"]);
}

#[tokio::test]
async fn readers_learn_how_far_they_are_behind() {
    let bench = Bench::with_stream(1).await;
    bench.put("k", "a").await;
    bench.put("k", "b").await;
    bench.wait(60_000);
    let iterator = bench.iterator(0, "TRIM_HORIZON", Value::Null).await;
    let first = bench.ask("GetRecords", json!({"ShardIterator": iterator, "Limit": 1})).await.unwrap();
    assert!(first["MillisBehindLatest"].as_i64().unwrap() >= 60_000, "{first}");
    let last = bench.get(first["NextShardIterator"].as_str().unwrap()).await;
    assert_eq!((data(&last), &last["MillisBehindLatest"]), (vec!["b".to_owned()], &json!(0)));
}

#[tokio::test]
async fn a_closed_shard_ends_with_its_children() {
    let bench = Bench::with_stream(1).await;
    let end = bench.put("k", "before").await["SequenceNumber"].clone();
    let half = (u128::MAX / 2).to_string();
    let split = json!({"StreamName": "jobs", "ShardToSplit": id(0), "NewStartingHashKey": half});
    bench.ask("SplitShard", split).await.unwrap();
    bench.put("k", "after").await;
    let (records, born) = bench.drain(0).await;
    assert_eq!((records.iter().map(plain).collect::<Vec<_>>(), &born[..]), (vec!["before".to_owned()], &[1, 2][..]));
    let closed = bench.ask("ListShards", json!({"StreamName": "jobs"})).await.unwrap()["Shards"][0].clone();
    let range = &closed["SequenceNumberRange"];
    assert!(
        range["StartingSequenceNumber"].as_str() < end.as_str()
            && end.as_str() < range["EndingSequenceNumber"].as_str()
    );
    let iterator =
        bench.iterator(0, "AT_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": range["EndingSequenceNumber"]})).await;
    assert_eq!(children(&bench.get(&iterator).await), [1, 2]);

    let merge = json!({"StreamName": "jobs", "ShardToMerge": id(1), "AdjacentShardToMerge": id(2)});
    bench.ask("MergeShards", merge).await.unwrap();
    let mut all = Vec::new();
    for shard in [1, 2] {
        let (records, born) = bench.drain(shard).await;
        assert_eq!(born, [3]);
        all.extend(records.iter().map(plain));
    }
    assert_eq!(all, ["after"]);
    assert_eq!(bench.shards(Value::Null).await.len(), 4);
    assert_eq!(bench.shards(json!({"Type": "AT_LATEST"})).await, [id(3)]);
    assert_eq!(bench.shards(json!({"Type": "AT_TRIM_HORIZON"})).await, [id(0)]);
    assert_eq!(bench.shards(json!({"Type": "FROM_TRIM_HORIZON"})).await.len(), 4);
    assert_eq!(bench.shards(json!({"Type": "AFTER_SHARD_ID", "ShardId": id(1)})).await, [id(2), id(3)]);
    bench.wait(48 * 3_600_000);
    assert_eq!(bench.shards(json!({"Type": "FROM_TRIM_HORIZON"})).await, [id(3)]);
}

#[tokio::test]
async fn shards_are_listed_page_by_page() {
    let bench = Bench::with_stream(5).await;
    let (mut body, mut found) = (json!({"StreamName": "jobs", "MaxResults": 2}), Vec::new());
    loop {
        let page = bench.ask("ListShards", body).await.unwrap();
        found.extend(page["Shards"].as_array().unwrap().iter().map(|shard| text(&shard["ShardId"])));
        match page["NextToken"].as_str() {
            Some(token) => body = json!({"NextToken": token, "MaxResults": 2}),
            None => break,
        }
    }
    assert_eq!(found, (0..5).map(id).collect::<Vec<_>>());
    let faults = [
        bench.refused("ListShards", json!({})).await,
        bench.refused("ListShards", json!({"NextToken": "x"})).await,
        bench.refused("ListShards", json!({"StreamName": "jobs", "NextToken": "x"})).await,
        bench.refused("ListShards", json!({"StreamName": "jobs", "ShardFilter": {"Type": "ODD"}})).await,
    ];
    assert!(faults.iter().all(|fault| fault.starts_with("400 InvalidArgumentException")), "{faults:?}");
}

#[tokio::test]
async fn a_cloud_that_is_dropped_loses_no_record() {
    let home = tempfile::tempdir().unwrap();
    let body = |round: usize| json!({"StreamName": "jobs", "PartitionKey": "k", "Data": encode(&round.to_string())});
    let bench = Bench::new(Some(home.path()), 0);
    bench.ask("CreateStream", json!({"StreamName": "jobs", "ShardCount": 1})).await.unwrap();
    drop(bench);
    for round in 0..3 {
        let bench = Bench::new(Some(home.path()), 0);
        bench.ask("PutRecord", body(round)).await.unwrap();
        let found = bench.read("TRIM_HORIZON", Value::Null).await;
        assert_eq!(found, (0..=round).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn many_records_are_quick_to_put_to_read_and_to_poll_for() {
    let home = tempfile::tempdir().unwrap();
    let bench = Bench::new(Some(home.path()), 0);
    bench.ask("CreateStream", json!({"StreamName": "jobs", "ShardCount": 1})).await.unwrap();
    let data = STANDARD.encode([b'x'; 200]);
    let records: Vec<Value> = (0..500).map(|key| json!({"PartitionKey": key.to_string(), "Data": data})).collect();
    let start = Instant::now();
    for _ in 0..20 {
        bench.ask("PutRecords", json!({"StreamName": "jobs", "Records": records})).await.unwrap();
    }
    let put = start.elapsed();
    let iterator = bench.iterator(0, "TRIM_HORIZON", Value::Null).await;
    let start = Instant::now();
    let read = bench.get(&iterator).await;
    let got = start.elapsed();
    assert_eq!(read["Records"].as_array().unwrap().len(), 10_000);
    let mut iterator = text(&read["NextShardIterator"]);
    let start = Instant::now();
    for _ in 0..1000 {
        iterator = text(&bench.get(&iterator).await["NextShardIterator"]);
    }
    let poll = start.elapsed() / 1000;
    // Wide bounds, for machines with much else to do.
    assert!(put < Duration::from_secs(20) && got < Duration::from_secs(10), "{put:?} {got:?}");
    assert!(poll < Duration::from_millis(5), "{poll:?}");
}
