//! Topics and their attributes: `facts/aws.md` 10a.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::local::store::Table;
use crate::local::{Call, Fault, Tx, Xml};

use super::{Operation, attribute, entries, invalid, map, not_found, page, required, subscription, tags};

/// Topics by ARN.
pub(crate) const TOPICS: Table = Table::regional("sns.topic");

const MOST_STANDARD: usize = 100_000;
const MOST_FIFO: usize = 1000;

const DELIVERY: &str = r#"{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3,"numMaxDelayRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"},"disableSubscriptionOverrides":false,"defaultRequestPolicy":{"headerContentType":"text/plain; charset=UTF-8"}}}"#;

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("CreateTopic", create),
    ("DeleteTopic", delete),
    ("ListTopics", list),
    ("GetTopicAttributes", get_attributes),
    ("SetTopicAttributes", set_attribute),
    ("GetDataProtectionPolicy", no_data_protection),
];

/// One topic.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Topic {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) created: i64,
    pub(super) tags: BTreeMap<String, String>,
    /// Attributes that were set; others have their defaults.
    pub(super) attributes: BTreeMap<String, String>,
}

impl Topic {
    /// Tells whether the topic keeps the order of messages.
    pub(super) fn is_fifo(&self) -> bool {
        self.attributes.get("FifoTopic").is_some_and(|value| value == "true")
    }
}

/// Tells whether the name or ARN of a topic or queue is that of one that keeps the order of messages.
pub(super) fn is_fifo_name(name: &str) -> bool {
    name.strip_suffix(".fifo").is_some()
}

/// Checks that an ARN is one of a topic that this caller may own.
pub(super) fn check_arn(call: &Call, field: &str, arn: &str) -> Result<(), Fault> {
    let parts: Vec<_> = arn.split(':').collect();
    let ["arn", _, "sns", region, account, name] = parts.as_slice() else {
        let text = format!("{field} Reason: An ARN must have at least 6 elements, not {}", parts.len());
        return Err(invalid(if parts.len() < 6 { text } else { field.to_owned() }));
    };
    if name.is_empty() || *region != call.region {
        return Err(invalid(field));
    }
    if *account != call.account {
        let text = format!(
            "User: arn:aws:iam::{}:root is not authorized to perform: SNS:{} on resource: {arn}",
            call.account, call.operation
        );
        return Err(Fault::with_status(403, "AuthorizationError", text));
    }
    Ok(())
}

/// Returns the topic with the ARN in a field of the call.
pub(super) fn named(tx: &Tx<'_>, call: &Call, field: &str) -> Result<Topic, Fault> {
    let arn = required(call, field)?;
    check_arn(call, field, arn)?;
    tx.get(TOPICS, arn)?.ok_or_else(|| not_found("Topic does not exist"))
}

/// Returns the policy that was set for a topic. The one that every topic begins with speaks only of the account's
/// own services (`AWS:SourceOwner`).
pub(crate) fn policy(tx: &Tx<'_>, arn: &str) -> Result<Option<serde_json::Value>, Fault> {
    let topic: Option<Topic> = tx.get(TOPICS, arn)?;
    let text = topic.and_then(|topic| topic.attributes.get("Policy").cloned());
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

fn create(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let name = required(call, "Name")?;
    let given: BTreeMap<_, _> = entries(call, "Attributes").into_iter().collect();
    check_name(name, given.get("FifoTopic").map(String::as_str))?;
    let arn = call.arn("sns", name);
    let tags = tags::given(call)?;
    let mut wanted = BTreeMap::new();
    for (attribute, value) in given {
        let value = attribute::check_created(tx, call, name, &attribute, &value)?;
        wanted.insert(attribute, value);
    }
    let answer = Xml::new().text("TopicArn", &arn);
    if let Some(topic) = tx.get::<Topic>(TOPICS, &arn)? {
        return same(&topic, &wanted, &tags).map(|()| answer);
    }
    check_quota(tx, name)?;
    wanted.retain(|_, value| !value.is_empty());
    let topic = Topic { arn: arn.clone(), name: name.to_owned(), created: call.now, tags, attributes: wanted };
    tx.put(TOPICS, &arn, &topic)?;
    Ok(answer)
}

fn check_name(name: &str, fifo: Option<&str>) -> Result<(), Fault> {
    let plain = name.strip_suffix(".fifo");
    let base = plain.unwrap_or(name);
    let fits = base.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter));
    let fits = fits && !base.is_empty() && name.len() <= 256;
    match (plain.is_some(), fifo == Some("true")) {
        (false, true) => Err(invalid(
            "Fifo Topic names must end with .fifo and must be made up of only uppercase and lowercase ASCII letters, \
             numbers, underscores, and hyphens, and must be between 1 and 256 characters long.",
        )),
        (ends, fifo) if fits && ends == fifo => Ok(()),
        _ => Err(invalid("Topic Name")),
    }
}

