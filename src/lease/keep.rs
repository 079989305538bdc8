//! The clockwork: taking the lease, renewing it while a run is at work, giving it back.
//!
//! What to do when is decided by [`rules`](super::rules).

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::item::{Expect, Lease, Mark, Run, give_back, own, renew, take};
use super::rules::{Holder, Next, Waiter};
use super::store::Store;
use crate::kind::{KindError, Result};

/// How often a wait is reported.
const REPORT: Duration = Duration::from_secs(5);
/// How long a run that ends tries to give its lease back.
const FAREWELL: Duration = Duration::from_secs(10);

/// Returns the time of the day in milliseconds since 1970, for people to read.
#[must_use]
pub fn clock() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A run that wants the lease.
#[derive(Debug, Clone)]
pub struct Candidate {
    id: String,
    run: Run,
    length: Duration,
}

impl Candidate {
    /// Makes a candidate with a random id.
    #[must_use]
    pub fn new(run: Run, length: Duration) -> Self {
        Self { id: uuid::Uuid::new_v4().to_string(), run, length }
    }
}

/// What a run that waits can tell.
#[derive(Debug)]
pub struct Waiting<'a> {
    /// What it waits for.
    pub lease: &'a Lease,
    /// For how long it has waited.
    pub waited: Duration,
    /// Whether the holder seems to be dead.
    pub seems_dead: bool,
}

/// Why the lease was not taken.
#[derive(Debug)]
pub enum Refusal {
    /// Another run holds it; for how long this one waited.
    Busy(Box<Lease>, Duration),
    /// The table could not be used.
    Failed(KindError),
}

impl From<KindError> for Refusal {
    fn from(error: KindError) -> Self {
        Self::Failed(error)
    }
}

/// How often in a row a lease that can be taken may be refused: once is what happens when another run is faster.
const MOST_REFUSED: usize = 20;

/// How a lease was lost.
#[derive(Debug, Clone)]
pub enum Loss {
    /// Somebody else ended it; what its item says now, when there is one.
    Ended(Option<Box<Lease>>),
    /// It could not be renewed in time; the last error.
    Silent(String),
}

/// What became of a lease at the end of a run.
#[derive(Debug)]
pub enum Ending {
    /// It was given back.
    Released,
    /// It was lost before.
    Lost(Loss),
    /// It could not be given back, and ends by itself.
    Left(KindError),
}

/// A lease that is held, and renewed by a task of its own.
#[derive(Debug)]
pub struct Held {
    store: Store,
    mark: Mark,
    lost: watch::Receiver<Option<Loss>>,
    task: JoinHandle<()>,
}

