//! Managed policies and their versions: `facts/aws.md` 6.

use serde::{Deserialize, Serialize};

use crate::local::constraint::Constraints;
use crate::local::store::Table;
use crate::local::{Call, Fault, Tx, Xml};

use super::tags::{self, Tagged, Tags};
use super::{Operation, aws_managed, document, role, wire};

/// Customer managed policies by ARN.
pub(super) const POLICIES: Table = Table::spreading("iam.policy");

const MOST_POLICIES: usize = 1500;
const MOST_VERSIONS: usize = 5;
const MOST_TEXT: usize = 6144;

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("CreatePolicy", create),
    ("GetPolicy", get),
    ("ListPolicies", list),
    ("DeletePolicy", delete),
    ("CreatePolicyVersion", create_version),
    ("GetPolicyVersion", get_version),
    ("ListPolicyVersions", list_versions),
    ("SetDefaultPolicyVersion", set_default),
    ("DeletePolicyVersion", delete_version),
];

/// One managed policy with its versions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Policy {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) id: String,
    pub(super) path: String,
    pub(super) description: Option<String>,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) tags: Tags,
    /// Number of the version in force.
    pub(super) default: u32,
    /// Number that the next version gets; numbers are never used again.
    pub(super) next: u32,
    pub(super) versions: Vec<Version>,
}

/// One version of a managed policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) number: u32,
    pub(super) document: String,
    pub(super) created: i64,
}

impl Policy {
    /// Returns the document in force.
    pub(super) fn document(&self) -> Option<&str> {
        self.versions.iter().find(|version| version.number == self.default).map(|version| version.document.as_str())
    }
}

impl Tagged for Policy {
    fn load(tx: &Tx<'_>, call: &Call) -> Result<Self, Fault> {
        customer(tx, call)
    }

    fn save(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        tx.put(POLICIES, &self.arn, self)
    }

