//! The keys that every resource has: name, tags, waiting, protection and time limits.
//!
//! Knows nothing of kinds but their naming; everything else of a resource is its spec.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use regex::Regex;
use serde_json::{Map, Value};

use crate::kind::{AnyKind, Naming, Tags};

use super::problem::{Problem, join};
use super::resolve::references;
use super::suggest;
use super::text::describe;
use super::variables::plain;

/// Keys of a resource that are not its spec.
pub(super) const KEYS: [&str; 9] =
    ["type", "name", "depends_on", "when", "tags", "protect", "retain", "ignore_changes", "timeouts"];

const VERBS: [&str; 3] = ["create", "update", "delete"];
const LONGEST: u64 = 24 * 60 * 60;
/// AWS allows 50 tags per resource; the ownership marks need some of them.
const MAX_TAGS: usize = 46;

/// Values of the common keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Common {
    pub(super) name: String,
    pub(super) depends_on: Vec<String>,
    pub(super) tags: Tags,
    pub(super) protect: bool,
    pub(super) retain: bool,
    pub(super) ignore_changes: Vec<String>,
    pub(super) timeouts: BTreeMap<String, Duration>,
}

/// Reads the common keys of one resource; `fields` has its variables filled in.
pub(super) fn read(
    id: &str,
    path: &str,
    fields: &Map<String, Value>,
    kind: &dyn AnyKind,
    problems: &mut Vec<Problem>,
) -> Common {
    let at = |key: &str| (fields.get(key).filter(|value| !value.is_null()), join(path, key));
    let mut list = |key: &str| {
        let (value, path) = at(key);
        strings(value, &path, key, problems)
    };
    let (depends_on, ignore_changes) = (list("depends_on"), list("ignore_changes"));
    let mut flag = |key: &str| {
        let (value, path) = at(key);
        flag(value, &path, key, problems)
    };
    let (protect, retain) = (flag("protect"), flag("retain"));
    let name = name(id, path, fields.get("name"), kind, problems);
    check_ignored(&ignore_changes, path, kind, problems);
    let (tags, tags_path) = at("tags");
    let tags = self::tags(tags, &tags_path, problems);
    let (limits, limits_path) = at("timeouts");
    let timeouts = timeouts(limits, &limits_path, problems);
    Common { name, depends_on, tags, protect, retain, ignore_changes, timeouts }
}

