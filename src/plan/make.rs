//! The planner: one resource after the other, in the order of the graph, then what the file no longer lists.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::Value;

use super::{Action, Blocked, Goal, Plan, Reason, Step, resolve_outputs, shield, ties};
use crate::aws::marks;
use crate::diff::{Change, diff, is_unknown, with_ignored};
use crate::graph::Graph;
use crate::kind::{AnyKind, Found, Outputs, Place, Tagging, Tags};
use crate::live::{self, Extra, Live, Orphan};
use crate::stack::{Resource, Stack};

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
    planner.extras();
    planner.blocked.extend(ties::pinned(&planner.steps, graph));
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
        self.guard(&step);
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
        match step.found.clone().map(|found| self.as_left(resource, found)) {
            None => self.create(resource, step),
            Some(found) if self.is_meant(resource, &found) && self.may_touch(resource, &found) => {
                step.found = Some(found.clone());
                self.compare(resource, step, &found);
                self.give_back(resource, step, found);
                self.refuse(resource, step);
            }
            Some(_) => {}
        }
    }

    /// Takes the marks from what is marked on an object that is only now taken over: until then they were nowhere.
    fn as_left(&self, resource: &Resource, mut found: Found) -> Found {
        let adopted = |step: &&Step| step.reasons.contains(&Reason::Adopted);
        let mut adopted = self.steps.iter().filter(adopted);
        if resource.kind.tagging() == Tagging::OwnershipOnly && self.goal.adopts(&resource.id) {
            let needs = self.graph.with_needs(&BTreeSet::from([resource.id.clone()]));
            if adopted.any(|step| needs.contains(&step.id)) {
                found.tags.clear();
            }
        }
        found
    }

    /// Checks that what was found is what the user says that the resource is.
    fn is_meant(&mut self, resource: &Resource, found: &Found) -> bool {
        let Some(given) = self.goal.given.get(&resource.id).filter(|given| !live::is_meant(found, given)) else {
            return true;
        };
        let (title, physical) = (resource.kind.title(), &found.physical);
        let help = match marks::stack_of(&found.tags) {
            Some(_) => format!("leave `={given}` out, or remove the resource that {physical} is first"),
            None => format!("give the resource the `name:` that {given} has, or another id"),
        };
        let message = format!("it is the {title} `{physical}`, and not `{given}`");
        self.blocked.push(Blocked { id: resource.id.clone(), message, help });
        false
    }

    fn create(&mut self, resource: &Resource, step: &mut Step) {
        if let Some(given) = self.goal.given.get(&resource.id) {
            let message = format!("there is no {} `{given}` to take over", resource.kind.title());
            let help =
                "check the identifier, the region and the account; without `--adopt` it would be made".to_owned();
            self.blocked.push(Blocked { id: resource.id.clone(), message, help });
            return;
        }
        step.set_tags = live::tags(self.stack, resource);
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
        let marked = |orphan: &Orphan| self.stack.marked_for(&orphan.id, orphan.kind).map(|marked| &marked.id);
        self.live.orphans.iter().find(|orphan| marked(orphan) == Some(&resource.id))
    }

    /// Checks that an object is the stack's, or is to become so; says what is in the way otherwise.
    fn may_touch(&mut self, resource: &Resource, found: &Found) -> bool {
        let (title, name) = (resource.kind.title(), &found.physical);
        let (message, help) = match marks::stack_of(&found.tags) {
            Some(owner) if owner == self.stack.name => return true,
            None if self.goal.adopts(&resource.id) => return true,
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

    /// Lists the differences, with what must not be shown hidden.
    fn changes(&self, resource: &Resource, want: &Value, found: &Value) -> Vec<Change> {
        differences(self.stack, resource, want, found)
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
        let (set, remove) = marks::tag_changes(&live::tags(self.stack, resource), &found.tags);
        let unmarked = live::is_unmarked(resource, found) || self.is_stale(resource, step, found);
        let tags_differ = !set.is_empty() || !remove.is_empty() || unmarked;
        if !paths.is_empty() || requested {
            let collides = kind.collides(&step.want, &found.spec) || self.needs_gap(&resource.id);
            step.action = if collides { Action::DeleteCreate } else { Action::CreateDelete };
            step.set_tags = live::tags(self.stack, resource);
            step.reasons =
                if paths.is_empty() { vec![Reason::Requested] } else { vec![Reason::CannotUpdate { paths }] };
        } else if !step.changes.is_empty() || tags_differ {
            step.action = Action::Update;
            (step.set_tags, step.remove_tags) = (set, remove);
            step.reasons = vec![if step.changes.is_empty() { Reason::Tags } else { self.cause(resource, step, found) }];
        }
        if step.action != Action::NoOp
            && let Some(from) = self.former_id(resource, found)
        {
            step.reasons.retain(|reason| *reason != Reason::Tags);
            step.reasons.insert(0, Reason::Moved { from });
        }
        if step.action != Action::NoOp && marks::stack_of(&found.tags).is_none() {
            step.reasons.insert(0, Reason::Adopted);
            if self.is_astray(resource, found) {
                step.reasons.insert(1, Reason::Astray);
            }
        }
    }

    /// Tells whether an object has all that is wanted, and the mark of something else: an update broke off before its
    /// mark, or the file came round to what was done by hand. A later difference would be laid to the file.
    fn is_stale(&self, resource: &Resource, step: &Step, found: &Found) -> bool {
        let applied = found.tags.get(marks::SPEC).filter(|_| step.changes.is_empty() && !is_unknown(&step.want));
        applied.is_some_and(|applied| *applied != live::hash(self.stack, resource, &step.want))
    }

    /// Returns the id that an object was marked with before, when `moved:` says that it is this resource's.
    fn former_id(&self, resource: &Resource, found: &Found) -> Option<String> {
        let marked = marks::resource_of(&found.tags).filter(|id| self.stack.moved.get(*id) == Some(&resource.id))?;
        Some(marked.to_owned())
    }

    /// Tells whether the ARN of what exists differs from the one that the resource would have.
    fn is_astray(&self, resource: &Resource, found: &Found) -> bool {
        let own = self.outputs.get(&resource.id).and_then(|outputs| outputs.get("arn"));
        own.is_some_and(|own| found.outputs.get("arn").is_some_and(|arn| arn != own))
    }

    /// Says what a change in place cannot do.
    fn refuse(&mut self, resource: &Resource, step: &Step) {
        let (Action::Update, Some(found)) = (step.action, &step.found) else { return };
        let ignored = with_ignored(&resource.ignore_changes, &step.want, &found.spec);
        if let Some(fault) = resource.kind.refuses(&ignored, &found.spec) {
            let message = format!("{}: {}", fault.path, fault.message);
            let help = fault.help.unwrap_or_else(|| "put it back as it was".to_owned());
            self.blocked.push(Blocked { id: resource.id.clone(), message, help });
        }
    }

    /// Compares once more without what goes when something that it needs is made anew: that has to be given back.
    fn give_back(&self, resource: &Resource, step: &mut Step, mut found: Found) {
        let needs = self.graph.with_needs(&BTreeSet::from([resource.id.clone()]));
        let gone = self.steps.iter().filter(|other| other.action == Action::DeleteCreate && needs.contains(&other.id));
        let undone: Vec<Reason> = gone
            .filter(|other| ties::take_away(resource.kind.fields(), &mut found.spec, other))
            .map(|other| Reason::Undone { by: other.id.clone() })
            .collect();
        if undone.is_empty() {
            return;
        }
        let mut reasons = std::mem::take(&mut step.reasons);
        (step.action, step.found) = (Action::NoOp, Some(found.clone()));
        self.compare(resource, step, &found);
        if step.action == Action::Update {
            reasons.extend(undone);
            step.reasons = reasons;
        } else if step.action != Action::NoOp {
            step.reasons.extend(undone);
        }
    }

    /// Tells whether something it needs is deleted before it is made anew, so that the old object must go before that.
    fn needs_gap(&self, id: &str) -> bool {
        let needs = self.graph.with_needs(&BTreeSet::from([id.to_owned()]));
        self.steps.iter().any(|step| step.action == Action::DeleteCreate && needs.contains(&step.id))
    }

    /// Tells a change of the file from a change of AWS, by the hash of what was last applied.
    fn cause(&self, resource: &Resource, step: &Step, found: &Found) -> Reason {
        let hash = live::hash(self.stack, resource, &step.want);
        if found.tags.get(marks::SPEC) == Some(&hash) { Reason::Drift } else { Reason::Pending }
    }

    /// Stops the plan where it would delete what is protected: by the file, or by its mark once the file is silent.
    fn guard(&mut self, step: &Step) {
        let resource = self.stack.marked_for(&step.id, step.kind);
        let protect = resource.map_or_else(|| has_mark(step.found.as_ref(), marks::PROTECT), |listed| listed.protect);
        if !step.action.deletes() || !protect {
            return;
        }
        let help = match resource {
            Some(_) => "set `protect: false` on the resource, apply, and plan again",
            None => "put it back into the file with `protect: false`, apply, and remove it again",
        };
        let old = step.physical.as_ref().unwrap_or(&step.name);
        self.blocked.push(Blocked {
            id: step.id.clone(),
            message: format!("it is protected, and the plan would delete the {} `{old}`", step.kind.title()),
            help: help.to_owned(),
        });
    }

    /// Tells whether an orphan stays. If a broken off replacement left it behind, the file says so, as if nothing had
    /// broken off.
    fn is_retained(&self, orphan: &Orphan) -> bool {
        match self.stack.marked_for(&orphan.id, orphan.kind) {
            Some(resource) => self.goal.destroy && resource.retain,
            None => has_mark(Some(&orphan.found), marks::RETAIN),
        }
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
            let step = orphan_step(orphan, self.is_retained(orphan), self.goal.destroy);
            self.guard(&step);
            self.steps.push(step);
        }
    }

    /// Plans the deletion of what hangs on the chosen resources and nobody says it owns.
    fn extras(&mut self) {
        let goes = |id: &String| self.steps.iter().any(|step| step.id == *id && step.action.deletes());
        let chosen = |extra: &&Extra| self.selected.contains(&extra.parent) && self.goal.prune.contains(&extra.parent);
        let steps = self.live.extras.iter().filter(chosen).filter(|extra| !goes(&extra.parent)).map(extra_step);
        let steps: Vec<Step> = steps.collect();
        self.steps.extend(steps);
    }

    fn stack_outputs(&self) -> IndexMap<String, Value> {
        if self.goal.destroy {
            return IndexMap::new();
        }
        resolve_outputs(self.stack, self.place, &self.outputs)
    }
}

