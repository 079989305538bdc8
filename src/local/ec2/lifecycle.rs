//! Start, stop and end of instances, and what the passing of time does to them.

use serde_json::{Value, json};

use super::super::{Call, Fault, Outcome, Tx, Xml};
use super::instance::{load, move_to, state, state_value};
use super::{FORMER, INSTANCES, INTERFACES, Row, SPOT_REQUESTS, VOLUMES, answer, done, fault, missing, rows, time};

/// Milliseconds for which a terminated instance stays visible: about an hour (`facts/aws.md` 12b.1).
const VISIBLE: i64 = 3_600_000;
/// Milliseconds after its end for which an instance's client token stays known (EC2 API, Ensuring idempotency).
const REMEMBERED: i64 = 24 * 3_600_000;

/// Does what is due: an ended instance gives back its interface and volumes, and vanishes later.
pub(super) fn settle(tx: &mut Tx<'_>, call: &Call) -> Result<(), Fault> {
    for mut row in rows(tx, INSTANCES)? {
        if row.secret("goal") != "terminated" || call.now < row.number("ready_at") {
            continue;
        }
        if call.now > row.number("ready_at") + VISIBLE {
            tx.delete(INSTANCES, row.text("instanceId"))?;
            tx.put(FORMER, row.text("instanceId"), &row)?;
        } else if !row.flag("cleaned") {
            clean(tx, call, &row)?;
            row.hide("cleaned", true);
            tx.put(INSTANCES, row.text("instanceId"), &row)?;
        }
    }
    for row in rows(tx, FORMER)? {
        if call.now > row.number("ready_at") + REMEMBERED {
            tx.delete(FORMER, row.text("instanceId"))?;
        }
    }
    Ok(())
}

fn clean(tx: &mut Tx<'_>, call: &Call, row: &Row) -> Result<(), Fault> {
    let id = row.text("instanceId");
    for interface in rows(tx, INTERFACES)?.iter().filter(|interface| interface.secret("instance") == id) {
        tx.delete(INTERFACES, interface.text("networkInterfaceId"))?;
    }
    for mut volume in rows(tx, VOLUMES)?.into_iter().filter(|volume| volume.secret("instance") == id) {
        if volume.flag("deleteOnTermination") {
            tx.delete(VOLUMES, volume.text("volumeId"))?;
        } else {
            volume.set("status", "available");
            volume.set("attachmentSet", json!([]));
            volume.hidden.shift_remove("instance");
            tx.put(VOLUMES, volume.text("volumeId"), &volume)?;
        }
    }
    let request: Option<Row> = tx.get(SPOT_REQUESTS, row.text("spotInstanceRequestId"))?;
    if let Some(mut request) = request.filter(|request| request.text("state") == "active") {
        request.set("state", "closed");
        request.set(
            "status",
            status("instance-terminated-by-user", "Your Spot Instance was terminated by you.", call.now),
        );
        tx.put(SPOT_REQUESTS, row.text("spotInstanceRequestId"), &request)?;
    }
    Ok(())
}

/// Writes the status of a spot request.
pub(super) fn status(code: &str, message: &str, now: i64) -> Value {
    json!({ "code": code, "message": message, "updateTime": time(now) })
}

fn asked(tx: &Tx<'_>, call: &Call) -> Result<Vec<Row>, Fault> {
    let ids = call.params().texts("InstanceId");
    if ids.is_empty() {
        return Err(missing("InstanceId"));
    }
    ids.iter().map(|id| load(tx, id)).collect()
}

/// Answers with the states before and after.
fn changed(tx: &mut Tx<'_>, call: &Call, before: &[Row], after: &[Row]) -> Outcome {
    let items = before.iter().zip(after).map(|(old, new)| {
        let view = json!({
            "instanceId": new.text("instanceId"), "currentState": state_value(state_now(new, call)),
            "previousState": state_value(state(old, call.now)),
        });
        view.as_object().map(super::members).unwrap_or_default()
    });
    let xml = Xml::new().list("instancesSet", "item", items);
    for row in after {
        tx.put(INSTANCES, row.text("instanceId"), row)?;
    }
    answer(xml)
}

