//! What the Lambda kinds share: what sends failures on, and tags, which Lambda keeps by ARN whatever has them.

use crate::aws::Cx;
use crate::aws::error::failed;
use crate::kind::{Result, Tags};

/// Of what sends a failed event on, whatever takes it, one will do.
pub(super) const FAILURES: &[&str] = &["sqs:SendMessage", "sns:Publish", "s3:PutObject"];

/// Sets some tags of a function or mapping and removes others.
pub(super) async fn retag(cx: &Cx, arn: &str, set: &Tags, remove: &[String]) -> Result<()> {
    let client = cx.aws.lambda();
    if !set.is_empty() {
        let request = client.tag_resource().resource(arn).set_tags(Some(set.clone().into_iter().collect()));
        request.send().await.map_err(failed("TagResource"))?;
    }
    if !remove.is_empty() {
        let request = client.untag_resource().resource(arn).set_tag_keys(Some(remove.to_vec()));
        request.send().await.map_err(failed("UntagResource"))?;
    }
    Ok(())
}
