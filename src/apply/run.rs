//! The loop that runs jobs: the only owner of the run's state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, interval};

use super::event::{Event, Observer, Subject, Summary};
use super::jobs::{Job, Verb, jobs};
use super::queue::Queue;
use super::step::{Made, Task};
use crate::aws::{Aws, Notes, urgently};
use crate::graph::Graph;
use crate::kind::{AnyWrites, Class, KindError, Outputs, Result};
use crate::live;
use crate::plan::{Action, Plan};
use crate::stack::Stack;

/// How often a job that is at work is reported.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// A wish to stop a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Start nothing new, finish what is at work.
    Gently,
    /// The same, because the run may not go on: another one may be at work.
    Fenced,
    /// Stop at once.
    Now,
}

/// What a run works with.
pub struct Run<'a> {
    /// Clients.
    pub aws: Arc<Aws>,
    /// The stack.
    pub stack: &'a Stack,
    /// Its graph.
    pub graph: &'a Graph,
    /// The plan to carry out.
    pub plan: &'a Plan,
    /// The kinds with what can be done to their objects.
    pub writers: &'a [&'static dyn AnyWrites],
    /// How many jobs at once.
    pub parallelism: usize,
}

struct Active {
    job: usize,
    started: Instant,
    beat: Instant,
}

struct State<'a> {
    run: &'a Run<'a>,
    jobs: Vec<Job>,
    queue: Queue,
    outputs: BTreeMap<String, Outputs>,
    active: BTreeMap<Id, Active>,
    tasks: JoinSet<Result<Made>>,
    notes: mpsc::UnboundedSender<(usize, String)>,
    stopping: bool,
    summary: Summary,
    observer: &'a mut dyn Observer,
}

/// Carries a plan out and returns how it ended, with the outputs known then.
pub async fn run(
    run: &Run<'_>,
    mut stops: mpsc::UnboundedReceiver<Stop>,
    observer: &mut dyn Observer,
) -> (Summary, BTreeMap<String, Outputs>) {
    let jobs = jobs(run.plan, run.graph);
    let queue = Queue::new(jobs.iter().enumerate().map(|(index, job)| (index, job.after.clone())));
    let (sender, mut notes) = mpsc::unbounded_channel();
    let mut state = State {
        outputs: known_outputs(run),
        run,
        jobs,
        queue,
        active: BTreeMap::new(),
        tasks: JoinSet::new(),
        notes: sender,
        stopping: false,
        summary: Summary::default(),
        observer,
    };
    let mut beat = interval(HEARTBEAT);
    state.start();
    while !state.tasks.is_empty() {
        tokio::select! {
            // A stop first: nothing is started after it, however much has ended meanwhile.
            biased;
            Some(stop) = stops.recv() => state.stop(stop),
            Some(ended) = state.tasks.join_next_with_id() => state.ended(ended),
            Some((job, text)) = notes.recv() => state.note(job, text),
            _ = beat.tick() => state.beat(),
        }
        state.start();
    }
    let left = state.queue.drain();
    let left: Vec<_> = left.into_iter().map(|job| state.subject(job)).collect();
    state.summary.not_started.extend(left);
    (state.summary, state.outputs)
}

/// Returns what is known before anything is done: outputs of what stays, and what can be told of what comes.
fn known_outputs(run: &Run<'_>) -> BTreeMap<String, Outputs> {
    let mut outputs = live::predictions(run.stack, &run.aws.place);
    for step in run.plan.steps.iter().filter(|step| step.in_file) {
        if let (Some(found), Action::NoOp | Action::Leave) = (&step.found, step.action) {
            outputs.insert(step.id.clone(), found.outputs.clone());
        }
    }
    outputs
}