    fn tags(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

/// How often a policy is in use.
#[derive(Clone, Copy, Default)]
pub(super) struct Uses {
    pub(super) attached: usize,
    pub(super) bounds: usize,
}

/// Returns the call's `PolicyArn`, checked for its form.
pub(super) fn arn_field(call: &Call) -> Result<&str, Fault> {
    let arn = call.params().get("PolicyArn");
    let mut check = Constraints::new();
    check.required("policyArn", arn);
    check.length("policyArn", arn, 20, 2048);
    check.done("ValidationError")?;
    let arn = arn.unwrap_or_default();
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", _, "iam", "", _, resource] if resource.starts_with("policy/") => Ok(arn),
        _ => Err(Fault::new("InvalidInput", format!("ARN {arn} is not valid."))),
    }
}

/// Returns the name in a policy's ARN.
pub(super) fn name_of(arn: &str) -> &str {
    arn.rsplit_once('/').map_or(arn, |(_, name)| name)
}

/// Returns the path in a policy's ARN.
pub(super) fn path_of(arn: &str) -> &str {
    let whole = arn.split_once(":policy").map_or("/", |(_, rest)| rest);
    whole.rfind('/').and_then(|end| whole.get(..=end)).unwrap_or("/")
}

/// Returns a managed policy, of this account or of AWS.
pub(super) fn find(tx: &Tx<'_>, arn: &str) -> Result<Option<Policy>, Fault> {
    match aws_managed::find(arn) {
        Some(policy) => Ok(Some(policy)),
        None => tx.get(POLICIES, arn),
    }
}

/// Returns a managed policy as others see it.
pub(super) fn find_settled(tx: &Tx<'_>, arn: &str) -> Result<Option<Policy>, Fault> {
    match aws_managed::find(arn) {
        Some(policy) => Ok(Some(policy)),
        None => tx.get_settled(POLICIES, arn),
    }
}

/// Tells whether a managed policy exists.
pub(super) fn exists(tx: &Tx<'_>, arn: &str) -> Result<bool, Fault> {
    Ok(find(tx, arn)?.is_some())
}

fn readable(tx: &Tx<'_>, call: &Call) -> Result<Policy, Fault> {
    let arn = arn_field(call)?;
    find(tx, arn)?.ok_or_else(|| wire::missing(format!("Policy {arn} was not found.")))
}

fn customer(tx: &Tx<'_>, call: &Call) -> Result<Policy, Fault> {
    let policy = readable(tx, call)?;
    if aws_managed::is_arn(&policy.arn) {
        let text = format!("Policy {} belongs to AWS and cannot be changed.", policy.arn);
        return Err(Fault::with_status(403, "AccessDenied", text));
    }
    Ok(policy)
}

fn uses(tx: &Tx<'_>, arn: &str) -> Result<Uses, Fault> {
    let roles = role::all(tx)?;
    Ok(count(&roles, arn))
}

/// Counts where a policy is in use.
pub(super) fn count(roles: &[(String, role::Role)], arn: &str) -> Uses {
    roles.iter().fold(Uses::default(), |uses, (_, role)| Uses {
        attached: uses.attached + usize::from(role.attached.iter().any(|other| other == arn)),
        bounds: uses.bounds + usize::from(role.boundary.as_deref() == Some(arn)),
    })
}

fn create(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let policy = wanted(call)?;
    let all: Vec<(String, serde::de::IgnoredAny)> = tx.list(POLICIES)?;
    if all.iter().any(|(arn, _)| name_of(arn).eq_ignore_ascii_case(&policy.name)) {
        let text = format!("A policy called {} already exists. Duplicate names are not allowed.", policy.name);
        return Err(wire::conflict("EntityAlreadyExists", text));
    }
    if all.len() >= MOST_POLICIES {
        let text = format!("Cannot exceed quota for PoliciesPerAccount: {MOST_POLICIES}");
        return Err(wire::conflict("LimitExceeded", text));
    }
    policy.save(tx)?;
    Ok(Xml::new().node("Policy", tags::element(element(&policy, Uses::default(), false), &policy.tags)))
}

fn wanted(call: &Call) -> Result<Policy, Fault> {
    let fields = call.params();
    let (name, path, description) = (fields.get("PolicyName"), fields.get("Path"), fields.get("Description"));
    let mut check = Constraints::new();
    wire::check_name(&mut check, "PolicyName", name, 128);
    wire::check_path(&mut check, "Path", path);
    let segments =
        |path: &str| path.chars().all(|letter| letter.is_ascii_alphanumeric() || "/.,+@=_-".contains(letter));
    check.shape("path", path, r"((/[A-Za-z0-9\.,\+@=_-]+)*)/", segments);
    wire::check_document(&mut check, "PolicyDocument", fields.get("PolicyDocument"));
    check.length("description", description, 0, 1000);
    check.done("ValidationError")?;
    let tags = tags::given(call)?;
    let text = checked_text(call)?;
    let (name, path) = (name.unwrap_or_default(), path.unwrap_or("/"));
    Ok(Policy {
        arn: wire::arn(call, "policy", path, name),
        name: name.to_owned(),
        id: wire::unique_id("ANPA", call, name),
        path: path.to_owned(),
        description: description.map(str::to_owned),
        created: call.now,
        updated: call.now,
        tags,
        default: 1,
        next: 2,
        versions: vec![Version { number: 1, document: text, created: call.now }],
    })
}

fn checked_text(call: &Call) -> Result<String, Fault> {
    let text = call.params().get("PolicyDocument").unwrap_or_default();
    document::check_identity(text)?;
    if document::size(text) > MOST_TEXT {
        return Err(wire::conflict("LimitExceeded", format!("Cannot exceed quota for PolicySize: {MOST_TEXT}")));
    }
    Ok(text.to_owned())
}

fn element(policy: &Policy, uses: Uses, described: bool) -> Xml {
    Xml::new()
        .text("PolicyName", &policy.name)
        .text("PolicyId", &policy.id)
        .text("Arn", &policy.arn)
        .text("Path", &policy.path)
        .text("DefaultVersionId", format!("v{}", policy.default))
        .text("AttachmentCount", uses.attached)
        .text("PermissionsBoundaryUsageCount", uses.bounds)
        .text("IsAttachable", true)
        .maybe("Description", policy.description.as_ref().filter(|_| described))
        .text("CreateDate", wire::time(policy.created))
        .text("UpdateDate", wire::time(policy.updated))
}

fn get(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let policy = readable(tx, call)?;
    let answer = element(&policy, uses(tx, &policy.arn)?, true);
    Ok(Xml::new().node("Policy", tags::element(answer, &policy.tags)))
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let (scope, usage) = (call.params().get("Scope"), call.params().get("PolicyUsageFilter"));
    let mut check = Constraints::new();
    check.one_of("scope", scope, &["All", "AWS", "Local"]);
    check.one_of("policyUsageFilter", usage, &["PermissionsPolicy", "PermissionsBoundary"]);
    check.done("ValidationError")?;
    let prefix = wire::path_prefix(call)?;
    let only_attached = wire::flag(call, "OnlyAttached")?;
    let roles = role::all(tx)?;
    let mut policies: Vec<(String, Policy)> = if scope == Some("AWS") { Vec::new() } else { tx.list(POLICIES)? };
    if scope != Some("Local") {
        policies.extend(aws_managed::all().map(|policy| (policy.arn.clone(), policy)));
    }
    policies.retain(|(arn, policy)| {
        let uses = count(&roles, arn);
        policy.path.starts_with(prefix)
            && (!only_attached || uses.attached + uses.bounds > 0)
            && (usage != Some("PermissionsPolicy") || uses.attached > 0)
            && (usage != Some("PermissionsBoundary") || uses.bounds > 0)
    });
    policies.sort_by(|one, other| one.0.cmp(&other.0));
    let (policies, tail) = wire::page(call, policies)?;
    let members = policies.iter().map(|policy| element(policy, count(&roles, &policy.arn), false));
    Ok(Xml::new().list("Policies", "member", members).and(tail))
}

fn delete(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let policy = customer(tx, call)?;
    let uses = uses(tx, &policy.arn)?;
    if uses.attached + uses.bounds > 0 {
        return Err(wire::conflict("DeleteConflict", "Cannot delete a policy attached to entities."));
    }
    if policy.versions.len() > 1 {
        let text = "This policy has more than one version. Before you delete a policy, you must delete the policy's \
                    versions. The default version is deleted with the policy.";
        return Err(wire::conflict("DeleteConflict", text));
    }
    tx.delete(POLICIES, &policy.arn)?;
    Ok(Xml::new())
}

fn create_version(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut check = Constraints::new();
    wire::check_document(&mut check, "PolicyDocument", call.params().get("PolicyDocument"));
    check.done("ValidationError")?;
    let mut policy = customer(tx, call)?;
    let as_default = wire::flag(call, "SetAsDefault")?;
    let document = checked_text(call)?;
    if policy.versions.len() >= MOST_VERSIONS {
        let text = "A managed policy can have up to 5 versions. Before you create a new version, you must delete an \
                    existing version.";
        return Err(wire::conflict("LimitExceeded", text));
    }
    let version = Version { number: policy.next, document, created: call.now };
    policy.next += 1;
    if as_default {
        policy.default = version.number;
    }
    policy.updated = call.now;
    let answer = version_element(&policy, &version, false);
    policy.versions.push(version);
    policy.save(tx)?;
    Ok(Xml::new().node("PolicyVersion", answer))
}

/// Builds one version's element, with or without its document.
pub(super) fn version_element(policy: &Policy, version: &Version, with_document: bool) -> Xml {
    Xml::new()
        .maybe("Document", with_document.then(|| wire::encode(&version.document)))
        .text("VersionId", format!("v{}", version.number))
        .text("IsDefaultVersion", version.number == policy.default)
        .text("CreateDate", wire::time(version.created))
}

fn version_field(call: &Call, policy: &Policy) -> Result<usize, Fault> {
    let id = call.params().get("VersionId");
    let mut check = Constraints::new();
    check.required("versionId", id);
    let number = |text: &str| text.strip_prefix('v').and_then(|digits| digits.parse::<u32>().ok());
    check.shape("versionId", id, r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?", |text| {
        number(text).is_some_and(|number| number > 0)
    });
    check.done("ValidationError")?;
    let wanted = id.and_then(number);
    let place = policy.versions.iter().position(|version| Some(version.number) == wanted);
    place.ok_or_else(|| {
        let id = id.unwrap_or_default();
        wire::missing(format!("Policy {} version {id} does not exist or is not attachable.", policy.arn))
    })
}

