//! What a table is like: the fields of a stack file, their normal form and what is checked offline.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::kind::Fault;

/// What a table is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Attribute by which items are spread over partitions.
    #[schemars(extend("x-immutable" = true))]
    pub hash_key: KeyAttribute,
    /// Attribute by which items of a partition are sorted; unset when the hash key alone names an item.
    #[serde(default)]
    #[schemars(extend("x-immutable" = true))]
    pub range_key: Option<KeyAttribute>,
    /// Whether capacity is provisioned or paid by request.
    #[serde(default)]
    pub billing_mode: BillingMode,
    /// Capacity of a provisioned table; required then.
    #[serde(default)]
    pub provisioned_throughput: Option<Throughput>,
    /// Most that a table paid by request may use; unset for no limit.
    #[serde(default, deserialize_with = "limits")]
    pub on_demand_throughput: Option<OnDemand>,
    /// Indexes with keys of their own; at most 20.
    #[serde(default)]
    #[schemars(extend("x-children" = true))]
    pub global_secondary_indexes: Vec<GlobalIndex>,
    /// Indexes with the table's hash key and a range key of their own; at most 5.
    #[serde(default)]
    #[schemars(extend("x-immutable" = true))]
    pub local_secondary_indexes: Vec<LocalIndex>,
    /// Attribute with the second of the epoch at which an item expires; unset for items that do not.
    #[serde(default, deserialize_with = "time_to_live")]
    pub time_to_live: Option<TimeToLive>,
    /// Continuous backups; `true` is short for `{enabled: true}`.
    #[serde(default, deserialize_with = "recovery")]
    #[schemars(with = "Written")]
    pub point_in_time_recovery: Recovery,
    /// What the table's stream of changes shows; unset for no stream. A change makes a new stream.
    #[serde(default)]
    pub stream_view_type: Option<ViewType>,
    /// Encryption with a KMS key; unset or disabled for the key that AWS owns.
    #[serde(default)]
    pub sse_specification: Sse,
    /// Class of storage.
    #[serde(default)]
    pub table_class: TableClass,
    /// Whether AWS refuses to delete the table.
    #[serde(default)]
    pub deletion_protection_enabled: bool,
}

/// An attribute of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyAttribute {
    /// Name of the attribute.
    pub name: String,
    /// Its type.
    #[serde(rename = "type", default)]
    pub kind: Scalar,
}

/// Types of key attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Scalar {
    /// String.
    #[default]
    S,
    /// Number.
    N,
    /// Binary.
    B,
}

/// How capacity is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BillingMode {
    /// By the units provisioned.
    #[default]
    Provisioned,
    /// By the requests made.
    PayPerRequest,
}

/// Provisioned capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Throughput {
    /// Strongly consistent reads of 4 KB in a second.
    #[schemars(range(min = 1))]
    pub read_capacity_units: i64,
    /// Writes of 1 KB in a second.
    #[schemars(range(min = 1))]
    pub write_capacity_units: i64,
}

/// Limits of capacity that is paid by request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OnDemand {
    /// Most read request units in a second; unset for no limit.
    pub max_read_request_units: Option<i64>,
    /// Most write request units in a second; unset for no limit.
    pub max_write_request_units: Option<i64>,
}

/// A global secondary index. A change of its keys or projection makes it anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalIndex {
    /// Name.
    pub index_name: String,
    /// Attribute by which it is spread.
    pub hash_key: KeyAttribute,
    /// Attribute by which it is sorted.
    #[serde(default)]
    pub range_key: Option<KeyAttribute>,
    /// Attributes that it holds besides keys.
    #[serde(default)]
    pub projection: Projection,
    /// Its capacity when the table is provisioned; required then.
    #[serde(default)]
    pub provisioned_throughput: Option<Throughput>,
    /// Most that it may use when the table is paid by request; unset for no limit.
    #[serde(default, deserialize_with = "limits")]
    pub on_demand_throughput: Option<OnDemand>,
}

/// A local secondary index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalIndex {
    /// Name.
    pub index_name: String,
    /// Attribute by which it is sorted.
    pub range_key: KeyAttribute,
    /// Attributes that it holds besides keys.
    #[serde(default)]
    pub projection: Projection,
}

