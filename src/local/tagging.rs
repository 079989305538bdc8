//! The Resource Groups Tagging API: finds and changes tags across services.
//!
//! It reads the rows that the registry calls taggable. IAM is left out, as on AWS (`facts/aws.md` 17.1).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::registry::SERVICES;
use super::store::Table;
use super::{Answer, Call, Fault, Outcome, Service, Tx, unknown_operation};

const PAGE: usize = 100;
const MAXIMUM_TAGS: usize = 50;

/// The tagging API.
pub(crate) struct Tagging;

impl Service for Tagging {
    fn handle(&self, tx: &mut Tx<'_>, call: &Call) -> Outcome {
        match call.operation.as_str() {
            "GetResources" => get_resources(tx, call),
            "TagResources" => tag_resources(tx, call),
            "UntagResources" => untag_resources(tx, call),
            "GetTagKeys" => get_tag_keys(tx),
            "GetTagValues" => get_tag_values(tx, call),
            _ => Err(unknown_operation(call)),
        }
    }
}

/// One taggable row.
struct Tagged {
    table: Table,
    key: String,
    row: Value,
}

impl Tagged {
    fn arn(&self) -> &str {
        self.row["arn"].as_str().unwrap_or_default()
    }

    fn tags(&self) -> BTreeMap<String, String> {
        let tags = self.row["tags"].as_object().into_iter().flatten();
        tags.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }
}

/// Returns all taggable rows in the order of their ARNs.
fn rows(tx: &Tx<'_>) -> Result<Vec<Tagged>, Fault> {
    let mut found = Vec::new();
    for table in SERVICES.iter().flat_map(|entry| entry.taggable) {
        let listed = tx.list::<Value>(*table)?;
        found.extend(listed.into_iter().map(|(key, row)| Tagged { table: *table, key, row }));
    }
    found.retain(|row| !row.arn().is_empty());
    found.sort_by(|a, b| a.arn().cmp(b.arn()));
    Ok(found)
}

#[derive(Default)]
struct Query {
    filters: Vec<(String, Vec<String>)>,
    types: Vec<String>,
    arns: Vec<String>,
    after: String,
    limit: usize,
}

impl Query {
    fn read(body: &Value) -> Result<Self, Fault> {
        let query = Self {
            filters: objects(&body["TagFilters"]).map(filter).collect(),
            types: texts(&body["ResourceTypeFilters"]),
            arns: texts(&body["ResourceARNList"]),
            after: body["PaginationToken"].as_str().unwrap_or_default().to_owned(),
            limit: limit(body)?,
        };
        query.check()?;
        Ok(query)
    }

    fn check(&self) -> Result<(), Fault> {
        if self.arns.len() > PAGE || self.filters.len() > 50 || self.filters.iter().any(|(_, values)| values.len() > 20)
        {
            return Err(invalid("TagFilters takes 50 keys of 20 values and ResourceARNList 100 ARNs"));
        }
        if self.filters.iter().any(|(key, _)| key.is_empty()) {
            return Err(invalid("a tag filter has no Key"));
        }
        let narrowed = !self.filters.is_empty() || !self.types.is_empty() || !self.after.is_empty();
        if narrowed && !self.arns.is_empty() {
            return Err(invalid("ResourceARNList cannot be combined with filters or pagination"));
        }
        Ok(())
    }

    /// Untagged resources are invisible here (`facts/aws.md` 17.1).
    fn wants(&self, row: &Tagged) -> bool {
        let tags = row.tags();
        let holds = |(key, values): &(String, Vec<String>)| {
            tags.get(key).is_some_and(|value| values.is_empty() || values.contains(value))
        };
        !tags.is_empty()
            && self.filters.iter().all(holds)
            && (self.types.is_empty() || self.types.iter().any(|kind| is_of_type(row.arn(), kind)))
            && (self.arns.is_empty() || self.arns.iter().any(|arn| arn == row.arn()))
    }
}

fn limit(body: &Value) -> Result<usize, Fault> {
    match body.get("ResourcesPerPage").filter(|value| !value.is_null()).map(Value::as_u64) {
        None => Ok(PAGE),
        Some(Some(count @ 1..=100)) => Ok(usize::try_from(count).unwrap_or(PAGE)),
        Some(_) => Err(invalid("ResourcesPerPage must be between 1 and 100")),
    }
}

