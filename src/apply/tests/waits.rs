//! Checks of a single run: what it told, how it ended and in which order it deleted.
//!
//! Which job waits for which is told here once more, from the file: nothing of the queue is asked.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::bench::Recorder;
use super::cloud::{At, Deleted, Object};
use super::model::{Aim, File, id_of, is_ours};
use super::play::Turn;
use crate::apply::event::{Event, Subject, Summary};
use crate::apply::jobs::Verb;
use crate::apply::run::Stop;
use crate::plan::{Action, Plan, Step};

/// A job as the plan's steps name it.
#[derive(Clone)]
pub(super) struct Task {
    subject: Subject,
    in_file: bool,
    action: Action,
    /// Place in the order of deletion: not before that of what has to go first.
    rank: u8,
}

pub(super) fn tasks(file: &File, plan: &Plan) -> Vec<Task> {
    let mut tasks = Vec::new();
    for step in &plan.steps {
        let verbs: &[Verb] = match step.action {
            Action::NoOp => &[],
            Action::Create => &[Verb::Create],
            Action::Update => &[Verb::Update],
            Action::DeleteCreate | Action::CreateDelete => &[Verb::Create, Verb::Delete],
            Action::Delete => &[Verb::Delete],
            Action::Leave => &[Verb::Leave],
        };
        tasks.extend(verbs.iter().map(|verb| Task {
            subject: Subject { kind: step.kind.type_name(), id: step.id.clone(), name: step.name.clone(), verb: *verb },
            in_file: step.in_file,
            action: step.action,
            rank: step.kind.delete_rank(),
        }));
    }
    let ranks: Vec<u8> = tasks.iter().map(|task| task.rank_among(file, &tasks)).collect();
    tasks.iter_mut().zip(ranks).for_each(|(task, rank)| task.rank = rank);
    tasks
}

impl Task {
    fn makes(&self) -> bool {
        matches!(self.subject.verb, Verb::Create | Verb::Update)
    }

    fn id(&self) -> &str {
        &self.subject.id
    }

    fn rank_among(&self, file: &File, tasks: &[Self]) -> u8 {
        let goes = |other: &&Self| self.in_file && other.in_file && !other.makes();
        let users = tasks.iter().filter(goes).filter(|other| file.needs(other.id(), self.id()));
        users.map(|other| other.rank).max().unwrap_or_default().max(self.rank)
    }

    /// Tells whether a job must not start before another one is done.
    fn waits(&self, other: &Self, file: &File) -> bool {
        let gap = self.action == Action::DeleteCreate;
        match (self.makes(), other.makes()) {
            (true, true) => file.needs(self.id(), other.id()),
            (true, false) => gap && other.in_file && other.id() == self.id(),
            (false, true) if self.in_file => {
                self.action == Action::CreateDelete && (other.id() == self.id() || file.needs(other.id(), self.id()))
            }
            (false, true) => true,
            (false, false) if self.in_file && other.in_file => file.needs(other.id(), self.id()),
            (false, false) => !(gap && self.in_file) && other.rank < self.rank,
        }
    }
}

