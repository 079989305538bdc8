//! One job: the call of a kind, with everything that has become known filled in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::apply::jobs::Verb;
use crate::apply::run::Run;
use crate::aws::{Aws, Cx, Notes, marks};
use crate::diff::{Change, diff, is_unknown, path_matches, with_ignored};
use crate::kind::{AnyWrites, Key, KindError, Lack, Outputs, Result, Tags};
use crate::live;
use crate::live::names::Names;
use crate::plan::{Step, permits};
use crate::stack::Resource;
use crate::stack::reference::Reference;
use crate::stack::resolve::references;

/// Everything that a job needs, taken out of the run's state when it starts.
pub(super) struct Task {
    step: Step,
    writer: Option<&'static dyn AnyWrites>,
    verb: Verb,
    want: Value,
    spec_hash: String,
    ignore: Vec<String>,
    timeouts: BTreeMap<String, Duration>,
    key: Key,
    marks: Tags,
    unknown: Vec<Reference>,
    lacks: Arc<[Lack]>,
}

/// What a job leaves behind.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Identifier of the object.
    pub(super) physical: String,
    /// Its outputs, when the job made or changed it.
    pub(super) outputs: Option<Outputs>,
}

impl Task {
    /// Prepares a job: fills in the outputs known by now.
    pub(super) fn new(run: &Run<'_>, step: &Step, verb: Verb, outputs: &BTreeMap<String, Outputs>) -> Self {
        let stack = run.stack;
        let resource = stack.resources.get(&step.id).filter(|_| step.in_file);
        let want = resource.map_or(Value::Null, |resource| live::wanted(stack, &run.aws.place, resource, outputs));
        let spec_hash = resource.map(|resource| live::hash(stack, resource, &want)).unwrap_or_default();
        let makes_new = verb == Verb::Create;
        let made = resource.filter(|_| makes_new || verb == Verb::Update);
        let key = Key {
            stack: stack.name.clone(),
            id: step.id.clone(),
            name: step.name.clone(),
            physical: step.physical.clone().filter(|_| !makes_new),
        };
        Self {
            marks: resource
                .map(|resource| marks::marks(&key, &spec_hash, resource.protect, resource.retain))
                .unwrap_or_default(),
            ignore: resource.map(|resource| resource.ignore_changes.clone()).unwrap_or_default(),
            timeouts: resource.map(|resource| resource.timeouts.clone()).unwrap_or_default(),
            unknown: resource.map(|resource| unknown(resource, outputs)).unwrap_or_default(),
            lacks: made.map(|resource| lacks(run, resource, &want, outputs)).unwrap_or_default().into(),
            writer: run.writers.iter().copied().find(|kind| kind.type_name() == step.kind.type_name()),
            step: step.clone(),
            verb,
            want,
            spec_hash,
            key,
        }
    }

    /// Does the job.
    pub(super) async fn run(self, aws: Arc<Aws>, notes: Notes) -> Result<Made> {
        let cx = Cx::new(aws, self.key.clone()).with_notes(notes).with_timeouts(&self.timeouts, verb_name(self.verb));
        let cx = cx.lacking(&self.lacks);
        match self.verb {
            Verb::Create => self.create(&cx).await,
            Verb::Update => self.update(&cx).await,
            Verb::Delete => self.writer()?.delete(&cx).await.map(|()| self.unchanged()),
            Verb::Leave => self.leave(&cx).await,
        }
    }

