//! What AWS does to functions and mappings by itself (`facts/aws.md` 11a.3, 11b.7).

use serde_json::json;

use super::super::{Call, Fault, Tx};
use super::function::{self, Ailment};
use super::mapping;

/// Lets a function fail: it cannot be invoked until it is changed.
pub(crate) fn fail(tx: &mut Tx<'_>, call: &Call, name: &str) -> Result<(), Fault> {
    let reason = "The function's execution role does not have the permissions that it needs to manage its network.";
    ail(tx, call, name, ("Failed", "InsufficientRolePermissions", reason))
}

/// Lets a function go idle: it is woken by the next change.
pub(crate) fn idle(tx: &mut Tx<'_>, call: &Call, name: &str) -> Result<(), Fault> {
    ail(tx, call, name, ("Inactive", "Idle", "The function is idle"))
}

fn ail(tx: &mut Tx<'_>, call: &Call, name: &str, (state, code, reason): (&str, &str, &str)) -> Result<(), Fault> {
    let mut function = function::load(tx, call, name)?;
    let [state, code, reason] = [state, code, reason].map(str::to_owned);
    function.ailment = Some(Ailment { state, code, reason });
    function.save(tx)
}

/// Disables a mapping whose source cannot be read.
pub(crate) fn disable(tx: &mut Tx<'_>, call: &Call, id: &str) -> Result<(), Fault> {
    let mut row = mapping::load(tx, call, id)?;
    let source = row.text("EventSourceArn").to_owned();
    let problem = format!(
        "PROBLEM: Cannot access stream {source}. Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, ListShards Actions on your stream in IAM."
    );
    row.move_to(call, "Disabling", "Disabled");
    row.view.insert("LastProcessingResult".to_owned(), json!(problem));
    row.view.insert("StateTransitionReason".to_owned(), json!("Lambda initiated"));
    row.save(tx)
}
