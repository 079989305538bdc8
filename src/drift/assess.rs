//! From what is wanted and what was found to classes and findings.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Class, Entry, Finding, Report, Unread};
use crate::aws::marks;
use crate::diff::{Change, applied_views, is_unknown};
use crate::graph::Graph;
use crate::kind::{Found, Halt, Outputs, Place};
use crate::live::{self, Extra, Live, Orphan, Unreadable};
use crate::plan::differences;
use crate::stack::problem::Spot;
use crate::stack::{Resource, Stack};

/// Compares a stack with what is live of it; `command` is how the user calls this program to apply it.
#[must_use]
pub fn assess(stack: &Stack, graph: &Graph, live: &Live, place: &Place, command: &str) -> Report {
    let view = View { stack, live, place, command, outputs: outputs(stack, live, place) };
    let listed = graph.order().iter().filter_map(|id| stack.resources.get(id));
    let mut entries: Vec<Entry> = listed.map(|resource| view.entry(resource)).collect();
    entries.sort_by_key(|entry| stack.resources.get_index_of(&entry.id));
    // What could not be read as a resource of the file may yet be what the sweep found.
    let is_open = |orphan: &&Orphan| live.unreadable.iter().any(|unreadable| unreadable.what == orphan.id);
    entries.extend(live.orphans.iter().filter(|orphan| !is_open(orphan)).map(|orphan| view.orphan(orphan)));
    let is_resource = |unreadable: &&Unreadable| stack.resources.contains_key(&unreadable.what);
    let unread = live.unreadable.iter().filter(|unreadable| !is_resource(unreadable)).map(unread).collect();
    Report {
        stack: stack.name.clone(),
        file: stack.file.display().to_string(),
        region: place.region.clone(),
        account: place.account.clone(),
        entries,
        unread,
        expired: Vec::new(),
        unused: Vec::new(),
    }
}

/// Returns the outputs that references may count on: those of what is there, else those that can be told before.
fn outputs(stack: &Stack, live: &Live, place: &Place) -> BTreeMap<String, Outputs> {
    let mut outputs = live::predictions(stack, place);
    outputs.extend(live.found.iter().map(|(id, found)| (id.clone(), found.outputs.clone())));
    outputs
}

fn unread(unreadable: &Unreadable) -> Unread {
    let error = &unreadable.error;
    Unread { what: unreadable.what.clone(), error: error.to_string(), help: error.hint.clone() }
}

struct View<'a> {
    stack: &'a Stack,
    live: &'a Live,
    place: &'a Place,
    command: &'a str,
    outputs: BTreeMap<String, Outputs>,
}

