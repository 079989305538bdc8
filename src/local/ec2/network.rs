//! The default network that every account has in every region: one VPC, one subnet per zone, one group.
//!
//! Ids are derived from account and region, so that they are the same whenever the network is first looked at.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::super::{Call, Fault, Outcome, Tx, Xml};
use super::query::{Listing, describe};
use super::{Row, SUBNETS, VPCS, answer, fixed_id, group, invalid, members, required, rows};

const LETTERS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const CIDR: &str = "172.31.0.0/16";
const REGIONS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

const VPC_LISTING: Listing = Listing {
    set: "vpcSet",
    ids: "VpcId",
    key: "vpcId",
    filters: &[
        ("vpc-id", "vpcId"),
        ("is-default", "isDefault"),
        ("isDefault", "isDefault"),
        ("cidr", "cidrBlock"),
        ("state", "state"),
        ("owner-id", "ownerId"),
        ("dhcp-options-id", "dhcpOptionsId"),
    ],
    not_found: "InvalidVpcID.NotFound",
    malformed: "InvalidVpcId.Malformed",
};

const SUBNET_LISTING: Listing = Listing {
    set: "subnetSet",
    ids: "SubnetId",
    key: "subnetId",
    filters: &[
        ("subnet-id", "subnetId"),
        ("vpc-id", "vpcId"),
        ("availability-zone", "availabilityZone"),
        ("availabilityZone", "availabilityZone"),
        ("availability-zone-id", "availabilityZoneId"),
        ("default-for-az", "defaultForAz"),
        ("defaultForAz", "defaultForAz"),
        ("cidr-block", "cidrBlock"),
        ("state", "state"),
        ("map-public-ip-on-launch", "mapPublicIpOnLaunch"),
        ("owner-id", "ownerId"),
    ],
    not_found: "InvalidSubnetID.NotFound",
    malformed: "InvalidSubnetID.Malformed",
};

/// Returns the id of the default VPC.
pub(super) fn default_vpc(call: &Call) -> String {
    fixed_id(call, "vpc", "default")
}

/// Returns the zones of the call's region; a region has three, us-east-1 six.
pub(super) fn zone_names(call: &Call) -> Vec<String> {
    let count = if call.region == "us-east-1" { 6 } else { 3 };
    LETTERS.iter().take(count).map(|letter| format!("{}{letter}", call.region)).collect()
}

