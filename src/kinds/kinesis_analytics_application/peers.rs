//! Applications in Terraform: `aws_kinesis_analytics_application`.

use serde_json::{Value, json};

use crate::checks::sql;
use crate::kind::{Attributes, Draft, Found, Import, Peers, Piece, Terraform};

pub(super) const PEERS: Peers = Peers {
    terraform: Some(Terraform {
        types: &["aws_kinesis_analytics_application"],
        parts: &[],
        name: "name",
        outputs: &[("arn", "arn"), ("name", "name")],
        names: &[],
        physical: &[],
        read,
        imports,
    }),
    // Not among the types that CloudFormation can import.
    cloudformation: None,
};

/// The stream of errors, which every application has.
const ERRORS: &str = "error_stream";

fn read(from: Attributes<'_>, _: &[Piece<'_>], draft: &mut Draft) {
    draft.copy(from, &[("description", "application_description"), ("code", "application_code")]);
    draft.set("inputs", from.blocks("inputs").into_iter().map(input).collect::<Value>());
    let outputs = from.blocks("outputs");
    draft.set("outputs", outputs.iter().copied().map(output).collect::<Value>());
    draft.set(
        "cloud_watch_logging_options",
        from.blocks("cloudwatch_logging_options").into_iter().map(logging).collect::<Value>(),
    );
    draft.set(
        "reference_data_sources",
        from.blocks("reference_data_sources").into_iter().map(reference).collect::<Value>(),
    );
    let runs = matches!(from.text("status"), Some("RUNNING" | "STARTING" | "UPDATING"));
    draft.set("status", if runs { "running" } else { "stopped" });
    let script = sql::read(from.text("code").unwrap_or_default());
    let is_unbound = |output: &Attributes<'_>| {
        let name = output.text("name").unwrap_or_default();
        name != ERRORS && !script.streams.iter().any(|stream| stream.text == name)
    };
    if let Some(name) = outputs.iter().find(|output| is_unbound(output)).and_then(|output| output.text("name")) {
        draft.leave(
            "outputs",
            &format!(
                "the output `{name}` is no stream that the SQL creates, so it delivers nothing; it is left as it is: name a stream of the SQL and remove ignore_changes to mend it"
            ),
        );
    }
}

fn endpoint(block: Option<Attributes<'_>>) -> Option<Value> {
    block.map(|block| block.renamed(&[("resource_arn", "resource_arn"), ("role_arn", "role_arn")]))
}

fn input(from: Attributes<'_>) -> Value {
    let processor = from.block("processing_configuration").and_then(|processing| endpoint(processing.block("lambda")));
    let count = from.block("parallelism").and_then(|parallelism| parallelism.value("count"));
    let position = from.block("starting_position_configuration").and_then(|start| start.text("starting_position"));
    pruned(json!({
        "name_prefix": from.text("name_prefix"),
        "kinesis_streams_input": endpoint(from.block("kinesis_stream")),
        "kinesis_firehose_input": endpoint(from.block("kinesis_firehose")),
        "input_processing_configuration": processor.map(|processor| json!({"input_lambda_processor": processor})),
        "input_parallelism": count.map(|count| json!({"count": count})),
        "input_schema": from.block("schema").map(|schema| source_schema(schema)),
        "starting_position": position,
    }))
}

fn source_schema(from: Attributes<'_>) -> Value {
    let format = from.block("record_format");
    let mapping = format.and_then(|format| format.block("mapping_parameters"));
    let json_mapping = mapping.and_then(|mapping| mapping.block("json"));
    let csv_mapping = mapping.and_then(|mapping| mapping.block("csv"));
    let parameters = pruned(json!({
        "json_mapping_parameters": json_mapping.map(|json| json.renamed(&[("record_row_path", "record_row_path")])),
        "csv_mapping_parameters": csv_mapping.map(|csv| csv.renamed(&[
            ("record_row_delimiter", "record_row_delimiter"),
            ("record_column_delimiter", "record_column_delimiter"),
        ])),
    }));
    let word = if csv_mapping.is_some() { "CSV" } else { "JSON" };
    let columns = from.blocks("record_columns");
    let columns = columns
        .iter()
        .map(|column| column.renamed(&[("name", "name"), ("mapping", "mapping"), ("sql_type", "sql_type")]));
    pruned(json!({
        "record_format": {"record_format_type": word, "mapping_parameters": parameters},
        "record_encoding": from.text("record_encoding"),
        "record_columns": columns.collect::<Value>(),
    }))
}

fn output(from: Attributes<'_>) -> Value {
    let format = from.block("schema").and_then(|schema| schema.text("record_format_type"));
    pruned(json!({
        "name": from.text("name"),
        "kinesis_streams_output": endpoint(from.block("kinesis_stream")),
        "kinesis_firehose_output": endpoint(from.block("kinesis_firehose")),
        "lambda_output": endpoint(from.block("lambda")),
        "destination_schema": format.map(|format| json!({"record_format_type": format})),
    }))
}

fn logging(from: Attributes<'_>) -> Value {
    from.renamed(&[("log_stream_arn", "log_stream_arn"), ("role_arn", "role_arn")])
}

fn reference(from: Attributes<'_>) -> Value {
    let place = from.block("s3").map(|object| {
        object.renamed(&[("bucket_arn", "bucket_arn"), ("file_key", "file_key"), ("role_arn", "reference_role_arn")])
    });
    pruned(json!({
        "table_name": from.text("table_name"),
        "s3_reference_data_source": place,
        "reference_schema": from.block("schema").map(|schema| source_schema(schema)),
    }))
}

/// Takes out what is not there.
fn pruned(mut value: Value) -> Value {
    if let Some(map) = value.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    value
}

fn imports(found: &Found) -> Vec<Import> {
    let arn = found.outputs.get("arn").and_then(Value::as_str).unwrap_or(&found.physical);
    Import::whole("aws_kinesis_analytics_application", arn)
}
