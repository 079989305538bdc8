//! The verbs of kinds against the local cloud, in process.

mod dynamodb;
mod ec2;
mod iam;
mod permits;
mod sns;
mod subscriptions;

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use serde_json::{Value, json};

use super::KINDS;
use crate::aws::marks::{self, marks, spec_hash, tag_changes};
use crate::aws::{Aws, Cx};
use crate::diff::diff;
use crate::kind::{AnyKind, AnyWrites, Class, Files, Found, Key, KindError, Place, Tags};
use crate::local::connector::LocalClient;
use crate::local::{Cloud, Settings};

mod streaming;

const ACCOUNT: &str = "123456789012";

fn writer(name: &str) -> &'static dyn AnyWrites {
    KINDS.iter().copied().find(|kind| kind.type_name() == name).unwrap()
}

fn marked(kind: &dyn AnyKind, key: &Key, spec: &Value) -> Tags {
    marks(key, &spec_hash(kind.fields(), &[], spec, &Tags::new()), false, false)
}

/// An account with nothing in it.
struct Account(Arc<Aws>);

/// One resource of the stack `shop`.
struct Subject {
    cx: Cx,
    kind: &'static dyn AnyWrites,
    dir: Files,
}

impl Account {
    fn new() -> Self {
        Self::of(Cloud::memory(Settings::default()).unwrap())
    }

    fn of(cloud: Cloud) -> Self {
        let credentials = Credentials::new(ACCOUNT, "secret", None, None, "test");
        let builder = SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .retry_config(RetryConfig::standard())
            .credentials_provider(SharedCredentialsProvider::new(credentials));
        let client = LocalClient::new(cloud);
        let config = builder.http_client(SharedHttpClient::new(client)).build();
        let place = Place { partition: "aws".into(), region: "us-east-1".into(), account: ACCOUNT.into() };
        Self(Arc::new(Aws::new(config, place, true)))
    }

    fn subject(&self, kind: &str, name: &str) -> Subject {
        let key = Key { stack: "shop".into(), id: "subject".into(), name: name.into(), physical: None };
        let dir = Files { dir: ".".into(), stack: "shop".into() };
        Subject { cx: Cx::new(Arc::clone(&self.0), key), kind: writer(kind), dir }
    }
}

impl Subject {
    fn want(&self, spec: &Value) -> Value {
        let prepared = self.kind.prepare(spec, &self.dir).unwrap();
        let normal = self.kind.normal(&prepared).unwrap();
        assert_eq!(self.kind.normal(&normal).unwrap(), normal, "the normal form is idempotent");
        normal
    }

    fn tags(&self, spec: &Value) -> Tags {
        let mut tags = marked(self.kind, &self.cx.key, spec);
        tags.insert("env".into(), "dev".into());
        tags
    }

    async fn look(&self, want: Option<&Value>) -> Option<Found> {
        self.kind.observe(&self.cx, want).await.unwrap()
    }

    async fn settled(&self, want: &Value) -> Found {
        let found = self.look(Some(want)).await.unwrap();
        let changes = diff(self.kind.fields(), &[], want, &found.spec);
        assert!(changes.is_empty(), "after {want:#}: {changes:#?}");
        found
    }

    async fn create(&self, spec: &Value) -> Found {
        let want = self.want(spec);
        let (physical, outputs) = self.kind.create(&self.cx, &want, &self.tags(&want)).await.unwrap();
        let found = self.settled(&want).await;
        assert_eq!((&physical, &outputs), (&found.physical, &found.outputs));
        assert_eq!(found.tags, self.tags(&want));
        for (name, value) in self.kind.predict(&self.cx.aws.place, &self.cx.key, &want) {
            assert_eq!(outputs[&name], value, "prediction of {name}");
        }
        found
    }

    async fn update(&self, spec: &Value) {
        let want = self.want(spec);
        let found = self.look(Some(&want)).await.unwrap();
        let changes = diff(self.kind.fields(), &[], &want, &found.spec);
        assert!(changes.iter().all(|change| !change.forces_replacement), "{changes:#?}");
        self.kind.update(&self.cx, &want, &found.spec, &changes).await.unwrap();
        self.settled(&want).await;
    }

    /// Runs the whole life of a resource: created, created again after a lost answer, changed, tagged, listed, deleted.
    async fn lives(&self, first: &Value, changes: &[Value]) {
        assert_eq!(self.look(None).await, None);
        self.create(first).await;
        self.create(first).await;
        for spec in changes {
            self.update(spec).await;
        }
        self.is_retagged().await;
        let owned = self.kind.owned(&self.cx).await.unwrap();
        assert_eq!(owned.len(), 1, "{owned:?}");
        assert_eq!(Some(&owned[0].physical), self.look(None).await.map(|found| found.physical).as_ref());
        self.kind.delete(&self.cx).await.unwrap();
        assert_eq!(self.look(None).await, None);
        self.kind.delete(&self.cx).await.unwrap();
        assert_eq!(self.kind.owned(&self.cx).await.unwrap(), []);
    }

