//! The calls: find, create, update, delete, and the waits between them.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_lambda::operation::update_event_source_mapping::builders::UpdateEventSourceMappingFluentBuilder;
use aws_sdk_lambda::types as api;
use aws_sdk_lambda::types::EventSourceMappingConfiguration as Mapping;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::Value;

use super::arn_of;
use super::spec::{
    DestinationConfig, Filter, FilterCriteria, FunctionResponseType, Metric, MetricsConfig, OnFailure, Spec,
    StartingPosition, endless, function_of, one, pattern_of, sorted,
};
use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::marks;
use crate::aws::wait::{Look, Wait};
use crate::kind::{Class, Halt, KindError, Result, Tags};

/// Limits of waiting: Terraform's (`facts/aws.md` 11b.3, 11b.5).
const IAM_LIMIT: Duration = Duration::from_mins(5);
const LIMIT: Duration = Duration::from_mins(10);

/// What passes by itself while IAM does not know a role or its policy everywhere (`facts/aws.md` 11b.3).
const NOT_YET: [&str; 3] =
    ["cannot be assumed by Lambda", "execution role does not have permissions", "ensure the role can perform"];

/// Reads a mapping. The answer has the members of a list entry, as a type of its own.
pub(super) async fn get(cx: &Cx, uuid: &str) -> Result<Mapping> {
    let request = cx.aws.lambda().get_event_source_mapping().uuid(uuid);
    let answer = request.send().await.map_err(failed("GetEventSourceMapping"))?;
    Ok(Mapping::builder()
        .set_uuid(answer.uuid)
        .set_starting_position(answer.starting_position)
        .set_starting_position_timestamp(answer.starting_position_timestamp)
        .set_batch_size(answer.batch_size)
        .set_maximum_batching_window_in_seconds(answer.maximum_batching_window_in_seconds)
        .set_parallelization_factor(answer.parallelization_factor)
        .set_event_source_arn(answer.event_source_arn)
        .set_filter_criteria(answer.filter_criteria)
        .set_filter_criteria_error(answer.filter_criteria_error)
        .set_kms_key_arn(answer.kms_key_arn)
        .set_metrics_config(answer.metrics_config)
        .set_function_arn(answer.function_arn)
        .set_last_processing_result(answer.last_processing_result)
        .set_last_modified(answer.last_modified)
        .set_state(answer.state)
        .set_state_transition_reason(answer.state_transition_reason)
        .set_destination_config(answer.destination_config)
        .set_maximum_record_age_in_seconds(answer.maximum_record_age_in_seconds)
        .set_bisect_batch_on_function_error(answer.bisect_batch_on_function_error)
        .set_maximum_retry_attempts(answer.maximum_retry_attempts)
        .set_tumbling_window_in_seconds(answer.tumbling_window_in_seconds)
        .set_function_response_types(answer.function_response_types)
        .build())
}

/// Lists mappings, of one source or all.
pub(super) async fn list(cx: &Cx, source: Option<&str>) -> Result<Vec<Mapping>> {
    let request = cx.aws.lambda().list_event_source_mappings().set_event_source_arn(source.map(str::to_owned));
    let all = request.into_paginator().items().send();
    let all = all.collect::<std::result::Result<Vec<_>, _>>().await.map_err(failed("ListEventSourceMappings"))?;
    Ok(all.into_iter().filter(|mapping| mapping.state() != Some("Deleting")).collect())
}

/// Lists all mappings, once for all that look at the same time.
pub(super) async fn all(cx: &Cx) -> Result<Arc<Vec<Mapping>>> {
    cx.once("event source mappings", list(cx, None)).await
}

/// Reads a mapping: from the list of all when many look at the same time, and by itself when it is not in there, as one
/// that was made a moment ago.
pub(super) async fn look(cx: &Cx, uuid: &str) -> Result<Mapping> {
    if cx.is_shared()
        && let Some(mapping) = all(cx).await?.iter().find(|mapping| mapping.uuid() == Some(uuid))
    {
        return Ok(mapping.clone());
    }
    get(cx, uuid).await
}

/// Finds the mapping of a source and function, when both are known.
pub(super) async fn find(cx: &Cx, want: &Spec) -> Result<Option<Mapping>> {
    if want.event_source_arn.contains("${") || want.function_name.contains("${") {
        return Ok(None);
    }
    let fits = |mapping: &Mapping| {
        mapping.event_source_arn() == Some(&want.event_source_arn)
            && mapping.function_arn().map(function_of).as_ref() == Some(&want.function_name)
    };
    if cx.is_shared() {
        return Ok(all(cx).await?.iter().find(|mapping| fits(mapping)).cloned());
    }
    let all = found(list(cx, Some(&want.event_source_arn)).await)?.unwrap_or_default();
    Ok(all.into_iter().find(fits))
}

