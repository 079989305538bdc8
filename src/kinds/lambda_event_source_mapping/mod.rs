//! Event source mappings: what starts a Lambda function for the records of a stream or queue (`facts/aws.md` 11b).
//!
//! AWS makes the identifier up, a UUID; source and function together find a mapping whose UUID is not known.

mod calls;
mod peers;
mod spec;

use futures::stream::{StreamExt, TryStreamExt, iter};
use schemars::JsonSchema;
use serde::Serialize;

pub use spec::{
    DestinationConfig, Filter, FilterCriteria, FunctionResponseType, Metric, MetricsConfig, OnFailure, Spec,
    StartingPosition,
};

use super::lambda;
use crate::aws::Cx;
use crate::aws::error::found;
use crate::aws::{index, marks};
use crate::kind::{
    Changes, Check, Demand, End, Fault, Holder, Hop, Kind, Naming, Observed, Owned, Path, Peers, Place, Result, Right,
    Side, Tags, Writes,
};

/// An event source mapping.
pub struct LambdaEventSourceMapping;

/// What other resources may refer to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MappingOutputs {
    /// Amazon Resource Name.
    pub arn: String,
    /// Identifier.
    pub uuid: String,
}

impl MappingOutputs {
    fn new(place: &Place, uuid: &str) -> Self {
        Self { arn: arn_of(place, uuid), uuid: uuid.to_owned() }
    }
}

fn arn_of(place: &Place, uuid: &str) -> String {
    place.arn("lambda", &format!("event-source-mapping:{uuid}"))
}

/// Lists of tags that are read at once; these calls share 15 a second (`facts/aws.md` 11a.6).
const READERS: usize = 4;

/// What polling a source takes (Lambda's managed policies for each).
fn read_actions(source: &str) -> &'static [&'static str] {
    if source.contains(":dynamodb:") {
        return &["dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream"];
    }
    if source.contains(":sqs:") {
        return &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
    }
    &["kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"]
}

impl Kind for LambdaEventSourceMapping {
    const TYPE: &'static str = "lambda_event_source_mapping";
    const TITLE: &'static str = "Lambda event source mapping";
    const DELETE_RANK: u8 = 20;
    const NAMING: Naming = Naming::Assigned;
    const PEERS: Peers = peers::PEERS;
    const PATH: Path = Path {
        ready: &["Enabled"],
        mend: "see the function's log; `stackctl apply` enables the mapping",
        ..Path::NONE
    };

