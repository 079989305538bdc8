//! A Terraform or OpenTofu state file, version 4, as a list of objects; or what `terraform show -json` makes of one.
//!
//! Knows the file's form and no type of resource.

use std::fmt;

use serde_json::{Map, Value};

/// Largest state file that is read.
pub const MAX_BYTES: u64 = 256_000_000;

/// What a state file holds.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Managed objects.
    pub objects: Vec<Object>,
    /// Leftovers of replacements, by address.
    pub deposed: Vec<(String, String)>,
    /// Number of data sources, which own nothing.
    pub data: usize,
    /// Outputs that are not secret.
    pub outputs: Map<String, Value>,
}

/// One managed object.
#[derive(Debug, Clone, Default)]
pub struct Object {
    /// Address, such as `module.x.aws_sns_topic.a["k"]`.
    pub address: String,
    /// Type, such as `aws_sns_topic`.
    pub kind: String,
    /// Words for a logical id: modules, name, key.
    pub words: Vec<String>,
    /// Attributes.
    pub attributes: Map<String, Value>,
    /// Paths of attributes that the file itself calls secret.
    pub sensitive: Vec<Vec<Step>>,
}

/// A step of a path in attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member of an object.
    Name(String),
    /// An item of a list.
    Index(usize),
}

/// Why a text is no state file that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

fn unreadable(message: impl Into<String>, help: &str) -> Unreadable {
    Unreadable { message: message.into(), help: help.to_owned() }
}

const PULL: &str = "name the file that `terraform state pull` or `terraform show -json` writes";

/// Reads a state file.
///
/// # Errors
/// Returns why it cannot be read.
pub fn read(text: &str) -> Result<State, Unreadable> {
    let root: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| unreadable(format!("it is not JSON: {error}"), PULL))?;
    let Value::Object(root) = root else { return Err(unreadable("it is JSON, but no state file", PULL)) };
    if root.contains_key("encrypted_data") {
        return Err(unreadable("the state is encrypted", "name the file that `tofu show -json` writes"));
    }
    if root.contains_key("format_version") {
        return shown(&root);
    }
    match root.get("version").and_then(Value::as_u64) {
        Some(4) => Ok(version_4(&root)),
        Some(old @ 0..4) => Err(unreadable(
            format!("it is a state file of version {old}, and only version 4 is read"),
            "let Terraform 0.12 or later write it anew: `terraform refresh`, then `terraform state pull`",
        )),
        Some(new) => Err(unreadable(
            format!("it is a state file of version {new}, which is not known"),
            "this program reads version 4",
        )),
        None => Err(unreadable("it is JSON, but no state file: it has no `version`", PULL)),
    }
}

fn items<'a>(map: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a Map<String, Value>> {
    map.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn object_of(map: &Map<String, Value>, key: &str) -> Map<String, Value> {
    map.get(key).and_then(Value::as_object).cloned().unwrap_or_default()
}

fn outputs(root: &Map<String, Value>) -> Map<String, Value> {
    let open = |output: &Value| output.get("sensitive") != Some(&Value::Bool(true));
    let all = root.get("outputs").and_then(Value::as_object).into_iter().flatten();
    let all = all.filter(|(_, output)| open(output));
    all.filter_map(|(name, output)| Some((name.clone(), output.get("value")?.clone()))).collect()
}

fn version_4(root: &Map<String, Value>) -> State {
    let mut state = State { outputs: outputs(root), ..State::default() };
    for resource in items(root, "resources") {
        let instances = items(resource, "instances").collect::<Vec<_>>();
        if text(resource, "mode") == "data" {
            state.data += instances.len().max(1);
            continue;
        }
        for instance in &instances {
            let object = instance_of(resource, instance, instances.len() == 1);
            match instance.get("deposed") {
                Some(_) => state.deposed.push((object.address, object.kind)),
                None => state.objects.push(object),
            }
        }
    }
    state
}

fn instance_of(resource: &Map<String, Value>, instance: &Map<String, Value>, alone: bool) -> Object {
    let (module, kind, name) = (text(resource, "module"), text(resource, "type"), text(resource, "name"));
    let key = instance.get("index_key");
    let dot = if module.is_empty() { "" } else { "." };
    let paths = instance.get("sensitive_attributes").and_then(Value::as_array).into_iter().flatten();
    Object {
        address: format!("{module}{dot}{kind}.{name}{}", key.map(|key| format!("[{key}]")).unwrap_or_default()),
        kind: kind.to_owned(),
        words: words(module, name, key.filter(|_| !alone)),
        attributes: object_of(instance, "attributes"),
        sensitive: paths.filter_map(|path| path.as_array()?.iter().map(step).collect()).collect(),
    }
}

fn step(step: &Value) -> Option<Step> {
    let value = step.get("value")?;
    // `{"type":"index","value":{"value":0,"type":"number"}}`, or the value itself.
    match value.get("value").unwrap_or(value) {
        Value::String(name) => Some(Step::Name(name.clone())),
        Value::Number(index) => Some(Step::Index(usize::try_from(index.as_u64()?).ok()?)),
        _ => None,
    }
}

fn words(module: &str, name: &str, key: Option<&Value>) -> Vec<String> {
    let modules = module.split('.').filter(|word| !word.is_empty() && *word != "module").map(str::to_owned);
    let key = key.map(|key| key.as_str().map_or_else(|| key.to_string(), str::to_owned));
    modules.chain([name.to_owned()]).chain(key).collect()
}

