//! Applications at work in a cloud in memory: the ticket stack's, with its outputs right and wrong.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::local::flow::Flow;
use crate::local::{Answer, Cloud, Fault, Input, Params, Settings, Who};

const SQL: &str = include_str!("../../../../stacks/sql/airline_tickets.sql");
const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/";

/// An account with two streams, a log stream and a role for the application.
struct Account {
    cloud: Cloud,
    who: Who,
}

impl Account {
    async fn new() -> Self {
        let cloud = Cloud::memory(Settings::default()).unwrap();
        let (account, region) = ("000000000000".to_owned(), "us-east-1".to_owned());
        let who = Who { account, region, role: None, endpoint: "http://127.0.0.1:1".to_owned() };
        let account = Self { cloud, who };
        for name in ["airline_tickets", "special_stream"] {
            account.ask("kinesis", "CreateStream", json!({ "StreamName": name, "ShardCount": 2 })).await.unwrap();
        }
        account.ask("logs", "CreateLogGroup", json!({ "logGroupName": "g" })).await.unwrap();
        account.ask("logs", "CreateLogStream", json!({ "logGroupName": "g", "logStreamName": "s" })).await.unwrap();
        account.role(&["kinesis:*", "logs:PutLogEvents"]).await;
        account
    }

    async fn role(&self, actions: &[&str]) {
        let principal = json!({ "Service": "kinesisanalytics.amazonaws.com" });
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal },
        ]});
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": actions, "Resource": "*" },
        ]});
        let (trust, policy) = (trust.to_string(), policy.to_string());
        let _ = self.query("CreateRole", &[("RoleName", "app"), ("AssumeRolePolicyDocument", &trust)]).await;
        let fields = [("RoleName", "app"), ("PolicyName", "p"), ("PolicyDocument", policy.as_str())];
        self.query("PutRolePolicy", &fields).await.unwrap();
    }

    async fn query(&self, operation: &str, fields: &[(&str, &str)]) -> Result<Answer, Fault> {
        let fields: BTreeMap<_, _> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.cloud.ask(&self.who, "iam", operation, Input::Query(Params(fields))).await
    }

    async fn ask(&self, service: &str, operation: &str, body: Value) -> Result<Value, Fault> {
        match self.cloud.ask(&self.who, service, operation, Input::Json(body)).await? {
            Answer::Json(_, body) | Answer::Headed(_, _, body) => Ok(body),
            other @ Answer::Xml(_) => panic!("no JSON: {other:?}"),
        }
    }

    async fn create(&self, code: &str, outputs: &[&str]) -> Result<Value, Fault> {
        let role = "arn:aws:iam::000000000000:role/app";
        let columns = [("cost", "DOUBLE"), ("gate", "VARCHAR(16)"), ("found_at", "TIMESTAMP"), ("actual", "BOOLEAN")];
        let columns =
            columns.map(|(name, kind)| json!({ "Name": name, "Mapping": format!("$.{name}"), "SqlType": kind }));
        let outputs: Vec<_> = outputs
            .iter()
            .map(|name| {
                json!({
                    "Name": name, "DestinationSchema": { "RecordFormatType": "JSON" },
                    "KinesisStreamsOutput": { "ResourceARN": format!("{ARN}special_stream"), "RoleARN": role },
                })
            })
            .collect();
        let body = json!({
            "ApplicationName": "app", "ApplicationCode": code, "Outputs": outputs,
            "Inputs": [{
                "NamePrefix": "SOURCE_SQL_STREAM",
                "KinesisStreamsInput": { "ResourceARN": format!("{ARN}airline_tickets"), "RoleARN": role },
                "InputSchema": { "RecordColumns": columns, "RecordFormat": { "RecordFormatType": "JSON",
                    "MappingParameters": { "JSONMappingParameters": { "RecordRowPath": "$" } } } },
            }],
            "CloudWatchLoggingOptions": [{
                "LogStreamARN": "arn:aws:logs:us-east-1:000000000000:log-group:g:log-stream:s", "RoleARN": role,
            }],
        });
        self.ask("kinesisanalytics", "CreateApplication", body).await
    }

    async fn start(&self, position: &str) -> Result<Value, Fault> {
        let position = json!({ "InputStartingPosition": position });
        let inputs = json!([{ "Id": "1.1", "InputStartingPositionConfiguration": position }]);
        let body = json!({ "ApplicationName": "app", "InputConfigurations": inputs });
        self.ask("kinesisanalytics", "StartApplication", body).await
    }

    async fn stop(&self) {
        self.ask("kinesisanalytics", "StopApplication", json!({ "ApplicationName": "app" })).await.unwrap();
        // The task is told within one look at the rows.
        tokio::time::sleep(Duration::from_millis(400)).await;
    }

    /// Sends a ticket as the agent does: every value is a text.
    async fn ticket(&self, cost: &str, gate: &str) {
        let data = json!({ "cost": cost, "gate": gate, "found_at": "2020-05-17T10:11:12", "actual": "True" });
        let body = json!({ "StreamName": "airline_tickets", "PartitionKey": uuid::Uuid::new_v4().to_string(),
            "Data": STANDARD.encode(data.to_string()) });
        self.ask("kinesis", "PutRecord", body).await.unwrap();
    }

    /// Reads everything that was delivered, sorted.
    async fn delivered(&self) -> Vec<String> {
        let mut found = Vec::new();
        for shard in ["shardId-000000000000", "shardId-000000000001"] {
            let body = json!({ "StreamName": "special_stream", "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
            let iterator = self.ask("kinesis", "GetShardIterator", body).await.unwrap();
            let body = json!({ "ShardIterator": iterator["ShardIterator"] });
            let answer = self.ask("kinesis", "GetRecords", body).await.unwrap();
            for record in answer["Records"].as_array().unwrap() {
                let data = STANDARD.decode(record["Data"].as_str().unwrap()).unwrap();
                found.push(String::from_utf8(data).unwrap());
            }
        }
        found.sort();
        found
    }

    /// Waits until so many records were delivered.
    async fn wait(&self, count: usize) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let found = self.delivered().await;
            if found.len() >= count || Instant::now() > end {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn log(&self) -> String {
        let body = json!({ "logGroupName": "g", "logStreamName": "s", "startFromHead": true });
        self.ask("logs", "GetLogEvents", body).await.unwrap()["events"].to_string()
    }

    fn flow(&self) -> Flow {
        Flow::start(self.cloud.clone(), self.who.endpoint.clone())
    }
}

fn cheap(cost: &str) -> String {
    format!(r#"{{"cost":{cost},"gate":"Aeroflot"}}"#)
}

#[tokio::test]
async fn cheap_tickets_arrive_and_nothing_else_also_after_a_stop() {
    let account = Account::new().await;
    account.ticket("1", "Aeroflot").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    account.create(SQL, &["DESTINATION_SQL_STREAM"]).await.unwrap();
    account.start("NOW").await.unwrap();
    // Between the start and the first look nothing is lost.
    account.ticket("4500", "Aeroflot").await;
    let flow = account.flow();
    account.ticket("5000", "Aeroflot").await;
    account.ticket("10", "S7").await;
    account.ticket("many", "Aeroflot").await;
    account.ticket("4999.5", "Aeroflot").await;
    assert_eq!(account.wait(2).await, [cheap("4500.0"), cheap("4999.5")]);

    account.stop().await;
    account.ticket("7", "Aeroflot").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(account.delivered().await.len(), 2, "a stopped application passes nothing");
    account.start("LAST_STOPPED_POINT").await.unwrap();
    assert_eq!(account.wait(3).await, [cheap("4500.0"), cheap("4999.5"), cheap("7.0")]);
    flow.stop().await;

    account.ticket("8", "Aeroflot").await;
    let flow = account.flow();
    assert_eq!(account.wait(4).await.len(), 4, "a new process goes on where the last one was");
    flow.stop().await;
}

#[tokio::test]
async fn an_output_for_a_stream_that_nothing_creates_gets_nothing() {
    let account = Account::new().await;
    account.create(SQL, &["IN_APP_STREAM", "error_stream"]).await.unwrap();
    account.start("TRIM_HORIZON").await.unwrap();
    let flow = account.flow();
    account.ticket("10", "Aeroflot").await;
    account.ticket("many", "Aeroflot").await;
    let found = account.wait(1).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(account.delivered().await, found);
    let [problem] = found.as_slice() else { panic!("{found:?}") };
    let problem: Value = serde_json::from_str(problem).unwrap();
    assert_eq!(problem["MESSAGE"], "Could not convert 'many' to DOUBLE for column cost");
    assert!(problem["DATA_ROW"].as_str().unwrap().starts_with("7B"), "{problem}");
    assert!(flow.is_idle());
    flow.stop().await;
}

#[tokio::test]
async fn windows_outlive_the_process() {
    let account = Account::new().await;
    let code = "CREATE STREAM O (\"n\" BIGINT); CREATE PUMP P AS INSERT INTO O SELECT STREAM COUNT(*) \
        FROM SOURCE_SQL_STREAM_001 GROUP BY STEP(ROWTIME BY INTERVAL '3' SECOND)";
    account.create(code, &["O"]).await.unwrap();
    account.start("TRIM_HORIZON").await.unwrap();
    for _ in 0..3 {
        account.ticket("1", "S7").await;
    }
    let flow = account.flow();
    // Long enough to read, mostly too short for the window to end.
    tokio::time::sleep(Duration::from_millis(700)).await;
    flow.stop().await;
    let flow = account.flow();
    let total = |found: &[String]| -> i64 {
        found.iter().map(|text| serde_json::from_str::<Value>(text).unwrap()["n"].as_i64().unwrap()).sum()
    };
    let end = Instant::now() + Duration::from_secs(20);
    while total(&account.delivered().await) < 3 && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(total(&account.delivered().await), 3);
    flow.stop().await;
}

#[tokio::test]
async fn what_cannot_run_is_refused_at_the_right_call() {
    let account = Account::new().await;
    let wrong = SQL.replace("SOURCE_SQL_STREAM_001", "SOURCE_SQL_STREAM_002");
    let fault = account.create(&wrong, &["O"]).await.unwrap_err();
    assert_eq!(fault.code, "CodeValidationException");
    assert!(fault.message.contains("'SOURCE_SQL_STREAM_002' not found"), "{}", fault.message);
    let sliding = SQL.replace("\"cost\", \"gate\"\n", "SUM(\"cost\") OVER (PARTITION BY \"gate\"), \"gate\"\n");
    assert_ne!(sliding, SQL);
    account.create(&sliding, &["O"]).await.unwrap();
    let fault = account.start("NOW").await.unwrap_err();
    assert_eq!(fault.code, "InvalidApplicationConfigurationException");
    assert!(
        fault.message.contains("the local cloud cannot run SUM(…) OVER (a sliding window) (line"),
        "{}",
        fault.message
    );
}

#[tokio::test]
async fn an_input_that_is_gone_is_told_once() {
    let account = Account::new().await;
    account.create(SQL, &["DESTINATION_SQL_STREAM"]).await.unwrap();
    account.start("NOW").await.unwrap();
    account.ask("kinesis", "DeleteStream", json!({ "StreamName": "airline_tickets" })).await.unwrap();
    let flow = account.flow();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    flow.stop().await;
    let log = account.log().await;
    assert_eq!(log.matches("InputError").count(), 1, "{log}");
    assert!(log.contains("applicationVersionId") && log.contains("ResourceNotFoundException"), "{log}");
}
