//! The local cloud as the SDK sees it, in process and through the listener.

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PointInTimeRecoverySpecification,
    ProvisionedThroughput, ScalarAttributeType, Tag,
};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{ShardIteratorType, StreamStatus};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;
use axum::body::Bytes;
use http::{Method, Request};

use super::connector::LocalClient;
use super::trouble::{Delays, Latency, Pace};
use super::{Cloud, OpenError, Settings, reset, serve};

fn config(cloud: &Cloud, account: &str) -> SdkConfig {
    config_with(cloud, Credentials::new(account, "secret", None, None, "test"))
}

/// Returns a client's settings for calls in process with some credentials.
pub(super) fn config_with(cloud: &Cloud, credentials: Credentials) -> SdkConfig {
    builder(credentials).http_client(SharedHttpClient::new(LocalClient::new(cloud.clone()))).build()
}

fn builder(credentials: Credentials) -> aws_types::sdk_config::Builder {
    SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_types::region::Region::new("eu-west-1"))
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(credentials))
        .retry_config(aws_config::retry::RetryConfig::disabled())
}

pub(super) fn memory(settings: Settings) -> (Cloud, SdkConfig) {
    let cloud = Cloud::memory(settings).unwrap();
    let config = config(&cloud, "123456789012");
    (cloud, config)
}

fn paced(pace: Pace) -> Settings {
    Settings { pace, ..Settings::default() }
}

fn slow() -> Settings {
    paced(Pace { delays: Delays::all(60_000), ..Pace::default() })
}

#[tokio::test]
async fn a_twelve_digit_access_key_is_the_account() {
    let (cloud, config) = memory(Settings::default());
    let known = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.unwrap();
    assert_eq!(known.account(), Some("123456789012"));
    assert_eq!(known.arn(), Some("arn:aws:iam::123456789012:root"));
    let other =
        aws_sdk_sts::Client::new(&self::config(&cloud, "AKIDEXAMPLE")).get_caller_identity().send().await.unwrap();
    assert_eq!(other.account(), Some("000000000000"));
}

#[tokio::test]
async fn a_stream_is_made_tagged_written_read_and_deleted() {
    let (_, config) = memory(Settings::default());
    let kinesis = aws_sdk_kinesis::Client::new(&config);
    kinesis.create_stream().stream_name("jobs").shard_count(1).tags("env", "dev").send().await.unwrap();
    let summary = kinesis.describe_stream_summary().stream_name("jobs").send().await.unwrap();
    let summary = summary.stream_description_summary().unwrap();
    assert_eq!(summary.stream_status(), &StreamStatus::Active);
    assert_eq!(summary.stream_arn(), "arn:aws:kinesis:eu-west-1:123456789012:stream/jobs");
    let tags = kinesis.list_tags_for_stream().stream_name("jobs").send().await.unwrap();
    assert_eq!((tags.tags()[0].key(), tags.tags()[0].value()), ("env", Some("dev")));

    kinesis.add_tags_to_stream().stream_name("jobs").tags("stackctl:stack", "x").send().await.unwrap();
    kinesis.untag_resource().resource_arn(summary.stream_arn()).tag_keys("env").send().await.unwrap();
    let tags = kinesis.list_tags_for_resource().resource_arn(summary.stream_arn()).send().await.unwrap();
    assert_eq!(tags.tags().iter().map(aws_sdk_kinesis::types::Tag::key).collect::<Vec<_>>(), ["stackctl:stack"]);

    let iterator = kinesis.get_shard_iterator().stream_name("jobs").shard_id("shardId-000000000000");
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    kinesis.put_record().stream_name("jobs").partition_key("k").data(Blob::new("ticket")).send().await.unwrap();
    let read = kinesis.get_records().set_shard_iterator(iterator.shard_iterator).send().await.unwrap();
    assert_eq!(read.records()[0].data().as_ref(), b"ticket");

    let again = kinesis.create_stream().stream_name("jobs").shard_count(1).send().await.unwrap_err();
    assert!(again.into_service_error().is_resource_in_use_exception());
    kinesis.delete_stream().stream_name("jobs").send().await.unwrap();
    let gone = kinesis.describe_stream_summary().stream_name("jobs").send().await.unwrap_err();
    assert!(gone.into_service_error().is_resource_not_found_exception());
}

