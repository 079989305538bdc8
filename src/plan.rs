//! What has to happen, as data: one step a resource, with its action and, apart from it, the reason.
//!
//! Pure: the stack, its graph and what is live give a plan. The action decides; the reason only explains.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::aws::marks;
use crate::diff::{Change, diff};
use crate::graph::Graph;
use crate::kind::{AnyKind, Found, Outputs, Place, Tagging, Tags};
use crate::live::{self, Live, Orphan};
use crate::stack::{Resource, Stack};

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct Goal {
    /// Delete everything instead.
    pub destroy: bool,
    /// Only these and what they need; empty for all.
    pub targets: BTreeSet<String>,
    /// Not these, nor what needs them.
    pub excludes: BTreeSet<String>,
    /// Replace these although nothing forces it.
    pub replace: BTreeSet<String>,
    /// Take over what exists under these resources' names.
    pub adopt: Adopt,
}

/// Which foreign objects become the stack's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Adopt {
    /// None.
    #[default]
    Nothing,
    /// Those of some resources.
    Some(BTreeSet<String>),
    /// All that are in the way.
    All,
}

impl Adopt {
    fn takes(&self, id: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Some(ids) => ids.contains(id),
            Self::All => true,
        }
    }
}

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing.
    NoOp,
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is deleted and made anew.
    DeleteCreate,
    /// A new one is made, then the old one is deleted.
    CreateDelete,
    /// It is deleted.
    Delete,
    /// It stays in AWS and is no longer the stack's.
    Leave,
}

impl Action {
    /// Returns the sign that stands for it, as Terraform's users know it.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::NoOp => " ",
            Self::Create => "+",
            Self::Update => "~",
            Self::DeleteCreate => "-/+",
            Self::CreateDelete => "+/-",
            Self::Delete => "-",
            Self::Leave => "#",
        }
    }

    /// Tells whether the object is made or made anew.
    #[must_use]
    pub fn creates(self) -> bool {
        matches!(self, Self::Create | Self::DeleteCreate | Self::CreateDelete)
    }

    /// Tells whether an object is deleted.
    #[must_use]
    pub fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::DeleteCreate | Self::CreateDelete)
    }
}

/// Why a step is what it is; explains and never decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Reason {
    /// It does not exist.
    Missing,
    /// The file has changed since it was last applied.
    Pending,
    /// AWS differs from what was last applied.
    Drift,
    /// Only its tags differ.
    Tags,
    /// A difference that cannot be changed in place.
    CannotUpdate {
        /// Paths of the differences.
        paths: Vec<String>,
    },
    /// Its name in the file is another than before.
    Renamed {
        /// Identifier of the object under the old name.
        from: String,
    },
    /// `--replace`.
    Requested,
    /// `--adopt`: it exists and becomes the stack's.
    Adopted,
    /// The file no longer lists it.
    Removed,
    /// The stack is being destroyed.
    Destroyed,
    /// `retain: true`.
    Retained,
}

/// One resource's part of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Logical id.
    pub id: String,
    /// Its kind.
    #[serde(rename = "type", serialize_with = "type_name")]
    pub kind: &'static dyn AnyKind,
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
    /// Tags that are set, without the mark of the spec's hash.
    pub set_tags: Tags,
    /// Tags that are removed.
    pub remove_tags: Vec<String>,
    /// Wanted spec as far as it is known; null when there is none.
    pub want: Value,
    /// What exists.
    #[serde(skip)]
    pub found: Option<Found>,
    /// Whether it stands in the file.
    #[serde(skip)]
    pub in_file: bool,
}

fn type_name<S: Serializer>(kind: &&'static dyn AnyKind, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(kind.type_name())
}

/// Something that a plan cannot do, and what the user can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocked {
    /// Logical id or type.
    pub id: String,
    /// What is in the way.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// What has to happen to a stack.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Name of the stack.
    pub stack: String,
    /// Region.
    pub region: String,
    /// Account.
    pub account: String,
    /// One step a resource, in the order of the graph; then what the file no longer lists.
    pub steps: Vec<Step>,
    /// What is in the way; a plan with any of these is not applied.
    pub blocked: Vec<Blocked>,
    /// Values of the stack's outputs as far as they are known.
    pub outputs: IndexMap<String, Value>,
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Made, or made anew.
    pub add: usize,
    /// Changed in place.
    pub change: usize,
    /// Deleted, or made anew.
    pub destroy: usize,
    /// Left in AWS.
    pub leave: usize,
}

