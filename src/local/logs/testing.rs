//! What the tests of this service share: a fresh account and short ways to call it.

use std::ops::Deref;

use serde_json::json;

use crate::local::testing::JsonBench;
pub(super) use crate::local::testing::NOW;

use super::Logs;

/// One account with nothing in it.
pub(super) struct Bench(JsonBench);

impl Bench {
    pub(super) fn new() -> Self {
        Self(JsonBench::new(&Logs))
    }

    /// An account with the group `g` and its stream `s`.
    pub(super) fn with_stream() -> Self {
        let bench = Self::new();
        bench.ok("CreateLogGroup", &json!({"logGroupName": "g"}));
        bench.ok("CreateLogStream", &json!({"logGroupName": "g", "logStreamName": "s"}));
        bench
    }
}

impl Deref for Bench {
    type Target = JsonBench;

    fn deref(&self) -> &JsonBench {
        &self.0
    }
}