/// Takes the lease, waiting for a living holder no longer than `patience`.
///
/// # Errors
/// Returns who holds it, or the refusal of the table.
pub async fn acquire(
    store: &Store,
    candidate: &Candidate,
    patience: Duration,
    mut tell: impl FnMut(&Waiting<'_>),
) -> std::result::Result<Held, Refusal> {
    let start = Instant::now();
    let (mut waiter, mut told) = (Waiter::new(patience), None::<Instant>);
    let (mut next, mut first, mut refused) = (Next::Take(Expect::Free), None, 0);
    loop {
        if let Next::Take(expect) = next {
            let sent = *first.get_or_insert_with(|| start.elapsed());
            let change = take(expect, &candidate.id, &candidate.run, candidate.length, clock());
            if let Some(lease) = store.change(&change).await? {
                return held(store, lease, start, sent);
            }
            refused += 1;
        }
        let found = store.read().await?;
        let is_mine = |lease: &Lease| lease.mark.as_ref().is_some_and(|mark| mark.owner == candidate.id);
        if let (Some(lease), Some(sent)) = (found.clone().filter(is_mine), first) {
            // The answer to an earlier request was lost.
            return held(store, lease, start, sent);
        }
        first = None;
        next = waiter.next(found.as_ref(), start.elapsed(), clock());
        match (&next, found) {
            (Next::GiveUp, Some(lease)) => return Err(Refusal::Busy(Box::new(lease), start.elapsed())),
            (Next::Wait(pause), Some(lease)) => {
                if told.is_none_or(|told| told.elapsed() >= REPORT) {
                    tell(&Waiting { lease: &lease, waited: start.elapsed(), seems_dead: waiter.seems_dead() });
                    told = Some(Instant::now());
                }
                refused = 0;
                sleep(*pause).await;
            }
            (Next::Take(_), _) if refused > MOST_REFUSED => return Err(contradicting().into()),
            _ => {}
        }
    }
}

fn contradicting() -> KindError {
    KindError::invalid("the lock table shows a lease that can be taken, and refuses to have it taken")
        .hint("look whether something else writes to it, or answers in its place")
}

fn held(store: &Store, lease: Lease, start: Instant, sent: Duration) -> std::result::Result<Held, Refusal> {
    let Some(mark) = lease.mark else {
        return Err(KindError::invalid("the lock table did not keep what was written").into());
    };
    let (sender, lost) = watch::channel(None);
    let keeper = Keeper {
        store: store.clone(),
        mark: mark.clone(),
        length: lease.length,
        holder: Holder::new(lease.length, sent),
        start,
    };
    let task = tokio::spawn(async move {
        let loss = keeper.keep().await;
        // Nobody asks any more when the run is over.
        let _ = sender.send(Some(loss));
    });
    Ok(Held { store: store.clone(), mark, lost, task })
}

/// Gives back whatever a candidate has, even if it does not know whether it has something.
pub async fn forget(store: &Store, candidate: &Candidate) {
    let change = give_back(Expect::Held { owner: candidate.id.clone(), token: None }, clock());
    // If this fails, a lease that was taken ends by itself.
    let _ = timeout(FAREWELL, store.change(&change)).await;
}

impl Held {
    /// Returns what tells when the lease is lost.
    #[must_use]
    pub fn lost(&self) -> watch::Receiver<Option<Loss>> {
        self.lost.clone()
    }

    /// Gives the lease back.
    pub async fn release(self) -> Ending {
        self.task.abort();
        // Whether it was cut off or had ended does not matter: no renewal is on its way from here on.
        let _ = self.task.await;
        let before = self.lost.borrow().clone();
        let change = give_back(own(&self.mark), clock());
        let given = timeout(FAREWELL, self.store.change(&change)).await;
        match (before, given) {
            (Some(loss), _) => Ending::Lost(loss),
            (None, Ok(Ok(Some(_)))) => Ending::Released,
            (None, Ok(Ok(None))) => match now_of(&self.store).await {
                // The answer to an earlier attempt was lost.
                Loss::Ended(Some(lease)) if lease.is_given_back(self.mark.token) => Ending::Released,
                loss => Ending::Lost(loss),
            },
            (None, Ok(Err(error))) => Ending::Left(error),
            (None, Err(_)) => Ending::Left(no_answer()),
        }
    }
}

/// Looks what became of a lease that is not this run's any more.
async fn now_of(store: &Store) -> Loss {
    let read = timeout(FAREWELL, store.read()).await;
    Loss::Ended(read.ok().and_then(Result::ok).flatten().map(Box::new))
}

fn no_answer() -> KindError {
    KindError::new(crate::kind::Class::Unreachable, "the lock table did not answer in time")
}

/// Renews a lease until it is lost.
struct Keeper {
    store: Store,
    mark: Mark,
    length: Duration,
    holder: Holder,
    start: Instant,
}

impl Keeper {
    async fn keep(mut self) -> Loss {
        let (mut next, mut last) = (self.holder.renew_at(), String::new());
        loop {
            sleep(next.min(self.holder.lost_at()).saturating_sub(self.start.elapsed())).await;
            let sent = self.start.elapsed();
            if sent >= self.holder.lost_at() {
                return Loss::Silent(last);
            }
            match self.renew(sent).await {
                Ok(Some(_)) => {
                    self.holder.renewed(sent);
                    next = self.holder.renew_at();
                }
                Ok(None) => return now_of(&self.store).await,
                Err(error) => {
                    tracing::info!("the lease was not renewed: {error}");
                    last = error.to_string();
                    next = self.holder.again_at(self.start.elapsed());
                }
            }
        }
    }

    async fn renew(&self, sent: Duration) -> Result<Option<Lease>> {
        let room = self.holder.lost_at().saturating_sub(sent).min(self.length / 4);
        let change = renew(&self.mark, self.length, clock());
        timeout(room, self.store.change(&change)).await.unwrap_or_else(|_| Err(no_answer()))
    }
}
