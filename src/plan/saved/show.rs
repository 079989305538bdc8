//! From a saved plan back to a plan that can be shown. It can not be carried out: what it lacks was never saved.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Find, Record, Saved, Shown};
use crate::diff::Change;
use crate::kind::{Found, Tags};
use crate::plan::{Plan, Reason, Step};

impl Saved {
    /// Returns the plan to be shown. Its texts may come from anywhere, so that none of them breaks a line.
    ///
    /// # Errors
    /// Returns a sentence about what this tool cannot know.
    pub fn plan(&self, find: Find<'_>) -> Result<Plan, String> {
        let outputs = self.outputs.iter().map(|(name, value)| (line(name), tidy(value)));
        Ok(Plan {
            stack: line(&self.stack),
            region: line(&self.place.region),
            account: line(&self.place.account),
            steps: self.resources.iter().map(|record| step(record, find)).collect::<Result<_, _>>()?,
            blocked: Vec::new(),
            outputs: outputs.collect(),
        })
    }
}

fn step(record: &Record, find: Find<'_>) -> Result<Step, String> {
    let kind = find(&record.kind).ok_or_else(|| format!("`{}` is no type of resource", line(&record.kind)))?;
    let Shown { name, physical, action, reasons, changes, set_tags, remove_tags, tags_before, want } = &record.step;
    Ok(Step {
        id: line(&record.id),
        kind,
        name: line(name),
        physical: physical.as_deref().map(line),
        action: *action,
        reasons: reasons.iter().map(reason).collect(),
        changes: changes.iter().map(change).collect(),
        set_tags: tags(set_tags),
        remove_tags: remove_tags.iter().map(|key| line(key)).collect(),
        want: tidy(want),
        hidden: BTreeSet::new(),
        found: record.found.is_some().then(|| Found { tags: tags(tags_before), ..Found::default() }),
        in_file: record.in_file,
    })
}

/// Replaces everything that could move the cursor.
fn line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// Makes the names in a value fit a line; its texts are shown with care anyway.
fn tidy(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(name, value)| (line(name), tidy(value))).collect(),
        Value::Array(items) => items.iter().map(tidy).collect(),
        other => other.clone(),
    }
}

fn tags(tags: &Tags) -> Tags {
    tags.iter().map(|(key, value)| (line(key), value.clone())).collect()
}

fn change(change: &Change) -> Change {
    Change { path: line(&change.path), before: tidy(&change.before), after: tidy(&change.after), ..change.clone() }
}

fn reason(reason: &Reason) -> Reason {
    match reason {
        Reason::Renamed { from } => Reason::Renamed { from: line(from) },
        Reason::Undone { by } => Reason::Undone { by: line(by) },
        Reason::CannotUpdate { paths } => Reason::CannotUpdate { paths: paths.iter().map(|path| line(path)).collect() },
        other => other.clone(),
    }
}