    async fn is_retagged(&self) {
        let present = self.look(None).await.unwrap().tags;
        let mut wanted = present.clone();
        wanted.remove("env");
        wanted.insert("team".into(), "a b/c".into());
        let (set, remove) = tag_changes(&wanted, &present);
        self.kind.retag(&self.cx, &set, &remove).await.unwrap();
        assert_eq!(self.look(None).await.unwrap().tags, wanted);
    }

    /// Checks that somebody else's object of the same name is refused and left alone.
    async fn refuses_foreign(&self, spec: &Value) {
        let want = self.want(spec);
        let other = Key { stack: "other".into(), ..self.cx.key.clone() };
        let theirs = Cx::new(Arc::clone(&self.cx.aws), other.clone());
        self.kind.create(&theirs, &want, &marked(self.kind, &other, &want)).await.unwrap();
        let error = self.kind.create(&self.cx, &want, &self.tags(&want)).await.unwrap_err();
        assert_eq!(error.class, Class::Exists, "{error}");
        assert_eq!(self.kind.owned(&self.cx).await.unwrap(), []);
    }
}

fn allow(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})
}

#[tokio::test]
async fn a_role_lives() {
    let account = Account::new();
    let boundary = account.subject("iam_policy", "Boundary");
    let arn = boundary.create(&json!({"policy_document": allow("kinesis:*")})).await.physical;
    let managed = ["arn:aws:iam::aws:policy/AmazonKinesisFullAccess", "arn:aws:iam::aws:policy/AmazonSNSFullAccess"];
    let full = json!({
        "assume_role_policy": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Principal": {"AWS": format!("arn:aws:iam::{ACCOUNT}:root")}},
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": ["lambda.amazonaws.com"]}},
        ]},
        "description": "Reads", "max_session_duration": 7200, "permissions_boundary": arn,
        "managed_policy_arns": managed, "inline_policies": {"read.it": allow("s3:Get*"), "b": allow("s3:List*")},
    });
    let other = json!({
        "service": ["ec2.amazonaws.com", "lambda.amazonaws.com"], "managed_policy_arns": [managed[1]],
        "inline_policies": {"read.it": allow("s3:GetObject")},
    });
    let least = json!({"service": "lambda.amazonaws.com"});
    let changes = [full.clone(), least.clone(), other, full.clone()];
    account.subject("iam_role", "Reader").lives(&least, &changes).await;
    account.subject("iam_role", "Writer").lives(&full, std::slice::from_ref(&least)).await;
    account.subject("iam_role", "Theirs").refuses_foreign(&least).await;
}

#[tokio::test]
async fn policies_are_swapped_even_where_there_is_no_room_for_both() {
    let account = Account::new();
    let names =
        ["AmazonKinesisFullAccess", "AmazonSNSFullAccess"].map(|name| format!("arn:aws:iam::aws:policy/{name}"));
    let large = |letter: &str| {
        json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "s3:*", "Resource": format!("arn:aws:s3:::{}", letter.repeat(6000))}]})
    };
    let with = |name: &str, arn: &str| json!({"service": "lambda.amazonaws.com", "managed_policy_arns": arn, "inline_policies": {name: large(name)}});
    let role = account.subject("iam_role", "Full");
    role.create(&with("a", &names[0])).await;
    role.update(&with("b", &names[1])).await;
}

#[tokio::test]
async fn a_trusted_principal_that_comes_later_is_waited_for() {
    let account = Account::new();
    let (trusted, trusting) = (account.subject("iam_role", "Trusted"), account.subject("iam_role", "Trusting"));
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/stackctl/shop/Trusted");
    let spec = json!({"assume_role_policy": {"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": arn}}}});
    let late = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        trusted.create(&json!({"service": "lambda.amazonaws.com"})).await
    };
    tokio::join!(trusting.create(&spec), late);
}

#[tokio::test]
async fn a_policy_lives() {
    let account = Account::new();
    let version = |action: &str| json!({"policy_document": allow(action), "description": "Reads"});
    let changes = ["a:B", "a:C", "a:D", "a:E", "a:F", "a:G"].map(version);
    account.subject("iam_policy", "Read").lives(&version("a:A"), &changes).await;
    account.subject("iam_policy", "Theirs").refuses_foreign(&version("a:A")).await;
}

