//! Reads an instance: one describe, and what only other calls show (`facts/aws.md` 12b.2).

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{
    EbsInstanceBlockDevice, IamInstanceProfile, Instance, InstanceAttributeName, InstanceLifecycleType,
    InstanceMetadataOptionsResponse, MonitoringState, Volume,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::label::is_resized;
use super::spec::{
    BY_PARAMETER, BlockDevice, CpuOptions, CreditSpecification, Credits, MetadataOptions, Shutdown, Spec, Status,
    plain_price,
};
use super::state_of;
use crate::aws::Cx;
use crate::aws::error::failed;
use crate::kind::{KindError, Result};
use crate::kinds::ec2::filter;

/// Volumes by device name.
type Devices = Option<BTreeMap<String, BlockDevice>>;

/// Lists instances of any state.
pub(super) async fn list(cx: &Cx, filters: &[(String, Vec<&str>)]) -> Result<Vec<Instance>> {
    let filters = filters.iter().map(|(name, values)| filter(name, values)).collect();
    let mut pages = cx.aws.ec2().describe_instances().set_filters(Some(filters)).into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let reservations = page.map_err(failed("DescribeInstances"))?.reservations.unwrap_or_default();
        all.extend(reservations.into_iter().flat_map(|each| each.instances.unwrap_or_default()));
    }
    Ok(all)
}

pub(super) async fn one(cx: &Cx, id: &str) -> Result<Instance> {
    let answer = cx.aws.ec2().describe_instances().instance_ids(id).send().await;
    let reservations = answer.map_err(failed("DescribeInstances"))?.reservations.unwrap_or_default();
    let mut all = reservations.into_iter().flat_map(|each| each.instances.unwrap_or_default());
    all.next().ok_or_else(|| KindError::not_found(format!("there is no instance {id}")))
}

/// Reads the spec of an instance; what AWS cannot show is taken as wanted.
pub(super) async fn spec(cx: &Cx, instance: &Instance, want: Option<&Spec>) -> Result<Spec> {
    let id = instance.instance_id.as_deref().unwrap_or_default();
    let ((script, termination, stop, shutdown), (root, others), credits, price) = tokio::try_join!(
        attributes(cx, id),
        volumes(cx, instance, want),
        credits(cx, instance),
        spot_price(cx, instance),
    )?;
    let placement = instance.placement.as_ref();
    let wanted_image = want.map(|want| want.image_id.clone()).filter(|image| image.starts_with(BY_PARAMETER));
    Ok(Spec {
        image_id: wanted_image.or_else(|| instance.image_id.clone()).unwrap_or_default(),
        instance_type: type_of(instance),
        status: status_of(instance),
        spot: instance.instance_lifecycle == Some(InstanceLifecycleType::Spot),
        spot_max_price: price,
        key_name: some(instance.key_name.as_ref()),
        subnet_id: some(instance.subnet_id.as_ref()),
        availability_zone: some(placement.and_then(|placement| placement.availability_zone.as_ref())),
        private_ip_address: some(instance.private_ip_address.as_ref()),
        associate_public_ip_address: public_address(instance, want),
        security_group_ids: Some(groups(instance)),
        iam_instance_profile: profile_of(instance),
        user_data: None,
        user_data_text: script,
        boot_report: None,
        metadata_options: metadata(instance.metadata_options.as_ref()),
        ebs_optimized: instance.ebs_optimized,
        monitoring: is_monitored(instance),
        disable_api_termination: termination,
        disable_api_stop: stop,
        instance_initiated_shutdown_behavior: shutdown,
        source_dest_check: instance.source_dest_check.unwrap_or(true),
        tenancy: placement.and_then(|placement| placement.tenancy.as_ref()).and_then(|tenancy| word(tenancy.as_str())),
        credit_specification: credits,
        cpu_options: instance.cpu_options.as_ref().and_then(|options| {
            Some(CpuOptions { core_count: options.core_count?, threads_per_core: options.threads_per_core? })
        }),
        root_block_device: root,
        block_devices: others,
    })
}

/// A stop that is part of an interrupted change of the type was nobody's wish.
fn status_of(instance: &Instance) -> Status {
    let stops = ["stopping", "stopped"].contains(&state_of(instance));
    if stops && !is_resized(instance) { Status::Stopped } else { Status::Running }
}

/// An interrupted change of the type is one that is still to be made: the instance is not back yet.
fn type_of(instance: &Instance) -> String {
    let kind = instance.instance_type.as_ref().map_or("", |kind| kind.as_str());
    if is_resized(instance) {
        format!("{kind} ({}, its change was interrupted)", state_of(instance))
    } else {
        kind.to_owned()
    }
}

fn some(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

fn word<T: DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(Value::from(word)).ok()
}

