//! The tagging API as an index: which objects carry a stack's mark, with their tags, a hundred a call.
//!
//! The index is late: tags show after seconds to minutes (`facts/aws.md` 17.1). What it says is therefore taken for a
//! list of candidates, and its tags for an object's own only where they are what the stack file wants them to be. Then
//! all that can be missed is a change of tags by somebody else moments ago; anything else is read from the service.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{KindError, failed};
use super::{Aws, Cx, marks};
use crate::kind::Tags;

/// Tags by ARN.
pub type Index = BTreeMap<String, Tags>;

/// Lists everything that carries a stack's mark.
///
/// # Errors
/// Returns the error of the tagging API.
pub async fn read(aws: &Aws, stack: &str) -> Result<Index, KindError> {
    use aws_sdk_resourcegroupstagging::types::TagFilter;
    let filter = TagFilter::builder().key(marks::STACK).values(stack).build();
    let request = aws.tagging().get_resources().tag_filters(filter).resources_per_page(100);
    let mut pages = request.into_paginator().send();
    let mut index = Index::new();
    while let Some(page) = pages.next().await {
        for mapping in page.map_err(failed("GetResources"))?.resource_tag_mapping_list.unwrap_or_default() {
            let tags = mapping.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect();
            index.insert(mapping.resource_arn.unwrap_or_default(), tags);
        }
    }
    Ok(index)
}

/// Lists everything that carries the stack's mark, once for all that look at the same time.
///
/// # Errors
/// Returns the error of the tagging API.
pub async fn of_stack(cx: &Cx) -> Result<Arc<Result<Index, KindError>>, KindError> {
    cx.once("tag index", async { Ok(read(&cx.aws, &cx.key.stack).await) }).await
}

/// Returns the tags that the index has of an object; none where there is no complete index, or nothing in it.
pub async fn candidate(cx: &Cx, arn: &str) -> Option<Tags> {
    if !cx.is_shared() || !cx.aws.tag_index_complete {
        return None;
    }
    of_stack(cx).await.ok()?.as_ref().as_ref().ok()?.get(arn).cloned()
}

/// Returns an object's tags: by the index where they are as wanted, else by the service's own call.
///
/// # Errors
/// Returns the error of the service's call.
pub async fn tags(
    cx: &Cx,
    arn: &str,
    own_call: impl Future<Output = Result<Tags, KindError>>,
) -> Result<Tags, KindError> {
    if let Some(expected) = cx.expected()
        && let Some(tags) = candidate(cx, arn).await
        && is_as_expected(&tags, expected)
    {
        return Ok(tags);
    }
    own_call.await
}

/// Tells whether tags are the wanted ones, besides those of AWS and marks of children.
#[must_use]
pub fn is_as_expected(tags: &Tags, expected: &Tags) -> bool {
    let is_other =
        |key: &str| key.starts_with("aws:") || (key.starts_with(marks::PREFIX) && !marks::MARKS.contains(&key));
    let own = tags.iter().filter(|(key, _)| !is_other(key));
    own.eq(expected.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn tags_count_only_when_they_are_as_wanted() {
        let wanted = tags(&[(marks::STACK, "s"), (marks::SPEC, "1"), ("team", "a")]);
        let with = |more: &[(&str, &str)]| wanted.clone().into_iter().chain(tags(more)).collect::<Tags>();
        assert!(is_as_expected(&wanted, &wanted));
        assert!(is_as_expected(&with(&[("aws:cloudformation:x", "y"), ("stackctl:sub:a:1", "sms:")]), &wanted));
        assert!(!is_as_expected(&with(&[("foreign", "1")]), &wanted));
        assert!(!is_as_expected(&with(&[(marks::SPEC, "2")]), &wanted));
        assert!(!is_as_expected(&with(&[(marks::PROTECT, "true")]), &wanted));
        assert!(!is_as_expected(&Tags::new(), &wanted));
    }
}
