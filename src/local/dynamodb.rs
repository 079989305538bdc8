//! DynamoDB: the `dynoxide` engine, and around it what it lacks (`facts/aws.md` 9).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use dynoxide::Database;
use serde_json::{Value, json};

use super::store::{Store, Table};
use super::{Answer, Call, Fault, Outcome, unknown_operation};

/// Mirror of the tables: key is the name, value has `arn`, `tags` and `stream_arn`.
pub(crate) const TABLES: Table = Table::regional("dynamodb.table");

/// The tables of all accounts and regions.
pub(crate) struct Tables {
    home: Option<PathBuf>,
    engines: Mutex<HashMap<(String, String), Database>>,
}

impl Tables {
    /// Makes the service; `home` is the folder of its state, none for memory.
    pub(crate) fn new(home: Option<PathBuf>) -> Self {
        Self { home, engines: Mutex::default() }
    }

    /// Answers one call.
    pub(crate) fn handle(&self, rows: &Store, call: &Call) -> Outcome {
        let _ = (
            rows,
            &self.home,
            &self.engines,
            PoisonError::<()>::new(()),
            json!({}),
            Value::Null,
            Answer::json(Value::Null),
        );
        Err::<Answer, Fault>(unknown_operation(call))
    }
}
