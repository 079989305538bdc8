//! Publications end to end: a message at a function, or in the outbox with the reason.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::pause;
use crate::local::flow::Flow;
use crate::local::sns::delivery::DELIVERIES;
use crate::local::sns::outbox;
use crate::local::{Answer, Call, Cloud, DEFAULT_ACCOUNT, DEFAULT_REGION, Input, Params, Settings, Who};

const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:t";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

const MAIN: &str = r#"
import json, os

def handler(event, context):
    with open(os.environ["OUT"], "a") as out:
        out.write(json.dumps(event) + "\n")
"#;

#[test]
fn pauses_grow_to_twenty_seconds() {
    let pauses: Vec<i64> = (0..12).map(pause).collect();
    assert_eq!(pauses, [0, 0, 0, 1000, 1000, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]);
    assert_eq!(pause(super::ATTEMPTS), 20_000);
}

/// A topic `t` to which the function `f` has subscribed.
struct World {
    cloud: Cloud,
    who: Who,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let settings = Settings { python: Some("python3".into()), ..Settings::default() };
        let who = Who {
            account: DEFAULT_ACCOUNT.to_owned(),
            region: DEFAULT_REGION.to_owned(),
            role: None,
            endpoint: "http://127.0.0.1:9".to_owned(),
        };
        let world = Self { cloud: Cloud::memory(settings).unwrap(), who, folder: tempfile::tempdir().unwrap() };
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": "lambda.amazonaws.com" } },
        ]});
        world.query("iam", "CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", &trust.to_string())]).await;
        world.query("sns", "CreateTopic", &[("Name", "t")]).await;
        let subscription = [("TopicArn", TOPIC), ("Protocol", "lambda"), ("Endpoint", FUNCTION)];
        world.query("sns", "Subscribe", &subscription).await;
        world
    }

    async fn query(&self, service: &str, operation: &str, fields: &[(&str, &str)]) {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.cloud.ask(&self.who, service, operation, Input::Query(Params(fields.collect()))).await.unwrap();
    }

    async fn rest(&self, path: &str, body: Value) -> Answer {
        let segments = path.split('/').map(str::to_owned).collect();
        self.cloud.ask(&self.who, "lambda", "POST", Input::Rest { segments, query: Vec::new(), body }).await.unwrap()
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    async fn function(&self) {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        archive.start_file("main.py", zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(MAIN.as_bytes()).unwrap();
        let body = json!({
            "FunctionName": "f", "Runtime": "python3.13", "Handler": "main.handler", "Timeout": 60,
            "Role": "arn:aws:iam::000000000000:role/r", "Environment": { "Variables": { "OUT": self.out() } },
            "Code": { "ZipFile": STANDARD.encode(archive.finish().unwrap().into_inner()) },
        });
        self.rest("2015-03-31/functions", body).await;
    }

    /// Lets SNS invoke the function for a topic.
    async fn permit(&self, topic: &str) {
        let statement = json!({
            "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "sns.amazonaws.com",
            "SourceArn": topic, "SourceAccount": DEFAULT_ACCOUNT,
        });
        self.rest("2015-03-31/functions/f/policy", statement).await;
    }

    async fn publish(&self, message: &str) {
        self.query("sns", "Publish", &[("TopicArn", TOPIC), ("Subject", "s"), ("Message", message)]).await;
    }

    /// Lets everything be delivered, and checks that nothing is left on its way.
    async fn deliver(&self) {
        let flow = Flow::start(self.cloud.clone(), self.who.endpoint.clone());
        tokio::time::timeout(Duration::from_mins(1), flow.drained()).await.expect("delivery takes too long");
        flow.stop().await;
        assert!(self.cloud.rows().everywhere::<Value>(DELIVERIES).unwrap().is_empty());
    }

    fn events(&self) -> Vec<Value> {
        let text = fs_err::read_to_string(self.out()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns what is in the outbox.
    fn kept(&self) -> Vec<Value> {
        let call = Call::new("Test", Input::Json(Value::Null), 0);
        let kept = self.cloud.rows().transaction(&call, |tx| outbox::after(tx, "")).unwrap();
        kept.into_iter().map(|(_, sent)| json!(sent)).collect()
    }
}

#[tokio::test]
async fn a_message_reaches_the_function_that_subscribed() {
    let world = World::new().await;
    world.function().await;
    world.permit(TOPIC).await;
    world.publish("hello").await;
    world.deliver().await;
    let events = world.events();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    let record = &event["Records"][0];
    assert_eq!((&record["EventSource"], &record["EventVersion"]), (&json!("aws:sns"), &json!("1.0")));
    assert!(record["EventSubscriptionArn"].as_str().unwrap().starts_with(&format!("{TOPIC}:")));
    assert_eq!((&record["Sns"]["Subject"], &record["Sns"]["Message"]), (&json!("s"), &json!("hello")));
    assert!(world.kept().is_empty());
}

#[tokio::test]
async fn what_a_function_may_not_get_goes_to_the_outbox_with_the_reason() {
    let world = World::new().await;
    world.publish("nobody").await;
    world.deliver().await;
    world.function().await;
    world.publish("unasked").await;
    world.deliver().await;
    world.permit(&format!("{TOPIC}2")).await;
    world.publish("of another topic").await;
    world.deliver().await;
    let refused = "the function's policy does not let sns.amazonaws.com invoke it for this topic";
    let wanted = [("nobody", "there is no such function"), ("unasked", refused), ("of another topic", refused)];
    let kept: Vec<_> = world.kept().iter().map(|sent| (sent["message"].clone(), sent["undelivered"].clone())).collect();
    assert_eq!(kept, wanted.map(|(message, reason)| (json!(message), json!(reason))));
    assert!(world.events().is_empty());
}