/// Lists the differences between what is wanted of a resource and what was found, with what must not be shown hidden.
#[must_use]
pub fn differences(stack: &Stack, resource: &Resource, want: &Value, found: &Value) -> Vec<Change> {
    let mut changes = diff(resource.kind.fields(), &resource.ignore_changes, want, found);
    for change in &mut changes {
        shield::hide(change, &resource.hidden, &stack.secrets);
    }
    changes
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
        hidden: resource.hidden.clone(),
        found,
        in_file: true,
    }
}

fn has_mark(found: Option<&Found>, mark: &str) -> bool {
    found.is_some_and(|found| marks::is_set(&found.tags, mark))
}

fn orphan_step(orphan: &Orphan, retained: bool, destroy: bool) -> Step {
    let (action, reason) = match (retained, destroy) {
        (true, _) => (Action::Leave, Reason::Retained),
        (false, true) => (Action::Delete, Reason::Destroyed),
        (false, false) => (Action::Delete, Reason::Removed),
    };
    Step { action, reasons: vec![reason], ..unlisted(orphan.id.clone(), orphan.kind, &orphan.found) }
}

fn extra_step(extra: &Extra) -> Step {
    let reasons = vec![Reason::Undeclared { parent: extra.parent.clone() }];
    Step { action: Action::Delete, reasons, ..unlisted(extra.parent.clone(), extra.kind, &extra.found) }
}

/// Starts the step of an object that the file does not list.
fn unlisted(id: String, kind: &'static dyn AnyKind, found: &Found) -> Step {
    Step {
        id,
        kind,
        name: found.physical.clone(),
        physical: Some(found.physical.clone()),
        action: Action::NoOp,
        reasons: Vec::new(),
        changes: Vec::new(),
        set_tags: Tags::new(),
        remove_tags: Vec::new(),
        want: Value::Null,
        hidden: BTreeSet::new(),
        found: Some(found.clone()),
        in_file: false,
    }
}
