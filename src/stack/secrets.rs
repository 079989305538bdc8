//! Secrets in texts: the forms in which a secret may be written, and what stands in for it.
//!
//! Pure; knows nothing of where secrets come from or where texts go.

use serde_json::Value;

use super::harmless::{line, safe};
use super::variables::is_short;

pub use crate::diff::MASK;

/// Secrets that are not to be shown.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    forms: Vec<String>,
}

impl Secrets {
    /// Knows these values.
    #[must_use]
    pub fn of(values: &[String]) -> Self {
        let mut secrets = Self::default();
        secrets.add(values);
        secrets
    }

    /// Knows these values, too.
    pub fn add(&mut self, values: &[String]) {
        // Shorter values stand in every other word: hiding them would tell more than it hides.
        let long = values.iter().filter(|secret| !is_short(secret));
        self.forms.extend(long.flat_map(|secret| forms(secret)));
        // A secret that is part of another one must not break the longer one apart.
        self.forms.sort_by(|one, other| (other.len(), one).cmp(&(one.len(), other)));
        self.forms.dedup();
    }

    /// Replaces secrets in a text.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }

    /// Replaces secrets in all texts of a value.
    #[must_use]
    pub fn masked_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.masked(text).into(),
            Value::Array(items) => items.iter().map(|item| self.masked_value(item)).collect(),
            Value::Object(map) => {
                map.iter().map(|(name, value)| (self.masked(name), self.masked_value(value))).collect()
            }
            other if self.forms.contains(&other.to_string()) => MASK.into(),
            other => other.clone(),
        }
    }
}

/// Returns how a secret may be written: as it is, escaped, made fit to be shown, and line by line.
fn forms(secret: &str) -> Vec<String> {
    let unquoted = |text: String| text[1..text.len() - 1].to_owned();
    let lines = secret.lines().map(str::trim).filter(|line| line.chars().count() > 7);
    let mut forms: Vec<String> = lines.flat_map(|line| [line.to_owned(), safe(line)]).collect();
    for whole in [secret.to_owned(), safe(secret), line(secret)] {
        forms.extend([unquoted(format!("{whole:?}")), unquoted(Value::from(whole.as_str()).to_string()), whole]);
    }
    forms
}
