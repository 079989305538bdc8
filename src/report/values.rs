//! Values and their differences as lines of text.

use std::collections::BTreeMap;

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::{MASK, Paint, line, safe};
use crate::diff::{Change, Fields};
use crate::plan::Step;
use crate::stack::reference::{Reference, Segment, parse};

/// Longest line, where values can be broken.
pub(super) const LINE: usize = 110;

/// Unchanged lines shown around a changed one.
const CONTEXT: usize = 2;

/// Returns the tags that a step sets, with what must not be shown hidden.
#[must_use]
pub fn tags_of(step: &Step) -> BTreeMap<String, String> {
    let shown = |key: &String, value: &String| {
        if step.hidden.contains(&format!("tags.{key}")) { MASK.to_owned() } else { value.clone() }
    };
    step.set_tags.iter().map(|(key, value)| (key.clone(), shown(key, value))).collect()
}

/// Shows the fields of something new, one a line, nested ones indented; what is empty is left out.
#[must_use]
pub fn fields(value: &Value, indent: usize, sign: &str) -> String {
    let mut out = String::new();
    list_fields(&pruned(value), indent, sign, &mut out);
    out
}

fn list_fields(value: &Value, indent: usize, sign: &str, out: &mut String) {
    let Some(map) = value.as_object() else { return };
    let breaks = |name: &str, value: &Value| breaks(value, LINE.saturating_sub(indent + name.len()));
    let members: Vec<(String, &Value)> = map.iter().map(|(name, value)| (line(name), value)).collect();
    let flat = members.iter().filter(|(name, value)| !breaks(name, value));
    let width = flat.map(|(name, _)| name.len()).max().unwrap_or(0);
    let pad = " ".repeat(indent);
    for (name, value) in members {
        if breaks(&name, value) {
            out.push_str(&format!("{pad}{sign} {name}:\n"));
            broken(value, indent + 4, sign, out);
        } else {
            out.push_str(&format!("{pad}{sign} {name:width$} = {}\n", short(value)));
        }
    }
}

fn broken(value: &Value, indent: usize, sign: &str, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(_) => list_fields(value, indent, sign, out),
        Value::Array(items) => {
            for item in items {
                if breaks(item, LINE.saturating_sub(indent)) {
                    out.push_str(&format!("{pad}{sign} -\n"));
                    broken(item, indent + 4, sign, out);
                } else {
                    out.push_str(&format!("{pad}{sign} - {}\n", short(item)));
                }
            }
        }
        Value::String(text) => safe(text).lines().for_each(|line| out.push_str(&format!("{pad}{sign} | {line}\n"))),
        other => out.push_str(&format!("{pad}{sign} {other}\n")),
    }
}

/// Leaves out what is empty.
fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !is_empty(value))
            .map(|(name, value)| (name.clone(), pruned(value)))
            .collect(),
        Value::Array(items) => items.iter().map(pruned).collect(),
        other => other.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn breaks(value: &Value, room: usize) -> bool {
    match value {
        Value::String(text) => text.trim_end().contains('\n'),
        Value::Object(_) | Value::Array(_) => has_lines(value) || short(value).chars().count() > room,
        _ => false,
    }
}

/// Tells whether any text of a value has several lines.
pub(super) fn has_lines(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim_end().contains('\n'),
        Value::Object(map) => map.values().any(has_lines),
        Value::Array(items) => items.iter().any(has_lines),
        _ => false,
    }
}

/// Shows a value on one line.
#[must_use]
pub fn short(value: &Value) -> String {
    match value {
        Value::String(text) => shown_text(text),
        Value::Array(items) => format!("[{}]", items.iter().map(short).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let member = |(name, value): (&String, &Value)| format!("{}: {}", line(name), short(value));
            let members = map.iter().filter(|(_, value)| !value.is_null()).map(member);
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Null => "(unset)".to_owned(),
        other => other.to_string(),
    }
}

fn shown_text(text: &str) -> String {
    match unknowns(text) {
        Some(names) => format!("(known after apply: {})", line(&names)),
        None if text == MASK => text.to_owned(),
        None => format!("{:?}", safe(text)),
    }
}

/// Names what a text is waiting for, if for anything.
fn unknowns(text: &str) -> Option<String> {
    let names: Vec<_> = parse(text)
        .ok()?
        .into_iter()
        .filter_map(|segment| match segment {
            Segment::Reference(Reference::Output { id, output }, _) => Some(format!("{id}.{output}")),
            _ => None,
        })
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Shows one difference: on a line, or line by line for texts and documents.
#[must_use]
pub fn change(change: &Change, facts: &Fields, indent: usize, paint: Paint) -> String {
    let pad = " ".repeat(indent);
    let forces = if change.forces_replacement { paint.red(" # forces replacement") } else { String::new() };
    let sign = match (&change.before, &change.after) {
        (Value::Null, _) => paint.green("+"),
        (_, Value::Null) => paint.red("-"),
        _ => paint.yellow("~"),
    };
    let path = if change.path.is_empty() { "(all)".to_owned() } else { line(&change.path) };
    let side = |value: &Value| if change.sensitive { MASK.into() } else { facts.masked(&change.path, value) };
    let (before, after) = (side(&change.before), side(&change.after));
    let flat = format!("{} -> {}", short(&before), short(&after));
    let room = LINE.saturating_sub(indent + path.len());
    if before == after {
        format!("{pad}{sign} {path}: {MASK} -> {MASK}{forces}\n")
    } else if flat.chars().count() <= room && !has_lines(&before) && !has_lines(&after) {
        format!("{pad}{sign} {path}: {flat}{forces}\n")
    } else {
        format!("{pad}{sign} {path}:{forces}\n{}", text_diff(&long(&before), &long(&after), indent + 4, paint))
    }
}

/// Returns a value as the lines to compare.
fn long(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => {
            unknowns(text).map_or_else(|| safe(text), |names| format!("(known after apply: {})", line(&names)))
        }
        other => safe(&format!("{:#}", told(other))),
    }
}

/// Puts the sources of what is unknown in its place.
fn told(value: &Value) -> Value {
    match value {
        Value::String(text) if unknowns(text).is_some() => shown_text(text).into(),
        Value::Array(items) => items.iter().map(told).collect(),
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), told(value))).collect(),
        other => other.clone(),
    }
}

