//! Removes records that nobody can read any more: those older than their stream keeps them, and those of streams
//! that are gone (`facts/aws.md` 1.4, 1.5).

use super::Desk;
use super::clock::{made, retained_since};
use crate::local::Fault;

/// Milliseconds between two rounds.
const PAUSE: i64 = 60_000;

impl Desk<'_> {
    /// Looks at all shards when it is time to. No stream may be made meanwhile.
    pub(super) async fn tend(&self) -> Result<(), Fault> {
        if !self.log.is_due(self.call.now, PAUSE) {
            return Ok(());
        }
        for key in self.log.shards() {
            match self.engine.get_stream(&key.stream).await {
                Ok(stream) if made(&stream) == key.made => {
                    self.log.trim(&key, retained_since(&stream, self.call.now))?;
                }
                Ok(stream) => self.log.forget(&key.stream, Some(made(&stream)))?,
                Err(_) => self.log.forget(&key.stream, None)?,
            }
        }
        Ok(())
    }

    /// Removes the records of a stream whose deletion has ended. No stream may be made meanwhile.
    pub(super) async fn clear(&self) -> Result<(), Fault> {
        if self.engine.contains_stream(self.name()).await { Ok(()) } else { self.log.forget(self.name(), None) }
    }
}
