//! Spot requests: made by `RunInstances` or by the old `RequestSpotInstances` (`facts/aws.md` 12c).
//!
//! Every request whose price is high enough is fulfilled at once; capacity never runs out.

use serde_json::json;

use super::super::{Call, Fault, Outcome, Params, Tx, Xml};
use super::launch_checks::{Spot, check};
use super::lifecycle::status;
use super::query::{Listing, describe as describe_rows};
use super::{INSTANCES, Row, SPOT_REQUESTS, answer, fault, launch, members, missing, new_id, rows, tag, time};

const TAGGED: [&str; 4] = ["instance", "volume", "network-interface", "spot-instances-request"];

const LISTING: Listing = Listing {
    set: "spotInstanceRequestSet",
    ids: "SpotInstanceRequestId",
    key: "spotInstanceRequestId",
    filters: &[
        ("spot-instance-request-id", "spotInstanceRequestId"),
        ("state", "state"),
        ("instance-id", "instanceId"),
        ("status-code", "status.code"),
        ("type", "type"),
        ("spot-price", "spotPrice"),
        ("launch.instance-type", "launchSpecification.instanceType"),
        ("launch.image-id", "launchSpecification.imageId"),
        ("launched-availability-zone", "launchedAvailabilityZone"),
    ],
    not_found: "InvalidSpotInstanceRequestID.NotFound",
    malformed: "InvalidSpotInstanceRequestID.Malformed",
};

/// Makes the active request of an instance and returns its id.
pub(super) fn put_for(
    tx: &mut Tx<'_>,
    call: &Call,
    params: &Params,
    spot: &Spot,
    instance: &Row,
) -> Result<String, Fault> {
    let id = new_id("sir");
    let launch = json!({
        "imageId": instance.text("imageId"), "instanceType": instance.text("instanceType"), "subnetId": instance.text("subnetId"),
        "keyName": params.get("KeyName"), "groupSet": instance.view.get("groupSet"),
        "iamInstanceProfile": instance.view.get("iamInstanceProfile"), "placement": instance.view.get("placement"),
        "monitoring": { "enabled": params.get("Monitoring.Enabled") == Some("true") },
        "ebsOptimized": params.get("EbsOptimized") == Some("true"),
    });
    let view = json!({
        "spotInstanceRequestId": id, "spotPrice": spot.price, "type": spot.kind, "state": "active",
        "status": status("fulfilled", "Your Spot request is fulfilled.", call.now), "instanceId": instance.text("instanceId"),
        "createTime": time(call.now), "productDescription": "Linux/UNIX", "launchSpecification": launch,
        "launchedAvailabilityZone": instance.view["placement"]["availabilityZone"],
        "instanceInterruptionBehavior": spot.behavior,
    });
    let mut row = Row::new(call, &format!("spot-instances-request/{id}"), view);
    row.tags = tag::specified(params, "spot-instances-request", &TAGGED)?;
    tx.put(SPOT_REQUESTS, &id, &row)?;
    Ok(id)
}

/// `RequestSpotInstances`: the launch specification is launched as `RunInstances` would.
pub(super) fn request(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let given = &launch::given(call.params());
    let mut params = given.under("LaunchSpecification");
    let count = given.get("InstanceCount").unwrap_or("1");
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            params.0.insert(name.to_owned(), value.to_owned());
        }
    };
    put("MinCount", Some(count));
    put("MaxCount", Some(count));
    put("InstanceMarketOptions.MarketType", Some("spot"));
    put("InstanceMarketOptions.SpotOptions.MaxPrice", given.get("SpotPrice"));
    let persistent = given.get("Type") == Some("persistent");
    // The old call allows a persistent request that terminates; the shared check is told of a stopping one.
    let behavior = given.get("InstanceInterruptionBehavior").unwrap_or("terminate");
    put("InstanceMarketOptions.SpotOptions.SpotInstanceType", given.get("Type"));
    put(
        "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior",
        Some(if persistent { "stop" } else { behavior }),
    );
    let tags = given.0.iter().filter(|(name, _)| name.starts_with("TagSpecification."));
    params.0.extend(tags.map(|(name, value)| (name.clone(), value.clone())));
    tag::specified(&params, "spot-instances-request", &["spot-instances-request"])?;
    let mut plan = check(tx, call, &params)?;
    if let Some(spot) = &mut plan.spot {
        behavior.clone_into(&mut spot.behavior);
    }
    let made = launch::launch(tx, call, &params, &plan)?;
    let ids: Vec<&str> = made.iter().map(|row| row.text("spotInstanceRequestId")).collect();
    let requests = rows(tx, SPOT_REQUESTS)?.into_iter().filter(|row| ids.contains(&row.text("spotInstanceRequestId")));
    let items: Vec<Xml> = requests.map(|row| row.xml()).collect();
    answer(Xml::new().list(LISTING.set, "item", items))
}

/// `DescribeSpotInstanceRequests`.
pub(super) fn describe(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    describe_rows(call, rows(tx, SPOT_REQUESTS)?, &LISTING)
}

/// `CancelSpotInstanceRequests`: the instance keeps running.
pub(super) fn cancel(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let ids = call.params().texts("SpotInstanceRequestId");
    if ids.is_empty() {
        return Err(missing("SpotInstanceRequestId"));
    }
    let mut items = Vec::new();
    for id in &ids {
        let found: Option<Row> = tx.get(SPOT_REQUESTS, id)?;
        let not_found = || fault(LISTING.not_found, format!("The spot instance request ID '{id}' does not exist"));
        let mut row = found.ok_or_else(not_found)?;
        if matches!(row.text("state"), "open" | "active" | "disabled") {
            let running =
                tx.get::<Row>(INSTANCES, row.text("instanceId"))?.is_some_and(|row| row.secret("goal") != "terminated");
            let code = if running { "request-canceled-and-instance-running" } else { "canceled-before-fulfillment" };
            row.set("state", "cancelled");
            row.set("status", status(code, "The Spot request is canceled.", call.now));
            tx.put(SPOT_REQUESTS, id, &row)?;
        }
        let shown = json!({ "spotInstanceRequestId": id, "state": row.text("state") });
        items.push(shown.as_object().map(members).unwrap_or_default());
    }
    answer(Xml::new().list("spotInstanceRequestSet", "item", items))
}
