//! EC2 instances, on demand or spot (`facts/aws.md` 12b, 12c).
//!
//! An instance is replaced by deletion first: two machines with one job would do it twice.

pub(crate) mod boot;
mod change;
mod label;
mod launch;
mod peers;
mod read;
mod remains;
mod spec;

use std::time::Duration;

use aws_sdk_ec2::types::Instance;
use regex::Regex;
use schemars::JsonSchema;
use serde::Serialize;

pub use spec::{Spec, Status};

use super::ec2::{retag, tags_of};
use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::marks;
use crate::aws::wait::{Look, Wait};
use crate::kind::{
    Changes, Check, Class, End, Fault, Files, Halt, Holder, Hop, Kind, KindError, Naming, Observed, Owned, Path, Peers,
    Result, Right, Side, Tags, Writes,
};

/// An EC2 instance.
pub struct Ec2Instance;

/// What other resources may refer to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InstanceOutputs {
    /// Identifier, such as `i-0123456789abcdef0`.
    pub id: String,
    /// Amazon Resource Name.
    pub arn: String,
    /// Private IPv4 address.
    pub private_ip: Option<String>,
    /// Public IPv4 address, if it has one at the moment.
    pub public_ip: Option<String>,
    /// Private DNS name.
    pub private_dns_name: Option<String>,
    /// Public DNS name, if it has one at the moment.
    pub public_dns_name: Option<String>,
    /// Availability zone.
    pub availability_zone: Option<String>,
    /// Subnet.
    pub subnet_id: Option<String>,
}

/// Limits of waiting: Terraform's, as `facts/aws.md` 12b.3 and 12b.5 give them.
const RUN_LIMIT: Duration = Duration::from_mins(10);
const STOP_LIMIT: Duration = Duration::from_mins(10);
const TERMINATE_LIMIT: Duration = Duration::from_mins(20);

/// States of instances that are there.
const ALIVE: [&str; 4] = ["pending", "running", "stopping", "stopped"];

/// Lists the streams that the Kinesis agent of a boot script sends to.
fn agent_streams(script: &str) -> Vec<String> {
    let Ok(flow) = Regex::new(r#""kinesisStream"\s*:\s*"([^"]+)""#) else { return Vec::new() };
    flow.captures_iter(script).map(|found| found[1].to_owned()).collect()
}

impl Kind for Ec2Instance {
    const TYPE: &'static str = "ec2_instance";
    const TITLE: &'static str = "EC2 instance";
    const DELETE_RANK: u8 = 30;
    const NAMING: Naming = Naming::Assigned;
    const PEERS: Peers = peers::PEERS;
    const TAG_INDEX: Option<&'static str> = Some("ec2:instance");
    const PATH: Path = Path { ready: &["running"], ..Path::NONE };

    const READS: &'static [&'static str] = &[
        "ec2:DescribeInstanceAttribute",
        "ec2:DescribeInstanceCreditSpecifications",
        "ec2:DescribeInstances",
        "ec2:DescribeSpotInstanceRequests",
        "ec2:DescribeVolumes",
        "ssm:GetParameter",
    ];
    const LISTS: &'static [&'static str] = &[];
    type Spec = Spec;
    type Outputs = InstanceOutputs;

    fn prepare(spec: &mut Spec, files: &Files) -> std::result::Result<(), Vec<Fault>> {
        spec.prepare(files)
    }

    fn check(spec: &Spec) -> Vec<Fault> {
        spec.faults()
    }

    fn replaces(want: &Spec, found: &Spec) -> Vec<String> {
        // A one-time spot instance cannot be stopped, and only a stopped one takes another type (facts/aws.md 12c).
        let stuck = found.spot && want.instance_type != found.instance_type;
        stuck.then(|| "instance_type".to_owned()).into_iter().collect()
    }

    fn collides(_: &Spec, _: &Spec) -> bool {
        true
    }

    fn renews(changes: &Changes<'_>) -> &'static [&'static str] {
        if changes.touch_any(&["instance_type", "status"]) { &["public_ip", "public_dns_name"] } else { &[] }
    }

    fn hops(spec: &Spec) -> Vec<Hop> {
        let text = spec.user_data_text.as_deref().unwrap_or_default();
        let hop = |stream: String| {
            Hop::new(End::Own, End::other(stream), "Kinesis agent").needs(Holder::At(Side::From), Side::To, &[])
        };
        agent_streams(text).into_iter().map(hop).collect()
    }

    async fn probe(cx: &Cx, _: &Hop, want: &Spec, _: &Spec) -> Result<Vec<Check>> {
        let Some(parameter) = &want.boot_report else { return Ok(Vec::new()) };
        Ok(vec![boot::Boot::ask(cx, parameter, cx.key.handle()).await.check()])
    }

    fn role(spec: &Spec) -> Option<String> {
        spec.iam_instance_profile.clone()
    }

    async fn observe(cx: &Cx, want: Option<&Spec>) -> Result<Option<Observed<Spec, InstanceOutputs>>> {
        let Some(instance) = locate(cx).await? else { return Ok(None) };
        let (spec, status) = tokio::join!(Box::pin(read::spec(cx, &instance, want)), status(cx, &instance, want));
        let Some(spec) = found(spec)? else { return Ok(None) };
        Ok(Some(Observed {
            spec,
            tags: label::hide(tags_of(instance.tags.as_deref()), &cx.key.name),
            status: Some(status),
            halt: remains::halt(&instance),
            outputs: outputs_of(cx, &instance),
            physical: instance.instance_id.unwrap_or_default(),
        }))
    }

    async fn remains(cx: &Cx) -> Result<Option<Halt>> {
        // An ended instance is shown for an hour, and its marks with it (facts/aws.md 12b.5).
        let mut ended = marked(cx).await?;
        ended.sort_by_key(|instance| instance.launch_time.map(|time| time.secs()));
        Ok(ended.last().and_then(remains::halt))
    }

    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let filters = [(format!("tag:{}", marks::STACK), vec![cx.key.stack.as_str()])];
        let instances = read::list(cx, &filters).await?.into_iter();
        let alive = instances.filter(|instance| ALIVE.contains(&state_of(instance)));
        Ok(alive
            .map(|instance| Owned {
                tags: label::hide(tags_of(instance.tags.as_deref()), &cx.key.name),
                physical: instance.instance_id.unwrap_or_default(),
            })
            .collect())
    }
}

