//! What is told of a batch that is given up, and to whom.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::event::{Record, moment};
use super::options::{Kind, Options};
use super::retry::Condition;
use crate::local::{Cloud, Fault, Input, Params, Who};

/// A part of a batch that is given up.
pub(super) struct Failure<'a> {
    pub(super) shard: &'a str,
    pub(super) records: &'a [Record],
    pub(super) condition: Condition,
    pub(super) calls: u32,
    /// `responseContext` of the last call; none when there was none.
    pub(super) response: Option<&'a Value>,
}

impl Failure<'_> {
    /// Writes the failure document; it tells where the records are and not what is in them.
    fn document(&self, options: &Options, request: &str, now: i64) -> Value {
        let (info, condition) = (
            match options.kind {
                Kind::Stream => "KinesisBatchInfo",
                Kind::Table => "DDBStreamBatchInfo",
            },
            match self.condition {
                Condition::RetryAttemptsExhausted => "RetryAttemptsExhausted",
                Condition::RecordAgeExceeded => "RecordAgeExceeded",
            },
        );
        let (first, last) = (self.records.first(), self.records.last());
        let mut document = json!({
            "requestContext": {
                "requestId": request, "functionArn": options.function, "condition": condition,
                "approximateInvokeCount": self.calls,
            },
            "version": "1.0",
            "timestamp": moment(now),
        });
        if let Some(response) = self.response {
            document["responseContext"] = response.clone();
        }
        document[info] = json!({
            "shardId": self.shard,
            "startSequenceNumber": first.map(|record| &record.sequence),
            "endSequenceNumber": last.map(|record| &record.sequence),
            "approximateArrivalOfFirstRecord": first.map(|record| moment(record.arrival)),
            "approximateArrivalOfLastRecord": last.map(|record| moment(record.arrival)),
            "batchSize": self.records.len(),
            "streamArn": options.source,
        });
        document
    }

    /// Sends the document to the mapping's destination, if it has one; gives back what went wrong.
    pub(super) async fn send(&self, cloud: &Cloud, who: &Who, options: &Options) -> Result<(), String> {
        let Some(target) = options.destination.as_deref().filter(|_| !self.records.is_empty()) else { return Ok(()) };
        let service = target.split(':').nth(2).unwrap_or_default();
        if service != "sns" {
            let name = service.to_uppercase();
            return Err(format!("PROBLEM: the local cloud has no {name} to send the failed batch to: {target}"));
        }
        let request = uuid::Uuid::new_v4().to_string();
        let document = self.document(options, &request, jiff::Timestamp::now().as_millisecond());
        let fields = [("TopicArn", target.to_owned()), ("Message", document.to_string())];
        let fields: BTreeMap<String, String> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let sent = cloud.ask(who, "sns", "Publish", Input::Query(Params(fields))).await;
        sent.map(drop).map_err(|fault| unsent(target, &fault))
    }
}

fn unsent(target: &str, fault: &Fault) -> String {
    format!("PROBLEM: the failed batch could not be sent to {target}: {}: {}", fault.code, fault.message)
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::record;
    use super::super::options::tests::options;
    use super::*;

    #[test]
    fn the_document_tells_where_the_records_are() {
        let records = [record(1, 1_573_691_884_835, b"a"), record(2, 1_573_691_885_580, b"b")];
        let response = json!({ "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" });
        let failure = Failure {
            shard: "shardId-000000000001",
            records: &records,
            condition: Condition::RetryAttemptsExhausted,
            calls: 2,
            response: Some(&response),
        };
        let document = failure.document(&options(&json!({})).unwrap(), "request", 1_573_691_886_021);
        insta::assert_json_snapshot!(document, @r#"
        {
          "requestContext": {
            "requestId": "request",
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 2
          },
          "version": "1.0",
          "timestamp": "2019-11-14T00:38:06.021Z",
          "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled"
          },
          "KinesisBatchInfo": {
            "shardId": "shardId-000000000001",
            "startSequenceNumber": "1",
            "endSequenceNumber": "2",
            "approximateArrivalOfFirstRecord": "2019-11-14T00:38:04.835Z",
            "approximateArrivalOfLastRecord": "2019-11-14T00:38:05.580Z",
            "batchSize": 2,
            "streamArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s"
          }
        }
        "#);
    }
}
