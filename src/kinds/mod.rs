//! The registry: every type of AWS resource that a stack file can name, one file each.

pub mod cloudwatch_log_group;
pub mod dynamodb_table;
mod ec2;
pub mod ec2_instance;
pub mod ec2_security_group;
pub mod fields;
mod iam;
pub mod iam_instance_profile;
pub mod iam_policy;
pub mod iam_role;
pub mod json;
pub mod kinesis_analytics_application;
pub mod kinesis_stream;
mod lambda;
pub mod lambda_event_source_mapping;
pub mod lambda_function;
pub mod policy;
pub mod sns_subscription;
pub mod sns_topic;
pub mod ssm_parameter;

use std::sync::LazyLock;

use crate::kind::{AnyKind, AnyWrites, Erased};

/// All kinds, in the order of the reference, with what can be done to their objects.
pub static KINDS: &[&dyn AnyWrites] = &[
    &Erased::<kinesis_stream::KinesisStream>::new(),
    &Erased::<kinesis_analytics_application::KinesisAnalyticsApplication>::new(),
    &Erased::<iam_role::IamRole>::new(),
    &Erased::<iam_policy::IamPolicy>::new(),
    &Erased::<iam_instance_profile::IamInstanceProfile>::new(),
    &Erased::<dynamodb_table::DynamodbTable>::new(),
    &Erased::<sns_topic::SnsTopic>::new(),
    &Erased::<sns_subscription::SnsSubscription>::new(),
    &Erased::<lambda_function::LambdaFunction>::new(),
    &Erased::<lambda_event_source_mapping::LambdaEventSourceMapping>::new(),
    &Erased::<ec2_security_group::Ec2SecurityGroup>::new(),
    &Erased::<ec2_instance::Ec2Instance>::new(),
    &Erased::<cloudwatch_log_group::CloudwatchLogGroup>::new(),
    &Erased::<ssm_parameter::SsmParameter>::new(),
];

/// Returns all kinds as what can only look.
#[must_use]
pub fn all() -> &'static [&'static dyn AnyKind] {
    static READERS: LazyLock<Vec<&'static dyn AnyKind>> =
        LazyLock::new(|| KINDS.iter().map(|kind| *kind as &'static dyn AnyKind).collect());
    &READERS
}

/// Returns the kind of a `type:`.
#[must_use]
pub fn find(type_name: &str) -> Option<&'static dyn AnyKind> {
    all().iter().copied().find(|kind| kind.type_name() == type_name)
}

#[cfg(test)]
mod tests;
