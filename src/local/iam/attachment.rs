//! Attachments of managed policies to roles: `facts/aws.md` 7.

use crate::local::constraint::Constraints;
use crate::local::{Call, Fault, Tx, Xml};

use super::tags::Tagged as _;
use super::{Operation, policy, role, wire};

/// Managed policies that one role may have (`facts/aws.md` 4.6: the default quota of today).
const MOST: usize = 20;

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("AttachRolePolicy", attach),
    ("DetachRolePolicy", detach),
    ("ListAttachedRolePolicies", list),
    ("ListEntitiesForPolicy", entities),
];

fn attach(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut role = role::named(tx, call)?;
    let arn = policy::arn_field(call)?;
    if !policy::exists(tx, arn)? {
        return Err(wire::missing(format!("Policy {arn} does not exist or is not attachable.")));
    }
    if role.attached.iter().any(|other| other == arn) {
        return Ok(Xml::new());
    }
    if role.attached.len() >= MOST {
        return Err(wire::conflict("LimitExceeded", format!("Cannot exceed quota for PoliciesPerRole: {MOST}")));
    }
    role.attached.push(arn.to_owned());
    role.save(tx)?;
    Ok(Xml::new())
}

fn detach(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut role = role::named(tx, call)?;
    let arn = policy::arn_field(call)?;
    let before = role.attached.len();
    role.attached.retain(|other| other != arn);
    if role.attached.len() == before {
        return Err(wire::missing(format!("Policy {arn} was not found.")));
    }
    role.save(tx)?;
    Ok(Xml::new())
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let role = role::named(tx, call)?;
    let prefix = wire::path_prefix(call)?;
    let mut attached: Vec<_> =
        role.attached.into_iter().filter(|arn| policy::path_of(arn).starts_with(prefix)).collect();
    attached.sort();
    let (arns, tail) = wire::page(call, attached.into_iter().map(|arn| (arn.clone(), arn)).collect())?;
    Ok(Xml::new().list("AttachedPolicies", "member", arns.iter().map(|arn| element(arn))).and(tail))
}

/// Builds one member of `AttachedPolicies` or `AttachedManagedPolicies`.
pub(super) fn element(arn: &str) -> Xml {
    Xml::new().text("PolicyName", policy::name_of(arn)).text("PolicyArn", arn)
}

fn entities(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let arn = policy::arn_field(call)?;
    if !policy::exists(tx, arn)? {
        return Err(wire::missing(format!("Policy {arn} was not found.")));
    }
    let (filter, usage) = (call.params().get("EntityFilter"), call.params().get("PolicyUsageFilter"));
    let mut check = Constraints::new();
    let kinds = ["Role", "User", "Group", "LocalManagedPolicy", "AWSManagedPolicy"];
    check.one_of("entityFilter", filter, &kinds);
    check.one_of("policyUsageFilter", usage, &["PermissionsPolicy", "PermissionsBoundary"]);
    check.done("ValidationError")?;
    let prefix = wire::path_prefix(call)?;
    let uses = |role: &role::Role| {
        let attached = role.attached.iter().any(|other| other == arn);
        let bounded = role.boundary.as_deref() == Some(arn);
        (attached && usage != Some("PermissionsBoundary")) || (bounded && usage != Some("PermissionsPolicy"))
    };
    let mut roles = role::all(tx)?;
    roles.retain(|(_, role)| role.path.starts_with(prefix) && uses(role) && filter.is_none_or(|kind| kind == "Role"));
    let (roles, tail) = wire::page(call, roles)?;
    let roles = roles.iter().map(|role| Xml::new().text("RoleName", &role.name).text("RoleId", &role.id));
    let none = Xml::new().node("PolicyGroups", Xml::new()).node("PolicyUsers", Xml::new());
    Ok(none.list("PolicyRoles", "member", roles).and(tail))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, GRANT, TRUST, texts};

    const ROLE: (&str, &str) = ("RoleName", "r");
    const MINE: (&str, &str) = ("PolicyArn", "arn:aws:iam::000000000000:policy/p");

    fn bench() -> Bench {
        let bench = Bench::new();
        bench.ok("CreateRole", &[ROLE, ("AssumeRolePolicyDocument", TRUST)]);
        bench.ok("CreatePolicy", &[("PolicyName", "p"), ("PolicyDocument", GRANT)]);
        bench
    }

    #[test]
    fn attaching_twice_is_one_attachment() {
        let bench = bench();
        bench.ok("AttachRolePolicy", &[ROLE, MINE]);
        bench.ok("AttachRolePolicy", &[ROLE, MINE]);
        assert_eq!(texts(&bench.ok("ListAttachedRolePolicies", &[ROLE]), "PolicyName"), ["p"]);
        assert_eq!(texts(&bench.ok("ListEntitiesForPolicy", &[MINE]), "RoleName"), ["r"]);
        bench.ok("DetachRolePolicy", &[ROLE, MINE]);
        assert_eq!(bench.code("DetachRolePolicy", &[ROLE, MINE]), "NoSuchEntity");
    }

    #[test]
    fn aws_managed_policies_attach_by_their_real_names_only() {
        let bench = bench();
        let attach = |name: &str| {
            bench.run("AttachRolePolicy", &[ROLE, ("PolicyArn", &format!("arn:aws:iam::aws:policy/{name}"))])
        };
        assert!(attach("service-role/AWSLambdaKinesisExecutionRole").is_ok());
        assert_eq!(attach("AWSLambdaKinesisExecutionRole").unwrap_err().code, "NoSuchEntity", "its path is missing");
        assert_eq!(attach("NoSuchPolicy").unwrap_err().code, "NoSuchEntity");
        let listed =
            texts(&bench.ok("ListAttachedRolePolicies", &[ROLE, ("PathPrefix", "/service-role/")]), "PolicyName");
        assert_eq!(listed, ["AWSLambdaKinesisExecutionRole"]);
    }

    #[test]
    fn what_is_missing_or_malformed_is_refused() {
        let bench = bench();
        let none = ("PolicyArn", "arn:aws:iam::000000000000:policy/none");
        assert_eq!(bench.code("AttachRolePolicy", &[ROLE, none]), "NoSuchEntity");
        assert_eq!(bench.code("AttachRolePolicy", &[("RoleName", "no"), MINE]), "NoSuchEntity");
        assert_eq!(bench.code("AttachRolePolicy", &[ROLE, ("PolicyArn", "short")]), "ValidationError");
        assert_eq!(
            bench.code("AttachRolePolicy", &[ROLE, ("PolicyArn", "arn:aws:s3:::bucket/policy")]),
            "InvalidInput"
        );
    }

    #[test]
    fn entities_tell_attachments_and_boundaries_apart() {
        let bench = bench();
        bench.ok("PutRolePermissionsBoundary", &[ROLE, ("PermissionsBoundary", MINE.1)]);
        let roles =
            |usage: &str| texts(&bench.ok("ListEntitiesForPolicy", &[MINE, ("PolicyUsageFilter", usage)]), "RoleName");
        assert_eq!(roles("PermissionsBoundary"), ["r"]);
        assert!(roles("PermissionsPolicy").is_empty());
    }
}
