//! Mappings end to end: records in, events at a function, positions in the store.

use std::io::Write;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::local::flow::Flow;
use crate::local::store::Table;
use crate::local::{Answer, Call, Cloud, DEFAULT_ACCOUNT, DEFAULT_REGION, Fault, Input, Params, Settings, Who};

/// Writes every event down, and answers or fails as the data of its records say.
const MAIN: &str = r#"
import base64, json, os

def handler(event, context):
    with open(os.environ["OUT"], "a") as out:
        out.write(json.dumps(event) + "\n")
    texts = [base64.b64decode(r["kinesis"]["data"]).decode() if "kinesis" in r else "" for r in event["Records"]]
    if "bad" in texts:
        raise ValueError("bad record")
    if "state" in event:
        return {"state": {"count": event["state"].get("count", 0) + len(texts)}}
    if "half" in texts and not os.path.exists(os.environ["OUT"] + ".once"):
        open(os.environ["OUT"] + ".once", "w").close()
        failed = event["Records"][texts.index("half")]["kinesis"]["sequenceNumber"]
        return {"batchItemFailures": [{"itemIdentifier": failed}]}
"#;

const PATIENCE: Duration = Duration::from_mins(1);

struct World {
    cloud: Cloud,
    who: Who,
    folder: tempfile::TempDir,
}

impl World {
    /// Makes a stream `s` with some shards and a function `f`.
    async fn new(shards: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { python: Some("python3".into()), ..Settings::default() };
        let cloud = Cloud::memory(settings).unwrap();
        Self::with(cloud, folder, shards).await
    }

    async fn with(cloud: Cloud, folder: tempfile::TempDir, shards: u32) -> Self {
        let who = Who {
            account: DEFAULT_ACCOUNT.to_owned(),
            region: DEFAULT_REGION.to_owned(),
            role: None,
            endpoint: "http://127.0.0.1:9".to_owned(),
        };
        let world = Self { cloud, who, folder };
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda.amazonaws.com"}}]}"#;
        world.query("iam", "CreateRole", &[("RoleName", "worker"), ("AssumeRolePolicyDocument", trust)]).await.unwrap();
        let may = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kinesis:*","dynamodb:*","sns:*","sqs:*"],"Resource":"*"}]}"#;
        let policy = [("RoleName", "worker"), ("PolicyName", "p"), ("PolicyDocument", may)];
        world.query("iam", "PutRolePolicy", &policy).await.unwrap();
        world.json("kinesis", "CreateStream", json!({ "StreamName": "s", "ShardCount": shards })).await;
        world.function().await;
        world
    }

    async fn function(&self) {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        archive.start_file("main.py", zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(MAIN.as_bytes()).unwrap();
        let body = json!({
            "FunctionName": "f", "Runtime": "python3.13", "Handler": "main.handler", "Timeout": 60,
            "Role": "arn:aws:iam::000000000000:role/worker",
            "Environment": { "Variables": { "OUT": self.out() } },
            "Code": { "ZipFile": STANDARD.encode(archive.finish().unwrap().into_inner()) },
        });
        self.rest("POST", "2015-03-31/functions", body).await.unwrap();
    }

    fn out(&self) -> std::path::PathBuf {
        self.folder.path().join("out")
    }

    async fn ask(&self, service: &str, operation: &str, input: Input) -> Result<Value, Fault> {
        match self.cloud.ask(&self.who, service, operation, input).await? {
            Answer::Json(_, body) | Answer::Headed(_, _, body) => Ok(body),
            Answer::Xml(xml) => Ok(json!(xml.into_text())),
        }
    }

    async fn json(&self, service: &str, operation: &str, body: Value) -> Value {
        self.ask(service, operation, Input::Json(body)).await.unwrap()
    }

    async fn query(&self, service: &str, operation: &str, fields: &[(&str, &str)]) -> Result<Value, Fault> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.ask(service, operation, Input::Query(Params(fields.collect()))).await
    }

