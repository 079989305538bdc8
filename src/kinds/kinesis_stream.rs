//! Kinesis data streams (`facts/aws.md` 1).

mod arrivals;
mod change;
mod peers;
mod roll;

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_kinesis::types::{
    EncryptionType, EnhancedMetrics, StreamDescriptionSummary, StreamMode, StreamModeDetails, StreamStatus,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::wait::{Look, Wait};
use crate::aws::{index, marks};
use crate::kind::{
    Changes, Check, Class, Fault, Grant, Key, Kind, KindError, Naming, Observed, Outputs, Owned, Path, Peers, Place,
    Result, Right, Tags, Writes,
};

/// A Kinesis data stream.
pub struct KinesisStream;

/// What a stream is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Number of shards of a provisioned stream. On-demand streams have none of the user's choice.
    #[schemars(range(min = 1, max = 10_000))]
    pub shard_count: Option<i32>,
    /// Whether capacity is provisioned in shards or follows the traffic.
    pub stream_mode: Mode,
    /// Hours for which records are kept.
    #[schemars(range(min = 24, max = 8760))]
    pub retention_period_hours: i32,
    /// Key for server-side encryption: a KMS key id, ARN or alias such as `alias/aws/kinesis`; unset for none.
    pub kms_key_id: Option<String>,
    /// Enhanced metrics per shard, such as `IncomingBytes`; `ALL` for every one.
    pub shard_level_metrics: BTreeSet<String>,
    /// Largest record in KiB.
    #[schemars(range(min = 1024, max = 10_240))]
    pub max_record_size_in_kib: i32,
}

/// How a stream's capacity is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    /// By a number of shards.
    Provisioned,
    /// By the traffic.
    OnDemand,
}

/// What other resources may refer to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StreamOutputs {
    /// Amazon Resource Name.
    pub arn: String,
    /// Name.
    pub name: String,
}

const DEFAULT_RETENTION: i32 = 24;
const DEFAULT_RECORD_SIZE: i32 = 1024;

/// Limits of waiting: Terraform's, as `facts/aws.md` 1.3 gives them.
const CREATE_LIMIT: Duration = Duration::from_mins(5);
const UPDATE_LIMIT: Duration = Duration::from_hours(2);

/// Metrics that `ALL` stands for (Kinesis API `MetricsName`).
const ALL_METRICS: [&str; 7] = [
    "IncomingBytes",
    "IncomingRecords",
    "IteratorAgeMilliseconds",
    "OutgoingBytes",
    "OutgoingRecords",
    "ReadProvisionedThroughputExceeded",
    "WriteProvisionedThroughputExceeded",
];

impl Default for Spec {
    fn default() -> Self {
        Self {
            shard_count: None,
            stream_mode: Mode::Provisioned,
            retention_period_hours: DEFAULT_RETENTION,
            kms_key_id: None,
            shard_level_metrics: BTreeSet::new(),
            max_record_size_in_kib: DEFAULT_RECORD_SIZE,
        }
    }
}

