//! What calls need, service by service, and how a refusal reads.

use aws_credential_types::Credentials;
use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_types::SdkConfig;
use serde_json::{Value, json};

use crate::local::registry::{Entry, SERVICES};
use crate::local::store::Store;
use crate::local::tests::{config_with, memory};
use crate::local::{Call, Cloud, Fault, Input, Params, Settings, Who};

use super::needs;

const ROLE: &str = "arn:aws:iam::123456789012:role/r";
const TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/";
const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

fn entry(signing: &str) -> &'static Entry {
    SERVICES.iter().find(|entry| entry.signing == signing).unwrap()
}

/// Returns each need as `action resource`.
fn needed(signing: &str, operation: &str, input: Input) -> Vec<String> {
    let call = Call::new(operation, input, 0);
    let store = Store::memory().unwrap();
    let needs = store.transaction(&call, |tx| needs::of(tx, entry(signing), &call)).unwrap();
    needs.into_iter().map(|need| format!("{} {}", need.action, need.resource)).collect()
}

fn json_needs(signing: &str, operation: &str, body: Value) -> Vec<String> {
    needed(signing, operation, Input::Json(body))
}

fn form_needs(signing: &str, operation: &str, fields: &[(&str, &str)]) -> Vec<String> {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    needed(signing, operation, Input::Query(Params(fields.collect())))
}

fn path_needs(method: &str, path: &str, body: Value) -> Vec<String> {
    let segments = path.split('/').map(str::to_owned).collect();
    needed("lambda", method, Input::Rest { segments, query: Vec::new(), body })
}

