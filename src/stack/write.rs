//! A stack file as text, for what makes one instead of reading one.
//!
//! Knows the order of a file's sections and no kind; strings are written as they are, so `${…}` in them are references.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

/// The sections of a stack file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sheet {
    /// Lines at the top.
    pub comment: Vec<String>,
    /// Name of the stack.
    pub stack: String,
    /// Region.
    pub region: Option<String>,
    /// Accounts that it is for.
    pub accounts: Vec<String>,
    /// Declarations of variables.
    pub variables: IndexMap<String, Value>,
    /// Tags of every resource.
    pub tags: BTreeMap<String, String>,
    /// Resources by logical id.
    pub resources: IndexMap<String, Entry>,
    /// Outputs.
    pub outputs: IndexMap<String, String>,
}

/// One resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    /// Lines before it.
    pub comment: Vec<String>,
    /// Its fields, `type` included.
    pub fields: Map<String, Value>,
}

impl Sheet {
    /// Returns the file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = comment(&self.comment, "");
        out.push('\n');
        out.push_str(&yaml(&json!({"stack": self.stack}), ""));
        if let Some(region) = &self.region {
            out.push_str(&yaml(&json!({"region": region}), ""));
        }
        if !self.accounts.is_empty() {
            out.push_str(&yaml(&json!({"accounts": self.accounts}), ""));
        }
        let sections = [("variables", json!(self.variables)), ("tags", json!(self.tags))];
        for (name, value) in sections.iter().filter(|(_, value)| value.as_object().is_some_and(|map| !map.is_empty())) {
            out.push_str(&format!("\n{name}:\n{}", yaml(value, "  ")));
        }
        out.push_str(if self.resources.is_empty() { "\nresources: {}\n" } else { "\nresources:\n" });
        let entries: Vec<String> = self.resources.iter().map(|(id, entry)| entry.text(id)).collect();
        out.push_str(&entries.join("\n"));
        if !self.outputs.is_empty() {
            out.push_str(&format!("\noutputs:\n{}", yaml(&json!(self.outputs), "  ")));
        }
        out
    }
}

impl Entry {
    fn text(&self, id: &str) -> String {
        let mut named = Map::new();
        named.insert(id.to_owned(), Value::Object(self.fields.clone()));
        comment(&self.comment, "  ") + &yaml(&Value::Object(named), "  ")
    }
}

/// Writes lines as comments; none of them can end one.
fn comment(lines: &[String], pad: &str) -> String {
    let plain =
        |line: &String| line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect::<String>();
    lines.iter().map(|line| format!("{pad}# {}", plain(line)).trim_end().to_owned() + "\n").collect()
}

/// Writes a value as YAML, each line behind some spaces.
fn yaml(value: &Value, pad: &str) -> String {
    // Strings, numbers and mappings with text as keys: nothing that YAML could not say.
    let text = serde_yaml::to_string(value).unwrap_or_default();
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{pad}{line}\n") };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::text::parse;
    use proptest::prelude::*;

    fn sheet(fields: &Value) -> Sheet {
        let entry = Entry { comment: vec!["why\nnot".to_owned()], fields: fields.as_object().unwrap().clone() };
        Sheet {
            comment: vec!["Made by a test".to_owned()],
            stack: "s".to_owned(),
            region: Some("us-east-1".to_owned()),
            accounts: vec!["012345678901".to_owned()],
            variables: IndexMap::from([("v".to_owned(), json!({"type": "string", "sensitive": true}))]),
            tags: BTreeMap::from([("on".to_owned(), "1.10".to_owned())]),
            resources: IndexMap::from([("a".to_owned(), entry)]),
            outputs: IndexMap::from([("o".to_owned(), "${a.arn}".to_owned())]),
        }
    }

    #[test]
    fn a_file_has_its_sections_in_order() {
        let fields = json!({"type": "t", "text": "one\n\n  two\n", "list": [{"a": 1}], "no": "no", "empty": []});
        insta::assert_snapshot!(sheet(&fields).text());
    }

    #[test]
    fn a_file_without_anything_is_one() {
        assert_eq!(parse(&Sheet::default().text(), "f").unwrap().1["resources"], json!({}));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(text in "\\PC{0,40}", lines in "[ a:#\\-\n]{0,20}", key in "[a-z~?!%@ ]{1,6}") {
            let fields = json!({"type": "t", "text": text, "lines": lines, key: {"n": [1, true, null, "x"]}});
            let (_, root) = parse(&sheet(&fields).text(), "f").unwrap();
            prop_assert_eq!(&root["resources"]["a"], &fields);
            prop_assert_eq!(&root["accounts"], &json!(["012345678901"]));
            prop_assert_eq!(&root["tags"], &json!({"on": "1.10"}));
        }
    }
}
