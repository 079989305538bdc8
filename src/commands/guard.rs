//! The run guard: holds the stack's lease, if the file asks for one, while a run looks, plans, asks and changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::Opened;
use super::confirm::Signals;
use crate::apply::run::Stop;
use crate::cli::{RunArgs, RunFormat};
use crate::failure::Failure;
use crate::kind::{Class, KindError};
use crate::lease::item::Lease;
use crate::lease::keep::{Candidate, Ending, Held, Loss, Refusal, Waiting, acquire, forget};
use crate::lease::owner::this_run;
use crate::lease::store::Store;
use crate::report::events::JsonLines;
use crate::report::{Screen, lock as text, safe};
use crate::stack::{duration, lock::Lock};

/// What a run knows of its lease.
pub(super) struct Guard {
    stack: String,
    lost: Option<watch::Receiver<Option<Loss>>>,
    /// From the first step on, the steps' own loop takes signals and the loss of the lease.
    running: AtomicBool,
    /// Whether the failure of the work says already that the lease is lost.
    told: AtomicBool,
}

/// Does `work` while no other run on this stack may, if the stack file has a `lock:`.
pub(super) async fn guarded(
    opened: &Opened,
    operation: &str,
    args: &RunArgs,
    screen: &Screen,
    work: impl AsyncFnOnce(&Guard) -> Result<u8, Failure>,
) -> Result<u8, Failure> {
    let patience = patience(&args.lock_timeout)?;
    let Some(lock) = &opened.stack.lock else { return work(&Guard::new(opened, None)).await };
    let (signals, mut stops) = Signals::listen()?;
    let held = taken(opened, lock, operation, patience, (&signals, &mut stops), (args.format, screen)).await?;
    let guard = Guard::new(opened, Some(held.lost()));
    let done = tokio::select! {
        done = work(&guard) => done,
        failure = guard.cut(&signals, &mut stops) => Err(failure),
    };
    guard.settle(held.release().await, done, screen)
}

/// Reads `--lock-timeout`.
fn patience(text: &str) -> Result<Duration, Failure> {
    if ["0", "0s"].contains(&text.trim()) {
        return Ok(Duration::ZERO);
    }
    duration(text)
        .ok_or_else(|| Failure::usage(format!("--lock-timeout {text}: expected a time such as 90s, 10m or 0")))
}

type Stops<'a> = (&'a Signals, &'a mut mpsc::UnboundedReceiver<Stop>);

/// Takes the lease, unless a signal comes first.
async fn taken(
    opened: &Opened,
    lock: &Lock,
    operation: &str,
    patience: Duration,
    (signals, stops): Stops<'_>,
    (format, screen): (RunFormat, &Screen),
) -> Result<Held, Failure> {
    let stack = &opened.stack.name;
    let store = Store::new(opened.aws.clone(), &lock.table, stack);
    let candidate = Candidate::new(this_run(operation), lock.ttl);
    let tell = |waiting: &Waiting<'_>| tell(stack, waiting, format, screen);
    let refusal = tokio::select! {
        held = acquire(&store, &candidate, patience, tell) => match held {
            Ok(held) => return Ok(held),
            Err(refusal) => refusal,
        },
        _ = stops.recv() => {
            forget(&store, &candidate).await;
            return Err(interrupted(signals));
        }
    };
    match refusal {
        Refusal::Busy(lease, waited) => Err(busy(stack, &lease, waited)),
        Refusal::Failed(error) => {
            if may_have_arrived(&error) {
                forget(&store, &candidate).await;
            }
            Err(Failure::from(KindError { message: format!("{} (taking the lease)", error.message), ..error }))
        }
    }
}

/// Tells whether a request may have been carried out although its answer is an error.
fn may_have_arrived(error: &KindError) -> bool {
    matches!(error.class, Class::Unreachable | Class::Timeout | Class::Other)
}

fn tell(stack: &str, waiting: &Waiting<'_>, format: RunFormat, screen: &Screen) {
    let message = text::waiting(stack, waiting.lease, waiting.waited, waiting.seems_dead);
    match format {
        RunFormat::Text => screen.note(&format!("{message}\n")),
        RunFormat::Json => {
            let fields = json!({"severity": "info", "lease": text::lease_json(waiting.lease)});
            JsonLines::new(screen).line("info", "diagnostic", &message, fields);
        }
    }
}

fn busy(stack: &str, lease: &Lease, waited: Duration) -> Failure {
    Failure::new(text::busy(stack, lease, waited)).help(
        "wait for it with --lock-timeout 10m, or see `stackctl lock show`; the lease of a run that died ends by itself, and `stackctl lock release` ends it at once",
    )
}

