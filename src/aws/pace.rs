//! Client-side rate budgets: a call waits here until its API may be called again, so that hundreds of resources do not
//! throttle themselves.
//!
//! One [`Pace`] is shared by all clients of an account and region. An interceptor says which call a request is of, and
//! the HTTP client waits, which is the only place on the way of an attempt that can. The calls of work that most other
//! work waits for go first. When AWS refuses a call for its rate all the same, because others use the account too, the
//! API's pace is halved and recovers by and by. It does not know what the calls mean.

mod bucket;
mod rates;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextMut, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, Metadata};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use tokio::time::sleep;

use self::bucket::{Bucket, Place};
use super::layer::Layer;

tokio::task_local! {
    static URGENCY: usize;
}

/// Does work whose calls go before those of less urgent work that wait for the same API.
pub(crate) fn urgently<F: Future>(urgency: usize, work: F) -> impl Future<Output = F::Output> {
    URGENCY.scope(urgency, work)
}

/// Which budget a call takes from: a row of the table, and the operation where each has its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Budget {
    row: usize,
    operation: String,
}

/// The budgets of one account and region.
#[derive(Default)]
pub(super) struct Pace(Mutex<HashMap<Budget, Bucket>>);

impl fmt::Debug for Pace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Pace")
    }
}

impl Pace {
    /// Takes a place in the row of calls.
    fn enter(self: &Arc<Self>, budget: Budget) -> Waiting {
        let urgency = URGENCY.try_with(|urgency| *urgency).unwrap_or_default();
        let place = self.bucket(&budget, |bucket| bucket.enter(urgency, Instant::now()));
        Waiting { pace: self.clone(), budget, place }
    }

    /// Notes that AWS refused a call for its rate.
    fn throttled(&self, budget: &Budget, now: Instant) {
        self.bucket(budget, |bucket| bucket.throttled(now));
    }

    fn bucket<T>(&self, budget: &Budget, work: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Bucket::new(rates::of(budget.row), Instant::now());
        work(buckets.entry(budget.clone()).or_insert_with(make))
    }
}

/// A call in the row. It leaves the row when it goes or is given up.
struct Waiting {
    pace: Arc<Pace>,
    budget: Budget,
    place: Place,
}

impl Waiting {
    /// Lets the call go now, or returns how much longer it waits.
    fn go(&self, now: Instant) -> Option<Duration> {
        self.pace.bucket(&self.budget, |bucket| bucket.go(self.place, now))
    }

    /// Waits for the call's turn.
    async fn turn(self) {
        while let Some(wait) = self.go(Instant::now()) {
            sleep(wait).await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pace.bucket(&self.budget, |bucket| bucket.leave(self.place));
    }
}

/// The wait before each request.
#[derive(Debug, Clone)]
pub(super) struct Paced(pub(super) Arc<Pace>);

impl Layer for Paced {
    fn pass(
        &self,
        request: HttpRequest,
        below: &SharedHttpConnector,
        _: &HttpConnectorSettings,
    ) -> HttpConnectorFuture {
        let Some(budget) = request.extension::<Budget>().cloned() else { return below.call(request) };
        let waiting = self.0.enter(budget);
        if waiting.go(Instant::now()).is_none() {
            return below.call(request);
        }
        let below = below.clone();
        HttpConnectorFuture::new(async move {
            waiting.turn().await;
            below.call(request).await
        })
    }
}

/// Says of each request which budget it takes from, and learns from the answers.
#[derive(Debug, Clone)]
pub(super) struct Pacer(pub(super) Option<Arc<Pace>>);

fn budget(bag: &ConfigBag) -> Option<Budget> {
    let call = bag.load::<Metadata>()?;
    rates::find(call.service(), call.name()).map(|(row, operation)| Budget { row, operation: operation.to_owned() })
}

/// Tells whether an answer refuses a call for its rate (`facts/aws.md` 0.1).
fn is_too_fast(status: u16, body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let words = ["Rate exceeded", "Throttl", "TooManyRequestsException", "RequestLimitExceeded"];
    status >= 400 && words.iter().any(|word| text.contains(word))
}

impl Intercept for Pacer {
    fn name(&self) -> &'static str {
        "Pacer"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(budget) = self.0.as_ref().and_then(|_| budget(bag)) {
            context.request_mut().add_extension(budget);
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (Some(pace), Some(response)) = (&self.0, context.response()) else { return Ok(()) };
        let refused = is_too_fast(response.status().as_u16(), response.body().bytes().unwrap_or_default());
        if let Some(budget) = budget(bag).filter(|_| refused) {
            pace.throttled(&budget, Instant::now());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_for_the_rate_are_told_from_others() {
        for body in [
            r#"{"__type":"LimitExceededException","message":"Rate exceeded for stream s under account 1."}"#,
            "<Error><Code>Throttled</Code></Error>",
            "<Code>RequestLimitExceeded</Code>",
            r#"{"__type":"ThrottlingException","message":"Rate of requests exceeds the allowed throughput."}"#,
        ] {
            assert!(is_too_fast(400, body.as_bytes()), "{body}");
            assert!(!is_too_fast(200, body.as_bytes()), "{body}");
        }
        let quota = r#"{"__type":"LimitExceededException","message":"would exceed the limit on streams"}"#;
        assert!(!is_too_fast(400, quota.as_bytes()));
    }

    #[test]
    fn budgets_are_of_operations_or_shared() {
        let pace = Arc::new(Pace::default());
        let of = |service: &str, operation: &str| {
            let (row, operation) = rates::find(service, operation).unwrap();
            Budget { row, operation: operation.to_owned() }
        };
        let now = Instant::now() + Duration::from_mins(1);
        let waits = |service: &str, operation: &str, calls: usize| {
            let budget = of(service, operation);
            (0..calls).filter(|_| pace.enter(budget.clone()).go(now).is_some()).count()
        };
        assert_eq!(waits("Kinesis", "CreateStream", 2), 1);
        assert_eq!(waits("Kinesis", "DeleteStream", 2), 1);
        assert_eq!(of("Lambda", "ListTags"), of("Lambda", "CreateFunction"));
        assert_ne!(of("Lambda", "GetFunction"), of("Lambda", "CreateFunction"));
        assert_eq!(rates::find("Kinesis", "PutRecords"), None);
    }
}
