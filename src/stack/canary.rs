//! `verify:` of a stack file: the labelled record that `stackctl verify --canary` sends through.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::problem::{Problem, join};
use super::reference::Reference;
use super::resolve::fill;
use super::suggest;

/// Name in front of the dot of `${canary.id}` and `${canary.digits}`.
const PREFIX: &str = "canary";
/// What may stand behind it.
const PARTS: [&str; 2] = ["id", "digits"];

/// A record that goes all the way through a stack.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Id of the stream that it is put to.
    pub stream: String,
    /// The record. In its texts `${canary.id}` is a fresh label and `${canary.digits}` are six fresh digits.
    pub record: Map<String, Value>,
    /// The item that it becomes.
    #[serde(default)]
    pub table: Option<Item>,
    /// The record that it becomes on another stream.
    #[serde(default)]
    pub output: Option<Output>,
    /// The message that it becomes.
    #[serde(default)]
    pub message: Option<Message>,
}

/// An item of a table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Id of the table.
    pub id: String,
    /// The item's key.
    pub key: Map<String, Value>,
}

/// A record of a stream.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Id of the stream.
    pub id: String,
    /// Fields by which it is known.
    pub record: Map<String, Value>,
}

/// A message that a function publishes, known by what the function logs then.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Id of the function.
    pub id: String,
    /// Text in the log line.
    pub log: String,
}

/// Two fresh texts that no other record has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// `${canary.id}`
    pub id: String,
    /// `${canary.digits}`
    pub digits: String,
}

impl Label {
    /// Fills the label into fields.
    #[must_use]
    pub fn fill(&self, fields: &Map<String, Value>) -> Map<String, Value> {
        let known = |reference: &Reference| match reference {
            Reference::Output { id, output } if id == PREFIX && output == "id" => Some(Value::from(self.id.as_str())),
            Reference::Output { id, output } if id == PREFIX && output == "digits" => {
                Some(Value::from(self.digits.as_str()))
            }
            _ => None,
        };
        fields.iter().map(|(name, value)| (name.clone(), fill(value, &known))).collect()
    }
}

impl Canary {
    /// Lists the ids that it names, with their paths in the file.
    #[must_use]
    pub fn ids(&self) -> Vec<(&'static str, &str)> {
        let mut ids = vec![("verify.canary.stream", self.stream.as_str())];
        ids.extend(self.table.iter().map(|table| ("verify.canary.table.id", table.id.as_str())));
        ids.extend(self.output.iter().map(|output| ("verify.canary.output.id", output.id.as_str())));
        ids.extend(self.message.iter().map(|message| ("verify.canary.message.id", message.id.as_str())));
        ids
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(default)]
    canary: Option<Canary>,
}

/// Reads the section.
pub(super) fn read(value: &Value, problems: &mut Vec<Problem>) -> Option<Canary> {
    let section: Section = match serde_path_to_error::deserialize(value) {
        Ok(section) => section,
        Err(error) => {
            let path = error.path().to_string();
            let path = if path == "." { "verify".to_owned() } else { join("verify", &path) };
            problems.push(Problem::error(path, error.into_inner().to_string()));
            return None;
        }
    };
    let canary = section.canary?;
    check_references(&canary, problems);
    Some(canary)
}

fn check_references(canary: &Canary, problems: &mut Vec<Problem>) {
    let parts = [
        ("verify.canary.record", Some(&canary.record)),
        ("verify.canary.table.key", canary.table.as_ref().map(|table| &table.key)),
        ("verify.canary.output.record", canary.output.as_ref().map(|output| &output.record)),
    ];
    for (path, fields) in parts {
        for (name, value) in fields.into_iter().flatten() {
            for reference in super::resolve::references(value) {
                let Reference::Output { id, output } = &reference else { continue };
                if id != PREFIX || !PARTS.contains(&output.as_str()) {
                    let text = format!("`{reference}` means nothing here");
                    let near = suggest::help(output, PARTS).filter(|_| id == PREFIX);
                    let help = near.unwrap_or_else(|| "use `${canary.id}` or `${canary.digits}`".to_owned());
                    problems.push(Problem::error(join(path, name), text).help(help));
                }
            }
        }
    }
}
