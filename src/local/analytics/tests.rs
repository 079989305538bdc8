//! Rules of the SQL application service, one group per test.

use serde_json::{Value, json};

use super::{Analytics, Second};
use crate::local::testing::Bench;
use crate::local::{Call, Input};

const REACH: &[&str] = &["kinesis:*", "lambda:*", "firehose:*", "s3:GetObject", "logs:PutLogEvents"];
const SQL: &str = "CREATE OR REPLACE STREAM \"OUT\" (\"cost\" DOUBLE);";

struct Account {
    bench: Bench,
    role: String,
    stream: String,
}

impl Account {
    fn with_delay(delay: i64) -> Self {
        let bench = Bench::slow(delay);
        let role = bench.role("app", "kinesisanalytics.amazonaws.com", REACH);
        let stream = bench.stream("tickets");
        Self { bench, role, stream }
    }

    fn call(&self, operation: &str, body: Value) -> Result<Value, String> {
        self.bench.json(&Analytics, operation, body).map_err(|fault| fault.code)
    }

    fn call_second(&self, operation: &str, body: Value) -> Result<Value, String> {
        self.bench.json(&Second, operation, body).map_err(|fault| fault.code)
    }

    fn create(&self, changes: &[(&str, Value)]) -> Result<Value, String> {
        let mut body = json!({
            "ApplicationName": "app", "ApplicationCode": SQL, "Inputs": [self.input()], "Outputs": [self.output("OUT")],
        });
        for (path, value) in changes {
            *body.pointer_mut(path).unwrap() = value.clone();
        }
        self.call("CreateApplication", body)
    }

    fn input(&self) -> Value {
        json!({
            "NamePrefix": "SOURCE", "KinesisStreamsInput": { "ResourceARN": self.stream, "RoleARN": self.role },
            "InputParallelism": { "Count": 2 },
            "InputSchema": {
                "RecordFormat": {
                    "RecordFormatType": "JSON",
                    "MappingParameters": { "JSONMappingParameters": { "RecordRowPath": "$" } },
                },
                "RecordColumns": [{ "Name": "cost", "Mapping": "$.cost", "SqlType": "DOUBLE" }],
            },
        })
    }

    fn output(&self, name: &str) -> Value {
        json!({
            "Name": name, "KinesisStreamsOutput": { "ResourceARN": self.stream, "RoleARN": self.role },
            "DestinationSchema": { "RecordFormatType": "JSON" },
        })
    }

    fn detail(&self) -> Value {
        self.call("DescribeApplication", json!({ "ApplicationName": "app" })).unwrap()["ApplicationDetail"].clone()
    }

    fn status(&self) -> String {
        self.detail()["ApplicationStatus"].as_str().unwrap().to_owned()
    }

    fn start(&self, id: &str) -> Result<Value, String> {
        let position = json!({ "InputStartingPosition": "TRIM_HORIZON" });
        let inputs = json!([{ "Id": id, "InputStartingPositionConfiguration": position }]);
        self.call("StartApplication", json!({ "ApplicationName": "app", "InputConfigurations": inputs }))
    }
}

#[test]
fn a_created_application_is_ready_and_numbered() {
    let account = Account::with_delay(0);
    assert_eq!(account.create(&[]).unwrap()["ApplicationSummary"]["ApplicationStatus"], "READY");
    let detail = account.detail();
    assert_eq!(detail["ApplicationVersionId"], 1);
    assert_eq!(detail["InputDescriptions"][0]["InputId"], "1.1");
    assert_eq!(detail["InputDescriptions"][0]["InAppStreamNames"], json!(["SOURCE_001", "SOURCE_002"]));
    assert_eq!(detail["OutputDescriptions"][0]["Name"], "OUT");
    assert_eq!(account.create(&[]).unwrap_err(), "ResourceInUseException");
}

#[test]
fn bad_fields_are_refused() {
    let cases: [(&str, Value, &str); 9] = [
        ("/ApplicationName", json!("a b"), "InvalidArgumentException"),
        ("/ApplicationCode", json!("SELECT ("), "CodeValidationException"),
        ("/Inputs/0/NamePrefix", json!("SOURCE-STREAM"), "InvalidArgumentException"),
        ("/Inputs/0/NamePrefix", json!("x".repeat(33)), "ValidationException"),
        ("/Inputs/0/InputParallelism/Count", json!(65), "InvalidArgumentException"),
        ("/Inputs/0/InputSchema/RecordColumns", json!([]), "InvalidArgumentException"),
        ("/Inputs/0/InputSchema/RecordColumns/0/Mapping", json!(""), "InvalidArgumentException"),
        ("/Inputs/0/InputSchema/RecordFormat/RecordFormatType", json!("CSV"), "InvalidArgumentException"),
        ("/Outputs/0/DestinationSchema/RecordFormatType", json!("XML"), "InvalidArgumentException"),
    ];
    for (path, value, code) in cases {
        let account = Account::with_delay(0);
        assert_eq!(account.create(&[(path, value)]).unwrap_err(), code, "{path}");
    }
}

