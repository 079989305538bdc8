//! What the IAM kinds share: the path of a stack, tags, and the patience that IAM's consistency asks for.

use std::time::Duration;

use aws_sdk_iam::types::Tag;
use serde_json::Value;

use crate::aws::Cx;
use crate::aws::wait::{IAM_LIMIT, Look, Wait};
use crate::kind::{Class, Found, KindError, Result, Tags};

/// How many reads of single entities run at once: IAM's limits are unpublished, 10 a second is what tools assume
/// (`facts/aws.md` 4.6).
pub(super) const READS: usize = 8;

/// How many entities of a kind a stack must have before all of the account's are read in one sweep.
const FEWEST: usize = 10;
/// How many times as many the account may have. A page of a sweep takes the time of several single reads, and brings the
/// entities of everybody.
const FOREIGN: usize = 10;
/// How many entities a page of a sweep may bring. IAM would give a thousand, with all their documents.
pub(super) const PAGE: i32 = 250;

/// Tells whether reading all of the account's entities at once is cheaper than reading the stack's one by one. Emulators
/// leave things out of the answer.
pub(super) fn is_sweep_worth(cx: &Cx, own: usize, all: usize) -> bool {
    cx.is_shared() && cx.aws.tag_index_complete && own >= FEWEST && all <= own * FOREIGN
}

/// Returns the path under which a stack's entities live; it is how the stack finds them again (`facts/aws.md` 17.2).
pub(super) fn path(stack: &str) -> String {
    format!("/stackctl/{stack}/")
}

/// Returns the path of an entity that exists, as its ARN has it between the word and the name.
pub(super) fn path_of(found: &Found) -> String {
    let arn = found.outputs.get("arn").and_then(Value::as_str).unwrap_or_default();
    let path = arn.split_once('/').map_or("", |(_, rest)| rest).rsplit_once('/').map_or("", |(path, _)| path);
    if path.is_empty() { "/".to_owned() } else { format!("/{path}/") }
}

/// Turns tags into the SDK's.
pub(super) fn tag_list(tags: &Tags) -> Result<Vec<Tag>> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    tags.iter().map(tag).collect::<std::result::Result<_, _>>().map_err(|error| KindError::invalid(error.to_string()))
}

/// How long something that exists is looked for.
const UNSEEN: Duration = Duration::from_secs(10);

/// Turns the SDK's tags into ours.
pub(super) fn tags_of(tags: Option<Vec<Tag>>) -> Tags {
    tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect()
}

/// Tells whether IAM is busy with the same entity.
pub(super) fn is_busy(error: &KindError) -> bool {
    ["ConcurrentModification", "EntityTemporarilyUnmodifiable"].contains(&error.code.as_str())
}

/// Tells whether a policy names a principal that IAM does not know yet (`facts/aws.md` 4.3).
pub(super) fn is_new_principal(error: &KindError) -> bool {
    error.says("MalformedPolicyDocument", "Invalid principal in policy")
}

/// Repeats a write while IAM is busy, and while `passes` says that its error will pass.
pub(super) async fn patient<T, F>(
    cx: &Cx,
    what: &str,
    passes: impl Fn(&KindError) -> bool + Send,
    call: impl FnMut() -> F + Send,
) -> Result<T>
where
    F: Future<Output = Result<T>> + Send,
{
    let wait = Wait::new(format!("IAM: {what}"), IAM_LIMIT);
    wait.retry(cx, move |error| is_busy(error) || passes(error), call).await
}

/// Waits until an entity that was just created can be read, with an ARN in place of the unique id that IAM may show at
/// first; `read` returns the ARN, or nothing when there is no entity yet (`facts/aws.md` 4.2, 8.3).
pub(super) async fn wait_visible<F>(cx: &Cx, what: &str, mut read: impl FnMut() -> F + Send) -> Result<()>
where
    F: Future<Output = Result<Option<String>>> + Send,
{
    let wait = Wait::new(format!("IAM: {what} to be visible"), cx.limit("create", IAM_LIMIT));
    wait.every(Duration::from_secs(2))
        .until(cx, || {
            let arn = read();
            async move {
                Ok(match arn.await? {
                    Some(arn) if arn.starts_with("arn:") => Look::Done(()),
                    Some(id) => Look::Pending(id),
                    None => Look::Pending("not found".to_owned()),
                })
            }
        })
        .await
}

/// Reads an entity of which IAM says that it exists already. After a lost answer that is our own, made a moment ago, and
/// may not be found for a while (`facts/aws.md` 0.2); what stays unseen has our name in other letters, and is none of ours.
pub(super) async fn existing<T, F>(cx: &Cx, what: &str, mut read: impl FnMut() -> F + Send) -> Result<Option<T>>
where
    F: Future<Output = Result<Option<T>>> + Send,
    T: Send,
{
    let wait = Wait::new(format!("IAM: {what} to be visible"), UNSEEN).every(Duration::from_secs(1));
    let look = || {
        let found = read();
        async move { Ok(found.await?.map_or_else(|| Look::Pending("not found".to_owned()), Look::Done)) }
    };
    match wait.until(cx, look).await {
        Err(error) if error.class == Class::Timeout => Ok(None),
        other => other.map(Some),
    }
}

/// Waits until an entity that was just deleted can no longer be read.
pub(super) async fn wait_gone<T, F>(cx: &Cx, what: &str, mut read: impl FnMut() -> F + Send) -> Result<()>
where
    F: Future<Output = Result<Option<T>>> + Send,
    T: Send,
{
    let wait = Wait::new(format!("IAM: {what} to be gone"), cx.limit("delete", IAM_LIMIT));
    wait.every(Duration::from_secs(2))
        .until(cx, || {
            let entity = read();
            async move {
                Ok(match entity.await? {
                    Some(_) => Look::Pending("still there".to_owned()),
                    None => Look::Done(()),
                })
            }
        })
        .await
}
