//! What of one resource must not be told: its secrets, and what secrets could be guessed from.
//!
//! Secrets of today's variables are known by their text. Those that AWS still has from before are known to nobody, so
//! of a field that holds a secret today nothing is told that was found there.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::diff::{Change, Fields, path_matches};
use crate::plan::{Reason, Step};
use crate::stack::secrets::{MASK, Secrets};

/// One resource's veil.
pub(super) struct Veil<'a> {
    secrets: &'a Secrets,
    fields: &'a Fields,
    /// Fields that are not to be told at all.
    hidden: BTreeSet<String>,
    /// Fields with a secret in them, as far as lists: what is in a list may stand elsewhere in another one.
    holding: BTreeSet<String>,
    /// Whether nothing is known of what may be secret.
    blind: bool,
}

impl<'a> Veil<'a> {
    /// Makes the veil of a step whose resource stands in the file like this.
    pub(super) fn of(step: &'a Step, file: &Value, secrets: &'a Secrets) -> Self {
        let fields = step.kind.fields();
        let mut holding = BTreeSet::new();
        for value in [file, &step.want] {
            hold(value, "", secrets, &mut holding);
        }
        let mut hidden = step.hidden.clone();
        if holding.iter().any(|path| fields.is_source(path)) {
            // What is made from a secret and does not show it may be a hash of it.
            hidden.extend(fields.derived().filter(|path| !holding.contains(path)));
        }
        Self { secrets, fields, hidden, holding, blind: !step.in_file }
    }

    /// Tells whether a field is not to be told at all.
    pub(super) fn hides(&self, path: &str) -> bool {
        self.fields.is_sensitive(path) || self.hidden.iter().any(|hidden| path_matches(hidden, path))
    }

    /// Tells whether a field of what was found may hold a secret that nobody knows.
    pub(super) fn may_hold(&self, path: &str) -> bool {
        let is_mark = path.strip_prefix("tags.").is_some_and(|key| key.starts_with(crate::aws::marks::PREFIX));
        (self.blind && !is_mark) || self.hides(path) || self.holding.iter().any(|holding| path_matches(holding, path))
    }

    /// Returns a text without secrets.
    pub(super) fn text(&self, text: &str) -> String {
        self.secrets.masked(text)
    }

    /// Returns an identifier without secrets. One that is made up of an object's parts, because AWS tells none, ends with
    /// a short digest of the last, which nobody needs here.
    pub(super) fn address(&self, text: &str) -> String {
        let text = self.text(text);
        match text.rsplit_once('|') {
            Some((parts, digest)) if digest.len() == 4 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                format!("{parts}|…")
            }
            _ => text,
        }
    }

    /// Returns a field's value as it may be shown.
    pub(super) fn shown(&self, path: &str, value: &Value) -> Value {
        let below = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
        match value {
            Value::Null => Value::Null,
            _ if self.hides(path) => MASK.into(),
            Value::Object(map) => {
                map.iter().map(|(name, value)| (self.text(name), self.shown(&below(name), value))).collect()
            }
            Value::Array(items) => {
                items.iter().enumerate().map(|(at, item)| self.shown(&below(&at.to_string()), item)).collect()
            }
            other => self.secrets.masked_value(other),
        }
    }

    /// Returns a wanted spec as it may be shown, without local input that AWS never sees.
    pub(super) fn want(&self, want: &Value) -> Value {
        let mut shown = self.shown("", want);
        if let Some(map) = shown.as_object_mut() {
            map.retain(|name, _| !self.fields.is_source(name));
        }
        shown
    }

    /// Returns a difference as it may be shown.
    pub(super) fn change(&self, change: &Change) -> Change {
        let side = |value: &Value| match change.sensitive && !value.is_null() {
            true => MASK.into(),
            false => self.shown(&change.path, value),
        };
        Change {
            path: self.text(&change.path),
            before: side(&change.before),
            after: side(&change.after),
            forces_replacement: change.forces_replacement,
            sensitive: change.sensitive,
        }
    }

    /// Returns a reason as it may be shown.
    pub(super) fn reason(&self, reason: &Reason) -> Reason {
        match reason {
            Reason::Renamed { from } => Reason::Renamed { from: self.address(from) },
            Reason::CannotUpdate { paths } => {
                Reason::CannotUpdate { paths: paths.iter().map(|path| self.text(path)).collect() }
            }
            other => other.clone(),
        }
    }

    /// Returns the value of a wanted tag as it may be shown.
    pub(super) fn tag(&self, key: &str, value: &str) -> String {
        if self.hides(&format!("tags.{key}")) { MASK.to_owned() } else { self.text(value) }
    }

    /// Returns the value that a wanted tag has had, as it may be shown.
    pub(super) fn old_tag(&self, key: &str, value: &str) -> String {
        if self.may_hold(&format!("tags.{key}")) { MASK.to_owned() } else { self.text(value) }
    }
}

/// Collects the paths that have a secret in their value.
fn hold(value: &Value, path: &str, secrets: &Secrets, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                hold(value, &path, secrets, out);
            }
        }
        leaf if secrets.masked_value(leaf) != *leaf => {
            out.insert(path.to_owned());
        }
        _ => {}
    }
}
