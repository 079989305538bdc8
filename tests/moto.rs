//! The same fixtures, and the ticket stack, against moto: an AWS that is not ours.
//!
//! moto has no Kinesis Analytics of the API of 2015-08-14. That service alone is the local cloud's, behind its own
//! endpoint variable; what an application refers to is made there too, since AWS looks at it when it makes one.

use crate::support::account::{ACCOUNT, Account, REGION};
use crate::support::fixture::Fixture;
use crate::support::listener::Listener;
use crate::support::moto::Moto;
use crate::support::sandbox::Sandbox;

const FILE: &str = "stack.yaml";

/// Endpoint of one service, as the SDKs name it; wins over the endpoint of all.
const ANALYTICS: &str = "AWS_ENDPOINT_URL_KINESIS_ANALYTICS";

/// Takes a kind through its variants and down again; moto keeps no count of calls.
fn on_moto(kind: &str) {
    let moto = Moto::start();
    let sandbox = Sandbox::with_fixture_files().remote(moto.url());
    let account = Account::at(moto.url(), ACCOUNT, REGION);
    let mut variables = account.variables();
    // moto's RunInstances does not resolve parameters.
    variables.insert("image".to_owned(), account.image().into());
    let fixture = Fixture::of(kind).with(variables).for_moto();
    let empty = account.contents();
    variants(&fixture, &sandbox);
    assert_eq!(account.contents(), empty);
}

fn variants(fixture: &Fixture, sandbox: &Sandbox) {
    for variant in &fixture.variants {
        sandbox.write(FILE, &fixture.file(Some(variant)));
        sandbox.ok(&["apply", "-y"]);
        sandbox.ok(&["plan", "--detailed-exitcode"]).has("No changes.");
    }
    sandbox.ok(&["destroy", "-y"]).has("nothing is left");
}

#[test]
fn kinesis_analytics_application() {
    let fixture = Fixture::of("kinesis_analytics_application");
    let moto = Moto::start();
    let twin = Sandbox::with_fixture_files();
    let listener = Listener::start(&twin);
    let twin = twin.remote(listener.url());
    twin.write(FILE, &fixture.file(None));
    twin.ok(&["apply", "-y"]);
    let sandbox = Sandbox::with_fixture_files().remote(moto.url()).set(ANALYTICS, listener.url());
    let account = Account::at(moto.url(), ACCOUNT, REGION);
    let empty = account.contents();
    variants(&fixture, &sandbox);
    assert_eq!(account.contents(), empty);
    assert!(Account::at(listener.url(), ACCOUNT, REGION).applications().is_empty());
}

#[test]
fn kinesis_stream() {
    on_moto("kinesis_stream");
}

#[test]
fn iam_role() {
    on_moto("iam_role");
}

#[test]
fn iam_policy() {
    on_moto("iam_policy");
}

#[test]
fn iam_instance_profile() {
    on_moto("iam_instance_profile");
}

#[test]
fn dynamodb_table() {
    on_moto("dynamodb_table");
}

#[test]
fn sns_topic() {
    on_moto("sns_topic");
}

#[test]
fn sns_subscription() {
    on_moto("sns_subscription");
}

#[test]
fn lambda_function() {
    on_moto("lambda_function");
}

#[test]
fn lambda_event_source_mapping() {
    on_moto("lambda_event_source_mapping");
}

#[test]
fn cloudwatch_log_group() {
    on_moto("cloudwatch_log_group");
}

#[test]
fn ssm_parameter() {
    on_moto("ssm_parameter");
}

#[test]
fn ec2_security_group() {
    on_moto("ec2_security_group");
}

#[test]
fn ec2_instance() {
    on_moto("ec2_instance");
}

