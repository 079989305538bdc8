//! The journal: every call from outside in the order of arrival, what the service made of it and what the client got.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::Bytes;
use http::Response;
use serde::Serialize;
use serde_json::{Value, json};

use super::cut;
use super::rule::What;
use super::seen::Seen;
use crate::local::router::Form;
use crate::local::{Fault, Outcome, envelope};

/// How many calls are kept; the oldest go first.
const KEPT: usize = 100_000;

const OK: &str = "ok";

/// One call.
#[derive(Debug, Clone, Serialize)]
struct Row {
    number: u64,
    service: &'static str,
    operation: String,
    resource: Option<String>,
    writes: bool,
    /// What the experiment did to it.
    trouble: Option<What>,
    /// What the service said: `ok`, an error code, or nothing when it was not asked or has not answered yet.
    outcome: Option<String>,
    /// What the client got: `ok`, an error code, `reset`, `garbage`, `gone` when it did not wait, or nothing yet.
    answer: Option<String>,
    start_ms: u64,
    end_ms: Option<u64>,
}

/// The calls so far.
pub(super) struct Journal {
    began: Instant,
    requests: AtomicU64,
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    kept: VecDeque<Row>,
    dropped: u64,
}

impl Rows {
    fn row(&mut self, number: u64) -> Option<&mut Row> {
        let index = number.checked_sub(self.dropped + 1)?;
        self.kept.get_mut(usize::try_from(index).ok()?)
    }
}

impl Journal {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), requests: AtomicU64::new(0), rows: Mutex::default() }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Counts a request and returns its number.
    pub(super) fn requests(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes the arrival of a call.
    pub(super) fn open(&self, seen: &Seen) -> Visit<'_> {
        let mut rows = self.rows();
        if rows.kept.len() == KEPT {
            rows.kept.pop_front();
            rows.dropped += 1;
        }
        let number = rows.dropped + u64::try_from(rows.kept.len()).unwrap_or_default() + 1;
        let Seen { service, operation, resource, writes } = seen.clone();
        let (trouble, outcome, answer, start_ms, end_ms) = (None, None, None, self.now(), None);
        let row = Row { number, service, operation, resource, writes, trouble, outcome, answer, start_ms, end_ms };
        rows.kept.push_back(row);
        Visit { journal: self, number, is_open: true }
    }

    /// Shows the calls after a number.
    pub(super) fn show(&self, after: u64) -> Value {
        let rows = self.rows();
        let calls: Vec<&Row> = rows.kept.iter().filter(|row| row.number > after).collect();
        json!({ "calls": calls, "dropped": rows.dropped })
    }

    /// Shows one call.
    pub(super) fn call(&self, number: u64) -> Value {
        self.rows().row(number).map_or(Value::Null, |row| json!(row))
    }
}

/// One call while it is being answered. A client that does not wait leaves `gone` behind.
pub(super) struct Visit<'a> {
    journal: &'a Journal,
    number: u64,
    is_open: bool,
}

impl Visit<'_> {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn note(&self, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self.journal.rows().row(self.number) {
            change(row);
        }
    }

    /// Notes what the experiment does.
    pub(super) fn troubled(&mut self, what: What) {
        self.note(|row| row.trouble = Some(what));
    }

    /// Notes what the service said.
    pub(super) fn did(&mut self, outcome: &Outcome) {
        let word = match outcome {
            Ok(_) => OK.to_owned(),
            Err(fault) => fault.code.clone(),
        };
        self.note(|row| row.outcome = Some(word));
    }

    fn end(&mut self, answer: &str) {
        let now = self.journal.now();
        self.note(|row| {
            row.answer = Some(answer.to_owned());
            row.end_ms = Some(now);
        });
        self.is_open = false;
    }

    /// Answers with what the service said.
    pub(super) fn answer(mut self, form: &Form, outcome: Outcome) -> Response<Bytes> {
        self.did(&outcome);
        self.end(outcome.as_ref().err().map_or(OK, |fault| fault.code.as_str()));
        envelope::respond(form, outcome)
    }

    /// Answers with a fault that the service knows nothing of.
    pub(super) fn refuse(mut self, form: &Form, fault: Fault) -> Response<Bytes> {
        self.end(&fault.code);
        envelope::respond(form, Err(fault))
    }

    /// Ends the connection instead of answering.
    pub(super) fn cut(mut self) -> Response<Bytes> {
        self.end("reset");
        cut::cut()
    }

    /// Answers with what nobody can read.
    pub(super) fn garbage(mut self, response: Response<Bytes>) -> Response<Bytes> {
        self.end("garbage");
        response
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.end("gone");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::Answer;

    fn seen(operation: &str) -> Seen {
        Seen { service: "iam", operation: operation.to_owned(), resource: None, writes: true }
    }

    #[test]
    fn calls_are_numbered_and_their_ends_are_told() {
        let journal = Journal::new();
        let form = Form::Json("application/json");
        journal.open(&seen("A")).answer(&form, Ok(Answer::json(json!({}))));
        journal.open(&seen("B")).answer(&form, Err(Fault::new("Busy", "no")));
        let mut lost = journal.open(&seen("C"));
        lost.did(&Ok(Answer::json(json!({}))));
        assert!(cut::is_cut(&lost.cut()));
        drop(journal.open(&seen("D")));
        let open = journal.open(&seen("E"));
        let shown = journal.show(0);
        let ends: Vec<_> =
            shown["calls"].as_array().unwrap().iter().map(|row| (&row["outcome"], &row["answer"])).collect();
        assert_eq!(
            format!("{ends:?}"),
            r#"[(String("ok"), String("ok")), (String("Busy"), String("Busy")), (String("ok"), String("reset")), (Null, String("gone")), (Null, Null)]"#
        );
        assert_eq!(journal.show(3)["calls"][0]["number"], 4);
        assert_eq!((journal.call(2)["operation"].clone(), journal.call(9)), (json!("B"), Value::Null));
        drop(open);
    }
}
