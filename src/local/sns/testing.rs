//! What the tests of this service share: a fresh account and short ways to call it.

use crate::local::iam::Iam;
use crate::local::store::Store;
use crate::local::{Answer, Call, Fault, Input, Params, Service, Tx};

use super::Sns;

/// ARN of the topic that tests make.
pub(super) const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:t";

/// One account with nothing in it.
pub(super) struct Bench(Store);

impl Bench {
    pub(super) fn new() -> Self {
        Self(Store::memory().unwrap())
    }

    pub(super) fn with_topic() -> Self {
        let bench = Self::new();
        bench.ok("CreateTopic", &[("Name", "t")]);
        bench
    }

    pub(super) fn call(operation: &str, fields: &[(&str, &str)]) -> Call {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Call::new(operation, Input::Query(Params(fields.collect())), 1_780_000_000_000)
    }

    fn send(&self, service: &dyn Service, operation: &str, fields: &[(&str, &str)]) -> Result<String, Fault> {
        let call = Self::call(operation, fields);
        match self.0.transaction(&call, |tx| service.handle(tx, &call))? {
            Answer::Xml(xml) => Ok(xml.into_text()),
            other => panic!("not XML: {other:?}"),
        }
    }

    pub(super) fn run(&self, operation: &str, fields: &[(&str, &str)]) -> Result<String, Fault> {
        self.send(&Sns, operation, fields)
    }

    /// Makes a role that the service may assume.
    pub(super) fn with_role(&self, name: &str, service: &str) {
        let principal = serde_json::json!({ "Service": service });
        let statement = serde_json::json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal});
        let trust = serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        self.send(&Iam, "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust)]).unwrap();
    }

    pub(super) fn ok(&self, operation: &str, fields: &[(&str, &str)]) -> String {
        self.run(operation, fields).unwrap_or_else(|fault| panic!("{operation}: {fault:?}"))
    }

    pub(super) fn refused(&self, operation: &str, fields: &[(&str, &str)]) -> Fault {
        self.run(operation, fields).expect_err("the call must be refused")
    }

    pub(super) fn code(&self, operation: &str, fields: &[(&str, &str)]) -> String {
        self.refused(operation, fields).code
    }

    pub(super) fn write<T>(&self, work: impl FnOnce(&mut Tx<'_>, &Call) -> Result<T, Fault>) -> T {
        let call = Self::call("Write", &[]);
        self.0.transaction(&call, |tx| work(tx, &call)).unwrap()
    }

    pub(super) fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, Fault>) -> T {
        self.0.transaction(&Self::call("Read", &[]), |tx| work(tx)).unwrap()
    }
}

/// Returns the value of an entry in an answer's map.
pub(super) fn value(xml: &str, key: &str) -> Option<String> {
    let rest = xml.split(&format!("<key>{key}</key><value>")).nth(1)?;
    rest.split("</value>").next().map(str::to_owned)
}