/// Reads the tags of a mapping.
pub(super) async fn tags_of(cx: &Cx, arn: &str) -> Result<Tags> {
    let answer = cx.aws.lambda().list_tags().resource(arn).send().await.map_err(failed("ListTags"))?;
    Ok(answer.tags.unwrap_or_default().into_iter().collect())
}

/// Returns AWS's word for the state, with the last result when that tells of a problem.
pub(super) fn status_text(mapping: &Mapping) -> String {
    let state = mapping.state().unwrap_or("Enabled");
    match mapping.last_processing_result() {
        Some(result) if result.starts_with("PROBLEM") => format!("{state}, {result}"),
        _ => state.to_owned(),
    }
}

/// Says since when and why a mapping does not start its function.
pub(super) fn halt(mapping: &Mapping) -> Option<Halt> {
    if is_enabled(mapping) {
        return None;
    }
    let problem = mapping.last_processing_result().filter(|result| result.starts_with("PROBLEM"));
    let reasons = mapping.state_transition_reason().into_iter().chain(problem);
    let reason = Some(reasons.collect::<Vec<_>>().join("; ")).filter(|reason| !reason.is_empty());
    Some(Halt { since: mapping.last_modified.and_then(|time| time.fmt(Format::DateTime).ok()), reason })
}

fn is_enabled(mapping: &Mapping) -> bool {
    !matches!(mapping.state(), Some("Disabled" | "Disabling"))
}

/// Reads a spec from a mapping.
///
/// `want` decides where AWS does not tell: whether the default batch size was named or left out, and filters that the
/// caller may not decrypt.
pub(super) fn spec_of(mapping: &Mapping, want: Option<&Spec>) -> Spec {
    let source = mapping.event_source_arn().unwrap_or_default();
    let default = if is_queue(source) { 10 } else { 100 };
    let named = want.and_then(|want| want.batch_size);
    Spec {
        event_source_arn: source.to_owned(),
        function_name: function_of(mapping.function_arn().unwrap_or_default()),
        starting_position: mapping.starting_position.as_ref().and_then(position_of),
        starting_position_timestamp: mapping.starting_position_timestamp.map(|time| time.secs()),
        batch_size: mapping.batch_size.filter(|size| *size != default || named == Some(*size)),
        maximum_batching_window_in_seconds: mapping.maximum_batching_window_in_seconds.unwrap_or(0),
        parallelization_factor: mapping.parallelization_factor.unwrap_or_else(one),
        bisect_batch_on_function_error: mapping.bisect_batch_on_function_error.unwrap_or(false),
        maximum_retry_attempts: mapping.maximum_retry_attempts.unwrap_or_else(endless),
        maximum_record_age_in_seconds: mapping.maximum_record_age_in_seconds.unwrap_or_else(endless),
        tumbling_window_in_seconds: mapping.tumbling_window_in_seconds.unwrap_or(0),
        filter_criteria: filters_of(mapping, want),
        destination_config: DestinationConfig { on_failure: OnFailure { destination: destination_of(mapping) } },
        function_response_types: mapping
            .function_response_types()
            .iter()
            .filter(|kind| **kind == api::FunctionResponseType::ReportBatchItemFailures)
            .map(|_| FunctionResponseType::ReportBatchItemFailures)
            .collect(),
        enabled: is_enabled(mapping),
        kms_key_arn: mapping.kms_key_arn.clone().filter(|key| !key.is_empty()),
        metrics_config: MetricsConfig {
            metrics: mapping
                .metrics_config
                .as_ref()
                .map(|config| config.metrics().iter().filter_map(metric_of).collect())
                .unwrap_or_default(),
        },
    }
}

fn is_queue(source: &str) -> bool {
    source.contains(":sqs:")
}

fn position_of(position: &api::EventSourcePosition) -> Option<StartingPosition> {
    match position {
        api::EventSourcePosition::TrimHorizon => Some(StartingPosition::TrimHorizon),
        api::EventSourcePosition::Latest => Some(StartingPosition::Latest),
        api::EventSourcePosition::AtTimestamp => Some(StartingPosition::AtTimestamp),
        _ => None,
    }
}