    const READS: &'static [&'static str] =
        &["lambda:GetEventSourceMapping", "lambda:ListEventSourceMappings", "lambda:ListTags"];
    const LISTS: &'static [&'static str] = &[];
    type Spec = Spec;
    type Outputs = MappingOutputs;

    fn check(spec: &Spec) -> Vec<Fault> {
        spec.faults()
    }

    fn collides(want: &Spec, found: &Spec) -> bool {
        // One mapping per source and function (facts/aws.md 11b.3); what is not known yet may turn out the same.
        let same = |want: &str, found: &str| want == found || want.contains("${");
        same(&want.event_source_arn, &found.event_source_arn) && same(&want.function_name, &found.function_name)
    }

    fn hops(spec: &Spec) -> Vec<Hop> {
        let function = || End::other(&spec.function_name);
        let read = Hop::new(End::other(&spec.event_source_arn), function(), "event source mapping").needs(
            Holder::At(Side::To),
            Side::From,
            read_actions(&spec.event_source_arn),
        );
        let failures = spec.destination_config.on_failure.destination.iter().map(|target| {
            Hop::new(function(), End::other(target), "failure destination").needs(Holder::At(Side::From), Side::To, &[])
        });
        std::iter::once(read).chain(failures).collect()
    }

    fn demands(spec: &Spec) -> Vec<Demand> {
        let source = &spec.event_source_arn;
        let describe: &[&'static str] = match source.contains(":kinesis:") {
            true => &["kinesis:DescribeStream", "kinesis:DescribeStreamSummary"],
            false => &[],
        };
        let single = read_actions(source).iter().map(std::slice::from_ref);
        let groups = single.chain((!describe.is_empty()).then_some(describe)).filter(|_| !source.contains("${"));
        let read = groups.map(|any| Demand::access(&spec.function_name, any, source));
        let failures = spec.destination_config.on_failure.destination.iter();
        let failures = failures.map(|target| Demand::access(&spec.function_name, lambda::FAILURES, target));
        read.chain(failures).collect()
    }

    async fn probe(cx: &Cx, _: &Hop, _: &Spec, _: &Spec) -> Result<Vec<Check>> {
        let result = calls::get(cx, cx.key.handle()).await?.last_processing_result.unwrap_or_default();
        let check = match result.as_str() {
            "" => return Ok(Vec::new()),
            "No records processed" => Check::unknown("Lambda has not processed a batch yet"),
            "OK" => Check::ok("the last batch was processed"),
            // The function may have failed for what it may not do further on.
            problem if problem.starts_with("PROBLEM") => {
                let text = format!("the last batch was not processed: {problem}");
                Check::failed(text).help("see the function's log").symptom()
            }
            other => Check::unknown(format!("Lambda says of the last batch: {other}")),
        };
        Ok(vec![check])
    }

    async fn observe(cx: &Cx, want: Option<&Spec>) -> Result<Option<Observed<Spec, MappingOutputs>>> {
        let mapping = match (&cx.key.physical, want) {
            (Some(uuid), _) => found(calls::look(cx, uuid).await)?,
            (None, Some(want)) => calls::find(cx, want).await?,
            (None, None) => None,
        };
        let Some(mapping) = mapping.filter(|mapping| mapping.state() != Some("Deleting")) else { return Ok(None) };
        let uuid = mapping.uuid.clone().unwrap_or_default();
        let arn = arn_of(cx.place(), &uuid);
        let Some(tags) = found(index::tags(cx, &arn, calls::tags_of(cx, &arn)).await)? else { return Ok(None) };
        Ok(Some(Observed {
            spec: calls::spec_of(&mapping, want),
            outputs: MappingOutputs::new(cx.place(), &uuid),
            status: Some(calls::status_text(&mapping)),
            halt: calls::halt(&mapping),
            physical: uuid,
            tags,
        }))
    }

    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let all = calls::all(cx).await?;
        let uuids: Vec<String> = all.iter().filter_map(|mapping| mapping.uuid.clone()).collect();
        let all = iter(uuids).map(|physical| async move {
            let arn = arn_of(cx.place(), &physical);
            // It is not certain that the index has mappings (facts/aws.md 17.1), so those that it lacks are asked for.
            let tags = match index::candidate(cx, &arn).await {
                Some(tags) => tags,
                None => found(calls::tags_of(cx, &arn).await)?.unwrap_or_default(),
            };
            Ok(Owned { physical, tags })
        });
        let all: Vec<Owned> = all.buffer_unordered(READERS).try_collect().await?;
        Ok(all.into_iter().filter(|one| marks::stack_of(&one.tags) == Some(&cx.key.stack)).collect())
    }
}

impl Writes for LambdaEventSourceMapping {
    const WRITES: &'static [Right] = &[
        Right { actions: &["lambda:CreateEventSourceMapping"], resources: &["*"] },
        Right {
            actions: &[
                "lambda:DeleteEventSourceMapping",
                "lambda:TagResource",
                "lambda:UntagResource",
                "lambda:UpdateEventSourceMapping",
            ],
            resources: &["lambda:{region}:{account}:event-source-mapping:*"],
        },
    ];

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, MappingOutputs)> {
        let uuid = calls::create(cx, want, tags).await?;
        let mapping = calls::settled(cx, &uuid, "create").await?;
        calls::converge(cx, &uuid, want, &calls::spec_of(&mapping, Some(want)), "create").await?;
        Ok((uuid.clone(), MappingOutputs::new(cx.place(), &uuid)))
    }

    async fn update(cx: &Cx, want: &Spec, found: &Spec, changes: &Changes<'_>) -> Result<()> {
        let target = changes.target(want, found)?;
        calls::settled(cx, cx.key.handle(), "update").await?;
        calls::converge(cx, cx.key.handle(), &target, found, "update").await
    }

    async fn delete(cx: &Cx) -> Result<()> {
        calls::delete(cx).await
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        lambda::retag(cx, &arn_of(cx.place(), cx.key.handle()), set, remove).await
    }
}
