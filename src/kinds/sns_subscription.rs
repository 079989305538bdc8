//! Subscriptions to SNS topics (`facts/aws.md` 10b).
//!
//! SNS gives subscriptions no tags, so the mark of ownership is a tag on the topic, see [`entry`]; and an endpoint may be
//! a secret, so a subscription is known by its ARN or by something that tells nothing of the endpoint, see [`address`].

mod address;
mod entry;
mod find;
mod peers;
mod spec;

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

pub use spec::{FilterScope, Protocol, Spec};

use self::address::{Address, Which};
use self::entry::Entry;
use self::find::{Sub, attributes_of, list};
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

    fn collides(want: &Spec, found: &Spec) -> bool {
        // A topic has one subscription of an endpoint: a second one would be the first.
        want.is_same(found)
    }

    fn is_also(spec: &Spec, physical: &str) -> bool {
        let digest = Which::digest(&spec.topic_arn, spec.protocol, &spec.endpoint);
        Address::new(&spec.topic_arn, digest).to_string() == physical
    }

    async fn observe(cx: &Cx, want: Option<&Spec>) -> Result<Option<Observed<Spec, SubscriptionOutputs>>> {
        let Some(topic) = topic_of(cx, want)? else { return Ok(None) };
        let Some((tags, sub)) = found(look(cx, want, &topic).await)? else { return Ok(None) };
        let Some(sub) = sub else { return Ok(None) };
        let arn = sub.arn.as_ref().filter(|_| sub.confirmed);
        let spec = match (arn, &sub.attributes) {
            (Some(_), Some(attributes)) => spec::from_attributes(&spec::bare(&sub), attributes)?,
            (Some(arn), None) => match found(attributes_of(cx, arn).await)? {
                Some(attributes) => spec::from_attributes(&spec::bare(&sub), &attributes)?,
                None => return Ok(None),
            },
            // Not all can be read of a pending subscription: take it for what it should be.
            (None, _) => spec::pending(&sub, want),
        };
        Ok(Some(Observed {
            tags: marks_of(cx, &tags, &sub)?,
            status: Some(if sub.confirmed { "confirmed" } else { "pending confirmation" }.to_owned()),
            halt: None,
            outputs: SubscriptionOutputs { arn: arn.cloned() },
            physical: sub.address().to_string(),
            spec,
        }))
    }

    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let topics = super::sns_topic::topics_of_stack(cx).await?;
        let entries =
            topics.iter().flat_map(|(topic, tags)| entry::all(tags).into_iter().map(move |each| (topic, each)));
        let owned = |(topic, entry): (&String, Entry)| Owned {
            tags: entry.marks(&cx.key.stack),
            physical: Address::new(topic, entry.which).to_string(),
        };
        Ok(entries.map(owned).collect())
    }
}

