//! Between a topic's spec and the names and texts of its attributes (SNS API, `SetTopicAttributes`).

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Logging, Protocol, Spec};
use crate::kind::{KindError, Place, Result};
use crate::kinds::json::JsonObject;
use crate::kinds::policy::PolicyDocument;

/// Attribute of FIFO topics whose default AWS chooses.
pub(super) const SCOPE: &str = "FifoThroughputScope";

/// Actions that SNS's default policy allows.
const DEFAULT_ACTIONS: [&str; 8] = [
    "SNS:GetTopicAttributes",
    "SNS:SetTopicAttributes",
    "SNS:AddPermission",
    "SNS:RemovePermission",
    "SNS:DeleteTopic",
    "SNS:Subscribe",
    "SNS:ListSubscriptionsByTopic",
    "SNS:Publish",
];

impl Protocol {
    const ALL: [Self; 5] = [Self::Application, Self::Firehose, Self::Http, Self::Lambda, Self::Sqs];

    /// Returns the word of stack files.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Firehose => "firehose",
            Self::Http => "http",
            Self::Lambda => "lambda",
            Self::Sqs => "sqs",
        }
    }

    /// Returns the names of its attributes: role for successes, sample rate, role for failures.
    fn attributes(self) -> [&'static str; 3] {
        match self {
            Self::Application => [
                "ApplicationSuccessFeedbackRoleArn",
                "ApplicationSuccessFeedbackSampleRate",
                "ApplicationFailureFeedbackRoleArn",
            ],
            Self::Firehose => [
                "FirehoseSuccessFeedbackRoleArn",
                "FirehoseSuccessFeedbackSampleRate",
                "FirehoseFailureFeedbackRoleArn",
            ],
            Self::Http => ["HTTPSuccessFeedbackRoleArn", "HTTPSuccessFeedbackSampleRate", "HTTPFailureFeedbackRoleArn"],
            Self::Lambda => {
                ["LambdaSuccessFeedbackRoleArn", "LambdaSuccessFeedbackSampleRate", "LambdaFailureFeedbackRoleArn"]
            }
            Self::Sqs => ["SQSSuccessFeedbackRoleArn", "SQSSuccessFeedbackSampleRate", "SQSFailureFeedbackRoleArn"],
        }
    }
}

/// Reads a spec from the attributes of a topic; what is absent has its default (`facts/aws.md` 10a.2).
pub(super) fn read(attributes: &HashMap<String, String>, account: &str) -> Result<Spec> {
    let text = |name: &str| attributes.get(name).filter(|text| !text.is_empty()).cloned();
    let flag = |name: &str| attributes.get(name).is_some_and(|text| text == "true");
    let policy = text("Policy").map(|text| PolicyDocument::from_text(&text)).transpose();
    let policy = policy.map_err(|error| KindError::invalid(format!("the topic's policy is unreadable: {error}")))?;
    Ok(Spec {
        display_name: text("DisplayName").unwrap_or_default(),
        fifo_topic: flag("FifoTopic"),
        content_based_deduplication: flag("ContentBasedDeduplication"),
        fifo_throughput_scope: text(SCOPE).map(|word| one_of(&word)).transpose()?,
        archive_policy: JsonObject::from_answer(attributes.get("ArchivePolicy"))?,
        kms_master_key_id: text("KmsMasterKeyId"),
        policy: policy.filter(|policy| !is_default(policy, account)),
        delivery_policy: JsonObject::from_answer(attributes.get("DeliveryPolicy"))?,
        signature_version: text("SignatureVersion").map(|word| one_of(&word)).transpose()?.unwrap_or_default(),
        tracing_config: text("TracingConfig").map(|word| one_of(&word)).transpose()?.unwrap_or_default(),
        delivery_status_logging: Protocol::ALL.into_iter().filter_map(|each| logging(each, &text)).collect(),
    })
}

fn logging(protocol: Protocol, text: &impl Fn(&str) -> Option<String>) -> Option<(Protocol, Logging)> {
    let [success, rate, failure] = protocol.attributes();
    let logging = Logging {
        success_feedback_role_arn: text(success),
        success_feedback_sample_rate: text(rate).and_then(|rate| rate.parse().ok()).unwrap_or_default(),
        failure_feedback_role_arn: text(failure),
    };
    (logging != Logging::default()).then_some((protocol, logging))
}

