//! Calls about one table, and waiting for it.

use std::time::Duration;

use aws_sdk_dynamodb::operation::update_table::builders::UpdateTableFluentBuilder;
use aws_sdk_dynamodb::types as api;

use super::spec::{GlobalIndex, Recovery, Spec, TimeToLive};
use super::steps::{IndexSettings, Settings, Step, StreamChange, between};
use super::{UPDATE_LIMIT, wire};
use crate::aws::Cx;
use crate::aws::error::{failed, found};
use crate::aws::wait::{Look, Wait};
use crate::kind::{Class, KindError, Result, Tags};

/// Longest pause between two looks at a table.
const PAUSE: Duration = Duration::from_secs(10);
/// Expiry can be changed once an hour (`facts/aws.md` 9.3).
const EXPIRY_LIMIT: Duration = Duration::from_mins(65);
const BACKUP_LIMIT: Duration = Duration::from_mins(20);
/// Tags are read as they were for some seconds after they were written (`facts/aws.md` 9.2).
const TAGS_LIMIT: Duration = Duration::from_mins(1);

pub(super) async fn describe(cx: &Cx) -> Result<api::TableDescription> {
    let answer = cx.aws.dynamodb().describe_table().table_name(cx.key.handle()).send().await;
    let table = answer.map_err(failed("DescribeTable"))?.table;
    table.ok_or_else(|| KindError::lacking("DescribeTable", "table"))
}

pub(super) async fn tags_of(cx: &Cx, arn: &str) -> Result<Tags> {
    let mut pages = cx.aws.dynamodb().list_tags_of_resource().resource_arn(arn);
    let mut tags = Tags::new();
    loop {
        let page = pages.clone().send().await.map_err(failed("ListTagsOfResource"))?;
        tags.extend(page.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)));
        match page.next_token {
            Some(token) if !token.is_empty() => pages = pages.next_token(token),
            _ => return Ok(tags),
        }
    }
}

/// Reads the state of continuous backups; archived tables have none to read (`facts/aws.md` 9.2).
pub(super) async fn recovery(cx: &Cx) -> Result<Recovery> {
    let answer = cx.aws.dynamodb().describe_continuous_backups().table_name(cx.key.handle()).send().await;
    let answer = match answer.map_err(failed("DescribeContinuousBackups")) {
        Err(error) if error.code == "TableNotFoundException" => return Ok(Recovery::default()),
        other => other?,
    };
    let state = answer.continuous_backups_description.and_then(|backups| backups.point_in_time_recovery_description);
    let on = Some(api::PointInTimeRecoveryStatus::Enabled);
    Ok(match state.filter(|state| state.point_in_time_recovery_status == on) {
        Some(state) => Recovery {
            enabled: true,
            recovery_period_in_days: state.recovery_period_in_days.unwrap_or(super::spec::RECOVERY_DAYS),
        },
        None => Recovery::default(),
    })
}

pub(super) async fn time_to_live(cx: &Cx) -> Result<Option<TimeToLive>> {
    let answer = cx.aws.dynamodb().describe_time_to_live().table_name(cx.key.handle()).send().await;
    let state = answer.map_err(failed("DescribeTimeToLive"))?.time_to_live_description;
    let on = [Some(api::TimeToLiveStatus::Enabled), Some(api::TimeToLiveStatus::Enabling)];
    let state = state.filter(|state| on.contains(&state.time_to_live_status));
    Ok(state.and_then(|state| state.attribute_name).map(|attribute_name| TimeToLive { attribute_name }))
}

/// Reads the spec of a table that has been described.
pub(super) async fn spec_of(cx: &Cx, table: &api::TableDescription) -> Result<Spec> {
    let (recovery, time_to_live) = tokio::try_join!(recovery(cx), time_to_live(cx))?;
    Ok(Spec { point_in_time_recovery: recovery, time_to_live, ..wire::read(table)? })
}

/// Tells whether too many tables are being changed at once, which passes (`facts/aws.md` 9.3).
pub(super) fn is_crowded(error: &KindError) -> bool {
    error.says("LimitExceededException", "can be created, updated, or deleted simultaneously")
        || error.says("LimitExceededException", "indexed tables that can be created simultaneously")
        || error.says("LimitExceededException", "online index can be created or deleted simultaneously")
}

