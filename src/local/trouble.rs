//! Trouble on request: faults, lost answers, held calls, and the journal of all calls.
//!
//! Off until an [`Experiment`] is set, by `STACKCTL_LOCAL_TROUBLE` or through the page `/_local/trouble`. Every choice
//! follows from the experiment's seed and the number of the call, so a run can be repeated. It stands between the
//! router and the services and knows neither; how a service words its faults is in [`fault`].

mod cut;
mod delay;
mod draw;
mod experiment;
mod fault;
mod hold;
mod journal;
mod latency;
mod pace;
mod page;
mod rule;
mod running;
mod seen;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use http::Response;

use super::registry::Entry;
use super::router::Route;
use super::{Call, Outcome, envelope};

pub(crate) use cut::is_cut;
pub(crate) use delay::Delays;
pub(crate) use draw::seed;
pub(crate) use experiment::Experiment;
pub(crate) use latency::Latency;
pub(crate) use pace::{Pace, is_retired};
pub(crate) use page::foreign;

use hold::Holds;
use journal::{Journal, Visit};
use rule::What;
use running::{Chosen, Running};
use seen::Seen;

/// The running experiment, and what came of it so far.
pub(crate) struct Trouble {
    running: Mutex<Running>,
    journal: Journal,
    holds: Holds,
}

impl Trouble {
    /// Starts with an experiment, which may be an empty one.
    pub(crate) fn new(experiment: Experiment, seed: u64, pace: Pace) -> Self {
        let running = Mutex::new(Running::new(experiment, (seed, pace)));
        Self { running, journal: Journal::new(), holds: Holds::default() }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a call through `work`, unless the experiment has something else for it.
    pub(crate) async fn around(
        &self,
        route: &Route,
        call: &Call,
        work: impl Future<Output = Outcome>,
    ) -> Response<Bytes> {
        let seen = Seen::of(route.entry, call);
        let mut visit = self.journal.open(&seen);
        let chosen = self.running().choose(&seen, visit.number());
        let Some(chosen) = chosen else { return visit.answer(&route.form, work.await) };
        visit.troubled(chosen.what);
        self.inject(chosen, route, call, visit, work).await
    }

    async fn inject(
        &self,
        chosen: Chosen,
        route: &Route,
        call: &Call,
        mut visit: Visit<'_>,
        work: impl Future<Output = Outcome>,
    ) -> Response<Bytes> {
        let form = &route.form;
        match chosen.what {
            What::Throttle | What::Internal | What::Unavailable | What::Quota | What::Denied => {
                visit.refuse(form, fault::of(chosen.what, route.entry, call))
            }
            What::ResetBefore => visit.cut(),
            What::ResetAfter => {
                visit.did(&work.await);
                visit.cut()
            }
            What::Slow => {
                let outcome = work.await;
                visit.did(&outcome);
                tokio::time::sleep(chosen.pause).await;
                visit.answer(form, outcome)
            }
            What::Html => visit.garbage(cut::html()),
            What::Truncated => {
                let outcome = work.await;
                visit.did(&outcome);
                visit.garbage(cut::truncated(envelope::respond(form, outcome)))
            }
            What::Empty => {
                let outcome = work.await;
                visit.did(&outcome);
                visit.garbage(cut::emptied(&envelope::respond(form, outcome)))
            }
            What::HoldBefore => {
                self.holds.hold(visit.number()).await;
                visit.answer(form, work.await)
            }
            What::HoldAfter => {
                let outcome = work.await;
                visit.did(&outcome);
                self.holds.hold(visit.number()).await;
                visit.answer(form, outcome)
            }
        }
    }

    /// Returns how long a request is on its way.
    pub(crate) fn latency(&self) -> Duration {
        let running = self.running();
        running.pace().latency.of(running.seed(), self.journal.requests())
    }

    /// Returns how long changes of a service take, in milliseconds.
    pub(crate) fn delay(&self, service: &str) -> i64 {
        i64::from(self.running().pace().delays.of(service))
    }

    /// Sets how long the changes take that a call makes.
    pub(crate) fn pace(&self, entry: &Entry, call: &mut Call) {
        let running = self.running();
        call.delay = running.pace().delays.for_call(entry.signing, &call.input);
        call.retired = entry.signing == "kinesisanalytics" && running.pace().retired;
        if let Some(time) = running.pace().hides(entry.signing) {
            call.lag = Pace::lag(time, running.seed(), &Seen::of(entry, call));
        }
    }
}
