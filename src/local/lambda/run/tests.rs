//! Functions that run, with the machine's own Python.

use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::local::{Answer, Cloud, DEFAULT_ACCOUNT, DEFAULT_REGION, Fault, Input, Params, Settings, Who};

const ROLE: &str = "arn:aws:iam::000000000000:role/worker";
const LOGS: &[&str] = &["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "sns:Publish"];

struct Account {
    cloud: Cloud,
    who: Who,
}

/// What an invocation gave.
#[derive(Debug)]
struct Got {
    payload: Value,
    failed: bool,
    log: String,
}

impl Account {
    async fn new() -> Self {
        Self::allowed(LOGS).await
    }

    async fn allowed(actions: &[&str]) -> Self {
        let settings = Settings { python: Some("python3".into()), ..Settings::default() };
        let account = Self::of(Cloud::memory(settings).unwrap());
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": "lambda.amazonaws.com" } },
        ]});
        let grants = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": actions, "Resource": "*" },
        ]});
        account
            .query("iam", "CreateRole", &[("RoleName", "worker"), ("AssumeRolePolicyDocument", &trust.to_string())])
            .await;
        let policy = [("RoleName", "worker"), ("PolicyName", "p"), ("PolicyDocument", &grants.to_string())];
        account.query("iam", "PutRolePolicy", &policy).await;
        account
    }

    fn of(cloud: Cloud) -> Self {
        let (account, region) = (DEFAULT_ACCOUNT.to_owned(), DEFAULT_REGION.to_owned());
        Self { cloud, who: Who { account, region, role: None, endpoint: String::new() } }
    }

    async fn query(&self, service: &str, operation: &str, fields: &[(&str, &str)]) {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.cloud.ask(&self.who, service, operation, Input::Query(Params(fields.collect()))).await.unwrap();
    }

    async fn rest(&self, method: &str, path: &str, query: &[(&str, &str)], body: Value) -> Result<Answer, Fault> {
        let segments = format!("2015-03-31/functions{path}").split('/').map(str::to_owned).collect();
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.cloud.ask(&self.who, "lambda", method, Input::Rest { segments, query, body }).await
    }

    /// Makes the function `f` of a source, with some settings of its own.
    async fn create(&self, source: &str, settings: Value) {
        let mut body = json!({
            "FunctionName": "f", "Runtime": "python3.13", "Handler": "main.handler", "Role": ROLE,
            "Code": { "ZipFile": zipped(source) }, "Timeout": 60,
        });
        body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        self.rest("POST", "", &[], body).await.unwrap();
    }

    async fn invoke(&self, event: Value) -> Got {
        match self.rest("POST", "/f/invocations", &[("x-amz-log-type", "Tail")], event).await.unwrap() {
            Answer::Headed(200, headers, payload) => {
                let header = |wanted: &str| headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
                let log = STANDARD.decode(header("x-amz-log-result").unwrap()).unwrap();
                let failed = header("x-amz-function-error").is_some();
                Got { payload, failed, log: String::from_utf8(log).unwrap() }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Runs a source once and returns the error that it must end with.
    async fn error(&self, source: &str, settings: Value) -> Got {
        self.create(source, settings).await;
        let got = self.invoke(json!({})).await;
        assert!(got.failed, "{got:?}");
        got
    }

    /// Returns what stands in a log group.
    async fn logged(&self, group: &str) -> Result<Vec<String>, Fault> {
        let input = Input::Json(json!({ "logGroupName": group }));
        match self.cloud.ask(&self.who, "logs", "FilterLogEvents", input).await? {
            Answer::Json(200, body) => {
                let events = body["events"].as_array().unwrap().iter();
                Ok(events.map(|event| event["message"].as_str().unwrap().to_owned()).collect())
            }
            other => panic!("{other:?}"),
        }
    }
}

fn zipped(source: &str) -> String {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("main.py", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(source.as_bytes()).unwrap();
    STANDARD.encode(archive.finish().unwrap().into_inner())
}

const COUNTER: &str = "
import os
count = 0
def handler(event, context):
    global count
    count += 1
    return {'count': count, 'pid': os.getpid(), 'event': event, 'name': context.function_name}
";

#[tokio::test]
async fn a_warm_process_keeps_its_state_until_the_function_changes() {
    let account = Account::new().await;
    account.create(COUNTER, json!({})).await;
    let first = account.invoke(json!({ "a": [1, null] })).await;
    assert_eq!(first.payload["event"], json!({ "a": [1, null] }));
    assert_eq!((&first.payload["count"], &first.payload["name"]), (&json!(1), &json!("f")));
    assert!(first.log.contains("Init Duration"), "{}", first.log);
    let second = account.invoke(Value::Null).await;
    assert_eq!((&second.payload["count"], &second.payload["event"]), (&json!(2), &json!({})));
    assert!(!second.log.contains("Init Duration"), "{}", second.log);
    let changed = json!({ "ZipFile": zipped(&COUNTER.replace("'name'", "'new'")) });
    account.rest("PUT", "/f/code", &[], changed).await.unwrap();
    let third = account.invoke(Value::Null).await;
    assert_eq!((&third.payload["count"], &third.payload["new"]), (&json!(1), &json!("f")));
    account.rest("PUT", "/f/configuration", &[], json!({ "MemorySize": 256 })).await.unwrap();
    assert_eq!(account.invoke(Value::Null).await.payload["count"], 1);
}

#[tokio::test]
async fn errors_of_the_code_are_told_as_lambda_tells_them() {
    let handler = "def handler(event, context):\n    ";
    let cases = [
        ("import nothing_like_this\n", "Runtime.ImportModuleError", "Unable to import module 'main': No module named"),
        ("def other(): pass\n", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'main'"),
        ("def handler(:\n", "Runtime.UserCodeSyntaxError", "Syntax error in module 'main': invalid syntax"),
        ("raise KeyError('setting')\n", "KeyError", "'setting'"),
        (&format!("{handler}raise ValueError('no')\n"), "ValueError", "no"),
        (
            &format!("{handler}return {{1, 2}}\n"),
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type set",
        ),
        (
            &format!("{handler}return 'x' * 6291556\n"),
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded",
        ),
    ];
    for (source, kind, text) in cases {
        let account = Account::new().await;
        let got = account.error(source, json!({})).await;
        assert_eq!(got.payload["errorType"], kind, "{got:?}");
        assert!(got.payload["errorMessage"].as_str().unwrap().starts_with(text), "{got:?}");
        assert!(got.payload["requestId"].as_str().unwrap().len() == 36 && got.payload["stackTrace"].is_array());
        assert!(got.log.contains(&format!("[ERROR] {kind}: ")), "{}", got.log);
        let again = account.invoke(json!({})).await;
        assert_eq!(again.payload["errorType"], kind, "the next one fails alike");
    }
}

#[tokio::test]
async fn a_trace_shows_the_function_only() {
    let got = Account::new().await.error("def handler(event, context):\n    return 1 / 0\n", json!({})).await;
    let trace = got.payload["stackTrace"].as_array().unwrap();
    assert_eq!(trace.len(), 1, "{got:?}");
    assert!(trace[0].as_str().unwrap().contains("main.py\", line 2, in handler\n    return 1 / 0"), "{got:?}");
}

#[tokio::test]
async fn a_function_over_its_time_is_killed_and_starts_anew() {
    let source = "
import time
count = 0
def handler(event, context):
    global count
    count += 1
    time.sleep(event.get('seconds', 0))
    return [count, context.get_remaining_time_in_millis() <= 1000]
";
    let account = Account::new().await;
    account.create(source, json!({ "Timeout": 1 })).await;
    assert_eq!(account.invoke(json!({})).await.payload, json!([1, true]));
    let got = account.invoke(json!({ "seconds": 60 })).await;
    assert!(got.failed);
    let text = got.payload["errorMessage"].as_str().unwrap();
    assert!(text.ends_with(" Task timed out after 1.00 seconds"), "{text}");
    assert!(got.log.contains("Status: timeout"), "{}", got.log);
    assert_eq!(account.invoke(json!({})).await.payload[0], 1, "a cold start");
}

#[tokio::test]
async fn a_function_over_its_memory_is_killed() {
    for then in ["time.sleep(60)", "del data"] {
        let source = format!("import time\ndef handler(event, context):\n    data = b'x' * (300 << 20)\n    {then}\n");
        let got = Account::new().await.error(&source, json!({})).await;
        let text = got.payload["errorMessage"].as_str().unwrap();
        assert!(text.ends_with("Error: Runtime exited with error: signal: killed"), "{text}");
        assert_eq!(got.payload["errorType"], "Runtime.ExitError");
    }
}

#[tokio::test]
async fn a_process_that_exits_is_told_with_its_status() {
    let ends = [
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("sys.exit(1)", "Runtime exited with error: exit status 1"),
        ("sys.exit(0)", "Runtime exited without providing a reason"),
        ("os.abort()", "Runtime exited with error: signal: aborted"),
    ];
    for (end, text) in ends {
        let account = Account::new().await;
        let source =
            format!("import os, sys\ndef handler(event, context):\n    print('last words', flush=True)\n    {end}\n");
        let got = account.error(&source, json!({})).await;
        assert!(got.payload["errorMessage"].as_str().unwrap().ends_with(text), "{end}: {got:?}");
        assert!(got.log.contains("last words") && got.log.contains("Runtime.ExitError"), "{}", got.log);
    }
}

const CHATTY: &str = "
import logging
print('at the start')
log = logging.getLogger()
log.setLevel(logging.INFO)
def handler(event, context):
    print('plain'); print('no end', end='')
    log.info('two\\nlines')
    return context.log_stream_name
";

#[tokio::test]
async fn what_a_function_says_stands_in_its_log_group() {
    let account = Account::new().await;
    account.create(CHATTY, json!({})).await;
    let got = account.invoke(json!({})).await;
    let logged = account.logged("/aws/lambda/f").await.unwrap();
    let starts = ["INIT_START Runtime Version: python:3.13.local", "LOCAL", "at the start", "START RequestId: "];
    let more = ["plain", "no end", "[INFO]\t", "END RequestId: ", "REPORT RequestId: "];
    assert_eq!(logged.len(), starts.len() + more.len(), "{logged:#?}");
    for (line, start) in logged.iter().zip(starts.into_iter().chain(more)) {
        assert!(line.starts_with(start), "{line:?} does not start with {start:?}");
    }
    assert!(logged[6].ends_with("\ttwo\nlines"), "{}", logged[6]);
    assert_eq!(got.log.trim_end(), logged.join("\n"));
    assert!(got.payload.as_str().unwrap().contains("/[$LATEST]"));
}

#[tokio::test]
async fn logs_in_json_have_levels() {
    let account = Account::new().await;
    let logging = json!({ "LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": "mine" });
    let source = "import logging\ndef handler(e, c):\n    logging.info('low')\n    logging.warning('high')\n";
    account.create(source, json!({ "LoggingConfig": logging })).await;
    account.invoke(json!({})).await;
    let logged = account.logged("mine").await.unwrap();
    let parsed: Vec<Value> = logged.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let kinds: Vec<&str> =
        parsed.iter().filter_map(|line| line["type"].as_str().or(line["message"].as_str())).collect();
    assert_eq!(kinds, ["platform.initStart", "platform.start", "high", "platform.report"], "{logged:#?}");
    assert_eq!((&parsed[2]["level"], &parsed[3]["record"]["status"]), (&json!("WARNING"), &json!("success")));
}

#[tokio::test]
async fn without_permission_a_function_runs_without_logs() {
    let account = Account::allowed(&["logs:CreateLogStream", "logs:PutLogEvents"]).await;
    account.create(CHATTY, json!({})).await;
    assert!(!account.invoke(json!({})).await.failed);
    assert_eq!(account.logged("/aws/lambda/f").await.unwrap_err().code, "ResourceNotFoundException");
}

#[tokio::test]
async fn two_events_run_at_once_and_reserved_concurrency_refuses_the_second() {
    let source = "
import os, time
def handler(event, context):
    open(os.path.join(event['folder'], event['own']), 'w').close()
    end = time.time() + event['seconds']
    while time.time() < end:
        if os.path.exists(os.path.join(event['folder'], event['other'])):
            return True
        time.sleep(0.01)
    return False
";
    let folder = tempfile::tempdir().unwrap();
    let event = |own: &str, other: &str| json!({ "folder": folder.path(), "own": own, "other": other, "seconds": 40 });
    let account = Account::new().await;
    account.create(source, json!({})).await;
    let (one, two) = tokio::join!(account.invoke(event("a", "b")), account.invoke(event("b", "a")));
    assert_eq!((one.payload, two.payload), (json!(true), json!(true)));

    account.rest("PUT", "/f/concurrency", &[], json!({ "ReservedConcurrentExecutions": 1 })).await.unwrap();
    let refused = async {
        while !folder.path().join("c").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let refused = account.rest("POST", "/f/invocations", &[], event("x", "a")).await.unwrap_err();
        std::fs::write(folder.path().join("d"), "").unwrap();
        refused
    };
    let (one, refused) = tokio::join!(account.invoke(event("c", "d")), refused);
    assert_eq!((one.payload, refused.status), (json!(true), 429));
}

#[tokio::test]
async fn events_without_a_caller_run_are_tried_again_and_given_up() {
    let source = "
import os
def handler(event, context):
    with open(event['file'], 'a') as file:
        file.write(context.aws_request_id + '\\n')
    if os.path.getsize(event['file']) < event['enough']:
        raise ValueError('not yet')
";
    let folder = tempfile::tempdir().unwrap();
    let account = Account::new().await;
    account.create(source, json!({})).await;
    let send = async |name: &str, enough: u32| {
        let event = json!({ "file": folder.path().join(name), "enough": enough });
        let answer = account.rest("POST", "/f/invocations", &[("X-Amz-Invocation-Type", "Event")], event).await;
        assert!(matches!(answer, Ok(Answer::Headed(202, _, Value::Null))), "{answer:?}");
    };
    tokio::join!(send("once", 1), send("twice", 60), send("never", 10_000));
    assert!(!account.cloud.functions().is_idle());
    while !account.cloud.functions().is_idle() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let runs = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let counts = ["once", "twice", "never"].map(|name| runs(name).lines().count());
    assert_eq!(counts, [1, 2, 3]);
    let never = runs("never");
    assert!(never.lines().all(|line| Some(line) == never.lines().next()), "one request identifier: {never}");
}

#[tokio::test]
async fn events_that_cannot_be_run_wait_for_better_times() {
    let account = Account::new().await;
    account.create("def handler(e, c): open(e['file'], 'w').write('ran')\n", json!({})).await;
    let trust = async |service: &str| {
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": service } },
        ]});
        let fields = [("RoleName", "worker"), ("PolicyDocument", &*policy.to_string())];
        account.query("iam", "UpdateAssumeRolePolicy", &fields).await;
    };
    trust("ec2.amazonaws.com").await;
    let folder = tempfile::tempdir().unwrap();
    let event = json!({ "file": folder.path().join("out") });
    account.rest("POST", "/f/invocations", &[("x-amz-invocation-type", "Event")], event).await.unwrap();
    let functions = account.cloud.functions();
    while functions.stalled().is_zero() {
        assert!(!functions.is_idle(), "the event is lost");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    trust("lambda.amazonaws.com").await;
    while !functions.is_idle() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("out")).unwrap(), "ran");
    assert!(functions.stalled().is_zero());
}