#[test]
fn calls_to_kinesis_name_a_stream() {
    let arn = STREAM;
    let own = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text);
    let cases = [
        ("PutRecords", json!({ "StreamName": "s" }), arn),
        ("PutRecord", json!({ "StreamARN": arn }), arn),
        ("GetRecords", json!({ "ShardIterator": own("1/2/s/3/0/4") }), arn),
        ("GetRecords", json!({ "ShardIterator": "?" }), "*"),
        ("ListShards", json!({ "NextToken": own(r#"[1,"s",2,"shardId-000000000000",null]"#) }), arn),
        ("TagResource", json!({ "ResourceARN": arn }), arn),
        ("ListStreams", json!({ "NextToken": "s" }), "*"),
        ("DescribeLimits", json!({}), "*"),
    ];
    for (operation, body, resource) in cases {
        assert_eq!(json_needs("kinesis", operation, body), [format!("kinesis:{operation} {resource}")]);
    }
}

#[test]
fn records_of_a_table_come_from_the_stream_that_it_has_now() {
    let iterator = dynoxide::actions::get_shard_iterator::encode_shard_iterator("a", "shard", 0);
    let call = Call::new("GetRecords", Input::Json(json!({ "ShardIterator": iterator })), 0);
    let store = Store::memory().unwrap();
    let needed = || store.transaction(&call, |tx| needs::of(tx, entry("dynamodb"), &call)).unwrap().remove(0).resource;
    assert_eq!(needed(), format!("{TABLE}a/stream/*"));
    let stream = format!("{TABLE}a/stream/2026-11-22T10:00:00.000");
    let row = json!({ "stream_arn": stream });
    store.transaction(&call, |tx| tx.put(crate::local::dynamodb::TABLES, "a", &row)).unwrap();
    assert_eq!(needed(), stream);
}

#[test]
fn calls_to_dynamodb_need_each_action_on_each_table() {
    let cases: [(&str, Value, &[&str]); 11] = [
        ("PutItem", json!({ "TableName": "a" }), &["PutItem TABLEa"]),
        ("GetItem", json!({ "TableName": format!("{TABLE}a") }), &["GetItem TABLEa"]),
        ("Query", json!({ "TableName": "a", "IndexName": "i" }), &["Query TABLEa/index/i"]),
        (
            "BatchWriteItem",
            json!({ "RequestItems": { "a": [], "b": [] } }),
            &["BatchWriteItem TABLEa", "BatchWriteItem TABLEb"],
        ),
        (
            "TransactWriteItems",
            json!({ "TransactItems": [{ "Put": { "TableName": "a" } }, { "ConditionCheck": { "TableName": "b" } }] }),
            &["PutItem TABLEa", "ConditionCheckItem TABLEb"],
        ),
        ("TransactGetItems", json!({ "TransactItems": [{ "Get": { "TableName": "a" } }] }), &["GetItem TABLEa"]),
        ("ExecuteStatement", json!({ "Statement": "select * from \"a\".\"i\"" }), &["PartiQLSelect TABLEa/index/i"]),
        (
            "ExecuteTransaction",
            json!({ "TransactStatements": [{ "Statement": "UPDATE \"a\" SET x=1" }, { "Statement": "DROP" }] }),
            &["PartiQLUpdate TABLEa", "ExecuteTransaction *"],
        ),
        ("TagResource", json!({ "ResourceArn": format!("{TABLE}a") }), &["TagResource TABLEa"]),
        ("ListStreams", json!({ "TableName": "a" }), &["ListStreams TABLEa/stream/*"]),
        ("ListTables", json!({}), &["ListTables *"]),
    ];
    for (operation, body, wanted) in cases {
        let wanted: Vec<_> = wanted.iter().map(|need| format!("dynamodb:{}", need.replace("TABLE", TABLE))).collect();
        assert_eq!(json_needs("dynamodb", operation, body), wanted);
    }
}

#[test]
fn calls_to_lambda_are_known_by_their_path() {
    let function = "arn:aws:lambda:us-east-1:000000000000:function:f";
    let cases = [
        ("POST", "2015-03-31/functions/f/invocations", json!({}), format!("lambda:InvokeFunction {function}")),
        ("GET", "2015-03-31/functions/f", json!(null), format!("lambda:GetFunction {function}")),
        ("PUT", "2015-03-31/functions/f/code", json!({}), format!("lambda:UpdateFunctionCode {function}")),
        ("DELETE", "2015-03-31/functions/f/policy/s", json!(null), format!("lambda:RemovePermission {function}")),
        ("GET", "2015-03-31/functions", json!(null), "lambda:ListFunctions *".to_owned()),
        ("POST", "2015-03-31/event-source-mappings", json!({}), "lambda:CreateEventSourceMapping *".to_owned()),
        ("PATCH", "2015-03-31/functions/f", json!(null), format!("lambda:UnknownOperation {function}")),
        ("GET", "2015-03-31/layers", json!(null), "lambda:UnknownOperation *".to_owned()),
    ];
    for (method, path, body, wanted) in cases {
        assert_eq!(path_needs(method, path, body), [wanted]);
    }
    let made = path_needs("POST", "2015-03-31/functions", json!({ "FunctionName": "f", "Role": ROLE }));
    assert_eq!(made, [format!("lambda:CreateFunction {function}"), format!("iam:PassRole {ROLE}")]);
}

#[test]
fn calls_to_the_other_services_name_what_they_touch() {
    let here = |service: &str, rest: &str| format!("arn:aws:{service}:us-east-1:000000000000:{rest}");
    let group = here("logs", "log-group:/g:log-stream:");
    assert_eq!(
        json_needs("logs", "CreateLogStream", json!({ "logGroupName": "/g", "logStreamName": "s" })),
        [format!("logs:CreateLogStream {group}s")]
    );
    assert_eq!(
        json_needs("logs", "FilterLogEvents", json!({ "logGroupIdentifier": here("logs", "log-group:/g") })),
        [format!("logs:FilterLogEvents {group}")]
    );
    let parameters = json_needs("ssm", "GetParameters", json!({ "Names": ["/a/b:3", "c", "/aws/service/x"] }));
    let wanted = [
        here("ssm", "parameter/a/b"),
        here("ssm", "parameter/c"),
        "arn:aws:ssm:us-east-1::parameter/aws/service/x".to_owned(),
    ];
    assert_eq!(parameters, wanted.map(|arn| format!("ssm:GetParameters {arn}")));
    assert_eq!(
        json_needs("ssm", "DescribeParameters", json!({})),
        [format!("ssm:DescribeParameters {}", here("ssm", "*"))]
    );
    let outputs = json!({ "ApplicationName": "a", "Output": { "KinesisStreamsOutput": { "RoleARN": ROLE } } });
    let wanted = [
        format!("kinesisanalytics:AddApplicationOutput {}", here("kinesisanalytics", "application/a")),
        format!("iam:PassRole {ROLE}"),
    ];
    assert_eq!(json_needs("kinesisanalytics", "AddApplicationOutput", outputs), wanted);
    let topic = here("sns", "t");
    assert_eq!(form_needs("sns", "PublishBatch", &[("TopicArn", &topic)]), [format!("SNS:Publish {topic}")]);
    assert_eq!(form_needs("sns", "CreateTopic", &[("Name", "t")]), [format!("SNS:CreateTopic {topic}")]);
    assert_eq!(form_needs("sns", "Publish", &[("PhoneNumber", "+1")]), ["SNS:Publish +1"]);
    assert_eq!(form_needs("ec2", "DescribeInstances", &[]), ["ec2:DescribeInstances *"]);
    assert_eq!(form_needs("iam", "GetRole", &[("RoleName", "r")]), ["iam:GetRole arn:aws:iam::000000000000:role/r"]);
    assert_eq!(json_needs("tagging", "GetResources", json!({})), ["tag:GetResources *"]);
    assert!(form_needs("sts", "GetCallerIdentity", &[]).is_empty());
}

/// A cloud with a stream, a topic and a role with some statements, which its account may assume.
struct Stage {
    cloud: Cloud,
    account: SdkConfig,
    role: SdkConfig,
}

impl Stage {
    async fn with(statements: Value) -> Self {
        let (cloud, account) = memory(Settings::default());
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": "123456789012" } },
        ]});
        let iam = aws_sdk_iam::Client::new(&account);
        iam.create_role().role_name("r").assume_role_policy_document(trust.to_string()).send().await.unwrap();
        let policy = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        iam.put_role_policy().role_name("r").policy_name("p").policy_document(policy).send().await.unwrap();
        let sts = aws_sdk_sts::Client::new(&account);
        let session = sts.assume_role().role_arn(ROLE).role_session_name("s1").send().await.unwrap();
        let given = session.credentials().unwrap();
        let token = Some(given.session_token().to_owned());
        let keys = Credentials::new(given.access_key_id(), given.secret_access_key(), token, None, "test");
        let role = config_with(&cloud, keys);
        let kinesis = aws_sdk_kinesis::Client::new(&account);
        kinesis.create_stream().stream_name("s").shard_count(1).send().await.unwrap();
        aws_sdk_sns::Client::new(&account).create_topic().name("t").send().await.unwrap();
        Self { cloud, account, role }
    }

    /// What the cloud says when it calls itself for the role.
    async fn ask(&self, service: &str, operation: &str, body: Value) -> Result<(), Fault> {
        let who = Who {
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            role: Some(ROLE.to_owned()),
            endpoint: String::new(),
        };
        self.cloud.ask(&who, service, operation, Input::Json(body)).await.map(|_| ())
    }

    async fn publish(&self) -> Result<(), (String, String)> {
        let arn = "arn:aws:sns:eu-west-1:123456789012:t";
        let sent = aws_sdk_sns::Client::new(&self.role).publish().topic_arn(arn).message("m").send().await;
        let told = |error: &dyn ProvideErrorMetadata| {
            (error.code().unwrap_or_default().to_owned(), error.message().unwrap_or_default().to_owned())
        };
        sent.map(|_| ()).map_err(|error| told(&error))
    }
}

