//! Security groups (`facts/aws.md` 12a): names, the default group, and when a group may go.

use serde_json::{Map, Value, json};

use super::super::{Call, Fault, Outcome, Tx, Xml};
use super::query::{Filters, Listing, page};
use super::{
    GROUPS, INTERFACES, RULES, Row, VPCS, answer, fault, fixed_id, invalid, network, new_id, required, rows, rule, tag,
};

const LISTING: Listing = Listing {
    set: "securityGroupInfo",
    ids: "GroupId",
    key: "groupId",
    filters: &[
        ("group-id", "groupId"),
        ("group-name", "groupName"),
        ("vpc-id", "vpcId"),
        ("description", "groupDescription"),
        ("owner-id", "ownerId"),
        ("ip-permission.cidr", "ipPermissions.ipRanges.cidrIp"),
        ("ip-permission.from-port", "ipPermissions.fromPort"),
        ("ip-permission.to-port", "ipPermissions.toPort"),
        ("ip-permission.protocol", "ipPermissions.ipProtocol"),
        ("ip-permission.group-id", "ipPermissions.groups.groupId"),
        ("egress.ip-permission.cidr", "ipPermissionsEgress.ipRanges.cidrIp"),
        ("egress.ip-permission.group-id", "ipPermissionsEgress.groups.groupId"),
    ],
    not_found: "InvalidGroup.NotFound",
    malformed: "InvalidGroupId.Malformed",
};

/// Returns the id of the default group.
pub(super) fn default_id(call: &Call) -> String {
    fixed_id(call, "sg", "default")
}

/// Makes the default group of a VPC: its members may talk to each other, and out.
pub(super) fn create_default(tx: &mut Tx<'_>, call: &Call, vpc: &str) -> Result<(), Fault> {
    let id = default_id(call);
    let row = group_row(call, &id, "default", "default VPC security group", vpc);
    tx.put(GROUPS, &id, &row)?;
    let itself = json!({ "groupId": id, "userId": call.account });
    rule::put_new(
        tx,
        call,
        &id,
        false,
        json!({ "ipProtocol": "-1", "fromPort": -1, "toPort": -1, "referencedGroupInfo": itself }),
    )?;
    open_egress(tx, call, &id)
}

// Every new group of a VPC lets everything out over IPv4.
fn open_egress(tx: &mut Tx<'_>, call: &Call, id: &str) -> Result<(), Fault> {
    let all = json!({ "ipProtocol": "-1", "fromPort": -1, "toPort": -1, "cidrIpv4": "0.0.0.0/0" });
    rule::put_new(tx, call, id, true, all)
}

fn group_row(call: &Call, id: &str, name: &str, description: &str, vpc: &str) -> Row {
    let resource = format!("security-group/{id}");
    let view = json!({
        "ownerId": call.account, "groupId": id, "groupName": name, "groupDescription": description, "vpcId": vpc,
        "securityGroupArn": call.arn("ec2", &resource),
    });
    Row::new(call, &resource, view)
}

/// `CreateSecurityGroup`.
pub(super) fn create(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let (name, description) = (required(call, "GroupName")?, required(call, "GroupDescription")?);
    check_name(name)?;
    check_text("GroupDescription", description)?;
    let vpc = call.params().get("VpcId").map_or_else(|| network::default_vpc(call), str::to_owned);
    if !tx.has(VPCS, &vpc)? {
        return Err(fault("InvalidVpcID.NotFound", format!("The vpc ID '{vpc}' does not exist")));
    }
    let taken = |row: &Row| row.text("vpcId") == vpc && row.text("groupName").eq_ignore_ascii_case(name);
    if rows(tx, GROUPS)?.iter().any(taken) {
        let text = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(fault("InvalidGroup.Duplicate", text));
    }
    let id = new_id("sg");
    let mut row = group_row(call, &id, name, description, &vpc);
    row.tags = tag::specified(call.params(), "security-group", &["security-group"])?;
    tx.put(GROUPS, &id, &row)?;
    open_egress(tx, call, &id)?;
    answer(Xml::new().text("groupId", &id).and(super::tag_set(&row.tags)).text("securityGroupArn", &row.arn))
}

fn check_name(name: &str) -> Result<(), Fault> {
    if name.to_ascii_lowercase().starts_with("sg-") {
        return Err(invalid(format!(
            "Value ({name}) for parameter GroupName is invalid. Group names may not be in the format sg-*"
        )));
    }
    if name.eq_ignore_ascii_case("default") {
        return Err(fault("InvalidParameterValue", "Cannot use reserved security group name: default"));
    }
    check_text("GroupName", name)
}

/// Checks a group's name or description against the letters that VPC groups allow.
fn check_text(field: &str, value: &str) -> Result<(), Fault> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(letter);
    if value.chars().count() <= 255 && value.chars().all(allowed) {
        return Ok(());
    }
    Err(invalid(format!(
        "Value ({value}) for parameter {field} is invalid. It must be at most 255 characters from a-z, A-Z, 0-9, spaces and ._-:/()#,@[]+=&;{{}}!$*"
    )))
}

