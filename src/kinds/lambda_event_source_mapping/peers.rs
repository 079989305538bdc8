//! Mappings in Terraform: `aws_lambda_event_source_mapping`.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::{Map, Value, json};

use crate::kind::{Attributes, CloudFormation, Draft, Found, Import, Peers, Piece, TagForm, Terraform, properties};

pub(super) const PEERS: Peers = Peers {
    terraform: Some(Terraform {
        types: &["aws_lambda_event_source_mapping"],
        parts: &[],
        name: "",
        outputs: &[("arn", "arn"), ("uuid", "uuid")],
        names: &[("function_name", "lambda_function")],
        physical: &["uuid", "id"],
        read,
        imports,
    }),
    cloudformation: Some(CloudFormation {
        kind: "AWS::Lambda::EventSourceMapping",
        identifier: ("Id", ""),
        tags: TagForm::List,
        refuses: CloudFormation::nothing,
        properties: describe,
    }),
};

/// What only streams have; for a queue Terraform writes zeros there.
const OF_STREAMS: [&str; 7] = [
    "starting_position",
    "parallelization_factor",
    "bisect_batch_on_function_error",
    "maximum_retry_attempts",
    "maximum_record_age_in_seconds",
    "tumbling_window_in_seconds",
    "starting_position_timestamp",
];

fn read(from: Attributes<'_>, _: &[Piece<'_>], draft: &mut Draft) {
    let source = from.text("event_source_arn").unwrap_or_default();
    let service = source.split(':').nth(2).unwrap_or_default();
    if !["kinesis", "dynamodb", "sqs"].contains(&service) {
        return draft.refuse("only Kinesis streams, DynamoDB streams and SQS queues are known here as sources");
    }
    let plain = [
        "event_source_arn",
        "function_name",
        "batch_size",
        "maximum_batching_window_in_seconds",
        "enabled",
        "kms_key_arn",
    ];
    draft.copy(from, &plain.map(|name| (name, name)));
    draft.copy(from, &[("function_response_types", "function_response_types")]);
    if service != "sqs" {
        draft.copy(from, &OF_STREAMS.map(|name| (name, name)));
        let at = from.text("starting_position_timestamp").and_then(|at| DateTime::from_str(at, Format::DateTime).ok());
        draft.set("starting_position_timestamp", at.map(|at| at.secs()));
    }
    let filters = from.block("filter_criteria").map(|criteria| criteria.blocks("filter")).unwrap_or_default();
    let patterns = filters.iter().filter_map(|filter| Some(json!({"pattern": filter.document("pattern")?})));
    let patterns: Vec<Value> = patterns.collect();
    draft.set("filter_criteria", (!patterns.is_empty()).then(|| json!({"filters": patterns})));
    let failure = from.block("destination_config").and_then(|config| config.block("on_failure"));
    let target = failure.and_then(|failure| failure.text("destination_arn"));
    draft.set("destination_config", target.map(|target| json!({"on_failure": {"destination": target}})));
    draft.set("metrics_config", from.block("metrics_config").map(|config| config.renamed(&[("metrics", "metrics")])));
    if from.block("scaling_config").is_some() {
        draft.note("its scaling_config is not described; it stays as it is");
    }
}

fn imports(found: &Found) -> Vec<Import> {
    Import::whole("aws_lambda_event_source_mapping", &found.physical)
}

fn describe(found: &Found) -> Map<String, Value> {
    let fields = [
        ("event_source_arn", "EventSourceArn"),
        ("function_name", "FunctionName"),
        ("starting_position", "StartingPosition"),
        ("starting_position_timestamp", "StartingPositionTimestamp"),
        ("batch_size", "BatchSize"),
        ("maximum_batching_window_in_seconds", "MaximumBatchingWindowInSeconds"),
        ("parallelization_factor", "ParallelizationFactor"),
        ("bisect_batch_on_function_error", "BisectBatchOnFunctionError"),
        ("maximum_retry_attempts", "MaximumRetryAttempts"),
        ("maximum_record_age_in_seconds", "MaximumRecordAgeInSeconds"),
        ("tumbling_window_in_seconds", "TumblingWindowInSeconds"),
        ("destination_config", "DestinationConfig"),
        ("function_response_types", "FunctionResponseTypes"),
        ("enabled", "Enabled"),
        ("kms_key_arn", "KmsKeyArn"),
        ("metrics_config", "MetricsConfig"),
    ];
    let mut all = properties(found, &fields);
    let filters = found.spec.pointer("/filter_criteria/filters").and_then(Value::as_array).into_iter().flatten();
    let filters: Vec<Value> = filters
        .filter_map(|filter| filter.get("pattern"))
        .map(|pattern| json!({"Pattern": pattern.as_str().map_or_else(|| pattern.to_string(), str::to_owned)}))
        .collect();
    if !filters.is_empty() {
        all.insert("FilterCriteria".to_owned(), json!({"Filters": filters}));
    }
    all
}
