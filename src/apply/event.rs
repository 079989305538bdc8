//! What happens during a run, for whoever shows it.

use std::time::Duration;

use crate::apply::jobs::Verb;
use crate::kind::KindError;

/// Which job an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Type of the resource.
    pub kind: &'static str,
    /// Logical id.
    pub id: String,
    /// Name, or identifier when there is no name.
    pub name: String,
    /// What is done.
    pub verb: Verb,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A job started.
    Started(Subject),
    /// A job says what it is waiting for, or that it is still at work.
    Progress {
        /// The job.
        subject: Subject,
        /// What it waits for.
        text: String,
        /// Time since it started.
        elapsed: Duration,
    },
    /// A job is done.
    Finished {
        /// The job.
        subject: Subject,
        /// Identifier in AWS.
        physical: String,
        /// Time it took.
        elapsed: Duration,
    },
    /// A job failed.
    Failed {
        /// The job.
        subject: Subject,
        /// Why.
        error: KindError,
        /// Time it took.
        elapsed: Duration,
    },
    /// The user asked to stop: nothing new is started.
    Stopping {
        /// Jobs still at work.
        running: usize,
    },
    /// The run lost its right to go on: nothing new is started.
    Fenced {
        /// Jobs still at work.
        running: usize,
    },
}

/// Takes events as they happen.
pub trait Observer {
    /// Takes one event.
    fn event(&mut self, event: &Event);
}

/// How a run ended.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Jobs that are done.
    pub done: Vec<Subject>,
    /// Jobs that failed, with their errors.
    pub failed: Vec<(Subject, KindError)>,
    /// Jobs that could not start because another failed.
    pub skipped: Vec<Subject>,
    /// Jobs that were not started because the user asked to stop, or because the run may not go on.
    pub not_started: Vec<Subject>,
    /// Jobs that were at work when the run was cut off: their result is not known.
    pub unknown: Vec<Subject>,
}

impl Summary {
    /// Tells whether everything was done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty() && self.not_started.is_empty() && self.unknown.is_empty()
    }

    /// Counts what was made, changed and deleted.
    #[must_use]
    pub fn count(&self, verb: Verb) -> usize {
        self.done.iter().filter(|subject| subject.verb == verb).count()
    }
}
