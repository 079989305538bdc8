//! Subscriptions: `facts/aws.md` 10b.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::local::store::Table;
use crate::local::{Call, Fault, Tx, Xml};

use super::topic::{self, Topic};
use super::{Operation, endpoint, entries, filter, invalid, map, not_found, outbox, page, required};

/// Subscriptions by ARN.
const SUBSCRIPTIONS: Table = Table::regional("sns.subscription");

/// How long a token of a pending subscription is good: two days.
const TOKEN_LIFE: i64 = 2 * 24 * 60 * 60 * 1000;

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("Subscribe", subscribe),
    ("ConfirmSubscription", confirm),
    ("Unsubscribe", unsubscribe),
    ("GetSubscriptionAttributes", get_attributes),
    ("SetSubscriptionAttributes", set_attribute),
    ("ListSubscriptions", list),
    ("ListSubscriptionsByTopic", list_by_topic),
];

/// One subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Subscription {
    pub(super) arn: String,
    pub(super) topic: String,
    pub(super) protocol: String,
    pub(super) endpoint: String,
    /// What confirms it, while nobody has.
    pub(super) token: Option<String>,
    pub(super) created: i64,
    pub(super) authenticated: bool,
    pub(super) attributes: BTreeMap<String, String>,
}

fn all(tx: &Tx<'_>) -> Result<Vec<(String, Subscription)>, Fault> {
    tx.list(SUBSCRIPTIONS)
}

/// Returns the subscriptions of a topic.
pub(super) fn of_topic(tx: &Tx<'_>, topic: &str) -> Result<Vec<(String, Subscription)>, Fault> {
    let mut found = all(tx)?;
    found.retain(|(_, subscription)| subscription.topic == topic);
    Ok(found)
}

/// Counts the confirmed and the pending subscriptions of a topic.
pub(super) fn count(tx: &Tx<'_>, topic: &str) -> Result<(usize, usize), Fault> {
    let all = of_topic(tx, topic)?;
    let pending = all.iter().filter(|(_, subscription)| subscription.token.is_some()).count();
    Ok((all.len() - pending, pending))
}

/// Deletes the subscriptions of a topic that is going away.
pub(super) fn forget(tx: &mut Tx<'_>, topic: &str) -> Result<(), Fault> {
    for (arn, _) in of_topic(tx, topic)? {
        tx.delete(SUBSCRIPTIONS, &arn)?;
    }
    Ok(())
}

fn subscribe(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let topic = topic::named(tx, call, "TopicArn")?;
    let protocol = required(call, "Protocol")?;
    let place = required(call, "Endpoint")?;
    endpoint::check(&topic, protocol, place)?;
    let attributes = wanted(tx, call, protocol)?;
    let same = |other: &Subscription| other.protocol == protocol && other.endpoint == place;
    let existing = of_topic(tx, &topic.arn)?.into_iter().map(|(_, other)| other).find(same);
    let subscription = match existing {
        Some(existing) => unchanged(existing, &attributes)?,
        None => create(tx, call, &topic, attributes)?,
    };
    let tells_arn = call.params().get("ReturnSubscriptionArn") == Some("true") || subscription.token.is_none();
    let told = if tells_arn { &subscription.arn } else { "pending confirmation" };
    Ok(Xml::new().text("SubscriptionArn", told))
}

fn wanted(tx: &Tx<'_>, call: &Call, protocol: &str) -> Result<BTreeMap<String, String>, Fault> {
    let mut wanted = BTreeMap::new();
    for (name, value) in entries(call, "Attributes") {
        let kept = filter::check(tx, protocol, &name, Some(&value)).map_err(|fault| {
            let reason = fault.message.trim_start_matches("Invalid parameter: ").to_owned();
            invalid(format!("Attributes Reason: {reason}"))
        })?;
        wanted.extend(kept.map(|value| (name, value)));
    }
    filter::check_together(&wanted)?;
    if protocol == "firehose" && !wanted.contains_key("SubscriptionRoleArn") {
        return Err(invalid("Attributes Reason: SubscriptionRoleArn is required for the protocol firehose"));
    }
    Ok(wanted)
}

