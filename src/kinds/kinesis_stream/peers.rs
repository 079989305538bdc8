//! Streams in Terraform: `aws_kinesis_stream`.

use serde_json::{Map, Value, json};

use crate::kind::{Attributes, CloudFormation, Draft, Found, Import, Peers, Piece, TagForm, Terraform, properties};

pub(super) const PEERS: Peers = Peers {
    terraform: Some(Terraform {
        types: &["aws_kinesis_stream"],
        parts: &[],
        name: "name",
        outputs: &[("arn", "arn"), ("name", "name")],
        names: &[],
        physical: &[],
        read,
        imports,
    }),
    cloudformation: Some(CloudFormation {
        kind: "AWS::Kinesis::Stream",
        identifier: ("Name", "name"),
        tags: TagForm::List,
        refuses: CloudFormation::nothing,
        properties: describe,
    }),
};

fn read(from: Attributes<'_>, _: &[Piece<'_>], draft: &mut Draft) {
    let mode = from.block("stream_mode_details").and_then(|mode| mode.text("stream_mode"));
    let on_demand = mode == Some("ON_DEMAND");
    draft.set("stream_mode", mode);
    if !on_demand {
        draft.copy(from, &[("shard_count", "shard_count")]);
    }
    if from.text("encryption_type") == Some("KMS") {
        draft.copy(from, &[("kms_key_id", "kms_key_id")]);
    }
    draft.copy(
        from,
        &[
            ("retention_period", "retention_period_hours"),
            ("shard_level_metrics", "shard_level_metrics"),
            ("max_record_size_in_kib", "max_record_size_in_kib"),
        ],
    );
}

fn imports(found: &Found) -> Vec<Import> {
    Import::whole("aws_kinesis_stream", &found.physical)
}

fn describe(found: &Found) -> Map<String, Value> {
    let fields = [
        ("shard_count", "ShardCount"),
        ("retention_period_hours", "RetentionPeriodHours"),
        ("shard_level_metrics", "DesiredShardLevelMetrics"),
        ("max_record_size_in_kib", "MaxRecordSizeInKiB"),
    ];
    let mut all = properties(found, &fields);
    all.insert("Name".to_owned(), found.outputs.get("name").cloned().unwrap_or_default());
    all.insert("StreamModeDetails".to_owned(), json!({"StreamMode": found.spec.get("stream_mode")}));
    if let Some(key) = found.spec.get("kms_key_id").filter(|key| !key.is_null()) {
        all.insert("StreamEncryption".to_owned(), json!({"EncryptionType": "KMS", "KeyId": key}));
    }
    all
}
