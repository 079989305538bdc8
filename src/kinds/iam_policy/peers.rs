//! Managed policies in Terraform: `aws_iam_policy`.

use crate::kind::{Attributes, Draft, Found, Import, Peers, Piece, Terraform};

pub(super) const PEERS: Peers = Peers {
    terraform: Some(Terraform {
        types: &["aws_iam_policy"],
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
    draft.copy(from, &[("description", "description")]);
    draft.copy_documents(from, &[("policy", "policy_document")]);
    Ok(())
}

fn imports(found: &Found) -> Vec<Import> {
    Import::whole("aws_iam_policy", &found.physical)
}
