//! What the service refuses in a name, a schema, a role or a resource of an application (`facts/aws.md` 2.2, 2.3).

use serde_json::Value;

use super::super::store::Table;
use super::super::{Call, Fault, Tx, iam};
use super::{invalid, members, required, text};

const STREAMS: Table = Table::regional("kinesis.stream");
const FUNCTIONS: Table = Table::regional("lambda.function");
const PRINCIPAL: &str = "kinesisanalytics.amazonaws.com";
const MOST_COLUMNS: usize = 1000;

/// Checks a text's length as the API model does.
pub(super) fn length(field: &str, value: &str, least: usize, most: usize) -> Result<(), Fault> {
    let count = value.chars().count();
    if (least..=most).contains(&count) {
        return Ok(());
    }
    let rule = if count < least {
        format!("greater than or equal to {least}")
    } else {
        format!("less than or equal to {most}")
    };
    Err(Fault::new(
        "ValidationException",
        format!(
            "1 validation error detected: Value at '{field}' failed to satisfy constraint: Member must have length {rule}"
        ),
    ))
}

/// Checks a name's length and letters.
pub(super) fn name(field: &str, value: &str, most: usize, allowed: fn(char) -> bool) -> Result<(), Fault> {
    length(field, value, 1, most)?;
    if value.chars().all(allowed) {
        return Ok(());
    }
    Err(invalid(format!("Value '{value}' at '{field}' has a character that is not allowed there")))
}

/// Letters of application names and ids.
pub(super) fn is_name_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_.-".contains(letter)
}

/// Letters of in-application names: no hyphen, white space or markup.
pub(super) fn is_stream_letter(letter: char) -> bool {
    !letter.is_whitespace() && !"-<>&".contains(letter)
}

/// Checks an input's body: prefix, one source, parallelism and schema.
pub(super) fn input(tx: &mut Tx<'_>, call: &Call, body: &Value) -> Result<(), Fault> {
    name("namePrefix", required(body, "NamePrefix")?, 32, is_stream_letter)?;
    only_one(body, "Input", &["KinesisStreamsInput", "KinesisFirehoseInput"])?;
    let count = body.pointer("/InputParallelism/Count").and_then(Value::as_i64).unwrap_or(1);
    if !(1..=64).contains(&count) {
        return Err(invalid(format!("InputParallelism Count {count} is not between 1 and 64")));
    }
    schema("InputSchema", body)?;
    if let Some(source) = body.get("KinesisStreamsInput") {
        let actions = ["kinesis:DescribeStream", "kinesis:GetShardIterator", "kinesis:GetRecords"];
        stream_source(tx, call, source, &actions)?;
    }
    if let Some(source) = body.get("KinesisFirehoseInput") {
        firehose(tx, source, "firehose:DescribeDeliveryStream")?;
    }
    body.get("InputProcessingConfiguration").map_or(Ok(()), |configuration| processing(tx, call, configuration))
}

/// Checks an `InputProcessingConfiguration`.
pub(super) fn processing(tx: &mut Tx<'_>, call: &Call, configuration: &Value) -> Result<(), Fault> {
    let processor = configuration.get("InputLambdaProcessor").ok_or_else(|| super::missing("inputLambdaProcessor"))?;
    function(tx, call, processor)
}

/// Checks an output's body: name, one destination and format. Whether the name exists in the SQL is not looked at.
pub(super) fn output(tx: &mut Tx<'_>, call: &Call, body: &Value) -> Result<(), Fault> {
    name("name", required(body, "Name")?, 32, is_stream_letter)?;
    only_one(body, "Output", &["KinesisStreamsOutput", "KinesisFirehoseOutput", "LambdaOutput"])?;
    let format = body.get("DestinationSchema").ok_or_else(|| super::missing("destinationSchema"))?;
    format_type(format)?;
    if let Some(target) = body.get("KinesisStreamsOutput") {
        stream_source(tx, call, target, &["kinesis:DescribeStream", "kinesis:PutRecord", "kinesis:PutRecords"])?;
    }
    if let Some(target) = body.get("KinesisFirehoseOutput") {
        firehose(tx, target, "firehose:PutRecordBatch")?;
    }
    body.get("LambdaOutput").map_or(Ok(()), |target| function(tx, call, target))
}

/// Checks a reference data source's body.
pub(super) fn reference(tx: &mut Tx<'_>, body: &Value) -> Result<(), Fault> {
    name("tableName", required(body, "TableName")?, 32, is_stream_letter)?;
    schema("ReferenceSchema", body)?;
    let object =
        body.get("S3ReferenceDataSource").ok_or_else(|| invalid("Please provide an S3 reference data source"))?;
    let (bucket, key) = (required(object, "BucketARN")?, required(object, "FileKey")?);
    let role = required(object, "ReferenceRoleARN")?;
    let allowed = iam::role_trusts(tx, role, PRINCIPAL)?
        && iam::role_allows(tx, role, "s3:GetObject", &format!("{bucket}/{key}"))?;
    refuse_unless(allowed, || {
        format!("Please check the role provided or validity of S3 location you provided: {bucket}/{key}")
    })
}

/// Checks a CloudWatch logging option's body.
pub(super) fn logging(tx: &mut Tx<'_>, body: &Value) -> Result<(), Fault> {
    let (stream, role) = (required(body, "LogStreamARN")?, required(body, "RoleARN")?);
    if !(stream.starts_with("arn:") && stream.contains(":log-group:") && stream.contains(":log-stream:")) {
        return Err(invalid(format!("LogStreamARN {stream} is not the ARN of a log stream")));
    }
    let allowed = iam::role_trusts(tx, role, PRINCIPAL)? && iam::role_allows(tx, role, "logs:PutLogEvents", stream)?;
    refuse_unless(allowed, || unprivileged(stream, role))
}

