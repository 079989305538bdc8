//! Launches an instance (`facts/aws.md` 12b.3, 12c).

use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::types as api;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use uuid::Uuid;

use super::spec::{BY_PARAMETER, BlockDevice, MetadataOptions, Spec};
use super::{read, state_of};
use crate::aws::Cx;
use crate::aws::error::{failed, found};
use crate::aws::wait::{IAM_LIMIT, Wait};
use crate::kind::{Class, Key, KindError, Result, Tags};
use crate::kinds::ec2::tag_specification;

/// How many ended launches are passed over before EC2 is taken to be out of order.
const MOST_ENDED: usize = 24;
/// Age, in seconds, from which an instance that cannot be seen is one that has ended and not one that is to come.
const OLD: i64 = 600;

/// Launches one instance and returns its id. `before` are the ids of the resource's earlier instances: with them the
/// token of a launch that follows a termination differs, and that of a repeated launch does not.
///
/// EC2 shows an instance for an hour after its end and keeps its token for a day (EC2 API, Ensuring idempotency): in
/// between it answers with the instance that has ended, which then counts as one of those before.
pub(super) async fn run(cx: &Cx, want: &Spec, tags: &Tags, before: &[String]) -> Result<String> {
    let request = request(cx, want, tags).await?;
    let mut before = before.to_vec();
    for _ in 0..MOST_ENDED {
        let instance = launch(cx, request.clone().client_token(token(cx, want, tags, &before))).await?;
        let id = instance.instance_id.clone().unwrap_or_default();
        if !is_over(cx, &instance).await? {
            return Ok(id);
        }
        before.push(id);
        before.sort();
    }
    Err(KindError::new(Class::Other, "RunInstances answers with instances that have ended, again and again"))
}

async fn launch(cx: &Cx, request: RunInstancesFluentBuilder) -> Result<api::Instance> {
    let call = || async { request.clone().send().await.map_err(failed("RunInstances")) };
    let what = "EC2 to know the instance profile and the security groups";
    let passes = |error: &KindError| is_fresh_profile(error) || is_fresh_group(error);
    let answer = Wait::new(what, IAM_LIMIT).retry(cx, passes, call).await.map_err(explain)?;
    let instance = answer.instances.unwrap_or_default().into_iter().next();
    let instance = instance.filter(|instance| instance.instance_id.is_some());
    instance.ok_or_else(|| KindError::invalid("RunInstances answered without an instance"))
}

/// Tells whether the answer of a launch is about an instance of an earlier day that has ended.
async fn is_over(cx: &Cx, instance: &api::Instance) -> Result<bool> {
    let ended = |instance: &api::Instance| ["shutting-down", "terminated"].contains(&state_of(instance));
    let launched = instance.launch_time.map_or(i64::MAX, |time| time.secs());
    if ended(instance) || launched > jiff::Timestamp::now().as_second() - OLD {
        return Ok(ended(instance));
    }
    let id = instance.instance_id.as_deref().unwrap_or_default();
    Ok(found(read::one(cx, id).await)?.is_none_or(|shown| ended(&shown)))
}

fn is_fresh_profile(error: &KindError) -> bool {
    error.says("InvalidParameterValue", "Invalid IAM Instance Profile")
        || error.says("InvalidParameterValue", " has no associated IAM Roles")
}

fn is_fresh_group(error: &KindError) -> bool {
    error.code == "InvalidGroup.NotFound"
}

/// Says what to do about launches that EC2 refuses.
fn explain(error: KindError) -> KindError {
    let hint = match error.code.as_str() {
        "InsufficientInstanceCapacity" => "try again later, in another availability_zone or with another instance_type",
        "SpotMaxPriceTooLow" => "raise spot_max_price, or leave it out to pay at most the price on demand",
        "VcpuLimitExceeded" | "InstanceLimitExceeded" | "MaxSpotInstanceCountExceeded" => {
            "ask AWS for a higher quota of this region (Service Quotas, EC2), or use a smaller type"
        }
        "InvalidKeyPair.NotFound" => "key pairs belong to a region: make one there, or leave key_name out",
        "InvalidAMIID.NotFound" | "InvalidAMIID.Unavailable" => "images belong to a region: take resolve:ssm:… instead",
        _ => return error,
    };
    error.hint(hint)
}

