//! The run guard: a lease on a stack, in an item of a DynamoDB table, that one run at a time holds.
//!
//! All writes are conditional, and reads are consistent, so DynamoDB decides who comes first.
//!
//! - *Take.* An item without `owner` is free. The run that takes it writes a random `owner`, and the `token` grows by
//!   one. The token outlives the lease: it tells holders apart in the order in which they held it.
//! - *Renew.* Every third of the lease's `length` the holder makes `beat` grow, on condition that `owner` and `token`
//!   are its own.
//! - *Lose.* When that condition fails, somebody else has ended the lease. When no renewal has succeeded for five
//!   sixths of the length, counted from before the last good one was sent, the holder takes it for lost. A run that
//!   lost its lease starts nothing new.
//! - *Take over.* No clock is compared with another machine's. Who waits looks at `owner`, `token` and `beat`: once
//!   they have stayed the same for a whole length by its own monotonic clock, the holder has given up before, and the
//!   lease is taken on condition that they are still the same. The `expires` of the item, by the holder's clock, is for
//!   people to read; of an item that is past it a run believes only that watching it is worth the wait.
//! - *Give back.* The item stays without its `owner`, and keeps the token and who was last. A table with time to live
//!   on `ttl` drops it thirty days after the last write; the token then starts again, and owners still differ.
//!
//! What AWS was already asked for when a lease is lost goes on: AWS knows no token that it would refuse. A machine that
//! sleeps counts no time; it learns at its next renewal that it was away for too long.
//!
//! [`item`] and [`rules`] are data and decisions; [`store`] makes the calls and [`keep`] is the clockwork.

pub mod item;
pub mod keep;
pub mod owner;
pub mod rules;
pub mod store;
#[cfg(test)]
mod testing;
