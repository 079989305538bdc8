//! Tumbling windows: which one a record belongs to, and what an event says of it; pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::event::moment;

/// The largest state that a function may carry from batch to batch, in bytes.
const MOST_STATE: usize = 1 << 20;

/// A window that has had records and is not finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    /// Milliseconds since the epoch.
    pub(super) start: i64,
    pub(super) end: i64,
    /// What the function gave back last.
    pub(super) state: Value,
}

/// How a window's last invocation comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// There may be more records.
    Open,
    /// Its time is over.
    Final,
    /// The state is too large, or the shard ends.
    Early,
}

impl Window {
    /// Opens the window of a time.
    pub(super) fn of(time: i64, length: i64) -> Self {
        let start = time - time.rem_euclid(length);
        Self { start, end: start + length, state: json!({}) }
    }

    /// Tells whether a record that arrived at a time belongs into the window. One that is late does.
    pub(super) fn takes(&self, time: i64) -> bool {
        time < self.end
    }

    /// Takes over the state of an answer; none stays empty.
    pub(super) fn answered(&mut self, answer: &Value) {
        self.state = answer.get("state").filter(|state| !state.is_null()).cloned().unwrap_or_else(|| json!({}));
    }

    /// Tells whether the window must end for the size of its state.
    pub(super) fn is_full(&self) -> bool {
        self.state.to_string().len() > MOST_STATE
    }

    /// Adds what an event says of its window.
    pub(super) fn mark(&self, event: &mut Map<String, Value>, shard: &str, source: &str, close: Close) {
        event.insert("window".to_owned(), json!({ "start": moment(self.start), "end": moment(self.end) }));
        event.insert("state".to_owned(), self.state.clone());
        event.insert("shardId".to_owned(), json!(shard));
        event.insert("eventSourceARN".to_owned(), json!(source));
        event.insert("isFinalInvokeForWindow".to_owned(), json!(close != Close::Open));
        event.insert("isWindowTerminatedEarly".to_owned(), json!(close == Close::Early));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lie_side_by_side() {
        let window = Window::of(119_999, 60_000);
        assert_eq!((window.start, window.end), (60_000, 120_000));
        assert!(window.takes(119_999) && window.takes(1) && !window.takes(120_000));
        assert_eq!(Window::of(120_000, 60_000).start, 120_000);
    }

    #[test]
    fn an_event_tells_its_window() {
        let mut window = Window::of(0, 60_000);
        window.answered(&json!({ "state": { "n": 1 } }));
        let mut event = Map::new();
        window.mark(&mut event, "shard", "arn", Close::Early);
        let wanted = json!({
            "window": { "start": "1970-01-01T00:00:00Z", "end": "1970-01-01T00:01:00Z" }, "state": { "n": 1 },
            "shardId": "shard", "eventSourceARN": "arn", "isFinalInvokeForWindow": true,
            "isWindowTerminatedEarly": true,
        });
        assert_eq!(Value::Object(event), wanted);
        window.answered(&json!(null));
        assert_eq!(window.state, json!({}));
        assert!(!window.is_full());
        window.answered(&json!({ "state": "x".repeat(MOST_STATE) }));
        assert!(window.is_full());
    }
}
