//! Rules of security groups: authorised, revoked and listed one by one (`facts/aws.md` 12a.2, 12a.4).

use serde_json::{Value, json};

use super::super::{Call, Fault, Outcome, Tx, Xml};
use super::query::{Listing, describe as describe_rows};
use super::{RULES, Row, answer, fault, group, new_id, rows, rule_form, tag};

/// Rules per group and direction (`facts/aws.md` 12a.6).
const MOST_RULES: usize = 60;

const LISTING: Listing = Listing {
    set: "securityGroupRuleSet",
    ids: "SecurityGroupRuleId",
    key: "securityGroupRuleId",
    filters: &[("group-id", "groupId"), ("security-group-rule-id", "securityGroupRuleId")],
    not_found: "InvalidSecurityGroupRuleId.NotFound",
    malformed: "InvalidSecurityGroupRuleId.Malformed",
};

/// Tells whether a rule lets out rather than in.
pub(super) fn is_egress(rule: &Row) -> bool {
    rule.view.get("isEgress") == Some(&Value::Bool(true))
}

/// Returns the id of the group that a rule names as its source or destination; empty for addresses.
pub(super) fn peer(rule: &Row) -> &str {
    let info = rule.view.get("referencedGroupInfo");
    info.and_then(|info| info.get("groupId")).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the comparable part of a stored rule.
pub(super) fn body(rule: &Row) -> Value {
    Value::Object(rule.view.clone())
}

/// Returns the rules of one group in one direction.
pub(super) fn of_group(tx: &Tx<'_>, group: &str, egress: bool) -> Result<Vec<Row>, Fault> {
    let own = |row: &Row| row.text("groupId") == group && is_egress(row) == egress;
    Ok(rows(tx, RULES)?.into_iter().filter(own).collect())
}

/// Stores a rule of a group.
pub(super) fn put_new(tx: &mut Tx<'_>, call: &Call, group: &str, egress: bool, rule: Value) -> Result<(), Fault> {
    let row = new_row(call, group, egress, rule);
    tx.put(RULES, row.text("securityGroupRuleId"), &row)
}

fn new_row(call: &Call, group: &str, egress: bool, rule: Value) -> Row {
    let id = new_id("sgr");
    let resource = format!("security-group-rule/{id}");
    let mut view = json!({
        "securityGroupRuleId": id, "groupId": group, "groupOwnerId": call.account, "isEgress": egress,
        "securityGroupRuleArn": call.arn("ec2", &resource),
    });
    if let (Some(view), Value::Object(rule)) = (view.as_object_mut(), rule) {
        view.extend(rule);
    }
    Row::new(call, &resource, view)
}

/// `AuthorizeSecurityGroupIngress` and `…Egress`: all rules of the call are added, or none.
pub(super) fn authorize(tx: &mut Tx<'_>, call: &Call, egress: bool) -> Outcome {
    let group = group::named(tx, call)?;
    let id = group.text("groupId");
    let tags = tag::specified(call.params(), "security-group-rule", &["security-group-rule"])?;
    let mut known: Vec<Value> = of_group(tx, id, egress)?.iter().map(body).collect();
    let mut added = Vec::new();
    for rule in rule_form::parse(tx, call)? {
        if known.iter().any(|other| rule_form::same(other, &rule)) {
            let text = format!("the specified rule \"{}\" already exists", rule_form::words(&rule));
            return Err(fault("InvalidPermission.Duplicate", text));
        }
        known.push(rule.clone());
        let mut row = new_row(call, id, egress, rule);
        row.tags.clone_from(&tags);
        tx.put(RULES, row.text("securityGroupRuleId"), &row)?;
        added.push(row);
    }
    if known.len() > MOST_RULES {
        let text = format!("The maximum number of rules per security group has been reached ({MOST_RULES})");
        return Err(fault("RulesPerSecurityGroupLimitExceeded", text));
    }
    answer(Xml::new().text("return", true).list("securityGroupRuleSet", "item", added.iter().map(Row::xml)))
}

/// `RevokeSecurityGroupIngress` and `…Egress`.
///
/// A rule that is not there is told in the answer for groups of the default VPC, which all groups here are; an
/// unknown rule id is a fault (`facts/aws.md` 12a.4).
pub(super) fn revoke(tx: &mut Tx<'_>, call: &Call, egress: bool) -> Outcome {
    let group = group::named(tx, call)?;
    let existing = of_group(tx, group.text("groupId"), egress)?;
    let ids = call.params().texts("SecurityGroupRuleId");
    if !ids.is_empty() {
        return revoke_by_id(tx, &existing, &ids);
    }
    let mut unknown = Vec::new();
    let mut revoked = Vec::new();
    for rule in rule_form::parse(tx, call)? {
        match existing.iter().find(|row| rule_form::same(&body(row), &rule)) {
            Some(row) => revoked.push(row),
            None => unknown.push(rule),
        }
    }
    for row in &revoked {
        tx.delete(RULES, row.text("securityGroupRuleId"))?;
    }
    let unknown = unknown.iter().map(|rule| Xml::new().maybe("ipProtocol", rule["ipProtocol"].as_str()));
    let shown = Xml::new().text("return", true).list("unknownIpPermissionSet", "item", unknown);
    answer(shown.and(revoked_set(&revoked)))
}

fn revoke_by_id(tx: &mut Tx<'_>, existing: &[Row], ids: &[String]) -> Outcome {
    let mut revoked = Vec::new();
    for id in ids {
        let row = existing.iter().find(|row| row.text("securityGroupRuleId") == id);
        let row = row.ok_or_else(|| {
            fault("InvalidSecurityGroupRuleId.NotFound", format!("The security group rule ID '{id}' does not exist"))
        })?;
        tx.delete(RULES, id)?;
        revoked.push(row);
    }
    answer(Xml::new().text("return", true).and(revoked_set(&revoked)))
}

fn revoked_set(rules: &[&Row]) -> Xml {
    Xml::new().list("revokedSecurityGroupRuleSet", "item", rules.iter().map(|row| row.xml()))
}

/// `DescribeSecurityGroupRules`.
pub(super) fn describe(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    describe_rows(call, rows(tx, RULES)?, &LISTING)
}