#[tokio::test]
async fn a_policy_in_use_is_detached_before_it_goes() {
    let account = Account::new();
    let policy = account.subject("iam_policy", "Read");
    let arn = policy.create(&json!({"policy_document": allow("s3:*")})).await.physical;
    let role = account.subject("iam_role", "Reader");
    role.create(&json!({"service": "lambda.amazonaws.com", "managed_policy_arns": [arn]})).await;
    policy.kind.delete(&policy.cx).await.unwrap();
    assert_eq!(policy.look(None).await, None);
    assert_eq!(role.look(None).await.unwrap().spec["managed_policy_arns"], json!([]));
}

#[tokio::test]
async fn an_instance_profile_lives() {
    let account = Account::new();
    for name in ["A", "B"] {
        account.subject("iam_role", name).create(&json!({"service": "ec2.amazonaws.com"})).await;
    }
    let changes = [json!({"role": "A"}), json!({"role": "B"}), json!({}), json!({"role": "A"})];
    account.subject("iam_instance_profile", "P").lives(&json!({}), &changes).await;
    account.subject("iam_instance_profile", "Q").lives(&json!({"role": "B"}), &[]).await;
    account.subject("iam_instance_profile", "T").refuses_foreign(&json!({})).await;
    let (role, profile) = (account.subject("iam_role", "A"), account.subject("iam_instance_profile", "R"));
    profile.create(&json!({"role": "A"})).await;
    role.kind.delete(&role.cx).await.unwrap();
    assert_eq!(profile.look(None).await.unwrap().spec["role"], Value::Null, "a role leaves its profiles first");
}

#[tokio::test]
async fn a_log_group_lives() {
    let account = Account::new();
    account.subject("cloudwatch_log_group", "/aws/lambda/f-2").create(&json!({})).await;
    let other = account.subject("cloudwatch_log_group", "/aws/lambda/f-2");
    other.kind.delete(&other.cx).await.unwrap();
    let key = format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab");
    let full = json!({"retention_in_days": 14, "kms_key_id": key, "deletion_protection_enabled": true});
    let changes = [full, json!({}), json!({"retention_in_days": 1}), json!({"retention_in_days": 3653})];
    account.subject("cloudwatch_log_group", "/aws/lambda/f").lives(&json!({}), &changes).await;
    let rare = json!({"log_group_class": "INFREQUENT_ACCESS", "retention_in_days": 30});
    account.subject("cloudwatch_log_group", "rare").lives(&rare, &[]).await;
    account.subject("cloudwatch_log_group", "theirs").refuses_foreign(&json!({})).await;
}

#[tokio::test]
async fn a_protected_log_group_says_how_to_delete_it() {
    let account = Account::new();
    let group = account.subject("cloudwatch_log_group", "g");
    group.create(&json!({"deletion_protection_enabled": true})).await;
    let error = group.kind.delete(&group.cx).await.unwrap_err();
    assert!(error.hint.unwrap().contains("deletion_protection_enabled: false"));
    assert!(group.look(None).await.is_some());
}

#[tokio::test]
async fn a_parameter_lives() {
    let account = Account::new();
    let full = json!({
        "value": "a,b", "parameter_type": "StringList", "description": "Letters", "tier": "Advanced",
        "allowed_pattern": "^[a-z,]+$",
    });
    let least = json!({"value": "a", "parameter_type": "StringList"});
    let changes = [full.clone(), least.clone(), json!({"value": "b", "parameter_type": "StringList"})];
    account.subject("ssm_parameter", "/app/letters").lives(&least, &changes).await;
    let secret = |value: &str| json!({"value": value, "parameter_type": "SecureString"});
    let mut keyed = secret("two");
    keyed["key_id"] = json!("alias/aws/ssm");
    account.subject("ssm_parameter", "secret").lives(&secret("one"), &[secret("two"), keyed]).await;
    account.subject("ssm_parameter", "theirs").refuses_foreign(&secret("x")).await;
}

#[tokio::test]
async fn a_value_set_by_hand_stays() {
    let account = Account::new();
    let token = account.subject("ssm_parameter", "/app/token");
    let spec = json!({"parameter_type": "SecureString"});
    token.create(&spec).await;
    let client = account.0.ssm();
    let value = || async {
        let answer = client.get_parameter().name("/app/token").with_decryption(true).send().await.unwrap();
        answer.parameter.unwrap().value.unwrap()
    };
    assert_eq!(value().await, "unset");
    client.put_parameter().name("/app/token").value("by hand").overwrite(true).send().await.unwrap();
    token.settled(&token.want(&spec)).await;
    token.update(&json!({"parameter_type": "SecureString", "description": "Token"})).await;
    assert_eq!(value().await, "by hand");
    let found = token.look(Some(&token.want(&spec))).await.unwrap();
    assert_eq!(found.spec["value"], Value::Null, "a value that is not ours is not even read");
}
