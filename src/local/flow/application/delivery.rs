//! The outputs of an application: a stream or a function gets the rows of one in-application stream.
//!
//! What fails is tried again, later and later, until it succeeds ("Using a Lambda Function as Output" of the
//! developer guide); the rows behind it wait.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Desk;
use super::journal::Journal;
use super::streams::Streams;
use crate::local::analytics::{Application, Part};
use crate::local::{Answer, Input, Who};

/// Records of one `PutRecords` (`facts/aws.md` 1), and of one invocation.
const MOST: usize = 500;
/// Bytes of one `PutRecords` and of one invocation, with room for what base64 adds.
const MOST_BYTES: usize = 3 << 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long a function may go on after the task was told to end. What it was given is delivered again later.
const GRACE: Duration = Duration::from_secs(5);

/// One output.
pub(super) struct Output {
    id: String,
    pub(super) name: String,
    pub(super) format: String,
    who: Who,
    kinesis: Streams,
    target: Target,
    application: String,
}

enum Target {
    Stream(String),
    Function(String),
    /// Firehose, which the local cloud does not have.
    Missing(String),
}

/// Records that are still to be delivered, and why.
type Rest = (Vec<Vec<u8>>, String);

impl Output {
    pub(super) fn new(desk: &Desk, kinesis: &Streams, application: &Application, output: &Part) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let body = &output.body;
        let field = ["KinesisStreamsOutput", "LambdaOutput", "KinesisFirehoseOutput"];
        let (field, given) = field.into_iter().find_map(|name| Some((name, body.get(name)?))).unwrap_or(("", body));
        let arn = text(&given["ResourceARN"]);
        let target = match field {
            "KinesisStreamsOutput" => Target::Stream(arn),
            "LambdaOutput" => Target::Function(arn),
            _ => Target::Missing(arn),
        };
        Self {
            id: output.id.clone(),
            name: text(&body["Name"]),
            format: text(&body["DestinationSchema"]["RecordFormatType"]),
            who: Who { role: given["RoleARN"].as_str().map(str::to_owned), ..desk.who.clone() },
            kinesis: kinesis.clone(),
            target,
            application: application.arn.clone(),
        }
    }

    /// Delivers records however often it takes; false when the task must end before.
    pub(super) async fn deliver(&mut self, desk: &Desk, records: Vec<Vec<u8>>, journal: &mut Journal) -> bool {
        for mut waiting in parts(records) {
            let mut pause = Duration::from_millis(100);
            let mut tries = 0;
            while let Err((rest, cause)) = self.try_deliver(desk, waiting, tries).await {
                let text = format!("Could not deliver the rows of {} to output {}: {cause}", self.name, self.id);
                journal.error(&text, Some(&self.id), "OutputError").await;
                if matches!(self.target, Target::Missing(_)) {
                    return true;
                }
                if !longer(desk, &mut pause).await {
                    return false;
                }
                (waiting, tries) = (rest, tries + 1);
            }
            journal.fine(&self.id);
            desk.moved();
        }
        true
    }

    async fn try_deliver(&self, desk: &Desk, records: Vec<Vec<u8>>, tries: u32) -> Result<(), Rest> {
        match &self.target {
            Target::Stream(arn) => self.put(arn, records).await,
            Target::Function(arn) => self.invoke(desk, arn, records, tries).await,
            Target::Missing(arn) => Err((records, format!("the local cloud has no Firehose for {arn}"))),
        }
    }

    async fn put(&self, arn: &str, records: Vec<Vec<u8>>) -> Result<(), Rest> {
        let entry =
            |data: &Vec<u8>| json!({ "Data": STANDARD.encode(data), "PartitionKey": uuid::Uuid::new_v4().to_string() });
        let body = json!({ "StreamARN": arn, "Records": records.iter().map(entry).collect::<Vec<_>>() });
        let answer = match self.kinesis.ask(&self.who, "PutRecords", body).await {
            Ok(answer) => answer,
            Err(fault) => return Err((records, format!("{}: {}", fault.code, fault.message))),
        };
        let failed = |place: usize| answer["Records"][place]["ErrorCode"].as_str();
        let cause = (0..records.len()).find_map(failed).map(str::to_owned);
        let Some(cause) = cause else { return Ok(()) };
        let rest = records.into_iter().enumerate().filter(|(place, _)| failed(*place).is_some());
        Err((rest.map(|(_, record)| record).collect(), cause))
    }

    async fn invoke(&self, desk: &Desk, arn: &str, records: Vec<Vec<u8>>, tries: u32) -> Result<(), Rest> {
        let shown = records.iter().enumerate().map(|(place, data)| {
            let metadata = json!({ "retryHint": tries });
            let data = STANDARD.encode(data);
            json!({ "recordId": place.to_string(), "lambdaDeliveryRecordMetadata": metadata, "data": data })
        });
        let event = json!({
            "invocationId": uuid::Uuid::new_v4().to_string(), "applicationArn": self.application,
            "records": shown.collect::<Vec<_>>(),
        });
        match invoke(desk, &self.who, arn, event).await {
            Ok(answer) => unacknowledged(records, &answer),
            Err(cause) => Err((records, cause)),
        }
    }
}

