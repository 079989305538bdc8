//! IAM roles with their inline policies and attachments (`facts/aws.md` 4, 5, 7).
//!
//! Policies and attachments of a role belong to the file as a whole: what is not in it is removed. All writes to one
//! role go one after another, since IAM refuses concurrent ones (`facts/aws.md` 4.7).

mod call;
mod peers;
mod spec;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::types::Role;
use futures::{StreamExt, TryStreamExt, stream};
use schemars::JsonSchema;
use serde::Serialize;

use super::iam;
use super::policy::PolicyDocument;
use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::marks;
use crate::aws::wait::{IAM_LIMIT, Wait};
use crate::kind::{
    Changes, Fault, Files, Grant, Key, Kind, KindError, Naming, Observed, Outputs, Owned, Peers, Place, Result, Right,
    Tags, Writes,
};
pub use spec::Spec;

/// An IAM role.
pub struct IamRole;

/// What other resources may refer to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RoleOutputs {
    /// Amazon Resource Name.
    pub arn: String,
    /// Name.
    pub name: String,
    /// Unique id that AWS makes up, such as `AROA…`.
    pub id: String,
}

impl Kind for IamRole {
    const TYPE: &'static str = "iam_role";
    const TITLE: &'static str = "IAM role";
    const DELETE_RANK: u8 = 80;
    const NAMING: Naming = Naming::Name { pattern: r"^[A-Za-z0-9_+=,.@-]{1,64}$" };
    const PEERS: Peers = peers::PEERS;
    const READS: &'static [&'static str] = &[
        "iam:GetAccountAuthorizationDetails",
        "iam:GetRole",
        "iam:GetRolePolicy",
        "iam:ListAttachedRolePolicies",
        "iam:ListRolePolicies",
    ];
    const LISTS: &'static [&'static str] = &["iam:ListRoles"];
    const GRANTS: &'static [Grant] = &[Grant { verb: "pass", actions: &["iam:PassRole"], resources: &[""] }];

    type Spec = Spec;
    type Outputs = RoleOutputs;

    fn prepare(spec: &mut Spec, _: &Files) -> std::result::Result<(), Vec<Fault>> {
        spec.fill_trust().map_err(|fault| vec![fault])
    }

    fn check(spec: &Spec) -> Vec<Fault> {
        spec.faults()
    }

    fn predict(place: &Place, key: &Key, _: &Spec) -> Outputs {
        let arn = place.iam_arn(&format!("role{}{}", iam::path(&key.stack), key.name));
        Outputs::from_iter([("arn".to_owned(), arn.into()), ("name".to_owned(), key.name.clone().into())])
    }

    async fn observe(cx: &Cx, want: Option<&Spec>) -> Result<Option<Observed<Spec, RoleOutputs>>> {
        if sweep::is_absent(cx).await {
            return Ok(None);
        }
        if let Some(observed) = sweep::as_wanted(cx, want).await {
            return Ok(Some(observed));
        }
        let Some(role) = call::shared(cx, cx.key.handle()).await? else { return Ok(None) };
        let Some((inline, attached)) = found(tokio::try_join!(call::inline_policies(cx), call::attached_policies(cx)))?
        else {
            return Ok(None);
        };
        let spec = Spec { inline_policies: inline, managed_policy_arns: attached, ..spec_of(&role)? };
        Ok(Some(Observed {
            physical: role.role_name.clone(),
            spec,
            tags: iam::tags_of(role.tags.clone()),
            status: None,
            halt: None,
            outputs: outputs_of(role),
        }))
    }

    /// Lists the roles on the stack's path; an adopted role on another path is found by its name only.
    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let names = sweep::names_on_path(cx).await?;
        let reads = stream::iter(names).map(|name| async move { owned_named(cx, name).await });
        let owned: Vec<Option<Owned>> = reads.buffered(iam::READS).try_collect().await?;
        Ok(owned.into_iter().flatten().collect())
    }
}

