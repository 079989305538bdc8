//! Subscriptions to SNS topics (`facts/aws.md` 10b).
//!
//! SNS gives subscriptions no tags and pending ones no identity of their own, so the mark of ownership is a tag on the
//! topic, see [`entry`], and a subscription is addressed by topic, protocol and a hash of its endpoint.

mod entry;
mod peers;
mod spec;

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sns::types::Subscription;
use schemars::JsonSchema;
use serde::Serialize;

pub use spec::{FilterScope, Protocol, Spec};

use self::entry::{Entry, Handle};
use super::sns_topic::{retag_topic, shared_tags, tags_of};
use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::wait::{IAM_LIMIT, Look, Wait};
use crate::aws::{index, marks};
use crate::kind::{
    Changes, Check, Child, Class, End, Fault, Hop, Kind, KindError, Naming, Observed, Owned, Path, Peers, Result,
    Right, Tagging, Tags, Writes,
};

/// A subscription to an SNS topic.
pub struct SnsSubscription;

/// What other resources may refer to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SubscriptionOutputs {
    /// Amazon Resource Name; none while the subscription waits for its confirmation.
    pub arn: Option<String>,
}

/// What SNS's list shows instead of the ARN of a subscription that nobody has confirmed.
const PENDING: &str = "PendingConfirmation";
/// What it shows for a moment after Unsubscribe.
const DELETED: &str = "Deleted";

impl Kind for SnsSubscription {
    const TYPE: &'static str = "sns_subscription";
    const TITLE: &'static str = "SNS subscription";
    const DELETE_RANK: u8 = 40;
    const NAMING: Naming = Naming::Assigned;
    const PEERS: Peers = peers::PEERS;
    const TAGGING: Tagging = Tagging::OwnershipOnly;
    const PATH: Path =
        Path { ready: &["confirmed"], mend: "the owner of the endpoint has to confirm the subscription", ..Path::NONE };

    const READS: &'static [&'static str] =
        &["sns:GetSubscriptionAttributes", "sns:ListSubscriptionsByTopic", "sns:ListTagsForResource"];
    const LISTS: &'static [&'static str] = &["sns:ListTopics"];
    type Spec = Spec;
    type Outputs = SubscriptionOutputs;

    fn check(spec: &Spec) -> Vec<Fault> {
        spec.faults()
    }

    fn hops(spec: &Spec) -> Vec<Hop> {
        vec![Hop::new(End::other(&spec.topic_arn), End::Own, format!("{} subscription", spec.protocol.word()))]
    }

    async fn probe(_: &Cx, _: &Hop, _: &Spec, found: &Spec) -> Result<Vec<Check>> {
        let policy = found.filter_policy.iter().map(|policy| {
            Check::ok(format!("only messages that pass the filter policy {}", serde_json::json!(policy)))
        });
        Ok(policy.collect())
    }

    async fn observe(cx: &Cx, want: Option<&Spec>) -> Result<Option<Observed<Spec, SubscriptionOutputs>>> {
        let Some(topic) = topic_of(cx, want)? else { return Ok(None) };
        let Some((tags, all)) = found(tokio::try_join!(topic_tags(cx, &topic), list(cx, &topic)))? else {
            return Ok(None);
        };
        let ours = entry::of_resource(&topic, &tags, &cx.key.id);
        let Some((handle, live)) = pick(cx, want, &topic, &ours, &all)? else { return Ok(None) };
        let arn = confirmed(live);
        let spec = match &arn {
            Some(arn) => match found(attributes_of(cx, arn).await)? {
                Some(attributes) => spec::read(&handle, live, &attributes)?,
                None => return Ok(None),
            },
            // Nothing can be read of a pending subscription: take it for what it should be.
            None => spec::pending(&handle, live, want),
        };
        Ok(Some(Observed {
            tags: marks_of(cx, &tags, &ours, &handle),
            status: Some(if arn.is_some() { "confirmed" } else { "pending confirmation" }.to_owned()),
            halt: None,
            outputs: SubscriptionOutputs { arn },
            physical: handle.to_string(),
            spec,
        }))
    }

    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let topics = super::sns_topic::topics_of_stack(cx).await?;
        let entries = topics.iter().flat_map(|(arn, tags)| entry::all(arn, tags));
        Ok(entries
            .map(|(id, entry)| Owned { physical: entry.handle.to_string(), tags: entry.marks(&cx.key.stack, &id) })
            .collect())
    }
}

