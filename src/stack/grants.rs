//! `grants:` of a role, turned into policy statements with the least that each edge needs.
//!
//! Knows what each kind permits only through its [`Grant`]s.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::kind::{AnyKind, Grant};

use super::links::Link;
use super::problem::{Problem, join};
use super::suggest;
use super::text::describe;

/// Field of a spec that holds grants, and the inline policy that they become.
pub(super) const FIELD: &str = "grants";
const POLICIES: &str = "inline_policies";

/// What a grant's target can be.
pub(super) enum Target {
    /// A resource of this kind.
    Kind(&'static dyn AnyKind),
    /// A resource that `when:` leaves out.
    LeftOut,
    /// A resource whose `type:` is wrong, which has been reported.
    Unknown,
}

/// Where grants are looked up and reported.
pub(super) struct Granting<'a, F: Fn(&str) -> Option<Target>> {
    /// Logical id of the role.
    pub(super) id: &'a str,
    /// Path of the role in the file.
    pub(super) path: &'a str,
    /// Finds a resource by its id.
    pub(super) find: F,
    /// All ids, for suggestions.
    pub(super) ids: &'a [&'a str],
}

impl<F: Fn(&str) -> Option<Target>> Granting<'_, F> {
    /// Replaces `grants` in a spec by an inline policy; returns the resources that it refers to.
    pub(super) fn expand(&self, spec: &mut Map<String, Value>, problems: &mut Vec<Problem>) -> Vec<Link> {
        let path = join(self.path, FIELD);
        let grants = match spec.shift_remove(FIELD) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(grants)) => grants,
            Some(other) => {
                let message = format!("`grants` is a list, this is {}", describe(&other));
                problems.push(Problem::error(path, message).help("write `grants: [{read: ID}]`"));
                return Vec::new();
            }
        };
        let (mut statements, mut links) = (Vec::new(), Vec::new());
        for (index, entry) in grants.iter().enumerate() {
            let at = join(&path, &index.to_string());
            for (verb, target) in self.pairs(entry, &at, problems) {
                let place = join(&at, verb);
                links.push(Link::new(self.id, target, &place));
                statements.extend(self.statement(verb, target, &place, problems));
            }
        }
        self.place(spec, statements, problems);
        links
    }

    fn pairs<'b>(&self, entry: &'b Value, path: &str, problems: &mut Vec<Problem>) -> Vec<(&'b str, &'b str)> {
        let pairs: Option<Vec<(&str, &str)>> = entry
            .as_object()
            .filter(|map| !map.is_empty())
            .and_then(|map| map.iter().map(|(verb, target)| Some((verb.as_str(), target.as_str()?))).collect());
        pairs.unwrap_or_else(|| {
            let problem = Problem::error(path, "a grant is a verb and the id of a resource").label("not a grant");
            problems.push(problem.help(format!("write `{{read: {}}}`", self.ids.first().unwrap_or(&"ID"))));
            Vec::new()
        })
    }

    fn statement(&self, verb: &str, target: &str, path: &str, problems: &mut Vec<Problem>) -> Option<Value> {
        let kind = match (self.find)(target) {
            Some(Target::Kind(kind)) => kind,
            Some(Target::LeftOut | Target::Unknown) => return None,
            None => {
                let problem =
                    Problem::error(path, format!("there is no resource `{target}`")).label("unknown resource");
                let ids = self.ids.iter().copied().filter(|id| *id != self.id);
                problems.push(problem.maybe_help(suggest::help(target, ids)));
                return None;
            }
        };
        let Some(grant) = kind.grants().iter().find(|grant| grant.verb == verb) else {
            problems.push(unknown_verb(verb, target, kind, path));
            return None;
        };
        Some(statement(grant, target))
    }

    fn place(&self, spec: &mut Map<String, Value>, mut statements: Vec<Value>, problems: &mut Vec<Problem>) {
        distinguish(&mut statements);
        if statements.is_empty() {
            return;
        }
        let policies = spec.entry(POLICIES).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(policies) = policies else { return };
        if policies.contains_key(FIELD) {
            let path = format!("{}.{POLICIES}.{FIELD}", self.path);
            let problem = Problem::error(path, "the inline policy `grants` is made from `grants:`").at_key();
            return problems.push(problem.help("give this policy another name"));
        }
        policies.insert(FIELD.to_owned(), json!({"Version": "2012-10-17", "Statement": statements}));
    }
}

fn unknown_verb(verb: &str, target: &str, kind: &dyn AnyKind, path: &str) -> Problem {
    let verbs = kind.grants().iter().map(|grant| grant.verb);
    let message = format!("`{verb}` cannot be granted on `{target}`, a {}", kind.type_name());
    let help = suggest::help(verb, verbs)
        .unwrap_or_else(|| format!("nothing can be granted on a {}: write an inline policy", kind.type_name()));
    Problem::error(path, message).at_key().label("unknown verb").help(help)
}

/// Writes a grant as a statement; without a `Sid`, which would make another logical id a change of the policy.
fn statement(grant: &Grant, target: &str) -> Value {
    let actions: BTreeSet<&str> = grant.actions.iter().copied().collect();
    let resources: Vec<String> = grant.resources.iter().map(|suffix| format!("${{{target}.arn}}{suffix}")).collect();
    let resources = match &resources[..] {
        [one] => json!(one),
        several => json!(several),
    };
    json!({"Effect": "Allow", "Action": actions, "Resource": resources})
}

/// Drops repeated statements.
fn distinguish(statements: &mut Vec<Value>) {
    let mut kept: Vec<Value> = Vec::new();
    for statement in statements.drain(..) {
        if !kept.contains(&statement) {
            kept.push(statement);
        }
    }
    *statements = kept;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::fake;

    fn expand(mut spec: Value) -> (Value, Vec<String>) {
        let find = |id: &str| match id {
            "orders" | "or-ders" => Some(Target::Kind(fake::kind("fake_stream"))),
            "other" => Some(Target::Kind(fake::kind("fake_role"))),
            "gone" => Some(Target::LeftOut),
            _ => None,
        };
        let granting = Granting { id: "role", path: "resources.role", find, ids: &["orders", "other", "role"] };
        let mut problems = Vec::new();
        granting.expand(spec.as_object_mut().unwrap(), &mut problems);
        let help = |problem: &Problem| problem.help.clone().unwrap_or_default();
        let told = problems.iter().map(|problem| format!("{}: {} ({})", problem.path, problem.message, help(problem)));
        (spec, told.collect())
    }

    #[test]
    fn grants_become_statements() {
        let (spec, problems) =
            expand(json!({"grants": [{"read": "orders"}, {"write": "or-ders"}, {"read": "orders"}, {"read": "gone"}]}));
        assert!(problems.is_empty(), "{problems:?}");
        insta::assert_json_snapshot!(spec);
    }

    #[test]
    fn wrong_grants_are_told() {
        let (_, problems) = expand(json!({
            "grants": [{"raed": "orders"}, {"read": "order"}, {"read": "other"}, "read", {}, {"read": 5}],
            "inline_policies": {"grants": {}},
        }));
        insta::assert_snapshot!(problems.join("\n"));
    }
}
