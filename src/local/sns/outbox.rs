//! The outbox: what would have left the account, newest last, instead of being sent.

use serde::{Deserialize, Serialize};

use crate::local::store::Table;
use crate::local::{Call, Fault, Tx};

/// Messages by time of sending.
pub(super) const OUTBOX: Table = Table::regional("sns.outbox");

/// How many messages the outbox holds, in one row, so that putting one in does not count them all.
const COUNT: Table = Table::regional("sns.outbox.count");
const ONLY: &str = "all";

const MOST_KEPT: usize = 10_000;
/// How many more may gather before the oldest are dropped.
const SLACK: usize = 1000;

/// One message to one endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// Milliseconds since the epoch.
    pub(super) time: i64,
    pub(super) topic: Option<String>,
    pub(super) protocol: String,
    pub(super) endpoint: String,
    pub(super) subject: Option<String>,
    pub(super) message: String,
    /// Why it did not reach an endpoint that is in this cloud.
    #[serde(default)]
    pub(super) undelivered: Option<String>,
}

impl Sent {
    /// Describes a message of a topic to one endpoint.
    pub(super) fn new(topic: &str, protocol: &str, endpoint: &str, subject: Option<&str>, message: &str) -> Self {
        Self {
            time: 0,
            topic: Some(topic.to_owned()),
            protocol: protocol.to_owned(),
            endpoint: endpoint.to_owned(),
            subject: subject.map(str::to_owned),
            message: message.to_owned(),
            undelivered: None,
        }
    }
}

/// Puts a message into the outbox; the oldest are dropped from time to time.
pub(super) fn keep(tx: &mut Tx<'_>, call: &Call, sent: &Sent) -> Result<(), Fault> {
    let sent = Sent { time: call.now, ..sent.clone() };
    tx.put(OUTBOX, &format!("{:015}-{}", call.now, uuid::Uuid::new_v4()), &sent)?;
    let count = tx.get::<usize>(COUNT, ONLY)?.unwrap_or_default() + 1;
    let count = if count > MOST_KEPT + SLACK { drop_oldest(tx)? } else { count };
    tx.put(COUNT, ONLY, &count)
}

fn drop_oldest(tx: &mut Tx<'_>) -> Result<usize, Fault> {
    let all: Vec<(String, serde::de::IgnoredAny)> = tx.list(OUTBOX)?;
    let surplus = all.len().saturating_sub(MOST_KEPT);
    let left = all.len() - surplus;
    for (key, _) in all.into_iter().take(surplus) {
        tx.delete(OUTBOX, &key)?;
    }
    Ok(left)
}

/// Reads the messages that came after one, or all of them, each with what it is known by.
pub(crate) fn after(tx: &Tx<'_>, last: &str) -> Result<Vec<(String, Sent)>, Fault> {
    tx.list_after(OUTBOX, last)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;

    #[test]
    fn the_newest_messages_stay() {
        let bench = Bench::new();
        let sent = Sent::new("t", "sms", "+12025550123", None, "m");
        bench.write(|tx, call| {
            for number in 0..i64::try_from(MOST_KEPT + SLACK).unwrap() {
                keep(tx, &Call { now: number, ..call.clone() }, &sent)?;
            }
            Ok(())
        });
        let count = |last: &str| bench.read(|tx| after(tx, last)).len();
        assert_eq!(count(""), MOST_KEPT + SLACK);
        bench.write(|tx, call| keep(tx, &Call { now: 90_000, ..call.clone() }, &sent));
        assert_eq!(count(""), MOST_KEPT);
        assert_eq!(count(&format!("{:015}", 90_000)), 1, "the newest is there");
        assert_eq!(bench.read(|tx| after(tx, ""))[0].1.time, i64::try_from(SLACK).unwrap() + 1);
    }
}
