//! IAM managed policies and their versions (`facts/aws.md` 6).

mod peers;
mod sweep;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_iam::types::{Policy, PolicyScopeType, PolicyUsageType};
use futures::{StreamExt, TryStreamExt, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::fields;
use super::iam;
use super::policy::{PolicyDocument, Use};
use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::marks;
use crate::aws::wait::{IAM_LIMIT, Wait};
use crate::kind::{
    Changes, Fault, Key, Kind, KindError, Naming, Observed, Outputs, Owned, Peers, Place, Result, Right, Tags, Writes,
};

/// An IAM managed policy. Its physical identifier is its ARN.
pub struct IamPolicy;

/// What a managed policy is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// What it allows and denies.
    pub policy_document: PolicyDocument,
    /// Description, up to 1000 characters; cannot be changed later.
    #[serde(default, deserialize_with = "fields::text")]
    #[schemars(with = "Option<String>", length(max = 1000), extend("x-immutable" = true))]
    pub description: Option<String>,
}

/// What other resources may refer to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PolicyOutputs {
    /// Amazon Resource Name.
    pub arn: String,
    /// Name.
    pub name: String,
}

/// A policy has at most five versions (`CreatePolicyVersion`).
const MOST_VERSIONS: usize = 5;
/// Quota on the document, without white space (`facts/aws.md` 6.3).
const MOST_TEXT: usize = 6144;
/// How long Terraform lets a new version spread before it makes it the default, since doing both at once took access
/// away for a moment (`facts/aws.md` 6.4).
const SPREAD: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_secs(5) };

impl Kind for IamPolicy {
    const TYPE: &'static str = "iam_policy";
    const TITLE: &'static str = "IAM managed policy";
    const DELETE_RANK: u8 = 85;
    const NAMING: Naming = Naming::Name { pattern: r"^[A-Za-z0-9_+=,.@-]{1,128}$" };
    const PEERS: Peers = peers::PEERS;

    const READS: &'static [&'static str] =
        &["iam:GetAccountAuthorizationDetails", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListPolicies"];
    const LISTS: &'static [&'static str] = &[];
    type Spec = Spec;
    type Outputs = PolicyOutputs;

    fn check(spec: &Spec) -> Vec<Fault> {
        let mut faults = spec.policy_document.faults("policy_document", Use::Identity);
        let text = spec.policy_document.to_text();
        let size = text.chars().filter(|letter| !letter.is_whitespace()).count();
        if size > MOST_TEXT && !text.contains("${") {
            let message = format!("the policy has {size} characters, and IAM takes {MOST_TEXT}");
            faults.push(Fault::new("policy_document", message).help("split it into several policies"));
        }
        if spec.description.as_ref().is_some_and(|text| text.chars().count() > 1000) {
            faults.push(Fault::new("description", "a description has at most 1000 characters"));
        }
        faults
    }

    fn predict(place: &Place, key: &Key, _: &Spec) -> Outputs {
        Outputs::from_iter([("arn".to_owned(), arn(place, key).into()), ("name".to_owned(), key.name.clone().into())])
    }

    fn physical_of_arn(arn: &str) -> Option<String> {
        Some(arn.to_owned())
    }

    async fn observe(cx: &Cx, _: Option<&Spec>) -> Result<Option<Observed<Spec, PolicyOutputs>>> {
        let Some(policy) = find(cx).await? else { return Ok(None) };
        let arn = policy.arn.clone().unwrap_or_default();
        let Some(policy_document) = found(document(cx, &policy).await)? else { return Ok(None) };
        let description = policy.description.filter(|text| !text.is_empty());
        Ok(Some(Observed {
            physical: arn.clone(),
            spec: Spec { policy_document, description },
            outputs: PolicyOutputs { arn, name: policy.policy_name.unwrap_or_default() },
            tags: iam::tags_of(policy.tags),
            status: None,
            halt: None,
        }))
    }

    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let (path, listed) = (iam::path(&cx.key.stack), account(cx).await?);
        let on_path = listed.iter().filter(|policy| policy.path().is_some_and(|other| other.starts_with(&path)));
        let arns: Vec<String> = on_path.filter_map(|policy| policy.arn().map(str::to_owned)).collect();
        let reads = stream::iter(arns).map(|arn: String| async move { shared(cx, &arn).await });
        let policies: Vec<Option<Policy>> = reads.buffered(iam::READS).try_collect().await?;
        let owned = policies.into_iter().flatten();
        let owned =
            owned.map(|policy| Owned { physical: policy.arn.unwrap_or_default(), tags: iam::tags_of(policy.tags) });
        Ok(owned.filter(|policy| marks::stack_of(&policy.tags) == Some(&cx.key.stack)).collect())
    }
}

