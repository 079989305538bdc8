//! Whether the stack's own policies can allow what AWS asks of roles. Pure, and in doubt in their favour.
//!
//! Of a role outside the stack, one with policies that the file only names, or one whose differences are ignored,
//! nothing is said. What is said here decides nothing before AWS has refused (`facts/aws.md` 0.2).

use serde_json::Value;

use super::{Action, Plan, Step};
use crate::kind::{Ask, Demand, Lack, Place};
use crate::kinds::policy::{PolicyDocument, could_allow, could_trust};
use crate::live::Live;
use crate::live::names::Names;
use crate::stack::{Resource, Stack};

const ROLE: &str = "iam_role";
const POLICY: &str = "iam_policy";

/// Lists the demands that can never be met.
#[must_use]
pub fn lacks(names: &Names<'_>, place: &Place, demands: &[Demand]) -> Vec<Lack> {
    let lack = |demand: &Demand| {
        let arn = names.role(&demand.role)?;
        let role = names.find(&arn).filter(|role| role.kind.type_name() == ROLE && role.ignore_changes.is_empty())?;
        let spec = names.wanted(place, role);
        match &demand.ask {
            Ask::Trust(service) => untrusted(role, &spec, service),
            Ask::Access { any, on } => denied(names, role, &arn, &documents(names, place, &spec)?, any, on),
        }
    };
    demands.iter().filter_map(lack).collect()
}

/// Lists what AWS will refuse when a plan is carried out, by the steps that it will refuse.
#[must_use]
pub fn foreseen<'a>(stack: &Stack, place: &Place, live: &Live, plan: &'a Plan) -> Vec<(&'a Step, Lack)> {
    let names = Names::of(stack, place, live);
    let made = plan.active().filter(|step| step.in_file && (step.action.creates() || step.action == Action::Update));
    let lacks = made.map(|step| (step, lacks(&names, place, &step.kind.demands(&step.want))));
    lacks.flat_map(|(step, lacks)| lacks.into_iter().map(move |lack| (step, lack))).collect()
}

fn untrusted(role: &Resource, spec: &Value, service: &str) -> Option<Lack> {
    let trust = PolicyDocument::from_value(spec.get("assume_role_policy")?).ok()?;
    let text = format!("role {} does not let {service} take it on", role.name);
    let help = format!("add {service} to `service:` of `{}`, or to its assume_role_policy", role.id);
    (!could_trust(&trust, service)).then_some(Lack { text, help })
}

fn denied(
    names: &Names<'_>,
    role: &Resource,
    arn: &str,
    documents: &[PolicyDocument],
    any: &[&str],
    on: &str,
) -> Option<Lack> {
    let place = names.find(on).map_or(on, |resource| resource.id.as_str());
    if any.iter().any(|action| could_allow(documents, action, on)) {
        return None;
    }
    let text = format!("role {} may not {} on {place}", role.name, any.join(" or "));
    let grant = any.iter().find_map(|action| names.grant(arn, place, action));
    let help = match grant {
        Some((holder, line)) => format!("add `{line}` to `grants:` of `{holder}`"),
        None => format!("allow it in `inline_policies:` of `{}`", role.id),
    };
    Some(Lack { text, help })
}

/// Returns all policies of a role; none when the stack does not have all of them.
fn documents(names: &Names<'_>, place: &Place, role: &Value) -> Option<Vec<PolicyDocument>> {
    let inline = role.get("inline_policies").and_then(Value::as_object).into_iter().flatten();
    let inline = inline.map(|(_, document)| document.clone());
    let attached = role.get("managed_policy_arns").and_then(Value::as_array).into_iter().flatten();
    let attached: Option<Vec<Value>> = attached.map(|arn| managed(names, place, arn.as_str()?)).collect();
    inline.chain(attached?).map(|document| PolicyDocument::from_value(&document).ok()).collect()
}

fn managed(names: &Names<'_>, place: &Place, arn: &str) -> Option<Value> {
    let policy = names.find(arn).filter(|policy| policy.kind.type_name() == POLICY)?;
    names.wanted(place, policy).get("policy_document").cloned()
}
