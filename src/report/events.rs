//! A run as JSON: one event a line, in Terraform's vocabulary.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Screen;
use super::documents::FORMAT_VERSION;
use crate::apply::event::{Event, Observer, Subject, Summary};
use crate::apply::jobs::Verb;

/// Writes each event to standard output.
pub struct JsonLines<'a> {
    screen: &'a Screen,
}

impl<'a> JsonLines<'a> {
    /// Makes a writer for a screen.
    #[must_use]
    pub fn new(screen: &'a Screen) -> Self {
        Self { screen }
    }

    /// Writes one event of a type, with its message and fields.
    pub fn line(&self, level: &str, kind: &str, message: &str, fields: Value) {
        let mut line = json!({
            "@level": level,
            "@message": message,
            "@timestamp": Timestamp::now().to_string(),
            "format_version": FORMAT_VERSION,
            "type": kind,
        });
        if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
            line.extend(fields);
        }
        // A reader that went away does not stop a run half way.
        let _ = self.screen.json_line(&line);
    }

    /// Writes how the run ended.
    pub fn summary(&self, summary: &Summary, destroy: bool) {
        let message = super::progress::closing(summary, destroy);
        let names = |subjects: &[Subject]| subjects.iter().map(|subject| subject.id.clone()).collect::<Vec<_>>();
        let fields = json!({"changes": {
            "add": summary.count(Verb::Create),
            "change": summary.count(Verb::Update),
            "remove": summary.count(Verb::Delete),
            "failed": summary.failed.iter().map(|(subject, _)| subject.id.clone()).collect::<Vec<_>>(),
            "skipped": names(&summary.skipped),
            "not_started": names(&summary.not_started),
            "unknown": names(&summary.unknown),
        }});
        self.line("info", "change_summary", message.trim_end(), fields);
    }
}

/// Warns: in an event where a run is told in events, else in a message.
pub fn warn(screen: &Screen, message: &str, help: &str) {
    if screen.events {
        JsonLines::new(screen).line("warn", "diagnostic", message, json!({"severity": "warning", "help": help}));
    } else {
        screen.note(&format!("warning: {message}\n  help: {help}\n"));
    }
}

impl Observer for JsonLines<'_> {
    fn event(&mut self, event: &Event) {
        let hook = |subject: &Subject| json!({"resource": {"id": subject.id, "type": subject.kind, "name": subject.name}, "action": verb(subject.verb)});
        match event {
            Event::Started(subject) => {
                self.line("info", "apply_start", &format!("{}: started", subject.id), json!({"hook": hook(subject)}));
            }
            Event::Progress { subject, text, elapsed } => {
                let fields = json!({"hook": hook(subject), "elapsed_seconds": elapsed.as_secs_f64()});
                self.line("info", "apply_progress", &format!("{}: {text}", subject.id), fields);
            }
            Event::Finished { subject, physical, elapsed } => {
                let fields =
                    json!({"hook": hook(subject), "physical_id": physical, "elapsed_seconds": elapsed.as_secs_f64()});
                self.line("info", "apply_complete", &format!("{}: done", subject.id), fields);
            }
            Event::Failed { subject, error, elapsed } => {
                let fields = json!({
                    "hook": hook(subject), "elapsed_seconds": elapsed.as_secs_f64(),
                    "error": {"operation": error.operation, "code": error.code, "message": error.message, "request_id": error.request_id, "help": error.hint},
                });
                self.line("error", "apply_errored", &format!("{}: {error}", subject.id), fields);
            }
            Event::Stopping { running } => {
                let message = format!("stopping: waiting for {}", super::count(*running, "step"));
                self.line("warn", "diagnostic", &message, json!({"severity": "warning"}));
            }
            Event::Fenced { running } => {
                let message = format!("the lease is lost: waiting for {}", super::count(*running, "step"));
                self.line("error", "diagnostic", &message, json!({"severity": "error"}));
            }
        }
    }
}

fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Delete => "delete",
        Verb::Leave => "leave",
    }
}
