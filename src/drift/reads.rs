//! Every AWS operation that the drift check can make, as IAM actions.
//!
//! The list is the least policy for CI, and clients that are opened for reading refuse everything else.

use std::collections::BTreeSet;

use crate::kind::AnyKind;

/// What is asked besides the kinds' own reads: whose credentials these are, and what carries the stack's tags.
const GENERAL: [&str; 2] = ["sts:GetCallerIdentity", "tag:GetResources"];

/// What `--who` asks.
pub const WHO: &str = "cloudtrail:LookupEvents";

/// Returns the actions, sorted: on AWS itself, or also those by which an emulator is swept.
#[must_use]
pub fn actions(kinds: &[&'static dyn AnyKind], emulator: bool, who: bool) -> BTreeSet<&'static str> {
    let own = kinds.iter().flat_map(|kind| kind.reads());
    let swept = kinds.iter().filter(|kind| emulator || kind.tag_index().is_none());
    let lists = swept.flat_map(|kind| kind.lists());
    own.chain(lists).copied().chain(GENERAL).chain(who.then_some(WHO)).collect()
}