/// Keeps what the function did not answer `Ok` to.
fn unacknowledged(records: Vec<Vec<u8>>, answer: &Value) -> Result<(), Rest> {
    let answers = answer["records"].as_array().map_or(&[][..], Vec::as_slice);
    let done = |place: usize| {
        let id = place.to_string();
        answers.iter().any(|answer| answer["recordId"] == id.as_str() && answer["result"] == "Ok")
    };
    let rest = records.into_iter().enumerate().filter(|(place, _)| !done(*place));
    let rest: Vec<_> = rest.map(|(_, record)| record).collect();
    if rest.is_empty() { Ok(()) } else { Err((rest, "the function did not answer Ok for every record".to_owned())) }
}

/// Cuts records into parts of a size that one call takes.
fn parts(records: Vec<Vec<u8>>) -> Vec<Vec<Vec<u8>>> {
    let mut parts: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut bytes = 0;
    for record in records {
        match parts.last_mut() {
            Some(part) if part.len() < MOST && bytes + record.len() <= MOST_BYTES => {
                bytes += record.len();
                part.push(record);
            }
            _ => {
                bytes = record.len();
                parts.push(vec![record]);
            }
        }
    }
    parts
}

/// Waits before another attempt, twice as long as the last time; false when the task must end.
pub(super) async fn longer(desk: &Desk, pause: &mut Duration) -> bool {
    desk.failed();
    tokio::select! {
        () = desk.stop.cancelled() => return false,
        () = tokio::time::sleep(*pause) => {}
    }
    *pause = (*pause * 2).min(LONGEST_PAUSE);
    true
}

/// Invokes a function and returns its answer.
pub(super) async fn invoke(desk: &Desk, who: &Who, arn: &str, event: Value) -> Result<Value, String> {
    let name = arn.split_once(":function:").map_or(arn, |(_, name)| name).split(':').next().unwrap_or_default();
    let segments = ["2015-03-31", "functions", name, "invocations"].map(str::to_owned).to_vec();
    let input = Input::Rest { segments, query: Vec::new(), body: event };
    let stopped = async {
        desk.stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let outcome = tokio::select! {
        outcome = desk.cloud.ask(who, "lambda", "POST", input) => outcome,
        () = stopped => return Err("the application was stopped before the function answered".to_owned()),
    };
    match outcome {
        Ok(Answer::Headed(_, headers, payload)) if headers.iter().any(|(name, _)| *name == "x-amz-function-error") => {
            Err(format!("the function failed: {}", payload["errorMessage"].as_str().unwrap_or("no message")))
        }
        Ok(Answer::Headed(_, _, payload) | Answer::Json(_, payload)) => Ok(payload),
        Ok(_) => Err("the function gave no JSON".to_owned()),
        Err(fault) => Err(format!("{}: {}", fault.code, fault.message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_no_larger_than_a_call_takes() {
        let sizes = |records: Vec<Vec<u8>>| parts(records).iter().map(Vec::len).collect::<Vec<_>>();
        assert!(sizes(Vec::new()).is_empty());
        assert_eq!(sizes(vec![vec![1]; 1001]), [500, 500, 1]);
        assert_eq!(sizes(vec![vec![1; 1 << 20]; 4]), [3, 1]);
        assert_eq!(sizes(vec![vec![1; MOST_BYTES + 1]; 2]), [1, 1]);
    }

    #[test]
    fn only_ok_acknowledges_a_record() {
        let records = vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()];
        let answer = json!({ "records": [{ "recordId": "0", "result": "Ok" }, { "recordId": "1", "result": "DeliveryFailed" }] });
        assert_eq!(unacknowledged(records, &answer).unwrap_err().0, [b"b".to_vec(), b"c".to_vec()]);
        assert!(unacknowledged(Vec::new(), &Value::Null).is_ok());
    }
}
