//! Applications, functions and mappings against the local cloud, in process.

use super::*;

const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:f";
const ROLE: &str = "arn:aws:iam::123456789012:role/stackctl/shop/r";

async fn with_role() -> Account {
    let account = Account::new();
    let services = ["kinesisanalytics.amazonaws.com", "lambda.amazonaws.com"];
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": services}},
    ]});
    let role = json!({"assume_role_policy": trust, "inline_policies": {"all": allow("*")}});
    let found = account.subject("iam_role", "r").create(&role).await;
    assert_eq!(found.outputs["arn"], ROLE);
    for name in ["in", "out", "spare"] {
        account.subject("kinesis_stream", name).create(&json!({})).await;
    }
    account
}

fn stream(name: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{name}")
}

fn function() -> Value {
    json!({"role": ROLE, "runtime": "python3.13", "handler": "handler.handle", "code": "tests/kinds/files/function"})
}

fn with(base: &Value, changes: &Value) -> Value {
    let mut spec = base.clone();
    for (name, change) in changes.as_object().into_iter().flatten() {
        spec[name] = change.clone();
    }
    spec
}

fn application(output: &str, to: &str) -> Value {
    let endpoint = |arn: String| json!({"resource_arn": arn, "role_arn": ROLE});
    json!({
        "application_code": format!(
            "CREATE OR REPLACE STREAM \"{output}\" (\"cost\" DOUBLE);\n\
             CREATE OR REPLACE PUMP \"P\" AS INSERT INTO \"{output}\" SELECT STREAM \"cost\" FROM \"S_001\";\n"
        ),
        "inputs": [{
            "name_prefix": "S", "kinesis_streams_input": endpoint(stream("in")), "starting_position": "NOW",
            "input_schema": {"record_columns": [{"name": "cost", "sql_type": "DOUBLE"}]},
        }],
        "outputs": [{"name": output, "kinesis_streams_output": endpoint(stream(to))}],
    })
}

#[tokio::test]
async fn an_application_lives() {
    let account = with_role().await;
    account.subject("lambda_function", "f").create(&function()).await;
    account.subject("cloudwatch_log_group", "g").create(&json!({})).await;
    let first = application("D", "out");
    let endpoint = json!({"resource_arn": FUNCTION, "role_arn": ROLE});
    let mut full = with(
        &application("E", "spare"),
        &json!({"status": "stopped", "reference_data_sources": [{
            "table_name": "RATES",
            "s3_reference_data_source": {"bucket_arn": "arn:aws:s3:::b", "file_key": "k", "reference_role_arn": ROLE},
            "reference_schema": {
                "record_format": {"record_format_type": "CSV"},
                "record_columns": [{"name": "rate", "sql_type": "DOUBLE"}],
            },
        }]}),
    );
    full["inputs"][0]["input_processing_configuration"] = json!({"input_lambda_processor": endpoint});
    full["inputs"][0]["input_parallelism"] = json!({"count": 2});
    full["outputs"][0]["destination_schema"] = json!({"record_format_type": "CSV"});
    let mut more = application("D", "out");
    more["outputs"].as_array_mut().unwrap().push(json!({"name": "D", "lambda_output": endpoint}));
    more["outputs"][0]["name"] = json!("A");
    let subject = account.subject("kinesis_analytics_application", "app");
    subject
        .lives(&first, &[full.clone(), first.clone(), more, first.clone(), with(&first, &json!({"status": "stopped"}))])
        .await;
    subject.create(&first).await;
    assert_eq!(subject.look(None).await.unwrap().status.as_deref(), Some("RUNNING, D → out"));
    subject.kind.delete(&subject.cx).await.unwrap();
    account.subject("kinesis_analytics_application", "theirs").refuses_foreign(&first).await;
}

#[tokio::test]
async fn a_used_up_quota_is_asked_for_once() {
    let cloud = Cloud::memory(Settings::default()).unwrap();
    let account = Account::of(cloud.clone());
    for number in 0..50 {
        let request = account.0.analytics().create_application().application_name(format!("a{number}"));
        request.send().await.unwrap();
    }
    let made = || {
        let calls = cloud.calls();
        calls.into_iter().find(|(_, operation, _)| operation == "CreateApplication").map(|(_, _, count)| count)
    };
    assert_eq!(made(), Some(50));
    let subject = account.subject("kinesis_analytics_application", "more");
    let want = subject.want(&json!({"application_code": "", "status": "stopped"}));
    let error = subject.kind.create(&subject.cx, &want, &subject.tags(&want)).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (Class::Quota, "LimitExceededException"));
    assert_eq!(made(), Some(51));
}

