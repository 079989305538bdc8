//! Replaces what is known at load: `${var.x}`, `${stack}` and `${file("…")}`.
//!
//! What is put in is literal: a `${` in it is escaped, so that it is not taken for a reference later.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::links::each_text;
use super::problem::{Problem, join};
use super::reference::{Reference, Segment, escape, parse};
use super::suggest;
use super::text::read;
use super::variables::{Variables, plain};

/// What references stand for at load.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// Values of variables.
    pub(super) variables: &'a Variables,
    /// Name of the stack, once known.
    pub(super) stack: Option<&'a str>,
    /// Folder that paths are relative to.
    pub(super) dir: &'a Path,
    /// Whether what is filled in is left out of the stack: a field that a null leaves without a text is unset then.
    pub(super) left_out: bool,
}

/// What one reference turned out to be.
enum Found {
    /// A value.
    Value(Value),
    /// Known later: left as it is.
    Later,
    /// Wrong, and reported: left as it is.
    Wrong,
}

impl Known<'_> {
    /// Returns the value with everything known put in; null from a reference that is the whole value unsets its field.
    pub(super) fn fill(&self, value: &Value, path: &str, problems: &mut Vec<Problem>) -> Value {
        self.filled(value, path, problems).unwrap_or(Value::Null)
    }

    /// Lists the fields that take a secret too short to be found by its text: the nearest one outside of lists.
    pub(super) fn hidden(&self, value: &Value) -> BTreeSet<String> {
        let short = |segment: &Segment| match segment {
            Segment::Reference(Reference::Variable(name), _) => self.variables.short.contains(name),
            _ => false,
        };
        let mut paths = BTreeSet::new();
        each_text(value, "", &mut |text, path| {
            if parse(text).is_ok_and(|segments| segments.iter().any(short)) {
                paths.insert(above_lists(path));
            }
        });
        paths
    }

    /// Returns nothing where a whole-scalar reference is null.
    ///
    /// In the entries of a list the null stays: an entry without its source, such as a security group's rule, is
    /// another thing than one whose source is unset.
    fn filled(&self, value: &Value, path: &str, problems: &mut Vec<Problem>) -> Option<Value> {
        match value {
            Value::String(text) => self.text(text, path, problems),
            Value::Array(items) => {
                let item = |(index, item): (usize, &Value)| {
                    let path = join(path, &index.to_string());
                    match item {
                        Value::Object(map) => Some(self.entries(map, &path, Some(&Value::Null), problems)),
                        other => self.filled(other, &path, problems),
                    }
                };
                Some(items.iter().enumerate().filter_map(item).collect())
            }
            Value::Object(map) => Some(self.entries(map, path, None, problems)),
            other => Some(other.clone()),
        }
    }

    /// Fills the fields of a mapping; `unset` stands where a whole-scalar reference is null.
    fn entries(
        &self,
        map: &Map<String, Value>,
        path: &str,
        unset: Option<&Value>,
        problems: &mut Vec<Problem>,
    ) -> Value {
        let entry = |(name, value): (&String, &Value)| {
            let filled = self.filled(value, &join(path, name), problems).or_else(|| unset.cloned());
            Some((name.clone(), filled?))
        };
        Value::Object(map.iter().filter_map(entry).collect())
    }

    fn text(&self, text: &str, path: &str, problems: &mut Vec<Problem>) -> Option<Value> {
        let segments = match parse(text) {
            Ok(segments) => segments,
            Err(malformed) => {
                problems.push(
                    Problem::error(path, malformed.message)
                        .at_text(&text[malformed.at])
                        .label("not a reference")
                        .help("write `$${` for a literal `${`"),
                );
                return Some(Value::from(text));
            }
        };
        if let [Segment::Reference(reference, at)] = &segments[..] {
            return match self.find(reference, &text[at.clone()], path, problems) {
                Found::Value(Value::Null) => None,
                Found::Value(value) => Some(escaped(value)),
                Found::Later | Found::Wrong => Some(Value::from(text)),
            };
        }
        let mut result = String::new();
        for segment in &segments {
            match segment {
                Segment::Text(text) => result.push_str(&escape(text)),
                Segment::Reference(reference, at) => {
                    result.push_str(&self.part(reference, &text[at.clone()], path, problems)?);
                }
            }
        }
        Some(Value::from(result))
    }

    /// Returns the text of a reference amid other text; nothing where it has none and that does not matter.
    fn part(&self, reference: &Reference, written: &str, path: &str, problems: &mut Vec<Problem>) -> Option<String> {
        Some(match self.find(reference, written, path, problems) {
            Found::Value(Value::Null) if self.left_out => return None,
            Found::Value(value @ (Value::Null | Value::Array(_) | Value::Object(_))) => {
                let what = if value.is_null() { "null" } else { super::text::describe(&value) };
                problems.push(
                    Problem::error(path, format!("`{written}` is {what} and cannot be part of a text"))
                        .at_text(written)
                        .label(format!("{what} here")),
                );
                written.to_owned()
            }
            Found::Value(value) => escape(&plain(&value)),
            Found::Later | Found::Wrong => written.to_owned(),
        })
    }

    fn find(&self, reference: &Reference, written: &str, path: &str, problems: &mut Vec<Problem>) -> Found {
        let found = match reference {
            Reference::Variable(name) => self.variable(name),
            Reference::Place(name) if name == "stack" => {
                return self.stack.map_or(Found::Wrong, |stack| Found::Value(Value::from(stack)));
            }
            Reference::File(file) => self.file(file),
            Reference::Place(_) | Reference::Output { .. } => return Found::Later,
        };
        found.unwrap_or_else(|(message, help)| {
            let problem = Problem::error(path, message).at_text(written).label("cannot be filled in");
            problems.push(problem.maybe_help(help));
            Found::Wrong
        })
    }

    fn variable(&self, name: &str) -> Result<Found, (String, Option<String>)> {
        match self.variables.values.get(name) {
            Some(Some(value)) => Ok(Found::Value(value.clone())),
            Some(None) => Ok(Found::Wrong),
            None => {
                let help = suggest::help(name, self.variables.values.keys().map(String::as_str));
                let help = help.or_else(|| Some(format!("declare it: `variables: {{{name}: {{type: string}}}}`")));
                Err((format!("there is no variable `{name}`"), help))
            }
        }
    }

    fn file(&self, file: &str) -> Result<Found, (String, Option<String>)> {
        match read(&self.dir.join(file)) {
            Ok(text) => Ok(Found::Value(Value::from(text))),
            Err((message, _)) => {
                let help = format!("paths are relative to the stack file, that is to `{}`", shown(self.dir));
                Err((format!("could not read `{file}`: {message}"), Some(help)))
            }
        }
    }
}

