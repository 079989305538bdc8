//! Simulation of policies: `SimulatePrincipalPolicy`, `SimulateCustomPolicy` and the context keys they need.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::local::constraint::Constraints;
use crate::local::{Call, Fault, Tx, Xml};

use super::document::{self, statements};
use super::evaluate::{Context, Decision, Source, Verdict, decide};
use super::{Operation, policy, role, wire};

pub(super) const OPERATIONS: &[(&str, Operation)] = &[
    ("SimulatePrincipalPolicy", simulate_principal),
    ("SimulateCustomPolicy", simulate_custom),
    ("GetContextKeysForPrincipalPolicy", keys_of_principal),
    ("GetContextKeysForCustomPolicy", keys_of_custom),
];

/// The policies of an identity and those that bound it.
pub(super) struct Grants {
    policies: Vec<Source>,
    boundary: Option<Vec<Source>>,
}

impl Grants {
    /// Collects the policies of a role.
    pub(super) fn of_role(tx: &Tx<'_>, role: &role::Role) -> Result<Self, Fault> {
        let inline = role.inline.iter().map(|(name, text)| Source {
            name: format!("role_{}_{name}", role.name),
            kind: "IAM Policy",
            document: parsed(text),
        });
        let mut policies: Vec<_> = inline.collect();
        for arn in &role.attached {
            policies.extend(managed(tx, arn)?);
        }
        let boundary = role.boundary.as_deref().map(|arn| managed(tx, arn)).transpose()?;
        Ok(Self { policies, boundary: boundary.map(Vec::from_iter) })
    }

    /// Decides by the policies, and by the boundary when there is one.
    pub(super) fn decisions(&self, action: &str, resource: &str, context: &Context) -> (Decision, Option<Decision>) {
        let limit = self.boundary.as_ref().map(|boundary| decide(boundary, action, resource, context).decision);
        (decide(&self.policies, action, resource, context).decision, limit)
    }

    /// Decides within the boundary: what it does not allow is not allowed.
    pub(super) fn decide(&self, action: &str, resource: &str, context: &Context) -> Verdict {
        let mut verdict = decide(&self.policies, action, resource, context);
        let Some(boundary) = &self.boundary else { return verdict };
        let limit = decide(boundary, action, resource, context);
        if verdict.decision == Decision::Allowed && limit.decision != Decision::Allowed {
            verdict.decision = limit.decision;
            verdict.matched.clear();
        }
        verdict.missing.extend(limit.missing);
        verdict
    }
}

