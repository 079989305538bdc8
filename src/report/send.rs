//! How sending goes on, and how it ended.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::documents::FORMAT_VERSION;
use super::{Screen, count};

/// How often a log that is no terminal hears of progress.
const EVERY: Duration = Duration::from_secs(5);

/// What has been sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sent {
    /// Name of the stream.
    pub stream: String,
    /// Records that the stream took.
    pub records: u64,
    /// Records that were to be sent.
    pub of: u64,
    /// Bytes of what the stream took.
    pub bytes: u64,
    /// Records that had to be sent again, each time counted.
    pub retries: u64,
    /// Time that it took.
    pub elapsed: Duration,
    /// Whether a signal ended it early.
    pub interrupted: bool,
}

impl Sent {
    fn rate(&self) -> f64 {
        // A run shorter than the clock's tick has no rate worth showing.
        #[expect(clippy::cast_precision_loss, reason = "a rate for people; nobody sends 2^52 records")]
        let records = self.records as f64;
        records / self.elapsed.as_secs_f64().max(0.001)
    }

    /// Returns the closing line.
    #[must_use]
    pub fn text(&self) -> String {
        let all = if self.interrupted {
            format!("Interrupted: sent {} of {}", self.records, self.of)
        } else {
            format!("Sent {}", self.records)
        };
        let noun = if self.of == 1 { "record" } else { "records" };
        let retries = usize::try_from(self.retries).unwrap_or(usize::MAX);
        let retries = if retries == 1 { "1 retry".to_owned() } else { format!("{retries} retries") };
        let seconds = self.elapsed.as_secs_f64();
        let (bytes, rate) = (size(self.bytes), self.rate());
        format!("{all} {noun} ({bytes}) to {} in {seconds:.1}s: {rate:.0} records/s, {retries}.\n", self.stream)
    }

    /// Returns the document.
    #[must_use]
    pub fn json(&self) -> Value {
        let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
        json!({
            "format_version": FORMAT_VERSION,
            "stream": self.stream,
            "records": self.records,
            "records_total": self.of,
            "bytes": self.bytes,
            "retries": self.retries,
            "seconds": rounded(self.elapsed.as_secs_f64()),
            "records_per_second": rounded(self.rate()),
            "interrupted": self.interrupted,
        })
    }
}

fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    let number = bytes as f64;
    match bytes {
        0..1_000 => count(usize::try_from(bytes).unwrap_or_default(), "byte"),
        1_000..1_000_000 => format!("{:.1} kB", number / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", number / 1e6),
        _ => format!("{:.1} GB", number / 1e9),
    }
}

/// A bar on a terminal; a line now and then elsewhere.
pub struct Progress<'a> {
    screen: &'a Screen,
    bar: ProgressBar,
    total: u64,
    told: Instant,
}

impl<'a> Progress<'a> {
    /// Starts at nothing of `total` records.
    #[must_use]
    pub fn new(screen: &'a Screen, total: u64) -> Self {
        let bar = if screen.live { ProgressBar::new(total) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("  {bar:30} {pos}/{len} records  {per_sec}  {msg}{eta}") {
            bar.set_style(style);
        }
        Self { screen, bar, total, told: Instant::now() }
    }

    /// Shows how many records have been sent.
    pub fn at(&mut self, records: u64) {
        self.bar.set_position(records);
        if !self.screen.live && self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            self.screen.note(&format!("{records} of {} records sent\n", self.total));
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Says what a run is waiting for, with its time on a terminal.
#[must_use]
pub fn waiting(screen: &Screen, text: &str) -> ProgressBar {
    if !screen.live {
        screen.note(&format!("{text}\n"));
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message(screen.fit_err(text));
    if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines() {
        let sent = Sent {
            stream: "airline_tickets".into(),
            records: 1000,
            of: 1000,
            bytes: 312_000,
            elapsed: Duration::from_millis(800),
            ..Sent::default()
        };
        let cut = Sent { records: 1, of: 2, retries: 1, bytes: 12, interrupted: true, ..sent.clone() };
        insta::assert_snapshot!(format!("{}{}{:#}", sent.text(), cut.text(), cut.json()));
    }
}
