//! Kinesis Data Analytics applications for SQL (`facts/aws.md` 2 and 15).
//!
//! Whether the application runs is part of its spec. Every edit is made against a fresh description: [`edits`] says what
//! comes next, [`calls`] sends it with the version id just read, until nothing is left to do.

mod calls;
mod edits;
mod path;
mod peers;
mod spec;
mod wire;

use aws_sdk_kinesisanalytics::types::{ApplicationDetail, ApplicationStatus};
use aws_smithy_types::date_time::Format;
use futures::stream::{StreamExt, TryStreamExt, iter};
use schemars::JsonSchema;
use serde::Serialize;

pub use spec::{
    CsvMappingParameters, DestinationSchema, Endpoint, FormatType, Input, InputParallelism,
    InputProcessingConfiguration, JsonMappingParameters, LoggingOption, MappingParameters, Output, RecordColumn,
    RecordFormat, ReferenceDataSource, S3ReferenceDataSource, SourceSchema, Spec, StartingPosition, Status,
};

use crate::aws::Cx;
use crate::aws::error::{failed, found};
use crate::aws::marks;
use crate::kind::{
    Changes, Check, Demand, Fault, Files, Grant, Halt, Hop, Key, Kind, Naming, Observed, Outputs, Owned, Path, Peers,
    Place, Result, Right, Tags, Writes,
};

/// A Kinesis Data Analytics application for SQL.
pub struct KinesisAnalyticsApplication;

/// What other resources may refer to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ApplicationOutputs {
    /// Amazon Resource Name.
    pub arn: String,
    /// Name.
    pub name: String,
}

/// Lists of tags that are read at once.
const READERS: usize = 4;

impl Kind for KinesisAnalyticsApplication {
    const TYPE: &'static str = "kinesis_analytics_application";
    const TITLE: &'static str = "Kinesis Data Analytics application (SQL, retired by AWS)";
    const DELETE_RANK: u8 = 10;
    const NAMING: Naming = Naming::Name { pattern: r"^[a-zA-Z0-9_.-]{1,128}$" };
    const PEERS: Peers = peers::PEERS;
    const TAG_INDEX: Option<&'static str> = Some("kinesisanalytics:application");
    const READS: &'static [&'static str] =
        &["kinesisanalytics:DescribeApplication", "kinesisanalytics:ListTagsForResource"];
    const LISTS: &'static [&'static str] = &["kinesisanalytics:ListApplications"];
    const GRANTS: &'static [Grant] = &[
        Grant { verb: "read", actions: &["kinesisanalytics:DescribeApplication"], resources: &[""] },
        Grant {
            verb: "control",
            actions: &[
                "kinesisanalytics:DescribeApplication",
                "kinesisanalytics:StartApplication",
                "kinesisanalytics:StopApplication",
            ],
            resources: &[""],
        },
    ];

    const PATH: Path =
        Path { ready: &["RUNNING"], mend: "run `stackctl apply`: it starts the application", ..Path::NONE };

    type Spec = Spec;
    type Outputs = ApplicationOutputs;

    fn prepare(spec: &mut Spec, _: &Files) -> std::result::Result<(), Vec<Fault>> {
        spec.complete();
        Ok(())
    }

    fn check(spec: &Spec) -> Vec<Fault> {
        spec.faults()
    }

    fn replaces(want: &Spec, found: &Spec) -> Vec<String> {
        // An input can be added and changed, but no call takes it away (facts/aws.md 2.5).
        if want.inputs.is_empty() && !found.inputs.is_empty() { vec!["inputs".to_owned()] } else { Vec::new() }
    }

    fn predict(place: &Place, key: &Key, _: &Spec) -> Outputs {
        let arn = place.arn("kinesisanalytics", &format!("application/{}", key.name));
        Outputs::from_iter([("arn".to_owned(), arn.into()), ("name".to_owned(), key.name.clone().into())])
    }

    fn hops(spec: &Spec) -> Vec<Hop> {
        path::hops(spec)
    }

    fn demands(spec: &Spec) -> Vec<Demand> {
        path::demands(spec)
    }

    async fn probe(_: &Cx, hop: &Hop, _: &Spec, found: &Spec) -> Result<Vec<Check>> {
        Ok(path::binding(hop, found).into_iter().collect())
    }

    async fn observe(cx: &Cx, _: Option<&Spec>) -> Result<Option<Observed<Spec, ApplicationOutputs>>> {
        let Some(detail) = found(calls::describe(cx).await)? else { return Ok(None) };
        if detail.application_status == ApplicationStatus::Deleting {
            return Ok(None);
        }
        let Some(tags) = found(calls::tags_of(cx, &detail.application_arn).await)? else { return Ok(None) };
        Ok(Some(Observed {
            physical: detail.application_name.clone(),
            spec: wire::spec_of(&detail),
            outputs: outputs_of(&detail),
            tags,
            status: Some(status_text(&detail)),
            halt: halt(&detail),
        }))
    }

    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let all = iter(calls::list(cx).await?).map(|(name, arn)| async move {
            let tags = found(calls::tags_of(cx, &arn).await)?.unwrap_or_default();
            Ok(Owned { physical: name, tags })
        });
        let all: Vec<Owned> = all.buffer_unordered(READERS).try_collect().await?;
        Ok(all.into_iter().filter(|one| marks::stack_of(&one.tags) == Some(&cx.key.stack)).collect())
    }
}