impl View<'_> {
    fn entry(&self, resource: &Resource) -> Entry {
        let found = self.live.found.get(&resource.id);
        let unreadable = self.live.unreadable.iter().find(|unreadable| unreadable.what == resource.id);
        let mut findings = match (unreadable, found) {
            (Some(unreadable), _) => vec![whole(Class::Unreadable, Some(unreadable.error.to_string()))],
            (None, None) => vec![self.missing(resource)],
            (None, Some(found)) => self.compare(resource, found),
        };
        findings.sort_by(|one, other| (one.class, &one.path).cmp(&(other.class, &other.path)));
        let class = findings.first().map_or(Class::InSync, |finding| finding.class);
        Entry {
            id: resource.id.clone(),
            kind: resource.kind.type_name().to_owned(),
            name: resource.name.clone(),
            physical_id: found.map(|found| found.physical.clone()),
            line: Some(self.line(resource)),
            class,
            mend: self.mend(&resource.id, class, &findings),
            halt: found.and_then(|found| found.halt.clone()),
            findings,
            ignored: Vec::new(),
            author: None,
        }
    }

    fn line(&self, resource: &Resource) -> usize {
        let range = self.stack.source.range(&format!("resources.{}", resource.id), &Spot::Key);
        self.stack.source.position(range.start).0
    }

    /// Explains a resource that is not there, by a former object of the same id where there is one.
    fn missing(&self, resource: &Resource) -> Finding {
        let former = self.live.orphans.iter().find(|orphan| orphan.id == resource.id);
        let renamed = former.map(|orphan| format!("renamed: apply replaces {}", orphan.found.physical));
        let note = renamed.or_else(|| Some(gone(self.live.remains.get(&resource.id)?)));
        whole(if former.is_some() { Class::Pending } else { Class::Missing }, note)
    }

    fn compare(&self, resource: &Resource, found: &Found) -> Vec<Finding> {
        let mut findings = match marks::stack_of(&found.tags) {
            Some(owner) if owner == self.stack.name => Vec::new(),
            Some(owner) => return vec![whole(Class::LookAlike, Some(format!("it belongs to the stack {owner}")))],
            None => vec![whole(Class::LookAlike, Some("it has lost the stack's tags, or never had them".to_owned()))],
        };
        let want = live::wanted(self.stack, self.place, resource, &self.outputs);
        let changes = differences(self.stack, resource, &want, &found.spec);
        let changes: Vec<Change> = changes.into_iter().filter(|change| !is_unknown(&change.after)).collect();
        let side = self.side(resource, &want, found, &changes);
        let facts = resource.kind.fields().hiding(&resource.hidden);
        for change in &changes {
            let special = match () {
                () if facts.is_status(&change.path) => Some(Class::Stopped),
                () if facts.is_children(&change.path) && is_more(change) => Some(Class::Undeclared),
                () => None,
            };
            // A change of the file explains what differs, unless AWS has moved as well.
            let class = if side == Class::Pending { side } else { special.unwrap_or(side) };
            let shown = |value: &Value| match change.sensitive && !value.is_null() {
                true => crate::diff::MASK.into(),
                false => facts.masked(&change.path, value),
            };
            findings.push(Finding {
                class,
                path: change.path.clone(),
                wanted: shown(&change.after),
                live: shown(&change.before),
                note: None,
                line: None,
            });
        }
        if findings.first().is_none_or(|finding| finding.class != Class::LookAlike) {
            findings.extend(self.tags(resource, found, side));
        }
        findings.extend(halted(resource, found));
        findings.extend(self.live.extras.iter().filter(|extra| extra.parent == resource.id).map(undeclared));
        findings
    }

    /// Tells on whose side the differences of a resource are, by the hash of what was last applied.
    fn side(&self, resource: &Resource, want: &Value, found: &Found, changes: &[Change]) -> Class {
        let Some(applied) = found.tags.get(marks::SPEC) else { return Class::Drifted };
        if *applied == live::hash(self.stack, resource, want) {
            return Class::Drifted;
        }
        let fields = resource.kind.fields();
        let views = applied_views(fields, &resource.ignore_changes, want, &found.spec, changes);
        let untouched =
            views.iter().any(|view| marks::spec_hash(fields, &self.stack.secrets, view, &found.tags) == *applied);
        if untouched { Class::Pending } else { Class::Both }
    }

    fn tags(&self, resource: &Resource, found: &Found, side: Class) -> Vec<Finding> {
        let (mut set, remove) = marks::tag_changes(&live::tags(self.stack, resource), &found.tags);
        if live::is_unmarked(resource, found) {
            let want = live::wanted(self.stack, self.place, resource, &self.outputs);
            set.insert(marks::SPEC.to_owned(), live::hash(self.stack, resource, &want));
        }
        let keys: BTreeSet<String> = set.keys().cloned().chain(remove).collect();
        let finding = |key: &String| {
            let path = format!("tags.{key}");
            let hidden = resource.hidden.contains(&path);
            let shown = |value: Option<&String>| match value {
                Some(_) if hidden => crate::diff::MASK.into(),
                value => value.map_or(Value::Null, |value| value.as_str().into()),
            };
            // Marks of ownership are never a matter of the file.
            let class = if [marks::STACK, marks::RESOURCE].contains(&key.as_str()) { Class::Drifted } else { side };
            Finding {
                class,
                wanted: shown(set.get(key)),
                live: shown(found.tags.get(key)),
                path,
                note: None,
                line: None,
            }
        };
        keys.iter().map(finding).collect()
    }

    fn orphan(&self, orphan: &Orphan) -> Entry {
        let is_old = self.stack.marked_for(&orphan.id, orphan.kind).is_some();
        let retained = !is_old && marks::is_set(&orphan.found.tags, marks::RETAIN);
        let note = retained.then(|| "marked `retain`: apply leaves it and takes the stack's tags off".to_owned());
        Entry {
            id: orphan.id.clone(),
            kind: orphan.kind.type_name().to_owned(),
            name: orphan.found.physical.clone(),
            physical_id: Some(orphan.found.physical.clone()),
            line: None,
            class: Class::Orphan,
            findings: vec![whole(Class::Orphan, note)],
            ignored: Vec::new(),
            halt: orphan.found.halt.clone(),
            mend: self.mend(&orphan.id, Class::Orphan, &[]),
            author: None,
        }
    }

    fn mend(&self, id: &str, class: Class, findings: &[Finding]) -> Option<String> {
        let command = self.command;
        let mut rest = match class {
            Class::InSync | Class::Unreadable => return None,
            Class::Orphan => String::new(),
            Class::LookAlike => format!(" --target {id} --adopt {id}"),
            _ => format!(" --target {id}"),
        };
        if findings.iter().any(|finding| finding.class == Class::Stopped && finding.path.is_empty()) {
            rest.push_str(&format!(" --replace {id}"));
        }
        if self.live.extras.iter().any(|extra| extra.parent == id) {
            rest.push_str(&format!(" --prune {id}"));
        }
        Some(format!("{command}{rest}"))
    }
}

fn gone(halt: &Halt) -> String {
    let since = halt.since.iter().map(|since| format!(" since {since}"));
    let reason = halt.reason.iter().map(|reason| format!(": {reason}"));
    since.chain(reason).fold("gone".to_owned(), |text, part| text + &part)
}

fn whole(class: Class, note: Option<String>) -> Finding {
    Finding { class, path: String::new(), wanted: Value::Null, live: Value::Null, note, line: None }
}

/// Finds what does not run although nothing in the file could say so, such as a function that failed.
fn halted(resource: &Resource, found: &Found) -> Option<Finding> {
    let halt = found.halt.as_ref().filter(|_| !resource.kind.fields().has_status())?;
    Some(whole(Class::Stopped, halt.reason.clone()))
}

fn undeclared(extra: &Extra) -> Finding {
    Finding {
        class: Class::Undeclared,
        path: extra.kind.type_name().to_owned(),
        wanted: Value::Null,
        live: extra.found.physical.clone().into(),
        note: None,
        line: None,
    }
}

/// Tells whether AWS has everything that is wanted, and more.
fn is_more(change: &Change) -> bool {
    match (&change.after, &change.before) {
        (Value::Null, live) => !live.is_null(),
        (Value::Array(want), Value::Array(live)) => {
            live.len() > want.len() && want.iter().all(|item| live.contains(item))
        }
        (Value::Object(want), Value::Object(live)) => {
            live.len() > want.len() && want.iter().all(|(name, value)| live.get(name) == Some(value))
        }
        _ => false,
    }
}
