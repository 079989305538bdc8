//! Topics in Terraform: `aws_sns_topic` with its policy.

use serde_json::{Map, Value};

use crate::kind::{
    Attributes, CloudFormation, Draft, Found, Import, Peers, Piece, TagForm, Terraform, pascal, properties,
};

const POLICY: &str = "aws_sns_topic_policy";

pub(super) const PEERS: Peers = Peers {
    terraform: Some(Terraform {
        types: &["aws_sns_topic"],
        parts: &[(POLICY, "arn")],
        name: "name",
        outputs: &[("arn", "arn"), ("name", "name")],
        names: &[],
        physical: &[],
        read,
        imports,
    }),
    cloudformation: Some(CloudFormation {
        kind: "AWS::SNS::Topic",
        identifier: ("TopicArn", "arn"),
        tags: TagForm::List,
        refuses: CloudFormation::nothing,
        properties: describe,
    }),
};

/// Protocols whose deliveries can be logged.
const LOGGED: [&str; 5] = ["application", "firehose", "http", "lambda", "sqs"];
/// Identity of the policy that SNS gives a topic without one.
const DEFAULT_POLICY: &str = "__default_policy_ID";

fn read(from: Attributes<'_>, pieces: &[Piece<'_>], draft: &mut Draft) {
    draft.copy(
        from,
        &[
            ("display_name", "display_name"),
            ("fifo_topic", "fifo_topic"),
            ("content_based_deduplication", "content_based_deduplication"),
            ("fifo_throughput_scope", "fifo_throughput_scope"),
            ("kms_master_key_id", "kms_master_key_id"),
            ("tracing_config", "tracing_config"),
        ],
    );
    draft.copy_documents(from, &[("archive_policy", "archive_policy"), ("delivery_policy", "delivery_policy")]);
    if let Some(version) = from.value("signature_version").and_then(Value::as_i64).filter(|version| *version > 0) {
        draft.set("signature_version", version.to_string());
    }
    let policy =
        pieces.iter().find_map(|piece| piece.attributes.document("policy")).or_else(|| from.document("policy"));
    draft.set("policy", policy.filter(|policy| policy.get("Id") != Some(&DEFAULT_POLICY.into())));
    let logging = LOGGED.iter().filter_map(|protocol| Some(((*protocol).to_owned(), logging(from, protocol)?)));
    draft.set("delivery_status_logging", Value::Object(logging.collect()));
}

fn logging(from: Attributes<'_>, protocol: &str) -> Option<Value> {
    let fields = ["success_feedback_role_arn", "success_feedback_sample_rate", "failure_feedback_role_arn"];
    let value = |field: &&str| Some(((*field).to_owned(), from.value(&format!("{protocol}_{field}"))?.clone()));
    let found: Map<String, Value> =
        fields.iter().filter_map(value).filter(|(_, value)| value.as_i64() != Some(0)).collect();
    (!found.is_empty()).then(|| found.into())
}

fn imports(found: &Found) -> Vec<Import> {
    let arn = found.outputs.get("arn").and_then(Value::as_str).unwrap_or(&found.physical);
    Import::whole("aws_sns_topic", arn)
}

fn describe(found: &Found) -> Map<String, Value> {
    let fields = [
        ("display_name", "DisplayName"),
        ("kms_master_key_id", "KmsMasterKeyId"),
        ("signature_version", "SignatureVersion"),
        ("tracing_config", "TracingConfig"),
        ("fifo_throughput_scope", "FifoThroughputScope"),
    ];
    let mut all = properties(found, &fields);
    if found.spec.get("fifo_topic") == Some(&true.into()) {
        all.extend(properties(
            found,
            &[("fifo_topic", "FifoTopic"), ("content_based_deduplication", "ContentBasedDeduplication")],
        ));
    }
    all.insert("TopicName".to_owned(), found.outputs.get("name").cloned().unwrap_or_default());
    all.extend(
        found
            .spec
            .get("archive_policy")
            .filter(|policy| !policy.is_null())
            .map(|policy| ("ArchivePolicy".to_owned(), policy.clone())),
    );
    let logging = found.spec.get("delivery_status_logging").and_then(Value::as_object).into_iter().flatten();
    let logging: Vec<Value> = logging
        .map(|(protocol, logging)| {
            let mut fields = pascal(logging).unwrap_or_default();
            fields["Protocol"] = protocol.as_str().into();
            fields
        })
        .collect();
    if !logging.is_empty() {
        all.insert("DeliveryStatusLogging".to_owned(), logging.into());
    }
    all
}
