//! Lets a role's call through only when the role may make it.
//!
//! What a call needs is read from its input by one file for each service (`needs`); what a role may do is IAM's to
//! say, and for topics and functions their own policies may say it as well. An operation that no table names needs
//! `service:Operation` on `*`, so that nothing passes unjudged. The account itself may do anything.

mod dynamodb;
mod kinesis;
mod lambda;
mod needs;
#[cfg(test)]
mod tests;

use super::iam::{self, Asker, Context, Decided, RoleGrants, Standing};
use super::registry::{Entry, Wire};
use super::store::Store;
use super::sts::{caller_arn, session::Refusal};
use super::{Call, Fault, Tx, lambda as functions, sns};

use needs::Need;

/// Faults when the role that calls may not make the call.
pub(crate) fn check(rows: &Store, entry: &Entry, call: &Call) -> Result<(), Fault> {
    let Some(role) = &call.role else { return Ok(()) };
    rows.transaction(call, |tx| {
        let grants = RoleGrants::load(tx, role)?.ok_or_else(|| Refusal::Invalid.fault(entry.wire))?;
        let session = caller_arn(call);
        let asker = Asker::Role { arn: role, session: &session };
        for need in needs::of(tx, entry, call)? {
            judge(tx, call, &grants, asker, &need)?
                .map_or(Ok(()), |reason| Err(refusal(entry, &session, &need, reason)))?;
        }
        Ok(())
    })
}

/// Says why a need is not met; nothing when it is.
fn judge(
    tx: &Tx<'_>,
    call: &Call,
    grants: &RoleGrants,
    asker: Asker<'_>,
    need: &Need,
) -> Result<Option<&'static str>, Fault> {
    let context = context(call, asker, need);
    let own = grants.decide(&need.action, &need.resource, &context);
    let other = match resource_policy(tx, call, need)? {
        Some(policy) => iam::resource_standing(&policy, asker, &need.action, &need.resource, &context),
        None => Standing::Silent,
    };
    Ok(match (own, other) {
        (Decided::Denied, _) => Some("with an explicit deny in an identity-based policy"),
        (_, Standing::Denied) => Some("with an explicit deny in a resource-based policy"),
        (Decided::OutOfBounds, _) => Some("because no permissions boundary allows"),
        (Decided::Allowed, _) | (Decided::Silent, Standing::ByName) => None,
        (Decided::Silent, _) => Some("because no identity-based policy allows"),
    })
}

fn context(call: &Call, asker: Asker<'_>, need: &Need) -> Context {
    let mut context = iam::asker_context(asker);
    let now = jiff::Timestamp::from_millisecond(call.now).unwrap_or_default().to_string();
    let known = [("aws:currenttime", now), ("aws:requestedregion", call.region.clone())];
    let own = need.context.iter().map(|(key, value)| (*key, value.clone()));
    context.extend(known.into_iter().chain(own).map(|(key, value)| (key.to_owned(), vec![value])));
    context
}

/// Returns the policy of the topic or function that a need is about.
fn resource_policy(tx: &Tx<'_>, call: &Call, need: &Need) -> Result<Option<serde_json::Value>, Fault> {
    if need.resource.starts_with("arn:aws:sns:") {
        return sns::policy(tx, &need.resource);
    }
    match need.resource.strip_prefix(&call.arn("lambda", "function:")) {
        Some(name) => functions::policy(tx, name),
        None => Ok(None),
    }
}

/// Returns the name of the operation of Lambda that a call is; only its method and path show it.
pub(super) fn lambda_operation(call: &Call) -> String {
    let needs = lambda::needs(call);
    let action = needs.first().and_then(|need| need.action.split_once(':')).map_or("", |(_, action)| action);
    if action == "InvokeFunction" { "Invoke".to_owned() } else { action.to_owned() }
}

/// Refuses a call whoever makes it, as for one that may not.
pub(super) fn denied(entry: &Entry, call: &Call, operation: &str) -> Fault {
    let session = caller_arn(call);
    refusal(entry, &session, &Need::new(entry.signing, operation, "*"), "because no identity-based policy allows")
}

/// Refuses in the words of the service that was called.
fn refusal(entry: &Entry, session: &str, need: &Need, reason: &str) -> Fault {
    let Need { action, resource, .. } = need;
    let ending = if reason.starts_with("with") { reason.to_owned() } else { format!("{reason} the {action} action") };
    match entry.wire {
        Wire::Ec2 => {
            let start = "You are not authorized to perform this operation.";
            let text = format!(
                "{start} User: {session} is not authorized to perform: {action} on resource: {resource} {ending}"
            );
            Fault::with_status(403, "UnauthorizedOperation", text)
        }
        wire => {
            let (status, code) = match (entry.signing, wire) {
                ("sns", _) => (403, "AuthorizationError"),
                (_, Wire::Query(_)) => (403, "AccessDenied"),
                (_, Wire::Rest) => (403, "AccessDeniedException"),
                _ => (400, "AccessDeniedException"),
            };
            let text =
                format!("User: {session} is not authorized to perform: {action} on resource: {resource} {ending}");
            Fault::with_status(status, code, text)
        }
    }
}
