//! `RunInstances`: instances with their interface, volumes and spot request, made once per client token.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::{Call, Fault, Outcome, Params, Tx};
use super::catalog::Type;
use super::launch_checks::{Plan, check};
use super::{
    FORMER, INSTANCES, INTERFACES, Row, answer, fault, image, instance, invalid, network, new_id, rows, spot, tag,
    time, volume,
};

const TAGGED: [&str; 4] = ["instance", "volume", "network-interface", "spot-instances-request"];

/// `RunInstances`.
pub(super) fn run(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let params = &given(call.params());
    let token = params.get("ClientToken").unwrap_or_default();
    if token.len() > 64 || !token.is_ascii() {
        return Err(invalid("ClientToken must be at most 64 ASCII characters"));
    }
    let digest = digest(params);
    let made = same_token(tx, token, &digest)?;
    if !made.is_empty() {
        return answer(instance::reservation(call, &made));
    }
    let plan = check(tx, call, params)?;
    let mut made = launch(tx, call, params, &plan)?;
    for row in &mut made {
        row.hide("token", token);
        row.hide("digest", digest.as_str());
        tx.put(INSTANCES, row.text("instanceId"), row)?;
    }
    answer(instance::reservation(call, &made))
}

/// Leaves out empty parameters, which mean the same as missing ones; a tag's value may be empty.
pub(super) fn given(params: &Params) -> Params {
    let kept = params.0.iter().filter(|(name, value)| !value.is_empty() || name.ends_with(".Value"));
    Params(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// A digest of all parameters that must be the same when a client token is used again.
fn digest(params: &Params) -> String {
    let relevant =
        params.0.iter().filter(|(name, _)| !matches!(name.as_str(), "ClientToken" | "DryRun" | "Action" | "Version"));
    let mut hash = Sha256::new();
    for (name, value) in relevant {
        hash.update(format!("{name}={value}\n"));
    }
    STANDARD.encode(hash.finalize())
}

fn same_token(tx: &Tx<'_>, token: &str, digest: &str) -> Result<Vec<Row>, Fault> {
    if token.is_empty() {
        return Ok(Vec::new());
    }
    let known = rows(tx, INSTANCES)?.into_iter().chain(rows(tx, FORMER)?);
    let made: Vec<Row> = known.filter(|row| row.secret("token") == token).collect();
    if made.iter().any(|row| row.secret("digest") != digest) {
        let text = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).";
        return Err(fault("IdempotentParameterMismatch", text));
    }
    Ok(made)
}

/// Makes the instances of a checked launch, and everything that comes with them.
pub(super) fn launch(tx: &mut Tx<'_>, call: &Call, params: &Params, plan: &Plan) -> Result<Vec<Row>, Fault> {
    let reservation = new_id("r");
    let mut made = Vec::new();
    for index in 0..plan.count {
        let mut row = instance_row(call, params, plan, index);
        row.tags = tag::specified(params, "instance", &TAGGED)?;
        row.hide("reservation", reservation.as_str());
        let free = || network::address_in(&plan.subnet, host_number(row.text("instanceId")));
        let address = plan.address.clone().unwrap_or_else(free);
        row.set("privateIpAddress", address.as_str());
        row.set("privateDnsName", format!("ip-{}.ec2.internal", address.replace('.', "-")));
        let devices = volume::attach_all(tx, call, params, plan, row.text("instanceId"))?;
        row.set("blockDeviceMapping", devices);
        let interface = put_interface(tx, call, params, plan, &row)?;
        row.set("networkInterfaceSet", vec![interface]);
        if let Some(options) = &plan.spot {
            let request = spot::put_for(tx, call, params, options, &row)?;
            row.set("instanceLifecycle", "spot");
            row.set("spotInstanceRequestId", request);
            row.hide("oneTime", options.kind == "one-time");
        }
        tx.put(INSTANCES, row.text("instanceId"), &row)?;
        made.push(row);
    }
    Ok(made)
}

/// Derives a number for addresses from an id.
pub(super) fn host_number(id: &str) -> u64 {
    let digits = id.rsplit('-').next().unwrap_or_default();
    digits.get(digits.len().saturating_sub(8)..).and_then(|tail| u64::from_str_radix(tail, 16).ok()).unwrap_or(0)
}

fn instance_row(call: &Call, params: &Params, plan: &Plan, index: u32) -> Row {
    let id = new_id("i");
    let zone = plan.subnet.text("availabilityZone");
    let view = json!({
        "instanceId": id, "imageId": plan.image.id, "keyName": params.get("KeyName"), "amiLaunchIndex": index,
        "productCodes": [], "instanceType": plan.kind.name, "launchTime": time(call.now),
        "placement": {
            "availabilityZone": zone, "availabilityZoneId": network::zone_id(zone), "groupName": "",
            "tenancy": params.get("Placement.Tenancy").unwrap_or("default"),
        },
        "monitoring": { "state": if params.get("Monitoring.Enabled") == Some("true") { "enabled" } else { "disabled" } },
        "subnetId": plan.subnet.text("subnetId"), "vpcId": plan.subnet.text("vpcId"), "sourceDestCheck": true,
        "groupSet": group_set(&plan.groups), "architecture": plan.image.architecture, "rootDeviceType": "ebs",
        "rootDeviceName": image::ROOT, "virtualizationType": "hvm", "hypervisor": "xen", "enaSupport": true,
        "clientToken": params.get("ClientToken").unwrap_or_default(), "iamInstanceProfile": plan.profile,
        "ebsOptimized": params.get("EbsOptimized") == Some("true"),
        "cpuOptions": {
            "coreCount": number(params, "CpuOptions.CoreCount").unwrap_or(plan.kind.vcpus / plan.kind.threads),
            "threadsPerCore": number(params, "CpuOptions.ThreadsPerCore").unwrap_or(plan.kind.threads),
        },
        "capacityReservationSpecification": { "capacityReservationPreference": "open" },
        "hibernationOptions": { "configured": params.get("HibernationOptions.Configured") == Some("true") },
        "enclaveOptions": { "enabled": false }, "metadataOptions": metadata_options(params, plan),
        "platformDetails": "Linux/UNIX", "usageOperation": "RunInstances", "usageOperationUpdateTime": time(call.now),
        "maintenanceOptions": { "autoRecovery": "default" }, "currentInstanceBootMode": "legacy-bios",
        "privateDnsNameOptions": {
            "hostnameType": "ip-name", "enableResourceNameDnsARecord": false, "enableResourceNameDnsAAAARecord": false,
        },
    });
    let mut row = Row::new(call, &format!("instance/{id}"), view);
    hide_settings(&mut row, call, params, plan);
    row
}

fn number<T: std::str::FromStr>(params: &Params, name: &str) -> Option<T> {
    params.get(name).and_then(|text| text.parse().ok())
}

fn hide_settings(row: &mut Row, call: &Call, params: &Params, plan: &Plan) {
    row.hide("moving", "pending");
    row.hide("goal", "running");
    row.hide("ready_at", call.now + call.delay);
    row.hide("listed_at", call.now + call.lag);
    row.hide("public", plan.public_address);
    row.hide("userData", plan.user_data.clone());
    row.hide("disableApiTermination", params.get("DisableApiTermination") == Some("true"));
    row.hide("disableApiStop", params.get("DisableApiStop") == Some("true"));
    row.hide("shutdown", params.get("InstanceInitiatedShutdownBehavior").unwrap_or("stop"));
    if plan.kind.is_burstable() {
        row.hide("credits", params.get("CreditSpecification.CpuCredits").unwrap_or(default_credits(plan.kind)));
    }
    if plan.profile.is_some() {
        row.hide("association", new_id("iip-assoc"));
    }
}

/// T2 is launched with standard credits, later families with unlimited ones.
fn default_credits(kind: &Type) -> &'static str {
    if kind.name.starts_with("t2.") { "standard" } else { "unlimited" }
}