pub(super) async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<()> {
    let global = want.global_secondary_indexes.iter().map(wire::global_index).collect::<Result<Vec<_>>>()?;
    let local = want.local_secondary_indexes.iter().map(|index| wire::local_index(want, index));
    let local = local.collect::<Result<Vec<_>>>()?;
    let mut request = cx
        .aws
        .dynamodb()
        .create_table()
        .table_name(&cx.key.name)
        .set_attribute_definitions(Some(wire::attribute_definitions(want)?))
        .set_key_schema(Some(wire::key_schema(&want.hash_key, want.range_key.as_ref())?))
        .billing_mode(api::BillingMode::from(wire::word(&want.billing_mode).as_str()))
        .set_provisioned_throughput(want.provisioned_throughput.map(wire::throughput).transpose()?)
        .set_on_demand_throughput(want.on_demand_throughput.map(wire::on_demand))
        .set_global_secondary_indexes(Some(global).filter(|indexes| !indexes.is_empty()))
        .set_local_secondary_indexes(Some(local).filter(|indexes| !indexes.is_empty()))
        .table_class(api::TableClass::from(wire::word(&want.table_class).as_str()))
        .deletion_protection_enabled(want.deletion_protection_enabled)
        .set_tags(Some(wire::tags(tags)?));
    if want.stream_view_type.is_some() {
        request = request.stream_specification(wire::stream(want.stream_view_type)?);
    }
    if want.sse_specification.enabled {
        request = request.sse_specification(wire::sse(&want.sse_specification));
    }
    request.send().await.map_err(failed("CreateTable")).map(|_| ())
}

/// Runs steps one after another, waiting for the table after each.
pub(super) async fn run(cx: &Cx, steps: &[Step], want: &Spec) -> Result<()> {
    for step in steps {
        match take(cx, step, want).await {
            // A call whose answer was lost is sent again, and refused because the table is so already.
            Err(error) if is_refusal(&error) && is_taken(cx, step, want).await? => {}
            other => other?,
        }
    }
    Ok(())
}

fn is_refusal(error: &KindError) -> bool {
    matches!(error.class, Class::Invalid | Class::NotFound)
}

/// Tells whether a step has been taken: it does not lead from what is there to what is wanted.
async fn is_taken(cx: &Cx, step: &Step, want: &Spec) -> Result<bool> {
    let table = wait_active(cx, "update", UPDATE_LIMIT).await?;
    Ok(!between(want, &spec_of(cx, &table).await?).contains(step))
}

async fn take(cx: &Cx, step: &Step, want: &Spec) -> Result<()> {
    let request = cx.aws.dynamodb().update_table().table_name(cx.key.handle());
    let request = match step {
        Step::StopExpiry(expiry) => return set_expiry(cx, expiry, false).await,
        Step::StartExpiry(expiry) => return set_expiry(cx, expiry, true).await,
        Step::Recovery(recovery) => return set_recovery(cx, *recovery).await,
        Step::DropIndex(name) => {
            let action = wire::built(api::DeleteGlobalSecondaryIndexAction::builder().index_name(name).build())?;
            request.global_secondary_index_updates(api::GlobalSecondaryIndexUpdate::builder().delete(action).build())
        }
        Step::AddIndex(index) => request
            .set_attribute_definitions(Some(wire::attribute_definitions(want)?))
            .global_secondary_index_updates(new_index(index)?),
        Step::Class(class) => request.table_class(api::TableClass::from(wire::word(class).as_str())),
        Step::StopStream => request.stream_specification(wire::stream(None)?),
        Step::Encryption(sse) => request.sse_specification(wire::sse(sse)),
        Step::Settings(settings) => with_settings(request, settings)?,
    };
    let call = || async { request.clone().send().await.map_err(failed("UpdateTable")) };
    let passes = |error: &KindError| error.class == Class::Busy || is_crowded(error);
    let patience = Wait::new("the table to accept a change", cx.limit("update", UPDATE_LIMIT)).every(PAUSE);
    patience.retry(cx, passes, call).await?;
    wait_active(cx, "update", UPDATE_LIMIT).await.map(|_| ())
}

fn new_index(index: &GlobalIndex) -> Result<api::GlobalSecondaryIndexUpdate> {
    let action = api::CreateGlobalSecondaryIndexAction::builder()
        .index_name(&index.index_name)
        .set_key_schema(Some(wire::key_schema(&index.hash_key, index.range_key.as_ref())?))
        .projection(wire::projection(&index.projection))
        .set_provisioned_throughput(index.provisioned_throughput.map(wire::throughput).transpose()?)
        .set_on_demand_throughput(index.on_demand_throughput.map(wire::on_demand));
    Ok(api::GlobalSecondaryIndexUpdate::builder().create(wire::built(action.build())?).build())
}