#[test]
fn the_ticket_stack() {
    let file = "stacks/airline_tickets.yaml";
    let moto = Moto::start();
    let twin = Sandbox::with_stacks();
    let listener = Listener::start(&twin);
    let twin = twin.remote(listener.url());
    twin.ok(&["apply", "-y", file, "--target", "analytics_role"]);
    let sandbox = Sandbox::with_stacks().remote(moto.url()).set(ANALYTICS, listener.url());
    let account = Account::at(moto.url(), ACCOUNT, REGION);
    let empty = account.contents();
    // moto's RunInstances does not resolve parameters.
    let parameter = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";
    sandbox.edit(file, parameter, &account.image());
    // Its RunInstances makes no spot request either, so that nobody can tell the price.
    let args = [file, "--var", "phone=+79990001122", "--var", "spot=false"];
    let run = |command: &[&str]| sandbox.run(&[command, &args].concat());
    run(&["apply", "-y"]).code(0).has("Apply complete").lacks("9990001122");
    run(&["plan", "--detailed-exitcode"]).code(0).has("No changes.");
    run(&["show"]).code(0).has("RUNNING").has("DESTINATION_SQL_STREAM → special_stream");
    run(&["destroy", "-y"]).code(0).has("nothing is left");
    assert_eq!(account.contents(), empty);
    assert!(Account::at(listener.url(), ACCOUNT, REGION).applications().is_empty());
}

/// Makes a bucket that keeps versions, with one zip under the key `code.zip` in two versions and under `other.zip`;
/// prints the versions of the first and the hashes of all three.
const BUCKET: &str = r#"
import base64, boto3, hashlib, io, sys, zipfile
s3 = boto3.client("s3", endpoint_url=sys.argv[1])
s3.create_bucket(Bucket="artifacts")
s3.put_bucket_versioning(Bucket="artifacts", VersioningConfiguration={"Status": "Enabled"})
for key, answer in [("code.zip", 1), ("code.zip", 2), ("other.zip", 3)]:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("handler.py", f"def handle(event, context):\n    return {answer}\n")
    version = s3.put_object(Bucket="artifacts", Key=key, Body=body.getvalue())["VersionId"]
    print(version, base64.b64encode(hashlib.sha256(body.getvalue()).digest()).decode())
"#;

/// Gives the function other code behind the stack's back.
const REPLACE: &str = r#"
import boto3, sys
client = boto3.client("lambda", endpoint_url=sys.argv[1])
client.update_function_code(FunctionName="from-s3", S3Bucket="artifacts", S3Key=sys.argv[2])
"#;

#[test]
fn code_from_s3() {
    let moto = Moto::start();
    let printed = moto.python(BUCKET, &[]);
    let lines: Vec<(&str, &str)> = printed.lines().map(|line| line.split_once(' ').unwrap()).collect();
    let [(first, _), (second, latest), (_, other)] = lines[..] else { panic!("{printed}") };
    let sandbox = Sandbox::with_fixture_files().remote(moto.url());
    let account = Account::at(moto.url(), ACCOUNT, REGION);
    let hash = || {
        let answer = account.call(account.aws.lambda().get_function().function_name("from-s3").send());
        answer.configuration.and_then(|function| function.code_sha256).unwrap()
    };
    let file = |code: &str| {
        let role = "role: {type: iam_role, name: from-s3, service: lambda.amazonaws.com}";
        let function =
            "type: lambda_function, name: from-s3, role: '${role.arn}', runtime: python3.13, handler: handler.handle";
        sandbox.write(
            FILE,
            &format!("stack: from-s3\nregion: {REGION}\nresources:\n  {role}\n  f: {{{function}, {code}}}\n"),
        );
    };
    let settles = |code: &str| {
        file(code);
        sandbox.run(&["plan", "--detailed-exitcode"]).code(2);
        sandbox.ok(&["apply", "-y"]);
        sandbox.ok(&["plan", "--detailed-exitcode"]).has("No changes.");
    };
    let place = |key: &str| format!("s3_bucket: artifacts, s3_key: {key}");
    settles(&place("code.zip"));
    assert_eq!(hash(), latest);
    settles(&place("other.zip"));
    assert_eq!(hash(), other);
    // moto takes the latest version whatever it is asked for; that the place has changed is known by the mark.
    settles(&format!("{}, s3_object_version: '{first}'", place("code.zip")));
    settles(&format!("{}, s3_object_version: '{second}'", place("code.zip")));
    assert_eq!(hash(), latest);
    moto.python(REPLACE, &["other.zip"]);
    sandbox.run(&["plan", "--detailed-exitcode"]).code(2).has("code_sha256");
    sandbox.ok(&["apply", "-y"]);
    assert_eq!(hash(), latest);
    settles("code: function");
    sandbox.ok(&["destroy", "-y"]).has("nothing is left");
}