impl Writes for SnsSubscription {
    const WRITES: &'static [Right] = &[
        Right { actions: &["sns:Subscribe", "sns:TagResource", "sns:UntagResource"], resources: &["=topic_arn"] },
        Right { actions: &["sns:SetSubscriptionAttributes", "sns:Unsubscribe"], resources: &["*"] },
    ];
    const PASSES_TO: Option<&'static str> = Some("sns.amazonaws.com");

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, SubscriptionOutputs)> {
        let topic = &want.topic_arn;
        let (topic_tags, all) = tokio::try_join!(tags_of(cx, topic), list(cx, topic))?;
        let marker = if marks::stack_of(&topic_tags) == Some(&cx.key.stack) {
            Some(Marker::new(cx, want, &entry::all(&topic_tags), &all).await?)
        } else {
            cx.note("the topic is not of this stack, so the subscription cannot be marked: removed from the file, it will stay in AWS");
            None
        };
        let known = marker.as_ref().and_then(|marker| marker.known.as_ref());
        let existing = known.or_else(|| all.iter().find(|sub| sub.is_of(want)));
        let arn = match (existing.and_then(|sub| sub.arn.clone()), &marker) {
            (Some(arn), _) => arn,
            (None, None) => subscribe(cx, want).await?,
            (None, Some(marker)) => {
                // Before Subscribe, so that a crash in between leaves a mark without a subscription and never the reverse.
                let digest = Which::digest(topic, want.protocol, &want.endpoint);
                write_entry(cx, topic, &Entry::new(&cx.key.id, marker.number, digest, tags)).await?;
                subscribe(cx, want).await?
            }
        };
        if let Some(marker) = &marker {
            write_entry(cx, topic, &Entry::new(&cx.key.id, marker.number, Address::parse(&arn)?.which, tags)).await?;
        }
        let attributes = wait_visible(cx, &arn).await?;
        if find::is_pending(&attributes) {
            cx.note("pending: the owner of the endpoint has to confirm the subscription");
            return Ok((arn, SubscriptionOutputs { arn: None }));
        }
        converge(cx, &arn, want, &spec::from_attributes(want, &attributes)?).await?;
        Ok((arn.clone(), SubscriptionOutputs { arn: Some(arn) }))
    }

    async fn update(cx: &Cx, want: &Spec, found: &Spec, changes: &Changes<'_>) -> Result<()> {
        let want = &changes.target(want, found)?;
        let live = match physical(cx)? {
            Some(address) => find::at(cx, &address, Some(want), &[]).await?,
            None => list(cx, &want.topic_arn).await?.into_iter().find(|sub| sub.is_of(want)),
        };
        let live = live.ok_or_else(|| KindError::not_found("the subscription is gone"))?;
        match live.arn.filter(|_| live.confirmed) {
            Some(arn) => converge(cx, &arn, want, found).await,
            None => Err(KindError::new(Class::Busy, "a subscription cannot be changed before it is confirmed")
                .hint("confirm it at its endpoint, then run the same command again")),
        }
    }

    async fn delete(cx: &Cx) -> Result<()> {
        let Some(address) = physical(cx)? else { return Ok(()) };
        let Some(tags) = found(tags_of(cx, &address.topic).await)? else { return Ok(()) };
        let marks = entry::all(&tags);
        let live = find::at(cx, &address, None, &marks).await?;
        match &live {
            Some(Sub { arn: Some(arn), confirmed: true, .. }) => unsubscribe(cx, arn).await?,
            Some(_) => cx.note("nobody has confirmed the subscription: SNS forgets it by itself within days"),
            None => {}
        }
        let names = live.iter().flat_map(|sub| [sub.id(), Some(sub.digest())]).flatten();
        let names: Vec<Which> = names.chain([address.which]).collect();
        let own = marks.iter().filter(|entry| entry.id == cx.key.id && names.contains(&entry.which));
        let keys: Vec<String> = own.map(Entry::key).collect();
        gone(retag_topic(cx, &address.topic, &Tags::new(), &keys).await)
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        let Some(address) = physical(cx)? else { return Err(KindError::not_found("the subscription is not known")) };
        let tags = tags_of(cx, &address.topic).await?;
        if marks::stack_of(&tags) != Some(&cx.key.stack) {
            cx.note("the topic is not of this stack, so the subscription cannot be marked");
            return Ok(());
        }
        let marks = entry::all(&tags);
        let before = marks_at(cx, &address, &marks).await?;
        let own = before.iter().find(|entry| entry.id == cx.key.id);
        let mut kept = own.or(before.first()).map(|entry| entry.marks(&cx.key.stack)).unwrap_or_default();
        kept.retain(|key, _| !remove.contains(key));
        kept.extend(set.clone());
        let is_left = remove.iter().any(|key| key == marks::STACK);
        let number = own.map_or_else(|| entry::free_number(&marks, &cx.key.id), |entry| entry.number);
        let mark = Entry::new(&cx.key.id, number, address.which.clone(), &kept);
        if !is_left {
            write_entry(cx, &address.topic, &mark).await?;
        }
        // The mark of a former id, once the new one is there; all of them when the stack lets go of the subscription.
        let former = before.iter().map(|entry| entry.key()).filter(|key| is_left || *key != mark.key());
        retag_topic(cx, &address.topic, &Tags::new(), &former.collect::<Vec<_>>()).await
    }
}

/// What is known before a subscription of ours is made: which mark it gets, and whether it is there already.
struct Marker {
    number: u16,
    known: Option<Sub>,
}

impl Marker {
    async fn new(cx: &Cx, want: &Spec, marks: &[Entry], all: &[Sub]) -> Result<Self> {
        let marked = find::marked(cx, &want.topic_arn, Some(want), marks, all).await?;
        let known = marked.iter().find(|(_, sub)| sub.as_ref().is_some_and(|sub| sub.is_of(want)));
        if known.is_none() && all.iter().any(|sub| sub.is_of(want)) {
            return Err(KindError::new(
                Class::Exists,
                "the topic has this subscription already, and it is not this resource's",
            ));
        }
        let number = known.map_or_else(|| find::number_for(&cx.key.id, &marked, marks), |(entry, _)| entry.number);
        Ok(Self { number, known: known.and_then(|(_, sub)| sub.clone()) })
    }
}

