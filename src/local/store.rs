//! The local cloud's memory: typed rows in one `SQLite` file.
//!
//! Rows are addressed by table, scope (account and region, or account alone for global services) and key.
//! Every API call is one transaction, so a process killed at any moment leaves whole calls or nothing.

mod past;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Call, Fault};

const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS rows (
        kind TEXT NOT NULL, scope TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (kind, scope, key)
    ) WITHOUT ROWID;";

/// The database of one local cloud.
pub(crate) struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the database file, creating it when missing.
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        Self::with(Connection::open(path)?)
    }

    /// Opens a database that lives in memory only.
    #[cfg(test)]
    pub(crate) fn memory() -> rusqlite::Result<Self> {
        Self::with(Connection::open_in_memory()?)
    }

    fn with(connection: Connection) -> rusqlite::Result<Self> {
        connection.execute_batch(TABLES)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Runs `work` in one transaction, kept when it succeeds and dropped when it fails.
    pub(crate) fn transaction<T>(
        &self,
        call: &Call,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = connection.transaction().map_err(internal)?;
        let (region, global) = (format!("{}/{}", call.account, call.region), call.account.clone());
        let mut tx = Tx { inner, region, global, now: call.now, lag: call.lag };
        let result = work(&mut tx)?;
        tx.inner.commit().map_err(internal)?;
        Ok(result)
    }
}

/// A row with the account and region that it belongs to.
pub(crate) struct Placed<T> {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) value: T,
}

impl Store {
    /// Reads the rows of a regional table in all accounts and regions.
    pub(crate) fn everywhere<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<Placed<T>>, Fault> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = connection
            .prepare_cached("SELECT scope, value FROM rows WHERE kind = ? ORDER BY scope, key")
            .map_err(internal)?;
        let rows = found
            .query_map(params![table.name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
            .map_err(internal)?;
        rows.map(|row| {
            let (scope, text) = row.map_err(internal)?;
            let (account, region) = scope.split_once('/').unwrap_or((&scope, ""));
            let value = serde_json::from_str(&text).map_err(internal)?;
            Ok(Placed { account: account.to_owned(), region: region.to_owned(), value })
        })
        .collect()
    }
}

/// One open transaction, seen from one caller's account and region.
pub(crate) struct Tx<'a> {
    inner: rusqlite::Transaction<'a>,
    region: String,
    global: String,
    /// Time of the call.
    now: i64,
    /// Milliseconds until everybody sees what the call changes in tables that spread.
    lag: i64,
}

/// A kind of row: its table name and whether its rows belong to the whole account or to one region.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    /// Unique name, such as `iam.role`.
    pub(crate) name: &'static str,
    /// True for services without regions (IAM).
    pub(crate) global: bool,
    /// Whether others can be made to see changes late.
    pub(crate) spreads: bool,
}

impl Table {
    /// A table whose rows belong to one region.
    pub(crate) const fn regional(name: &'static str) -> Self {
        Self { name, global: false, spreads: false }
    }

    /// A table whose rows belong to the whole account.
    pub(crate) const fn global(name: &'static str) -> Self {
        Self { name, global: true, spreads: false }
    }

    /// A table of the whole account whose changes others may see late.
    pub(crate) const fn spreading(name: &'static str) -> Self {
        Self { name, global: true, spreads: true }
    }
}

