//! Whether data gets through a stack, hop by hop.
//!
//! [`walk`] says which hops there are, from the file alone; [`probe`] asks AWS about each, reading only; [`canary`]
//! sends a labelled record through. What a single kind knows of its hops, it says itself.

pub mod canary;
mod names;
pub mod probe;
pub mod walk;

use crate::kind::{Check, State};
use canary::{Flight, Station};
use probe::Probed;
use walk::Leg;

/// What was found out about one hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The hop.
    pub leg: Leg,
    /// What was looked at.
    pub checks: Vec<Check>,
}

impl Verdict {
    /// Returns the worst of the checks.
    #[must_use]
    pub fn state(&self) -> State {
        self.checks.iter().map(|check| check.state).max().unwrap_or(State::Ok)
    }

    /// Returns the first check that came out as badly as the whole hop.
    #[must_use]
    pub fn cause(&self) -> Option<&Check> {
        self.checks.iter().find(|check| check.state == self.state())
    }
}

/// All that a run found out.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The hops.
    pub probed: Probed,
    /// The canary, if one was sent.
    pub flight: Option<Flight>,
}

impl Outcome {
    /// Returns the first broken hop and why it is: as AWS tells it, else the first place that the canary did not reach.
    #[must_use]
    pub fn broken(&self) -> Option<(String, String)> {
        let failed = self.probed.verdicts.iter().find(|verdict| verdict.state() == State::Failed);
        let told = failed.and_then(|verdict| Some((verdict, verdict.cause()?)));
        if let Some((verdict, check)) = told {
            return Some((format!("{} -> {}", verdict.leg.from, verdict.leg.to), check.reason.clone()));
        }
        let lost = self.flight.iter().flat_map(|flight| &flight.stations);
        lost.filter(|station| station.state == State::Failed).map(|station| self.lost(station)).next()
    }

    fn lost(&self, station: &Station) -> (String, String) {
        let leads = |verdict: &&Verdict| verdict.leg.to == station.id;
        let verdict = self.probed.verdicts.iter().find(leads);
        let hop =
            verdict.map_or_else(|| station.id.clone(), |verdict| format!("{} -> {}", verdict.leg.from, station.id));
        let known = verdict.filter(|verdict| verdict.state() == State::Unknown).and_then(Verdict::cause);
        let known = known.map(|check| format!("; {}", check.reason)).unwrap_or_default();
        let reason = station.reason.as_deref().unwrap_or_default();
        (hop, format!("the canary's {} was {reason}{known}", station.what))
    }
}
