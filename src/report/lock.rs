//! Leases for people and for programs: who has one, who is waited for, how one was lost.

use std::time::Duration;

use jiff::{Timestamp, Unit};
use serde_json::{Value, json};

use super::documents::FORMAT_VERSION;
use super::line;
use crate::lease::item::{Lease, Run};

/// The place of a stack's lease.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The stack.
    pub stack: &'a str,
    /// Its region.
    pub region: &'a str,
    /// Its account.
    pub account: &'a str,
    /// The lock table.
    pub table: &'a str,
    /// The key of the item.
    pub key: &'a str,
}

/// Returns a moment of milliseconds since 1970, to the second.
fn moment(millis: i64) -> String {
    let time = Timestamp::from_millisecond(millis).and_then(|time| time.round(Unit::Second));
    time.map_or_else(|_| "an unknown time".to_owned(), |time| time.to_string())
}

/// Returns a time in the stack file's words, to the second.
#[must_use]
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, 0) => format!("{minutes}m"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

/// Names a run: what it does, whose it is, and where.
fn named(run: &Run) -> String {
    let known = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    let job = run.job.as_ref().map(|job| format!(", {job}")).unwrap_or_default();
    let (operation, who) = (known(&run.operation, "a run"), known(&run.who, "somebody"));
    line(&format!("{operation} of {who} (process {}{job})", run.pid))
}

/// Names the holder of a lease, with its times.
#[must_use]
pub fn holder(lease: &Lease) -> String {
    format!("{}, since {}", named(&lease.run), moment(lease.since))
}

/// Says that another run has the lease.
#[must_use]
pub fn busy(stack: &str, lease: &Lease, waited: Duration) -> String {
    let held = match waited < Duration::from_secs(1) {
        true => "held by another run".to_owned(),
        false => format!("still held by another run after {}", span(waited)),
    };
    format!(
        "stack {stack} is {held}: {}; its lease lasts until {}, and longer while it is at work",
        holder(lease),
        moment(lease.expires)
    )
}

/// Says what is waited for.
#[must_use]
pub fn waiting(stack: &str, lease: &Lease, waited: Duration, seems_dead: bool) -> String {
    let wait = match seems_dead {
        true => format!(
            "its lease ended at {}; it is taken over when it shows no life for {}",
            moment(lease.expires),
            span(lease.length)
        ),
        false => format!("its lease lasts until {}, and longer while it is at work", moment(lease.expires)),
    };
    format!("Waiting for another run on stack {stack}: {}; {wait} [{}]", holder(lease), span(waited))
}

/// Says what became of a lease that a run has lost, from what its item says now.
#[must_use]
pub fn ended(stack: &str, now: Option<&Lease>) -> String {
    let lost = format!("the lease on stack {stack} was lost");
    match now {
        Some(lease) if lease.mark.is_some() => format!("{lost}: another run has it now, {}", holder(lease)),
        Some(Lease { released: Some(at), released_by: Some(by), .. }) => {
            format!("{lost}: {} ended it at {}", line(by), moment(*at))
        }
        Some(_) => format!("{lost}: somebody ended it"),
        None => format!("{lost}: what its item says now could not be read, or it is gone"),
    }
}

/// Says that a lease could not be renewed in time.
#[must_use]
pub fn silent(stack: &str, error: &str) -> String {
    let error = if error.is_empty() { "this machine was away for too long" } else { error };
    format!("the lease on stack {stack} was lost: it could not be renewed in time: {error}")
}

/// Shows a lease, or that there is none.
#[must_use]
pub fn text(place: &Place<'_>, lease: Option<&Lease>, clock: i64) -> String {
    let Place { stack, region, account, table, key } = place;
    let at = format!("stack {stack} in {region}, account {account}");
    let rows = match lease {
        None => return format!("No run has ever held {at} (table {table}).\n"),
        Some(lease) if lease.mark.is_none() => {
            let by = lease.released_by.as_ref().map(|by| format!(" by {}", line(by))).unwrap_or_default();
            let end = lease.released.map(|at| format!(", until {}{by}", moment(at))).unwrap_or_default();
            return format!(
                "No run holds {at} (table {table}).\nThe last one was {}{end}; token {}.\n",
                holder(lease),
                lease.token
            );
        }
        Some(lease) => held(lease, clock),
    };
    let rows: String = rows.into_iter().map(|(name, value)| format!("  {name:<9} {value}\n")).collect();
    format!("A run holds {at} (table {table}, item {key}):\n{rows}")
}

fn held(lease: &Lease, clock: i64) -> Vec<(&'static str, String)> {
    let past = match clock > lease.expires {
        true => "; past by this machine's clock: the run may be dead",
        false => ", and longer while it is at work",
    };
    let mut rows = vec![
        ("run", named(&lease.run)),
        ("machine", line(&lease.run.host)),
        ("version", line(&lease.run.version)),
        ("since", moment(lease.since)),
        ("expires", format!("{}{past}", moment(lease.expires))),
        ("length", span(lease.length)),
        ("token", lease.token.to_string()),
    ];
    let mark = lease.mark.as_ref();
    rows.extend(mark.map(|mark| ("run id", line(&mark.owner))));
    rows.extend(mark.map(|mark| ("renewals", mark.beat.to_string())));
    rows
}

/// Returns a lease as a JSON document.
#[must_use]
pub fn document(place: &Place<'_>, lease: Option<&Lease>) -> Value {
    json!({
        "format_version": FORMAT_VERSION,
        "stack": place.stack,
        "region": place.region,
        "account": place.account,
        "table": place.table,
        "key": place.key,
        "held": lease.is_some_and(|lease| lease.mark.is_some()),
        "lease": lease.map(lease_json),
    })
}

/// Returns a lease as JSON.
#[must_use]
pub fn lease_json(lease: &Lease) -> Value {
    let Run { who, host, pid, operation, version, job } = &lease.run;
    json!({
        "run_id": lease.mark.as_ref().map(|mark| &mark.owner),
        "who": who,
        "host": host,
        "pid": pid,
        "operation": operation,
        "version": version,
        "job": job,
        "since": moment(lease.since),
        "expires": lease.mark.as_ref().map(|_| moment(lease.expires)),
        "length_seconds": lease.length.as_secs(),
        "renewals": lease.mark.as_ref().map(|mark| mark.beat),
        "token": lease.token,
        "released": lease.released.map(moment),
        "released_by": lease.released_by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::item::Mark;

    const PLACE: Place<'_> = Place {
        stack: "demo",
        region: "us-east-1",
        account: "123456789012",
        table: "stackctl-locks",
        key: "stackctl/123456789012/us-east-1/demo",
    };

    fn lease() -> Lease {
        Lease {
            mark: Some(Mark { owner: "8c1f".to_owned(), token: 17, beat: 4 }),
            token: 17,
            run: Run {
                who: "ann@ci-7".to_owned(),
                host: "ci-7".to_owned(),
                pid: 42,
                operation: "apply".to_owned(),
                version: "1.2.3".to_owned(),
                job: Some("https://ci.example/1\u{1b}[31m".to_owned()),
            },
            length: Duration::from_secs(90),
            since: 1_790_000_000_123,
            expires: 1_790_000_100_000,
            released: None,
            released_by: None,
        }
    }

    fn given_back() -> Lease {
        Lease { mark: None, released: Some(1_790_000_050_000), ..lease() }
    }

    #[test]
    fn leases_as_text() {
        let ended_by = Lease { released_by: Some("bob@desk".to_owned()), ..given_back() };
        let nobody = Lease { run: Run::default(), ..lease() };
        let texts = [
            text(&PLACE, None, 0),
            text(&PLACE, Some(&given_back()), 0),
            text(&PLACE, Some(&ended_by), 0),
            text(&PLACE, Some(&lease()), 0),
            text(&PLACE, Some(&lease()), 1_790_000_200_000),
            busy("demo", &lease(), Duration::ZERO),
            busy("demo", &nobody, Duration::from_secs(125)),
            waiting("demo", &lease(), Duration::from_secs(5), false),
            waiting("demo", &lease(), Duration::from_secs(5), true),
            ended("demo", None),
            ended("demo", Some(&given_back())),
            ended("demo", Some(&ended_by)),
            ended("demo", Some(&lease())),
            silent("demo", "UpdateItem: no route to host"),
            silent("demo", ""),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn leases_as_json() {
        let documents =
            [document(&PLACE, None), document(&PLACE, Some(&lease())), document(&PLACE, Some(&given_back()))];
        insta::assert_json_snapshot!(documents);
    }
}
