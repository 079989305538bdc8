//! Tags of log groups, by ARN (without `:*`) and by the older calls with a name.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::local::{Call, Fault, Tx, tag};

use super::group::{GROUPS, Group, named};
use super::{invalid, not_found, text};

/// Reads the tags of a call.
pub(super) fn given(call: &Call) -> Result<BTreeMap<String, String>, Fault> {
    let tags = call.json()["tags"].as_object().into_iter().flatten();
    let tags: BTreeMap<_, _> =
        tags.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    tags.iter().try_for_each(|(key, value)| check(key, value))?;
    limit(&tags)?;
    Ok(tags)
}

fn check(key: &str, value: &str) -> Result<(), Fault> {
    tag::check(key, value)
        .map_err(|_| invalid(format!("The tag '{key}' is reserved, too long or has characters that are not allowed.")))
}

fn limit(tags: &BTreeMap<String, String>) -> Result<(), Fault> {
    if !tag::fit(tags) {
        return Err(Fault::new(
            "TooManyTagsException",
            format!("A resource can have no more than {} tags.", tag::MOST),
        ));
    }
    Ok(())
}

fn by_arn(tx: &Tx<'_>, call: &Call) -> Result<Group, Fault> {
    let arn = text(call, "resourceArn").ok_or_else(|| invalid("resourceArn is required."))?;
    let name = arn.strip_prefix(&call.arn("logs", "log-group:"));
    let name = name.ok_or_else(|| invalid(format!("The resource ARN {arn} is not valid.")))?;
    if name.contains(':') {
        return Err(invalid(format!(
            "The resource ARN {arn} is not valid: it must end with the name of the log group."
        )));
    }
    tx.get(GROUPS, name)?.ok_or_else(|| not_found("The specified resource does not exist."))
}

fn add(tx: &mut Tx<'_>, call: &Call, mut group: Group) -> Result<Value, Fault> {
    group.tags.extend(given(call)?);
    limit(&group.tags)?;
    tx.put(GROUPS, &group.name, &group)?;
    Ok(json!({}))
}

fn remove(tx: &mut Tx<'_>, call: &Call, mut group: Group, field: &str) -> Result<Value, Fault> {
    let keys: Vec<_> = call.json()[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    group.tags.retain(|key, _| !keys.contains(&key.as_str()));
    tx.put(GROUPS, &group.name, &group)?;
    Ok(json!({}))
}

/// Answers `TagResource`.
pub(super) fn tag(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let group = by_arn(tx, call)?;
    add(tx, call, group)
}

/// Answers `UntagResource`.
pub(super) fn untag(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let group = by_arn(tx, call)?;
    remove(tx, call, group, "tagKeys")
}

/// Answers `ListTagsForResource`.
pub(super) fn list(tx: &Tx<'_>, call: &Call) -> Result<Value, Fault> {
    Ok(json!({ "tags": by_arn(tx, call)?.tags }))
}

/// Answers `TagLogGroup`.
pub(super) fn tag_group(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let group = named(tx, call)?;
    add(tx, call, group)
}

/// Answers `UntagLogGroup`.
pub(super) fn untag_group(tx: &mut Tx<'_>, call: &Call) -> Result<Value, Fault> {
    let group = named(tx, call)?;
    remove(tx, call, group, "tags")
}

/// Answers `ListTagsLogGroup`.
pub(super) fn list_group(tx: &Tx<'_>, call: &Call) -> Result<Value, Fault> {
    Ok(json!({ "tags": named(tx, call)?.tags }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::Bench;

    const ARN: &str = "arn:aws:logs:us-east-1:000000000000:log-group:g";

    #[test]
    fn tags_are_put_and_removed() {
        let bench = Bench::with_stream();
        bench.ok("TagResource", &json!({"resourceArn": ARN, "tags": {"a": "b", "c": "d"}}));
        bench.ok("UntagResource", &json!({"resourceArn": ARN, "tagKeys": ["a"]}));
        assert_eq!(bench.ok("ListTagsForResource", &json!({ "resourceArn": ARN })), json!({"tags": {"c": "d"}}));
        assert_eq!(bench.ok("ListTagsLogGroup", &json!({"logGroupName": "g"})), json!({"tags": {"c": "d"}}));
        bench.ok("UntagLogGroup", &json!({"logGroupName": "g", "tags": ["c"]}));
        assert_eq!(bench.ok("ListTagsForResource", &json!({ "resourceArn": ARN })), json!({"tags": {}}));
    }

    #[test]
    fn the_arn_has_no_star() {
        let bench = Bench::with_stream();
        let code = |arn: &str| bench.code("ListTagsForResource", &json!({ "resourceArn": arn }));
        assert_eq!(code(&format!("{ARN}:*")), "InvalidParameterException");
        assert_eq!(code("g"), "InvalidParameterException");
        assert_eq!(code(&format!("{ARN}x")), "ResourceNotFoundException");
    }

    #[test]
    fn the_51st_tag_is_refused() {
        let bench = Bench::with_stream();
        let tags: serde_json::Map<_, _> = (0..51).map(|number| (format!("k{number}"), json!("v"))).collect();
        assert_eq!(bench.code("TagResource", &json!({"resourceArn": ARN, "tags": tags})), "TooManyTagsException");
    }
}
