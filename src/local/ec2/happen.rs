//! What AWS does to instances by itself (`facts/aws.md` 12c; EC2 API, `StateReason`).

use super::super::{Call, Fault, Tx};
use super::instance::{load, move_to, state};
use super::lifecycle::{settle, status};
use super::{INSTANCES, Row, SPOT_REQUESTS, fault};

/// Takes a spot instance back: it is terminated, and its request is closed.
pub(crate) fn reclaim(tx: &mut Tx<'_>, call: &Call, id: &str) -> Result<(), Fault> {
    let mut row = load(tx, id)?;
    must_run(&row, call)?;
    let request: Option<Row> = tx.get(SPOT_REQUESTS, row.text("spotInstanceRequestId"))?;
    let Some(mut request) = request else {
        return Err(fault("InvalidInstanceID", format!("{id} is not a spot instance")));
    };
    let text = "Your Spot Instance was terminated because there is no longer enough Spot capacity available.";
    request.set("state", "closed");
    request.set("status", status("instance-terminated-no-capacity", text, call.now));
    tx.put(SPOT_REQUESTS, row.text("spotInstanceRequestId"), &request)?;
    because(&mut row, "Server.SpotInstanceTermination", "Spot instance termination");
    move_to(&mut row, call, "shutting-down", "terminated");
    tx.put(INSTANCES, id, &row)?;
    settle(tx, call)
}

/// Lets the machine below an instance fail: the instance is stopped and retired.
pub(crate) fn fail(tx: &mut Tx<'_>, call: &Call, id: &str) -> Result<(), Fault> {
    let mut row = load(tx, id)?;
    must_run(&row, call)?;
    because(&mut row, "Server.ScheduledStop", "Stopped due to scheduled retirement");
    move_to(&mut row, call, "stopping", "stopped");
    tx.put(INSTANCES, id, &row)
}

fn must_run(row: &Row, call: &Call) -> Result<(), Fault> {
    match state(row, call.now) {
        "running" => Ok(()),
        other => Err(fault("IncorrectInstanceState", format!("{} is {other}, not running", row.text("instanceId")))),
    }
}

fn because(row: &mut Row, code: &str, text: &str) {
    row.hide("reason", format!("{code}: {text}"));
    row.hide("reasonCode", code);
}