fn unchanged(existing: Subscription, wanted: &BTreeMap<String, String>) -> Result<Subscription, Fault> {
    let equal = |name: &str, value: &str| match existing.attributes.get(name) {
        Some(found) => found == value || (value.starts_with('{') && json_equal(found, value)),
        None => value == default(name),
    };
    if wanted.iter().all(|(name, value)| equal(name, value)) {
        return Ok(existing);
    }
    Err(invalid("Attributes Reason: Subscription already exists with different attributes"))
}

fn json_equal(one: &str, other: &str) -> bool {
    let parsed = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    parsed(one).is_some() && parsed(one) == parsed(other)
}

fn default(name: &str) -> &'static str {
    match name {
        "RawMessageDelivery" => "false",
        "FilterPolicyScope" => "MessageAttributes",
        _ => "",
    }
}

fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    topic: &Topic,
    attributes: BTreeMap<String, String>,
) -> Result<Subscription, Fault> {
    let (protocol, place) = (required(call, "Protocol")?, required(call, "Endpoint")?);
    let arn = format!("{}:{}", topic.arn, uuid::Uuid::new_v4());
    let pending = endpoint::must_confirm(call, protocol, place);
    let token = pending.then(|| URL_SAFE_NO_PAD.encode(Sha256::digest(&arn)));
    if let Some(token) = &token {
        let text = format!("Confirm the subscription to the topic {} with the token {token}", topic.arn);
        let subject = "AWS Notification - Subscription Confirmation";
        outbox::keep(tx, call, &outbox::Sent::new(&topic.arn, protocol, place, Some(subject), &text))?;
    }
    let subscription = Subscription {
        arn: arn.clone(),
        topic: topic.arn.clone(),
        protocol: protocol.to_owned(),
        endpoint: place.to_owned(),
        token,
        created: call.now,
        authenticated: !pending,
        attributes,
    };
    tx.put(SUBSCRIPTIONS, &arn, &subscription)?;
    Ok(subscription)
}

fn confirm(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let topic = topic::named(tx, call, "TopicArn")?;
    let token = required(call, "Token")?;
    let pending = of_topic(tx, &topic.arn)?.into_iter().map(|(_, subscription)| subscription);
    let mut pending = pending.filter(|subscription| subscription.token.as_deref() == Some(token));
    let mut subscription = pending.next().ok_or_else(|| invalid("Token"))?;
    if call.now - subscription.created > TOKEN_LIFE {
        return Err(invalid("Token Reason: the token has expired"));
    }
    subscription.token = None;
    subscription.authenticated = call.params().get("AuthenticateOnUnsubscribe") == Some("true");
    tx.put(SUBSCRIPTIONS, &subscription.arn, &subscription)?;
    Ok(Xml::new().text("SubscriptionArn", &subscription.arn))
}

fn named(tx: &Tx<'_>, call: &Call) -> Result<Subscription, Fault> {
    let arn = required(call, "SubscriptionArn")?;
    let parts = arn.split(':').count();
    if parts < 6 {
        return Err(invalid(format!("SubscriptionArn Reason: An ARN must have at least 6 elements, not {parts}")));
    }
    let topic = arn.rsplit_once(':').map_or(arn, |(topic, _)| topic);
    if parts != 7 {
        return Err(invalid("SubscriptionArn"));
    }
    topic::check_arn(call, "SubscriptionArn", topic)?;
    tx.get(SUBSCRIPTIONS, arn)?.ok_or_else(|| not_found("Subscription does not exist"))
}

fn unsubscribe(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let subscription = named(tx, call)?;
    if subscription.token.is_some() {
        return Err(invalid("SubscriptionArn Reason: Cannot unsubscribe a subscription that is pending confirmation"));
    }
    tx.delete(SUBSCRIPTIONS, &subscription.arn)?;
    Ok(Xml::new())
}