impl Writes for SnsSubscription {
    const WRITES: &'static [Right] = &[
        Right { actions: &["sns:Subscribe", "sns:TagResource", "sns:UntagResource"], resources: &["=topic_arn"] },
        Right { actions: &["sns:SetSubscriptionAttributes", "sns:Unsubscribe"], resources: &["*"] },
    ];
    const PASSES_TO: Option<&'static str> = Some("sns.amazonaws.com");

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, SubscriptionOutputs)> {
        let handle = Handle::of(&want.topic_arn, want.protocol, &want.endpoint);
        let (topic_tags, all) = tokio::try_join!(tags_of(cx, &handle.topic), list(cx, &handle.topic))?;
        let existing = find(&handle, &all);
        let own_topic = marks::stack_of(&topic_tags) == Some(&cx.key.stack);
        let known =
            entry::of_resource(&handle.topic, &topic_tags, &cx.key.id).iter().any(|entry| entry.handle == handle);
        if existing.is_some() && own_topic && !known {
            return Err(KindError::new(
                Class::Exists,
                "the topic has this subscription already, and it is not this resource's",
            ));
        }
        if own_topic {
            // Before Subscribe, so that a crash in between leaves a mark without a subscription and never the reverse.
            write_entry(cx, &handle, tags).await?;
        } else {
            cx.note("the topic is not of this stack, so the subscription cannot be marked: removed from the file, it will stay in AWS");
        }
        let arn = match existing.map(confirmed) {
            Some(arn) => arn,
            None => Some(subscribe(cx, want).await?),
        };
        let Some(arn) = arn else { return Ok((handle.to_string(), SubscriptionOutputs { arn: None })) };
        let attributes = wait_visible(cx, &arn).await?;
        if attributes.get("PendingConfirmation").is_some_and(|text| text == "true") {
            cx.note("pending: the owner of the endpoint has to confirm the subscription");
            return Ok((handle.to_string(), SubscriptionOutputs { arn: None }));
        }
        converge(cx, &arn, want, &spec::from_attributes(want, &attributes)?).await?;
        Ok((handle.to_string(), SubscriptionOutputs { arn: Some(arn) }))
    }

    async fn update(cx: &Cx, want: &Spec, found: &Spec, changes: &Changes<'_>) -> Result<()> {
        let want = &changes.target(want, found)?;
        let handle = Handle::of(&want.topic_arn, want.protocol, &want.endpoint);
        let all = list(cx, &handle.topic).await?;
        let live = find(&handle, &all).ok_or_else(|| KindError::not_found("the subscription is gone"))?;
        match confirmed(live) {
            Some(arn) => converge(cx, &arn, want, found).await,
            None => Err(KindError::new(Class::Busy, "a subscription cannot be changed before it is confirmed")
                .hint("confirm it at its endpoint, then run the same command again")),
        }
    }

    async fn delete(cx: &Cx) -> Result<()> {
        let Some(handle) = physical(cx)? else { return Ok(()) };
        let all = found(list(cx, &handle.topic).await)?.unwrap_or_default();
        match find(&handle, &all).map(confirmed) {
            Some(Some(arn)) => unsubscribe(cx, &arn).await?,
            Some(None) => cx.note("nobody has confirmed the subscription: SNS forgets it by itself within days"),
            None => {}
        }
        let key = entry::tag_key(&cx.key.id, &handle);
        let present = found(tags_of(cx, &handle.topic).await)?.is_some_and(|tags| tags.contains_key(&key));
        if present {
            return gone(retag_topic(cx, &handle.topic, &Tags::new(), &[key]).await);
        }
        Ok(())
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        let Some(handle) = physical(cx)? else { return Err(KindError::not_found("the subscription is not known")) };
        let tags = tags_of(cx, &handle.topic).await?;
        if marks::stack_of(&tags) != Some(&cx.key.stack) {
            cx.note("the topic is not of this stack, so the subscription cannot be marked");
            return Ok(());
        }
        let before: Vec<_> =
            entry::all(&handle.topic, &tags).into_iter().filter(|(_, entry)| entry.handle == handle).collect();
        let own = before.iter().find(|(id, _)| *id == cx.key.id).or(before.first());
        let mut marks = own.map(|(_, entry)| entry.marks(&cx.key.stack, &cx.key.id)).unwrap_or_default();
        marks.retain(|key, _| !remove.contains(key));
        marks.extend(set.clone());
        write_entry(cx, &handle, &marks).await?;
        // The mark of a former id, once the new one is there.
        let former = before.iter().filter(|(id, _)| *id != cx.key.id).map(|(id, _)| entry::tag_key(id, &handle));
        let former: Vec<String> = former.collect();
        if former.is_empty() { Ok(()) } else { retag_topic(cx, &handle.topic, &Tags::new(), &former).await }
    }
}

