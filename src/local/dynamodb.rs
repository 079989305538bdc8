//! DynamoDB: the `dynoxide` engine, and around it what it lacks (`facts/aws.md` 9).
//!
//! The engine keeps schemas, settings and items. Tags, point-in-time recovery, encryption changes, index
//! throughput and the states that a table passes through stand in the rows of [`TABLES`].

mod control;
mod engine;
mod row;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use dynoxide::Database;
use serde_json::Value;

use super::store::{Store, Table};
use super::{Call, Fault, Outcome, private, unknown_operation};
use control::Desk;
use engine::{Engine, answer};

/// Mirror of the tables: key is the name, value has `arn`, `tags` and `stream_arn`.
pub(crate) const TABLES: Table = Table::regional("dynamodb.table");

/// The tables of all accounts and regions.
pub(crate) struct Tables {
    home: Option<PathBuf>,
    engines: Mutex<HashMap<(String, String), Database>>,
    /// Makes engine and rows change together.
    gate: Mutex<()>,
}

impl Tables {
    /// Makes the service; `home` is the folder of its state, none for memory.
    pub(crate) fn new(home: Option<PathBuf>) -> Self {
        Self { home, engines: Mutex::default(), gate: Mutex::default() }
    }

    /// Answers one call.
    pub(crate) fn handle(&self, rows: &Store, call: &Call) -> Outcome {
        let engine = Engine { database: self.engine(call)?, call };
        let body = named(call)?;
        let desk =
            Desk { engine: &engine, rows, call, name: body["TableName"].as_str().unwrap_or_default(), body: &body };
        if engine::ITEMS.contains(&call.operation.as_str()) {
            desk.check_readable()?;
            return engine.item(&call.operation, &body).map(answer).ok_or_else(|| unknown_operation(call));
        }
        desk.finish_deletions(&self.gate)?;
        let other = || engine.table(&call.operation, &body).map(answer).ok_or_else(|| unknown_operation(call));
        desk.control(&self.gate).unwrap_or_else(other)
    }

    fn engine(&self, call: &Call) -> Result<Database, Fault> {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (call.account.clone(), call.region.clone());
        if let Some(engine) = engines.get(&place) {
            return Ok(engine.clone());
        }
        let engine = match &self.home {
            Some(home) => open(&home.join(&call.account), &call.region)?,
            None => Database::memory().map_err(|cause| broken(&cause))?,
        };
        engines.insert(place, engine.clone());
        Ok(engine)
    }
}

fn open(folder: &std::path::Path, region: &str) -> Result<Database, Fault> {
    let path = folder.join(format!("{region}.sqlite"));
    private::make(folder).and_then(|()| private::begin(&path)).map_err(|cause| broken(&cause))?;
    Database::new(&path.to_string_lossy()).map_err(|cause| broken(&cause))
}

fn broken(cause: &dyn std::fmt::Display) -> Fault {
    let hint = "`stackctl local reset` starts afresh";
    Fault::with_status(
        500,
        "InternalServerError",
        format!("the local cloud's DynamoDB state cannot be used: {cause}; {hint}"),
    )
}

/// Returns the body with a table's ARN resolved to its name, as AWS takes both.
fn named(call: &Call) -> Result<Value, Fault> {
    let mut body = call.json().clone();
    let Some(arn) = body["TableName"].as_str().filter(|name| name.starts_with("arn:")) else { return Ok(body) };
    let name = name_of(call, arn).ok_or_else(|| missing(arn))?.to_owned();
    body["TableName"] = Value::String(name);
    Ok(body)
}

fn name_of<'a>(call: &Call, arn: &'a str) -> Option<&'a str> {
    arn.strip_prefix(&call.arn("dynamodb", "table/"))?.split('/').next().filter(|name| !name.is_empty())
}

fn missing(name: &str) -> Fault {
    Fault::new("ResourceNotFoundException", format!("Requested resource not found: Table: {name} not found"))
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("ValidationException", message)
}
