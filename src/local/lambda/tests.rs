//! Rules of Lambda, one group per test.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Lambda;
use crate::local::Fault;
use crate::local::testing::Bench;

const REACH: &[&str] = &["kinesis:*", "sqs:*"];

struct Account {
    bench: Bench,
    role: String,
}

impl Account {
    fn with_delay(delay: i64) -> Self {
        let bench = Bench::slow(delay);
        let role = bench.role("worker", "lambda.amazonaws.com", REACH);
        Self { bench, role }
    }

    fn send(&self, method: &str, path: &str, body: Value) -> Result<Value, Fault> {
        self.bench.rest(&Lambda, method, path, body)
    }

    fn request(&self) -> Value {
        json!({
            "FunctionName": "f", "Runtime": "python3.13", "Handler": "main.handler", "Role": self.role,
            "Code": { "ZipFile": zipped("def handler(event, context):\n    return {'got': event}\n") },
        })
    }

    fn create(&self, changes: &[(&str, Value)]) -> Result<Value, Fault> {
        let mut body = self.request();
        for (field, value) in changes {
            body[*field] = value.clone();
        }
        self.send("POST", "2015-03-31/functions", body)
    }

    fn map(&self, changes: &[(&str, Value)]) -> Result<Value, Fault> {
        let mut body = json!({ "FunctionName": "f", "StartingPosition": "LATEST" });
        for (field, value) in changes {
            body[*field] = value.clone();
        }
        self.send("POST", "2015-03-31/event-source-mappings", body)
    }
}