#[tokio::test]
async fn the_sixth_stream_in_creation_is_refused() {
    let (_, config) = memory(slow());
    let kinesis = aws_sdk_kinesis::Client::new(&config);
    for number in 0..5 {
        kinesis.create_stream().stream_name(format!("s{number}")).shard_count(1).send().await.unwrap();
    }
    let error = kinesis.create_stream().stream_name("s5").shard_count(1).send().await.unwrap_err().into_service_error();
    assert!(error.is_limit_exceeded_exception(), "{error:?}");
    assert!(error.to_string().contains("simultaneously be in CREATING or DELETING"), "{error}");
    let tags = kinesis.add_tags_to_stream().stream_name("s0").tags("a", "b").send().await.unwrap_err();
    assert!(tags.into_service_error().is_resource_in_use_exception());
}

#[tokio::test]
async fn shard_counts_change_within_half_and_double() {
    let (_, config) = memory(Settings::default());
    let kinesis = aws_sdk_kinesis::Client::new(&config);
    kinesis.create_stream().stream_name("jobs").shard_count(2).send().await.unwrap();
    let scale = |count| {
        let kind = aws_sdk_kinesis::types::ScalingType::UniformScaling;
        kinesis.update_shard_count().stream_name("jobs").target_shard_count(count).scaling_type(kind).send()
    };
    assert!(scale(5).await.unwrap_err().into_service_error().is_invalid_argument_exception());
    scale(4).await.unwrap();
    assert!(scale(1).await.unwrap_err().into_service_error().is_invalid_argument_exception());
    let shards = kinesis.describe_stream_summary().stream_name("jobs").send().await.unwrap();
    assert_eq!(shards.stream_description_summary().unwrap().open_shard_count(), 4);
}

#[tokio::test]
async fn indexes_come_one_at_a_time_and_encryption_alone() {
    use aws_sdk_dynamodb::types::{
        CreateGlobalSecondaryIndexAction, GlobalSecondaryIndexUpdate, Projection, ProjectionType, SseSpecification,
    };
    let (_, config) = memory(Settings::default());
    let client = aws_sdk_dynamodb::Client::new(&config);
    create_table(&client, "tickets").await;
    let index = |name: &str| {
        let create = CreateGlobalSecondaryIndexAction::builder().index_name(name).key_schema(id_key());
        let all = Projection::builder().projection_type(ProjectionType::All).build();
        let create = create.projection(all).provisioned_throughput(throughput(3)).build().unwrap();
        GlobalSecondaryIndexUpdate::builder().create(create).build()
    };
    let update = || client.update_table().table_name("tickets").attribute_definitions(id_attribute());
    let both = update().global_secondary_index_updates(index("one")).global_secondary_index_updates(index("two"));
    assert!(both.send().await.unwrap_err().into_service_error().is_limit_exceeded_exception());
    update().global_secondary_index_updates(index("one")).send().await.unwrap();

    let sse = SseSpecification::builder().enabled(true).build();
    let mixed = client.update_table().table_name("tickets").sse_specification(sse.clone());
    let mixed = mixed.deletion_protection_enabled(true).send().await.unwrap_err().into_service_error();
    assert!(mixed.message().unwrap().contains("must be the only operation"), "{mixed:?}");
    client.update_table().table_name("tickets").sse_specification(sse).send().await.unwrap();
    let table = client.describe_table().table_name("tickets").send().await.unwrap().table.unwrap();
    assert_eq!(table.sse_description().unwrap().status().unwrap().as_str(), "ENABLED");
    let index = &table.global_secondary_indexes()[0];
    assert_eq!(index.index_arn(), Some("arn:aws:dynamodb:eu-west-1:123456789012:table/tickets/index/one"));
    assert_eq!(index.provisioned_throughput().unwrap().read_capacity_units(), Some(3));
}