impl Writes for IamPolicy {
    const WRITES: &'static [Right] = &[
        Right {
            actions: &[
                "iam:CreatePolicy",
                "iam:CreatePolicyVersion",
                "iam:DeletePolicy",
                "iam:DeletePolicyVersion",
                "iam:ListEntitiesForPolicy",
                "iam:ListPolicyVersions",
                "iam:SetDefaultPolicyVersion",
                "iam:TagPolicy",
                "iam:UntagPolicy",
            ],
            resources: &["iam::{account}:policy/stackctl/{stack}/{name}"],
        },
        Right {
            actions: &["iam:DetachGroupPolicy", "iam:DetachRolePolicy", "iam:DetachUserPolicy"],
            resources: &["iam::{account}:group/*", "iam::{account}:role/*", "iam::{account}:user/*"],
        },
    ];

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, PolicyOutputs)> {
        let made = create_call(cx, want, tags).await;
        let what = format!("policy {}", cx.key.name);
        match made {
            Ok(()) => {
                let arn = handle(cx);
                iam::wait_visible(cx, &what, || async { Ok(found(get(cx, &arn).await)?.and_then(|one| one.arn)) })
                    .await?;
                return Ok((arn.clone(), PolicyOutputs { arn, name: cx.key.name.clone() }));
            }
            Err(error) if error.code == "EntityAlreadyExists" => {
                let present = iam::existing(cx, &what, || async { find(cx).await }).await?;
                marks::settle(&iam::tags_of(present.and_then(|policy| policy.tags)), tags, error)?;
            }
            Err(error) => return Err(error),
        }
        // Seen once does not mean seen by every call.
        let fresh = iam::existing(cx, &what, || async { Self::observe(cx, Some(want)).await }).await?;
        let fresh = fresh.ok_or_else(|| KindError::not_found(format!("{what} vanished while it was set up")))?;
        if fresh.spec.policy_document != want.policy_document {
            put_version(cx, &fresh.physical, &want.policy_document).await?;
        }
        Ok((fresh.physical, fresh.outputs))
    }

    async fn update(cx: &Cx, want: &Spec, _: &Spec, changes: &Changes<'_>) -> Result<()> {
        if !changes.touch("policy_document") {
            return Ok(());
        }
        put_version(cx, &handle(cx), &want.policy_document).await
    }

    async fn delete(cx: &Cx) -> Result<()> {
        let arn = handle(cx);
        let emptied = || async {
            found(strip(cx, &arn).await)?;
            gone(cx.aws.iam().delete_policy().policy_arn(&arn).send().await.map_err(failed("DeletePolicy")))
        };
        let passes = |error: &KindError| error.code == "DeleteConflict" || iam::is_busy(error);
        let wait = Wait::new(format!("policy {arn} to be detached everywhere"), cx.limit("delete", IAM_LIMIT));
        wait.retry(cx, passes, emptied).await?;
        iam::wait_gone(cx, &format!("policy {arn}"), || async { found(get(cx, &arn).await) }).await
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        let (client, arn) = (cx.aws.iam(), handle(cx));
        if !set.is_empty() {
            let tags = iam::tag_list(set)?;
            let request = || client.tag_policy().policy_arn(&arn).set_tags(Some(tags.clone()));
            let call = || async { request().send().await.map_err(failed("TagPolicy")) };
            iam::patient(cx, "the policy to take its tags", |_| false, call).await?;
        }
        if !remove.is_empty() {
            let request = || client.untag_policy().policy_arn(&arn).set_tag_keys(Some(remove.to_vec()));
            let call = || async { request().send().await.map_err(failed("UntagPolicy")) };
            iam::patient(cx, "the policy to lose its tags", |_| false, call).await?;
        }
        Ok(())
    }
}

fn arn(place: &Place, key: &Key) -> String {
    place.iam_arn(&format!("policy{}{}", iam::path(&key.stack), key.name))
}

fn handle(cx: &Cx) -> String {
    cx.key.physical.clone().unwrap_or_else(|| arn(cx.place(), &cx.key))
}