    async fn rest(&self, method: &str, path: &str, body: Value) -> Result<Value, Fault> {
        let segments = path.split('/').map(str::to_owned).collect();
        self.ask("lambda", method, Input::Rest { segments, query: Vec::new(), body }).await
    }

    /// Makes a mapping of the stream with some options and returns its path.
    async fn map(&self, options: &Value) -> String {
        let mut body = json!({
            "FunctionName": "f", "StartingPosition": "LATEST",
            "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s",
        });
        body.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let made = self.rest("POST", "2015-03-31/event-source-mappings", body).await.unwrap();
        format!("2015-03-31/event-source-mappings/{}", made["UUID"].as_str().unwrap())
    }

    async fn put(&self, key: &str, data: &[&str]) {
        let records: Vec<Value> =
            data.iter().map(|text| json!({ "PartitionKey": key, "Data": STANDARD.encode(text) })).collect();
        let answer = self.json("kinesis", "PutRecords", json!({ "StreamName": "s", "Records": records })).await;
        assert_eq!(answer["FailedRecordCount"], 0, "{answer}");
    }

    fn start(&self) -> Flow {
        Flow::start(self.cloud.clone(), self.who.endpoint.clone())
    }

    /// Waits until everything is delivered.
    async fn drained(&self, flow: &Flow) {
        tokio::time::timeout(PATIENCE, flow.drained()).await.expect("delivery takes too long");
    }

