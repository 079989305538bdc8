//! What is written down, and how it is found again.

use serde_json::{Value, json};

use crate::local::registry::SERVICES;
use crate::local::store::Store;
use crate::local::{Answer, Call, Fault, Input, Params, Service};

use super::{CloudTrail, KEPT, record};

struct Bench {
    rows: Store,
}

impl Bench {
    fn new() -> Self {
        Self { rows: Store::memory().unwrap() }
    }

    fn note(&self, service: &str, call: &Call, outcome: Result<(), Fault>) {
        let entry = SERVICES.iter().find(|entry| entry.signing == service).unwrap();
        record(&self.rows, entry, call, &outcome.map(|()| Answer::json(json!({})))).unwrap();
    }

    fn json(&self, service: &str, operation: &str, body: Value, now: i64) {
        self.note(service, &Call::new(operation, Input::Json(body), now), Ok(()));
    }

    fn lookup(&self, body: Value) -> Result<Value, String> {
        let call = Call::new("LookupEvents", Input::Json(body), 0);
        let answer = self.rows.transaction(&call, |tx| CloudTrail.handle(tx, &call));
        match answer.map_err(|fault| fault.code)? {
            Answer::Json(_, body) => Ok(body),
            other => panic!("{other:?}"),
        }
    }

    fn names(&self, key: &str, value: &str) -> Vec<String> {
        let body = json!({"LookupAttributes": [{"AttributeKey": key, "AttributeValue": value}]});
        let answer = self.lookup(body).unwrap();
        let events = answer["Events"].as_array().unwrap().iter();
        events.map(|event| event["EventName"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn writes_are_found_by_what_they_name_the_newest_first() {
    let bench = Bench::new();
    bench.json("kinesis", "CreateStream", json!({"StreamName": "orders"}), 1_000);
    bench.json("kinesis", "ListStreams", json!({}), 2_000);
    bench.json("kinesis", "PutRecord", json!({"StreamName": "orders"}), 3_000);
    bench.json("kinesis", "UpdateShardCount", json!({"StreamName": "orders"}), 4_000);
    let fields = [("RoleName".to_owned(), "worker".to_owned()), ("PolicyDocument".to_owned(), "{}".to_owned())];
    let put = Call::new("PutRolePolicy", Input::Query(Params(fields.into())), 5_000);
    let elsewhere = Call { region: "eu-west-1".into(), ..put };
    bench.note("iam", &elsewhere, Ok(()));
    assert_eq!(bench.names("ResourceName", "orders"), ["UpdateShardCount", "CreateStream"]);
    assert_eq!(bench.names("ResourceName", "worker"), ["PutRolePolicy"], "IAM's events are in us-east-1");
    assert_eq!(bench.names("Username", "root").len(), 3);
    assert_eq!(bench.names("ReadOnly", "true"), Vec::<String>::new());
    let late = bench.lookup(json!({"StartTime": 2.5, "EndTime": 4})).unwrap();
    assert_eq!(late["Events"].as_array().unwrap().len(), 1);
}

#[test]
fn functions_have_dates_and_roles_have_sessions() {
    let bench = Bench::new();
    let path = ["2015-03-31", "functions", "f", "configuration"].map(str::to_owned).to_vec();
    let body = json!({"Environment": {"Variables": {"KEY": "hunter2"}}});
    let mut call = Call::new("PUT", Input::Rest { segments: path, query: Vec::new(), body }, 7_123);
    (call.role, call.session) = (Some("arn:aws:iam::000000000000:role/x/admin".into()), Some("alice".into()));
    bench.note("lambda", &call, Ok(()));
    let refused = Fault::new("ResourceConflictException", "busy");
    bench.note("lambda", &call, Err(refused));
    let found = bench.lookup(json!({})).unwrap();
    assert!(!found.to_string().contains("hunter2"));
    let event = &found["Events"][1];
    assert_eq!((&event["Username"], &event["EventTime"]), (&json!("alice"), &json!(7)));
    assert_eq!(event["EventName"], "UpdateFunctionConfiguration20150331v2");
    let record: Value = serde_json::from_str(event["CloudTrailEvent"].as_str().unwrap()).unwrap();
    assert_eq!(record["userIdentity"]["arn"], "arn:aws:sts::000000000000:assumed-role/admin/alice");
    assert!(record.get("errorCode").is_none());
    let refused: Value = serde_json::from_str(found["Events"][0]["CloudTrailEvent"].as_str().unwrap()).unwrap();
    assert_eq!(refused["errorCode"], "ResourceConflictException");
}

#[test]
fn pages_go_on_and_old_events_make_room() {
    let bench = Bench::new();
    for number in 0..60 {
        bench.json("sns", "Unsubscribe", json!({"Name": format!("t{number}")}), number);
    }
    let first = bench.lookup(json!({})).unwrap();
    assert_eq!(first["Events"].as_array().unwrap().len(), 50);
    let second = bench.lookup(json!({"NextToken": first["NextToken"], "MaxResults": 9})).unwrap();
    assert_eq!(second["Events"].as_array().unwrap().len(), 9);
    let third = bench.lookup(json!({"NextToken": second["NextToken"]})).unwrap();
    assert_eq!((third["Events"].as_array().unwrap().len(), &third["NextToken"]), (1, &Value::Null));
    for number in 0..KEPT {
        bench.json("sns", "DeleteTopic", json!({}), i64::try_from(number).unwrap());
    }
    assert_eq!(bench.names("EventName", "Unsubscribe"), Vec::<String>::new());
}

#[test]
fn what_aws_refuses_is_refused() {
    let bench = Bench::new();
    let one = json!({"AttributeKey": "EventName", "AttributeValue": "x"});
    for (body, code) in [
        (json!({"LookupAttributes": [one, one]}), "InvalidLookupAttributesException"),
        (
            json!({"LookupAttributes": [{"AttributeKey": "Name", "AttributeValue": "x"}]}),
            "InvalidLookupAttributesException",
        ),
        (json!({"MaxResults": 51}), "InvalidMaxResultsException"),
        (json!({"MaxResults": 0}), "InvalidMaxResultsException"),
        (json!({"NextToken": "x"}), "InvalidNextTokenException"),
        (json!({"StartTime": 2, "EndTime": 1}), "InvalidTimeRangeException"),
    ] {
        assert_eq!(bench.lookup(body.clone()), Err(code.to_owned()), "{body}");
    }
}