fn interrupted(signals: &Signals) -> Failure {
    let failure = Failure::new("interrupted: nothing was changed");
    Failure { code: signals.exit_code().unwrap_or(1), ..failure }
}

fn lost(stack: &str, loss: &Loss) -> Failure {
    let message = match loss {
        Loss::Ended(now) => text::ended(stack, now.as_deref()),
        Loss::Silent(error) => text::silent(stack, error),
    };
    Failure::new(message)
        .help("see who is at work (`stackctl lock show`), then run the same command again: what is done stays done")
}

impl Guard {
    fn new(opened: &Opened, lost: Option<watch::Receiver<Option<Loss>>>) -> Self {
        let stack = opened.stack.name.clone();
        Self { stack, lost, running: AtomicBool::new(false), told: AtomicBool::new(false) }
    }

    /// Begins with the steps: from now on a signal or the loss of the lease stops them, and what is at work is finished.
    pub(super) fn begin(&self) -> Result<(Signals, mpsc::UnboundedReceiver<Stop>), Failure> {
        self.running.store(true, Ordering::Relaxed);
        let (signals, receiver) = Signals::listen()?;
        let Some(mut lease) = self.lost.clone() else { return Ok((signals, receiver)) };
        if let Some(loss) = &*lease.borrow() {
            return Err(self.tell(loss));
        }
        let stops = signals.stops();
        tokio::spawn(async move {
            // It fails when the lease is given back, and nobody reads the wish when the steps are over.
            if lease.wait_for(Option::is_some).await.is_ok() {
                let _ = stops.send(Stop::Fenced);
            }
        });
        Ok((signals, receiver))
    }

    /// Waits for a reason to break off before the first step; never returns after it.
    async fn cut(&self, signals: &Signals, stops: &mut mpsc::UnboundedReceiver<Stop>) -> Failure {
        let failure = tokio::select! {
            _ = stops.recv() => interrupted(signals),
            loss = self.loss() => self.tell(&loss),
        };
        if self.running.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        failure
    }

    async fn loss(&self) -> Loss {
        let Some(mut lease) = self.lost.clone() else { return std::future::pending().await };
        let loss = lease.wait_for(Option::is_some).await.ok().and_then(|loss| loss.clone());
        match loss {
            Some(loss) => loss,
            None => std::future::pending().await,
        }
    }

    fn tell(&self, loss: &Loss) -> Failure {
        self.told.store(true, Ordering::Relaxed);
        lost(&self.stack, loss)
    }

    /// Says what became of the lease; one that was lost is an error, even if every step was done.
    fn settle(&self, ending: Ending, done: Result<u8, Failure>, screen: &Screen) -> Result<u8, Failure> {
        match (ending, done) {
            (Ending::Released, done) => done,
            (Ending::Left(error), done) => {
                let stack = &self.stack;
                let text = format!("the lease on stack {stack} could not be given back, and ends by itself: {error}");
                screen.note(&format!("{} {}\n", screen.paint_err.yellow("warning:"), safe(&text)));
                done
            }
            (Ending::Lost(_), Err(failure)) if self.told.load(Ordering::Relaxed) => Err(failure),
            (Ending::Lost(loss), Err(failure)) => {
                let also = lost(&self.stack, &loss);
                Err(Failure { message: format!("{}\n{}", failure.message, also.message), help: also.help, ..failure })
            }
            (Ending::Lost(loss), Ok(code)) => Err(Failure { code: code.max(1), ..lost(&self.stack, &loss) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard { stack: "demo".to_owned(), lost: None, running: AtomicBool::default(), told: AtomicBool::default() }
    }

    #[test]
    fn a_lost_lease_is_never_a_success() {
        let (guard, screen) = (guard(), Screen::default());
        let end = |done| guard.settle(Ending::Lost(Loss::Ended(None)), done, &screen).unwrap_err();
        assert_eq!((end(Ok(0)).code, end(Ok(130)).code), (1, 130));
        let both = end(Err(Failure::new("no room")));
        assert!(both.message.starts_with("no room\nthe lease on stack demo was lost"), "{}", both.message);
        let once = end(Err(guard.tell(&Loss::Silent(String::new()))));
        assert_eq!(once.message.matches("was lost").count(), 1);
        assert_eq!(guard.settle(Ending::Released, Ok(2), &screen), Ok(2));
    }

    #[test]
    fn patience_is_a_time_or_nothing() {
        assert_eq!(patience("0"), Ok(Duration::ZERO));
        assert_eq!(patience("1m30s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "soon", "-1s", "10", "99h"] {
            assert_eq!(patience(wrong).unwrap_err().code, 64, "{wrong}");
        }
    }
}
