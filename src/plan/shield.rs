//! Keeps secrets out of differences: those of the file are known, those that AWS still has are guessed from them.
//!
//! Pure. What is wanted and holds a secret is masked when it is shown; what is there now may hold the secret's former
//! value, which nobody knows any more, so everything that the wanted text does not repeat is hidden.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::diff::{Change, MASK, path_matches};
use crate::stack::variables::is_short;

/// Hides what must not be shown of a difference.
pub(super) fn hide(change: &mut Change, hidden: &BTreeSet<String>, secrets: &[String]) {
    let meets = |path: &String| path_matches(path, &change.path) || path_matches(&change.path, path);
    if hidden.iter().any(meets) {
        change.sensitive = true;
    } else if holds_any(&change.after, secrets) {
        match (&change.before, &change.after) {
            (Value::String(before), Value::String(after)) if !secrets.contains(after) => {
                change.before = repeated(before, after).into();
            }
            _ => change.sensitive = true,
        }
    }
}

/// Returns a text with every line hidden that another text does not have.
fn repeated(text: &str, other: &str) -> String {
    let known: BTreeSet<&str> = other.lines().collect();
    let lines: Vec<&str> = text.lines().map(|line| if known.contains(line) { line } else { MASK }).collect();
    let end = if text.ends_with('\n') { "\n" } else { "" };
    lines.join("\n") + end
}

/// Tells whether a value holds a secret that can be found by its text.
fn holds_any(value: &Value, secrets: &[String]) -> bool {
    let mut long = secrets.iter().filter(|secret| !is_short(secret));
    match value {
        Value::Null => false,
        Value::Array(items) => items.iter().any(|item| holds_any(item, secrets)),
        Value::Object(map) => map.values().any(|value| holds_any(value, secrets)),
        Value::String(text) => long.any(|secret| text.contains(secret)),
        other => {
            let text = other.to_string();
            long.any(|secret| *secret == text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(path: &str, before: Value, after: Value) -> (Value, bool) {
        let mut change = Change { path: path.to_owned(), before, after, forces_replacement: false, sensitive: false };
        hide(&mut change, &BTreeSet::from(["env.PIN".to_owned()]), &["hunter2".to_owned(), "7".to_owned()]);
        (change.before, change.sensitive)
    }

    #[test]
    fn of_a_text_only_what_may_be_secret_is_hidden() {
        let (before, sensitive) = shown("data", json!("a\nkey=old\nb\n"), json!("a\nkey=hunter2\nb\nc\n"));
        assert_eq!((before, sensitive), (json!("a\n(sensitive)\nb\n"), false));
        assert_eq!(shown("data", json!("old"), json!("x hunter2")), (json!("(sensitive)"), false));
        assert_eq!(shown("data", json!("old"), json!("hunter2")), (json!("old"), true));
        assert_eq!(shown("data", json!(["old"]), json!(["x hunter2"])), (json!(["old"]), true));
    }

    #[test]
    fn a_short_secret_hides_its_own_field_and_nothing_else() {
        assert_eq!(shown("env.A", json!("16"), json!("17")), (json!("16"), false));
        assert!(shown("env.PIN", json!("6"), json!("7")).1);
        assert!(shown("env", Value::Null, json!({"PIN": "7"})).1);
    }
}
