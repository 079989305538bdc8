//! The JSON Schema of stack files, made from the kinds, for editors and for other programs.
//!
//! It allows what the loader allows: `${var.…}` wherever a variable can give a value, nothing that the program fills.

use serde_json::{Map, Value, json};

use crate::kind::AnyKind;

/// Returns the schema of the whole format.
#[must_use]
pub fn document(kinds: &[&dyn AnyKind]) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "stackctl stack file",
        "description": "One stack: what stackctl plans, applies and destroys together.",
        "type": "object",
        "required": ["stack"],
        "additionalProperties": false,
        "properties": top(),
        "$defs": definitions(kinds),
    })
}

fn top() -> Value {
    json!({
        "stack": {
            "type": "string",
            "description": "Identity of the stack: up to 63 lower-case letters, digits and `-`. What the stack owns carries it.",
        },
        "region": {"type": ["string", "null"], "description": "AWS region; without it the one that the AWS tools would use."},
        "accounts": {
            "description": "Accounts that the stack may be applied to; without it any.",
            "type": "array",
            "items": {"type": "string", "pattern": r"^(\d{12}|.*\$\{var\..*)$"},
        },
        "variables": {
            "description": "Values that a run can give: `--var`, `--var-file` or `STACKCTL_VAR_…`.",
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"},
            "additionalProperties": {"$ref": "#/$defs/variable"},
        },
        "tags": {"$ref": "#/$defs/tags", "description": "Tags of every resource."},
        "resources": {
            "description": "Resources by logical id.",
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"},
            "additionalProperties": {"$ref": "#/$defs/resource"},
        },
        "moved": {
            "description": "Ids of today by former ones, as `{old: new}`: what AWS has under a former id is kept and not made anew.",
            "type": "object",
            "additionalProperties": {"type": "string"},
        },
        "verify": verify(),
        "lock": lock(),
        "drift": drift(),
        "outputs": {"description": "Values that `stackctl output` prints, such as `${id.arn}`.", "type": "object"},
    })
}

/// The record that `verify --canary` sends through.
fn verify() -> Value {
    let object = |description: &str, required: Value, properties: Value| {
        json!({
            "description": description, "type": "object", "additionalProperties": false, "required": required,
            "properties": properties,
        })
    };
    let id = |description: &str| json!({"type": "string", "description": description});
    let fields = |description: &str| json!({"type": "object", "description": description});
    let canary = object(
        "A record that goes all the way through. In its texts `${canary.id}` is a fresh label and `${canary.digits}` are six fresh digits.",
        json!(["stream", "record"]),
        json!({
            "stream": id("Id of the stream that it is put to."),
            "record": fields("The record: one that the whole way accepts, filters included."),
            "table": object("The item that it becomes.", json!(["id", "key"]), json!({
                "id": id("Id of the table."), "key": fields("The item's key."),
            })),
            "output": object("The record that it becomes on another stream.", json!(["id", "record"]), json!({
                "id": id("Id of the stream."), "record": fields("Fields by which it is known."),
            })),
            "message": object("The message that it becomes.", json!(["id", "log"]), json!({
                "id": id("Id of the function that publishes it."), "log": id("Text that the function then logs."),
            })),
        }),
    );
    object("What `stackctl verify` sends through the stack.", json!([]), json!({"canary": canary}))
}

/// The table in which runs take turns.
fn lock() -> Value {
    json!({
        "description": "Lets runs that change the stack take turns: apply and destroy hold a lease in a DynamoDB table.",
        "type": ["object", "null"],
        "additionalProperties": false,
        "required": ["table"],
        "properties": {
            "table": {
                "type": "string",
                "description": "Name of a table whose hash key is `LockID`, of type S. It may be shared with other stacks, and with Terraform.",
            },
            "ttl": {
                "type": ["string", "null"],
                "pattern": r"^((\d+[smh])+|.*\$\{var\..*)$",
                "description": "How long the lease of a run that died stays, from `5s` to `1h`; `60s` by default. A run at work renews it.",
            },
        },
    })
}

/// What the drift check overlooks.
fn drift() -> Value {
    let text = |description: &str| json!({"type": "string", "minLength": 1, "description": description});
    let maybe = |description: &str| json!({"type": ["string", "null"], "minLength": 1, "description": description});
    let rule = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["resource", "reason"],
        "properties": {
            "resource": text("Key of a resource, or of several with `*`."),
            "path": maybe("Path of a field, such as `tags.owner`; `*` stands for one step. Without it the whole resource."),
            "classes": {
                "type": ["array", "null"],
                "minItems": 1,
                "items": {"enum": super::ignore::CLASSES},
                "description": "Classes of differences; all but `unreadable` by default.",
            },
            "reason": text("Why it is to be ignored. Shown in every report."),
            "expires": {
                "type": ["string", "null"],
                "pattern": r"^(\d{4}-\d{2}-\d{2}|.*\$\{var\..*)$",
                "description": "The last day on which the rule holds, such as `2027-01-31`.",
            },
        },
    });
    json!({
        "description": "What `stackctl drift` does not count. Plan and apply take no notice of it.",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": {
            "ignore": {"type": ["array", "null"], "items": rule, "description": "Differences that are known and accepted."},
        },
    })
}