/// Fills metadata options in the order launch option, image, default (`facts/aws.md` 16.5).
fn metadata_options(params: &Params, plan: &Plan) -> Value {
    let option = |name: &str| params.get(&format!("MetadataOptions.{name}")).map(str::to_owned);
    let (tokens, hops) = if plan.image.wants_tokens { ("required", 2) } else { ("optional", 1) };
    json!({
        "state": "applied",
        "httpTokens": option("HttpTokens").unwrap_or_else(|| tokens.to_owned()),
        "httpPutResponseHopLimit": option("HttpPutResponseHopLimit").and_then(|text| text.parse().ok()).unwrap_or(hops),
        "httpEndpoint": option("HttpEndpoint").unwrap_or_else(|| "enabled".to_owned()),
        "httpProtocolIpv6": option("HttpProtocolIpv6").unwrap_or_else(|| "disabled".to_owned()),
        "instanceMetadataTags": option("InstanceMetadataTags").unwrap_or_else(|| "disabled".to_owned()),
    })
}

/// Writes groups as `groupSet` shows them.
pub(super) fn group_set(groups: &[(String, String)]) -> Value {
    groups.iter().map(|(id, name)| json!({ "groupId": id, "groupName": name })).collect()
}

fn put_interface(tx: &mut Tx<'_>, call: &Call, params: &Params, plan: &Plan, row: &Row) -> Result<Value, Fault> {
    let id = new_id("eni");
    let address = row.text("privateIpAddress");
    let attachment = json!({
        "attachmentId": new_id("eni-attach"), "deviceIndex": 0, "status": "attached", "attachTime": time(call.now),
        "deleteOnTermination": true, "networkCardIndex": 0,
    });
    let number = host_number(&id);
    let mac = format!(
        "0a:{:02x}:{:02x}:{:02x}:{:02x}:01",
        number >> 24 & 255,
        number >> 16 & 255,
        number >> 8 & 255,
        number & 255
    );
    let addresses =
        json!([{ "privateIpAddress": address, "privateDnsName": row.text("privateDnsName"), "primary": true }]);
    let view = json!({
        "networkInterfaceId": id, "subnetId": row.text("subnetId"), "vpcId": row.text("vpcId"), "description": "",
        "ownerId": call.account, "status": "in-use", "macAddress": mac, "privateIpAddress": address,
        "privateDnsName": row.text("privateDnsName"), "sourceDestCheck": true, "groupSet": group_set(&plan.groups),
        "attachment": attachment, "privateIpAddressesSet": addresses, "interfaceType": "interface", "ipv6AddressesSet": [],
    });
    let mut interface = Row::new(call, &format!("network-interface/{id}"), view.clone());
    interface.set("availabilityZone", plan.subnet.text("availabilityZone"));
    interface.set("requesterManaged", false);
    interface.hide("instance", row.text("instanceId"));
    interface.tags = tag::specified(params, "network-interface", &TAGGED)?;
    tx.put(INTERFACES, &id, &interface)?;
    Ok(view)
}
