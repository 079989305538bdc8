//! EC2 security groups with their rules (`facts/aws.md` 12a).

mod peers;
mod rule;

use std::time::Duration;

use aws_sdk_ec2::types::{IpPermission, ResourceType, SecurityGroup};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::rule::Rule;
use super::ec2::{filter, retag, tag_specification, tags_of};
use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::marks;
use crate::aws::wait::{IAM_LIMIT, Look, Wait};
use crate::kind::{
    Changes, Class, Fault, Key, Kind, KindError, Naming, Observed, Outputs, Owned, Peers, Place, Result, Right, Tags,
    Writes,
};

/// A security group.
pub struct Ec2SecurityGroup;

/// What a security group is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Description, which AWS requires; "Managed by stackctl" when unset.
    #[schemars(extend("x-immutable" = true))]
    pub description: String,
    /// VPC of the group; unset for the default VPC of the region.
    #[schemars(extend("x-immutable" = true, "x-computed" = true))]
    pub vpc_id: Option<String>,
    /// What may come in; nothing when empty. A rule whose source is null is left out.
    #[serde(deserialize_with = "rule::list")]
    #[schemars(extend("x-children" = true))]
    pub ingress: Vec<Rule>,
    /// What may go out; everything over IPv4 when unset, as AWS has it, and nothing when empty.
    #[serde(deserialize_with = "rule::list")]
    #[schemars(extend("x-children" = true))]
    pub egress: Vec<Rule>,
}

/// What other resources may refer to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GroupOutputs {
    /// Identifier, such as `sg-0123456789abcdef0`.
    pub id: String,
    /// Amazon Resource Name.
    pub arn: String,
    /// Name.
    pub name: String,
    /// VPC that it is in.
    pub vpc_id: String,
}

/// Network interfaces of what was deleted take a while to go (`facts/aws.md` 12a.5).
const DELETE_LIMIT: Duration = Duration::from_mins(15);

/// A direction of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    In,
    Out,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            description: "Managed by stackctl".to_owned(),
            vpc_id: None,
            ingress: Vec::new(),
            egress: vec![Rule::everything_out()],
        }
    }
}

impl Kind for Ec2SecurityGroup {
    const TYPE: &'static str = "ec2_security_group";
    const TITLE: &'static str = "EC2 security group";
    const DELETE_RANK: u8 = 60;
    const NAMING: Naming = Naming::Name { pattern: r"^[a-zA-Z0-9 ._:/()#,@\[\]+=&;{}!$*-]{1,255}$" };
    const PEERS: Peers = peers::PEERS;
    const TAG_INDEX: Option<&'static str> = Some("ec2:security-group");

    const READS: &'static [&'static str] = &["ec2:DescribeSecurityGroups", "ec2:DescribeVpcs"];
    const LISTS: &'static [&'static str] = &[];
    type Spec = Spec;
    type Outputs = GroupOutputs;

    fn check(spec: &Spec) -> Vec<Fault> {
        let mut faults = rule::faults("ingress", &spec.ingress);
        faults.extend(rule::faults("egress", &spec.egress));
        let text = &spec.description;
        if !text.contains("${") && !(1..=255).contains(&text.len()) {
            faults.push(Fault::new("description", "a description has 1 to 255 letters"));
        }
        if !text.contains("${") && !text.chars().all(is_plain) {
            let fault = Fault::new("description", "EC2 does not accept this description");
            faults.push(fault.help("letters without accents, digits, spaces and ._-:/()#,@[]+=&;{}!$*"));
        }
        faults
    }

    fn predict(_: &Place, key: &Key, want: &Spec) -> Outputs {
        let mut outputs = Outputs::from_iter([("name".to_owned(), key.name.clone().into())]);
        outputs.extend(want.vpc_id.clone().map(|vpc| ("vpc_id".to_owned(), vpc.into())));
        outputs
    }

    fn collides(want: &Spec, found: &Spec) -> bool {
        want.vpc_id.is_none() || want.vpc_id == found.vpc_id
    }

    async fn observe(cx: &Cx, want: Option<&Spec>) -> Result<Option<Observed<Spec, GroupOutputs>>> {
        let vpc = want.and_then(|want| want.vpc_id.as_deref());
        let Some(group) = locate(cx, vpc).await? else { return Ok(None) };
        let id = group.group_id.clone().unwrap_or_default();
        Ok(Some(Observed {
            spec: spec_of(cx, &group),
            tags: tags_of(group.tags.as_deref()),
            status: None,
            halt: None,
            outputs: outputs_of(cx, &group),
            physical: id,
        }))
    }

    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let request = cx.aws.ec2().describe_security_groups();
        let request = request.filters(filter(format!("tag:{}", marks::STACK), &[&cx.key.stack]));
        let mut pages = request.into_paginator().send();
        let mut owned = Vec::new();
        while let Some(page) = pages.next().await {
            let groups = page.map_err(failed("DescribeSecurityGroups"))?.security_groups.unwrap_or_default();
            owned.extend(groups.into_iter().map(|group| Owned {
                tags: tags_of(group.tags.as_deref()),
                physical: group.group_id.unwrap_or_default(),
            }));
        }
        Ok(owned)
    }
}

