//! What ties one object to another: what AWS does not delete while it is used, and what goes when another goes.
//!
//! Pure. The marks `x-pins` and `x-loses` on the fields of a kind say which fields; nothing here knows a kind.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Action, Blocked, Reason, Step};
use crate::diff::Fields;
use crate::graph::Graph;
use crate::kind::Found;

/// Takes out of a spec what goes when the object of a step is deleted; tells whether there was anything.
pub(super) fn take_away(fields: &Fields, spec: &mut Value, gone: &Step) -> bool {
    let names = names(gone.found.as_ref());
    let mut taken = false;
    for path in fields.loses(gone.kind.type_name()) {
        taken |= at_path(spec, path, &mut |value| drop_named(value, &names));
    }
    taken
}

/// Lists what is to be deleted before it is made anew and cannot be, since something that stays holds on to it.
pub(super) fn pinned(steps: &[Step], graph: &Graph) -> Vec<Blocked> {
    let replaced = steps.iter().filter(|step| step.action == Action::DeleteCreate);
    replaced.filter_map(|step| pinned_one(step, steps, graph)).collect()
}

fn pinned_one(step: &Step, steps: &[Step], graph: &Graph) -> Option<Blocked> {
    let names = names(step.found.as_ref());
    let dependents = graph.with_dependents(&BTreeSet::from([step.id.clone()]));
    let holders: Vec<String> = steps
        .iter()
        .filter(|other| other.id != step.id || other.in_file != step.in_file)
        .filter_map(|other| Some((other, held_by(other, step.kind.type_name(), &names)?)))
        .filter(|(other, path)| !lets_go(other, path, &names, dependents.contains(&other.id)))
        .map(|(other, path)| format!("{} ({})", other.id, path.replace(".*", "")))
        .collect();
    if holders.is_empty() {
        return None;
    }
    let why = step.reasons.iter().find_map(|reason| match reason {
        Reason::CannotUpdate { paths } => Some(format!("{} cannot be changed in place", paths.join(", "))),
        _ => None,
    });
    let message = format!(
        "{}: the old {} has to go before the new one is made, and AWS does not delete it while it is used by {}",
        why.unwrap_or_else(|| "it is made anew".to_owned()),
        step.kind.title(),
        holders.join(", ")
    );
    let help = "give it another `name:`, so that the new one is made first and the old one goes when nothing uses it";
    Some(Blocked { id: step.id.clone(), message, help: help.to_owned() })
}

/// Returns the field with which a step's object holds on to another one.
fn held_by<'a>(step: &'a Step, kind: &'a str, names: &BTreeSet<String>) -> Option<&'a str> {
    let mut spec = step.found.as_ref()?.spec.clone();
    step.kind.fields().pins(kind).find(|path| at_path(&mut spec, path, &mut |value| mentions(value, names)))
}

/// Tells whether a holder lets go in time: it is deleted, or changed without waiting for what comes in its place.
fn lets_go(holder: &Step, path: &str, names: &BTreeSet<String>, waits: bool) -> bool {
    match holder.action {
        _ if !holder.in_file => false,
        Action::Delete | Action::DeleteCreate => true,
        Action::Update | Action::CreateDelete => {
            !waits && !at_path(&mut holder.want.clone(), path, &mut |value| mentions(value, names))
        }
        _ => false,
    }
}

/// Returns the texts by which others refer to an object.
fn names(found: Option<&Found>) -> BTreeSet<String> {
    let Some(found) = found else { return BTreeSet::new() };
    let outputs = found.outputs.values().filter_map(|value| value.as_str().map(str::to_owned));
    outputs.chain([found.physical.clone()]).collect()
}

fn mentions(value: &Value, names: &BTreeSet<String>) -> bool {
    match value {
        Value::String(text) => names.contains(text),
        Value::Array(items) => items.iter().any(|item| mentions(item, names)),
        Value::Object(map) => map.values().any(|value| mentions(value, names)),
        _ => false,
    }
}

/// Takes named entries out of a list; anything else that mentions a name goes as a whole.
fn drop_named(value: &mut Value, names: &BTreeSet<String>) -> bool {
    if !mentions(value, names) {
        return false;
    }
    match value {
        Value::Array(items) => items.retain(|item| !mentions(item, names)),
        other => *other = Value::Null,
    }
    true
}

/// Does something to the values at a dotted path, `*` standing for every entry; tells whether any of them says yes.
fn at_path(value: &mut Value, path: &str, work: &mut impl FnMut(&mut Value) -> bool) -> bool {
    let Some((step, rest)) = path.split_once('.').or(Some((path, ""))).filter(|(step, _)| !step.is_empty()) else {
        return work(value);
    };
    let mut inner: Vec<&mut Value> = match value {
        Value::Object(map) if step == "*" => map.values_mut().collect(),
        Value::Object(map) => map.get_mut(step).into_iter().collect(),
        Value::Array(items) if step == "*" => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    inner.iter_mut().fold(false, |any, value| at_path(value, rest, work) | any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_into_lists_and_maps() {
        let names = BTreeSet::from(["sg-1".to_owned()]);
        let mut spec = json!({"rules": [{"source": "sg-1", "description": "x"}, {"source": "sg-2"}], "ids": ["sg-1"]});
        assert!(at_path(&mut spec, "rules.*.source", &mut |value| mentions(value, &names)));
        assert!(!at_path(&mut spec, "rules.*.description", &mut |value| mentions(value, &names)));
        assert!(!at_path(&mut spec, "none.*", &mut |_| true));
        assert!(at_path(&mut spec, "ids", &mut |value| drop_named(value, &names)));
        assert!(at_path(&mut spec, "rules.*.source", &mut |value| drop_named(value, &names)));
        assert_eq!(spec, json!({"rules": [{"source": null, "description": "x"}, {"source": "sg-2"}], "ids": []}));
    }
}
