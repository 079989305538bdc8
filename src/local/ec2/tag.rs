//! Tags of EC2 objects, given with their creation or changed later.

use std::collections::BTreeMap;

use super::super::store::Table;
use super::super::{Call, Fault, Outcome, Params, Tx, Xml};
use super::query::{Filters, page};
use super::{
    GROUPS, INSTANCES, INTERFACES, KEYS, RULES, Row, SPOT_REQUESTS, SUBNETS, VOLUMES, VPCS, answer, done, fault,
    invalid, missing, rows,
};

const MOST_TAGS: usize = 50;

/// Id prefix, table, resource type and member with the id.
const KINDS: [(&str, Table, &str, &str); 9] = [
    ("i-", INSTANCES, "instance", "instanceId"),
    ("sg-", GROUPS, "security-group", "groupId"),
    ("sgr-", RULES, "security-group-rule", "securityGroupRuleId"),
    ("vol-", VOLUMES, "volume", "volumeId"),
    ("eni-", INTERFACES, "network-interface", "networkInterfaceId"),
    ("sir-", SPOT_REQUESTS, "spot-instances-request", "spotInstanceRequestId"),
    ("vpc-", VPCS, "vpc", "vpcId"),
    ("subnet-", SUBNETS, "subnet", "subnetId"),
    ("key-", KEYS, "key-pair", "keyPairId"),
];

/// Returns the tags that a create call gives to one type of resource.
///
/// `allowed` lists the types that the call makes; a specification for another type is refused.
pub(super) fn specified(params: &Params, kind: &str, allowed: &[&str]) -> Result<BTreeMap<String, String>, Fault> {
    let mut tags = BTreeMap::new();
    for specification in params.list("TagSpecification") {
        let given = specification.get("ResourceType").unwrap_or_default();
        if !allowed.contains(&given) {
            return Err(invalid(format!("'{given}' is not a valid taggable resource type for this operation.")));
        }
        if given == kind {
            tags.extend(parse(&specification.list("Tag"))?);
        }
    }
    within_limit(&tags)?;
    Ok(tags)
}

fn parse(list: &[Params]) -> Result<BTreeMap<String, String>, Fault> {
    let mut tags = BTreeMap::new();
    for tag in list {
        let (key, value) = (tag.get("Key").unwrap_or_default(), tag.get("Value").unwrap_or_default());
        if key.is_empty() || key.chars().count() > 127 || value.chars().count() > 255 {
            return Err(invalid(format!("Tag key or value of '{key}' is empty or too long")));
        }
        if key.starts_with("aws:") {
            return Err(invalid(format!(
                "Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use"
            )));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(invalid(format!("Duplicate tag key '{key}' specified.")));
        }
    }
    Ok(tags)
}

fn within_limit(tags: &BTreeMap<String, String>) -> Result<(), Fault> {
    if tags.len() > MOST_TAGS {
        return Err(fault(
            "TagLimitExceeded",
            format!("The maximum number of Tags for a resource has been reached ({MOST_TAGS})"),
        ));
    }
    Ok(())
}

/// Finds the table and key of an object by its id.
fn locate(tx: &Tx<'_>, id: &str) -> Result<(Table, String, Row), Fault> {
    let kind = KINDS.iter().find(|(prefix, ..)| id.starts_with(prefix));
    let (_, table, kind, member) = kind.ok_or_else(|| fault("InvalidID", format!("The ID '{id}' is not valid")))?;
    let found = tx.list::<Row>(*table)?.into_iter().find(|(_, row)| row.text(member) == id);
    found
        .map(|(key, row)| (*table, key, row))
        .ok_or_else(|| fault(not_found(kind), format!("The {kind} ID '{id}' does not exist")))
}

fn not_found(kind: &str) -> &'static str {
    match kind {
        "instance" => "InvalidInstanceID.NotFound",
        "security-group" => "InvalidGroup.NotFound",
        "security-group-rule" => "InvalidSecurityGroupRuleId.NotFound",
        "volume" => "InvalidVolume.NotFound",
        "network-interface" => "InvalidNetworkInterfaceID.NotFound",
        "spot-instances-request" => "InvalidSpotInstanceRequestID.NotFound",
        "vpc" => "InvalidVpcID.NotFound",
        "subnet" => "InvalidSubnetID.NotFound",
        _ => "InvalidKeyPair.NotFound",
    }
}

/// `CreateTags`: all resources or none.
pub(super) fn create(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let tags = parse(&call.params().list("Tag"))?;
    if tags.is_empty() {
        return Err(missing("tagSet"));
    }
    change(tx, call, |row| {
        row.tags.extend(tags.clone());
        within_limit(&row.tags)
    })
}

/// `DeleteTags`: without tags, all of them; with a value, only if it is that value.
pub(super) fn delete(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let tags = call.params().list("Tag");
    change(tx, call, |row| {
        let goes = |key: &String, value: &String| {
            tags.iter().any(|tag| tag.get("Key") == Some(key) && tag.get("Value").is_none_or(|wanted| wanted == value))
        };
        row.tags.retain(|key, value| !tags.is_empty() && !goes(key, value));
        Ok(())
    })
}

fn change(tx: &mut Tx<'_>, call: &Call, apply: impl Fn(&mut Row) -> Result<(), Fault>) -> Outcome {
    let ids = call.params().texts("ResourceId");
    if ids.is_empty() {
        return Err(missing("resourceIdSet"));
    }
    for id in ids {
        let (table, key, mut row) = locate(tx, &id)?;
        apply(&mut row)?;
        tx.put(table, &key, &row)?;
    }
    done()
}

/// `DescribeTags`: one item per tag.
pub(super) fn describe(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let names = [("resource-id", "resourceId"), ("resource-type", "resourceType"), ("key", "key"), ("value", "value")];
    let filters = Filters::parse(call, &names)?;
    let mut all = Vec::new();
    for (_, table, kind, member) in KINDS {
        for row in rows(tx, table)? {
            all.extend(row.tags.iter().map(|(key, value)| tag_row(call, row.text(member), kind, key, value)));
        }
    }
    let (page, next) = page(call, all.into_iter().filter(|row| filters.accept(row)).collect(), "!sort")?;
    let items = page.iter().map(|row| {
        ["resourceId", "resourceType", "key", "value"]
            .iter()
            .fold(Xml::new(), |xml, member| xml.text(member, row.text(member)))
    });
    answer(Xml::new().list("tagSet", "item", items).maybe("nextToken", next))
}

fn tag_row(call: &Call, id: &str, kind: &str, key: &str, value: &str) -> Row {
    let sort = format!("{id}/{key}");
    let view = serde_json::json!({ "resourceId": id, "resourceType": kind, "key": key, "value": value });
    let mut row = Row::new(call, id, view);
    row.hide("sort", sort);
    row.tags.insert(key.to_owned(), value.to_owned());
    row
}