impl Kind for KinesisStream {
    const TYPE: &'static str = "kinesis_stream";
    const TITLE: &'static str = "Kinesis data stream";
    const DELETE_RANK: u8 = 50;
    const NAMING: Naming = Naming::Name { pattern: r"^[a-zA-Z0-9_.-]{1,128}$" };
    const PEERS: Peers = peers::PEERS;
    const TAG_INDEX: Option<&'static str> = Some("kinesis:stream");
    const READS: &'static [&'static str] = &["kinesis:DescribeStreamSummary", "kinesis:ListTagsForResource"];
    const LISTS: &'static [&'static str] = &["kinesis:ListStreams", "kinesis:ListTagsForStream"];
    const PROBES: &'static [&'static str] = &["kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"];
    const GRANTS: &'static [Grant] = &[
        Grant {
            verb: "read",
            actions: &[
                "kinesis:DescribeStream",
                "kinesis:DescribeStreamSummary",
                "kinesis:GetRecords",
                "kinesis:GetShardIterator",
                "kinesis:ListShards",
            ],
            resources: &[""],
        },
        Grant {
            verb: "write",
            actions: &[
                "kinesis:DescribeStream",
                "kinesis:DescribeStreamSummary",
                "kinesis:PutRecord",
                "kinesis:PutRecords",
            ],
            resources: &[""],
        },
    ];

    const PATH: Path =
        Path { ready: &["ACTIVE", "UPDATING"], accepts: &["kinesis:PutRecords", "kinesis:PutRecord"], ..Path::NONE };

    type Spec = Spec;
    type Outputs = StreamOutputs;

    fn prepare(spec: &mut Spec, _: &crate::kind::Files) -> std::result::Result<(), Vec<Fault>> {
        if spec.stream_mode == Mode::Provisioned {
            spec.shard_count.get_or_insert(1);
        }
        if spec.shard_level_metrics.remove("ALL") {
            spec.shard_level_metrics.extend(ALL_METRICS.map(str::to_owned));
        }
        Ok(())
    }

    fn check(spec: &Spec) -> Vec<Fault> {
        let mut faults = Vec::new();
        if spec.stream_mode == Mode::OnDemand && spec.shard_count.is_some() {
            faults.push(
                Fault::new("shard_count", "an on-demand stream has no shard count of its own")
                    .help("remove shard_count, or set stream_mode: PROVISIONED"),
            );
        }
        let mut range = |path: &str, value: i32, low: i32, high: i32| {
            if !(low..=high).contains(&value) {
                faults.push(Fault::new(path, format!("{value} is not between {low} and {high}")));
            }
        };
        range("shard_count", spec.shard_count.unwrap_or(1), 1, 10_000);
        range("retention_period_hours", spec.retention_period_hours, 24, 8760);
        range("max_record_size_in_kib", spec.max_record_size_in_kib, 1024, 10_240);
        for name in &spec.shard_level_metrics {
            if !ALL_METRICS.contains(&name.as_str()) {
                let known = ALL_METRICS.join(", ");
                faults.push(
                    Fault::new("shard_level_metrics", format!("unknown metric {name}"))
                        .help(format!("one of ALL, {known}")),
                );
            }
        }
        faults
    }

    fn predict(place: &Place, key: &Key, _: &Spec) -> Outputs {
        let arn = place.arn("kinesis", &format!("stream/{}", key.name));
        Outputs::from_iter([("arn".to_owned(), arn.into()), ("name".to_owned(), key.name.clone().into())])
    }

    async fn observe(cx: &Cx, _: Option<&Spec>) -> Result<Option<Observed<Spec, StreamOutputs>>> {
        let Some(stream) = found(describe(cx).await)? else { return Ok(None) };
        if stream.stream_status == StreamStatus::Deleting {
            return Ok(None);
        }
        let tags = index::tags(cx, &stream.stream_arn, tags_of(cx, &stream.stream_arn)).await;
        let Some(tags) = found(tags)? else { return Ok(None) };
        Ok(Some(Observed {
            physical: stream.stream_name.clone(),
            spec: spec_of(&stream),
            status: Some(stream.stream_status.as_str().to_owned()),
            halt: None,
            tags,
            outputs: StreamOutputs { arn: stream.stream_arn, name: stream.stream_name },
        }))
    }

    async fn arrivals(cx: &Cx) -> Result<Vec<Check>> {
        arrivals::look(cx).await
    }

    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let mut pages = cx.aws.kinesis().list_streams().into_paginator().send();
        let mut owned = Vec::new();
        while let Some(page) = pages.next().await {
            for stream in page.map_err(failed("ListStreams"))?.stream_summaries.unwrap_or_default() {
                let tags = found(tags_of(cx, &stream.stream_arn).await)?.unwrap_or_default();
                if marks::stack_of(&tags) == Some(&cx.key.stack) && stream.stream_status != StreamStatus::Deleting {
                    owned.push(Owned { physical: stream.stream_name, tags });
                }
            }
        }
        Ok(owned)
    }
}

