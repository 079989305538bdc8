//! The log of one invocation: written to the function's log group as it goes, its end kept for the caller.

use super::report;
use super::subject::Subject;
use super::wire::Piece;
use crate::local::{Cloud, logs};

/// What `x-amz-log-result` has at most.
const LONGEST_TAIL: usize = 4096;

/// A log under construction.
pub(super) struct Journal<'a> {
    cloud: &'a Cloud,
    subject: &'a Subject,
    pub(super) request: &'a str,
    /// Log stream of the process.
    pub(super) stream: String,
    /// The process has said that the log of what it does is complete.
    pub(super) is_complete: bool,
    unwritten: Vec<(i64, String)>,
    tail: String,
}

/// Returns the time in milliseconds.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Names the log stream of a new process.
pub(super) fn new_stream() -> String {
    let day = jiff::Timestamp::now().strftime("%Y/%m/%d/[$LATEST]").to_string();
    format!("{day}{}", uuid::Uuid::new_v4().simple())
}

impl<'a> Journal<'a> {
    pub(super) fn new(cloud: &'a Cloud, subject: &'a Subject, request: &'a str, stream: String) -> Self {
        Self { cloud, subject, request, stream, is_complete: false, unwritten: Vec::new(), tail: String::new() }
    }

    /// Adds a line.
    pub(super) fn add(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.tail += &text;
        self.tail.push('\n');
        let mut cut = self.tail.len().saturating_sub(LONGEST_TAIL);
        while !self.tail.is_char_boundary(cut) {
            cut += 1;
        }
        self.tail.drain(..cut);
        self.unwritten.push((now(), text));
    }

    /// Adds what the local cloud itself has to say.
    pub(super) fn note(&mut self, text: &str) {
        self.add(format!("LOCAL\t{}\t{text}", report::moment(now())));
    }

    /// Adds a piece of the process's log.
    pub(super) fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Line(text) => self.add(text),
            // One that comes too late is of an earlier event; the start of a process has no event.
            Piece::End(request) => {
                self.is_complete |= request == self.request || request.bytes().all(|byte| byte == b'0');
            }
        }
    }

    /// Writes what was added so far. A log that cannot be written stops no function.
    pub(super) fn flush(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.unwritten);
        let (call, place) = (self.subject.call("PutLogEvents"), (self.subject.logging.group.as_str(), &*self.stream));
        let role = &self.subject.role;
        let done = self.cloud.rows().transaction(&call, |tx| logs::deliver(tx, &call, role, place, &lines));
        match done {
            Ok(true) => {}
            Ok(false) => tracing::debug!("the role of {} lets it write no logs to {}", self.subject.name, place.0),
            Err(fault) => tracing::warn!("the log of {} could not be written: {}", self.subject.name, fault.message),
        }
    }

    /// Writes the rest and returns the end of the log.
    pub(super) fn finish(mut self) -> String {
        self.flush();
        self.tail
    }
}