fn groups(instance: &Instance) -> BTreeSet<String> {
    instance.security_groups.iter().flatten().filter_map(|group| group.group_id.clone()).collect()
}

pub(super) fn profile_of(instance: &Instance) -> Option<String> {
    instance.iam_instance_profile.as_ref().and_then(profile_name).map(str::to_owned)
}

/// EC2 shows the profile's ARN, whose end is its name.
pub(super) fn profile_name(profile: &IamInstanceProfile) -> Option<&str> {
    profile.arn.as_deref()?.rsplit('/').next()
}

fn is_monitored(instance: &Instance) -> bool {
    let state = instance.monitoring.as_ref().and_then(|monitoring| monitoring.state.as_ref());
    matches!(state, Some(MonitoringState::Enabled | MonitoringState::Pending))
}

/// A stopped instance has no public address whatever it was launched with.
fn public_address(instance: &Instance, want: Option<&Spec>) -> Option<bool> {
    if state_of(instance) == "running" {
        return Some(instance.public_ip_address.as_ref().is_some_and(|address| !address.is_empty()));
    }
    want.and_then(|want| want.associate_public_ip_address)
}

fn metadata(options: Option<&InstanceMetadataOptionsResponse>) -> MetadataOptions {
    let default = MetadataOptions::default();
    let Some(options) = options else { return default };
    let tokens = options.http_tokens.as_ref().and_then(|state| word(state.as_str()));
    let endpoint = options.http_endpoint.as_ref().and_then(|state| word(state.as_str()));
    let ipv6 = options.http_protocol_ipv6.as_ref().and_then(|state| word(state.as_str()));
    let tags = options.instance_metadata_tags.as_ref().and_then(|state| word(state.as_str()));
    MetadataOptions {
        http_tokens: tokens.unwrap_or(default.http_tokens),
        http_put_response_hop_limit: options.http_put_response_hop_limit.unwrap_or(default.http_put_response_hop_limit),
        http_endpoint: endpoint.unwrap_or(default.http_endpoint),
        http_protocol_ipv6: ipv6.unwrap_or(default.http_protocol_ipv6),
        instance_metadata_tags: tags.unwrap_or(default.instance_metadata_tags),
    }
}

type Attributes = (Option<String>, bool, bool, Option<Shutdown>);

async fn attributes(cx: &Cx, id: &str) -> Result<Attributes> {
    let ask = |name: InstanceAttributeName| {
        let request = cx.aws.ec2().describe_instance_attribute().instance_id(id).attribute(name);
        async move { request.send().await.map_err(failed("DescribeInstanceAttribute")) }
    };
    let (script, termination, stop, shutdown) = tokio::try_join!(
        ask(InstanceAttributeName::UserData),
        ask(InstanceAttributeName::DisableApiTermination),
        ask(InstanceAttributeName::DisableApiStop),
        ask(InstanceAttributeName::InstanceInitiatedShutdownBehavior),
    )?;
    let script = script.user_data.and_then(|script| script.value).map(|text| decode(&text));
    Ok((
        script.filter(|text| !text.is_empty()),
        termination.disable_api_termination.and_then(|flag| flag.value).unwrap_or_default(),
        stop.disable_api_stop.and_then(|flag| flag.value).unwrap_or_default(),
        shutdown.instance_initiated_shutdown_behavior.and_then(|text| text.value).and_then(|text| word(&text)),
    ))
}

/// Returns the script behind base64; what is no text stays as it is, and so differs from every text.
fn decode(text: &str) -> String {
    let bytes = STANDARD.decode(text.trim()).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned())
}

/// Reads the volume that it boots from, and of the others those that are wanted: the rest may be anybody's.
/// Returns the volumes of a machine that has just been started and does not show them yet: those it is to have.
fn coming(instance: &Instance, want: Option<&Spec>) -> Option<(Option<BlockDevice>, Devices)> {
    let shown = instance.block_device_mappings.as_ref().is_some_and(|mappings| !mappings.is_empty());
    let want = want.filter(|_| state_of(instance) == "pending" && !shown)?;
    Some((want.root_block_device.clone(), want.block_devices.clone()))
}

async fn volumes(cx: &Cx, instance: &Instance, want: Option<&Spec>) -> Result<(Option<BlockDevice>, Devices)> {
    if let Some(coming) = coming(instance, want) {
        return Ok(coming);
    }
    let wanted = want.and_then(|want| want.block_devices.as_ref());
    let root = instance.root_device_name.as_ref();
    let mut others = BTreeMap::new();
    let mut first = None;
    for mapping in instance.block_device_mappings.iter().flatten() {
        let (Some(device), Some(ebs)) = (&mapping.device_name, &mapping.ebs) else { continue };
        if Some(device) == root {
            first = volume(cx, ebs).await?;
        } else if wanted.is_some_and(|wanted| wanted.contains_key(device)) {
            others.extend(volume(cx, ebs).await?.map(|volume| (device.clone(), volume)));
        }
    }
    Ok((first, wanted.map(|_| others)))
}