fn filter(body: &Value) -> (String, Vec<String>) {
    (body["Key"].as_str().unwrap_or_default().to_owned(), texts(&body["Values"]))
}

/// Compares an ARN with `service` or `service:type`, spelled as in the ARN.
fn is_of_type(arn: &str, wanted: &str) -> bool {
    let mut parts = arn.splitn(6, ':').skip(2);
    let service = parts.next().unwrap_or_default();
    let kind = parts.nth(2).unwrap_or_default().split([':', '/']).next().unwrap_or_default();
    match wanted.split_once(':') {
        Some((wanted_service, wanted_kind)) => service == wanted_service && kind == wanted_kind,
        None => service == wanted,
    }
}

fn get_resources(tx: &Tx<'_>, call: &Call) -> Outcome {
    let query = Query::read(call.json())?;
    let mut found: Vec<_> =
        rows(tx)?.into_iter().filter(|row| query.wants(row) && row.arn() > query.after.as_str()).collect();
    let more = found.len() > query.limit;
    found.truncate(query.limit);
    // The last ARN of the page is the token: pages stay right when resources come and go in between.
    let token = found.last().filter(|_| more).map(|row| row.arn().to_owned()).unwrap_or_default();
    let mapping = |row: &Tagged| json!({"ResourceARN": row.arn(), "Tags": pairs(&row.tags())});
    let list: Vec<_> = found.iter().map(mapping).collect();
    Ok(Answer::json(json!({"PaginationToken": token, "ResourceTagMappingList": list})))
}

/// Returns tags as AWS lists them.
pub(crate) fn pairs(tags: &BTreeMap<String, String>) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

fn tag_resources(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let body = call.json();
    let tags: BTreeMap<String, String> =
        serde_json::from_value(body["Tags"].clone()).map_err(|_| invalid("Tags must be a map of texts"))?;
    if tags.is_empty() || tags.len() > MAXIMUM_TAGS || tags.keys().any(|key| key.starts_with("aws:")) {
        return Err(invalid("Tags takes 1 to 50 tags whose keys do not start with aws:"));
    }
    change(tx, body, |row| row.extend(tags.clone()))
}

fn untag_resources(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let keys = texts(&call.json()["TagKeys"]);
    change(tx, call.json(), |row| row.retain(|key, _| !keys.contains(key)))
}

/// Changes the tags of the listed resources; what cannot be changed is reported, not refused.
fn change(tx: &mut Tx<'_>, body: &Value, edit: impl Fn(&mut BTreeMap<String, String>)) -> Outcome {
    let rows = rows(tx)?;
    let mut failed = serde_json::Map::new();
    for arn in texts(&body["ResourceARNList"]) {
        let Some(row) = rows.iter().find(|row| row.arn() == arn) else {
            failed.insert(arn, failure("the local cloud has no taggable resource of this ARN"));
            continue;
        };
        let mut tags = row.tags();
        edit(&mut tags);
        if tags.len() > MAXIMUM_TAGS {
            failed.insert(arn, failure("a resource has at most 50 tags"));
            continue;
        }
        put_tags(tx, row, &tags)?;
    }
    Ok(Answer::json(json!({"FailedResourcesMap": failed})))
}

fn put_tags(tx: &mut Tx<'_>, row: &Tagged, tags: &impl Serialize) -> Result<(), Fault> {
    let mut changed = row.row.clone();
    changed["tags"] = json!(tags);
    tx.put(row.table, &row.key, &changed)
}

fn failure(message: &str) -> Value {
    json!({"StatusCode": 400, "ErrorCode": "InvalidParameterException", "ErrorMessage": message})
}

fn get_tag_keys(tx: &Tx<'_>) -> Outcome {
    let keys: std::collections::BTreeSet<_> = rows(tx)?.iter().flat_map(|row| row.tags().into_keys()).collect();
    Ok(Answer::json(json!({"PaginationToken": "", "TagKeys": keys})))
}

fn get_tag_values(tx: &Tx<'_>, call: &Call) -> Outcome {
    let key = call.json()["Key"].as_str().ok_or_else(|| invalid("Key is missing"))?;
    let values: std::collections::BTreeSet<_> = rows(tx)?.iter().filter_map(|row| row.tags().remove(key)).collect();
    Ok(Answer::json(json!({"PaginationToken": "", "TagValues": values})))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
}

fn objects(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn invalid(message: &str) -> Fault {
    Fault::new("InvalidParameterException", message)
}