impl Writes for IamRole {
    const WRITES: &'static [Right] = &[
        Right {
            actions: &[
                "iam:AttachRolePolicy",
                "iam:CreateRole",
                "iam:DeleteRole",
                "iam:DeleteRolePermissionsBoundary",
                "iam:DeleteRolePolicy",
                "iam:DetachRolePolicy",
                "iam:ListInstanceProfilesForRole",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateRole",
            ],
            resources: &["iam::{account}:role/stackctl/{stack}/{name}"],
        },
        Right { actions: &["iam:RemoveRoleFromInstanceProfile"], resources: &["iam::{account}:instance-profile/*"] },
    ];

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, RoleOutputs)> {
        let outputs = match call::create(cx, want, tags).await {
            Ok(role) => fill(cx, want, outputs_of(role)).await?,
            Err(error) if error.code == "EntityAlreadyExists" => settle_existing(cx, want, tags, error).await?,
            Err(error) => return Err(error),
        };
        call::wait_listed(cx, want).await?;
        Ok((outputs.name.clone(), outputs))
    }

    async fn update(cx: &Cx, want: &Spec, found: &Spec, changes: &Changes<'_>) -> Result<()> {
        converge(cx, want, found, |path| touches(changes, path)).await
    }

    async fn delete(cx: &Cx) -> Result<()> {
        let what = format!("role {} to be free of policies and profiles", cx.key.handle());
        let emptied = || async {
            call::strip(cx).await?;
            gone(cx.aws.iam().delete_role().role_name(cx.key.handle()).send().await.map_err(failed("DeleteRole")))
        };
        let passes = |error: &KindError| error.code == "DeleteConflict" || iam::is_busy(error);
        Wait::new(what, cx.limit("delete", IAM_LIMIT)).retry(cx, passes, emptied).await?;
        iam::wait_gone(cx, &format!("role {}", cx.key.handle()), || async { found(call::get(cx).await) }).await
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        let (client, name) = (cx.aws.iam(), cx.key.handle());
        if !set.is_empty() {
            let tags = iam::tag_list(set)?;
            let request = || client.tag_role().role_name(name).set_tags(Some(tags.clone()));
            let call = || async { request().send().await.map_err(failed("TagRole")) };
            iam::patient(cx, "the role to take its tags", |_| false, call).await?;
        }
        if !remove.is_empty() {
            let request = || client.untag_role().role_name(name).set_tag_keys(Some(remove.to_vec()));
            let call = || async { request().send().await.map_err(failed("UntagRole")) };
            iam::patient(cx, "the role to lose its tags", |_| false, call).await?;
        }
        Ok(())
    }
}

/// Reads a role's tags; nothing is told of one that is not the stack's.
async fn owned_named(cx: &Cx, name: String) -> Result<Option<Owned>> {
    let is_ours = |tags: &Tags| marks::stack_of(tags) == Some(&cx.key.stack);
    if let Some(tags) = sweep::tags(cx, &name).await.filter(is_ours) {
        return Ok(Some(Owned { physical: name, tags }));
    }
    let role = call::shared(cx, &name).await?;
    let owned = role.map(|role| Owned { physical: role.role_name, tags: iam::tags_of(role.tags) });
    Ok(owned.filter(|role| is_ours(&role.tags)))
}

/// Gives a new role its policies. It has nothing else yet than what it was made with, so nothing has to be read, and the
/// wait for it to be seen goes on beside: a write that comes too early is repeated.
async fn fill(cx: &Cx, want: &Spec, outputs: RoleOutputs) -> Result<RoleOutputs> {
    let bare = Spec { inline_policies: BTreeMap::new(), managed_policy_arns: BTreeSet::new(), ..want.clone() };
    tokio::try_join!(wait_visible(cx), give(cx, want, &bare, &|_: &str| true))?;
    Ok(outputs)
}

/// After "already exists": a lost answer of our own call is success, anybody else's role is not ours.
async fn settle_existing(cx: &Cx, want: &Spec, tags: &Tags, error: KindError) -> Result<RoleOutputs> {
    let look = || async { found(call::get(cx).await) };
    let present = iam::existing(cx, &format!("role {}", cx.key.name), look).await?;
    marks::settle(&iam::tags_of(present.and_then(|role| role.tags)), tags, error)?;
    wait_visible(cx).await?;
    let look = || async { IamRole::observe(cx, Some(want)).await };
    let fresh = iam::existing(cx, &format!("role {}", cx.key.name), look).await?;
    let fresh = fresh.ok_or_else(|| KindError::not_found(format!("role {} vanished", cx.key.name)))?;
    converge(cx, want, &fresh.spec, |_| true).await?;
    Ok(fresh.outputs)
}

async fn wait_visible(cx: &Cx) -> Result<()> {
    let read = || async { Ok(found(call::get(cx).await)?.map(|role| role.arn)) };
    iam::wait_visible(cx, &format!("role {}", cx.key.name), read).await
}

fn outputs_of(role: Role) -> RoleOutputs {
    RoleOutputs { arn: role.arn, name: role.role_name, id: role.role_id }
}

