//! What many looks at parameters share: the list of the stack's, and the index of tags.

use std::sync::Arc;

use aws_sdk_ssm::types::ParameterMetadata;

use super::{arn, describe, filter, list};
use crate::aws::{Cx, marks};
use crate::kind::Result;

/// Returns the ARN by which the index may know the parameter: only where it cannot be another's, as `a` and `/a` have
/// the same.
pub(super) fn indexed_arn(cx: &Cx, name: &str) -> Option<String> {
    name.trim_start_matches('/').contains('/').then(|| arn(cx.place(), name))
}

/// Lists the stack's parameters, once for all that look at the same time.
pub(super) async fn of_stack(cx: &Cx) -> Result<Arc<Vec<ParameterMetadata>>> {
    let filter = filter(&format!("tag:{}", marks::STACK), &cx.key.stack)?;
    cx.once("parameters", list(cx, filter)).await
}

/// Reads what `GetParameter` does not tell: from the list of the stack's parameters when many look at the same time.
pub(super) async fn metadata(cx: &Cx) -> Result<Option<ParameterMetadata>> {
    if cx.is_shared()
        && let Some(metadata) = of_stack(cx).await?.iter().find(|each| each.name() == Some(cx.key.handle()))
    {
        return Ok(Some(metadata.clone()));
    }
    describe(cx).await
}
