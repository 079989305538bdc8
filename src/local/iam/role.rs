//! Roles: `facts/aws.md` 4.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::local::constraint::Constraints;
use crate::local::store::Table;
use crate::local::{Call, Fault, Tx, Xml};

use super::tags::{self, Tagged, Tags};
use super::{Operation, document, policy, principal, profile, wire};

/// Roles by name.
pub(super) const ROLES: Table = Table::spreading("iam.role");

const MOST_ROLES: usize = 1000;
const MOST_TRUST: usize = 2048;

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("CreateRole", create),
    ("GetRole", get),
    ("ListRoles", list),
    ("UpdateRole", update),
    ("UpdateRoleDescription", update_description),
    ("UpdateAssumeRolePolicy", update_trust),
    ("PutRolePermissionsBoundary", put_boundary),
    ("DeleteRolePermissionsBoundary", delete_boundary),
    ("DeleteRole", delete),
];

/// One role with everything that hangs on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) id: String,
    pub(super) path: String,
    /// Text of the trust policy as it was sent.
    pub(super) trust: String,
    pub(super) description: Option<String>,
    pub(super) max_session: i64,
    /// ARN of the managed policy that bounds the role.
    pub(super) boundary: Option<String>,
    /// Milliseconds since the epoch; how long IAM takes to show a role to others counts from here.
    pub(super) created: i64,
    pub(super) tags: Tags,
    /// Inline policy documents by name.
    pub(super) inline: BTreeMap<String, String>,
    /// ARNs of attached managed policies in the order of attachment.
    pub(super) attached: Vec<String>,
}

impl Tagged for Role {
    fn load(tx: &Tx<'_>, call: &Call) -> Result<Self, Fault> {
        named(tx, call)
    }

    fn save(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        tx.put(ROLES, &self.name, self)
    }