/// Returns a zone's id, such as `use1-az1` for `us-east-1a`.
pub(super) fn zone_id(zone: &str) -> String {
    let mut words = zone.split('-');
    let (area, compass, rest) =
        (words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let short: String = match compass {
        "northeast" => "ne".into(),
        "southeast" => "se".into(),
        other => other.chars().take(1).collect(),
    };
    let (number, letter) = rest.split_at(rest.len().saturating_sub(1));
    let index = LETTERS.iter().position(|known| *known == letter).map_or(1, |at| at + 1);
    format!("{area}{short}{number}-az{index}")
}

/// Makes the default network when this account and region have none yet.
pub(super) fn ensure(tx: &mut Tx<'_>, call: &Call) -> Result<(), Fault> {
    let vpc = default_vpc(call);
    if tx.has(VPCS, &vpc)? {
        return Ok(());
    }
    tx.put(VPCS, &vpc, &vpc_row(call, &vpc))?;
    for (index, zone) in zone_names(call).iter().enumerate() {
        let row = subnet_row(call, &vpc, zone, index);
        tx.put(SUBNETS, row.text("subnetId"), &row)?;
    }
    group::create_default(tx, call, &vpc)
}

fn vpc_row(call: &Call, id: &str) -> Row {
    let association = fixed_id(call, "vpc-cidr-assoc", "default");
    let view = json!({
        "vpcId": id, "ownerId": call.account, "state": "available", "cidrBlock": CIDR,
        "cidrBlockAssociationSet": [{
            "cidrBlock": CIDR, "associationId": association, "cidrBlockState": { "state": "associated" },
        }],
        "dhcpOptionsId": fixed_id(call, "dopt", "default"), "instanceTenancy": "default", "isDefault": true,
    });
    Row::new(call, &format!("vpc/{id}"), view)
}

fn subnet_row(call: &Call, vpc: &str, zone: &str, index: usize) -> Row {
    let id = fixed_id(call, "subnet", zone);
    let arn = format!("subnet/{id}");
    let view = json!({
        "subnetId": id, "subnetArn": call.arn("ec2", &arn), "ownerId": call.account, "vpcId": vpc, "state": "available",
        "cidrBlock": format!("172.31.{}.0/20", index * 16), "availableIpAddressCount": 4091,
        "availabilityZone": zone, "availabilityZoneId": zone_id(zone), "defaultForAz": true,
        "mapPublicIpOnLaunch": true, "assignIpv6AddressOnCreation": false, "mapCustomerOwnedIpOnLaunch": false,
        "enableDns64": false, "ipv6Native": false, "ipv6CidrBlockAssociationSet": [],
        "privateDnsNameOptionsOnLaunch": {
            "hostnameType": "ip-name", "enableResourceNameDnsARecord": false, "enableResourceNameDnsAAAARecord": false,
        },
    });
    Row::new(call, &arn, view)
}

/// `DescribeVpcs`.
pub(super) fn vpcs(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    describe(call, rows(tx, VPCS)?, &VPC_LISTING)
}

/// `DescribeSubnets`.
pub(super) fn subnets(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    describe(call, rows(tx, SUBNETS)?, &SUBNET_LISTING)
}

/// `DescribeVpcAttribute`.
pub(super) fn vpc_attribute(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let id = required(call, "VpcId")?;
    if !tx.has(VPCS, id)? {
        return Err(super::fault("InvalidVpcID.NotFound", format!("The vpc ID '{id}' does not exist")));
    }
    let attribute = required(call, "Attribute")?;
    let value = matches!(attribute, "enableDnsSupport" | "enableDnsHostnames");
    answer(Xml::new().text("vpcId", id).node(attribute, Xml::new().text("value", value)))
}

/// `DescribeRouteTables`: the main table of the default VPC.
pub(super) fn route_tables(_tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let (id, vpc) = (fixed_id(call, "rtb", "main"), default_vpc(call));
    let local =
        json!({ "destinationCidrBlock": CIDR, "gatewayId": "local", "state": "active", "origin": "CreateRouteTable" });
    let gateway = fixed_id(call, "igw", "default");
    let out = json!({ "destinationCidrBlock": "0.0.0.0/0", "gatewayId": gateway, "state": "active", "origin": "CreateRoute" });
    let main = json!({
        "routeTableAssociationId": fixed_id(call, "rtbassoc", "main"), "routeTableId": id, "main": true,
        "associationState": { "state": "associated" },
    });
    let view = json!({
        "routeTableId": id, "vpcId": vpc, "ownerId": call.account, "routeSet": [local, out],
        "associationSet": [main], "propagatingVgwSet": [],
    });
    let listing = Listing {
        set: "routeTableSet",
        ids: "RouteTableId",
        key: "routeTableId",
        filters: &[
            ("vpc-id", "vpcId"),
            ("association.main", "associationSet.main"),
            ("route-table-id", "routeTableId"),
        ],
        not_found: "InvalidRouteTableID.NotFound",
        malformed: "",
    };
    describe(call, vec![Row::new(call, &format!("route-table/{id}"), view)], &listing)
}

/// `DescribeInternetGateways`: the gateway of the default VPC.
pub(super) fn gateways(_tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let id = fixed_id(call, "igw", "default");
    let attachment = json!({ "vpcId": default_vpc(call), "state": "available" });
    let view = json!({ "internetGatewayId": id, "ownerId": call.account, "attachmentSet": [attachment] });
    let listing = Listing {
        set: "internetGatewaySet",
        ids: "InternetGatewayId",
        key: "internetGatewayId",
        filters: &[("attachment.vpc-id", "attachmentSet.vpcId"), ("internet-gateway-id", "internetGatewayId")],
        not_found: "InvalidInternetGatewayID.NotFound",
        malformed: "",
    };
    describe(call, vec![Row::new(call, &format!("internet-gateway/{id}"), view)], &listing)
}

/// `DescribeAvailabilityZones`.
pub(super) fn zones(call: &Call) -> Outcome {
    let row = |zone: &String| {
        let view = json!({
            "zoneName": zone, "zoneId": zone_id(zone), "zoneState": "available", "regionName": call.region,
            "optInStatus": "opt-in-not-required", "zoneType": "availability-zone", "groupName": call.region,
            "networkBorderGroup": call.region, "messageSet": [],
        });
        Row::new(call, "", view)
    };
    let listing = Listing {
        set: "availabilityZoneInfo",
        ids: "ZoneName",
        key: "zoneName",
        filters: &[
            ("zone-name", "zoneName"),
            ("zone-id", "zoneId"),
            ("state", "zoneState"),
            ("region-name", "regionName"),
            ("opt-in-status", "optInStatus"),
            ("zone-type", "zoneType"),
            ("group-name", "groupName"),
        ],
        not_found: "InvalidParameterValue",
        malformed: "",
    };
    let chosen = super::query::select(call, zone_names(call).iter().map(row).collect(), &listing)?;
    answer(Xml::new().list(listing.set, "item", chosen.iter().map(|row| members(&row.view))))
}

/// `DescribeRegions`.
pub(super) fn regions(call: &Call) -> Outcome {
    let row = |region: &&str| {
        let endpoint = format!("ec2.{region}.amazonaws.com");
        let view = json!({ "regionName": region, "regionEndpoint": endpoint, "optInStatus": "opt-in-not-required" });
        Row::new(call, "", view)
    };
    let listing = Listing {
        set: "regionInfo",
        ids: "RegionName",
        key: "regionName",
        filters: &[("region-name", "regionName"), ("endpoint", "regionEndpoint"), ("opt-in-status", "optInStatus")],
        not_found: "InvalidParameterValue",
        malformed: "",
    };
    let chosen = super::query::select(call, REGIONS.iter().map(row).collect(), &listing)?;
    answer(Xml::new().list(listing.set, "item", chosen.iter().map(|row| members(&row.view))))
}

/// `DescribeAccountAttributes`.
pub(super) fn account_attributes(_tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let all = [
        ("supported-platforms", "VPC".to_owned()),
        ("default-vpc", default_vpc(call)),
        ("max-instances", "20".to_owned()),
        ("vpc-max-security-groups-per-interface", "5".to_owned()),
        ("max-elastic-ips", "5".to_owned()),
        ("vpc-max-elastic-ips", "5".to_owned()),
    ];
    let asked = call.params().texts("AttributeName");
    if let Some(unknown) = asked.iter().find(|name| !all.iter().any(|(known, _)| known == name)) {
        return Err(invalid(format!("Attribute '{unknown}' is not valid")));
    }
    let shown = all.iter().filter(|(name, _)| asked.is_empty() || asked.iter().any(|wanted| wanted == name));
    let items = shown.map(|(name, value)| {
        let values = [Xml::new().text("attributeValue", value)];
        Xml::new().text("attributeName", name).list("attributeValueSet", "item", values)
    });
    answer(Xml::new().list("accountAttributeSet", "item", items))
}

/// Finds a subnet: the one asked for, else the one of a zone, else the first.
pub(super) fn pick_subnet(tx: &Tx<'_>, id: Option<&str>, zone: Option<&str>) -> Result<Row, Fault> {
    let all = rows(tx, SUBNETS)?;
    let found = match (id, zone) {
        (Some(id), _) => all
            .into_iter()
            .find(|row| row.text("subnetId") == id)
            .ok_or_else(|| super::fault("InvalidSubnetID.NotFound", format!("The subnet ID '{id}' does not exist")))?,
        (None, Some(zone)) => {
            let found = all.into_iter().find(|row| row.text("availabilityZone") == zone);
            found.ok_or_else(|| invalid(format!("Invalid availability zone: [{zone}]")))?
        }
        (None, None) => {
            let first =
                all.into_iter().min_by(|one, other| one.text("availabilityZone").cmp(other.text("availabilityZone")));
            first.ok_or_else(|| super::fault("VPCIdNotSpecified", "No default VPC for this user"))?
        }
    };
    if zone.is_some_and(|zone| zone != found.text("availabilityZone")) {
        return Err(invalid("The availability zone does not match that of the subnet"));
    }
    Ok(found)
}

fn third_octet(subnet: &Row) -> u64 {
    let cidr = subnet.view.get("cidrBlock").and_then(Value::as_str).unwrap_or(CIDR);
    cidr.split('.').nth(2).and_then(|part| part.parse().ok()).unwrap_or(0)
}

/// Returns an address inside a subnet that follows from a number.
pub(super) fn address_in(subnet: &Row, number: u64) -> String {
    format!("172.31.{}.{}", third_octet(subnet) + (number / 250) % 16, 4 + number % 250)
}

/// Tells whether an address can be an instance's in a subnet: inside, and none of the five that AWS keeps.
pub(super) fn contains(subnet: &Row, address: &str) -> bool {
    let cidr = subnet.view.get("cidrBlock").and_then(Value::as_str).unwrap_or(CIDR);
    let Some((network, length)) = cidr.split_once('/') else { return false };
    let number = |text: &str| text.parse::<Ipv4Addr>().ok().map(u32::from);
    let (Some(network), Some(address)) = (number(network), number(address)) else { return false };
    let size = 1_u32 << length.parse::<u32>().map_or(0, |length| 32_u32.saturating_sub(length).min(31));
    address.checked_sub(network).is_some_and(|host| host > 3 && host < size - 1)
}
