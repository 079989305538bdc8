//! What the local cloud has counted of calls and of what it refused, and the time that its rates ask for.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::support::listener::Listener;

/// The counts at one moment.
pub(super) struct Ledger {
    page: Value,
}

impl Ledger {
    /// Reads the counts.
    pub(super) fn read(listener: &Listener) -> Self {
        let page = listener.limits();
        assert_eq!(page["enforced"], true);
        Self { page }
    }

    /// Lists the operations that were refused, with how often and why.
    pub(super) fn refused(&self) -> Vec<String> {
        self.page["refused"].as_array().unwrap().iter().map(Value::to_string).collect()
    }

    /// Returns calls taken from each bucket: number of the limit and what it counts by.
    fn taken(&self) -> BTreeMap<(u64, String), f64> {
        let bucket = |bucket: &Value| {
            let of = bucket["of"].as_str().unwrap().to_owned();
            ((bucket["limit"].as_u64().unwrap(), of), bucket["taken"].as_f64().unwrap())
        };
        self.page["taken"].as_array().unwrap().iter().map(bucket).collect()
    }

    /// Returns the shortest time in which the calls since `before` can be made, and which limit asks for it.
    pub(super) fn bound(&self, before: &Self) -> (Duration, String) {
        let before = before.taken();
        let seconds = |(key, taken): (&(u64, String), &f64)| {
            let limit = &self.page["limits"][usize::try_from(key.0).unwrap()];
            let (rate, burst) = (limit["rate"].as_f64().unwrap(), limit["burst"].as_f64().unwrap());
            let calls = taken - before.get(key).copied().unwrap_or_default();
            let name = format!("{calls} x {} {} at {rate}/s", limit["service"].as_str().unwrap(), key.1);
            ((calls - burst).max(0.0) / rate, name)
        };
        let taken = self.taken();
        let longest = taken.iter().map(seconds).max_by(|one, other| one.0.total_cmp(&other.0));
        let (seconds, name) = longest.unwrap_or_default();
        (Duration::from_secs_f64(seconds), name)
    }
}
