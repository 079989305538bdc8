//! Which call comes next on the way from what an application is to what it should be. Pure.
//!
//! What is added comes before, what is taken away after the one `UpdateApplication` that changes the SQL and everything
//! that stays, so that code never names a part that is not there and delivery has no gap: an output whose in-application
//! stream is renamed is updated in place.

use aws_sdk_kinesisanalytics::types as api;

use super::spec::{Endpoint, Input, Output, ReferenceDataSource, SourceSchema, Spec};
use super::wire;
use crate::kind::Result;

/// Outputs of one application (`facts/aws.md` 2.7).
const MOST_OUTPUTS: usize = 3;

/// One mutating call; each makes a new version of the application.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Edit {
    AddLogging(api::CloudWatchLoggingOption),
    AddInput(Box<api::Input>),
    AddProcessing(String, api::InputProcessingConfiguration),
    AddReference(Box<api::ReferenceDataSource>),
    Update(Box<api::ApplicationUpdate>),
    AddOutput(Box<api::Output>),
    DeleteOutput(String),
    DeleteProcessing(String),
    DeleteReference(String),
    DeleteLogging(String),
}

impl Edit {
    /// Returns the operation that it is.
    pub(super) fn operation(&self) -> &'static str {
        match self {
            Self::AddLogging(_) => "AddApplicationCloudWatchLoggingOption",
            Self::AddInput(_) => "AddApplicationInput",
            Self::AddProcessing(..) => "AddApplicationInputProcessingConfiguration",
            Self::AddReference(_) => "AddApplicationReferenceDataSource",
            Self::Update(_) => "UpdateApplication",
            Self::AddOutput(_) => "AddApplicationOutput",
            Self::DeleteOutput(_) => "DeleteApplicationOutput",
            Self::DeleteProcessing(_) => "DeleteApplicationInputProcessingConfiguration",
            Self::DeleteReference(_) => "DeleteApplicationReferenceDataSource",
            Self::DeleteLogging(_) => "DeleteApplicationCloudWatchLoggingOption",
        }
    }
}

/// Returns the next call, or nothing when the application is as wanted; whether it runs is not looked at.
pub(super) fn next(want: &Spec, live: &api::ApplicationDetail) -> Result<Option<Edit>> {
    if let Some(edit) = addition(want, live)? {
        return Ok(Some(edit));
    }
    let pairs = pair(&want.outputs, live.output_descriptions());
    if let Some(update) = update(want, live, &pairs)? {
        return Ok(Some(Edit::Update(Box::new(update))));
    }
    if let Some(edit) = output_edit(&pairs, live.output_descriptions().len())? {
        return Ok(Some(edit));
    }
    Ok(removal(want, live))
}

/// Adds before it deletes, unless the name or the third place is still taken.
fn output_edit(pairs: &Pairs<'_>, present: usize) -> Result<Option<Edit>> {
    let delete = |output: &api::OutputDescription| Edit::DeleteOutput(output.output_id.clone().unwrap_or_default());
    let Some(added) = pairs.added.first() else { return Ok(pairs.removed.first().map(|output| delete(output))) };
    let same_name = pairs.removed.iter().find(|output| output.name() == Some(&added.name));
    let in_the_way = same_name.or_else(|| pairs.removed.first().filter(|_| present >= MOST_OUTPUTS));
    match in_the_way {
        Some(output) => Ok(Some(delete(output))),
        None => Ok(Some(Edit::AddOutput(Box::new(wire::output(added)?)))),
    }
}

fn addition(want: &Spec, live: &api::ApplicationDetail) -> Result<Option<Edit>> {
    if let (Some(option), []) =
        (want.cloud_watch_logging_options.first(), live.cloud_watch_logging_option_descriptions())
    {
        return Ok(Some(Edit::AddLogging(wire::logging(option)?)));
    }
    match (want.inputs.first(), live.input_descriptions()) {
        (Some(input), []) => return Ok(Some(Edit::AddInput(Box::new(wire::input(input)?)))),
        (Some(input), [present, ..]) => {
            if let (Some(processing), None) =
                (&input.input_processing_configuration, wire::input_of(present).input_processing_configuration)
            {
                let id = present.input_id.clone().unwrap_or_default();
                return Ok(Some(Edit::AddProcessing(id, wire::processing(processing)?)));
            }
        }
        (None, _) => {}
    }
    match (want.reference_data_sources.first(), live.reference_data_source_descriptions()) {
        (Some(source), []) => Ok(Some(Edit::AddReference(Box::new(wire::reference(source)?)))),
        _ => Ok(None),
    }
}

