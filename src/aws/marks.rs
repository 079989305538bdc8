//! Ownership marks: the tags that say which stack and resource an object belongs to, and what was last applied.
//!
//! These tags replace a state file (`facts/peers.md` 4).

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::{Class, KindError};
use crate::diff::Fields;
use crate::kind::{Key, Tags};

/// Tag with the name of the stack.
pub const STACK: &str = "stackctl:stack";
/// Tag with the logical id.
pub const RESOURCE: &str = "stackctl:resource";
/// Tag with the hash of the spec as last applied.
pub const SPEC: &str = "stackctl:spec";
/// Tag that refuses deletion and replacement, also after the resource has left the file.
pub const PROTECT: &str = "stackctl:protect";
/// Tag that asks to leave the object in AWS when its resource leaves the file.
pub const RETAIN: &str = "stackctl:retain";
/// What all our own tags start with.
pub const PREFIX: &str = "stackctl:";

/// All marks of an object itself; other tags with our prefix belong to its children.
pub const MARKS: &[&str] = &[STACK, RESOURCE, SPEC, PROTECT, RETAIN];

/// Marks that an object has only while its resource says so.
const OPTIONAL: &[&str] = &[PROTECT, RETAIN];

/// Returns the marks of an object.
#[must_use]
pub fn marks(key: &Key, spec_hash: &str, protect: bool, retain: bool) -> Tags {
    let mut tags = Tags::from([
        (STACK.to_owned(), key.stack.clone()),
        (RESOURCE.to_owned(), key.id.clone()),
        (SPEC.to_owned(), spec_hash.to_owned()),
    ]);
    for (mark, set) in [(PROTECT, protect), (RETAIN, retain)] {
        if set {
            tags.insert(mark.to_owned(), "true".to_owned());
        }
    }
    tags
}

/// Tells whether a mark such as [`PROTECT`] is set.
#[must_use]
pub fn is_set(tags: &Tags, mark: &str) -> bool {
    tags.get(mark).is_some_and(|value| value == "true")
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

/// Returns the hash of a spec and its tags: 128 bits in hexadecimal, the same for the same values whatever the order of
/// keys.
///
/// Local input that AWS never shows is left out, and secrets count as one and the same, since tags are no place to
/// guess them from. Of the tags, those of AWS and those that say whose the object is do not count.
#[must_use]
pub fn spec_hash(fields: &Fields, secrets: &[String], spec: &Value, tags: &Tags) -> String {
    let counts = |key: &str| OPTIONAL.contains(&key) || !(key.starts_with("aws:") || key.starts_with(PREFIX));
    let tags = tags.iter().filter(|(key, _)| counts(key)).map(|(key, value)| (key.clone(), value.clone().into()));
    let tags = canonical(&Fields::default(), secrets, "", &Value::Object(tags.collect()));
    let text = canonical(fields, secrets, "", spec) + &tags;
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a value with sorted keys and without nulls.
fn canonical(fields: &Fields, secrets: &[String], path: &str, value: &Value) -> String {
    let below = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match value {
        Value::Null => "null".to_owned(),
        _ if fields.is_sensitive(path) => "secret".to_owned(),
        Value::Object(map) => {
            let mut members: Vec<_> =
                map.iter().filter(|(name, value)| !value.is_null() && !fields.is_source(&below(name))).collect();
            members.sort_by_key(|(name, _)| *name);
            let member = |(name, value): (&String, &Value)| {
                format!("{name:?}:{}", canonical(fields, secrets, &below(name), value))
            };
            format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            let items = items
                .iter()
                .enumerate()
                .map(|(index, item)| canonical(fields, secrets, &below(&index.to_string()), item));
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        }
        Value::String(text) => {
            format!("{:?}", secrets.iter().fold(text.clone(), |text, secret| text.replace(secret, "secret")))
        }
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
    let stays = |key: &str| key.starts_with("aws:") || (key.starts_with(PREFIX) && !OPTIONAL.contains(&key));
    let remove = found.keys().filter(|key| !want.contains_key(*key) && !stays(key));
    (set, remove.cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hash(spec: &Value) -> String {
        let fields =
            Fields::of_schema(&json!({"properties": {"path": {"x-source": true}, "token": {"x-sensitive": true}}}));
        spec_hash(&fields, &["hunter2".to_owned()], spec, &Tags::new())
    }

    #[test]
    fn hash_ignores_order_nulls_and_sources() {
        assert_eq!(
            hash(&json!({"a": 1, "b": {"c": 2}})),
            hash(&json!({"b": {"c": 2, "d": null}, "a": 1, "path": "x"}))
        );
        assert_ne!(hash(&json!({"a": [1, 2]})), hash(&json!({"a": [2, 1]})));
    }

    #[test]
    fn hash_counts_the_tags_that_users_set() {
        let hash = |tags: &[(&str, &str)]| {
            let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            spec_hash(&Fields::default(), &[], &json!({}), &tags)
        };
        assert_ne!(hash(&[("env", "dev")]), hash(&[("env", "prod")]));
        assert_ne!(hash(&[(PROTECT, "true")]), hash(&[]));
        assert_eq!(hash(&[(STACK, "s"), (SPEC, "h"), ("aws:x", "1"), ("stackctl:sub:a", "1")]), hash(&[]));
    }

    #[test]
    fn hash_tells_nothing_of_secrets() {
        assert_eq!(hash(&json!({"token": "one"})), hash(&json!({"token": "two"})));
        assert_eq!(hash(&json!({"url": "x?hunter2"})), hash(&json!({"url": "x?secret"})));
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

    #[test]
    fn a_mark_goes_when_its_resource_no_longer_asks_for_it() {
        let found =
            Tags::from([(STACK.into(), "s".into()), (SPEC.into(), "h".into()), (PROTECT.into(), "true".into())]);
        let want = Tags::from([(STACK.into(), "s".into())]);
        assert_eq!(tag_changes(&want, &found), (Tags::new(), vec![PROTECT.to_owned()]));
        assert_eq!(tag_changes(&found, &found), (Tags::new(), Vec::new()));
    }
}