/// Attributes that an index holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Projection {
    /// Which attributes.
    pub projection_type: ProjectionType,
    /// Names of the attributes for `INCLUDE`.
    pub non_key_attributes: BTreeSet<String>,
}

/// Which attributes an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProjectionType {
    /// All.
    #[default]
    All,
    /// Keys alone.
    KeysOnly,
    /// Keys and those named.
    Include,
}

/// Expiry of items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeToLive {
    /// Name of the attribute.
    pub attribute_name: String,
}

/// Continuous backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Recovery {
    /// Whether the table can be restored to any second of the period.
    pub enabled: bool,
    /// Length of the period in days.
    #[schemars(range(min = 1, max = 35))]
    pub recovery_period_in_days: i32,
}

/// What a stream of changes shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ViewType {
    /// Keys of the item.
    KeysOnly,
    /// The item after the change.
    NewImage,
    /// The item before the change.
    OldImage,
    /// Both.
    NewAndOldImages,
}

/// Encryption.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sse {
    /// Whether a KMS key of the account is used.
    pub enabled: bool,
    /// ARN of the key. Unset when encryption is switched on, it is the key that AWS manages in the account,
    /// `alias/aws/dynamodb`; unset later, the key stays as it is.
    #[schemars(extend("x-computed" = true))]
    pub kms_master_key_id: Option<String>,
}

/// Class of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TableClass {
    /// For tables that are used.
    #[default]
    Standard,
    /// For tables that are mostly kept.
    StandardInfrequentAccess,
}

/// Days for which AWS keeps backups unless told otherwise (`facts/aws.md` 9.2).
pub(super) const RECOVERY_DAYS: i32 = 35;

impl Default for Recovery {
    fn default() -> Self {
        Self { enabled: false, recovery_period_in_days: RECOVERY_DAYS }
    }
}

fn limits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OnDemand>, D::Error> {
    Ok(Option::<OnDemand>::deserialize(deserializer)?.filter(|limits| *limits != OnDemand::default()))
}

/// Reads the expiry as the API writes it, with `enabled`, or without.
fn time_to_live<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TimeToLive>, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        attribute_name: String,
        #[serde(default = "yes")]
        enabled: bool,
    }
    fn yes() -> bool {
        true
    }
    let written = Option::<Written>::deserialize(deserializer)?.filter(|written| written.enabled);
    Ok(written.map(|written| TimeToLive { attribute_name: written.attribute_name }))
}

/// The ways to write [`Recovery`].
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected true, false or {enabled, recovery_period_in_days}")]
enum Written {
    /// On or off.
    Short(bool),
    /// In full.
    Long(Recovery),
}

fn recovery<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Recovery, D::Error> {
    Ok(match Written::deserialize(deserializer)? {
        Written::Short(enabled) => Recovery { enabled, ..Recovery::default() },
        Written::Long(recovery) => recovery,
    })
}

impl Spec {
    /// Sorts what has no order.
    pub(super) fn sort(&mut self) {
        self.global_secondary_indexes.sort_by(|one, other| one.index_name.cmp(&other.index_name));
        self.local_secondary_indexes.sort_by(|one, other| one.index_name.cmp(&other.index_name));
    }

    /// Lists all attributes of keys with the paths of the fields that use them.
    fn key_attributes(&self) -> Vec<(String, &KeyAttribute)> {
        let mut all = vec![("hash_key".to_owned(), &self.hash_key)];
        all.extend(self.range_key.iter().map(|key| ("range_key".to_owned(), key)));
        for (at, index) in self.global_secondary_indexes.iter().enumerate() {
            all.push((format!("global_secondary_indexes.{at}.hash_key"), &index.hash_key));
            all.extend(index.range_key.iter().map(|key| (format!("global_secondary_indexes.{at}.range_key"), key)));
        }
        for (at, index) in self.local_secondary_indexes.iter().enumerate() {
            all.push((format!("local_secondary_indexes.{at}.range_key"), &index.range_key));
        }
        all
    }

