//! Tells the application's log stream what goes wrong, in the form of "Configuration Errors" of the developer guide.
//!
//! The guide has the codes `InputError` and `ReferenceDataError`; `OutputError` and `ApplicationError` are ours. The
//! same message is written once until things are fine again.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Desk, now};
use crate::local::analytics::Application;
use crate::local::{Cloud, Input, Who};

/// The log of one application, or none.
pub(super) struct Journal {
    cloud: Cloud,
    target: Option<Target>,
    arn: String,
    version: u64,
    /// The last message of each part.
    told: BTreeMap<String, String>,
}

struct Target {
    who: Who,
    group: String,
    stream: String,
}

impl Journal {
    pub(super) fn new(desk: &Desk, application: &Application) -> Self {
        let target = application.logging.first().and_then(|option| {
            let (_, names) = option.body["LogStreamARN"].as_str()?.split_once(":log-group:")?;
            let (group, stream) = names.split_once(":log-stream:")?;
            let role = option.body["RoleARN"].as_str().map(str::to_owned);
            let who = Who { role, ..desk.who.clone() };
            Some(Target { who, group: group.to_owned(), stream: stream.to_owned() })
        });
        let (arn, version) = (application.arn.clone(), application.version);
        Self { cloud: desk.cloud.clone(), target, arn, version, told: BTreeMap::new() }
    }

    /// Forgets what was told of a part: it works.
    pub(super) fn fine(&mut self, part: &str) {
        self.told.remove(part);
    }

    /// Writes an error of a part, if it is new.
    pub(super) async fn error(&mut self, message: &str, part: Option<&str>, code: &str) {
        let before = self.told.insert(part.unwrap_or_default().to_owned(), message.to_owned());
        let Some(target) = self.target.as_ref().filter(|_| before.as_deref() != Some(message)) else { return };
        let mut entry = json!({
            "applicationARN": self.arn, "applicationVersionId": self.version.to_string(), "messageType": "ERROR",
            "message": message,
        });
        if let Some(part) = part {
            entry[if code == "OutputError" { "outputId" } else { "inputId" }] = json!(part);
        }
        entry["errorCode"] = json!(code);
        entry["messageSchemaVersion"] = json!("1");
        let events = json!({
            "logGroupName": target.group, "logStreamName": target.stream,
            "logEvents": [{ "timestamp": now(), "message": entry.to_string() }],
        });
        // A log that cannot be written to has nowhere to say so.
        let _ = self.cloud.ask(&target.who, "logs", "PutLogEvents", Input::Json(events)).await;
    }
}
