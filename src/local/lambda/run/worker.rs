//! One process that runs a function's events one after the other.
//!
//! The process leads a group of its own and ends that group when its input is closed, so neither it nor what it
//! started outlives the cloud; where it could not, because it was killed, its group is ended here. Its memory is
//! watched where there is a `/proc`; elsewhere it is looked at after each event.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use super::journal::Journal;
use super::report::Ending;
use super::subject::Subject;
use super::wire::{self, Kind, Piece, Reply, Splitter};

/// What Lambda gives a function to start.
const INIT: Duration = Duration::from_secs(10);
/// How often a running function's memory is looked at.
const TICK: Duration = Duration::from_millis(20);
/// Ticks after which a long log is written.
const FLUSH: u32 = 15;
/// How long the end of a log is waited for.
const LOG_END: Duration = Duration::from_millis(300);
/// How long a process is waited for that was told to end.
const GRACE: Duration = Duration::from_millis(100);
/// Pieces of log that wait while nothing runs; then the process waits.
const BACKLOG: usize = 256;

/// An event to run.
#[derive(Debug, Clone)]
pub(in crate::local::lambda) struct Event {
    pub(in crate::local::lambda) request: String,
    pub(in crate::local::lambda) payload: String,
    /// The client context as it was sent, in base64.
    pub(in crate::local::lambda) context: Option<String>,
}

/// What a process is started with.
pub(super) struct Launch<'a> {
    pub(super) python: &'a Path,
    pub(super) script: PathBuf,
    pub(super) code: Arc<TempDir>,
    pub(super) variables: Vec<(String, String)>,
}

/// A running process.
pub(super) struct Worker {
    child: Child,
    /// The group that the process leads.
    group: Option<u32>,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    log: mpsc::Receiver<Piece>,
    memory: u64,
    /// The most memory that it ever had, as it said last.
    pub(super) peak: u64,
    pub(super) version: String,
    pub(super) stream: String,
    pub(super) born: Instant,
    _code: Arc<TempDir>,
}

