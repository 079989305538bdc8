//! Moves records by itself, as AWS does: whatever polls a stream runs here, one task for each.
//!
//! What there is to run follows from the stored rows alone, so a cloud that is opened again carries on where the
//! last process stopped. It does not know what a task does with its records.

mod application;
mod mapping;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Cloud, Fault, Who};

/// How often the rows are looked at for tasks to start or to stop.
const LOOK: Duration = Duration::from_millis(100);

/// One thing that polls: a mapping or an application, in the version that is stored now.
pub(crate) struct Job {
    /// Changes whenever the task has to start anew: identifier and version of the row.
    pub(crate) id: String,
    pub(crate) who: Who,
    pub(crate) work: Box<dyn FnOnce(Desk) -> BoxFuture<'static, ()> + Send>,
}

/// What a task gets to work with.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) cloud: Cloud,
    pub(crate) who: Who,
    /// The task ends soon after this is cancelled, with all that it has delivered noted.
    pub(crate) stop: CancellationToken,
    load: Arc<AtomicU64>,
}

impl Desk {
    /// Counts something that is on its way, until the guard is dropped.
    pub(crate) fn busy(&self) -> Busy {
        self.load.fetch_add(1, Ordering::SeqCst);
        Busy(Arc::clone(&self.load))
    }

    /// Waits a moment, or less when records come in; false when the task must end.
    pub(crate) async fn pause(&self, most: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = self.cloud.stirred() => true,
            () = tokio::time::sleep(most) => true,
        }
    }
}

/// Keeps [`Flow::is_idle`] false.
pub(crate) struct Busy(Arc<AtomicU64>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The running tasks of one cloud.
pub(crate) struct Flow {
    stop: CancellationToken,
    load: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Flow {
    /// Starts moving records; functions reach the cloud at `endpoint`.
    pub(crate) fn start(cloud: Cloud, endpoint: String) -> Self {
        let (stop, load) = (CancellationToken::new(), Arc::default());
        let task = tokio::spawn(supervise(cloud, endpoint, stop.clone(), Arc::clone(&load)));
        Self { stop, load, task }
    }

    /// Tells whether nothing was on its way at this moment.
    pub(crate) fn is_idle(&self) -> bool {
        self.load.load(Ordering::SeqCst) == 0
    }

    /// Ends all tasks and waits for them.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        // A task that panicked has nothing left to wait for.
        let _ = self.task.await;
    }
}

/// Everything that has something to do now.
fn jobs(cloud: &Cloud, endpoint: &str) -> Result<Vec<Job>, Fault> {
    let mut found = mapping::jobs(cloud, endpoint)?;
    found.extend(application::jobs(cloud, endpoint)?);
    Ok(found)
}

async fn supervise(cloud: Cloud, endpoint: String, stop: CancellationToken, load: Arc<AtomicU64>) {
    let mut running: HashMap<String, CancellationToken> = HashMap::new();
    let mut tasks = JoinSet::new();
    while !stop.is_cancelled() {
        if let Ok(wanted) = jobs(&cloud, &endpoint) {
            running.retain(|id, stop| {
                let stays = wanted.iter().any(|job| job.id == *id);
                if !stays {
                    stop.cancel();
                }
                stays
            });
            for Job { id, who, work } in wanted {
                let stop = running.entry(id).or_insert_with(|| {
                    let stop = stop.child_token();
                    let desk = Desk { cloud: cloud.clone(), who, stop: stop.clone(), load: Arc::clone(&load) };
                    tasks.spawn(work(desk));
                    stop
                });
                debug_assert!(!stop.is_cancelled(), "a stopped task is forgotten at once");
            }
        }
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    while tasks.join_next().await.is_some() {}
}
