//! Policy documents in normal form, for every kind that carries one.
//!
//! Two documents that AWS would treat alike become equal (`facts/aws.md` 4.2). Knows the grammar of policies, not what
//! single actions mean; what a document lacks for a particular use is told by [`PolicyDocument::faults`].

mod check;
mod permit;

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json};

pub use check::Use;
pub use permit::{could_allow, could_trust};

use crate::kind::KindError;

/// The version that a document without one has (IAM policy grammar, element `Version`).
const OLD_VERSION: &str = "2008-10-17";
/// The current version of the policy language.
const VERSION: &str = "2012-10-17";

/// Elements of a statement in the order in which they are written.
const ELEMENTS: [&str; 9] =
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

/// An IAM policy document.
///
/// It is written as a mapping or as JSON text, and always serialises as an object in normal form: statements as a
/// sorted list, one value instead of a list of one, lists sorted and without duplicates, an account instead of its root
/// principal, `{"AWS": "*"}` instead of `"*"`, texts instead of numbers and booleans, nothing that is empty. Letter
/// case of actions is kept: AWS ignores it when it evaluates, but shows it as written.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyDocument(Value);

impl PolicyDocument {
    /// Makes a document from an object, or from JSON text.
    ///
    /// # Errors
    /// Returns why it cannot be a policy.
    pub fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Object(document) => Ok(Self(normal_document(document))),
            Value::String(text) => Self::from_text(text),
            other => Err(format!("a policy document is a mapping or JSON text, not {other}")),
        }
    }

    /// Reads JSON text; text that is not JSON yet, because it holds a `${…}`, is kept until it is filled in.
    ///
    /// # Errors
    /// Returns why it cannot be a policy.
    pub fn from_text(text: &str) -> Result<Self, String> {
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(document)) => Ok(Self(normal_document(&document))),
            _ if text.contains("${") => Ok(Self(Value::from(text))),
            Ok(_) => Err("the JSON text of a policy document must be an object".to_owned()),
            Err(error) => Err(format!("the policy document is not JSON: {error}")),
        }
    }

    /// Reads a document as IAM answers it: percent-encoded (RFC 3986), where `+` means itself.
    ///
    /// # Errors
    /// Returns an error when the answer is no policy.
    pub fn from_encoded(text: &str) -> Result<Self, KindError> {
        let invalid = |error: String| KindError::invalid(format!("AWS answered with an unreadable policy: {error}"));
        if text.starts_with('{') {
            return Self::from_text(text).map_err(invalid);
        }
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
        let decoded = decoded.map_err(|error| invalid(error.to_string()))?;
        Self::from_text(&decoded).map_err(invalid)
    }

    /// Makes the trust policy that lets AWS services take on a role.
    #[must_use]
    pub fn trusting(services: &BTreeSet<String>) -> Self {
        Self::of_statements(json!([{
            "Effect": "Allow",
            "Principal": {"Service": services},
            "Action": "sts:AssumeRole",
        }]))
    }

    /// Makes a document of the current version from its statements.
    #[must_use]
    pub fn of_statements(statements: Value) -> Self {
        let mut document = Map::new();
        document.insert("Version".to_owned(), VERSION.into());
        document.insert("Statement".to_owned(), statements);
        Self(normal_document(&document))
    }

    /// Returns the document as compact JSON, as APIs take it.
    #[must_use]
    pub fn to_text(&self) -> String {
        match &self.0 {
            Value::String(text) => text.clone(),
            document => document.to_string(),
        }
    }

    /// Returns the document in normal form; a string when it is not known yet.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }
}

impl Serialize for PolicyDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PolicyDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(&value).map_err(de::Error::custom)
    }
}

impl JsonSchema for PolicyDocument {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PolicyDocument".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An IAM policy document, as a mapping (Version, Statement) or as JSON text.",
            "anyOf": [{"type": "object"}, {"type": "string"}],
        })
    }
}

fn normal_document(document: &Map<String, Value>) -> Value {
    let mut normal = Map::new();
    let version = document.get("Version").filter(|version| !is_empty(version));
    normal.insert("Version".to_owned(), version.map_or_else(|| OLD_VERSION.into(), text_of));
    if let Some(id) = document.get("Id").filter(|id| !is_empty(id)) {
        normal.insert("Id".to_owned(), text_of(id));
    }
    if let Some(statements) = document.get("Statement") {
        normal.insert("Statement".to_owned(), normal_statements(statements));
    }
    let known = ["Version", "Id", "Statement"];
    let others = document.iter().filter(|(name, _)| !known.contains(&name.as_str()));
    normal.extend(others.map(|(name, value)| (name.clone(), value.clone())));
    Value::Object(normal)
}

/// Sorts statements, whose order means nothing, by their own text: first `Sid`, `Effect`, principal and action, so that
/// the order stays the same while a resource is not known yet.
fn normal_statements(statements: &Value) -> Value {
    let mut normal: Vec<Value> = match statements {
        Value::Array(items) => items.iter().map(normal_statement).collect(),
        single => vec![normal_statement(single)],
    };
    normal.sort_by_cached_key(Value::to_string);
    normal.dedup();
    Value::Array(normal)
}

