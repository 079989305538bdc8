//! What the kinds of EC2 share: filters and tags.

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};

use crate::aws::Cx;
use crate::aws::error::failed;
use crate::kind::{Result, Tags};

/// Makes a filter of a Describe call.
pub(super) fn filter(name: impl Into<String>, values: &[&str]) -> Filter {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// Reads tags.
pub(super) fn tags_of(tags: Option<&[Tag]>) -> Tags {
    let tags = tags.unwrap_or_default().iter();
    tags.map(|tag| (tag.key.clone().unwrap_or_default(), tag.value.clone().unwrap_or_default())).collect()
}

fn sdk_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// Makes the tags of a create call.
pub(super) fn tag_specification(kind: ResourceType, tags: &Tags) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(sdk_tags(tags))).build()
}

/// Sets and removes tags of objects.
pub(super) async fn retag(cx: &Cx, ids: &[String], set: &Tags, remove: &[String]) -> Result<()> {
    let client = cx.aws.ec2();
    if !set.is_empty() {
        let request = client.create_tags().set_resources(Some(ids.to_vec())).set_tags(Some(sdk_tags(set)));
        request.send().await.map_err(failed("CreateTags"))?;
    }
    if !remove.is_empty() {
        let tags = remove.iter().map(|key| Tag::builder().key(key).build()).collect();
        let request = client.delete_tags().set_resources(Some(ids.to_vec())).set_tags(Some(tags));
        request.send().await.map_err(failed("DeleteTags"))?;
    }
    Ok(())
}
