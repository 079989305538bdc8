//! Fingerprints: a short hash for every field of a value, which tells that the field has moved without saying what it is.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::diff::{Fields, path_matches};

/// Hashes by dotted path.
pub type Prints = BTreeMap<String, String>;

/// What stands for a value that must not even be hashed: that there is one.
const PRESENT: &str = "present";

/// Takes the fingerprints of all fields of a value; of closed ones only that they are there.
pub(super) fn prints(value: &Value, is_closed: &dyn Fn(&str) -> bool) -> Prints {
    let mut prints = Prints::new();
    walk(value, "", &mut |path, value| {
        add(&mut prints, path, value, is_closed);
        true
    });
    prints
}

/// Takes the fingerprints of what was found, without what the differ does not look at.
pub(super) fn seen(
    found: &Value,
    want: &Value,
    fields: &Fields,
    ignored: &[String],
    is_closed: &dyn Fn(&str) -> bool,
) -> Prints {
    let mut prints = Prints::new();
    let skips = |path: &str| {
        fields.is_source(path)
            || ignored.iter().any(|pattern| path_matches(pattern, path))
            || (fields.is_computed(path) && !want.is_null() && at(want, path).is_none_or(Value::is_null))
    };
    walk(found, "", &mut |path, value| {
        if skips(path) {
            return false;
        }
        add(&mut prints, path, value, is_closed);
        true
    });
    prints
}

/// Takes the fingerprints of a flat mapping, whose keys may have dots.
pub(super) fn flat(map: &Map<String, Value>, is_closed: &dyn Fn(&str) -> bool) -> Prints {
    let mut prints = Prints::new();
    map.iter().for_each(|(key, value)| add(&mut prints, key, value, is_closed));
    prints
}

/// Visits a value and all that is below it, as long as the visitor wants to go on below.
fn walk(value: &Value, path: &str, visit: &mut dyn FnMut(&str, &Value) -> bool) {
    if !visit(path, value) {
        return;
    }
    let below = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| walk(value, &below(name), visit)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| walk(value, &below(&index.to_string()), visit));
        }
        _ => {}
    }
}

/// Adds a leaf; null is the same as absent, and what has parts is told by them.
fn add(prints: &mut Prints, path: &str, value: &Value, is_closed: &dyn Fn(&str) -> bool) {
    let is_leaf = match value {
        Value::Null => false,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if !is_leaf {
        return;
    }
    let print = if is_closed(path) { PRESENT.to_owned() } else { hash(&value.to_string()) };
    // A key with a dot can have the path of another field.
    let print = match prints.remove(path) {
        Some(other) => hash(&format!("{other} {print}")),
        None => print,
    };
    prints.insert(path.to_owned(), print);
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, step| match value {
        Value::Object(map) => map.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_leaf_has_one_and_null_none() {
        let value = json!({"a": [1, {"b": "x"}], "c": null, "d": {}, "e.f": 1, "e": {"f": 2}});
        let all = prints(&value, &|_| false);
        assert_eq!(all.keys().collect::<Vec<_>>(), ["a.0", "a.1.b", "d", "e.f"]);
        let other = prints(&json!({"a": [1, {"b": "y"}], "d": {}, "e.f": 1, "e": {"f": 3}}), &|_| false);
        let moved: Vec<_> = all.keys().filter(|path| all[*path] != other[*path]).collect();
        assert_eq!(moved, ["a.1.b", "e.f"]);
    }

    #[test]
    fn what_is_closed_is_only_there() {
        let print = |text: &str| prints(&json!({"secret": text}), &|path| path == "secret");
        assert_eq!(print("one"), print("two"));
        assert_eq!(print("one")["secret"], PRESENT);
    }

    #[test]
    fn what_the_differ_skips_has_none() {
        let marks = json!({"properties": {"zone": {"x-computed": true}, "size": {"x-computed": true}, "code": {"x-source": true}, "status": {}}});
        let fields = Fields::of_schema(&marks);
        let found = json!({"zone": {"name": "a"}, "size": 1, "code": "x", "status": "up", "env": {"A": 1, "B": 2}});
        let seen = seen(&found, &json!({"zone": null, "size": 1}), &fields, &["env.A".to_owned()], &|_| false);
        assert_eq!(seen.keys().collect::<Vec<_>>(), ["env.B", "size", "status"]);
    }
}
