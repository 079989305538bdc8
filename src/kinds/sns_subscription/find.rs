//! Looks subscriptions up: by ARN, by the marks on their topic, by protocol and endpoint.
//!
//! Reads only. What is known of the endpoint decides; a short digest has to do only where nothing else is known, and
//! where two subscriptions fit it, nobody is taken for ours.

use std::collections::HashMap;

use aws_sdk_sns::types::Subscription;

use super::address::{Address, Which};
use super::entry::{self, Entry};
use super::{Protocol, Spec, spec};
use crate::aws::Cx;
use crate::aws::error::{failed, found};
use crate::kind::{Class, KindError, Result};

/// What SNS's list shows instead of the ARN of a subscription that nobody has confirmed.
const PENDING: &str = "PendingConfirmation";
/// What it shows for a moment after Unsubscribe.
const DELETED: &str = "Deleted";

/// A subscription as it was seen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sub {
    pub(super) topic: String,
    /// Its ARN; lists hide it while nobody has confirmed.
    pub(super) arn: Option<String>,
    pub(super) protocol: Protocol,
    pub(super) endpoint: String,
    pub(super) confirmed: bool,
    /// Its attributes, where they were read.
    pub(super) attributes: Option<HashMap<String, String>>,
}

impl Sub {
    fn of_list(topic: &str, item: &Subscription) -> Option<Self> {
        let arn = item.subscription_arn.clone().filter(|arn| arn != PENDING);
        Some(Self {
            topic: topic.to_owned(),
            protocol: Protocol::parse(item.protocol.as_deref()?)?,
            endpoint: item.endpoint.clone().unwrap_or_default(),
            confirmed: arn.is_some(),
            attributes: None,
            arn,
        })
    }

    fn of_attributes(topic: &str, arn: &str, attributes: HashMap<String, String>) -> Option<Self> {
        Some(Self {
            topic: topic.to_owned(),
            arn: Some(arn.to_owned()),
            protocol: Protocol::parse(attributes.get("Protocol")?)?,
            endpoint: attributes.get("Endpoint").cloned().unwrap_or_default(),
            confirmed: !is_pending(&attributes),
            attributes: Some(attributes),
        })
    }

    /// Tells whether it is what is wanted.
    pub(super) fn is_of(&self, want: &Spec) -> bool {
        spec::bare(self).is_same(want)
    }

    /// Returns the last part of its ARN, where that is known.
    pub(super) fn id(&self) -> Option<Which> {
        let id = self.arn.as_ref()?.rsplit(':').next()?;
        Some(Which::Id(id.to_owned()))
    }

    /// Returns what stands for its ARN while that is not known.
    pub(super) fn digest(&self) -> Which {
        Which::digest(&self.topic, self.protocol, &self.endpoint)
    }

    /// Returns its address.
    pub(super) fn address(&self) -> Address {
        Address::new(&self.topic, self.id().unwrap_or_else(|| self.digest()))
    }
}

/// Tells by the attributes whether nobody has confirmed a subscription.
pub(super) fn is_pending(attributes: &HashMap<String, String>) -> bool {
    attributes.get("PendingConfirmation").is_some_and(|text| text == "true")
}

/// Lists the subscriptions of a topic.
pub(super) async fn list(cx: &Cx, topic: &str) -> Result<Vec<Sub>> {
    let mut pages = cx.aws.sns().list_subscriptions_by_topic().topic_arn(topic).into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(failed("ListSubscriptionsByTopic"))?.subscriptions.unwrap_or_default();
        let live = page.iter().filter(|each| each.subscription_arn.as_deref() != Some(DELETED));
        all.extend(live.filter_map(|each| Sub::of_list(topic, each)));
    }
    Ok(all)
}

/// Reads a subscription's attributes.
pub(super) async fn attributes_of(cx: &Cx, arn: &str) -> Result<HashMap<String, String>> {
    let answer = cx.aws.sns().get_subscription_attributes().subscription_arn(arn).send().await;
    Ok(answer.map_err(failed("GetSubscriptionAttributes"))?.attributes.unwrap_or_default())
}

