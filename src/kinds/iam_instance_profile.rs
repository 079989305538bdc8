//! IAM instance profiles: what hands a role to an EC2 instance (`facts/aws.md` 8).

mod peers;

use aws_sdk_iam::types::InstanceProfile;
use futures::{StreamExt, TryStreamExt, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fields::{self, is_wrong};
use super::iam;
use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::marks;
use crate::aws::wait::{IAM_LIMIT, Wait};
use crate::kind::{
    Changes, Class, Fault, Key, Kind, KindError, Naming, Observed, Outputs, Owned, Peers, Place, Result, Right, Tags,
    Writes,
};

/// An IAM instance profile.
pub struct IamInstanceProfile;

/// What an instance profile is like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Name of the role that it hands out, such as `${producer_role.name}`; a profile holds one at most. Machines that
    /// run keep the credentials of the role they have until they are associated anew.
    #[serde(deserialize_with = "fields::text")]
    #[schemars(with = "Option<String>", extend("x-loses" = "iam_role"))]
    pub role: Option<String>,
}

/// What other resources may refer to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProfileOutputs {
    /// Amazon Resource Name.
    pub arn: String,
    /// Name.
    pub name: String,
}

impl Kind for IamInstanceProfile {
    const TYPE: &'static str = "iam_instance_profile";
    const TITLE: &'static str = "IAM instance profile";
    const DELETE_RANK: u8 = 70;
    const NAMING: Naming = Naming::Name { pattern: r"^[A-Za-z0-9_+=,.@-]{1,128}$" };
    const PEERS: Peers = peers::PEERS;

    const READS: &'static [&'static str] = &["iam:GetInstanceProfile"];
    const LISTS: &'static [&'static str] = &["iam:ListInstanceProfiles"];
    type Spec = Spec;
    type Outputs = ProfileOutputs;

    fn check(spec: &Spec) -> Vec<Fault> {
        let Some(role) = spec.role.as_ref().filter(|role| is_wrong(role, is_role_name)) else { return Vec::new() };
        let fault = Fault::new("role", format!("{role} is not the name of a role"));
        vec![fault.help("write the role's name, not its ARN: ${id.name} of an iam_role")]
    }

    fn role(spec: &Spec) -> Option<String> {
        spec.role.clone()
    }

    fn predict(place: &Place, key: &Key, _: &Spec) -> Outputs {
        let arn = place.iam_arn(&format!("instance-profile{}{}", iam::path(&key.stack), key.name));
        Outputs::from_iter([("arn".to_owned(), arn.into()), ("name".to_owned(), key.name.clone().into())])
    }

    async fn observe(cx: &Cx, _: Option<&Spec>) -> Result<Option<Observed<Spec, ProfileOutputs>>> {
        let Some(profile) = shared(cx, cx.key.handle()).await? else { return Ok(None) };
        Ok(Some(Observed {
            physical: profile.instance_profile_name.clone(),
            spec: Spec { role: role_of(&profile) },
            outputs: outputs_of(&profile),
            tags: iam::tags_of(profile.tags),
            status: None,
            halt: None,
        }))
    }

    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let request = cx.aws.iam().list_instance_profiles().path_prefix(iam::path(&cx.key.stack));
        let listed: std::result::Result<Vec<_>, _> = request.into_paginator().items().send().collect().await;
        let names = listed.map_err(failed("ListInstanceProfiles"))?.into_iter();
        let names: Vec<String> = names.map(|profile| profile.instance_profile_name).collect();
        let reads = stream::iter(names).map(|name| async move { shared(cx, &name).await });
        let profiles: Vec<Option<InstanceProfile>> = reads.buffered(iam::READS).try_collect().await?;
        let owned = profiles.into_iter().flatten();
        let owned =
            owned.map(|profile| Owned { physical: profile.instance_profile_name, tags: iam::tags_of(profile.tags) });
        Ok(owned.filter(|profile| marks::stack_of(&profile.tags) == Some(&cx.key.stack)).collect())
    }
}

