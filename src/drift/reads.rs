//! Every AWS operation that the drift check can make, as IAM actions.
//!
//! The list is the least policy for CI, and clients that are opened for reading refuse everything else.

use std::collections::BTreeSet;

use crate::kind::AnyKind;

/// What is asked besides the kinds' own reads: whose credentials these are, and what carries the stack's tags.
const GENERAL: [&str; 2] = ["sts:GetCallerIdentity", "tag:GetResources"];

/// What `--who` asks.
pub const WHO: &str = "cloudtrail:LookupEvents";

/// Returns the actions, sorted.
#[must_use]
pub fn actions(kinds: &[&'static dyn AnyKind], who: bool) -> BTreeSet<&'static str> {
    let own = kinds.iter().flat_map(|kind| kind.reads().iter().copied());
    own.chain(GENERAL).chain(who.then_some(WHO)).collect()
}
