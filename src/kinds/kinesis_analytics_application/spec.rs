//! What an application is like: the fields of a stack file, their normal form and what is checked offline.
//!
//! Field names are those of the API of 2015-08-14. Knows no AWS client.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::kind::Fault;

/// What an application is like.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Description. AWS has no way to change it.
    #[schemars(extend("x-immutable" = true), length(max = 1024))]
    #[serde(deserialize_with = "text_or_none")]
    pub application_description: Option<String>,
    /// SQL of the application: its in-application streams and pumps.
    #[schemars(length(max = 102_400))]
    pub application_code: String,
    /// The streaming source, at most one. It can be added and changed, but not taken away without replacement.
    #[schemars(length(max = 1))]
    #[schemars(extend("x-children" = true))]
    pub inputs: Vec<Input>,
    /// Where in-application streams are delivered, at most three, each named after the stream that the SQL creates.
    #[schemars(length(max = 3))]
    #[serde(deserialize_with = "sorted_outputs")]
    #[schemars(extend("x-children" = true))]
    pub outputs: Vec<Output>,
    /// Log stream that gets the application's errors, at most one.
    #[schemars(length(max = 1))]
    pub cloud_watch_logging_options: Vec<LoggingOption>,
    /// Table read from an object in S3, at most one.
    #[schemars(length(max = 1))]
    #[schemars(extend("x-children" = true))]
    pub reference_data_sources: Vec<ReferenceDataSource>,
    /// Whether the application runs.
    #[schemars(extend("x-status" = true))]
    pub status: Status,
}

/// Whether an application runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is started.
    #[default]
    Running,
    /// It is stopped.
    Stopped,
}

/// A streaming source and the in-application streams made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Start of the names of the in-application streams: `PREFIX_001`, `PREFIX_002`, …
    pub name_prefix: String,
    /// A Kinesis data stream as the source. Either this or `kinesis_firehose_input`.
    #[serde(default)]
    pub kinesis_streams_input: Option<Endpoint>,
    /// A Firehose delivery stream as the source.
    #[serde(default)]
    pub kinesis_firehose_input: Option<Endpoint>,
    /// What happens to records before the SQL sees them.
    #[serde(default)]
    pub input_processing_configuration: Option<InputProcessingConfiguration>,
    /// Number of in-application streams that share the source.
    #[serde(default)]
    pub input_parallelism: InputParallelism,
    /// How records become rows.
    pub input_schema: SourceSchema,
    /// Where reading begins when the application is started; unset leaves it to AWS. Of no effect while it runs.
    #[schemars(extend("x-source" = true))]
    #[serde(default)]
    pub starting_position: Option<StartingPosition>,
}

/// Where reading of a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StartingPosition {
    /// With the next record.
    Now,
    /// With the oldest record that the stream keeps.
    TrimHorizon,
    /// Where the application last stopped.
    LastStoppedPoint,
}

/// An AWS resource and the role by which the application reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// ARN of the resource.
    pub resource_arn: String,
    /// ARN of a role that trusts `kinesisanalytics.amazonaws.com` and may use the resource.
    pub role_arn: String,
}

/// What happens to records before the SQL sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputProcessingConfiguration {
    /// A Lambda function that transforms the records.
    pub input_lambda_processor: Endpoint,
}

/// Number of in-application streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InputParallelism {
    /// Number of in-application streams, 1 unless set.
    #[schemars(range(min = 1, max = 64))]
    pub count: i32,
}

impl Default for InputParallelism {
    fn default() -> Self {
        Self { count: 1 }
    }
}

/// How records become rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSchema {
    /// Format of a record; JSON unless set.
    #[serde(default)]
    pub record_format: RecordFormat,
    /// Character encoding; `UTF-8` is the only one.
    #[serde(default = "utf8", deserialize_with = "encoding")]
    pub record_encoding: String,
    /// Columns, in order.
    #[schemars(length(min = 1, max = 1000))]
    pub record_columns: Vec<RecordColumn>,
}

