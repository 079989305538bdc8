//! Events whose caller does not wait: stored when accepted, run in the background, tried again after an error.
//!
//! One that cannot be run, as when there is no Python, waits for better times; that is no failure of the function.
//! An event is forgotten after it was run or given up, so none is lost with the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::subject::Subject;
use super::{Event, Run};
use crate::local::lambda::function::{FUNCTIONS, Function};
use crate::local::store::Table;
use crate::local::{Call, Cloud, Fault, Input, Params, Tx};

const EVENTS: Table = Table::regional("lambda.event");
/// How often a failed event is tried again.
const RETRIES: u32 = 2;
/// Waiting before the first retry; Lambda waits for a minute, and for two before the second.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause before an event is tried again that could not be run.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Milliseconds for which Lambda tries to run an event.
const OLDEST: i64 = 6 * 60 * 60 * 1000;

/// An accepted event as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::local::lambda) struct Queued {
    pub(in crate::local::lambda) function: String,
    pub(in crate::local::lambda) request: String,
    pub(in crate::local::lambda) payload: String,
    pub(in crate::local::lambda) context: Option<String>,
    /// How often it has failed.
    pub(in crate::local::lambda) failures: u32,
}

/// Stores an event.
pub(in crate::local::lambda) fn accept(tx: &mut Tx<'_>, event: &Queued) -> Result<(), Fault> {
    tx.put(EVENTS, &event.request, event)
}

/// Runs a stored event in the background.
pub(in crate::local::lambda) fn start(cloud: &Cloud, call: &Call, event: Queued) {
    let functions = cloud.functions();
    let (stop, pending) = (functions.stop.clone(), Pending::new(&functions.queued));
    let mut scope = Call::new("Invoke", Input::Json(Value::Null), call.now);
    (scope.account, scope.region) = (call.account.clone(), call.region.clone());
    let cloud = cloud.clone();
    tokio::spawn(async move {
        let done = tokio::select! {
            done = work(&cloud, &scope, event) => done,
            () = stop.cancelled() => Ok(()),
        };
        if let Err(fault) = done {
            tracing::warn!("an event could not be taken from the queue: {}", fault.message);
        }
        drop(pending);
    });
}

/// Takes up the events that an earlier process accepted.
pub(crate) fn resume(cloud: &Cloud) -> Result<(), Fault> {
    for row in cloud.rows().everywhere::<Queued>(EVENTS)? {
        let mut call = Call::new("Invoke", Input::Json(Value::Null), super::journal::now());
        (call.account, call.region) = (row.account, row.region);
        start(cloud, &call, row.value);
    }
    Ok(())
}

/// Counts an event until it is dropped.
struct Pending(Arc<AtomicU64>);

impl Pending {
    fn new(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn work(cloud: &Cloud, call: &Call, mut event: Queued) -> Result<(), Fault> {
    let (rows, stall) = (cloud.rows(), &cloud.functions().stall);
    let mut pause = PAUSE;
    // A function that is gone takes its events with it.
    while let Some(function) = rows.transaction(call, |tx| tx.get::<Function>(FUNCTIONS, &event.function))? {
        let subject = Subject::of(call, &function)?;
        let problem = match attempt(cloud, &subject, &event).await {
            Ok(None) => break,
            Ok(Some(problem)) => problem,
            Err(fault) if super::journal::now() - call.now < OLDEST => {
                tracing::warn!("an event of {} waits: {}", subject.name, fault.message);
                stall.failed();
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
            Err(fault) => {
                give_up(cloud, &subject, &event, &fault.message).await;
                break;
            }
        };
        stall.moved();
        if event.failures >= RETRIES {
            give_up(cloud, &subject, &event, &problem).await;
            break;
        }
        event.failures += 1;
        rows.transaction(call, |tx| accept(tx, &event))?;
        tokio::time::sleep(PAUSE * event.failures).await;
    }
    stall.moved();
    rows.transaction(call, |tx| tx.delete(EVENTS, &event.request)).map(|_| ())
}

/// Runs an event once and returns what went wrong in the function.
async fn attempt(cloud: &Cloud, subject: &Subject, event: &Queued) -> Result<Option<String>, Fault> {
    let one = Event { request: event.request.clone(), payload: event.payload.clone(), context: event.context.clone() };
    let Run { payload, failed, .. } = cloud.functions().run(cloud, subject, &one, true).await?;
    Ok(failed.then(|| payload["errorMessage"].as_str().unwrap_or("error").to_owned()))
}

/// Sends an event that failed for good to the function's dead-letter topic.
async fn give_up(cloud: &Cloud, subject: &Subject, event: &Queued, problem: &str) {
    let Some(target) = &subject.dead_letters else { return };
    if !target.contains(":sns:") {
        tracing::warn!("the local cloud has no queues: an event of {} that failed is lost", subject.name);
        return;
    }
    let short: String = problem.chars().take(1024).collect();
    let mut fields = vec![("TopicArn".to_owned(), target.clone()), ("Message".to_owned(), event.payload.clone())];
    let attributes = [("RequestID", event.request.as_str()), ("ErrorCode", "200"), ("ErrorMessage", &short)];
    for (place, (name, value)) in attributes.into_iter().enumerate() {
        let start = format!("MessageAttributes.entry.{}", place + 1);
        let kind = if name == "ErrorCode" { "Number" } else { "String" };
        fields.push((format!("{start}.Name"), name.to_owned()));
        fields.push((format!("{start}.Value.DataType"), kind.to_owned()));
        fields.push((format!("{start}.Value.StringValue"), value.to_owned()));
    }
    let input = Input::Query(Params(fields.into_iter().collect()));
    if let Err(fault) = cloud.ask(&subject.who(cloud), "sns", "Publish", input).await {
        tracing::warn!("an event of {} could not be sent to {target}: {}", subject.name, fault.message);
    }
}