/// Writes the attributes of a spec, with the text that stands for the default where a field is unset.
pub(super) fn write(spec: &Spec, arn: &str, place: &Place) -> BTreeMap<&'static str, String> {
    let object = |object: &Option<JsonObject>| object.as_ref().map(JsonObject::to_text);
    let policy = spec.policy.clone().unwrap_or_else(|| default_policy(arn, place));
    let mut attributes = BTreeMap::from([
        ("DisplayName", spec.display_name.clone()),
        ("KmsMasterKeyId", spec.kms_master_key_id.clone().unwrap_or_default()),
        ("Policy", policy.to_text()),
        ("DeliveryPolicy", object(&spec.delivery_policy).unwrap_or_default()),
        ("SignatureVersion", word_of(&spec.signature_version)),
        ("TracingConfig", word_of(&spec.tracing_config)),
    ]);
    if spec.fifo_topic {
        attributes.insert("ContentBasedDeduplication", spec.content_based_deduplication.to_string());
        attributes.insert("ArchivePolicy", object(&spec.archive_policy).unwrap_or_else(|| "{}".to_owned()));
        attributes.insert(SCOPE, spec.fifo_throughput_scope.map(|scope| word_of(&scope)).unwrap_or_default());
    }
    for protocol in Protocol::ALL {
        let logging = spec.delivery_status_logging.get(&protocol).cloned().unwrap_or_default();
        let [success, rate, failure] = protocol.attributes();
        attributes.insert(success, logging.success_feedback_role_arn.unwrap_or_default());
        attributes.insert(rate, logging.success_feedback_sample_rate.to_string());
        attributes.insert(failure, logging.failure_feedback_role_arn.unwrap_or_default());
    }
    attributes
}

fn word_of<T: Serialize>(word: &T) -> String {
    serde_json::to_value(word).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn one_of<T: DeserializeOwned>(word: &str) -> Result<T> {
    serde_json::from_value(Value::from(word)).map_err(|error| KindError::invalid(error.to_string()))
}

/// The policy that SNS gives a topic without one.
fn default_policy(arn: &str, place: &Place) -> PolicyDocument {
    let document = json!({
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [{
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": DEFAULT_ACTIONS,
            "Resource": arn,
            "Condition": {"StringEquals": {"AWS:SourceOwner": place.account}},
        }],
    });
    // An object always makes a document; the empty one is never reached.
    PolicyDocument::from_value(&document).unwrap_or_else(|_| PolicyDocument::of_statements(json!([])))
}

/// Tells whether a policy is SNS's own default: one statement, for principals of this account, without other actions.
fn is_default(policy: &PolicyDocument, account: &str) -> bool {
    let Some([statement]) = policy.value()["Statement"].as_array().map(Vec::as_slice) else { return false };
    let known = |action: &Value| {
        let action = action.as_str().unwrap_or_default();
        action.eq_ignore_ascii_case("SNS:Receive")
            || DEFAULT_ACTIONS.iter().any(|each| each.eq_ignore_ascii_case(action))
    };
    let actions_known = match &statement["Action"] {
        Value::Array(actions) => actions.len() >= DEFAULT_ACTIONS.len() && actions.iter().all(known),
        _ => false,
    };
    let owner = &statement["Condition"]["StringEquals"];
    statement["Sid"] == "__default_statement_ID"
        && statement["Effect"] == "Allow"
        && (owner["AWS:SourceOwner"] == account || owner["aws:SourceOwner"] == account)
        && actions_known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::sns_topic::{SignatureVersion, Tracing};

    fn place() -> Place {
        Place { partition: "aws".into(), region: "us-east-1".into(), account: "123456789012".into() }
    }

    fn round(spec: &Spec) -> Spec {
        let attributes = write(spec, "arn:aws:sns:us-east-1:123456789012:t", &place());
        let mut attributes: HashMap<_, _> =
            attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        attributes.insert("FifoTopic".to_owned(), spec.fifo_topic.to_string());
        read(&attributes, "123456789012").unwrap()
    }

    #[test]
    fn what_is_written_reads_back() {
        let full: Spec = serde_json::from_value(json!({
            "display_name": "Airlines", "fifo_topic": true, "content_based_deduplication": true,
            "fifo_throughput_scope": "MessageGroup", "archive_policy": {"MessageRetentionPeriod": "30"},
            "kms_master_key_id": "alias/aws/sns", "signature_version": "2", "tracing_config": "Active",
            "policy": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": "*"}]},
            "delivery_policy": {"http": {"defaultHealthyRetryPolicy": {"numRetries": 5}}},
            "delivery_status_logging": {"sqs": {"success_feedback_role_arn": "r", "success_feedback_sample_rate": 7}},
        }))
        .unwrap();
        assert_eq!(round(&full), full);
        assert_eq!(full.signature_version, SignatureVersion::Sha256);
        assert_eq!(full.tracing_config, Tracing::Active);
        assert_eq!(round(&Spec::default()), Spec::default());
    }

    #[test]
    fn a_changed_default_policy_is_not_the_default() {
        let document = |change: &dyn Fn(&mut Value)| {
            let mut value = default_policy("arn", &place()).value().clone();
            change(&mut value);
            PolicyDocument::from_value(&value).unwrap()
        };
        assert!(is_default(&document(&|_| ()), "123456789012"));
        assert!(!is_default(&document(&|_| ()), "210987654321"));
        assert!(!is_default(&document(&|value| value["Statement"][0]["Effect"] = "Deny".into()), "123456789012"));
        assert!(!is_default(&document(&|value| value["Statement"][0]["Action"] = "SNS:*".into()), "123456789012"));
        assert!(!is_default(&document(&|value| value["Statement"][0]["Condition"] = json!({})), "123456789012"));
    }
}
