//! The processes of one function: how many run at once, and those that wait warm for the next event.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::Notify;

use super::subject::Subject;
use super::worker::Worker;
use crate::local::lambda::code;
use crate::local::{Cloud, Fault};

/// Processes of one function that run at once; Lambda would start more, a machine has one user.
const MOST: u64 = 10;
/// How long a process waits for an event before it is ended.
const IDLE: Duration = Duration::from_mins(2);
/// How old a process gets: shorter than its credentials last.
const OLDEST: Duration = Duration::from_mins(30);

/// The processes of one function.
#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Default)]
struct State {
    running: u64,
    version: String,
    idle: Vec<(Instant, Worker)>,
    code: Option<Arc<TempDir>>,
}

/// The right to run one event, until it is dropped.
pub(super) struct Slot(Arc<Pool>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.state().running -= 1;
        self.0.freed.notify_waiters();
    }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot. Over the reserved concurrency, a caller who does not wait is refused.
    pub(super) async fn admit(self: &Arc<Self>, reserved: Option<u64>, waits: bool) -> Result<Slot, Fault> {
        let limit = reserved.unwrap_or(MOST);
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From here on no release is missed.
            freed.as_mut().enable();
            if let Some(slot) = self.enter(limit, waits)? {
                return Ok(slot);
            }
            freed.await;
        }
    }

    fn enter(self: &Arc<Self>, limit: u64, waits: bool) -> Result<Option<Slot>, Fault> {
        let mut state = self.state();
        if limit == 0 || (state.running >= limit && limit < MOST && !waits) {
            return Err(Fault::with_status(429, "TooManyRequestsException", "Rate Exceeded."));
        }
        if state.running >= limit.min(MOST) {
            return Ok(None);
        }
        state.running += 1;
        Ok(Some(Slot(Arc::clone(self))))
    }

    /// Takes a warm process of this version, the one that was used last; those of other versions end.
    pub(super) fn take(&self, version: &str) -> Option<Worker> {
        let mut state = self.state();
        if state.version != version {
            *state = State { running: state.running, version: version.to_owned(), ..State::default() };
        }
        while let Some((_, mut worker)) = state.idle.pop() {
            if worker.is_alive() {
                return Some(worker);
            }
        }
        None
    }

    /// Keeps a process for the next event, or gives it back to be ended.
    pub(super) fn keep(&self, worker: Worker) -> Option<Worker> {
        let mut state = self.state();
        if worker.version != state.version || worker.born.elapsed() > OLDEST {
            return Some(worker);
        }
        state.idle.push((Instant::now(), worker));
        None
    }

    /// Ends all that wait: the function has changed or is gone.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        *state = State { running: state.running, ..State::default() };
    }

    /// Ends those that have waited for long.
    pub(super) fn sweep(&self) {
        self.state().idle.retain(|(since, _)| since.elapsed() < IDLE);
    }

    /// Unpacks the function's code, once for each version.
    pub(super) async fn code(
        &self,
        cloud: &Cloud,
        subject: &Subject,
        home: Option<PathBuf>,
    ) -> Result<Arc<TempDir>, Fault> {
        let known = |state: &State| state.code.clone().filter(|_| state.version == subject.version);
        if let Some(code) = known(&self.state()) {
            return Ok(code);
        }
        let archive = cloud.rows().transaction(&subject.call("GetFunction"), |tx| code::load(tx, &subject.name))?;
        let unpacked = tokio::task::spawn_blocking(move || unpack(&archive, home)).await;
        let unpacked = unpacked.map_err(std::io::Error::other).and_then(|unpacked| unpacked);
        let folder = Arc::new(unpacked.map_err(|cause| super::broken("its code could not be unpacked", &cause))?);
        let mut state = self.state();
        if state.version == subject.version {
            state.code = Some(Arc::clone(&folder));
        }
        Ok(folder)
    }
}

fn unpack(archive: &[u8], home: Option<PathBuf>) -> std::io::Result<TempDir> {
    let folder = super::folder("task-", home)?;
    zip::ZipArchive::new(Cursor::new(archive))?.extract(folder.path())?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reserved_concurrency_refuses_and_the_rest_waits() {
        let pool = Arc::new(Pool::default());
        let first = pool.admit(Some(1), false).await.unwrap();
        assert_eq!(pool.admit(Some(1), false).await.err().map(|fault| fault.status), Some(429));
        assert_eq!(pool.admit(Some(0), true).await.err().map(|fault| fault.status), Some(429));
        let waits = tokio::time::timeout(Duration::from_millis(20), pool.admit(Some(1), true)).await;
        assert!(waits.is_err(), "an event waits");
        let (second, ()) = tokio::join!(pool.admit(Some(1), true), async { drop(first) });
        assert!(second.is_ok());
    }

    #[tokio::test]
    async fn without_a_reservation_callers_wait_for_the_machine() {
        let pool = Arc::new(Pool::default());
        let mut slots = Vec::new();
        for _ in 0..MOST {
            slots.push(pool.admit(None, false).await.unwrap());
        }
        let waits = tokio::time::timeout(Duration::from_millis(20), pool.admit(None, false)).await;
        assert!(waits.is_err());
        slots.pop();
        pool.admit(None, false).await.unwrap();
    }
}
