//! Between the spec and the types of the API of 2015-08-14.

use aws_sdk_kinesisanalytics::types as api;
use aws_smithy_types::error::operation::BuildError;

use super::spec::{
    CsvMappingParameters, DestinationSchema, Endpoint, FormatType, Input, InputParallelism,
    InputProcessingConfiguration, JsonMappingParameters, LoggingOption, MappingParameters, Output, RecordColumn,
    RecordFormat, ReferenceDataSource, S3ReferenceDataSource, SourceSchema, Spec, StartingPosition, Status, utf8,
};
use crate::kind::{KindError, Result};

/// Turns a forgotten required field into an error; the spec's types make it impossible.
pub(super) fn built<T>(result: std::result::Result<T, BuildError>) -> Result<T> {
    result.map_err(|error| KindError::invalid(error.to_string()))
}

/// Reads a spec from a description; what AWS assigns (ids, versions, in-application names) is left out.
pub(super) fn spec_of(detail: &api::ApplicationDetail) -> Spec {
    let mut outputs: Vec<_> = detail.output_descriptions().iter().map(output_of).collect();
    outputs.sort_by(|left, right| left.name.cmp(&right.name));
    let logging = detail.cloud_watch_logging_option_descriptions().iter();
    let mut spec = Spec {
        application_description: detail.application_description.clone().filter(|text| !text.is_empty()),
        application_code: detail.application_code.clone().unwrap_or_default(),
        inputs: detail.input_descriptions().iter().map(input_of).collect(),
        outputs,
        cloud_watch_logging_options: logging
            .map(|option| LoggingOption {
                log_stream_arn: option.log_stream_arn.clone(),
                role_arn: option.role_arn.clone(),
            })
            .collect(),
        reference_data_sources: detail.reference_data_source_descriptions().iter().map(reference_of).collect(),
        status: status_of(&detail.application_status),
    };
    spec.complete();
    spec
}

/// An application on its way counts as where it goes.
fn status_of(status: &api::ApplicationStatus) -> Status {
    match status {
        api::ApplicationStatus::Running | api::ApplicationStatus::Starting | api::ApplicationStatus::Updating => {
            Status::Running
        }
        _ => Status::Stopped,
    }
}

fn endpoint(resource: Option<&String>, role: Option<&String>) -> Endpoint {
    Endpoint { resource_arn: resource.cloned().unwrap_or_default(), role_arn: role.cloned().unwrap_or_default() }
}

/// Reads an input.
pub(super) fn input_of(input: &api::InputDescription) -> Input {
    let processor = input
        .input_processing_configuration_description
        .as_ref()
        .and_then(|found| found.input_lambda_processor_description.as_ref());
    Input {
        name_prefix: input.name_prefix.clone().unwrap_or_default(),
        kinesis_streams_input: input
            .kinesis_streams_input_description
            .as_ref()
            .map(|found| endpoint(found.resource_arn.as_ref(), found.role_arn.as_ref())),
        kinesis_firehose_input: input
            .kinesis_firehose_input_description
            .as_ref()
            .map(|found| endpoint(found.resource_arn.as_ref(), found.role_arn.as_ref())),
        input_processing_configuration: processor.map(|found| InputProcessingConfiguration {
            input_lambda_processor: endpoint(found.resource_arn.as_ref(), found.role_arn.as_ref()),
        }),
        input_parallelism: InputParallelism {
            count: input.input_parallelism.as_ref().and_then(|parallelism| parallelism.count).unwrap_or(1),
        },
        input_schema: input.input_schema.as_ref().map_or_else(no_schema, schema_of),
        starting_position: None,
    }
}

fn no_schema() -> SourceSchema {
    SourceSchema { record_format: RecordFormat::default(), record_encoding: utf8(), record_columns: Vec::new() }
}

fn schema_of(schema: &api::SourceSchema) -> SourceSchema {
    let column = |column: &api::RecordColumn| RecordColumn {
        name: column.name.clone(),
        mapping: column.mapping.clone().filter(|path| !path.is_empty()),
        sql_type: column.sql_type.clone(),
    };
    SourceSchema {
        record_format: schema.record_format.as_ref().map(format_of).unwrap_or_default(),
        record_encoding: schema.record_encoding.clone().unwrap_or_else(utf8),
        record_columns: schema.record_columns.iter().map(column).collect(),
    }
}

