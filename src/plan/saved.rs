//! A plan that can be kept in a file: what it would do, and fingerprints of everything that it was made from.
//!
//! Pure. Carrying it out means to make the plan anew from today's file and AWS, and to compare: [`compare`] names what
//! has moved, and only a plan from which nothing has moved is the one that was saved. No value of a sensitive variable
//! is in it, nor a hash of one, which a short secret could be guessed from. Knows nothing of files.

mod moved;
mod prints;
mod show;
#[cfg(test)]
mod tests;
mod veil;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Action, Goal, Plan, Reason, Step};
use crate::aws::marks;
use crate::diff::Change;
use crate::kind::{self, AnyKind, Found, Tags};
use crate::stack::secrets::Secrets;
use crate::stack::{Given, Resource, Stack};
pub use moved::{Moved, Side, compare, elsewhere, of_another_tool};
pub use prints::Prints;
use prints::{prints, seen};
use veil::Veil;

/// Says that a JSON document is a saved plan.
pub const MARKER: &str = "stackctl_plan";

/// Version of the document. A new minor number adds fields; a new major number changes or removes some.
pub const FORMAT_VERSION: &str = "1.0";

/// A saved plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// [`MARKER`]; first, so that the beginning of a file tells what it is.
    #[serde(rename = "type")]
    pub marker: String,
    /// [`FORMAT_VERSION`] of the tool that wrote it.
    pub format_version: String,
    /// Version of the tool that made it.
    pub tool_version: String,
    /// Name of the stack.
    pub stack: String,
    /// The stack file, as it was named in the folder where the plan was made.
    pub file: String,
    /// Where it is for.
    pub place: Place,
    /// What the user asked for.
    pub goal: Goal,
    /// Variables that were given a value from outside the file.
    pub variables: BTreeMap<String, Given>,
    /// What the file says beside its resources.
    pub head: Prints,
    /// Steps and what they were made from, in the order of the plan.
    pub resources: Vec<Record>,
    /// Values of the stack's outputs, as the plan showed them.
    pub outputs: IndexMap<String, Value>,
}

/// Where a plan is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// What answers.
    pub endpoint: Endpoint,
    /// Partition.
    pub partition: String,
    /// Region.
    pub region: String,
    /// Account.
    pub account: String,
}

/// What answers the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// AWS.
    Aws,
    /// The local cloud.
    Local,
    /// Another endpoint that the user named.
    Other,
}

/// One resource: what the file says, what was found, and what would be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Logical id.
    pub id: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it stands in the file.
    pub in_file: bool,
    /// What the file says of it, references unfilled.
    pub wanted: Prints,
    /// What was found.
    pub found: Option<Seen>,
    /// What would be done, as it was shown.
    pub step: Shown,
}

/// Fingerprints of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Identifier in AWS.
    pub physical: String,
    /// Its fields.
    pub spec: Prints,
    /// Its tags.
    pub tags: Prints,
}

/// A step as it was shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Name.
    pub name: String,
    /// Identifier in AWS of the object that exists.
    pub physical: Option<String>,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Differences of the spec.
    pub changes: Vec<Change>,
    /// Tags that are set.
    pub set_tags: Tags,
    /// Tags that are removed.
    pub remove_tags: Vec<String>,
    /// What the tags that are set have been.
    pub tags_before: Tags,
    /// Wanted spec of what is made; null for anything else.
    pub want: Value,
}

/// Finds the kind of a `type:`.
pub type Find<'a> = &'a dyn Fn(&str) -> Option<&'static dyn AnyKind>;

/// What a plan was made from.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// What the user asked for.
    pub goal: &'a Goal,
    /// Where it is for.
    pub place: &'a kind::Place,
    /// What answers there.
    pub endpoint: Endpoint,
    /// Version of the tool.
    pub tool: &'a str,
}

impl Saved {
    /// Makes a plan into one that can be kept.
    #[must_use]
    pub fn of(plan: &Plan, from: Sources<'_>) -> Self {
        let secrets = Secrets::of(&from.stack.secrets);
        let outputs = plan.outputs.iter().map(|(name, value)| (name.clone(), secrets.masked_value(value)));
        Self {
            marker: MARKER.to_owned(),
            format_version: FORMAT_VERSION.to_owned(),
            tool_version: from.tool.to_owned(),
            stack: plan.stack.clone(),
            file: from.stack.file.to_string_lossy().into_owned(),
            place: Place::of(from.place, from.endpoint),
            goal: from.goal.clone(),
            variables: from.stack.given.iter().map(|(name, given)| (name.clone(), kept(given, &secrets))).collect(),
            head: head(from.stack, &secrets),
            resources: plan.steps.iter().map(|step| record(step, from.stack, &secrets)).collect(),
            outputs: outputs.collect(),
        }
    }

