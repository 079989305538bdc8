//! CloudWatch log groups (`facts/aws.md` 13).

mod peers;

use std::time::Duration;

use aws_sdk_cloudwatchlogs::types::{LogGroup, LogGroupClass};
use futures::{StreamExt, TryStreamExt, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fields::{self, is_wrong};
use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::wait::{Look, Wait};
use crate::aws::{index, marks};
use crate::kind::{
    Changes, Class, Fault, Grant, Key, Kind, KindError, Naming, Observed, Outputs, Owned, Peers, Place, Result, Right,
    Tags, Writes,
};

/// A CloudWatch log group.
pub struct CloudwatchLogGroup;

/// What a log group is like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Storage class; cannot be changed later.
    #[schemars(extend("x-immutable" = true))]
    pub log_group_class: GroupClass,
    /// Days for which events are kept: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192,
    /// 2557, 2922, 3288 or 3653; for ever unless set.
    pub retention_in_days: Option<i32>,
    /// ARN of the KMS key that new events are encrypted with; CloudWatch's own unless set.
    #[serde(deserialize_with = "fields::text")]
    #[schemars(with = "Option<String>")]
    pub kms_key_id: Option<String>,
    /// Whether the group refuses to be deleted.
    pub deletion_protection_enabled: bool,
}

/// Storage class of a log group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GroupClass {
    /// Everything that CloudWatch Logs offers.
    #[default]
    Standard,
    /// Cheaper, without live tail, metric filters and alarms.
    InfrequentAccess,
    /// Only passed on to S3 or Firehose; kept for two days.
    Delivery,
}

/// What other resources may refer to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GroupOutputs {
    /// Amazon Resource Name, without the `:*` that stands for the group's streams.
    pub arn: String,
    /// Name.
    pub name: String,
}

/// The only retentions that exist (`PutRetentionPolicy`).
const RETENTIONS: [i32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// How long other operations on the same group are waited out (`facts/aws.md` 13.5).
const BUSY_LIMIT: Duration = Duration::from_mins(1);
/// How long permissions that depend on tags lag behind a tagged creation (`facts/aws.md` 17.3).
const TAG_LAG: Duration = Duration::from_secs(20);
/// How many groups' tags are read at once.
const READS: usize = 4;

impl Kind for CloudwatchLogGroup {
    const TYPE: &'static str = "cloudwatch_log_group";
    const TITLE: &'static str = "CloudWatch log group";
    const DELETE_RANK: u8 = 95;
    const NAMING: Naming = Naming::Name { pattern: r"^[A-Za-z0-9._\-/#]{1,512}$" };
    const PEERS: Peers = peers::PEERS;
    const TAG_INDEX: Option<&'static str> = Some("logs:log-group");
    const READS: &'static [&'static str] = &["logs:DescribeLogGroups", "logs:ListTagsForResource"];
    const LISTS: &'static [&'static str] = &[];
    const GRANTS: &'static [Grant] = &[
        Grant { verb: "logs", actions: &["logs:CreateLogStream", "logs:PutLogEvents"], resources: &[":*"] },
        Grant { verb: "write", actions: &["logs:CreateLogStream", "logs:PutLogEvents"], resources: &[":*"] },
        Grant {
            verb: "read",
            actions: &["logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"],
            resources: &["", ":*"],
        },
    ];

    type Spec = Spec;
    type Outputs = GroupOutputs;

    fn check(spec: &Spec) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let Some(days) = spec.retention_in_days.filter(|days| !RETENTIONS.contains(days)) {
            let near = RETENTIONS.iter().min_by_key(|known| known.abs_diff(days)).unwrap_or(&days);
            let fault = Fault::new("retention_in_days", format!("there is no retention of {days} days"));
            faults.push(fault.help(format!("the nearest is {near}; leave it out to keep events for ever")));
        }
        if spec.log_group_class == GroupClass::Delivery && spec.retention_in_days.is_some() {
            let fault = Fault::new("retention_in_days", "a DELIVERY group has a fixed retention");
            faults.push(fault.help("remove retention_in_days, or choose another log_group_class"));
        }
        if let Some(key) = spec.kms_key_id.as_ref().filter(|key| is_wrong(key, |key| key.starts_with("arn:"))) {
            let fault = Fault::new("kms_key_id", format!("{key} is not the ARN of a key"));
            faults.push(fault.help("CloudWatch Logs takes the ARN of a key, not its id or alias"));
        }
        faults
    }

    fn predict(place: &Place, key: &Key, _: &Spec) -> Outputs {
        let arn = place.arn("logs", &format!("log-group:{}", key.name));
        Outputs::from_iter([("arn".to_owned(), arn.into()), ("name".to_owned(), key.name.clone().into())])
    }

    fn physical_of_arn(arn: &str) -> Option<String> {
        arn.split_once(":log-group:").map(|(_, name)| plain_arn(name).to_owned())
    }

    async fn observe(cx: &Cx, _: Option<&Spec>) -> Result<Option<Observed<Spec, GroupOutputs>>> {
        let Some(group) = describe(cx).await? else { return Ok(None) };
        let outputs = outputs_of(cx, &group);
        let tags = index::tags(cx, &outputs.arn, tags_of(cx, &outputs.arn)).await;
        let Some(tags) = found(tags)? else { return Ok(None) };
        Ok(Some(Observed {
            physical: outputs.name.clone(),
            spec: spec_of(&group),
            outputs,
            tags,
            status: None,
            halt: None,
        }))
    }

    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let pages = cx.aws.logs().describe_log_groups().into_paginator().items().send();
        let groups: std::result::Result<Vec<LogGroup>, _> = pages.collect().await;
        let outputs = groups.map_err(failed("DescribeLogGroups"))?.into_iter().map(|group| outputs_of(cx, &group));
        let reads = stream::iter(outputs).map(|group| async move {
            let tags = found(tags_of(cx, &group.arn).await)?.unwrap_or_default();
            Ok::<_, KindError>(Owned { physical: group.name, tags })
        });
        let groups: Vec<Owned> = reads.buffered(READS).try_collect().await?;
        Ok(groups.into_iter().filter(|group| marks::stack_of(&group.tags) == Some(&cx.key.stack)).collect())
    }
}