fn above_lists(path: &str) -> String {
    let is_index = |step: &&str| step.bytes().all(|byte| byte.is_ascii_digit());
    path.split('.').take_while(|step| !is_index(step)).collect::<Vec<_>>().join(".")
}

fn shown(dir: &Path) -> String {
    if dir.as_os_str().is_empty() { ".".to_owned() } else { dir.display().to_string() }
}

fn escaped(value: Value) -> Value {
    match value {
        Value::String(text) => Value::from(escape(&text)),
        Value::Array(items) => items.into_iter().map(escaped).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::variables::{Inputs, resolve};
    use serde_json::json;

    fn fill(value: &Value) -> (Value, Vec<String>) {
        let declared = json!({
            "text": {"default": "${a}"},
            "number": {"type": "number", "default": 5},
            "list": {"type": "list", "default": ["x"]},
            "none": {"default": null},
            "wrong": {},
        });
        let variables = resolve(Some(&declared), &Inputs::default(), &mut Vec::new());
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("f.sql"), "a ${b}").unwrap();
        fs_err::write(dir.path().join("junk"), b"\xff").unwrap();
        let known = Known { variables: &variables, stack: Some("s"), dir: dir.path(), left_out: false };
        let mut problems = Vec::new();
        let value = known.fill(value, "p", &mut problems);
        (value, problems.into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect())
    }

    #[test]
    fn whole_scalars_keep_their_type() {
        let (value, problems) = fill(&json!({"n": "${var.number}", "l": "${var.list}", "t": "${var.text}-${stack}"}));
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(value, json!({"n": 5, "l": ["x"], "t": "$${a}-s"}));
    }

    #[test]
    fn null_unsets() {
        assert_eq!(fill(&json!({"a": "${var.none}", "b": ["${var.none}", null]})).0, json!({"b": [null]}));
        assert_eq!(fill(&json!({"r": [{"a": "${var.none}"}]})).0, json!({"r": [{"a": null}]}));
        assert_eq!(fill(&json!("${var.none}")).0, Value::Null);
    }

    #[test]
    fn files_are_literal_and_later_references_stay() {
        let (value, problems) = fill(&json!(["${file(\"f.sql\")}", "${x.arn} ${region} $${y}", "${x.arn}"]));
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(value, json!(["a $${b}", "${x.arn} ${region} $${y}", "${x.arn}"]));
    }

    #[test]
    fn says_what_cannot_be_filled_in() {
        let (_, problems) = fill(&json!({
            "a": "${var.nunber}", "b": "x${var.none}", "c": "${file(\"no\")}", "d": "${file(\"junk\")}", "e": "${oops",
            "f": "${var.wrong}", "g": "${file(\".\")}",
        }));
        insta::assert_snapshot!(problems.join("\n"));
    }
}
