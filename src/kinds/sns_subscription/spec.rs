//! What a subscription is like, its checks and its attributes (SNS API, `SetSubscriptionAttributes`).

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Attributes;
use super::address::canonical;
use super::find::Sub;
use crate::kind::{Fault, Result};
use crate::kinds::json::{JsonObject, object};

/// What a subscription is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// ARN of the topic.
    #[schemars(extend("x-immutable" = true, "x-loses" = "sns_topic"))]
    pub topic_arn: String,
    /// Way of delivery.
    #[schemars(extend("x-immutable" = true))]
    pub protocol: Protocol,
    /// Where to deliver: a phone number in E.164 form, an address, a URL or an ARN, as the protocol asks.
    #[schemars(extend("x-immutable" = true))]
    pub endpoint: String,
    /// Which messages are delivered, as a filter policy; unset for all.
    #[serde(default, deserialize_with = "object")]
    pub filter_policy: Option<JsonObject>,
    /// What the filter policy looks at.
    #[serde(default)]
    pub filter_policy_scope: FilterScope,
    /// Whether the message is delivered as it was published, without SNS's envelope.
    #[serde(default)]
    pub raw_message_delivery: bool,
    /// Where to put what cannot be delivered, as `{deadLetterTargetArn: <queue ARN>}`; unset for nowhere.
    #[serde(default, deserialize_with = "object")]
    pub redrive_policy: Option<JsonObject>,
    /// How deliveries to HTTP endpoints are retried; unset for the topic's way.
    #[serde(default, deserialize_with = "object")]
    pub delivery_policy: Option<JsonObject>,
    /// Messages of a FIFO topic's archive to deliver again, as `{PointType: Timestamp, StartingPoint: …}`.
    #[serde(default, deserialize_with = "object")]
    pub replay_policy: Option<JsonObject>,
    /// ARN of the role with which SNS writes to a Firehose stream.
    #[serde(default)]
    pub subscription_role_arn: Option<String>,
}

/// Ways of delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// A mobile app; the endpoint is its ARN.
    Application,
    /// E-mail, after its owner has confirmed.
    Email,
    /// E-mail with the message as JSON, after its owner has confirmed.
    EmailJson,
    /// An Amazon Data Firehose stream.
    Firehose,
    /// A web server, after it has confirmed.
    Http,
    /// A web server with TLS, after it has confirmed.
    Https,
    /// A Lambda function, which must permit SNS to invoke it.
    Lambda,
    /// Text messages.
    Sms,
    /// An SQS queue, whose policy must let SNS send to it.
    Sqs,
}

/// What a filter policy looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum FilterScope {
    /// The attributes of a message.
    #[default]
    MessageAttributes,
    /// The body of a message, which must be JSON.
    MessageBody,
}

impl Protocol {
    const ALL: [Self; 9] = [
        Self::Application,
        Self::Email,
        Self::EmailJson,
        Self::Firehose,
        Self::Http,
        Self::Https,
        Self::Lambda,
        Self::Sms,
        Self::Sqs,
    ];

    /// Returns SNS's word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Email => "email",
            Self::EmailJson => "email-json",
            Self::Firehose => "firehose",
            Self::Http => "http",
            Self::Https => "https",
            Self::Lambda => "lambda",
            Self::Sms => "sms",
            Self::Sqs => "sqs",
        }
    }

    /// Reads SNS's word.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.word() == word)
    }

    /// Tells whether an endpoint fits, and if not, how one looks.
    fn endpoint_fault(self, endpoint: &str) -> Option<&'static str> {
        let arn = |service: &str| endpoint.starts_with("arn:") && endpoint.split(':').nth(2) == Some(service);
        let (fits, form) = match self {
            Self::Application => (arn("sns"), "the ARN of an application endpoint, arn:aws:sns:…:endpoint/…"),
            Self::Firehose => (arn("firehose"), "the ARN of a Firehose stream, arn:aws:firehose:…"),
            Self::Lambda => (arn("lambda"), "the ARN of a function, arn:aws:lambda:…"),
            Self::Sqs => (arn("sqs"), "the ARN of a queue, arn:aws:sqs:…"),
            Self::Http => (endpoint.starts_with("http://"), "a URL that begins with http://"),
            Self::Https => (endpoint.starts_with("https://"), "a URL that begins with https://"),
            Self::Email | Self::EmailJson => (is_address(endpoint), "an e-mail address"),
            Self::Sms => (is_phone(endpoint), "a phone number in E.164 form, + and country code first: +79990000000"),
        };
        (!fits).then_some(form)
    }
}