    /// Returns the attributes that keys use, with their types: what the API wants defined, no more and no less.
    pub(super) fn attribute_types(&self) -> BTreeMap<&str, Scalar> {
        self.key_attributes().into_iter().map(|(_, key)| (key.name.as_str(), key.kind)).collect()
    }

    /// Lists what types cannot say.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = self.key_faults();
        faults.extend(self.index_faults());
        faults.extend(self.capacity_faults());
        let days = self.point_in_time_recovery.recovery_period_in_days;
        if !(1..=RECOVERY_DAYS).contains(&days) {
            faults.push(Fault::new("point_in_time_recovery.recovery_period_in_days", "a period has 1 to 35 days"));
        }
        if !self.point_in_time_recovery.enabled && days != RECOVERY_DAYS {
            let fault = Fault::new("point_in_time_recovery", "there is a period but no recovery");
            faults.push(fault.help("add enabled: true"));
        }
        if let Some(key) = &self.sse_specification.kms_master_key_id {
            if !self.sse_specification.enabled {
                let fault = Fault::new("sse_specification", "there is a key but no encryption with it");
                faults.push(fault.help("add enabled: true"));
            }
            let is_key_arn = key.starts_with("arn:") && key.contains(":key/");
            if !key.contains("${") && !is_key_arn {
                let fault = Fault::new("sse_specification.kms_master_key_id", format!("{key} is not the ARN of a key"));
                faults.push(fault.help("DynamoDB shows keys by their ARN alone; write arn:aws:kms:…:key/…"));
            }
        }
        faults
    }

    fn key_faults(&self) -> Vec<Fault> {
        let mut known: BTreeMap<&str, (String, Scalar)> = BTreeMap::new();
        let mut faults = Vec::new();
        for (path, key) in self.key_attributes() {
            match known.get(key.name.as_str()) {
                Some((first, kind)) if *kind != key.kind => {
                    let text = format!("{} is of type {:?} here and of type {kind:?} in {first}", key.name, key.kind);
                    faults.push(Fault::new(format!("{path}.type"), text).help("one attribute has one type"));
                }
                Some(_) => {}
                None => drop(known.insert(&key.name, (path, key.kind))),
            }
        }
        if !self.local_secondary_indexes.is_empty() && self.range_key.is_none() {
            faults.push(Fault::new("local_secondary_indexes", "local indexes need a table with a range_key"));
        }
        faults
    }

    fn index_faults(&self) -> Vec<Fault> {
        let global = self.global_secondary_indexes.iter().enumerate();
        let global = global.map(|(at, index)| ("global_secondary_indexes", at, &index.index_name, &index.projection));
        let local = self.local_secondary_indexes.iter().enumerate();
        let local = local.map(|(at, index)| ("local_secondary_indexes", at, &index.index_name, &index.projection));
        let mut names = BTreeSet::new();
        let mut faults = Vec::new();
        for (field, at, name, projection) in global.chain(local) {
            if !names.insert(name) {
                faults.push(Fault::new(format!("{field}.{at}.index_name"), format!("there are two indexes {name}")));
            }
            if !name.contains("${") && !is_index_name(name) {
                let fault = Fault::new(format!("{field}.{at}.index_name"), format!("{name} is no name of an index"));
                faults.push(fault.help("3 to 255 letters, digits, `_`, `-` and `.`"));
            }
            let include = projection.projection_type == ProjectionType::Include;
            if include == projection.non_key_attributes.is_empty() {
                let fault = Fault::new(format!("{field}.{at}.projection"), "INCLUDE goes with non_key_attributes");
                faults.push(fault.help("give both or neither"));
            }
        }
        let limits = [
            ("global_secondary_indexes", self.global_secondary_indexes.len(), 20),
            ("local_secondary_indexes", self.local_secondary_indexes.len(), 5),
        ];
        for (field, count, most) in limits {
            if count > most {
                faults.push(Fault::new(field, format!("a table has at most {most} of them, not {count}")));
            }
        }
        faults
    }

    fn capacity_faults(&self) -> Vec<Fault> {
        let mut all = vec![(String::new(), self.provisioned_throughput, self.on_demand_throughput)];
        all.extend(self.global_secondary_indexes.iter().enumerate().map(|(at, index)| {
            (format!("global_secondary_indexes.{at}."), index.provisioned_throughput, index.on_demand_throughput)
        }));
        let mut faults = Vec::new();
        for (prefix, provisioned, on_demand) in all {
            let path = format!("{prefix}provisioned_throughput");
            match (self.billing_mode, provisioned) {
                (BillingMode::Provisioned, None) => {
                    let fault = Fault::new(path, "provisioned capacity needs its units");
                    faults.push(fault.help(
                        "add provisioned_throughput: {read_capacity_units: 5, write_capacity_units: 5}, or set billing_mode: PAY_PER_REQUEST",
                    ));
                }
                (BillingMode::PayPerRequest, Some(_)) => {
                    faults.push(Fault::new(path, "a table that is paid by request has no provisioned capacity"));
                }
                (_, Some(units)) if units.read_capacity_units < 1 || units.write_capacity_units < 1 => {
                    faults.push(Fault::new(path, "capacity units are 1 or more"));
                }
                _ => {}
            }
            if self.billing_mode == BillingMode::Provisioned && on_demand.is_some() {
                let path = format!("{prefix}on_demand_throughput");
                faults.push(Fault::new(path, "a provisioned table has no limits of requests"));
            }
        }
        faults
    }
}