impl Writes for CloudwatchLogGroup {
    const WRITES: &'static [Right] = &[Right {
        actions: &[
            "logs:AssociateKmsKey",
            "logs:CreateLogGroup",
            "logs:DeleteLogGroup",
            "logs:DeleteRetentionPolicy",
            "logs:DisassociateKmsKey",
            "logs:PutLogGroupDeletionProtection",
            "logs:PutRetentionPolicy",
            "logs:TagResource",
            "logs:UntagResource",
        ],
        resources: &["logs:{region}:{account}:log-group:{name}", "logs:{region}:{account}:log-group:{name}:*"],
    }];

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, GroupOutputs)> {
        if let Err(error) = create_call(cx, want, tags).await {
            if error.class != Class::Exists {
                return Err(error);
            }
            // A group that Lambda made first is not ours (`facts/aws.md` 13.7).
            let present = found(tags_of(cx, &arn(cx)).await)?.unwrap_or_default();
            marks::settle(&present, tags, error)?;
        }
        let patience = Wait::new(format!("log group {} to be visible", cx.key.name), cx.limit("create", BUSY_LIMIT));
        let look = || async { Ok(describe(cx).await?.map_or(Look::Pending("not found".to_owned()), Look::Done)) };
        let group = patience.until(cx, look).await?;
        let fresh = spec_of(&group);
        set_retention(cx, want, &fresh).await?;
        set_key(cx, want, &fresh).await?;
        set_protection(cx, want, &fresh).await?;
        let outputs = outputs_of(cx, &group);
        Ok((outputs.name.clone(), outputs))
    }

    async fn update(cx: &Cx, want: &Spec, found: &Spec, changes: &Changes<'_>) -> Result<()> {
        if changes.touch("retention_in_days") {
            set_retention(cx, want, found).await?;
        }
        if changes.touch("kms_key_id") {
            set_key(cx, want, found).await?;
        }
        if changes.touch("deletion_protection_enabled") {
            set_protection(cx, want, found).await?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx) -> Result<()> {
        let request = || cx.aws.logs().delete_log_group().log_group_name(cx.key.handle());
        let call = || async { gone(request().send().await.map_err(failed("DeleteLogGroup"))) };
        patient(cx, call).await.map_err(explain_protection)?;
        let wait = Wait::new(format!("log group {} to be gone", cx.key.handle()), cx.limit("delete", BUSY_LIMIT));
        let state = |group: Option<LogGroup>| group.map_or(Look::Done(()), |_| Look::Pending("still there".to_owned()));
        wait.until(cx, || async { Ok(state(describe(cx).await?)) }).await
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        let (client, arn) = (cx.aws.logs(), arn(cx));
        if !set.is_empty() {
            let request = client.tag_resource().resource_arn(&arn);
            let request = request.set_tags(Some(set.clone().into_iter().collect()));
            request.send().await.map_err(failed("TagResource"))?;
        }
        if !remove.is_empty() {
            let request = client.untag_resource().resource_arn(&arn).set_tag_keys(Some(remove.to_vec()));
            request.send().await.map_err(failed("UntagResource"))?;
        }
        Ok(())
    }
}