fn changed_index(index: &IndexSettings) -> Result<api::GlobalSecondaryIndexUpdate> {
    let action = api::UpdateGlobalSecondaryIndexAction::builder()
        .index_name(&index.index_name)
        .set_provisioned_throughput(index.provisioned_throughput.map(wire::throughput).transpose()?)
        .set_on_demand_throughput(index.on_demand_throughput.map(wire::on_demand));
    Ok(api::GlobalSecondaryIndexUpdate::builder().update(wire::built(action.build())?).build())
}

fn stream(change: StreamChange) -> Result<api::StreamSpecification> {
    match change {
        StreamChange::Start(view) => wire::stream(Some(view)),
        StreamChange::Stop => wire::stream(None),
    }
}

fn with_settings(request: UpdateTableFluentBuilder, settings: &Settings) -> Result<UpdateTableFluentBuilder> {
    let mode = settings.billing_mode.map(|mode| api::BillingMode::from(wire::word(&mode).as_str()));
    let indexes = settings.indexes.iter().map(changed_index).collect::<Result<Vec<_>>>()?;
    Ok(request
        .set_billing_mode(mode)
        .set_provisioned_throughput(settings.provisioned_throughput.map(wire::throughput).transpose()?)
        .set_on_demand_throughput(settings.on_demand_throughput.map(wire::on_demand))
        .set_deletion_protection_enabled(settings.deletion_protection_enabled)
        .set_stream_specification(settings.stream.map(stream).transpose()?)
        .set_global_secondary_index_updates(Some(indexes).filter(|indexes| !indexes.is_empty())))
}

async fn set_expiry(cx: &Cx, expiry: &TimeToLive, enabled: bool) -> Result<()> {
    let specification = api::TimeToLiveSpecification::builder().attribute_name(&expiry.attribute_name);
    let specification = wire::built(specification.enabled(enabled).build())?;
    let call = || async {
        let request = cx.aws.dynamodb().update_time_to_live().table_name(cx.key.handle());
        let answer = request.time_to_live_specification(specification.clone()).send().await;
        match answer.map(drop).map_err(failed("UpdateTimeToLive")) {
            // The same call may have got through before and its answer not: nothing is left to wait an hour for.
            Err(error) if is_refusal(&error) && (time_to_live(cx).await?.as_ref() == Some(expiry)) == enabled => Ok(()),
            other => other,
        }
    };
    let passes = |error: &KindError| {
        error.class == Class::Busy
            || is_crowded(error)
            || error.says("ValidationException", "modified multiple times within a fixed interval")
    };
    let what =
        format!("the expiry of items to be changed again: AWS allows it once an hour ({})", expiry.attribute_name);
    Wait::new(what, cx.limit("update", EXPIRY_LIMIT)).every(Duration::from_mins(1)).retry(cx, passes, call).await
}

async fn set_recovery(cx: &Cx, recovery: Recovery) -> Result<()> {
    let specification =
        api::PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(recovery.enabled);
    let days = recovery.enabled.then_some(recovery.recovery_period_in_days);
    let specification = wire::built(specification.set_recovery_period_in_days(days).build())?;
    let call = || async {
        let request = cx.aws.dynamodb().update_continuous_backups().table_name(cx.key.handle());
        let request = request.point_in_time_recovery_specification(specification.clone());
        request.send().await.map_err(failed("UpdateContinuousBackups"))
    };
    let passes =
        |error: &KindError| error.code == "ContinuousBackupsUnavailableException" || error.class == Class::Busy;
    Wait::new("backups to be available", BACKUP_LIMIT).every(PAUSE).retry(cx, passes, call).await?;
    let look = || async {
        Ok(if self::recovery(cx).await? == recovery { Look::Done(()) } else { Look::Pending("changing".to_owned()) })
    };
    Wait::new("backups to be as wanted", BACKUP_LIMIT).every(PAUSE).until(cx, look).await
}

/// Waits until the table, its indexes and its encryption rest.
pub(super) async fn wait_active(cx: &Cx, verb: &str, limit: Duration) -> Result<api::TableDescription> {
    let look = || async {
        let table = match describe(cx).await {
            // Right after CreateTable the table may not be seen yet (facts/aws.md 9.3).
            Err(error) if error.is_not_found() && verb == "create" => {
                return Ok(Look::Pending("not visible".to_owned()));
            }
            other => other?,
        };
        if let Some(error) = dead_end(&table) {
            return Err(error);
        }
        Ok(match unrest(&table) {
            Some(state) => Look::Pending(state),
            None => Look::Done(table),
        })
    };
    let what = format!("table {} to become ACTIVE", cx.key.handle());
    Wait::new(what, cx.limit(verb, limit)).every(PAUSE).until(cx, look).await
}