/// Returns a token that is the same for the same launch (`facts/aws.md` 18.5); at most 64 letters.
fn token(cx: &Cx, want: &Spec, tags: &Tags, before: &[String]) -> String {
    let spec = serde_json::to_string(want).unwrap_or_default();
    let text = format!("{}|{}|{spec}|{tags:?}|{before:?}", cx.key.stack, cx.key.id);
    format!("{}{}", token_prefix(&cx.key), Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).simple())
}

/// Returns what the tokens of all launches for a resource begin with. EC2 shows tokens and searches by them, so that an
/// instance is still found when somebody has removed its tags.
pub(super) fn token_prefix(key: &Key) -> String {
    let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{}|{}", key.stack, key.id).as_bytes());
    format!("stackctl-{}-", &digest.simple().to_string()[..16])
}

fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

async fn request(cx: &Cx, want: &Spec, tags: &Tags) -> Result<RunInstancesFluentBuilder> {
    let mut kinds = vec![api::ResourceType::Instance, api::ResourceType::Volume, api::ResourceType::NetworkInterface];
    if want.spot {
        kinds.push(api::ResourceType::SpotInstancesRequest);
    }
    let profile = want.iam_instance_profile.clone();
    let profile = profile.map(|name| api::IamInstanceProfileSpecification::builder().name(name).build());
    let shutdown = want.instance_initiated_shutdown_behavior;
    let credits = want.credit_specification.as_ref().map(|credits| word(&credits.cpu_credits));
    let credits = credits.map(|word| api::CreditSpecificationRequest::builder().cpu_credits(word).build());
    let cpu = want.cpu_options.map(|options| {
        let builder = api::CpuOptionsRequest::builder().core_count(options.core_count);
        builder.threads_per_core(options.threads_per_core).build()
    });
    let mut request = cx
        .aws
        .ec2()
        .run_instances()
        .min_count(1)
        .max_count(1)
        .image_id(&want.image_id)
        .instance_type(api::InstanceType::from(want.instance_type.as_str()))
        .set_key_name(want.key_name.clone())
        .set_iam_instance_profile(profile)
        .set_user_data(want.user_data_text.as_ref().map(|text| STANDARD.encode(text)))
        .metadata_options(metadata(&want.metadata_options))
        .set_ebs_optimized(want.ebs_optimized)
        .monitoring(api::RunInstancesMonitoringEnabled::builder().enabled(want.monitoring).build())
        .disable_api_termination(want.disable_api_termination)
        .disable_api_stop(want.disable_api_stop)
        .set_instance_initiated_shutdown_behavior(
            shutdown.map(|each| api::ShutdownBehavior::from(word(&each).as_str())),
        )
        .set_placement(placement(want))
        .set_credit_specification(credits)
        .set_cpu_options(cpu)
        .set_instance_market_options(want.spot.then(|| market(want)))
        .set_tag_specifications(Some(kinds.into_iter().map(|kind| tag_specification(kind, tags)).collect()));
    if let Some(root) = &want.root_block_device {
        request = request.block_device_mappings(mapping(root, root_device(cx, &want.image_id).await?));
    }
    for (name, device) in want.block_devices.iter().flatten() {
        request = request.block_device_mappings(mapping(device, name.clone()));
    }
    Ok(with_network(request, want))
}

/// Whether to have a public address can be said of a network interface only, and then all of the network is said there.
fn with_network(request: RunInstancesFluentBuilder, want: &Spec) -> RunInstancesFluentBuilder {
    let groups = want.security_group_ids.as_ref().map(|groups| groups.iter().cloned().collect::<Vec<_>>());
    let Some(public) = want.associate_public_ip_address else {
        return request
            .set_subnet_id(want.subnet_id.clone())
            .set_private_ip_address(want.private_ip_address.clone())
            .set_security_group_ids(groups);
    };
    let interface = api::InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .delete_on_termination(true)
        .associate_public_ip_address(public)
        .set_subnet_id(want.subnet_id.clone())
        .set_private_ip_address(want.private_ip_address.clone())
        .set_groups(groups);
    request.network_interfaces(interface.build())
}

fn metadata(options: &MetadataOptions) -> api::InstanceMetadataOptionsRequest {
    api::InstanceMetadataOptionsRequest::builder()
        .http_tokens(api::HttpTokensState::from(word(&options.http_tokens).as_str()))
        .http_put_response_hop_limit(options.http_put_response_hop_limit)
        .http_endpoint(api::InstanceMetadataEndpointState::from(word(&options.http_endpoint).as_str()))
        .http_protocol_ipv6(api::InstanceMetadataProtocolState::from(word(&options.http_protocol_ipv6).as_str()))
        .instance_metadata_tags(api::InstanceMetadataTagsState::from(word(&options.instance_metadata_tags).as_str()))
        .build()
}

