//! Log groups: name, retention, key, deletion protection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::local::constraint::Constraints;
use crate::local::store::Table;
use crate::local::{Call, Fault, Tx};

use super::{GROUP_NAME, invalid, not_found, page, stream, tags, text};

/// Log groups by name.
pub(crate) const GROUPS: Table = Table::regional("logs.group");

/// Days that a retention may have.
const RETENTIONS: &[i64] =
    &[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

const CLASSES: &[&str] = &["STANDARD", "INFREQUENT_ACCESS", "DELIVERY"];

/// One log group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Group {
    /// ARN without `:*`, as tagging takes it.
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) created: i64,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) retention: Option<i64>,
    pub(super) class: String,
    pub(super) key: Option<String>,
    pub(super) protected: bool,
}

impl Group {
    /// Makes a group with defaults.
    pub(super) fn new(call: &Call, name: &str) -> Self {
        Self {
            arn: call.arn("logs", &format!("log-group:{name}")),
            name: name.to_owned(),
            created: call.now,
            tags: BTreeMap::new(),
            retention: None,
            class: "STANDARD".to_owned(),
            key: None,
            protected: false,
        }
    }

    pub(super) fn save(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        tx.put(GROUPS, &self.name, self)
    }
}

/// Tells whether there is a group of this name.
pub(super) fn exists(tx: &Tx<'_>, name: &str) -> Result<bool, Fault> {
    tx.has(GROUPS, name)
}

/// Returns the checked name in a field.
pub(super) fn name<'a>(call: &'a Call, field: &str) -> Result<&'a str, Fault> {
    let value = text(call, field);
    let mut check = Constraints::new();
    check.required(field, value);
    check.length(field, value, 1, 512);
    check.charset(field, value, GROUP_NAME);
    check.done("InvalidParameterException")?;
    Ok(value.unwrap_or_default())
}

/// Returns the group that a call names by `logGroupName` or by `logGroupIdentifier`, a name or an ARN.
pub(super) fn named(tx: &Tx<'_>, call: &Call) -> Result<Group, Fault> {
    match (text(call, "logGroupName"), text(call, "logGroupIdentifier")) {
        (Some(_), Some(_)) => Err(invalid("Only one of logGroupName and logGroupIdentifier may be given.")),
        (None, Some(identifier)) => by_identifier(tx, call, identifier),
        _ => by_name(tx, name(call, "logGroupName")?),
    }
}

fn by_name(tx: &Tx<'_>, name: &str) -> Result<Group, Fault> {
    tx.get(GROUPS, name)?.ok_or_else(|| not_found("The specified log group does not exist."))
}

fn by_identifier(tx: &Tx<'_>, call: &Call, identifier: &str) -> Result<Group, Fault> {
    match identifier.strip_prefix(&call.arn("logs", "log-group:")) {
        Some(name) => by_name(tx, name.strip_suffix(":*").unwrap_or(name)),
        None if identifier.starts_with("arn:") => Err(not_found("The specified log group does not exist.")),
        None => by_name(tx, identifier),
    }
}

/// Answers `CreateLogGroup`.
pub(super) fn create(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let name = name(call, "logGroupName")?;
    let class = text(call, "logGroupClass");
    let mut check = Constraints::new();
    check.one_of("logGroupClass", class, CLASSES);
    check.done("InvalidParameterException")?;
    if name.to_ascii_lowercase().starts_with("aws/") {
        return Err(invalid("Log groups starting with AWS/ are reserved for AWS."));
    }
    let key = text(call, "kmsKeyId").map(checked_key).transpose()?;
    let group = Group {
        tags: tags::given(call)?,
        class: class.unwrap_or("STANDARD").to_owned(),
        // Groups of this class keep their events for two days and no other time.
        retention: (class == Some("DELIVERY")).then_some(2),
        key,
        protected: call.json()["deletionProtectionEnabled"].as_bool().unwrap_or(false),
        ..Group::new(call, name)
    };
    if tx.has(GROUPS, name)? {
        return Err(Fault::new("ResourceAlreadyExistsException", "The specified log group already exists"));
    }
    group.save(tx)?;
    Ok(json!({}))
}

fn checked_key(arn: &str) -> Result<String, Fault> {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", _, "kms", region, account, key]
            if !region.is_empty() && account.len() == 12 && key.starts_with("key/") =>
        {
            Ok(arn.to_owned())
        }
        _ => Err(invalid(format!("The specified KMS key ID '{arn}' is not the ARN of a key."))),
    }
}