impl Writes for Ec2SecurityGroup {
    const WRITES: &'static [Right] = &[Right {
        actions: &[
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:CreateSecurityGroup",
            "ec2:CreateTags",
            "ec2:DeleteSecurityGroup",
            "ec2:DeleteTags",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
            "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
        ],
        resources: &["*"],
    }];

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, GroupOutputs)> {
        if cx.key.name.starts_with("sg-") {
            return Err(KindError::invalid(format!(
                "the name {} begins with sg-, which EC2 keeps for ids",
                cx.key.name
            ))
            .hint("give the resource another `name:`"));
        }
        let id = match create_call(cx, want, tags).await {
            Err(error) if error.code == "InvalidGroup.Duplicate" => settle_existing(cx, want, tags, error).await?,
            other => other?,
        };
        let group = wait_visible(cx, &id).await?;
        converge(cx, &id, want, &spec_of(cx, &group)).await?;
        Ok((id, outputs_of(cx, &group)))
    }

    async fn update(cx: &Cx, want: &Spec, found: &Spec, changes: &Changes<'_>) -> Result<()> {
        let want = changes.target(want, found)?;
        converge(cx, &id_of(cx, &want).await?, &want, found).await
    }

    async fn delete(cx: &Cx) -> Result<()> {
        let Some(group) = locate(cx, None).await? else { return Ok(()) };
        let id = group.group_id.unwrap_or_default();
        let call = || async {
            gone(cx.aws.ec2().delete_security_group().group_id(&id).send().await.map_err(failed("DeleteSecurityGroup")))
        };
        let in_use = |error: &KindError| ["DependencyViolation", "InvalidGroup.InUse"].contains(&error.code.as_str());
        let wait = Wait::new(format!("everything that uses group {id} to be gone"), cx.limit("delete", DELETE_LIMIT));
        let hint = "something outside this stack uses the group: a network interface, or a rule of another group";
        let advise = |error: KindError| if in_use(&error) { error.hint(hint) } else { error };
        wait.retry(cx, in_use, call).await.map_err(advise)?;
        let look = || async {
            Ok(match found(describe(cx, &id).await)? {
                Some(_) => Look::Pending("still there".to_owned()),
                None => Look::Done(()),
            })
        };
        Wait::new(format!("group {id} to be gone"), cx.limit("delete", IAM_LIMIT)).until(cx, look).await
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        retag(cx, &[id_of(cx, &Spec::default()).await?], set, remove).await
    }
}

/// Letters of a description (EC2 API, `CreateSecurityGroup`).
fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(letter)
}

async fn describe(cx: &Cx, id: &str) -> Result<SecurityGroup> {
    let answer = cx.aws.ec2().describe_security_groups().group_ids(id).send().await;
    let groups = answer.map_err(failed("DescribeSecurityGroups"))?.security_groups.unwrap_or_default();
    groups.into_iter().next().ok_or_else(|| KindError::not_found(format!("there is no group {id}")))
}

