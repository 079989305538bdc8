//! Invocation: Python functions run in a process of their own, with the function's code, environment and time-out.
//!
//! The interpreter is the machine's `python3`, whatever the function's Python version is.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::protocol::Later;
use super::super::{Answer, Call, Fault, Outcome, Tx};
use super::function::{Function, load};
use super::{code, conflict, invalid, query};

const BOOTSTRAP: &str = include_str!("bootstrap.py");
const LONGEST_LOG: usize = 4096;

/// What one run of a function gave.
struct Run {
    payload: Value,
    failed: bool,
    log: String,
}

/// `Invoke`.
pub(super) fn invoke(tx: &mut Tx<'_>, call: &Call, given: &str) -> Outcome {
    let function = load(tx, call, given)?;
    if call.now < function.active_at {
        return Err(conflict(
            "The operation cannot be performed at this time. The function is currently in the following state: Pending",
        ));
    }
    if function.reserved == Some(0) {
        return Err(Fault::with_status(429, "TooManyRequestsException", "Rate Exceeded."));
    }
    let kind = query(call, "x-amz-invocation-type").unwrap_or("RequestResponse");
    if kind == "DryRun" {
        return Ok(Answer::Json(204, Value::Null));
    }
    if !matches!(kind, "RequestResponse" | "Event") {
        return Err(invalid(format!("Invocation type {kind} is not RequestResponse, Event or DryRun")));
    }
    let invocation = Invocation::read(tx, call, function)?;
    let (event, tail) = (kind == "Event", query(call, "x-amz-log-type") == Some("Tail"));
    // The function may call the local cloud itself, so it runs after this call's transaction.
    Ok(Answer::Later(Later::new(move || {
        let run = invocation.run()?;
        Ok(if event { Answer::Json(202, Value::Null) } else { run.answer(tail) })
    })))
}

impl Run {
    fn answer(self, tail: bool) -> Answer {
        let mut headers = vec![("x-amz-executed-version", "$LATEST".to_owned())];
        if self.failed {
            headers.push(("x-amz-function-error", "Unhandled".to_owned()));
        }
        if tail {
            let log = self.log.as_bytes();
            headers.push(("x-amz-log-result", STANDARD.encode(&log[log.len().saturating_sub(LONGEST_LOG)..])));
        }
        Answer::Headed(200, headers, self.payload)
    }
}

/// Everything that one run needs, read from the store.
struct Invocation {
    call: Call,
    function: Function,
    archive: Vec<u8>,
}

impl Invocation {
    fn read(tx: &Tx<'_>, call: &Call, function: Function) -> Result<Self, Fault> {
        if !function.text("Runtime").starts_with("python3.") {
            let text = format!("The local cloud runs Python functions only, not {}", function.text("Runtime"));
            return Err(Fault::with_status(502, "InvalidRuntimeException", text));
        }
        Ok(Self { archive: code::load(tx, function.name())?, call: call.clone(), function })
    }

    fn run(&self) -> Result<Run, Fault> {
        self.run_in_folder().map_err(|cause| {
            Fault::with_status(500, "ServiceException", format!("the function's process could not be run: {cause}"))
        })
    }

    fn run_in_folder(&self) -> std::io::Result<Run> {
        let folder = tempfile::tempdir()?;
        let task = folder.path().join("task");
        zip::ZipArchive::new(std::io::Cursor::new(&self.archive))?.extract(&task)?;
        fs_err::write(folder.path().join("bootstrap.py"), BOOTSTRAP)?;
        fs_err::write(folder.path().join("event.json"), self.call.json().to_string())?;
        let log = fs_err::File::create(folder.path().join("log"))?.into_parts().0;
        let child = command(&self.call, &self.function, folder.path(), &task, log).spawn()?;
        finish(child, &self.function, folder.path())
    }
}

fn command(call: &Call, function: &Function, folder: &Path, task: &Path, log: std::fs::File) -> Command {
    let mut command = Command::new("python3");
    command.arg(folder.join("bootstrap.py")).arg(folder).arg(task).arg(function.text("Handler")).current_dir(task);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).env_clear();
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let number = |field: &str| function.configuration.get(field).map(Value::to_string).unwrap_or_default();
    command.envs([
        ("AWS_REGION", call.region.clone()),
        ("AWS_DEFAULT_REGION", call.region.clone()),
        ("AWS_ACCESS_KEY_ID", call.account.clone()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("AWS_ENDPOINT_URL", call.endpoint.clone()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.name().to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", number("MemorySize")),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.name())),
        ("LAMBDA_TASK_ROOT", task.display().to_string()),
        ("_LOCAL_FUNCTION_ARN", function.arn.clone()),
        ("_LOCAL_TIMEOUT", number("Timeout")),
    ]);
    let variables = function.configuration.get("Environment").and_then(|environment| environment.get("Variables"));
    for (name, value) in variables.and_then(Value::as_object).into_iter().flatten() {
        command.env(name, value.as_str().unwrap_or_default());
    }
    command
}

fn finish(mut child: Child, function: &Function, folder: &Path) -> std::io::Result<Run> {
    let seconds = function.configuration.get("Timeout").and_then(Value::as_u64).unwrap_or(3);
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut in_time = true;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            in_time = false;
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let log = fs_err::read(folder.join("log"))?;
    let log = String::from_utf8_lossy(&log).into_owned();
    let result = fs_err::read_to_string(folder.join("result.json")).ok();
    let answer: Option<Value> = result.and_then(|text| serde_json::from_str(&text).ok());
    Ok(match answer {
        Some(answer) if in_time => Run { payload: answer["payload"].clone(), failed: answer["failed"] == true, log },
        _ if !in_time => failure(&format!("Task timed out after {seconds}.00 seconds"), None, log),
        _ => failure("Runtime exited without providing a reason", Some("Runtime.ExitError"), log),
    })
}

fn failure(message: &str, kind: Option<&str>, log: String) -> Run {
    let mut payload = json!({ "errorMessage": message });
    if let Some(kind) = kind {
        payload["errorType"] = json!(kind);
    }
    Run { payload, failed: true, log }
}
