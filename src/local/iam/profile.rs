//! Instance profiles: `facts/aws.md` 8.

use serde::{Deserialize, Serialize};

use crate::local::constraint::Constraints;
use crate::local::store::Table;
use crate::local::{Call, Fault, Tx, Xml};

use super::tags::{self, Tagged, Tags};
use super::{Operation, role, wire};

/// Instance profiles by name.
pub(super) const PROFILES: Table = Table::spreading("iam.profile");

const MOST_PROFILES: usize = 1000;

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("CreateInstanceProfile", create),
    ("GetInstanceProfile", get),
    ("ListInstanceProfiles", list),
    ("ListInstanceProfilesForRole", list_for_role),
    ("AddRoleToInstanceProfile", add_role),
    ("RemoveRoleFromInstanceProfile", remove_role),
    ("DeleteInstanceProfile", delete),
];

/// One instance profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Profile {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) id: String,
    pub(super) path: String,
    pub(super) created: i64,
    pub(super) tags: Tags,
    /// Name of the only role it may hold.
    pub(super) role: Option<String>,
}

impl Tagged for Profile {
    fn load(tx: &Tx<'_>, call: &Call) -> Result<Self, Fault> {
        named(tx, call)
    }

    fn save(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        tx.put(PROFILES, &self.name, self)
    }

    fn tags(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

fn named(tx: &Tx<'_>, call: &Call) -> Result<Profile, Fault> {
    let name = wire::name(call, "InstanceProfileName", 128)?;
    tx.get(PROFILES, name)?.ok_or_else(|| wire::missing(format!("Instance Profile {name} cannot be found.")))
}

/// Returns the ARN of the role in the profile with this name or ARN, as others see it.
pub(super) fn role_arn(tx: &Tx<'_>, name_or_arn: &str) -> Result<Option<String>, Fault> {
    let name = name_or_arn.rsplit_once('/').map_or(name_or_arn, |(_, name)| name);
    let profile: Option<Profile> = tx.get_settled(PROFILES, name)?;
    let Some(profile) = profile.filter(|profile| name_or_arn == profile.name || name_or_arn == profile.arn) else {
        return Ok(None);
    };
    let Some(role) = profile.role else { return Ok(None) };
    Ok(tx.get_settled::<role::Role>(role::ROLES, &role)?.map(|role| role.arn))
}

/// Returns the ARN of a profile.
pub(super) fn arn(tx: &Tx<'_>, name: &str) -> Result<Option<String>, Fault> {
    Ok(tx.get::<Profile>(PROFILES, name)?.map(|profile| profile.arn))
}

/// Returns the profiles that hold a role.
pub(super) fn holding(tx: &Tx<'_>, role: &str) -> Result<Vec<(String, Profile)>, Fault> {
    let mut profiles: Vec<(String, Profile)> = tx.list(PROFILES)?;
    profiles.retain(|(_, profile)| profile.role.as_deref() == Some(role));
    Ok(profiles)
}

fn create(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let (name, path) = (call.params().get("InstanceProfileName"), call.params().get("Path"));
    let mut check = Constraints::new();
    wire::check_name(&mut check, "InstanceProfileName", name, 128);
    wire::check_path(&mut check, "Path", path);
    check.done("ValidationError")?;
    let (name, path) = (name.unwrap_or_default(), path.unwrap_or("/"));
    let profile = Profile {
        arn: wire::arn(call, "instance-profile", path, name),
        name: name.to_owned(),
        id: wire::unique_id("AIPA", call, name),
        path: path.to_owned(),
        created: call.now,
        tags: tags::given(call)?,
        role: None,
    };
    let all: Vec<(String, serde::de::IgnoredAny)> = tx.list(PROFILES)?;
    if all.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
        return Err(wire::conflict("EntityAlreadyExists", format!("Instance Profile {name} already exists.")));
    }
    if all.len() >= MOST_PROFILES {
        let text = format!("Cannot exceed quota for InstanceProfilesPerAccount: {MOST_PROFILES}");
        return Err(wire::conflict("LimitExceeded", text));
    }
    profile.save(tx)?;
    Ok(Xml::new().node("InstanceProfile", tags::element(brief(tx, &profile)?, &profile.tags)))
}

/// Builds what lists say of a profile: no tags.
pub(super) fn brief(tx: &Tx<'_>, profile: &Profile) -> Result<Xml, Fault> {
    let role: Option<role::Role> = match &profile.role {
        Some(name) => tx.get(role::ROLES, name)?,
        None => None,
    };
    Ok(Xml::new()
        .text("Path", &profile.path)
        .text("InstanceProfileName", &profile.name)
        .text("InstanceProfileId", &profile.id)
        .text("Arn", &profile.arn)
        .text("CreateDate", wire::time(profile.created))
        .list("Roles", "member", role.iter().map(role::brief)))
}

fn get(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let profile = named(tx, call)?;
    Ok(Xml::new().node("InstanceProfile", tags::element(brief(tx, &profile)?, &profile.tags)))
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let prefix = wire::path_prefix(call)?;
    let mut profiles: Vec<(String, Profile)> = tx.list(PROFILES)?;
    profiles.retain(|(_, profile)| profile.path.starts_with(prefix));
    listed(tx, call, profiles)
}

fn list_for_role(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let role = role::named(tx, call)?;
    let profiles = holding(tx, &role.name)?;
    listed(tx, call, profiles)
}

fn listed(tx: &Tx<'_>, call: &Call, profiles: Vec<(String, Profile)>) -> Result<Xml, Fault> {
    let (profiles, tail) = wire::page(call, profiles)?;
    let members: Vec<_> = profiles.iter().map(|profile| brief(tx, profile)).collect::<Result<_, _>>()?;
    Ok(Xml::new().list("InstanceProfiles", "member", members).and(tail))
}

fn add_role(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut profile = named(tx, call)?;
    let role = role::named(tx, call)?;
    if profile.role.is_some() {
        let text = "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1";
        return Err(wire::conflict("LimitExceeded", text));
    }
    profile.role = Some(role.name);
    profile.save(tx)?;
    Ok(Xml::new())
}

fn remove_role(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut profile = named(tx, call)?;
    let role = role::named(tx, call)?;
    if profile.role.as_deref() != Some(role.name.as_str()) {
        let text = format!("The role with name {} is not in the instance profile {}.", role.name, profile.name);
        return Err(wire::missing(text));
    }
    profile.role = None;
    profile.save(tx)?;
    Ok(Xml::new())
}

fn delete(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let profile = named(tx, call)?;
    if profile.role.is_some() {
        let text = "Cannot delete entity, must remove roles from instance profile first.";
        return Err(wire::conflict("DeleteConflict", text));
    }
    tx.delete(PROFILES, &profile.name)?;
    Ok(Xml::new())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, TRUST, texts};

