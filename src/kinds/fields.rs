//! Reading of fields that users may write in more than one way.

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// Reads a text of which AWS shows nothing when it is empty.
///
/// # Errors
/// Returns the deserializer's error when it is no text.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// Reads a set of texts: one text, a list, or nothing.
///
/// # Errors
/// Returns the deserializer's error when it is neither.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::None => BTreeSet::new(),
        OneOrMany::One(text) => BTreeSet::from([text]),
        OneOrMany::Many(texts) => texts,
    })
}

/// How a set of texts may be written.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
pub enum OneOrMany {
    /// Not at all.
    None,
    /// As one text.
    One(String),
    /// As a list.
    Many(BTreeSet<String>),
}

impl JsonSchema for OneOrMany {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OneOrMany".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "uniqueItems": true},
        ]})
    }
}

/// Tells whether a text is known and does not have a form.
#[must_use]
pub fn is_wrong(text: &str, right: impl Fn(&str) -> bool) -> bool {
    !text.contains("${") && !right(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(default)]
    struct Sample {
        #[serde(deserialize_with = "text")]
        text: Option<String>,
        #[serde(deserialize_with = "texts")]
        texts: BTreeSet<String>,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self { text: Some("default".to_owned()), texts: BTreeSet::new() }
        }
    }

    fn read(value: serde_json::Value) -> Result<Sample, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn all_ways_of_writing_meet() {
        assert_eq!(read(json!({"text": ""})).unwrap().text, None);
        assert_eq!(read(json!({"text": null})).unwrap().text, None);
        assert_eq!(read(json!({"text": "a"})).unwrap().text.as_deref(), Some("a"));
        assert_eq!(read(json!({"texts": "a"})), read(json!({"texts": ["a", "a"]})));
        assert_eq!(read(json!({"texts": null})), read(json!({"texts": []})));
        assert!(read(json!({"texts": 1})).unwrap_err().contains("a text or a list of texts"));
    }

    #[test]
    fn references_are_never_wrong() {
        assert!(!is_wrong("${x.arn}", |_| false));
        assert!(is_wrong("x", |_| false));
        assert!(!is_wrong("x", |_| true));
    }
}
