//! CloudTrail of the local cloud: the management events that write, and the one operation that looks them up.
//!
//! Events are there at once; AWS takes some minutes. Trails, and all that is stored elsewhere, are not offered.

mod event;
mod lookup;
mod record;
#[cfg(test)]
mod tests;

use super::store::Table;
use super::{Answer, Call, Outcome, Service, Tx, unknown_operation};

pub(crate) use record::record;

/// Events, by their number modulo [`KEPT`].
const EVENTS: Table = Table::regional("cloudtrail.event");

/// One row: the number of events so far.
const COUNT: Table = Table::regional("cloudtrail.count");

/// How many events of an account and region are kept.
const KEPT: u64 = 10_000;

/// The service `cloudtrail`.
pub(crate) struct CloudTrail;

impl Service for CloudTrail {
    fn handle(&self, tx: &mut Tx<'_>, call: &Call) -> Outcome {
        match call.operation.as_str() {
            "LookupEvents" => lookup::lookup(tx, call).map(Answer::json),
            _ => Err(unknown_operation(call)),
        }
    }
}