impl Writes for Ec2Instance {
    const WRITES: &'static [Right] = &[
        Right {
            actions: &[
                "ec2:AssociateIamInstanceProfile",
                "ec2:CreateTags",
                "ec2:DeleteTags",
                "ec2:DescribeIamInstanceProfileAssociations",
                "ec2:DescribeImages",
                "ec2:DisassociateIamInstanceProfile",
                "ec2:ModifyInstanceAttribute",
                "ec2:ModifyInstanceCreditSpecification",
                "ec2:ModifyInstanceMetadataOptions",
                "ec2:MonitorInstances",
                "ec2:ReplaceIamInstanceProfileAssociation",
                "ec2:RunInstances",
                "ec2:StartInstances",
                "ec2:StopInstances",
                "ec2:TerminateInstances",
                "ec2:UnmonitorInstances",
            ],
            resources: &["*"],
        },
        Right {
            actions: &["ssm:GetParameter", "ssm:GetParameters"],
            resources: &["ssm:{region}::parameter/aws/service/*"],
        },
        Right {
            actions: &["iam:CreateServiceLinkedRole"],
            resources: &["iam::{account}:role/aws-service-role/spot.amazonaws.com/*"],
        },
    ];
    const PASSES_TO: Option<&'static str> = Some("ec2.amazonaws.com");

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, InstanceOutputs)> {
        let known = marked(cx).await?;
        let mut alive = known.iter().filter(|instance| ALIVE.contains(&state_of(instance)));
        let id = match (alive.next(), alive.next()) {
            (None, _) => launch::run(cx, want, &label::show(tags, &cx.key.name), &ids(&known)).await?,
            // The answer of an earlier call was lost: the instance is there and has our marks.
            (Some(instance), None) => settle_existing(instance, tags)?,
            (Some(one), Some(other)) => return Err(doubled(&[one, other])),
        };
        let instance = wait_running(cx, &id).await?;
        let fresh = Box::pin(read::spec(cx, &instance, Some(want))).await?;
        change::converge(cx, &id, want, &fresh).await?;
        if want.status == Status::Stopped && fresh.status != want.status {
            change::set_status(cx, &id, want.status).await?;
        }
        Ok((id, outputs_of(cx, &instance)))
    }

    async fn update(cx: &Cx, want: &Spec, found: &Spec, changes: &Changes<'_>) -> Result<()> {
        let want = changes.target(want, found)?;
        let instance = locate(cx).await?.ok_or_else(|| KindError::not_found("the instance is gone"))?;
        let id = instance.instance_id.clone().unwrap_or_default();
        let instance = if state_of(&instance) == "pending" { wait_running(cx, &id).await? } else { instance };
        change::converge(cx, &id, &want, found).await?;
        if want.instance_type != found.instance_type {
            change::resize(cx, &instance, &want).await?;
        }
        if want.status == found.status { Ok(()) } else { change::set_status(cx, &id, want.status).await }
    }

    async fn delete(cx: &Cx) -> Result<()> {
        let instance = locate(cx).await?;
        let Some(id) = instance.and_then(|instance| instance.instance_id).or_else(|| cx.key.physical.clone()) else {
            return Ok(());
        };
        let answer = cx.aws.ec2().terminate_instances().instance_ids(&id).send().await;
        gone(answer.map_err(failed("TerminateInstances")).map_err(explain_protection))?;
        wait_terminated(cx, &id).await
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        let instance = locate(cx).await?.ok_or_else(|| KindError::not_found("the instance is gone"))?;
        let (set, remove) = label::changes(set, remove, &cx.key.name);
        retag(cx, &tagged_parts(&instance), &set, &remove).await
    }
}

