//! Runs functions as Lambda does: warm processes, a log for each, and errors in Lambda's words.
//!
//! The interpreter is the local cloud's own Python, whatever the function's Python version is; layers do not exist.

mod journal;
mod pool;
mod python;
mod queue;
mod report;
mod subject;
#[cfg(test)]
mod tests;
mod variables;
mod wire;
mod worker;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use self::journal::Journal;
use self::pool::Pool;
use self::python::Python;
use self::report::{Ending, Report, Status};
use self::worker::{Launch, Worker};
use crate::local::stall::Stall;
use crate::local::{Call, Cloud, Fault, Settings, private};

pub(crate) use self::queue::resume;
pub(super) use self::queue::{Queued, accept, start};
pub(super) use self::subject::Subject;
pub(super) use self::worker::Event;

const RUNTIME: &str = include_str!("run/runtime.py");
/// How often processes are looked for that have waited for long.
const SWEEP: Duration = Duration::from_secs(15);

type Pools = Mutex<HashMap<String, Arc<Pool>>>;

/// The processes of all functions of one cloud. They end with it.
pub(crate) struct Functions {
    home: Option<PathBuf>,
    python: Python,
    script: Mutex<Option<TempDir>>,
    pools: Arc<Pools>,
    is_swept: AtomicBool,
    /// Events that were accepted and are not done.
    queued: Arc<AtomicU64>,
    /// Failures to run such events at all.
    stall: Stall,
    stop: CancellationToken,
}

/// What one run of a function gave.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) payload: Value,
    pub(super) failed: bool,
    /// The end of its log.
    pub(super) tail: String,
}

impl Functions {
    /// Starts nothing yet; code is unpacked below `home`.
    pub(crate) fn new(home: Option<PathBuf>, settings: &Settings) -> Self {
        Self {
            home,
            python: Python::new(settings),
            script: Mutex::default(),
            pools: Arc::default(),
            is_swept: AtomicBool::new(false),
            queued: Arc::default(),
            stall: Stall::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Tells whether no accepted event is left to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.queued.load(Ordering::SeqCst) == 0
    }

    /// Tells for how long accepted events could not be run.
    pub(crate) fn stalled(&self) -> Duration {
        self.stall.time()
    }

    /// Ends all processes that wait, and what works on accepted events; those stay stored.
    pub(crate) fn close(&self) {
        self.stop.cancel();
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Ends the processes of a function that has changed or is gone.
    pub(super) fn forget(&self, call: &Call, name: &str) {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&key(&call.account, &call.region, name)) {
            pool.clear();
        }
    }

    fn pool(&self, subject: &Subject) -> Arc<Pool> {
        if !self.is_swept.swap(true, Ordering::SeqCst) {
            tokio::spawn(sweep(Arc::downgrade(&self.pools)));
        }
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pools.entry(key(&subject.account, &subject.region, &subject.name)).or_default())
    }

    /// Runs one event; who `waits` is not refused for want of concurrency.
    pub(super) async fn run(&self, cloud: &Cloud, subject: &Subject, event: &Event, waits: bool) -> Result<Run, Fault> {
        let pool = self.pool(subject);
        let slot = pool.admit(subject.reserved, waits).await?;
        let warm = pool.take(&subject.version);
        let stream = warm.as_ref().map_or_else(journal::new_stream, |worker| worker.stream.clone());
        let mut journal = Journal::new(cloud, subject, &event.request, stream);
        let before = Instant::now();
        let (worker, init) = match warm {
            Some(worker) => (Ok(worker), None),
            None => (self.start(cloud, subject, &pool, &mut journal).await?, Some(before)),
        };
        let init = init.map(|before| before.elapsed());
        let run = finish(worker, subject, event, journal, init, &pool).await;
        drop(slot);
        Ok(run)
    }

