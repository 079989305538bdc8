//! Functions that run in the local cloud, as clients of its listener see them.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, InvocationType, Runtime};
use serde_json::{Value, json};

use crate::support::account::{Account, LOCAL_ACCOUNT, REGION};
use crate::support::listener::Listener;
use crate::support::sandbox::Sandbox;

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

fn zipped(source: &str) -> Blob {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("main.py", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(source.as_bytes()).unwrap();
    Blob::new(archive.finish().unwrap().into_inner())
}

/// Makes a function with a role that may write logs.
fn create(account: &Account, name: &str, source: &str) {
    let trust = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": "lambda.amazonaws.com" } },
    ]});
    let role = account.aws.iam().create_role().role_name(name).assume_role_policy_document(trust.to_string());
    let role = account.call(role.send()).role.unwrap().arn;
    let logs = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
    account.call(account.aws.iam().attach_role_policy().role_name(name).policy_arn(logs).send());
    let function = account.aws.lambda().create_function().function_name(name).role(role).handler("main.handler");
    let code = FunctionCode::builder().zip_file(zipped(source)).build();
    account.call(function.runtime(Runtime::from("python3.13")).code(code).timeout(60).send());
}

fn invoke(account: &Account, name: &str, event: &Value) -> Value {
    let call = account.aws.lambda().invoke().function_name(name).payload(Blob::new(event.to_string()));
    let answer = account.call(call.send());
    let payload: Value = serde_json::from_slice(answer.payload.unwrap().as_ref()).unwrap();
    assert_eq!(answer.function_error, None, "{payload}");
    payload
}

fn send(account: &Account, name: &str, event: &Value) {
    let call = account.aws.lambda().invoke().function_name(name).invocation_type(InvocationType::Event);
    assert_eq!(account.call(call.payload(Blob::new(event.to_string())).send()).status_code, 202);
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "{what} does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn size(path: &Path) -> u64 {
    fs_err::metadata(path).map_or(0, |file| file.len())
}

#[test]
fn a_function_calls_the_cloud_through_boto3() {
    let sandbox = Sandbox::new().with_python();
    let listener = Listener::start(&sandbox);
    let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
    let source = "
import boto3
sts = boto3.client('sts')
def handler(event, context):
    return sts.get_caller_identity()['Account']
";
    create(&account, "caller", source);
    assert_eq!(invoke(&account, "caller", &json!({})), LOCAL_ACCOUNT);
    assert!(sandbox.dir().join(".stackctl/local/lambda").exists(), "code is unpacked beside the state");
}

#[test]
fn a_function_ends_with_the_cloud_even_in_the_middle_of_an_event() {
    let sandbox = Sandbox::new().with_python();
    let listener = Listener::start(&sandbox);
    let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
    let source = "
import time
def handler(event, context):
    while True:
        with open(event['beat'], 'a') as file:
            file.write('.')
        time.sleep(0.02)
";
    create(&account, "endless", source);
    let beat = sandbox.dir().join("beat");
    send(&account, "endless", &json!({ "beat": beat }));
    wait_for("the first beat", || size(&beat) > 0);
    // A kill that no process can do anything about.
    drop(listener);
    let mut before = 0;
    wait_for("the end of the function", || {
        std::thread::sleep(Duration::from_millis(500));
        std::mem::replace(&mut before, size(&beat)) == size(&beat)
    });
}

#[test]
fn an_accepted_event_is_run_by_the_next_process() {
    let sandbox = Sandbox::new().with_python();
    let listener = Listener::start(&sandbox);
    let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
    let source = "
import os, time
def handler(event, context):
    open(event['begun'], 'w').close()
    while not os.path.exists(event['go']):
        time.sleep(0.02)
    open(event['done'], 'w').close()
";
    create(&account, "late", source);
    let path = |name: &str| sandbox.dir().join(name);
    send(&account, "late", &json!({ "begun": path("begun"), "go": path("go"), "done": path("done") }));
    wait_for("the beginning", || path("begun").exists());
    drop(listener);
    fs_err::write(path("go"), "").unwrap();
    let _listener = Listener::start(&sandbox);
    wait_for("the event", || path("done").exists());
}