impl State<'_> {
    fn subject(&self, job: usize) -> Subject {
        let job = &self.jobs[job];
        let step = &self.run.plan.steps[job.step];
        Subject { kind: step.kind.type_name(), id: step.id.clone(), name: step.name.clone(), verb: job.verb }
    }

    /// Takes the next job of the kind that has the fewest at work: kinds wait for different APIs, each at its own rate.
    fn next(&mut self) -> Option<usize> {
        let kind = |job: usize| self.run.plan.steps[self.jobs[job].step].kind.type_name();
        let mut at_work: BTreeMap<&str, usize> = BTreeMap::new();
        for active in self.active.values() {
            *at_work.entry(kind(active.job)).or_default() += 1;
        }
        self.queue.take_fairly(|job| at_work.get(kind(job)).copied().unwrap_or_default())
    }

    fn start(&mut self) {
        while !self.stopping && self.active.len() < self.run.parallelism.max(1) {
            let Some(job) = self.next() else { return };
            self.observer.event(&Event::Started(self.subject(job)));
            let step = &self.run.plan.steps[self.jobs[job].step];
            let task = Task::new(self.run, step, self.jobs[job].verb, &self.outputs);
            let sender = self.notes.clone();
            let notes: Notes = Arc::new(move |text: &str| {
                // Nobody listens any more when the run is over; then the note does not matter.
                let _ = sender.send((job, text.to_owned()));
            });
            let work = urgently(self.queue.weight(job), task.run(self.run.aws.clone(), notes));
            let handle = self.tasks.spawn(work);
            let now = Instant::now();
            self.active.insert(handle.id(), Active { job, started: now, beat: now });
        }
    }

    fn ended(&mut self, ended: std::result::Result<(Id, Result<Made>), JoinError>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) if error.is_cancelled() => return,
            // What it was is told where it happens, without the values that its own message may have.
            Err(error) => (error.id(), Err(KindError::new(Class::Other, "the step broke off by a fault of stackctl"))),
        };
        let Some(active) = self.active.remove(&id) else { return };
        let (subject, elapsed) = (self.subject(active.job), active.started.elapsed());
        match result {
            Ok(made) => self.succeeded(active.job, subject, made, elapsed),
            Err(error) => self.failed(active.job, subject, error, elapsed),
        }
    }

    fn succeeded(&mut self, job: usize, subject: Subject, made: Made, elapsed: Duration) {
        if let Some(outputs) = made.outputs {
            self.outputs.insert(subject.id.clone(), outputs);
        }
        self.queue.succeed(job);
        self.summary.done.push(subject.clone());
        self.observer.event(&Event::Finished { subject, physical: made.physical, elapsed });
    }

    fn failed(&mut self, job: usize, subject: Subject, error: KindError, elapsed: Duration) {
        let lost: Vec<_> = self.queue.fail(job).into_iter().map(|job| self.subject(job)).collect();
        self.summary.skipped.extend(lost);
        self.summary.failed.push((subject.clone(), error.clone()));
        self.observer.event(&Event::Failed { subject, error, elapsed });
    }

    fn note(&mut self, job: usize, text: String) {
        let subject = self.subject(job);
        if let Some(active) = self.active.values_mut().find(|active| active.job == job) {
            active.beat = Instant::now();
            let elapsed = active.started.elapsed();
            self.observer.event(&Event::Progress { subject, text, elapsed });
        }
    }

    fn beat(&mut self) {
        let quiet: Vec<_> =
            self.active.values().filter(|active| active.beat.elapsed() >= HEARTBEAT).map(|active| active.job).collect();
        for job in quiet {
            let text = match self.jobs[job].verb {
                Verb::Create => "still creating",
                Verb::Update | Verb::Leave => "still modifying",
                Verb::Delete => "still destroying",
            };
            self.note(job, text.to_owned());
        }
    }

    fn stop(&mut self, stop: Stop) {
        self.stopping = true;
        match stop {
            Stop::Gently => self.observer.event(&Event::Stopping { running: self.active.len() }),
            Stop::Fenced => self.observer.event(&Event::Fenced { running: self.active.len() }),
            Stop::Now => {
                let unknown: Vec<_> =
                    std::mem::take(&mut self.active).into_values().map(|active| self.subject(active.job)).collect();
                self.summary.unknown.extend(unknown);
                self.tasks.abort_all();
            }
        }
    }
}
