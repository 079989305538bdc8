//! The single IAM calls about a role, each with the patience that IAM's consistency asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_iam::types::Role;
use futures::{StreamExt, TryStreamExt, stream};

use super::Spec;
use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::wait::{IAM_LIMIT, Look, Wait};
use crate::kind::{KindError, Result, Tags};
use crate::kinds::iam;
use crate::kinds::policy::PolicyDocument;

pub(super) async fn get(cx: &Cx) -> Result<Role> {
    get_named(cx, cx.key.handle()).await
}

pub(super) async fn get_named(cx: &Cx, name: &str) -> Result<Role> {
    let answer = cx.aws.iam().get_role().role_name(name).send().await.map_err(failed("GetRole"))?;
    answer.role.filter(|role| !role.arn.is_empty()).ok_or_else(|| KindError::lacking("GetRole", "role"))
}

/// Reads a role, once for all that look at the same time.
pub(super) async fn shared(cx: &Cx, name: &str) -> Result<Option<Role>> {
    let role = found(cx.once(&format!("role {name}"), Box::pin(get_named(cx, name))).await)?;
    Ok(role.map(|role| (*role).clone()))
}

/// Reads all inline policies, several at once.
pub(super) async fn inline_policies(cx: &Cx) -> Result<BTreeMap<String, PolicyDocument>> {
    let reads = stream::iter(inline_names(cx).await?).map(|name| async move {
        let policy = found(inline_policy(cx, &name).await)?;
        Ok::<_, KindError>(policy.map(|policy| (name, policy)))
    });
    let policies: Vec<_> = reads.buffered(iam::READS).try_collect().await?;
    Ok(policies.into_iter().flatten().collect())
}

async fn inline_policy(cx: &Cx, name: &str) -> Result<PolicyDocument> {
    let request = cx.aws.iam().get_role_policy().role_name(cx.key.handle()).policy_name(name);
    let answer = request.send().await.map_err(failed("GetRolePolicy"))?;
    PolicyDocument::from_encoded(&answer.policy_document)
}

async fn inline_names(cx: &Cx) -> Result<Vec<String>> {
    let pages = cx.aws.iam().list_role_policies().role_name(cx.key.handle()).into_paginator().items().send();
    pages.collect::<std::result::Result<_, _>>().await.map_err(failed("ListRolePolicies"))
}

pub(super) async fn attached_policies(cx: &Cx) -> Result<BTreeSet<String>> {
    let request = cx.aws.iam().list_attached_role_policies().role_name(cx.key.handle());
    let policies: std::result::Result<Vec<_>, _> = request.into_paginator().items().send().collect().await;
    let policies = policies.map_err(failed("ListAttachedRolePolicies"))?;
    Ok(policies.into_iter().filter_map(|policy| policy.policy_arn).collect())
}

async fn profiles(cx: &Cx) -> Result<Vec<String>> {
    let request = cx.aws.iam().list_instance_profiles_for_role().role_name(cx.key.handle());
    let profiles: std::result::Result<Vec<_>, _> = request.into_paginator().items().send().collect().await;
    let profiles = profiles.map_err(failed("ListInstanceProfilesForRole"))?;
    Ok(profiles.into_iter().map(|profile| profile.instance_profile_name).collect())
}

pub(super) async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<Role> {
    let trust = want.assume_role_policy.as_ref().map(PolicyDocument::to_text);
    let tags = iam::tag_list(tags)?;
    let request = || {
        let request = cx.aws.iam().create_role().role_name(&cx.key.name).path(iam::path(&cx.key.stack));
        request
            .set_assume_role_policy_document(trust.clone())
            .set_description(want.description.clone())
            .max_session_duration(want.max_session_duration)
            .set_permissions_boundary(want.permissions_boundary.clone())
            .set_tags(Some(tags.clone()))
    };
    let call = || async {
        let answer = request().send().await.map_err(failed("CreateRole"))?;
        answer.role.filter(|role| !role.arn.is_empty()).ok_or_else(|| KindError::lacking("CreateRole", "role"))
    };
    let boundary = want.permissions_boundary.as_deref().unwrap_or_default();
    let passes = |error: &KindError| iam::is_new_principal(error) || is_new_policy(cx, boundary, error);
    iam::patient(cx, "what the role refers to to be known", passes, call).await
}

/// Tells whether a policy of this stack is not known yet. Any other policy that is not there is a mistake.
fn is_new_policy(cx: &Cx, arn: &str, error: &KindError) -> bool {
    error.is_not_found() && arn.contains(&format!(":policy{}", iam::path(&cx.key.stack)))
}

/// Tells whether it is the role that is not known yet (`facts/aws.md` 5.7).
fn is_new_role(error: &KindError) -> bool {
    error.says("NoSuchEntity", "The role with name")
}

