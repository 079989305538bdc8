//! How many calls AWS takes: a token bucket per API, account and region, and a count of what was refused for it.
//!
//! Off unless asked for. The numbers are in [`table`]; limits on what goes on at once (five streams being created) are
//! the services' own and always on, here they are only counted. It does not know who calls.

mod bucket;
mod name;
mod table;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use self::bucket::Bucket;
use self::table::{Limit, Pool, Scope};
use super::registry::Entry;
use super::{Call, Fault};

/// How often the calls of one operation were refused.
#[derive(Debug, Clone, Copy, Default)]
struct Refused {
    /// For coming too fast.
    rate: u64,
    /// For what else was going on.
    at_once: u64,
}

/// What a bucket is for: row of the table, account, region, and the operation or object that counts by itself.
type Key = (usize, String, String, String);

/// The buckets and counts of one local cloud.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    enforced: bool,
    buckets: Mutex<HashMap<Key, Bucket>>,
    refused: Mutex<BTreeMap<(String, String), Refused>>,
}

impl Limits {
    /// Makes full buckets; they let everything through unless they are `enforced`.
    pub(crate) fn new(enforced: bool) -> Self {
        Self { enforced, ..Self::default() }
    }

    /// Lets a call in, or refuses it as its service does when calls come too fast.
    pub(crate) fn admit(&self, entry: &Entry, call: &Call) -> Result<(), Fault> {
        if !self.enforced {
            return Ok(());
        }
        let operation = name::of(entry.wire, call);
        let Some((row, limit)) = table::find(entry.signing, &operation) else { return Ok(()) };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = || Bucket::full(limit.burst, Instant::now());
        let bucket = buckets.entry(key(row, limit, &operation, call)).or_insert_with(full);
        if bucket.take(limit.rate, limit.burst, Instant::now()) {
            return Ok(());
        }
        drop(buckets);
        self.count(entry, &operation, |refused| refused.rate += 1);
        Err(too_fast(entry.signing, call))
    }

    /// Notes an answer that refuses a call for what is going on at the same time.
    pub(crate) fn note(&self, entry: &Entry, call: &Call, fault: &Fault) {
        let at_once = fault.message.contains("simultaneously") && fault.code == "LimitExceededException";
        if at_once || fault.message.contains("An update is in progress") {
            self.count(entry, &name::of(entry.wire, call), |refused| refused.at_once += 1);
        }
    }

    fn count(&self, entry: &Entry, operation: &str, add: impl Fn(&mut Refused)) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        add(refused.entry((entry.signing.to_owned(), operation.to_owned())).or_default());
    }

    /// Returns the numbers in force, how many calls took from which, and what was refused so far.
    pub(crate) fn page(&self) -> Value {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = |((row, account, region, own), bucket): (&Key, &Bucket)| json!({"limit": row, "account": account, "region": region, "of": own, "taken": bucket.taken()});
        let taken: Value = buckets.iter().map(bucket).collect();
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = |((service, operation), count): (&(String, String), &Refused)| json!({"service": service, "operation": operation, "rate": count.rate, "at_once": count.at_once});
        let refused: Value = refused.iter().map(entry).collect();
        json!({"enforced": self.enforced, "refused": refused, "taken": taken, "limits": table::page()})
    }
}

fn key(row: usize, limit: &Limit, operation: &str, call: &Call) -> Key {
    let region = if limit.scope == Scope::Global { String::new() } else { call.region.clone() };
    let own = match (limit.pool, limit.scope) {
        (_, Scope::Stream) => {
            let field = |name: &str| call.json()[name].as_str().map(|text| text.rsplit('/').next().unwrap_or(text));
            let stream = field("StreamName").or_else(|| field("StreamARN")).unwrap_or_default();
            format!("{operation} {stream}")
        }
        (Pool::Each, _) => operation.to_owned(),
        (Pool::Shared, _) => String::new(),
    };
    (row, call.account.clone(), region, own)
}

