//! The managed policies that AWS itself keeps in every account.
//!
//! All names are known, so that a mistyped one is refused as AWS would. Documents are known for those that
//! streaming stacks use; a policy without a known document grants nothing here.

use super::policy::{Policy, Version, name_of, path_of};
use super::tags::Tags;
use super::wire::derived_id;

const PREFIX: &str = "arn:aws:iam::aws:policy/";

/// Names with their paths, sorted.
const NAMES: &str = include_str!("aws_managed.txt");

/// 6 February 2015, when most of them were made.
const CREATED: i64 = 1_423_245_600_000;

const LOGS: &[&str] = &["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"];

/// What some of them allow on every resource.
const GRANTS: &[(&str, &[&[&str]])] = &[
    ("AWSLambda_FullAccess", &[&["lambda:*", "iam:PassRole", "logs:DescribeLogStreams"]]),
    ("AdministratorAccess", &[&["*"]]),
    ("AmazonDynamoDBFullAccess", &[&["dynamodb:*", "dax:*"]]),
    (
        "AmazonDynamoDBReadOnlyAccess",
        &[&["dynamodb:BatchGetItem", "dynamodb:Describe*", "dynamodb:List*"], DYNAMODB_READS],
    ),
    ("AmazonEC2FullAccess", &[&["ec2:*", "elasticloadbalancing:*", "cloudwatch:*", "autoscaling:*"]]),
    ("AmazonEC2ReadOnlyAccess", &[&["ec2:Describe*", "ec2:Get*"]]),
    ("AmazonKinesisAnalyticsFullAccess", &[&["kinesisanalytics:*"], ANALYTICS_STREAMS]),
    ("AmazonKinesisFirehoseFullAccess", &[&["firehose:*"]]),
    ("AmazonKinesisFullAccess", &[&["kinesis:*"]]),
    ("AmazonKinesisReadOnlyAccess", &[&["kinesis:Get*", "kinesis:List*", "kinesis:Describe*"]]),
    ("AmazonS3FullAccess", &[&["s3:*", "s3-object-lambda:*"]]),
    ("AmazonS3ReadOnlyAccess", &[&["s3:Get*", "s3:List*", "s3:Describe*"]]),
    ("AmazonSNSFullAccess", &[&["sns:*"]]),
    ("AmazonSNSReadOnlyAccess", &[&["sns:GetTopicAttributes", "sns:List*"]]),
    ("AmazonSQSFullAccess", &[&["sqs:*"]]),
    ("AmazonSSMFullAccess", &[&["ssm:*"]]),
    ("AmazonSSMReadOnlyAccess", &[&["ssm:Describe*", "ssm:Get*", "ssm:List*"]]),
    ("CloudWatchFullAccess", &[&["cloudwatch:*", "logs:*", "sns:*"]]),
    ("CloudWatchLogsFullAccess", &[&["logs:*"]]),
    ("PowerUserAccess", &[&["*"]]),
    ("ReadOnlyAccess", &[&["*:Get*", "*:List*", "*:Describe*"]]),
    ("service-role/AWSLambdaBasicExecutionRole", &[LOGS]),
    ("service-role/AWSLambdaDynamoDBExecutionRole", &[LOGS, DYNAMODB_STREAMS]),
    ("service-role/AWSLambdaKinesisExecutionRole", &[LOGS, KINESIS_READS]),
    ("service-role/AWSLambdaSQSQueueExecutionRole", &[LOGS, QUEUE_READS]),
    ("service-role/AWSLambdaVPCAccessExecutionRole", &[LOGS, INTERFACES]),
];

const DYNAMODB_READS: &[&str] = &["dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQLSelect"];
const DYNAMODB_STREAMS: &[&str] =
    &["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"];
const KINESIS_READS: &[&str] = &[
    "kinesis:DescribeStream",
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
    "kinesis:ListStreams",
    "kinesis:SubscribeToShard",
];
const ANALYTICS_STREAMS: &[&str] = &[
    "kinesis:CreateStream",
    "kinesis:DeleteStream",
    "kinesis:DescribeStream",
    "kinesis:ListStreams",
    "kinesis:PutRecord",
    "kinesis:PutRecords",
];
const QUEUE_READS: &[&str] = &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
const INTERFACES: &[&str] = &[
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeSubnets",
];

/// Tells whether an ARN is that of a managed policy of AWS, known or not.
pub(super) fn is_arn(arn: &str) -> bool {
    arn.starts_with(PREFIX)
}

/// Returns a policy of AWS by its ARN.
pub(super) fn find(arn: &str) -> Option<Policy> {
    let name = arn.strip_prefix(PREFIX)?;
    NAMES.lines().any(|known| known == name).then(|| policy(name))
}

/// Returns all policies of AWS.
pub(super) fn all() -> impl Iterator<Item = Policy> {
    NAMES.lines().map(policy)
}

fn policy(name: &str) -> Policy {
    let arn = format!("{PREFIX}{name}");
    let version = document(name).map(|document| Version { number: 1, document, created: CREATED });
    Policy {
        name: name_of(&arn).to_owned(),
        id: derived_id("ANPA", name),
        path: path_of(&arn).to_owned(),
        description: None,
        created: CREATED,
        updated: CREATED,
        tags: Tags::new(),
        default: 1,
        next: 2,
        versions: version.into_iter().collect(),
        arn,
    }
}

fn document(name: &str) -> Option<String> {
    let (_, actions) = GRANTS.iter().find(|(known, _)| *known == name)?;
    let statement = if name == "PowerUserAccess" {
        serde_json::json!({"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"})
    } else {
        serde_json::json!({"Effect": "Allow", "Action": actions.concat(), "Resource": "*"})
    };
    Some(serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_belongs_to_a_known_name() {
        for (name, _) in GRANTS {
            assert!(find(&format!("{PREFIX}{name}")).is_some_and(|policy| policy.document().is_some()), "{name}");
        }
    }

    #[test]
    fn unknown_names_and_other_accounts_are_not_found() {
        assert!(find("arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole").is_none());
        assert!(find("arn:aws:iam::000000000000:policy/AdministratorAccess").is_none());
    }

    #[test]
    fn names_are_sorted_and_unique() {
        let names: Vec<_> = NAMES.lines().collect();
        assert!(names.len() > 1000);
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