/// Compares two texts line by line, with a little of what is the same around each difference.
pub(super) fn text_diff(before: &str, after: &str, indent: usize, paint: Paint) -> String {
    let pad = " ".repeat(indent);
    let diff = TextDiff::from_lines(before, after);
    let mut out = String::new();
    for (index, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if index > 0 {
            out.push_str(&format!("{pad}…\n"));
        }
        for line in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let text = line.value().trim_end_matches('\n');
            out.push_str(&match line.tag() {
                ChangeTag::Delete => format!("{pad}{}\n", paint.red(&format!("- {text}"))),
                ChangeTag::Insert => format!("{pad}{}\n", paint.green(&format!("+ {text}"))),
                ChangeTag::Equal => format!("{pad}  {text}\n"),
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changed(before: Value, after: Value) -> String {
        change(
            &Change { path: "p".into(), before, after, forces_replacement: false, sensitive: false },
            &Fields::default(),
            0,
            Paint::default(),
        )
    }

    #[test]
    fn texts_are_compared_by_line() {
        insta::assert_snapshot!(changed(json!("a\nb\nc\n"), json!("a\nB\nc\n")), @r"
        ~ p:
              a
            - b
            + B
              c
        ");
    }

    #[test]
    fn unknown_values_name_their_source() {
        assert_eq!(changed(json!("sg-1"), json!("${group.id}")), "~ p: \"sg-1\" -> (known after apply: group.id)\n");
    }

    #[test]
    fn new_fields_align_and_hide_what_is_empty() {
        let facts = Fields::of_schema(&json!({"properties": {"key": {"x-sensitive": true}}}));
        let value = json!({"name": "x", "shard_count": 1, "none": null, "text": "a\nb\n", "key": "k"});
        insta::assert_snapshot!(fields(&facts.masked("", &value), 2, "+"), @r#"
          + name        = "x"
          + shard_count = 1
          + text:
              + | a
              + | b
          + key         = (sensitive)
        "#);
    }

    #[test]
    fn long_lists_of_objects_break() {
        let column =
            |name: &str| json!({"name": name, "sql_type": "VARCHAR(16)", "mapping": format!("$.{name}"), "x": null});
        let columns: Vec<_> = ["cost", "gate", "origin"].into_iter().map(column).collect();
        let value = json!({"inputs": [{"name_prefix": "SOURCE", "input_schema": {"record_columns": columns}}], "n": 1});
        insta::assert_snapshot!(fields(&value, 2, "+"), @r#"
          + inputs:
              + -
                  + name_prefix = "SOURCE"
                  + input_schema:
                      + record_columns:
                          + - {name: "cost", sql_type: "VARCHAR(16)", mapping: "$.cost"}
                          + - {name: "gate", sql_type: "VARCHAR(16)", mapping: "$.gate"}
                          + - {name: "origin", sql_type: "VARCHAR(16)", mapping: "$.origin"}
          + n = 1
        "#);
    }

    #[test]
    fn secrets_below_a_change_are_masked() {
        let facts = Fields::of_schema(&json!({"properties": {"env": {"additionalProperties": {"x-sensitive": true}}}}));
        let change = |before: Value, after: Value| {
            let item = Change { path: "env".into(), before, after, forces_replacement: false, sensitive: false };
            super::change(&item, &facts, 0, Paint::default())
        };
        assert_eq!(change(Value::Null, json!({"A": "hunter2"})), "+ env: (unset) -> {A: (sensitive)}\n");
        assert_eq!(change(json!({"A": "x"}), json!({"A": "y"})), "~ env: (sensitive) -> (sensitive)\n");
    }

    #[test]
    fn long_sides_stand_below_each_other() {
        let (before, after) = ("b".repeat(80), "a".repeat(80));
        assert_eq!(changed(json!(before), json!(after)), format!("~ p:\n    - {before}\n    + {after}\n"));
    }
}
