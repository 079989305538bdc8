//! Words and lines that the drift formats share. Knows nothing of any format's own syntax.

use serde_json::Value;

use super::super::MASK;
pub(super) use super::super::line;
use crate::drift::{Class, Entry, Finding, Report};

/// Longest text of a value or message on one line; what AWS holds can be of any length.
const LONGEST: usize = 300;

/// Longest value in a message.
const SHORT: usize = 120;

/// Longest message of an annotation or a result.
const MESSAGE: usize = 1_000;

/// Cuts a text that is very long, and says by how much.
pub(super) fn clipped(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text.to_owned(),
    }
}

/// Returns `TYPE.ID`.
pub(super) fn address(entry: &Entry) -> String {
    clipped(&line(&format!("{}.{}", entry.kind, entry.id)), LONGEST)
}

/// Shows a value on one line, however long it is.
pub(super) fn whole(value: &Value) -> String {
    match value {
        Value::Null => "(unset)".to_owned(),
        Value::String(text) if text == MASK => text.clone(),
        Value::String(text) => Value::from(line(text)).to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(whole).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let members = map.iter().filter(|(_, value)| !value.is_null());
            let members: Vec<_> = members.map(|(name, value)| format!("{}: {}", line(name), whole(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// Says what differs; the finding must be about a field.
pub(super) fn difference(finding: &Finding) -> String {
    within(finding, LONGEST)
}

fn within(finding: &Finding, longest: usize) -> String {
    let path = clipped(&line(&finding.path), LONGEST);
    let value = |value: &Value| clipped(&whole(value), longest);
    match (finding.wanted.is_null(), finding.live.is_null()) {
        (true, false) => format!("{path}: {} in AWS, nothing in the file", value(&finding.live)),
        (false, true) => format!("{path}: nothing in AWS, {} in the file", value(&finding.wanted)),
        _ => format!("{path}: {} in AWS, {} in the file", value(&finding.live), value(&finding.wanted)),
    }
}

/// Says in one line what is the matter, for those who see nothing else of the report.
pub(super) fn sentence(entry: &Entry, finding: &Finding) -> String {
    let meaning = finding.class.meaning();
    let note = finding.note.iter().map(|note| format!(" ({})", line(note)));
    let what = if finding.path.is_empty() { String::new() } else { format!(": {}", within(finding, SHORT)) };
    let reason = entry.halt.as_ref().filter(|_| finding.class == Class::Stopped).and_then(|halt| halt.reason.clone());
    let reason = reason.filter(|reason| finding.note.as_ref() != Some(reason));
    let reason = reason.iter().map(|reason| format!(" (AWS: {})", line(reason)));
    let author = entry.author.iter().map(|author| {
        let line = |text: &String| line(text);
        format!("; last change: {} by {} at {}", line(&author.event), line(&author.user), line(&author.time))
    });
    let rest: String = note.chain(reason).chain(author).collect();
    clipped(&format!("{}: {meaning}{what}{rest}", address(entry)), MESSAGE)
}

/// Says what an ignore rule covers, and why.
pub(super) fn ignored(entry: &Entry) -> Vec<String> {
    let one = |item: &crate::drift::Ignored| {
        let path = if item.finding.path.is_empty() { String::new() } else { format!(" {}", line(&item.finding.path)) };
        let until = item.expires.iter().map(|date| format!("; until {date}")).collect::<String>();
        let class = word(item.finding.class);
        clipped(&format!("{}{path} ({class}): {}{until}", address(entry), line(&item.reason)), MESSAGE)
    };
    entry.ignored.iter().map(one).collect()
}

/// Says what is to be done about ignore rules.
pub(super) fn rules(report: &Report) -> Vec<String> {
    let expired = report.expired.iter().map(|rule| format!("ignore rule of {}", line(rule)));
    let unused = report.unused.iter().map(|rule| format!("ignore rule that covers nothing: {}", line(rule)));
    expired.chain(unused).map(|text| clipped(&text, MESSAGE)).collect()
}

/// Returns a class in words.
pub(super) fn word(class: Class) -> String {
    class.name().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_take_one_line_and_what_is_hidden_stays_hidden() {
        let value = json!({"a": "x\ny\u{1b}[31m", "b": [1, null], "c": null, "d": MASK, "e": "${a.b}"});
        assert_eq!(whole(&value), "{a: \"x y\u{fffd}[31m\", b: [1, (unset)], d: (sensitive), e: \"${a.b}\"}");
        assert_eq!(clipped("äöü", 2), "äö… (3 characters)");
        assert_eq!(clipped("äöü", 3), "äöü");
    }
}
