//! Topics in Terraform: `aws_sns_topic` with its policy.

use serde_json::{Map, Value};

use crate::kind::{Attributes, Draft, Found, Import, Peers, Piece, Terraform};

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
};

/// Protocols whose deliveries can be logged.
const LOGGED: [&str; 5] = ["application", "firehose", "http", "lambda", "sqs"];
/// Identity of the policy that SNS gives a topic without one.
const DEFAULT_POLICY: &str = "__default_policy_ID";

fn read(from: &Attributes<'_>, pieces: &[Piece<'_>], draft: &mut Draft) -> Result<(), String> {
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
    Ok(())
}

fn logging(from: &Attributes<'_>, protocol: &str) -> Option<Value> {
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