    /// Starts a process and waits until its handler is loaded.
    async fn start(
        &self,
        cloud: &Cloud,
        subject: &Subject,
        pool: &Pool,
        journal: &mut Journal<'_>,
    ) -> Result<Result<Worker, Ending>, Fault> {
        let interpreter = self.python.interpreter(|text| {
            journal.note(text);
            journal.flush();
        });
        let python = interpreter.await.map_err(|cause| broken("there is no Python for it", &cause))?;
        let code = pool.code(cloud, subject, self.home.clone()).await?;
        let script = self.script().map_err(|cause| broken("its runtime could not be written", &cause))?;
        let keys = variables::keys(cloud, subject)?;
        let variables = variables::list(subject, &journal.stream, code.path(), cloud.address(), keys);
        journal_start(cloud, subject, journal);
        let launch = Launch { python: &python, script, code, variables };
        let mut worker = Worker::spawn(launch, subject, &journal.stream)
            .map_err(|cause| broken(&format!("{} could not be started", python.display()), &cause))?;
        Ok(match worker.ready(subject, journal).await {
            Ok(()) => Ok(worker),
            Err(ending) => {
                worker.end().await;
                Err(ending)
            }
        })
    }

    fn script(&self) -> io::Result<PathBuf> {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        if script.is_none() {
            let folder = folder("runtime-", self.home.clone())?;
            fs_err::write(folder.path().join("runtime.py"), RUNTIME)?;
            *script = Some(folder);
        }
        Ok(script.as_ref().map(|folder| folder.path().join("runtime.py")).unwrap_or_default())
    }
}

impl Drop for Functions {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn key(account: &str, region: &str, name: &str) -> String {
    format!("{account}/{region}/{name}")
}

/// Makes a folder that goes away with its owner.
fn folder(prefix: &str, home: Option<PathBuf>) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    let Some(home) = home else { return builder.tempdir() };
    private::make(&home)?;
    builder.tempdir_in(fs_err::canonicalize(home)?)
}

fn broken(what: &str, cause: &dyn std::fmt::Display) -> Fault {
    Fault::with_status(500, "ServiceException", format!("The function could not be run, {what}: {cause}"))
}

fn journal_start(cloud: &Cloud, subject: &Subject, journal: &mut Journal<'_>) {
    if let Some(line) = report::init_start(subject, journal::now()) {
        journal.add(line);
    }
    if subject.has_layers {
        journal.note("the local cloud has no layers: the function runs without them");
    }
    if cloud.address().is_none() {
        journal.note("functions cannot call AWS here: start `stackctl local serve` for that");
    }
}

/// Runs an event on a process that is there, writes the log's end and keeps the process if it can go on.
async fn finish(
    worker: Result<Worker, Ending>,
    subject: &Subject,
    event: &Event,
    mut journal: Journal<'_>,
    init: Option<Duration>,
    pool: &Pool,
) -> Run {
    if let Some(line) = report::start(subject, &event.request, journal::now()) {
        journal.add(line);
    }
    let before = Instant::now();
    let (outcome, worker) = match worker {
        Ok(mut worker) => (worker.run(subject, event, &mut journal).await, Some(worker)),
        Err(ending) => (Err(ending), None),
    };
    let duration = before.elapsed();
    let peak = worker.as_ref().map_or(0, |worker| worker.peak);
    let goes_on = matches!(outcome, Ok(_) | Err(Ending::Failed(_)));
    let ended = worker.and_then(|worker| if goes_on { pool.keep(worker) } else { Some(worker) });
    let (payload, failed, status) = told(outcome, subject, event, &mut journal);
    let report = Report { request: &event.request, duration, init, peak, status };
    for line in report.lines(subject, journal::now()) {
        journal.add(line);
    }
    if let Some(worker) = ended {
        worker.end().await;
    }
    Run { payload, failed, tail: journal.finish() }
}

fn told(
    outcome: Result<Vec<u8>, Ending>,
    subject: &Subject,
    event: &Event,
    journal: &mut Journal<'_>,
) -> (Value, bool, Status) {
    let ending = match outcome {
        Ok(body) => match serde_json::from_slice(&body) {
            Ok(payload) => return (payload, false, Status::Success),
            Err(_) => Ending::Exited(None),
        },
        Err(ending) => ending,
    };
    let told = ending.tell(&event.request, subject.timeout, journal::now());
    if let Some(line) = told.line {
        journal.add(line);
    }
    (told.payload, true, told.status)
}

/// Ends processes that have waited for long, for as long as there is a cloud.
async fn sweep(pools: Weak<Pools>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(pools) = pools.upgrade() else { return };
        let pools = pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.values().for_each(|pool| pool.sweep());
    }
}