impl Writes for KinesisStream {
    const WRITES: &'static [Right] = &[Right {
        actions: &[
            "kinesis:AddTagsToStream",
            "kinesis:CreateStream",
            "kinesis:DecreaseStreamRetentionPeriod",
            "kinesis:DeleteStream",
            "kinesis:DisableEnhancedMonitoring",
            "kinesis:EnableEnhancedMonitoring",
            "kinesis:IncreaseStreamRetentionPeriod",
            "kinesis:RemoveTagsFromStream",
            "kinesis:StartStreamEncryption",
            "kinesis:StopStreamEncryption",
            "kinesis:UpdateMaxRecordSize",
            "kinesis:UpdateShardCount",
            "kinesis:UpdateStreamMode",
        ],
        resources: &["kinesis:{region}:{account}:stream/{name}"],
    }];

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, StreamOutputs)> {
        let place = roll::place(cx).await?;
        // Others may take places, too; then the sixth stream is told to come back (facts/aws.md 1.3).
        Wait::new("a free place among the streams being created", cx.limit("create", CREATE_LIMIT))
            .retry(cx, is_crowded, || create_call(cx, want, tags))
            .await?;
        let stream = wait_active(cx, "create", CREATE_LIMIT).await?;
        drop(place);
        tag_afterwards(cx, &stream, tags).await?;
        let fresh = spec_of(&stream);
        change::converge(cx, want, &fresh).await?;
        Ok((stream.stream_name.clone(), StreamOutputs { arn: stream.stream_arn, name: stream.stream_name }))
    }

    async fn update(cx: &Cx, want: &Spec, _: &Spec, _: &Changes<'_>) -> Result<()> {
        // What was found may have been half made: a stream that is CREATING has no shards yet.
        let stream = wait_active(cx, "update", UPDATE_LIMIT).await?;
        change::converge(cx, want, &spec_of(&stream)).await
    }

    async fn delete(cx: &Cx) -> Result<()> {
        let call = || async {
            let request = cx.aws.kinesis().delete_stream().stream_name(cx.key.handle()).enforce_consumer_deletion(true);
            gone(request.send().await.map_err(failed("DeleteStream")))
        };
        let _place = roll::place(cx).await?;
        Wait::new("the stream to accept its deletion", cx.limit("delete", CREATE_LIMIT))
            .retry(cx, |error| error.class == Class::Busy || is_crowded(error), call)
            .await?;
        wait_until_gone(cx).await
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        let (client, name) = (cx.aws.kinesis(), cx.key.handle());
        // Tags change on ACTIVE streams only (facts/aws.md 1.3).
        let wait = Wait::new(format!("stream {name} to take its tags"), CREATE_LIMIT);
        let busy = |error: &KindError| error.class == Class::Busy;
        if !set.is_empty() {
            let request = client.add_tags_to_stream().stream_name(name);
            let request = request.set_tags(Some(set.clone().into_iter().collect()));
            let call = || async { request.clone().send().await.map_err(failed("AddTagsToStream")) };
            wait.retry(cx, busy, call).await?;
        }
        for keys in remove.chunks(10) {
            let request = client.remove_tags_from_stream().stream_name(name).set_tag_keys(Some(keys.to_vec()));
            let call = || async { request.clone().send().await.map_err(failed("RemoveTagsFromStream")) };
            wait.retry(cx, busy, call).await?;
        }
        Ok(())
    }
}

async fn describe(cx: &Cx) -> Result<StreamDescriptionSummary> {
    let request = cx.aws.kinesis().describe_stream_summary().stream_name(cx.key.handle());
    let answer = request.send().await.map_err(failed("DescribeStreamSummary"))?;
    // What an answer must have and has not, the SDK fills in with nothing.
    let stream = answer.stream_description_summary.filter(|stream| !stream.stream_arn.is_empty());
    stream.ok_or_else(|| KindError::lacking("DescribeStreamSummary", "stream"))
}

async fn tags_of(cx: &Cx, arn: &str) -> Result<Tags> {
    if !cx.aws.tag_index_complete {
        return tags_of_stream(cx, arn).await;
    }
    let answer = cx.aws.kinesis().list_tags_for_resource().resource_arn(arn).send().await;
    Ok(plain(answer.map_err(failed("ListTagsForResource"))?.tags.unwrap_or_default()))
}