fn get_attributes(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let subscription = named(tx, call)?;
    let mut all: BTreeMap<String, String> = [
        ("SubscriptionArn", subscription.arn.clone()),
        ("TopicArn", subscription.topic.clone()),
        ("Owner", call.account.clone()),
        ("Protocol", subscription.protocol.clone()),
        ("Endpoint", subscription.endpoint.clone()),
        ("PendingConfirmation", subscription.token.is_some().to_string()),
        ("ConfirmationWasAuthenticated", subscription.authenticated.to_string()),
        ("RawMessageDelivery", "false".to_owned()),
        ("SubscriptionPrincipal", format!("arn:aws:iam::{}:root", call.account)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    all.extend(subscription.attributes);
    if all.contains_key("FilterPolicy") {
        all.entry("FilterPolicyScope".to_owned()).or_insert_with(|| default("FilterPolicyScope").to_owned());
    } else {
        all.remove("FilterPolicyScope");
    }
    if let Some(policy) = all.get("DeliveryPolicy").cloned() {
        all.insert("EffectiveDeliveryPolicy".to_owned(), policy);
    }
    Ok(map("Attributes", &all))
}

fn set_attribute(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut subscription = named(tx, call)?;
    let name = required(call, "AttributeName")?;
    let kept = filter::check(tx, &subscription.protocol, name, call.params().get("AttributeValue"))?;
    match kept {
        Some(value) => subscription.attributes.insert(name.to_owned(), value),
        None => subscription.attributes.remove(name),
    };
    filter::check_together(&subscription.attributes)?;
    tx.put(SUBSCRIPTIONS, &subscription.arn, &subscription)?;
    Ok(Xml::new())
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let found = all(tx)?;
    listed(call, found)
}

fn list_by_topic(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let topic = topic::named(tx, call, "TopicArn")?;
    let found = of_topic(tx, &topic.arn)?;
    listed(call, found)
}

fn listed(call: &Call, found: Vec<(String, Subscription)>) -> Result<Xml, Fault> {
    let (found, tail) = page(call, found)?;
    let members = found.iter().map(|subscription| {
        // Lists hide the ARN of what nobody has confirmed.
        let arn = if subscription.token.is_some() { "PendingConfirmation" } else { &subscription.arn };
        Xml::new()
            .text("TopicArn", &subscription.topic)
            .text("Protocol", &subscription.protocol)
            .text("SubscriptionArn", arn)
            .text("Owner", &call.account)
            .text("Endpoint", &subscription.endpoint)
    });
    Ok(Xml::new().list("Subscriptions", "member", members).and(tail))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, TOPIC, value};

    const SMS: [(&str, &str); 4] =
        [("TopicArn", TOPIC), ("Protocol", "sms"), ("Endpoint", "+12025550123"), ("ReturnSubscriptionArn", "true")];
    const EMAIL: [(&str, &str); 3] = [("TopicArn", TOPIC), ("Protocol", "email"), ("Endpoint", "a@example.com")];
    const QUEUE: [(&str, &str); 3] =
        [("TopicArn", TOPIC), ("Protocol", "sqs"), ("Endpoint", "arn:aws:sqs:us-east-1:000000000000:q")];

    fn arn(answer: &str) -> String {
        answer.trim_start_matches("<SubscriptionArn>").trim_end_matches("</SubscriptionArn>").to_owned()
    }

    fn attributes(bench: &Bench, arn: &str) -> String {
        bench.ok("GetSubscriptionAttributes", &[("SubscriptionArn", arn)])
    }

    #[test]
    fn subscribing_again_gives_the_same_subscription() {
        let bench = Bench::with_topic();
        let first = bench.ok("Subscribe", &SMS);
        assert!(arn(&first).starts_with(&format!("{TOPIC}:")));
        assert_eq!(bench.ok("Subscribe", &SMS), first);
        let all = attributes(&bench, &arn(&first));
        assert_eq!(value(&all, "PendingConfirmation").as_deref(), Some("false"));
        assert_eq!(value(&all, "Endpoint").as_deref(), Some("+12025550123"));
        assert_eq!(value(&all, "FilterPolicyScope"), None);
    }

    #[test]
    fn other_attributes_of_the_same_subscription_are_refused() {
        let bench = Bench::with_topic();
        bench.ok("Subscribe", &QUEUE);
        let raw = [("Attributes.entry.1.key", "RawMessageDelivery"), ("Attributes.entry.1.value", "true")];
        let fault = bench.refused("Subscribe", &[&QUEUE[..], &raw].concat());
        let told = "Invalid parameter: Attributes Reason: Subscription already exists with different attributes";
        assert_eq!(fault.message, told);
    }

    #[test]
    fn mail_waits_for_its_confirmation() {
        let bench = Bench::with_topic();
        assert_eq!(arn(&bench.ok("Subscribe", &EMAIL)), "pending confirmation");
        let real = arn(&bench.ok("Subscribe", &[&EMAIL[..], &SMS[3..]].concat()));
        assert!(bench.ok("ListSubscriptionsByTopic", &[("TopicArn", TOPIC)]).contains(">PendingConfirmation<"));
        let fault = bench.refused("Unsubscribe", &[("SubscriptionArn", &real)]);
        assert!(fault.message.contains("Cannot unsubscribe a subscription that is pending confirmation"));
        assert_eq!(bench.code("Unsubscribe", &[("SubscriptionArn", "PendingConfirmation")]), "InvalidParameter");
        let sent: Vec<(String, serde_json::Value)> = bench.read(|tx| tx.list(super::outbox::OUTBOX));
        let token = sent[0].1["message"].as_str().unwrap().rsplit_once(' ').unwrap().1.to_owned();
        assert_eq!(bench.code("ConfirmSubscription", &[("TopicArn", TOPIC), ("Token", "x")]), "InvalidParameter");
        let confirmed = bench.ok("ConfirmSubscription", &[("TopicArn", TOPIC), ("Token", &token)]);
        assert_eq!(arn(&confirmed), real);
        assert!(bench.ok("ListSubscriptions", &[]).contains(&real));
        bench.ok("Unsubscribe", &[("SubscriptionArn", &real)]);
        assert_eq!(bench.code("Unsubscribe", &[("SubscriptionArn", &real)]), "NotFound");
    }

    #[test]
    fn topics_count_their_subscriptions() {
        let bench = Bench::with_topic();
        bench.ok("Subscribe", &SMS);
        bench.ok("Subscribe", &EMAIL);
        let all = bench.ok("GetTopicAttributes", &[("TopicArn", TOPIC)]);
        assert_eq!(value(&all, "SubscriptionsConfirmed").as_deref(), Some("1"));
        assert_eq!(value(&all, "SubscriptionsPending").as_deref(), Some("1"));
    }

    #[test]
    fn the_scope_is_shown_only_beside_a_filter() {
        let bench = Bench::with_topic();
        let real = arn(&bench.ok("Subscribe", &QUEUE));
        let set = |name: &str, text: &str| {
            bench.run(
                "SetSubscriptionAttributes",
                &[("SubscriptionArn", &real), ("AttributeName", name), ("AttributeValue", text)],
            )
        };
        let scope = || value(&attributes(&bench, &real), "FilterPolicyScope");
        set("FilterPolicyScope", "MessageBody").unwrap();
        assert_eq!(scope(), None);
        set("FilterPolicy", r#"{"a":{"b":["c"]}}"#).unwrap();
        assert_eq!(scope().as_deref(), Some("MessageBody"));
        assert_eq!(set("FilterPolicyScope", "MessageAttributes").unwrap_err().code, "InvalidParameter");
        set("FilterPolicy", "{}").unwrap();
        assert_eq!(scope(), None);
    }

    #[test]
    fn firehose_needs_a_role_that_trusts_the_service() {
        let bench = Bench::with_topic();
        bench.with_role("deliver", "sns.amazonaws.com");
        let stream = [
            ("TopicArn", TOPIC),
            ("Protocol", "firehose"),
            ("Endpoint", "arn:aws:firehose:us-east-1:000000000000:deliverystream/d"),
        ];
        let with = |role: &str| {
            let role = [("Attributes.entry.1.key", "SubscriptionRoleArn"), ("Attributes.entry.1.value", role)];
            bench.run("Subscribe", &[&stream[..], &role].concat()).map_err(|fault| fault.code)
        };
        assert_eq!(bench.code("Subscribe", &stream), "InvalidParameter");
        assert_eq!(with("arn:aws:iam::000000000000:role/none"), Err("InvalidParameter".to_owned()));
        assert!(with("arn:aws:iam::000000000000:role/deliver").is_ok());
    }

    #[test]
    fn missing_topics_and_subscriptions_are_not_found() {
        let bench = Bench::new();
        assert_eq!(bench.code("Subscribe", &SMS), "NotFound");
        let arn = format!("{TOPIC}:6f1e0d3c-0000-4000-8000-000000000000");
        assert_eq!(bench.code("GetSubscriptionAttributes", &[("SubscriptionArn", &arn)]), "NotFound");
        assert_eq!(bench.code("GetSubscriptionAttributes", &[("SubscriptionArn", "x")]), "InvalidParameter");
    }
}
