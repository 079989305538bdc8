//! Instances as they are shown: state by time, addresses while running, and what is left after the end.

use serde_json::{Value, json};

use super::super::{Call, Fault, Outcome, Tx, Xml};
use super::query::{Listing, page, select};
use super::{INSTANCES, Row, answer, fault, launch, rows};

pub(super) const LISTING: Listing = Listing {
    set: "reservationSet",
    ids: "InstanceId",
    key: "instanceId",
    filters: &[
        ("instance-id", "instanceId"),
        ("instance-state-name", "instanceState.name"),
        ("instance-state-code", "instanceState.code"),
        ("instance-type", "instanceType"),
        ("image-id", "imageId"),
        ("key-name", "keyName"),
        ("vpc-id", "vpcId"),
        ("subnet-id", "subnetId"),
        ("availability-zone", "placement.availabilityZone"),
        ("client-token", "clientToken"),
        ("instance-lifecycle", "instanceLifecycle"),
        ("spot-instance-request-id", "spotInstanceRequestId"),
        ("instance.group-id", "groupSet.groupId"),
        ("group-id", "groupSet.groupId"),
        ("instance.group-name", "groupSet.groupName"),
        ("iam-instance-profile.arn", "iamInstanceProfile.arn"),
        ("iam-instance-profile.id", "iamInstanceProfile.id"),
        ("private-ip-address", "privateIpAddress"),
        ("ip-address", "ipAddress"),
        ("architecture", "architecture"),
        ("reservation-id", "!reservation"),
        ("tenancy", "placement.tenancy"),
        ("network-interface.network-interface-id", "networkInterfaceSet.networkInterfaceId"),
        ("block-device-mapping.volume-id", "blockDeviceMapping.ebs.volumeId"),
    ],
    not_found: "InvalidInstanceID.NotFound",
    malformed: "InvalidInstanceID.Malformed",
};

/// Returns an instance's state at one moment.
pub(super) fn state(row: &Row, now: i64) -> &str {
    row.secret(if now < row.number("ready_at") { "moving" } else { "goal" })
}

/// Writes a state with its code.
pub(super) fn state_value(name: &str) -> Value {
    let code = match name {
        "pending" => 0,
        "running" => 16,
        "shutting-down" => 32,
        "terminated" => 48,
        "stopping" => 64,
        _ => 80,
    };
    json!({ "code": code, "name": name })
}

/// Reads an instance, or faults as EC2 does.
pub(super) fn load(tx: &Tx<'_>, id: &str) -> Result<Row, Fault> {
    let found: Option<Row> = tx.get(INSTANCES, id)?;
    let digits = id.strip_prefix("i-").unwrap_or_default();
    found.ok_or_else(|| {
        if (8..=17).contains(&digits.len()) {
            fault("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"))
        } else {
            fault("InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\""))
        }
    })
}

/// Sends an instance on the way to a state.
pub(super) fn move_to(row: &mut Row, call: &Call, moving: &str, goal: &str) {
    row.hide("moving", moving);
    row.hide("goal", goal);
    row.hide("ready_at", call.now + call.delay);
}

/// Completes an instance's members with what depends on the moment.
pub(super) fn shown(row: &Row, call: &Call) -> Row {
    let mut shown = row.clone();
    let name = state(row, call.now);
    shown.set("instanceState", state_value(name));
    shown.set("reason", row.secret("reason"));
    if !row.secret("reason").is_empty() {
        let (code, message) = match row.secret("reasonCode") {
            "" => ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown"),
            code => (code, row.secret("reason")),
        };
        shown.set("stateReason", json!({ "code": code, "message": message }));
    }
    if name == "terminated" {
        for member in ["networkInterfaceSet", "blockDeviceMapping", "groupSet"] {
            shown.set(member, json!([]));
        }
        for member in ["subnetId", "vpcId", "privateIpAddress", "iamInstanceProfile"] {
            shown.view.shift_remove(member);
        }
        shown.set("privateDnsName", "");
    }
    if name == "running" && row.flag("public") {
        add_public_address(&mut shown, call);
    } else {
        shown.set("dnsName", "");
    }
    shown
}

// A public address belongs to one run: it follows from the id and the launch time.
fn add_public_address(shown: &mut Row, call: &Call) {
    let number =
        launch::host_number(shown.text("instanceId")).wrapping_add(launch::host_number(shown.text("launchTime")));
    let address = format!("54.{}.{}.{}", 144 + (number >> 16) % 64, (number >> 8) % 256, 1 + number % 254);
    let domain = if call.region == "us-east-1" { "compute-1".to_owned() } else { format!("{}.compute", call.region) };
    let name = format!("ec2-{}.{domain}.amazonaws.com", address.replace('.', "-"));
    shown.set("ipAddress", address.as_str());
    shown.set("dnsName", name.as_str());
    let association = json!({ "publicIp": address, "publicDnsName": name, "ipOwnerId": "amazon" });
    if let Some(interfaces) = shown.view.get_mut("networkInterfaceSet").and_then(Value::as_array_mut) {
        for interface in interfaces {
            interface["association"] = association.clone();
        }
    }
}

/// Writes one reservation with its instances.
pub(super) fn reservation(call: &Call, members: &[Row]) -> Xml {
    let id = members.first().map(|row| row.secret("reservation").to_owned()).unwrap_or_default();
    let owner = Xml::new().text("reservationId", id).text("ownerId", &call.account).text("groupSet", "");
    owner.list("instancesSet", "item", members.iter().map(|row| shown(row, call).xml()))
}

/// Returns all instances as shown now; new ones are not at once (`facts/aws.md` 12b.3).
pub(super) fn all_shown(tx: &Tx<'_>, call: &Call) -> Result<Vec<Row>, Fault> {
    let rows = rows(tx, INSTANCES)?.into_iter().filter(|row| row.number("listed_at") <= call.now);
    Ok(rows.map(|row| shown(&row, call)).collect())
}

/// `DescribeInstances`: terminated instances stay visible for a while.
pub(super) fn describe(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let chosen = select(call, all_shown(tx, call)?, &LISTING)?;
    let (page, next) = page(call, chosen, LISTING.key)?;
    let mut reservations: Vec<Vec<Row>> = Vec::new();
    for row in page {
        match reservations.iter_mut().find(|members| members[0].secret("reservation") == row.secret("reservation")) {
            Some(members) => members.push(row),
            None => reservations.push(vec![row]),
        }
    }
    let items = reservations.iter().map(|members| reservation(call, members));
    answer(Xml::new().list(LISTING.set, "item", items).maybe("nextToken", next))
}

/// `DescribeInstanceStatus`: running instances, or all on request.
pub(super) fn status(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let all = call.params().get("IncludeAllInstances") == Some("true");
    let mut chosen = select(call, all_shown(tx, call)?, &LISTING)?;
    chosen.retain(|row| all || state(row, call.now) == "running");
    let (page, next) = page(call, chosen, LISTING.key)?;
    let items = page.iter().map(|row| {
        let name = state(row, call.now);
        let health = if name == "running" { "ok" } else { "not-applicable" };
        let passed =
            if name == "running" { json!([{ "name": "reachability", "status": "passed" }]) } else { json!([]) };
        let view = json!({
            "instanceId": row.text("instanceId"), "availabilityZone": row.view["placement"]["availabilityZone"],
            "instanceState": state_value(name), "instanceStatus": { "status": health, "details": passed },
            "systemStatus": { "status": health, "details": passed },
        });
        view.as_object().map(super::members).unwrap_or_default()
    });
    answer(Xml::new().list("instanceStatusSet", "item", items).maybe("nextToken", next))
}
