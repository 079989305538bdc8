//! The records of all streams of one account and region, in one `SQLite` file.
//!
//! A call's records are one transaction. A shard's records have positions counted from 1 without gaps; where each
//! shard's next record goes is kept in memory as well, so that a reader at the end of a shard costs no query.
//! It knows nothing of hash keys, retention periods or iterators.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::sequence::Origin;
use crate::local::Fault;

/// A record's place is its shard's number in this file and its position, so that a shard's records lie together.
const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS shards (
        id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, made INTEGER NOT NULL, shard INTEGER NOT NULL,
        next INTEGER NOT NULL, latest INTEGER NOT NULL, UNIQUE (stream, made, shard)
    );
    CREATE TABLE IF NOT EXISTS records (
        place INTEGER PRIMARY KEY, arrived INTEGER NOT NULL, encrypted INTEGER NOT NULL,
        number TEXT NOT NULL, key TEXT NOT NULL, data TEXT NOT NULL
    );";

const POSITIONS: u32 = 40;
const END: i64 = (1 << POSITIONS) - 1;

/// A shard of one incarnation of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ShardKey {
    pub(super) stream: String,
    /// Milliseconds since the epoch at which the stream was made.
    pub(super) made: i64,
    /// The shard's index in the stream.
    pub(super) shard: usize,
}

/// A record to be written.
pub(super) struct Draft<'a> {
    pub(super) shard: usize,
    pub(super) key: &'a str,
    /// The payload, in base64 as it came and as it is given out.
    pub(super) data: &'a str,
}

/// The drafts of one call.
pub(super) struct Batch<'a> {
    pub(super) stream: &'a str,
    pub(super) made: i64,
    /// The shards that the drafts go to.
    pub(super) shards: BTreeMap<usize, Origin>,
    pub(super) drafts: Vec<Draft<'a>>,
    pub(super) encrypted: bool,
    pub(super) now: i64,
}

/// A stored record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) arrived: i64,
    pub(super) encrypted: bool,
    pub(super) number: String,
    pub(super) key: String,
    pub(super) data: String,
}

/// What one reading found.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) records: Vec<Record>,
    /// Position at which to read on.
    pub(super) next: i64,
    /// Whether there are records from there on.
    pub(super) more: bool,
}

/// How much one reading takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portion {
    pub(super) records: usize,
    /// Characters of data after which no further record is added.
    pub(super) size: usize,
    /// Records that arrived before this time are passed over.
    pub(super) since: i64,
}

/// Why a batch was not written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// A shard was closed in the meantime, and a reader knows of its end.
    Sealed,
    Failed(Fault),
}

#[derive(Debug, Clone, Copy)]
struct Head {
    id: i64,
    next: i64,
    /// Arrival of the newest record; arrivals never go back within a shard.
    latest: i64,
}

/// The records of one account and region.
pub(super) struct Log {
    inner: Mutex<Inner>,
}

struct Inner {
    file: Connection,
    heads: HashMap<ShardKey, Head>,
    sealed: HashSet<ShardKey>,
    tended: i64,
}

