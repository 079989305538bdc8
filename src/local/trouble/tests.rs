//! Experiments as a client of the SDK meets them, in process.

use aws_sdk_kinesis::error::ProvideErrorMetadata;
use serde_json::{Value, json};

use crate::local::tests::memory;
use crate::local::{Cloud, Settings};

fn set(cloud: &Cloud, rules: &Value) {
    let page = cloud.page("POST", "trouble", json!({"seed": 1, "rules": rules}).to_string().as_bytes());
    assert_eq!(page.status(), 200, "{:?}", page.body());
}

fn shown(cloud: &Cloud, path: &str) -> Value {
    serde_json::from_slice(cloud.page("GET", path, b"").body()).unwrap()
}

fn client() -> (Cloud, aws_sdk_kinesis::Client) {
    let (cloud, config) = memory(Settings::default());
    (cloud, aws_sdk_kinesis::Client::new(&config))
}

/// The streams that a client sees.
async fn streams(client: &aws_sdk_kinesis::Client) -> Vec<String> {
    client.list_streams().send().await.unwrap().stream_names
}

#[tokio::test]
async fn refusals_are_worded_by_the_service_and_change_nothing() {
    let (cloud, kinesis) = client();
    for (what, code) in [
        ("throttle", "LimitExceededException"),
        ("internal", "InternalFailure"),
        ("unavailable", "ServiceUnavailable"),
        ("quota", "LimitExceededException"),
        ("denied", "AccessDeniedException"),
    ] {
        set(&cloud, &json!([{"what": what, "on": "kinesis:CreateStream"}]));
        let error = kinesis.create_stream().stream_name("s").shard_count(1).send().await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{what}");
        assert!(streams(&kinesis).await.is_empty());
    }
}

#[tokio::test]
async fn a_call_before_a_reset_has_no_effect_and_one_after_has() {
    let (cloud, kinesis) = client();
    for (what, made) in [("reset-before", 0), ("html", 0), ("reset-after", 1), ("truncated", 2)] {
        set(&cloud, &json!([{"what": what, "on": "kinesis:CreateStream"}]));
        // An answer of CreateStream has nothing in it that could be cut off.
        let sent = kinesis.create_stream().stream_name(what).shard_count(1).send().await;
        assert_eq!(sent.is_err(), what != "truncated", "{what}: {sent:?}");
        set(&cloud, &json!([]));
        assert_eq!(streams(&kinesis).await.len(), made, "{what}");
    }
    let journal = shown(&cloud, "journal");
    let cut = journal["calls"].as_array().unwrap().iter().find(|call| call["trouble"] == "reset-after").unwrap();
    assert_eq!((&cut["outcome"], &cut["answer"], &cut["writes"]), (&json!("ok"), &json!("reset"), &json!(true)));
    assert_eq!(cut["resource"], "reset-after");
}

#[tokio::test]
async fn a_held_call_is_shown_and_waits_for_its_release() {
    let (cloud, kinesis) = client();
    set(&cloud, &json!([{"what": "hold-before", "on": "kinesis:CreateStream", "calls": 1}]));
    let request = kinesis.create_stream().stream_name("s").shard_count(1).send();
    let call = tokio::spawn(request);
    let held = loop {
        let held = shown(&cloud, "trouble")["held"].clone();
        if held != json!([]) {
            break held;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&held[0]["operation"], &held[0]["resource"]), (&json!("CreateStream"), &json!("s")));
    assert!(streams(&kinesis).await.is_empty() && !call.is_finished());
    let released = cloud.page("POST", "trouble/release", b"{}");
    assert_eq!(released.status(), 200);
    call.await.unwrap().unwrap();
    assert_eq!(streams(&kinesis).await, ["s"]);
}

#[tokio::test]
async fn a_held_call_whose_client_is_gone_is_never_done() {
    let (cloud, kinesis) = client();
    set(&cloud, &json!([{"what": "hold-before", "on": "kinesis:CreateStream"}]));
    let call = tokio::spawn(kinesis.create_stream().stream_name("s").shard_count(1).send());
    while shown(&cloud, "trouble")["held"] == json!([]) {
        tokio::task::yield_now().await;
    }
    call.abort();
    assert!(call.await.is_err());
    assert_eq!(shown(&cloud, "trouble")["held"], json!([]));
    assert_eq!(shown(&cloud, "journal")["calls"][0]["answer"], "gone");
    assert!(streams(&kinesis).await.is_empty());
}

#[tokio::test]
async fn wrong_experiments_are_refused_and_the_old_one_goes_on() {
    let (cloud, kinesis) = client();
    set(&cloud, &json!([{"what": "throttle", "on": "kinesis:*"}]));
    let page = cloud.page("POST", "trouble", br#"{"rules":[{"what":"throttle","chance":7}]}"#);
    assert_eq!(page.status(), 400);
    assert!(String::from_utf8_lossy(page.body()).contains("rule 1: `chance` must be from 0 to 1"));
    assert!(kinesis.list_streams().send().await.is_err());
    assert_eq!(cloud.page("POST", "trouble/release", br#"{"call":"x"}"#).status(), 400);
    assert_eq!(cloud.page("GET", "journal/x", b"").status(), 400);
    assert_eq!(cloud.page("GET", "trouble/x", b"").status(), 404);
}
