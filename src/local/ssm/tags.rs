//! Tags of parameters.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::local::{Call, Fault, Tx, tag};

use super::{PARAMETERS, Parameter, required, texts, validation};

/// Reads the tags of a call.
pub(super) fn given(call: &Call) -> Result<BTreeMap<String, String>, Fault> {
    let mut tags = BTreeMap::new();
    for tag in call.json()["Tags"].as_array().into_iter().flatten() {
        let (key, value) = (tag["Key"].as_str().unwrap_or_default(), tag["Value"].as_str());
        let value = value.ok_or_else(|| validation(format!("the tag '{key}' has no value")))?;
        check(key, value)?;
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(validation(format!("the tag key '{key}' is given twice")));
        }
    }
    limit(&tags)?;
    Ok(tags)
}

fn check(key: &str, value: &str) -> Result<(), Fault> {
    tag::check(key, value).map_err(|_| {
        validation(format!("the tag '{key}' is reserved, too long or has characters that are not allowed"))
    })
}

fn limit(tags: &BTreeMap<String, String>) -> Result<(), Fault> {
    if !tag::fit(tags) {
        return Err(Fault::new("TooManyTagsError", format!("A resource may have at most {} tags.", tag::MOST)));
    }
    Ok(())
}

fn named(tx: &Tx<'_>, call: &Call) -> Result<Parameter, Fault> {
    let kind = required(call, "ResourceType")?;
    if kind != "Parameter" {
        let text = format!("The local cloud has no resources of the type {kind}.");
        return Err(Fault::new("InvalidResourceType", text));
    }
    let id = required(call, "ResourceId")?;
    let found = tx.get(PARAMETERS, id)?;
    found.ok_or_else(|| Fault::new("InvalidResourceId", format!("The resource ID {id} is not valid.")))
}

/// Answers `AddTagsToResource`.
pub(super) fn add(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let mut parameter = named(tx, call)?;
    parameter.tags.extend(given(call)?);
    limit(&parameter.tags)?;
    tx.put(PARAMETERS, &parameter.name, &parameter)?;
    Ok(json!({}))
}

/// Answers `RemoveTagsFromResource`.
pub(super) fn remove(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let mut parameter = named(tx, call)?;
    let keys = texts(&call.json()["TagKeys"]);
    parameter.tags.retain(|key, _| !keys.contains(key));
    tx.put(PARAMETERS, &parameter.name, &parameter)?;
    Ok(json!({}))
}

/// Answers `ListTagsForResource`.
pub(super) fn list(tx: &Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let tags: Vec<_> =
        named(tx, call)?.tags.into_iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    Ok(json!({ "TagList": tags }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::Bench;

    #[test]
    fn tags_are_added_and_removed() {
        let bench = Bench::new();
        bench.put("p", "v");
        let id = json!({"ResourceType": "Parameter", "ResourceId": "p"});
        let with = |field: &str, value: serde_json::Value| {
            let mut body = id.clone();
            body[field] = value;
            body
        };
        bench.ok("AddTagsToResource", &with("Tags", json!([{"Key": "a", "Value": "b"}])));
        assert_eq!(bench.ok("ListTagsForResource", &id), json!({"TagList": [{"Key": "a", "Value": "b"}]}));
        bench.ok("RemoveTagsFromResource", &with("TagKeys", json!(["a"])));
        assert_eq!(bench.ok("ListTagsForResource", &id), json!({"TagList": []}));
        assert_eq!(
            bench.code("AddTagsToResource", &with("Tags", json!([{"Key": "aws:a", "Value": ""}]))),
            "ValidationException"
        );
        let many: Vec<_> = (0..51).map(|number| json!({"Key": format!("k{number}"), "Value": ""})).collect();
        assert_eq!(bench.code("AddTagsToResource", &with("Tags", json!(many))), "TooManyTagsError");
    }

    #[test]
    fn what_is_missing_is_refused() {
        let bench = Bench::new();
        let missing = json!({"ResourceType": "Parameter", "ResourceId": "p"});
        assert_eq!(bench.code("ListTagsForResource", &missing), "InvalidResourceId");
        let other = json!({"ResourceType": "Document", "ResourceId": "p"});
        assert_eq!(bench.code("ListTagsForResource", &other), "InvalidResourceType");
    }
}