impl Writes for IamInstanceProfile {
    const WRITES: &'static [Right] = &[Right {
        actions: &[
            "iam:AddRoleToInstanceProfile",
            "iam:CreateInstanceProfile",
            "iam:DeleteInstanceProfile",
            "iam:RemoveRoleFromInstanceProfile",
            "iam:TagInstanceProfile",
            "iam:UntagInstanceProfile",
        ],
        resources: &["iam::{account}:instance-profile/stackctl/{stack}/{name}"],
    }];
    const PASSES_TO: Option<&'static str> = Some("ec2.amazonaws.com");

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, ProfileOutputs)> {
        let fresh = match create_call(cx, tags).await {
            Ok(profile) => profile,
            Err(error) if error.code == "EntityAlreadyExists" => settle_existing(cx, tags, error).await?,
            Err(error) => return Err(error),
        };
        set_role(cx, want.role.as_deref(), role_of(&fresh).as_deref()).await?;
        wait_visible(cx).await?;
        Ok((fresh.instance_profile_name.clone(), outputs_of(&fresh)))
    }

    async fn update(cx: &Cx, want: &Spec, found: &Spec, changes: &Changes<'_>) -> Result<()> {
        if !changes.touch("role") {
            return Ok(());
        }
        set_role(cx, want.role.as_deref(), found.role.as_deref()).await
    }

    async fn delete(cx: &Cx) -> Result<()> {
        let client = cx.aws.iam();
        let emptied = || async {
            let Some(profile) = found(get(cx, cx.key.handle()).await)? else { return Ok(()) };
            for role in &profile.roles {
                remove_role(cx, &role.role_name).await?;
            }
            let request = client.delete_instance_profile().instance_profile_name(cx.key.handle());
            gone(request.send().await.map_err(failed("DeleteInstanceProfile")))
        };
        let passes = |error: &KindError| error.code == "DeleteConflict" || iam::is_busy(error);
        let what = format!("instance profile {} to be empty", cx.key.handle());
        Wait::new(what, cx.limit("delete", IAM_LIMIT)).retry(cx, passes, emptied).await?;
        let what = format!("instance profile {}", cx.key.handle());
        iam::wait_gone(cx, &what, || async { found(get(cx, cx.key.handle()).await) }).await
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        let (client, name) = (cx.aws.iam(), cx.key.handle());
        if !set.is_empty() {
            let tags = iam::tag_list(set)?;
            let request = || client.tag_instance_profile().instance_profile_name(name).set_tags(Some(tags.clone()));
            let call = || async { request().send().await.map_err(failed("TagInstanceProfile")) };
            iam::patient(cx, "the instance profile to take its tags", |_| false, call).await?;
        }
        if !remove.is_empty() {
            let keys = remove.to_vec();
            let request =
                || client.untag_instance_profile().instance_profile_name(name).set_tag_keys(Some(keys.clone()));
            let call = || async { request().send().await.map_err(failed("UntagInstanceProfile")) };
            iam::patient(cx, "the instance profile to lose its tags", |_| false, call).await?;
        }
        Ok(())
    }
}

fn is_role_name(name: &str) -> bool {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter);
    (1..=64).contains(&name.len()) && name.chars().all(letter)
}

fn role_of(profile: &InstanceProfile) -> Option<String> {
    profile.roles.first().map(|role| role.role_name.clone())
}

fn outputs_of(profile: &InstanceProfile) -> ProfileOutputs {
    ProfileOutputs { arn: profile.arn.clone(), name: profile.instance_profile_name.clone() }
}

async fn get(cx: &Cx, name: &str) -> Result<InstanceProfile> {
    let request = cx.aws.iam().get_instance_profile().instance_profile_name(name);
    let answer = request.send().await.map_err(failed("GetInstanceProfile"))?;
    let profile = answer.instance_profile.filter(|profile| !profile.arn.is_empty());
    profile.ok_or_else(|| KindError::lacking("GetInstanceProfile", "instance profile"))
}

/// Reads a profile, once for all that look at the same time.
async fn shared(cx: &Cx, name: &str) -> Result<Option<InstanceProfile>> {
    let profile = found(cx.once(&format!("profile {name}"), Box::pin(get(cx, name))).await)?;
    Ok(profile.map(|profile| (*profile).clone()))
}

async fn wait_visible(cx: &Cx) -> Result<()> {
    let read = || async { Ok(found(get(cx, cx.key.handle()).await)?.map(|profile| profile.arn)) };
    iam::wait_visible(cx, &format!("instance profile {}", cx.key.handle()), read).await
}