/// Lists the subscriptions of a topic, whoever made them; those that nobody has confirmed are only wishes of others.
pub(super) async fn of_topic(cx: &Cx, topic: &str) -> Result<Vec<Child>> {
    let all = found(list(cx, topic).await)?.unwrap_or_default();
    let child = |live: &Subscription| {
        let protocol = Protocol::parse(live.protocol.as_deref()?)?;
        let handle = Handle::of(topic, protocol, live.endpoint.as_deref().unwrap_or_default());
        Some(Child { kind: SnsSubscription::TYPE, physical: handle.to_string() })
    };
    Ok(all.iter().filter(|live| confirmed(live).is_some()).filter_map(child).collect())
}

/// Returns the topic to look at; none while it is not known.
fn topic_of(cx: &Cx, want: Option<&Spec>) -> Result<Option<String>> {
    if let Some(handle) = physical(cx)? {
        return Ok(Some(handle.topic));
    }
    Ok(want.map(|want| want.topic_arn.clone()).filter(|topic| !topic.contains("${")))
}

/// Reads the topic's tags: by the index where the mark in them is as it should be.
async fn topic_tags(cx: &Cx, topic: &str) -> Result<Tags> {
    if let Some(expected) = cx.expected()
        && let Some(tags) = index::candidate(cx, topic).await
        && entry::of_resource(topic, &tags, &cx.key.id)
            .iter()
            .any(|entry| entry.marks(&cx.key.stack, &cx.key.id) == *expected)
    {
        return Ok(tags);
    }
    shared_tags(cx, topic).await
}

fn physical(cx: &Cx) -> Result<Option<Handle>> {
    cx.key.physical.as_deref().map(Handle::parse).transpose()
}

async fn list(cx: &Cx, topic: &str) -> Result<Vec<Subscription>> {
    let mut pages = cx.aws.sns().list_subscriptions_by_topic().topic_arn(topic).into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(failed("ListSubscriptionsByTopic"))?.subscriptions.unwrap_or_default();
        all.extend(page.into_iter().filter(|each| each.subscription_arn.as_deref() != Some(DELETED)));
    }
    Ok(all)
}

fn find<'a>(handle: &Handle, all: &'a [Subscription]) -> Option<&'a Subscription> {
    all.iter().find(|each| {
        let (protocol, endpoint) = (each.protocol.as_deref(), each.endpoint.as_deref());
        protocol == Some(handle.protocol.word())
            && Handle::of(&handle.topic, handle.protocol, endpoint.unwrap_or_default()) == *handle
    })
}

/// Finds the resource's subscription: the one asked for, else what is wanted, else what bears its mark.
fn pick<'a>(
    cx: &Cx,
    want: Option<&Spec>,
    topic: &str,
    ours: &[Entry],
    all: &'a [Subscription],
) -> Result<Option<(Handle, &'a Subscription)>> {
    let wanted = want.filter(|want| want.topic_arn == topic && !want.endpoint.contains("${"));
    let wanted = wanted.map(|want| Handle::of(topic, want.protocol, &want.endpoint));
    let marked = |handle: &Handle| ours.iter().any(|entry| entry.handle == *handle);
    let candidates = if let Some(handle) = physical(cx)? {
        vec![handle]
    } else {
        let others = ours.iter().map(|entry| entry.handle.clone());
        let (first, last): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|handle| marked(handle));
        first.into_iter().chain(others).chain(last).collect()
    };
    Ok(candidates.into_iter().find_map(|handle| find(&handle, all).map(|live| (handle, live))))
}

