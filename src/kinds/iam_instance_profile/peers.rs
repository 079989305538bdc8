//! Instance profiles in Terraform: `aws_iam_instance_profile`.

use serde_json::{Map, Value};

use crate::kind::{Attributes, CloudFormation, Draft, Found, Import, Peers, Piece, TagForm, Terraform};
use crate::kinds::iam::path_of as path;

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
    cloudformation: Some(CloudFormation {
        kind: "AWS::IAM::InstanceProfile",
        identifier: ("InstanceProfileName", "name"),
        tags: TagForm::None,
        refuses: CloudFormation::nothing,
        properties: describe,
    }),
};

fn read(from: Attributes<'_>, _: &[Piece<'_>], draft: &mut Draft) {
    draft.copy(from, &[("role", "role")]);
}

fn imports(found: &Found) -> Vec<Import> {
    Import::whole("aws_iam_instance_profile", &found.physical)
}

fn describe(found: &Found) -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("InstanceProfileName".to_owned(), found.outputs.get("name").cloned().unwrap_or_default());
    all.insert("Path".to_owned(), path(found).into());
    let roles: Vec<Value> = found.spec.get("role").filter(|role| !role.is_null()).cloned().into_iter().collect();
    all.insert("Roles".to_owned(), roles.into());
    all
}
