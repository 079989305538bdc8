//! The lines that Lambda itself writes into a function's log, in both formats, and the errors that it finds.

use std::process::ExitStatus;
use std::time::Duration;

use serde_json::{Value, json};

use super::subject::{Logging, Subject};

/// Why a function's process gave no answer.
#[derive(Debug)]
pub(super) enum Ending {
    /// The runtime reported an error, as JSON.
    Failed(Vec<u8>),
    Exited(Option<ExitStatus>),
    TimedOut,
    OutOfMemory,
}

/// How an invocation went, for the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Success,
    Failure,
    Exit,
    Timeout,
}

/// Writes a moment as logs have it.
pub(super) fn moment(milliseconds: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// What the function's log and the caller are told of an ending.
pub(super) struct Told {
    pub(super) payload: Value,
    pub(super) line: Option<String>,
    pub(super) status: Status,
}

impl Ending {
    /// Says what happened in AWS's words.
    pub(super) fn tell(&self, request: &str, timeout: Duration, now: i64) -> Told {
        let (text, status) = match self {
            Self::Failed(body) => return failed(body, request),
            Self::TimedOut => {
                let seconds = timeout.as_secs_f64();
                (format!("{} {request} Task timed out after {seconds:.2} seconds", moment(now)), Status::Timeout)
            }
            Self::OutOfMemory => (exit_text(request, Some("signal: killed")), Status::Exit),
            Self::Exited(status) => (exit_text(request, reason(*status).as_deref()), Status::Exit),
        };
        let (payload, line) = match status {
            Status::Exit => {
                let kind = "Runtime.ExitError";
                (json!({ "errorType": kind, "errorMessage": text }), format!("{text}\n{kind}"))
            }
            _ => (json!({ "errorType": "Sandbox.Timedout", "errorMessage": text }), text.clone()),
        };
        Told { payload, line: Some(line), status }
    }
}

/// The runtime has logged such an error itself.
fn failed(body: &[u8], request: &str) -> Told {
    let mut payload: Value = serde_json::from_slice(body).unwrap_or_else(|_| json!({ "errorMessage": "" }));
    payload["requestId"] = json!(request);
    Told { payload, line: None, status: Status::Failure }
}

fn exit_text(request: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("RequestId: {request} Error: Runtime exited with error: {reason}"),
        None => format!("RequestId: {request} Error: Runtime exited without providing a reason"),
    }
}

fn reason(status: Option<ExitStatus>) -> Option<String> {
    use std::os::unix::process::ExitStatusExt as _;
    let status = status?;
    if let Some(signal) = status.signal() {
        return Some(format!("signal: {}", signal_name(signal)));
    }
    status.code().filter(|code| *code != 0).map(|code| format!("exit status {code}"))
}

fn signal_name(number: i32) -> String {
    match number {
        6 => "aborted".to_owned(),
        9 => "killed".to_owned(),
        11 => "segmentation fault".to_owned(),
        15 => "terminated".to_owned(),
        other => other.to_string(),
    }
}

/// The figures of one invocation.
pub(super) struct Report<'a> {
    pub(super) request: &'a str,
    pub(super) duration: Duration,
    /// How long the process took to start, for the first invocation.
    pub(super) init: Option<Duration>,
    /// Bytes.
    pub(super) peak: u64,
    pub(super) status: Status,
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

impl Report<'_> {
    /// The time that counts is that of start and run, in whole milliseconds.
    fn billed(&self) -> u128 {
        let total = self.duration + self.init.unwrap_or_default();
        total.as_micros().div_ceil(1000).max(1)
    }

    /// Writes the end and the report of an invocation.
    pub(super) fn lines(&self, subject: &Subject, now: i64) -> Vec<String> {
        if subject.logging.json { self.json(subject, now) } else { self.text(subject) }
    }

    fn text(&self, subject: &Subject) -> Vec<String> {
        let request = self.request;
        let mut text = format!(
            "REPORT RequestId: {request}\tDuration: {:.2} ms\tBilled Duration: {} ms\tMemory Size: {} MB\tMax Memory Used: {} MB",
            milliseconds(self.duration),
            self.billed(),
            subject.memory,
            self.megabytes(subject),
        );
        if let Some(init) = self.init {
            text += &format!("\tInit Duration: {:.2} ms", milliseconds(init));
        }
        text += match self.status {
            Status::Success | Status::Failure => "",
            Status::Exit => "\tStatus: error\tError Type: Runtime.ExitError",
            Status::Timeout => "\tStatus: timeout",
        };
        vec![format!("END RequestId: {request}"), text]
    }

    fn json(&self, subject: &Subject, now: i64) -> Vec<String> {
        if self.status == Status::Success && subject.logging.system == "WARN" {
            return Vec::new();
        }
        let status = match self.status {
            Status::Success => "success",
            Status::Failure => "error",
            Status::Exit => "failure",
            Status::Timeout => "timeout",
        };
        let mut metrics = json!({
            "durationMs": milliseconds(self.duration), "billedDurationMs": u64::try_from(self.billed()).unwrap_or(0),
            "memorySizeMB": subject.memory, "maxMemoryUsedMB": self.megabytes(subject),
        });
        if let Some(init) = self.init {
            metrics["initDurationMs"] = json!(milliseconds(init));
        }
        let record = json!({ "requestId": self.request, "metrics": metrics, "status": status });
        vec![platform("report", now, &record)]
    }

    fn megabytes(&self, subject: &Subject) -> u64 {
        self.peak.div_ceil(1 << 20).min(subject.memory)
    }
}

fn platform(kind: &str, now: i64, record: &Value) -> String {
    json!({ "time": moment(now), "type": format!("platform.{kind}"), "record": record }).to_string()
}

fn is_quiet(logging: &Logging) -> bool {
    logging.json && logging.system == "WARN"
}

/// Writes the line before an invocation.
pub(super) fn start(subject: &Subject, request: &str, now: i64) -> Option<String> {
    let record = json!({ "requestId": request, "version": "$LATEST" });
    match subject.logging.json {
        _ if is_quiet(&subject.logging) => None,
        true => Some(platform("start", now, &record)),
        false => Some(format!("START RequestId: {request} Version: $LATEST")),
    }
}

/// Writes the line before a process starts.
pub(super) fn init_start(subject: &Subject, now: i64) -> Option<String> {
    let version = format!("{}.local", subject.runtime.replacen("python", "python:", 1));
    let arn = format!("arn:aws:lambda:{}::runtime:local", subject.region);
    let record = json!({ "runtimeVersion": version, "runtimeVersionArn": arn, "functionName": subject.name });
    match subject.logging.json {
        _ if is_quiet(&subject.logging) => None,
        true => Some(platform("initStart", now, &record)),
        false => Some(format!("INIT_START Runtime Version: {version}\tRuntime Version ARN: {arn}")),
    }
}
