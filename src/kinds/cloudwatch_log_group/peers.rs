//! Log groups in Terraform: `aws_cloudwatch_log_group`.

use serde_json::{Map, Value};

use crate::kind::{Attributes, CloudFormation, Draft, Found, Import, Peers, Piece, TagForm, Terraform, properties};

pub(super) const PEERS: Peers = Peers {
    terraform: Some(Terraform {
        types: &["aws_cloudwatch_log_group"],
        parts: &[],
        name: "name",
        outputs: &[("arn", "arn"), ("name", "name")],
        names: &[],
        physical: &[],
        read,
        imports,
    }),
    cloudformation: Some(CloudFormation {
        kind: "AWS::Logs::LogGroup",
        identifier: ("LogGroupName", "name"),
        tags: TagForm::List,
        refuses: CloudFormation::nothing,
        properties: describe,
    }),
};

fn read(from: Attributes<'_>, _: &[Piece<'_>], draft: &mut Draft) {
    let plain = ["log_group_class", "kms_key_id", "deletion_protection_enabled"];
    draft.copy(from, &plain.map(|name| (name, name)));
    // Terraform writes 0 for ever.
    let days = from.value("retention_in_days").filter(|days| days.as_i64() != Some(0));
    let fixed = from.text("log_group_class") == Some("DELIVERY");
    draft.set("retention_in_days", days.filter(|_| !fixed).cloned().unwrap_or(Value::Null));
}

fn imports(found: &Found) -> Vec<Import> {
    Import::whole("aws_cloudwatch_log_group", &found.physical)
}

fn describe(found: &Found) -> Map<String, Value> {
    let fields = [
        ("log_group_class", "LogGroupClass"),
        ("retention_in_days", "RetentionInDays"),
        ("kms_key_id", "KmsKeyId"),
        ("deletion_protection_enabled", "DeletionProtectionEnabled"),
    ];
    let mut all = properties(found, &fields);
    all.insert("LogGroupName".to_owned(), found.outputs.get("name").cloned().unwrap_or_default());
    all
}
