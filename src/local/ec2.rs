//! EC2 as far as a provisioner of single machines meets it: the default network, groups, keys, instances, spot.
//!
//! Every object is one [`Row`], whose `view` holds the members that `Describe…` answers show, under the names of
//! the wire format. Nothing boots: an instance is a record that changes state with time. Networks other than
//! the default one do not exist.

mod attribute;
mod catalog;
mod group;
mod happen;
mod image;
mod instance;
mod key;
mod launch;
mod launch_checks;
mod lifecycle;
mod network;
mod profile;
mod query;
mod rule;
mod rule_change;
mod rule_form;
mod spot;
mod tag;
#[cfg(test)]
mod tests;
mod volume;

pub(crate) use happen::{fail, reclaim};
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::store::Table;
use super::{Answer, Call, Fault, Outcome, Service, Tx, Xml, unknown_operation};

const VPCS: Table = Table::regional("ec2.vpc");
const SUBNETS: Table = Table::regional("ec2.subnet");
const GROUPS: Table = Table::regional("ec2.security-group");
const RULES: Table = Table::regional("ec2.security-group-rule");
const KEYS: Table = Table::regional("ec2.key-pair");
const INSTANCES: Table = Table::regional("ec2.instance");
const INTERFACES: Table = Table::regional("ec2.network-interface");
const VOLUMES: Table = Table::regional("ec2.volume");
const SPOT_REQUESTS: Table = Table::regional("ec2.spot-instances-request");
/// Instances that are no longer shown and whose client tokens are still known.
const FORMER: Table = Table::regional("ec2.former-instance");

/// Tables with the prefix of their ids; all of them can be tagged.
pub(crate) const TAGGABLE: &[Table] =
    &[VPCS, SUBNETS, GROUPS, RULES, KEYS, INSTANCES, INTERFACES, VOLUMES, SPOT_REQUESTS];

/// The service; one value serves all accounts and regions.
pub(crate) struct Ec2;

impl Service for Ec2 {
    fn handle(&self, tx: &mut Tx<'_>, call: &Call) -> Outcome {
        network::ensure(tx, call)?;
        lifecycle::settle(tx, call)?;
        let answer = network_operation(tx, call)?;
        // A dry run ends here: the fault drops what the call wrote, and shows that it would have worked.
        if call.params().get("DryRun") == Some("true") {
            let text = "Request would have succeeded, but DryRun flag is set.";
            return Err(Fault::with_status(412, "DryRunOperation", text));
        }
        Ok(answer)
    }
}

fn network_operation(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    match call.operation.as_str() {
        "DescribeVpcs" => network::vpcs(tx, call),
        "DescribeVpcAttribute" => network::vpc_attribute(tx, call),
        "DescribeSubnets" => network::subnets(tx, call),
        "DescribeRouteTables" => network::route_tables(tx, call),
        "DescribeInternetGateways" => network::gateways(tx, call),
        "DescribeAvailabilityZones" => network::zones(call),
        "DescribeRegions" => network::regions(call),
        "DescribeAccountAttributes" => network::account_attributes(tx, call),
        "DescribeNetworkInterfaces" => volume::describe_interfaces(tx, call),
        "DescribeInstanceTypes" => catalog::describe_types(call),
        "DescribeInstanceTypeOfferings" => catalog::offerings(call),
        "DescribeSpotPriceHistory" => catalog::spot_prices(call),
        "DescribeImages" => image::describe(call),
        "CreateKeyPair" => key::create(tx, call),
        "ImportKeyPair" => key::import(tx, call),
        "DescribeKeyPairs" => key::describe(tx, call),
        "DeleteKeyPair" => key::delete(tx, call),
        "CreateTags" => tag::create(tx, call),
        "DeleteTags" => tag::delete(tx, call),
        "DescribeTags" => tag::describe(tx, call),
        _ => group_operation(tx, call),
    }
}

fn group_operation(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    match call.operation.as_str() {
        "CreateSecurityGroup" => group::create(tx, call),
        "DescribeSecurityGroups" => group::describe(tx, call),
        "DeleteSecurityGroup" => group::delete(tx, call),
        "AuthorizeSecurityGroupIngress" => rule::authorize(tx, call, false),
        "AuthorizeSecurityGroupEgress" => rule::authorize(tx, call, true),
        "RevokeSecurityGroupIngress" => rule::revoke(tx, call, false),
        "RevokeSecurityGroupEgress" => rule::revoke(tx, call, true),
        "DescribeSecurityGroupRules" => rule::describe(tx, call),
        "UpdateSecurityGroupRuleDescriptionsIngress" => rule_change::describe_anew(tx, call, false),
        "UpdateSecurityGroupRuleDescriptionsEgress" => rule_change::describe_anew(tx, call, true),
        "ModifySecurityGroupRules" => rule_change::modify(tx, call),
        _ => instance_operation(tx, call),
    }
}