/// Emulators have only this older call, which AWS allows five times a second (`facts/aws.md` 1.6).
async fn tags_of_stream(cx: &Cx, arn: &str) -> Result<Tags> {
    let mut tags = Tags::new();
    loop {
        let last = tags.last_key_value().map(|(key, _): (&String, &String)| key.clone());
        let request = cx.aws.kinesis().list_tags_for_stream().stream_arn(arn).set_exclusive_start_tag_key(last);
        let page = request.send().await.map_err(failed("ListTagsForStream"))?;
        let before = tags.len();
        tags.extend(plain(page.tags));
        if !page.has_more_tags || tags.len() == before {
            return Ok(tags);
        }
    }
}

fn plain(tags: Vec<aws_sdk_kinesis::types::Tag>) -> Tags {
    tags.into_iter().map(|tag| (tag.key, tag.value.unwrap_or_default())).collect()
}

/// Sets the tags that an emulator forgot in the create call; AWS takes them there.
async fn tag_afterwards(cx: &Cx, stream: &StreamDescriptionSummary, tags: &Tags) -> Result<()> {
    if cx.aws.tag_index_complete || tags_of(cx, &stream.stream_arn).await? == *tags {
        return Ok(());
    }
    KinesisStream::retag(cx, tags, &[]).await
}

/// Reads a spec from a description, with what AWS leaves out filled in (`facts/aws.md` 1.2).
fn spec_of(stream: &StreamDescriptionSummary) -> Spec {
    let on_demand = stream.stream_mode_details.as_ref().is_some_and(|mode| mode.stream_mode == StreamMode::OnDemand);
    let encrypted = stream.encryption_type == Some(EncryptionType::Kms);
    let metrics = stream.enhanced_monitoring.iter().flat_map(EnhancedMetrics::shard_level_metrics);
    Spec {
        shard_count: (!on_demand).then_some(stream.open_shard_count),
        stream_mode: if on_demand { Mode::OnDemand } else { Mode::Provisioned },
        retention_period_hours: stream.retention_period_hours,
        kms_key_id: stream.key_id.clone().filter(|_| encrypted),
        shard_level_metrics: metrics.map(|name| name.as_str().to_owned()).collect(),
        max_record_size_in_kib: stream.max_record_size_in_kib.unwrap_or(DEFAULT_RECORD_SIZE),
    }
}

fn mode_details(mode: Mode) -> Result<StreamModeDetails> {
    let mode = match mode {
        Mode::Provisioned => StreamMode::Provisioned,
        Mode::OnDemand => StreamMode::OnDemand,
    };
    let details = StreamModeDetails::builder().stream_mode(mode).build();
    details.map_err(|error| KindError::invalid(error.to_string()))
}

async fn create_call(cx: &Cx, want: &Spec, tags: &Tags) -> Result<()> {
    let details = mode_details(want.stream_mode)?;
    let mut request = cx.aws.kinesis().create_stream().stream_name(&cx.key.name).stream_mode_details(details);
    request = request.set_shard_count(want.shard_count).set_tags(Some(tags.clone().into_iter().collect()));
    if want.max_record_size_in_kib != DEFAULT_RECORD_SIZE {
        request = request.max_record_size_in_kib(want.max_record_size_in_kib);
    }
    let call = || async { request.clone().send().await.map(|_| ()).map_err(failed("CreateStream")) };
    let taken = |error: &KindError| error.code == "ResourceInUseException";
    match call().await {
        Err(error) if taken(&error) && is_leaving(cx).await? => {
            wait_until_gone(cx).await?;
            call().await
        }
        Err(error) if taken(&error) => settle_existing(cx, tags, error).await,
        other => other,
    }
}

async fn is_leaving(cx: &Cx) -> Result<bool> {
    Ok(found(describe(cx).await)?.is_none_or(|stream| stream.stream_status == StreamStatus::Deleting))
}

