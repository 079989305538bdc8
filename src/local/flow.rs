//! Moves records by itself, as AWS does: whatever polls a stream runs here, one task for each.
//!
//! What there is to run follows from the stored rows alone, so a cloud that is opened again carries on where the
//! last process stopped. It does not know what a task does with its records.

mod application;
mod desk;
mod mapping;
mod topic;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Cloud, Fault, Who, lambda};
use desk::Board;
pub(crate) use desk::{Busy, Desk};
pub(crate) use mapping::forget;

/// How often the rows are looked at for tasks to start or to stop.
const LOOK: Duration = Duration::from_millis(100);
/// How often one that waits for all tasks asks them.
const GLANCE: Duration = Duration::from_millis(2);

/// One thing that polls: a mapping or an application, in the version that is stored now.
pub(crate) struct Job {
    /// Changes whenever the task has to start anew: identifier and version of the row. A job starts when an
    /// earlier one has ended whose id is the same before an `@`.
    pub(crate) id: String,
    pub(crate) who: Who,
    pub(crate) work: Box<dyn FnOnce(Desk) -> BoxFuture<'static, ()> + Send>,
}

/// The running tasks of one cloud.
pub(crate) struct Flow {
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

struct Inner {
    cloud: Cloud,
    endpoint: String,
    stop: CancellationToken,
    board: Arc<Board>,
    /// Asks for a look at the rows, and how often one was asked for.
    look: Notify,
    asked: AtomicU64,
    /// Up to which asking the rows were looked at.
    looked: watch::Sender<u64>,
}

impl Flow {
    /// Starts moving records; functions reach the cloud at `endpoint`.
    pub(crate) fn start(cloud: Cloud, endpoint: String) -> Self {
        if let Err(fault) = lambda::resume(&cloud) {
            tracing::warn!("accepted events could not be taken up: {}", fault.message);
        }
        let inner = Arc::new(Inner {
            cloud,
            endpoint,
            stop: CancellationToken::new(),
            board: Arc::default(),
            look: Notify::new(),
            asked: AtomicU64::new(0),
            looked: watch::Sender::new(0),
        });
        let task = tokio::spawn(supervise(Arc::clone(&inner)));
        Self { inner, task }
    }

    /// Tells whether all that was put into streams before is delivered, as far as there was a task for it.
    pub(crate) fn is_idle(&self) -> bool {
        let bell = self.inner.cloud.bell();
        let count = *bell.borrow();
        // A function that ended in between has put what it puts before, so that the bell tells.
        self.inner.board.is_done(count) && self.inner.cloud.functions().is_idle() && *bell.borrow() == count
    }

    /// Waits until everything is delivered that was put before this call, and what functions and applications
    /// put for it. What cannot be delivered is waited for without end.
    pub(crate) async fn drained(&self) {
        let asked = self.inner.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.inner.look.notify_one();
        // The sender lives as long as this does, so there is no other end of the wait.
        let _ = self.inner.looked.subscribe().wait_for(|looked| *looked >= asked).await;
        while !self.is_idle() {
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Waits as [`Self::drained`] does, but gives up when things have failed for a time and nothing has arrived
    /// meanwhile; tells whether everything is delivered.
    pub(crate) async fn drained_or_stalled(&self, patience: Duration) -> bool {
        let stalled = async {
            while self.inner.board.stall.time().max(self.inner.cloud.functions().stalled()) < patience {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = self.drained() => true,
            () = stalled => false,
        }
    }

    /// Ends all tasks and waits for them.
    pub(crate) async fn stop(self) {
        self.inner.stop.cancel();
        // A task that panicked has nothing left to wait for.
        let _ = self.task.await;
    }
}

/// Everything that has something to do now.
fn jobs(cloud: &Cloud, endpoint: &str) -> Result<Vec<Job>, Fault> {
    let mut jobs = mapping::jobs(cloud, endpoint)?;
    jobs.extend(application::jobs(cloud, endpoint)?);
    jobs.push(topic::job(endpoint));
    Ok(jobs)
}

async fn supervise(inner: Arc<Inner>) {
    let mut crew = Crew::default();
    let mut told = String::new();
    while !inner.stop.is_cancelled() {
        let asked = inner.asked.load(Ordering::SeqCst);
        crew.clear();
        match jobs(&inner.cloud, &inner.endpoint) {
            Ok(wanted) => {
                crew.arrange(wanted, &inner);
                inner.looked.send_replace(asked);
            }
            Err(fault) => {
                inner.board.stall.failed();
                // The same is not said ten times a second.
                if told != fault.message {
                    tracing::warn!("records cannot be moved: {}", fault.message);
                    told = fault.message;
                }
            }
        }
        tokio::select! {
            () = inner.stop.cancelled() => {}
            () = inner.look.notified() => {}
            () = crew.change() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    while crew.tasks.join_next().await.is_some() {}
}

/// The tasks that run, by their jobs.
#[derive(Default)]
struct Crew {
    tasks: JoinSet<()>,
    active: HashMap<Id, (String, CancellationToken)>,
    /// Jobs that ended by themselves and are not started again.
    finished: HashSet<String>,
}

fn key(id: &str) -> &str {
    id.split_once('@').map_or(id, |(key, _)| key)
}

impl Crew {
    /// Starts what is wanted and does not run, and stops what runs and is not wanted.
    fn arrange(&mut self, wanted: Vec<Job>, inner: &Inner) {
        let ids: HashSet<String> = wanted.iter().map(|job| job.id.clone()).collect();
        self.finished.retain(|id| ids.contains(id));
        let (due, waiting): (Vec<Job>, Vec<Job>) =
            wanted.into_iter().filter(|job| !self.has(&job.id)).partition(|job| self.is_free(&job.id));
        // Said first, so that a task that ends now leaves no moment in which nobody has anything to do.
        inner.board.set_missing(!waiting.is_empty());
        for (_, stop) in self.active.values().filter(|(id, _)| !ids.contains(id)) {
            stop.cancel();
        }
        for Job { id, who, work } in due {
            let stop = inner.stop.child_token();
            let desk = Desk::new(inner.cloud.clone(), who, stop.clone(), &inner.board);
            let task = self.tasks.spawn(work(desk));
            self.active.insert(task.id(), (id, stop));
        }
    }

    fn has(&self, id: &str) -> bool {
        self.finished.contains(id) || self.active.values().any(|(known, stop)| known == id && !stop.is_cancelled())
    }

    fn is_free(&self, id: &str) -> bool {
        self.active.values().all(|(known, _)| key(known) != key(id))
    }

    /// Forgets the tasks that have ended. One that panicked is started again.
    fn clear(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.end(ended);
        }
    }

    /// Waits for the end of a task that was stopped, which may make room for the next.
    async fn change(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.end(ended),
            None => std::future::pending().await,
        }
    }

    fn end(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let (task, well) = ended.map_or_else(|cause| (cause.id(), false), |(task, ())| (task, true));
        if let Some((id, stop)) = self.active.remove(&task)
            && well
            && !stop.is_cancelled()
        {
            self.finished.insert(id);
        }
    }
}
