//! How long changes of state take: for all services, or for some.

use std::collections::BTreeMap;

use crate::local::Input;

/// What can have a delay of its own: services, and event source mappings apart from functions.
const NAMES: &[&str] = &["analytics", "dynamodb", "ec2", "kinesis", "lambda", "mapping"];

/// Milliseconds that changes of state take (CREATING, UPDATING, DELETING, pending, STARTING).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Delays {
    all: u32,
    some: BTreeMap<&'static str, u32>,
}

impl Delays {
    /// Reads `500`, `kinesis=200,lambda=50` or both, `500,mapping=2000`; none when the text is something else.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut delays = Self::default();
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                Some((name, time)) => {
                    let name = NAMES.iter().find(|known| **known == name.trim())?;
                    delays.some.insert(name, time.trim().parse().ok()?);
                }
                None => delays.all = part.parse().ok()?,
            }
        }
        Some(delays)
    }

    /// The same delay for everything.
    #[cfg(test)]
    pub(crate) fn all(all: u32) -> Self {
        Self { all, some: BTreeMap::new() }
    }

    /// Returns the delay of a service.
    pub(crate) fn of(&self, service: &str) -> u32 {
        let name = if service == "kinesisanalytics" { "analytics" } else { service };
        self.some.get(name).copied().unwrap_or(self.all)
    }

    /// Returns the delay of what a call changes.
    pub(super) fn for_call(&self, service: &str, input: &Input) -> i64 {
        let of_mapping = match input {
            Input::Rest { segments, .. } => segments.iter().any(|part| part == "event-source-mappings"),
            _ => false,
        };
        let own = self.some.get("mapping").copied().filter(|_| of_mapping);
        i64::from(own.unwrap_or_else(|| self.of(service)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_things_have_a_delay_of_their_own() {
        let delays = Delays::read("500, kinesis=200,mapping = 7").unwrap();
        assert_eq!((delays.of("ec2"), delays.of("kinesis"), delays.of("lambda")), (500, 200, 500));
        let path = |text: &str| Input::Rest {
            segments: text.split('/').map(str::to_owned).collect(),
            query: Vec::new(),
            body: serde_json::Value::Null,
        };
        assert_eq!(delays.for_call("lambda", &path("2015-03-31/event-source-mappings")), 7);
        assert_eq!(delays.for_call("lambda", &path("2015-03-31/functions")), 500);
        assert_eq!(Delays::read("analytics=3").unwrap().of("kinesisanalytics"), 3);
        for wrong in ["soon", "kinesis", "stream=2", "kinesis=", "-1", "1,,2", ""] {
            assert_eq!(Delays::read(wrong), None, "{wrong}");
        }
    }
}