    fn events(&self) -> Vec<Value> {
        let text = fs_err::read_to_string(self.out()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns the data of the records of every event.
    fn batches(&self) -> Vec<Vec<String>> {
        let data = |record: &Value| {
            let data = STANDARD.decode(record["kinesis"]["data"].as_str().unwrap()).unwrap();
            String::from_utf8(data).unwrap()
        };
        self.events().iter().map(|event| event["Records"].as_array().unwrap().iter().map(data).collect()).collect()
    }

    async fn result(&self, mapping: &str) -> String {
        let shown = self.rest("GET", mapping, Value::Null).await.unwrap();
        shown["LastProcessingResult"].as_str().unwrap().to_owned()
    }

    /// Waits for a result of the mapping.
    async fn until(&self, mapping: &str, start: &str) {
        let begin = Instant::now();
        while !self.result(mapping).await.starts_with(start) {
            assert!(begin.elapsed() < PATIENCE, "{} instead of {start}", self.result(mapping).await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn rows(&self, table: &'static str) -> Vec<(String, Value)> {
        let call = Call::new("Test", Input::Json(Value::Null), 0);
        self.cloud.rows().transaction(&call, |tx| tx.list(Table::regional(table))).unwrap()
    }
}

#[tokio::test]
async fn records_reach_the_function_and_are_not_told_twice() {
    let world = World::new(1).await;
    world.put("k", &["before"]).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mapping = world.map(&json!({})).await;
    world.put("k", &["one", "two"]).await;
    let changed = world.rest("GET", &mapping, Value::Null).await.unwrap()["LastModified"].clone();
    assert_eq!(world.result(&mapping).await, "No records processed");
    let flow = world.start();
    world.drained(&flow).await;
    assert_eq!(world.batches(), [["one", "two"]], "LATEST counts from the mapping's creation");
    let record = &world.events()[0]["Records"][0];
    assert_eq!(record["invokeIdentityArn"], "arn:aws:iam::000000000000:role/worker");
    assert!(record["eventID"].as_str().unwrap().starts_with("shardId-000000000000:"));
    let shown = world.rest("GET", &mapping, Value::Null).await.unwrap();
    assert_eq!((&shown["LastProcessingResult"], &shown["LastModified"]), (&json!("OK"), &changed));
    flow.stop().await;

    world.put("k", &["three"]).await;
    let flow = world.start();
    world.drained(&flow).await;
    assert_eq!(world.batches(), [vec!["one", "two"], vec!["three"]], "it goes on where it stopped");
    world.rest("DELETE", &mapping, Value::Null).await.unwrap();
    world.put("k", &["four"]).await;
    world.drained(&flow).await;
    flow.stop().await;
    assert_eq!((world.batches().len(), world.rows("flow.position").len()), (2, 0));
}

#[tokio::test]
async fn a_put_wakes_the_poller() {
    let world = World::new(1).await;
    let flow = world.start();
    let pattern = json!({ "partitionKey": ["wanted"] }).to_string();
    world.map(&json!({ "FilterCriteria": { "Filters": [{ "Pattern": pattern }] } })).await;
    world.drained(&flow).await;
    let mut times = Vec::new();
    for _ in 0..21 {
        world.put("other", &["x"]).await;
        let begin = Instant::now();
        assert!(!flow.is_idle(), "what was put is on its way");
        world.drained(&flow).await;
        times.push(begin.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    times.sort();
    assert!(times[10] < Duration::from_millis(50), "{times:?}");
    world.put("wanted", &["y"]).await;
    world.drained(&flow).await;
    flow.stop().await;
    assert_eq!(world.batches(), [["y"]]);
}

#[tokio::test]
async fn many_puts_at_once_are_all_delivered_in_order() {
    let world = World::new(2).await;
    world.map(&json!({})).await;
    let flow = world.start();
    let put = |key: &'static str| {
        let world = &world;
        async move {
            for number in 0..60 {
                world.put(key, &[&format!("{key}{number}")]).await;
                tokio::task::yield_now().await;
            }
        }
    };
    Box::pin(futures::future::join4(put("a"), put("b"), put("c"), put("d"))).await;
    world.drained(&flow).await;
    flow.stop().await;
    let all = world.batches().concat();
    for key in ["a", "b", "c", "d"] {
        let own: Vec<&String> = all.iter().filter(|data| data.starts_with(key)).collect();
        assert_eq!(own, (0..60).map(|number| format!("{key}{number}")).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_disabled_mapping_keeps_its_place() {
    let world = World::new(1).await;
    let flow = world.start();
    let mapping = world.map(&json!({ "StartingPosition": "TRIM_HORIZON", "BatchSize": 1 })).await;
    world.put("k", &["one"]).await;
    world.drained(&flow).await;
    world.rest("PUT", &mapping, json!({ "Enabled": false })).await.unwrap();
    world.put("k", &["two", "three"]).await;
    world.drained(&flow).await;
    assert_eq!(world.batches(), [["one"]]);
    world.rest("PUT", &mapping, json!({ "Enabled": true, "BatchSize": 2 })).await.unwrap();
    world.drained(&flow).await;
    assert_eq!(world.batches(), [vec!["one"], vec!["two", "three"]]);
    flow.stop().await;
}

#[tokio::test]
async fn filters_choose_and_what_they_drop_is_done() {
    let world = World::new(1).await;
    let pattern = json!({ "data": { "cost": [{ "numeric": ["<", 5000] }] } }).to_string();
    world.map(&json!({ "FilterCriteria": { "Filters": [{ "Pattern": pattern }] } })).await;
    world.put("k", &[r#"{"cost":9000}"#, r#"{"cost":10}"#, "no json"]).await;
    let flow = world.start();
    world.drained(&flow).await;
    assert_eq!(world.batches(), [[r#"{"cost":10}"#]]);
    world.put("k", &["no json either"]).await;
    world.drained(&flow).await;
    flow.stop().await;
    let flow = world.start();
    world.drained(&flow).await;
    flow.stop().await;
    assert_eq!(world.batches().len(), 1);
}

#[tokio::test]
async fn a_bad_record_is_found_and_told_of() {
    let world = World::new(1).await;
    world.query("sns", "CreateTopic", &[("Name", "failures")]).await.unwrap();
    let topic = "arn:aws:sns:us-east-1:000000000000:failures";
    let queue = "arn:aws:sqs:us-east-1:000000000000:q";
    let subscription = [("TopicArn", topic), ("Protocol", "sqs"), ("Endpoint", queue)];
    world.query("sns", "Subscribe", &subscription).await.unwrap();
    let mapping = world
        .map(&json!({
            "BisectBatchOnFunctionError": true, "MaximumRetryAttempts": 0,
            "DestinationConfig": { "OnFailure": { "Destination": topic } },
        }))
        .await;
    world.put("k", &["a", "bad", "c"]).await;
    let flow = world.start();
    world.drained(&flow).await;
    flow.stop().await;
    let wanted = [vec!["a", "bad", "c"], vec!["a"], vec!["bad", "c"], vec!["bad"], vec!["c"]];
    assert_eq!(world.batches(), wanted);
    assert_eq!(world.result(&mapping).await, "OK");
    let told: String = world.rows("sns.outbox").iter().map(|(_, row)| row.to_string()).collect();
    assert!(told.contains("KinesisBatchInfo") && told.contains("RetryAttemptsExhausted"), "{told}");
}

#[tokio::test]
async fn a_function_that_fails_for_ever_is_not_waited_for() {
    let world = World::new(1).await;
    let mapping = world.map(&json!({})).await;
    world.put("k", &["bad"]).await;
    let flow = world.start();
    let waits = flow.drained_or_stalled(Duration::from_millis(300));
    assert!(!tokio::time::timeout(PATIENCE, waits).await.expect("it gives up"));
    flow.stop().await;
    assert!(world.result(&mapping).await.starts_with("PROBLEM"));
    assert!(world.batches().len() > 1, "it is tried again: {:?}", world.batches());
}

#[tokio::test]
async fn a_failure_for_a_queue_is_a_problem_that_is_told() {
    let world = World::new(1).await;
    let queue = json!({ "OnFailure": { "Destination": "arn:aws:sqs:us-east-1:000000000000:q" } });
    let mapping = world.map(&json!({ "MaximumRetryAttempts": 1, "DestinationConfig": queue })).await;
    world.put("k", &["bad"]).await;
    let flow = world.start();
    world.drained(&flow).await;
    flow.stop().await;
    assert_eq!(world.batches(), [["bad"], ["bad"]]);
    let result = world.result(&mapping).await;
    assert!(result.starts_with("PROBLEM: the local cloud has no SQS"), "{result}");
}

#[tokio::test]
async fn reported_failures_are_tried_again_from_the_first() {
    let world = World::new(1).await;
    world.map(&json!({ "FunctionResponseTypes": ["ReportBatchItemFailures"] })).await;
    world.put("k", &["a", "half", "c"]).await;
    let flow = world.start();
    world.drained(&flow).await;
    flow.stop().await;
    assert_eq!(world.batches(), [vec!["a", "half", "c"], vec!["half", "c"]]);
}

#[tokio::test]
async fn a_batch_may_wait_to_become_full() {
    let world = World::new(1).await;
    world.map(&json!({ "MaximumBatchingWindowInSeconds": 300, "BatchSize": 3 })).await;
    let flow = world.start();
    world.put("k", &["a"]).await;
    world.put("k", &["b"]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((world.batches().len(), flow.is_idle()), (0, false));
    world.put("k", &["c"]).await;
    world.drained(&flow).await;
    flow.stop().await;
    assert_eq!(world.batches(), [["a", "b", "c"]]);
}

#[tokio::test]
async fn windows_carry_their_state_to_a_last_call() {
    let world = World::new(1).await;
    world.map(&json!({ "TumblingWindowInSeconds": 1, "BatchSize": 1 })).await;
    world.put("k", &["a", "b"]).await;
    let flow = world.start();
    let begin = Instant::now();
    while !world.events().iter().any(|event| event["isFinalInvokeForWindow"] == true) {
        assert!(begin.elapsed() < PATIENCE, "{:?}", world.events());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    flow.stop().await;
    let events = world.events();
    let last = events.iter().find(|event| event["isFinalInvokeForWindow"] == true).unwrap();
    assert_eq!((&last["Records"], &last["isWindowTerminatedEarly"]), (&json!([]), &json!(false)));
    assert!(last["state"]["count"].as_u64().unwrap() >= 1, "{last}");
    assert_eq!(events[0]["state"], json!({}));
}

#[tokio::test]
async fn lanes_and_new_shards_keep_the_order_of_each_key() {
    let world = World::new(1).await;
    let mapping = world.map(&json!({ "ParallelizationFactor": 2, "StartingPosition": "TRIM_HORIZON" })).await;
    let flow = world.start();
    for key in ["a", "b", "c"] {
        world.put(key, &[&format!("{key}1")]).await;
    }
    let split = json!({ "StreamName": "s", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING" });
    world.json("kinesis", "UpdateShardCount", split).await;
    for key in ["a", "b", "c"] {
        world.put(key, &[&format!("{key}2")]).await;
    }
    world.drained(&flow).await;
    world.rest("PUT", &mapping, json!({ "ParallelizationFactor": 1 })).await.unwrap();
    for key in ["a", "b", "c"] {
        world.put(key, &[&format!("{key}3")]).await;
    }
    world.drained(&flow).await;
    flow.stop().await;
    let all: Vec<String> = world.batches().concat();
    for key in ["a", "b", "c"] {
        let mut own: Vec<&String> = all.iter().filter(|data| data.starts_with(key)).collect();
        own.dedup();
        assert_eq!(*own.last().unwrap(), &format!("{key}3"), "{all:?}");
        for number in 1..=3 {
            assert!(own.contains(&&format!("{key}{number}")), "{all:?}");
        }
        let second = own.iter().position(|data| data.ends_with('2')).unwrap();
        assert!(own[..second].iter().all(|data| data.ends_with('1')), "{all:?}");
    }
}

#[tokio::test]
async fn a_lost_function_and_a_lost_stream_are_told() {
    let world = World::new(1).await;
    let mapping = world.map(&json!({})).await;
    let flow = world.start();
    world.rest("DELETE", "2015-03-31/functions/f", Value::Null).await.unwrap();
    world.until(&mapping, "PROBLEM: Function not found").await;
    world.put("k", &["kept"]).await;
    world.function().await;
    world.until(&mapping, "OK").await;
    assert_eq!(world.batches(), [["kept"]]);
    world.json("kinesis", "DeleteStream", json!({ "StreamName": "s" })).await;
    world.until(&mapping, "PROBLEM: Stream not found").await;
    world.json("kinesis", "CreateStream", json!({ "StreamName": "s", "ShardCount": 1 })).await;
    world.put("k", &["new"]).await;
    world.drained(&flow).await;
    flow.stop().await;
    assert_eq!(world.batches(), [["kept"], ["new"]]);
}

#[tokio::test]
async fn changes_of_a_table_reach_the_function() {
    let world = World::new(1).await;
    let table = json!({
        "TableName": "tickets", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
    });
    let made = world.json("dynamodb", "CreateTable", table).await;
    let source = made["TableDescription"]["LatestStreamArn"].clone();
    world.map(&json!({ "EventSourceArn": source, "StartingPosition": "TRIM_HORIZON" })).await;
    let flow = world.start();
    world.json("dynamodb", "PutItem", json!({ "TableName": "tickets", "Item": { "id": { "S": "1" } } })).await;
    world.drained(&flow).await;
    flow.stop().await;
    let record = &world.events()[0]["Records"][0];
    assert_eq!((&record["eventName"], &record["eventSourceARN"]), (&json!("INSERT"), &source));
    assert_eq!(record["dynamodb"]["NewImage"]["id"]["S"], "1");
}

#[tokio::test]
async fn a_lane_that_panics_is_not_taken_for_one_that_has_ended() {
    let lane = tokio::spawn(async { panic!("the lane is broken") }).await.map(|()| 1);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| super::left_by(lane)));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"the lane is broken"));
    let stopped = tokio::spawn(std::future::pending::<u32>());
    stopped.abort();
    assert_eq!(super::left_by(stopped.await), None);
    assert_eq!(super::left_by(Ok(1)), Some(1));
}