/// Format of a record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RecordFormat {
    /// `JSON` unless set.
    pub record_format_type: FormatType,
    /// Details; unset means `$` as the row path of JSON, and lines with commas for CSV.
    pub mapping_parameters: Option<MappingParameters>,
}

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum FormatType {
    /// JSON.
    #[default]
    Json,
    /// Delimited text.
    Csv,
}

impl fmt::Display for FormatType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Json => "JSON",
            Self::Csv => "CSV",
        })
    }
}

/// Details of a format: those of JSON or those of CSV.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MappingParameters {
    /// Details of JSON.
    pub json_mapping_parameters: Option<JsonMappingParameters>,
    /// Details of CSV.
    pub csv_mapping_parameters: Option<CsvMappingParameters>,
}

/// Details of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonMappingParameters {
    /// Path of the object that becomes a row, such as `$`.
    pub record_row_path: String,
}

/// Details of CSV.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvMappingParameters {
    /// What ends a row, such as `"\n"`.
    pub record_row_delimiter: String,
    /// What separates columns, such as `,`.
    pub record_column_delimiter: String,
}

/// One column of an in-application stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordColumn {
    /// Name.
    pub name: String,
    /// Path of the value in a JSON record; unset means `$.NAME`.
    #[serde(default)]
    pub mapping: Option<String>,
    /// SQL type, such as `VARCHAR(16)`.
    pub sql_type: String,
}

/// A delivery from an in-application stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Name of the in-application stream, as the SQL creates it.
    pub name: String,
    /// A Kinesis data stream as the destination. One of the three destinations.
    #[serde(default)]
    pub kinesis_streams_output: Option<Endpoint>,
    /// A Firehose delivery stream as the destination.
    #[serde(default)]
    pub kinesis_firehose_output: Option<Endpoint>,
    /// A Lambda function as the destination.
    #[serde(default)]
    pub lambda_output: Option<Endpoint>,
    /// Format of delivered records; JSON unless set.
    #[serde(default)]
    pub destination_schema: DestinationSchema,
}

impl Output {
    /// Returns the destinations that are set; a valid output has one.
    #[must_use]
    pub fn destinations(&self) -> Vec<&Endpoint> {
        [&self.kinesis_streams_output, &self.kinesis_firehose_output, &self.lambda_output]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Format of delivered records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DestinationSchema {
    /// `JSON` unless set.
    pub record_format_type: FormatType,
}

/// A log stream for the application's errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoggingOption {
    /// ARN of the log stream.
    pub log_stream_arn: String,
    /// ARN of a role that may write to it.
    pub role_arn: String,
}

/// A table read from an object in S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceDataSource {
    /// Name of the in-application table.
    pub table_name: String,
    /// The object.
    pub s3_reference_data_source: S3ReferenceDataSource,
    /// How its records become rows.
    pub reference_schema: SourceSchema,
}

/// An object in S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3ReferenceDataSource {
    /// ARN of the bucket.
    pub bucket_arn: String,
    /// Key of the object.
    pub file_key: String,
    /// ARN of a role that may read it.
    pub reference_role_arn: String,
}

/// The only encoding there is.
pub(super) fn utf8() -> String {
    "UTF-8".to_owned()
}

fn encoding<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    Ok(text_or_none(input)?.unwrap_or_else(utf8))
}

/// AWS makes no difference between an empty and an absent text.
fn text_or_none<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(input)?.filter(|text| !text.is_empty()))
}

/// AWS gives outputs in no stable order (`facts/aws.md` 2.2).
fn sorted_outputs<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Output>, D::Error> {
    let mut outputs = Vec::<Output>::deserialize(input)?;
    outputs.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(outputs)
}

