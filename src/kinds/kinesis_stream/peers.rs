//! Streams in Terraform: `aws_kinesis_stream`.

use crate::kind::{Attributes, Draft, Found, Import, Peers, Piece, Terraform};

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
};

fn read(from: &Attributes<'_>, _: &[Piece<'_>], draft: &mut Draft) -> Result<(), String> {
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
    Ok(())
}

fn imports(found: &Found) -> Vec<Import> {
    Import::whole("aws_kinesis_stream", &found.physical)
}