    fn writer(&self) -> Result<&'static dyn AnyWrites> {
        self.writer
            .ok_or_else(|| KindError::invalid(format!("nothing can be done to a {}", self.step.kind.type_name())))
    }

    fn unchanged(&self) -> Made {
        Made { physical: self.step.physical.clone().unwrap_or_default(), outputs: None }
    }

    async fn create(&self, cx: &Cx) -> Result<Made> {
        self.check_known()?;
        self.check_kept()?;
        let tags = self.step.set_tags.clone().into_iter().chain(self.marks.clone()).collect();
        let (physical, outputs) = self.writer()?.create(cx, &self.want, &tags).await?;
        Ok(Made { physical, outputs: Some(outputs) })
    }

    async fn update(&self, cx: &Cx) -> Result<Made> {
        self.check_known()?;
        let Some(found) = &self.step.found else {
            return Err(KindError::invalid("an update without an object to update"));
        };
        let changes = diff(self.step.kind.fields(), &self.ignore, &self.want, &found.spec);
        self.check_planned(&changes)?;
        if !changes.is_empty() {
            let target = with_ignored(&self.ignore, &self.want, &found.spec);
            self.writer()?.update(cx, &target, &found.spec, &changes).await?;
        }
        let mut set = self.step.set_tags.clone();
        if found.tags.get(marks::SPEC) != Some(&self.spec_hash) {
            set.insert(marks::SPEC.to_owned(), self.spec_hash.clone());
        }
        if !set.is_empty() || !self.step.remove_tags.is_empty() {
            self.writer()?.retag(cx, &set, &self.step.remove_tags).await?;
        }
        let mut outputs = found.outputs.clone();
        let renewed = self.step.kind.renews(&changes);
        if !renewed.is_empty() {
            let seen = self.step.kind.observe(cx, Some(&self.want)).await?;
            outputs = seen.map(|seen| seen.outputs).unwrap_or(outputs);
        }
        Ok(Made { physical: found.physical.clone(), outputs: Some(outputs) })
    }

    async fn leave(&self, cx: &Cx) -> Result<Made> {
        let marks: Vec<String> = marks::MARKS.iter().map(|mark| (*mark).to_owned()).collect();
        self.writer()?.retag(cx, &Tags::new(), &marks).await?;
        Ok(self.unchanged())
    }

    /// Refuses to send what is still unknown.
    fn check_known(&self) -> Result<()> {
        match self.unknown.first() {
            Some(reference) => {
                Err(KindError::invalid(format!("{reference} has no value, although its source was made")))
            }
            None => Ok(()),
        }
    }

    /// Refuses a change that the plan did not show: an unknown may become known, a known may not change.
    fn check_planned(&self, changes: &[Change]) -> Result<()> {
        let same = |shown: &Change, change: &Change| match is_unknown(&shown.after) {
            _ if list_of(&shown.path).is_some() || list_of(&change.path).is_some() => {
                root(&shown.path) == root(&change.path)
            }
            true => path_matches(&shown.path, &change.path),
            false => shown.path == change.path && shown.after == change.after,
        };
        match changes.iter().find(|change| !self.step.changes.iter().any(|shown| same(shown, change))) {
            Some(change) => Err(unplanned(&change.path)),
            None => Ok(()),
        }
    }

    /// Refuses to make something else than the plan showed.
    fn check_kept(&self) -> Result<()> {
        let changed = diff(self.step.kind.fields(), &[], &self.want, &self.step.want);
        let known = |change: &&Change| !is_unknown(&change.before) && list_of(&change.path).is_none();
        changed.iter().find(known).map_or(Ok(()), |change| Err(unplanned(&change.path)))
    }
}

/// Lists what AWS will ask for and the stack's own policies cannot allow.
fn lacks(run: &Run<'_>, resource: &Resource, want: &Value, outputs: &BTreeMap<String, Outputs>) -> Vec<Lack> {
    let names = Names::known(run.stack, outputs);
    permits::lacks(&names, &run.aws.place, &resource.kind.demands(want))
}

/// Returns the verb's name in `timeouts:`.
fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Update | Verb::Leave => "update",
        Verb::Delete => "delete",
    }
}

fn unplanned(path: &str) -> KindError {
    KindError::invalid(format!("{path} would become something that the plan did not show"))
        .hint("run plan again: something that this resource refers to is no longer what it was")
}

/// Returns the path of the list that a path leads into, or the path itself.
fn root(path: &str) -> &str {
    list_of(path).unwrap_or(path)
}

/// Returns the path of the list that a path leads into. Sorted lists may change their order when an unknown becomes known.
fn list_of(path: &str) -> Option<&str> {
    let digits = |step: &str| !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
    let mut end = 0;
    for step in path.split('.') {
        if digits(step) {
            return Some(&path[..end]);
        }
        end += step.len() + usize::from(end > 0);
    }
    None
}

/// Lists the references of a resource that no output answers.
fn unknown(resource: &Resource, outputs: &BTreeMap<String, Outputs>) -> Vec<Reference> {
    let known = |reference: &Reference| match reference {
        Reference::Output { id, output } => outputs.get(id).is_some_and(|outputs| outputs.contains_key(output)),
        _ => true,
    };
    references(&resource.spec).into_iter().filter(|reference| !known(reference)).collect()
}
