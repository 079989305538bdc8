//! A run for people: a line for each thing that happened and, on a terminal, the running steps below with their time.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Paint, Screen, count, line, safe};
use crate::apply::event::{Event, Observer, Subject, Summary};
use crate::apply::jobs::Verb;

/// Shows a run on standard error.
pub struct Human<'a> {
    screen: &'a Screen,
    bars: MultiProgress,
    running: BTreeMap<String, ProgressBar>,
}

impl<'a> Human<'a> {
    /// Makes a display for a screen.
    #[must_use]
    pub fn new(screen: &'a Screen) -> Self {
        Self { screen, bars: MultiProgress::new(), running: BTreeMap::new() }
    }

    fn line(&self, text: &str) {
        if self.screen.live {
            // Printing above the bars keeps them whole; when that fails there is no terminal to print on.
            let _ = self.bars.println(self.screen.fit_err(text));
        } else {
            self.screen.note(&format!("{text}\n"));
        }
    }

    fn begin(&mut self, subject: &Subject) {
        let text = format!("{}: {}…", label(subject), doing(subject.verb));
        if !self.screen.live {
            return self.line(&text);
        }
        let bar = self.bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(self.screen.fit_err(&text));
        bar.enable_steady_tick(Duration::from_millis(120));
        self.running.insert(key(subject), bar);
    }

    fn end(&mut self, subject: &Subject) {
        if let Some(bar) = self.running.remove(&key(subject)) {
            bar.finish_and_clear();
        }
    }

    fn progress(&mut self, subject: &Subject, text: &str, elapsed: Duration) {
        let text = line(text);
        match self.running.get(&key(subject)) {
            Some(bar) => bar.set_message(self.screen.fit_err(&format!("{}: {text}", label(subject)))),
            None => self.line(&format!("{}: {text} [{}]", label(subject), seconds(elapsed))),
        }
    }

    fn colours(&self) -> Paint {
        self.screen.paint_err
    }
}

impl Observer for Human<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Started(subject) => self.begin(subject),
            Event::Progress { subject, text, elapsed } => self.progress(subject, text, *elapsed),
            Event::Finished { subject, physical, elapsed } => {
                self.end(subject);
                let id = if *physical == subject.id { String::new() } else { format!(" [{}]", line(physical)) };
                let text = format!("{}: {} after {}{id}", label(subject), done(subject.verb), seconds(*elapsed));
                self.line(&self.colours().green(&text));
            }
            Event::Failed { subject, error, elapsed } => {
                self.end(subject);
                let text =
                    format!("{}: failed after {}: {}", label(subject), seconds(*elapsed), safe(&error.to_string()));
                self.line(&self.colours().red(&text));
            }
            Event::Stopping { running } => {
                let text = format!(
                    "Stopping: nothing new is started; waiting for {}. Interrupt again to stop at once.",
                    count(*running, "step")
                );
                self.line(&self.colours().yellow(&text));
            }
            Event::Fenced { running } => {
                let text = format!(
                    "The lease on the stack is lost: nothing new is started; waiting for {}.",
                    count(*running, "step")
                );
                self.line(&self.colours().red(&text));
            }
        }
    }
}

fn key(subject: &Subject) -> String {
    format!("{:?} {}", subject.verb, label(subject))
}

fn label(subject: &Subject) -> String {
    line(&format!("{}.{}", subject.kind, subject.id))
}

fn doing(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "creating",
        Verb::Update => "modifying",
        Verb::Delete => "destroying",
        Verb::Leave => "leaving",
    }
}

fn done(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "created",
        Verb::Update => "modified",
        Verb::Delete => "destroyed",
        Verb::Leave => "left in AWS",
    }
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(10) { format!("{:.1}s", time.as_secs_f64()) } else { format!("{}s", time.as_secs()) }
}

/// Shows what failed, with causes and advice, and what was left undone because of it.
#[must_use]
pub fn failures(summary: &Summary, paint: Paint) -> String {
    let mut out = String::new();
    for (subject, error) in &summary.failed {
        out.push_str(&format!("\n{} {}: {}\n", paint.red("error:"), label(subject), safe(&error.to_string())));
        if let Some(hint) = &error.hint {
            out.push_str(&format!("  help: {}\n", line(hint)));
        }
    }
    for (title, subjects) in [
        ("Not done, because something that they need failed", &summary.skipped),
        ("Not started", &summary.not_started),
        ("Cut off, result unknown", &summary.unknown),
    ] {
        if !subjects.is_empty() {
            let names: Vec<_> =
                subjects.iter().map(|subject| format!("{} ({})", label(subject), doing(subject.verb))).collect();
            out.push_str(&format!("\n{title}: {}\n", names.join(", ")));
        }
    }
    if !summary.is_complete() {
        out.push_str("\nRun the same command again to go on: what is done stays done.\n");
    }
    out
}

/// Returns the last line of a run.
#[must_use]
pub fn closing(summary: &Summary, destroy: bool) -> String {
    let word = match (summary.is_complete(), destroy) {
        (true, true) => "Destroy complete!",
        (true, false) => "Apply complete!",
        (false, true) => "Destroy incomplete.",
        (false, false) => "Apply incomplete.",
    };
    format!(
        "{word} Resources: {} added, {} changed, {} destroyed.\n",
        summary.count(Verb::Create),
        summary.count(Verb::Update),
        summary.count(Verb::Delete)
    )
}
