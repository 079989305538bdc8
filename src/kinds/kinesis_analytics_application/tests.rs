//! Tests of the application kind: reading, the order of edits, refusals.

use aws_sdk_kinesisanalytics::types as api;
use serde_json::{Value, json};

use super::edits::{Edit, next};
use super::*;
use crate::kind::{Class, KindError};

fn spec(changes: &Value) -> Spec {
    let endpoint = |name: &str| json!({"resource_arn": format!("arn:{name}"), "role_arn": "arn:role"});
    let mut value = json!({
        "application_code": "create stream",
        "inputs": [{
            "name_prefix": "SOURCE_SQL_STREAM",
            "kinesis_streams_input": endpoint("tickets"),
            "input_schema": {"record_columns": [{"name": "cost", "sql_type": "DOUBLE"}]},
        }],
        "outputs": [{"name": "IN_APP_STREAM", "kinesis_streams_output": endpoint("stream/special")}],
    });
    for (name, change) in changes.as_object().into_iter().flatten() {
        value[name] = change.clone();
    }
    let mut spec: Spec = serde_json::from_value(value).unwrap();
    spec.complete();
    spec
}

/// An application as AWS would describe it after creation from a spec.
fn described(spec: &Spec) -> api::ApplicationDetail {
    let inputs = spec.inputs.iter().map(|input| {
        let to = input.kinesis_streams_input.clone().unwrap();
        let to =
            api::KinesisStreamsInputDescription::builder().resource_arn(to.resource_arn).role_arn(to.role_arn).build();
        api::InputDescription::builder()
            .input_id("1.1")
            .name_prefix(&input.name_prefix)
            .kinesis_streams_input_description(to)
            .input_schema(wire::schema(&input.input_schema).unwrap())
            .build()
    });
    let outputs = spec.outputs.iter().enumerate().map(|(index, output)| {
        let to = output.kinesis_streams_output.clone().unwrap();
        let to =
            api::KinesisStreamsOutputDescription::builder().resource_arn(to.resource_arn).role_arn(to.role_arn).build();
        api::OutputDescription::builder()
            .output_id(format!("2.{index}"))
            .name(&output.name)
            .kinesis_streams_output_description(to)
            .destination_schema(wire::destination_schema(&output.destination_schema).unwrap())
            .build()
    });
    api::ApplicationDetail::builder()
        .application_name("app")
        .application_arn("arn:app")
        .application_status(api::ApplicationStatus::Running)
        .application_version_id(3)
        .application_code(&spec.application_code)
        .set_input_descriptions(Some(inputs.collect()))
        .set_output_descriptions(Some(outputs.rev().collect()))
        .build()
        .unwrap()
}

fn outputs(names: &[(&str, &str)]) -> Value {
    let output = |(name, to): &(&str, &str)| json!({"name": name, "kinesis_streams_output": {"resource_arn": format!("arn:{to}"), "role_arn": "arn:role"}});
    names.iter().map(output).collect()
}

#[test]
fn a_description_reads_back_as_the_spec() {
    let want = spec(&json!({"outputs": outputs(&[("A", "a"), ("B", "b")])}));
    assert_eq!(wire::spec_of(&described(&want)), want);
    assert_eq!(next(&want, &described(&want)).unwrap(), None);
}

#[test]
fn a_renamed_output_is_updated_in_place_with_the_code() {
    let live = described(&spec(&json!({})));
    let want = spec(&json!({
        "application_code": "other",
        "outputs": outputs(&[("DESTINATION_SQL_STREAM", "stream/special")]),
    }));
    let Some(Edit::Update(update)) = next(&want, &live).unwrap() else { panic!("no update") };
    assert_eq!(update.application_code_update.as_deref(), Some("other"));
    let outputs = update.output_updates.unwrap();
    assert_eq!(outputs[0].output_id, "2.0");
    assert_eq!(outputs[0].name_update.as_deref(), Some("DESTINATION_SQL_STREAM"));
    assert_eq!(outputs[0].kinesis_streams_output_update, None);
    assert_eq!(update.input_updates, None);
}