impl Plan {
    /// Returns the steps that do something.
    pub fn active(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.action != Action::NoOp)
    }

    /// Tells whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.active().next().is_none()
    }

    /// Counts the steps.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let count = |test: &dyn Fn(Action) -> bool| self.steps.iter().filter(|step| test(step.action)).count();
        Counts {
            add: count(&Action::creates),
            change: count(&|action| action == Action::Update),
            destroy: count(&Action::deletes),
            leave: count(&|action| action == Action::Leave),
        }
    }
}

/// Makes the plan.
#[must_use]
pub fn make(stack: &Stack, graph: &Graph, live: &Live, place: &Place, goal: &Goal) -> Plan {
    let mut planner = Planner {
        stack,
        graph,
        live,
        place,
        goal,
        selected: selection(graph, goal),
        outputs: live::predictions(stack, place),
        steps: Vec::new(),
        blocked: unreadable(live),
    };
    for resource in graph.order().iter().filter_map(|id| stack.resources.get(id)) {
        planner.resource(resource);
    }
    planner.orphans();
    let outputs = planner.stack_outputs();
    Plan {
        stack: stack.name.clone(),
        region: place.region.clone(),
        account: place.account.clone(),
        steps: planner.steps,
        blocked: planner.blocked,
        outputs,
    }
}

fn selection(graph: &Graph, goal: &Goal) -> BTreeSet<String> {
    let all: BTreeSet<String> = graph.order().iter().cloned().collect();
    let chosen = match (goal.targets.is_empty(), goal.destroy) {
        (true, _) => all,
        (false, true) => graph.with_dependents(&goal.targets),
        (false, false) => graph.with_needs(&goal.targets),
    };
    let left_out = if goal.destroy { graph.with_needs(&goal.excludes) } else { graph.with_dependents(&goal.excludes) };
    chosen.difference(&left_out).cloned().collect()
}

fn unreadable(live: &Live) -> Vec<Blocked> {
    let blocked = |unreadable: &live::Unreadable| Blocked {
        id: unreadable.what.clone(),
        message: format!("could not be read: {}", unreadable.error),
        help: unreadable
            .error
            .hint
            .clone()
            .unwrap_or_else(|| "a plan needs to see everything it may change".to_owned()),
    };
    live.unreadable.iter().map(blocked).collect()
}

struct Planner<'a> {
    stack: &'a Stack,
    graph: &'a Graph,
    live: &'a Live,
    place: &'a Place,
    goal: &'a Goal,
    selected: BTreeSet<String>,
    outputs: BTreeMap<String, Outputs>,
    steps: Vec<Step>,
    blocked: Vec<Blocked>,
}

