//! What can be done to an object of a kind: the only verbs that change AWS.
//!
//! Apart from [`Kind`], so that what only looks, such as the drift check, cannot even name them.

use async_trait::async_trait;
use serde_json::Value;

use super::{AnyKind, Changes, Kind, Outputs, Result, Tags};
use crate::aws::Cx;
use crate::diff::Change;

/// IAM actions and what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// Such as `kinesis:CreateStream`.
    pub actions: &'static [&'static str],
    /// ARNs without `arn:` and the partition, such as `kinesis:{region}:{account}:stream/{name}`; also with `{stack}`, and
    /// `{path}` for the name without a leading slash. `=field` stands for the ARN in a field of the spec, `*` for
    /// anything, where the API knows no resources or its names are AWS's own.
    pub resources: &'static [&'static str],
}

/// The writing verbs of a kind.
///
/// `create` and `delete` succeed when the object already is, or no longer is, there (and is ours); `update` touches only
/// what `changes` names; each waits for readiness by itself.
pub trait Writes: Kind {
    /// What its writing verbs must be allowed.
    const WRITES: &'static [Right];
    /// The service that it hands roles to, as a service principal such as `lambda.amazonaws.com`.
    const PASSES_TO: Option<&'static str> = None;

    /// Creates the object with its tags and waits until it can be used; returns its physical identifier and outputs.
    fn create(cx: &Cx, want: &Self::Spec, tags: &Tags) -> impl Future<Output = Result<(String, Self::Outputs)>> + Send;

    /// Brings the object from `found` to `want`, touching only what `changes` names.
    fn update(
        cx: &Cx,
        want: &Self::Spec,
        found: &Self::Spec,
        changes: &Changes<'_>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Deletes the object and waits until it is gone.
    fn delete(cx: &Cx) -> impl Future<Output = Result<()>> + Send;

    /// Sets and removes tags.
    fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> impl Future<Output = Result<()>> + Send;
}

/// The writing verbs of a kind as the engine sees them: JSON values instead of types.
#[async_trait]
pub trait AnyWrites: AnyKind {
    /// See [`Writes::WRITES`].
    fn writes(&self) -> &'static [Right];
    /// See [`Writes::PASSES_TO`].
    fn passes_to(&self) -> Option<&'static str>;
    /// See [`Writes::create`].
    async fn create(&self, cx: &Cx, want: &Value, tags: &Tags) -> Result<(String, Outputs)>;
    /// See [`Writes::update`].
    async fn update(&self, cx: &Cx, want: &Value, found: &Value, changes: &[Change]) -> Result<()>;
    /// See [`Writes::delete`].
    async fn delete(&self, cx: &Cx) -> Result<()>;
    /// See [`Writes::retag`].
    async fn retag(&self, cx: &Cx, set: &Tags, remove: &[String]) -> Result<()>;
}