/// Strips the `:*` with which one form of a group's ARN ends; tagging calls take the other (`facts/aws.md` 13.1).
fn plain_arn(arn: &str) -> &str {
    arn.strip_suffix(":*").unwrap_or(arn)
}

fn arn(cx: &Cx) -> String {
    cx.place().arn("logs", &format!("log-group:{}", cx.key.handle()))
}

fn outputs_of(cx: &Cx, group: &LogGroup) -> GroupOutputs {
    let name = group.log_group_name.clone().unwrap_or_default();
    let arn = group.log_group_arn.as_deref().or(group.arn.as_deref()).map(|arn| plain_arn(arn).to_owned());
    GroupOutputs { arn: arn.unwrap_or_else(|| cx.place().arn("logs", &format!("log-group:{name}"))), name }
}

fn spec_of(group: &LogGroup) -> Spec {
    let log_group_class = match &group.log_group_class {
        Some(LogGroupClass::InfrequentAccess) => GroupClass::InfrequentAccess,
        Some(LogGroupClass::Delivery) => GroupClass::Delivery,
        _ => GroupClass::Standard,
    };
    Spec {
        log_group_class,
        retention_in_days: group.retention_in_days.filter(|_| log_group_class != GroupClass::Delivery),
        kms_key_id: group.kms_key_id.clone(),
        deletion_protection_enabled: group.deletion_protection_enabled.unwrap_or(false),
    }
}

/// Finds the group among those whose names begin alike. Names come in ASCII order, so the shortest is on the first page.
async fn describe(cx: &Cx) -> Result<Option<LogGroup>> {
    let name = cx.key.handle();
    let answer = cx.aws.logs().describe_log_groups().log_group_name_prefix(name).send().await;
    let groups = answer.map_err(failed("DescribeLogGroups"))?.log_groups.unwrap_or_default();
    Ok(groups.into_iter().find(|group| group.log_group_name() == Some(name)))
}

async fn tags_of(cx: &Cx, arn: &str) -> Result<Tags> {
    let answer = cx.aws.logs().list_tags_for_resource().resource_arn(arn).send().await;
    Ok(answer.map_err(failed("ListTagsForResource"))?.tags.unwrap_or_default().into_iter().collect())
}

/// Repeats a call while another operation on the group is in progress.
async fn patient<T, F>(cx: &Cx, call: impl FnMut() -> F + Send) -> Result<T>
where
    F: Future<Output = Result<T>> + Send,
{
    let wait = Wait::new("another operation on the log group to end", BUSY_LIMIT);
    wait.retry(cx, |error| error.code == "OperationAbortedException", call).await
}

async fn create_call(cx: &Cx, want: &Spec, tags: &Tags) -> Result<()> {
    let class = match want.log_group_class {
        GroupClass::Standard => LogGroupClass::Standard,
        GroupClass::InfrequentAccess => LogGroupClass::InfrequentAccess,
        GroupClass::Delivery => LogGroupClass::Delivery,
    };
    let request = || {
        let request = cx.aws.logs().create_log_group().log_group_name(&cx.key.name).log_group_class(class.clone());
        request
            .set_kms_key_id(want.kms_key_id.clone())
            .set_deletion_protection_enabled(want.deletion_protection_enabled.then_some(true))
            .set_tags(Some(tags.clone().into_iter().collect()))
    };
    patient(cx, || async { request().send().await.map_err(failed("CreateLogGroup")).map(|_| ()) }).await
}

