//! The Lambda function of an input that sees every record before the schema does.
//!
//! Event and answer as in "Preprocessing Data Using a Lambda Function" of the developer guide: `Ok` takes the
//! function's data, `Dropped` leaves the record out, `ProcessingFailed` (or no answer for it) makes it a problem.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Desk;
use super::delivery::{invoke, longer};
use super::journal::Journal;
use super::source::Record;
use crate::local::Who;
use crate::local::analytics::run::Problem;
use crate::local::analytics::{Application, Part};

/// The function of one input.
pub(super) struct Preprocessor {
    who: Who,
    function: String,
    application: String,
    stream: Value,
    input: String,
}

impl Preprocessor {
    pub(super) fn new(desk: &Desk, application: &Application, input: &Part) -> Option<Self> {
        let given = input.body.pointer("/InputProcessingConfiguration/InputLambdaProcessor")?;
        Some(Self {
            who: Who { role: given["RoleARN"].as_str().map(str::to_owned), ..desk.who.clone() },
            function: given["ResourceARN"].as_str()?.to_owned(),
            application: application.arn.clone(),
            stream: input.body["KinesisStreamsInput"]["ResourceARN"].clone(),
            input: input.id.clone(),
        })
    }

    /// Runs records through the function until it answers; none when the task must end before.
    pub(super) async fn run(
        &self,
        desk: &Desk,
        records: Vec<Record>,
        now: i64,
        problems: &mut Vec<Problem>,
        journal: &mut Journal,
    ) -> Option<Vec<Record>> {
        let mut pause = Duration::from_millis(100);
        loop {
            match invoke(desk, &self.who, &self.function, self.event(&records)).await {
                Ok(answer) => return Some(take(records, &answer, now, problems)),
                Err(cause) => {
                    let text = format!("The function {} that processes the input failed: {cause}", self.function);
                    journal.error(&text, Some(&self.input), "InputError").await;
                }
            }
            if !longer(desk, &mut pause).await {
                return None;
            }
        }
    }

    fn event(&self, records: &[Record]) -> Value {
        let shown = records.iter().enumerate().map(|(place, record)| {
            json!({
                "recordId": place.to_string(),
                "kinesisStreamRecordMetadata": {
                    "sequenceNumber": record.origin.sequence_number, "partitionKey": record.origin.partition_key,
                    "shardId": record.origin.shard, "approximateArrivalTimestamp": record.origin.arrival,
                },
                "data": STANDARD.encode(&record.data),
            })
        });
        json!({
            "invocationId": uuid::Uuid::new_v4().to_string(), "applicationArn": self.application,
            "streamArn": self.stream, "records": shown.collect::<Vec<_>>(),
        })
    }
}

fn take(records: Vec<Record>, answer: &Value, now: i64, problems: &mut Vec<Problem>) -> Vec<Record> {
    let answers = answer["records"].as_array().map_or(&[][..], Vec::as_slice);
    let answers: HashMap<&str, &Value> =
        answers.iter().filter_map(|answer| Some((answer["recordId"].as_str()?, answer))).collect();
    let mut kept = Vec::new();
    for (place, mut record) in records.into_iter().enumerate() {
        let answer = answers.get(place.to_string().as_str());
        let data = answer.and_then(|answer| STANDARD.decode(answer["data"].as_str()?).ok());
        match (answer.and_then(|answer| answer["result"].as_str()), data) {
            (Some("Ok"), Some(data)) => {
                record.data = data;
                kept.push(record);
            }
            (Some("Dropped"), _) => {}
            _ => problems.push(Problem {
                name: "Processing_Error",
                message: "The function that processes the input failed on the record".to_owned(),
                row_time: now,
                data: record.data,
                pump: None,
            }),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::analytics::run::Origin;

    #[test]
    fn each_record_is_kept_dropped_or_a_problem() {
        let record = |text: &str| Record { stream: 0, origin: Origin::default(), data: text.as_bytes().to_vec() };
        let answer = json!({ "records": [
            { "recordId": "0", "result": "Ok", "data": STANDARD.encode("changed") },
            { "recordId": "1", "result": "Dropped" }, { "recordId": "2", "result": "ProcessingFailed" },
            { "recordId": "3", "result": "Ok", "data": "not base64!" },
        ]});
        let mut problems = Vec::new();
        let all = ["a", "b", "c", "d", "e"].map(record).to_vec();
        let kept = take(all, &answer, 7, &mut problems);
        assert_eq!(kept.iter().map(|record| record.data.as_slice()).collect::<Vec<_>>(), [b"changed"]);
        let failed: Vec<_> = problems.iter().map(|problem| problem.data.as_slice()).collect();
        assert_eq!(failed, [b"c", b"d", b"e"]);
    }
}