// The answer shows the state on the way even when the way takes no time, as the real service does.
fn state_now<'a>(row: &'a Row, call: &Call) -> &'a str {
    if call.now <= row.number("ready_at") { row.secret("moving") } else { row.secret("goal") }
}

fn wrong_state(row: &Row, now: i64, what: &str) -> Fault {
    let text = format!(
        "The instance '{}' is not in a state from which it can be {what} ({}).",
        row.text("instanceId"),
        state(row, now)
    );
    fault("IncorrectInstanceState", text)
}

/// `StartInstances`.
pub(super) fn start(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let before = asked(tx, call)?;
    let mut after = before.clone();
    for row in &mut after {
        match state(row, call.now) {
            "stopped" => {
                move_to(row, call, "pending", "running");
                row.set("launchTime", time(call.now));
                row.hide("reason", "");
                row.hide("reasonCode", "");
            }
            "running" | "pending" => {}
            _ => return Err(wrong_state(row, call.now, "started")),
        }
    }
    changed(tx, call, &before, &after)
}

/// `StopInstances`: refused for one-time spot instances and under stop protection.
pub(super) fn stop(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let before = asked(tx, call)?;
    let mut after = before.clone();
    for row in &mut after {
        if row.flag("disableApiStop") {
            return Err(protected(row, "stopped", "disableApiStop"));
        }
        if row.flag("oneTime") {
            let text = format!(
                "You can't stop the Spot Instance '{}' because it is associated with a one-time Spot Instance request.",
                row.text("instanceId")
            );
            return Err(fault("UnsupportedOperation", text));
        }
        match state(row, call.now) {
            "running" | "pending" => {
                move_to(row, call, "stopping", "stopped");
                row.hide("reason", format!("User initiated ({})", time(call.now)));
                row.hide("reasonCode", "");
            }
            "stopped" | "stopping" => {}
            _ => return Err(wrong_state(row, call.now, "stopped")),
        }
    }
    changed(tx, call, &before, &after)
}

fn protected(row: &Row, what: &str, attribute: &str) -> Fault {
    let text = format!(
        "The instance '{}' may not be {what}. Modify its '{attribute}' instance attribute and try again.",
        row.text("instanceId")
    );
    fault("OperationNotPermitted", text)
}

/// `RebootInstances`.
pub(super) fn reboot(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    for row in asked(tx, call)? {
        if state(&row, call.now) != "running" {
            return Err(wrong_state(&row, call.now, "rebooted"));
        }
    }
    done()
}

/// `TerminateInstances`: idempotent; all instances of the call or, under protection, none.
pub(super) fn terminate(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let before = asked(tx, call)?;
    let mut after = before.clone();
    for row in &mut after {
        if row.flag("disableApiTermination") {
            return Err(protected(row, "terminated", "disableApiTermination"));
        }
        if row.secret("goal") != "terminated" {
            move_to(row, call, "shutting-down", "terminated");
            row.hide("reason", format!("User initiated ({})", time(call.now)));
            row.hide("reasonCode", "");
        }
    }
    let outcome = changed(tx, call, &before, &after)?;
    settle(tx, call)?;
    Ok(outcome)
}

/// `MonitorInstances` and `UnmonitorInstances`.
pub(super) fn monitor(tx: &mut Tx<'_>, call: &Call, on: bool) -> Outcome {
    let monitoring = json!({ "state": if on { "enabled" } else { "disabled" } });
    let mut items = Vec::new();
    for mut row in asked(tx, call)? {
        row.set("monitoring", monitoring.clone());
        tx.put(INSTANCES, row.text("instanceId"), &row)?;
        let shown = if on { "pending" } else { "disabling" };
        items.push(
            Xml::new().text("instanceId", row.text("instanceId")).node("monitoring", Xml::new().text("state", shown)),
        );
    }
    answer(Xml::new().list("instancesSet", "item", items))
}