fn zipped(source: &str) -> String {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("main.py", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(source.as_bytes()).unwrap();
    STANDARD.encode(archive.finish().unwrap().into_inner())
}

#[test]
fn defaults_are_those_of_the_service() {
    let account = Account::with_delay(0);
    let made = account.create(&[]).unwrap();
    assert_eq!(made["Timeout"], 3);
    assert_eq!(made["MemorySize"], 128);
    assert_eq!(made["Architectures"], json!(["x86_64"]));
    assert_eq!(made["EphemeralStorage"], json!({ "Size": 512 }));
    assert_eq!(made["LoggingConfig"], json!({ "LogFormat": "Text", "LogGroup": "/aws/lambda/f" }));
    assert_eq!(made["SnapStart"], json!({ "ApplyOn": "None", "OptimizationStatus": "Off" }));
    assert_eq!(made["TracingConfig"], json!({ "Mode": "PassThrough" }));
    assert_eq!(made["State"], "Active");
    assert!(made.get("Environment").is_none());
    let again = account.create(&[]).unwrap_err();
    assert_eq!((again.status, again.code.as_str()), (409, "ResourceConflictException"));
}

#[test]
fn bad_settings_are_refused() {
    let account = Account::with_delay(0);
    let cases = [
        ("Timeout", json!(901)),
        ("MemorySize", json!(127)),
        ("EphemeralStorage", json!({ "Size": 511 })),
        ("Handler", json!("a b")),
        ("Runtime", json!("python3.9")),
        ("Architectures", json!(["x86_64", "arm64"])),
        ("TracingConfig", json!({ "Mode": "Sometimes" })),
        ("LoggingConfig", json!({ "LogFormat": "Text", "SystemLogLevel": "INFO" })),
        ("Environment", json!({ "Variables": { "AWS_REGION": "x" } })),
        ("Environment", json!({ "Variables": { "BIG": "x".repeat(4096) } })),
        ("Code", json!({ "ZipFile": STANDARD.encode("no zip") })),
        ("VpcConfig", json!({ "SubnetIds": ["subnet-00000000"], "SecurityGroupIds": ["sg-00000000"] })),
        ("Tags", json!({ "aws:x": "y" })),
    ];
    for (field, value) in cases {
        let fault = account.create(&[(field, value)]).unwrap_err();
        assert!(
            matches!(fault.code.as_str(), "InvalidParameterValueException" | "ValidationException"),
            "{field}: {fault:?}"
        );
    }
    account.create(&[]).unwrap();
}

#[test]
fn the_role_must_exist_and_trust_lambda() {
    let account = Account::with_delay(0);
    let foreign = account.bench.role("foreign", "ec2.amazonaws.com", REACH);
    for role in ["arn:aws:iam::000000000000:role/none", &foreign] {
        let fault = account.create(&[("Role", json!(role))]).unwrap_err();
        assert_eq!(fault.message, "The role defined for the function cannot be assumed by Lambda.");
    }
}

#[test]
fn changes_wait_for_each_other() {
    let account = Account::with_delay(1000);
    assert_eq!(account.create(&[]).unwrap()["State"], "Pending");
    let change = || account.send("PUT", "2015-03-31/functions/f/configuration", json!({ "Timeout": 9 }));
    assert!(change().unwrap_err().message.ends_with("is currently in the following state: Pending"));
    account.bench.wait(1000);
    assert_eq!(change().unwrap()["LastUpdateStatus"], "InProgress");
    let fault = change().unwrap_err();
    assert_eq!(fault.code, "ResourceConflictException");
    assert!(fault.message.contains("An update is in progress for resource: arn:aws:lambda:"), "{}", fault.message);
    account.bench.wait(1000);
    let shown = account.send("GET", "2015-03-31/functions/f", Value::Null).unwrap();
    assert_eq!(shown["Configuration"]["LastUpdateStatus"], "Successful");
    assert_eq!(shown["Configuration"]["Timeout"], 9);
}

#[test]
fn what_is_cleared_goes_away_and_what_is_left_out_stays() {
    let account = Account::with_delay(0);
    account.create(&[("Environment", json!({ "Variables": { "AB": "1" } })), ("Timeout", json!(30))]).unwrap();
    let change = |body: Value| account.send("PUT", "2015-03-31/functions/f/configuration", body).unwrap();
    assert_eq!(change(json!({ "MemorySize": 256 }))["Environment"]["Variables"]["AB"], "1");
    let cleared = change(json!({ "Environment": { "Variables": {} } }));
    assert!(cleared.get("Environment").is_none());
    assert_eq!(cleared["Timeout"], 30);
    let stale =
        account.send("PUT", "2015-03-31/functions/f/configuration", json!({ "RevisionId": "old" })).unwrap_err();
    assert_eq!(stale.status, 412);
}

#[test]
fn names_and_arns_name_the_same_function() {
    let account = Account::with_delay(0);
    account.create(&[("Tags", json!({ "a": "1" }))]).unwrap();
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
    for name in ["f", arn, "000000000000:function:f", "f:$LATEST"] {
        let found = account.send("GET", &format!("2015-03-31/functions/{name}"), Value::Null).unwrap();
        assert_eq!(found["Tags"], json!({ "a": "1" }), "{name}");
    }
    let other = "arn:aws:lambda:us-east-1:111111111111:function:f";
    for name in ["g", "f:1", other] {
        assert_eq!(account.send("GET", &format!("2015-03-31/functions/{name}"), Value::Null).unwrap_err().status, 404);
    }
    account.send("POST", &format!("2017-03-31/tags/{arn}"), json!({ "Tags": { "b": "2" } })).unwrap();
    account.send("DELETE", &format!("2017-03-31/tags/{arn}?tagKeys=a"), Value::Null).unwrap();
    let tags = account.send("GET", &format!("2017-03-31/tags/{arn}"), Value::Null).unwrap();
    assert_eq!(tags["Tags"], json!({ "b": "2" }));
}

#[test]
fn reserved_concurrency_leaves_a_hundred() {
    let account = Account::with_delay(0);
    account.create(&[]).unwrap();
    let put = |count: u64| {
        account.send("PUT", "2017-10-31/functions/f/concurrency", json!({ "ReservedConcurrentExecutions": count }))
    };
    assert!(put(901).is_err());
    put(900).unwrap();
    let shown = account.send("GET", "2015-03-31/functions/f", Value::Null).unwrap();
    assert_eq!(shown["Concurrency"]["ReservedConcurrentExecutions"], 900);
}

#[test]
fn permissions_are_statements_of_a_policy() {
    let account = Account::with_delay(0);
    account.create(&[]).unwrap();
    let path = "2015-03-31/functions/f/policy";
    assert_eq!(account.send("GET", path, Value::Null).unwrap_err().status, 404);
    let body = json!({
        "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "sns.amazonaws.com",
        "SourceArn": "arn:aws:sns:us-east-1:000000000000:t",
    });
    account.send("POST", path, body.clone()).unwrap();
    assert_eq!(account.send("POST", path, body).unwrap_err().code, "ResourceConflictException");
    let policy = account.send("GET", path, Value::Null).unwrap()["Policy"].as_str().unwrap().to_owned();
    let policy: Value = serde_json::from_str(&policy).unwrap();
    assert_eq!(policy["Statement"][0]["Principal"], json!({ "Service": "sns.amazonaws.com" }));
    assert_eq!(policy["Statement"][0]["Condition"]["ArnLike"]["AWS:SourceArn"], "arn:aws:sns:us-east-1:000000000000:t");
    account.send("DELETE", &format!("{path}/s"), Value::Null).unwrap();
    assert_eq!(account.send("DELETE", &format!("{path}/s"), Value::Null).unwrap_err().status, 404);
}

#[test]
fn a_mapping_has_the_defaults_of_its_source() {
    let account = Account::with_delay(0);
    account.create(&[]).unwrap();
    let made = account.map(&[("EventSourceArn", json!(account.bench.stream("s")))]).unwrap();
    assert_eq!(made["State"], "Creating");
    assert_eq!(made["BatchSize"], 100);
    assert_eq!(made["MaximumRecordAgeInSeconds"], -1);
    assert_eq!(made["DestinationConfig"], json!({ "OnFailure": {} }));
    assert_eq!(made["LastProcessingResult"], "No records processed");
    let queue = json!("arn:aws:sqs:us-east-1:000000000000:q");
    let made = account.map(&[("EventSourceArn", queue), ("StartingPosition", Value::Null)]).unwrap();
    assert_eq!(made["BatchSize"], 10);
    assert!(made.get("ParallelizationFactor").is_none());
}

#[test]
fn a_second_mapping_of_the_same_pair_names_the_first() {
    let account = Account::with_delay(0);
    account.create(&[]).unwrap();
    let stream = json!(account.bench.stream("s"));
    let first = account.map(&[("EventSourceArn", stream.clone())]).unwrap();
    let fault = account.map(&[("EventSourceArn", stream)]).unwrap_err();
    assert_eq!((fault.status, fault.code.as_str()), (409, "ResourceConflictException"));
    let end = format!("Please update or delete the existing mapping with UUID {}", first["UUID"].as_str().unwrap());
    assert!(fault.message.ends_with(&end), "{}", fault.message);
}

#[test]
fn bad_options_of_mappings_are_refused() {
    let account = Account::with_delay(0);
    account.create(&[]).unwrap();
    let stream = json!(account.bench.stream("s"));
    let cases = [
        ("BatchSize", json!(10_001)),
        ("ParallelizationFactor", json!(11)),
        ("MaximumRecordAgeInSeconds", json!(59)),
        ("MaximumRetryAttempts", json!(-2)),
        ("TumblingWindowInSeconds", json!(901)),
        ("FunctionResponseTypes", json!(["All"])),
        ("StartingPosition", Value::Null),
        ("StartingPosition", json!("AT_TIMESTAMP")),
        ("FilterCriteria", json!({ "Filters": [{ "Pattern": "{\"data\": 5}" }] })),
        ("DestinationConfig", json!({ "OnFailure": { "Destination": "arn:aws:sns:us-east-1:000000000000:t" } })),
        ("EventSourceArn", json!("arn:aws:kinesis:us-east-1:000000000000:stream/none")),
        ("FunctionName", json!("none")),
    ];
    for (field, value) in cases {
        let result = account.map(&[("EventSourceArn", stream.clone()), (field, value)]);
        assert!(result.is_err(), "{field}");
    }
    let destination = json!({ "OnFailure": { "Destination": "arn:aws:sqs:us-east-1:000000000000:q" } });
    account.map(&[("EventSourceArn", stream), ("DestinationConfig", destination)]).unwrap();
}

#[test]
fn the_role_must_be_able_to_read_the_source() {
    let account = Account::with_delay(0);
    let blind = account.bench.role("blind", "lambda.amazonaws.com", &["kinesis:DescribeStream"]);
    account.create(&[("Role", json!(blind))]).unwrap();
    let fault = account.map(&[("EventSourceArn", json!(account.bench.stream("s")))]).unwrap_err();
    assert!(fault.message.contains("execution role does not have permissions to call GetRecords"), "{}", fault.message);
}

#[test]
fn mappings_change_state_with_time() {
    let account = Account::with_delay(1000);
    account.create(&[]).unwrap();
    let id = account.map(&[("EventSourceArn", json!(account.bench.stream("s")))]).unwrap()["UUID"].clone();
    let path = format!("2015-03-31/event-source-mappings/{}", id.as_str().unwrap());
    assert_eq!(account.send("DELETE", &path, Value::Null).unwrap_err().code, "ResourceInUseException");
    account.bench.wait(1000);
    assert_eq!(account.send("GET", &path, Value::Null).unwrap()["State"], "Enabled");
    let update = json!({ "Enabled": false, "BatchSize": 5 });
    assert_eq!(account.send("PUT", &path, update).unwrap()["State"], "Disabling");
    account.bench.wait(1000);
    let shown = account.send("GET", &path, Value::Null).unwrap();
    assert_eq!((&shown["State"], &shown["BatchSize"]), (&json!("Disabled"), &json!(5)));
    assert_eq!(account.send("DELETE", &path, Value::Null).unwrap()["State"], "Deleting");
    account.bench.wait(1000);
    assert_eq!(account.send("GET", &path, Value::Null).unwrap_err().status, 404);
    let listed = account.send("GET", "2015-03-31/event-source-mappings", Value::Null).unwrap();
    assert_eq!(listed["EventSourceMappings"], json!([]));
}

#[test]
fn lists_come_in_pages() {
    let account = Account::with_delay(0);
    for number in 0..52 {
        account.create(&[("FunctionName", json!(format!("f{number:02}")))]).unwrap();
    }
    let first = account.send("GET", "2015-03-31/functions", Value::Null).unwrap();
    assert_eq!(first["Functions"].as_array().unwrap().len(), 50);
    let marker = first["NextMarker"].as_str().unwrap();
    let rest = account.send("GET", &format!("2015-03-31/functions?Marker={marker}"), Value::Null).unwrap();
    assert_eq!(rest["Functions"].as_array().unwrap().len(), 2);
    assert!(rest.get("NextMarker").is_none());
}