#[tokio::test]
async fn a_deleted_table_passes_through_deleting() {
    let (_, config) = memory(paced(Pace { delays: Delays::all(30), ..Pace::default() }));
    let client = aws_sdk_dynamodb::Client::new(&config);
    create_table(&client, "tickets").await;
    tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    let deleted = client.delete_table().table_name("tickets").send().await.unwrap().table_description.unwrap();
    assert_eq!(deleted.table_status().unwrap().as_str(), "DELETING");
    client.delete_table().table_name("tickets").send().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    let gone = client.describe_table().table_name("tickets").send().await.unwrap_err();
    assert!(gone.into_service_error().is_resource_not_found_exception());
    create_table(&client, "tickets").await;
}

fn id_attribute() -> AttributeDefinition {
    AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S).build().unwrap()
}

fn id_key() -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap()
}

fn throughput(units: i64) -> ProvisionedThroughput {
    ProvisionedThroughput::builder().read_capacity_units(units).write_capacity_units(units).build().unwrap()
}

async fn create_table(client: &aws_sdk_dynamodb::Client, name: &str) {
    let request = client.create_table().table_name(name).attribute_definitions(id_attribute()).key_schema(id_key());
    let tag = Tag::builder().key("env").value("dev").build().unwrap();
    request.provisioned_throughput(throughput(5)).tags(tag).send().await.unwrap();
}

#[tokio::test]
async fn a_table_keeps_items_tags_backups_and_protection() {
    let (_, config) = memory(Settings::default());
    let client = aws_sdk_dynamodb::Client::new(&config);
    create_table(&client, "tickets").await;
    let arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/tickets";
    let table = client.describe_table().table_name(arn).send().await.unwrap().table.unwrap();
    assert_eq!((table.table_arn(), table.table_status().unwrap().as_str()), (Some(arn), "ACTIVE"));
    let tags = client.list_tags_of_resource().resource_arn(arn).send().await.unwrap();
    assert_eq!((tags.tags()[0].key(), tags.tags()[0].value()), ("env", "dev"));

    let put = || client.put_item().table_name("tickets").item("id", AttributeValue::S("1".to_owned()));
    put().send().await.unwrap();
    let twice = put().condition_expression("attribute_not_exists(id)").send().await.unwrap_err();
    assert!(twice.into_service_error().is_conditional_check_failed_exception());

    let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build().unwrap();
    client
        .update_continuous_backups()
        .table_name("tickets")
        .point_in_time_recovery_specification(on)
        .send()
        .await
        .unwrap();
    let backups = client.describe_continuous_backups().table_name("tickets").send().await.unwrap();
    let recovery = backups.continuous_backups_description.unwrap().point_in_time_recovery_description.unwrap();
    assert_eq!(recovery.point_in_time_recovery_status().unwrap().as_str(), "ENABLED");

    client.update_table().table_name("tickets").deletion_protection_enabled(true).send().await.unwrap();
    let error = client.delete_table().table_name("tickets").send().await.unwrap_err().into_service_error();
    assert!(error.message().unwrap().contains("protected against deletion"), "{error:?}");
}

