//! Tags of topics.

use std::collections::BTreeMap;

use crate::local::tag::{self, Wrong};
use crate::local::{Call, Fault, Tx, Xml};

use super::topic::{self, TOPICS, Topic};
use super::{Operation, invalid};

pub(super) const OPERATIONS: &[(&str, Operation)] =
    &[("TagResource", add), ("UntagResource", untag), ("ListTagsForResource", list)];

/// Reads the tags of a call.
pub(super) fn given(call: &Call) -> Result<BTreeMap<String, String>, Fault> {
    let mut tags = BTreeMap::new();
    for member in call.params().list("Tags") {
        let key = member.get("Key").ok_or_else(|| invalid("Tags Reason: a tag has no key"))?;
        let value = member.get("Value").ok_or_else(|| invalid("Tags Reason: a tag has no value"))?;
        check(key, value)?;
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(invalid("Duplicated keys are not allowed."));
        }
    }
    limit(&tags)?;
    Ok(tags)
}

fn check(key: &str, value: &str) -> Result<(), Fault> {
    tag::check(key, value).map_err(|wrong| match wrong {
        Wrong::Form => {
            invalid(format!("Tags Reason: the tag '{key}' is too long or has characters that are not allowed"))
        }
        Wrong::Reserved => invalid("Tags Reason: system tags that start with 'aws:' cannot be changed"),
    })
}

fn limit(tags: &BTreeMap<String, String>) -> Result<(), Fault> {
    if !tag::fit(tags) {
        let text = "Could not complete request: tag quota of per resource exceeded";
        return Err(Fault::new("TagLimitExceeded", text));
    }
    Ok(())
}

fn named(tx: &Tx<'_>, call: &Call) -> Result<Topic, Fault> {
    topic::named(tx, call, "ResourceArn").map_err(|fault| match fault.code.as_str() {
        "NotFound" => Fault::with_status(404, "ResourceNotFound", "Resource does not exist"),
        _ => fault,
    })
}

fn add(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut topic = named(tx, call)?;
    topic.tags.extend(given(call)?);
    limit(&topic.tags)?;
    tx.put(TOPICS, &topic.arn, &topic)?;
    Ok(Xml::new())
}

fn untag(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let mut topic = named(tx, call)?;
    let keys = call.params().texts("TagKeys");
    topic.tags.retain(|key, _| !keys.contains(key));
    tx.put(TOPICS, &topic.arn, &topic)?;
    Ok(Xml::new())
}

fn list(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let topic = named(tx, call)?;
    let tags = topic.tags.iter().map(|(key, value)| Xml::new().text("Key", key).text("Value", value));
    Ok(Xml::new().list("Tags", "member", tags))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, TOPIC};

    const ARN: (&str, &str) = ("ResourceArn", TOPIC);

    #[test]
    fn tags_are_put_and_removed() {
        let bench = Bench::with_topic();
        bench.ok("TagResource", &[ARN, ("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "b")]);
        let tags = bench.ok("ListTagsForResource", &[ARN]);
        assert_eq!(tags, "<Tags><member><Key>a</Key><Value>b</Value></member></Tags>");
        bench.ok("UntagResource", &[ARN, ("TagKeys.member.1", "a")]);
        assert_eq!(bench.ok("ListTagsForResource", &[ARN]), "<Tags></Tags>");
    }

    #[test]
    fn wrong_tags_and_topics_are_refused() {
        let bench = Bench::with_topic();
        let code =
            |key: &str| bench.code("TagResource", &[ARN, ("Tags.member.1.Key", key), ("Tags.member.1.Value", "")]);
        assert_eq!(code("aws:a"), "InvalidParameter");
        assert_eq!(code("a*"), "InvalidParameter");
        assert_eq!(code(&"a".repeat(129)), "InvalidParameter");
        let none = ("ResourceArn", "arn:aws:sns:us-east-1:000000000000:none");
        assert_eq!(bench.code("ListTagsForResource", &[none]), "ResourceNotFound");
    }

    #[test]
    fn the_51st_tag_is_refused() {
        let bench = Bench::with_topic();
        for number in 0..50 {
            let key = format!("k{number}");
            bench.ok("TagResource", &[ARN, ("Tags.member.1.Key", &key), ("Tags.member.1.Value", "")]);
        }
        let more = [ARN, ("Tags.member.1.Key", "more"), ("Tags.member.1.Value", "")];
        assert_eq!(bench.code("TagResource", &more), "TagLimitExceeded");
    }
}