/// After "already exists": a lost answer of our own call is success, anybody else's stream is not ours.
async fn settle_existing(cx: &Cx, tags: &Tags, error: KindError) -> Result<()> {
    let stream = describe(cx).await?;
    let present = tags_of(cx, &stream.stream_arn).await?;
    let same = |key: &str| present.get(key) == tags.get(key);
    if same(marks::STACK) && same(marks::RESOURCE) { Ok(()) } else { Err(KindError { class: Class::Exists, ..error }) }
}

fn is_crowded(error: &KindError) -> bool {
    error.says("LimitExceededException", "simultaneously be in CREATING or DELETING")
        || error.says("LimitExceededException", "Rate exceeded for stream")
}

/// Tells whether the first look is over and the roll, which all streams share, has the stream in a state that says to go
/// on waiting (`facts/aws.md` 18.6). Emulators' lists have no states.
async fn is_moving(cx: &Cx, looks: u32) -> Result<Option<StreamStatus>> {
    if looks <= 1 || !cx.aws.tag_index_complete {
        return Ok(None);
    }
    Ok(roll::state(cx, cx.key.handle()).await?.filter(|state| *state != StreamStatus::Active))
}

async fn wait_active(cx: &Cx, verb: &str, limit: Duration) -> Result<StreamDescriptionSummary> {
    let wait = Wait::new(format!("stream {} to become ACTIVE", cx.key.handle()), cx.limit(verb, limit))
        .every(Duration::from_secs(10));
    let mut looks = 0;
    wait.until(cx, || {
        looks += 1;
        look_active(cx, verb, looks)
    })
    .await
}

async fn look_active(cx: &Cx, verb: &str, looks: u32) -> Result<Look<StreamDescriptionSummary>> {
    if let Some(state) = is_moving(cx, looks).await?.filter(|state| *state != StreamStatus::Deleting) {
        return Ok(Look::Pending(state.as_str().to_owned()));
    }
    let stream = match describe(cx).await {
        // A stream made a moment ago may not be found yet.
        Err(error) if error.is_not_found() && verb == "create" => {
            return Ok(Look::Pending("not visible".to_owned()));
        }
        other => other?,
    };
    match stream.stream_status {
        StreamStatus::Active => Ok(Look::Done(stream)),
        StreamStatus::Deleting => {
            let hint = "run the same command again once the stream is gone";
            Err(KindError::new(Class::Other, "the stream is DELETING").hint(hint))
        }
        other => Ok(Look::Pending(other.as_str().to_owned())),
    }
}

/// Waits while the stream of this name is DELETING; returns at once when there is none or another state.
async fn wait_until_gone(cx: &Cx) -> Result<()> {
    let wait = Wait::new(format!("stream {} to be gone", cx.key.handle()), cx.limit("delete", UPDATE_LIMIT));
    let mut looks = 0;
    wait.until(cx, || {
        looks += 1;
        look_gone(cx, looks)
    })
    .await
}

async fn look_gone(cx: &Cx, looks: u32) -> Result<Look<()>> {
    if is_moving(cx, looks).await? == Some(StreamStatus::Deleting) {
        return Ok(Look::Pending("DELETING".to_owned()));
    }
    match found(describe(cx).await)? {
        Some(stream) if stream.stream_status == StreamStatus::Deleting => Ok(Look::Pending("DELETING".to_owned())),
        _ => Ok(Look::Done(())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shard_steps_are_legal_and_arrive(from in 1..10_000_i32, to in 1..10_000_i32) {
            let (mut current, mut steps) = (from, 0);
            while current != to {
                let next = change::shard_step(current, to);
                prop_assert!(next <= current * 2 && next * 2 >= current, "{current} -> {next}");
                (current, steps) = (next, steps + 1);
                prop_assert!(steps < 20);
            }
        }
    }

    #[test]
    fn on_demand_streams_refuse_a_shard_count() {
        let spec = Spec { stream_mode: Mode::OnDemand, shard_count: Some(2), ..Spec::default() };
        assert_eq!(KinesisStream::check(&spec)[0].path, "shard_count");
    }
}