/// Waits until a new role's policies are listed, so that the next look sees what was just put (`facts/aws.md` 5.3).
pub(super) async fn wait_listed(cx: &Cx, want: &Spec) -> Result<()> {
    let patience =
        Wait::new(format!("IAM: the policies of role {} to be visible", cx.key.name), cx.limit("create", IAM_LIMIT));
    patience
        .every(Duration::from_secs(2))
        .until(cx, || async {
            let inline =
                async { if want.inline_policies.is_empty() { Ok(Vec::new()) } else { inline_names(cx).await } };
            let attached = async {
                if want.managed_policy_arns.is_empty() { Ok(BTreeSet::new()) } else { attached_policies(cx).await }
            };
            let (inline, attached) = match tokio::try_join!(inline, attached) {
                // A role made a moment ago may be found by one call and not by the next.
                Err(error) if error.is_not_found() => return Ok(Look::Pending("not found".to_owned())),
                lists => lists?,
            };
            let missing = want.inline_policies.keys().find(|name| !inline.contains(name));
            let missing = missing.or_else(|| want.managed_policy_arns.difference(&attached).next());
            Ok(missing.map_or(Look::Done(()), |name| Look::Pending(format!("{name} not listed"))))
        })
        .await
}

pub(super) async fn set_trust(cx: &Cx, policy: &PolicyDocument) -> Result<()> {
    let text = policy.to_text();
    let request = || cx.aws.iam().update_assume_role_policy().role_name(cx.key.handle()).policy_document(&text);
    let call = || async { request().send().await.map_err(failed("UpdateAssumeRolePolicy")).map(|_| ()) };
    iam::patient(cx, "the trusted principal to be known", iam::is_new_principal, call).await
}

pub(super) async fn set_plain_fields(cx: &Cx, want: &Spec) -> Result<()> {
    let description = want.description.clone().unwrap_or_default();
    let request = || {
        let request = cx.aws.iam().update_role().role_name(cx.key.handle());
        request.description(&description).max_session_duration(want.max_session_duration)
    };
    let call = || async { request().send().await.map_err(failed("UpdateRole")).map(|_| ()) };
    iam::patient(cx, "the role to be free", |_| false, call).await
}

pub(super) async fn set_boundary(cx: &Cx, arn: Option<&str>) -> Result<()> {
    let (client, name) = (cx.aws.iam(), cx.key.handle());
    let call = || async {
        if let Some(arn) = arn {
            let request = client.put_role_permissions_boundary().role_name(name).permissions_boundary(arn);
            return request.send().await.map_err(failed("PutRolePermissionsBoundary")).map(|_| ());
        }
        let request = client.delete_role_permissions_boundary().role_name(name);
        gone(request.send().await.map_err(failed("DeleteRolePermissionsBoundary")))
    };
    let passes = |error: &KindError| is_new_policy(cx, arn.unwrap_or_default(), error);
    iam::patient(cx, "the permissions boundary to be known", passes, call).await
}

pub(super) async fn attach(cx: &Cx, arn: &str) -> Result<()> {
    let request = || cx.aws.iam().attach_role_policy().role_name(cx.key.handle()).policy_arn(arn);
    let call = || async { request().send().await.map_err(failed("AttachRolePolicy")).map(|_| ()) };
    let passes = |error: &KindError| is_new_role(error) || is_new_policy(cx, arn, error);
    iam::patient(cx, &format!("role {} and {arn} to be known", cx.key.handle()), passes, call).await
}

pub(super) async fn detach(cx: &Cx, arn: &str) -> Result<()> {
    let request = || cx.aws.iam().detach_role_policy().role_name(cx.key.handle()).policy_arn(arn);
    let call = || async { gone(request().send().await.map_err(failed("DetachRolePolicy"))) };
    iam::patient(cx, "the role to be free", |_| false, call).await
}

pub(super) async fn put_inline(cx: &Cx, name: &str, policy: &PolicyDocument) -> Result<()> {
    let text = policy.to_text();
    let role = cx.key.handle();
    let request = || cx.aws.iam().put_role_policy().role_name(role).policy_name(name).policy_document(&text);
    let call = || async { request().send().await.map_err(failed("PutRolePolicy")).map(|_| ()) };
    iam::patient(cx, &format!("role {role} to be known"), is_new_role, call).await
}

pub(super) async fn delete_inline(cx: &Cx, name: &str) -> Result<()> {
    let request = || cx.aws.iam().delete_role_policy().role_name(cx.key.handle()).policy_name(name);
    let call = || async { gone(request().send().await.map_err(failed("DeleteRolePolicy"))) };
    iam::patient(cx, "the role to be free", |_| false, call).await
}

async fn remove_from(cx: &Cx, profile: &str) -> Result<()> {
    let client = cx.aws.iam();
    let request =
        || client.remove_role_from_instance_profile().instance_profile_name(profile).role_name(cx.key.handle());
    let call = || async { gone(request().send().await.map_err(failed("RemoveRoleFromInstanceProfile"))) };
    iam::patient(cx, "the instance profile to be free", |_| false, call).await
}

/// Takes a role out of every profile and takes every policy from it, which its deletion asks for (`DeleteRole`).
pub(super) async fn strip(cx: &Cx) -> Result<()> {
    let lists = tokio::try_join!(profiles(cx), attached_policies(cx), inline_names(cx));
    let Some((profiles, attached, inline)) = found(lists)? else { return Ok(()) };
    for profile in profiles {
        remove_from(cx, &profile).await?;
    }
    for arn in attached {
        detach(cx, &arn).await?;
    }
    for name in inline {
        delete_inline(cx, &name).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_policy_is_not_a_new_role() {
        let error = |text: &str| KindError { code: "NoSuchEntity".to_owned(), ..KindError::not_found(text) };
        assert!(is_new_role(&error("The role with name R cannot be found.")));
        assert!(!is_new_role(&error("Policy arn:aws:iam::aws:policy/role does not exist or is not attachable.")));
    }
}
