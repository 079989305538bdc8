//! The fixtures of the kinds, `tests/kinds/TYPE.yaml`: what a kind needs, and the variants that it goes through.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use stackctl::kind::AnyKind;

use super::account::REGION;
use super::sandbox::project;

/// Logical id of the resource that goes through the variants.
pub(crate) const SUBJECT: &str = "subject";

/// One fixture.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixture {
    /// What the subject needs, as in a stack file.
    resources: Map<String, Value>,
    /// Specs of the subject, applied one after another.
    pub(crate) variants: Vec<Map<String, Value>>,
    /// What moto does wrong, with the reason: a field of the subject or of `resources.ID`, which is left out, or
    /// `field=value`, whose variants are left out.
    not_on_moto: Map<String, Value>,
    /// Fields that the local cloud does not have, with the reason.
    #[serde(default)]
    not_on_local: Map<String, Value>,
    #[serde(skip)]
    kind: String,
    /// Values of `${var.…}` in the fixture: what the account has of itself.
    #[serde(skip)]
    variables: Map<String, Value>,
}

impl Fixture {
    /// Reads the fixture of a kind, which must have one.
    pub(crate) fn of(kind: &str) -> Self {
        let path = project().join("tests/kinds").join(format!("{kind}.yaml"));
        let text = fs_err::read_to_string(path).unwrap();
        let fixture: Self = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{kind}.yaml: {error}"));
        Self { kind: kind.to_owned(), ..fixture }
    }

    /// Returns the stack's name.
    pub(crate) fn stack(&self) -> String {
        format!("trip-{}", self.kind.replace('_', "-"))
    }

    /// Returns the stack file with a variant of the subject, or without the subject.
    pub(crate) fn file(&self, variant: Option<&Map<String, Value>>) -> String {
        let mut resources = self.resources.clone();
        if let Some(variant) = variant {
            let mut subject = variant.clone();
            subject.insert("type".to_owned(), json!(self.kind));
            resources.insert(SUBJECT.to_owned(), Value::Object(subject));
        }
        let variable = |(name, value): (&String, &Value)| (name.clone(), json!({"type": "string", "default": value}));
        let variables: Map<String, Value> = self.variables.iter().map(variable).collect();
        let file = json!({
            "stack": self.stack(), "region": REGION, "variables": variables, "resources": resources,
        });
        serde_yaml::to_string(&file).unwrap()
    }

    /// Sets what `${var.…}` stands for.
    pub(crate) fn with(self, variables: Map<String, Value>) -> Self {
        Self { variables, ..self }
    }

    /// Takes out of the variants what moto does wrong.
    pub(crate) fn for_moto(mut self) -> Self {
        let fields: Vec<String> = self.not_on_moto.keys().cloned().collect();
        for (field, value) in fields.iter().filter_map(|field| field.split_once('=')) {
            self.variants.retain(|variant| variant.get(field).and_then(Value::as_str) != Some(value));
        }
        for variant in &mut self.variants {
            for field in &fields {
                remove(variant, field);
            }
        }
        for path in fields.iter().filter_map(|field| field.strip_prefix("resources.")) {
            remove(&mut self.resources, path);
        }
        self.variants.dedup();
        self
    }

    /// Returns the properties of the kind's schema that no variant has, by dotted path.
    pub(crate) fn missing(&self, kind: &dyn AnyKind) -> BTreeSet<String> {
        let schema = kind.spec_schema();
        let mut paths = BTreeSet::new();
        properties(schema, schema, "", &mut paths);
        let mut used = BTreeSet::new();
        for variant in &self.variants {
            keys(&Value::Object(variant.clone()), "", &mut used);
        }
        let is_exempt = |path: &String| self.not_on_local.contains_key(path);
        paths.into_iter().filter(|path| !used.contains(path) && !is_exempt(path)).collect()
    }
}

/// Removes a dotted path, below every item of the lists on its way.
fn remove(map: &mut Map<String, Value>, path: &str) {
    let Some((first, rest)) = path.split_once('.') else {
        map.remove(path);
        return;
    };
    match map.get_mut(first) {
        Some(Value::Object(inner)) => remove(inner, rest),
        Some(Value::Array(items)) => {
            items.iter_mut().filter_map(Value::as_object_mut).for_each(|item| remove(item, rest));
        }
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Collects the paths of all properties that a user can set; items of lists stand at the path of their list.
fn properties(root: &Value, schema: &Value, path: &str, out: &mut BTreeSet<String>) {
    // A type that contains itself would have no end.
    if path.matches('.').count() > 6 {
        return;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#')).unwrap();
        properties(root, target, path, out);
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        let options = schema[word].as_array().into_iter().flatten();
        options.for_each(|option| properties(root, option, path, out));
    }
    properties_of_items(root, schema, path, out);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if property["x-derived"] == true {
            continue;
        }
        let path = join(path, name);
        properties(root, property, &path, out);
        out.insert(path);
    }
}

fn properties_of_items(root: &Value, schema: &Value, path: &str, out: &mut BTreeSet<String>) {
    if schema["items"].is_object() {
        properties(root, &schema["items"], path, out);
    }
}

/// Collects the paths of all keys of a value.
fn keys(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| keys(item, path, out)),
        Value::Object(map) => {
            for (name, value) in map {
                let path = join(path, name);
                keys(value, &path, out);
                out.insert(path);
            }
        }
        _ => {}
    }
}
