//! Many policies at once: the documents of all versions by one listing of the account, in place of a call for each.
//!
//! `GetAccountAuthorizationDetails` has neither tags nor the description, so each policy itself is still read by its own
//! call. Versions do not change: a document is taken where policy and version are the ones that were read, however late
//! the listing is. Where listing the account is not allowed, each document is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_iam::types::{EntityType, ManagedPolicyDetail, Policy};

use crate::aws::Cx;
use crate::aws::error::failed;
use crate::kind::Result;
use crate::kinds::iam;
use crate::kinds::policy::PolicyDocument;

/// Documents in force, by the unique ids of their policies and their versions.
type Documents = BTreeMap<(String, String), String>;

/// Returns a policy's document in force by the sweep.
pub(super) async fn document(cx: &Cx, policy: &Policy) -> Option<PolicyDocument> {
    let swept = swept(cx).await?;
    let key = (policy.policy_id.clone()?, policy.default_version_id.clone()?);
    PolicyDocument::from_encoded(swept.as_ref().as_ref()?.get(&key)?).ok()
}

/// Reads the documents of the policies on the stack's path, once for all that look at the same time; nothing where that is
/// not worth it, or not allowed.
async fn swept(cx: &Cx) -> Option<Arc<Option<Documents>>> {
    if !cx.is_shared() {
        return None;
    }
    let (path, all) = (iam::path(&cx.key.stack), super::account(cx).await.ok()?);
    let own = all.iter().filter(|policy| policy.path().is_some_and(|other| other.starts_with(&path))).count();
    if !iam::is_sweep_worth(cx, own, all.len()) {
        return None;
    }
    cx.once("documents of the stack's policies", Box::pin(async { Ok(sweep(cx, &path).await.ok()) })).await.ok()
}

async fn sweep(cx: &Cx, path: &str) -> Result<Documents> {
    let request = cx.aws.iam().get_account_authorization_details().filter(EntityType::LocalManagedPolicy);
    let mut pages = request.max_items(iam::PAGE).into_paginator().send();
    let mut documents = Documents::new();
    while let Some(page) = pages.next().await {
        let policies = page.map_err(failed("GetAccountAuthorizationDetails"))?.policies.unwrap_or_default();
        let own = policies.into_iter().filter(|policy| policy.path().is_some_and(|other| other.starts_with(path)));
        documents.extend(own.filter_map(in_force));
    }
    Ok(documents)
}

fn in_force(policy: ManagedPolicyDetail) -> Option<((String, String), String)> {
    let (id, default) = (policy.policy_id?, policy.default_version_id?);
    let mut versions = policy.policy_version_list.unwrap_or_default().into_iter();
    let document = versions.find(|version| version.version_id() == Some(&default))?.document?;
    Some(((id, default), document))
}
