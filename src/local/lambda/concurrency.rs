//! Reserved concurrency of functions, and what of the account's is left.

use serde_json::{Value, json};

use super::super::{Answer, Call, Fault, Outcome, Tx};
use super::function::{FUNCTIONS, Function, load};
use super::{constraint, invalid};

const ACCOUNT: u64 = 1000;
/// What must stay for functions without a reservation.
const LEAST_UNRESERVED: u64 = 100;

fn reserved_by_others(tx: &Tx<'_>, name: &str) -> Result<u64, Fault> {
    let all = tx.list::<Function>(FUNCTIONS)?;
    Ok(all.iter().filter(|(other, _)| other != name).filter_map(|(_, function)| function.reserved).sum())
}

/// `PutFunctionConcurrency`.
pub(super) fn put(tx: &mut Tx<'_>, call: &Call, given: &str) -> Outcome {
    let mut function = load(tx, call, given)?;
    let wanted = call.json().get("ReservedConcurrentExecutions").and_then(Value::as_u64);
    let wanted = wanted.ok_or_else(|| {
        constraint("Value at 'reservedConcurrentExecutions'", "Member must have value greater than or equal to 0")
    })?;
    if wanted.saturating_add(reserved_by_others(tx, function.name())?) > ACCOUNT - LEAST_UNRESERVED {
        return Err(invalid(format!(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [{LEAST_UNRESERVED}]."
        )));
    }
    function.reserved = Some(wanted);
    function.save(tx)?;
    Ok(Answer::json(json!({ "ReservedConcurrentExecutions": wanted })))
}

/// `GetFunctionConcurrency`.
pub(super) fn get(tx: &mut Tx<'_>, call: &Call, given: &str) -> Outcome {
    let function = load(tx, call, given)?;
    Ok(Answer::json(match function.reserved {
        Some(reserved) => json!({ "ReservedConcurrentExecutions": reserved }),
        None => json!({}),
    }))
}

/// `DeleteFunctionConcurrency`.
pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, given: &str) -> Outcome {
    let mut function = load(tx, call, given)?;
    function.reserved = None;
    function.save(tx)?;
    Ok(Answer::Json(204, Value::Null))
}

/// `GetAccountSettings`.
pub(super) fn account(tx: &mut Tx<'_>) -> Outcome {
    let all = tx.list::<Function>(FUNCTIONS)?;
    let size: u64 = all.iter().filter_map(|(_, function)| function.configuration.get("CodeSize")?.as_u64()).sum();
    Ok(Answer::json(json!({
        "AccountLimit": {
            "TotalCodeSize": 80_530_636_800_u64, "CodeSizeUnzipped": 262_144_000, "CodeSizeZipped": 52_428_800,
            "ConcurrentExecutions": ACCOUNT, "UnreservedConcurrentExecutions": ACCOUNT - reserved_by_others(tx, "")?,
        },
        "AccountUsage": { "TotalCodeSize": size, "FunctionCount": all.len() },
    })))
}
