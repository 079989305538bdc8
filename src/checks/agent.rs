//! Whether the Kinesis agent on a machine sends to a stream of the stack.
//!
//! The agent starts with any name and then drops what it reads, with a line in a log on the machine; names of streams
//! are case-sensitive.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use crate::stack::reference::{Reference, Segment, parse};
use crate::stack::{Problem, Resource, Stack, suggest};

use super::{of_kind, path_of};

/// Checks every machine.
pub(super) fn check(stack: &Stack) -> Vec<Problem> {
    let streams: Vec<&Resource> = of_kind(stack, "kinesis_stream").collect();
    let Ok(flow) = Regex::new(r#""kinesisStream"\s*:\s*"([^"]*)""#) else { return Vec::new() };
    if streams.is_empty() {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for machine in of_kind(stack, "ec2_instance") {
        let mut texts = Vec::new();
        collect(&machine.spec, "", &mut texts);
        let mut told = BTreeSet::new();
        for (path, text) in texts {
            for found in flow.captures_iter(text) {
                let (whole, [name]) = found.extract();
                if told.insert(name) {
                    problems.extend(target(machine, &path, name, &streams).map(|problem| problem.at_text(whole)));
                }
            }
        }
    }
    problems
}

fn collect<'a>(value: &'a Value, path: &str, texts: &mut Vec<(String, &'a str)>) {
    let join = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match value {
        Value::String(text) => texts.push((path.to_owned(), text)),
        Value::Object(map) => map.iter().for_each(|(name, value)| collect(value, &join(name), texts)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| collect(item, &join(&index.to_string()), texts));
        }
        _ => {}
    }
}

fn target(machine: &Resource, path: &str, name: &str, streams: &[&Resource]) -> Option<Problem> {
    // An unrendered template: its values are filled in elsewhere.
    if name.contains("{{") {
        return None;
    }
    let segments = parse(name).ok()?;
    let (what, help) = match &segments[..] {
        [Segment::Reference(Reference::Output { id, output }, _)] => {
            let stream = streams.iter().find(|stream| stream.id == *id);
            if stream.is_some() && output == "name" {
                return None;
            }
            (format!("`{name}`, which is not the name of a stream"), named(streams))
        }
        [Segment::Text(text)] if streams.iter().any(|stream| stream.name == *text) => return None,
        [Segment::Text(text)] => (format!("`{text}`, which is no stream of this stack"), near(text, streams)),
        [] => ("nothing".to_owned(), named(streams)),
        _ => return None,
    };
    let message = format!("the Kinesis agent of `{}` sends to {what}", machine.id);
    Some(Problem::error(place(machine, path), message).label("agent configuration").help(help))
}

fn near(name: &str, streams: &[&Resource]) -> String {
    let found = suggest::nearest(name, streams.iter().map(|stream| stream.name.as_str()));
    match found {
        Some(found) if found.to_lowercase() == name.to_lowercase() => {
            format!("did you mean `{found}`? Names of streams are case-sensitive")
        }
        Some(found) => format!("did you mean `{found}`?"),
        None => named(streams),
    }
}

fn named(streams: &[&Resource]) -> String {
    let names: Vec<String> = streams.iter().map(|stream| format!("`{}`", stream.name)).collect();
    format!("the streams of this stack are {}", names.join(", "))
}

/// Returns the field that the user wrote; texts rendered from it have names of their own.
fn place(machine: &Resource, path: &str) -> String {
    path_of(machine, if path.starts_with("user_data") && !path.starts_with("user_data.") { "user_data" } else { path })
}

#[cfg(test)]
mod tests {
    use crate::stack::fake;

    fn file(stream: &str) -> String {
        format!(
            "stack: s\nresources:\n  airline_tickets: {{type: kinesis_stream}}\n  machine:\n    type: ec2_instance\n    \
             user_data:\n      text: |\n        cat >agent.json <<END\n        {{\"flows\": [{{\"kinesisStream\": \
             \"{stream}\"}}]}}\n        END\n"
        )
    }

    #[test]
    fn the_agent_sends_to_a_stream_of_the_stack() {
        for stream in ["airline_tickets", "${airline_tickets.name}", "{{ stream }}"] {
            assert!(fake::load(&file(stream)).is_ok(), "{stream}: {}", fake::problems(&file(stream)));
        }
    }

    #[test]
    fn another_name_is_refused() {
        insta::assert_snapshot!(fake::problems(&file("Airline_Tickets")));
        assert!(fake::messages(&file("tickets")).contains("the streams of this stack are `airline_tickets`"));
        assert!(fake::messages(&file("${airline_tickets.arn}")).contains("not the name of a stream"));
        assert!(fake::messages(&file("")).contains("sends to nothing"));
    }

    #[test]
    fn a_producer_for_streams_of_others_is_left_alone() {
        let text = "stack: s\nresources:\n  m: {type: ec2_instance, user_data: '{\"kinesisStream\": \"x\"}'}\n";
        assert!(fake::load(text).is_ok());
    }
}