impl Planner<'_> {
    fn resource(&mut self, resource: &Resource) {
        let found = self.live.found.get(&resource.id);
        let want = live::wanted(self.stack, self.place, resource, &self.outputs);
        let mut step = blank(resource, want, found.cloned());
        if self.selected.contains(&resource.id) && !self.is_unreadable(&resource.id) {
            if self.goal.destroy { self.destroy(resource, &mut step) } else { self.converge(resource, &mut step) }
        }
        self.guard(resource.protect, &step);
        self.note_outputs(resource, &step);
        self.steps.push(step);
    }

    fn is_unreadable(&self, id: &str) -> bool {
        self.live.unreadable.iter().any(|unreadable| unreadable.what == id)
    }

    fn destroy(&self, resource: &Resource, step: &mut Step) {
        let ours = step.found.as_ref().is_some_and(|found| marks::stack_of(&found.tags) == Some(&self.stack.name));
        if !ours {
            return;
        }
        (step.action, step.reasons) = match resource.retain {
            true => (Action::Leave, vec![Reason::Retained]),
            false => (Action::Delete, vec![Reason::Destroyed]),
        };
    }

    fn converge(&mut self, resource: &Resource, step: &mut Step) {
        match step.found.clone() {
            None => self.create(resource, step),
            Some(found) if self.may_touch(resource, &found) => self.compare(resource, step, &found),
            Some(_) => {}
        }
    }

    fn create(&self, resource: &Resource, step: &mut Step) {
        step.set_tags = self.tags(resource);
        let Some(old) = self.predecessor(resource) else {
            (step.action, step.reasons) = (Action::Create, vec![Reason::Missing]);
            return;
        };
        step.changes = self.changes(resource, &step.want, &old.found.spec);
        step.action = if self.needs_gap(&resource.id) { Action::DeleteCreate } else { Action::CreateDelete };
        step.reasons = vec![Reason::Renamed { from: old.found.physical.clone() }];
        step.physical = Some(old.found.physical.clone());
        step.found = Some(old.found.clone());
    }

    /// Returns the object that a resource was under its former name.
    fn predecessor(&self, resource: &Resource) -> Option<&Orphan> {
        let same = |orphan: &&Orphan| orphan.id == resource.id && orphan.kind.type_name() == resource.kind.type_name();
        self.live.orphans.iter().find(same)
    }

    /// Checks that an object is the stack's, or is to become so; says what is in the way otherwise.
    fn may_touch(&mut self, resource: &Resource, found: &Found) -> bool {
        let (title, name) = (resource.kind.title(), &found.physical);
        let (message, help) = match marks::stack_of(&found.tags) {
            Some(owner) if owner == self.stack.name => return true,
            None if self.goal.adopt.takes(&resource.id) => return true,
            Some(owner) => (
                format!("the {title} `{name}` belongs to the stack `{owner}`"),
                "give the resource another `name:`, or remove it from the other stack first".to_owned(),
            ),
            None => (
                format!("a {title} `{name}` exists already and does not belong to this stack"),
                format!(
                    "give the resource another `name:`, or take the existing one over with `--adopt {}`",
                    resource.id
                ),
            ),
        };
        self.blocked.push(Blocked { id: resource.id.clone(), message, help });
        false
    }

    /// Lists the differences; where a secret is wanted, what is there now is taken for one as well.
    fn changes(&self, resource: &Resource, want: &Value, found: &Value) -> Vec<Change> {
        let mut changes = diff(resource.kind.fields(), &resource.ignore_changes, want, found);
        for change in &mut changes {
            change.sensitive |= holds_any(&change.after, &self.stack.secrets);
        }
        changes
    }

    fn compare(&self, resource: &Resource, step: &mut Step, found: &Found) {
        let kind = resource.kind;
        step.changes = self.changes(resource, &step.want, &found.spec);
        let forced = kind.replaces(&step.want, &found.spec);
        for change in &mut step.changes {
            change.forces_replacement |= forced.iter().any(|path| crate::diff::path_matches(path, &change.path));
        }
        let paths: Vec<_> =
            step.changes.iter().filter(|change| change.forces_replacement).map(|change| change.path.clone()).collect();
        let requested = self.goal.replace.contains(&resource.id);
        let (set, remove) = marks::tag_changes(&self.tags(resource), &found.tags);
        let tags_differ = !set.is_empty() || !remove.is_empty();
        if !paths.is_empty() || requested {
            let collides = kind.collides(&step.want, &found.spec) || self.needs_gap(&resource.id);
            step.action = if collides { Action::DeleteCreate } else { Action::CreateDelete };
            step.set_tags = self.tags(resource);
            step.reasons =
                if paths.is_empty() { vec![Reason::Requested] } else { vec![Reason::CannotUpdate { paths }] };
        } else if !step.changes.is_empty() || tags_differ {
            step.action = Action::Update;
            (step.set_tags, step.remove_tags) = (set, remove);
            step.reasons = vec![if step.changes.is_empty() { Reason::Tags } else { self.cause(resource, step, found) }];
        }
        if step.action != Action::NoOp && marks::stack_of(&found.tags).is_none() {
            step.reasons.insert(0, Reason::Adopted);
        }
    }

    /// Tells whether something it needs is deleted before it is made anew, so that the old object must go before that.
    fn needs_gap(&self, id: &str) -> bool {
        let needs = self.graph.with_needs(&BTreeSet::from([id.to_owned()]));
        self.steps.iter().any(|step| step.action == Action::DeleteCreate && needs.contains(&step.id))
    }

    /// Tells a change of the file from a change of AWS, by the hash of what was last applied.
    fn cause(&self, resource: &Resource, step: &Step, found: &Found) -> Reason {
        let hash = marks::spec_hash(resource.kind.fields(), &self.stack.secrets, &step.want);
        if found.tags.get(marks::SPEC) == Some(&hash) { Reason::Drift } else { Reason::Pending }
    }

    /// Returns the wanted tags, without the hash of the spec, which alone is no reason for a change.
    fn tags(&self, resource: &Resource) -> Tags {
        let mut tags = marks::marks(&self.stack.key(resource), "", resource.protect, resource.retain);
        tags.remove(marks::SPEC);
        match resource.kind.tagging() {
            Tagging::Full => tags.extend(resource.tags.clone()),
            Tagging::OwnershipOnly => tags.retain(|key, _| marks::MARKS.contains(&key.as_str())),
        }
        tags
    }

    fn guard(&mut self, protect: bool, step: &Step) {
        let marked = step.found.as_ref().is_some_and(|found| marks::is_set(&found.tags, marks::PROTECT));
        if !step.action.deletes() || !(protect || (marked && !step.in_file)) {
            return;
        }
        let help = match step.in_file {
            true => "set `protect: false` on the resource, apply, and plan again",
            false => "put it back into the file with `protect: false`, apply, and remove it again",
        };
        let old = step.physical.as_ref().unwrap_or(&step.name);
        self.blocked.push(Blocked {
            id: step.id.clone(),
            message: format!("it is protected, and the plan would delete the {} `{old}`", step.kind.title()),
            help: help.to_owned(),
        });
    }

    /// Remembers which outputs later steps may count on.
    fn note_outputs(&mut self, resource: &Resource, step: &Step) {
        let Some(found) = &step.found else { return };
        let outputs = match step.action {
            Action::NoOp | Action::Leave | Action::Delete => found.outputs.clone(),
            Action::Update => {
                let renewed = resource.kind.renews(&step.changes);
                let kept = found.outputs.iter().filter(|(name, _)| !renewed.contains(&name.as_str()));
                kept.map(|(name, value)| (name.clone(), value.clone())).collect()
            }
            _ => return,
        };
        self.outputs.insert(resource.id.clone(), outputs);
    }

    fn orphans(&mut self) {
        if !self.goal.targets.is_empty() {
            return;
        }
        let deleting = self.steps.iter().filter(|step| step.action.deletes());
        let replaced: BTreeSet<_> =
            deleting.filter_map(|step| Some((step.kind.type_name(), step.physical.clone()?))).collect();
        for orphan in &self.live.orphans {
            let left_out = self.stack.resources.contains_key(&orphan.id) && !self.selected.contains(&orphan.id);
            if left_out || replaced.contains(&(orphan.kind.type_name(), orphan.found.physical.clone())) {
                continue;
            }
            let step = orphan_step(orphan, self.goal.destroy);
            self.guard(false, &step);
            self.steps.push(step);
        }
    }

    fn stack_outputs(&self) -> IndexMap<String, Value> {
        if self.goal.destroy {
            return IndexMap::new();
        }
        resolve_outputs(self.stack, self.place, &self.outputs)
    }
}

