//! What other tools call the objects of a kind: for coming from Terraform, and for leaving to it.
//!
//! Plain data and pure functions. Each kind says its own part; who reads a state file and who writes one elsewhere is
//! no business of this module.

use serde_json::{Map, Value};

use super::Found;

/// A kind's counterparts in other tools.
#[derive(Debug, Clone, Copy)]
pub struct Peers {
    /// In Terraform and OpenTofu, by the provider `hashicorp/aws`.
    pub terraform: Option<Terraform>,
    /// In CloudFormation, where it can import objects of the kind.
    pub cloudformation: Option<CloudFormation>,
}

impl Peers {
    /// None that are known.
    pub const NONE: Self = Self { terraform: None, cloudformation: None };
}

/// How Terraform describes objects of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Terraform {
    /// Types of its objects, such as `aws_kinesis_stream`.
    pub types: &'static [&'static str],
    /// Types that describe a part of one, each with the attribute that says of which.
    pub parts: &'static [(&'static str, &'static str)],
    /// Attribute with the name; empty where a name is only a label.
    pub name: &'static str,
    /// Outputs here, each with the attribute that has the same value.
    pub outputs: &'static [(&'static str, &'static str)],
    /// Fields that hold the name of an object of another kind.
    pub names: &'static [(&'static str, &'static str)],
    /// Attributes with the identifier in AWS, where a name does not say which object it is; the first that is set counts.
    pub physical: &'static [&'static str],
    /// Reads the fields of a stack file, or refuses.
    pub read: fn(Attributes<'_>, &[Piece<'_>], &mut Draft),
    /// Lists what Terraform would have to import.
    pub imports: fn(&Found) -> Vec<Import>,
}

/// How CloudFormation describes objects of a kind.
#[derive(Debug, Clone, Copy)]
pub struct CloudFormation {
    /// Type there, such as `AWS::Kinesis::Stream`.
    pub kind: &'static str,
    /// Property that says which object it is, and the output with its value; an empty one is how the kind addresses it.
    pub identifier: (&'static str, &'static str),
    /// How tags are written there.
    pub tags: TagForm,
    /// Says why an object cannot be imported.
    pub refuses: fn(&Found) -> Option<&'static str>,
    /// Describes an object, tags aside.
    pub properties: fn(&Found) -> Map<String, Value>,
}

impl CloudFormation {
    /// For types of which every object can be imported.
    #[must_use]
    pub fn nothing(_: &Found) -> Option<&'static str> {
        None
    }
}

/// How a type of CloudFormation writes tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagForm {
    /// Not at all.
    None,
    /// As a list of keys and values.
    List,
    /// As a mapping.
    Map,
}

/// Stands before the name of a parameter that the user of a template gives.
pub const PARAMETER: char = '\u{e0c2}';

/// Returns what stands for a parameter of a template.
#[must_use]
pub fn parameter(name: &str) -> Value {
    format!("{PARAMETER}{name}").into()
}

/// Returns some fields of an object as properties: by the names that are given, and inside them in CloudFormation's
/// letter case. What is empty is left out.
#[must_use]
pub fn properties(found: &Found, fields: &[(&str, &str)]) -> Map<String, Value> {
    let field = |(from, to): &(&str, &str)| Some(((*to).to_owned(), pascal(found.spec.get(from)?)?));
    fields.iter().filter_map(field).collect()
}

/// Writes a value with names such as `RoleArn` for `role_arn`; nothing for what is empty.
#[must_use]
pub fn pascal(value: &Value) -> Option<Value> {
    let value = match value {
        Value::Object(map) => {
            map.iter().filter_map(|(name, value)| Some((pascal_word(name), pascal(value)?))).collect()
        }
        Value::Array(items) => items.iter().filter_map(pascal).collect(),
        other => other.clone(),
    };
    (!is_empty(&value)).then_some(value)
}

/// Writes a word in CloudFormation's letter case.
#[must_use]
pub fn pascal_word(word: &str) -> String {
    let capital = |part: &str| {
        let mut letters = part.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    word.split('_').map(capital).collect()
}

/// One thing for Terraform to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Type there.
    pub kind: &'static str,
    /// What tells it from others of the same resource; empty for the object itself.
    pub part: String,
    /// Identifier there.
    pub id: String,
}

