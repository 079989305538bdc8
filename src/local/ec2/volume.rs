//! Volumes and interfaces that come with instances.

use serde_json::{Value, json};

use super::super::{Call, Fault, Outcome, Params, Tx, Xml};
use super::launch_checks::{Plan, one_of};
use super::query::{Listing, describe as describe_rows};
use super::{INTERFACES, Row, VOLUMES, answer, fault, image, invalid, members, new_id, required, rows, tag, time};

const TYPES: &[&str] = &["standard", "gp2", "gp3", "io1", "io2", "st1", "sc1"];
const TAGGED: [&str; 4] = ["instance", "volume", "network-interface", "spot-instances-request"];

const LISTING: Listing = Listing {
    set: "volumeSet",
    ids: "VolumeId",
    key: "volumeId",
    filters: &[
        ("volume-id", "volumeId"),
        ("status", "status"),
        ("attachment.instance-id", "attachmentSet.instanceId"),
        ("attachment.device", "attachmentSet.device"),
        ("attachment.status", "attachmentSet.status"),
        ("attachment.delete-on-termination", "attachmentSet.deleteOnTermination"),
        ("volume-type", "volumeType"),
        ("availability-zone", "availabilityZone"),
        ("encrypted", "encrypted"),
        ("size", "size"),
        ("snapshot-id", "snapshotId"),
    ],
    not_found: "InvalidVolume.NotFound",
    malformed: "InvalidVolumeID.Malformed",
};

const INTERFACE_LISTING: Listing = Listing {
    set: "networkInterfaceSet",
    ids: "NetworkInterfaceId",
    key: "networkInterfaceId",
    filters: &[
        ("network-interface-id", "networkInterfaceId"),
        ("group-id", "groupSet.groupId"),
        ("subnet-id", "subnetId"),
        ("vpc-id", "vpcId"),
        ("status", "status"),
        ("attachment.instance-id", "attachment.instanceId"),
        ("availability-zone", "availabilityZone"),
        ("description", "description"),
        ("interface-type", "interfaceType"),
        ("requester-id", "requesterId"),
        ("requester-managed", "requesterManaged"),
        ("attachment.status", "attachment.status"),
        ("attachment.attachment-id", "attachment.attachmentId"),
        ("attachment.instance-owner-id", "attachment.instanceOwnerId"),
    ],
    not_found: "InvalidNetworkInterfaceID.NotFound",
    malformed: "InvalidNetworkInterfaceId.Malformed",
};

/// Makes the root volume and those of `BlockDeviceMapping`; returns the instance's `blockDeviceMapping`.
pub(super) fn attach_all(
    tx: &mut Tx<'_>,
    call: &Call,
    params: &Params,
    plan: &Plan,
    instance: &str,
) -> Result<Vec<Value>, Fault> {
    let given = params.list("BlockDeviceMapping");
    let root = given.iter().find(|device| device.get("DeviceName") == Some(image::ROOT));
    let empty = Params::default();
    let mut devices = vec![(image::ROOT.to_owned(), root.unwrap_or(&empty).under("Ebs"))];
    for device in &given {
        let name = device.get("DeviceName").ok_or_else(|| super::missing("DeviceName"))?;
        let ephemeral = device.get("VirtualName").is_some() || device.get("NoDevice").is_some();
        if name != image::ROOT && !ephemeral {
            devices.push((name.to_owned(), device.under("Ebs")));
        }
    }
    let tags = tag::specified(params, "volume", &TAGGED)?;
    let mut shown = Vec::new();
    for (name, options) in devices {
        let mut row = volume_row(call, plan, instance, &name, &options)?;
        row.tags.clone_from(&tags);
        tx.put(VOLUMES, row.text("volumeId"), &row)?;
        let ebs = json!({
            "volumeId": row.text("volumeId"), "status": "attached", "attachTime": time(call.now),
            "deleteOnTermination": row.flag("deleteOnTermination"),
        });
        shown.push(json!({ "deviceName": name, "ebs": ebs }));
    }
    Ok(shown)
}

fn volume_row(call: &Call, plan: &Plan, instance: &str, device: &str, options: &Params) -> Result<Row, Fault> {
    let id = new_id("vol");
    let is_root = device == image::ROOT;
    let kind = options.get("VolumeType").unwrap_or(if is_root { plan.image.volume_type } else { "gp2" });
    one_of("volumeType", Some(kind), TYPES)?;
    let size = size(options.get("VolumeSize"), is_root)?;
    let snapshot = if is_root { plan.image.snapshot.as_str() } else { options.get("SnapshotId").unwrap_or_default() };
    let goes = options.get("DeleteOnTermination").map_or(is_root, |text| text == "true");
    let attachment = json!({
        "volumeId": id, "instanceId": instance, "device": device, "status": "attached", "attachTime": time(call.now),
        "deleteOnTermination": goes,
    });
    let view = json!({
        "volumeId": id, "size": size, "snapshotId": snapshot, "availabilityZone": plan.subnet.text("availabilityZone"),
        "status": "in-use", "createTime": time(call.now), "attachmentSet": [attachment], "volumeType": kind,
        "iops": iops(kind, size, options.get("Iops"))?, "throughput": throughput(kind, options.get("Throughput"))?,
        "encrypted": options.get("Encrypted") == Some("true"), "kmsKeyId": options.get("KmsKeyId"),
        "multiAttachEnabled": false,
    });
    let mut row = Row::new(call, &format!("volume/{id}"), view);
    row.hide("instance", instance);
    row.hide("deleteOnTermination", goes);
    Ok(row)
}