fn format_of(format: &api::RecordFormat) -> RecordFormat {
    let parameters = format.mapping_parameters.as_ref();
    let json = parameters.and_then(|parameters| parameters.json_mapping_parameters.as_ref());
    let csv = parameters.and_then(|parameters| parameters.csv_mapping_parameters.as_ref());
    RecordFormat {
        record_format_type: format_type_of(&format.record_format_type),
        mapping_parameters: Some(MappingParameters {
            json_mapping_parameters: json
                .map(|json| JsonMappingParameters { record_row_path: json.record_row_path.clone() }),
            csv_mapping_parameters: csv.map(|csv| CsvMappingParameters {
                record_row_delimiter: csv.record_row_delimiter.clone(),
                record_column_delimiter: csv.record_column_delimiter.clone(),
            }),
        }),
    }
}

fn format_type_of(format: &api::RecordFormatType) -> FormatType {
    if *format == api::RecordFormatType::Csv { FormatType::Csv } else { FormatType::Json }
}

/// Reads an output.
pub(super) fn output_of(output: &api::OutputDescription) -> Output {
    let schema = output.destination_schema.as_ref();
    Output {
        name: output.name.clone().unwrap_or_default(),
        kinesis_streams_output: output
            .kinesis_streams_output_description
            .as_ref()
            .map(|found| endpoint(found.resource_arn.as_ref(), found.role_arn.as_ref())),
        kinesis_firehose_output: output
            .kinesis_firehose_output_description
            .as_ref()
            .map(|found| endpoint(found.resource_arn.as_ref(), found.role_arn.as_ref())),
        lambda_output: output
            .lambda_output_description
            .as_ref()
            .map(|found| endpoint(found.resource_arn.as_ref(), found.role_arn.as_ref())),
        destination_schema: DestinationSchema {
            record_format_type: schema.map(|schema| format_type_of(&schema.record_format_type)).unwrap_or_default(),
        },
    }
}

fn reference_of(source: &api::ReferenceDataSourceDescription) -> ReferenceDataSource {
    let object = source.s3_reference_data_source_description.as_ref();
    let text = |part: fn(&api::S3ReferenceDataSourceDescription) -> &String| object.map(part).cloned();
    ReferenceDataSource {
        table_name: source.table_name.clone(),
        s3_reference_data_source: S3ReferenceDataSource {
            bucket_arn: text(|object| &object.bucket_arn).unwrap_or_default(),
            file_key: text(|object| &object.file_key).unwrap_or_default(),
            reference_role_arn: text(|object| &object.reference_role_arn).unwrap_or_default(),
        },
        reference_schema: source.reference_schema.as_ref().map_or_else(no_schema, schema_of),
    }
}

/// Writes an input for a create or add call.
pub(super) fn input(want: &Input) -> Result<api::Input> {
    let streams = |to: &Endpoint| {
        api::KinesisStreamsInput::builder().resource_arn(&to.resource_arn).role_arn(&to.role_arn).build()
    };
    let firehose = |to: &Endpoint| {
        api::KinesisFirehoseInput::builder().resource_arn(&to.resource_arn).role_arn(&to.role_arn).build()
    };
    let request = api::Input::builder()
        .name_prefix(&want.name_prefix)
        .set_kinesis_streams_input(built(want.kinesis_streams_input.as_ref().map(streams).transpose())?)
        .set_kinesis_firehose_input(built(want.kinesis_firehose_input.as_ref().map(firehose).transpose())?)
        .set_input_processing_configuration(want.input_processing_configuration.as_ref().map(processing).transpose()?)
        .input_parallelism(api::InputParallelism::builder().count(want.input_parallelism.count).build())
        .input_schema(schema(&want.input_schema)?);
    built(request.build())
}

/// Writes the pre-processing of an input.
pub(super) fn processing(want: &InputProcessingConfiguration) -> Result<api::InputProcessingConfiguration> {
    let to = &want.input_lambda_processor;
    let processor =
        built(api::InputLambdaProcessor::builder().resource_arn(&to.resource_arn).role_arn(&to.role_arn).build())?;
    Ok(api::InputProcessingConfiguration::builder().input_lambda_processor(processor).build())
}

/// Writes a schema.
pub(super) fn schema(want: &SourceSchema) -> Result<api::SourceSchema> {
    built(
        api::SourceSchema::builder()
            .record_format(format(&want.record_format)?)
            .record_encoding(&want.record_encoding)
            .set_record_columns(Some(columns(want)?))
            .build(),
    )
}

