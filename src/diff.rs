//! Compares what is wanted with what was found, field by field.
//!
//! Pure: two values in normal form and the facts of the kind's fields give a list of changes. Nothing is normalised
//! here; that is the business of each spec's types.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::stack::reference::is_unresolved;

/// What stands in for a secret.
pub const MASK: &str = "(sensitive)";

/// One difference between what is wanted and what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Dotted path below the resource, such as `environment.variables.TOPIC_ARN`.
    pub path: String,
    /// What was found; null when there is none.
    pub before: Value,
    /// What is wanted; null when there should be none; text with `${…}` when it is known after apply.
    pub after: Value,
    /// Whether it cannot be changed in place.
    pub forces_replacement: bool,
    /// Whether its values must not be shown.
    pub sensitive: bool,
}

/// What the differ needs to know of a kind's fields, read from the extensions in the spec's schema.
///
/// Paths are dotted, with `*` for list positions and map keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    immutable: BTreeSet<String>,
    computed: BTreeSet<String>,
    uncompared: BTreeSet<String>,
    derived: BTreeSet<String>,
    sensitive: BTreeSet<String>,
    status: BTreeSet<String>,
    children: BTreeSet<String>,
    /// Type of what a field holds on to, by path.
    pins: BTreeMap<String, String>,
    /// Type of that with which a field's value goes, by path.
    loses: BTreeMap<String, String>,
}

impl Fields {
    /// Reads the facts from a JSON Schema.
    #[must_use]
    pub fn of_schema(schema: &Value) -> Self {
        let mut fields = Self::default();
        fields.walk(schema, schema, "", 0);
        fields
    }

    fn walk(&mut self, root: &Value, node: &Value, path: &str, depth: usize) {
        if depth > 24 {
            return;
        }
        let flag = |name: &str| node.get(name) == Some(&Value::Bool(true));
        let marks = [
            ("x-immutable", &mut self.immutable),
            ("x-computed", &mut self.computed),
            ("x-source", &mut self.uncompared),
            ("x-derived", &mut self.derived),
            ("x-sensitive", &mut self.sensitive),
            ("x-status", &mut self.status),
            ("x-children", &mut self.children),
        ];
        for (name, set) in marks {
            if flag(name) {
                set.insert(path.to_owned());
            }
        }
        for (name, map) in [("x-pins", &mut self.pins), ("x-loses", &mut self.loses)] {
            if let Some(kind) = node.get(name).and_then(Value::as_str) {
                map.insert(path.to_owned(), kind.to_owned());
            }
        }
        let target = node.get("$ref").and_then(Value::as_str);
        if let Some(target) = target.and_then(|target| root.pointer(target.trim_start_matches('#'))) {
            self.walk(root, target, path, depth + 1);
        }
        for choice in ["anyOf", "oneOf", "allOf"] {
            for option in node.get(choice).and_then(Value::as_array).into_iter().flatten() {
                self.walk(root, option, path, depth + 1);
            }
        }
        for (name, field) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
            self.walk(root, field, &join(path, name), depth + 1);
        }
        for every in ["items", "additionalProperties"] {
            if let Some(inner) = node.get(every).filter(|inner| inner.is_object()) {
                self.walk(root, inner, &join(path, "*"), depth + 1);
            }
        }
    }

    /// Tells whether a field is filled by the program, not by users.
    #[must_use]
    pub fn is_derived(&self, path: &str) -> bool {
        covers(&self.derived, path)
    }

    /// Returns the fields that are filled by the program, not by users.
    pub fn derived(&self) -> impl Iterator<Item = String> {
        self.derived.iter().cloned()
    }

    /// Returns the same facts with further fields whose values must not be shown.
    #[must_use]
    pub fn hiding<'a>(&self, paths: impl IntoIterator<Item = &'a String>) -> Self {
        let mut fields = self.clone();
        fields.sensitive.extend(paths.into_iter().cloned());
        fields
    }

    /// Tells whether a field's values must not be shown.
    #[must_use]
    pub fn is_sensitive(&self, path: &str) -> bool {
        covers(&self.sensitive, path)
    }

    /// Replaces the values of sensitive fields, however deep they lie.
    #[must_use]
    pub fn masked(&self, path: &str, value: &Value) -> Value {
        match value {
            Value::Null => Value::Null,
            _ if self.is_sensitive(path) => MASK.into(),
            Value::Object(map) => {
                map.iter().map(|(name, value)| (name.clone(), self.masked(&join(path, name), value))).collect()
            }
            Value::Array(items) => {
                items.iter().enumerate().map(|(at, item)| self.masked(&join(path, &at.to_string()), item)).collect()
            }
            other => other.clone(),
        }
    }

    /// Tells whether a field is local input that AWS never shows.
    #[must_use]
    pub fn is_source(&self, path: &str) -> bool {
        covers(&self.uncompared, path)
    }

    /// Tells whether AWS chooses a field's value where the file does not.
    #[must_use]
    pub fn is_computed(&self, path: &str) -> bool {
        covers(&self.computed, path)
    }

    /// Returns the paths of the fields that hold on to objects of a type: AWS does not delete what they name.
    pub fn pins<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.pins.iter().filter(move |(_, to)| *to == kind).map(|(path, _)| path.as_str())
    }

    /// Returns the paths of the fields that lose their value with objects of a type: it goes when what it names does.
    pub fn loses<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.loses.iter().filter(move |(_, to)| *to == kind).map(|(path, _)| path.as_str())
    }

    /// Tells whether a field says that the object runs.
    #[must_use]
    pub fn is_status(&self, path: &str) -> bool {
        covers(&self.status, path)
    }

    /// Tells whether any field says whether the object runs.
    #[must_use]
    pub fn has_status(&self) -> bool {
        !self.status.is_empty()
    }

    /// Tells whether a field lists things that people add one by one, such as rules.
    #[must_use]
    pub fn is_children(&self, path: &str) -> bool {
        covers(&self.children, path)
    }

    /// Tells whether a change of a field forces replacement.
    #[must_use]
    pub fn is_immutable(&self, path: &str) -> bool {
        covers(&self.immutable, path)
    }
}

