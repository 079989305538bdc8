//! `Invoke`: what is asked of a function, and how its run is answered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::{Answer, Call, Cloud, Fault, Input, Outcome, Tx};
use super::function::load;
use super::run::{self, Event, Queued, Run, Subject};
use super::{conflict, invalid, query};

/// Largest events, with an answer and without.
const LARGEST: usize = 6_291_456;
const LARGEST_QUEUED: usize = 1_048_576;

/// How an invocation is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    RequestResponse,
    Event,
    DryRun,
}

/// Returns the function that a call invokes, when it does.
pub(super) fn target(call: &Call) -> Option<&str> {
    let Input::Rest { segments, .. } = &call.input else { return None };
    let path: Vec<&str> = segments.iter().map(String::as_str).filter(|segment| !segment.is_empty()).collect();
    match path.as_slice() {
        [_, "functions", name, "invocations"] if call.operation == "POST" => Some(name),
        _ => None,
    }
}

/// `Invoke`.
pub(super) async fn invoke(cloud: &Cloud, call: &Call, given: &str) -> Outcome {
    let kind = kind(call)?;
    let event = event(call, kind)?;
    let subject = cloud.rows().transaction(call, |tx| accept(tx, call, given, (kind, &event)))?;
    match kind {
        Kind::DryRun => return Ok(Answer::Json(204, Value::Null)),
        Kind::Event => {
            let request = event.request.clone();
            run::start(cloud, call, queued(&subject, event));
            return Ok(Answer::Headed(202, vec![("x-amzn-requestid", request)], Value::Null));
        }
        Kind::RequestResponse => {}
    }
    let cloud = cloud.clone();
    let request = event.request.clone();
    // A caller who goes away does not stop the function.
    let run = tokio::spawn(async move { cloud.functions().run(&cloud, &subject, &event, false).await });
    let failed = |_| Fault::with_status(500, "ServiceException", "the local cloud failed on this invocation");
    let run = run.await.map_err(failed)??;
    Ok(answer(run, request, query(call, "x-amz-log-type") == Some("Tail")))
}

fn kind(call: &Call) -> Result<Kind, Fault> {
    match query(call, "x-amz-invocation-type") {
        None | Some("RequestResponse") => Ok(Kind::RequestResponse),
        Some("Event") => Ok(Kind::Event),
        Some("DryRun") => Ok(Kind::DryRun),
        Some(other) => Err(invalid(format!("Invocation type {other} is not RequestResponse, Event or DryRun"))),
    }
}

fn event(call: &Call, kind: Kind) -> Result<Event, Fault> {
    let payload = if call.json().is_null() { "{}".to_owned() } else { call.json().to_string() };
    let most = if kind == Kind::Event { LARGEST_QUEUED } else { LARGEST };
    if payload.len() > most {
        let text = format!("Request must be smaller than {most} bytes for the InvokeFunction operation");
        return Err(Fault::with_status(413, "RequestTooLargeException", text));
    }
    let context = query(call, "x-amz-client-context").map(str::to_owned);
    Ok(Event { request: uuid::Uuid::new_v4().to_string(), payload, context })
}

/// Checks the function, and stores the event of a caller who does not wait.
fn accept(tx: &mut Tx<'_>, call: &Call, given: &str, (kind, event): (Kind, &Event)) -> Result<Subject, Fault> {
    let function = load(tx, call, given)?;
    if call.now < function.active_at {
        return Err(conflict(
            "The operation cannot be performed at this time. The function is currently in the following state: Pending",
        ));
    }
    if let Some(ailment) = function.ailment.as_ref().filter(|ailment| ailment.state == "Failed") {
        let start = "The operation cannot be performed at this time.";
        return Err(conflict(format!("{start} The function is currently in the following state: {}", ailment.state)));
    }
    if function.reserved == Some(0) {
        return Err(Fault::with_status(429, "TooManyRequestsException", "Rate Exceeded."));
    }
    let subject = Subject::of(call, &function)?;
    if kind == Kind::Event {
        run::accept(tx, &queued(&subject, event.clone()))?;
    }
    Ok(subject)
}

fn queued(subject: &Subject, event: Event) -> Queued {
    let Event { request, payload, context } = event;
    Queued { function: subject.name().to_owned(), request, payload, context, failures: 0 }
}

fn answer(run: Run, request: String, tail: bool) -> Answer {
    let mut headers = vec![("x-amz-executed-version", "$LATEST".to_owned()), ("x-amzn-requestid", request)];
    if run.failed {
        headers.push(("x-amz-function-error", "Unhandled".to_owned()));
    }
    if tail {
        headers.push(("x-amz-log-result", STANDARD.encode(run.tail)));
    }
    Answer::Headed(200, headers, run.payload)
}
