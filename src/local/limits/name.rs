//! AWS's name of a call's operation, where limits tell operations apart.

use std::borrow::Cow;

use crate::local::registry::Wire;
use crate::local::{Call, Input};

/// Returns the name; of Lambda's operations only those that have a limit of their own, the others are `Other`.
pub(super) fn of(wire: Wire, call: &Call) -> Cow<'_, str> {
    let (Wire::Rest, Input::Rest { segments, .. }) = (wire, &call.input) else { return Cow::Borrowed(&call.operation) };
    let words: Vec<&str> = segments.iter().skip(1).map(String::as_str).collect();
    Cow::Borrowed(match (call.operation.as_str(), words.as_slice()) {
        ("GET", ["functions", _]) => "GetFunction",
        ("GET", ["functions", _, "policy"]) => "GetPolicy",
        ("POST", ["functions", _, "invocations"]) => "Invoke",
        _ => "Other",
    })
}