/// Reads a group, or faults as EC2 does.
pub(super) fn load(tx: &Tx<'_>, id: &str) -> Result<Row, Fault> {
    let found: Option<Row> = tx.get(GROUPS, id)?;
    found.ok_or_else(|| fault("InvalidGroup.NotFound", format!("The security group '{id}' does not exist")))
}

/// Reads the group that a call names by `GroupId` or `GroupName`.
pub(super) fn named(tx: &Tx<'_>, call: &Call) -> Result<Row, Fault> {
    if let Some(id) = call.params().get("GroupId") {
        return load(tx, id);
    }
    by_name(tx, required(call, "GroupName")?)
}

/// Finds a group of the default VPC by its name.
pub(super) fn by_name(tx: &Tx<'_>, name: &str) -> Result<Row, Fault> {
    let found = rows(tx, GROUPS)?.into_iter().find(|row| row.text("groupName") == name);
    found.ok_or_else(|| {
        fault("InvalidGroup.NotFound", format!("The security group '{name}' does not exist in default VPC"))
    })
}

/// `DescribeSecurityGroups`.
pub(super) fn describe(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let mut all = rows(tx, GROUPS)?;
    let rules = rows(tx, RULES)?;
    for row in &mut all {
        show_rules(row, &rules);
    }
    let names = call.params().texts("GroupName");
    for name in &names {
        by_name(tx, name)?;
    }
    let chosen = super::query::select(call, all, &LISTING)?;
    let chosen =
        chosen.into_iter().filter(|row| names.is_empty() || names.iter().any(|name| name == row.text("groupName")));
    let (page, next) = page(call, chosen.collect(), LISTING.key)?;
    answer(Xml::new().list(LISTING.set, "item", page.iter().map(Row::xml)).maybe("nextToken", next))
}

fn show_rules(row: &mut Row, rules: &[Row]) {
    let id = row.text("groupId").to_owned();
    for (member, egress) in [("ipPermissions", false), ("ipPermissionsEgress", true)] {
        let own = |rule: &&Row| rule.text("groupId") == id && rule::is_egress(rule) == egress;
        row.set(member, permissions(rules.iter().filter(own)));
    }
}

/// Groups rules by protocol and ports, as `DescribeSecurityGroups` shows them.
fn permissions<'a>(rules: impl Iterator<Item = &'a Row>) -> Vec<Value> {
    let mut grouped: Vec<(Value, Value)> = Vec::new();
    for rule in rules {
        let key = json!([rule.view.get("ipProtocol"), rule.view.get("fromPort"), rule.view.get("toPort")]);
        let at = grouped.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            grouped.push((key, empty_permission(&rule.view)));
            grouped.len() - 1
        });
        let (list, source) = source_of(&rule.view);
        if let Some(list) = grouped[at].1.get_mut(list).and_then(Value::as_array_mut) {
            list.push(source);
        }
    }
    grouped.into_iter().map(|(_, permission)| permission).collect()
}

fn empty_permission(view: &Map<String, Value>) -> Value {
    let mut permission = json!({ "ipProtocol": view.get("ipProtocol") });
    if view.get("ipProtocol").and_then(Value::as_str) != Some("-1") {
        permission["fromPort"] = view.get("fromPort").cloned().unwrap_or_default();
        permission["toPort"] = view.get("toPort").cloned().unwrap_or_default();
    }
    for list in ["groups", "ipRanges", "ipv6Ranges", "prefixListIds"] {
        permission[list] = json!([]);
    }
    permission
}

fn source_of(view: &Map<String, Value>) -> (&'static str, Value) {
    let description = view.get("description");
    if let Some(cidr) = view.get("cidrIpv4") {
        return ("ipRanges", json!({ "cidrIp": cidr, "description": description }));
    }
    if let Some(cidr) = view.get("cidrIpv6") {
        return ("ipv6Ranges", json!({ "cidrIpv6": cidr, "description": description }));
    }
    if let Some(list) = view.get("prefixListId") {
        return ("prefixListIds", json!({ "prefixListId": list, "description": description }));
    }
    let peer = view.get("referencedGroupInfo").cloned().unwrap_or_default();
    ("groups", json!({ "userId": peer["userId"], "groupId": peer["groupId"], "description": description }))
}

/// `DeleteSecurityGroup`: refused while an interface uses it or a rule of another group names it.
pub(super) fn delete(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let row = named(tx, call)?;
    let id = row.text("groupId").to_owned();
    if row.text("groupName") == "default" {
        return Err(fault(
            "CannotDelete",
            format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user"),
        ));
    }
    let attached = Filters::on_member("groupSet.groupId", &id);
    let used = rows(tx, INTERFACES)?.iter().any(|row| attached.accept(row));
    let rules = rows(tx, RULES)?;
    let named = rules.iter().any(|rule| rule.text("groupId") != id && rule::peer(rule) == id);
    if used || named {
        return Err(fault("DependencyViolation", format!("resource {id} has a dependent object")));
    }
    for rule in rules.iter().filter(|rule| rule.text("groupId") == id) {
        tx.delete(RULES, rule.text("securityGroupRuleId"))?;
    }
    tx.delete(GROUPS, &id)?;
    answer(Xml::new().text("return", true).text("groupId", id))
}
