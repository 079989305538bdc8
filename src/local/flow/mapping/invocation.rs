//! One call of a mapping's function, and what came of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::options::Options;
use crate::local::flow::Desk;
use crate::local::{Answer, Input, Outcome, Who};

/// How long a function may go on after its poller was stopped. What it does after that is done again later.
const GRACE: Duration = Duration::from_secs(5);

/// What came of a call.
pub(super) enum Called {
    /// The function answered; with `responseContext`.
    Answered(Value, Value),
    /// The function failed; with `responseContext`.
    Failed(Value),
    /// The function did not run.
    Refused(String),
    /// The poller was stopped.
    Stopped,
}

/// Calls the function with an event and waits for its answer.
pub(super) async fn call(desk: &Desk, options: &Options, event: Value) -> Called {
    // The service calls the function; the role is what the function and the reading of the stream run with.
    let who = Who { role: None, ..desk.who.clone() };
    let input = Input::Rest {
        segments: ["2015-03-31", "functions", &options.function, "invocations"].map(str::to_owned).to_vec(),
        query: vec![("x-amz-invocation-type".to_owned(), "RequestResponse".to_owned())],
        body: event,
    };
    let stopped = async {
        desk.stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        outcome = desk.cloud.ask(&who, "lambda", "POST", input) => read(outcome),
        () = stopped => Called::Stopped,
    }
}

fn read(outcome: Outcome) -> Called {
    let (status, headers, payload) = match outcome {
        Ok(Answer::Headed(status, headers, payload)) => (status, headers, payload),
        Ok(Answer::Json(status, payload)) => (status, Vec::new(), payload),
        Ok(_) => return Called::Refused("PROBLEM: Function call failed".to_owned()),
        Err(fault) => return Called::Refused(format!("PROBLEM: {}: {}", fault.code, fault.message)),
    };
    let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    let mut context = json!({
        "statusCode": status,
        "executedVersion": header("x-amz-executed-version").unwrap_or("$LATEST"),
    });
    match header("x-amz-function-error") {
        None => Called::Answered(payload, context),
        Some(error) => {
            context["functionError"] = json!(error);
            Called::Failed(context)
        }
    }
}