fn allow(action: &str, resource: &str) -> Value {
    json!({ "Effect": "Allow", "Action": action, "Resource": resource })
}

#[tokio::test]
async fn a_role_may_do_what_its_policies_allow_and_no_more() {
    let stage = Stage::with(allow("kinesis:Describe*", "arn:aws:kinesis:*:*:stream/s")).await;
    let kinesis = aws_sdk_kinesis::Client::new(&stage.role);
    kinesis.describe_stream_summary().stream_name("s").send().await.unwrap();
    let error = kinesis.list_shards().stream_name("s").send().await.unwrap_err();
    let told = "User: arn:aws:sts::123456789012:assumed-role/r/s1 is not authorized to perform: kinesis:ListShards on \
                resource: arn:aws:kinesis:eu-west-1:123456789012:stream/s because no identity-based policy allows the \
                kinesis:ListShards action";
    assert_eq!((error.code(), error.message()), (Some("AccessDeniedException"), Some(told)));
    assert!(stage.ask("kinesis", "DescribeStreamSummary", json!({ "StreamName": "s" })).await.is_ok());
    let fault = stage.ask("kinesis", "ListShards", json!({ "StreamName": "s" })).await.unwrap_err();
    assert_eq!((fault.status, fault.code.as_str()), (400, "AccessDeniedException"));
}

