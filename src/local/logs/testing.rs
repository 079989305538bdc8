//! What the tests of this service share: a fresh account and short ways to call it.

use serde_json::{Value, json};

use crate::local::store::Store;
use crate::local::{Answer, Call, Fault, Input, Service, Tx};

use super::Logs;

/// When the calls of tests arrive.
pub(super) const NOW: i64 = 1_780_000_000_000;

/// One account with nothing in it.
pub(super) struct Bench(Store);

impl Bench {
    pub(super) fn new() -> Self {
        Self(Store::memory().unwrap())
    }

    /// An account with the group `g` and its stream `s`.
    pub(super) fn with_stream() -> Self {
        let bench = Self::new();
        bench.ok("CreateLogGroup", &json!({"logGroupName": "g"}));
        bench.ok("CreateLogStream", &json!({"logGroupName": "g", "logStreamName": "s"}));
        bench
    }

    pub(super) fn call(operation: &str, body: &Value) -> Call {
        Call::new(operation, Input::Json(body.clone()), NOW)
    }

    pub(super) fn run(&self, operation: &str, body: &Value) -> Result<Value, Fault> {
        let call = Self::call(operation, body);
        match self.0.transaction(&call, |tx| Logs.handle(tx, &call))? {
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

    pub(super) fn inside<T>(&self, work: impl FnOnce(&mut Tx<'_>, &Call) -> Result<T, Fault>) -> T {
        let call = Self::call("Inside", &json!({}));
        self.0.transaction(&call, |tx| work(tx, &call)).unwrap()
    }
}
