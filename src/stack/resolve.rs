//! Fills references in, as far as they are known.

use serde_json::Value;

use super::reference::{Reference, Segment, parse};

/// Replaces the references of a value that `known` has a text for; leaves the others as they are.
///
/// Without `finish`, literal `$${` stays escaped so that the result can be resolved again.
pub fn fill(value: &Value, known: &impl Fn(&Reference) -> Option<Value>) -> Value {
    match value {
        Value::String(text) => fill_text(text, known),
        Value::Array(items) => items.iter().map(|item| fill(item, known)).collect(),
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), fill(value, known))).collect(),
        other => other.clone(),
    }
}

fn fill_text(text: &str, known: &impl Fn(&Reference) -> Option<Value>) -> Value {
    let Ok(segments) = parse(text) else { return Value::from(text) };
    if let [Segment::Reference(reference, _)] = &segments[..] {
        return known(reference).unwrap_or_else(|| Value::from(text));
    }
    let unresolved = segments
        .iter()
        .any(|segment| matches!(segment, Segment::Reference(reference, _) if known(reference).is_none()));
    let part = |segment: &Segment| match segment {
        Segment::Text(text) if unresolved => super::reference::escape(text),
        Segment::Text(text) => text.clone(),
        Segment::Reference(reference, _) => {
            known(reference).map_or_else(|| reference.to_string(), |value| plain(&value))
        }
    };
    Value::from(segments.iter().map(part).collect::<String>())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Lists the references in a value.
#[must_use]
pub fn references(value: &Value) -> Vec<Reference> {
    let mut all = Vec::new();
    collect(value, &mut all);
    all
}

fn collect(value: &Value, all: &mut Vec<Reference>) {
    match value {
        Value::String(text) => {
            all.extend(parse(text).unwrap_or_default().into_iter().filter_map(|segment| match segment {
                Segment::Reference(reference, _) => Some(reference),
                Segment::Text(_) => None,
            }));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, all)),
        Value::Object(map) => map.values().for_each(|value| collect(value, all)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fills_what_is_known_and_keeps_the_rest() {
        let known = |reference: &Reference| match reference {
            Reference::Output { id, .. } if id == "a" => Some(json!("A")),
            _ => None,
        };
        assert_eq!(fill(&json!("x ${a.arn} $${z}"), &known), json!("x A ${z}"));
        assert_eq!(fill(&json!("x ${a.arn} ${b.arn} $${z}"), &known), json!("x A ${b.arn} $${z}"));
        assert_eq!(fill(&json!(["${a.arn}", {"k": "${b.arn}"}]), &known), json!(["A", {"k": "${b.arn}"}]));
    }
}