#[tokio::test]
async fn a_table_change_must_change_something_and_wait_its_turn() {
    let (_, config) = memory(Settings::default());
    let client = aws_sdk_dynamodb::Client::new(&config);
    create_table(&client, "tickets").await;
    let same =
        client.update_table().table_name("tickets").provisioned_throughput(throughput(5)).send().await.unwrap_err();
    assert!(same.into_service_error().message().unwrap().contains("will not change"));

    let (_, config) = memory(slow());
    let client = aws_sdk_dynamodb::Client::new(&config);
    create_table(&client, "tickets").await;
    let status = client.describe_table().table_name("tickets").send().await.unwrap().table.unwrap().table_status;
    assert_eq!(status.unwrap().as_str(), "CREATING");
    let early =
        client.update_table().table_name("tickets").billing_mode(BillingMode::PayPerRequest).send().await.unwrap_err();
    assert!(early.into_service_error().is_resource_in_use_exception());
    let item = client.put_item().table_name("tickets").item("id", AttributeValue::S("1".to_owned())).send().await;
    assert!(item.unwrap_err().into_service_error().is_resource_not_found_exception());
}

#[tokio::test]
async fn the_tagging_api_finds_streams_and_tables_page_by_page() {
    let (_, config) = memory(Settings::default());
    let kinesis = aws_sdk_kinesis::Client::new(&config);
    for name in ["a", "b"] {
        kinesis.create_stream().stream_name(name).shard_count(1).tags("env", "dev").send().await.unwrap();
    }
    kinesis.create_stream().stream_name("untagged").shard_count(1).send().await.unwrap();
    create_table(&aws_sdk_dynamodb::Client::new(&config), "tickets").await;

    let client = aws_sdk_resourcegroupstagging::Client::new(&config);
    let filter = aws_sdk_resourcegroupstagging::types::TagFilter::builder().key("env").values("dev").build();
    let (mut found, mut token) = (Vec::new(), None);
    loop {
        let page = client.get_resources().tag_filters(filter.clone()).resources_per_page(2);
        let page = page.set_pagination_token(token.take()).send().await.unwrap();
        found.extend(page.resource_tag_mapping_list().iter().filter_map(|one| one.resource_arn().map(str::to_owned)));
        token = page.pagination_token.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    let here = "eu-west-1:123456789012";
    let expected = [
        format!("dynamodb:{here}:table/tickets"),
        format!("kinesis:{here}:stream/a"),
        format!("kinesis:{here}:stream/b"),
    ];
    assert_eq!(found, expected.map(|arn| format!("arn:aws:{arn}")));
    let streams = client.get_resources().resource_type_filters("kinesis:stream").send().await.unwrap();
    assert_eq!(streams.resource_tag_mapping_list().len(), 2);
}

#[tokio::test]
async fn state_outlives_the_cloud() {
    let home = tempfile::tempdir().unwrap();
    {
        let cloud = Cloud::open(home.path(), Settings::default()).unwrap();
        let config = config(&cloud, "123456789012");
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        kinesis.create_stream().stream_name("jobs").shard_count(1).tags("env", "dev").send().await.unwrap();
        kinesis.put_record().stream_name("jobs").partition_key("k").data(Blob::new("ticket")).send().await.unwrap();
        create_table(&aws_sdk_dynamodb::Client::new(&config), "tickets").await;
    }
    // What a process leaves that is killed while it appends to the log of streams.
    let log = home.path().join("kinesis/123456789012/eu-west-1/wal.log");
    let mut torn = fs_err::read(&log).unwrap();
    torn.extend_from_slice(&900_u64.to_le_bytes());
    torn.extend_from_slice(b"{\"cut");
    fs_err::write(&log, torn).unwrap();
    for round in 0..2 {
        let cloud = Cloud::open(home.path(), Settings::default()).unwrap();
        let config = config(&cloud, "123456789012");
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        let tags = kinesis.list_tags_for_stream().stream_name("jobs").send().await.unwrap();
        assert_eq!(tags.tags().len(), 1);
        let iterator = kinesis.get_shard_iterator().stream_name("jobs").shard_id("shardId-000000000000");
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
        let read = kinesis.get_records().set_shard_iterator(iterator.shard_iterator).send().await.unwrap();
        assert_eq!(read.records().len(), 1 + round);
        kinesis.put_record().stream_name("jobs").partition_key("k").data(Blob::new("more")).send().await.unwrap();
        let tables = aws_sdk_dynamodb::Client::new(&config).list_tables().send().await.unwrap();
        assert_eq!(tables.table_names(), ["tickets"]);
    }
}

#[tokio::test]
async fn one_holder_at_a_time_and_the_next_learns_where_it_listens() {
    let home = tempfile::tempdir().unwrap();
    let listener = serve(home.path(), "127.0.0.1:0".parse().unwrap(), Settings::default()).await.unwrap();
    let url = listener.url();
    let busy = Cloud::open(home.path(), Settings::default()).unwrap_err();
    assert!(matches!(&busy, OpenError::Busy { listener: Some(found), .. } if *found == url), "{busy}");
    assert!(matches!(reset(home.path()), Err(OpenError::Busy { .. })));

    let config = builder(Credentials::new("test", "secret", None, None, "test")).endpoint_url(&url).build();
    let kinesis = aws_sdk_kinesis::Client::new(&config);
    kinesis.create_stream().stream_name("jobs").shard_count(1).send().await.unwrap();
    assert_eq!(listener.cloud().calls(), [("kinesis".to_owned(), "CreateStream".to_owned(), 1)]);
    listener.stop().await.unwrap();
    drop((kinesis, config));

    let cloud = Cloud::open(home.path(), Settings::default()).unwrap();
    let config = self::config(&cloud, "test");
    let listed = aws_sdk_kinesis::Client::new(&config).list_streams().send().await.unwrap();
    assert_eq!(listed.stream_names(), ["jobs"]);
}

#[test]
fn the_state_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join(".stackctl/local");
    let _cloud = Cloud::open(&dir, Settings::default()).unwrap();
    assert_eq!(fs_err::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn code_can_be_fetched_by_anyone_who_has_the_link() {
    let home = tempfile::tempdir().unwrap();
    let cloud = Cloud::open(home.path(), Settings::default()).unwrap();
    let call = super::Call::new("CreateFunction", super::Input::Json(serde_json::Value::Null), 0);
    let rows = super::store::Store::open(&home.path().join("cloud.sqlite")).unwrap();
    rows.transaction(&call, |tx| tx.put(super::cloud::CODE, "my-function", &"UEs=")).unwrap();
    let path = format!("/_local/code/{}/{}/my%2Dfunction", call.account, call.region);
    assert_eq!(send(&cloud, "GET", &path, &[], b"").await, (200, "PK".to_owned()));
    let (status, _) = send(&cloud, "GET", "/_local/code/000000000000/us-east-1/other", &[], b"").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn every_answer_waits_for_the_set_latency() {
    let (_, config) = memory(paced(Pace { latency: Latency::Fixed(40), ..Pace::default() }));
    let start = std::time::Instant::now();
    aws_sdk_kinesis::Client::new(&config).list_streams().send().await.unwrap();
    assert!(start.elapsed() >= std::time::Duration::from_millis(40));
}

#[tokio::test]
async fn reset_forgets_everything() {
    let home = tempfile::tempdir().unwrap();
    {
        let cloud = Cloud::open(home.path(), Settings::default()).unwrap();
        create_table(&aws_sdk_dynamodb::Client::new(&config(&cloud, "test")), "tickets").await;
    }
    reset(home.path()).unwrap();
    let left: Vec<_> = fs_err::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
    reset(&home.path().join("never-made")).unwrap();
}

async fn send(cloud: &Cloud, method: &str, uri: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
    let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = cloud.handle(request.body(Bytes::copy_from_slice(body)).unwrap()).await;
    assert!(response.headers().contains_key("x-amzn-requestid") || uri.starts_with("/_local/"), "{uri}");
    (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned())
}

#[tokio::test]
async fn hostile_requests_are_refused_as_the_callers_fault() {
    let cloud = Cloud::memory(Settings::default()).unwrap();
    let deep = "[".repeat(100_000);
    let deep_object = format!("{{\"TableName\":{}", "{\"a\":".repeat(100_000));
    let deep_cbor = vec![0x81_u8; 100_000];
    let targets = [
        "Kinesis_20131202.CreateStream",
        "DynamoDB_20120810.PutItem",
        "ResourceGroupsTaggingAPI_20170126.GetResources",
    ];
    let bodies: [&[u8]; 7] =
        [b"\xff\xfe\x00", b"[]", b"{\"StreamName\":", b"null", deep.as_bytes(), deep_object.as_bytes(), &deep_cbor];
    for target in targets {
        for body in bodies {
            let (status, text) = send(&cloud, "POST", "/", &[("x-amz-target", target)], body).await;
            assert!((400..500).contains(&status), "{target}: {status} {text}");
            let cbor = [("x-amz-target", target), ("smithy-protocol", "rpc-v2-cbor")];
            let (status, text) = send(&cloud, "POST", "/", &cbor, body).await;
            assert!((400..500).contains(&status), "{target}: {status} {text}");
        }
    }
    let signed =
        "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/sts/aws4_request, SignedHeaders=host, Signature=0";
    let climbing = "AWS4-HMAC-SHA256 Credential=AKID/20260101/../sts/aws4_request";
    let form = "application/x-www-form-urlencoded";
    for (authorization, body) in [
        (signed, "Action=%zz"),
        (signed, ""),
        (signed, "Action=Nope"),
        (climbing, "Action=GetCallerIdentity"),
        ("", ""),
    ] {
        let headers = [("authorization", authorization), ("content-type", form)];
        let (status, text) = send(&cloud, "POST", "/", &headers, body.as_bytes()).await;
        assert!((400..500).contains(&status), "{body}: {status} {text}");
        assert!(text.contains("<ErrorResponse"), "{text}");
    }
    for path in ["/_local/", "/_local/code/a/b/%ff", "/_local/code", "/nothing", "/service/x/operation/y"] {
        let (status, text) = send(&cloud, "GET", path, &[], b"").await;
        assert!((400..500).contains(&status), "{path}: {status} {text}");
    }
}

#[tokio::test]
async fn odd_parameters_never_break_an_engine() {
    let cloud = Cloud::memory(Settings::default()).unwrap();
    let requests = [
        ("Kinesis_20131202.CreateStream", r#"{"StreamName":"s","ShardCount":0}"#),
        ("Kinesis_20131202.CreateStream", r#"{"StreamName":7}"#),
        ("Kinesis_20131202.CreateStream", r#"{"StreamName":"../x","ShardCount":1}"#),
        ("Kinesis_20131202.CreateStream", r#"{"StreamName":"s","ShardCount":1,"Tags":[1]}"#),
        ("Kinesis_20131202.UpdateStreamMode", r#"{"StreamARN":"arn:aws:kinesis:::"}"#),
        ("Kinesis_20131202.GetRecords", r#"{"ShardIterator":"AAAA"}"#),
        ("DynamoDB_20120810.CreateTable", r#"{"TableName":"x"}"#),
        ("DynamoDB_20120810.UpdateTable", "{}"),
        ("DynamoDB_20120810.TagResource", r#"{"ResourceArn":"x","Tags":7}"#),
        ("DynamoDB_20120810.PutItem", r#"{"TableName":"none","Item":{"id":{"S":7}}}"#),
        ("ResourceGroupsTaggingAPI_20170126.GetResources", r#"{"ResourcesPerPage":-1}"#),
        ("KinesisAnalytics_20180523.CreateApplication", "{}"),
        ("Kinesis_20131202.Nope", "{}"),
        ("Kinesis_20131202", "{}"),
        (".", "{}"),
    ];
    for (target, body) in requests {
        let (status, text) = send(&cloud, "POST", "/", &[("x-amz-target", target)], body.as_bytes()).await;
        assert_eq!(status, 400, "{target} {body}: {text}");
        assert!(text.contains("__type"), "{text}");
    }
}
