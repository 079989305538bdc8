//! IAM of the local cloud: roles, policies, attachments, instance profiles and policy simulation.
//!
//! Rules follow `facts/aws.md` 4 to 8. Other services ask here whether a role exists, whom it trusts and
//! what it allows; this module knows nothing of them. Users, groups and service-linked roles do not exist here.

mod account;
mod attachment;
mod aws_managed;
mod condition;
mod document;
mod evaluate;
mod fresh;
mod grantee;
mod inline;
mod names;
mod policy;
mod principal;
mod profile;
mod role;
mod simulate;
mod tags;
#[cfg(test)]
mod testing;
mod wire;

use super::{Answer, Call, Fault, Outcome, Service, Tx, Xml, unknown_operation};

pub(crate) use self::condition::Context;
use self::evaluate::Decision;
pub(crate) use self::grantee::{Asker, Standing, account_of, asker_context};
pub(crate) use self::names::{Arns, arns};

type Operation = fn(&mut Tx<'_>, &Call) -> Result<Xml, Fault>;

const OPERATIONS: &[&[(&str, Operation)]] = &[
    account::OPERATIONS,
    attachment::OPERATIONS,
    inline::OPERATIONS,
    policy::OPERATIONS,
    profile::OPERATIONS,
    role::OPERATIONS,
    simulate::OPERATIONS,
    tags::OPERATIONS,
];

/// The service `iam`.
pub(crate) struct Iam;

impl Service for Iam {
    fn handle(&self, tx: &mut Tx<'_>, call: &Call) -> Outcome {
        let mut all = OPERATIONS.iter().copied().flatten();
        let Some((_, run)) = all.find(|(name, _)| *name == call.operation) else {
            return Err(unknown_operation(call));
        };
        fresh::check(tx, call)?;
        run(tx, call).map(Answer::Xml)
    }
}

/// Tells whether the role exists and its trust policy lets the service assume it; `service` is a principal
/// such as `lambda.amazonaws.com`.
pub(crate) fn role_trusts(tx: &Tx<'_>, role_arn: &str, service: &str) -> Result<bool, Fault> {
    let Some(role) = role::by_arn(tx, role_arn)? else { return Ok(false) };
    Ok(principal::trusts_service(&role.trust, service))
}

/// What a session has to know of the role that it stands for.
pub(crate) struct Assumable {
    /// Differs between roles of one name that were made one after the other.
    pub(crate) id: String,
    /// Seconds that a session may last at most.
    pub(crate) max_session: i64,
    trust: String,
}

impl Assumable {
    /// Finds a role by its whole ARN, path included.
    pub(crate) fn find(tx: &Tx<'_>, role_arn: &str) -> Result<Option<Self>, Fault> {
        let found = role::by_arn(tx, role_arn)?;
        Ok(found.map(|role| Self { id: role.id, max_session: role.max_session, trust: role.trust }))
    }

    /// Tells whether the trust policy lets a service assume the role; see [`role_trusts`].
    pub(crate) fn trusts(&self, service: &str) -> bool {
        principal::trusts_service(&self.trust, service)
    }

    /// Reads what the trust policy says to one who wants to assume the role.
    pub(crate) fn standing(&self, asker: Asker<'_>, context: &Context) -> Standing {
        let trust = serde_json::from_str(&self.trust).unwrap_or_default();
        grantee::standing(&trust, asker, "sts:AssumeRole", None, context)
    }
}

/// What a role's own policies say of an action on a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decided {
    Allowed,
    /// Its permissions boundary does not allow it, whatever else does.
    OutOfBounds,
    /// Nothing allows it and nothing forbids it.
    Silent,
    Denied,
}

/// The policies of one role.
pub(crate) struct RoleGrants(simulate::Grants);

impl RoleGrants {
    /// Collects the policies of a role; none when there is no such role.
    pub(crate) fn load(tx: &Tx<'_>, role_arn: &str) -> Result<Option<Self>, Fault> {
        let role = role::by_arn(tx, role_arn)?;
        role.map(|role| simulate::Grants::of_role(tx, &role).map(Self)).transpose()
    }

    /// Judges one action on one resource.
    pub(crate) fn decide(&self, action: &str, resource: &str, context: &Context) -> Decided {
        let (own, limit) = self.0.decisions(action, resource, context);
        match (own, limit) {
            (Decision::ExplicitDeny, _) | (_, Some(Decision::ExplicitDeny)) => Decided::Denied,
            (_, Some(Decision::ImplicitDeny)) => Decided::OutOfBounds,
            (Decision::Allowed, _) => Decided::Allowed,
            (Decision::ImplicitDeny, _) => Decided::Silent,
        }
    }
}

