//! Managed policies in Terraform: `aws_iam_policy`.

use serde_json::{Map, Value};

use crate::kind::{Attributes, CloudFormation, Draft, Found, Import, Peers, Piece, TagForm, Terraform, properties};
use crate::kinds::iam::path_of as path;

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
    cloudformation: Some(CloudFormation {
        kind: "AWS::IAM::ManagedPolicy",
        identifier: ("PolicyArn", "arn"),
        tags: TagForm::None,
        refuses: CloudFormation::nothing,
        properties: describe,
    }),
};

fn read(from: Attributes<'_>, _: &[Piece<'_>], draft: &mut Draft) {
    draft.copy(from, &[("description", "description")]);
    draft.copy_documents(from, &[("policy", "policy_document")]);
}

fn imports(found: &Found) -> Vec<Import> {
    Import::whole("aws_iam_policy", &found.physical)
}

fn describe(found: &Found) -> Map<String, Value> {
    let mut all = properties(found, &[("description", "Description")]);
    all.insert("ManagedPolicyName".to_owned(), found.outputs.get("name").cloned().unwrap_or_default());
    all.insert("Path".to_owned(), path(found).into());
    all.insert("PolicyDocument".to_owned(), found.spec.get("policy_document").cloned().unwrap_or_default());
    all
}