impl SourceSchema {
    /// Fills in what short forms leave out: row path, delimiters and the paths of columns.
    pub(super) fn complete(&mut self) {
        let format = &mut self.record_format;
        let parameters = format.mapping_parameters.get_or_insert_default();
        let nothing = parameters.json_mapping_parameters.is_none() && parameters.csv_mapping_parameters.is_none();
        if nothing && format.record_format_type == FormatType::Json {
            parameters.json_mapping_parameters = Some(JsonMappingParameters { record_row_path: "$".to_owned() });
        } else if nothing {
            parameters.csv_mapping_parameters = Some(CsvMappingParameters {
                record_row_delimiter: "\n".to_owned(),
                record_column_delimiter: ",".to_owned(),
            });
        }
        if format.record_format_type == FormatType::Json {
            for column in &mut self.record_columns {
                column.mapping.get_or_insert_with(|| format!("$.{}", column.name));
            }
        }
    }

    fn check(&self, path: &str, faults: &mut Vec<Fault>) {
        let parameters = self.record_format.mapping_parameters.clone().unwrap_or_default();
        let other = match self.record_format.record_format_type {
            FormatType::Json => parameters.csv_mapping_parameters.is_some().then_some("csv_mapping_parameters"),
            FormatType::Csv => parameters.json_mapping_parameters.is_some().then_some("json_mapping_parameters"),
        };
        if let Some(other) = other {
            let at = format!("{path}.record_format.mapping_parameters.{other}");
            let text = format!("does not go with record_format_type {}", self.record_format.record_format_type);
            faults.push(Fault::new(at, text));
        }
        if self.record_columns.is_empty() || self.record_columns.len() > 1000 {
            faults.push(Fault::new(format!("{path}.record_columns"), "must have 1 to 1000 columns"));
        }
        for (index, column) in self.record_columns.iter().enumerate() {
            let at = format!("{path}.record_columns.{index}");
            check_name(&format!("{at}.name"), &column.name, 256, faults);
            if self.record_columns[..index].iter().any(|earlier| earlier.name == column.name) {
                faults.push(Fault::new(format!("{at}.name"), format!("column {} is there twice", column.name)));
            }
        }
    }
}

impl Spec {
    /// Fills in what short forms leave out.
    pub(super) fn complete(&mut self) {
        let inputs = self.inputs.iter_mut().map(|input| &mut input.input_schema);
        let tables = self.reference_data_sources.iter_mut().map(|source| &mut source.reference_schema);
        inputs.chain(tables).for_each(SourceSchema::complete);
    }

    /// Lists what is wrong with the spec.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut at_most = |path: &str, count: usize, most: usize| {
            if count > most {
                faults.push(Fault::new(path, format!("has {count} entries where AWS allows {most}")));
            }
        };
        at_most("inputs", self.inputs.len(), 1);
        at_most("outputs", self.outputs.len(), 3);
        at_most("cloud_watch_logging_options", self.cloud_watch_logging_options.len(), 1);
        at_most("reference_data_sources", self.reference_data_sources.len(), 1);
        if self.application_code.chars().count() > 102_400 {
            faults.push(Fault::new("application_code", "is longer than 102400 characters"));
        }
        if self.status == Status::Running && self.inputs.is_empty() {
            faults.push(
                Fault::new("status", "an application without an input cannot run")
                    .help("add `inputs`, or set `status: stopped`"),
            );
        }
        self.inputs.iter().enumerate().for_each(|(index, input)| input.check(&format!("inputs.{index}"), &mut faults));
        self.check_outputs(&mut faults);
        for (index, source) in self.reference_data_sources.iter().enumerate() {
            let at = format!("reference_data_sources.{index}");
            check_name(&format!("{at}.table_name"), &source.table_name, 32, &mut faults);
            source.reference_schema.check(&format!("{at}.reference_schema"), &mut faults);
        }
        faults
    }

    fn check_outputs(&self, faults: &mut Vec<Fault>) {
        for (index, output) in self.outputs.iter().enumerate() {
            let at = format!("outputs.{index}");
            check_name(&format!("{at}.name"), &output.name, 32, faults);
            if output.destinations().len() != 1 {
                faults.push(Fault::new(
                    at.clone(),
                    "needs exactly one of kinesis_streams_output, kinesis_firehose_output and lambda_output",
                ));
            }
            if self.outputs[..index].iter().any(|earlier| earlier.name == output.name) {
                faults.push(Fault::new(format!("{at}.name"), format!("output {} is there twice", output.name)));
            }
        }
    }
}

