//! What was made a moment ago may not be found yet, by IAM itself (`facts/aws.md` 0.2, 5.7, 8.3).

use crate::local::store::Table;
use crate::local::{Call, Fault, Tx};

use super::{policy, profile, role, wire};

/// Faults when a call is about something so new that IAM does not know it everywhere. Deletions find all there is.
pub(super) fn check(tx: &Tx<'_>, call: &Call) -> Result<(), Fault> {
    if call.lag == 0 || ["Create", "Delete", "Remove"].iter().any(|start| call.operation.starts_with(start)) {
        return Ok(());
    }
    let new = |table: Table, field: &str| -> Result<Option<&str>, Fault> {
        let Some(key) = call.params().get(field) else { return Ok(None) };
        Ok(tx.is_fresh(table, key)?.then_some(key))
    };
    if let Some(name) = new(role::ROLES, "RoleName")? {
        return Err(wire::missing(format!("The role with name {name} cannot be found.")));
    }
    if let Some(arn) = new(policy::POLICIES, "PolicyArn")? {
        return Err(wire::missing(format!("Policy {arn} does not exist or is not attachable.")));
    }
    match new(profile::PROFILES, "InstanceProfileName")? {
        Some(name) => Err(wire::missing(format!("Instance Profile {name} cannot be found."))),
        None => Ok(()),
    }
}