fn placement(want: &Spec) -> Option<api::Placement> {
    if want.availability_zone.is_none() && want.tenancy.is_none() {
        return None;
    }
    let placement = api::Placement::builder()
        .set_availability_zone(want.availability_zone.clone())
        .set_tenancy(want.tenancy.map(|tenancy| api::Tenancy::from(word(&tenancy).as_str())));
    Some(placement.build())
}

fn market(want: &Spec) -> api::InstanceMarketOptionsRequest {
    let options = api::SpotMarketOptions::builder()
        .spot_instance_type(api::SpotInstanceType::OneTime)
        .set_max_price(want.spot_max_price.clone());
    api::InstanceMarketOptionsRequest::builder()
        .market_type(api::MarketType::Spot)
        .spot_options(options.build())
        .build()
}

fn mapping(wanted: &BlockDevice, device: String) -> api::BlockDeviceMapping {
    let volume = api::EbsBlockDevice::builder()
        .set_volume_size(wanted.volume_size)
        .set_volume_type(wanted.volume_type.as_deref().map(api::VolumeType::from))
        .set_iops(wanted.iops)
        .set_throughput(wanted.throughput)
        .set_encrypted(wanted.encrypted)
        .set_kms_key_id(wanted.kms_key_id.clone())
        .set_delete_on_termination(wanted.delete_on_termination);
    api::BlockDeviceMapping::builder().device_name(device).ebs(volume.build()).build()
}

/// The root volume is told by its device name, which only the image knows.
async fn root_device(cx: &Cx, image: &str) -> Result<String> {
    let id = match image.strip_prefix(BY_PARAMETER) {
        Some(parameter) => {
            let answer = cx.aws.ssm().get_parameter().name(parameter).send().await.map_err(failed("GetParameter"))?;
            answer.parameter.and_then(|parameter| parameter.value).unwrap_or_default()
        }
        None => image.to_owned(),
    };
    let answer = cx.aws.ec2().describe_images().image_ids(&id).send().await.map_err(failed("DescribeImages"))?;
    let image = answer.images.unwrap_or_default().into_iter().next();
    let device = image.and_then(|image| image.root_device_name);
    device.ok_or_else(|| KindError::invalid(format!("image {id} does not say what its root device is")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Aws;
    use crate::kind::{Key, Place};
    use serde_json::json;
    use std::sync::Arc;

    fn cx() -> Cx {
        let place = Place { partition: "aws".into(), region: "us-east-1".into(), account: "123456789012".into() };
        let key = Key { stack: "s".into(), id: "producer".into(), name: "producer".into(), physical: None };
        Cx::new(Arc::new(Aws::new(aws_types::SdkConfig::builder().build(), place, true)), key)
    }

    #[test]
    fn a_token_is_of_one_launch() {
        let spec = |kind: &str| serde_json::from_value(json!({"image_id": "ami-1", "instance_type": kind})).unwrap();
        let token = |kind: &str, before: &[&str]| {
            let before: Vec<String> = before.iter().map(|id| (*id).to_owned()).collect();
            token(&cx(), &spec(kind), &Tags::new(), &before)
        };
        assert_eq!(token("t3.micro", &[]), token("t3.micro", &[]));
        assert_ne!(token("t3.micro", &[]), token("t3.nano", &[]));
        assert_ne!(token("t3.micro", &[]), token("t3.micro", &["i-1"]));
        assert!(token("t3.micro", &[]).len() <= 64);
        assert!(token("t3.micro", &[]).starts_with(&token_prefix(&cx().key)));
        let other = Key { id: "consumer".into(), ..cx().key };
        assert_ne!(token_prefix(&other), token_prefix(&cx().key));
    }

    #[test]
    fn only_fresh_profiles_are_waited_for() {
        let error = |text: &str| KindError { code: "InvalidParameterValue".into(), ..KindError::invalid(text) };
        assert!(is_fresh_profile(&error(
            "Value (p) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
        )));
        assert!(is_fresh_profile(&error("IAM Instance Profile \"p\" has no associated IAM Roles")));
        assert!(!is_fresh_profile(&error("Value (x) for parameter instanceType is invalid")));
    }
}
