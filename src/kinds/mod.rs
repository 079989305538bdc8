//! The registry: every type of AWS resource that a stack file can name, one file each.

pub mod kinesis_analytics_application;
pub mod kinesis_stream;
pub mod lambda_event_source_mapping;
pub mod lambda_function;
pub mod policy;

use crate::kind::{AnyKind, Erased};

/// All kinds, in the order of `design.md` §3.
pub static KINDS: &[&dyn AnyKind] = &[
    &Erased::<kinesis_stream::KinesisStream>::new(),
    &Erased::<kinesis_analytics_application::KinesisAnalyticsApplication>::new(),
    &Erased::<lambda_function::LambdaFunction>::new(),
    &Erased::<lambda_event_source_mapping::LambdaEventSourceMapping>::new(),
];

/// Returns the kind of a `type:`.
#[must_use]
pub fn find(type_name: &str) -> Option<&'static dyn AnyKind> {
    KINDS.iter().copied().find(|kind| kind.type_name() == type_name)
}
