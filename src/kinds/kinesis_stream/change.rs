//! What brings a stream from what it is to what it should be, one setting after the other.

use aws_sdk_kinesis::types::{EncryptionType, MetricsName, ScalingType, StreamDescriptionSummary};

use super::{Spec, UPDATE_LIMIT, describe, mode_details, wait_active};
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

async fn settled(cx: &Cx) -> Result<StreamDescriptionSummary> {
    wait_active(cx, "update", UPDATE_LIMIT).await
}

async fn set_mode(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    if want.stream_mode == found.stream_mode {
        return Ok(());
    }
    let details = mode_details(want.stream_mode)?;
    let request = cx.aws.kinesis().update_stream_mode().stream_arn(arn(cx).await?).stream_mode_details(details);
    request.send().await.map_err(failed("UpdateStreamMode"))?;
    settled(cx).await.map(|_| ())
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
        let answer = request.scaling_type(ScalingType::UniformScaling).send().await;
        reached(cx, next, answer.map(|_| ()).map_err(failed("UpdateShardCount"))).await?;
        current = next;
    }
    Ok(())
}

/// Waits until a stream has so many shards. A call whose answer was lost is sent again, and refused because the stream
/// is at it, or has them already.
async fn reached(cx: &Cx, shards: i32, answer: Result<()>) -> Result<()> {
    match answer {
        Err(error) if matches!(error.class, Class::Busy | Class::Invalid) => {
            if settled(cx).await?.open_shard_count == shards { Ok(()) } else { Err(error) }
        }
        other => {
            other?;
            settled(cx).await.map(|_| ())
        }
    }
}

async fn set_retention(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    let (client, name, hours) = (cx.aws.kinesis(), cx.key.handle(), want.retention_period_hours);
    match hours.cmp(&found.retention_period_hours) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Greater => {
            let request = client.increase_stream_retention_period().stream_name(name).retention_period_hours(hours);
            request.send().await.map_err(failed("IncreaseStreamRetentionPeriod"))?;
        }
        std::cmp::Ordering::Less => {
            let request = client.decrease_stream_retention_period().stream_name(name).retention_period_hours(hours);
            request.send().await.map_err(failed("DecreaseStreamRetentionPeriod"))?;
        }
    }
    settled(cx).await.map(|_| ())
}

async fn set_metrics(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    let names = |some: Vec<&String>| some.into_iter().map(|name| MetricsName::from(name.as_str())).collect::<Vec<_>>();
    let removed = names(found.shard_level_metrics.difference(&want.shard_level_metrics).collect());
    let added = names(want.shard_level_metrics.difference(&found.shard_level_metrics).collect());
    if !removed.is_empty() {
        let request = cx.aws.kinesis().disable_enhanced_monitoring().stream_name(cx.key.handle());
        request.set_shard_level_metrics(Some(removed)).send().await.map_err(failed("DisableEnhancedMonitoring"))?;
        settled(cx).await?;
    }
    if !added.is_empty() {
        let request = cx.aws.kinesis().enable_enhanced_monitoring().stream_name(cx.key.handle());
        request.set_shard_level_metrics(Some(added)).send().await.map_err(failed("EnableEnhancedMonitoring"))?;
        settled(cx).await?;
    }
    Ok(())
}

async fn set_encryption(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    let (client, name) = (cx.aws.kinesis(), cx.key.handle());
    match (&want.kms_key_id, &found.kms_key_id) {
        (want, found) if want == found => return Ok(()),
        (Some(key), _) => {
            let request =
                client.start_stream_encryption().stream_name(name).encryption_type(EncryptionType::Kms).key_id(key);
            request.send().await.map_err(failed("StartStreamEncryption"))?;
        }
        (None, Some(key)) => {
            let request =
                client.stop_stream_encryption().stream_name(name).encryption_type(EncryptionType::Kms).key_id(key);
            request.send().await.map_err(failed("StopStreamEncryption"))?;
        }
        (None, None) => return Ok(()),
    }
    settled(cx).await.map(|_| ())
}

async fn set_record_size(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    if want.max_record_size_in_kib == found.max_record_size_in_kib {
        return Ok(());
    }
    let request = cx.aws.kinesis().update_max_record_size().stream_arn(arn(cx).await?);
    request.max_record_size_in_kib(want.max_record_size_in_kib).send().await.map_err(failed("UpdateMaxRecordSize"))?;
    settled(cx).await.map(|_| ())
}