async fn volume(cx: &Cx, ebs: &EbsInstanceBlockDevice) -> Result<Option<BlockDevice>> {
    let id = ebs.volume_id.as_deref().unwrap_or_default();
    let answer = cx.aws.ec2().describe_volumes().volume_ids(id).send().await.map_err(failed("DescribeVolumes"))?;
    Ok(answer.volumes.unwrap_or_default().first().map(|volume| device_of(volume, ebs.delete_on_termination)))
}

fn device_of(volume: &Volume, delete_on_termination: Option<bool>) -> BlockDevice {
    BlockDevice {
        volume_size: volume.size,
        volume_type: volume.volume_type.as_ref().map(|kind| kind.as_str().to_owned()),
        iops: volume.iops,
        throughput: volume.throughput,
        encrypted: volume.encrypted,
        kms_key_id: some(volume.kms_key_id.as_ref()),
        delete_on_termination,
    }
}

/// Only T types have credits; others refuse the question (`facts/aws.md` 12b.2).
async fn credits(cx: &Cx, instance: &Instance) -> Result<Option<CreditSpecification>> {
    let kind = instance.instance_type.as_ref().map_or("", |kind| kind.as_str());
    if !kind.starts_with('t') {
        return Ok(None);
    }
    let request = cx.aws.ec2().describe_instance_credit_specifications();
    let answer = request.instance_ids(instance.instance_id.clone().unwrap_or_default()).send().await;
    let answer = match answer.map_err(failed("DescribeInstanceCreditSpecifications")) {
        Err(error) if error.code == "InstanceCreditSpecification.NotSupported" => return Ok(None),
        other => other?,
    };
    let credits = answer.instance_credit_specifications.unwrap_or_default().into_iter().next();
    let credits = credits.and_then(|credits| credits.cpu_credits).and_then(|credits| word::<Credits>(&credits));
    Ok(credits.map(|cpu_credits| CreditSpecification { cpu_credits }))
}

async fn spot_price(cx: &Cx, instance: &Instance) -> Result<Option<String>> {
    let Some(request) = some(instance.spot_instance_request_id.as_ref()) else { return Ok(None) };
    let answer = cx.aws.ec2().describe_spot_instance_requests().spot_instance_request_ids(request).send().await;
    let answer = crate::aws::error::found(answer.map_err(failed("DescribeSpotInstanceRequests")))?;
    let requests = answer.and_then(|answer| answer.spot_instance_requests).unwrap_or_default();
    Ok(requests.into_iter().next().and_then(|request| request.spot_price).map(|price| plain_price(&price)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{InstanceState, InstanceStateName};

    #[test]
    fn a_profile_is_known_by_its_name() {
        let arn = "arn:aws:iam::123456789012:instance-profile/stackctl/shop/producer";
        let profile = IamInstanceProfile::builder().arn(arn).build();
        let instance = Instance::builder().iam_instance_profile(profile).build();
        assert_eq!(profile_of(&instance).as_deref(), Some("producer"));
        assert_eq!(profile_of(&Instance::builder().build()), None);
    }

    #[test]
    fn an_interrupted_change_of_the_type_is_a_difference() {
        let instance = Instance::builder().instance_type("t3.small".into());
        assert_eq!(type_of(&instance.clone().build()), "t3.small");
        let mark = aws_sdk_ec2::types::Tag::builder().key(crate::kinds::ec2_instance::label::RESIZED).build();
        assert_ne!(type_of(&instance.tags(mark).build()), "t3.small");
    }

    #[test]
    fn a_machine_that_starts_has_the_volumes_that_it_is_to_have() {
        let want = serde_json::json!({"image_id": "ami-1", "instance_type": "t3.micro", "root_block_device": {"volume_size": 9}});
        let want: Spec = serde_json::from_value(want).unwrap();
        let state =
            |name: InstanceStateName| Instance::builder().state(InstanceState::builder().name(name).build()).build();
        let starts = state(InstanceStateName::Pending);
        assert_eq!(coming(&starts, Some(&want)), Some((want.root_block_device.clone(), None)));
        assert_eq!(coming(&starts, None), None);
        assert_eq!(coming(&state(InstanceStateName::Running), Some(&want)), None);
    }

    #[test]
    fn scripts_are_read_from_base64() {
        assert_eq!(decode(&STANDARD.encode("echo ä")), "echo ä");
        let binary = STANDARD.encode([0xff, 0xfe]);
        assert_eq!(decode(&binary), binary);
    }
}
