//! Whether data gets through a stack, hop by hop.
//!
//! [`walk`] says which hops there are, from the file alone; [`probe`] asks AWS about each, reading only; [`canary`]
//! sends a labelled record through. What a single kind knows of its hops, it says itself.

pub mod canary;
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

    /// Returns the first check that came out as badly as the whole hop, one that is no mere symptom if there is any.
    #[must_use]
    pub fn cause(&self) -> Option<&Check> {
        let state = self.state();
        let worst = || self.checks.iter().filter(|check| check.state == state);
        worst().find(|check| !check.symptom).or_else(|| worst().next())
    }

    fn is_explained(&self) -> bool {
        self.cause().is_some_and(|check| !check.symptom)
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
        let told = self.failed().and_then(|verdict| Some((verdict, verdict.cause()?)));
        if let Some((verdict, check)) = told {
            return Some((format!("{} -> {}", verdict.leg.from, verdict.leg.to), check.reason.clone()));
        }
        let lost = self.flight.iter().flat_map(|flight| &flight.stations);
        lost.filter(|station| station.state == State::Failed).map(|station| self.lost(station)).next()
    }

    /// Returns the first hop that failed; where it only shows that something is wrong, the hop after it that tells what.
    fn failed(&self) -> Option<&Verdict> {
        let failed = || self.probed.verdicts.iter().filter(|verdict| verdict.state() == State::Failed);
        let first = failed().next()?;
        let goes_on = |verdict: &&Verdict| verdict.leg.from == first.leg.to && verdict.is_explained();
        let further = failed().find(goes_on).filter(|_| !first.is_explained());
        Some(further.unwrap_or(first))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::{End, Hop};

    fn verdict(from: &str, to: &str, checks: Vec<Check>) -> Verdict {
        let hop = Hop::new(End::Own, End::other(to), "a test");
        Verdict { leg: Leg { owner: from.to_owned(), from: from.to_owned(), to: to.to_owned(), hop }, checks }
    }

    fn broken(verdicts: Vec<Verdict>) -> Option<String> {
        let probed = Probed { verdicts, unread: Vec::new() };
        Outcome { probed, flight: None }.broken().map(|(hop, reason)| format!("{hop}: {reason}"))
    }

    #[test]
    fn a_symptom_gives_way_to_its_cause() {
        let symptom = || Check::failed("the last batch was not processed").symptom();
        let denied = || Check::failed("may not write");
        let other = verdict("stream", "application", vec![Check::ok("reads"), denied()]);
        let mapping = |checks| verdict("stream", "function", checks);
        let write = verdict("function", "table", vec![denied()]);
        let alone = broken(vec![mapping(vec![symptom()]), verdict("function", "table", vec![Check::ok("writes")])]);
        assert_eq!(alone.as_deref(), Some("stream -> function: the last batch was not processed"));
        assert_eq!(
            broken(vec![mapping(vec![symptom()]), write.clone()]).as_deref(),
            Some("function -> table: may not write")
        );
        let both = broken(vec![mapping(vec![symptom(), Check::failed("may not read")]), write.clone()]);
        assert_eq!(both.as_deref(), Some("stream -> function: may not read"));
        let elsewhere = broken(vec![mapping(vec![symptom()]), verdict("topic", "phone", vec![denied()])]);
        assert_eq!(elsewhere.as_deref(), Some("stream -> function: the last batch was not processed"));
        let first = broken(vec![other, mapping(vec![symptom()]), write]);
        assert_eq!(first.as_deref(), Some("stream -> application: may not write"));
    }
}