#[test]
fn an_output_that_the_sql_never_creates_is_accepted() {
    let account = Account::with_delay(0);
    account.create(&[("/Outputs/0/Name", json!("IN_APP_STREAM"))]).unwrap();
    account.start("1.1").unwrap();
    assert_eq!(account.status(), "RUNNING");
}

#[test]
fn roles_must_trust_the_service_and_reach_the_stream() {
    let account = Account::with_delay(0);
    let weak = account.bench.role("weak", "kinesisanalytics.amazonaws.com", &["kinesis:DescribeStream"]);
    let foreign = account.bench.role("foreign", "lambda.amazonaws.com", REACH);
    for role in [weak, foreign, "arn:aws:iam::000000000000:role/none".to_owned()] {
        let mut body = json!({ "ApplicationName": "app", "Inputs": [account.input()] });
        body["Inputs"][0]["KinesisStreamsInput"]["RoleARN"] = json!(role);
        let fault = account.bench.json(&Analytics, "CreateApplication", body).unwrap_err();
        assert_eq!(fault.code, "InvalidArgumentException");
        let text = "Kinesis Analytics service doesn't have sufficient privileges";
        assert!(fault.message.starts_with(text), "{}", fault.message);
    }
    let none = json!("arn:aws:kinesis:us-east-1:000000000000:stream/none");
    let missing = account.create(&[("/Inputs/0/KinesisStreamsInput/ResourceARN", none)]);
    assert_eq!(missing.unwrap_err(), "InvalidArgumentException");
}

#[test]
fn states_follow_each_other_with_time() {
    let account = Account::with_delay(1000);
    account.create(&[]).unwrap();
    assert_eq!(account.start("9.9").unwrap_err(), "InvalidArgumentException");
    account.start("1.1").unwrap();
    assert_eq!(account.status(), "STARTING");
    let stop = || account.call("StopApplication", json!({ "ApplicationName": "app" }));
    assert_eq!(stop().unwrap_err(), "ResourceInUseException");
    account.bench.wait(1000);
    assert_eq!(account.status(), "RUNNING");
    assert_eq!(account.start("1.1").unwrap_err(), "ResourceInUseException");
    let update = json!({ "ApplicationName": "app", "CurrentApplicationVersionId": 1, "ApplicationUpdate": { "ApplicationCodeUpdate": "" } });
    account.call("UpdateApplication", update.clone()).unwrap();
    assert_eq!(account.status(), "UPDATING");
    assert_eq!(account.call("UpdateApplication", update).unwrap_err(), "ResourceInUseException");
    account.bench.wait(1000);
    stop().unwrap();
    assert_eq!(account.status(), "STOPPING");
    account.bench.wait(1000);
    assert_eq!(account.status(), "READY");
}

#[test]
fn an_application_without_input_cannot_start() {
    let account = Account::with_delay(0);
    account.call("CreateApplication", json!({ "ApplicationName": "app" })).unwrap();
    assert_eq!(account.start("1.1").unwrap_err(), "InvalidApplicationConfigurationException");
}

#[test]
fn edits_need_the_current_version_and_raise_it() {
    let account = Account::with_delay(0);
    account.create(&[]).unwrap();
    let add = |version: u64, name: &str| {
        let body =
            json!({ "ApplicationName": "app", "CurrentApplicationVersionId": version, "Output": account.output(name) });
        account.call("AddApplicationOutput", body)
    };
    assert_eq!(add(7, "B").unwrap_err(), "ConcurrentModificationException");
    add(1, "B").unwrap();
    assert_eq!(account.detail()["OutputDescriptions"][1]["OutputId"], "2.1");
    assert_eq!(add(2, "B").unwrap_err(), "InvalidArgumentException");
    add(2, "C").unwrap();
    assert_eq!(add(3, "D").unwrap_err(), "LimitExceededException");
    let body = json!({ "ApplicationName": "app", "CurrentApplicationVersionId": 3, "OutputId": "2.1" });
    account.call("DeleteApplicationOutput", body).unwrap();
    assert_eq!(account.detail()["OutputDescriptions"].as_array().unwrap().len(), 2);
    assert_eq!(account.detail()["ApplicationVersionId"], 4);
}