fn definitions(kinds: &[&dyn AnyKind]) -> Value {
    let mut all = Map::new();
    all.insert(
        "variable_reference".to_owned(),
        json!({"type": "string", "pattern": r"^\$\{\s*var\.", "description": "The value of a variable, such as `${var.count}`."}),
    );
    all.insert("variable".to_owned(), variable());
    all.insert("tags".to_owned(), tags());
    all.insert("resource".to_owned(), resource(kinds));
    for kind in kinds {
        let mut schema = kind.spec_schema().clone();
        let inner = schema.as_object_mut().and_then(|schema| schema.shift_remove("$defs"));
        all.insert(kind.type_name().to_owned(), own(*kind, schema, inner.as_ref()));
        for (name, definition) in inner.as_ref().and_then(Value::as_object).into_iter().flatten() {
            let definition = loosen(definition.clone(), kind.type_name(), inner.as_ref());
            all.insert(format!("{}.{name}", kind.type_name()), definition);
        }
    }
    Value::Object(all)
}

fn variable() -> Value {
    let list = |description: &str| json!({"type": "array", "description": description});
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "type": {"enum": ["string", "number", "bool", "list"], "description": "Type of the value; `string` by default."},
            "default": {"description": "Value when none is given. Null leaves out the fields that use the variable."},
            "pattern": {"type": "string", "description": "Regular expression that the value matches."},
            "enum": list("Values that are allowed."),
            "allowed": list("The same as `enum`."),
            "sensitive": {"type": "boolean", "description": "Masks the value wherever it would show."},
            "description": {"type": "string", "description": "What the variable is for."},
        },
    })
}

fn tags() -> Value {
    json!({
        "type": "object",
        "propertyNames": {"not": {"pattern": "^(aws|stackctl):"}, "minLength": 1, "maxLength": 128},
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    })
}

/// Tells resources apart by their `type`.
fn resource(kinds: &[&dyn AnyKind]) -> Value {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.type_name()).collect();
    let branch = |name: &&str| {
        json!({
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"$ref": format!("#/$defs/{name}")},
        })
    };
    json!({
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": names}},
        "allOf": names.iter().map(branch).collect::<Vec<_>>(),
    })
}

/// The keys that every resource has.
fn common() -> Value {
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let flag = |description: &str| json!({"anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/variable_reference"}], "description": description});
    let described = |mut schema: Value, description: &str| {
        schema["description"] = description.into();
        schema
    };
    let limit = json!({"type": "string", "pattern": r"^(\d+[smh])+$"});
    json!({
        "name": {"type": ["string", "number", "null"], "description": "Name in AWS; by default the key."},
        "depends_on": described(texts.clone(), "Resources to wait for without referring to them."),
        "when": {"description": "Leaves the resource out when this is null, false, empty text or an empty list."},
        "tags": {"$ref": "#/$defs/tags", "description": "Tags beside those of the stack."},
        "protect": flag("Refuses to delete or replace the resource."),
        "retain": flag("Leaves the resource in AWS when it is removed from the file or destroyed."),
        "ignore_changes": described(texts, "Paths of fields whose differences do not matter."),
        "timeouts": {
            "description": "Time limits, such as `10m`.",
            "type": "object",
            "additionalProperties": false,
            "properties": {"create": limit, "update": limit, "delete": limit},
        },
    })
}

/// The schema of one kind's resources: its fields and the common keys.
fn own(kind: &dyn AnyKind, schema: Value, inner: Option<&Value>) -> Value {
    let mut schema = loosen(schema, kind.type_name(), inner);
    let mut properties = Map::new();
    properties.insert("type".to_owned(), json!({"const": kind.type_name(), "description": kind.title()}));
    let Some(map) = schema.as_object_mut() else { return schema };
    if let Some(Value::Object(fields)) = map.shift_remove("properties") {
        properties.extend(fields);
    }
    if let Value::Object(keys) = common() {
        properties.extend(keys);
    }
    let mut required = vec![Value::from("type")];
    if let Some(Value::Array(fields)) = map.shift_remove("required") {
        required.extend(fields);
    }
    map.shift_remove("$schema");
    map.shift_remove("title");
    map.insert("properties".to_owned(), Value::Object(properties));
    map.insert("required".to_owned(), Value::Array(required));
    schema
}

