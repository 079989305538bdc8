//! What happened in the local cloud: messages that would have been sent, and log lines. Both were written by others,
//! so no control character of theirs may reach the terminal.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::documents::FORMAT_VERSION;
use super::{Paint, line, safe};

/// Said when there is nothing to wait for.
pub const NOTHING_NEW: &str =
    "The local cloud is not served, so nothing more can come: `stackctl local serve` serves it.\n";

/// One message to one endpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Message {
    time: i64,
    topic: Option<String>,
    protocol: String,
    endpoint: String,
    subject: Option<String>,
    #[serde(rename = "message")]
    body: String,
    #[serde(default)]
    undelivered: Option<String>,
}

impl Message {
    /// Returns the message as a JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        let Self { time, topic, protocol, endpoint, subject, body, undelivered } = self;
        json!({
            "format_version": FORMAT_VERSION, "time": moment(*time), "protocol": protocol, "endpoint": endpoint,
            "topic": topic, "subject": subject, "message": body, "undelivered": undelivered,
        })
    }

    fn text(&self, paint: Paint) -> String {
        let topic = self.topic.as_deref().map(|topic| topic.rsplit(':').next().unwrap_or(topic));
        let from = topic.map(|topic| format!(", topic {}", line(topic))).unwrap_or_default();
        let to = paint.bold(&format!("{} to {}", line(&self.protocol), line(&self.endpoint)));
        let mut text = format!("{} {to}{from}\n", paint.dim(&moment(self.time)));
        if let Some(reason) = &self.undelivered {
            text += &format!("  {}\n", paint.yellow(&format!("not delivered: {}", line(reason))));
        }
        if let Some(subject) = &self.subject {
            text += &format!("  Subject: {}\n", line(subject));
        }
        let body = safe(&self.body);
        text + &body.lines().map(|one| format!("  {one}\n")).collect::<String>()
    }
}

/// Returns messages for people.
#[must_use]
pub fn messages_text(messages: &[Message], paint: Paint) -> String {
    messages.iter().map(|message| message.text(paint)).collect()
}

/// Returns the document of an outbox.
#[must_use]
pub fn messages_json(messages: &[Message]) -> Value {
    json!({ "format_version": FORMAT_VERSION, "messages": bare(messages.iter().map(Message::json)) })
}

/// One line of a log.
#[derive(Debug, Clone)]
pub struct Line {
    /// Milliseconds since the epoch.
    pub time: i64,
    /// Log stream, one for each process that ran the function.
    pub stream: String,
    /// What was written; it may have several lines.
    pub message: String,
}

impl Line {
    /// Returns the line as a JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        let time = moment(self.time);
        json!({ "format_version": FORMAT_VERSION, "time": time, "stream": self.stream, "message": self.message })
    }
}

/// Returns log lines for people.
#[must_use]
pub fn lines_text(lines: &[Line], paint: Paint) -> String {
    let one = |line: &Line| format!("{} {}\n", paint.dim(&moment(line.time)), safe(line.message.trim_end()));
    lines.iter().map(one).collect()
}

/// Returns the document of a function's log.
#[must_use]
pub fn lines_json(function: &str, lines: &[Line]) -> Value {
    let lines = bare(lines.iter().map(Line::json));
    json!({ "format_version": FORMAT_VERSION, "function": function, "lines": lines })
}

/// The document as a whole has the version already.
fn bare(values: impl Iterator<Item = Value>) -> Value {
    let without = |mut value: Value| {
        if let Some(fields) = value.as_object_mut() {
            fields.shift_remove("format_version");
        }
        value
    };
    values.map(without).collect()
}

fn moment(milliseconds: i64) -> String {
    let time = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages() -> Vec<Message> {
        let sms = json!({
            "time": 1_790_000_000_123_i64, "topic": "arn:aws:sns:us-east-1:000000000000:Airlines", "protocol": "sms",
            "endpoint": "+79990001122", "subject": null, "message": "Cheap:\n3200 RUB \u{1b}[2J",
        });
        let lost = json!({
            "time": 1_790_000_001_000_i64, "topic": null, "protocol": "lambda", "endpoint": "arn:f", "subject": "a\nb",
            "message": "m", "undelivered": "there is no such function",
        });
        [sms, lost].map(|value| serde_json::from_value(value).unwrap()).into()
    }

    #[test]
    fn messages_are_shown_with_all_that_matters() {
        insta::assert_snapshot!(messages_text(&messages(), Paint::default()), @r"
        2026-09-21T14:13:20.123Z sms to +79990001122, topic Airlines
          Cheap:
          3200 RUB �[2J
        2026-09-21T14:13:21.000Z lambda to arn:f
          not delivered: there is no such function
          Subject: a b
          m
        ");
        let document = messages_json(&messages());
        assert_eq!(document["format_version"], FORMAT_VERSION);
        assert_eq!(document["messages"][1]["undelivered"], "there is no such function");
        assert!(document["messages"][0].get("format_version").is_none());
    }

    #[test]
    fn lines_are_shown_with_their_time() {
        let line = |message: &str| Line { time: 0, stream: "s".to_owned(), message: message.to_owned() };
        insta::assert_snapshot!(lines_text(&[line("START\n"), line("a\u{7}b\nc\n")], Paint::default()), @r"
        1970-01-01T00:00:00.000Z START
        1970-01-01T00:00:00.000Z a�b
        c
        ");
        let document = lines_json("f", &[line("x")]);
        assert_eq!(
            document,
            json!({
                "format_version": FORMAT_VERSION, "function": "f",
                "lines": [{ "time": "1970-01-01T00:00:00.000Z", "stream": "s", "message": "x" }],
            })
        );
    }
}
