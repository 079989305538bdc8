//! Asks before anything is changed, and turns signals into wishes to stop.

use std::io::{BufRead, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::apply::run::Stop;
use crate::failure::Failure;
use crate::report::Screen;

/// Fails where a question would come up that nobody can answer.
pub(super) fn check_asking(auto_approve: bool) -> Result<(), Failure> {
    if auto_approve || std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Failure::new("nobody can be asked: standard input is not a terminal")
        .help("pass --auto-approve to go ahead without asking"))
}

/// Asks for a `yes`.
pub(super) async fn confirm(question: &str, auto_approve: bool, screen: &Screen) -> Result<(), Failure> {
    if auto_approve {
        return Ok(());
    }
    screen.note(&format!("\n{question}\n  Only \"yes\" is accepted: "));
    let answer = typed().await?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Failure::new("cancelled: nothing was changed")) }
}

/// Reads a line in a thread of its own, which does not keep the process from ending while nobody types.
async fn typed() -> Result<String, Failure> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer).map(|_| answer);
        // Nobody waits any more when the run was interrupted.
        let _ = sender.send(read);
    });
    let read = receiver.await.map_err(|_| Failure::new("standard input could not be read"))?;
    Ok(read?)
}

/// How long a run may go on with what is in flight after SIGTERM: CI systems kill 2.5 s after it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for a time, or for ever.
async fn over(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Signals of this run: the first asks to stop gently, the second at once, and after SIGTERM so does the clock.
pub(super) struct Signals {
    code: Arc<AtomicU8>,
    stops: mpsc::UnboundedSender<Stop>,
}

impl Signals {
    /// Listens for SIGINT and SIGTERM.
    pub(super) fn listen() -> Result<(Self, mpsc::UnboundedReceiver<Stop>), Failure> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let code = Arc::new(AtomicU8::new(0));
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (seen, stops) = (code.clone(), sender.clone());
        tokio::spawn(async move {
            let mut patience = None;
            for stop in [Stop::Gently, Stop::Now] {
                let number = tokio::select! {
                    _ = interrupt.recv() => Some(130),
                    _ = terminate.recv() => Some(143),
                    () = over(patience) => None,
                };
                if let Some(number) = number {
                    seen.store(number, Ordering::Relaxed);
                }
                if sender.send(stop).is_err() {
                    return;
                }
                patience = (number == Some(143)).then_some(PATIENCE);
            }
        });
        Ok((Self { code, stops }, receiver))
    }

    /// Returns the way to stop the run for another reason.
    pub(super) fn stops(&self) -> mpsc::UnboundedSender<Stop> {
        self.stops.clone()
    }

    /// Returns the exit code of the last signal, if there was one.
    pub(super) fn exit_code(&self) -> Option<u8> {
        Some(self.code.load(Ordering::Relaxed)).filter(|code| *code != 0)
    }
}