fn removal(want: &Spec, live: &api::ApplicationDetail) -> Option<Edit> {
    if let (Some(input), Some(present)) = (want.inputs.first(), live.input_descriptions().first()) {
        let processed = wire::input_of(present).input_processing_configuration.is_some();
        if input.input_processing_configuration.is_none() && processed {
            return Some(Edit::DeleteProcessing(present.input_id.clone().unwrap_or_default()));
        }
    }
    if let Some(source) = live.reference_data_source_descriptions().get(want.reference_data_sources.len()) {
        return Some(Edit::DeleteReference(source.reference_id.clone()));
    }
    let option = live.cloud_watch_logging_option_descriptions().get(want.cloud_watch_logging_options.len())?;
    Some(Edit::DeleteLogging(option.cloud_watch_logging_option_id.clone().unwrap_or_default()))
}

/// Outputs that stay, with what they become, and the rest.
#[derive(Debug, Default)]
struct Pairs<'a> {
    kept: Vec<(&'a Output, &'a api::OutputDescription)>,
    added: Vec<&'a Output>,
    removed: Vec<&'a api::OutputDescription>,
}

/// Pairs wanted with present outputs: by name, then by destination, then in order; an output whose destination becomes
/// one of another service is made anew.
fn pair<'a>(want: &'a [Output], live: &'a [api::OutputDescription]) -> Pairs<'a> {
    let mut pairs = Pairs { kept: Vec::new(), added: want.iter().collect(), removed: live.iter().collect() };
    pairs.keep(|want, live| want.name == live.name && same_service(want, live));
    pairs.keep(|want, live| want.destinations() == live.destinations() && same_service(want, live));
    pairs.keep(same_service);
    pairs
}

fn same_service(want: &Output, live: &Output) -> bool {
    want.kinesis_streams_output.is_some() == live.kinesis_streams_output.is_some()
        && want.kinesis_firehose_output.is_some() == live.kinesis_firehose_output.is_some()
        && want.lambda_output.is_some() == live.lambda_output.is_some()
}

impl Pairs<'_> {
    fn keep(&mut self, fits: impl Fn(&Output, &Output) -> bool) {
        let mut rest = Vec::new();
        for want in std::mem::take(&mut self.added) {
            match self.removed.iter().position(|live| fits(want, &wire::output_of(live))) {
                Some(index) => self.kept.push((want, self.removed.remove(index))),
                None => rest.push(want),
            }
        }
        self.added = rest;
    }
}

fn update(want: &Spec, live: &api::ApplicationDetail, pairs: &Pairs<'_>) -> Result<Option<api::ApplicationUpdate>> {
    let found = wire::spec_of(live);
    let code = (want.application_code != found.application_code).then(|| want.application_code.clone());
    let inputs = match (want.inputs.first(), live.input_descriptions().first()) {
        (Some(want), Some(live)) => input_update(want, live)?,
        _ => None,
    };
    let mut outputs = Vec::new();
    for (want, live) in &pairs.kept {
        outputs.extend(output_update(want, live)?);
    }
    let references = match (want.reference_data_sources.first(), live.reference_data_source_descriptions().first()) {
        (Some(want), Some(live)) if Some(want) != found.reference_data_sources.first() => {
            Some(reference_update(want, &live.reference_id)?)
        }
        _ => None,
    };
    let logging = logging_update(want, &found, live)?;
    if code.is_none() && inputs.is_none() && outputs.is_empty() && references.is_none() && logging.is_none() {
        return Ok(None);
    }
    let update = api::ApplicationUpdate::builder()
        .set_application_code_update(code)
        .set_input_updates(inputs.map(|update| vec![update]))
        .set_output_updates(Some(outputs).filter(|updates| !updates.is_empty()))
        .set_reference_data_source_updates(references.map(|update| vec![update]))
        .set_cloud_watch_logging_option_updates(logging.map(|update| vec![update]));
    Ok(Some(update.build()))
}

fn logging_update(
    want: &Spec,
    found: &Spec,
    live: &api::ApplicationDetail,
) -> Result<Option<api::CloudWatchLoggingOptionUpdate>> {
    let present = live.cloud_watch_logging_option_descriptions().first();
    let (Some(option), Some(present)) = (want.cloud_watch_logging_options.first(), present) else { return Ok(None) };
    if Some(option) == found.cloud_watch_logging_options.first() {
        return Ok(None);
    }
    let update = api::CloudWatchLoggingOptionUpdate::builder()
        .set_cloud_watch_logging_option_id(present.cloud_watch_logging_option_id.clone())
        .log_stream_arn_update(&option.log_stream_arn)
        .role_arn_update(&option.role_arn);
    wire::built(update.build()).map(Some)
}