fn is_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split('@').collect();
    matches!(parts[..], [name, host] if !name.is_empty() && !host.is_empty()) && !text.contains(char::is_whitespace)
}

fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0')
}

impl Spec {
    /// Tells whether both are of the same subscription: by topic, protocol and endpoint, which SNS has no second one of.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let place = |spec: &Self| canonical(spec.protocol, &spec.endpoint);
        self.topic_arn == other.topic_arn && self.protocol == other.protocol && place(self) == place(other)
    }

    /// Lists what types cannot say.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let protocol = self.protocol.word();
        if !self.endpoint.contains("${")
            && let Some(form) = self.protocol.endpoint_fault(&self.endpoint)
        {
            let fault = Fault::new("endpoint", format!("this is no endpoint of protocol {protocol}"));
            faults.push(fault.help(format!("write {form}")));
        }
        if !self.topic_arn.contains("${") && self.topic_arn.split(':').nth(2) != Some("sns") {
            faults.push(Fault::new("topic_arn", "this is no ARN of a topic").help("write ${<id of the topic>.arn}"));
        }
        if self.filter_policy_scope == FilterScope::MessageBody && self.filter_policy.is_none() {
            faults.push(Fault::new("filter_policy_scope", "without filter_policy there is nothing to scope"));
        }
        let raw = [Protocol::Sqs, Protocol::Http, Protocol::Https, Protocol::Firehose].contains(&self.protocol);
        if self.raw_message_delivery && !raw {
            let fault = Fault::new("raw_message_delivery", format!("protocol {protocol} has no raw delivery"));
            faults.push(fault.help("it is for sqs, http, https and firehose"));
        }
        let firehose = self.protocol == Protocol::Firehose;
        if firehose != self.subscription_role_arn.is_some() {
            let text = if firehose { "protocol firehose needs a role" } else { "only protocol firehose takes a role" };
            faults.push(Fault::new("subscription_role_arn", text));
        }
        faults
    }
}