impl Import {
    /// Makes the import of an object itself.
    #[must_use]
    pub fn whole(kind: &'static str, id: impl Into<String>) -> Vec<Self> {
        vec![Self { kind, part: String::new(), id: id.into() }]
    }
}

/// A part of an object that Terraform describes by itself.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// Type there.
    pub kind: &'a str,
    /// Its attributes.
    pub attributes: Attributes<'a>,
}

/// Attributes of an object in a state file. What is null or empty counts as not there.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a>(pub &'a Map<String, Value>);

impl<'a> Attributes<'a> {
    /// Returns a value.
    #[must_use]
    pub fn value(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !is_empty(value))
    }

    /// Returns a text.
    #[must_use]
    pub fn text(self, name: &str) -> Option<&'a str> {
        self.value(name)?.as_str()
    }

    /// Tells whether a flag is set.
    #[must_use]
    pub fn flag(self, name: &str) -> bool {
        self.value(name) == Some(&Value::Bool(true))
    }

    /// Returns a list of texts.
    #[must_use]
    pub fn texts(self, name: &str) -> Vec<&'a str> {
        self.value(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Returns nested blocks.
    #[must_use]
    pub fn blocks(self, name: &str) -> Vec<Self> {
        let items = self.value(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_object).map(Attributes).collect()
    }

    /// Returns the only nested block of a name.
    #[must_use]
    pub fn block(self, name: &str) -> Option<Self> {
        self.blocks(name).into_iter().next()
    }

    /// Returns a JSON document that is kept as text; text that is none stays text.
    #[must_use]
    pub fn document(self, name: &str) -> Option<Value> {
        let value = self.value(name)?;
        let parsed = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        Some(parsed.filter(|parsed| parsed.is_object() || parsed.is_array()).unwrap_or_else(|| value.clone()))
    }

    /// Returns some attributes by other names, without those that are not there.
    #[must_use]
    pub fn renamed(self, pairs: &[(&str, &str)]) -> Value {
        let pair = |(from, to): &(&str, &str)| Some(((*to).to_owned(), self.value(from)?.clone()));
        pairs.iter().filter_map(pair).collect()
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// The fields of a resource as they are being put together.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Fields of the spec.
    pub fields: Map<String, Value>,
    /// Paths whose differences are not to matter.
    pub ignore_changes: Vec<String>,
    /// Paths of texts that must not be written, besides what the state file itself says.
    pub secrets: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Why the object cannot be described.
    pub refused: Option<String>,
}

impl Draft {
    /// Sets a field, unless there is nothing to set.
    pub fn set(&mut self, field: &str, value: impl Into<Value>) {
        let value = value.into();
        if !is_empty(&value) {
            self.fields.insert(field.to_owned(), value);
        }
    }

    /// Copies attributes, each under the name of its field.
    pub fn copy(&mut self, from: Attributes<'_>, pairs: &[(&str, &str)]) {
        for (attribute, field) in pairs {
            if let Some(value) = from.value(attribute) {
                self.set(field, value.clone());
            }
        }
    }

    /// Copies JSON documents that are kept as text.
    pub fn copy_documents(&mut self, from: Attributes<'_>, pairs: &[(&str, &str)]) {
        for (attribute, field) in pairs {
            if let Some(document) = from.document(attribute) {
                self.set(field, document);
            }
        }
    }

    /// Leaves a path as it is in AWS, and says why.
    pub fn leave(&mut self, path: &str, why: &str) {
        self.ignore_changes.push(path.to_owned());
        self.note(why);
    }

    /// Says that the object cannot be described.
    pub fn refuse(&mut self, why: &str) {
        self.refused = Some(why.to_owned());
    }

    /// Says something to the user.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_empty_is_not_there() {
        let map = json!({"a": "", "b": [], "c": null, "d": [{"e": 1}], "f": "{\"x\": 1}", "g": "plain", "h": false});
        let attributes = Attributes(map.as_object().unwrap());
        assert!(["a", "b", "c", "none"].iter().all(|name| attributes.value(name).is_none()));
        assert_eq!(attributes.block("d").unwrap().value("e"), Some(&json!(1)));
        assert_eq!(attributes.document("f"), Some(json!({"x": 1})));
        assert_eq!(attributes.document("g"), Some(json!("plain")));
        assert!(!attributes.flag("h") && attributes.value("h").is_some());
        assert_eq!(attributes.renamed(&[("g", "x"), ("a", "y")]), json!({"x": "plain"}));
    }
}
