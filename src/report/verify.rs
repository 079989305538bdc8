//! Whether data gets through a stack, for people and for programs.

use serde_json::{Value, json};

use super::documents::FORMAT_VERSION;
use super::{Paint, count, line};
use crate::kind::State;
use crate::verify::canary::{Flight, Station};
use crate::verify::probe::Probed;
use crate::verify::{Outcome, Verdict};

/// Returns the report as text.
#[must_use]
pub fn text(outcome: &Outcome, paint: Paint) -> String {
    let title = |verdict: &Verdict| line(&format!("{} -> {}", verdict.leg.from, verdict.leg.to));
    let width = outcome.probed.verdicts.iter().map(|verdict| title(verdict).chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for verdict in &outcome.probed.verdicts {
        let (word, title) = (word(verdict.state(), paint), title(verdict));
        out.push_str(&format!("  {word}  {}\n", line(&format!("{title:width$}  {}", verdict.leg.hop.by))));
        out.push_str(&details(verdict));
    }
    if let Some(flight) = &outcome.flight {
        out.push_str(&flown(flight, paint));
    }
    out.push_str(&format!("\n{}\n", paint.bold(&line(&closing(outcome)))));
    out
}

fn word(state: State, paint: Paint) -> String {
    match state {
        State::Ok => paint.green("ok     "),
        State::Unknown => paint.yellow("unknown"),
        State::Failed => paint.red("FAILED "),
    }
}

/// Shows what was seen where it is not simply well.
fn details(verdict: &Verdict) -> String {
    let told = verdict.checks.iter().filter(|check| check.state != State::Ok);
    let shown = |check: &crate::kind::Check| {
        let help = check.help.iter().map(|help| format!("           help: {}\n", line(help)));
        format!("           {}\n{}", line(&check.reason), help.collect::<String>())
    };
    told.map(shown).collect()
}

fn flown(flight: &Flight, paint: Paint) -> String {
    let mut out = format!("\nCanary {}\n", line(&flight.label.id));
    for station in &flight.stations {
        let seen = match (&station.latency, &station.reason) {
            (Some(latency), _) => format!("after {:.2} s", latency.as_secs_f64()),
            (None, reason) => reason.clone().unwrap_or_default(),
        };
        let what = what(station);
        out.push_str(&format!("  {}  {what:10} {}  {}\n", word(station.state, paint), line(&station.id), line(&seen)));
    }
    out.extend(flight.left.iter().map(|left| format!("  left: {}\n", line(left))));
    out
}

fn what(station: &Station) -> String {
    format!("{} {}", station.what, if station.what == "put" { "into" } else { "at" })
}

/// Returns the last line: the first broken hop, or that there is none.
#[must_use]
pub fn closing(outcome: &Outcome) -> String {
    let Probed { verdicts, unread } = &outcome.probed;
    if let Some((hop, reason)) = outcome.broken() {
        return format!("First broken hop: {hop}: {reason}.");
    }
    let unknown = verdicts.iter().filter(|verdict| verdict.state() == State::Unknown).count();
    let all = count(verdicts.len(), "hop");
    let flown = if outcome.flight.is_some() { ", and the canary came through" } else { "" };
    match (unknown, unread.len()) {
        (0, _) => format!("{all}: all are bound and running{flown}."),
        (unknown, 0) => format!("{all}: none is broken; of {unknown} not everything is known{flown}."),
        (_, unread) => format!("{all}: none is known to be broken, but {unread} could not be asked."),
    }
}

/// Returns the report as a document.
#[must_use]
pub fn document(outcome: &Outcome, stack: &str, region: &str, account: &str) -> Value {
    let hop = |verdict: &Verdict| {
        json!({
            "from": verdict.leg.from,
            "to": verdict.leg.to,
            "resource": verdict.leg.owner,
            "by": verdict.leg.hop.by,
            "state": verdict.state(),
            "checks": verdict.checks,
        })
    };
    let broken = outcome.broken().map(|(hop, reason)| json!({"hop": hop, "reason": reason}));
    json!({
        "format_version": FORMAT_VERSION,
        "stack": stack,
        "region": region,
        "account": account,
        "hops": outcome.probed.verdicts.iter().map(hop).collect::<Vec<_>>(),
        "first_broken": broken,
        "unreadable": outcome.probed.unread,
        "canary": outcome.flight.as_ref().map(flight),
    })
}

fn flight(flight: &Flight) -> Value {
    let station = |station: &Station| {
        json!({
            "resource": station.id,
            "what": station.what,
            "state": station.state,
            "seconds": station.latency.map(|latency| latency.as_secs_f64()),
            "reason": station.reason,
        })
    };
    json!({
        "label": flight.label.id,
        "stations": flight.stations.iter().map(station).collect::<Vec<_>>(),
        "left": flight.left,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kind::{Check, End, Hop};
    use crate::stack::canary::Label;
    use crate::verify::walk::Leg;

    fn verdict(from: &str, to: &str, by: &str, checks: Vec<Check>) -> Verdict {
        let hop = Hop::new(End::Own, End::other(to), by);
        Verdict { leg: Leg { owner: from.to_owned(), from: from.to_owned(), to: to.to_owned(), hop }, checks }
    }

    fn station(id: &str, what: &str, millis: Option<u64>) -> Station {
        Station {
            id: id.to_owned(),
            what: what.to_owned(),
            state: if millis.is_some() { State::Ok } else { State::Failed },
            latency: millis.map(Duration::from_millis),
            reason: millis.is_none().then(|| "not seen within 60 s".to_owned()),
        }
    }

    fn outcome(row: Option<u64>) -> Outcome {
        let quiet = Check::unknown("no record came in during the last 15 minutes");
        let verdicts = vec![
            verdict("producer", "tickets", "Kinesis agent", vec![Check::ok("role r may write"), quiet.clone()]),
            verdict("tickets", "analytics", "input SRC", vec![Check::ok("role r may read")]),
            verdict("analytics", "cheap", "output DEST", vec![quiet]),
        ];
        let mut stations = vec![station("tickets", "put", Some(12)), station("cheap", "row", row)];
        stations.extend(row.map(|row| station("notifier", "message", Some(row + 700))));
        let label = Label { id: "canary-1".to_owned(), digits: "123456".to_owned() };
        let left = vec!["its records leave the streams when they expire".to_owned()];
        Outcome { probed: Probed { verdicts, unread: Vec::new() }, flight: Some(Flight { label, stations, left }) }
    }

    #[test]
    fn what_others_wrote_does_not_take_over_the_terminal() {
        let failed = Check::failed("PROBLEM: \x1b[2Jgone").help("look\x07");
        let probed = Probed { verdicts: vec![verdict("a", "b", "mapping", vec![failed])], unread: Vec::new() };
        let text = text(&Outcome { probed, flight: None }, Paint::default());
        assert!(text.contains("First broken hop") && !text.contains(['\x1b', '\x07']), "{text}");
    }

    #[test]
    fn a_canary_that_came_through() {
        insta::assert_snapshot!(text(&outcome(Some(840)), Paint::default()));
    }

    #[test]
    fn a_canary_that_was_lost() {
        let outcome = outcome(None);
        insta::assert_snapshot!(text(&outcome, Paint::default()));
        insta::assert_snapshot!(format!("{:#}", document(&outcome, "demo", "us-east-1", "123456789012")));
    }

    #[test]
    fn a_broken_hop_is_the_last_word() {
        let broken = Check::failed("`analytics` is READY, not RUNNING").help("run `stackctl apply`");
        let mut outcome = Outcome { flight: None, ..outcome(None) };
        outcome.probed.verdicts[1].checks.push(broken);
        insta::assert_snapshot!(text(&outcome, Paint::default()));
    }

    #[test]
    fn what_could_not_be_asked_is_told() {
        let mut outcome = Outcome { flight: None, ..outcome(None) };
        outcome.probed.unread.push("a -> b: AccessDenied".to_owned());
        assert!(closing(&outcome).contains("but 1 could not be asked"), "{}", closing(&outcome));
    }
}
