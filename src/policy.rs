//! The IAM policies for whoever runs this program, as documents.
//!
//! Pure: what the kinds say that their verbs need, and the names of a stack, give statements.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::kind::{AnyWrites, Outputs, Place, Right};
use crate::live;
use crate::stack::{Resource, Stack};

/// Resources by the actions that are allowed on them.
type Allowed = BTreeMap<&'static [&'static str], BTreeSet<String>>;

/// Makes the policy that allows actions on everything.
#[must_use]
pub fn on_all(actions: &BTreeSet<&'static str>) -> Value {
    document(&[json!({ "Sid": "Reads", "Effect": "Allow", "Action": actions, "Resource": "*" })])
}

/// Makes the policy of whoever plans, applies and destroys a stack. `reads` are what a plan asks of any kind; what a
/// resource names itself is left out of them, so that nobody reads what the stack does not have.
#[must_use]
pub fn deployer(
    stack: &Stack,
    place: &Place,
    writers: &[&'static dyn AnyWrites],
    reads: &BTreeSet<&'static str>,
) -> Value {
    let outputs = live::predictions(stack, place);
    let mut allowed = Allowed::new();
    let mut passed: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    for resource in stack.resources.values() {
        let Some(writer) = writers.iter().find(|writer| writer.type_name() == resource.kind.type_name()) else {
            continue;
        };
        let want = live::wanted(stack, place, resource, &outputs);
        for right in writer.writes() {
            let resources = right.resources.iter().map(|written| arn(written, stack, place, resource, &want));
            allowed.entry(right.actions).or_default().extend(resources);
        }
        if let Some(service) = writer.passes_to() {
            passed.entry(service).or_default().extend(roles(resource, &want, place, &outputs));
        }
    }
    let named: BTreeSet<&str> = writers.iter().flat_map(|writer| writer.writes()).flat_map(exact).copied().collect();
    let reads: BTreeSet<&str> = reads.iter().copied().filter(|action| !named.contains(action)).collect();
    let mut statements = vec![json!({ "Sid": "Reads", "Effect": "Allow", "Action": reads, "Resource": "*" })];
    statements.extend(
        allowed.iter().map(|(actions, on)| json!({ "Effect": "Allow", "Action": actions, "Resource": one_or_all(on) })),
    );
    statements
        .extend(passed.iter().filter(|(_, roles)| !roles.is_empty()).map(|(service, roles)| pass(service, roles)));
    document(&statements)
}

fn document(statements: &[Value]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// Lists the actions of a right that name what they are for.
fn exact(right: &Right) -> &'static [&'static str] {
    if right.resources.contains(&"*") { &[] } else { right.actions }
}

fn one_or_all(resources: &BTreeSet<String>) -> Value {
    if resources.contains("*") { "*".into() } else { json!(resources) }
}

/// Fills in an ARN of a right; a value that is known only after apply may be anything.
fn arn(written: &str, stack: &Stack, place: &Place, resource: &Resource, want: &Value) -> String {
    if let Some(field) = written.strip_prefix('=') {
        let known = want[field].as_str().filter(|text| !text.contains("${"));
        return known.unwrap_or("*").to_owned();
    }
    if written == "*" {
        return written.to_owned();
    }
    let filled = written
        .replace("{region}", &place.region)
        .replace("{account}", &place.account)
        .replace("{stack}", &stack.name)
        .replace("{path}", resource.name.trim_start_matches('/'))
        .replace("{name}", &resource.name);
    format!("arn:{}:{filled}", place.partition)
}

/// Lists the roles that a resource hands out: those whose ARN it has, and the one that it names.
fn roles(resource: &Resource, want: &Value, place: &Place, outputs: &BTreeMap<String, Outputs>) -> BTreeSet<String> {
    let mut roles = BTreeSet::new();
    arns(want, &mut roles);
    if let Some(role) = resource.kind.role(want).filter(|role| !role.contains("${") && !role.starts_with("arn:")) {
        roles.extend(role_named(&role, place, outputs));
    }
    roles
}

fn arns(value: &Value, roles: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.starts_with("arn:") && text.contains(":role/") => drop(roles.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| arns(item, roles)),
        Value::Object(map) => map.values().for_each(|item| arns(item, roles)),
        _ => {}
    }
}

/// Finds the role of a name. A profile of the stack has its own say; any other's role cannot be told.
fn role_named(name: &str, place: &Place, outputs: &BTreeMap<String, Outputs>) -> Option<String> {
    let text = |outputs: &Outputs, field: &str| outputs.get(field).and_then(Value::as_str).map(str::to_owned);
    let same = |outputs: &&Outputs| text(outputs, "name").as_deref() == Some(name);
    let own: Vec<String> = outputs.values().filter(same).filter_map(|outputs| text(outputs, "arn")).collect();
    match own.iter().find(|arn| arn.contains(":role/")) {
        Some(role) => Some(role.clone()),
        None if own.iter().any(|arn| arn.contains(":instance-profile/")) => None,
        None => Some(place.iam_arn("role/*")),
    }
}

fn pass(service: &str, roles: &BTreeSet<String>) -> Value {
    json!({
        "Effect": "Allow", "Action": "iam:PassRole", "Resource": roles,
        "Condition": { "StringEquals": { "iam:PassedToService": service } },
    })
}