impl Worker {
    /// Starts a process.
    pub(super) fn spawn(launch: Launch<'_>, subject: &Subject, stream: &str) -> std::io::Result<Self> {
        let mut command = Command::new(launch.python);
        command.args(["-X", "utf8"]).arg(launch.script).current_dir(launch.code.path());
        command.env_clear().envs(launch.variables).process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let gone = || std::io::Error::other("the process has no pipes");
        let (sender, log) = mpsc::channel(BACKLOG);
        tokio::spawn(follow(child.stderr.take().ok_or_else(gone)?, sender));
        Ok(Self {
            group: child.id(),
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().ok_or_else(gone)?),
            child,
            log,
            memory: subject.memory << 20,
            peak: 0,
            version: subject.version.clone(),
            stream: stream.to_owned(),
            born: Instant::now(),
            _code: launch.code,
        })
    }

    /// Waits until the handler is loaded; what is over the time for that counts as run.
    pub(super) async fn ready(&mut self, subject: &Subject, journal: &mut Journal<'_>) -> Result<(), Ending> {
        self.reply(Instant::now() + INIT + subject.timeout, journal).await.map(|_| ())
    }

    /// Runs one event.
    pub(super) async fn run(
        &mut self,
        subject: &Subject,
        event: &Event,
        journal: &mut Journal<'_>,
    ) -> Result<Vec<u8>, Ending> {
        let head = json!({
            "request": event.request, "arn": subject.arn, "context": event.context,
            "milliseconds": u64::try_from(subject.timeout.as_millis()).unwrap_or(u64::MAX),
        });
        let until = Instant::now() + subject.timeout;
        if let Some(input) = &mut self.input {
            // A process that has ended takes no event; the reply, which does not come, says how it ended.
            let _ = wire::send(input, &head, event.payload.as_bytes()).await;
        }
        self.reply(until, journal).await.map(|reply| reply.body)
    }

    async fn reply(&mut self, until: Instant, journal: &mut Journal<'_>) -> Result<Reply, Ending> {
        journal.is_complete = false;
        let reply = self.watch(until, journal).await;
        if let Some(Err(_)) = reply {
            self.stop().await;
        }
        self.rest_of_log(journal).await;
        let reply = match reply {
            Some(Ok(reply)) => reply,
            Some(Err(ending)) => return Err(ending),
            None => return Err(Ending::Exited(self.exit().await)),
        };
        self.peak = reply.peak;
        if reply.peak > self.memory {
            return Err(Ending::OutOfMemory);
        }
        match reply.kind {
            Kind::Ready | Kind::Answer => Ok(reply),
            Kind::Error => Err(Ending::Failed(reply.body)),
        }
    }

    /// Waits for a reply; none when the process closes its output.
    async fn watch(&mut self, until: Instant, journal: &mut Journal<'_>) -> Option<Result<Reply, Ending>> {
        let process = self.child.id();
        let reply = wire::read(&mut self.output);
        tokio::pin!(reply);
        let deadline = tokio::time::sleep_until(until.into());
        tokio::pin!(deadline);
        let mut tick = tokio::time::interval(TICK);
        let mut ticks = 0_u32;
        loop {
            tokio::select! {
                reply = &mut reply => return reply.ok().map(Ok),
                Some(piece) = self.log.recv() => journal.take(piece),
                () = &mut deadline => return Some(Err(Ending::TimedOut)),
                _ = tick.tick() => {
                    ticks += 1;
                    if ticks.is_multiple_of(FLUSH) {
                        journal.flush();
                    }
                    let now = process.and_then(resident).unwrap_or(0);
                    self.peak = self.peak.max(now.min(self.memory));
                    if now > self.memory {
                        return Some(Err(Ending::OutOfMemory));
                    }
                }
            }
        }
    }

    async fn rest_of_log(&mut self, journal: &mut Journal<'_>) {
        let rest = async {
            // The end of the log may have come before the reply.
            while !journal.is_complete {
                let Some(piece) = self.log.recv().await else { break };
                journal.take(piece);
            }
        };
        // Something that the function started may hold the log open; it is not waited for.
        let _ = tokio::time::timeout(LOG_END, rest).await;
    }

    async fn exit(&mut self) -> Option<std::process::ExitStatus> {
        let ended = tokio::time::timeout(GRACE * 10, self.child.wait()).await;
        self.end_group().await;
        ended.ok()?.ok()
    }

    /// Ends what the process started and left behind: one that was killed could not do so itself.
    async fn end_group(&mut self) {
        let Some(group) = self.group.take() else { return };
        let mut kill = Command::new("sh");
        kill.args(["-c", "kill -KILL -- \"-$0\"", &group.to_string()]);
        // Most often there is nobody left.
        let _ = kill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    }

    /// Tells whether the process waits for an event.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends the process.
    pub(super) async fn end(mut self) {
        self.stop().await;
    }

    /// Closes the input, upon which the process ends itself and what it started.
    async fn stop(&mut self) {
        self.input.take();
        if tokio::time::timeout(GRACE, self.child.wait()).await.is_err() {
            // It holds the interpreter and cannot see that its input is closed.
            self.end_group().await;
            let _ = self.child.kill().await;
        }
        self.end_group().await;
    }
}

/// Reads a process's log until nobody can write to it or nobody reads it.
async fn follow(mut from: ChildStderr, to: mpsc::Sender<Piece>) {
    let (mut splitter, mut bytes) = (Splitter::default(), vec![0; 16 << 10]);
    while let Ok(size @ 1..) = from.read(&mut bytes).await {
        for piece in splitter.feed(&bytes[..size]) {
            if to.send(piece).await.is_err() {
                return;
            }
        }
    }
    if let Some(piece) = splitter.finish() {
        // Nobody may be there to read it.
        let _ = to.send(piece).await;
    }
}

/// Returns how many bytes of memory a process has now, where the system tells it.
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
