//! Roles in Terraform: `aws_iam_role` with its policies and attachments.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::kind::{Attributes, CloudFormation, Draft, Found, Import, Peers, Piece, TagForm, Terraform, properties};
use crate::kinds::iam::path_of as path;
use crate::kinds::policy::PolicyDocument;

const POLICY: &str = "aws_iam_role_policy";
const ATTACHMENT: &str = "aws_iam_role_policy_attachment";
/// Attaches a policy to any number of roles, users and groups.
const ATTACHMENTS: &str = "aws_iam_policy_attachment";

pub(super) const PEERS: Peers = Peers {
    terraform: Some(Terraform {
        types: &["aws_iam_role"],
        parts: &[(POLICY, "role"), (ATTACHMENT, "role"), (ATTACHMENTS, "roles")],
        name: "name",
        outputs: &[("arn", "arn"), ("name", "name"), ("id", "unique_id")],
        names: &[],
        physical: &[],
        read,
        imports,
    }),
    cloudformation: Some(CloudFormation {
        kind: "AWS::IAM::Role",
        identifier: ("RoleName", "name"),
        tags: TagForm::List,
        refuses: CloudFormation::nothing,
        properties: describe,
    }),
};

fn read(from: Attributes<'_>, pieces: &[Piece<'_>], draft: &mut Draft) {
    let Some(trust) = from.document("assume_role_policy") else { return draft.refuse("it has no assume_role_policy") };
    match service(&trust) {
        Some(service) => draft.set("service", service),
        None => draft.set("assume_role_policy", trust),
    }
    draft.copy(
        from,
        &[
            ("description", "description"),
            ("max_session_duration", "max_session_duration"),
            ("permissions_boundary", "permissions_boundary"),
        ],
    );
    draft.set("managed_policy_arns", attached(from, pieces).into_iter().map(Value::from).collect::<Value>());
    draft.set("inline_policies", inline(from, pieces));
    let wide = pieces.iter().find(|piece| {
        piece.kind == ATTACHMENTS
            && !(piece.attributes.texts("users").is_empty() && piece.attributes.texts("groups").is_empty())
    });
    if let Some(arn) = wide.and_then(|piece| piece.attributes.text("policy_arn")) {
        draft.note(format!("Terraform also attaches {arn} to users or groups; those attachments stay as they are"));
    }
}

/// Returns the service of a trust policy that trusts one and says nothing else.
fn service(trust: &Value) -> Option<String> {
    let found = PolicyDocument::from_value(trust).ok()?;
    let service = found.value().pointer("/Statement/0/Principal/Service")?.as_str()?.to_owned();
    (PolicyDocument::trusting(&BTreeSet::from([service.clone()])) == found).then_some(service)
}

fn attached<'a>(from: Attributes<'a>, pieces: &[Piece<'a>]) -> BTreeSet<&'a str> {
    let own = from.texts("managed_policy_arns").into_iter();
    own.chain(
        pieces.iter().filter(|piece| piece.kind != POLICY).filter_map(|piece| piece.attributes.text("policy_arn")),
    )
    .collect()
}

fn inline(from: Attributes<'_>, pieces: &[Piece<'_>]) -> Value {
    let own = from.blocks("inline_policy").into_iter();
    let all = own.chain(pieces.iter().filter(|piece| piece.kind == POLICY).map(|piece| piece.attributes));
    let named = all.filter_map(|policy| Some((policy.text("name")?.to_owned(), policy.document("policy")?)));
    Value::Object(named.collect::<Map<_, _>>())
}

fn imports(found: &Found) -> Vec<Import> {
    let name = &found.physical;
    let mut all = Import::whole("aws_iam_role", name);
    let policies = found.spec.get("inline_policies").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    all.extend(policies.map(|policy| Import { kind: POLICY, part: policy.clone(), id: format!("{name}:{policy}") }));
    let arns = found.spec.get("managed_policy_arns").and_then(Value::as_array).into_iter().flatten();
    all.extend(arns.filter_map(Value::as_str).map(|arn| {
        let part = arn.rsplit('/').next().unwrap_or_default().to_owned();
        Import { kind: ATTACHMENT, part, id: format!("{name}/{arn}") }
    }));
    all
}

fn describe(found: &Found) -> Map<String, Value> {
    let fields = [
        ("description", "Description"),
        ("max_session_duration", "MaxSessionDuration"),
        ("permissions_boundary", "PermissionsBoundary"),
        ("managed_policy_arns", "ManagedPolicyArns"),
    ];
    let mut all = properties(found, &fields);
    all.insert("RoleName".to_owned(), found.outputs.get("name").cloned().unwrap_or_default());
    all.insert("Path".to_owned(), path(found).into());
    all.insert(
        "AssumeRolePolicyDocument".to_owned(),
        found.spec.get("assume_role_policy").cloned().unwrap_or_default(),
    );
    let policies = found.spec.get("inline_policies").and_then(Value::as_object).into_iter().flatten();
    let policies: Vec<Value> =
        policies.map(|(name, document)| json!({"PolicyName": name, "PolicyDocument": document})).collect();
    if !policies.is_empty() {
        all.insert("Policies".to_owned(), policies.into());
    }
    all
}
