//! Reads shards and records through the public API, with the function's role.
//!
//! It knows both kinds of streams; what it gives back is the same for both.

use serde_json::{Value, json};

use super::options::{Kind, Options};
use crate::local::{Answer, Cloud, Fault, Input, Outcome, Who};

/// One shard of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) id: String,
    pub(super) parents: Vec<String>,
}

/// One answer of `GetRecords`.
pub(super) struct Page {
    pub(super) records: Vec<Value>,
    /// Where to go on; none at the end of a closed shard.
    pub(super) next: Option<String>,
}

/// Why the source could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The iterator is of no use any more.
    Iterator,
    /// There were too many calls.
    Throttled,
    /// There is no such stream.
    Gone,
    /// Anything else.
    Other,
}

impl Trouble {
    /// Classifies a fault by its code.
    pub(super) fn of(fault: &Fault) -> Self {
        match fault.code.as_str() {
            "ExpiredIteratorException" | "InvalidArgumentException" | "TrimmedDataAccessException" => Self::Iterator,
            "ProvisionedThroughputExceededException" | "LimitExceededException" | "ThrottlingException" => {
                Self::Throttled
            }
            "ResourceNotFoundException" => Self::Gone,
            _ => Self::Other,
        }
    }
}

/// Says what is wrong with a source in the mapping's `LastProcessingResult`.
pub(super) fn problem(options: &Options, fault: &Fault) -> String {
    if Trouble::of(fault) == Trouble::Gone {
        return format!("PROBLEM: Stream not found: {}", options.source);
    }
    if fault.code.contains("AccessDenied") {
        let last = match options.kind {
            Kind::Stream => "ListShards",
            Kind::Table => "ListStreams",
        };
        return format!(
            "PROBLEM: Cannot access stream {}. Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, {last} Actions on your stream in IAM.",
            options.source
        );
    }
    format!("PROBLEM: {}: {}", fault.code, fault.message)
}

/// Reads one source.
pub(super) struct Reader<'a> {
    pub(super) cloud: &'a Cloud,
    pub(super) who: &'a Who,
    pub(super) options: &'a Options,
}

