//! Parameters in Terraform: `aws_ssm_parameter`.

use crate::kind::{Attributes, Draft, Found, Import, Peers, Piece, Terraform};

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
};

fn read(from: &Attributes<'_>, _: &[Piece<'_>], draft: &mut Draft) -> Result<(), String> {
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
    Ok(())
}

fn imports(found: &Found) -> Vec<Import> {
    Import::whole("aws_ssm_parameter", &found.physical)
}