/// Finds what an address names. What is wanted, if anything, tells which of those that a digest fits.
pub(super) async fn at(cx: &Cx, address: &Address, want: Option<&Spec>, marks: &[Entry]) -> Result<Option<Sub>> {
    match &address.which {
        Which::Id(_) => by_arn(cx, address).await,
        Which::Digest(..) => {
            let all = found(list(cx, &address.topic).await)?.unwrap_or_default();
            Ok(by_digest(&cx.key.id, &address.which, want, marks, &all)?.cloned())
        }
    }
}

async fn by_arn(cx: &Cx, address: &Address) -> Result<Option<Sub>> {
    let arn = address.to_string();
    let attributes = found(attributes_of(cx, &arn).await)?;
    Ok(attributes.and_then(|attributes| Sub::of_attributes(&address.topic, &arn, attributes)))
}

/// Finds what a digest stands for among a topic's subscriptions; not one that is marked as another resource's.
fn by_digest<'a>(
    id: &str,
    digest: &Which,
    want: Option<&Spec>,
    marks: &[Entry],
    all: &'a [Sub],
) -> Result<Option<&'a Sub>> {
    let is_others = |sub: &Sub| {
        let exact = sub.id();
        marks.iter().any(|entry| entry.id != id && Some(&entry.which) == exact.as_ref())
    };
    let fits: Vec<&Sub> = all.iter().filter(|sub| sub.digest() == *digest && !is_others(sub)).collect();
    let wanted = fits.iter().find(|sub| want.is_some_and(|want| sub.is_of(want)));
    match (wanted, &fits[..]) {
        (Some(sub), _) | (None, [sub]) => Ok(Some(sub)),
        (None, []) => Ok(None),
        (None, fits) => Err(ambiguous(digest, fits.len(), marks)),
    }
}

fn ambiguous(digest: &Which, count: usize, marks: &[Entry]) -> KindError {
    let key = marks.iter().find(|entry| entry.which == *digest).map_or_else(|| digest.text(), Entry::key);
    let text =
        format!("{count} subscriptions of the topic fit the unfinished mark `{key}`, and nobody can tell which it is");
    KindError::new(Class::Exists, text).hint(format!(
        "unsubscribe the one that is not needed; or remove the tag `{key}` from the topic, and take the right one over \
         with `--adopt ID=ARN`"
    ))
}

/// Finds what each mark of the context's resource stands for; nothing where there is no such subscription (any more).
pub(super) async fn marked(
    cx: &Cx,
    topic: &str,
    want: Option<&Spec>,
    marks: &[Entry],
    all: &[Sub],
) -> Result<Vec<(Entry, Option<Sub>)>> {
    let mut out = Vec::new();
    for entry in marks.iter().filter(|entry| entry.id == cx.key.id) {
        let listed = all.iter().find(|sub| sub.id().as_ref() == Some(&entry.which));
        let sub = match (listed, entry.which.is_exact()) {
            (Some(sub), _) => Some(sub.clone()),
            // Lists hide the ARN of what nobody has confirmed (`facts/aws.md` 10b.1).
            (None, true) => by_arn(cx, &Address::new(topic, entry.which.clone())).await?,
            (None, false) => by_digest(&cx.key.id, &entry.which, want, marks, all)?.cloned(),
        };
        out.push((entry.clone(), sub));
    }
    Ok(out)
}

/// Finds a resource's subscription: what is marked and wanted, else what is marked, else what is wanted.
pub(super) fn pick(want: Option<&Spec>, marked: &[(Entry, Option<Sub>)], all: &[Sub]) -> Option<Sub> {
    let is_wanted = |sub: &&Sub| want.is_some_and(|want| sub.is_of(want));
    let ours = || marked.iter().filter_map(|(_, sub)| sub.as_ref());
    ours().find(is_wanted).or_else(|| ours().next()).or_else(|| all.iter().find(is_wanted)).cloned()
}