fn state_of(instance: &Instance) -> &str {
    let name = instance.state.as_ref().and_then(|state| state.name.as_ref());
    name.map_or("unknown", |name| name.as_str())
}

/// Describes the state, and how the boot went where the stack says who reports it.
async fn status(cx: &Cx, instance: &Instance, want: Option<&Spec>) -> String {
    let state = state_of(instance);
    let (Some(parameter), Some(id)) = (want.and_then(|want| want.boot_report.as_ref()), &instance.instance_id) else {
        return state.to_owned();
    };
    format!("{state}, {}", boot::Boot::ask(cx, parameter, id).await.describe())
}

/// Lists the instances with this resource's marks, terminated ones too as long as EC2 shows them.
async fn marked(cx: &Cx) -> Result<Vec<Instance>> {
    let filters = [
        (format!("tag:{}", marks::STACK), vec![cx.key.stack.as_str()]),
        (format!("tag:{}", marks::RESOURCE), vec![cx.key.id.as_str()]),
    ];
    read::list(cx, &filters).await
}

/// Finds the living instance: by id when that is known, else by its marks.
async fn locate(cx: &Cx) -> Result<Option<Instance>> {
    if let Some(id) = &cx.key.physical {
        let instance = found(read::one(cx, id).await)?;
        return Ok(instance.filter(|instance| ALIVE.contains(&state_of(instance))));
    }
    let is_alive = |instance: &Instance| ALIVE.contains(&state_of(instance));
    let mut alive = marked(cx).await?;
    alive.retain(is_alive);
    if alive.is_empty() && cx.aws.tag_index_complete {
        // One that has lost its tags is still known by what it was launched with; emulators cannot search for that.
        alive = launched(cx).await?;
        alive.retain(is_alive);
    }
    match &alive[..] {
        [_, _, ..] => Err(doubled(&alive.iter().collect::<Vec<_>>())),
        _ => Ok(alive.pop()),
    }
}

/// Lists the instances that were launched for this resource, whatever their tags say now.
async fn launched(cx: &Cx) -> Result<Vec<Instance>> {
    let tokens = format!("{}*", launch::token_prefix(&cx.key));
    let filters = [("client-token".to_owned(), vec![tokens.as_str()])];
    let all = read::list(cx, &filters).await?;
    let unmarked = |instance: &Instance| {
        let tags = tags_of(instance.tags.as_deref());
        marks::stack_of(&tags).is_none() || marks::resource_of(&tags).is_none()
    };
    Ok(all.into_iter().filter(unmarked).collect())
}

fn ids(instances: &[Instance]) -> Vec<String> {
    let mut ids: Vec<String> = instances.iter().filter_map(|instance| instance.instance_id.clone()).collect();
    ids.sort();
    ids
}

fn doubled(instances: &[&Instance]) -> KindError {
    let ids: Vec<&str> = instances.iter().filter_map(|instance| instance.instance_id.as_deref()).collect();
    KindError::new(Class::Exists, format!("several instances have this resource's marks: {}", ids.join(", ")))
        .hint("terminate all but one, or remove the tag stackctl:resource from those that are not meant")
}