/// Writes columns.
pub(super) fn columns(want: &SourceSchema) -> Result<Vec<api::RecordColumn>> {
    let column = |column: &RecordColumn| {
        api::RecordColumn::builder()
            .name(&column.name)
            .set_mapping(column.mapping.clone())
            .sql_type(&column.sql_type)
            .build()
    };
    want.record_columns.iter().map(|want| built(column(want))).collect()
}

/// Writes a record format.
pub(super) fn format(want: &RecordFormat) -> Result<api::RecordFormat> {
    let parameters = want.mapping_parameters.clone().unwrap_or_default();
    let json = parameters
        .json_mapping_parameters
        .map(|json| api::JsonMappingParameters::builder().record_row_path(json.record_row_path).build());
    let csv = parameters.csv_mapping_parameters.map(|csv| {
        api::CsvMappingParameters::builder()
            .record_row_delimiter(csv.record_row_delimiter)
            .record_column_delimiter(csv.record_column_delimiter)
            .build()
    });
    let parameters = api::MappingParameters::builder()
        .set_json_mapping_parameters(built(json.transpose())?)
        .set_csv_mapping_parameters(built(csv.transpose())?)
        .build();
    built(
        api::RecordFormat::builder()
            .record_format_type(format_type(want.record_format_type))
            .mapping_parameters(parameters)
            .build(),
    )
}

fn format_type(want: FormatType) -> api::RecordFormatType {
    match want {
        FormatType::Json => api::RecordFormatType::Json,
        FormatType::Csv => api::RecordFormatType::Csv,
    }
}

/// Writes an output for a create or add call.
pub(super) fn output(want: &Output) -> Result<api::Output> {
    let streams = want
        .kinesis_streams_output
        .as_ref()
        .map(|to| api::KinesisStreamsOutput::builder().resource_arn(&to.resource_arn).role_arn(&to.role_arn).build());
    let firehose = want
        .kinesis_firehose_output
        .as_ref()
        .map(|to| api::KinesisFirehoseOutput::builder().resource_arn(&to.resource_arn).role_arn(&to.role_arn).build());
    let lambda = want
        .lambda_output
        .as_ref()
        .map(|to| api::LambdaOutput::builder().resource_arn(&to.resource_arn).role_arn(&to.role_arn).build());
    let request = api::Output::builder()
        .name(&want.name)
        .set_kinesis_streams_output(built(streams.transpose())?)
        .set_kinesis_firehose_output(built(firehose.transpose())?)
        .set_lambda_output(built(lambda.transpose())?)
        .destination_schema(destination_schema(&want.destination_schema)?);
    built(request.build())
}

/// Writes the format of delivered records.
pub(super) fn destination_schema(want: &DestinationSchema) -> Result<api::DestinationSchema> {
    built(api::DestinationSchema::builder().record_format_type(format_type(want.record_format_type)).build())
}

/// Writes a logging option.
pub(super) fn logging(want: &LoggingOption) -> Result<api::CloudWatchLoggingOption> {
    let request = api::CloudWatchLoggingOption::builder();
    built(request.log_stream_arn(&want.log_stream_arn).role_arn(&want.role_arn).build())
}

/// Writes a reference data source.
pub(super) fn reference(want: &ReferenceDataSource) -> Result<api::ReferenceDataSource> {
    let object = &want.s3_reference_data_source;
    let object = api::S3ReferenceDataSource::builder()
        .bucket_arn(&object.bucket_arn)
        .file_key(&object.file_key)
        .reference_role_arn(&object.reference_role_arn)
        .build();
    let request = api::ReferenceDataSource::builder()
        .table_name(&want.table_name)
        .s3_reference_data_source(built(object)?)
        .reference_schema(schema(&want.reference_schema)?);
    built(request.build())
}

/// Writes where reading begins.
pub(super) fn position(want: StartingPosition) -> api::InputStartingPositionConfiguration {
    let position = match want {
        StartingPosition::Now => api::InputStartingPosition::Now,
        StartingPosition::TrimHorizon => api::InputStartingPosition::TrimHorizon,
        StartingPosition::LastStoppedPoint => api::InputStartingPosition::LastStoppedPoint,
    };
    api::InputStartingPositionConfiguration::builder().input_starting_position(position).build()
}