fn instance_operation(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    match call.operation.as_str() {
        "RunInstances" => launch::run(tx, call),
        "DescribeInstances" => instance::describe(tx, call),
        "DescribeInstanceStatus" => instance::status(tx, call),
        "StartInstances" => lifecycle::start(tx, call),
        "StopInstances" => lifecycle::stop(tx, call),
        "RebootInstances" => lifecycle::reboot(tx, call),
        "TerminateInstances" => lifecycle::terminate(tx, call),
        "MonitorInstances" => lifecycle::monitor(tx, call, true),
        "UnmonitorInstances" => lifecycle::monitor(tx, call, false),
        "DescribeInstanceAttribute" => attribute::describe(tx, call),
        "ModifyInstanceAttribute" => attribute::modify(tx, call),
        "ModifyInstanceMetadataOptions" => attribute::modify_metadata(tx, call),
        "ModifyInstanceCreditSpecification" => attribute::modify_credits(tx, call),
        "DescribeInstanceCreditSpecifications" => attribute::credits(tx, call),
        "DescribeIamInstanceProfileAssociations" => profile::describe(tx, call),
        "AssociateIamInstanceProfile" => profile::associate(tx, call),
        "ReplaceIamInstanceProfileAssociation" => profile::replace(tx, call),
        "DisassociateIamInstanceProfile" => profile::disassociate(tx, call),
        "DescribeVolumes" => volume::describe(tx, call),
        "ModifyVolume" => volume::modify(tx, call),
        "DescribeVolumesModifications" => volume::modifications(tx, call),
        "RequestSpotInstances" => spot::request(tx, call),
        "DescribeSpotInstanceRequests" => spot::describe(tx, call),
        "CancelSpotInstanceRequests" => spot::cancel(tx, call),
        _ => Err(unknown_operation(call)),
    }
}

/// One stored object.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    arn: String,
    tags: BTreeMap<String, String>,
    /// Members as the wire format names them.
    view: Map<String, Value>,
    /// What answers do not show, or show elsewhere.
    #[serde(default)]
    hidden: Map<String, Value>,
}

impl Row {
    /// Makes a row from members in wire names; `view` must be an object.
    fn new(call: &Call, resource: &str, view: Value) -> Self {
        let view = match view {
            Value::Object(view) => view,
            _ => Map::new(),
        };
        Self { arn: call.arn("ec2", resource), tags: BTreeMap::new(), view, hidden: Map::new() }
    }

    /// Returns the text of a member, empty when missing.
    fn text(&self, member: &str) -> &str {
        self.view.get(member).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the text of a hidden member, empty when missing.
    fn secret(&self, member: &str) -> &str {
        self.hidden.get(member).and_then(Value::as_str).unwrap_or_default()
    }

    /// Tells whether a hidden flag is set.
    fn flag(&self, member: &str) -> bool {
        self.hidden.get(member).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Returns a hidden number, zero when missing.
    fn number(&self, member: &str) -> i64 {
        self.hidden.get(member).and_then(Value::as_i64).unwrap_or(0)
    }

    fn set(&mut self, member: &str, value: impl Into<Value>) {
        self.view.insert(member.to_owned(), value.into());
    }

    fn hide(&mut self, member: &str, value: impl Into<Value>) {
        self.hidden.insert(member.to_owned(), value.into());
    }

    /// Writes the members and the tags.
    fn xml(&self) -> Xml {
        members(&self.view).and(tag_set(&self.tags))
    }
}

/// Checks subnets and groups that another service was given, and returns their VPC; empty without subnets.
pub(crate) fn check_network(tx: &mut Tx<'_>, call: &Call, subnets: &[&str], groups: &[&str]) -> Result<String, Fault> {
    network::ensure(tx, call)?;
    let mut vpc = String::new();
    for id in subnets {
        network::pick_subnet(tx, Some(id), None)?.text("vpcId").clone_into(&mut vpc);
    }
    for id in groups {
        group::load(tx, id)?;
    }
    Ok(vpc)
}

fn tag_set(tags: &BTreeMap<String, String>) -> Xml {
    Xml::new().list("tagSet", "item", tags.iter().map(|(key, value)| Xml::new().text("key", key).text("value", value)))
}

/// Writes an object's members as elements; lists become `<item>`s and nulls are left out.
fn members(object: &Map<String, Value>) -> Xml {
    object.iter().fold(Xml::new(), |xml, (name, value)| match value {
        Value::Null => xml,
        Value::Object(inner) => xml.node(name, members(inner)),
        Value::Array(list) => xml.list(name, "item", list.iter().filter_map(Value::as_object).map(members)),
        Value::String(text) => xml.text(name, text),
        other => xml.text(name, other),
    })
}

fn rows(tx: &Tx<'_>, table: Table) -> Result<Vec<Row>, Fault> {
    Ok(tx.list::<Row>(table)?.into_iter().map(|(_, row)| row).collect())
}

#[expect(clippy::unnecessary_wraps, reason = "every operation ends in an outcome")]
fn answer(xml: Xml) -> Outcome {
    Ok(Answer::Xml(xml))
}

/// The answer of calls that only say that they worked.
fn done() -> Outcome {
    answer(Xml::new().text("return", true))
}

fn fault(code: &str, message: impl Into<String>) -> Fault {
    Fault::new(code, message)
}

fn invalid(message: impl Into<String>) -> Fault {
    fault("InvalidParameterValue", message)
}

fn missing(field: &str) -> Fault {
    fault("MissingParameter", format!("The request must contain the parameter {field}"))
}

fn required<'a>(call: &'a Call, field: &str) -> Result<&'a str, Fault> {
    call.params().get(field).filter(|value| !value.is_empty()).ok_or_else(|| missing(field))
}

/// Makes a new id such as `i-0123456789abcdef0`.
fn new_id(prefix: &str) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{prefix}-0{}", &random[..16])
}

/// Makes the id that a thing of this account and region always has.
fn fixed_id(call: &Call, prefix: &str, name: &str) -> String {
    let seed = format!("{}/{}/{prefix}/{name}", call.account, call.region);
    let digest = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, seed.as_bytes()).simple().to_string();
    format!("{prefix}-0{}", &digest[..16])
}

/// Writes a moment as EC2 does.
fn time(milliseconds: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    format!("{moment:.3}")
}
