//! The second API of the same service (2018-05-23): its list, in which the SQL applications show, and nothing else.
//!
//! Managed Service for Apache Flink is not part of the local cloud, and new SQL applications are refused here as AWS
//! refuses them (`facts/aws.md` 2.1, 15.2).

use serde_json::{Value, json};

use super::application::{Application, live};
use super::{invalid, text};
use crate::local::{Answer, Call, Fault, Outcome, Service, Tx};

/// Longest page of `ListApplications`.
const LONGEST_PAGE: u64 = 50;

/// The service of the second API.
pub(crate) struct Second;

impl Service for Second {
    fn handle(&self, tx: &mut Tx<'_>, call: &Call) -> Outcome {
        match call.operation.as_str() {
            "ListApplications" => list(tx, call),
            other => Err(Fault::new(
                "UnsupportedOperationException",
                format!(
                    "{other} of API 2018-05-23: the local cloud offers SQL applications through API 2015-08-14 only, \
                     not Managed Service for Apache Flink"
                ),
            )),
        }
    }
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let limit = call.json().get("Limit").and_then(Value::as_u64).unwrap_or(LONGEST_PAGE);
    if !(1..=LONGEST_PAGE).contains(&limit) {
        return Err(invalid(format!("Limit {limit} is not between 1 and {LONGEST_PAGE}")));
    }
    let after = text(call.json(), "NextToken").unwrap_or_default();
    let rest: Vec<_> = live(tx, call)?.into_iter().filter(|application| application.name.as_str() > after).collect();
    let page = &rest[..rest.len().min(usize::try_from(limit).unwrap_or(usize::MAX))];
    let more = page.len() < rest.len();
    let mut answer =
        json!({ "ApplicationSummaries": page.iter().map(|one| summary(one, call.now)).collect::<Vec<_>>() });
    if let Some(last) = page.last().filter(|_| more) {
        answer["NextToken"] = json!(last.name);
    }
    Ok(Answer::json(answer))
}

fn summary(application: &Application, now: i64) -> Value {
    json!({
        "ApplicationName": application.name,
        "ApplicationARN": application.arn,
        "ApplicationStatus": application.status(now),
        "ApplicationVersionId": application.version,
        "RuntimeEnvironment": "SQL-1_0",
    })
}