/// Drops what users cannot set, allows variables, and points `$ref`s to the definitions of this document.
fn loosen(node: Value, kind: &str, inner: Option<&Value>) -> Value {
    let Value::Object(map) = node else { return node };
    let mut result = Map::new();
    for (word, value) in map {
        let value = match (word.as_str(), value) {
            ("$ref", Value::String(target)) => target.replace("#/$defs/", &format!("#/$defs/{kind}.")).into(),
            ("properties", Value::Object(fields)) => own_fields(fields, kind, inner),
            ("items" | "additionalProperties", value) => with_variable(value, kind, inner),
            ("anyOf" | "oneOf" | "allOf", Value::Array(options)) => {
                options.into_iter().map(|option| loosen(option, kind, inner)).collect()
            }
            // A text with references does not keep the rules of its result.
            ("pattern" | "minLength" | "maxLength" | "format", _) => continue,
            (_, value) => value,
        };
        result.insert(word, value);
    }
    drop_derived(&mut result);
    Value::Object(result)
}

fn own_fields(fields: Map<String, Value>, kind: &str, inner: Option<&Value>) -> Value {
    let settable = fields.into_iter().filter(|(_, field)| field.get("x-derived") != Some(&Value::Bool(true)));
    Value::Object(settable.map(|(name, field)| (name, with_variable(field, kind, inner))).collect())
}

fn drop_derived(node: &mut Map<String, Value>) {
    let known: Vec<String> =
        node.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned().collect();
    if let (false, Some(Value::Array(required))) = (known.is_empty(), node.get_mut("required")) {
        required.retain(|name| name.as_str().is_some_and(|name| known.iter().any(|known| known == name)));
    }
}

/// Allows `${var.…}` beside a schema that takes no text.
fn with_variable(node: Value, kind: &str, inner: Option<&Value>) -> Value {
    let open = takes_text_or_fields(&node, inner, 0);
    let mut node = loosen(node, kind, inner);
    if open {
        return node;
    }
    let description = node.as_object_mut().and_then(|node| node.shift_remove("description"));
    let mut choice = Map::new();
    choice.extend(description.map(|text| ("description".to_owned(), text)));
    choice.insert("anyOf".to_owned(), json!([node, {"$ref": "#/$defs/variable_reference"}]));
    Value::Object(choice)
}

fn takes_text_or_fields(node: &Value, inner: Option<&Value>, depth: usize) -> bool {
    if let Some(name) = node.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix("#/$defs/")) {
        let target = inner.and_then(|inner| inner.get(name));
        return depth > 8 || target.is_none_or(|target| takes_text_or_fields(target, inner, depth + 1));
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        if let Some(options) = node.get(choice).and_then(Value::as_array) {
            return options.iter().any(|option| takes_text_or_fields(option, inner, depth + 1));
        }
    }
    let is = |word: &str| match node.get("type") {
        Some(Value::String(one)) => one == word,
        Some(Value::Array(several)) => several.iter().any(|one| one == word),
        _ => false,
    };
    let constrained = node.get("enum").is_some() || node.get("const").is_some();
    let unsaid = node.get("type").is_none() && !constrained;
    unsaid || is("object") || (is("string") && !constrained)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::fake;

    fn fits(text: &str) -> Result<(), String> {
        let schema = document(&fake::KINDS[..2]);
        let validator = jsonschema::validator_for(&schema).unwrap();
        let value: Value = serde_yaml::from_str(text).unwrap();
        validator.validate(&value).map_err(|error| error.to_string())
    }

    #[test]
    fn takes_what_the_loader_takes() {
        let text = include_str!("testdata/every_key.yaml");
        assert!(fake::load(text).is_ok(), "{}", fake::load(text).unwrap_err().render(false, 100));
        assert_eq!(fits(text), Ok(()));
    }

    #[test]
    fn refuses_what_the_loader_refuses() {
        for resource in [
            "{type: fake_steam}",
            "{}",
            "{type: fake_stream, shard_cuont: 1}",
            "{type: fake_stream, shard_count: many}",
            "{type: fake_stream, mode: ON_DEMND}",
            "{type: fake_stream, hash: x}",
            "{type: fake_stream, protect: 1}",
            "{type: fake_role}",
        ] {
            let text = format!("stack: s\nresources: {{a: {resource}}}\n");
            assert!(fits(&text).is_err(), "{resource}");
            assert!(fake::load(&text).is_err(), "{resource}");
        }
    }

    #[test]
    fn is_stable() {
        insta::assert_json_snapshot!(document(&fake::KINDS[..2]));
    }
}