/// The refusal of a service whose calls come too fast (`facts/aws.md` 0.1, 1.3, 10c.6, 11a.6, 12b.6, 13.6, 17.1).
fn too_fast(service: &str, call: &Call) -> Fault {
    let exceeded = "Rate exceeded";
    match service {
        "kinesis" => {
            let stream = call.json()["StreamName"].as_str().map(|name| format!("stream {name} under "));
            let text = format!("Rate exceeded for {}account {}.", stream.unwrap_or_default(), call.account);
            Fault::new("LimitExceededException", text)
        }
        "lambda" => Fault::with_status(429, "TooManyRequestsException", exceeded),
        "dynamodb" => Fault::new("ThrottlingException", "Rate of requests exceeds the allowed throughput."),
        "sns" => Fault::with_status(429, "Throttled", exceeded),
        "ec2" => Fault::with_status(503, "RequestLimitExceeded", "Request limit exceeded."),
        "tagging" => Fault::new("ThrottledException", exceeded),
        "iam" | "sts" => Fault::new("Throttling", exceeded),
        _ => Fault::new("ThrottlingException", exceeded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::Input;
    use crate::local::registry::SERVICES;

    fn entry(signing: &str) -> &'static Entry {
        SERVICES.iter().find(|entry| entry.signing == signing).unwrap()
    }

    fn call(operation: &str, body: Value) -> Call {
        Call::new(operation, Input::Json(body), 0)
    }

    fn taken(limits: &Limits, entry: &Entry, call: &Call) -> usize {
        (0..100).take_while(|_| limits.admit(entry, call).is_ok()).count()
    }

    #[test]
    fn nothing_is_refused_unless_limits_are_enforced() {
        assert_eq!(taken(&Limits::new(false), entry("kinesis"), &call("DescribeLimits", json!({}))), 100);
    }

    #[test]
    fn each_operation_of_an_account_has_its_own_bucket() {
        let limits = Limits::new(true);
        let kinesis = entry("kinesis");
        assert_eq!(taken(&limits, kinesis, &call("CreateStream", json!({"StreamName": "a"}))), 5);
        assert_eq!(taken(&limits, kinesis, &call("DeleteStream", json!({"StreamName": "a"}))), 5);
        let mut elsewhere = call("CreateStream", json!({"StreamName": "b"}));
        elsewhere.region = "eu-west-1".to_owned();
        assert_eq!(taken(&limits, kinesis, &elsewhere), 5);
        let fault = limits.admit(kinesis, &call("CreateStream", json!({"StreamName": "a"}))).unwrap_err();
        assert_eq!((fault.code.as_str(), fault.status), ("LimitExceededException", 400));
        assert_eq!(fault.message, "Rate exceeded for stream a under account 000000000000.");
    }

    #[test]
    fn some_count_by_stream() {
        let limits = Limits::new(true);
        let longer = |body| call("IncreaseStreamRetentionPeriod", body);
        for body in [json!({"StreamName": "a"}), json!({"StreamARN": "arn:aws:kinesis:r:1:stream/b"})] {
            assert_eq!(taken(&limits, entry("kinesis"), &longer(body)), 5);
        }
    }

    #[test]
    fn lambda_shares_its_rate_but_for_two_operations() {
        let limits = Limits::new(true);
        let path = |words: &[&str]| {
            let segments = words.iter().map(|word| (*word).to_owned()).collect();
            Call::new("GET", Input::Rest { segments, query: Vec::new(), body: Value::Null }, 0)
        };
        let lambda = entry("lambda");
        assert_eq!(taken(&limits, lambda, &path(&["2015-03-31", "functions"])), 15);
        assert_eq!(taken(&limits, lambda, &path(&["2015-03-31", "event-source-mappings"])), 0);
        assert_eq!(taken(&limits, lambda, &path(&["2015-03-31", "functions", "f", "policy"])), 15);
        assert_eq!(taken(&limits, lambda, &path(&["2015-03-31", "functions", "f"])), 100);
    }

    #[test]
    fn what_was_refused_is_counted() {
        let limits = Limits::new(true);
        let describe = call("DescribeLimits", json!({}));
        taken(&limits, entry("kinesis"), &describe);
        limits.note(entry("kinesis"), &describe, &Fault::new("LimitExceededException", "can simultaneously be"));
        let one = json!([{"service": "kinesis", "operation": "DescribeLimits", "rate": 1, "at_once": 1}]);
        assert_eq!(limits.page()["refused"], one);
    }
}
