//! What the tests of this service share: a fresh account and short ways to call it.

use serde_json::Value;

use crate::local::store::Store;
use crate::local::{Answer, Call, Fault, Input, Service};

use super::Ssm;

/// One account with nothing in it.
pub(super) struct Bench(Store);

impl Bench {
    pub(super) fn new() -> Self {
        Self(Store::memory().unwrap())
    }

    pub(super) fn call(operation: &str, body: &Value) -> Call {
        Call::new(operation, Input::Json(body.clone()), 1_780_000_000_000)
    }

    pub(super) fn run(&self, operation: &str, body: &Value) -> Result<Value, Fault> {
        let call = Self::call(operation, body);
        match self.0.transaction(&call, |tx| Ssm.handle(tx, &call))? {
            Answer::Json(200, body) => Ok(body),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn ok(&self, operation: &str, body: &Value) -> Value {
        self.run(operation, body).unwrap_or_else(|fault| panic!("{operation}: {fault:?}"))
    }

    pub(super) fn code(&self, operation: &str, body: &Value) -> String {
        self.run(operation, body).expect_err("the call must be refused").code
    }

    /// Makes a text parameter.
    pub(super) fn put(&self, name: &str, value: &str) {
        self.ok("PutParameter", &serde_json::json!({"Name": name, "Value": value, "Type": "String"}));
    }
}