fn same(topic: &Topic, wanted: &BTreeMap<String, String>, tags: &BTreeMap<String, String>) -> Result<(), Fault> {
    let differs = |(name, value): (&String, &String)| {
        let found = topic.attributes.get(name).map_or_else(|| attribute::default(name), String::as_str);
        !attribute::equal(name, found, value)
    };
    if wanted.iter().any(differs) {
        return Err(invalid("Attributes Reason: Topic already exists with different attributes"));
    }
    if !tags.is_empty() && *tags != topic.tags {
        return Err(invalid("Tags Reason: Topic already exists with different tags"));
    }
    Ok(())
}

fn check_quota(tx: &Tx<'_>, name: &str) -> Result<(), Fault> {
    let all: Vec<(String, serde::de::IgnoredAny)> = tx.list(TOPICS)?;
    let fifo = all.iter().filter(|(arn, _)| is_fifo_name(arn)).count();
    let full = if is_fifo_name(name) { fifo >= MOST_FIFO } else { all.len() - fifo >= MOST_STANDARD };
    if full {
        return Err(Fault::with_status(403, "TopicLimitExceeded", "Topic limit exceeded for this account and region"));
    }
    Ok(())
}

fn delete(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let arn = required(call, "TopicArn")?;
    check_arn(call, "TopicArn", arn)?;
    subscription::forget(tx, arn)?;
    tx.delete(TOPICS, arn)?;
    Ok(Xml::new())
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let topics: Vec<(String, serde::de::IgnoredAny)> = tx.list(TOPICS)?;
    let arns = topics.into_iter().map(|(arn, _)| (arn.clone(), arn)).collect();
    let (arns, tail) = page(call, arns)?;
    Ok(Xml::new().list("Topics", "member", arns.iter().map(|arn| Xml::new().text("TopicArn", arn))).and(tail))
}

