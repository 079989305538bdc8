//! JSON documents inside attributes, such as filter and delivery policies, in one form however they are written.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Number, Value};

use crate::kind::KindError;

/// A JSON object that an API takes as text.
///
/// It is written as a mapping or as JSON text and always serialises as an object with sorted keys; text that is not JSON
/// yet, because it holds a `${…}`, is kept until it is filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonObject(Value);

impl JsonObject {
    /// Reads JSON text.
    ///
    /// # Errors
    /// Returns why it cannot be an object.
    pub fn from_text(text: &str) -> Result<Self, String> {
        match serde_json::from_str::<Value>(text) {
            Ok(value @ Value::Object(_)) => Ok(Self(normal(&value))),
            _ if text.contains("${") => Ok(Self(Value::from(text))),
            Ok(_) => Err("the JSON text must be an object".to_owned()),
            Err(error) => Err(format!("the text is not JSON: {error}")),
        }
    }

    /// Reads an attribute of an answer; nothing and an empty object are the same to the APIs that have them.
    ///
    /// # Errors
    /// Returns an error when the answer is no JSON object.
    pub fn from_answer(text: Option<&String>) -> Result<Option<Self>, KindError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
        let object = Self::from_text(text)
            .map_err(|error| KindError::invalid(format!("AWS answered with an unreadable attribute: {error}")))?;
        Ok(Some(object).filter(|object| !object.is_empty()))
    }

    /// Tells whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_object().is_some_and(Map::is_empty)
    }

    /// Returns the object as compact JSON.
    #[must_use]
    pub fn to_text(&self) -> String {
        match &self.0 {
            Value::String(text) => text.clone(),
            object => object.to_string(),
        }
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Self::from_text(&text).map_err(de::Error::custom),
            value @ Value::Object(_) => Ok(Self(normal(&value))),
            other => Err(de::Error::custom(format!("expected a mapping or JSON text, not {other}"))),
        }
    }
}

impl JsonSchema for JsonObject {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "JsonObject".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A JSON object, as a mapping or as JSON text.",
            "anyOf": [{"type": "object"}, {"type": "string"}],
        })
    }
}

/// Reads an optional object for which nothing and `{}` are the same.
///
/// # Errors
/// Returns the deserializer's error when it is no object.
pub fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<JsonObject>, D::Error> {
    Ok(Option::<JsonObject>::deserialize(deserializer)?.filter(|object| !object.is_empty()))
}

/// Sorts keys and writes whole numbers in one way, so that `300.0` is `300`.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().map(|(name, value)| (name.clone(), normal(value))).collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Number(number) => whole(number).map_or_else(|| value.clone(), Value::from),
        other => other.clone(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked before the cast")]
fn whole(number: &Number) -> Option<i64> {
    let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15)?;
    Some(float as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> Result<JsonObject, String> {
        serde_json::from_value(value.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn text_and_mapping_meet() {
        let mapping = read(&json!({"b": [{"numeric": ["=", 300.0, 0.5]}], "a": {"d": 1, "c": 2}})).unwrap();
        let text = read(&json!(r#"{"a": {"c": 2, "d": 1}, "b": [{"numeric": ["=", 300, 0.5]}]}"#)).unwrap();
        assert_eq!(mapping.to_text(), text.to_text());
        assert_eq!(mapping.to_text(), r#"{"a":{"c":2,"d":1},"b":[{"numeric":["=",300,0.5]}]}"#);
    }

    #[test]
    fn text_waits_for_its_references() {
        assert_eq!(read(&json!("${file(\"x.json\")}")).unwrap().to_text(), "${file(\"x.json\")}");
        assert!(read(&json!("no")).unwrap_err().contains("not JSON"));
        assert!(read(&json!("[]")).unwrap_err().contains("must be an object"));
        assert!(read(&json!([])).unwrap_err().contains("mapping or JSON text"));
    }

    #[test]
    fn an_empty_answer_is_none() {
        let answer = |text: &str| JsonObject::from_answer(Some(&text.to_owned()));
        assert_eq!(answer("").unwrap(), None);
        assert_eq!(answer("{}").unwrap(), None);
        assert!(answer("{\"a\":1}").unwrap().is_some());
        assert!(answer("x").is_err());
    }
}