async fn get(cx: &Cx, arn: &str) -> Result<Policy> {
    let answer = cx.aws.iam().get_policy().policy_arn(arn).send().await.map_err(failed("GetPolicy"))?;
    answer.policy.ok_or_else(|| KindError::lacking("GetPolicy", "policy"))
}

/// Reads a policy, once for all that look at the same time.
async fn shared(cx: &Cx, arn: &str) -> Result<Option<Policy>> {
    let policy = found(cx.once(&format!("policy {arn}"), Box::pin(get(cx, arn))).await)?;
    Ok(policy.map(|policy| (*policy).clone()))
}

/// Lists the account's own policies, once for all that look at the same time. Their tags are not in the list.
async fn account(cx: &Cx) -> Result<Arc<Vec<Policy>>> {
    cx.once("policies of the account", async {
        let request = cx.aws.iam().list_policies().scope(PolicyScopeType::Local).max_items(1000);
        let pages = request.into_paginator().items().send();
        pages.collect::<std::result::Result<_, _>>().await.map_err(failed("ListPolicies"))
    })
    .await
}

/// Finds the policy by its ARN, else by its name, which is unique whatever the path and the letter case: one on another
/// path is in the way of ours, or was adopted (`facts/aws.md` 6.1).
async fn find(cx: &Cx) -> Result<Option<Policy>> {
    let own = handle(cx);
    // When many look at once, the list that all of them need tells which are there.
    if !cx.is_shared() || account(cx).await?.iter().any(|policy| policy.arn() == Some(&own)) {
        let policy = shared(cx, &own).await?;
        if policy.is_some() || cx.key.physical.is_some() {
            return Ok(policy);
        }
    }
    let same = |policy: &&Policy| policy.policy_name().is_some_and(|name| name.eq_ignore_ascii_case(&cx.key.name));
    match account(cx).await?.iter().find(same).and_then(Policy::arn) {
        Some(arn) => shared(cx, arn).await,
        None => Ok(None),
    }
}

/// Reads the document in force.
async fn document(cx: &Cx, policy: &Policy) -> Result<PolicyDocument> {
    if let Some(document) = sweep::document(cx, policy).await {
        return Ok(document);
    }
    let (arn, version) = (policy.arn().unwrap_or_default(), policy.default_version_id().unwrap_or_default());
    let request = cx.aws.iam().get_policy_version().policy_arn(arn).version_id(version);
    let answer = request.send().await.map_err(failed("GetPolicyVersion"))?;
    let text = answer.policy_version.and_then(|version| version.document);
    PolicyDocument::from_encoded(&text.unwrap_or_default())
}

async fn create_call(cx: &Cx, want: &Spec, tags: &Tags) -> Result<()> {
    let (text, tags) = (want.policy_document.to_text(), iam::tag_list(tags)?);
    let request = || {
        let request = cx.aws.iam().create_policy().policy_name(&cx.key.name).path(iam::path(&cx.key.stack));
        request.policy_document(&text).set_description(want.description.clone()).set_tags(Some(tags.clone()))
    };
    let call = || async { request().send().await.map_err(failed("CreatePolicy")).map(|_| ()) };
    iam::patient(cx, "the policy to be created", |_| false, call).await
}

/// One version as pruning sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    id: String,
    default: bool,
}

impl Version {
    /// Returns the number in an id such as `v12`, by which versions age.
    fn number(&self) -> u64 {
        self.id.trim_start_matches('v').split('.').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }
}

/// Returns the version that has to go before another can be made: the oldest that is not in force.
fn surplus(versions: &[Version]) -> Option<&Version> {
    let spare = versions.iter().filter(|version| !version.default);
    spare.min_by_key(|version| version.number()).filter(|_| versions.len() >= MOST_VERSIONS)
}

async fn versions(cx: &Cx, arn: &str) -> Result<Vec<Version>> {
    let pages = cx.aws.iam().list_policy_versions().policy_arn(arn).into_paginator().items().send();
    let versions: std::result::Result<Vec<_>, _> = pages.collect().await;
    let versions = versions.map_err(failed("ListPolicyVersions"))?.into_iter();
    let version = |version: aws_sdk_iam::types::PolicyVersion| Version {
        id: version.version_id.unwrap_or_default(),
        default: version.is_default_version,
    };
    Ok(versions.map(version).collect())
}

