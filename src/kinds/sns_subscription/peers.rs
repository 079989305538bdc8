//! Subscriptions in Terraform: `aws_sns_topic_subscription`.

use serde_json::{Map, Value};

use crate::kind::{Attributes, CloudFormation, Draft, Found, Import, Peers, Piece, TagForm, Terraform, properties};

pub(super) const PEERS: Peers = Peers {
    terraform: Some(Terraform {
        types: &["aws_sns_topic_subscription"],
        parts: &[],
        name: "",
        outputs: &[("arn", "arn")],
        names: &[],
        physical: &["arn"],
        read,
        imports,
    }),
    cloudformation: Some(CloudFormation {
        kind: "AWS::SNS::Subscription",
        identifier: ("Arn", "arn"),
        tags: TagForm::None,
        refuses: refusal,
        properties: describe,
    }),
};

fn read(from: Attributes<'_>, _: &[Piece<'_>], draft: &mut Draft) {
    draft.copy(
        from,
        &[
            ("topic_arn", "topic_arn"),
            ("protocol", "protocol"),
            ("endpoint", "endpoint"),
            ("filter_policy_scope", "filter_policy_scope"),
            ("raw_message_delivery", "raw_message_delivery"),
            ("subscription_role_arn", "subscription_role_arn"),
        ],
    );
    let documents = ["filter_policy", "redrive_policy", "delivery_policy", "replay_policy"];
    draft.copy_documents(from, &documents.map(|name| (name, name)));
    if is_private(from.text("protocol").unwrap_or_default(), from.text("endpoint").unwrap_or_default()) {
        draft.secrets.push("endpoint".to_owned());
    }
}

/// Tells whether an endpoint is somebody's own, or a URL that may hold a token.
fn is_private(protocol: &str, endpoint: &str) -> bool {
    protocol == "sms" || (protocol.starts_with("http") && endpoint.contains(['@', '?']))
}

fn imports(found: &Found) -> Vec<Import> {
    let arn = found.outputs.get("arn").and_then(Value::as_str);
    arn.map(|arn| Import::whole("aws_sns_topic_subscription", arn)).unwrap_or_default()
}

fn describe(found: &Found) -> Map<String, Value> {
    let fields = [
        ("topic_arn", "TopicArn"),
        ("protocol", "Protocol"),
        ("endpoint", "Endpoint"),
        ("raw_message_delivery", "RawMessageDelivery"),
        ("subscription_role_arn", "SubscriptionRoleArn"),
    ];
    let mut all = properties(found, &fields);
    let documents = [
        ("filter_policy", "FilterPolicy"),
        ("redrive_policy", "RedrivePolicy"),
        ("delivery_policy", "DeliveryPolicy"),
        ("replay_policy", "ReplayPolicy"),
    ];
    for (field, property) in documents {
        all.extend(
            found.spec.get(field).filter(|value| !value.is_null()).map(|value| (property.to_owned(), value.clone())),
        );
    }
    if all.contains_key("FilterPolicy") {
        all.extend(properties(found, &[("filter_policy_scope", "FilterPolicyScope")]));
    }
    all
}

fn refusal(found: &Found) -> Option<&'static str> {
    (found.outputs.get("arn").is_none_or(Value::is_null)).then_some("nobody has confirmed it yet")
}