#[tokio::test]
async fn each_service_refuses_in_its_own_words() {
    let stage = Stage::with(allow("s3:*", "*")).await;
    let ec2 = aws_sdk_ec2::Client::new(&stage.role).describe_vpcs().send().await.unwrap_err();
    assert_eq!(ec2.code(), Some("UnauthorizedOperation"));
    let iam = aws_sdk_iam::Client::new(&stage.role).get_role().role_name("r").send().await.unwrap_err();
    assert_eq!(iam.code(), Some("AccessDenied"));
    let lambda = aws_sdk_lambda::Client::new(&stage.role).list_functions().send().await.unwrap_err();
    assert_eq!(lambda.code(), Some("AccessDeniedException"));
    let (code, text) = stage.publish().await.unwrap_err();
    assert_eq!(code, "AuthorizationError");
    assert!(text.ends_with("because no identity-based policy allows the SNS:Publish action"), "{text}");
}

#[tokio::test]
async fn a_deny_and_a_boundary_are_told_apart() {
    let deny = json!({ "Effect": "Deny", "Action": "sns:*", "Resource": "*" });
    let stage = Stage::with(json!([allow("*", "*"), deny])).await;
    let (_, text) = stage.publish().await.unwrap_err();
    assert!(text.ends_with("with an explicit deny in an identity-based policy"), "{text}");

    let stage = Stage::with(allow("*", "*")).await;
    assert_eq!(stage.publish().await, Ok(()));
    let boundary = "arn:aws:iam::aws:policy/AmazonKinesisFullAccess";
    let iam = aws_sdk_iam::Client::new(&stage.account);
    iam.put_role_permissions_boundary().role_name("r").permissions_boundary(boundary).send().await.unwrap();
    let (_, text) = stage.publish().await.unwrap_err();
    assert!(text.ends_with("because no permissions boundary allows the SNS:Publish action"), "{text}");
    assert!(stage.ask("kinesis", "DescribeStreamSummary", json!({ "StreamName": "s" })).await.is_ok());
}

#[tokio::test]
async fn a_topics_own_policy_may_let_a_role_in() {
    let stage = Stage::with(allow("s3:*", "*")).await;
    let arn = "arn:aws:sns:eu-west-1:123456789012:t";
    let sns = aws_sdk_sns::Client::new(&stage.account);
    let set = async |effect: &str, principal: &str| {
        let statement =
            json!({ "Effect": effect, "Action": "sns:Publish", "Principal": { "AWS": principal }, "Resource": arn });
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        let set = sns.set_topic_attributes().topic_arn(arn).attribute_name("Policy").attribute_value(policy);
        set.send().await.unwrap();
    };
    set("Allow", ROLE).await;
    assert_eq!(stage.publish().await, Ok(()));
    set("Allow", "123456789012").await;
    assert!(stage.publish().await.is_err(), "the account lets its own policies decide");
    set("Deny", ROLE).await;
    let (_, text) = stage.publish().await.unwrap_err();
    assert!(text.ends_with("with an explicit deny in a resource-based policy"), "{text}");
}

#[tokio::test]
async fn a_role_that_is_gone_may_do_nothing() {
    let stage = Stage::with(allow("*", "*")).await;
    let iam = aws_sdk_iam::Client::new(&stage.account);
    iam.delete_role_policy().role_name("r").policy_name("p").send().await.unwrap();
    iam.delete_role().role_name("r").send().await.unwrap();
    let fault = stage.ask("kinesis", "ListStreams", json!({})).await.unwrap_err();
    assert_eq!(fault.code, "UnrecognizedClientException");
    assert_eq!(stage.publish().await.unwrap_err().0, "InvalidClientTokenId");
}
