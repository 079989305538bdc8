//! What a running application must not forget: how far it has read, and the rows in its open windows.
//!
//! Both are written together, after the rows that came of them were delivered, and only by the task that claimed the
//! application last: one that was replaced meanwhile changes nothing any more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::store::Table;
use super::super::{Fault, Tx};
use super::run::{Row, Step};

/// Key: name of the application.
const NOTES: Table = Table::regional("analytics.note");
/// Key: application, pump, time and number of the rows.
const HELD: Table = Table::regional("analytics.held");

/// How far an application has read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Creation time of the application; another one of the same name starts afresh.
    created: i64,
    /// The task that may write.
    owner: String,
    /// Last delivered sequence number by input and shard.
    pub(crate) shards: BTreeMap<String, String>,
    /// Records that came before this time are not the application's; 0 takes everything there is.
    #[serde(default)]
    pub(crate) since: i64,
    /// Highest ROWTIME that was given.
    pub(crate) time: i64,
}

/// Rows that wait in open windows, by number of the pump.
pub(crate) type Held = Vec<(usize, Vec<Row>)>;

/// Takes down a start: from a time on, or (none) from where the last run stopped, if there was one.
pub(crate) fn begin(tx: &mut Tx<'_>, name: &str, created: i64, since: Option<i64>, now: i64) -> Result<(), Fault> {
    let known: Option<Note> = tx.get(NOTES, name)?;
    if since.is_none() && known.is_some_and(|known| known.created == created) {
        return Ok(());
    }
    forget(tx, name)?;
    tx.put(NOTES, name, &Note { created, since: since.unwrap_or(now), ..Note::default() })
}

/// Makes `owner` the one that may write, and tells where it goes on.
pub(crate) fn claim(tx: &mut Tx<'_>, name: &str, created: i64, owner: &str) -> Result<(Note, Held), Fault> {
    let found: Option<Note> = tx.get(NOTES, name)?;
    let mut note = match found {
        Some(note) if note.created == created => note,
        _ => {
            forget(tx, name)?;
            Note { created, ..Note::default() }
        }
    };
    owner.clone_into(&mut note.owner);
    tx.put(NOTES, name, &note)?;
    let start = format!("{name}/");
    let held = tx.list_from::<Vec<Row>>(HELD, &start)?.into_iter().filter_map(|(key, rows)| {
        let pump = key[start.len()..].split('/').next()?.parse().ok()?;
        Some((pump, rows))
    });
    Ok((note, held.collect()))
}

/// Writes what one step brought; false when another task has the application now.
pub(crate) fn save(tx: &mut Tx<'_>, name: &str, note: &Note, step: &Step) -> Result<bool, Fault> {
    let known: Option<Note> = tx.get(NOTES, name)?;
    if known.is_none_or(|known| known.owner != note.owner) {
        return Ok(false);
    }
    for (pump, end) in &step.closed {
        let start = format!("{name}/{pump:04}/");
        for (key, _) in tx.list_from::<serde_json::Value>(HELD, &start)? {
            let time = key[start.len()..].split('/').next().and_then(|time| time.parse::<i64>().ok());
            if time.is_some_and(|time| time < *end) {
                tx.delete(HELD, &key)?;
            }
        }
    }
    for (number, (pump, rows)) in step.held.iter().enumerate() {
        for part in rows.chunk_by(|one, other| one.time == other.time) {
            let time = part.first().map_or(0, |row| row.time);
            let key = format!("{name}/{pump:04}/{time:020}/{:020}/{number:04}", note.time);
            tx.put(HELD, &key, &part)?;
        }
    }
    tx.put(NOTES, name, note)?;
    Ok(true)
}

/// Forgets everything: the application is gone, or starts at another place.
pub(crate) fn forget(tx: &mut Tx<'_>, name: &str) -> Result<(), Fault> {
    tx.delete(NOTES, name)?;
    for (key, _) in tx.list_from::<serde_json::Value>(HELD, &format!("{name}/"))? {
        tx.delete(HELD, &key)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::store::Store;
    use crate::local::{Call, Input};

    fn row(time: i64) -> Row {
        Row { time, values: Vec::new() }
    }

    #[test]
    fn the_last_claim_alone_may_write_and_windows_end() {
        let store = Store::memory().unwrap();
        let call = Call::new("", Input::Json(serde_json::Value::Null), 0);
        let claimed = |owner: &str| store.transaction(&call, |tx| claim(tx, "app", 7, owner)).unwrap();
        let saved = |note: &Note, step: &Step| store.transaction(&call, |tx| save(tx, "app", note, step)).unwrap();
        let (mut first, held) = claimed("one");
        assert!(held.is_empty());
        first.shards.insert("1.1/s".to_owned(), "41".to_owned());
        first.time = 5;
        let step = Step { held: vec![(0, vec![row(3), row(3), row(5)]), (1, vec![row(5)])], ..Step::default() };
        assert!(saved(&first, &step));
        let (second, held) = claimed("two");
        assert_eq!((second.shards.len(), second.time, held.len()), (1, 5, 3));
        assert!(!saved(&first, &Step::default()));
        assert!(saved(&second, &Step { closed: vec![(0, 5)], ..Step::default() }));
        assert_eq!(claimed("three").1, [(0, vec![row(5)]), (1, vec![row(5)])]);
        assert!(store.transaction(&call, |tx| claim(tx, "app", 8, "x")).unwrap().1.is_empty(), "another application");
    }
}
