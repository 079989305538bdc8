//! A resource's fields against the JSON Schema of its kind: what is unknown, misplaced, missing or of the wrong type.
//!
//! Serde would stop at the first of these; a user wants to see all. Knows schemas, not kinds in particular.

use serde_json::{Map, Value};

use crate::diff::Fields;

use super::problem::{Problem, join};
use super::reference::{Reference, Segment, is_unresolved, parse};
use super::suggest;
use super::text::describe;

/// Deepest chain of `$ref` and choices that is followed.
const MAX_CHOICES: usize = 16;

/// What a kind says about its fields.
pub(super) struct Shape<'a> {
    /// `type:` of the kind.
    pub(super) type_name: &'a str,
    /// Schema of the spec.
    pub(super) schema: &'a Value,
    /// Marks of the fields.
    pub(super) fields: &'a Fields,
    /// Path of the resource in the file.
    pub(super) path: &'a str,
    /// Keys beside the spec, for suggestions.
    pub(super) common: &'a [&'a str],
}

impl Shape<'_> {
    /// Reports and removes fields that users cannot set.
    pub(super) fn take_unknown(&self, spec: &mut Map<String, Value>, problems: &mut Vec<Problem>) {
        self.unknown_in(&[self.schema], spec, "", problems);
    }

    fn unknown_in(&self, nodes: &[&Value], map: &mut Map<String, Value>, path: &str, problems: &mut Vec<Problem>) {
        let leaves = self.leaves(nodes);
        if leaves.iter().any(|leaf| is_open(leaf)) || !leaves.iter().any(|leaf| leaf.get("properties").is_some()) {
            return self.unknown_below(&leaves, map, path, problems);
        }
        let known: Vec<&str> = leaves
            .iter()
            .filter_map(|leaf| leaf.get("properties")?.as_object())
            .flat_map(|properties| properties.keys().map(String::as_str))
            .filter(|name| !self.fields.is_derived(&join(path, name)))
            .collect();
        map.retain(|name, _| {
            let is_known = known.contains(&name.as_str());
            if !is_known {
                problems.push(self.unknown(name, path, &known));
            }
            is_known
        });
        self.unknown_below(&leaves, map, path, problems);
    }

    fn unknown(&self, name: &str, path: &str, known: &[&str]) -> Problem {
        let owner = match path {
            "" => self.type_name.to_owned(),
            path => format!("`{path}` of {}", self.type_name),
        };
        let mut candidates = known.to_vec();
        if path.is_empty() {
            candidates.extend(self.common);
        }
        let help = suggest::nearest(name, candidates.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        Problem::error(join(self.path, &join(path, name)), format!("unknown field `{name}` of {owner}"))
            .at_key()
            .label("unknown field")
            .maybe_help(help.or_else(|| suggest::help(name, known.iter().copied())))
    }

    fn unknown_below(&self, leaves: &[&Value], map: &mut Map<String, Value>, path: &str, problems: &mut Vec<Problem>) {
        for (name, value) in map.iter_mut() {
            self.unknown_inside(&children(leaves, name), value, &join(path, name), problems);
        }
    }

    fn unknown_inside(&self, nodes: &[&Value], value: &mut Value, path: &str, problems: &mut Vec<Problem>) {
        match value {
            Value::Object(map) => self.unknown_in(nodes, map, path, problems),
            Value::Array(items) => {
                let inner = items_of(&self.leaves(nodes));
                for (index, item) in items.iter_mut().enumerate() {
                    self.unknown_inside(&inner, item, &join(path, &index.to_string()), problems);
                }
            }
            _ => {}
        }
    }

    /// Reports references where no text can stand.
    pub(super) fn misplaced(&self, spec: &Map<String, Value>, problems: &mut Vec<Problem>) {
        self.visit(&[self.schema], &Value::Object(spec.clone()), "", &mut |shape, leaves, value, path| {
            let Value::String(text) = value else { return };
            if !is_unresolved(text) || leaves.is_empty() || leaves.iter().any(|leaf| takes_any_text(leaf)) {
                return;
            }
            let Some(reference) = first_reference(text) else { return };
            problems.push(
                Problem::error(join(shape.path, path), format!("`{reference}` cannot be used for `{path}`"))
                    .at_text(reference.to_string())
                    .label(format!("expected {}", expected(leaves)))
                    .help("outputs of other resources can only be used where any text can stand"),
            );
        });
    }

    /// Reports values of the wrong type, unknown words and missing fields.
    pub(super) fn mismatches(&self, spec: &Map<String, Value>) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.visit(&[self.schema], &Value::Object(spec.clone()), "", &mut |shape, leaves, value, path| {
            problems.extend(shape.mismatch(leaves, value, path));
            problems.extend(shape.missing(leaves, value, path));
        });
        problems
    }

    /// Reports values of the wrong type and unknown words only, where they are written and known.
    pub(super) fn wrong_values(&self, spec: &Map<String, Value>) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.visit(&[self.schema], &Value::Object(spec.clone()), "", &mut |shape, leaves, value, path| {
            let known = !value.is_null() && value.as_str().is_none_or(|text| first_reference(text).is_none());
            problems.extend(shape.mismatch(leaves, value, path).filter(|_| known));
        });
        problems
    }

    fn mismatch(&self, leaves: &[&Value], value: &Value, path: &str) -> Option<Problem> {
        if leaves.is_empty() || leaves.iter().any(|leaf| admits(leaf, value)) {
            return None;
        }
        let words = choices(leaves);
        let at = join(self.path, path);
        let expected = expected(leaves);
        if let (Value::String(text), false) = (value, words.is_empty()) {
            let problem = Problem::error(at, format!("`{text}` is not a value of `{path}`"));
            return Some(problem.label("unknown value").maybe_help(suggest::help(text, words.iter().copied())));
        }
        let found = match value {
            Value::Object(_) | Value::Array(_) | Value::Null => describe(value).to_owned(),
            scalar => format!("`{}`", super::variables::plain(scalar)),
        };
        let message = format!("`{path}` is {expected}, this is {found}");
        Some(Problem::error(at, message).label(format!("expected {expected}")))
    }

    fn missing(&self, leaves: &[&Value], value: &Value, path: &str) -> Option<Problem> {
        let map = value.as_object()?;
        let mut objects = leaves.iter().filter(|leaf| leaf.get("properties").is_some());
        let (Some(leaf), None) = (objects.next(), objects.next()) else { return None };
        let required = leaf.get("required")?.as_array()?.iter().filter_map(Value::as_str);
        let missing: Vec<String> =
            required.filter(|name| !map.contains_key(*name)).map(|name| format!("`{name}`")).collect();
        if missing.is_empty() {
            return None;
        }
        let noun = if missing.len() == 1 { "field" } else { "fields" };
        let owner = if path.is_empty() { self.type_name } else { path };
        let message = format!("missing {noun} {} of {owner}", missing.join(", "));
        Some(Problem::error(join(self.path, path), message).at_key().label("incomplete"))
    }

    /// Walks a value together with the parts of the schema that may describe each place.
    fn visit(&self, nodes: &[&Value], value: &Value, path: &str, see: &mut impl FnMut(&Self, &[&Value], &Value, &str)) {
        let leaves = self.leaves(nodes);
        see(self, &leaves, value, path);
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    self.visit(&children(&leaves, name), value, &join(path, name), see);
                }
            }
            Value::Array(items) => {
                let inner = items_of(&leaves);
                for (index, item) in items.iter().enumerate() {
                    self.visit(&inner, item, &join(path, &index.to_string()), see);
                }
            }
            _ => {}
        }
    }

    /// Follows `$ref` and choices down to schemas that say something themselves.
    fn leaves<'b>(&'b self, nodes: &[&'b Value]) -> Vec<&'b Value> {
        let mut leaves = Vec::new();
        for node in nodes {
            self.collect(node, 0, &mut leaves);
        }
        leaves
    }

    fn collect<'b>(&'b self, node: &'b Value, depth: usize, leaves: &mut Vec<&'b Value>) {
        if depth > MAX_CHOICES {
            return;
        }
        let target = node.get("$ref").and_then(Value::as_str).map(|target| target.trim_start_matches('#'));
        if let Some(target) = target.and_then(|target| self.schema.pointer(target)) {
            return self.collect(target, depth + 1, leaves);
        }
        let mut choices = 0;
        for choice in ["anyOf", "oneOf", "allOf"] {
            for option in node.get(choice).and_then(Value::as_array).into_iter().flatten() {
                choices += 1;
                self.collect(option, depth + 1, leaves);
            }
        }
        if choices == 0 || node.get("properties").is_some() {
            leaves.push(node);
        }
    }
}

