//! Parameters in Terraform: `aws_ssm_parameter`.

use serde_json::{Map, Value};

use crate::kind::{
    Attributes, CloudFormation, Draft, Found, Import, Peers, Piece, TagForm, Terraform, parameter, properties,
};

pub(super) const PEERS: Peers = Peers {
    terraform: Some(Terraform {
        types: &["aws_ssm_parameter"],
        parts: &[],
        name: "name",
        outputs: &[("arn", "arn"), ("name", "name")],
        names: &[],
        physical: &[],
        read,
        imports,
    }),
    cloudformation: Some(CloudFormation {
        kind: "AWS::SSM::Parameter",
        identifier: ("Name", "name"),
        tags: TagForm::Map,
        refuses: refusal,
        properties: describe,
    }),
};

fn read(from: Attributes<'_>, _: &[Piece<'_>], draft: &mut Draft) {
    let plain = ["description", "tier", "allowed_pattern", "data_type"];
    draft.copy(from, &plain.map(|name| (name, name)));
    draft.copy(from, &[("type", "parameter_type")]);
    let secret = from.text("type") == Some("SecureString");
    if secret {
        draft.copy(from, &[("key_id", "key_id")]);
        draft.secrets.push("value".to_owned());
    }
    // A value that Terraform was given as one to write only is in no state file.
    let value = from.value("insecure_value").filter(|_| !secret).or_else(|| from.value("value"));
    draft.set("value", value.cloned());
    if value.is_none() {
        draft.note("the state file does not have its value, which is left alone");
    }
}

fn imports(found: &Found) -> Vec<Import> {
    Import::whole("aws_ssm_parameter", &found.physical)
}

fn describe(found: &Found) -> Map<String, Value> {
    let fields = [
        ("parameter_type", "Type"),
        ("description", "Description"),
        ("tier", "Tier"),
        ("allowed_pattern", "AllowedPattern"),
        ("data_type", "DataType"),
    ];
    let mut all = properties(found, &fields);
    all.insert("Name".to_owned(), found.outputs.get("name").cloned().unwrap_or_default());
    all.insert("Value".to_owned(), parameter("Value"));
    all
}

fn refusal(found: &Found) -> Option<&'static str> {
    (found.spec.get("parameter_type") == Some(&"SecureString".into()))
        .then_some("CloudFormation has no parameters of type SecureString")
}