/// Fills in the stack's outputs as far as the resources' outputs are known.
#[must_use]
pub fn resolve_outputs(stack: &Stack, place: &Place, known: &BTreeMap<String, Outputs>) -> IndexMap<String, Value> {
    use crate::stack::reference::Reference;
    let value = |template: &Value| {
        crate::stack::resolve::fill(template, &|reference| match reference {
            Reference::Place(name) => live::place_value(place, &stack.name, name),
            Reference::Output { id, output } => known.get(id).and_then(|outputs| outputs.get(output)).cloned(),
            _ => None,
        })
    };
    stack.outputs.iter().map(|(name, template)| (name.clone(), value(template))).collect()
}

fn holds_any(value: &Value, secrets: &[String]) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => items.iter().any(|item| holds_any(item, secrets)),
        Value::Object(map) => map.values().any(|value| holds_any(value, secrets)),
        Value::String(text) => secrets.iter().any(|secret| !secret.is_empty() && text.contains(secret)),
        other => secrets.contains(&other.to_string()),
    }
}

fn blank(resource: &Resource, want: Value, found: Option<Found>) -> Step {
    Step {
        id: resource.id.clone(),
        kind: resource.kind,
        name: resource.name.clone(),
        physical: found.as_ref().map(|found| found.physical.clone()),
        action: Action::NoOp,
        reasons: Vec::new(),
        changes: Vec::new(),
        set_tags: Tags::new(),
        remove_tags: Vec::new(),
        want,
        found,
        in_file: true,
    }
}

fn orphan_step(orphan: &Orphan, destroy: bool) -> Step {
    let retained = marks::is_set(&orphan.found.tags, marks::RETAIN);
    let (action, reason) = match (retained, destroy) {
        (true, _) => (Action::Leave, Reason::Retained),
        (false, true) => (Action::Delete, Reason::Destroyed),
        (false, false) => (Action::Delete, Reason::Removed),
    };
    Step {
        id: orphan.id.clone(),
        kind: orphan.kind,
        name: orphan.found.physical.clone(),
        physical: Some(orphan.found.physical.clone()),
        action,
        reasons: vec![reason],
        changes: Vec::new(),
        set_tags: Tags::new(),
        remove_tags: Vec::new(),
        want: Value::Null,
        found: Some(orphan.found.clone()),
        in_file: false,
    }
}