/// Reads what `GetRole` tells of a spec; policies have calls of their own.
fn spec_of(role: &Role) -> Result<Spec> {
    let trust = role.assume_role_policy_document.as_deref().map(PolicyDocument::from_encoded).transpose()?;
    let boundary = role.permissions_boundary.as_ref().and_then(|boundary| boundary.permissions_boundary_arn.clone());
    Ok(Spec {
        assume_role_policy: trust,
        description: role.description.clone().filter(|text| !text.is_empty()),
        max_session_duration: role.max_session_duration.unwrap_or(spec::DEFAULT_SESSION),
        permissions_boundary: boundary,
        ..Spec::default()
    })
}

/// Tells whether a path, or something above or below it, changes. Names of policies may hold dots, so paths are compared
/// as texts.
fn touches(changes: &Changes<'_>, path: &str) -> bool {
    let below =
        |one: &str, other: &str| one.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    changes.0.iter().any(|change| below(&change.path, path) || below(path, &change.path))
}

/// Brings a role from `found` to `want`, one call at a time. Rights are given before others are taken away, so that
/// whoever bears the role now is never without both; where a quota leaves no room for that, the other way round.
async fn converge(cx: &Cx, want: &Spec, found: &Spec, touched: impl Fn(&str) -> bool + Send + Sync) -> Result<()> {
    if want.assume_role_policy != found.assume_role_policy
        && touched("assume_role_policy")
        && let Some(policy) = &want.assume_role_policy
    {
        call::set_trust(cx, policy).await?;
    }
    let plain = |spec: &Spec| (spec.description.clone(), spec.max_session_duration);
    if plain(want) != plain(found) && (touched("description") || touched("max_session_duration")) {
        call::set_plain_fields(cx, want).await?;
    }
    if want.permissions_boundary != found.permissions_boundary && touched("permissions_boundary") {
        call::set_boundary(cx, want.permissions_boundary.as_deref()).await?;
    }
    match give(cx, want, found, &touched).await {
        Err(error) if error.code == "LimitExceeded" => {
            take_away(cx, want, found, &touched).await?;
            give(cx, want, found, &touched).await
        }
        other => {
            other?;
            take_away(cx, want, found, &touched).await
        }
    }
}

async fn take_away(cx: &Cx, want: &Spec, found: &Spec, touched: &(impl Fn(&str) -> bool + Sync)) -> Result<()> {
    for arn in found.managed_policy_arns.difference(&want.managed_policy_arns) {
        if touched("managed_policy_arns") {
            call::detach(cx, arn).await?;
        }
    }
    for name in found.inline_policies.keys().filter(|name| !want.inline_policies.contains_key(*name)) {
        if touched(&inline_path(name)) {
            call::delete_inline(cx, name).await?;
        }
    }
    Ok(())
}

async fn give(cx: &Cx, want: &Spec, found: &Spec, touched: &(impl Fn(&str) -> bool + Sync)) -> Result<()> {
    for arn in want.managed_policy_arns.difference(&found.managed_policy_arns) {
        if touched("managed_policy_arns") {
            call::attach(cx, arn).await?;
        }
    }
    for (name, policy) in &want.inline_policies {
        if found.inline_policies.get(name) != Some(policy) && touched(&inline_path(name)) {
            call::put_inline(cx, name, policy).await?;
        }
    }
    Ok(())
}

fn inline_path(name: &str) -> String {
    format!("inline_policies.{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::Change;
    use serde_json::Value;

    #[test]
    fn only_what_changes_is_touched() {
        let change = |path: &str| Change {
            path: path.to_owned(),
            before: Value::Null,
            after: Value::Null,
            forces_replacement: false,
            sensitive: false,
        };
        let list = [change("inline_policies.a.b.Statement.0.Action"), change("managed_policy_arns.1")];
        let changes = Changes(&list);
        assert!(touches(&changes, "inline_policies.a.b"));
        assert!(touches(&changes, "managed_policy_arns"));
        assert!(!touches(&changes, "inline_policies.c"));
        assert!(!touches(&changes, "description"));
        assert!(touches(&Changes(&[change("inline_policies")]), "inline_policies.c"));
    }

    #[test]
    fn the_arn_has_the_path_of_the_stack() {
        let place = Place { partition: "aws".into(), region: "r".into(), account: "123456789012".into() };
        let key = Key { stack: "shop".into(), id: "r".into(), name: "Reader".into(), physical: None };
        let outputs = IamRole::predict(&place, &key, &Spec::default());
        assert_eq!(outputs["arn"], "arn:aws:iam::123456789012:role/stackctl/shop/Reader");
        assert_eq!(IamRole::physical_of_arn(outputs["arn"].as_str().unwrap()).as_deref(), Some("Reader"));
    }
}
