//! What there is to run: one function as it was configured at the moment of a call.

use std::time::Duration;

use serde_json::Value;

use crate::local::lambda::function::Function;
use crate::local::{Call, Cloud, Fault, Input, Who};

/// One function in one version.
#[derive(Debug, Clone)]
pub(in crate::local::lambda) struct Subject {
    pub(super) account: String,
    pub(super) region: String,
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) role: String,
    pub(super) runtime: String,
    pub(super) handler: String,
    /// Megabytes.
    pub(super) memory: u64,
    pub(super) timeout: Duration,
    pub(super) variables: Vec<(String, String)>,
    pub(super) logging: Logging,
    pub(super) has_layers: bool,
    /// Changes with the code and with each setting.
    pub(super) version: String,
    pub(super) reserved: Option<u64>,
    /// ARN of the topic or queue that gets events which failed.
    pub(super) dead_letters: Option<String>,
}

/// How a function logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Logging {
    pub(super) group: String,
    pub(super) json: bool,
    /// Least level of what the function logs; empty in the text format.
    pub(super) application: String,
    /// Least level of what Lambda logs.
    pub(super) system: String,
}

impl Subject {
    /// Reads a function's row; only Python runs here.
    pub(in crate::local::lambda) fn of(call: &Call, function: &Function) -> Result<Self, Fault> {
        let runtime = function.text("Runtime").to_owned();
        if !runtime.starts_with("python3.") {
            let text = format!("The local cloud runs Python functions only, not {runtime}");
            return Err(Fault::with_status(502, "InvalidRuntimeException", text));
        }
        let inner = |field: &str, part: &str| function.configuration.get(field).and_then(|inner| inner.get(part));
        let text = |field: &str, part: &str| inner(field, part).and_then(Value::as_str).map(str::to_owned);
        let number = |field: &str, usual| function.configuration.get(field).and_then(Value::as_u64).unwrap_or(usual);
        let variables = inner("Environment", "Variables").and_then(Value::as_object).into_iter().flatten();
        let log = |part: &str| text("LoggingConfig", part).unwrap_or_default();
        Ok(Self {
            account: call.account.clone(),
            region: call.region.clone(),
            name: function.name().to_owned(),
            arn: function.arn.clone(),
            role: function.text("Role").to_owned(),
            handler: function.text("Handler").to_owned(),
            memory: number("MemorySize", 128),
            timeout: Duration::from_secs(number("Timeout", 3)),
            variables: variables.map(|(name, value)| (name.clone(), plain(value))).collect(),
            logging: Logging {
                group: log("LogGroup"),
                json: log("LogFormat") == "JSON",
                application: log("ApplicationLogLevel"),
                system: log("SystemLogLevel"),
            },
            has_layers: function.configuration.contains_key("Layers"),
            version: format!("{} {}", function.text("CodeSha256"), function.text("RevisionId")),
            reserved: function.reserved,
            dead_letters: text("DeadLetterConfig", "TargetArn"),
            runtime,
        })
    }

    /// Returns the function's name.
    pub(in crate::local::lambda) fn name(&self) -> &str {
        &self.name
    }

    /// Makes a call of the cloud itself in the function's account and region.
    pub(super) fn call(&self, operation: &str) -> Call {
        let mut call = Call::new(operation, Input::Json(Value::Null), jiff::Timestamp::now().as_millisecond());
        call.account.clone_from(&self.account);
        call.region.clone_from(&self.region);
        call
    }

    /// Says for whom the cloud calls when it delivers for the function.
    pub(super) fn who(&self, cloud: &Cloud) -> Who {
        Who {
            account: self.account.clone(),
            region: self.region.clone(),
            role: Some(self.role.clone()),
            endpoint: cloud.address().unwrap_or_default().to_owned(),
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