#[tokio::test]
async fn a_function_lives() {
    let account = with_role().await;
    let full = with(
        &function(),
        &json!({
            "runtime": "python3.12", "code": "tests/kinds/files/single.py", "handler": "single.handle",
            "description": "d", "timeout": 60, "memory_size": 256, "environment": {"variables": {"ONE": "1", "EMPTY": ""}},
            "architectures": ["arm64"], "tracing_config": {"mode": "Active"},
            "logging_config": {"log_format": "JSON", "system_log_level": "WARN", "log_group": "other"},
            "ephemeral_storage": {"size": 1024}, "reserved_concurrent_executions": 0,
            "snap_start": {"apply_on": "PublishedVersions"},
            "dead_letter_config": {"target_arn": "arn:aws:sns:us-east-1:123456789012:t"},
            "permissions": {
                "topic": {"principal": "sns.amazonaws.com", "source_arn": "arn:aws:sns:us-east-1:123456789012:t"},
                "account": {"principal": ACCOUNT, "action": "lambda:GetFunction"},
            },
        }),
    );
    let named = with(&function(), &json!({"logging_config": {"log_group": "/aws/lambda/f"}}));
    let fewer = with(&full, &json!({"permissions": {"topic": {"principal": "s3.amazonaws.com"}}}));
    account.subject("lambda_function", "f").lives(&function(), &[full, fewer, named, function()]).await;
    account.subject("lambda_function", "theirs").refuses_foreign(&function()).await;
}

#[tokio::test]
async fn files_that_changed_since_the_plan_are_refused() {
    let account = with_role().await;
    let subject = account.subject("lambda_function", "f");
    let want = with(&subject.want(&function()), &json!({"code_sha256": "older"}));
    let error = subject.kind.create(&subject.cx, &want, &subject.tags(&want)).await.unwrap_err();
    assert!(error.message.contains("changed since the plan"), "{error}");
    assert_eq!(subject.look(None).await, None);
}

#[tokio::test]
async fn a_mapping_lives() {
    let account = with_role().await;
    account.subject("lambda_function", "f").create(&function()).await;
    let minimal = json!({"event_source_arn": stream("in"), "function_name": FUNCTION, "starting_position": "LATEST"});
    let mut subject = account.subject("lambda_event_source_mapping", "m");
    assert_eq!(subject.look(Some(&subject.want(&minimal))).await, None);
    let found = subject.create(&minimal).await;
    assert_eq!(subject.create(&minimal).await.physical, found.physical);
    let full = with(
        &minimal,
        &json!({
            "batch_size": 250, "maximum_batching_window_in_seconds": 5, "parallelization_factor": 4,
            "bisect_batch_on_function_error": true, "maximum_retry_attempts": 3, "maximum_record_age_in_seconds": 3600,
            "filter_criteria": {"filters": [{"pattern": {"data": {"gate": ["Aeroflot"]}}}, {"pattern": "{\"a\": [1]}"}]},
            "function_response_types": ["ReportBatchItemFailures"], "enabled": false,
            "destination_config": {"on_failure": {"destination": "arn:aws:sns:us-east-1:123456789012:t"}},
            "metrics_config": {"metrics": ["EventCount"]},
        }),
    );
    subject.cx.key.physical = Some(found.physical.clone());
    for spec in [&full, &minimal, &with(&minimal, &json!({"batch_size": 100, "tumbling_window_in_seconds": 30}))] {
        subject.update(spec).await;
    }
    subject.is_retagged().await;
    assert_eq!(subject.kind.owned(&subject.cx).await.unwrap()[0].physical, found.physical);
    subject.kind.delete(&subject.cx).await.unwrap();
    subject.kind.delete(&subject.cx).await.unwrap();
    assert_eq!(subject.look(None).await, None);
    account.subject("lambda_event_source_mapping", "theirs").refuses_foreign(&minimal).await;
}