fn normal_statement(statement: &Value) -> Value {
    let Value::Object(statement) = statement else { return statement.clone() };
    let mut normal = Map::new();
    let known = ELEMENTS.iter().filter_map(|name| statement.get_key_value(*name));
    let mut others: Vec<_> = statement.iter().filter(|(name, _)| !ELEMENTS.contains(&name.as_str())).collect();
    others.sort_by_key(|(name, _)| *name);
    for (name, value) in known.chain(others) {
        let value = normal_element(name, value);
        if !is_empty(&value) {
            normal.insert(name.clone(), value);
        }
    }
    Value::Object(normal)
}

fn normal_element(name: &str, value: &Value) -> Value {
    match name {
        "Sid" | "Effect" => text_of(value),
        "Principal" | "NotPrincipal" => normal_principal(value),
        "Action" | "NotAction" | "Resource" | "NotResource" => set_of(value, text_of),
        "Condition" => normal_condition(value),
        _ => value.clone(),
    }
}

fn normal_principal(value: &Value) -> Value {
    match value {
        Value::Object(kinds) => sorted(kinds, |kind, names| match kind {
            "AWS" => set_of(names, account_of),
            _ => set_of(names, text_of),
        }),
        Value::String(star) if star == "*" => json!({"AWS": "*"}),
        other => other.clone(),
    }
}

fn normal_condition(value: &Value) -> Value {
    let Value::Object(operators) = value else { return value.clone() };
    sorted(operators, |_, keys| match keys {
        Value::Object(keys) => sorted(keys, |_, values| set_of(values, text_of)),
        other => other.clone(),
    })
}

/// Sorts a mapping by its keys and drops what is empty.
fn sorted(map: &Map<String, Value>, normal: impl Fn(&str, &Value) -> Value) -> Value {
    let mut fields: Vec<_> = map.iter().map(|(name, value)| (name.clone(), normal(name, value))).collect();
    fields.retain(|(_, value)| value.as_object().is_none_or(|inner| !inner.is_empty()));
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    Value::Object(fields.into_iter().collect())
}

/// Brings a value or a list of values to the form of a set: one value, or a sorted list of several different ones.
fn set_of(value: &Value, normal: impl Fn(&Value) -> Value) -> Value {
    let Value::Array(items) = value else { return normal(value) };
    let mut items: Vec<Value> = items.iter().map(normal).collect();
    items.sort_by_cached_key(Value::to_string);
    items.dedup();
    match items.as_mut_slice() {
        [single] => single.take(),
        _ => Value::Array(items),
    }
}

/// Turns numbers and booleans into the texts that AWS reads them as.
fn text_of(value: &Value) -> Value {
    match value {
        Value::Bool(_) | Value::Number(_) => Value::from(value.to_string()),
        other => other.clone(),
    }
}

