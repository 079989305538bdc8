//! The registry: every type of AWS resource that a stack file can name, one file each.

use crate::kind::AnyKind;

/// All kinds, in the order of `design.md` §3.
pub static KINDS: &[&dyn AnyKind] = &[];

/// Returns the kind of a `type:`.
#[must_use]
pub fn find(type_name: &str) -> Option<&'static dyn AnyKind> {
    KINDS.iter().copied().find(|kind| kind.type_name() == type_name)
}
