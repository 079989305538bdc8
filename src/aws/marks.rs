//! Ownership marks: the tags that say which stack and resource an object belongs to, and what was last applied.
//!
//! These tags replace a state file (`facts/peers.md` 4).

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::{Class, KindError};
use crate::kind::{Key, Tags};

/// Tag with the name of the stack.
pub const STACK: &str = "stackctl:stack";
/// Tag with the logical id.
pub const RESOURCE: &str = "stackctl:resource";
/// Tag with the hash of the spec as last applied.
pub const SPEC: &str = "stackctl:spec";
/// What all our own tags start with.
pub const PREFIX: &str = "stackctl:";

/// Returns the tags of an object: the user's and the marks.
#[must_use]
pub fn marked(key: &Key, user: &Tags, spec: &Value) -> Tags {
    let mut tags = user.clone();
    tags.insert(STACK.to_owned(), key.stack.clone());
    tags.insert(RESOURCE.to_owned(), key.id.clone());
    tags.insert(SPEC.to_owned(), spec_hash(spec));
    tags
}

/// Returns the stack that an object belongs to, if it says so.
#[must_use]
pub fn stack_of(tags: &Tags) -> Option<&str> {
    tags.get(STACK).map(String::as_str)
}

/// Returns the logical id that an object has, if it says so.
#[must_use]
pub fn resource_of(tags: &Tags) -> Option<&str> {
    tags.get(RESOURCE).map(String::as_str)
}

/// Decides about an object that a create call found there already: one with our own marks is the work of a call whose
/// answer was lost, and success; anybody else's is not ours.
///
/// # Errors
/// Returns the call's error as [`Class::Exists`] when the object is somebody else's.
pub fn settle(present: &Tags, wanted: &Tags, error: KindError) -> Result<(), KindError> {
    let same = |key: &str| present.get(key) == wanted.get(key);
    if same(STACK) && same(RESOURCE) { Ok(()) } else { Err(KindError { class: Class::Exists, ..error }) }
}

/// Returns the hash of a spec: 128 bits in hexadecimal, the same for the same values whatever the order of keys.
#[must_use]
pub fn spec_hash(spec: &Value) -> String {
    let digest = Sha256::digest(canonical(spec).as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a value with sorted keys and without nulls.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            fields.sort_by_key(|(name, _)| *name);
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name:?}:{}", canonical(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// Splits the way from found to wanted tags into what to set and what to remove.
///
/// Tags of AWS itself (`aws:…`) and of ours that are not wanted on purpose (marks of children) are left alone.
#[must_use]
pub fn tag_changes(want: &Tags, found: &Tags) -> (Tags, Vec<String>) {
    let set = want.iter().filter(|(key, value)| found.get(*key) != Some(value));
    let set = set.map(|(key, value)| (key.clone(), value.clone())).collect();
    let remove =
        found.keys().filter(|key| !want.contains_key(*key) && !key.starts_with("aws:") && !key.starts_with(PREFIX));
    (set, remove.cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hash_ignores_order_and_nulls() {
        assert_eq!(spec_hash(&json!({"a": 1, "b": {"c": 2}})), spec_hash(&json!({"b": {"c": 2, "d": null}, "a": 1})));
        assert_ne!(spec_hash(&json!({"a": [1, 2]})), spec_hash(&json!({"a": [2, 1]})));
    }

    #[test]
    fn only_our_own_object_is_settled() {
        let tags =
            |stack: &str, id: &str| Tags::from([(STACK.into(), stack.to_owned()), (RESOURCE.into(), id.to_owned())]);
        let error = || KindError::invalid("exists");
        assert!(settle(&tags("a", "r"), &tags("a", "r"), error()).is_ok());
        for other in [tags("b", "r"), tags("a", "s"), Tags::new()] {
            assert_eq!(settle(&other, &tags("a", "r"), error()).unwrap_err().class, Class::Exists);
        }
    }

    #[test]
    fn foreign_prefixes_stay() {
        let found = Tags::from([
            ("aws:x".into(), "1".into()),
            ("old".into(), "1".into()),
            ("stackctl:sub:a".into(), "1".into()),
        ]);
        let want = Tags::from([("new".into(), "1".into())]);
        let (set, remove) = tag_changes(&want, &found);
        assert_eq!(set.len(), 1);
        assert_eq!(remove, ["old"]);
    }
}
