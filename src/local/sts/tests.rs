//! Sessions as callers see them.

use aws_credential_types::Credentials;
use aws_sdk_iam::error::ProvideErrorMetadata;
use aws_types::SdkConfig;
use serde_json::{Value, json};

use crate::local::tests::{config_with, memory};
use crate::local::{Call, Cloud, Input, Settings};

use super::session;

const ROLE: &str = "arn:aws:iam::123456789012:role/x/r";

fn trust(principal: &Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal },
    ]})
    .to_string()
}

async fn role(config: &SdkConfig, name: &str, trust: &str) {
    let iam = aws_sdk_iam::Client::new(config);
    iam.create_role().role_name(name).path("/x/").assume_role_policy_document(trust).send().await.unwrap();
}

async fn assume(config: &SdkConfig, arn: &str) -> Result<Credentials, String> {
    let sts = aws_sdk_sts::Client::new(config);
    let answer = sts.assume_role().role_arn(arn).role_session_name("s1").duration_seconds(900).send().await;
    let answer = answer.map_err(|error| error.code().unwrap_or_default().to_owned())?;
    assert_eq!(
        answer.assumed_role_user().unwrap().arn(),
        arn.replace(":iam:", ":sts:").replace("role/x", "assumed-role") + "/s1"
    );
    let given = answer.credentials().unwrap();
    let token = Some(given.session_token().to_owned());
    Ok(Credentials::new(given.access_key_id(), given.secret_access_key(), token, None, "test"))
}

/// A cloud with a role that its account may assume, and the settings of the account and of a session of the role.
async fn with_session() -> (Cloud, SdkConfig, Credentials) {
    let (cloud, config) = memory(Settings::default());
    role(&config, "r", &trust(&json!({ "AWS": "arn:aws:iam::123456789012:root" }))).await;
    let credentials = assume(&config, ROLE).await.unwrap();
    (cloud, config, credentials)
}

async fn whoami(cloud: &Cloud, credentials: Credentials) -> Result<String, String> {
    let sts = aws_sdk_sts::Client::new(&config_with(cloud, credentials));
    let answer = sts.get_caller_identity().send().await;
    answer.map(|known| known.arn().unwrap().to_owned()).map_err(|error| error.code().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_session_stands_for_its_role() {
    let (cloud, _, credentials) = with_session().await;
    let arn = whoami(&cloud, credentials).await;
    assert_eq!(arn.as_deref(), Ok("arn:aws:sts::123456789012:assumed-role/r/s1"));
}

#[tokio::test]
async fn wrong_expired_and_orphaned_credentials_are_refused() {
    let (cloud, config, credentials) = with_session().await;
    let with = |key: &str, token: Option<&str>| Credentials::new(key, "secret", token.map(str::to_owned), None, "test");
    let key = credentials.access_key_id();
    let invalid = Err("InvalidClientTokenId".to_owned());
    assert_eq!(whoami(&cloud, with(key, Some("other"))).await, invalid);
    assert_eq!(whoami(&cloud, with(key, None)).await, invalid);
    assert_eq!(whoami(&cloud, with("ASIAIOSFODNN7EXAMPLE", credentials.session_token())).await, invalid);

    let expired = {
        let mut call = Call::new("", Input::Json(Value::Null), jiff::Timestamp::now().as_millisecond());
        call.account = "123456789012".to_owned();
        role(&config, "f", &trust(&json!({ "Service": "lambda.amazonaws.com" }))).await;
        let arn = "arn:aws:iam::123456789012:role/x/f";
        let given = cloud.rows().transaction(&call, |tx| {
            session::session(tx, &call, arn, "ec2.amazonaws.com", "f", 900).unwrap_err();
            session::session(tx, &call, arn, "lambda.amazonaws.com", "f", -1)
        });
        given.unwrap()
    };
    let expired = with(&expired.access_key_id, Some(&expired.session_token));
    assert_eq!(whoami(&cloud, expired).await, Err("ExpiredToken".to_owned()));

    let iam = aws_sdk_iam::Client::new(&config);
    iam.delete_role().role_name("r").send().await.unwrap();
    role(&config, "r", &trust(&json!({ "AWS": "123456789012" }))).await;
    assert_eq!(whoami(&cloud, credentials).await, invalid, "a new role of the same name is another role");
}

#[tokio::test]
async fn the_trust_policy_decides_who_assumes_a_role() {
    let (cloud, config, credentials) = with_session().await;
    role(&config, "service", &trust(&json!({ "Service": "lambda.amazonaws.com" }))).await;
    role(&config, "friend", &trust(&json!({ "AWS": ROLE }))).await;
    let denied = Err("AccessDenied".to_owned());
    let arn = |name: &str| format!("arn:aws:iam::123456789012:role/x/{name}");
    assert_eq!(assume(&config, &arn("service")).await.map(|_| ()), denied);
    assert_eq!(assume(&config, &arn("friend")).await.map(|_| ()), denied);
    assert_eq!(assume(&config, &arn("none")).await.map(|_| ()), denied);
    let session = config_with(&cloud, credentials);
    assert!(assume(&session, &arn("friend")).await.is_ok(), "the role is named");
    assert_eq!(
        assume(&session, ROLE).await.map(|_| ()),
        denied,
        "its account is named, and its policies do not allow it"
    );
    let iam = aws_sdk_iam::Client::new(&config);
    let allow =
        json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "sts:*", "Resource": "*" } });
    iam.put_role_policy().role_name("r").policy_name("p").policy_document(allow.to_string()).send().await.unwrap();
    assert!(assume(&session, ROLE).await.is_ok());
}

#[tokio::test]
async fn a_role_of_another_account_is_assumed_across() {
    let (cloud, config) = memory(Settings::default());
    role(&config, "r", &trust(&json!({ "AWS": "arn:aws:iam::222222222222:root" }))).await;
    let other = config_with(&cloud, Credentials::new("222222222222", "secret", None, None, "test"));
    let credentials = assume(&other, ROLE).await.unwrap();
    let arn = whoami(&cloud, credentials).await;
    assert_eq!(arn.as_deref(), Ok("arn:aws:sts::123456789012:assumed-role/r/s1"));
    assert_eq!(assume(&config, ROLE).await.map(|_| ()), Err("AccessDenied".to_owned()));
}

#[tokio::test]
async fn broken_wishes_are_refused() {
    let (_, config, _) = with_session().await;
    let sts = aws_sdk_sts::Client::new(&config);
    let wish = || sts.assume_role().role_arn(ROLE).role_session_name("s1");
    for wish in [
        wish().role_session_name("a b"),
        wish().role_session_name("a"),
        wish().duration_seconds(899),
        wish().duration_seconds(3601),
        wish().role_arn("arn:aws:iam::123456789012:user/r"),
        wish().policy("{}"),
    ] {
        let error = wish.send().await.unwrap_err();
        assert_eq!(error.code(), Some("ValidationError"), "{error:?}");
    }
}
