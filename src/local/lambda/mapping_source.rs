//! Where a mapping reads from, and whether the function's role may (`facts/aws.md` 11b.3).

use serde_json::{Map, Value};

use super::super::store::Table;
use super::super::{Call, Fault, Tx, iam};
use super::{constraint, invalid, text};

const STREAMS: Table = Table::regional("kinesis.stream");
const TABLES: Table = Table::regional("dynamodb.table");

/// The event source of a mapping.
pub(super) struct Source {
    pub(super) arn: String,
    kind: Kind,
}

enum Kind {
    /// Name of a Kinesis stream.
    Stream(String),
    /// Name of the table of a DynamoDB stream.
    TableStream(String),
    Queue,
}

impl Source {
    /// Reads the ARN of a Kinesis stream, a DynamoDB stream or an SQS queue of this account and region.
    pub(super) fn parse(call: &Call, arn: &str) -> Result<Self, Fault> {
        let kind = if let Some(name) = arn.strip_prefix(&call.arn("kinesis", "stream/")) {
            Kind::Stream(name.to_owned())
        } else if let Some(rest) = arn.strip_prefix(&call.arn("dynamodb", "table/")) {
            let (name, _) =
                rest.split_once("/stream/").ok_or_else(|| invalid(format!("Unrecognized event source: {arn}")))?;
            Kind::TableStream(name.to_owned())
        } else if arn.starts_with(&call.arn("sqs", "")) {
            Kind::Queue
        } else {
            return Err(invalid(format!("Unrecognized event source, must be kinesis, dynamodb stream or sqs: {arn}")));
        };
        Ok(Self { arn: arn.to_owned(), kind })
    }

    pub(super) fn is_queue(&self) -> bool {
        matches!(self.kind, Kind::Queue)
    }

    /// Tells whether the queue keeps the order of its messages.
    pub(super) fn is_fifo(&self) -> bool {
        self.is_queue() && self.arn.strip_suffix(".fifo").is_some()
    }

    fn exists(&self, tx: &Tx<'_>) -> Result<bool, Fault> {
        match &self.kind {
            Kind::Stream(name) => tx.has(STREAMS, name),
            Kind::TableStream(name) => {
                let row: Option<Map<String, Value>> = tx.get(TABLES, name)?;
                Ok(row.is_some_and(|row| row.get("stream_arn").and_then(Value::as_str) == Some(&self.arn)))
            }
            // There is no SQS here: any queue that is well named counts as there.
            Kind::Queue => Ok(true),
        }
    }

    /// Service prefix, name of the service in texts, and the actions that its poller needs; a group is met by any member.
    fn needs(&self) -> (&'static str, &'static str, &'static [&'static [&'static str]]) {
        match self.kind {
            Kind::Stream(_) => {
                let needs: &[&[&str]] = &[
                    &["GetRecords"],
                    &["GetShardIterator"],
                    &["DescribeStream", "DescribeStreamSummary"],
                    &["ListShards"],
                ];
                ("kinesis", "Kinesis", needs)
            }
            Kind::TableStream(_) => {
                ("dynamodb", "DynamoDB", &[&["GetRecords"], &["GetShardIterator"], &["DescribeStream"]])
            }
            Kind::Queue => ("sqs", "SQS", &[&["ReceiveMessage"], &["DeleteMessage"], &["GetQueueAttributes"]]),
        }
    }
}

/// Checks that the role can read the source, and that the source exists.
pub(super) fn check_access(tx: &Tx<'_>, role: &str, source: &Source) -> Result<(), Fault> {
    let (prefix, service, groups) = source.needs();
    for group in groups {
        let mut allowed = false;
        for action in *group {
            allowed = allowed || iam::role_allows(tx, role, &format!("{prefix}:{action}"), &source.arn)?;
        }
        if !allowed {
            let all: Vec<&str> = groups.iter().map(|group| group[0]).collect();
            return Err(invalid(format!(
                "The provided execution role does not have permissions to call {} on {service}. Cannot access {}. Please ensure the role can perform the {} Actions on it in IAM.",
                group[0],
                source.arn,
                all.join(", ")
            )));
        }
    }
    if !source.exists(tx)? {
        return Err(invalid(format!("Stream not found: {}", source.arn)));
    }
    Ok(())
}

/// Checks that the role can send to the failure destination.
pub(super) fn check_destination(tx: &Tx<'_>, role: &str, body: &Value) -> Result<(), Fault> {
    let target = body.pointer("/DestinationConfig/OnFailure/Destination").and_then(Value::as_str);
    let Some(target) = target.filter(|target| !target.is_empty()) else { return Ok(()) };
    let (action, shown) = match target.split(':').nth(2) {
        Some("sns") => ("sns:Publish", "Publish on SNS"),
        Some("sqs") => ("sqs:SendMessage", "SendMessage on SQS"),
        Some("s3") => ("s3:PutObject", "PutObject on S3"),
        _ => return Err(invalid(format!("The destination ARN {target} is invalid."))),
    };
    if !iam::role_allows(tx, role, action, target)? {
        return Err(invalid(format!("The provided execution role does not have permissions to call {shown}")));
    }
    Ok(())
}

/// Checks the starting position: streams need one, queues have none.
pub(super) fn check_position(source: &Source, body: &Value) -> Result<(), Fault> {
    let position = text(body, "StartingPosition");
    if source.is_queue() {
        return match position {
            Some(_) => Err(invalid("StartingPosition is not valid for SQS event sources.")),
            None => Ok(()),
        };
    }
    let timestamp = body.get("StartingPositionTimestamp").is_some_and(|value| !value.is_null());
    match position {
        None => Err(invalid(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.",
        )),
        Some("TRIM_HORIZON" | "LATEST") if timestamp => {
            Err(invalid("StartingPositionTimestamp is only valid with AT_TIMESTAMP."))
        }
        Some("TRIM_HORIZON" | "LATEST") => Ok(()),
        Some("AT_TIMESTAMP") if matches!(source.kind, Kind::TableStream(_)) => {
            Err(invalid("AT_TIMESTAMP is not supported for DynamoDB streams."))
        }
        Some("AT_TIMESTAMP") if timestamp => Ok(()),
        Some("AT_TIMESTAMP") => Err(invalid("StartingPositionTimestamp is required with AT_TIMESTAMP.")),
        Some(other) => {
            let rule = "Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]";
            Err(constraint(&format!("Value '{other}' at 'startingPosition'"), rule))
        }
    }
}
