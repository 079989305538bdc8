//! Many roles at once: what two listings of the account tell of them, in place of four calls for each.
//!
//! `GetAccountAuthorizationDetails` has all of a role but its description and its longest session, which `ListRoles` has
//! (`facts/aws.md` 4.1). Either may be late. What they say is therefore taken only where it is what the stack file wants:
//! then all that can be missed is a change by somebody else moments ago. Any other role is read by its own calls, and so
//! is each where listing the account is not allowed.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_iam::types::{EntityType, Role, RoleDetail};

use super::{RoleOutputs, Spec, spec};
use crate::aws::error::failed;
use crate::aws::{Cx, index};
use crate::kind::{Observed, Result, Tags};
use crate::kinds::iam;
use crate::kinds::policy::PolicyDocument;

/// What `ListRoles` tells of a role.
struct Brief {
    id: String,
    name: String,
    path: String,
    description: Option<String>,
    max_session_duration: Option<i32>,
}

/// The account's roles, unless there are more than one call lists.
type Listed = Option<Vec<Brief>>;
/// The roles on the stack's path, by name.
type Swept = BTreeMap<String, RoleDetail>;

impl From<Role> for Brief {
    fn from(role: Role) -> Self {
        Self {
            id: role.role_id,
            name: role.role_name,
            path: role.path,
            description: role.description,
            max_session_duration: role.max_session_duration,
        }
    }
}

/// Lists the account's roles, where that takes one call: then nothing else has to be asked for those that are not there.
async fn account(cx: &Cx) -> Result<Arc<Listed>> {
    let read = Box::pin(async {
        let answer = cx.aws.iam().list_roles().max_items(1000).send().await.map_err(failed("ListRoles"))?;
        Ok((!answer.is_truncated).then(|| answer.roles.into_iter().map(Brief::from).collect::<Vec<_>>()))
    });
    cx.once("roles of the account", read).await
}

/// Tells whether a look at the whole account has shown that there is no such role.
pub(super) async fn is_absent(cx: &Cx) -> bool {
    if !cx.is_shared() {
        return false;
    }
    let name = cx.key.handle();
    // Without the permission to list, each role is asked for.
    let listed = account(cx).await.ok();
    listed.as_deref().and_then(Option::as_ref).is_some_and(|all| all.iter().all(|other| other.name != name))
}

/// Lists the names of the roles on the stack's path.
pub(super) async fn names_on_path(cx: &Cx) -> Result<Vec<String>> {
    let path = iam::path(&cx.key.stack);
    if let Some(all) = account(cx).await?.as_ref() {
        return Ok(all.iter().filter(|role| role.path.starts_with(&path)).map(|role| role.name.clone()).collect());
    }
    let request = cx.aws.iam().list_roles().path_prefix(path);
    let roles: std::result::Result<Vec<_>, _> = request.into_paginator().items().send().collect().await;
    Ok(roles.map_err(failed("ListRoles"))?.into_iter().map(|role| role.role_name).collect())
}

/// Reads the details of the roles on the stack's path, once for all that look at the same time; nothing where that is not
/// worth it, or not allowed.
async fn swept(cx: &Cx) -> Option<Arc<Option<Swept>>> {
    if !cx.is_shared() {
        return None;
    }
    let (path, listed) = (iam::path(&cx.key.stack), account(cx).await.ok()?);
    let all = listed.as_ref().as_ref()?;
    let own = all.iter().filter(|role| role.path.starts_with(&path)).count();
    if !iam::is_sweep_worth(cx, own, all.len()) {
        return None;
    }
    cx.once("details of the stack's roles", Box::pin(async { Ok(sweep(cx, &path).await.ok()) })).await.ok()
}

async fn sweep(cx: &Cx, path: &str) -> Result<Swept> {
    let request = cx.aws.iam().get_account_authorization_details().filter(EntityType::Role).max_items(iam::PAGE);
    let mut pages = request.into_paginator().send();
    let mut all = Swept::new();
    while let Some(page) = pages.next().await {
        let roles = page.map_err(failed("GetAccountAuthorizationDetails"))?.role_detail_list.unwrap_or_default();
        let own = roles.into_iter().filter(|role| role.path().is_some_and(|other| other.starts_with(path)));
        all.extend(own.map(|role| (role.role_name.clone().unwrap_or_default(), role)));
    }
    Ok(all)
}

/// Returns a role's tags by the sweep.
pub(super) async fn tags(cx: &Cx, name: &str) -> Option<Tags> {
    let swept = swept(cx).await?;
    let role = swept.as_ref().as_ref()?.get(name)?;
    Some(iam::tags_of(role.tags.clone()))
}

/// Returns a role by the two listings, where it is as wanted with its tags.
pub(super) async fn as_wanted(cx: &Cx, want: Option<&Spec>) -> Option<Observed<Spec, RoleOutputs>> {
    let (want, expected, swept) = (want?, cx.expected()?, swept(cx).await?);
    let (role, listed) = (swept.as_ref().as_ref()?.get(cx.key.handle())?, account(cx).await.ok()?);
    let brief = listed.as_ref().as_ref()?.iter().find(|brief| Some(brief.id.as_str()) == role.role_id())?;
    let (spec, tags) = (joined(role, brief).ok()?, iam::tags_of(role.tags.clone()));
    let is_as_wanted = spec == shown(want) && index::is_as_expected(&tags, expected);
    let outputs = RoleOutputs { arn: role.arn.clone()?, name: role.role_name.clone()?, id: role.role_id.clone()? };
    let observed = Observed { physical: outputs.name.clone(), spec, tags, status: None, halt: None, outputs };
    is_as_wanted.then_some(observed)
}

/// Returns what AWS can show of a wanted role: without the short forms of a stack file.
fn shown(want: &Spec) -> Spec {
    let source = Spec::default();
    Spec { service: source.service, grants: source.grants, ..want.clone() }
}

/// Joins what the two listings tell of a role.
fn joined(role: &RoleDetail, brief: &Brief) -> Result<Spec> {
    let document = |text: &str| PolicyDocument::from_encoded(text);
    let inline =
        role.role_policy_list().iter().filter_map(|policy| Some((policy.policy_name()?, policy.policy_document()?)));
    let inline = inline.map(|(name, text)| Ok((name.to_owned(), document(text)?)));
    let attached = role.attached_managed_policies().iter().filter_map(|policy| policy.policy_arn.clone());
    Ok(Spec {
        assume_role_policy: role.assume_role_policy_document().map(document).transpose()?,
        description: brief.description.clone().filter(|text| !text.is_empty()),
        max_session_duration: brief.max_session_duration.unwrap_or(spec::DEFAULT_SESSION),
        permissions_boundary: role.permissions_boundary().and_then(|one| one.permissions_boundary_arn.clone()),
        managed_policy_arns: attached.collect(),
        inline_policies: inline.collect::<Result<_>>()?,
        ..Spec::default()
    })
}