/// Reads what the policy of a topic or function says to one who asks.
pub(crate) fn resource_standing(
    policy: &serde_json::Value,
    asker: Asker<'_>,
    action: &str,
    resource: &str,
    context: &Context,
) -> Standing {
    grantee::standing(policy, asker, action, Some(resource), context)
}

/// Tells whether the role exists and its policies, within its permissions boundary, allow the action.
pub(crate) fn role_allows(tx: &Tx<'_>, role_arn: &str, action: &str, resource: &str) -> Result<bool, Fault> {
    let Some(role) = role::by_arn(tx, role_arn)? else { return Ok(false) };
    let grants = simulate::Grants::of_role(tx, &role)?;
    Ok(grants.decide(action, resource, &Context::default()).decision == Decision::Allowed)
}

/// Returns the ARN of the role in an instance profile, which may be named or given as ARN; none when the
/// profile is missing or holds no role.
pub(crate) fn profile_role(tx: &Tx<'_>, name_or_arn: &str) -> Result<Option<String>, Fault> {
    profile::role_arn(tx, name_or_arn)
}

/// Checks a resource policy (such as a topic's) and the principals that it names.
pub(crate) fn check_resource_policy(tx: &Tx<'_>, account: &str, text: &str) -> Result<(), Fault> {
    document::check_resource(tx, account, text)
}

#[cfg(test)]
mod tests {
    use super::testing::{Bench, TRUST};
    use super::*;

    const READS: &str =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kinesis:Get*","Resource":"*"}}"#;

    #[test]
    fn unknown_operations_are_refused() {
        let fault = Bench::new().refused("CreateHeadache", &[]);
        assert_eq!(fault.code, "UnknownOperationException");
    }

    #[test]
    fn other_services_learn_whom_a_role_trusts() {
        let bench = Bench::new();
        bench.ok("CreateRole", &[("RoleName", "r"), ("Path", "/a/"), ("AssumeRolePolicyDocument", TRUST)]);
        let arn = "arn:aws:iam::000000000000:role/a/r";
        let trusts = |arn: &str, service: &str| bench.read(|tx| role_trusts(tx, arn, service));
        assert!(trusts(arn, "lambda.amazonaws.com"));
        assert!(!trusts(arn, "ec2.amazonaws.com"));
        assert!(!trusts("arn:aws:iam::000000000000:role/r", "lambda.amazonaws.com"), "the path is part of the ARN");
    }

    #[test]
    fn other_services_learn_what_a_role_allows() {
        let bench = Bench::new();
        bench.ok("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)]);
        bench.ok("PutRolePolicy", &[("RoleName", "r"), ("PolicyName", "p"), ("PolicyDocument", READS)]);
        let allows = |action: &str| bench.read(|tx| role_allows(tx, "arn:aws:iam::000000000000:role/r", action, "*"));
        assert!(allows("kinesis:GetRecords"));
        assert!(!allows("kinesis:PutRecord"));
    }

    #[test]
    fn a_permissions_boundary_limits_what_a_role_allows() {
        let bench = Bench::new();
        let wide = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        bench.ok("CreatePolicy", &[("PolicyName", "limit"), ("PolicyDocument", READS)]);
        let limit = "arn:aws:iam::000000000000:policy/limit";
        let role = [("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST), ("PermissionsBoundary", limit)];
        bench.ok("CreateRole", &role);
        bench.ok("PutRolePolicy", &[("RoleName", "r"), ("PolicyName", "p"), ("PolicyDocument", wide)]);
        let allows = |action: &str| bench.read(|tx| role_allows(tx, "arn:aws:iam::000000000000:role/r", action, "*"));
        assert!(allows("kinesis:GetRecords"));
        assert!(!allows("s3:GetObject"));
    }

    #[test]
    fn other_services_learn_the_role_of_a_profile() {
        let bench = Bench::new();
        bench.ok("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)]);
        bench.ok("CreateInstanceProfile", &[("InstanceProfileName", "ip")]);
        let role = |name: &str| bench.read(|tx| profile_role(tx, name));
        assert_eq!(role("ip"), None);
        bench.ok("AddRoleToInstanceProfile", &[("InstanceProfileName", "ip"), ("RoleName", "r")]);
        let arn = Some("arn:aws:iam::000000000000:role/r".to_owned());
        assert_eq!(role("ip"), arn);
        assert_eq!(role("arn:aws:iam::000000000000:instance-profile/ip"), arn);
        assert_eq!(role("arn:aws:iam::000000000000:instance-profile/x/ip"), None);
    }
}