/// Finds the group by id when that is known, else by name in the wanted or the default VPC.
async fn locate(cx: &Cx, vpc: Option<&str>) -> Result<Option<SecurityGroup>> {
    if let Some(id) = &cx.key.physical {
        return found(describe(cx, id).await);
    }
    if vpc.is_some_and(|vpc| vpc.contains("${")) {
        return Ok(None);
    }
    let request = cx.aws.ec2().describe_security_groups().filters(filter("group-name", &[&cx.key.name]));
    let named = async { request.send().await.map_err(failed("DescribeSecurityGroups")) };
    let home = async {
        match vpc {
            Some(vpc) => Ok(Some(vpc.to_owned())),
            None => default_vpc(cx).await,
        }
    };
    let (named, home) = tokio::try_join!(named, home)?;
    let mut groups = named.security_groups.unwrap_or_default().into_iter();
    Ok(groups.find(|group| home.is_some() && group.vpc_id == home))
}

async fn default_vpc(cx: &Cx) -> Result<Option<String>> {
    let answer = cx.aws.ec2().describe_vpcs().filters(filter("is-default", &["true"])).send().await;
    let vpcs = answer.map_err(failed("DescribeVpcs"))?.vpcs.unwrap_or_default();
    Ok(vpcs.into_iter().next().and_then(|vpc| vpc.vpc_id))
}

async fn id_of(cx: &Cx, want: &Spec) -> Result<String> {
    let group = locate(cx, want.vpc_id.as_deref()).await?;
    let group = group.ok_or_else(|| KindError::not_found(format!("there is no group {}", cx.key.name)))?;
    Ok(group.group_id.unwrap_or_default())
}

async fn create_call(cx: &Cx, want: &Spec, tags: &Tags) -> Result<String> {
    let request = cx.aws.ec2().create_security_group().group_name(&cx.key.name).description(&want.description);
    let request = request.set_vpc_id(want.vpc_id.clone());
    let request = request.tag_specifications(tag_specification(ResourceType::SecurityGroup, tags));
    let answer = request.send().await.map_err(failed("CreateSecurityGroup"));
    let answer = answer.map_err(|error| match error.code.as_str() {
        "VPCIdNotSpecified" => error.hint("this region has no default VPC: set `vpc_id`"),
        _ => error,
    });
    answer?.group_id.ok_or_else(|| KindError::new(Class::Other, "CreateSecurityGroup answered without an id"))
}

/// After "already exists": a lost answer of our own call is success, anybody else's group is not ours.
async fn settle_existing(cx: &Cx, want: &Spec, tags: &Tags, error: KindError) -> Result<String> {
    let present = locate(cx, want.vpc_id.as_deref()).await?;
    let Some(group) = present else { return Err(KindError { class: Class::Exists, ..error }) };
    marks::settle(&tags_of(group.tags.as_deref()), tags, error)?;
    Ok(group.group_id.unwrap_or_default())
}

/// A group that was made a moment ago may not be seen yet (`facts/aws.md` 12a.3).
async fn wait_visible(cx: &Cx, id: &str) -> Result<SecurityGroup> {
    let look = || async {
        Ok(match found(describe(cx, id).await)? {
            Some(group) => Look::Done(group),
            None => Look::Pending("not visible".to_owned()),
        })
    };
    Wait::new(format!("group {id} to be visible"), cx.limit("create", IAM_LIMIT)).until(cx, look).await
}

fn spec_of(cx: &Cx, group: &SecurityGroup) -> Spec {
    let id = group.group_id.as_deref().unwrap_or_default();
    let read = |permissions: Option<&Vec<IpPermission>>| {
        rule::read(permissions.map(Vec::as_slice).unwrap_or_default(), id, &cx.place().account)
    };
    Spec {
        description: group.description.clone().unwrap_or_default(),
        vpc_id: group.vpc_id.clone(),
        ingress: read(group.ip_permissions.as_ref()),
        egress: read(group.ip_permissions_egress.as_ref()),
    }
}

fn outputs_of(cx: &Cx, group: &SecurityGroup) -> GroupOutputs {
    let id = group.group_id.clone().unwrap_or_default();
    let arn = group.security_group_arn.clone();
    GroupOutputs {
        arn: arn.unwrap_or_else(|| cx.place().arn("ec2", &format!("security-group/{id}"))),
        name: group.group_name.clone().unwrap_or_default(),
        vpc_id: group.vpc_id.clone().unwrap_or_default(),
        id,
    }
}