/// Lists the subscriptions of a topic, whoever made them; those that nobody has confirmed are only wishes of others.
pub(super) async fn of_topic(cx: &Cx, topic: &str) -> Result<Vec<Child>> {
    let all = found(list(cx, topic).await)?.unwrap_or_default();
    let child = |sub: Sub| Child { kind: SnsSubscription::TYPE, physical: sub.address().to_string() };
    Ok(all.into_iter().filter(|sub| sub.confirmed).map(child).collect())
}

/// Returns the topic to look at; none while it is not known.
fn topic_of(cx: &Cx, want: Option<&Spec>) -> Result<Option<String>> {
    if let Some(address) = physical(cx)? {
        return Ok(Some(address.topic));
    }
    Ok(want.map(|want| want.topic_arn.clone()).filter(|topic| !topic.contains("${")))
}

/// Looks for the resource's subscription: the one asked for, else what is marked and wanted. Returns the topic's tags, too.
async fn look(cx: &Cx, want: Option<&Spec>, topic: &str) -> Result<(Tags, Option<Sub>)> {
    if let Some(address) = physical(cx)? {
        let tags = topic_tags(cx, topic).await?;
        let sub = find::at(cx, &address, want, &entry::all(&tags)).await?;
        return Ok((tags, sub));
    }
    let (tags, all) = tokio::try_join!(topic_tags(cx, topic), list(cx, topic))?;
    let marked = find::marked(cx, topic, want, &entry::all(&tags), &all).await?;
    Ok((tags, find::pick(want, &marked, &all)))
}

/// Reads the topic's tags: by the index where the mark in them is as it should be.
async fn topic_tags(cx: &Cx, topic: &str) -> Result<Tags> {
    if let Some(expected) = cx.expected()
        && let Some(tags) = index::candidate(cx, topic).await
        && entry::all(&tags).iter().any(|entry| entry.which.is_exact() && entry.marks(&cx.key.stack) == *expected)
    {
        return Ok(tags);
    }
    shared_tags(cx, topic).await
}

fn physical(cx: &Cx) -> Result<Option<Address>> {
    cx.key.physical.as_deref().map(Address::parse).transpose()
}

/// Returns the marks of a subscription, read from its topic's tags. A topic of another stack keeps no marks for us;
/// there the subscription that the file describes is taken for ours.
fn marks_of(cx: &Cx, topic_tags: &Tags, sub: &Sub) -> Result<Tags> {
    let marks = entry::all(topic_tags);
    let asked = physical(cx)?.map(|address| address.which);
    let exact = sub.id();
    let exact = exact.filter(|id| marks.iter().any(|entry| entry.which == *id)).or(asked);
    let all = entry::of(&marks, exact.as_ref(), &cx.key.id, &sub.digest());
    if let Some(entry) = all.iter().find(|entry| entry.id == cx.key.id).or(all.first()) {
        let mut tags = entry.marks(&cx.key.stack);
        if sub.arn.is_some() && !entry.which.is_exact() {
            // The mark is not complete yet: an update of tags writes the rest of it.
            tags.remove(marks::RESOURCE);
        }
        return Ok(tags);
    }
    if marks::stack_of(topic_tags) == Some(&cx.key.stack) {
        return Ok(Tags::new());
    }
    let marks = [(marks::STACK, &cx.key.stack), (marks::RESOURCE, &cx.key.id)];
    Ok(marks.into_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect())
}

/// Lists the marks of what an address names.
async fn marks_at<'a>(cx: &Cx, address: &Address, marks: &'a [Entry]) -> Result<Vec<&'a Entry>> {
    // Only a mark that is not complete yet has to be told by the endpoint.
    let is_open = |entry: &Entry| entry.id == cx.key.id && !entry.which.is_exact();
    let live = match address.which.is_exact() && marks.iter().any(is_open) {
        true => find::at(cx, address, None, marks).await?,
        false => None,
    };
    let digest = live.map_or_else(|| address.which.clone(), |sub| sub.digest());
    Ok(entry::of(marks, Some(&address.which), &cx.key.id, &digest))
}