fn managed(tx: &Tx<'_>, arn: &str) -> Result<Option<Source>, Fault> {
    let Some(policy) = policy::find_settled(tx, arn)? else { return Ok(None) };
    let document = parsed(policy.document().unwrap_or("{}"));
    Ok(Some(Source { name: policy.name, kind: "IAM Policy", document }))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

fn given(call: &Call, field: &str) -> Result<Vec<Source>, Fault> {
    let texts = call.params().texts(field).into_iter().enumerate();
    texts
        .map(|(place, text)| {
            document::check_identity(&text)
                .map_err(|fault| Fault::new("InvalidInput", format!("Invalid policy document: {}", fault.message)))?;
            let name = format!("{field}.{}", place + 1);
            Ok(Source { name, kind: "IAM Policy", document: parsed(&text) })
        })
        .collect()
}

fn source(tx: &Tx<'_>, call: &Call) -> Result<Grants, Fault> {
    let arn = call.params().get("PolicySourceArn");
    let mut check = Constraints::new();
    check.required("policySourceArn", arn);
    check.length("policySourceArn", arn, 20, 2048);
    check.done("ValidationError")?;
    let arn = arn.unwrap_or_default();
    if !arn.contains(":role/") {
        let text = format!("Invalid Entity Arn: {arn} does not clearly define entity type and name.");
        return Err(Fault::new("InvalidInput", text));
    }
    let role = role::by_arn(tx, arn)?;
    let role = role.ok_or_else(|| wire::missing(format!("The role with ARN {arn} cannot be found.")))?;
    Grants::of_role(tx, &role)
}

fn simulate_principal(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut grants = source(tx, call)?;
    grants.policies.extend(given(call, "PolicyInputList")?);
    simulate(call, grants)
}

fn simulate_custom(_: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let policies = given(call, "PolicyInputList")?;
    if policies.is_empty() {
        let mut check = Constraints::new();
        check.required("policyInputList", None);
        check.done("ValidationError")?;
    }
    simulate(call, Grants { policies, boundary: None })
}

fn simulate(call: &Call, mut grants: Grants) -> Result<Xml, Fault> {
    let boundary = given(call, "PermissionsBoundaryPolicyInputList")?;
    if !boundary.is_empty() {
        grants.boundary = Some(boundary);
    }
    let context = context(call);
    let mut answers = Vec::new();
    for action in actions(call)? {
        for resource in resources(call) {
            let verdict = grants.decide(&action, &resource, &context);
            answers.push((format!("{:06}", answers.len()), element(&grants, &action, &resource, &verdict)));
        }
    }
    let (answers, tail) = wire::page(call, answers)?;
    Ok(tail.list("EvaluationResults", "member", answers))
}

fn actions(call: &Call) -> Result<Vec<String>, Fault> {
    let actions = call.params().texts("ActionNames");
    let mut check = Constraints::new();
    check.required("actionNames", actions.first().map(String::as_str));
    check.done("ValidationError")?;
    let wrong = |action: &&String| action.split(':').filter(|part| !part.is_empty()).count() != 2;
    match actions.iter().find(wrong) {
        Some(action) => Err(Fault::new("InvalidInput", format!("Invalid Action: {action}"))),
        None => Ok(actions),
    }
}

fn resources(call: &Call) -> Vec<String> {
    let resources = call.params().texts("ResourceArns");
    if resources.is_empty() { vec!["*".to_owned()] } else { resources }
}

fn context(call: &Call) -> Context {
    let entries = call.params().list("ContextEntries").into_iter();
    let entries = entries.filter_map(|entry| {
        let key = entry.get("ContextKeyName")?.to_ascii_lowercase();
        Some((key, entry.texts("ContextKeyValues")))
    });
    entries.collect()
}

fn element(grants: &Grants, action: &str, resource: &str, verdict: &Verdict) -> Xml {
    let sources: BTreeSet<usize> = verdict.matched.iter().copied().collect();
    let sources = sources.into_iter().filter_map(|place| grants.policies.get(place));
    let matched =
        sources.map(|source| Xml::new().text("SourcePolicyId", &source.name).text("SourcePolicyType", source.kind));
    Xml::new()
        .text("EvalActionName", action)
        .text("EvalResourceName", resource)
        .text("EvalDecision", verdict.decision.name())
        .list("MatchedStatements", "member", matched)
        .texts("MissingContextValues", "member", &verdict.missing)
}

fn keys_of_principal(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut policies = source(tx, call)?.policies;
    policies.extend(given(call, "PolicyInputList")?);
    Ok(keys(&policies))
}

fn keys_of_custom(_: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    Ok(keys(&given(call, "PolicyInputList")?))
}

fn keys(policies: &[Source]) -> Xml {
    let all = policies.iter().flat_map(|policy| statements(&policy.document));
    let operators = all.filter_map(|statement| statement.get("Condition")?.as_object()).flat_map(|all| all.values());
    let names: BTreeSet<_> = operators.filter_map(Value::as_object).flat_map(|keys| keys.keys()).collect();
    Xml::new().texts("ContextKeyNames", "member", names)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, GRANT, TRUST, texts};

    const ARN: (&str, &str) = ("PolicySourceArn", "arn:aws:iam::000000000000:role/r");

    fn bench() -> Bench {
        let bench = Bench::new();
        bench.ok("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)]);
        bench.ok("PutRolePolicy", &[("RoleName", "r"), ("PolicyName", "p"), ("PolicyDocument", GRANT)]);
        bench
    }

    #[test]
    fn a_role_is_simulated_with_all_its_policies() {
        let bench = bench();
        let managed = ("PolicyArn", "arn:aws:iam::aws:policy/AmazonSNSFullAccess");
        bench.ok("AttachRolePolicy", &[("RoleName", "r"), managed]);
        let actions = [
            ("ActionNames.member.1", "kinesis:PutRecord"),
            ("ActionNames.member.2", "s3:GetObject"),
            ("ActionNames.member.3", "sns:Publish"),
        ];
        let answer = bench.ok("SimulatePrincipalPolicy", &[&[ARN], &actions[..]].concat());
        assert_eq!(texts(&answer, "EvalDecision"), ["allowed", "implicitDeny", "allowed"]);
        assert_eq!(texts(&answer, "SourcePolicyId"), ["role_r_p", "AmazonSNSFullAccess"]);
    }

    #[test]
    fn context_values_decide_conditions() {
        let text = GRANT.replace("}]", r#","Condition":{"StringEquals":{"aws:SourceAccount":"1"}}}]"#);
        let start = [("PolicyInputList.member.1", text.as_str()), ("ActionNames.member.1", "kinesis:PutRecord")];
        let bench = Bench::new();
        let answer = bench.ok("SimulateCustomPolicy", &start);
        assert_eq!(texts(&answer, "EvalDecision"), ["implicitDeny"]);
        assert!(answer.contains("<MissingContextValues><member>aws:SourceAccount</member>"), "{answer}");
        let context = [
            ("ContextEntries.member.1.ContextKeyName", "aws:SourceAccount"),
            ("ContextEntries.member.1.ContextKeyType", "string"),
            ("ContextEntries.member.1.ContextKeyValues.member.1", "1"),
        ];
        let answer = bench.ok("SimulateCustomPolicy", &[&start[..], &context].concat());
        assert_eq!(texts(&answer, "EvalDecision"), ["allowed"]);
        assert!(bench.ok("GetContextKeysForCustomPolicy", &start[..1]).contains("<member>aws:SourceAccount</member>"));
    }

    #[test]
    fn every_resource_gets_an_answer() {
        let text = GRANT.replace(r#""Resource":"*""#, r#""Resource":"arn:aws:kinesis:*:*:stream/a""#);
        let fields = [
            ("PolicyInputList.member.1", text.as_str()),
            ("ActionNames.member.1", "kinesis:PutRecord"),
            ("ResourceArns.member.1", "arn:aws:kinesis:us-east-1:1:stream/a"),
            ("ResourceArns.member.2", "arn:aws:kinesis:us-east-1:1:stream/b"),
        ];
        let answer = Bench::new().ok("SimulateCustomPolicy", &fields);
        assert_eq!(texts(&answer, "EvalDecision"), ["allowed", "implicitDeny"]);
    }

    #[test]
    fn broken_requests_are_refused() {
        let bench = bench();
        assert_eq!(bench.code("SimulatePrincipalPolicy", &[ARN]), "ValidationError");
        let action = ("ActionNames.member.1", "kinesis:PutRecord");
        let missing = ("PolicySourceArn", "arn:aws:iam::000000000000:role/none");
        assert_eq!(bench.code("SimulatePrincipalPolicy", &[missing, action]), "NoSuchEntity");
        assert_eq!(bench.code("SimulatePrincipalPolicy", &[ARN, ("ActionNames.member.1", "kinesis")]), "InvalidInput");
        assert_eq!(bench.code("SimulateCustomPolicy", &[("PolicyInputList.member.1", "{"), action]), "InvalidInput");
    }
}
