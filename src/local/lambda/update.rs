//! Changes of functions: settings and code, one after the other (`facts/aws.md` 11a.4).

use serde_json::Value;

use super::super::{Answer, Call, Fault, Outcome, Tx};
use super::function::{Function, load};
use super::{code as package, configuration as settings, runtime, text};

fn load_settled(tx: &Tx<'_>, call: &Call, given: &str) -> Result<Function, Fault> {
    let function = load(tx, call, given)?;
    function.must_be_settled(call)?;
    if text(call.json(), "RevisionId").is_some_and(|revision| revision != function.text("RevisionId")) {
        let text = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction API to retrieve the latest Revision Id";
        return Err(Fault::with_status(412, "PreconditionFailedException", text));
    }
    Ok(function)
}

/// `UpdateFunctionConfiguration`.
pub(super) fn configuration(tx: &mut Tx<'_>, call: &Call, given: &str) -> Outcome {
    let mut function = load_settled(tx, call, given)?;
    let body = call.json();
    if let Some(wanted) = text(body, "Runtime") {
        runtime::check(wanted)?;
    }
    settings::apply(tx, call, &mut function.configuration, body)?;
    function.touch(call);
    function.save(tx)?;
    Ok(Answer::json(function.shown(call.now)))
}

/// `UpdateFunctionCode`: the architecture changes here too.
pub(super) fn code(tx: &mut Tx<'_>, call: &Call, given: &str) -> Outcome {
    let mut function = load_settled(tx, call, given)?;
    let body = call.json();
    let archive = package::read(body, "UpdateFunctionCode")?;
    settings::architectures(&mut function.configuration, body)?;
    function.touch(call);
    if body.get("DryRun") == Some(&Value::Bool(true)) {
        return Ok(Answer::json(function.shown(call.now)));
    }
    package::keep(tx, &mut function, &archive)?;
    function.save(tx)?;
    Ok(Answer::json(function.shown(call.now)))
}