/// Tells whether a set of patterns names a path or something above it.
fn covers(patterns: &BTreeSet<String>, path: &str) -> bool {
    patterns.iter().any(|pattern| path_matches(pattern, path))
}

/// Tells whether a dotted pattern, `*` standing for any one step, names a path or something above it.
#[must_use]
pub fn path_matches(pattern: &str, path: &str) -> bool {
    let mut steps = path.split('.');
    pattern.split('.').all(|wanted| steps.next().is_some_and(|step| wanted == "*" || wanted == step))
}

fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

/// Lists the differences between a wanted and a found spec, leaving out paths that are to be ignored.
#[must_use]
pub fn diff(fields: &Fields, ignore: &[String], want: &Value, found: &Value) -> Vec<Change> {
    let mut walk = Walk { fields, ignore, changes: Vec::new() };
    walk.compare("", want, found);
    walk.changes
}

/// Returns what is wanted, with what was found at the paths that are to be ignored.
#[must_use]
pub fn with_ignored(ignore: &[String], want: &Value, found: &Value) -> Value {
    keep(ignore, "", want, found)
}

fn keep(ignore: &[String], path: &str, want: &Value, found: &Value) -> Value {
    if ignore.iter().any(|pattern| path_matches(pattern, path)) {
        return found.clone();
    }
    match (want, found) {
        (Value::Object(want), Value::Object(found)) => {
            let names: BTreeSet<&String> = want.keys().chain(found.keys()).collect();
            let side = |side: &Map<String, Value>, name: &String| side.get(name).cloned().unwrap_or(Value::Null);
            let kept = |name: &String| keep(ignore, &join(path, name), &side(want, name), &side(found, name));
            let kept = names.into_iter().map(|name| (name.clone(), kept(name)));
            kept.filter(|(name, value)| want.contains_key(name) || !value.is_null()).collect()
        }
        (Value::Array(want), Value::Array(found)) if want.len() == found.len() => {
            let pairs = want.iter().zip(found).enumerate();
            pairs.map(|(index, (want, found))| keep(ignore, &join(path, &index.to_string()), want, found)).collect()
        }
        _ => want.clone(),
    }
}

/// Returns what an object can have been when it was last applied, if nobody has touched it since: what was found,
/// without what AWS chose by itself.
///
/// Which fields AWS chose is known of today's file only, so a few readings are possible.
#[must_use]
pub fn applied_views(
    fields: &Fields,
    ignore: &[String],
    want: &Value,
    found: &Value,
    changes: &[Change],
) -> Vec<Value> {
    let unset: Vec<String> = changes.iter().map(|change| change.path.clone()).collect();
    let chosen: &dyn Fn(&str, &Value) -> bool = &|path, want| want.is_null() && fields.is_computed(path);
    let also: &dyn Fn(&str, &Value) -> bool =
        &|path, want| fields.is_computed(path) && (want.is_null() || unset.iter().any(|other| other == path));
    let none: &dyn Fn(&str, &Value) -> bool = &|_, _| false;
    [chosen, also, none].into_iter().map(|chosen| strip(chosen, &keep(ignore, "", found, want), want, "")).collect()
}

/// Leaves out what was chosen by AWS.
fn strip(chosen: &dyn Fn(&str, &Value) -> bool, found: &Value, want: &Value, path: &str) -> Value {
    let side = |name: &str| want.get(name).cloned().unwrap_or(Value::Null);
    match found {
        _ if chosen(path, want) => Value::Null,
        Value::Object(map) => {
            let member =
                |(name, value): (&String, &Value)| (name.clone(), strip(chosen, value, &side(name), &join(path, name)));
            map.iter().map(member).collect()
        }
        Value::Array(items) => {
            let at = |index: usize| want.get(index).cloned().unwrap_or(Value::Null);
            let items = items.iter().enumerate();
            items.map(|(index, item)| strip(chosen, item, &at(index), &join(path, &index.to_string()))).collect()
        }
        other => other.clone(),
    }
}

