//! From a plan to jobs: what is made, changed and deleted, and in which order.
//!
//! Pure. What is made waits for what it needs; what is deleted waits for what needs it, and an old object goes only
//! after everything that used it has moved to the new one.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Graph;
use crate::plan::{Action, Plan};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Makes an object.
    Create,
    /// Changes an object in place.
    Update,
    /// Deletes an object.
    Delete,
    /// Takes the marks off an object and leaves it.
    Leave,
}

/// One call of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Index of the step in the plan.
    pub step: usize,
    /// What is done.
    pub verb: Verb,
    /// Indices of the jobs that must succeed before.
    pub after: BTreeSet<usize>,
}

/// Lists the jobs of a plan.
#[must_use]
pub fn jobs(plan: &Plan, graph: &Graph) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (step, planned) in plan.steps.iter().enumerate() {
        for verb in verbs(planned.action) {
            jobs.push(Job { step, verb: *verb, after: BTreeSet::new() });
        }
    }
    let order = Order::of(plan, graph, &jobs);
    let after: Vec<_> = (0..jobs.len()).map(|job| order.before(&jobs, job)).collect();
    for (job, after) in jobs.iter_mut().zip(after) {
        job.after = after;
    }
    jobs
}

fn verbs(action: Action) -> &'static [Verb] {
    match action {
        Action::NoOp => &[],
        Action::Create => &[Verb::Create],
        Action::Update => &[Verb::Update],
        Action::DeleteCreate => &[Verb::Delete, Verb::Create],
        Action::CreateDelete => &[Verb::Create, Verb::Delete],
        Action::Delete => &[Verb::Delete],
        Action::Leave => &[Verb::Leave],
    }
}

struct Order<'a> {
    plan: &'a Plan,
    graph: &'a Graph,
    /// Jobs that make or change, by logical id.
    makes: BTreeMap<&'a str, usize>,
    /// Jobs that delete, by logical id, of steps in the file.
    deletes: BTreeMap<&'a str, usize>,
    /// Ranks of the deletions in the file: never below that of a deletion that must come before.
    ranks: BTreeMap<&'a str, u8>,
    /// Jobs that delete what is not in the file, with their rank.
    orphans: Vec<(usize, u8)>,
}

impl<'a> Order<'a> {
    fn of(plan: &'a Plan, graph: &'a Graph, jobs: &[Job]) -> Self {
        let (makes, deletes, ranks, orphans) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut order = Self { plan, graph, makes, deletes, ranks, orphans };
        for (index, job) in jobs.iter().enumerate() {
            let step = &plan.steps[job.step];
            match job.verb {
                Verb::Create | Verb::Update => drop(order.makes.insert(&step.id, index)),
                _ if step.in_file => drop(order.deletes.insert(&step.id, index)),
                _ => order.orphans.push((index, step.kind.delete_rank())),
            }
        }
        order.ranks = order.deletes.keys().map(|id| (*id, order.rank(jobs, id))).collect();
        order
    }

    fn rank(&self, jobs: &[Job], id: &str) -> u8 {
        let dependents = self.graph.with_dependents(&BTreeSet::from([id.to_owned()]));
        let deletes = dependents.iter().filter_map(|id| self.deletes.get(id.as_str()));
        deletes.map(|job| self.plan.steps[jobs[*job].step].kind.delete_rank()).max().unwrap_or_default()
    }

    fn before(&self, jobs: &[Job], index: usize) -> BTreeSet<usize> {
        let job = &jobs[index];
        let step = &self.plan.steps[job.step];
        let mut before = match job.verb {
            Verb::Create | Verb::Update => self.before_make(&step.id, step.action),
            Verb::Delete | Verb::Leave if step.in_file => self.before_delete(&step.id, step.action),
            Verb::Delete | Verb::Leave => self.before_orphan(step.kind.delete_rank()),
        };
        before.remove(&index);
        before
    }

    fn before_make(&self, id: &str, action: Action) -> BTreeSet<usize> {
        let needs = self.graph.with_needs(&BTreeSet::from([id.to_owned()]));
        let mut before: BTreeSet<_> =
            needs.iter().filter(|need| *need != id).filter_map(|need| self.makes.get(need.as_str())).copied().collect();
        if action == Action::DeleteCreate {
            before.extend(self.deletes.get(id));
        }
        before
    }

    fn before_delete(&self, id: &str, action: Action) -> BTreeSet<usize> {
        let dependents = self.graph.with_dependents(&BTreeSet::from([id.to_owned()]));
        let others = || dependents.iter().filter(|other| *other != id).map(String::as_str);
        let mut before: BTreeSet<_> = others().filter_map(|other| self.deletes.get(other)).copied().collect();
        if action == Action::CreateDelete {
            before.extend(others().filter_map(|other| self.makes.get(other)));
            before.extend(self.makes.get(id));
        }
        // What is deleted to be made anew cannot wait for orphans, which go only after everything is made.
        if action != Action::DeleteCreate {
            let rank = self.ranks.get(id).copied().unwrap_or_default();
            before.extend(self.orphans.iter().filter(|(_, other)| *other < rank).map(|(job, _)| *job));
        }
        before
    }

    fn before_orphan(&self, rank: u8) -> BTreeSet<usize> {
        let lower = self.orphans.iter().filter(|(_, other)| *other < rank).map(|(job, _)| *job);
        let ended = self.deletes.iter().filter(|(id, _)| self.ranks.get(*id) < Some(&rank));
        self.makes.values().copied().chain(lower).chain(ended.map(|(_, job)| *job)).collect()
    }
}
