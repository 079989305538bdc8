//! Tables that cannot be used, and what is said about it.

use aws_credential_types::Credentials;

use super::{LOCKS, QUICK, TABLE, World};
use crate::support::account::{self, ACCOUNT, Account, REGION};
use crate::support::sandbox::{Output, Sandbox};

/// Credentials of a role that may do everything but what is denied.
fn without(account: &Account, url: &str, denied: &str) -> Credentials {
    let iam = account.aws.iam();
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:root"}}}}]}}"#
    );
    let rights = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"*","Resource":"*"}},{{"Effect":"Deny","Action":"{denied}","Resource":"*"}}]}}"#
    );
    let role = account.call(iam.create_role().role_name("ci").assume_role_policy_document(trust).send()).role.unwrap();
    account.call(iam.put_role_policy().role_name("ci").policy_name("p").policy_document(rights).send());
    let sts = aws_sdk_sts::Client::new(&account::config(url, Credentials::from_keys(ACCOUNT, "none", None), REGION));
    let session =
        account.call(sts.assume_role().role_arn(role.arn).role_session_name("test").send()).credentials.unwrap();
    Credentials::from_keys(session.access_key_id, session.secret_access_key, Some(session.session_token))
}

#[test]
fn errors_of_the_table_say_what_to_do() {
    let world = World::new(QUICK, "0");
    world.sandbox.write("other.yaml", &QUICK.replace("table: stackctl-locks", "table: elsewhere"));
    let missing = |output: Output| {
        let output = output.code(1).has("the lock table elsewhere is not in us-east-1, account 123456789012");
        let output =
            output.has("aws dynamodb create-table --table-name elsewhere --attribute-definitions AttributeName=LockID");
        output.has("billing_mode: PAY_PER_REQUEST}`");
    };
    missing(world.sandbox.run(&["apply", "-y", "other.yaml"]));
    missing(world.sandbox.run(&["lock", "show", "other.yaml"]));
    let tables = world.account.call(world.account.aws.dynamodb().list_tables().send()).table_names.unwrap();
    assert_eq!(tables, [TABLE]);
    world.sandbox.write(
        "locks.yaml",
        &LOCKS.replace("stackctl-locks", "elsewhere").replace("LockID", "Id").replace("stack: locks", "stack: more"),
    );
    world.sandbox.ok(&["apply", "-y", "locks.yaml"]);
    world.sandbox.run(&["apply", "-y", "other.yaml"]).code(1).has("a lock table has the hash key LockID, of type S");
    world.sandbox.write("none.yaml", &QUICK.replace("lock: {table: stackctl-locks, ttl: 30s}", ""));
    world
        .sandbox
        .run(&["lock", "show", "none.yaml"])
        .code(1)
        .has("has no lock")
        .has("write `lock: {table: stackctl-locks}`");
}

#[test]
fn a_missing_right_is_named() {
    let world = World::new(QUICK, "0");
    let keys = without(&world.account, world.listener.url(), "dynamodb:UpdateItem");
    let token = keys.session_token().unwrap();
    let sandbox = Sandbox::new().remote(world.listener.url()).set("AWS_SESSION_TOKEN", token);
    let sandbox = sandbox.set("AWS_ACCESS_KEY_ID", keys.access_key_id());
    let sandbox = sandbox.set("AWS_SECRET_ACCESS_KEY", keys.secret_access_key());
    sandbox.write("stack.yaml", QUICK);
    let output = sandbox.run(&["apply", "-y"]).code(1).has("AccessDenied");
    output.has("this call needs dynamodb:UpdateItem").has("table/stackctl-locks").lacks("Plan:");
    sandbox.ok(&["lock", "show"]);
}
