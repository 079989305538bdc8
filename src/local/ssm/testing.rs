//! What the tests of this service share: a fresh account and short ways to call it.

use std::ops::Deref;

use crate::local::testing::JsonBench;

use super::Ssm;

/// One account with nothing in it.
pub(super) struct Bench(JsonBench);

impl Bench {
    pub(super) fn new() -> Self {
        Self(JsonBench::new(&Ssm))
    }

    /// Makes a text parameter.
    pub(super) fn put(&self, name: &str, value: &str) {
        self.ok("PutParameter", &serde_json::json!({"Name": name, "Value": value, "Type": "String"}));
    }
}

impl Deref for Bench {
    type Target = JsonBench;

    fn deref(&self) -> &JsonBench {
        &self.0
    }
}