fn refuse_unless(allowed: bool, text: impl FnOnce() -> String) -> Result<(), Fault> {
    if allowed { Ok(()) } else { Err(invalid(text())) }
}

fn unprivileged(resource: &str, role: &str) -> String {
    format!("Kinesis Analytics service doesn't have sufficient privileges to use {resource} with role {role}")
}

fn only_one(body: &Value, what: &str, fields: &[&str]) -> Result<(), Fault> {
    match fields.iter().filter(|field| body.get(**field).is_some()).count() {
        1 => Ok(()),
        _ => Err(invalid(format!("{what} must have exactly one of {}", fields.join(", ")))),
    }
}

fn stream_source(tx: &mut Tx<'_>, call: &Call, source: &Value, actions: &[&str]) -> Result<(), Fault> {
    let (arn, role) = (required(source, "ResourceARN")?, required(source, "RoleARN")?);
    let stream = arn.strip_prefix(&call.arn("kinesis", "stream/"));
    let stream = stream.ok_or_else(|| invalid(format!("{arn} is not a Kinesis stream of this account and region")))?;
    let mut allowed = iam::role_trusts(tx, role, PRINCIPAL)?;
    for action in actions {
        allowed = allowed && iam::role_allows(tx, role, action, arn)?;
    }
    refuse_unless(allowed, || unprivileged(arn, role))?;
    refuse_unless(tx.has(STREAMS, stream)?, || format!("Kinesis stream {arn} does not exist"))
}

fn firehose(tx: &mut Tx<'_>, source: &Value, action: &str) -> Result<(), Fault> {
    let (arn, role) = (required(source, "ResourceARN")?, required(source, "RoleARN")?);
    refuse_unless(arn.contains(":deliverystream/"), || format!("{arn} is not a Firehose delivery stream"))?;
    let allowed = iam::role_trusts(tx, role, PRINCIPAL)? && iam::role_allows(tx, role, action, arn)?;
    let text = || format!("Kinesis Analytics doesn't have sufficient privileges to use {arn} with role {role}");
    refuse_unless(allowed, text)
}

fn function(tx: &mut Tx<'_>, call: &Call, target: &Value) -> Result<(), Fault> {
    let (arn, role) = (required(target, "ResourceARN")?, required(target, "RoleARN")?);
    let name = arn.strip_prefix(&call.arn("lambda", "function:")).and_then(|rest| rest.split(':').next());
    let name = name.ok_or_else(|| invalid(format!("{arn} is not a function of this account and region")))?;
    refuse_unless(tx.has(FUNCTIONS, name)?, || format!("Lambda function {arn} does not exist"))?;
    let allowed = iam::role_trusts(tx, role, PRINCIPAL)? && iam::role_allows(tx, role, "lambda:InvokeFunction", arn)?;
    refuse_unless(allowed, || {
        format!("The role {role} does not provide Invoke permissions on the Lambda resource {arn}")
    })
}

fn format_type(format: &Value) -> Result<&str, Fault> {
    match required(format, "RecordFormatType")? {
        known @ ("JSON" | "CSV") => Ok(known),
        other => Err(invalid(format!("RecordFormatType {other} is not JSON or CSV"))),
    }
}

fn schema(field: &str, body: &Value) -> Result<(), Fault> {
    let schema = body.get(field).ok_or_else(|| super::missing(field))?;
    let format = schema.get("RecordFormat").ok_or_else(|| super::missing("recordFormat"))?;
    let kind = format_type(format)?;
    mapping_parameters(kind, format)?;
    if text(schema, "RecordEncoding").is_some_and(|encoding| encoding != "UTF-8") {
        return Err(invalid("RecordEncoding must be UTF-8"));
    }
    let columns = members(schema, "RecordColumns");
    if !(1..=MOST_COLUMNS).contains(&columns.len()) {
        return Err(invalid(format!("RecordColumns must have 1 to {MOST_COLUMNS} members, not {}", columns.len())));
    }
    columns.iter().try_for_each(|column| check_column(kind, column))
}

fn mapping_parameters(kind: &str, format: &Value) -> Result<(), Fault> {
    let needed: &[&str] = match kind {
        "JSON" => &["/MappingParameters/JSONMappingParameters/RecordRowPath"],
        _ => &[
            "/MappingParameters/CSVMappingParameters/RecordRowDelimiter",
            "/MappingParameters/CSVMappingParameters/RecordColumnDelimiter",
        ],
    };
    for path in needed {
        let value = format.pointer(path).and_then(Value::as_str).unwrap_or_default();
        refuse_unless(!value.is_empty(), || {
            format!("RecordFormat of type {kind} needs {}", path.trim_start_matches('/'))
        })?;
    }
    Ok(())
}

fn check_column(kind: &str, column: &Value) -> Result<(), Fault> {
    let column_name = required(column, "Name")?;
    name("recordColumns.name", column_name, 256, is_stream_letter)?;
    length("recordColumns.sqlType", required(column, "SqlType")?, 1, 100)?;
    let mapped = text(column, "Mapping").is_some_and(|mapping| !mapping.is_empty());
    refuse_unless(mapped || kind != "JSON", || format!("Column {column_name} of a JSON schema needs a Mapping"))
}