#[test]
fn updates_change_parts_in_place() {
    let account = Account::with_delay(0);
    account.create(&[]).unwrap();
    let columns = json!([{ "Name": "gate", "Mapping": "$.gate", "SqlType": "VARCHAR(16)" }]);
    let change = json!({
        "InputUpdates": [{
            "InputId": "1.1", "NamePrefixUpdate": "NEW", "InputParallelismUpdate": { "CountUpdate": 1 },
            "InputSchemaUpdate": { "RecordColumnUpdates": columns },
        }],
        "OutputUpdates": [{
            "OutputId": "1.2", "NameUpdate": "OTHER",
            "KinesisFirehoseOutputUpdate": {
                "ResourceARNUpdate": "arn:aws:firehose:us-east-1:000000000000:deliverystream/d", "RoleARNUpdate": account.role,
            },
        }],
    });
    let body = json!({ "ApplicationName": "app", "CurrentApplicationVersionId": 1, "ApplicationUpdate": change });
    account.call("UpdateApplication", body).unwrap();
    let detail = account.detail();
    assert_eq!(detail["InputDescriptions"][0]["InAppStreamNames"], json!(["NEW_001"]));
    assert_eq!(detail["InputDescriptions"][0]["InputSchema"]["RecordColumns"], columns);
    assert_eq!(detail["InputDescriptions"][0]["InputSchema"]["RecordFormat"]["RecordFormatType"], "JSON");
    assert_eq!(detail["OutputDescriptions"][0]["Name"], "OTHER");
    assert!(detail["OutputDescriptions"][0].get("KinesisStreamsOutputDescription").is_none());
    assert!(detail["OutputDescriptions"][0].get("KinesisFirehoseOutputDescription").is_some());
}

#[test]
fn deletion_needs_the_creation_time_to_the_second() {
    let account = Account::with_delay(500);
    account.create(&[]).unwrap();
    let delete =
        |time: Value| account.call("DeleteApplication", json!({ "ApplicationName": "app", "CreateTimestamp": time }));
    assert_eq!(delete(json!(1_795_000_001)).unwrap_err(), "InvalidArgumentException");
    delete(json!(1_795_000_000)).unwrap();
    assert_eq!(account.status(), "DELETING");
    account.bench.wait(500);
    let gone = account.call("DescribeApplication", json!({ "ApplicationName": "app" }));
    assert_eq!(gone.unwrap_err(), "ResourceNotFoundException");
    account.create(&[]).unwrap();
}

#[test]
fn lists_have_pages_and_regions_a_limit() {
    let account = Account::with_delay(0);
    for number in 0..50 {
        account.call("CreateApplication", json!({ "ApplicationName": format!("app{number:02}") })).unwrap();
    }
    let one_more = account.call("CreateApplication", json!({ "ApplicationName": "x" }));
    assert_eq!(one_more.unwrap_err(), "LimitExceededException");
    let page = account.call("ListApplications", json!({ "Limit": 49 })).unwrap();
    assert_eq!(page["HasMoreApplications"], true);
    let rest = account.call("ListApplications", json!({ "ExclusiveStartApplicationName": "app48" })).unwrap();
    assert_eq!(rest["ApplicationSummaries"][0]["ApplicationName"], "app49");
    assert_eq!(rest["HasMoreApplications"], false);
}

#[test]
fn tags_are_kept_and_limited() {
    let account = Account::with_delay(0);
    account
        .call("CreateApplication", json!({ "ApplicationName": "app", "Tags": [{ "Key": "a", "Value": "1" }] }))
        .unwrap();
    let arn = account.detail()["ApplicationARN"].clone();
    let tag = |tags: Value| account.call("TagResource", json!({ "ResourceARN": arn, "Tags": tags }));
    tag(json!([{ "Key": "b", "Value": "2" }])).unwrap();
    account.call("UntagResource", json!({ "ResourceARN": arn, "TagKeys": ["a"] })).unwrap();
    let kept = account.call("ListTagsForResource", json!({ "ResourceARN": arn })).unwrap();
    assert_eq!(kept["Tags"], json!([{ "Key": "b", "Value": "2" }]));
    let many: Vec<_> = (0..50).map(|number| json!({ "Key": format!("k{number}"), "Value": "" })).collect();
    assert_eq!(tag(json!(many)).unwrap_err(), "TooManyTagsException");
}

#[test]
fn a_retired_service_takes_no_new_application() {
    let retired = |call: &Call| Call { retired: true, ..call.clone() };
    let call = Call::new("CreateApplication", Input::Json(Value::Null), 0);
    assert_eq!(super::refuse_retired(&retired(&call)).unwrap_err().code, "UnsupportedOperationException");
    assert!(super::refuse_retired(&call).is_ok());
    let other = Call::new("DescribeApplication", Input::Json(Value::Null), 0);
    assert!(super::refuse_retired(&retired(&other)).is_ok());
}

#[test]
fn the_second_api_lists_sql_applications_and_refuses_the_rest() {
    let account = Account::with_delay(0);
    for name in ["a", "b"] {
        account.call("CreateApplication", json!({ "ApplicationName": name })).unwrap();
    }
    let first = account.call_second("ListApplications", json!({ "Limit": 1 })).unwrap();
    assert_eq!(first["ApplicationSummaries"][0]["RuntimeEnvironment"], "SQL-1_0");
    let next = account.call_second("ListApplications", json!({ "NextToken": first["NextToken"] })).unwrap();
    assert_eq!(next["ApplicationSummaries"][0]["ApplicationName"], "b");
    assert_eq!(next.get("NextToken"), None);
    assert_eq!(account.call_second("CreateApplication", json!({})).unwrap_err(), "UnsupportedOperationException");
}