impl Tx<'_> {
    /// Works in another account for a moment, in the same region.
    pub(crate) fn in_account<T>(&mut self, account: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let region = self.region.split_once('/').map_or("", |(_, region)| region);
        let region = format!("{account}/{region}");
        let region = std::mem::replace(&mut self.region, region);
        let global = std::mem::replace(&mut self.global, account.to_owned());
        let result = work(self);
        (self.region, self.global) = (region, global);
        result
    }

    fn scope(&self, table: Table) -> &str {
        if table.global { &self.global } else { &self.region }
    }

    /// Reads one row.
    pub(crate) fn get<T: DeserializeOwned>(&self, table: Table, key: &str) -> Result<Option<T>, Fault> {
        self.text(table, key)?.map(|text| serde_json::from_str(&text).map_err(internal)).transpose()
    }

    fn text(&self, table: Table, key: &str) -> Result<Option<String>, Fault> {
        self.inner
            .prepare_cached("SELECT value FROM rows WHERE kind = ? AND scope = ? AND key = ?")
            .and_then(|mut found| {
                found.query_row(params![table.name, self.scope(table), key], |row| row.get(0)).optional()
            })
            .map_err(internal)
    }

    /// Tells whether a row exists.
    pub(crate) fn has(&self, table: Table, key: &str) -> Result<bool, Fault> {
        Ok(self.get::<serde_json::Value>(table, key)?.is_some())
    }

    /// Reads all rows of a table in the order of their keys.
    pub(crate) fn list<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<(String, T)>, Fault> {
        self.select(table, "", "")
    }

    /// Reads the rows of a table whose keys begin with a text, in the order of their keys.
    pub(crate) fn list_from<T: DeserializeOwned>(&self, table: Table, prefix: &str) -> Result<Vec<(String, T)>, Fault> {
        self.select(table, prefix, "")
    }

    /// Reads the rows of a table whose keys come after one, in the order of their keys.
    pub(crate) fn list_after<T: DeserializeOwned>(&self, table: Table, last: &str) -> Result<Vec<(String, T)>, Fault> {
        let mut found = self
            .inner
            .prepare_cached("SELECT key, value FROM rows WHERE kind = ? AND scope = ? AND key > ? ORDER BY key")
            .map_err(internal)?;
        let rows = found.query_map(params![table.name, self.scope(table), last], pair).map_err(internal)?;
        read(rows)
    }

    /// Reads the rows of a table whose stored JSON has a text somewhere, in the order of their keys. It spares the
    /// reading of most rows, where the caller looks more closely at what is left.
    pub(crate) fn list_with<T: DeserializeOwned>(&self, table: Table, text: &str) -> Result<Vec<(String, T)>, Fault> {
        self.select(table, "", text)
    }

    fn select<T: DeserializeOwned>(&self, table: Table, prefix: &str, text: &str) -> Result<Vec<(String, T)>, Fault> {
        let mut found = self
            .inner
            .prepare_cached(
                "SELECT key, value FROM rows WHERE kind = ?1 AND scope = ?2 AND key >= ?3 AND key < ?5
                 AND substr(key, 1, length(?3)) = ?3 AND (?4 = '' OR instr(value, ?4)) ORDER BY key",
            )
            .map_err(internal)?;
        // Keys are compared as UTF-8: what begins with the prefix comes before its longest continuation.
        let end = format!("{prefix}{}", char::MAX);
        let rows =
            found.query_map(params![table.name, self.scope(table), prefix, text, end], pair).map_err(internal)?;
        read(rows)
    }

    /// Writes one row, new or not.
    pub(crate) fn put<T: Serialize>(&mut self, table: Table, key: &str, value: &T) -> Result<(), Fault> {
        let text = serde_json::to_string(value).map_err(internal)?;
        self.remember(table, key)?;
        self.inner
            .prepare_cached("INSERT OR REPLACE INTO rows (kind, scope, key, value) VALUES (?, ?, ?, ?)")
            .and_then(|mut row| row.execute(params![table.name, self.scope(table), key, text]))
            .map_err(internal)?;
        Ok(())
    }

    /// Deletes one row and tells whether it was there.
    pub(crate) fn delete(&mut self, table: Table, key: &str) -> Result<bool, Fault> {
        self.remember(table, key)?;
        self.inner
            .prepare_cached("DELETE FROM rows WHERE kind = ? AND scope = ? AND key = ?")
            .and_then(|mut row| row.execute(params![table.name, self.scope(table), key]))
            .map(|count| count > 0)
            .map_err(internal)
    }
}

fn pair(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn read<T: DeserializeOwned>(
    rows: impl Iterator<Item = rusqlite::Result<(String, String)>>,
) -> Result<Vec<(String, T)>, Fault> {
    rows.map(|row| {
        let (key, text) = row.map_err(internal)?;
        Ok((key, serde_json::from_str(&text).map_err(internal)?))
    })
    .collect()
}

fn internal(cause: impl std::fmt::Display) -> Fault {
    Fault::with_status(500, "InternalFailure", format!("the local cloud's store failed: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::Input;

    #[test]
    fn rows_are_listed_from_the_first_to_the_last_of_a_prefix() {
        const NAMES: Table = Table::regional("names");
        let store = Store::memory().unwrap();
        let call = Call::new("List", Input::Json(serde_json::Value::Null), 1);
        let keys = ["a", "a/", "a/b", "a/é/c", "a/\u{10fffe}", "a0", "b"];
        let listed = store.transaction(&call, |tx| {
            keys.iter().try_for_each(|key| tx.put(NAMES, key, key))?;
            tx.list_from::<String>(NAMES, "a/")
        });
        let listed: Vec<String> = listed.unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(listed, ["a/", "a/b", "a/é/c", "a/\u{10fffe}"]);
        assert_eq!(store.transaction(&call, |tx| tx.list::<String>(NAMES)).unwrap().len(), keys.len());
    }
}