/// Schemas of a mapping's entry.
fn children<'a>(leaves: &[&'a Value], name: &str) -> Vec<&'a Value> {
    let child = |leaf: &&'a Value| {
        let property = leaf.get("properties").and_then(|properties| properties.get(name));
        property.or_else(|| leaf.get("additionalProperties").filter(|inner| inner.is_object()))
    };
    leaves.iter().filter_map(child).collect()
}

fn items_of<'a>(leaves: &[&'a Value]) -> Vec<&'a Value> {
    leaves.iter().filter_map(|leaf| leaf.get("items")).collect()
}

/// Tells whether a schema takes mappings with any keys.
fn is_open(leaf: &Value) -> bool {
    let more = leaf.get("additionalProperties");
    let takes_more = more.is_some_and(|more| more.is_object() || more == &Value::Bool(true));
    takes_more || leaf.get("patternProperties").is_some() || says_nothing(leaf)
}

fn says_nothing(leaf: &Value) -> bool {
    ["type", "properties", "enum", "const"].iter().all(|word| leaf.get(word).is_none())
}

fn types(leaf: &Value) -> Vec<&str> {
    match leaf.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ if leaf.get("properties").is_some() => vec!["object"],
        _ if !words(leaf).is_empty() => vec!["string"],
        _ => Vec::new(),
    }
}

