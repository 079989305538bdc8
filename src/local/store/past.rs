//! What rows were a moment ago, for readers to whom changes come late (`facts/aws.md` 0.2).
//!
//! A row that spreads leaves behind what it was, and until when others see that. It does not know what rows mean.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Table, Tx, internal};
use crate::local::Fault;

/// What spreading rows were, by table and key.
const PAST: Table = Table::global("store.past");

/// One state of a row that some still see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Past {
    since: i64,
    until: i64,
    /// The row's text; none when there was no row.
    text: Option<String>,
}

impl Tx<'_> {
    fn pasts(&self, table: Table, key: &str) -> Result<Vec<Past>, Fault> {
        Ok(self.get(PAST, &place(table, key))?.unwrap_or_default())
    }

    /// Keeps what a row is before it changes, for as long as the change takes to reach everybody.
    pub(super) fn remember(&mut self, table: Table, key: &str) -> Result<(), Fault> {
        if !table.spreads || self.lag <= 0 {
            return Ok(());
        }
        let text = self.text(table, key)?;
        let mut pasts = self.pasts(table, key)?;
        pasts.retain(|past| past.until > self.now);
        // What came before is seen until then, so a later change cannot be seen sooner.
        let soonest = pasts.last().map_or(0, |past| past.until);
        pasts.push(Past { since: self.now, until: soonest.max(self.now + self.lag), text });
        self.put(PAST, &place(table, key), &pasts)
    }

    /// Reads one row as those see it to whom changes come late.
    pub(crate) fn get_settled<T: DeserializeOwned>(&self, table: Table, key: &str) -> Result<Option<T>, Fault> {
        match self.pasts(table, key)?.into_iter().find(|past| past.until > self.now) {
            Some(past) => past.text.map(|text| serde_json::from_str(&text).map_err(internal)).transpose(),
            None => self.get(table, key),
        }
    }

    /// Tells whether a row is so new that its own service may not find it: never in the first quarter of the time
    /// that it takes to spread, and now and then in the second.
    pub(crate) fn is_fresh(&self, table: Table, key: &str) -> Result<bool, Fault> {
        let pasts = self.pasts(table, key)?;
        let made = pasts.iter().find(|past| past.text.is_none() && past.until > self.now);
        let Some(made) = made.filter(|_| self.now > 0) else { return Ok(false) };
        let (age, quarter) = (self.now - made.since, (made.until - made.since) / 4);
        Ok(age < quarter || (age < 2 * quarter && (self.now / 40) % 2 == 0))
    }
}

fn place(table: Table, key: &str) -> String {
    format!("{} {key}", table.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::store::Store;
    use crate::local::{Call, Input};

    const NAMES: Table = Table::spreading("names");

    fn at(store: &Store, now: i64, lag: i64, value: Option<&str>) {
        let call = Call { lag, ..Call::new("Put", Input::Json(serde_json::Value::Null), now) };
        let write = |tx: &mut Tx<'_>| match value {
            Some(value) => tx.put(NAMES, "k", &value),
            None => tx.delete(NAMES, "k").map(drop),
        };
        store.transaction(&call, write).unwrap();
    }

    fn seen(store: &Store, now: i64) -> (Option<String>, bool) {
        let call = Call::new("Get", Input::Json(serde_json::Value::Null), now);
        store.transaction(&call, |tx| Ok((tx.get_settled(NAMES, "k")?, tx.is_fresh(NAMES, "k")?))).unwrap()
    }

    #[test]
    fn changes_are_seen_when_their_time_has_come() {
        let store = Store::memory().unwrap();
        let named = |name: &str| Some(name.to_owned());
        at(&store, 1000, 400, Some("one"));
        assert_eq!(seen(&store, 1001), (None, true));
        assert_eq!((seen(&store, 1399).0, seen(&store, 1250).1), (None, false));
        assert_eq!(seen(&store, 1400), (named("one"), false));
        at(&store, 2000, 400, Some("two"));
        at(&store, 2100, 100, Some("three"));
        assert_eq!(seen(&store, 2399), (named("one"), false), "a quicker change does not overtake a slower one");
        assert_eq!(seen(&store, 2400).0, named("three"));
        at(&store, 3000, 50, None);
        assert_eq!((seen(&store, 3049).0, seen(&store, 3050).0), (named("three"), None));
    }

    #[test]
    fn without_a_lag_everybody_sees_everything_at_once() {
        let store = Store::memory().unwrap();
        at(&store, 1000, 0, Some("one"));
        assert_eq!(seen(&store, 1000), (Some("one".to_owned()), false));
    }
}