fn position(position: StartingPosition) -> api::EventSourcePosition {
    match position {
        StartingPosition::TrimHorizon => api::EventSourcePosition::TrimHorizon,
        StartingPosition::Latest => api::EventSourcePosition::Latest,
        StartingPosition::AtTimestamp => api::EventSourcePosition::AtTimestamp,
    }
}

fn metric_of(metric: &api::EventSourceMappingMetric) -> Option<Metric> {
    serde_json::from_value(Value::from(metric.as_str())).ok()
}

fn destination_of(mapping: &Mapping) -> Option<String> {
    let failure = mapping.destination_config.as_ref()?.on_failure.as_ref()?;
    failure.destination.clone().filter(|target| !target.is_empty())
}

fn filters_of(mapping: &Mapping, want: Option<&Spec>) -> FilterCriteria {
    if let (None, Some(_), Some(want)) = (&mapping.filter_criteria, &mapping.filter_criteria_error, want) {
        return want.filter_criteria.clone();
    }
    let filters = mapping.filter_criteria.as_ref().map(api::FilterCriteria::filters).unwrap_or_default();
    let patterns = filters.iter().filter_map(|filter| filter.pattern.clone());
    FilterCriteria { filters: sorted(patterns.map(|text| Filter { pattern: pattern_of(Value::from(text)) }).collect()) }
}

fn filters(want: &Spec) -> api::FilterCriteria {
    let filter = |filter: &Filter| api::Filter::builder().pattern(filter.pattern.to_string()).build();
    api::FilterCriteria::builder().set_filters(Some(want.filter_criteria.filters.iter().map(filter).collect())).build()
}

fn destination(want: &Spec) -> api::DestinationConfig {
    let target = want.destination_config.on_failure.destination.clone();
    let failure = api::OnFailure::builder().set_destination(target).build();
    api::DestinationConfig::builder().on_failure(failure).build()
}

fn response_types(want: &Spec) -> Vec<api::FunctionResponseType> {
    want.function_response_types.iter().map(|_| api::FunctionResponseType::ReportBatchItemFailures).collect()
}

fn metrics(want: &Spec) -> api::EventSourceMappingMetricsConfig {
    let word = |metric: &Metric| format!("{metric:?}").as_str().into();
    let metrics = want.metrics_config.metrics.iter().map(word).collect();
    api::EventSourceMappingMetricsConfig::builder().set_metrics(Some(metrics)).build()
}

fn not_yet(error: &KindError) -> bool {
    error.code == "InvalidParameterValueException" && NOT_YET.iter().any(|text| error.message.contains(text))
}

fn patient(want: &Spec) -> Wait {
    let what = format!("IAM: the role of function {} to be allowed to read the source", want.function_name);
    Wait::new(what, IAM_LIMIT).for_iam(not_yet)
}

/// Creates the mapping and returns its UUID.
pub(super) async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<String> {
    let stream = !is_queue(&want.event_source_arn);
    let spec = want;
    let request = cx
        .aws
        .lambda()
        .create_event_source_mapping()
        .event_source_arn(&spec.event_source_arn)
        .function_name(&spec.function_name)
        .enabled(spec.enabled)
        .set_batch_size(spec.batch_size)
        .maximum_batching_window_in_seconds(spec.maximum_batching_window_in_seconds)
        .set_starting_position(spec.starting_position.map(position))
        .set_starting_position_timestamp(spec.starting_position_timestamp.map(DateTime::from_secs))
        .set_parallelization_factor(stream.then_some(spec.parallelization_factor))
        .set_bisect_batch_on_function_error(stream.then_some(spec.bisect_batch_on_function_error))
        .set_maximum_retry_attempts(stream.then_some(spec.maximum_retry_attempts))
        .set_maximum_record_age_in_seconds(stream.then_some(spec.maximum_record_age_in_seconds))
        .set_tumbling_window_in_seconds(stream.then_some(spec.tumbling_window_in_seconds))
        .set_filter_criteria((!spec.filter_criteria.filters.is_empty()).then(|| filters(spec)))
        .set_destination_config(spec.destination_config.on_failure.destination.is_some().then(|| destination(spec)))
        .set_function_response_types(Some(response_types(spec)).filter(|types| !types.is_empty()))
        .set_kms_key_arn(spec.kms_key_arn.clone())
        .set_metrics_config((!spec.metrics_config.metrics.is_empty()).then(|| metrics(spec)))
        .set_tags(Some(tags.clone().into_iter().collect()));
    let call = || async {
        match request.clone().send().await.map_err(failed("CreateEventSourceMapping")) {
            Ok(answer) => answer.uuid.ok_or_else(|| KindError::new(Class::Other, "the answer has no UUID")),
            Err(error) if error.code == "ResourceConflictException" => settle_existing(cx, tags, error).await,
            Err(error) => Err(error),
        }
    };
    patient(want).retry(cx, not_yet, call).await
}