fn get_version(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let policy = readable(tx, call)?;
    let place = version_field(call, &policy)?;
    let version = policy.versions.get(place).map(|version| version_element(&policy, version, true));
    Ok(Xml::new().node("PolicyVersion", version.unwrap_or_default()))
}

fn list_versions(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let policy = readable(tx, call)?;
    let keyed =
        policy.versions.iter().rev().enumerate().map(|(place, version)| (format!("{place:03}"), version)).collect();
    let (versions, tail) = wire::page(call, keyed)?;
    let members = versions.into_iter().map(|version| version_element(&policy, version, false));
    Ok(Xml::new().list("Versions", "member", members).and(tail))
}

fn set_default(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut policy = customer(tx, call)?;
    let place = version_field(call, &policy)?;
    policy.default = policy.versions.get(place).map_or(policy.default, |version| version.number);
    policy.updated = call.now;
    policy.save(tx)?;
    Ok(Xml::new())
}

fn delete_version(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut policy = customer(tx, call)?;
    let place = version_field(call, &policy)?;
    if policy.versions.remove(place).number == policy.default {
        return Err(wire::conflict("DeleteConflict", "Cannot delete the default version of a policy."));
    }
    policy.save(tx)?;
    Ok(Xml::new())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, GRANT, TRUST, texts};
    use super::*;

    const ARN: (&str, &str) = ("PolicyArn", "arn:aws:iam::000000000000:policy/x/p");
    const CREATE: [(&str, &str); 3] = [("PolicyName", "p"), ("Path", "/x/"), ("PolicyDocument", GRANT)];

    fn bench() -> Bench {
        let bench = Bench::new();
        bench.ok("CreatePolicy", &CREATE);
        bench
    }

    #[test]
    fn a_policy_reads_back_as_created() {
        let bench = Bench::new();
        bench.ok("CreatePolicy", &[&CREATE[..], &[("Description", "d")]].concat());
        let policy = bench.ok("GetPolicy", &[ARN]);
        assert_eq!(texts(&policy, "Arn"), [ARN.1]);
        assert_eq!(texts(&policy, "Description"), ["d"]);
        assert_eq!(texts(&policy, "DefaultVersionId"), ["v1"]);
        let version = bench.ok("GetPolicyVersion", &[ARN, ("VersionId", "v1")]);
        assert_eq!(texts(&version, "Document"), [wire::encode(GRANT)]);
    }

    #[test]
    fn broken_and_duplicate_policies_are_refused() {
        let bench = bench();
        assert_eq!(bench.code("CreatePolicy", &CREATE), "EntityAlreadyExists");
        let elsewhere = [("PolicyName", "P"), ("PolicyDocument", GRANT)];
        assert_eq!(bench.code("CreatePolicy", &elsewhere), "EntityAlreadyExists");
        let with = |text: &str| bench.code("CreatePolicy", &[("PolicyName", "q"), ("PolicyDocument", text)]);
        assert_eq!(with(TRUST), "MalformedPolicyDocument");
        let many =
            GRANT.replace("\"*\"", &format!("[{}\"*\"]", "\"arn:aws:kinesis:*:*:stream/long-name\",".repeat(170)));
        assert_eq!(with(&many), "LimitExceeded");
        let path = [("PolicyName", "q"), ("Path", "/a!b/"), ("PolicyDocument", GRANT)];
        assert_eq!(bench.code("CreatePolicy", &path), "ValidationError");
    }

    #[test]
    fn versions_count_up_and_stop_at_five() {
        let bench = bench();
        let create = |default: &str| {
            bench.run("CreatePolicyVersion", &[ARN, ("PolicyDocument", GRANT), ("SetAsDefault", default)])
        };
        for _ in 0..4 {
            create("true").unwrap();
        }
        assert_eq!(create("true").unwrap_err().code, "LimitExceeded");
        let versions = bench.ok("ListPolicyVersions", &[ARN]);
        assert_eq!(texts(&versions, "VersionId"), ["v5", "v4", "v3", "v2", "v1"]);
        bench.ok("DeletePolicyVersion", &[ARN, ("VersionId", "v1")]);
        assert_eq!(texts(&create("false").unwrap(), "VersionId"), ["v6"], "numbers are not used again");
        assert_eq!(texts(&bench.ok("GetPolicy", &[ARN]), "DefaultVersionId"), ["v5"]);
        bench.ok("SetDefaultPolicyVersion", &[ARN, ("VersionId", "v6")]);
        assert_eq!(bench.code("DeletePolicyVersion", &[ARN, ("VersionId", "v6")]), "DeleteConflict");
        assert_eq!(bench.code("GetPolicyVersion", &[ARN, ("VersionId", "v1")]), "NoSuchEntity");
        assert_eq!(bench.code("GetPolicyVersion", &[ARN, ("VersionId", "1")]), "ValidationError");
    }

    #[test]
    fn a_policy_in_use_is_not_deleted() {
        let bench = bench();
        bench.ok("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)]);
        bench.ok("AttachRolePolicy", &[("RoleName", "r"), ARN]);
        assert_eq!(texts(&bench.ok("GetPolicy", &[ARN]), "AttachmentCount"), ["1"]);
        assert_eq!(bench.code("DeletePolicy", &[ARN]), "DeleteConflict");
        bench.ok("DetachRolePolicy", &[("RoleName", "r"), ARN]);
        bench.ok("PutRolePermissionsBoundary", &[("RoleName", "r"), ("PermissionsBoundary", ARN.1)]);
        assert_eq!(bench.code("DeletePolicy", &[ARN]), "DeleteConflict");
        bench.ok("DeleteRolePermissionsBoundary", &[("RoleName", "r")]);
        bench.ok("CreatePolicyVersion", &[ARN, ("PolicyDocument", GRANT)]);
        assert_eq!(bench.code("DeletePolicy", &[ARN]), "DeleteConflict");
        bench.ok("DeletePolicyVersion", &[ARN, ("VersionId", "v2")]);
        bench.ok("DeletePolicy", &[ARN]);
        assert_eq!(bench.code("DeletePolicy", &[ARN]), "NoSuchEntity");
    }

    #[test]
    fn lists_choose_by_scope_path_and_use() {
        let bench = bench();
        let names = |fields: &[(&str, &str)]| texts(&bench.ok("ListPolicies", fields), "PolicyName");
        assert_eq!(names(&[("Scope", "Local")]), ["p"]);
        assert_eq!(names(&[("Scope", "Local"), ("PathPrefix", "/y/")]), [""; 0]);
        assert_eq!(names(&[("Scope", "All"), ("PathPrefix", "/x/")]), ["p"]);
        assert_eq!(names(&[("Scope", "AWS"), ("MaxItems", "3")]).len(), 3);
        assert_eq!(names(&[("OnlyAttached", "true")]), [""; 0]);
        assert_eq!(bench.code("ListPolicies", &[("Scope", "Mine")]), "ValidationError");
    }

    #[test]
    fn policies_of_aws_are_read_only() {
        let bench = Bench::new();
        let arn = ("PolicyArn", "arn:aws:iam::aws:policy/AmazonKinesisFullAccess");
        assert_eq!(texts(&bench.ok("GetPolicy", &[arn]), "PolicyName"), ["AmazonKinesisFullAccess"]);
        assert!(bench.ok("GetPolicyVersion", &[arn, ("VersionId", "v1")]).contains("kinesis%3A%2A"));
        assert_eq!(bench.code("DeletePolicy", &[arn]), "AccessDenied");
    }

    #[test]
    fn paths_are_read_from_arns() {
        assert_eq!(path_of("arn:aws:iam::1:policy/a/b/c"), "/a/b/");
        assert_eq!(path_of("arn:aws:iam::1:policy/c"), "/");
        assert_eq!(name_of("arn:aws:iam::1:policy/a/c"), "c");
    }
}
