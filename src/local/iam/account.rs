//! Calls about the account as a whole.

use crate::local::{Call, Fault, Tx, Xml};

use super::policy::{self, Policy, Uses, version_element};
use super::role::{self, Role};
use super::tags;
use super::{Operation, attachment, profile, wire};

pub(super) const OPERATIONS: &[(&str, Operation)] =
    &[("GetAccountAuthorizationDetails", details), ("ListAccountAliases", |_, _| Ok(no_aliases()))];

enum Entity {
    Role(Role),
    Policy(Policy),
}

fn details(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let filter = call.params().texts("Filter");
    let known = ["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"];
    if let Some(wrong) = filter.iter().find(|kind| !known.contains(&kind.as_str())) {
        return Err(Fault::new("ValidationError", format!("Value '{wrong}' at 'filter' is not one of {known:?}")));
    }
    let wants = |kind: &str| filter.is_empty() || filter.iter().any(|wanted| wanted == kind);
    let mut entities = Vec::new();
    if wants("Role") {
        let roles = role::all(tx)?.into_iter();
        entities.extend(roles.map(|(name, role)| (format!("1/{name}"), Entity::Role(role))));
    }
    if wants("LocalManagedPolicy") {
        let policies: Vec<(String, Policy)> = tx.list(policy::POLICIES)?;
        entities.extend(policies.into_iter().map(|(arn, policy)| (format!("2/{arn}"), Entity::Policy(policy))));
    }
    let (page, tail) = wire::page(call, entities)?;
    let all = role::all(tx)?;
    let (mut roles, mut policies) = (Vec::new(), Vec::new());
    for entity in page {
        match entity {
            Entity::Role(role) => roles.push(role_detail(tx, &role)?),
            Entity::Policy(policy) => policies.push(policy_detail(&policy, policy::count(&all, &policy.arn))),
        }
    }
    let none = Xml::new().node("UserDetailList", Xml::new()).node("GroupDetailList", Xml::new());
    Ok(none.list("RoleDetailList", "member", roles).list("Policies", "member", policies).and(tail))
}

fn role_detail(tx: &Tx<'_>, role: &Role) -> Result<Xml, Fault> {
    let profiles = profile::holding(tx, &role.name)?;
    let profiles: Vec<_> = profiles.iter().map(|(_, found)| profile::brief(tx, found)).collect::<Result<_, _>>()?;
    let inline = role
        .inline
        .iter()
        .map(|(name, text)| Xml::new().text("PolicyName", name).text("PolicyDocument", wire::encode(text)));
    let answer = role::head(role)
        .list("InstanceProfileList", "member", profiles)
        .list("RolePolicyList", "member", inline)
        .list("AttachedManagedPolicies", "member", role.attached.iter().map(|arn| attachment::element(arn)));
    let answer = match &role.boundary {
        Some(arn) => answer.node("PermissionsBoundary", role::boundary_element(arn)),
        None => answer,
    };
    Ok(tags::element(answer, &role.tags).node("RoleLastUsed", Xml::new()))
}

/// Builds what the sweep says of a policy: no tags, and no description (IAM API, `GetAccountAuthorizationDetails`: the
/// sample answer has none of a policy that has one).
fn policy_detail(policy: &Policy, uses: Uses) -> Xml {
    let versions = policy.versions.iter().map(|version| version_element(policy, version, true));
    Xml::new()
        .text("PolicyName", &policy.name)
        .text("PolicyId", &policy.id)
        .text("Arn", &policy.arn)
        .text("Path", &policy.path)
        .text("DefaultVersionId", format!("v{}", policy.default))
        .text("AttachmentCount", uses.attached)
        .text("PermissionsBoundaryUsageCount", uses.bounds)
        .text("IsAttachable", true)
        .text("CreateDate", wire::time(policy.created))
        .text("UpdateDate", wire::time(policy.updated))
        .list("PolicyVersionList", "member", versions)
}

fn no_aliases() -> Xml {
    Xml::new().node("AccountAliases", Xml::new()).text("IsTruncated", false)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, GRANT, TRUST, texts};

    #[test]
    fn one_sweep_shows_roles_with_all_that_hangs_on_them() {
        let bench = Bench::new();
        let role = ("RoleName", "r");
        bench.ok("CreateRole", &[role, ("AssumeRolePolicyDocument", TRUST)]);
        bench.ok("PutRolePolicy", &[role, ("PolicyName", "inline"), ("PolicyDocument", GRANT)]);
        bench.ok("CreatePolicy", &[("PolicyName", "p"), ("PolicyDocument", GRANT)]);
        bench.ok("AttachRolePolicy", &[role, ("PolicyArn", "arn:aws:iam::000000000000:policy/p")]);
        bench.ok("CreateInstanceProfile", &[("InstanceProfileName", "ip")]);
        bench.ok("AddRoleToInstanceProfile", &[("InstanceProfileName", "ip"), role]);
        let roles = bench.ok("GetAccountAuthorizationDetails", &[("Filter.member.1", "Role")]);
        assert_eq!(texts(&roles, "PolicyName"), ["inline", "p"]);
        assert_eq!(texts(&roles, "InstanceProfileName"), ["ip"]);
        assert!(!roles.contains("PolicyVersionList"));
        let first = bench.ok("GetAccountAuthorizationDetails", &[("MaxItems", "1")]);
        let marker = texts(&first, "Marker").remove(0);
        let second = bench.ok("GetAccountAuthorizationDetails", &[("Marker", &marker)]);
        assert_eq!(texts(&second, "VersionId"), ["v1"]);
        assert_eq!(bench.code("GetAccountAuthorizationDetails", &[("Filter.member.1", "Robot")]), "ValidationError");
    }

    #[test]
    fn the_sweep_leaves_out_what_only_single_reads_tell() {
        let bench = Bench::new();
        let tag = [("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "b"), ("Description", "d")];
        bench.ok("CreatePolicy", &[&[("PolicyName", "p"), ("PolicyDocument", GRANT)], &tag[..]].concat());
        let limit = ("PermissionsBoundary", "arn:aws:iam::000000000000:policy/p");
        let role = [("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST), limit];
        bench.ok("CreateRole", &[&role, &tag[..]].concat());
        let sweep = |filter: &str| bench.ok("GetAccountAuthorizationDetails", &[("Filter.member.1", filter)]);
        let roles = sweep("Role");
        assert_eq!(
            (texts(&roles, "PermissionsBoundaryArn"), texts(&roles, "Key")),
            (vec![limit.1.into()], vec!["a".into()])
        );
        assert!(!roles.contains("Description") && !roles.contains("MaxSessionDuration"), "{roles}");
        let policies = sweep("LocalManagedPolicy");
        assert_eq!(texts(&policies, "PermissionsBoundaryUsageCount"), ["1"]);
        assert_eq!(texts(&policies, "Document"), [super::wire::encode(GRANT)]);
        assert!(!policies.contains("Description") && !policies.contains("<Key>"), "{policies}");
    }

    #[test]
    fn there_are_no_account_aliases() {
        assert!(texts(&Bench::new().ok("ListAccountAliases", &[]), "member").is_empty());
    }
}
