//! Tags of streams, which stand in the rows of [`STREAMS`](super::STREAMS).
//!
//! Tags of consumers are the engine's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Desk, MAXIMUM_TAGS, STREAMS, invalid, name_of, not_found, refused};
use crate::local::{Answer, Fault, Outcome, Tx};

impl Desk<'_> {
    /// Answers the operations that name a stream.
    pub(super) async fn tags_of_stream(&self) -> Outcome {
        let name = self.name();
        if self.call.operation == "ListTagsForStream" {
            self.engine.get_stream(name).await.map_err(refused)?;
            return self.list_tags(name);
        }
        self.checked(&self.body)?;
        self.active(name).await?;
        self.change_tags(name)
    }

    /// Answers the operations that name any resource by its ARN.
    pub(super) async fn tags_of_resource(&self) -> Outcome {
        let arn = self.body["ResourceARN"].as_str().unwrap_or_default();
        if arn.contains("/consumer/") {
            return Ok(Answer::json(self.run(&self.body).await?));
        }
        let name = name_of(self.call, arn).ok_or_else(|| not_found(self.call, arn))?;
        if self.call.operation == "ListTagsForResource" {
            self.engine.get_stream(name).await.map_err(refused)?;
            return self.list_tags(name);
        }
        self.checked(&self.body)?;
        self.active(name).await?;
        self.change_tags(name)
    }

    fn row(&self, tx: &Tx<'_>, name: &str) -> Result<(Value, BTreeMap<String, String>), Fault> {
        let missing = || json!({"arn": self.call.arn("kinesis", &format!("stream/{name}")), "tags": {}});
        let row = tx.get::<Value>(STREAMS, name)?.unwrap_or_else(missing);
        let tags = serde_json::from_value(row["tags"].clone()).unwrap_or_default();
        Ok((row, tags))
    }

    fn change_tags(&self, name: &str) -> Outcome {
        let added = tags_in(&self.body["Tags"])?;
        let removed: Vec<String> = serde_json::from_value(self.body["TagKeys"].clone()).unwrap_or_default();
        self.rows.transaction(self.call, |tx| {
            let (mut row, mut tags) = self.row(tx, name)?;
            tags.extend(added);
            tags.retain(|key, _| !removed.contains(key));
            if tags.len() > MAXIMUM_TAGS {
                return Err(invalid(format!("Stream {name} cannot have more than {MAXIMUM_TAGS} tags")));
            }
            row["tags"] = json!(tags);
            tx.put(STREAMS, name, &row)
        })?;
        Ok(Answer::json(Value::Null))
    }

    fn list_tags(&self, name: &str) -> Outcome {
        let (_, tags) = self.rows.transaction(self.call, |tx| self.row(tx, name))?;
        let after = self.body["ExclusiveStartTagKey"].as_str().unwrap_or_default();
        let limit = self.body["Limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MAXIMUM_TAGS);
        let rest: BTreeMap<_, _> = tags.into_iter().filter(|(key, _)| key.as_str() > after).collect();
        let mut pairs = crate::local::tagging::pairs(&rest);
        let more = pairs.len() > limit;
        pairs.truncate(limit);
        Ok(Answer::json(match self.call.operation.as_str() {
            "ListTagsForStream" => json!({"Tags": pairs, "HasMoreTags": more}),
            _ => json!({"Tags": pairs}),
        }))
    }
}

/// Reads and checks tags of a request.
pub(super) fn tags_in(tags: &Value) -> Result<BTreeMap<String, String>, Fault> {
    if tags.is_null() {
        return Ok(BTreeMap::new());
    }
    let tags: BTreeMap<String, String> =
        serde_json::from_value(tags.clone()).map_err(|_| invalid("Tags must be a map of texts"))?;
    let bad =
        |(key, value): (&String, &String)| key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256;
    if tags.len() > MAXIMUM_TAGS || tags.iter().any(bad) {
        return Err(invalid("a stream has at most 50 tags, with keys of 1 to 128 and values of up to 256 characters"));
    }
    if tags.keys().any(|key| key.starts_with("aws:")) {
        return Err(invalid("tag keys that start with aws: are reserved"));
    }
    Ok(tags)
}