/// Tells of a state that no waiting ends (`facts/aws.md` 9.7).
fn dead_end(table: &api::TableDescription) -> Option<KindError> {
    let state = table.table_status.as_ref()?;
    let hint = match state {
        api::TableStatus::Deleting => "run the same command again once the table is gone",
        api::TableStatus::Archived | api::TableStatus::Archiving => {
            "AWS archives a table whose KMS key has been out of reach for a week: restore it from its backup"
        }
        api::TableStatus::InaccessibleEncryptionCredentials => {
            "DynamoDB cannot use the table's KMS key: enable the key, or let DynamoDB use it again"
        }
        _ => return None,
    };
    Some(KindError::new(Class::Other, format!("the table is {}", state.as_str())).hint(hint))
}

/// Waits until the tags that were just written can be read, since what is ours is told by them (`facts/aws.md` 9.2).
pub(super) async fn wait_tags(cx: &Cx, arn: &str, set: &Tags, remove: &[String]) -> Result<()> {
    let look = || async {
        let present = tags_of(cx, arn).await?;
        let written = set.iter().all(|(key, value)| present.get(key) == Some(value));
        let gone = !remove.iter().any(|key| present.contains_key(key));
        Ok(if written && gone { Look::Done(()) } else { Look::Pending("older tags".to_owned()) })
    };
    Wait::new("the table's tags to be visible", TAGS_LIMIT).every(Duration::from_secs(2)).until(cx, look).await
}

/// Returns what is still going on at a table.
fn unrest(table: &api::TableDescription) -> Option<String> {
    match &table.table_status {
        Some(api::TableStatus::Active) => {}
        other => return Some(other.as_ref().map_or("unknown", api::TableStatus::as_str).to_owned()),
    }
    let busy = table.global_secondary_indexes.iter().flatten().find_map(|index| {
        let status = index.index_status.as_ref().filter(|status| **status != api::IndexStatus::Active)?;
        Some(format!("index {} {}", index.index_name.as_deref().unwrap_or_default(), status.as_str()))
    });
    let moving = [api::SseStatus::Enabling, api::SseStatus::Disabling, api::SseStatus::Updating];
    let encryption = table.sse_description.as_ref().and_then(|sse| sse.status.clone());
    let encryption = encryption.filter(|status| moving.contains(status));
    busy.or_else(|| encryption.map(|status| format!("encryption {}", status.as_str())))
}

/// Waits while a table of this name is being deleted; returns at once when there is none or another state.
pub(super) async fn wait_gone(cx: &Cx, limit: Duration) -> Result<()> {
    let look = || async {
        Ok(match found(describe(cx).await)? {
            Some(table) if table.table_status == Some(api::TableStatus::Deleting) => {
                Look::Pending("DELETING".to_owned())
            }
            _ => Look::Done(()),
        })
    };
    let what = format!("table {} to be gone", cx.key.handle());
    Wait::new(what, cx.limit("delete", limit)).every(PAUSE).until(cx, look).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_rests_when_its_parts_do() {
        let index = |status: api::IndexStatus| {
            api::GlobalSecondaryIndexDescription::builder().index_name("i").index_status(status).build()
        };
        let table = api::TableDescription::builder().table_status(api::TableStatus::Active);
        assert_eq!(unrest(&table.clone().global_secondary_indexes(index(api::IndexStatus::Active)).build()), None);
        let busy = table.clone().global_secondary_indexes(index(api::IndexStatus::Creating)).build();
        assert_eq!(unrest(&busy).unwrap(), "index i CREATING");
        let sse = api::SseDescription::builder().status(api::SseStatus::Updating).build();
        assert_eq!(unrest(&table.sse_description(sse).build()).unwrap(), "encryption UPDATING");
        assert_eq!(
            unrest(&api::TableDescription::builder().table_status(api::TableStatus::Creating).build()).unwrap(),
            "CREATING"
        );
    }

    #[test]
    fn what_no_waiting_ends_is_told_at_once() {
        let table = |status: api::TableStatus| api::TableDescription::builder().table_status(status).build();
        assert_eq!(dead_end(&table(api::TableStatus::Updating)), None);
        let error = dead_end(&table(api::TableStatus::InaccessibleEncryptionCredentials)).unwrap();
        assert!(error.message.contains("INACCESSIBLE_ENCRYPTION_CREDENTIALS") && error.hint.unwrap().contains("key"));
    }

    #[test]
    fn a_full_account_is_not_waited_for() {
        let error = |text: &str| KindError { code: "LimitExceededException".into(), ..KindError::invalid(text) };
        assert!(is_crowded(&error("Up to 500 tables can be created, updated, or deleted simultaneously.")));
        assert!(!is_crowded(&error("Subscriber limit exceeded: There is a limit of 2500 tables.")));
    }
}
