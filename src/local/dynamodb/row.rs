//! What the local cloud keeps about a table beside the engine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{TABLES, invalid};
use crate::local::{Call, Fault, Tx};

const MAXIMUM_TAGS: usize = 50;

/// One row of [`TABLES`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Row {
    pub(super) arn: String,
    pub(super) tags: BTreeMap<String, String>,
    /// The stream of changes while it is enabled.
    pub(super) stream_arn: Option<String>,
    /// CREATING, UPDATING or DELETING until `ready_at`.
    pub(super) state: String,
    pub(super) ready_at: i64,
    /// The index that is CREATING until `ready_at`.
    pub(super) index: Option<String>,
    /// Days that point-in-time recovery reaches back, when it is on, and since when.
    pub(super) recovery: Option<(u64, i64)>,
    /// When the last change of time to live takes effect.
    pub(super) ttl_at: i64,
    /// `SSESpecification` of the last update; null when it was never updated.
    pub(super) encryption: Value,
    /// Throughput of indexes that were given one after they were made.
    pub(super) throughput: BTreeMap<String, Value>,
    /// `OnDemandThroughput` of indexes, which the engine does not keep.
    pub(super) limits: BTreeMap<String, Map<String, Value>>,
}

impl Row {
    /// Reads a table's row; a table without one (its process died) has defaults.
    pub(super) fn read(tx: &Tx<'_>, call: &Call, name: &str) -> Result<Self, Fault> {
        let arn = call.arn("dynamodb", &format!("table/{name}"));
        Ok(tx.get(TABLES, name)?.unwrap_or_else(|| Self { arn, ..Self::default() }))
    }

    /// Returns the state that the table is passing through, if any.
    pub(super) fn passing(&self, now: i64) -> Option<&str> {
        (now < self.ready_at).then_some(self.state.as_str())
    }

    /// Puts the table in a state for as long as state changes take.
    pub(super) fn enter(&mut self, state: &str, call: &Call) {
        state.clone_into(&mut self.state);
        self.ready_at = call.now + call.delay;
    }

    /// Writes what the engine does not know into its description of the table.
    pub(super) fn complete(&self, table: &mut Value, call: &Call) {
        if let Some(state) = self.passing(call.now) {
            table["TableStatus"] = json!(state);
        }
        if !self.encryption.is_null() {
            encrypt(table, &self.encryption, call);
        }
        for index in table["GlobalSecondaryIndexes"].as_array_mut().into_iter().flatten() {
            self.complete_index(index, call.now);
        }
    }

    fn complete_index(&self, index: &mut Value, now: i64) {
        let name = index["IndexName"].as_str().unwrap_or_default().to_owned();
        if let Some(state) = self.passing(now) {
            let made = self.index.as_ref() == Some(&name) || state == "CREATING";
            index["IndexStatus"] = json!(if made { "CREATING" } else { "ACTIVE" });
        }
        if let Some(throughput) = self.throughput.get(&name) {
            let mut throughput = throughput.clone();
            throughput["NumberOfDecreasesToday"] = json!(0);
            index["ProvisionedThroughput"] = throughput;
        }
        if let Some(limits) = self.limits.get(&name) {
            index["OnDemandThroughput"] = json!(limits);
        }
    }

    /// Keeps an index's limits; -1 takes one away, as AWS does it for tables.
    pub(super) fn limit(&mut self, index: &Value) {
        let (Some(name), Some(wanted)) = (index["IndexName"].as_str(), index["OnDemandThroughput"].as_object()) else {
            return;
        };
        let limits = self.limits.entry(name.to_owned()).or_default();
        limits.extend(wanted.clone());
        limits.retain(|_, units| *units != json!(-1));
        if limits.is_empty() {
            self.limits.remove(name);
        }
    }

    /// Adds and removes tags, as far as the limit allows.
    pub(super) fn change_tags(&mut self, added: BTreeMap<String, String>, removed: &[String]) -> Result<(), Fault> {
        self.tags.extend(added);
        self.tags.retain(|key, _| !removed.contains(key));
        if self.tags.len() > MAXIMUM_TAGS {
            return Err(invalid(format!(
                "One or more parameter values were invalid: a table has at most {MAXIMUM_TAGS} tags"
            )));
        }
        Ok(())
    }
}

fn encrypt(table: &mut Value, specification: &Value, call: &Call) {
    let Some(fields) = table.as_object_mut() else { return };
    if specification["Enabled"] != json!(true) {
        // The key of the service itself: AWS then describes no encryption at all.
        fields.remove("SSEDescription");
        return;
    }
    let own = call.arn("kms", "key/aws-managed-dynamodb");
    let key = specification["KMSMasterKeyId"].as_str().unwrap_or(&own);
    fields.insert("SSEDescription".to_owned(), json!({"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key}));
}

/// Reads and checks a list of `{Key, Value}`.
pub(super) fn tags_in(list: &Value) -> Result<BTreeMap<String, String>, Fault> {
    let mut tags = BTreeMap::new();
    for pair in list.as_array().into_iter().flatten() {
        let (Some(key), Some(value)) = (pair["Key"].as_str(), pair["Value"].as_str()) else {
            return Err(invalid("One or more parameter values were invalid: a tag needs Key and Value"));
        };
        check_tag(key, value)?;
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(invalid(format!("One or more parameter values were invalid: Duplicate Tag Key {key}")));
        }
    }
    if tags.len() > MAXIMUM_TAGS {
        return Err(invalid(format!(
            "One or more parameter values were invalid: a table has at most {MAXIMUM_TAGS} tags"
        )));
    }
    Ok(tags)
}

fn check_tag(key: &str, value: &str) -> Result<(), Fault> {
    if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
        return Err(invalid(
            "One or more parameter values were invalid: tag keys have 1 to 128 and values up to 256 characters",
        ));
    }
    if key.starts_with("aws:") {
        return Err(invalid("One or more parameter values were invalid: tag keys that start with aws: are reserved"));
    }
    Ok(())
}