impl Log {
    /// Opens the file, creating it when missing; without a path the records live in memory.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Fault> {
        let file = match path {
            Some(path) => Connection::open(path),
            None => Connection::open_in_memory(),
        };
        let file = file.map_err(failed)?;
        file.execute_batch(TABLES).map_err(failed)?;
        let heads = heads(&file).map_err(failed)?;
        Ok(Self { inner: Mutex::new(Inner { file, heads, sealed: HashSet::new(), tended: 0 }) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a batch, all or nothing, and returns the sequence numbers in the order of the drafts.
    pub(super) fn append(&self, batch: &Batch<'_>) -> Result<Vec<String>, Unwritten> {
        let mut inner = self.inner();
        let Inner { file, heads, sealed, .. } = &mut *inner;
        let key = |shard: usize| ShardKey { stream: batch.stream.to_owned(), made: batch.made, shard };
        if batch.shards.keys().any(|shard| sealed.contains(&key(*shard))) {
            return Err(Unwritten::Sealed);
        }
        let known = batch.shards.keys().map(|shard| (*shard, heads.get(&key(*shard)).copied())).collect();
        let written = write(file, batch, known).map_err(|cause| Unwritten::Failed(failed(cause)))?;
        heads.extend(written.heads.into_iter().map(|(shard, head)| (key(shard), head)));
        Ok(written.numbers)
    }

    /// Returns the position that the shard's next record will have.
    pub(super) fn end(&self, key: &ShardKey) -> i64 {
        self.inner().heads.get(key).map_or(1, |head| head.next)
    }

    /// Returns the position of the first record that arrived at a time or later.
    pub(super) fn at_time(&self, key: &ShardKey, time: i64) -> Result<i64, Fault> {
        let inner = self.inner();
        let Some(head) = inner.heads.get(key) else { return Ok(1) };
        if head.latest < time {
            return Ok(head.next);
        }
        let found = first_since(&inner.file, head.id, time).map_err(failed)?;
        Ok(found.unwrap_or(head.next))
    }

    /// Reads records from a position on.
    pub(super) fn read(&self, key: &ShardKey, from: i64, portion: Portion) -> Result<Page, Fault> {
        let inner = self.inner();
        let next = inner.heads.get(key).map_or(1, |head| head.next);
        match inner.heads.get(key) {
            Some(head) if from < next => page(&inner.file, *head, from.max(0), portion).map_err(failed),
            _ => Ok(Page { records: Vec::new(), next: from.min(next), more: false }),
        }
    }

    /// Closes a shard for good when there is nothing to read from a position on, and tells whether it did: from then
    /// on no record can come into it, so its readers may turn to its children.
    pub(super) fn seal(&self, key: &ShardKey, from: i64) -> bool {
        let mut inner = self.inner();
        let ended = inner.heads.get(key).is_none_or(|head| from >= head.next);
        if ended && !inner.sealed.contains(key) {
            inner.sealed.insert(key.clone());
        }
        ended
    }

    /// Removes a shard's records that arrived before a time.
    pub(super) fn trim(&self, key: &ShardKey, since: i64) -> Result<(), Fault> {
        let inner = self.inner();
        let Some(head) = inner.heads.get(key) else { return Ok(()) };
        let first = first_since(&inner.file, head.id, since).map_err(failed)?.unwrap_or(head.next);
        let places = params![place(head.id, 0), place(head.id, first)];
        inner.file.execute("DELETE FROM records WHERE place >= ? AND place < ?", places).map_err(failed)?;
        Ok(())
    }

    /// Removes the records of a stream, but for those of the incarnation to keep.
    pub(super) fn forget(&self, stream: &str, keep: Option<i64>) -> Result<(), Fault> {
        let mut inner = self.inner();
        let Inner { file, heads, sealed, .. } = &mut *inner;
        let goes = |key: &ShardKey| key.stream == stream && Some(key.made) != keep;
        let gone: Vec<Head> = heads.iter().filter(|(key, _)| goes(key)).map(|(_, head)| *head).collect();
        remove(file, &gone).map_err(failed)?;
        heads.retain(|key, _| !goes(key));
        sealed.retain(|key| !goes(key));
        Ok(())
    }

    /// Lists the shards that have or had records.
    pub(super) fn shards(&self) -> Vec<ShardKey> {
        self.inner().heads.keys().cloned().collect()
    }

    /// Tells whether some time has passed since this last said yes.
    pub(super) fn is_due(&self, now: i64, every: i64) -> bool {
        let mut inner = self.inner();
        let due = now - inner.tended >= every;
        if due {
            inner.tended = now;
        }
        due
    }
}

fn place(id: i64, position: i64) -> i64 {
    (id << POSITIONS) | position.clamp(0, END)
}

fn heads(file: &Connection) -> rusqlite::Result<HashMap<ShardKey, Head>> {
    let mut found = file.prepare("SELECT stream, made, shard, id, next, latest FROM shards")?;
    let rows = found.query_map([], |row| {
        let key = ShardKey { stream: row.get(0)?, made: row.get(1)?, shard: row.get(2)? };
        Ok((key, Head { id: row.get(3)?, next: row.get(4)?, latest: row.get(5)? }))
    })?;
    rows.collect()
}

struct Written {
    numbers: Vec<String>,
    heads: BTreeMap<usize, Head>,
}

fn write(file: &mut Connection, batch: &Batch<'_>, known: BTreeMap<usize, Option<Head>>) -> rusqlite::Result<Written> {
    let tx = file.transaction()?;
    let mut heads = BTreeMap::new();
    for (shard, head) in known {
        heads.insert(shard, head.map_or_else(|| open_shard(&tx, batch, shard), Ok)?);
    }
    let numbers = write_records(&tx, batch, &mut heads)?;
    for head in heads.values() {
        tx.prepare_cached("UPDATE shards SET next = ?, latest = ? WHERE id = ?")?.execute(params![
            head.next,
            head.latest,
            head.id
        ])?;
    }
    tx.commit()?;
    Ok(Written { numbers, heads })
}

fn open_shard(tx: &Transaction<'_>, batch: &Batch<'_>, shard: usize) -> rusqlite::Result<Head> {
    tx.prepare_cached("INSERT INTO shards (stream, made, shard, next, latest) VALUES (?, ?, ?, 1, 0)")?
        .execute(params![batch.stream, batch.made, shard])?;
    Ok(Head { id: tx.last_insert_rowid(), next: 1, latest: 0 })
}

fn write_records(
    tx: &Transaction<'_>,
    batch: &Batch<'_>,
    heads: &mut BTreeMap<usize, Head>,
) -> rusqlite::Result<Vec<String>> {
    let mut row = tx.prepare_cached(
        "INSERT INTO records (place, arrived, encrypted, number, key, data) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    let mut numbers = Vec::with_capacity(batch.drafts.len());
    for draft in &batch.drafts {
        let (Some(head), Some(origin)) = (heads.get_mut(&draft.shard), batch.shards.get(&draft.shard)) else {
            return Err(rusqlite::Error::QueryReturnedNoRows);
        };
        head.latest = head.latest.max(batch.now);
        let number = origin.number(head.next, head.latest);
        let place = place(head.id, head.next);
        row.execute(params![place, head.latest, batch.encrypted, number, draft.key, draft.data])?;
        head.next += 1;
        numbers.push(number);
    }
    Ok(numbers)
}

fn page(file: &Connection, head: Head, from: i64, portion: Portion) -> rusqlite::Result<Page> {
    let mut found = file.prepare_cached(
        "SELECT place, arrived, encrypted, number, key, data FROM records
         WHERE place >= ? AND place <= ? AND arrived >= ? ORDER BY place LIMIT ?",
    )?;
    let mut rows = found.query(params![place(head.id, from), place(head.id, END), portion.since, portion.records])?;
    let (mut records, mut next, mut size) = (Vec::new(), head.next, 0);
    while let Some(row) = rows.next()? {
        let record = Record {
            arrived: row.get(1)?,
            encrypted: row.get(2)?,
            number: row.get(3)?,
            key: row.get(4)?,
            data: row.get(5)?,
        };
        size += record.data.len();
        if size > portion.size && !records.is_empty() {
            break;
        }
        next = (row.get::<_, i64>(0)? & END) + 1;
        records.push(record);
    }
    Ok(Page { records, next, more: next < head.next })
}

fn first_since(file: &Connection, id: i64, time: i64) -> rusqlite::Result<Option<i64>> {
    file.prepare_cached(
        "SELECT place FROM records WHERE place >= ? AND place <= ? AND arrived >= ? ORDER BY place LIMIT 1",
    )?
    .query_row(params![place(id, 0), place(id, END), time], |row| row.get::<_, i64>(0))
    .map(|place| place & END)
    .optional()
}

fn remove(file: &mut Connection, gone: &[Head]) -> rusqlite::Result<()> {
    let tx = file.transaction()?;
    for head in gone {
        tx.execute("DELETE FROM records WHERE place >= ? AND place <= ?", [place(head.id, 0), place(head.id, END)])?;
        tx.execute("DELETE FROM shards WHERE id = ?", [head.id])?;
    }
    tx.commit()
}

fn failed(cause: impl std::fmt::Display) -> Fault {
    let hint = "`stackctl local reset` starts afresh";
    let text = format!("the local cloud's records cannot be used: {cause}; {hint}");
    Fault::with_status(500, "InternalFailure", text)
}

#[cfg(test)]
mod tests;