/// Checks that every job ends once, and that only what waits for a failure is skipped.
pub(super) fn check_ends(file: &File, tasks: &[Task], summary: &Summary, turn: &Turn) -> TestCaseResult {
    let failed: Vec<&Subject> = summary.failed.iter().map(|(subject, _)| subject).collect();
    let mut ended: Vec<&Subject> =
        summary.done.iter().chain(&summary.skipped).chain(&summary.not_started).chain(&summary.unknown).collect();
    ended.extend(&failed);
    prop_assert_eq!(ended.len(), tasks.len(), "{:?}", summary);
    for task in tasks {
        let lost = |other: &&Task| failed.contains(&&other.subject) || summary.skipped.contains(&other.subject);
        let blamed = tasks.iter().filter(lost).any(|other| task.waits(other, file));
        prop_assert!(ended.contains(&&task.subject), "{:?} did not end: {:?}", task.subject, summary);
        prop_assert_eq!(summary.skipped.contains(&task.subject), blamed, "{:?} in {:?}", task.subject, summary);
    }
    prop_assert!(summary.not_started.is_empty() || !turn.stops.is_empty(), "{:?}", summary);
    prop_assert!(summary.unknown.is_empty() || turn.stops.iter().any(|(_, stop)| *stop == Stop::Now), "{:?}", summary);
    let told = |subject: &Subject| turn.faults.iter().any(|(_, number, _)| id_of(*number) == subject.id);
    let untold = summary.failed.iter().find(|(subject, _)| turn.between.is_none() && !told(subject));
    prop_assert!(untold.is_none(), "failed by itself: {:?}", untold);
    Ok(())
}

/// Checks what was told meanwhile: in order, never too much at once, nothing new after a stop, and as the summary says.
pub(super) fn check_events(
    file: &File,
    tasks: &[Task],
    summary: &Summary,
    recorder: &Recorder,
    limit: usize,
) -> TestCaseResult {
    let (mut started, mut done, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (number, event) in recorder.events.iter().enumerate() {
        match event {
            Event::Started(subject) => {
                prop_assert!(
                    recorder.before_stop.is_none_or(|stop| number < stop),
                    "{:?} started after a stop",
                    subject
                );
                prop_assert!(!started.contains(subject), "{:?} started twice", subject);
                let task = tasks.iter().find(|task| task.subject == *subject).unwrap();
                let early = tasks.iter().find(|other| task.waits(other, file) && !done.contains(&other.subject));
                prop_assert!(early.is_none(), "{:?} did not wait for {:?}", subject, early.map(|other| &other.subject));
                started.push(subject.clone());
            }
            Event::Finished { subject, .. } => done.push(subject.clone()),
            Event::Failed { subject, .. } => failed.push(subject.clone()),
            _ => continue,
        }
        prop_assert!(done.iter().chain(&failed).all(|subject| started.contains(subject)));
        prop_assert!(started.len() - done.len() - failed.len() <= limit);
    }
    prop_assert_eq!(&done, &summary.done);
    prop_assert_eq!(failed, summary.failed.iter().map(|(subject, _)| subject.clone()).collect::<Vec<_>>());
    prop_assert_eq!(started.len(), done.len() + summary.failed.len() + summary.unknown.len());
    prop_assert!(summary.unknown.iter().all(|subject| started.contains(subject)));
    Ok(())
}

/// Returns an object that referred to another one when that was deleted, although something tells their order: the file,
/// or the ranks of their types where the file no longer lists both. What has to go before its successor comes may.
pub(super) fn deleted_early<'a>(aim: Aim<'_>, plan: &Plan, tasks: &[Task], deleted: &'a Deleted) -> Option<&'a Object> {
    let is_at = |step: &&Step, at: &At| step.kind.type_name() == at.0 && step.physical.as_ref() == Some(&at.1);
    let step_of = |at: &At| plan.steps.iter().find(|step| is_at(step, at));
    let gone = step_of(&deleted.at).filter(|step| step.action != Action::DeleteCreate)?;
    let rank = |step: &Step| {
        let same = |task: &&Task| !task.makes() && (task.id(), task.in_file) == (&step.id, step.in_file);
        tasks.iter().find(same).map(|task| task.rank)
    };
    let is_early = |(at, user): &&(At, Object)| {
        let Some(user) = step_of(at).filter(|_| is_ours(user)) else { return false };
        match (gone.in_file, user.in_file) {
            (true, true) => aim.file.needs(&user.id, &gone.id),
            (false, true) if !aim.destroy && !user.action.deletes() => true,
            _ => rank(user) < rank(gone),
        }
    };
    deleted.users.iter().find(is_early).map(|(_, user)| user)
}
