//! Tests of the function kind: normal forms and where code comes from.

use std::path::Path;

use aws_sdk_lambda::operation::get_function::GetFunctionOutput;
use aws_sdk_lambda::types as api;
use serde_json::{Value, json};

use super::*;

fn spec(changes: &Value) -> Spec {
    let mut value = json!({"role": "arn:role", "runtime": "python3.13", "handler": "main.handler"});
    for (name, change) in changes.as_object().into_iter().flatten() {
        value[name] = change.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn files() -> Files {
    Files { dir: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kinds/files"), stack: "s".to_owned() }
}

/// What AWS shows of a function made with nothing but what must be said (`facts/aws.md` 11a.2).
fn bare() -> api::builders::FunctionConfigurationBuilder {
    api::FunctionConfiguration::builder()
        .function_name("f")
        .role("arn:role")
        .runtime("python3.13".into())
        .handler("main.handler")
        .description("")
        .timeout(3)
        .memory_size(128)
        .code_sha256("live")
        .architectures(api::Architecture::X8664)
        .vpc_config(api::VpcConfigResponse::builder().vpc_id("").build())
        .tracing_config(api::TracingConfigResponse::builder().mode(api::TracingMode::PassThrough).build())
        .logging_config(
            api::LoggingConfig::builder().log_format(api::LogFormat::Text).log_group("/aws/lambda/f").build(),
        )
}

fn read(function: api::builders::FunctionConfigurationBuilder, tags: &Tags, want: Option<&Spec>) -> Spec {
    let answer = GetFunctionOutput::builder().configuration(function.build()).build();
    wire::spec_of(&answer, "", tags, want).unwrap()
}

#[test]
fn defaults_read_back_as_unset() {
    let want = spec(&json!({"code_sha256": "live"}));
    assert_eq!(read(bare(), &Tags::new(), Some(&want)), want);
    let empty = json!({
        "code_sha256": "live", "kms_key_arn": "", "vpc_config": {"subnet_ids": []},
        "dead_letter_config": {"target_arn": ""}, "environment": {},
    });
    assert_eq!(spec(&empty), want);
}

#[test]
fn a_log_group_named_as_the_default_is_no_drift() {
    let want = spec(&json!({"code_sha256": "live", "logging_config": {"log_group": "/aws/lambda/f"}}));
    assert_eq!(read(bare(), &Tags::new(), Some(&want)), want);
}

#[test]
fn variables_that_cannot_be_read_are_no_drift() {
    let want = spec(&json!({"code_sha256": "live", "environment": {"variables": {"ONE": "1"}}}));
    let error = api::EnvironmentError::builder().error_code("AccessDeniedException").build();
    let locked = bare().environment(api::EnvironmentResponse::builder().error(error).build());
    assert_eq!(read(locked, &Tags::new(), Some(&want)), want);
}

#[test]
fn code_from_s3_is_known_by_its_place_until_somebody_replaces_it() {
    let mut want = spec(&json!({"s3_bucket": "b", "s3_key": "k"}));
    want.complete(&files()).unwrap();
    let place = want.code_sha256.clone().unwrap();
    let mark = |hash: &str| Tags::from([(wire::CODE_MARK.to_owned(), format!("{place} {hash}"))]);
    assert_eq!(read(bare(), &mark("live"), None).code_sha256, Some(place.clone()));
    assert_eq!(read(bare(), &mark("old"), None).code_sha256.as_deref(), Some("live"));
    let mut other = spec(&json!({"s3_bucket": "b", "s3_key": "k", "s3_object_version": "2"}));
    other.complete(&files()).unwrap();
    assert_ne!(other.code_sha256, Some(place));
}

#[test]
fn local_code_is_hashed_and_found_again() {
    let mut want = spec(&json!({"code": "function"}));
    want.complete(&files()).unwrap();
    let once = want.clone();
    want.complete(&files()).unwrap();
    assert_eq!(want, once);
    assert!(want.code.unwrap().ends_with("tests/kinds/files/function"));
    for wrong in [json!({}), json!({"code": "missing"}), json!({"code": "function", "s3_key": "k"})] {
        assert!(spec(&wrong).complete(&files()).is_err(), "{wrong}");
    }
}

#[test]
fn json_logs_have_levels_and_text_logs_have_none() {
    let mut json_logs = spec(&json!({"code": "function", "logging_config": {"log_format": "JSON"}}));
    json_logs.complete(&files()).unwrap();
    assert_eq!(json_logs.logging_config.system_log_level, Some(SystemLogLevel::Info));
    let text_logs = spec(&json!({"logging_config": {"system_log_level": "WARN"}}));
    assert_eq!(text_logs.faults()[0].path, "logging_config");
}

#[test]
fn values_out_of_range_are_named() {
    let wrong = spec(&json!({
        "timeout": 901, "memory_size": 64, "architectures": [], "environment": {"variables": {"A": "1"}}, "vpc_config": {"subnet_ids": ["subnet-1"]},
    }));
    let paths: Vec<_> = wrong.faults().into_iter().map(|fault| fault.path).collect();
    assert_eq!(paths, ["timeout", "memory_size", "architectures", "environment.variables.A", "vpc_config"]);
}
