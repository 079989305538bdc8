//! The numbers: how many calls each API takes, each with its source.
//!
//! AWS publishes few bursts: where a row's source names none, the bucket holds one second's worth. Rows whose source
//! begins with `assumed` stand for rates that AWS does not publish at all. Operations without a row, and all that
//! move data, are not limited here.

use serde_json::{Value, json};

/// Whether the operations of a row share its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    /// Each has it for itself.
    Each,
    /// They have it together.
    Shared,
}

/// What AWS counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Account and region.
    Account,
    /// Account alone, for services without regions.
    Global,
    /// Stream.
    Stream,
}

/// One row.
#[derive(Debug)]
pub(super) struct Limit {
    /// Name in the credential scope.
    service: &'static str,
    /// Names of operations; `*` at the end stands for any rest.
    operations: &'static [&'static str],
    /// Calls a second.
    pub(super) rate: f64,
    /// Calls at once after a rest.
    pub(super) burst: f64,
    pub(super) pool: Pool,
    pub(super) scope: Scope,
    source: &'static str,
}

const fn each(service: &'static str, rate: f64, operations: &'static [&'static str], source: &'static str) -> Limit {
    Limit { service, operations, rate, burst: rate, pool: Pool::Each, scope: Scope::Account, source }
}

const fn shared(service: &'static str, rate: f64, operations: &'static [&'static str], source: &'static str) -> Limit {
    Limit { pool: Pool::Shared, ..each(service, rate, operations, source) }
}

const fn bursting(service: &'static str, rate: f64, burst: f64, operations: &'static [&'static str]) -> Limit {
    Limit { burst, ..each(service, rate, operations, "facts/aws.md 12b.6; EC2 API throttling") }
}

/// All rows; the first that fits counts.
static LIMITS: &[Limit] = &[
    each(
        "kinesis",
        5.0,
        &["CreateStream", "DeleteStream", "ListStreams", "AddTagsToStream", "UpdateStreamWarmThroughput"],
        "facts/aws.md 1.6",
    ),
    each(
        "kinesis",
        5.0,
        &["ListTagsForStream", "RemoveTagsFromStream", "MergeShards", "SplitShard", "RegisterStreamConsumer"],
        "facts/aws.md 1.6, the stricter of AWS's two texts",
    ),
    each(
        "kinesis",
        5.0,
        &[
            "ListTagsForResource",
            "TagResource",
            "UntagResource",
            "StartStreamEncryption",
            "StopStreamEncryption",
            "UpdateStreamMode",
            "UpdateMaxRecordSize",
        ],
        "assumed: as the like operations of facts/aws.md 1.6",
    ),
    each("kinesis", 10.0, &["DescribeStream", "UpdateShardCount"], "facts/aws.md 1.6"),
    each("kinesis", 20.0, &["DescribeStreamSummary"], "facts/aws.md 1.6"),
    each("kinesis", 1.0, &["DescribeLimits"], "facts/aws.md 1.6"),
    Limit {
        scope: Scope::Stream,
        ..each(
            "kinesis",
            5.0,
            &[
                "IncreaseStreamRetentionPeriod",
                "DecreaseStreamRetentionPeriod",
                "EnableEnhancedMonitoring",
                "DisableEnhancedMonitoring",
                "ListStreamConsumers",
                "DeregisterStreamConsumer",
            ],
            "facts/aws.md 1.6",
        )
    },
    Limit { scope: Scope::Stream, ..each("kinesis", 20.0, &["DescribeStreamConsumer"], "facts/aws.md 1.6") },
    each("lambda", 100.0, &["GetFunction"], "facts/aws.md 11a.6"),
    each("lambda", 15.0, &["GetPolicy"], "facts/aws.md 11a.6"),
    shared("lambda", 15.0, &["Other"], "facts/aws.md 11a.6, 11b.6"),
    Limit {
        scope: Scope::Global,
        ..each("iam", 2.0, &["GetAccountAuthorizationDetails"], "assumed: facts/aws.md 4.1 says only low")
    },
    Limit {
        burst: 40.0,
        scope: Scope::Global,
        ..shared("iam", 10.0, &["Get*", "List*"], "assumed: what a public tool takes, facts/aws.md 4.6")
    },
    Limit {
        burst: 10.0,
        scope: Scope::Global,
        ..shared("iam", 5.0, &["*"], "assumed: half of what reads have; facts/aws.md 4.6 says only slower")
    },
    each("dynamodb", 5.0, &["TagResource", "UntagResource"], "facts/aws.md 9.6"),
    each("dynamodb", 10.0, &["ListTagsOfResource"], "facts/aws.md 9.6"),
    each("dynamodb", 10.0, &["DescribeContinuousBackups"], "DynamoDB API DescribeContinuousBackups"),
    each(
        "dynamodb",
        20.0,
        &["DescribeTable", "DescribeTimeToLive", "ListTables"],
        "assumed: facts/aws.md 9.6 has none",
    ),
    each(
        "dynamodb",
        10.0,
        &["CreateTable", "UpdateTable", "DeleteTable", "UpdateTimeToLive", "UpdateContinuousBackups"],
        "assumed: facts/aws.md 9.6 has none",
    ),
    each("sns", 100.0, &["Subscribe", "Unsubscribe"], "facts/aws.md 10b.6"),
    each("sns", 10.0, &["ListTagsForResource", "TagResource", "UntagResource"], "facts/aws.md 10a.2, 10a.4"),
    each("sns", 30.0, &["List*"], "facts/aws.md 10a.1, 10b.6"),
    each("sns", 1.0, &["GetSMSAttributes", "SetSMSAttributes"], "assumed: facts/aws.md 10c.6 says only low"),
    each("sns", 30.0, &["Create*", "Delete*", "Get*", "Set*"], "facts/aws.md 10a.6, from memory"),
    shared(
        "ssm",
        40.0,
        &["GetParameter", "GetParameters", "GetParametersByPath"],
        "Systems Manager endpoints and quotas: default throughput of Parameter Store",
    ),
    each("ssm", 3.0, &["PutParameter"], "Systems Manager endpoints and quotas: default throughput of Parameter Store"),
    each("ssm", 10.0, &["*"], "assumed: not published"),
    each("logs", 10.0, &["DescribeLogGroups", "CreateLogGroup", "DeleteLogGroup"], "facts/aws.md 13.6"),
    each("logs", 5.0, &["PutRetentionPolicy"], "facts/aws.md 13.6"),
    each("logs", 50.0, &["CreateLogStream"], "facts/aws.md 13.6"),
    each("logs", 5.0, &["ListTagsForResource", "TagResource", "UntagResource"], "CloudWatch Logs quotas"),
    each(
        "logs",
        5.0,
        &["DeleteRetentionPolicy", "AssociateKmsKey", "DisassociateKmsKey", "PutLogGroupDeletionProtection"],
        "assumed: as PutRetentionPolicy",
    ),
    each("tagging", 5.0, &["*"], "assumed: what public tools take, facts/aws.md 17.1"),
    bursting("ec2", 2.0, 5.0, &["RunInstances"]),
    bursting("ec2", 5.0, 100.0, &["TerminateInstances"]),
    bursting("ec2", 20.0, 100.0, &["Describe*", "Get*"]),
    Limit { burst: 50.0, ..each("ec2", 5.0, &["*"], "EC2 API throttling: mutating actions, from memory") },
    shared("kinesisanalytics", 5.0, &["*"], "assumed: facts/aws.md 2.7 has none"),
];

/// Returns the row of an operation with its number.
pub(super) fn find(service: &str, operation: &str) -> Option<(usize, &'static Limit)> {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => operation.starts_with(start),
        None => operation == pattern,
    };
    let mut rows = LIMITS.iter().enumerate();
    rows.find(|(_, limit)| limit.service == service && limit.operations.iter().any(|pattern| fits(pattern)))
}

/// Returns the rows for people and tests.
pub(super) fn page() -> Value {
    let row = |limit: &Limit| {
        json!({
            "service": limit.service,
            "operations": limit.operations,
            "rate": limit.rate,
            "burst": limit.burst,
            "shared": limit.pool == Pool::Shared,
            "by_stream": limit.scope == Scope::Stream,
            "source": limit.source,
        })
    };
    LIMITS.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::registry::SERVICES;

    #[test]
    fn rows_are_of_services_and_each_has_a_source() {
        for limit in LIMITS {
            assert!(SERVICES.iter().any(|entry| entry.signing == limit.service), "{limit:?}");
            assert!(limit.rate > 0.0 && limit.burst >= 1.0 && !limit.source.is_empty(), "{limit:?}");
        }
    }

    #[test]
    fn the_first_row_that_fits_counts() {
        let rate = |service, operation| find(service, operation).map(|(_, limit)| limit.rate);
        assert_eq!(rate("sns", "ListTagsForResource"), Some(10.0));
        assert_eq!(rate("sns", "ListTopics"), Some(30.0));
        assert_eq!(rate("iam", "GetRole"), Some(10.0));
        assert_eq!(rate("iam", "GetAccountAuthorizationDetails"), Some(2.0));
        assert_eq!(rate("iam", "CreateRole"), Some(5.0));
        assert_eq!(rate("kinesis", "PutRecords"), None);
        assert_eq!(rate("lambda", "Invoke"), None);
    }
}
