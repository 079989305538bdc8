//! Whether the stack's own policies can allow what AWS asks of roles. Pure, and in doubt in their favour.
//!
//! Of a role outside the stack, one with policies that the file only names, or one whose differences are ignored,
//! nothing is said. What is said here decides nothing before AWS has refused (`facts/aws.md` 0.2).

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Action, Plan, Step};
use crate::kind::{Ask, Demand, Lack, Place};
use crate::kinds::policy::{PolicyDocument, could_allow, could_trust};
use crate::live::Live;
use crate::live::names::Names;
use crate::stack::{Resource, Stack};

const ROLE: &str = "iam_role";
const POLICY: &str = "iam_policy";

/// Lists what can never be met of some demands, one lack for each role and place.
#[must_use]
pub fn lacks(names: &Names<'_>, place: &Place, demands: &[Demand]) -> Vec<Lack> {
    Roles::of(names, place).lacks(demands)
}

/// The stack's own roles, each found and read once.
struct Roles<'n, 'a> {
    names: &'n Names<'a>,
    place: &'n Place,
    /// By the texts that stand for them.
    found: BTreeMap<String, Option<&'a Resource>>,
    read: BTreeMap<&'a str, Role<'a>>,
}

/// A role with what it says who may do what.
struct Role<'a> {
    resource: &'a Resource,
    trust: Option<PolicyDocument>,
    /// All its policies; none when the stack does not have all of them.
    documents: Option<Vec<PolicyDocument>>,
}

impl<'n, 'a> Roles<'n, 'a> {
    fn of(names: &'n Names<'a>, place: &'n Place) -> Self {
        Self { names, place, found: BTreeMap::new(), read: BTreeMap::new() }
    }

    fn lacks(&mut self, demands: &[Demand]) -> Vec<Lack> {
        let mut lacks: Vec<Lack> = Vec::new();
        let mut denied: Vec<Denied<'_>> = Vec::new();
        for demand in demands {
            let Some(role) = self.role(&demand.role) else { continue };
            match &demand.ask {
                Ask::Trust(service) => lacks.extend(role.untrusted(service)),
                Ask::Access { any, on } if !role.could(any, on) => {
                    Denied { role: role.resource, on, actions: vec![any] }.join(&mut denied);
                }
                Ask::Access { .. } => {}
            }
        }
        lacks.dedup();
        lacks.extend(denied.iter().map(|denied| denied.lack(self.names)));
        lacks
    }

    /// Returns the role behind a text, looked for and read when first asked for.
    fn role(&mut self, text: &str) -> Option<&Role<'a>> {
        let (names, place) = (self.names, self.place);
        let resource = (*self.found.entry(text.to_owned()).or_insert_with(|| ours(names, text)))?;
        Some(self.read.entry(&resource.id).or_insert_with(|| Role::read(names, place, resource)))
    }
}

/// Finds the stack's own role behind a text, unless its differences are ignored.
fn ours<'a>(names: &Names<'a>, text: &str) -> Option<&'a Resource> {
    let role = names.find(&names.role(text)?)?;
    (role.kind.type_name() == ROLE && role.ignore_changes.is_empty()).then_some(role)
}

impl<'a> Role<'a> {
    fn read(names: &Names<'_>, place: &Place, resource: &'a Resource) -> Self {
        let spec = names.wanted(place, resource);
        let trust = spec.get("assume_role_policy").and_then(|trust| PolicyDocument::from_value(trust).ok());
        Self { resource, trust, documents: documents(names, place, &spec) }
    }

    fn untrusted(&self, service: &str) -> Option<Lack> {
        let trust = self.trust.as_ref()?;
        let text = format!("role {} does not let {service} take it on", self.resource.name);
        let help = format!("add {service} to `service:` of `{}`, or to its assume_role_policy", self.resource.id);
        (!could_trust(trust, service)).then_some(Lack { text, help })
    }

    /// Tells whether the role could be allowed one of some actions.
    fn could(&self, any: &[&str], on: &str) -> bool {
        let Some(documents) = &self.documents else { return true };
        any.iter().any(|action| could_allow(documents, action, on))
    }
}

/// What a role may not do with one place.
struct Denied<'a> {
    role: &'a Resource,
    on: &'a str,
    /// Groups of actions, of each of which one would do.
    actions: Vec<&'a [&'static str]>,
}

impl<'a> Denied<'a> {
    fn join(self, all: &mut Vec<Denied<'a>>) {
        match all.iter_mut().find(|other| other.role.id == self.role.id && other.on == self.on) {
            Some(other) => other.actions.extend(self.actions),
            None => all.push(self),
        }
    }

    fn lack(&self, names: &Names<'_>) -> Lack {
        let place = names.find(self.on).map_or(self.on, |resource| resource.id.as_str());
        let groups: Vec<String> = self.actions.iter().map(|any| any.join(" or ")).collect();
        let text = format!("role {} may not {} on {place}", self.role.name, groups.join(", "));
        let arn = names.output(&self.role.id, "arn").unwrap_or_default();
        let grant = self.actions.iter().copied().flatten().find_map(|action| names.grant(arn, place, action));
        let help = match grant {
            Some((holder, line)) => format!("add `{line}` to `grants:` of `{holder}`"),
            None => format!("allow it in `inline_policies:` of `{}`", self.role.id),
        };
        Lack { text, help }
    }
}

/// Lists what AWS will refuse when a plan is carried out, by the steps that it will refuse.
#[must_use]
pub fn foreseen<'a>(stack: &Stack, place: &Place, live: &Live, plan: &'a Plan) -> Vec<(&'a Step, Lack)> {
    let names = Names::of(stack, place, live);
    let made = plan.active().filter(|step| step.in_file && (step.action.creates() || step.action == Action::Update));
    let mut roles = Roles::of(&names, place);
    let lacks = made.map(|step| (step, roles.lacks(&step.kind.demands(&step.want))));
    lacks.flat_map(|(step, lacks)| lacks.into_iter().map(move |lack| (step, lack))).collect()
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
