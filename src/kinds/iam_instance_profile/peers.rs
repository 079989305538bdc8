//! Instance profiles in Terraform: `aws_iam_instance_profile`.

use crate::kind::{Attributes, Draft, Found, Import, Peers, Piece, Terraform};

pub(super) const PEERS: Peers = Peers {
    terraform: Some(Terraform {
        types: &["aws_iam_instance_profile"],
        parts: &[],
        name: "name",
        outputs: &[("arn", "arn"), ("name", "name")],
        names: &[("role", "iam_role")],
        physical: &[],
        read,
        imports,
    }),
};

fn read(from: &Attributes<'_>, _: &[Piece<'_>], draft: &mut Draft) -> Result<(), String> {
    draft.copy(from, &[("role", "role")]);
    Ok(())
}

fn imports(found: &Found) -> Vec<Import> {
    Import::whole("aws_iam_instance_profile", &found.physical)
}