#[test]
fn outputs_are_paired_by_name_then_by_destination() {
    let live = described(&spec(&json!({"outputs": outputs(&[("A", "a"), ("B", "b"), ("C", "c")])})));
    let want = spec(&json!({"outputs": outputs(&[("A", "x"), ("D", "c")])}));
    let Some(Edit::Update(update)) = next(&want, &live).unwrap() else { panic!("no update") };
    let updates = update.output_updates.unwrap();
    let target =
        |update: &api::OutputUpdate| update.kinesis_streams_output_update.clone().and_then(|to| to.resource_arn_update);
    assert_eq!((updates[0].output_id.as_str(), target(&updates[0]).as_deref()), ("2.0", Some("arn:x")));
    assert_eq!((updates[1].output_id.as_str(), updates[1].name_update.as_deref()), ("2.2", Some("D")));
    let want = spec(&json!({"outputs": outputs(&[("A", "a"), ("C", "c")])}));
    assert_eq!(next(&want, &live).unwrap(), Some(Edit::DeleteOutput("2.1".to_owned())));
}

#[test]
fn an_output_of_another_service_is_made_anew() {
    let live = described(&spec(&json!({})));
    let lambda = json!({"resource_arn": "arn:function", "role_arn": "arn:role"});
    let want = spec(&json!({"outputs": [{"name": "IN_APP_STREAM", "lambda_output": lambda}]}));
    assert_eq!(next(&want, &live).unwrap(), Some(Edit::DeleteOutput("2.0".to_owned())));
    let want = spec(&json!({"outputs": [{"name": "OTHER", "lambda_output": lambda}]}));
    assert!(matches!(next(&want, &live).unwrap(), Some(Edit::AddOutput(_))));
}

#[test]
fn parts_are_added_before_the_code_that_names_them_changes() {
    let live = described(&spec(&json!({})));
    let source = json!([{
        "table_name": "RATES",
        "s3_reference_data_source": {"bucket_arn": "arn:b", "file_key": "k", "reference_role_arn": "arn:role"},
        "reference_schema": {"record_columns": [{"name": "rate", "sql_type": "DOUBLE"}]},
    }]);
    let want = spec(&json!({"application_code": "uses RATES", "reference_data_sources": source}));
    assert!(matches!(next(&want, &live).unwrap(), Some(Edit::AddReference(_))));
}

#[test]
fn taking_the_input_away_is_a_replacement() {
    let with = spec(&json!({}));
    let without = spec(&json!({"inputs": [], "status": "stopped"}));
    assert_eq!(KinesisAnalyticsApplication::replaces(&without, &with), ["inputs"]);
    assert!(KinesisAnalyticsApplication::replaces(&with, &without).is_empty());
}

#[test]
fn show_tells_what_is_bound() {
    assert_eq!(status_text(&described(&spec(&json!({})))), "RUNNING, IN_APP_STREAM → special");
}

#[test]
fn what_does_not_change_stays_as_found() {
    let found = spec(&json!({"application_code": "old"}));
    let mut want = spec(&json!({"application_code": "ignored", "status": "stopped"}));
    want.inputs[0].starting_position = Some(StartingPosition::TrimHorizon);
    let change = crate::diff::Change {
        path: "status".to_owned(),
        before: "running".into(),
        after: "stopped".into(),
        forces_replacement: false,
        sensitive: false,
    };
    let target = target(&want, &found, &Changes(&[change]));
    assert_eq!((target.application_code.as_str(), target.status), ("old", Status::Stopped));
    assert_eq!(target.inputs[0].starting_position, Some(StartingPosition::TrimHorizon));
}

#[test]
fn a_refused_creation_names_the_retirement() {
    let refusal = |code: &str, class: Class, message: &str| {
        calls::explain(KindError { code: code.to_owned(), ..KindError::new(class, message) })
    };
    let closed = refusal("UnsupportedOperationException", Class::Invalid, "not allowed under account: 1");
    assert_eq!(closed.class, Class::Retired);
    assert!(closed.hint.unwrap().contains("Apache Flink"));
    let policy = "User: x is not authorized to perform: kinesisanalytics:CreateApplication";
    assert_eq!(refusal("AccessDeniedException", Class::Denied, policy).class, Class::Denied);
    assert_eq!(refusal("CodeValidationException", Class::Invalid, "syntax").hint, None);
}