async fn delete_version(cx: &Cx, arn: &str, id: &str) -> Result<()> {
    let request = cx.aws.iam().delete_policy_version().policy_arn(arn).version_id(id);
    gone(request.send().await.map_err(failed("DeletePolicyVersion")))
}

/// Puts a document in force as a new version.
async fn put_version(cx: &Cx, arn: &str, policy: &PolicyDocument) -> Result<()> {
    let present = versions(cx, arn).await?;
    if let Some(version) = surplus(&present) {
        delete_version(cx, arn, &version.id).await?;
    }
    let text = policy.to_text();
    let request = || cx.aws.iam().create_policy_version().policy_arn(arn).policy_document(&text);
    let call = || async { request().send().await.map_err(failed("CreatePolicyVersion")) };
    let answer = iam::patient(cx, "the policy to take a new version", |_| false, call).await?;
    let id = answer.policy_version.and_then(|version| version.version_id).unwrap_or_default();
    cx.note(&format!("letting version {id} spread before it comes into force"));
    sleep(SPREAD).await;
    let request = || cx.aws.iam().set_default_policy_version().policy_arn(arn).version_id(&id);
    let call = || async { request().send().await.map_err(failed("SetDefaultPolicyVersion")).map(|_| ()) };
    iam::patient(cx, &format!("version {id} to be known"), KindError::is_not_found, call).await
}

/// Detaches a policy from whoever bears it and deletes its other versions, which its deletion asks for
/// (`DeletePolicy`). Where it is a boundary it stays, since taking it away would give its bearer more rights.
async fn strip(cx: &Cx, arn: &str) -> Result<()> {
    let client = cx.aws.iam();
    let mut pages = client
        .list_entities_for_policy()
        .policy_arn(arn)
        .policy_usage_filter(PolicyUsageType::PermissionsPolicy)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(failed("ListEntitiesForPolicy"))?;
        for role in page.policy_roles().iter().filter_map(|role| role.role_name()) {
            let request = client.detach_role_policy().policy_arn(arn).role_name(role);
            gone(request.send().await.map_err(failed("DetachRolePolicy")))?;
        }
        for user in page.policy_users().iter().filter_map(|user| user.user_name()) {
            let request = client.detach_user_policy().policy_arn(arn).user_name(user);
            gone(request.send().await.map_err(failed("DetachUserPolicy")))?;
        }
        for group in page.policy_groups().iter().filter_map(|group| group.group_name()) {
            let request = client.detach_group_policy().policy_arn(arn).group_name(group);
            gone(request.send().await.map_err(failed("DetachGroupPolicy")))?;
        }
    }
    for version in versions(cx, arn).await?.iter().filter(|version| !version.default) {
        delete_version(cx, arn, &version.id).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn versions(ids: &[&str], default: &str) -> Vec<Version> {
        ids.iter().map(|id| Version { id: (*id).to_owned(), default: *id == default }).collect()
    }

    #[test]
    fn the_oldest_spare_version_goes_when_there_are_five() {
        let five = versions(&["v12", "v10", "v9", "v2", "v11"], "v2");
        assert_eq!(surplus(&five).map(|version| version.id.as_str()), Some("v9"));
        assert_eq!(surplus(&five[..4]), None);
        assert_eq!(surplus(&[]), None);
    }

    #[test]
    fn the_arn_has_the_path_of_the_stack() {
        let place = Place { partition: "aws".into(), region: "r".into(), account: "123456789012".into() };
        let key = Key { stack: "shop".into(), id: "r".into(), name: "Read".into(), physical: None };
        assert_eq!(arn(&place, &key), "arn:aws:iam::123456789012:policy/stackctl/shop/Read");
    }

    #[test]
    fn specs_are_checked() {
        let spec = |value| serde_json::from_value::<Spec>(value);
        assert!(spec(json!({})).unwrap_err().to_string().contains("missing field `policy_document`"));
        let empty = spec(json!({"policy_document": {"Version": "2012-10-17"}, "description": ""})).unwrap();
        assert_eq!(empty.description, None);
        assert_eq!(IamPolicy::check(&empty)[0].message, "the policy has no statement");
        let long = spec(json!({"policy_document": {"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Action": "s3:*", "Resource": "r".repeat(6200)}}, "description": "d".repeat(1001)}));
        let paths: Vec<_> = IamPolicy::check(&long.unwrap()).into_iter().map(|fault| fault.path).collect();
        assert_eq!(paths, ["policy_document", "description"]);
    }
}
