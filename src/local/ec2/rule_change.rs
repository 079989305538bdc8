//! Changes of existing security group rules in place: descriptions, and whole rules by their id.

use serde_json::{Map, Value};

use super::super::{Call, Fault, Outcome, Params, Tx};
use super::{RULES, Row, done, fault, group, missing, rule, rule_form};

/// `UpdateSecurityGroupRuleDescriptionsIngress` and `…Egress`.
pub(super) fn describe_anew(tx: &mut Tx<'_>, call: &Call, egress: bool) -> Outcome {
    let group = group::named(tx, call)?;
    let existing = rule::of_group(tx, group.text("groupId"), egress)?;
    let by_id = call.params().list("SecurityGroupRuleDescription");
    if !by_id.is_empty() {
        return by_id.iter().try_for_each(|change| describe_by_id(tx, &existing, change)).and_then(|()| done());
    }
    for wanted in rule_form::parse(tx, call)? {
        let found = existing.iter().find(|row| rule_form::same(&rule::body(row), &wanted));
        let mut row = found.cloned().ok_or_else(|| {
            fault("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
        })?;
        put_description(&mut row.view, wanted.get("description").and_then(Value::as_str));
        tx.put(RULES, row.text("securityGroupRuleId"), &row)?;
    }
    done()
}

fn describe_by_id(tx: &mut Tx<'_>, existing: &[Row], change: &Params) -> Result<(), Fault> {
    let id = change.get("SecurityGroupRuleId").ok_or_else(|| missing("SecurityGroupRuleId"))?;
    let mut row = find(existing, id)?.clone();
    put_description(&mut row.view, change.get("Description"));
    tx.put(RULES, id, &row)
}

fn put_description(view: &mut Map<String, Value>, description: Option<&str>) {
    match description.filter(|text| !text.is_empty()) {
        Some(text) => view.insert("description".to_owned(), Value::from(text)),
        None => view.shift_remove("description"),
    };
}

fn find<'a>(rules: &'a [Row], id: &str) -> Result<&'a Row, Fault> {
    rules.iter().find(|row| row.text("securityGroupRuleId") == id).ok_or_else(|| {
        fault("InvalidSecurityGroupRuleId.NotFound", format!("The security group rule ID '{id}' does not exist"))
    })
}

/// `ModifySecurityGroupRules`: a rule keeps its id and direction, and may not become equal to another.
pub(super) fn modify(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let group = group::named(tx, call)?;
    let id = group.text("groupId");
    for change in call.params().list("SecurityGroupRule") {
        let rule_id = change.get("SecurityGroupRuleId").ok_or_else(|| missing("SecurityGroupRuleId"))?;
        let wanted = rule_form::parse_request(tx, call, &change.under("SecurityGroupRule"))?;
        let mut existing = rule::of_group(tx, id, false)?;
        existing.extend(rule::of_group(tx, id, true)?);
        let mut row = find(&existing, rule_id)?.clone();
        let twin = existing.iter().any(|other| {
            other.text("securityGroupRuleId") != rule_id
                && rule::is_egress(other) == rule::is_egress(&row)
                && rule_form::same(&rule::body(other), &wanted)
        });
        if twin {
            let text = format!("the specified rule \"{}\" already exists", rule_form::words(&wanted));
            return Err(fault("InvalidPermission.Duplicate", text));
        }
        for field in ["cidrIpv4", "cidrIpv6", "prefixListId", "referencedGroupInfo", "description"] {
            row.view.shift_remove(field);
        }
        if let Value::Object(wanted) = wanted {
            row.view.extend(wanted);
        }
        tx.put(RULES, rule_id, &row)?;
    }
    done()
}
