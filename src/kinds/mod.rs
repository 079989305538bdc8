//! The registry: every type of AWS resource that a stack file can name, one file each.

pub mod json;
pub mod kinesis_stream;
pub mod policy;
pub mod sns_subscription;
pub mod sns_topic;

use crate::kind::{AnyKind, Erased};

/// All kinds, in the order of `design.md` §3.
pub static KINDS: &[&dyn AnyKind] =
    &[&Erased::<kinesis_stream::KinesisStream>::new(), &Erased::<sns_topic::SnsTopic>::new()];

/// Returns the kind of a `type:`.
#[must_use]
pub fn find(type_name: &str) -> Option<&'static dyn AnyKind> {
    KINDS.iter().copied().find(|kind| kind.type_name() == type_name)
}