    const PROFILE: (&str, &str) = ("InstanceProfileName", "ip");
    const ROLE: (&str, &str) = ("RoleName", "r");

    fn bench() -> Bench {
        let bench = Bench::new();
        bench.ok("CreateRole", &[ROLE, ("AssumeRolePolicyDocument", TRUST)]);
        bench.ok("CreateInstanceProfile", &[PROFILE, ("Path", "/x/")]);
        bench
    }

    #[test]
    fn a_profile_holds_one_role() {
        let bench = bench();
        bench.ok("AddRoleToInstanceProfile", &[PROFILE, ROLE]);
        let fault = bench.refused("AddRoleToInstanceProfile", &[PROFILE, ROLE]);
        assert_eq!((fault.status, fault.code.as_str()), (409, "LimitExceeded"));
        let got = bench.ok("GetInstanceProfile", &[PROFILE]);
        assert_eq!(texts(&got, "RoleName"), ["r"]);
        assert!(got.contains("arn:aws:iam::000000000000:instance-profile/x/ip"));
        assert_eq!(texts(&bench.ok("ListInstanceProfilesForRole", &[ROLE]), "InstanceProfileName"), ["ip"]);
    }

    #[test]
    fn a_profile_with_a_role_is_not_deleted() {
        let bench = bench();
        bench.ok("AddRoleToInstanceProfile", &[PROFILE, ROLE]);
        assert_eq!(bench.code("DeleteInstanceProfile", &[PROFILE]), "DeleteConflict");
        bench.ok("RemoveRoleFromInstanceProfile", &[PROFILE, ROLE]);
        assert_eq!(bench.code("RemoveRoleFromInstanceProfile", &[PROFILE, ROLE]), "NoSuchEntity");
        bench.ok("DeleteInstanceProfile", &[PROFILE]);
        assert_eq!(bench.code("GetInstanceProfile", &[PROFILE]), "NoSuchEntity");
    }

    #[test]
    fn what_is_missing_or_there_already_is_refused() {
        let bench = bench();
        assert_eq!(bench.code("CreateInstanceProfile", &[("InstanceProfileName", "IP")]), "EntityAlreadyExists");
        let fault = bench.refused("AddRoleToInstanceProfile", &[PROFILE, ("RoleName", "no")]);
        assert_eq!(fault.message, "The role with name no cannot be found.");
        assert_eq!(bench.code("CreateInstanceProfile", &[("InstanceProfileName", "a/b")]), "ValidationError");
    }

    #[test]
    fn lists_filter_by_path() {
        let bench = bench();
        bench.ok("CreateInstanceProfile", &[("InstanceProfileName", "other")]);
        let names =
            |prefix: &str| texts(&bench.ok("ListInstanceProfiles", &[("PathPrefix", prefix)]), "InstanceProfileName");
        assert_eq!(names("/x/"), ["ip"]);
        assert_eq!(names("/"), ["ip", "other"]);
    }
}
