//! The ARNs of the entities that a call to IAM names, which are what its permission is about.

use crate::local::{Call, Fault, Tx};

use super::{profile, role, wire};

/// The entities of one call.
#[derive(Debug, Default)]
pub(crate) struct Arns {
    pub(crate) role: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) policy: Option<String>,
}

/// Looks up what a call names; what does not exist yet gets the ARN that it would have.
pub(crate) fn arns(tx: &Tx<'_>, call: &Call) -> Result<Arns, Fault> {
    let fields = call.params();
    let path = fields.get("Path").unwrap_or("/");
    let role = match (fields.get("RoleName"), fields.get("PolicySourceArn")) {
        (Some(name), _) => {
            let known = tx.get::<role::Role>(role::ROLES, name)?;
            Some(known.map_or_else(|| wire::arn(call, "role", path, name), |role| role.arn))
        }
        (None, given) => given.map(str::to_owned),
    };
    let profile = match fields.get("InstanceProfileName") {
        Some(name) => Some(profile::arn(tx, name)?.unwrap_or_else(|| wire::arn(call, "instance-profile", path, name))),
        None => None,
    };
    let policy = fields.get("PolicyArn").map(str::to_owned);
    let policy = policy.or_else(|| fields.get("PolicyName").map(|name| wire::arn(call, "policy", path, name)));
    Ok(Arns { role, profile, policy })
}
