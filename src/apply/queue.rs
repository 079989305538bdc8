//! Which jobs may start: a pure scheduler, without threads or clocks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Jobs and what each waits for.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    waits: BTreeMap<usize, BTreeSet<usize>>,
    waited_by: BTreeMap<usize, BTreeSet<usize>>,
    weight: BTreeMap<usize, usize>,
}

impl Queue {
    /// Makes a queue of jobs by number, each with the numbers of the jobs that must succeed before it.
    #[must_use]
    pub fn new(jobs: impl IntoIterator<Item = (usize, BTreeSet<usize>)>) -> Self {
        let waits: BTreeMap<_, _> = jobs.into_iter().collect();
        let mut waited_by: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (job, before) in &waits {
            for earlier in before {
                waited_by.entry(*earlier).or_default().insert(*job);
            }
        }
        let mut queue = Self { waits, waited_by, weight: BTreeMap::new() };
        queue.weight = queue.waits.keys().map(|job| (*job, queue.after(*job).len())).collect();
        queue
    }

    /// Takes a job that may start, the one that most others wait for first.
    pub fn take(&mut self) -> Option<usize> {
        self.take_fairly(|_| 0)
    }

    /// Takes a job that may start: of those with the least `crowd` about them, the one that most others wait for.
    pub fn take_fairly(&mut self, crowd: impl Fn(usize) -> usize) -> Option<usize> {
        let ready = self.waits.iter().filter(|(_, before)| before.is_empty()).map(|(job, _)| *job);
        let rank = |job: &usize| (Reverse(crowd(*job)), self.weight(*job), Reverse(*job));
        let job = ready.max_by_key(rank)?;
        self.waits.remove(&job);
        Some(job)
    }

    /// Returns how many jobs wait for a job, directly or not, when nothing is done yet.
    #[must_use]
    pub fn weight(&self, job: usize) -> usize {
        self.weight.get(&job).copied().unwrap_or_default()
    }

    /// Notes that a job is done.
    pub fn succeed(&mut self, job: usize) {
        for later in self.waited_by.remove(&job).unwrap_or_default() {
            if let Some(before) = self.waits.get_mut(&later) {
                before.remove(&job);
            }
        }
    }

    /// Notes that a job failed, and takes out and returns all jobs that cannot start any more.
    pub fn fail(&mut self, job: usize) -> Vec<usize> {
        let lost = self.after(job);
        lost.into_iter().filter(|job| self.waits.remove(job).is_some()).collect()
    }

    /// Takes out and returns all jobs that have not started.
    pub fn drain(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.waits).into_keys().collect()
    }

    fn after(&self, job: usize) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut open = vec![job];
        while let Some(job) = open.pop() {
            let next = self.waited_by.get(&job).into_iter().flatten();
            open.extend(next.filter(|later| seen.insert(**later)));
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_less_crowded_goes_first_and_then_the_more_waited_for() {
        let mut queue = Queue::new([(0, [].into()), (1, [].into()), (2, [].into()), (3, [1].into())]);
        let crowd = |job: usize| if job < 2 { 5 } else { 0 };
        let taken: Vec<_> = std::iter::from_fn(|| queue.take_fairly(crowd)).collect();
        assert_eq!(taken, [2, 1, 0]);
    }

    proptest! {
        /// Every job ends exactly once, after what it waits for; a failure loses what depends on it and nothing else.
        #[test]
        fn every_job_ends_once(
            edges in prop::collection::vec((0..15_usize, 0..15_usize), 0..60),
            failing in prop::collection::btree_set(0..15_usize, 0..4),
            limit in 1..5_usize,
        ) {
            let waits = |job: usize| edges.iter().filter(|(from, to)| *to == job && from < to).map(|(from, _)| *from).collect::<BTreeSet<_>>();
            let mut queue = Queue::new((0..15).map(|job| (job, waits(job))));
            let (mut done, mut failed, mut lost, mut running) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), Vec::new());
            loop {
                while running.len() < limit {
                    let Some(job) = queue.take() else { break };
                    prop_assert!(waits(job).is_subset(&done));
                    running.push(job);
                }
                let Some(job) = running.pop() else { break };
                if failing.contains(&job) {
                    failed.insert(job);
                    for job in queue.fail(job) {
                        prop_assert!(lost.insert(job));
                    }
                } else {
                    prop_assert!(done.insert(job));
                    queue.succeed(job);
                }
            }
            prop_assert_eq!(done.len() + failed.len() + lost.len(), 15);
            for job in &lost {
                let causes: BTreeSet<_> = waits(*job);
                prop_assert!(causes.iter().any(|cause| failed.contains(cause) || lost.contains(cause)));
            }
        }
    }
}
