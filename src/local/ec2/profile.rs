//! Associations of instances with IAM instance profiles; an instance has one at most.

use serde_json::{Value, json};

use super::super::{Call, Fault, Outcome, Tx, Xml};
use super::instance::{load, state};
use super::launch_checks::profile;
use super::query::{Listing, describe as describe_rows};
use super::{INSTANCES, Row, answer, fault, members, missing, new_id, required, rows, time};

const LISTING: Listing = Listing {
    set: "iamInstanceProfileAssociationSet",
    ids: "AssociationId",
    key: "associationId",
    filters: &[("instance-id", "instanceId"), ("state", "state"), ("association-id", "associationId")],
    not_found: "InvalidAssociationID.NotFound",
    malformed: "",
};

fn association(row: &Row, call: &Call, state: &str) -> Value {
    json!({
        "associationId": row.secret("association"), "instanceId": row.text("instanceId"),
        "iamInstanceProfile": row.view.get("iamInstanceProfile"), "state": state, "timestamp": time(call.now),
    })
}

fn is_associated(row: &Row) -> bool {
    row.secret("goal") != "terminated" && row.view.get("iamInstanceProfile").is_some_and(|profile| !profile.is_null())
}

/// `DescribeIamInstanceProfileAssociations`.
pub(super) fn describe(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let all = rows(tx, INSTANCES)?.into_iter().filter(is_associated);
    let shown = all.map(|row| Row::new(call, "", association(&row, call, "associated")));
    describe_rows(call, shown.collect(), &LISTING)
}

/// `AssociateIamInstanceProfile`.
pub(super) fn associate(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let row = load(tx, required(call, "InstanceId")?)?;
    if is_associated(&row) {
        let text = format!("There is an existing association for instance {}", row.text("instanceId"));
        return Err(fault("IncorrectState", text));
    }
    if !matches!(state(&row, call.now), "pending" | "running" | "stopping" | "stopped") {
        return Err(fault("IncorrectInstanceState", format!("The instance {} is ending", row.text("instanceId"))));
    }
    put(tx, call, row, "associating")
}

/// `ReplaceIamInstanceProfileAssociation`: the association gets a new id.
pub(super) fn replace(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let row = by_association(tx, required(call, "AssociationId")?)?;
    put(tx, call, row, "associating")
}

fn put(tx: &mut Tx<'_>, call: &Call, mut row: Row, shown: &str) -> Outcome {
    let wanted = profile(tx, call.params())?.ok_or_else(|| missing("IamInstanceProfile"))?;
    row.set("iamInstanceProfile", wanted);
    row.hide("association", new_id("iip-assoc"));
    tx.put(INSTANCES, row.text("instanceId"), &row)?;
    one(&row, call, shown)
}

/// `DisassociateIamInstanceProfile`.
pub(super) fn disassociate(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let mut row = by_association(tx, required(call, "AssociationId")?)?;
    let outcome = one(&row, call, "disassociating");
    row.view.shift_remove("iamInstanceProfile");
    row.hidden.shift_remove("association");
    tx.put(INSTANCES, row.text("instanceId"), &row)?;
    outcome
}

fn one(row: &Row, call: &Call, state: &str) -> Outcome {
    let shown = association(row, call, state).as_object().map(members).unwrap_or_default();
    answer(Xml::new().node("iamInstanceProfileAssociation", shown))
}

fn by_association(tx: &Tx<'_>, id: &str) -> Result<Row, Fault> {
    let found = rows(tx, INSTANCES)?.into_iter().find(|row| is_associated(row) && row.secret("association") == id);
    found
        .ok_or_else(|| fault("InvalidAssociationID.NotFound", format!("An invalid association-id of '{id}' was given")))
}