fn get_attributes(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let topic = named(tx, call, "TopicArn")?;
    let (confirmed, pending) = subscription::count(tx, &topic.arn)?;
    let mut all: BTreeMap<String, String> = [
        ("TopicArn", topic.arn.clone()),
        ("Owner", call.account.clone()),
        ("DisplayName", String::new()),
        ("Policy", default_policy(call, &topic.arn)),
        ("EffectiveDeliveryPolicy", DELIVERY.to_owned()),
        ("SubscriptionsConfirmed", confirmed.to_string()),
        ("SubscriptionsPending", pending.to_string()),
        ("SubscriptionsDeleted", "0".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if topic.is_fifo() {
        all.insert("ContentBasedDeduplication".to_owned(), "false".to_owned());
    }
    if let Some(policy) = topic.attributes.get("DeliveryPolicy") {
        all.insert("EffectiveDeliveryPolicy".to_owned(), policy.clone());
    }
    all.extend(topic.attributes);
    Ok(map("Attributes", &all))
}

/// Returns the policy that a topic has when none was set: its owner may do everything.
fn default_policy(call: &Call, arn: &str) -> String {
    let verbs = [
        "GetTopicAttributes",
        "SetTopicAttributes",
        "AddPermission",
        "RemovePermission",
        "DeleteTopic",
        "Subscribe",
        "ListSubscriptionsByTopic",
        "Publish",
    ];
    let statement = json!({
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": verbs.map(|verb| format!("SNS:{verb}")),
        "Resource": arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": call.account}},
    });
    json!({"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]}).to_string()
}

fn set_attribute(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut topic = named(tx, call, "TopicArn")?;
    let name = required(call, "AttributeName")?;
    let value = call.params().get("AttributeValue").unwrap_or_default();
    let value = attribute::check_changed(tx, call, &topic, name, value)?;
    if value.is_empty() {
        topic.attributes.remove(name);
    } else {
        topic.attributes.insert(name.to_owned(), value);
    }
    tx.put(TOPICS, &topic.arn, &topic)?;
    Ok(Xml::new())
}

fn no_data_protection(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    named(tx, call, "ResourceArn")?;
    Ok(Xml::new().text("DataProtectionPolicy", ""))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, TOPIC, value};

    fn attributes(bench: &Bench) -> String {
        bench.ok("GetTopicAttributes", &[("TopicArn", TOPIC)])
    }

    #[test]
    fn creating_again_gives_the_same_topic() {
        let bench = Bench::new();
        let create = [
            ("Name", "t"),
            ("Tags.member.1.Key", "a"),
            ("Tags.member.1.Value", "b"),
            ("Attributes.entry.1.key", "DisplayName"),
            ("Attributes.entry.1.value", "Airlines"),
        ];
        assert_eq!(bench.ok("CreateTopic", &create), format!("<TopicArn>{TOPIC}</TopicArn>"));
        bench.ok("CreateTopic", &create);
        bench.ok("CreateTopic", &create[..1]);
        let other = [create[0], ("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "other")];
        let fault = bench.refused("CreateTopic", &other);
        assert_eq!(fault.message, "Invalid parameter: Tags Reason: Topic already exists with different tags");
        let other = [create[0], create[3], ("Attributes.entry.1.value", "Trains")];
        let fault = bench.refused("CreateTopic", &other);
        assert_eq!(
            fault.message,
            "Invalid parameter: Attributes Reason: Topic already exists with different attributes"
        );
    }

    #[test]
    fn names_follow_the_rules_of_their_kind() {
        let bench = Bench::new();
        let fifo = |name: &str| {
            bench.run(
                "CreateTopic",
                &[("Name", name), ("Attributes.entry.1.key", "FifoTopic"), ("Attributes.entry.1.value", "true")],
            )
        };
        assert!(fifo("t.fifo").is_ok());
        assert_eq!(fifo("t").unwrap_err().code, "InvalidParameter");
        for name in ["", "a b", "t.fifo", "a.b", &"a".repeat(257)] {
            assert_eq!(bench.code("CreateTopic", &[("Name", name)]), "InvalidParameter", "{name}");
        }
    }

    #[test]
    fn attributes_have_defaults_and_a_policy() {
        let bench = Bench::with_topic();
        let all = attributes(&bench);
        assert_eq!(value(&all, "DisplayName").as_deref(), Some(""));
        assert!(value(&all, "Policy").unwrap().contains("__default_policy_ID"));
        assert_eq!(value(&all, "SignatureVersion"), None);
        bench.ok(
            "SetTopicAttributes",
            &[("TopicArn", TOPIC), ("AttributeName", "DisplayName"), ("AttributeValue", "Z")],
        );
        assert_eq!(value(&attributes(&bench), "DisplayName").as_deref(), Some("Z"));
    }

    #[test]
    fn arns_name_topics_of_this_region_and_account() {
        let bench = Bench::with_topic();
        let code = |arn: &str| bench.code("GetTopicAttributes", &[("TopicArn", arn)]);
        assert_eq!(code("arn:aws:sns:us-east-1:000000000000:other"), "NotFound");
        assert_eq!(code("arn:aws:sns:eu-west-1:000000000000:t"), "InvalidParameter");
        assert_eq!(code("arn:aws:sns:us-east-1:111111111111:t"), "AuthorizationError");
        assert_eq!(code("t"), "InvalidParameter");
    }

    #[test]
    fn deleting_is_idempotent_and_takes_subscriptions_along() {
        let bench = Bench::with_topic();
        bench.ok("Subscribe", &[("TopicArn", TOPIC), ("Protocol", "sms"), ("Endpoint", "+12025550123")]);
        bench.ok("DeleteTopic", &[("TopicArn", TOPIC)]);
        bench.ok("DeleteTopic", &[("TopicArn", TOPIC)]);
        assert!(!bench.ok("ListSubscriptions", &[]).contains("sms"));
        assert_eq!(bench.code("DeleteTopic", &[("TopicArn", "t")]), "InvalidParameter");
    }
}