fn size(given: Option<&str>, is_root: bool) -> Result<u64, Fault> {
    let least = if is_root { image::ROOT_SIZE } else { 1 };
    let Some(text) = given else {
        return if is_root { Ok(image::ROOT_SIZE) } else { Err(super::missing("size or snapshotId")) };
    };
    let size = text
        .parse::<u64>()
        .ok()
        .filter(|size| *size <= 16_384)
        .ok_or_else(|| invalid(format!("Volume size {text} is invalid")))?;
    if size < least {
        let text = format!("Volume of size {size}GB is smaller than snapshot, expect size >= {least}GB");
        return Err(fault("InvalidBlockDeviceMapping", text));
    }
    Ok(size)
}

fn iops(kind: &str, size: u64, given: Option<&str>) -> Result<Option<u64>, Fault> {
    let asked =
        given.map(|text| text.parse::<u64>().map_err(|_| invalid(format!("Iops {text} is invalid")))).transpose()?;
    match kind {
        "gp3" => Ok(Some(asked.unwrap_or(3000))),
        "io1" | "io2" => asked.map(Some).ok_or_else(|| super::missing("iops")),
        _ if asked.is_some() => {
            let text = format!("The parameter iops is not supported for {kind} volumes.");
            Err(fault("InvalidParameterCombination", text))
        }
        "gp2" => Ok(Some((size * 3).clamp(100, 16_000))),
        _ => Ok(None),
    }
}

fn throughput(kind: &str, given: Option<&str>) -> Result<Option<u64>, Fault> {
    let asked = given
        .map(|text| text.parse::<u64>().map_err(|_| invalid(format!("Throughput {text} is invalid"))))
        .transpose()?;
    match (kind, asked) {
        ("gp3", asked) => Ok(Some(asked.unwrap_or(125))),
        (_, Some(_)) => {
            let text = format!("The parameter throughput is not supported for {kind} volumes.");
            Err(fault("InvalidParameterCombination", text))
        }
        (_, None) => Ok(None),
    }
}

/// `DescribeVolumes`.
pub(super) fn describe(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    describe_rows(call, rows(tx, VOLUMES)?, &LISTING)
}

/// `ModifyVolume`: a volume can grow and change its type, not shrink.
pub(super) fn modify(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let id = required(call, "VolumeId")?;
    let found: Option<Row> = tx.get(VOLUMES, id)?;
    let mut row = found.ok_or_else(|| fault("InvalidVolume.NotFound", format!("The volume '{id}' does not exist.")))?;
    let (old_size, old_type) =
        (row.view.get("size").and_then(Value::as_u64).unwrap_or(1), row.text("volumeType").to_owned());
    let kind = call.params().get("VolumeType").unwrap_or(&old_type).to_owned();
    one_of("volumeType", Some(&kind), TYPES)?;
    let size = call.params().get("Size").map_or(Ok(old_size), |text| size(Some(text), false))?;
    if size < old_size {
        let text = format!("New size cannot be smaller than existing size {old_size}");
        return Err(invalid(text));
    }
    // Performance that was set stays, as long as the type that takes it does.
    let kept = |field: &str, member: &str, takers: &[&str]| {
        let before = row.view.get(member).filter(|_| kind == old_type && takers.contains(&kind.as_str()));
        call.params().get(field).map(str::to_owned).or_else(|| before.map(Value::to_string))
    };
    let iops = iops(&kind, size, kept("Iops", "iops", &["gp3", "io1", "io2"]).as_deref())?;
    let throughput = throughput(&kind, kept("Throughput", "throughput", &["gp3"]).as_deref())?;
    let change = json!({
        "volumeId": id, "modificationState": "completed", "progress": 100, "originalSize": old_size, "targetSize": size,
        "originalVolumeType": old_type, "targetVolumeType": kind, "targetIops": iops, "targetThroughput": throughput,
        "startTime": time(call.now), "endTime": time(call.now),
    });
    row.set("size", size);
    row.set("volumeType", kind);
    row.set("iops", json!(iops));
    row.set("throughput", json!(throughput));
    row.hide("modification", change.clone());
    tx.put(VOLUMES, id, &row)?;
    let shown = change.as_object().map(members).unwrap_or_default();
    answer(Xml::new().node("volumeModification", shown))
}

/// `DescribeVolumesModifications`: changes are complete at once.
pub(super) fn modifications(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let listing = Listing {
        set: "volumeModificationSet",
        filters: &[("volume-id", "volumeId"), ("modification-state", "modificationState")],
        ..LISTING
    };
    let changed = rows(tx, VOLUMES)?.into_iter().filter_map(|row| row.hidden.get("modification").cloned());
    let chosen = super::query::select(call, changed.map(|view| Row::new(call, "", view)).collect(), &listing)?;
    answer(Xml::new().list(listing.set, "item", chosen.iter().map(|row| members(&row.view))))
}

/// `DescribeNetworkInterfaces`.
pub(super) fn describe_interfaces(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let mut all = rows(tx, INTERFACES)?;
    for row in &mut all {
        let (instance, owner) = (row.secret("instance").to_owned(), call.account.clone());
        if let Some(attachment) = row.view.get_mut("attachment") {
            attachment["instanceId"] = json!(instance);
            attachment["instanceOwnerId"] = json!(owner);
        }
    }
    describe_rows(call, all, &INTERFACE_LISTING)
}
