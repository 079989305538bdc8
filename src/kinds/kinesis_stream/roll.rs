//! What the streams of a run share: five places among those being made or deleted, and one look at the states of all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::types::StreamStatus;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::aws::Cx;
use crate::aws::error::failed;
use crate::kind::{Class, KindError, Result};

/// Streams that may be CREATING or DELETING at once (`facts/aws.md` 1.3).
const AT_ONCE: usize = 5;
/// `ListStreams` may be called five times a second (`facts/aws.md` 1.6).
const APART: Duration = Duration::from_millis(250);
/// Streams of one page.
const PAGE: i32 = 1000;

type States = BTreeMap<String, StreamStatus>;

/// The state of all streams, as of the last look.
#[derive(Debug, Default)]
struct Roll(Mutex<Option<(Instant, Arc<States>)>>);

/// The places.
#[derive(Debug)]
struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// Waits for a place among the streams that are being made or deleted; it is given back when the permit is dropped.
pub(super) async fn place(cx: &Cx) -> Result<OwnedSemaphorePermit> {
    let places = cx.aws.kept::<Places>();
    if let Ok(permit) = places.0.clone().try_acquire_owned() {
        return Ok(permit);
    }
    cx.note("waiting for a free place: AWS makes or deletes five streams at once");
    let permit = places.0.clone().acquire_owned().await;
    permit.map_err(|error| KindError::new(Class::Other, error.to_string()))
}

/// Returns the state of a stream by a look at all streams that begins after this call, and that others share.
pub(super) async fn state(cx: &Cx, name: &str) -> Result<Option<StreamStatus>> {
    let asked = Instant::now();
    let roll = cx.aws.kept::<Roll>();
    let mut last = roll.0.lock().await;
    if let Some((begun, states)) = &*last
        && *begun >= asked
    {
        return Ok(states.get(name).cloned());
    }
    if let Some((begun, _)) = &*last {
        sleep_until(*begun + APART).await;
    }
    let begun = Instant::now();
    let states = list(cx).await?;
    let found = states.get(name).cloned();
    *last = Some((begun, Arc::new(states)));
    Ok(found)
}

async fn list(cx: &Cx) -> Result<States> {
    let mut pages = cx.aws.kinesis().list_streams().limit(PAGE).into_paginator().send();
    let mut states = States::new();
    while let Some(page) = pages.next().await {
        let summaries = page.map_err(failed("ListStreams"))?.stream_summaries.unwrap_or_default();
        states.extend(summaries.into_iter().map(|stream| (stream.stream_name, stream.stream_status)));
    }
    Ok(states)
}
