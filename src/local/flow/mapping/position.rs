//! How far the shards of a mapping are read, in the store.
//!
//! A position is noted together with the result of the batch, after what it stands for was delivered.

use serde::{Deserialize, Serialize};

use super::window::Window;
use crate::local::lambda::polling;
use crate::local::store::Table;
use crate::local::{Call, Cloud, Fault, Input, Tx, Who};

/// Key: identifier of the mapping, shard and lane.
const POSITIONS: Table = Table::regional("flow.position");

/// How far one lane of a shard is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Number of lanes of the shard; another number shares the records out differently.
    lanes: u32,
    /// Sequence number of the last record that is delivered; none at the start.
    pub(super) after: Option<String>,
    /// The shard is closed and read to its end.
    pub(super) done: bool,
    pub(super) window: Option<Window>,
}

/// One lane of one shard of one mapping.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) id: String,
    pub(super) shard: String,
    pub(super) lane: u32,
}

fn prefix(id: &str, shard: &str) -> String {
    format!("{id}/{shard}/")
}

fn key(id: &str, shard: &str, lane: u32) -> String {
    format!("{}{lane:02}", prefix(id, shard))
}

/// Runs a transaction for the account and region of a task.
fn transaction<T>(cloud: &Cloud, who: &Who, work: impl FnOnce(&mut Tx<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
    let mut call = Call::new("Poll", Input::Json(serde_json::Value::Null), 0);
    (call.account, call.region) = (who.account.clone(), who.region.clone());
    cloud.rows().transaction(&call, work)
}

/// Removes the positions of a mapping.
pub(crate) fn forget(tx: &mut Tx<'_>, id: &str) -> Result<(), Fault> {
    for (key, _) in tx.list_from::<serde::de::IgnoredAny>(POSITIONS, &format!("{id}/"))? {
        tx.delete(POSITIONS, &key)?;
    }
    Ok(())
}

/// Removes the positions of a mapping whose stream is gone.
pub(super) fn start_over(cloud: &Cloud, who: &Who, id: &str) -> Result<(), Fault> {
    transaction(cloud, who, |tx| forget(tx, id))
}

/// Returns the positions of a shard's lanes; when their number has changed, all go back to the slowest one.
pub(super) fn spread(cloud: &Cloud, who: &Who, id: &str, shard: &str, lanes: u32) -> Result<Vec<Position>, Fault> {
    transaction(cloud, who, |tx| {
        let stored: Vec<(String, Position)> = tx.list_from(POSITIONS, &prefix(id, shard))?;
        let all: Vec<Position> = (0..lanes)
            .map(|lane| {
                let key = key(id, shard, lane);
                let own = stored.iter().find(|(known, _)| *known == key).map(|(_, position)| position.clone());
                own.unwrap_or(Position { lanes, ..Position::default() })
            })
            .collect();
        if stored.iter().all(|(_, position)| position.lanes == lanes) {
            return Ok(all);
        }
        let merged = merged(&stored.iter().map(|(_, position)| position).collect::<Vec<_>>(), lanes);
        for (key, _) in &stored {
            tx.delete(POSITIONS, key)?;
        }
        for lane in 0..lanes {
            tx.put(POSITIONS, &key(id, shard, lane), &merged)?;
        }
        Ok(vec![merged; usize::try_from(lanes).unwrap_or_default()])
    })
}

fn merged(stored: &[&Position], lanes: u32) -> Position {
    let complete =
        stored.first().is_some_and(|first| u32::try_from(stored.len()).is_ok_and(|count| count == first.lanes));
    let slowest = stored.iter().map(|position| position.after.as_deref()).min_by_key(|after| after.map(rank));
    let after = slowest.flatten().filter(|_| complete).map(str::to_owned);
    let window = stored.iter().find_map(|position| position.window.clone()).filter(|_| complete);
    Position { lanes, after, done: complete && stored.iter().all(|position| position.done), window }
}

/// Orders sequence numbers, which are decimal numbers of any length.
fn rank(sequence: &str) -> (usize, &str) {
    let digits = sequence.trim_start_matches('0');
    (digits.len(), digits)
}

/// Notes a position and the result of the batch; false when the mapping is gone.
pub(super) fn note(
    cloud: &Cloud,
    who: &Who,
    place: &Place,
    position: &Position,
    result: Option<&str>,
) -> Result<bool, Fault> {
    transaction(cloud, who, |tx| {
        let there = polling::processed(tx, &place.id, result)?;
        if there {
            tx.put(POSITIONS, &key(&place.id, &place.shard, place.lane), position)?;
        }
        Ok(there)
    })
}

/// Notes the result of a batch, or why there is none; false when the mapping is gone.
pub(super) fn note_result(cloud: &Cloud, who: &Who, id: &str, result: &str) -> Result<bool, Fault> {
    transaction(cloud, who, |tx| polling::processed(tx, id, Some(result)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(after: Option<&str>, lanes: u32, done: bool) -> Position {
        Position { lanes, after: after.map(str::to_owned), done, window: None }
    }

    #[test]
    fn other_lanes_start_at_the_slowest() {
        let merge = |all: &[Position], lanes| merged(&all.iter().collect::<Vec<_>>(), lanes);
        let two = [at(Some("100"), 2, true), at(Some("99"), 2, true)];
        assert_eq!(merge(&two, 3), at(Some("99"), 3, true));
        assert_eq!(merge(&[at(Some("100"), 2, true), at(Some("99"), 2, false)], 1), at(Some("99"), 1, false));
        assert_eq!(merge(&two[..1], 1), at(None, 1, false), "the other lane has not read anything");
        assert_eq!(merge(&[at(Some("9"), 2, false), at(None, 2, false)], 1), at(None, 1, false));
    }
}