/// Returns the marks of a subscription, read from its topic's tags. A topic of another stack keeps no marks for us;
/// there the subscription that the file describes is taken for ours.
fn marks_of(cx: &Cx, topic_tags: &Tags, ours: &[Entry], handle: &Handle) -> Tags {
    if let Some(entry) = ours.iter().find(|entry| entry.handle == *handle) {
        return entry.marks(&cx.key.stack, &cx.key.id);
    }
    if marks::stack_of(topic_tags) == Some(&cx.key.stack) {
        return entry::all(&handle.topic, topic_tags)
            .into_iter()
            .find(|(_, entry)| entry.handle == *handle)
            .map(|(id, entry)| entry.marks(&cx.key.stack, &id))
            .unwrap_or_default();
    }
    let marks = [(marks::STACK, &cx.key.stack), (marks::RESOURCE, &cx.key.id)];
    marks.into_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

async fn write_entry(cx: &Cx, handle: &Handle, marks: &Tags) -> Result<()> {
    let tag = Entry::new(handle.clone(), marks).tag(&cx.key.id);
    retag_topic(cx, &handle.topic, &Tags::from([tag]), &[]).await
}

fn confirmed(live: &Subscription) -> Option<String> {
    live.subscription_arn.clone().filter(|arn| arn != PENDING)
}

async fn attributes_of(cx: &Cx, arn: &str) -> Result<HashMap<String, String>> {
    let answer = cx.aws.sns().get_subscription_attributes().subscription_arn(arn).send().await;
    Ok(answer.map_err(failed("GetSubscriptionAttributes"))?.attributes.unwrap_or_default())
}

/// Reads the attributes of a subscription, which may not be there in the moment after Subscribe.
async fn wait_visible(cx: &Cx, arn: &str) -> Result<HashMap<String, String>> {
    let look = || async {
        let attributes = found(attributes_of(cx, arn).await)?;
        Ok(attributes.map_or_else(|| Look::Pending("not visible".to_owned()), Look::Done))
    };
    Wait::new("the subscription to be visible", cx.limit("create", IAM_LIMIT)).until(cx, look).await
}

async fn subscribe(cx: &Cx, want: &Spec) -> Result<String> {
    let call = || async {
        let request = cx.aws.sns().subscribe().topic_arn(&want.topic_arn).protocol(want.protocol.word());
        let request = request.endpoint(&want.endpoint).return_subscription_arn(true);
        let request = request.set_attributes(Some(spec::attributes(want).into_iter().collect()));
        request.send().await.map_err(failed("Subscribe"))
    };
    // Firehose subscriptions carry a role that SNS may not know yet.
    let fresh_role = |error: &KindError| want.subscription_role_arn.is_some() && error.code == "InvalidParameter";
    let patience = Wait::new("IAM: the subscription's role is not known to SNS yet", IAM_LIMIT);
    let answer = patience.retry(cx, fresh_role, call).await?;
    answer.subscription_arn.ok_or_else(|| KindError::new(Class::Other, "Subscribe answered without an ARN"))
}

/// Sets the attributes that differ, in the order that filters need (`facts/aws.md` 10b.4).
async fn converge(cx: &Cx, arn: &str, want: &Spec, found: &Spec) -> Result<()> {
    let (want_all, found_all) = (spec::attributes(want), spec::attributes(found));
    let differs = |name: &str| want_all.get(name) != found_all.get(name);
    let mut names: Vec<&str> =
        ["RawMessageDelivery", "RedrivePolicy", "DeliveryPolicy", "SubscriptionRoleArn", "ReplayPolicy"].into();
    match want.filter_policy_scope {
        FilterScope::MessageBody => names.extend(["FilterPolicyScope", "FilterPolicy"]),
        FilterScope::MessageAttributes if want.filter_policy.is_none() => names.push("FilterPolicy"),
        FilterScope::MessageAttributes => names.extend(["FilterPolicy", "FilterPolicyScope"]),
    }
    for name in names.into_iter().filter(|name| differs(name)) {
        set_attribute(cx, arn, name, want_all.get(name)).await?;
    }
    Ok(())
}

async fn set_attribute(cx: &Cx, arn: &str, name: &str, value: Option<&String>) -> Result<()> {
    let value = match (name, value) {
        ("FilterPolicy", None) => Some("{}".to_owned()),
        // An empty text is refused here (facts/aws.md 10b.4).
        ("RedrivePolicy" | "ReplayPolicy", None) => None,
        ("RawMessageDelivery", None) => Some("false".to_owned()),
        (_, value) => Some(value.cloned().unwrap_or_default()),
    };
    let request = cx.aws.sns().set_subscription_attributes().subscription_arn(arn).attribute_name(name);
    let answer = request.set_attribute_value(value).send().await;
    answer.map_err(failed("SetSubscriptionAttributes")).map(|_| ())
}

async fn unsubscribe(cx: &Cx, arn: &str) -> Result<()> {
    let answer = cx.aws.sns().unsubscribe().subscription_arn(arn).send().await.map_err(failed("Unsubscribe"));
    match answer {
        Err(error) if error.says("InvalidParameter", "pending confirmation") => return Ok(()),
        other => gone(other)?,
    }
    let look = || async {
        Ok(match found(attributes_of(cx, arn).await)? {
            Some(_) => Look::Pending("still there".to_owned()),
            None => Look::Done(()),
        })
    };
    Wait::new("the subscription to be gone", cx.limit("delete", IAM_LIMIT)).until(cx, look).await
}

/// The attributes of a subscription as texts; what is unset is absent.
type Attributes = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Aws;
    use crate::kind::{Key, Place};
    use serde_json::json;
    use std::sync::Arc;

    const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:t";

    fn cx(physical: Option<&Handle>) -> Cx {
        let place = Place { partition: "aws".into(), region: "us-east-1".into(), account: "123456789012".into() };
        let config = aws_types::SdkConfig::builder().build();
        let physical = physical.map(Handle::to_string);
        let key = Key { stack: "s".into(), id: "phone".into(), name: "phone".into(), physical };
        Cx::new(Arc::new(Aws::new(config, place, true)), key)
    }

    fn want(endpoint: &str) -> Spec {
        serde_json::from_value(json!({"topic_arn": TOPIC, "protocol": "sms", "endpoint": endpoint})).unwrap()
    }

    fn live(endpoint: &str, arn: &str) -> Subscription {
        Subscription::builder().subscription_arn(arn).protocol("sms").endpoint(endpoint).build()
    }

    fn handle(endpoint: &str) -> Handle {
        Handle::of(TOPIC, Protocol::Sms, endpoint)
    }

    #[test]
    fn the_marked_subscription_is_found_before_the_wanted_one() {
        let all = [live("+70000000001", "arn:1"), live("+70000000002", PENDING)];
        let ours = [Entry::new(handle("+70000000002"), &Tags::new())];
        let picked = |want: &Spec, ours: &[Entry]| {
            let picked = pick(&cx(None), Some(want), TOPIC, ours, &all).unwrap();
            picked.and_then(|(_, live)| live.endpoint.clone())
        };
        assert_eq!(picked(&want("+70000000001"), &ours).unwrap(), "+70000000002");
        assert_eq!(picked(&want("+70000000001"), &[]).unwrap(), "+70000000001");
        assert_eq!(picked(&want("+70000000003"), &[]), None);
        assert_eq!(picked(&want("${var.later}"), &[]), None);
    }

    #[test]
    fn a_known_handle_is_not_exchanged_for_another() {
        let all = [live("+70000000001", "arn:1")];
        let gone = handle("+70000000009");
        assert!(pick(&cx(Some(&gone)), Some(&want("+70000000001")), TOPIC, &[], &all).unwrap().is_none());
    }

    #[test]
    fn without_a_mark_on_our_topic_it_is_foreign() {
        let own = Tags::from([(marks::STACK.to_owned(), "s".to_owned())]);
        assert_eq!(marks_of(&cx(None), &own, &[], &handle("+7")), Tags::new());
        let elsewhere = marks_of(&cx(None), &Tags::new(), &[], &handle("+7"));
        assert_eq!(marks::resource_of(&elsewhere), Some("phone"));
    }
}
