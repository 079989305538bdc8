//! Values and their differences as lines of text.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::{MASK, Paint, safe};
use crate::diff::{Change, is_unknown};
use crate::stack::reference::{Reference, Segment, parse};

/// Longest value that is shown on the line of its name.
const LINE: usize = 100;

/// Unchanged lines shown around a changed one.
const CONTEXT: usize = 2;

/// Shows the fields of something new, one a line, nested ones indented; what is empty is left out.
#[must_use]
pub fn fields(value: &Value, indent: usize, sign: &str, hidden: &dyn Fn(&str) -> bool) -> String {
    let mut out = String::new();
    list_fields(value, "", indent, sign, hidden, &mut out);
    out
}

fn list_fields(value: &Value, path: &str, indent: usize, sign: &str, hidden: &dyn Fn(&str) -> bool, out: &mut String) {
    let Some(map) = value.as_object() else { return };
    let shown: Vec<_> = map.iter().filter(|(_, value)| !is_empty(value)).collect();
    let width = shown.iter().filter(|(_, value)| !breaks(value)).map(|(name, _)| name.len()).max().unwrap_or(0);
    let pad = " ".repeat(indent);
    for (name, value) in shown {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if hidden(&path) {
            out.push_str(&format!("{pad}{sign} {name:width$} = {MASK}\n"));
        } else if breaks(value) {
            out.push_str(&format!("{pad}{sign} {name}:\n"));
            broken(value, &path, indent + 4, sign, hidden, out);
        } else {
            out.push_str(&format!("{pad}{sign} {name:width$} = {}\n", short(value)));
        }
    }
}

fn broken(value: &Value, path: &str, indent: usize, sign: &str, hidden: &dyn Fn(&str) -> bool, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(_) => list_fields(value, path, indent, sign, hidden, out),
        Value::Array(items) => {
            for item in items {
                out.push_str(&format!("{pad}{sign} - {}\n", short(item)));
            }
        }
        Value::String(text) => safe(text).lines().for_each(|line| out.push_str(&format!("{pad}{sign} | {line}\n"))),
        other => out.push_str(&format!("{pad}{sign} {other}\n")),
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

fn breaks(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim_end().contains('\n'),
        Value::Object(_) | Value::Array(_) => short(value).chars().count() > LINE,
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
            let member = |(name, value): (&String, &Value)| format!("{name}: {}", short(value));
            let members = map.iter().filter(|(_, value)| !value.is_null()).map(member);
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Null => "(unset)".to_owned(),
        other => other.to_string(),
    }
}

fn shown_text(text: &str) -> String {
    match unknowns(text) {
        Some(names) => format!("(known after apply: {names})"),
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
pub fn change(change: &Change, indent: usize, paint: Paint) -> String {
    let pad = " ".repeat(indent);
    let forces = if change.forces_replacement { paint.red(" # forces replacement") } else { String::new() };
    let sign = match (&change.before, &change.after) {
        (Value::Null, _) => paint.green("+"),
        (_, Value::Null) => paint.red("-"),
        _ => paint.yellow("~"),
    };
    let path = if change.path.is_empty() { "(all)" } else { &change.path };
    if change.sensitive {
        return format!("{pad}{sign} {path}: {MASK} -> {MASK}{forces}\n");
    }
    match (long(&change.before), long(&change.after)) {
        (Some(before), Some(after)) if !is_unknown(&change.after) => {
            format!("{pad}{sign} {path}:{forces}\n{}", text_diff(&before, &after, indent + 4, paint))
        }
        _ => format!("{pad}{sign} {path}: {} -> {}{forces}\n", short(&change.before), short(&change.after)),
    }
}

/// Returns the text to compare line by line, when either side is worth it.
fn long(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.contains('\n') => Some(safe(text)),
        Value::Object(_) | Value::Array(_) if breaks(value) => Some(format!("{value:#}")),
        _ => None,
    }
}

fn text_diff(before: &str, after: &str, indent: usize, paint: Paint) -> String {
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
        let value = json!({"name": "x", "shard_count": 1, "none": null, "text": "a\nb\n", "key": "k"});
        insta::assert_snapshot!(fields(&value, 2, "+", &|path| path == "key"), @r#"
          + name        = "x"
          + shard_count = 1
          + text:
              + | a
              + | b
          + key         = (sensitive)
        "#);
    }
}
