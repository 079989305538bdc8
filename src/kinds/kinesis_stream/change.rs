//! What brings a stream from what it is to what it should be, one setting after the other.

use std::cmp::Ordering;

use aws_sdk_kinesis::types::{EncryptionType, MetricsName, ScalingType};

use super::{Spec, UPDATE_LIMIT, describe, mode_details, spec_of, wait_active};
use crate::aws::Cx;
use crate::aws::error::failed;
use crate::kind::{Class, Result};

/// Brings an ACTIVE stream from `found` to `want`, one call at a time, in Terraform's order (`facts/aws.md` 1.4).
pub(super) async fn converge(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    set_mode(cx, want, found).await?;
    set_shards(cx, want, found).await?;
    set_retention(cx, want, found).await?;
    set_metrics(cx, want, found).await?;
    set_encryption(cx, want, found).await?;
    set_record_size(cx, want, found).await
}

async fn arn(cx: &Cx) -> Result<String> {
    Ok(describe(cx).await?.stream_arn)
}

async fn settled(cx: &Cx) -> Result<Spec> {
    Ok(spec_of(&wait_active(cx, "update", UPDATE_LIMIT).await?))
}

/// Makes a change and waits for it. A call whose answer was lost is sent again, and refused because the stream is at it,
/// or is so already; when the stream was at something else, the change is asked for once more.
async fn make<F>(cx: &Cx, call: impl Fn() -> F, made: impl Fn(&Spec) -> bool) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let Err(refusal) = call().await else { return settled(cx).await.map(|_| ()) };
    if !matches!(refusal.class, Class::Busy | Class::Invalid) {
        return Err(refusal);
    }
    if made(&settled(cx).await?) {
        return Ok(());
    }
    if refusal.class == Class::Invalid {
        return Err(refusal);
    }
    call().await?;
    settled(cx).await.map(|_| ())
}

async fn set_mode(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    if want.stream_mode == found.stream_mode {
        return Ok(());
    }
    let details = mode_details(want.stream_mode)?;
    let request = cx.aws.kinesis().update_stream_mode().stream_arn(arn(cx).await?).stream_mode_details(details);
    let call = || async { request.clone().send().await.map(drop).map_err(failed("UpdateStreamMode")) };
    make(cx, call, |now| now.stream_mode == want.stream_mode).await
}

/// Returns the next legal shard count on the way: one call at most doubles or halves (`UpdateShardCount`).
pub(super) fn shard_step(from: i32, to: i32) -> i32 {
    to.clamp((from + 1) / 2, from.saturating_mul(2))
}

async fn set_shards(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    let Some(target) = want.shard_count else { return Ok(()) };
    let mut current = match found.shard_count {
        Some(count) => count,
        None => describe(cx).await?.open_shard_count,
    };
    while current != target {
        let next = shard_step(current, target);
        let request = cx.aws.kinesis().update_shard_count().stream_name(cx.key.handle()).target_shard_count(next);
        let request = request.scaling_type(ScalingType::UniformScaling);
        let call = || async { request.clone().send().await.map(drop).map_err(failed("UpdateShardCount")) };
        make(cx, call, |now| now.shard_count == Some(next)).await?;
        current = next;
    }
    Ok(())
}

async fn set_retention(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    let (client, name, hours) = (cx.aws.kinesis(), cx.key.handle(), want.retention_period_hours);
    let made = |now: &Spec| now.retention_period_hours == hours;
    match hours.cmp(&found.retention_period_hours) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => {
            let request = client.increase_stream_retention_period().stream_name(name).retention_period_hours(hours);
            let call =
                || async { request.clone().send().await.map(drop).map_err(failed("IncreaseStreamRetentionPeriod")) };
            make(cx, call, made).await
        }
        Ordering::Less => {
            let request = client.decrease_stream_retention_period().stream_name(name).retention_period_hours(hours);
            let call =
                || async { request.clone().send().await.map(drop).map_err(failed("DecreaseStreamRetentionPeriod")) };
            make(cx, call, made).await
        }
    }
}

async fn set_metrics(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    let (client, name) = (cx.aws.kinesis(), cx.key.handle());
    let names = |some: &[&String]| some.iter().map(|name| MetricsName::from(name.as_str())).collect::<Vec<_>>();
    let removed: Vec<_> = found.shard_level_metrics.difference(&want.shard_level_metrics).collect();
    let added: Vec<_> = want.shard_level_metrics.difference(&found.shard_level_metrics).collect();
    if !removed.is_empty() {
        let request = client.disable_enhanced_monitoring().stream_name(name);
        let request = request.set_shard_level_metrics(Some(names(&removed)));
        let call = || async { request.clone().send().await.map(drop).map_err(failed("DisableEnhancedMonitoring")) };
        make(cx, call, |now| removed.iter().all(|name| !now.shard_level_metrics.contains(*name))).await?;
    }
    if !added.is_empty() {
        let request = client.enable_enhanced_monitoring().stream_name(name);
        let request = request.set_shard_level_metrics(Some(names(&added)));
        let call = || async { request.clone().send().await.map(drop).map_err(failed("EnableEnhancedMonitoring")) };
        make(cx, call, |now| added.iter().all(|name| now.shard_level_metrics.contains(*name))).await?;
    }
    Ok(())
}

async fn set_encryption(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    let (client, name) = (cx.aws.kinesis(), cx.key.handle());
    let made = |now: &Spec| now.kms_key_id == want.kms_key_id;
    match (&want.kms_key_id, &found.kms_key_id) {
        (want, found) if want == found => Ok(()),
        (Some(key), _) => {
            let request = client.start_stream_encryption().stream_name(name);
            let request = request.encryption_type(EncryptionType::Kms).key_id(key);
            let call = || async { request.clone().send().await.map(drop).map_err(failed("StartStreamEncryption")) };
            make(cx, call, made).await
        }
        (None, Some(key)) => {
            let request = client.stop_stream_encryption().stream_name(name);
            let request = request.encryption_type(EncryptionType::Kms).key_id(key);
            let call = || async { request.clone().send().await.map(drop).map_err(failed("StopStreamEncryption")) };
            make(cx, call, made).await
        }
        (None, None) => Ok(()),
    }
}

async fn set_record_size(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    if want.max_record_size_in_kib == found.max_record_size_in_kib {
        return Ok(());
    }
    let request = cx.aws.kinesis().update_max_record_size().stream_arn(arn(cx).await?);
    let request = request.max_record_size_in_kib(want.max_record_size_in_kib);
    let call = || async { request.clone().send().await.map(drop).map_err(failed("UpdateMaxRecordSize")) };
    make(cx, call, |now| now.max_record_size_in_kib == want.max_record_size_in_kib).await
}
