//! What the tests of this service share: a fresh account and short ways to call it.

use std::ops::Deref;

use crate::local::iam::Iam;
use crate::local::testing::QueryBench;

use super::Sns;

/// ARN of the topic that tests make.
pub(super) const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:t";

/// One account with nothing in it.
pub(super) struct Bench(QueryBench);

impl Bench {
    pub(super) fn new() -> Self {
        Self(QueryBench::new(&Sns))
    }

    pub(super) fn with_topic() -> Self {
        let bench = Self::new();
        bench.ok("CreateTopic", &[("Name", "t")]);
        bench
    }

    /// Makes a role that the service may assume.
    pub(super) fn with_role(&self, name: &str, service: &str) {
        let principal = serde_json::json!({ "Service": service });
        let statement = serde_json::json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal});
        let trust = serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        self.send(&Iam, "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust)]).unwrap();
    }
}

impl Deref for Bench {
    type Target = QueryBench;

    fn deref(&self) -> &QueryBench {
        &self.0
    }
}

/// Returns the value of an entry in an answer's map.
pub(super) fn value(xml: &str, key: &str) -> Option<String> {
    let rest = xml.split(&format!("<key>{key}</key><value>")).nth(1)?;
    rest.split("</value>").next().map(str::to_owned)
}