/// Writes the attributes of a subscription; what is unset is absent.
pub(super) fn attributes(spec: &Spec) -> Attributes {
    let text = |object: &Option<JsonObject>| object.as_ref().map(JsonObject::to_text);
    let scope = match spec.filter_policy_scope {
        FilterScope::MessageAttributes => "MessageAttributes",
        FilterScope::MessageBody => "MessageBody",
    };
    let all = [
        ("FilterPolicy", text(&spec.filter_policy)),
        ("FilterPolicyScope", spec.filter_policy.as_ref().map(|_| scope.to_owned())),
        ("RawMessageDelivery", spec.raw_message_delivery.then(|| "true".to_owned())),
        ("RedrivePolicy", text(&spec.redrive_policy)),
        ("DeliveryPolicy", text(&spec.delivery_policy)),
        ("ReplayPolicy", text(&spec.replay_policy)),
        ("SubscriptionRoleArn", spec.subscription_role_arn.clone()),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Reads the attributes of a subscription whose triple is known.
pub(super) fn from_attributes(triple: &Spec, attributes: &HashMap<String, String>) -> Result<Spec> {
    let object = |name: &str| JsonObject::from_answer(attributes.get(name));
    let filter_policy = object("FilterPolicy")?;
    let by_body = attributes.get("FilterPolicyScope").is_some_and(|scope| scope == "MessageBody");
    let filter_policy_scope =
        if by_body && filter_policy.is_some() { FilterScope::MessageBody } else { FilterScope::MessageAttributes };
    Ok(Spec {
        topic_arn: triple.topic_arn.clone(),
        protocol: triple.protocol,
        endpoint: triple.endpoint.clone(),
        filter_policy,
        filter_policy_scope,
        raw_message_delivery: attributes.get("RawMessageDelivery").is_some_and(|text| text == "true"),
        redrive_policy: object("RedrivePolicy")?,
        delivery_policy: object("DeliveryPolicy")?,
        replay_policy: object("ReplayPolicy")?,
        subscription_role_arn: attributes.get("SubscriptionRoleArn").filter(|text| !text.is_empty()).cloned(),
    })
}

/// Describes a pending subscription, of which only the triple is sure to be read: the rest is taken as wanted.
pub(super) fn pending(sub: &Sub, want: Option<&Spec>) -> Spec {
    let bare = bare(sub);
    match want {
        Some(want) => {
            Spec { topic_arn: bare.topic_arn, protocol: bare.protocol, endpoint: bare.endpoint, ..want.clone() }
        }
        None => bare,
    }
}

/// Describes a subscription of which nothing but the triple is known.
pub(super) fn bare(sub: &Sub) -> Spec {
    Spec {
        topic_arn: sub.topic.clone(),
        protocol: sub.protocol,
        endpoint: sub.endpoint.clone(),
        filter_policy: None,
        filter_policy_scope: FilterScope::default(),
        raw_message_delivery: false,
        redrive_policy: None,
        delivery_policy: None,
        replay_policy: None,
        subscription_role_arn: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(protocol: &str, endpoint: &str) -> Spec {
        let topic = "arn:aws:sns:us-east-1:123456789012:t";
        serde_json::from_value(json!({"topic_arn": topic, "protocol": protocol, "endpoint": endpoint})).unwrap()
    }

    fn paths(spec: &Spec) -> Vec<String> {
        spec.faults().into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn endpoints_fit_their_protocols() {
        let fits = [
            ("sms", "+79990000000"),
            ("sms", "${var.phone}"),
            ("email", "a@b.c"),
            ("https", "https://x"),
            ("sqs", "arn:aws:sqs:us-east-1:123456789012:q"),
        ];
        for (protocol, endpoint) in fits {
            assert_eq!(paths(&spec(protocol, endpoint)), [""; 0], "{protocol} {endpoint}");
        }
        let wrong = [
            ("sms", "89990000000"),
            ("sms", "+7 999 000 00 00"),
            ("email", "a b@c"),
            ("http", "https://x"),
            ("sqs", "arn:aws:sns:us-east-1:123456789012:q"),
        ];
        for (protocol, endpoint) in wrong {
            assert_eq!(paths(&spec(protocol, endpoint)), ["endpoint"], "{protocol} {endpoint}");
        }
    }

    #[test]
    fn settings_that_a_protocol_does_not_have_are_refused() {
        let phone = spec("sms", "+79990000000");
        assert_eq!(paths(&Spec { raw_message_delivery: true, ..phone.clone() }), ["raw_message_delivery"]);
        assert_eq!(
            paths(&Spec { subscription_role_arn: Some("r".into()), ..phone.clone() }),
            ["subscription_role_arn"]
        );
        assert_eq!(paths(&spec("firehose", "arn:aws:firehose:x")), ["subscription_role_arn"]);
        assert_eq!(paths(&Spec { filter_policy_scope: FilterScope::MessageBody, ..phone }), ["filter_policy_scope"]);
    }

    #[test]
    fn attributes_read_back() {
        let full = Spec {
            filter_policy: Some(JsonObject::from_text(r#"{"a": ["b"]}"#).unwrap()),
            filter_policy_scope: FilterScope::MessageBody,
            raw_message_delivery: true,
            redrive_policy: Some(JsonObject::from_text(r#"{"deadLetterTargetArn": "q"}"#).unwrap()),
            ..spec("sqs", "arn:aws:sqs:x")
        };
        let written: HashMap<_, _> = attributes(&full).into_iter().collect();
        assert_eq!(from_attributes(&full, &written).unwrap(), full);
        let bare = spec("sqs", "arn:aws:sqs:x");
        assert_eq!(from_attributes(&full, &attributes(&bare).into_iter().collect()).unwrap(), bare);
    }
}
