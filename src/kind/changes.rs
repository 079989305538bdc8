//! The changes of one update, and the spec that they lead to.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Result;
use super::erased::{plain, typed};
use crate::diff::Change;

/// The changes of one update, asked by path.
#[derive(Debug, Clone, Copy)]
pub struct Changes<'a>(pub &'a [Change]);

impl Changes<'_> {
    /// Tells whether anything at or below a top-level field changes.
    #[must_use]
    pub fn touch(&self, field: &str) -> bool {
        self.0.iter().any(|change| change.path.split('.').next() == Some(field))
    }

    /// Returns what was found with only the changes applied: what is to be ignored stays as it was found.
    ///
    /// # Errors
    /// Returns an error when the mixture is not a spec.
    pub fn target<S: Serialize + DeserializeOwned>(&self, want: &S, found: &S) -> Result<S> {
        typed(&self.merge("", &plain(want)?, &plain(found)?))
    }

    fn merge(&self, path: &str, want: &Value, found: &Value) -> Value {
        let beside = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('.'));
        let meets = |change: &Change| change.path == path || beside(&change.path, path) || beside(path, &change.path);
        match (want, found) {
            _ if !path.is_empty() && !self.0.iter().any(meets) => found.clone(),
            (Value::Object(want), Value::Object(found)) => {
                let names: BTreeSet<&String> = want.keys().chain(found.keys()).collect();
                let merged = names.into_iter().filter_map(|name| {
                    let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    let touched = self.merge(&at, &Value::Bool(true), &Value::Bool(false)) == Value::Bool(true);
                    match (want.get(name), found.get(name)) {
                        (Some(want), Some(found)) => Some((name.clone(), self.merge(&at, want, found))),
                        (want, found) => {
                            (if touched { want } else { found }).map(|value| (name.clone(), value.clone()))
                        }
                    }
                });
                Value::Object(merged.collect())
            }
            _ => want.clone(),
        }
    }

    /// Tells whether any of the fields changes.
    #[must_use]
    pub fn touch_any(&self, fields: &[&str]) -> bool {
        fields.iter().any(|field| self.touch(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_target_has_the_changes_and_nothing_else() {
        let want = json!({"a": 1, "env": {"X": "1", "Y": "1"}, "list": [1, 2]});
        let found = json!({"a": 0, "env": {"X": "0", "Y": "0", "Z": "0", "V": "0"}, "list": [1, 3]});
        let change = |path: &str| Change {
            path: path.to_owned(),
            before: Value::Null,
            after: Value::Null,
            forces_replacement: false,
            sensitive: false,
        };
        let changes = [change("env.X"), change("env.Z"), change("list.1")];
        let target: Value = Changes(&changes).target(&want, &found).unwrap();
        assert_eq!(target, json!({"a": 0, "env": {"X": "1", "Y": "0", "V": "0"}, "list": [1, 2]}));
    }
}