async fn set_retention(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    if want.retention_in_days == found.retention_in_days {
        return Ok(());
    }
    let (client, name) = (cx.aws.logs(), cx.key.handle());
    let call = || async {
        if let Some(days) = want.retention_in_days {
            let request = client.put_retention_policy().log_group_name(name).retention_in_days(days);
            return request.send().await.map_err(failed("PutRetentionPolicy")).map(|_| ());
        }
        let request = client.delete_retention_policy().log_group_name(name);
        gone(request.send().await.map_err(failed("DeleteRetentionPolicy")))
    };
    let lags = |error: &KindError| {
        error.code == "OperationAbortedException"
            || error.says("AccessDeniedException", "no identity-based policy allows the logs:PutRetentionPolicy action")
    };
    Wait::new("the log group to take its retention", TAG_LAG).retry(cx, lags, call).await
}

async fn set_key(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    if want.kms_key_id == found.kms_key_id {
        return Ok(());
    }
    let (client, name) = (cx.aws.logs(), cx.key.handle());
    let call = || async {
        if let Some(key) = &want.kms_key_id {
            let request = client.associate_kms_key().log_group_name(name).kms_key_id(key);
            return request.send().await.map_err(failed("AssociateKmsKey")).map(|_| ());
        }
        let request = client.disassociate_kms_key().log_group_name(name);
        request.send().await.map_err(failed("DisassociateKmsKey")).map(|_| ())
    };
    patient(cx, call).await
}

async fn set_protection(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    let protected = want.deletion_protection_enabled;
    if protected == found.deletion_protection_enabled {
        return Ok(());
    }
    let (client, name) = (cx.aws.logs(), cx.key.handle());
    let request = || {
        let request = client.put_log_group_deletion_protection().log_group_identifier(name);
        request.deletion_protection_enabled(protected)
    };
    patient(cx, || async { request().send().await.map_err(failed("PutLogGroupDeletionProtection")).map(|_| ()) }).await
}

/// Says what to do about a group that refuses to be deleted (`facts/aws.md` 13.5).
fn explain_protection(error: KindError) -> KindError {
    if error.message.to_ascii_lowercase().contains("deletion protection") {
        return error.hint("set deletion_protection_enabled: false and apply that first");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(value: serde_json::Value) -> Spec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn unset_is_the_default() {
        let group = LogGroup::builder().log_group_name("a").build();
        assert_eq!(spec_of(&group), Spec::default());
        assert_eq!(spec(json!({"kms_key_id": "", "retention_in_days": null})), Spec::default());
    }

    #[test]
    fn retentions_are_of_a_fixed_set() {
        let faults = CloudwatchLogGroup::check(&spec(json!({"retention_in_days": 10})));
        assert_eq!(faults[0].help.as_deref(), Some("the nearest is 7; leave it out to keep events for ever"));
        for days in RETENTIONS {
            assert_eq!(CloudwatchLogGroup::check(&spec(json!({"retention_in_days": days}))), []);
        }
        let delivery = spec(json!({"log_group_class": "DELIVERY", "retention_in_days": 1}));
        assert!(CloudwatchLogGroup::check(&delivery)[0].message.contains("fixed"));
    }

    #[test]
    fn a_delivery_group_has_no_retention_of_its_own() {
        let group = LogGroup::builder().log_group_class(LogGroupClass::Delivery).retention_in_days(2).build();
        assert_eq!(spec_of(&group), spec(json!({"log_group_class": "DELIVERY"})));
    }

    #[test]
    fn names_with_slashes_come_out_of_arns() {
        let name = |arn: &str| CloudwatchLogGroup::physical_of_arn(arn);
        let arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/f";
        assert_eq!(name(arn).as_deref(), Some("/aws/lambda/f"));
        assert_eq!(name(&format!("{arn}:*")).as_deref(), Some("/aws/lambda/f"));
        assert_eq!(name("arn:aws:sns:x"), None);
    }
}