/// Turns the root principal of an account into the account's number, which AWS takes for the same.
fn account_of(value: &Value) -> Value {
    let text = text_of(value);
    let parts: Vec<&str> = text.as_str().unwrap_or_default().split(':').collect();
    match parts.as_slice() {
        ["arn", _, "iam", "", account, "root"] if is_account(account) => Value::from(*account),
        _ => text,
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn document(value: &Value) -> PolicyDocument {
        PolicyDocument::from_value(value).unwrap()
    }

    fn statement(one: &Value) -> Value {
        document(&json!({"Version": "2012-10-17", "Statement": one})).value()["Statement"][0].clone()
    }

    #[test]
    fn what_aws_takes_for_the_same_is_equal() {
        let plain = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["s3:Get*"], "Resource": ["b", "a", "b"], "Sid": "",
             "Condition": {"Bool": {"aws:SecureTransport": true}, "NumericLessThan": {"s3:max-keys": [10]}}},
        ]});
        let other = r#"{"Statement": {"Resource": ["a", "b"], "Action": "s3:Get*", "Effect": "Allow",
            "Condition": {"NumericLessThan": {"s3:max-keys": "10"}, "Bool": {"aws:SecureTransport": "true"}}},
            "Version": "2012-10-17"}"#;
        assert_eq!(document(&plain), PolicyDocument::from_text(other).unwrap());
        assert_eq!(document(&plain).to_text(), PolicyDocument::from_text(other).unwrap().to_text());
    }

    #[test]
    fn principals_have_one_form() {
        let principal = |value: Value| statement(&json!({"Effect": "Allow", "Principal": value}))["Principal"].clone();
        assert_eq!(principal(json!("*")), json!({"AWS": "*"}));
        assert_eq!(principal(json!({"AWS": ["arn:aws:iam::123456789012:root"]})), json!({"AWS": "123456789012"}));
        assert_eq!(principal(json!({"AWS": 123_456_789_012_u64})), json!({"AWS": "123456789012"}));
        assert_eq!(
            principal(json!({"AWS": "arn:aws:iam::123456789012:role/root"})),
            json!({"AWS": "arn:aws:iam::123456789012:role/root"})
        );
        assert_eq!(principal(json!({"Service": ["b", "a"]})), json!({"Service": ["a", "b"]}));
    }

    #[test]
    fn what_differs_stays_different() {
        let with = |version: Value| document(&json!({"Version": version, "Statement": []}));
        assert_ne!(with(json!("2012-10-17")), with(json!("2008-10-17")));
        assert_eq!(with(Value::Null), with(json!("2008-10-17")));
        let action = |action: &str| statement(&json!({"Effect": "Allow", "Action": action}));
        assert_ne!(action("s3:GetObject"), action("s3:getobject"));
    }

    #[test]
    fn answers_are_percent_encoded_and_keep_plus_signs() {
        let wanted = document(&json!({"Statement": [{"Effect": "Allow", "Resource": "a+b c"}]}));
        let encoded = "%7B%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Resource%22%3A%22a+b%20c%22%7D%5D%7D";
        assert_eq!(PolicyDocument::from_encoded(encoded).unwrap(), wanted);
        assert_eq!(PolicyDocument::from_encoded(&wanted.to_text()).unwrap(), wanted);
        assert!(PolicyDocument::from_encoded("%7B%22").unwrap_err().message.contains("unreadable policy"));
    }

    #[test]
    fn text_waits_for_its_references() {
        let later = document(&json!("${file(\"trust.json\")}"));
        assert_eq!(later.value(), &json!("${file(\"trust.json\")}"));
        assert!(PolicyDocument::from_value(&json!("no policy")).unwrap_err().contains("not JSON"));
        assert!(PolicyDocument::from_value(&json!([])).unwrap_err().contains("mapping or JSON text"));
        let inside = document(&json!(r#"{"Statement": {"Resource": "${stream.arn}"}}"#));
        assert_eq!(inside.value()["Statement"][0]["Resource"], "${stream.arn}");
    }

    #[test]
    fn a_reference_does_not_move_its_statement() {
        let order = |resource: &str| {
            let statements = json!([
                {"Effect": "Allow", "Action": "sns:Publish", "Resource": resource},
                {"Effect": "Allow", "Action": "kinesis:GetRecords", "Resource": "m"},
            ]);
            document(&json!({"Statement": statements})).value()["Statement"][0]["Action"].clone()
        };
        assert_eq!(order("${topic.arn}"), "kinesis:GetRecords");
        assert_eq!(order("arn:aws:sns:x"), "kinesis:GetRecords");
    }

    fn texts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[a-c*]{1,2}|\\$\\{x.arn\\}|arn:aws:iam::123456789012:root", 1..4)
    }

    fn statements() -> impl Strategy<Value = Vec<Value>> {
        let one = (any::<bool>(), texts(), texts(), texts(), "[ab]?", any::<bool>());
        let one = one.prop_map(|(allow, actions, resources, principals, sid, secure)| {
            json!({
                "Sid": sid, "Effect": if allow { "Allow" } else { "Deny" }, "Action": actions, "Resource": resources,
                "Principal": {"AWS": principals}, "Condition": {"Bool": {"aws:SecureTransport": secure}},
            })
        });
        prop::collection::vec(one, 0..4)
    }

    fn shuffled(statements: &[Value]) -> Value {
        let reversed = |value: &Value| match value {
            Value::Array(items) => items.iter().rev().chain(items).cloned().collect(),
            other => other.clone(),
        };
        let turn = |one: &Value| -> Value {
            let fields = one.as_object().unwrap();
            Value::Object(fields.iter().rev().map(|(name, value)| (name.clone(), reversed(value))).collect())
        };
        statements.iter().rev().map(turn).collect()
    }

    proptest! {
        #[test]
        fn normal_form_is_idempotent(statements in statements()) {
            let once = document(&json!({"Statement": statements}));
            prop_assert_eq!(&document(once.value()), &once);
            prop_assert_eq!(&PolicyDocument::from_text(&once.to_text()).unwrap(), &once);
        }

        #[test]
        fn order_and_repetition_mean_nothing(statements in statements()) {
            let plain = document(&json!({"Version": "2012-10-17", "Statement": statements}));
            let turned = document(&json!({"Statement": shuffled(&statements), "Version": "2012-10-17"}));
            prop_assert_eq!(plain.to_text(), turned.to_text());
        }

        #[test]
        fn filling_in_after_normalising_gives_the_same(statements in statements()) {
            let fill = |text: &str| text.replace("${x.arn}", "arn:aws:kinesis:us-east-1:1:stream/x");
            let late = fill(&document(&json!({"Statement": statements})).to_text());
            let early = fill(&json!({"Statement": statements}).to_string());
            prop_assert_eq!(PolicyDocument::from_text(&late).unwrap(), PolicyDocument::from_text(&early).unwrap());
        }

        #[test]
        fn reading_never_panics(text in ".{0,40}") {
            drop(PolicyDocument::from_text(&text));
            drop(PolicyDocument::from_encoded(&text));
        }
    }
}