/// After "already exists": a lost answer of our own call is success, anybody else's profile is not ours.
async fn settle_existing(cx: &Cx, tags: &Tags, error: KindError) -> Result<InstanceProfile> {
    let look = || async { found(get(cx, &cx.key.name).await) };
    let present = iam::existing(cx, &format!("instance profile {}", cx.key.name), look).await?;
    marks::settle(&iam::tags_of(present.and_then(|profile| profile.tags)), tags, error)?;
    wait_visible(cx).await?;
    match iam::existing(cx, &format!("instance profile {}", cx.key.name), look).await? {
        Some(profile) => Ok(profile),
        None => get(cx, cx.key.handle()).await,
    }
}

async fn create_call(cx: &Cx, tags: &Tags) -> Result<InstanceProfile> {
    let tags = iam::tag_list(tags)?;
    let request = || {
        let request = cx.aws.iam().create_instance_profile().instance_profile_name(&cx.key.name);
        request.path(iam::path(&cx.key.stack)).set_tags(Some(tags.clone()))
    };
    let call = || async {
        let answer = request().send().await.map_err(failed("CreateInstanceProfile"))?;
        answer.instance_profile.ok_or_else(|| KindError::lacking("CreateInstanceProfile", "instance profile"))
    };
    iam::patient(cx, "the instance profile to be created", |_| false, call).await
}

/// Swaps the role: a profile has room for one, so the old one goes first (`facts/aws.md` 8.4).
async fn set_role(cx: &Cx, want: Option<&str>, found: Option<&str>) -> Result<()> {
    if want == found {
        return Ok(());
    }
    if let Some(role) = found {
        remove_role(cx, role).await?;
    }
    match want {
        Some(role) => add_role(cx, role).await,
        None => Ok(()),
    }
}

/// Tells whether the profile or the role is not known yet (`facts/aws.md` 8.3).
fn is_new(error: &KindError) -> bool {
    error.message.contains("Invalid IAM Instance Profile name")
        || error.says("NoSuchEntity", "The role with name")
        || error.says("NoSuchEntity", "Instance Profile")
}

async fn add_role(cx: &Cx, role: &str) -> Result<()> {
    let name = cx.key.handle();
    let request = || cx.aws.iam().add_role_to_instance_profile().instance_profile_name(name).role_name(role);
    let call = || async {
        match request().send().await.map_err(failed("AddRoleToInstanceProfile")) {
            // After a lost answer of our own call, the one place that a profile has is taken: by this role.
            Err(error) if error.class == Class::Quota && holds(cx, role).await? => Ok(()),
            other => other.map(|_| ()),
        }
    };
    iam::patient(cx, &format!("instance profile {name} and role {role} to be known"), is_new, call).await
}

/// Tells whether the profile has a role already.
async fn holds(cx: &Cx, role: &str) -> Result<bool> {
    let profile = found(get(cx, cx.key.handle()).await)?;
    Ok(profile.as_ref().and_then(role_of).as_deref() == Some(role))
}

async fn remove_role(cx: &Cx, role: &str) -> Result<()> {
    let name = cx.key.handle();
    let request = || cx.aws.iam().remove_role_from_instance_profile().instance_profile_name(name).role_name(role);
    let call = || async { gone(request().send().await.map_err(failed("RemoveRoleFromInstanceProfile"))) };
    iam::patient(cx, "the instance profile to be free", |_| false, call).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_not_the_name_of_a_role() {
        let check = |role: &str| IamInstanceProfile::check(&Spec { role: Some(role.to_owned()) });
        assert_eq!(check("arn:aws:iam::123456789012:role/R")[0].path, "role");
        assert_eq!(check("${role.name}"), []);
        assert_eq!(check("Producer-Role"), []);
    }

    #[test]
    fn what_is_not_known_yet_is_waited_for() {
        let error = |text: &str| KindError { code: "NoSuchEntity".to_owned(), ..KindError::not_found(text) };
        assert!(is_new(&error("The role with name R cannot be found.")));
        assert!(is_new(&error("Instance Profile P cannot be found.")));
        assert!(!is_new(&KindError::invalid("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")));
    }
}