fn strings(value: Option<&Value>, path: &str, key: &str, problems: &mut Vec<Problem>) -> Vec<String> {
    let Some(value) = value else { return Vec::new() };
    let texts = value.as_array().map(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
    if let Some(Some(texts)) = texts {
        return texts;
    }
    let example = value.as_str().unwrap_or("a");
    problems.push(
        Problem::error(path, format!("`{key}` is a list of texts, this is {}", describe(value)))
            .label("expected a list")
            .help(format!("write `{key}: [{example}]`")),
    );
    Vec::new()
}

fn flag(value: Option<&Value>, path: &str, key: &str, problems: &mut Vec<Problem>) -> bool {
    match value {
        None => false,
        Some(Value::Bool(flag)) => *flag,
        Some(other) => {
            let message = format!("`{key}` is true or false, this is {}", describe(other));
            problems.push(Problem::error(path, message).label("expected `true` or `false`"));
            false
        }
    }
}

fn name(id: &str, path: &str, given: Option<&Value>, kind: &dyn AnyKind, problems: &mut Vec<Problem>) -> String {
    let at = if given.is_some() { join(path, "name") } else { path.to_owned() };
    let name = match given {
        None | Some(Value::Null) => id.to_owned(),
        Some(Value::String(name)) => name.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(other) => {
            problems.push(Problem::error(at, format!("`name` is text, this is {}", describe(other))));
            return id.to_owned();
        }
    };
    if let Some(reference) = references(&Value::from(name.as_str())).first() {
        problems.extend(unusable(reference, &at, "a name"));
        return name;
    }
    if let Naming::Name { pattern } = kind.naming() {
        check_pattern(&name, given.is_some(), pattern, &at, kind, problems);
    }
    name
}

/// Says that a reference is used where its value must be known from the file alone.
fn unusable(reference: &super::reference::Reference, path: &str, what: &str) -> Option<Problem> {
    use super::reference::Reference::{File, Output, Place, Variable};
    match reference {
        // Has been reported when it was filled in.
        Variable(_) | File(_) => None,
        Place(place) if place == "stack" => None,
        Output { .. } | Place(_) => Some(
            Problem::error(path, format!("{what} cannot use `{reference}`, which the file alone does not tell"))
                .at_text(reference.to_string())
                .label("not allowed here")
                .help("variables and `${stack}` can be used here"),
        ),
    }
}

/// Tells whether a pattern of the registry, compiled once, matches all of a text.
fn matches_whole(text: &str, pattern: &str) -> bool {
    static COMPILED: Mutex<BTreeMap<String, Regex>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = compiled.get(pattern) {
        return regex.is_match(text);
    }
    // A pattern that is not one is the registry's fault, which its tests find; it refuses no user's name.
    let Ok(regex) = Regex::new(&format!("^(?:{pattern})$")) else { return true };
    compiled.entry(pattern.to_owned()).or_insert(regex).is_match(text)
}

fn check_pattern(name: &str, given: bool, pattern: &str, path: &str, kind: &dyn AnyKind, problems: &mut Vec<Problem>) {
    if matches_whole(name, pattern) {
        return;
    }
    let problem = Problem::error(path, format!("`{name}` cannot be the name of a {}", kind.type_name()))
        .label("does not match")
        .help(format!(
            "a name matches `{pattern}`{}",
            if given { "" } else { "; without `name:` the key is the name" }
        ));
    problems.push(if given { problem } else { problem.at_key() });
}

fn check_ignored(paths: &[String], path: &str, kind: &dyn AnyKind, problems: &mut Vec<Problem>) {
    let schema = kind.spec_schema();
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else { return };
    for (index, ignored) in paths.iter().enumerate() {
        let first = ignored.split('.').next().unwrap_or("");
        if first == "*" || fields.contains_key(first) || first == "tags" {
            continue;
        }
        problems.push(
            Problem::error(join(path, &format!("ignore_changes.{index}")), format!("there is no field `{first}`"))
                .label("unknown field")
                .maybe_help(suggest::help(first, fields.keys().map(String::as_str))),
        );
    }
}

/// Reads tags: scalars as text, within AWS's limits (`facts/aws.md` 0).
pub(super) fn tags(value: Option<&Value>, path: &str, problems: &mut Vec<Problem>) -> Tags {
    let entries = match value {
        None | Some(Value::Null) => return Tags::new(),
        Some(Value::Object(entries)) => entries,
        Some(other) => {
            let message = format!("`tags` is a mapping of names to texts, this is {}", describe(other));
            problems.push(Problem::error(path, message).help("write `tags: {project: tickets}`"));
            return Tags::new();
        }
    };
    let mut tags = Tags::new();
    for (key, value) in entries {
        let at = join(path, key);
        if let Some(text) = tag_value(key, value, &at, problems) {
            check_tag(key, &text, &at, problems);
            tags.insert(key.clone(), text);
        }
    }
    tags
}

fn tag_value(key: &str, value: &Value, path: &str, problems: &mut Vec<Problem>) -> Option<String> {
    if matches!(value, Value::Null | Value::Array(_) | Value::Object(_)) {
        let message = format!("the value of tag `{key}` is {}, not text", describe(value));
        problems.push(Problem::error(path, message).label("expected text"));
        return None;
    }
    let text = plain(value);
    let references = references(value);
    if references.is_empty() {
        return Some(text);
    }
    problems.extend(unusable(&references[0], path, "a tag"));
    None
}

fn check_tag(key: &str, value: &str, path: &str, problems: &mut Vec<Problem>) {
    let mut refuse = |message: String, help: &str| {
        problems.push(Problem::error(path, message).at_key().label("this tag").help(help));
    };
    let lower = key.to_lowercase();
    if let Some(prefix) = ["aws:", "stackctl:"].iter().find(|prefix| lower.starts_with(*prefix)) {
        refuse(format!("tags beginning with `{prefix}` are reserved"), "choose another name");
    }
    let (length, size) = (key.chars().count(), value.chars().count());
    if length == 0 || length > 128 {
        refuse(format!("the name of a tag has 1 to 128 characters, this has {length}"), "AWS refuses it otherwise");
    }
    if size > 256 {
        refuse(format!("the value of tag `{key}` has {size} characters"), "AWS allows 256");
    }
    let odd = |letter: &char| !(letter.is_alphanumeric() || *letter == ' ' || "_.:/=+-@".contains(*letter));
    if let Some(letter) = key.chars().chain(value.chars()).find(odd) {
        let message = format!("tag `{key}` has the character {letter:?}");
        refuse(message, "AWS allows letters, digits, spaces and `_ . : / = + - @`");
    }
}

/// Refuses more tags than AWS takes.
pub(super) fn check_count(tags: &Tags, path: &str, problems: &mut Vec<Problem>) {
    if tags.len() > MAX_TAGS {
        problems.push(
            Problem::error(join(path, "tags"), format!("{} tags are too many", tags.len()))
                .help(format!("AWS allows 50, of which stackctl keeps some for itself: at most {MAX_TAGS}")),
        );
    }
}

fn timeouts(value: Option<&Value>, path: &str, problems: &mut Vec<Problem>) -> BTreeMap<String, Duration> {
    let mut limits = BTreeMap::new();
    let entries = match value {
        None => return limits,
        Some(Value::Object(entries)) => entries,
        Some(other) => {
            let message = format!("`timeouts` is a mapping, this is {}", describe(other));
            problems.push(Problem::error(path, message).help("write `timeouts: {create: 10m}`"));
            return limits;
        }
    };
    for (verb, value) in entries {
        let at = join(path, verb);
        if !VERBS.contains(&verb.as_str()) {
            let problem = Problem::error(at, format!("there is no time limit for `{verb}`")).at_key();
            problems.push(problem.label("unknown").maybe_help(suggest::help(verb, VERBS)));
            continue;
        }
        match duration(&plain(value)) {
            Some(limit) => drop(limits.insert(verb.clone(), limit)),
            None => problems.push(
                Problem::error(at, format!("`{}` is not a time limit", plain(value)))
                    .label("not a time limit")
                    .help("write seconds, minutes or hours, such as `90s`, `10m` or `1h`, up to 24h"),
            ),
        }
    }
    limits
}

/// Reads `90s`, `10m`, `1h` or several of these one after another.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let mut seconds = 0_u64;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        let unit = match rest[digits..].chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return None,
        };
        seconds = seconds.checked_add(count.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (1..=LONGEST).contains(&seconds).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn durations_have_units() {
        for (text, want) in [
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("1h30m", Some(5400)),
            ("24h", Some(86_400)),
            ("25h", None),
            ("10", None),
            ("", None),
            ("0s", None),
            ("m", None),
            ("1ü", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(duration(text).map(|limit| limit.as_secs()), want, "{text}");
        }
    }

    #[test]
    fn tags_are_text_within_limits() {
        let mut problems = Vec::new();
        let value = json!({
            "a": 1, "b": true, "aws:x": "1", "Stackctl:y": "1", "list": [], "long": "x".repeat(257), "odd": "a*b",
            "ref": "${x.arn}", "": "x",
        });
        let tags = tags(Some(&value), "tags", &mut problems);
        assert_eq!((tags["a"].as_str(), tags["b"].as_str()), ("1", "true"));
        let messages: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
        insta::assert_snapshot!(messages.join("\n"));
    }

    proptest! {
        #[test]
        fn durations_never_panic(text in ".{0,12}") {
            let _ = duration(&text);
        }
    }
}
