//! What is remembered of the values that a run gave to variables, so that another run can be given the same.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is remembered of a value that was given from outside the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// The value, as the declared type has it.
    Value(Value),
    /// That a sensitive variable had one.
    Secret,
}

impl Given {
    /// Remembers the value of a variable with this declaration; in doubt it is sensitive.
    pub(super) fn of(declaration: &Value, value: Option<&Value>) -> Self {
        match declaration.get("sensitive") {
            None | Some(Value::Bool(false)) => Self::Value(value.cloned().unwrap_or_default()),
            _ => Self::Secret,
        }
    }
}