/// Returns the number for the mark of a new subscription: that of a mark that stands for nothing any more, or a free one.
pub(super) fn number_for(id: &str, marked: &[(Entry, Option<Sub>)], marks: &[Entry]) -> u16 {
    let idle = marked.iter().find(|(_, sub)| sub.is_none());
    idle.map_or_else(|| entry::free_number(marks, id), |(entry, _)| entry.number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Tags;
    use serde_json::json;

    const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:t";

    fn want(endpoint: &str) -> Spec {
        serde_json::from_value(json!({"topic_arn": TOPIC, "protocol": "sms", "endpoint": endpoint})).unwrap()
    }

    fn sub(endpoint: &str, id: &str) -> Sub {
        let arn = if id.is_empty() { PENDING.to_owned() } else { format!("{TOPIC}:{id}") };
        let item = Subscription::builder().subscription_arn(arn).protocol("sms").endpoint(endpoint).build();
        Sub::of_list(TOPIC, &item).unwrap()
    }

    fn mark(id: &str, number: u16, which: Which) -> Entry {
        Entry::new(id, number, which, &Tags::new())
    }

    /// Returns two numbers whose digests are the same.
    fn twins() -> (Sub, Sub) {
        let first = sub("+70000000000", "1");
        let mut others = (1..).map(|number| sub(&format!("+7000{number:07}"), "2"));
        let other = others.find(|other| other.digest() == first.digest()).unwrap();
        (first, other)
    }

    #[test]
    fn the_marked_subscription_is_found_before_the_wanted_one() {
        let all = [sub("+70000000001", "1"), sub("+70000000002", "")];
        let marked = [(mark("phone", 1, all[1].digest()), Some(all[1].clone()))];
        let picked = |endpoint: &str, marked| pick(Some(&want(endpoint)), marked, &all).map(|sub| sub.endpoint);
        assert_eq!(picked("+70000000001", &marked).unwrap(), "+70000000002");
        assert_eq!(picked("+70000000001", &[]).unwrap(), "+70000000001");
        assert_eq!(picked("+7 000 000 00 02", &[]).unwrap(), "+70000000002");
        assert_eq!(picked("+70000000003", &[]), None);
        assert_eq!(picked("${var.later}", &[]), None);
    }

    #[test]
    fn of_two_marked_ones_the_wanted_one_is_found() {
        let all = [sub("+70000000001", "1"), sub("+70000000002", "2")];
        let marked: Vec<_> =
            all.iter().zip(1..).map(|(sub, at)| (mark("phone", at, sub.digest()), Some(sub.clone()))).collect();
        for wanted in &all {
            assert_eq!(pick(Some(&want(&wanted.endpoint)), &marked, &all).as_ref(), Some(wanted));
        }
        assert_eq!(pick(None, &marked, &all).as_ref(), Some(&all[0]));
    }

    #[test]
    fn a_digest_stands_for_the_only_one_it_fits() {
        let all = [sub("+70000000001", "1"), sub("+70000000002", "2")];
        let by = |digest: &Which| by_digest("phone", digest, None, &[], &all).unwrap();
        assert_eq!(by(&all[0].digest()), Some(&all[0]));
        assert_eq!(by(&sub("+70000000003", "").digest()), None);
    }

    #[test]
    fn where_two_fit_only_the_endpoint_or_another_mark_decides() {
        let (first, other) = twins();
        let (digest, all) = (first.digest(), [first, other]);
        let mut marks = vec![mark("phone", 1, digest.clone())];
        let error = by_digest("phone", &digest, None, &marks, &all).unwrap_err();
        assert!(error.message.contains("`stackctl:sub:phone:1`"), "{error}");
        assert!(error.hint.unwrap().contains("--adopt"));
        assert!(by_digest("phone", &digest, Some(&want("+70000000001")), &marks, &all).is_err());
        for wanted in &all {
            let found = by_digest("phone", &digest, Some(&want(&wanted.endpoint)), &marks, &all).unwrap();
            assert_eq!(found, Some(wanted));
        }
        marks.push(mark("other", 1, all[0].id().unwrap()));
        assert_eq!(by_digest("phone", &digest, None, &marks, &all).unwrap(), Some(&all[1]));
    }

    #[test]
    fn a_mark_that_stands_for_nothing_is_used_again() {
        let live = sub("+70000000001", "1");
        let marks = [mark("phone", 1, live.id().unwrap()), mark("phone", 2, Which::Id("gone".into()))];
        let marked = [(marks[0].clone(), Some(live)), (marks[1].clone(), None)];
        assert_eq!(number_for("phone", &marked, &marks), 2);
        assert_eq!(number_for("phone", &marked[..1], &marks[..1]), 2);
        assert_eq!(number_for("other", &[], &marks), 1);
    }
}