#[tokio::test]
async fn dry_runs_and_sizes_are_checked_without_a_process() {
    let account = Account::new().await;
    account.create("def handler(e, c): pass\n", json!({})).await;
    let dry = account.rest("POST", "/f/invocations", &[("x-amz-invocation-type", "DryRun")], json!({})).await;
    assert!(matches!(dry, Ok(Answer::Json(204, Value::Null))));
    let large = |size: usize| json!("x".repeat(size));
    let sync = account.rest("POST", "/f/invocations", &[], large(6_291_455)).await.unwrap_err();
    assert_eq!((sync.status, sync.code.as_str()), (413, "RequestTooLargeException"));
    let event = [("x-amz-invocation-type", "Event")];
    assert_eq!(account.rest("POST", "/f/invocations", &event, large(1_048_575)).await.unwrap_err().status, 413);
    assert_eq!(account.rest("POST", "/none/invocations", &[], json!({})).await.unwrap_err().status, 404);
}

#[tokio::test]
async fn processes_end_with_the_cloud() {
    let source = "
import os, subprocess, threading, time
def beat(file):
    while True:
        open(file, 'a').write('.')
        time.sleep(0.02)
def handler(event, context):
    threading.Thread(target=beat, args=(event['file'],), daemon=True).start()
    subprocess.Popen(['sh', '-c', 'while :; do printf . >> ' + event['file'] + '.child; sleep 0.05; done'])
    time.sleep(0.2)
";
    let folder = tempfile::tempdir().unwrap();
    let account = Account::new().await;
    account.create(source, json!({})).await;
    account.invoke(json!({ "file": folder.path().join("beat") })).await;
    let size =
        || ["beat", "beat.child"].map(|name| std::fs::metadata(folder.path().join(name)).map_or(0, |file| file.len()));
    assert!(size()[0] > 0);
    account.cloud.functions().close();
    drop(account);
    for _ in 0..100 {
        let before = size();
        tokio::time::sleep(Duration::from_millis(400)).await;
        if size() == before {
            return;
        }
    }
    panic!("the processes live on");
}

#[tokio::test]
async fn a_role_that_is_gone_stops_a_cold_start() {
    let account = Account::new().await;
    account.create("def handler(e, c): pass\n", json!({})).await;
    account.query("iam", "DeleteRolePolicy", &[("RoleName", "worker"), ("PolicyName", "p")]).await;
    account.query("iam", "DeleteRole", &[("RoleName", "worker")]).await;
    let fault = account.rest("POST", "/f/invocations", &[], json!({})).await.unwrap_err();
    assert_eq!(fault.message, "The role defined for the function cannot be assumed by Lambda.");
}