/// Answers `DescribeLogGroups`.
pub(super) fn describe(tx: &Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let (prefix, pattern) = (text(call, "logGroupNamePrefix"), text(call, "logGroupNamePattern"));
    if prefix.is_some() && pattern.is_some() {
        return Err(invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."));
    }
    let mut check = Constraints::new();
    check.length("logGroupNamePrefix", prefix, 1, 512);
    check.charset("logGroupNamePrefix", prefix, GROUP_NAME);
    check.one_of("logGroupClass", text(call, "logGroupClass"), CLASSES);
    check.done("InvalidParameterException")?;
    let identifiers: Vec<_> =
        call.json()["logGroupIdentifiers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let wanted = |group: &Group| {
        prefix.is_none_or(|prefix| group.name.starts_with(prefix))
            && pattern.is_none_or(|pattern| group.name.to_lowercase().contains(&pattern.to_lowercase()))
            && text(call, "logGroupClass").is_none_or(|class| group.class == class)
            && (identifiers.is_empty() || identifiers.iter().any(|one| *one == group.name || *one == group.arn))
    };
    let all: Vec<(String, Group)> = tx.list_from(GROUPS, prefix.unwrap_or_default())?;
    let found = all.into_iter().filter(|(_, group)| wanted(group)).map(|(name, group)| (name, described(&group)));
    page(call, found.collect(), "logGroups")
}

fn described(group: &Group) -> Value {
    let mut found = json!({
        "logGroupName": group.name,
        "creationTime": group.created,
        "metricFilterCount": 0,
        "arn": format!("{}:*", group.arn),
        "logGroupArn": group.arn,
        "storedBytes": 0,
        "logGroupClass": group.class,
        "deletionProtectionEnabled": group.protected,
    });
    if let Some(days) = group.retention {
        found["retentionInDays"] = json!(days);
    }
    if let Some(key) = &group.key {
        found["kmsKeyId"] = json!(key);
    }
    found
}

/// Answers `DeleteLogGroup`.
pub(super) fn delete(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let group = by_name(tx, name(call, "logGroupName")?)?;
    if group.protected {
        let text = "The log group is protected from deletion. Disable its deletion protection first.";
        return Err(Fault::new("ValidationException", text));
    }
    stream::forget(tx, &group.name)?;
    tx.delete(GROUPS, &group.name)?;
    Ok(json!({}))
}

/// Answers `PutRetentionPolicy`.
pub(super) fn put_retention(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let name = name(call, "logGroupName")?;
    let days = call.json()["retentionInDays"].as_i64();
    let days = days.filter(|days| RETENTIONS.contains(days)).ok_or_else(|| {
        let rule = format!("Member must satisfy enum value set: {RETENTIONS:?}");
        let value = &call.json()["retentionInDays"];
        let place = format!("Value '{value}' at 'retentionInDays' failed to satisfy constraint");
        invalid(format!("1 validation error detected: {place}: {rule}"))
    })?;
    set_retention(tx, name, Some(days))
}

/// Answers `DeleteRetentionPolicy`.
pub(super) fn delete_retention(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    set_retention(tx, name(call, "logGroupName")?, None)
}

fn set_retention(tx: &mut Tx<'_>, name: &str, days: Option<i64>) -> Result<Value, Fault> {
    let mut group = by_name(tx, name)?;
    if group.class == "DELIVERY" {
        return Err(invalid("The retention of log groups of the class DELIVERY cannot be changed."));
    }
    group.retention = days;
    group.save(tx)?;
    Ok(json!({}))
}

fn of_key(tx: &Tx<'_>, call: &Call) -> Result<Group, Fault> {
    match (text(call, "logGroupName"), text(call, "resourceIdentifier")) {
        (Some(_), Some(_)) => Err(invalid("Only one of logGroupName and resourceIdentifier may be given.")),
        (None, Some(identifier)) => by_identifier(tx, call, identifier),
        _ => by_name(tx, name(call, "logGroupName")?),
    }
}

/// Answers `AssociateKmsKey`.
pub(super) fn associate_key(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let mut group = of_key(tx, call)?;
    group.key = Some(checked_key(text(call, "kmsKeyId").unwrap_or_default())?);
    group.save(tx)?;
    Ok(json!({}))
}

/// Answers `DisassociateKmsKey`.
pub(super) fn disassociate_key(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let mut group = of_key(tx, call)?;
    group.key = None;
    group.save(tx)?;
    Ok(json!({}))
}

/// Answers `PutLogGroupDeletionProtection`.
pub(super) fn protect(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let identifier = text(call, "logGroupIdentifier").ok_or_else(|| invalid("logGroupIdentifier is required."))?;
    let mut group = by_identifier(tx, call, identifier)?;
    let wanted = call.json()["deletionProtectionEnabled"].as_bool();
    group.protected = wanted.ok_or_else(|| invalid("deletionProtectionEnabled is required."))?;
    group.save(tx)?;
    Ok(json!({}))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::Bench;
    use super::*;

    const KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/0d1e";

    fn group(bench: &Bench) -> Value {
        bench.ok("DescribeLogGroups", &json!({"logGroupNamePrefix": "g"}))["logGroups"][0].clone()
    }

    #[test]
    fn a_group_reads_back_with_both_arns() {
        let bench = Bench::new();
        bench.ok("CreateLogGroup", &json!({"logGroupName": "g", "kmsKeyId": KEY, "tags": {"a": "b"}}));
        let found = group(&bench);
        assert_eq!(found["arn"], "arn:aws:logs:us-east-1:000000000000:log-group:g:*");
        assert_eq!(found["logGroupArn"], "arn:aws:logs:us-east-1:000000000000:log-group:g");
        assert_eq!((&found["kmsKeyId"], &found["logGroupClass"]), (&json!(KEY), &json!("STANDARD")));
        assert!(found.get("retentionInDays").is_none());
        assert_eq!(bench.code("CreateLogGroup", &json!({"logGroupName": "g"})), "ResourceAlreadyExistsException");
    }

    #[test]
    fn broken_groups_are_refused() {
        let bench = Bench::new();
        let code = |body: Value| bench.code("CreateLogGroup", &body);
        for body in [
            json!({}),
            json!({"logGroupName": "a b"}),
            json!({"logGroupName": "aws/x"}),
            json!({"logGroupName": "a".repeat(513)}),
            json!({"logGroupName": "g", "logGroupClass": "GOLD"}),
            json!({"logGroupName": "g", "kmsKeyId": "alias/k"}),
            json!({"logGroupName": "g", "tags": {"aws:a": "b"}}),
        ] {
            assert_eq!(code(body.clone()), "InvalidParameterException", "{body}");
        }
    }

    #[test]
    fn prefixes_find_siblings_and_pages_follow() {
        let bench = Bench::new();
        for name in ["a", "a/1", "a/2", "b"] {
            bench.ok("CreateLogGroup", &json!({ "logGroupName": name }));
        }
        let first = bench.ok("DescribeLogGroups", &json!({"logGroupNamePrefix": "a", "limit": 2}));
        assert_eq!(first["logGroups"].as_array().unwrap().len(), 2);
        let more = json!({"logGroupNamePrefix": "a", "limit": 2, "nextToken": first["nextToken"]});
        let rest = bench.ok("DescribeLogGroups", &more);
        assert_eq!((&rest["logGroups"][0]["logGroupName"], rest.get("nextToken")), (&json!("a/2"), None));
        let pattern = bench.ok("DescribeLogGroups", &json!({"logGroupNamePattern": "/"}));
        assert_eq!(pattern["logGroups"].as_array().unwrap().len(), 2);
        for body in [
            json!({"logGroupNamePrefix": "a", "logGroupNamePattern": "a"}),
            json!({"limit": 51}),
            json!({"nextToken": "%"}),
        ] {
            assert_eq!(bench.code("DescribeLogGroups", &body), "InvalidParameterException");
        }
    }

    #[test]
    fn retention_is_one_of_a_fixed_set() {
        let bench = Bench::with_stream();
        bench.ok("PutRetentionPolicy", &json!({"logGroupName": "g", "retentionInDays": 14}));
        assert_eq!(group(&bench)["retentionInDays"], 14);
        let code = |days: i64| bench.code("PutRetentionPolicy", &json!({"logGroupName": "g", "retentionInDays": days}));
        assert_eq!((code(0), code(15)), ("InvalidParameterException".into(), "InvalidParameterException".into()));
        bench.ok("DeleteRetentionPolicy", &json!({"logGroupName": "g"}));
        assert!(group(&bench).get("retentionInDays").is_none());
        let missing = json!({"logGroupName": "none", "retentionInDays": 14});
        assert_eq!(bench.code("PutRetentionPolicy", &missing), "ResourceNotFoundException");
    }

    #[test]
    fn the_delivery_class_has_its_own_retention() {
        let bench = Bench::new();
        bench.ok("CreateLogGroup", &json!({"logGroupName": "g", "logGroupClass": "DELIVERY"}));
        assert_eq!(group(&bench)["retentionInDays"], 2);
        let change = json!({"logGroupName": "g", "retentionInDays": 14});
        assert_eq!(bench.code("PutRetentionPolicy", &change), "InvalidParameterException");
    }

    #[test]
    fn a_protected_group_is_not_deleted() {
        let bench = Bench::new();
        bench.ok("CreateLogGroup", &json!({"logGroupName": "g", "deletionProtectionEnabled": true}));
        assert_eq!(bench.code("DeleteLogGroup", &json!({"logGroupName": "g"})), "ValidationException");
        let arn = "arn:aws:logs:us-east-1:000000000000:log-group:g";
        let off = json!({"logGroupIdentifier": arn, "deletionProtectionEnabled": false});
        bench.ok("PutLogGroupDeletionProtection", &off);
        bench.ok("DeleteLogGroup", &json!({"logGroupName": "g"}));
        assert_eq!(bench.code("DeleteLogGroup", &json!({"logGroupName": "g"})), "ResourceNotFoundException");
    }

    #[test]
    fn keys_come_and_go() {
        let bench = Bench::with_stream();
        bench.ok("AssociateKmsKey", &json!({"logGroupName": "g", "kmsKeyId": KEY}));
        assert_eq!(group(&bench)["kmsKeyId"], KEY);
        bench.ok(
            "DisassociateKmsKey",
            &json!({"resourceIdentifier": "arn:aws:logs:us-east-1:000000000000:log-group:g"}),
        );
        assert!(group(&bench).get("kmsKeyId").is_none());
    }
}