/// After "already exists": a lost answer of our own call is success, anybody else's mapping is not ours.
async fn settle_existing(cx: &Cx, tags: &Tags, error: KindError) -> Result<String> {
    let Some(uuid) = uuid_in(&error.message) else { return Err(error) };
    let present = tags_of(cx, &arn_of(cx.place(), &uuid)).await?;
    marks::settle(&present, tags, error).map(|()| uuid)
}

/// Returns the last UUID in a text.
fn uuid_in(text: &str) -> Option<String> {
    let words = text.split(|letter: char| !letter.is_ascii_hexdigit() && letter != '-');
    words.rev().find(|word| word.len() == 36 && uuid::Uuid::parse_str(word).is_ok()).map(str::to_owned)
}

/// Waits until the mapping is Enabled or Disabled.
pub(super) async fn settled(cx: &Cx, uuid: &str, verb: &str) -> Result<Mapping> {
    let wait = Wait::new(format!("mapping {uuid} to be settled"), cx.limit(verb, LIMIT));
    wait.until(cx, || async {
        let mapping = match get(cx, uuid).await {
            // A mapping made a moment ago may not be found yet (facts/aws.md 11b.7).
            Err(error) if error.is_not_found() && verb == "create" => {
                return Ok(Look::Pending("not found".to_owned()));
            }
            other => other?,
        };
        match mapping.state() {
            Some("Enabled" | "Disabled") | None => Ok(Look::Done(mapping)),
            Some("Deleting") => Err(KindError::new(Class::Other, format!("mapping {uuid} is being deleted"))
                .hint("run the same command again once it is gone")),
            Some(state) => {
                let reason = mapping.state_transition_reason().unwrap_or_default();
                Ok(Look::Pending(format!("{state} {reason}").trim_end().to_owned()))
            }
        }
    })
    .await
}

/// Brings a settled mapping from `found` to `want` in one call.
pub(super) async fn converge(cx: &Cx, uuid: &str, want: &Spec, found: &Spec, verb: &str) -> Result<()> {
    if want == found {
        return Ok(());
    }
    let request = update(cx, uuid, want, found);
    let call = || async { request.clone().send().await.map(|_| ()).map_err(failed("UpdateEventSourceMapping")) };
    patient(want).retry(cx, |error| not_yet(error) || error.class == Class::Busy, call).await?;
    settled(cx, uuid, verb).await.map(|_| ())
}

/// Writes an update of what differs; what is left out stays, so that clearing needs an empty value.
fn update(cx: &Cx, uuid: &str, want: &Spec, found: &Spec) -> UpdateEventSourceMappingFluentBuilder {
    let default = if is_queue(&found.event_source_arn) { 10 } else { 100 };
    let number = |want: i32, found: i32| (want != found).then_some(want);
    cx.aws
        .lambda()
        .update_event_source_mapping()
        .uuid(uuid)
        .set_function_name((want.function_name != found.function_name).then(|| want.function_name.clone()))
        .set_enabled((want.enabled != found.enabled).then_some(want.enabled))
        .set_batch_size(number(want.batch_size.unwrap_or(default), found.batch_size.unwrap_or(default)))
        .set_maximum_batching_window_in_seconds(number(
            want.maximum_batching_window_in_seconds,
            found.maximum_batching_window_in_seconds,
        ))
        .set_parallelization_factor(number(want.parallelization_factor, found.parallelization_factor))
        .set_bisect_batch_on_function_error(
            (want.bisect_batch_on_function_error != found.bisect_batch_on_function_error)
                .then_some(want.bisect_batch_on_function_error),
        )
        .set_maximum_retry_attempts(number(want.maximum_retry_attempts, found.maximum_retry_attempts))
        .set_maximum_record_age_in_seconds(number(
            want.maximum_record_age_in_seconds,
            found.maximum_record_age_in_seconds,
        ))
        .set_tumbling_window_in_seconds(number(want.tumbling_window_in_seconds, found.tumbling_window_in_seconds))
        .set_filter_criteria((want.filter_criteria != found.filter_criteria).then(|| filters(want)))
        .set_destination_config((want.destination_config != found.destination_config).then(|| destination(want)))
        .set_function_response_types(
            (want.function_response_types != found.function_response_types).then(|| response_types(want)),
        )
        .set_kms_key_arn((want.kms_key_arn != found.kms_key_arn).then(|| want.kms_key_arn.clone().unwrap_or_default()))
        .set_metrics_config((want.metrics_config != found.metrics_config).then(|| metrics(want)))
}

