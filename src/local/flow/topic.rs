//! Topics: brings published messages to the functions that subscribed.
//!
//! A delivery is struck out after the function's service has taken it, so a message may come twice and is never lost.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;

use super::{Desk, Job};
use crate::local::iam::{self, Asker, Standing};
use crate::local::sns::delivery::{self, DELIVERIES, Delivery};
use crate::local::store::Placed;
use crate::local::{Call, DEFAULT_ACCOUNT, DEFAULT_REGION, Fault, Input, Who, lambda};

/// Deliveries that are on their way at the same time.
const ABREAST: usize = 16;
/// How often SNS tries in vain before it gives up on a function.
const ATTEMPTS: u32 = 100_015;
const LONGEST_PAUSE: u32 = 20_000;
const LOOK: Duration = Duration::from_millis(200);
/// How long to rest after a round of deliveries, which a broken store would let go round without end.
const REST: Duration = Duration::from_millis(5);

/// The one task for all topics.
pub(super) fn job(endpoint: &str) -> Job {
    let who = Who {
        account: DEFAULT_ACCOUNT.to_owned(),
        region: DEFAULT_REGION.to_owned(),
        role: None,
        endpoint: endpoint.to_owned(),
    };
    Job { id: "sns".to_owned(), who, work: Box::new(|desk| Box::pin(run(desk))) }
}

async fn run(desk: Desk) {
    loop {
        let now = jiff::Timestamp::now().as_millisecond();
        let left: Vec<Placed<Delivery>> = desk.cloud.rows().everywhere(DELIVERIES).unwrap_or_default();
        // What is put off for later is on its way as well.
        let busy = (!left.is_empty()).then(|| desk.busy());
        let due: Vec<_> = left.into_iter().filter(|placed| placed.value.due <= now).collect();
        if due.is_empty() {
            if !desk.pause(LOOK).await {
                return;
            }
        } else {
            stream::iter(due).for_each_concurrent(ABREAST, |placed| deliver(&desk, placed)).await;
            if !desk.sleep(REST).await {
                return;
            }
        }
        drop(busy);
    }
}

async fn deliver(desk: &Desk, Placed { account, region, value }: Placed<Delivery>) {
    if desk.stop.is_cancelled() {
        return;
    }
    let verdict = attempt(desk, &account, &value).await;
    match verdict {
        Verdict::Later => desk.failed(),
        Verdict::Arrived | Verdict::Never(_) => desk.moved(),
    }
    let mut call = Call::new("Deliver", Input::Json(serde_json::Value::Null), jiff::Timestamp::now().as_millisecond());
    (call.account, call.region) = (account, region);
    // A store that fails now leaves the delivery where it is: it is tried again.
    let _ = desk.cloud.rows().transaction(&call, |tx| match verdict {
        Verdict::Arrived => delivery::arrived(tx, &value),
        Verdict::Later if value.attempts < ATTEMPTS => delivery::put_off(tx, &value, call.now + pause(value.attempts)),
        Verdict::Later => delivery::give_up(tx, &call, &value, "the function could not be invoked in time"),
        Verdict::Never(reason) => delivery::give_up(tx, &call, &value, &reason),
    });
}

enum Verdict {
    Arrived,
    Later,
    Never(String),
}

/// Three attempts without a pause, two after a second, then longer and longer ones up to twenty seconds.
fn pause(attempts: u32) -> i64 {
    let most = match attempts {
        0..3 => 0,
        3..5 => 1000,
        later => 1000_u32.saturating_mul(1 << (later - 5).min(5)).min(LONGEST_PAUSE),
    };
    most.into()
}

async fn attempt(desk: &Desk, account: &str, delivery: &Delivery) -> Verdict {
    let parts: Vec<&str> = delivery.function.splitn(7, ':').collect();
    let ["arn", _, "lambda", region, owner, "function", name] = parts.as_slice() else {
        return Verdict::Never("the endpoint is not the ARN of a function".to_owned());
    };
    let who = Who {
        account: (*owner).to_owned(),
        region: (*region).to_owned(),
        role: None,
        endpoint: desk.who.endpoint.clone(),
    };
    match may_invoke(desk, &who, account, name, delivery) {
        Ok(None) => {}
        Ok(Some(reason)) => return Verdict::Never(reason),
        Err(_) => return Verdict::Later,
    }
    let segments = ["2015-03-31", "functions", name, "invocations"].map(str::to_owned).to_vec();
    let query = vec![("x-amz-invocation-type".to_owned(), "Event".to_owned())];
    let input = Input::Rest { segments, query, body: delivery.event.clone() };
    match desk.cloud.ask(&who, "lambda", "POST", input).await {
        Ok(_) => Verdict::Arrived,
        Err(fault) if fault.status >= 500 || matches!(fault.status, 409 | 429) => Verdict::Later,
        Err(fault) => Verdict::Never(fault.message),
    }
}

/// Says why SNS may not invoke the function for this topic; nothing when it may.
fn may_invoke(desk: &Desk, who: &Who, account: &str, name: &str, delivery: &Delivery) -> Result<Option<String>, Fault> {
    let mut call = Call::new("Deliver", Input::Json(serde_json::Value::Null), 0);
    (call.account, call.region) = (who.account.clone(), who.region.clone());
    let name = name.strip_suffix(":$LATEST").unwrap_or(name);
    let (exists, policy) =
        desk.cloud.rows().transaction(&call, |tx| Ok((lambda::exists(tx, name)?, lambda::policy(tx, name)?)))?;
    if !exists {
        return Ok(Some("there is no such function".to_owned()));
    }
    let known = [("aws:sourcearn", delivery.topic.as_str()), ("aws:sourceaccount", account)];
    let context = known.map(|(key, value)| (key.to_owned(), vec![value.to_owned()]));
    let context = BTreeMap::from(context);
    let asker = Asker::Service("sns.amazonaws.com");
    let arn = call.arn("lambda", &format!("function:{name}"));
    let standing = policy.map_or(Standing::Silent, |policy| {
        iam::resource_standing(&policy, asker, "lambda:InvokeFunction", &arn, &context)
    });
    let refused = || "the function's policy does not let sns.amazonaws.com invoke it for this topic".to_owned();
    Ok((standing != Standing::ByName).then(refused))
}
