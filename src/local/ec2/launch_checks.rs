//! What `RunInstances` checks before it makes anything (`facts/aws.md` 12b.3, 12c).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::super::store::Table;
use super::super::{Call, Fault, Params, Tx, iam};
use super::catalog::{self, Type};
use super::image::{self, Image};
use super::{INSTANCES, Row, fault, group, invalid, key, missing, network, rows};

const PROFILES: Table = Table::global("iam.profile");
const LARGEST_USER_DATA: usize = 16_384;
const MOST_GROUPS: usize = 5;

/// A launch whose parameters have been checked.
pub(super) struct Plan {
    pub(super) count: u32,
    pub(super) image: Image,
    pub(super) kind: &'static Type,
    pub(super) subnet: Row,
    /// Id and name of each group.
    pub(super) groups: Vec<(String, String)>,
    pub(super) public_address: bool,
    /// The private address that was asked for.
    pub(super) address: Option<String>,
    pub(super) user_data: Option<String>,
    pub(super) profile: Option<Value>,
    pub(super) spot: Option<Spot>,
}

/// The spot market options of a launch.
pub(super) struct Spot {
    pub(super) price: String,
    pub(super) kind: String,
    pub(super) behavior: String,
}

/// Checks all parameters of a launch.
pub(super) fn check(tx: &Tx<'_>, call: &Call, params: &Params) -> Result<Plan, Fault> {
    let count = count(params)?;
    let image = image::find(call, params.get("ImageId").ok_or_else(|| missing("ImageId"))?)?;
    let kind = instance_type(params.get("InstanceType").unwrap_or("m1.small"))?;
    if kind.architecture != image.architecture {
        return Err(invalid(format!(
            "The architecture '{}' of the specified instance type does not match the architecture '{}' of the specified AMI.",
            kind.architecture, image.architecture
        )));
    }
    if let Some(name) = params.get("KeyName") {
        key::must_exist(tx, name)?;
    }
    let interface = params.list("NetworkInterface").into_iter().next().unwrap_or_default();
    let subnet = interface.get("SubnetId").or_else(|| params.get("SubnetId"));
    let subnet = network::pick_subnet(tx, subnet, params.get("Placement.AvailabilityZone"))?;
    let address = interface.get("PrivateIpAddress").or_else(|| params.get("PrivateIpAddress"));
    check_address(tx, &subnet, address, count)?;
    check_choices(params)?;
    Ok(Plan {
        count,
        address: address.map(str::to_owned),
        groups: groups(tx, call, params, &interface)?,
        public_address: interface.get("AssociatePublicIpAddress").is_none_or(|text| text == "true"),
        user_data: user_data(params.get("UserData"))?,
        profile: profile(tx, params)?,
        spot: spot(params, kind)?,
        image,
        kind,
        subnet,
    })
}

/// An address of the user's choice lies in the subnet, is nobody else's, and is for one instance.
fn check_address(tx: &Tx<'_>, subnet: &Row, address: Option<&str>, count: u32) -> Result<(), Fault> {
    let Some(address) = address else { return Ok(()) };
    if count > 1 {
        return Err(fault(
            "InvalidParameterCombination",
            "Specifying private IP address is only allowed for a single instance.",
        ));
    }
    if !network::contains(subnet, address) {
        return Err(invalid(format!("Address {address} does not fall within the subnet's address range")));
    }
    let holds = |row: &Row| row.secret("goal") != "terminated" && row.text("privateIpAddress") == address;
    if rows(tx, INSTANCES)?.iter().any(holds) {
        return Err(fault("InvalidIPAddress.InUse", format!("Address {address} is in use.")));
    }
    Ok(())
}

/// Finds an instance type, or faults as EC2 does.
pub(super) fn instance_type(name: &str) -> Result<&'static Type, Fault> {
    catalog::find(name).ok_or_else(|| invalid(format!("Invalid value '{name}' for InstanceType.")))
}

fn count(params: &Params) -> Result<u32, Fault> {
    let number = |field: &str| -> Result<u32, Fault> {
        let text = params.get(field).ok_or_else(|| missing(field))?;
        text.parse().ok().filter(|count| (1..=20).contains(count)).ok_or_else(|| {
            invalid(format!("Value ({text}) for parameter {field} is invalid. Expecting a number from 1 to 20."))
        })
    };
    let (least, most) = (number("MinCount")?, number("MaxCount")?);
    if least > most {
        return Err(fault("InvalidParameterCombination", "MinCount must not be greater than MaxCount"));
    }
    Ok(most)
}

fn check_choices(params: &Params) -> Result<(), Fault> {
    let choices: [(&str, &[&str]); 6] = [
        ("InstanceInitiatedShutdownBehavior", &["stop", "terminate"]),
        ("MetadataOptions.HttpTokens", &["optional", "required"]),
        ("MetadataOptions.HttpEndpoint", &["enabled", "disabled"]),
        ("MetadataOptions.InstanceMetadataTags", &["enabled", "disabled"]),
        ("CreditSpecification.CpuCredits", &["standard", "unlimited"]),
        ("Placement.Tenancy", &["default", "dedicated", "host"]),
    ];
    for (field, allowed) in choices {
        one_of(field, params.get(field), allowed)?;
    }
    hops(params.get("MetadataOptions.HttpPutResponseHopLimit"))
}