/// Deletes the mapping and waits until it is gone.
pub(super) async fn delete(cx: &Cx) -> Result<()> {
    let uuid = cx.key.handle();
    let limit = cx.limit("delete", LIMIT);
    let call = || async {
        let answer = cx.aws.lambda().delete_event_source_mapping().uuid(uuid).send().await;
        gone(answer.map_err(failed("DeleteEventSourceMapping")))
    };
    let busy = |error: &KindError| error.class == Class::Busy;
    Wait::new("the mapping to accept its deletion", limit).retry(cx, busy, call).await?;
    Wait::new(format!("mapping {uuid} to be gone"), limit)
        .until(cx, || async {
            Ok(match found(get(cx, uuid).await)? {
                None => Look::Done(()),
                Some(mapping) => Look::Pending(mapping.state().unwrap_or_default().to_owned()),
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> api::builders::EventSourceMappingConfigurationBuilder {
        Mapping::builder()
            .uuid("00000000-0000-0000-0000-000000000001")
            .event_source_arn("arn:aws:kinesis:us-east-1:1:stream/s")
            .function_arn("arn:aws:lambda:us-east-1:1:function:f")
            .starting_position(api::EventSourcePosition::Latest)
            .batch_size(100)
            .state("Enabled")
            .destination_config(api::DestinationConfig::builder().on_failure(api::OnFailure::builder().build()).build())
    }

    fn spec(batch_size: Option<i32>) -> Spec {
        let value = serde_json::json!({
            "event_source_arn": "arn:aws:kinesis:us-east-1:1:stream/s",
            "function_name": "arn:aws:lambda:us-east-1:1:function:f",
            "starting_position": "LATEST",
            "batch_size": batch_size,
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn defaults_read_back_as_unset_and_as_named() {
        for batch_size in [None, Some(100)] {
            assert_eq!(spec_of(&shown().build(), Some(&spec(batch_size))), spec(batch_size));
        }
        assert_eq!(spec_of(&shown().batch_size(5).build(), Some(&spec(Some(100)))), spec(Some(5)));
        assert_eq!(spec_of(&shown().build(), Some(&spec(Some(5)))), spec(None));
    }

    #[test]
    fn filters_that_cannot_be_read_are_no_drift() {
        let mut want = spec(None);
        want.filter_criteria.filters.push(Filter { pattern: serde_json::json!({"data": {"a": ["b"]}}) });
        let error = api::FilterCriteriaError::builder().error_code("KMSAccessDeniedException").build();
        assert_eq!(spec_of(&shown().filter_criteria_error(error).build(), Some(&want)), want);
        assert_eq!(spec_of(&shown().build(), Some(&want)), spec(None));
    }

    #[test]
    fn a_conflict_names_the_mapping_that_is_there() {
        let id = "91eaeb7e-c976-4939-a10d-3f8d5b3b5a2e";
        let text =
            format!("provided mapping already exists. Please update or delete the existing mapping with UUID {id}");
        assert_eq!(uuid_in(&text).as_deref(), Some(id));
        assert_eq!(uuid_in("already exists"), None);
    }

    #[test]
    fn what_does_not_run_says_since_when_and_why() {
        assert_eq!(halt(&shown().build()), None);
        let stopped = shown().state("Disabled").state_transition_reason("USER_INITIATED");
        let stopped = stopped.last_modified(DateTime::from_secs(1_790_000_000)).last_processing_result("OK").build();
        let halt = halt(&stopped).unwrap();
        assert_eq!(
            (halt.since.as_deref(), halt.reason.as_deref()),
            (Some("2026-09-21T14:13:20Z"), Some("USER_INITIATED"))
        );
    }

    #[test]
    fn problems_are_shown_beside_the_state() {
        assert_eq!(status_text(&shown().last_processing_result("OK").build()), "Enabled");
        let problem = shown().last_processing_result("PROBLEM: no role").build();
        assert_eq!(status_text(&problem), "Enabled, PROBLEM: no role");
    }
}