fn settle_existing(instance: &Instance, tags: &Tags) -> Result<String> {
    let id = instance.instance_id.clone().unwrap_or_default();
    let text = format!("instance {id} has this resource's marks and another spec");
    let present = tags_of(instance.tags.as_deref());
    let same = present.get(marks::SPEC) == tags.get(marks::SPEC);
    if same { Ok(id) } else { Err(KindError::new(Class::Exists, text).hint("run plan again")) }
}

fn outputs_of(cx: &Cx, instance: &Instance) -> InstanceOutputs {
    let id = instance.instance_id.clone().unwrap_or_default();
    let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    InstanceOutputs {
        arn: cx.place().arn("ec2", &format!("instance/{id}")),
        private_ip: some(&instance.private_ip_address),
        public_ip: some(&instance.public_ip_address),
        private_dns_name: some(&instance.private_dns_name),
        public_dns_name: some(&instance.public_dns_name),
        availability_zone: instance.placement.as_ref().and_then(|placement| placement.availability_zone.clone()),
        subnet_id: some(&instance.subnet_id),
        id,
    }
}

/// Returns the instance and what it was launched with that goes with it: they carry the same tags.
fn tagged_parts(instance: &Instance) -> Vec<String> {
    let volumes = instance.block_device_mappings.iter().flatten().filter_map(|mapping| mapping.ebs.as_ref());
    let volumes = volumes.filter(|ebs| ebs.delete_on_termination == Some(true)).filter_map(|ebs| ebs.volume_id.clone());
    let primary =
        instance.network_interfaces.iter().flatten().find(|interface| {
            interface.attachment.as_ref().is_some_and(|attachment| attachment.device_index == Some(0))
        });
    let primary = primary.and_then(|interface| interface.network_interface_id.clone());
    let request = instance.spot_instance_request_id.clone().filter(|id| !id.is_empty());
    instance.instance_id.iter().cloned().chain(volumes).chain(primary).chain(request).collect()
}

async fn wait_running(cx: &Cx, id: &str) -> Result<Instance> {
    let look = || async {
        // Right after the launch the instance may not be seen yet (facts/aws.md 12b.3).
        let Some(instance) = found(read::one(cx, id).await)? else {
            return Ok(Look::Pending("not visible".to_owned()));
        };
        match state_of(&instance) {
            "running" | "stopped" => Ok(Look::Done(instance)),
            "shutting-down" | "terminated" => Err(early_end(&instance)),
            state => Ok(Look::Pending(state.to_owned())),
        }
    };
    Wait::new(format!("instance {id} to run"), cx.limit("create", RUN_LIMIT)).until(cx, look).await
}

fn early_end(instance: &Instance) -> KindError {
    let reason = instance.state_reason.as_ref();
    let code = reason.and_then(|reason| reason.code.clone()).unwrap_or_default();
    let text = reason.and_then(|reason| reason.message.clone()).unwrap_or_else(|| "EC2 gave no reason".to_owned());
    let id = instance.instance_id.clone().unwrap_or_default();
    KindError { code, ..KindError::new(Class::Other, format!("instance {id} ended before it ran: {text}")) }
}

async fn wait_terminated(cx: &Cx, id: &str) -> Result<()> {
    let look = || async {
        Ok(match found(read::one(cx, id).await)? {
            Some(instance) if state_of(&instance) != "terminated" => Look::Pending(state_of(&instance).to_owned()),
            _ => Look::Done(()),
        })
    };
    Wait::new(format!("instance {id} to be terminated"), cx.limit("delete", TERMINATE_LIMIT)).until(cx, look).await
}

fn explain_protection(error: KindError) -> KindError {
    match error.code.as_str() {
        "OperationNotPermitted" => error
            .hint("set `disable_api_termination: false` and `disable_api_stop: false`, apply that, and then remove it"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::StateReason;

    #[test]
    fn an_early_end_says_why() {
        let reason = StateReason::builder().code("Client.VolumeLimitExceeded").message("Volume limit exceeded").build();
        let error = early_end(&Instance::builder().instance_id("i-1").state_reason(reason).build());
        assert_eq!(error.code, "Client.VolumeLimitExceeded");
        assert!(error.message.contains("i-1") && error.message.contains("Volume limit exceeded"));
    }

    #[test]
    fn doubles_are_named() {
        let instance = |id: &str| Instance::builder().instance_id(id).build();
        let error = doubled(&[&instance("i-1"), &instance("i-2")]);
        assert_eq!(error.class, Class::Exists);
        assert!(error.message.contains("i-1, i-2"));
    }
}