impl Reader<'_> {
    async fn ask(&self, operation: &str, mut body: Value) -> Result<Value, Fault> {
        let (service, field) = match self.options.kind {
            Kind::Stream => ("kinesis", "StreamARN"),
            Kind::Table => ("dynamodb", "StreamArn"),
        };
        if self.options.kind == Kind::Stream || operation != "GetRecords" {
            body[field] = json!(self.options.source);
        }
        body_of(self.cloud.ask(self.who, service, operation, Input::Json(body)).await)
    }

    /// Returns all shards, open and closed.
    pub(super) async fn shards(&self) -> Result<Vec<Shard>, Fault> {
        let (mut shards, mut last): (Vec<Shard>, Option<String>) = (Vec::new(), None);
        loop {
            let body = last.as_ref().map_or_else(|| json!({}), |last| json!({ "ExclusiveStartShardId": last }));
            let (page, more) = match self.options.kind {
                Kind::Stream => {
                    let answer = self.ask("ListShards", body).await?;
                    (answer["Shards"].clone(), !answer["NextToken"].is_null())
                }
                Kind::Table => {
                    let answer = self.ask("DescribeStream", body).await?;
                    let about = &answer["StreamDescription"];
                    (about["Shards"].clone(), !about["LastEvaluatedShardId"].is_null())
                }
            };
            shards.extend(page.as_array().into_iter().flatten().map(shard));
            last = shards.last().map(|shard| shard.id.clone());
            if !more || last.is_none() {
                return Ok(shards);
            }
        }
    }

    /// Returns an iterator behind a record, or at the mapping's start.
    pub(super) async fn iterator(&self, shard: &str, after: Option<&str>) -> Result<String, Fault> {
        let start = self.options.start.filter(|_| self.options.kind == Kind::Stream);
        let mut body = match (after, start) {
            (Some(after), _) => {
                json!({ "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                    self.sequence_field(): after })
            }
            (None, Some(start)) => json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": seconds(start) }),
            (None, None) => json!({ "ShardIteratorType": "TRIM_HORIZON" }),
        };
        body["ShardId"] = json!(shard);
        let answer = self.ask("GetShardIterator", body).await?;
        Ok(answer["ShardIterator"].as_str().unwrap_or_default().to_owned())
    }

    fn sequence_field(&self) -> &'static str {
        match self.options.kind {
            Kind::Stream => "StartingSequenceNumber",
            Kind::Table => "SequenceNumber",
        }
    }

    /// Reads what is next.
    pub(super) async fn records(&self, iterator: &str) -> Result<Page, Fault> {
        let mut answer = self.ask("GetRecords", json!({ "ShardIterator": iterator })).await?;
        let next = answer["NextShardIterator"].as_str().map(str::to_owned);
        match answer["Records"].take() {
            Value::Array(records) => Ok(Page { records, next }),
            _ => Ok(Page { records: Vec::new(), next }),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of this era fit a double exactly")]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn shard(given: &Value) -> Shard {
    let text = |field: &str| given[field].as_str().map(str::to_owned);
    let parents = ["ParentShardId", "AdjacentParentShardId"].into_iter().filter_map(text).collect();
    Shard { id: text("ShardId").unwrap_or_default(), parents }
}

/// Takes the body out of an answer; some engines give their errors as answers.
fn body_of(outcome: Outcome) -> Result<Value, Fault> {
    match outcome? {
        Answer::Json(status, body) | Answer::Headed(status, _, body) if status < 300 => Ok(body),
        Answer::Headed(status, headers, body) => {
            let code = headers.iter().find(|(name, _)| *name == "x-amzn-errortype").map(|(_, code)| code.as_str());
            let text = body.get("message").or_else(|| body.get("Message")).and_then(Value::as_str).unwrap_or_default();
            Err(Fault::with_status(status, code.unwrap_or("InternalFailure"), text))
        }
        _ => Err(Fault::with_status(500, "InternalFailure", "the stream gave no JSON")),
    }
}

/// Returns the shards whose reading can begin: not done, not being read, and after those they came from.
pub(super) fn startable(
    shards: &[Shard],
    is_done: impl Fn(&str) -> bool,
    is_read: impl Fn(&str) -> bool,
) -> Vec<&Shard> {
    // A parent that is not listed any more has expired with all its records.
    let listed = |parent: &String| shards.iter().any(|shard| shard.id == *parent);
    let is_due = |shard: &&Shard| {
        !is_done(&shard.id)
            && !is_read(&shard.id)
            && shard.parents.iter().all(|parent| !listed(parent) || is_done(parent))
    };
    shards.iter().filter(is_due).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_say_what_the_role_lacks() {
        let options = super::super::options::tests::options(&json!({})).unwrap();
        let told = |code: &str| problem(&options, &Fault::new(code, "no"));
        insta::assert_snapshot!(told("AccessDeniedException"), @"PROBLEM: Cannot access stream arn:aws:kinesis:us-east-1:000000000000:stream/s. Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, ListShards Actions on your stream in IAM.");
        insta::assert_snapshot!(told("ResourceNotFoundException"), @"PROBLEM: Stream not found: arn:aws:kinesis:us-east-1:000000000000:stream/s");
        insta::assert_snapshot!(told("KMSAccess"), @"PROBLEM: KMSAccess: no");
    }

    #[test]
    fn children_wait_for_their_parents() {
        let shard = |id: &str, parents: &[&str]| Shard {
            id: id.to_owned(),
            parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
        };
        let shards = [shard("a", &["expired"]), shard("b", &[]), shard("c", &["a", "b"]), shard("d", &["a"])];
        let due = |done: &[&str], read: &[&str]| -> Vec<String> {
            let due = startable(&shards, |id| done.contains(&id), |id| read.contains(&id));
            due.into_iter().map(|shard| shard.id.clone()).collect()
        };
        assert_eq!(due(&[], &[]), ["a", "b"]);
        assert_eq!(due(&["a"], &["b"]), ["d"]);
        assert_eq!(due(&["a", "b"], &["d"]), ["c"]);
    }
}