impl Input {
    fn check(&self, at: &str, faults: &mut Vec<Fault>) {
        check_name(&format!("{at}.name_prefix"), &self.name_prefix, 32, faults);
        if self.kinesis_streams_input.is_some() == self.kinesis_firehose_input.is_some() {
            faults.push(Fault::new(at, "needs exactly one of kinesis_streams_input and kinesis_firehose_input"));
        }
        if !(1..=64).contains(&self.input_parallelism.count) {
            faults.push(Fault::new(format!("{at}.input_parallelism.count"), "must be between 1 and 64"));
        }
        self.input_schema.check(&format!("{at}.input_schema"), faults);
    }
}

/// In-application names have no hyphen, white space, `<`, `>` or `&` (`facts/aws.md` 2.2).
fn check_name(path: &str, name: &str, longest: usize, faults: &mut Vec<Fault>) {
    if name.contains("${") {
        return;
    }
    if name.is_empty() || name.chars().count() > longest {
        faults.push(Fault::new(path, format!("must have 1 to {longest} characters")));
    }
    let bad = name.chars().find(|letter| letter.is_whitespace() || "-<>&".contains(*letter));
    if let Some(letter) = bad {
        faults.push(
            Fault::new(path, format!("{letter:?} is not allowed in {name:?}")).help("use letters, digits and `_`"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec() -> Spec {
        let endpoint = json!({"resource_arn": "${a.arn}", "role_arn": "${r.arn}"});
        serde_json::from_value(json!({
            "inputs": [{
                "name_prefix": "SOURCE_SQL_STREAM",
                "kinesis_streams_input": endpoint,
                "input_schema": {"record_columns": [{"name": "cost", "sql_type": "DOUBLE"}]},
            }],
            "outputs": [{"name": "B", "lambda_output": endpoint}, {"name": "A", "kinesis_streams_output": endpoint}],
        }))
        .unwrap()
    }

    #[test]
    fn short_forms_are_filled_in_and_stay() {
        let mut spec = spec();
        spec.complete();
        let column = &spec.inputs[0].input_schema.record_columns[0];
        assert_eq!(column.mapping.as_deref(), Some("$.cost"));
        let normal = serde_json::to_value(&spec).unwrap();
        assert_eq!(
            normal["inputs"][0]["input_schema"]["record_format"]["mapping_parameters"],
            json!({"json_mapping_parameters": {"record_row_path": "$"}, "csv_mapping_parameters": null})
        );
        let mut again: Spec = serde_json::from_value(normal.clone()).unwrap();
        again.complete();
        assert_eq!(serde_json::to_value(&again).unwrap(), normal);
        assert!(spec.faults().is_empty(), "{:?}", spec.faults());
    }

    #[test]
    fn outputs_are_sorted_by_name() {
        assert_eq!(spec().outputs.iter().map(|output| output.name.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    }

    #[test]
    fn wrong_names_and_counts_are_named() {
        let mut spec = spec();
        spec.outputs[0].name = "IN-APP".to_owned();
        spec.outputs[1].kinesis_firehose_output = spec.outputs[1].lambda_output.clone();
        spec.inputs[0].input_parallelism.count = 65;
        let paths: Vec<_> = spec.faults().into_iter().map(|fault| fault.path).collect();
        assert_eq!(paths, ["inputs.0.input_parallelism.count", "outputs.0.name", "outputs.1"]);
        spec = Spec::default();
        assert_eq!(spec.faults()[0].path, "status");
    }

    #[test]
    fn formats_go_with_their_own_parameters() {
        let mut spec = spec();
        spec.complete();
        spec.inputs[0].input_schema.record_format.record_format_type = FormatType::Csv;
        assert!(spec.faults()[0].path.ends_with("mapping_parameters.json_mapping_parameters"));
    }
}