/// Tells whether a value holds something that is known only after apply.
#[must_use]
pub fn is_unknown(value: &Value) -> bool {
    match value {
        Value::String(text) => is_unresolved(text),
        Value::Array(items) => items.iter().any(is_unknown),
        Value::Object(fields) => fields.values().any(is_unknown),
        _ => false,
    }
}

struct Walk<'a> {
    fields: &'a Fields,
    ignore: &'a [String],
    changes: Vec<Change>,
}

impl Walk<'_> {
    fn compare(&mut self, path: &str, want: &Value, found: &Value) {
        if want == found || self.skips(path, want) {
            return;
        }
        match (want, found) {
            (Value::Object(want), Value::Object(found)) => self.compare_objects(path, want, found),
            (Value::Array(want), Value::Array(found)) if want.len() == found.len() => {
                for (index, (want, found)) in want.iter().zip(found).enumerate() {
                    self.compare(&join(path, &index.to_string()), want, found);
                }
            }
            _ => self.record(path, want, found),
        }
    }

    fn compare_objects(&mut self, path: &str, want: &Map<String, Value>, found: &Map<String, Value>) {
        let names: BTreeSet<&String> = want.keys().chain(found.keys()).collect();
        for name in names {
            let at = |side: &Map<String, Value>| side.get(name).cloned().unwrap_or(Value::Null);
            self.compare(&join(path, name), &at(want), &at(found));
        }
    }

    fn skips(&self, path: &str, want: &Value) -> bool {
        self.fields.is_source(path)
            || (want.is_null() && self.fields.is_computed(path))
            || self.ignore.iter().any(|pattern| path_matches(pattern, path))
    }

    fn record(&mut self, path: &str, want: &Value, found: &Value) {
        self.changes.push(Change {
            path: path.to_owned(),
            before: found.clone(),
            after: want.clone(),
            forces_replacement: self.fields.is_immutable(path),
            sensitive: self.fields.is_sensitive(path),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn fields() -> Fields {
        Fields::of_schema(&json!({
            "properties": {
                "key": {"$ref": "#/$defs/Key", "x-immutable": true},
                "zone": {"anyOf": [{"type": "string"}, {"type": "null"}], "x-computed": true},
                "source": {"x-source": true},
                "env": {"additionalProperties": {"x-sensitive": true}},
            },
            "$defs": {"Key": {"properties": {"name": {}}}},
        }))
    }

    #[test]
    fn reads_marks_through_references() {
        let changes = diff(&fields(), &[], &json!({"key": {"name": "a"}}), &json!({"key": {"name": "b"}}));
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].path, "key.name");
        assert!(changes[0].forces_replacement);
    }

    #[test]
    fn computed_fields_are_compared_only_when_set() {
        assert!(diff(&fields(), &[], &json!({"zone": null}), &json!({"zone": "a"})).is_empty());
        assert_eq!(diff(&fields(), &[], &json!({"zone": "b"}), &json!({"zone": "a"})).len(), 1);
    }

    #[test]
    fn sources_and_ignored_paths_are_not_compared() {
        let want = json!({"source": "x", "env": {"A": "1", "B": "2"}});
        let found = json!({"source": "", "env": {"A": "0", "B": "0"}});
        let changes = diff(&fields(), &["env.A".into()], &want, &found);
        assert_eq!(changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["env.B"]);
        assert!(changes[0].sensitive);
    }

    #[test]
    fn what_is_ignored_stays_as_it_was_found() {
        let want = json!({"a": 1, "env": {"X": "1", "Y": "1", "N": "1"}});
        let found = json!({"a": 2, "env": {"X": "2", "Y": "2", "Z": "2"}});
        let kept = with_ignored(&["env.X".into(), "env.Z".into(), "env.N".into()], &want, &found);
        assert_eq!(strip(&kept), json!({"a": 1, "env": {"X": "2", "Y": "1", "Z": "2"}}));
        assert_eq!(with_ignored(&[], &want, &found), want);
    }

    #[test]
    fn lists_of_other_lengths_change_as_a_whole() {
        let changes = diff(&fields(), &[], &json!({"list": [1, 2]}), &json!({"list": [1]}));
        assert_eq!(changes[0].path, "list");
        assert_eq!(diff(&fields(), &[], &json!({"list": [1, 2]}), &json!({"list": [1, 3]}))[0].path, "list.1");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn equal_values_have_no_changes(value in value()) {
            prop_assert!(diff(&Fields::default(), &[], &value, &value).is_empty());
        }

        #[test]
        fn different_values_have_changes_unless_null_against_absent(want in value(), found in value()) {
            prop_assume!(strip(&want) != strip(&found));
            prop_assert!(!diff(&Fields::default(), &[], &want, &found).is_empty());
        }
    }

    fn strip(value: &Value) -> Value {
        match value {
            Value::Object(map) => Value::Object(
                map.iter()
                    .map(|(name, value)| (name.clone(), strip(value)))
                    .filter(|(_, value)| !value.is_null())
                    .collect(),
            ),
            Value::Array(items) => items.iter().map(strip).collect(),
            other => other.clone(),
        }
    }
}