/// Words of an enumeration.
fn words(leaf: &Value) -> Vec<&str> {
    let listed = leaf.get("enum").and_then(Value::as_array).into_iter().flatten();
    listed.chain(leaf.get("const")).filter_map(Value::as_str).collect()
}

fn choices<'a>(leaves: &[&'a Value]) -> Vec<&'a str> {
    leaves.iter().flat_map(|leaf| words(leaf)).collect()
}

fn takes_any_text(leaf: &Value) -> bool {
    says_nothing(leaf) || (types(leaf).contains(&"string") && words(leaf).is_empty())
}

fn admits(leaf: &Value, value: &Value) -> bool {
    if says_nothing(leaf) {
        return true;
    }
    let types = types(leaf);
    let words = words(leaf);
    match value {
        Value::Null => types.contains(&"null"),
        Value::Bool(_) => types.contains(&"boolean"),
        Value::Number(number) => {
            types.contains(&"number") || (types.contains(&"integer") && (number.is_i64() || number.is_u64()))
        }
        Value::String(text) => types.contains(&"string") && (words.is_empty() || words.contains(&text.as_str())),
        Value::Array(_) => types.contains(&"array"),
        Value::Object(_) => types.contains(&"object"),
    }
}

fn expected(leaves: &[&Value]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for kind in leaves.iter().flat_map(|leaf| types(leaf)) {
        let name = match kind {
            "boolean" => "`true` or `false`",
            "integer" => "a whole number",
            "number" => "a number",
            "string" if !choices(leaves).is_empty() => "one of a few words",
            "string" => "text",
            "array" => "a list",
            "object" => "a mapping",
            _ => continue,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { "something else".to_owned() } else { names.join(" or ") }
}

fn first_reference(text: &str) -> Option<Reference> {
    parse(text).ok()?.into_iter().find_map(|segment| match segment {
        Segment::Reference(reference @ (Reference::Output { .. } | Reference::Place(_)), _) => Some(reference),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "count": {"type": ["integer", "null"]},
                "mode": {"$ref": "#/$defs/Mode"},
                "rules": {"type": "array", "items": {"$ref": "#/$defs/Rule"}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "document": true,
                "hash": {"type": "string", "x-derived": true},
                "target": {"anyOf": [{"$ref": "#/$defs/Rule"}, {"type": "null"}]},
            },
            "required": ["count", "mode"],
            "$defs": {
                "Mode": {"type": "string", "enum": ["ON_DEMAND", "PROVISIONED"]},
                "Rule": {"type": "object", "properties": {"port": {"type": "integer"}}, "additionalProperties": false},
            },
        })
    }

    fn run(mut spec: Value, all: bool) -> Vec<String> {
        let schema = schema();
        let fields = Fields::of_schema(&schema);
        let shape = Shape { type_name: "thing", schema: &schema, fields: &fields, path: "r", common: &["protect"] };
        let spec = spec.as_object_mut().unwrap();
        let mut problems = Vec::new();
        shape.take_unknown(spec, &mut problems);
        shape.misplaced(spec, &mut problems);
        if all {
            problems.extend(shape.mismatches(spec));
        }
        let help = |problem: &Problem| problem.help.clone().unwrap_or_default();
        problems.iter().map(|problem| format!("{}: {} ({})", problem.path, problem.message, help(problem))).collect()
    }

    #[test]
    fn every_unknown_field_is_told() {
        let found = run(
            json!({
                "cuont": 1, "protekt": true, "hash": "x", "labels": {"any": "x"}, "document": {"a": {"b": 1}},
                "rules": [{"prot": 1}, {"port": 1}], "target": {"porto": 1},
            }),
            false,
        );
        insta::assert_snapshot!(found.join("\n"));
    }

    #[test]
    fn every_wrong_value_is_told() {
        let found = run(
            json!({"count": "many", "mode": "ON_DEMND", "rules": {"port": 1}, "labels": {"a": 1}, "target": {"port": 1.5}}),
            true,
        );
        insta::assert_snapshot!(found.join("\n"));
    }

    #[test]
    fn references_stand_only_where_text_can() {
        let found = run(
            json!({"count": "${a.b}", "mode": "${a.b}", "labels": {"a": "${a.b}"}, "document": {"x": "${a.b}"}}),
            false,
        );
        insta::assert_snapshot!(found.join("\n"));
    }

    #[test]
    fn missing_fields_are_told_together() {
        assert_eq!(run(json!({}), true), ["r: missing fields `count`, `mode` of thing ()"]);
    }
}