async fn write_entry(cx: &Cx, topic: &str, entry: &Entry) -> Result<()> {
    retag_topic(cx, topic, &Tags::from([entry.tag()]), &[]).await
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

    fn cx(physical: Option<String>) -> Cx {
        let place = Place { partition: "aws".into(), region: "us-east-1".into(), account: "123456789012".into() };
        let config = aws_types::SdkConfig::builder().build();
        let key = Key { stack: "s".into(), id: "phone".into(), name: "phone".into(), physical };
        Cx::new(Arc::new(Aws::new(config, place, true)), key)
    }

    fn sub(arn: Option<&str>) -> Sub {
        Sub {
            topic: TOPIC.to_owned(),
            arn: arn.map(|id| format!("{TOPIC}:{id}")),
            protocol: Protocol::Sms,
            endpoint: "+79990000000".to_owned(),
            confirmed: arn.is_some(),
            attributes: None,
        }
    }

    /// Returns the topic's tags with these marks, by the ids of their resources.
    fn topic(marks: &[(&str, Which)]) -> Tags {
        let own = (marks::STACK.to_owned(), "s".to_owned());
        let entry = |(id, which): &(&str, Which)| Entry::new(id, 1, which.clone(), &Tags::new()).tag();
        marks.iter().map(entry).chain([own]).collect()
    }

    fn id(text: &str) -> Which {
        Which::Id(text.to_owned())
    }

    /// Returns the marks that a look sees, as stack and resource.
    fn seen(asked: Option<&Address>, topic_tags: &Tags, sub: &Sub) -> [Option<String>; 2] {
        let tags = marks_of(&cx(asked.map(Address::to_string)), topic_tags, sub).unwrap();
        [marks::stack_of(&tags), marks::resource_of(&tags)].map(|mark| mark.map(str::to_owned))
    }

    fn whose(resource: &str) -> [Option<String>; 2] {
        [Some("s".to_owned()), Some(resource.to_owned())]
    }

    #[test]
    fn a_complete_mark_says_whose_it_is() {
        let live = sub(Some("1"));
        assert_eq!(seen(None, &topic(&[("phone", id("1"))]), &live), whose("phone"));
        assert_eq!(seen(None, &topic(&[("other", id("1"))]), &live), whose("other"));
        assert_eq!(seen(None, &topic(&[("phone", id("2"))]), &live), [None, None]);
        assert_eq!(seen(None, &topic(&[("phone", live.digest()), ("other", id("1"))]), &live), whose("other"));
    }

    #[test]
    fn a_mark_with_a_digest_is_complete_only_while_there_is_no_arn() {
        let tags = topic(&[("phone", sub(None).digest())]);
        assert_eq!(seen(None, &tags, &sub(None)), whose("phone"));
        assert_eq!(seen(None, &tags, &sub(Some("1"))), [Some("s".to_owned()), None]);
        assert_eq!(seen(Some(&sub(Some("1")).address()), &tags, &sub(Some("1"))), [Some("s".to_owned()), None]);
    }

    #[test]
    fn a_digest_of_another_resource_counts_only_when_it_was_asked_for() {
        let (live, tags) = (sub(Some("1")), topic(&[("other", sub(None).digest())]));
        assert_eq!(seen(None, &tags, &live), [None, None]);
        assert_eq!(seen(Some(&live.address()), &tags, &live), [None, None]);
        assert_eq!(seen(Some(&sub(None).address()), &tags, &live), [Some("s".to_owned()), None]);
    }

    #[test]
    fn without_a_mark_on_our_topic_it_is_foreign() {
        assert_eq!(seen(None, &topic(&[]), &sub(Some("1"))), [None, None]);
        assert_eq!(seen(None, &Tags::new(), &sub(Some("1"))), whose("phone"));
    }

    #[test]
    fn a_digest_is_also_the_name_of_what_it_fits() {
        let spec = |endpoint: &str| -> Spec {
            serde_json::from_value(json!({"topic_arn": TOPIC, "protocol": "sms", "endpoint": endpoint})).unwrap()
        };
        let digest = sub(None).address().to_string();
        assert!(SnsSubscription::is_also(&spec("+79990000000"), &digest));
        assert!(!SnsSubscription::is_also(&spec("+79990000001"), &digest));
        assert!(!SnsSubscription::is_also(&spec("+79990000000"), &sub(Some("1")).address().to_string()));
    }
}