    fn tags(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

/// Returns the role that the call's `RoleName` names.
pub(super) fn named(tx: &Tx<'_>, call: &Call) -> Result<Role, Fault> {
    let name = wire::name(call, "RoleName", 64)?;
    tx.get(ROLES, name)?.ok_or_else(|| wire::missing(format!("The role with name {name} cannot be found.")))
}

/// Returns a role by its whole ARN, path included, as others see it.
pub(super) fn by_arn(tx: &Tx<'_>, arn: &str) -> Result<Option<Role>, Fault> {
    let Some((_, name)) = arn.rsplit_once('/') else { return Ok(None) };
    let role: Option<Role> = tx.get_settled(ROLES, name)?;
    Ok(role.filter(|role| role.arn == arn))
}

/// Returns all roles in the order of their names.
pub(super) fn all(tx: &Tx<'_>) -> Result<Vec<(String, Role)>, Fault> {
    tx.list(ROLES)
}

fn create(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let role = wanted(tx, call)?;
    let names: Vec<(String, serde::de::IgnoredAny)> = tx.list(ROLES)?;
    if names.iter().any(|(name, _)| name.eq_ignore_ascii_case(&role.name)) {
        let text = format!("Role with name {} already exists.", role.name);
        return Err(wire::conflict("EntityAlreadyExists", text));
    }
    if names.len() >= MOST_ROLES {
        let text = format!("Cannot exceed quota for RolesPerAccount: {MOST_ROLES}");
        return Err(wire::conflict("LimitExceeded", text));
    }
    role.save(tx)?;
    Ok(Xml::new().node("Role", whole(&role)))
}

fn wanted(tx: &Tx<'_>, call: &Call) -> Result<Role, Fault> {
    let fields = call.params();
    let max_session = wire::number(call, "MaxSessionDuration")?;
    let description = fields.get("Description");
    let mut check = Constraints::new();
    wire::check_name(&mut check, "RoleName", fields.get("RoleName"), 64);
    wire::check_path(&mut check, "Path", fields.get("Path"));
    wire::check_document(&mut check, "AssumeRolePolicyDocument", fields.get("AssumeRolePolicyDocument"));
    wire::check_description(&mut check, description);
    check.range("maxSessionDuration", max_session, 3600, 43_200);
    check.done("ValidationError")?;
    let tags = tags::given(call)?;
    let trust = fields.get("AssumeRolePolicyDocument").unwrap_or_default();
    check_trust(tx, call, trust)?;
    let name = fields.get("RoleName").unwrap_or_default();
    let path = fields.get("Path").unwrap_or("/");
    Ok(Role {
        arn: wire::arn(call, "role", path, name),
        name: name.to_owned(),
        id: wire::unique_id("AROA", call, name),
        path: path.to_owned(),
        trust: trust.to_owned(),
        description: description.map(str::to_owned),
        max_session: max_session.unwrap_or(3600),
        boundary: boundary(tx, call)?,
        created: call.now,
        tags,
        inline: BTreeMap::new(),
        attached: Vec::new(),
    })
}

fn check_trust(tx: &Tx<'_>, call: &Call, trust: &str) -> Result<(), Fault> {
    document::check_trust(tx, &call.account, trust)?;
    let size = document::size(trust);
    if size > MOST_TRUST {
        return Err(wire::conflict("LimitExceeded", format!("Cannot exceed quota for ACLSizePerRole: {MOST_TRUST}")));
    }
    Ok(())
}

fn boundary(tx: &Tx<'_>, call: &Call) -> Result<Option<String>, Fault> {
    let Some(arn) = call.params().get("PermissionsBoundary") else { return Ok(None) };
    let mut check = Constraints::new();
    check.length("permissionsBoundary", Some(arn), 20, 2048);
    check.done("ValidationError")?;
    if !policy::exists(tx, arn)? {
        return Err(wire::missing(format!("Scope ARN: {arn} does not exist or is not attachable.")));
    }
    Ok(Some(arn.to_owned()))
}

fn get(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let role = named(tx, call)?;
    Ok(Xml::new().node("Role", whole(&role).node("RoleLastUsed", Xml::new())))
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let prefix = wire::path_prefix(call)?;
    let roles = all(tx)?.into_iter().filter(|(_, role)| role.path.starts_with(prefix)).collect();
    let (roles, tail) = wire::page(call, roles)?;
    Ok(Xml::new().list("Roles", "member", roles.iter().map(brief)).and(tail))
}

/// Builds what every view of a role begins with.
pub(super) fn head(role: &Role) -> Xml {
    Xml::new()
        .text("Path", &role.path)
        .text("RoleName", &role.name)
        .text("RoleId", &role.id)
        .text("Arn", &role.arn)
        .text("CreateDate", wire::time(role.created))
        .text("AssumeRolePolicyDocument", wire::encode(&role.trust))
}

/// Builds what lists say of a role: no tags and no boundary.
pub(super) fn brief(role: &Role) -> Xml {
    head(role).maybe("Description", role.description.as_ref()).text("MaxSessionDuration", role.max_session)
}

fn whole(role: &Role) -> Xml {
    let answer = match &role.boundary {
        Some(arn) => brief(role).node("PermissionsBoundary", boundary_element(arn)),
        None => brief(role),
    };
    tags::element(answer, &role.tags)
}

/// Builds the inside of `PermissionsBoundary`.
pub(super) fn boundary_element(arn: &str) -> Xml {
    Xml::new().text("PermissionsBoundaryType", "Policy").text("PermissionsBoundaryArn", arn)
}

fn update(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut role = named(tx, call)?;
    let max_session = wire::number(call, "MaxSessionDuration")?;
    let description = call.params().get("Description");
    let mut check = Constraints::new();
    wire::check_description(&mut check, description);
    check.range("maxSessionDuration", max_session, 3600, 43_200);
    check.done("ValidationError")?;
    if let Some(text) = description {
        role.description = Some(text.to_owned());
    }
    role.max_session = max_session.unwrap_or(role.max_session);
    role.save(tx)?;
    Ok(Xml::new())
}

fn update_description(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut role = named(tx, call)?;
    let description = call.params().get("Description");
    let mut check = Constraints::new();
    check.required("description", description);
    wire::check_description(&mut check, description);
    check.done("ValidationError")?;
    role.description = description.map(str::to_owned);
    role.save(tx)?;
    Ok(Xml::new().node("Role", whole(&role)))
}

fn update_trust(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut role = named(tx, call)?;
    let trust = call.params().get("PolicyDocument");
    let mut check = Constraints::new();
    wire::check_document(&mut check, "PolicyDocument", trust);
    check.done("ValidationError")?;
    let trust = trust.unwrap_or_default();
    check_trust(tx, call, trust)?;
    trust.clone_into(&mut role.trust);
    role.save(tx)?;
    Ok(Xml::new())
}

fn put_boundary(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut role = named(tx, call)?;
    let mut check = Constraints::new();
    check.required("permissionsBoundary", call.params().get("PermissionsBoundary"));
    check.done("ValidationError")?;
    role.boundary = boundary(tx, call)?;
    role.save(tx)?;
    Ok(Xml::new())
}

fn delete_boundary(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut role = named(tx, call)?;
    if role.boundary.take().is_none() {
        return Err(wire::missing(format!("The role with name {} has no permissions boundary.", role.name)));
    }
    role.save(tx)?;
    Ok(Xml::new())
}

fn delete(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let role = named(tx, call)?;
    let held = |text: &str| Err(wire::conflict("DeleteConflict", format!("Cannot delete entity, must {text} first.")));
    if !profile::holding(tx, &role.name)?.is_empty() {
        return held("remove roles from instance profile");
    }
    if !role.attached.is_empty() {
        return held("detach all policies");
    }
    if !role.inline.is_empty() {
        return held("delete policies");
    }
    tx.delete(ROLES, &role.name)?;
    forget(tx, &role)?;
    Ok(Xml::new())
}

/// Shows a deleted role as its unique id in the trust policies that name it (`facts/aws.md` 4.2): a new role
/// of the same name is another principal.
fn forget(tx: &mut Tx<'_>, gone: &Role) -> Result<(), Fault> {
    for (_, mut role) in all(tx)? {
        let trust = principal::replaced(&role.trust, &gone.arn, &gone.id);
        if trust != role.trust {
            role.trust = trust;
            role.save(tx)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, GRANT, TRUST, texts};

    const NAMED: [(&str, &str); 2] = [("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)];

    fn with_role() -> Bench {
        let bench = Bench::new();
        bench.ok("CreateRole", &NAMED);
        bench
    }

    #[test]
    fn a_role_reads_back_as_created() {
        let bench = Bench::new();
        let more = [("Path", "/stackctl/demo/"), ("Description", "d"), ("MaxSessionDuration", "7200")];
        bench.ok("CreateRole", &[&NAMED, &more[..]].concat());
        let role = bench.ok("GetRole", &[("RoleName", "r")]);
        assert_eq!(texts(&role, "Arn"), ["arn:aws:iam::000000000000:role/stackctl/demo/r"]);
        assert_eq!(texts(&role, "Description"), ["d"]);
        assert_eq!(texts(&role, "MaxSessionDuration"), ["7200"]);
        assert!(role.contains("<AssumeRolePolicyDocument>%7B%22Version%22%3A%222012-10-17%22"), "{role}");
        let id = texts(&role, "RoleId").remove(0);
        assert!(id.starts_with("AROA") && id.len() == 21, "{id}");
    }

    #[test]
    fn names_are_unique_without_regard_to_case_and_path() {
        let bench = with_role();
        assert_eq!(bench.code("CreateRole", &NAMED), "EntityAlreadyExists");
        let other = [("RoleName", "R"), ("Path", "/x/"), ("AssumeRolePolicyDocument", TRUST)];
        let fault = bench.refused("CreateRole", &other);
        assert_eq!((fault.status, fault.code.as_str()), (409, "EntityAlreadyExists"));
        assert_eq!(bench.refused("GetRole", &[("RoleName", "none")]).status, 404);
    }

    #[test]
    fn broken_fields_are_refused() {
        let bench = Bench::new();
        let with = |name: &str, value: &str| bench.code("CreateRole", &[&[(name, value)], &NAMED[1..]].concat());
        assert_eq!(with("RoleName", "a b"), "ValidationError");
        assert_eq!(with("RoleName", &"a".repeat(65)), "ValidationError");
        assert_eq!(with("Path", "/"), "ValidationError", "the name is missing");
        let also = |name: &str, value: &str| bench.code("CreateRole", &[&NAMED[..], &[(name, value)]].concat());
        assert_eq!(also("Path", "x"), "ValidationError");
        assert_eq!(also("MaxSessionDuration", "3599"), "ValidationError");
        assert_eq!(also("MaxSessionDuration", "43201"), "ValidationError");
        assert_eq!(also("Description", "\u{201c}"), "ValidationError");
        assert_eq!(also("PermissionsBoundary", "arn:aws:iam::000000000000:policy/none"), "NoSuchEntity");
    }

    #[test]
    fn long_trust_policies_are_refused() {
        let arns: Vec<_> = (0..60).map(|number| format!("\"arn:aws:iam::{:012}:root\"", number + 1)).collect();
        let trust =
            TRUST.replace(r#"{"Service":"lambda.amazonaws.com"}"#, &format!("{{\"AWS\":[{}]}}", arns.join(",")));
        let fields = [("RoleName", "r"), ("AssumeRolePolicyDocument", trust.as_str())];
        assert_eq!(Bench::new().code("CreateRole", &fields), "LimitExceeded");
    }

    #[test]
    fn lists_filter_by_path_and_leave_out_tags() {
        let bench = Bench::new();
        for (name, path) in [("a", "/"), ("b", "/x/"), ("c", "/x/y/"), ("d", "/xy/")] {
            let tag = [("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")];
            let role = [("RoleName", name), ("Path", path), ("AssumeRolePolicyDocument", TRUST)];
            bench.ok("CreateRole", &[&role[..], &tag].concat());
        }
        let list = bench.ok("ListRoles", &[("PathPrefix", "/x/")]);
        assert_eq!(texts(&list, "RoleName"), ["b", "c"]);
        assert!(!list.contains("Tags"));
        assert_eq!(bench.code("ListRoles", &[("PathPrefix", "x")]), "ValidationError");
    }

    #[test]
    fn updates_change_only_what_they_name() {
        let bench = with_role();
        bench.ok("UpdateRole", &[("RoleName", "r"), ("MaxSessionDuration", "7200")]);
        bench.ok("UpdateRoleDescription", &[("RoleName", "r"), ("Description", "new")]);
        bench.ok("UpdateRole", &[("RoleName", "r")]);
        let role = bench.ok("GetRole", &[("RoleName", "r")]);
        assert_eq!(
            (texts(&role, "Description"), texts(&role, "MaxSessionDuration")),
            (vec!["new".into()], vec!["7200".into()])
        );
        let trust = TRUST.replace("lambda", "ec2");
        bench.ok("UpdateAssumeRolePolicy", &[("RoleName", "r"), ("PolicyDocument", &trust)]);
        assert!(bench.ok("GetRole", &[("RoleName", "r")]).contains("ec2.amazonaws.com"));
        let broken = [("RoleName", "r"), ("PolicyDocument", GRANT)];
        assert_eq!(bench.code("UpdateAssumeRolePolicy", &broken), "MalformedPolicyDocument");
    }

    #[test]
    fn boundaries_are_put_and_deleted() {
        let bench = with_role();
        let arn = "arn:aws:iam::aws:policy/PowerUserAccess";
        bench.ok("PutRolePermissionsBoundary", &[("RoleName", "r"), ("PermissionsBoundary", arn)]);
        assert_eq!(texts(&bench.ok("GetRole", &[("RoleName", "r")]), "PermissionsBoundaryArn"), [arn]);
        bench.ok("DeleteRolePermissionsBoundary", &[("RoleName", "r")]);
        assert_eq!(bench.code("DeleteRolePermissionsBoundary", &[("RoleName", "r")]), "NoSuchEntity");
    }

    #[test]
    fn a_role_in_use_is_not_deleted() {
        let bench = with_role();
        let arn = ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess");
        let role = ("RoleName", "r");
        let refused = |bench: &Bench| bench.code("DeleteRole", &[role]);
        bench.ok("AttachRolePolicy", &[role, arn]);
        assert_eq!(refused(&bench), "DeleteConflict");
        bench.ok("DetachRolePolicy", &[role, arn]);
        bench.ok("PutRolePolicy", &[role, ("PolicyName", "p"), ("PolicyDocument", GRANT)]);
        assert_eq!(refused(&bench), "DeleteConflict");
        bench.ok("DeleteRolePolicy", &[role, ("PolicyName", "p")]);
        bench.ok("CreateInstanceProfile", &[("InstanceProfileName", "ip")]);
        bench.ok("AddRoleToInstanceProfile", &[("InstanceProfileName", "ip"), role]);
        assert_eq!(refused(&bench), "DeleteConflict");
        bench.ok("RemoveRoleFromInstanceProfile", &[("InstanceProfileName", "ip"), role]);
        bench.ok("DeleteRole", &[role]);
        assert_eq!(refused(&bench), "NoSuchEntity");
    }

    #[test]
    fn a_deleted_principal_is_shown_as_its_id() {
        let bench = with_role();
        let trust = TRUST.replace(r#""Service":"lambda.amazonaws.com""#, r#""AWS":"arn:aws:iam::000000000000:role/r""#);
        bench.ok("CreateRole", &[("RoleName", "other"), ("AssumeRolePolicyDocument", &trust)]);
        bench.ok("DeleteRole", &[("RoleName", "r")]);
        bench.ok("CreateRole", &NAMED);
        let other = bench.ok("GetRole", &[("RoleName", "other")]);
        assert!(other.contains("AROA") && !other.contains("role%2Fr%22"), "{other}");
    }
}
