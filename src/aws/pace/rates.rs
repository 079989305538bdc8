//! How many calls AWS takes of each API, by the names that the SDK has for services and operations.
//!
//! Published rates come from `facts/aws.md`; where AWS publishes none, the row says what is assumed. Bursts are a
//! third of AWS's bucket, of IAM's two fifths: several runs in a row and other users of the account draw from it as well,
//! and calls that were held up on their way come all at once. What has no row goes as it comes.

/// Calls a second, and at once after a rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) rate: f64,
    pub(super) burst: f64,
}

#[derive(Debug)]
struct Row {
    service: &'static str,
    /// Names; `*` at the end stands for any rest.
    operations: &'static [&'static str],
    rate: f64,
    burst: f64,
    /// Whether the operations have the rate together, or each for itself.
    shared: bool,
}

const fn each(service: &'static str, rate: f64, operations: &'static [&'static str]) -> Row {
    let burst = if rate > 3.0 { rate / 3.0 } else { 1.0 };
    Row { service, operations, rate, burst, shared: false }
}

const fn shared(service: &'static str, rate: f64, operations: &'static [&'static str]) -> Row {
    Row { shared: true, ..each(service, rate, operations) }
}

const KINESIS: &str = "Kinesis";
const DYNAMODB: &str = "DynamoDB";
const LOGS: &str = "CloudWatch Logs";

static ROWS: &[Row] = &[
    // facts/aws.md 1.6; tag calls by ARN, encryption, mode and record size: assumed to be like the others.
    each(
        KINESIS,
        5.0,
        &[
            "CreateStream",
            "DeleteStream",
            "ListStreams",
            "AddTagsToStream",
            "RemoveTagsFromStream",
            "ListTagsForStream",
            "ListTagsForResource",
            "TagResource",
            "UntagResource",
            "StartStreamEncryption",
            "StopStreamEncryption",
            "UpdateStreamMode",
            "UpdateMaxRecordSize",
        ],
    ),
    each(KINESIS, 10.0, &["UpdateShardCount"]),
    each(KINESIS, 20.0, &["DescribeStreamSummary"]),
    each(KINESIS, 1.0, &["DescribeLimits"]),
    // facts/aws.md 11a.6, 11b.6.
    each("Lambda", 100.0, &["GetFunction"]),
    each("Lambda", 15.0, &["GetPolicy"]),
    each("Lambda", 1000.0, &["Invoke"]),
    shared("Lambda", 15.0, &["*"]),
    // Not published: facts/aws.md 4.1 says that it is low.
    each("IAM", 2.0, &["GetAccountAuthorizationDetails"]),
    // Not published: facts/aws.md 4.6 has what a public tool takes for reads; half of that for writes.
    Row { burst: 16.0, ..shared("IAM", 10.0, &["Get*", "List*"]) },
    Row { burst: 4.0, ..shared("IAM", 5.0, &["*"]) },
    // facts/aws.md 9.6, DynamoDB API DescribeContinuousBackups; the others are not published, assumed.
    each(DYNAMODB, 5.0, &["TagResource", "UntagResource"]),
    each(DYNAMODB, 10.0, &["ListTagsOfResource", "DescribeContinuousBackups"]),
    each(DYNAMODB, 20.0, &["DescribeTable", "DescribeTimeToLive", "ListTables"]),
    each(DYNAMODB, 10.0, &["CreateTable", "UpdateTable", "DeleteTable", "UpdateTimeToLive", "UpdateContinuousBackups"]),
    // facts/aws.md 10a, 10b.6.
    each("SNS", 100.0, &["Subscribe", "Unsubscribe"]),
    each("SNS", 10.0, &["ListTagsForResource", "TagResource", "UntagResource"]),
    each("SNS", 30.0, &["List*", "Create*", "Delete*", "Get*", "Set*"]),
    // Systems Manager endpoints and quotas, default throughput; the others are not published, assumed.
    shared("SSM", 40.0, &["GetParameter", "GetParameters", "GetParametersByPath"]),
    each("SSM", 3.0, &["PutParameter"]),
    each("SSM", 10.0, &["*"]),
    // facts/aws.md 13.6, CloudWatch Logs quotas.
    each(LOGS, 10.0, &["DescribeLogGroups", "CreateLogGroup", "DeleteLogGroup"]),
    each(
        LOGS,
        5.0,
        &[
            "PutRetentionPolicy",
            "DeleteRetentionPolicy",
            "AssociateKmsKey",
            "DisassociateKmsKey",
            "PutLogGroupDeletionProtection",
            "ListTagsForResource",
            "TagResource",
            "UntagResource",
        ],
    ),
    // facts/aws.md 17.1: what public tools take.
    each("Resource Groups Tagging API", 5.0, &["*"]),
    // facts/aws.md 12b.6, EC2 API throttling.
    each("EC2", 2.0, &["RunInstances"]),
    Row { burst: 25.0, ..each("EC2", 5.0, &["TerminateInstances"]) },
    Row { burst: 25.0, ..each("EC2", 20.0, &["Describe*", "Get*"]) },
    Row { burst: 12.0, ..each("EC2", 5.0, &["*"]) },
    // Not published, assumed.
    shared("Kinesis Analytics", 5.0, &["*"]),
];

/// Returns the row of an operation, and the operation's name where each of the row's has the rate for itself.
pub(super) fn find<'a>(service: &str, operation: &'a str) -> Option<(usize, &'a str)> {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => operation.starts_with(start),
        None => operation == pattern,
    };
    let fits = |row: &Row| row.service == service && row.operations.iter().any(|pattern| fits(pattern));
    let (index, row) = ROWS.iter().enumerate().find(|(_, row)| fits(row))?;
    Some((index, if row.shared { "" } else { operation }))
}

/// Returns the rate of a row.
pub(super) fn of(row: usize) -> Rate {
    let (rate, burst) = ROWS.get(row).map_or((f64::from(u32::MAX), 1.0), |row| (row.rate, row.burst));
    Rate { rate, burst }
}