impl Writes for KinesisAnalyticsApplication {
    const WRITES: &'static [Right] = &[Right {
        actions: &[
            "kinesisanalytics:AddApplicationCloudWatchLoggingOption",
            "kinesisanalytics:AddApplicationInput",
            "kinesisanalytics:AddApplicationInputProcessingConfiguration",
            "kinesisanalytics:AddApplicationOutput",
            "kinesisanalytics:AddApplicationReferenceDataSource",
            "kinesisanalytics:CreateApplication",
            "kinesisanalytics:DeleteApplication",
            "kinesisanalytics:DeleteApplicationCloudWatchLoggingOption",
            "kinesisanalytics:DeleteApplicationInputProcessingConfiguration",
            "kinesisanalytics:DeleteApplicationOutput",
            "kinesisanalytics:DeleteApplicationReferenceDataSource",
            "kinesisanalytics:StartApplication",
            "kinesisanalytics:StopApplication",
            "kinesisanalytics:TagResource",
            "kinesisanalytics:UntagResource",
            "kinesisanalytics:UpdateApplication",
        ],
        resources: &["kinesisanalytics:{region}:{account}:application/{name}"],
    }];
    const PASSES_TO: Option<&'static str> = Some(path::SERVICE);

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, ApplicationOutputs)> {
        calls::wait_until_gone(cx).await?;
        calls::create(cx, want, tags).await?;
        calls::converge(cx, want, "create").await?;
        calls::set_status(cx, want, "create").await?;
        let detail = calls::describe(cx).await?;
        Ok((detail.application_name.clone(), outputs_of(&detail)))
    }

    async fn update(cx: &Cx, want: &Spec, found: &Spec, changes: &Changes<'_>) -> Result<()> {
        let target = target(want, found, changes);
        let flips = changes.touch("status");
        if flips && want.status == Status::Stopped {
            calls::set_status(cx, &target, "update").await?;
        }
        calls::converge(cx, &target, "update").await?;
        if flips && want.status == Status::Running {
            calls::set_status(cx, &target, "update").await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx) -> Result<()> {
        calls::delete(cx).await
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        let arn = calls::describe(cx).await?.application_arn;
        let client = cx.aws.analytics();
        if !set.is_empty() {
            let request = client.tag_resource().resource_arn(&arn).set_tags(Some(calls::tags(set)?));
            request.send().await.map_err(failed("TagResource"))?;
        }
        if !remove.is_empty() {
            let request = client.untag_resource().resource_arn(&arn).set_tag_keys(Some(remove.to_vec()));
            request.send().await.map_err(failed("UntagResource"))?;
        }
        Ok(())
    }
}

fn outputs_of(detail: &ApplicationDetail) -> ApplicationOutputs {
    ApplicationOutputs { arn: detail.application_arn.clone(), name: detail.application_name.clone() }
}

/// Returns the wanted spec with everything that does not change as it was found.
fn target(want: &Spec, found: &Spec, changes: &Changes<'_>) -> Spec {
    let pick = |field: &str| if changes.touch(field) { want } else { found };
    Spec {
        application_description: pick("application_description").application_description.clone(),
        application_code: pick("application_code").application_code.clone(),
        inputs: inputs_of(want, found, changes),
        outputs: pick("outputs").outputs.clone(),
        cloud_watch_logging_options: pick("cloud_watch_logging_options").cloud_watch_logging_options.clone(),
        reference_data_sources: pick("reference_data_sources").reference_data_sources.clone(),
        status: pick("status").status,
    }
}

/// Inputs as found do not tell where reading begins, which a start needs.
fn inputs_of(want: &Spec, found: &Spec, changes: &Changes<'_>) -> Vec<Input> {
    if changes.touch("inputs") {
        return want.inputs.clone();
    }
    let mut inputs = found.inputs.clone();
    for (input, want) in inputs.iter_mut().zip(&want.inputs) {
        input.starting_position = want.starting_position;
    }
    inputs
}

/// Returns AWS's word for the state and where each in-application stream is delivered.
fn status_text(detail: &ApplicationDetail) -> String {
    let outputs = wire::spec_of(detail).outputs;
    let bound = outputs.iter().flat_map(|output| {
        let name = &output.name;
        output.destinations().into_iter().map(move |to| format!(", {name} → {}", last_part(&to.resource_arn)))
    });
    std::iter::once(detail.application_status.as_str().to_owned()).chain(bound).collect()
}

/// Says since when an application does not run. AWS gives no reason (`facts/aws.md` 2.2).
fn halt(detail: &ApplicationDetail) -> Option<Halt> {
    let runs = matches!(detail.application_status, ApplicationStatus::Running | ApplicationStatus::Starting);
    let since = detail.last_update_timestamp.and_then(|time| time.fmt(Format::DateTime).ok());
    (!runs).then_some(Halt { since, reason: None })
}

fn last_part(arn: &str) -> &str {
    arn.rsplit(['/', ':']).next().unwrap_or(arn)
}

#[cfg(test)]
mod tests;
