//! Event source mappings as their poller sees them: which are enabled, and what came of the last batch.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::store::{Placed, Store};
use super::super::{Fault, Tx};
use super::function::{FUNCTIONS, Function};
use super::mapping::{MAPPINGS, Mapping};

/// An enabled mapping.
pub(crate) struct Polled {
    pub(crate) account: String,
    pub(crate) region: String,
    /// `EventSourceMappingConfiguration`.
    pub(crate) view: Map<String, Value>,
    /// Milliseconds since the epoch at which the mapping was enabled first.
    pub(crate) since: i64,
    /// Role of the function; none when there is no such function.
    pub(crate) role: Option<String>,
    /// Changes with every option of the mapping and every change of the function.
    pub(crate) version: String,
}

/// Returns the mappings of all accounts and regions that are enabled at a moment.
pub(crate) fn enabled(rows: &Store, now: i64) -> Result<Vec<Polled>, Fault> {
    let mut mappings: Vec<Placed<Mapping>> = rows.everywhere(MAPPINGS)?;
    mappings.retain(|row| row.value.state(now) == "Enabled");
    if mappings.is_empty() {
        return Ok(Vec::new());
    }
    let functions: Vec<Placed<Function>> = rows.everywhere(FUNCTIONS)?;
    let functions = functions.into_iter().map(|row| (row.value.arn.clone(), row.value)).collect();
    Ok(mappings.into_iter().map(|row| polled(row, &functions)).collect())
}

fn polled(row: Placed<Mapping>, functions: &HashMap<String, Function>) -> Polled {
    let Placed { account, region, value } = row;
    let function = functions.get(value.text("FunctionArn"));
    let role = function.map(|function| function.text("Role").to_owned());
    let revision = function.map(|function| function.text("RevisionId"));
    let mut options = value.view.clone();
    options.shift_remove("LastProcessingResult");
    let version = json!([options, value.since, role, revision]).to_string();
    let version = Sha256::digest(version).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Polled { account, region, since: value.since.unwrap_or_default(), view: value.view, role, version }
}

/// Notes the result of the last batch; false when the mapping is gone.
pub(crate) fn processed(tx: &mut Tx<'_>, id: &str, result: Option<&str>) -> Result<bool, Fault> {
    let Some(mut row) = tx.get::<Mapping>(MAPPINGS, id)? else { return Ok(false) };
    let Some(result) = result.filter(|result| row.text("LastProcessingResult") != *result) else { return Ok(true) };
    row.view.insert("LastProcessingResult".to_owned(), json!(result));
    row.save(tx)?;
    Ok(true)
}
