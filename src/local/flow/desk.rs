//! What a task that moves records gets to work with, and how it is told whether all have read everything.
//!
//! It does not know what the tasks read.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::local::stall::Stall;
use crate::local::{Cloud, Who};

/// What a task gets to work with.
///
/// A task reads what there is, handles it, and calls [`Desk::pause`]. While it has read something that is not
/// handled and noted yet, or cannot read, it holds a [`Busy`]. A pause without one says: all that was there when
/// the pause before ended is done.
pub(crate) struct Desk {
    pub(crate) cloud: Cloud,
    pub(crate) who: Who,
    /// The task ends soon after this is cancelled, with all that it has delivered noted.
    pub(crate) stop: CancellationToken,
    gauge: Arc<Gauge>,
    board: Arc<Board>,
    /// Count of the bell up to which the next look will have seen everything.
    seen: AtomicU64,
}

impl Desk {
    /// Makes the desk of a task that has read nothing yet.
    pub(super) fn new(cloud: Cloud, who: Who, stop: CancellationToken, board: &Arc<Board>) -> Self {
        let seen = AtomicU64::new(*cloud.bell().borrow());
        Self { cloud, who, stop, gauge: board.gauge(), board: Arc::clone(board), seen }
    }

    /// Makes a desk for another task that reads on its own and ends with this one.
    pub(crate) fn branch(&self) -> Self {
        Self::new(self.cloud.clone(), self.who.clone(), self.stop.child_token(), &self.board)
    }

    /// Counts something that is on its way, until the guard is dropped.
    pub(crate) fn busy(&self) -> Busy {
        self.gauge.load.fetch_add(1, Ordering::SeqCst);
        Busy(Arc::clone(&self.gauge))
    }

    /// Says that this task reads nothing itself but leaves it to branches.
    pub(crate) fn delegate(&self) {
        self.gauge.caught.store(u64::MAX, Ordering::SeqCst);
    }

    /// Says that this task reads again itself.
    pub(crate) fn resume(&self) {
        self.gauge.caught.store(0, Ordering::SeqCst);
    }

    /// Says that something has arrived where it goes, or was given up.
    pub(crate) fn moved(&self) {
        self.board.stall.moved();
    }

    /// Says that something could not be delivered and is tried again.
    pub(crate) fn failed(&self) {
        self.board.stall.failed();
    }

    /// Waits a moment, or less when records come in; false when the task must end.
    pub(crate) async fn pause(&self, most: Duration) -> bool {
        let seen = self.seen.load(Ordering::SeqCst);
        if self.gauge.load.load(Ordering::SeqCst) == 0 {
            self.gauge.caught.fetch_max(seen, Ordering::SeqCst);
        }
        let mut bell = self.cloud.bell();
        let goes_on = tokio::select! {
            () = self.stop.cancelled() => false,
            _ = bell.wait_for(|count| *count > seen) => true,
            () = tokio::time::sleep(most) => true,
        };
        let count = *bell.borrow();
        self.seen.store(count, Ordering::SeqCst);
        goes_on
    }

    /// Waits for a time, whatever comes in; false when the task must end.
    pub(crate) async fn sleep(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}

/// Says that a task has something in hand.
pub(crate) struct Busy(Arc<Gauge>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How far one task is.
struct Gauge {
    /// Things in hand.
    load: AtomicU64,
    /// Count of the bell up to which everything is read and handled.
    caught: AtomicU64,
}

/// The gauges of all tasks.
#[derive(Default)]
pub(super) struct Board {
    gauges: Mutex<Vec<Weak<Gauge>>>,
    /// Tasks that are due and have no gauge yet.
    missing: AtomicBool,
    /// Failures to deliver after which nothing has arrived.
    pub(super) stall: Stall,
}

impl Board {
    fn gauge(&self) -> Arc<Gauge> {
        let gauge = Arc::new(Gauge { load: AtomicU64::new(0), caught: AtomicU64::new(0) });
        let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.retain(|gauge| gauge.strong_count() > 0);
        gauges.push(Arc::downgrade(&gauge));
        gauge
    }

    /// Says whether there are tasks that could not be started yet.
    pub(super) fn set_missing(&self, missing: bool) {
        self.missing.store(missing, Ordering::SeqCst);
    }

    /// Tells whether all tasks have handled everything up to a count of the bell.
    pub(super) fn is_done(&self, count: u64) -> bool {
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        let done =
            |gauge: &Gauge| gauge.load.load(Ordering::SeqCst) == 0 && gauge.caught.load(Ordering::SeqCst) >= count;
        !self.missing.load(Ordering::SeqCst) && gauges.iter().filter_map(Weak::upgrade).all(|gauge| done(&gauge))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::{DEFAULT_ACCOUNT, DEFAULT_REGION, Input, Settings};
    use serde_json::json;

    const SOON: Duration = Duration::from_millis(1);

    fn desk(board: &Arc<Board>) -> Desk {
        let who = Who {
            account: DEFAULT_ACCOUNT.to_owned(),
            region: DEFAULT_REGION.to_owned(),
            role: None,
            endpoint: String::new(),
        };
        Desk::new(Cloud::memory(Settings::default()).unwrap(), who, CancellationToken::new(), board)
    }

    async fn put(desk: &Desk) {
        let body = json!({ "StreamName": "none", "PartitionKey": "k", "Data": "" });
        desk.cloud.ask(&desk.who, "kinesis", "PutRecord", Input::Json(body)).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_task_is_done_once_it_has_looked_and_paused() {
        let board = Arc::new(Board::default());
        let desk = desk(&board);
        let done = || board.is_done(*desk.cloud.bell().borrow());
        assert!(!done(), "it has not looked yet");
        assert!(desk.pause(SOON).await);
        assert!(done());
        put(&desk).await;
        assert!(!done(), "there is something to look for");
        assert!(desk.pause(Duration::from_mins(1)).await, "it wakes for what came before the pause");
        assert!(!done(), "it has not looked since");
        let busy = desk.busy();
        desk.pause(SOON).await;
        assert!(!done(), "it has something in hand");
        drop(busy);
        desk.pause(SOON).await;
        assert!(done());
    }

    #[tokio::test]
    async fn branches_count_by_themselves_and_end_with_their_task() {
        let board = Arc::new(Board::default());
        let desk = desk(&board);
        desk.delegate();
        assert!(board.is_done(1));
        let branch = desk.branch();
        assert!(!board.is_done(1));
        desk.stop.cancel();
        assert!(!branch.pause(SOON).await);
        assert!(!branch.sleep(SOON).await);
        drop(branch);
        assert!(board.is_done(1));
    }
}