fn is_index_name(name: &str) -> bool {
    (3..=255).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || [b'_', b'-', b'.'].contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: &Value) -> Spec {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn paths(value: &Value) -> Vec<String> {
        read(value).faults().into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn ways_of_writing_meet() {
        let plain = read(&json!({"hash_key": {"name": "id", "type": "S"}}));
        let long = json!({
            "hash_key": {"name": "id"},
            "point_in_time_recovery": false,
            "time_to_live": {"attribute_name": "x", "enabled": false},
            "on_demand_throughput": {"max_read_request_units": null},
        });
        assert_eq!(read(&long), plain);
        let on = read(&json!({"hash_key": {"name": "id"}, "point_in_time_recovery": true}));
        assert_eq!(on.point_in_time_recovery, Recovery { enabled: true, recovery_period_in_days: 35 });
    }

    #[test]
    fn normal_form_is_idempotent() {
        let spec = read(&json!({
            "hash_key": {"name": "id"}, "time_to_live": {"attribute_name": "x"},
            "point_in_time_recovery": {"enabled": true, "recovery_period_in_days": 7},
        }));
        assert_eq!(read(&serde_json::to_value(&spec).unwrap()), spec);
    }

    #[test]
    fn capacity_goes_with_the_billing_mode() {
        let key = json!({"name": "id"});
        let units = json!({"read_capacity_units": 5, "write_capacity_units": 5});
        assert_eq!(paths(&json!({"hash_key": key})), ["provisioned_throughput"]);
        assert_eq!(paths(&json!({"hash_key": key, "provisioned_throughput": units})), [""; 0]);
        let both = json!({"hash_key": key, "provisioned_throughput": units, "billing_mode": "PAY_PER_REQUEST"});
        assert_eq!(paths(&both), ["provisioned_throughput"]);
    }

    #[test]
    fn one_attribute_has_one_type() {
        let index = json!({"index_name": "by_page", "hash_key": {"name": "id", "type": "N"}});
        let spec =
            json!({"hash_key": {"name": "id"}, "billing_mode": "PAY_PER_REQUEST", "global_secondary_indexes": [index]});
        assert_eq!(paths(&spec), ["global_secondary_indexes.0.hash_key.type"]);
    }

    #[test]
    fn keys_are_given_by_arn() {
        let spec = |key: &str| json!({"hash_key": {"name": "id"}, "billing_mode": "PAY_PER_REQUEST", "sse_specification": {"enabled": true, "kms_master_key_id": key}});
        assert_eq!(paths(&spec("alias/x")), ["sse_specification.kms_master_key_id"]);
        assert_eq!(paths(&spec("arn:aws:kms:us-east-1:123456789012:key/x")), [""; 0]);
        assert_eq!(paths(&spec("${var.key}")), [""; 0]);
    }
}