/// Reads what `terraform show -json` writes: the same objects, nested by module.
fn shown(root: &Map<String, Value>) -> Result<State, Unreadable> {
    let Some(values) = root.get("values").and_then(Value::as_object) else {
        let help = "it is a plan or an empty state: name what `terraform show -json` writes without a plan file";
        return Err(unreadable("it has no `values`", help));
    };
    let mut state = State { outputs: outputs(values), ..State::default() };
    if let Some(module) = values.get("root_module").and_then(Value::as_object) {
        shown_module(module, &mut state);
    }
    Ok(state)
}

fn shown_module(module: &Map<String, Value>, state: &mut State) {
    let resources: Vec<_> = items(module, "resources").collect();
    for resource in &resources {
        let same = |other: &&&Map<String, Value>| {
            ["mode", "type", "name"].iter().all(|key| text(other, key) == text(resource, key))
        };
        let alone = resources.iter().filter(same).count() == 1;
        let object = shown_object(resource, text(module, "address"), alone);
        match (text(resource, "mode"), resource.get("deposed_key")) {
            ("data", _) => state.data += 1,
            (_, Some(_)) => state.deposed.push((object.address, object.kind)),
            _ => state.objects.push(object),
        }
    }
    for child in items(module, "child_modules") {
        shown_module(child, state);
    }
}

fn shown_object(resource: &Map<String, Value>, module: &str, alone: bool) -> Object {
    let mut sensitive = Vec::new();
    if let Some(marks) = resource.get("sensitive_values") {
        marked(marks, &mut Vec::new(), &mut sensitive);
    }
    Object {
        address: text(resource, "address").to_owned(),
        kind: text(resource, "type").to_owned(),
        words: words(module, text(resource, "name"), resource.get("index").filter(|_| !alone)),
        attributes: object_of(resource, "values"),
        sensitive,
    }
}

/// Lists the places of `true` in the mirror image of the values that marks what is secret.
fn marked(marks: &Value, path: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    let mut below = |step: Step, inner: &Value| {
        path.push(step);
        marked(inner, path, found);
        path.pop();
    };
    match marks {
        Value::Object(map) => map.iter().for_each(|(name, inner)| below(Step::Name(name.clone()), inner)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, inner)| below(Step::Index(index), inner)),
        Value::Bool(true) => found.push(path.clone()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn addresses(state: &State) -> Vec<&str> {
        state.objects.iter().map(|object| object.address.as_str()).collect()
    }

    #[test]
    fn version_4_is_read() {
        let sensitive = json!([[
            {"type": "get_attr", "value": "list"},
            {"type": "index", "value": {"value": 0, "type": "number"}},
        ]]);
        let state = json!({
            "version": 4, "outputs": {"a": {"value": 1}, "b": {"value": "x", "sensitive": true}},
            "resources": [
                {"mode": "data", "type": "aws_ami", "name": "a", "instances": [{}]},
                {"module": "module.m[\"k\"]", "mode": "managed", "type": "t", "name": "n", "instances": [
                    {"index_key": 0, "attributes": {"x": 1}, "sensitive_attributes": sensitive},
                    {"index_key": "a b", "attributes": {}},
                    {"deposed": "0123", "attributes": {}},
                ]},
            ],
        });
        let state = read(&state.to_string()).unwrap();
        assert_eq!(addresses(&state), ["module.m[\"k\"].t.n[0]", "module.m[\"k\"].t.n[\"a b\"]"]);
        assert_eq!(state.objects[1].words, ["m[\"k\"]", "n", "a b"]);
        assert_eq!(state.objects[0].sensitive, [vec![Step::Name("list".into()), Step::Index(0)]]);
        assert_eq!((state.data, state.deposed.len(), state.outputs.len()), (1, 1, 1));
    }

    #[test]
    fn shown_states_are_read() {
        let resource = json!({
            "address": "module.m.t.n", "mode": "managed", "type": "t", "name": "n", "values": {"a": {"b": ["x"]}},
            "sensitive_values": {"a": {"b": [true]}},
        });
        let module = json!({"address": "module.m", "resources": [resource]});
        let state = json!({"format_version": "1.0", "values": {"root_module": {"child_modules": [module]}}});
        let state = read(&state.to_string()).unwrap();
        assert_eq!(addresses(&state), ["module.m.t.n"]);
        assert_eq!(state.objects[0].words, ["m", "n"]);
        assert_eq!(state.objects[0].sensitive, [vec![Step::Name("a".into()), Step::Name("b".into()), Step::Index(0)]]);
    }

    #[test]
    fn what_is_no_state_is_told() {
        let told = |text: &str| {
            let error = read(text).unwrap_err();
            format!("{error} ({})", error.help)
        };
        let texts = [
            "",
            "[]",
            "{}",
            "{\"version\": 3}",
            "{\"version\": 5}",
            "{\"encrypted_data\": \"x\"}",
            "{\"format_version\": \"1.0\"}",
        ];
        insta::assert_snapshot!(texts.map(told).join("\n"));
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(kind in ".{0,8}", name in ".{0,8}", key in ".{0,8}", module in ".{0,8}") {
            let instance = json!({"index_key": key, "attributes": [1], "sensitive_attributes": [[{"value": {}}], 5]});
            let resource = json!({"module": module, "type": kind, "name": name, "instances": [instance, 3]});
            let state = read(&json!({"version": 4, "resources": [resource, null]}).to_string()).unwrap();
            prop_assert_eq!(state.objects.len(), 1);
        }
    }
}