fn input_update(want: &Input, live: &api::InputDescription) -> Result<Option<api::InputUpdate>> {
    let mut found = wire::input_of(live);
    found.input_schema.complete();
    found.starting_position = want.starting_position;
    let mut compared = want.clone();
    if want.input_processing_configuration.is_none() {
        // Taking it away is a call of its own.
        compared.input_processing_configuration.clone_from(&found.input_processing_configuration);
    }
    if compared == found {
        return Ok(None);
    }
    let mut update = api::InputUpdate::builder().set_input_id(live.input_id.clone());
    if want.name_prefix != found.name_prefix {
        update = update.name_prefix_update(&want.name_prefix);
    }
    if let Some(to) = changed(want.kinesis_streams_input.as_ref(), found.kinesis_streams_input.as_ref()) {
        let to = api::KinesisStreamsInputUpdate::builder()
            .resource_arn_update(&to.resource_arn)
            .role_arn_update(&to.role_arn);
        update = update.kinesis_streams_input_update(to.build());
    }
    if let Some(to) = changed(want.kinesis_firehose_input.as_ref(), found.kinesis_firehose_input.as_ref()) {
        let to = api::KinesisFirehoseInputUpdate::builder()
            .resource_arn_update(&to.resource_arn)
            .role_arn_update(&to.role_arn);
        update = update.kinesis_firehose_input_update(to.build());
    }
    if compared.input_processing_configuration != found.input_processing_configuration {
        update = update.set_input_processing_configuration_update(
            want.input_processing_configuration.as_ref().map(|want| processing_update(&want.input_lambda_processor)),
        );
    }
    if want.input_schema != found.input_schema {
        update = update.input_schema_update(schema_update(&want.input_schema)?);
    }
    if want.input_parallelism != found.input_parallelism {
        let count = want.input_parallelism.count;
        update = update.input_parallelism_update(api::InputParallelismUpdate::builder().count_update(count).build());
    }
    wire::built(update.build()).map(Some)
}

/// Returns what is wanted when it is not what was found.
fn changed<'a>(want: Option<&'a Endpoint>, found: Option<&Endpoint>) -> Option<&'a Endpoint> {
    want.filter(|_| want != found)
}

fn processing_update(to: &Endpoint) -> api::InputProcessingConfigurationUpdate {
    let processor = api::InputLambdaProcessorUpdate::builder()
        .resource_arn_update(&to.resource_arn)
        .role_arn_update(&to.role_arn)
        .build();
    api::InputProcessingConfigurationUpdate::builder().input_lambda_processor_update(processor).build()
}

fn schema_update(want: &SourceSchema) -> Result<api::InputSchemaUpdate> {
    let update = api::InputSchemaUpdate::builder()
        .record_format_update(wire::format(&want.record_format)?)
        .record_encoding_update(&want.record_encoding)
        .set_record_column_updates(Some(wire::columns(want)?));
    Ok(update.build())
}

fn output_update(want: &Output, live: &api::OutputDescription) -> Result<Option<api::OutputUpdate>> {
    let found = wire::output_of(live);
    if *want == found {
        return Ok(None);
    }
    let mut update = api::OutputUpdate::builder().set_output_id(live.output_id.clone());
    if want.name != found.name {
        update = update.name_update(&want.name);
    }
    if let Some(to) = changed(want.kinesis_streams_output.as_ref(), found.kinesis_streams_output.as_ref()) {
        let to = api::KinesisStreamsOutputUpdate::builder()
            .resource_arn_update(&to.resource_arn)
            .role_arn_update(&to.role_arn);
        update = update.kinesis_streams_output_update(to.build());
    }
    if let Some(to) = changed(want.kinesis_firehose_output.as_ref(), found.kinesis_firehose_output.as_ref()) {
        let to = api::KinesisFirehoseOutputUpdate::builder()
            .resource_arn_update(&to.resource_arn)
            .role_arn_update(&to.role_arn);
        update = update.kinesis_firehose_output_update(to.build());
    }
    if let Some(to) = changed(want.lambda_output.as_ref(), found.lambda_output.as_ref()) {
        let to = api::LambdaOutputUpdate::builder().resource_arn_update(&to.resource_arn).role_arn_update(&to.role_arn);
        update = update.lambda_output_update(to.build());
    }
    if want.destination_schema != found.destination_schema {
        update = update.destination_schema_update(wire::destination_schema(&want.destination_schema)?);
    }
    wire::built(update.build()).map(Some)
}

fn reference_update(want: &ReferenceDataSource, id: &str) -> Result<api::ReferenceDataSourceUpdate> {
    let object = &want.s3_reference_data_source;
    let object = api::S3ReferenceDataSourceUpdate::builder()
        .bucket_arn_update(&object.bucket_arn)
        .file_key_update(&object.file_key)
        .reference_role_arn_update(&object.reference_role_arn)
        .build();
    let update = api::ReferenceDataSourceUpdate::builder()
        .reference_id(id)
        .table_name_update(&want.table_name)
        .s3_reference_data_source_update(object)
        .reference_schema_update(wire::schema(&want.reference_schema)?);
    wire::built(update.build())
}