/// Checks a value against the choices that a field allows.
pub(super) fn one_of(field: &str, value: Option<&str>, allowed: &[&str]) -> Result<(), Fault> {
    match value {
        Some(value) if !allowed.contains(&value) => {
            Err(invalid(format!("Value ({value}) for parameter {field} is invalid.")))
        }
        _ => Ok(()),
    }
}

/// Checks the hop limit of metadata options.
pub(super) fn hops(value: Option<&str>) -> Result<(), Fault> {
    let valid = value.is_none_or(|text| text.parse::<u32>().is_ok_and(|hops| (1..=64).contains(&hops)));
    if valid { Ok(()) } else { Err(invalid("HttpPutResponseHopLimit must be between 1 and 64")) }
}

fn groups(tx: &Tx<'_>, call: &Call, params: &Params, interface: &Params) -> Result<Vec<(String, String)>, Fault> {
    let mut ids = params.texts("SecurityGroupId");
    ids.extend(interface.texts("SecurityGroupId"));
    let mut found = resolve_groups(tx, &ids)?;
    for name in params.texts("SecurityGroup") {
        let row = group::by_name(tx, &name)?;
        found.push((row.text("groupId").to_owned(), name));
    }
    if found.is_empty() {
        found.push((group::default_id(call), "default".to_owned()));
    }
    Ok(found)
}

/// Returns id and name of groups that must exist; five at most per interface.
pub(super) fn resolve_groups(tx: &Tx<'_>, ids: &[String]) -> Result<Vec<(String, String)>, Fault> {
    if ids.len() > MOST_GROUPS {
        let text = format!("The maximum number of security groups per interface has been reached ({MOST_GROUPS})");
        return Err(fault("SecurityGroupsPerInterfaceLimitExceeded", text));
    }
    ids.iter().map(|id| group::load(tx, id).map(|row| (id.clone(), row.text("groupName").to_owned()))).collect()
}

/// Checks user data: base64 of at most 16 KB.
pub(super) fn user_data(given: Option<&str>) -> Result<Option<String>, Fault> {
    let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    let bad = |_| fault("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.");
    if STANDARD.decode(text).map_err(bad)?.len() > LARGEST_USER_DATA {
        return Err(invalid(format!("User data is limited to {LARGEST_USER_DATA} bytes")));
    }
    Ok(Some(text.to_owned()))
}

/// Resolves `IamInstanceProfile`; the texts are those that tools wait on while IAM is not there yet.
pub(super) fn profile(tx: &Tx<'_>, params: &Params) -> Result<Option<Value>, Fault> {
    let (name, arn) = (params.get("IamInstanceProfile.Name"), params.get("IamInstanceProfile.Arn"));
    let Some(asked) = arn.or(name) else { return Ok(None) };
    let shown = if arn.is_some() { "iamInstanceProfile.arn" } else { "iamInstanceProfile.name" };
    let key = asked.rsplit_once('/').map_or(asked, |(_, name)| name);
    let row: Option<Map<String, Value>> = tx.get(PROFILES, key)?;
    let row = row.filter(|row| name.is_some_and(|name| name == key) || row.get("arn").and_then(Value::as_str) == arn);
    let Some(row) = row else {
        return Err(invalid(format!(
            "Value ({asked}) for parameter {shown} is invalid. Invalid IAM Instance Profile name"
        )));
    };
    if iam::profile_role(tx, asked)?.is_none() {
        return Err(invalid(format!("IAM Instance Profile \"{asked}\" has no associated IAM Roles")));
    }
    Ok(Some(serde_json::json!({ "arn": row.get("arn"), "id": row.get("id") })))
}

fn spot(params: &Params, kind: &Type) -> Result<Option<Spot>, Fault> {
    match params.get("InstanceMarketOptions.MarketType") {
        None => return Ok(None),
        Some("spot") => {}
        Some(other) => return Err(invalid(format!("Value ({other}) for parameter MarketType is invalid."))),
    }
    let options = params.under("InstanceMarketOptions.SpotOptions");
    let request = options.get("SpotInstanceType").unwrap_or("one-time").to_owned();
    let behavior = options.get("InstanceInterruptionBehavior").unwrap_or("terminate").to_owned();
    one_of("SpotInstanceType", Some(&request), &["one-time", "persistent"])?;
    one_of("InstanceInterruptionBehavior", Some(&behavior), &["terminate", "stop", "hibernate"])?;
    if request == "persistent" && behavior == "terminate" {
        let text = "A persistent Spot request needs the interruption behavior stop or hibernate in RunInstances";
        return Err(fault("InvalidParameterCombination", text));
    }
    let price = price(options.get("MaxPrice"), kind)?;
    Ok(Some(Spot { price, kind: request, behavior }))
}

fn price(asked: Option<&str>, kind: &Type) -> Result<String, Fault> {
    let Some(text) = asked else { return Ok(format!("{:.6}", kind.spot_price() / 0.3)) };
    let price: f64 = text.parse().map_err(|_| invalid(format!("Invalid value '{text}' for MaxPrice")))?;
    // The comparison is written so that a price that is no number fails it.
    if price.partial_cmp(&0.001).is_none_or(std::cmp::Ordering::is_lt) {
        return Err(invalid(format!("Invalid value '{text}' for MaxPrice. It must be at least 0.001 USD.")));
    }
    if price < kind.spot_price() {
        let text = format!(
            "Your Spot request price of {text} is lower than the minimum required Spot request fulfillment price of {:.6}.",
            kind.spot_price()
        );
        return Err(fault("SpotMaxPriceTooLow", text));
    }
    Ok(format!("{price:.6}"))
}
