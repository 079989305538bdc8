//! What the user sees. The only place that writes to the terminal, so that secrets are masked once, for everything, and
//! what could do harm is taken out once, for everything.

pub mod documents;
pub mod drift;
pub mod events;
pub mod export;
pub mod fault;
pub mod local;
pub mod lock;
pub mod log;
pub mod plan;
pub mod progress;
pub mod send;
pub mod terraform;
pub mod values;
pub mod verify;

use std::io::{IsTerminal, Write};

use serde_json::Value;

use crate::stack::harmless::{escaped, uncommanded};
use crate::stack::secrets::Secrets;

pub use crate::stack::harmless::{line, safe};
pub use crate::stack::secrets::MASK;

/// The terminal: results to standard output, everything else to standard error, secrets to neither.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    secrets: Secrets,
    /// Colours on standard output.
    pub paint: Paint,
    /// Colours on standard error.
    pub paint_err: Paint,
    /// Whether standard error is a terminal that can show moving progress.
    pub live: bool,
    /// Whether standard output is one JSON event a line.
    pub events: bool,
}

impl Screen {
    /// Makes the screen of this process: colours on terminals, unless `NO_COLOR` or the flag says otherwise.
    #[must_use]
    pub fn of_process(no_color: bool, environment: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| environment(name).is_some_and(|value| !value.is_empty());
        let plain = no_color || set("NO_COLOR") || environment("TERM").as_deref() == Some("dumb");
        let forced = set("CLICOLOR_FORCE") && !no_color;
        Self {
            secrets: Secrets::default(),
            paint: Paint { on: forced || (!plain && std::io::stdout().is_terminal()) },
            paint_err: Paint { on: forced || (!plain && std::io::stderr().is_terminal()) },
            live: !plain && std::io::stderr().is_terminal() && !set("CI"),
            events: false,
        }
    }

    /// Hides these values from now on.
    pub fn hide(&mut self, secrets: &[String]) {
        self.secrets.add(secrets);
    }

    /// Replaces secrets in a text.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        self.secrets.masked(text)
    }

    /// Replaces secrets in all texts of a value.
    #[must_use]
    pub fn masked_value(&self, value: &Value) -> Value {
        self.secrets.masked_value(value)
    }

    /// Returns a text as it may be shown or written where no colours are, with whatever commands it has.
    #[must_use]
    pub fn fit(&self, text: &str) -> String {
        Paint::default().fit(&self.masked(text))
    }

    /// Returns a text as it may be shown on standard error.
    #[must_use]
    pub fn fit_err(&self, text: &str) -> String {
        uncommanded(&self.paint_err.fit(&self.masked(text)))
    }

    /// Writes a result. No line of it is a command to the CI system whose log it may become.
    ///
    /// # Errors
    /// Returns the error of standard output, such as a closed pipe.
    pub fn result(&self, text: &str) -> std::io::Result<()> {
        print(&uncommanded(&self.paint.fit(&self.masked(text))))
    }

    /// Writes a result that is a file or a list of commands, and would be another one with lines taken for commands.
    ///
    /// # Errors
    /// Returns the error of standard output.
    pub fn verbatim(&self, text: &str) -> std::io::Result<()> {
        print(&self.fit(text))
    }

    /// Writes a JSON result.
    ///
    /// # Errors
    /// Returns the error of standard output.
    pub fn json(&self, value: &Value) -> std::io::Result<()> {
        print(&self.document(value))
    }

    /// Returns a JSON result as text.
    #[must_use]
    pub fn document(&self, value: &Value) -> String {
        escaped(&format!("{:#}\n", self.masked_value(value)))
    }

    /// Writes one JSON event on a line of its own.
    ///
    /// # Errors
    /// Returns the error of standard output.
    pub fn json_line(&self, value: &Value) -> std::io::Result<()> {
        print(&escaped(&format!("{}\n", self.masked_value(value))))
    }

    /// Writes a message for the user. A closed standard error is no reason to stop.
    pub fn note(&self, text: &str) {
        let _ = std::io::stderr().lock().write_all(self.fit_err(text).as_bytes());
    }
}

fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Colours, or none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Makes paint that colours or does not.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self { on }
    }

    /// Tells whether it colours.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.on
    }

    /// Returns a text without what could do harm: of control sequences, colours stay where there are any.
    fn fit(self, text: &str) -> String {
        let mut parts = text.split('\x1b');
        let mut out = safe(parts.next().unwrap_or_default());
        for part in parts {
            out.push(if self.on && begins_with_colour(part) { '\x1b' } else { '\u{fffd}' });
            out.push_str(&safe(part));
        }
        out
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// For what is made.
    #[must_use]
    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// For what is deleted, and errors.
    #[must_use]
    pub fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    /// For what changes, and warnings.
    #[must_use]
    pub fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// For what matters most.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// For what matters least.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }
}

/// Tells whether what follows an escape makes it a colour, and none in which nothing can be read.
fn begins_with_colour(text: &str) -> bool {
    let code = text.strip_prefix('[').and_then(|rest| rest.split_once('m')).map(|(code, _)| code);
    code.is_some_and(|code| {
        code.split(';').all(|part| part.len() < 4 && part != "8" && part.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// Returns a count with its noun, in the plural where that is due.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod samples;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_masked_everywhere() {
        let mut screen = Screen::default();
        screen.hide(&["hunter2".into(), "hunter".into(), "a".into(), "4242".into()]);
        assert_eq!(screen.masked("a hunter2 b hunter"), "a (sensitive) b (sensitive)");
        assert_eq!(
            screen.masked_value(&json!({"k": ["xhunter2", 4242, 43]})),
            json!({"k": ["x(sensitive)", "(sensitive)", 43]})
        );
    }

    #[test]
    fn escaped_and_split_secrets_are_masked() {
        let mut screen = Screen::default();
        let secret = "pa\"ss\\word\nsecond line of it";
        screen.hide(&[secret.to_owned()]);
        for shown in [format!("{secret:?}"), json!([secret]).to_string(), secret.replace('\n', "\n      + | ")] {
            let masked = screen.masked(&shown);
            assert!(!masked.contains("ss") && !masked.contains("second"), "{masked}");
        }
        let secret = "pa\"s\u{1b}s\u{202e}word";
        screen.hide(&[secret.to_owned()]);
        for shown in [safe(secret), format!("{:?}", safe(secret)), line(secret)] {
            assert_eq!(screen.masked(&shown).trim_matches('"'), MASK, "made fit to be shown, it is still known");
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let text = "\x1b[31ma\x1b[0m\x1b[2J\x1b[8m\x1b]8;;x\x07\u{9b}1m\u{202e}\n\tb\x1b";
        let none = "\u{fffd}[31ma\u{fffd}[0m\u{fffd}[2J\u{fffd}[8m\u{fffd}]8;;x\u{fffd}\u{fffd}1m\u{fffd}\n\tb\u{fffd}";
        assert_eq!(Paint::new(false).fit(text), none);
        let colours = none.replacen("\u{fffd}[31ma\u{fffd}[0m", "\x1b[31ma\x1b[0m", 1);
        assert_eq!(Paint::new(true).fit(text), colours, "colours stay, and nothing else");
        let document = Screen::default().document(&json!({"k": "\u{1b}\u{9b}2J\u{7f}\u{202e}é"}));
        assert_eq!(document, "{\n  \"k\": \"\\u001b\\u009b2J\\u007f\\u202eé\"\n}\n");
    }
}