/// Adds what is missing before it takes away what is too much, so that wanted traffic never stops.
async fn converge(cx: &Cx, id: &str, want: &Spec, found: &Spec) -> Result<()> {
    for (side, want, found) in [(Side::In, &want.ingress, &found.ingress), (Side::Out, &want.egress, &found.egress)] {
        let edits = rule::edits(want, found);
        match authorize(cx, side, id, &edits.added).await {
            // Full: room has to be made first.
            Err(error) if error.code == "RulesPerSecurityGroupLimitExceeded" && !edits.removed.is_empty() => {
                revoke(cx, side, id, &edits.removed).await?;
                authorize(cx, side, id, &edits.added).await?;
            }
            other => other?,
        }
        describe_rules(cx, side, id, &edits.described).await?;
        revoke(cx, side, id, &edits.removed).await?;
    }
    Ok(())
}

/// One rule that is there already makes EC2 refuse them all, so after such an answer they go one by one.
async fn authorize(cx: &Cx, side: Side, id: &str, rules: &[Rule]) -> Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    match authorize_call(cx, side, id, rules).await {
        Err(error) if error.code == "InvalidPermission.Duplicate" => {}
        other => return other,
    }
    for rule in rules {
        match authorize_call(cx, side, id, std::slice::from_ref(rule)).await {
            Err(error) if error.code == "InvalidPermission.Duplicate" => {}
            other => other?,
        }
    }
    Ok(())
}

async fn authorize_call(cx: &Cx, side: Side, id: &str, rules: &[Rule]) -> Result<()> {
    let permissions = Some(rule::write(rules, id));
    match side {
        Side::In => {
            let request = cx.aws.ec2().authorize_security_group_ingress().group_id(id);
            let answer = request.set_ip_permissions(permissions).send().await;
            answer.map_err(failed("AuthorizeSecurityGroupIngress")).map(|_| ())
        }
        Side::Out => {
            let request = cx.aws.ec2().authorize_security_group_egress().group_id(id);
            let answer = request.set_ip_permissions(permissions).send().await;
            answer.map_err(failed("AuthorizeSecurityGroupEgress")).map(|_| ())
        }
    }
}

async fn revoke(cx: &Cx, side: Side, id: &str, rules: &[Rule]) -> Result<()> {
    for rule in rules {
        match revoke_call(cx, side, id, rule).await {
            Err(error) if error.code == "InvalidPermission.NotFound" => {}
            other => other?,
        }
    }
    Ok(())
}

async fn revoke_call(cx: &Cx, side: Side, id: &str, rule: &Rule) -> Result<()> {
    let permissions = Some(rule::write(std::slice::from_ref(rule), id));
    match side {
        Side::In => {
            let request = cx.aws.ec2().revoke_security_group_ingress().group_id(id);
            let answer = request.set_ip_permissions(permissions).send().await;
            answer.map_err(failed("RevokeSecurityGroupIngress")).map(|_| ())
        }
        Side::Out => {
            let request = cx.aws.ec2().revoke_security_group_egress().group_id(id);
            let answer = request.set_ip_permissions(permissions).send().await;
            answer.map_err(failed("RevokeSecurityGroupEgress")).map(|_| ())
        }
    }
}

async fn describe_rules(cx: &Cx, side: Side, id: &str, rules: &[Rule]) -> Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    let permissions = Some(rule::write(rules, id));
    match side {
        Side::In => {
            let request = cx.aws.ec2().update_security_group_rule_descriptions_ingress().group_id(id);
            let answer = request.set_ip_permissions(permissions).send().await;
            answer.map_err(failed("UpdateSecurityGroupRuleDescriptionsIngress")).map(|_| ())
        }
        Side::Out => {
            let request = cx.aws.ec2().update_security_group_rule_descriptions_egress().group_id(id);
            let answer = request.set_ip_permissions(permissions).send().await;
            answer.map_err(failed("UpdateSecurityGroupRuleDescriptionsEgress")).map(|_| ())
        }
    }
}