    /// Reads the text of a saved plan.
    ///
    /// # Errors
    /// Returns a sentence that finishes "it cannot be read: …".
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(rename = "type")]
            marker: String,
            format_version: String,
        }
        let head: Head = serde_json::from_str(text).map_err(|error| format!("it is cut off or damaged ({error})"))?;
        if head.marker != MARKER {
            return Err(format!("its `type` is `{}`, not `{MARKER}`", head.marker));
        }
        if major(&head.format_version) != major(FORMAT_VERSION) {
            let version = head.format_version;
            return Err(format!("it has format {version}, and this stackctl reads format {FORMAT_VERSION}"));
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize(&mut reader).map_err(|error| format!("it is damaged at {error}"))
    }

    /// Writes it as text.
    ///
    /// # Errors
    /// Returns why it cannot be written as JSON.
    pub fn text(&self) -> Result<String, String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n").map_err(|error| error.to_string())
    }

    /// Tells whether nothing would be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.iter().all(|record| record.step.action == Action::NoOp)
    }

    /// Lists the sensitive variables that were given, and whose values have to be given again.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().filter(|(_, given)| **given == Given::Secret).map(|(name, _)| name.as_str())
    }

    /// Lists the other variables with their values.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.variables.iter().filter_map(|(name, given)| match given {
            Given::Value(value) => Some((name.as_str(), value)),
            Given::Secret => None,
        })
    }
}

/// Tells whether the beginning of a file is that of a saved plan, whole or not.
#[must_use]
pub fn begins(text: &str) -> bool {
    let marker = format!("{{\"type\":\"{MARKER}\"");
    let mut letters = text.trim_start_matches('\u{feff}').chars().filter(|letter| !letter.is_ascii_whitespace());
    marker.chars().all(|letter| letters.next() == Some(letter))
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or_default()
}

impl Place {
    /// Says where a plan is for.
    #[must_use]
    pub fn of(place: &kind::Place, endpoint: Endpoint) -> Self {
        let kind::Place { partition, region, account } = place.clone();
        Self { endpoint, partition, region, account }
    }
}

/// A value that has a secret in it counts as one.
fn kept(given: &Given, secrets: &Secrets) -> Given {
    match given {
        Given::Value(value) if secrets.masked_value(value) == *value => Given::Value(value.clone()),
        _ => Given::Secret,
    }
}

fn head(stack: &Stack, secrets: &Secrets) -> Prints {
    let head = json!({"stack": stack.name, "accounts": stack.accounts, "outputs": stack.outputs});
    prints(&secrets.masked_value(&head), &|_| false)
}

fn record(step: &Step, stack: &Stack, secrets: &Secrets) -> Record {
    let resource = stack.resources.get(&step.id).filter(|_| step.in_file);
    let file = resource.map(as_written).unwrap_or_default();
    let veil = Veil::of(step, &file, secrets);
    Record {
        id: step.id.clone(),
        kind: step.kind.type_name().to_owned(),
        in_file: step.in_file,
        wanted: prints(&veil.shown("", &file), &|path| veil.hides(path)),
        found: step.found.as_ref().map(|found| look(step, resource, found, &veil)),
        step: shown(step, &veil),
    }
}

/// Returns all that the file says of a resource, its fields beside what all resources have in common.
fn as_written(resource: &Resource) -> Value {
    let timeouts: BTreeMap<_, _> =
        resource.timeouts.iter().map(|(verb, limit)| (verb, limit.as_secs_f64().to_string())).collect();
    let common = json!({
        "name": resource.name, "depends_on": resource.depends_on, "tags": resource.tags, "protect": resource.protect,
        "retain": resource.retain, "ignore_changes": resource.ignore_changes, "timeouts": timeouts,
    });
    let parts = [&resource.spec, &common].into_iter().filter_map(Value::as_object).flatten();
    Value::Object(parts.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>())
}

fn look(step: &Step, resource: Option<&Resource>, found: &Found, veil: &Veil<'_>) -> Seen {
    let ignored: &[String] = resource.map_or(&[], |resource| &resource.ignore_changes);
    let spec = seen(&found.spec, &step.want, step.kind.fields(), ignored, &|path| veil.may_hold(path));
    let wanted = |key: &String| resource.is_some_and(|resource| resource.tags.contains_key(key));
    let is_open = |key: &String| marks::MARKS.contains(&key.as_str()) || wanted(key);
    // Marks of children are theirs, not this object's, and AWS's own tags are nobody's.
    let counts = |key: &&String| {
        marks::MARKS.contains(&key.as_str()) || !(key.starts_with(marks::PREFIX) || key.starts_with("aws:"))
    };
    let tags: Map<String, Value> = found.tags.iter().filter(|(key, _)| counts(key)).map(tag).collect();
    let closed = |key: &str| !is_open(&key.to_owned()) || veil.may_hold(&format!("tags.{key}"));
    Seen { physical: veil.address(&found.physical), spec, tags: prints::flat(&tags, &closed) }
}

fn tag((key, value): (&String, &String)) -> (String, Value) {
    (key.clone(), Value::from(value.as_str()))
}

fn shown(step: &Step, veil: &Veil<'_>) -> Shown {
    let tag = |(key, value): (&String, &String)| (veil.text(key), veil.tag(key, value));
    let set_tags: Tags = step.set_tags.iter().map(tag).collect();
    let before = |key: &String| step.found.as_ref().and_then(|found| found.tags.get(key));
    let tags_before = step.set_tags.keys().filter_map(|key| Some((veil.text(key), veil.old_tag(key, before(key)?))));
    Shown {
        name: veil.address(&step.name),
        physical: step.physical.as_ref().map(|physical| veil.address(physical)),
        action: step.action,
        reasons: step.reasons.iter().map(|reason| veil.reason(reason)).collect(),
        changes: step.changes.iter().map(|change| veil.change(change)).collect(),
        tags_before: tags_before.collect(),
        set_tags,
        remove_tags: step.remove_tags.iter().map(|key| veil.text(key)).collect(),
        want: if step.action == Action::Create { veil.want(&step.want) } else { Value::Null },
    }
}
