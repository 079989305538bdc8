//! Changes an instance in place, one attribute a call (`facts/aws.md` 12b.4).

use aws_sdk_ec2::operation::modify_instance_attribute::builders::ModifyInstanceAttributeFluentBuilder;
use aws_sdk_ec2::types as api;
use serde::Serialize;

use super::label::{RESIZED, is_resized};
use super::spec::{Credits, Spec, Status};
use super::{RUN_LIMIT, STOP_LIMIT, explain_protection, read, state_of};
use crate::aws::Cx;
use crate::aws::error::failed;
use crate::aws::wait::{IAM_LIMIT, Look, Wait};
use crate::kind::{KindError, Result, Tags};
use crate::kinds::ec2::retag;

/// Brings everything that a running instance can change from `found` to `want`; unset is AWS's choice and stays.
pub(super) async fn converge(cx: &Cx, id: &str, want: &Spec, found: &Spec) -> Result<()> {
    let groups = want.security_group_ids.as_ref().filter(|_| want.security_group_ids != found.security_group_ids);
    if let Some(groups) = groups {
        modify(cx, id, |call| call.set_groups(Some(groups.iter().cloned().collect()))).await?;
    }
    set_flags(cx, id, want, found).await?;
    let shutdown = want.instance_initiated_shutdown_behavior;
    if let Some(shutdown) = shutdown.filter(|_| shutdown != found.instance_initiated_shutdown_behavior) {
        let value = api::AttributeValue::builder().value(word(&shutdown)).build();
        modify(cx, id, |call| call.instance_initiated_shutdown_behavior(value)).await?;
    }
    if want.metadata_options != found.metadata_options {
        set_metadata(cx, id, want).await?;
    }
    if want.monitoring != found.monitoring {
        set_monitoring(cx, id, want.monitoring).await?;
    }
    if let Some(credits) =
        want.credit_specification.as_ref().filter(|_| want.credit_specification != found.credit_specification)
    {
        set_credits(cx, id, credits.cpu_credits).await?;
    }
    if want.iam_instance_profile != found.iam_instance_profile {
        set_profile(cx, id, want.iam_instance_profile.as_deref()).await?;
    }
    Ok(())
}

fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn flag(value: bool) -> api::AttributeBooleanValue {
    api::AttributeBooleanValue::builder().value(value).build()
}

async fn modify(
    cx: &Cx,
    id: &str,
    with: impl FnOnce(ModifyInstanceAttributeFluentBuilder) -> ModifyInstanceAttributeFluentBuilder,
) -> Result<()> {
    let request = with(cx.aws.ec2().modify_instance_attribute().instance_id(id));
    request.send().await.map_err(failed("ModifyInstanceAttribute")).map(|_| ())
}

async fn set_flags(cx: &Cx, id: &str, want: &Spec, found: &Spec) -> Result<()> {
    if want.source_dest_check != found.source_dest_check {
        modify(cx, id, |call| call.source_dest_check(flag(want.source_dest_check))).await?;
    }
    if want.disable_api_termination != found.disable_api_termination {
        modify(cx, id, |call| call.disable_api_termination(flag(want.disable_api_termination))).await?;
    }
    if want.disable_api_stop != found.disable_api_stop {
        modify(cx, id, |call| call.disable_api_stop(flag(want.disable_api_stop))).await?;
    }
    Ok(())
}

async fn set_metadata(cx: &Cx, id: &str, want: &Spec) -> Result<()> {
    let options = &want.metadata_options;
    let request = cx
        .aws
        .ec2()
        .modify_instance_metadata_options()
        .instance_id(id)
        .http_tokens(api::HttpTokensState::from(word(&options.http_tokens).as_str()))
        .http_put_response_hop_limit(options.http_put_response_hop_limit)
        .http_endpoint(api::InstanceMetadataEndpointState::from(word(&options.http_endpoint).as_str()))
        .http_protocol_ipv6(api::InstanceMetadataProtocolState::from(word(&options.http_protocol_ipv6).as_str()))
        .instance_metadata_tags(api::InstanceMetadataTagsState::from(word(&options.instance_metadata_tags).as_str()));
    request.send().await.map_err(failed("ModifyInstanceMetadataOptions"))?;
    let look = || async {
        let options = read::one(cx, id).await?.metadata_options;
        let state = options.and_then(|options| options.state);
        Ok(match state {
            Some(api::InstanceMetadataOptionsState::Pending) => Look::Pending("pending".to_owned()),
            _ => Look::Done(()),
        })
    };
    Wait::new("the metadata options to be applied", IAM_LIMIT).until(cx, look).await
}

async fn set_monitoring(cx: &Cx, id: &str, on: bool) -> Result<()> {
    let client = cx.aws.ec2();
    if on {
        let answer = client.monitor_instances().instance_ids(id).send().await;
        return answer.map_err(failed("MonitorInstances")).map(|_| ());
    }
    let answer = client.unmonitor_instances().instance_ids(id).send().await;
    answer.map_err(failed("UnmonitorInstances")).map(|_| ())
}

async fn set_credits(cx: &Cx, id: &str, credits: Credits) -> Result<()> {
    let credits =
        api::InstanceCreditSpecificationRequest::builder().instance_id(id).cpu_credits(word(&credits)).build();
    let request = cx.aws.ec2().modify_instance_credit_specification().instance_credit_specifications(credits);
    let answer = request.send().await.map_err(failed("ModifyInstanceCreditSpecification"))?;
    let refused = answer.unsuccessful_instance_credit_specifications.unwrap_or_default().into_iter().next();
    match refused.and_then(|refused| refused.error) {
        Some(error) => Err(KindError::invalid(error.message.unwrap_or_default())),
        None => Ok(()),
    }
}

/// Gives the instance another profile, or none, waiting while the last change is still under way.
async fn set_profile(cx: &Cx, id: &str, profile: Option<&str>) -> Result<()> {
    let call = || async {
        let present = association(cx, id).await?;
        if present.as_ref().and_then(|present| name_of(present)) == profile {
            return Ok(());
        }
        let wanted = profile.map(|name| api::IamInstanceProfileSpecification::builder().name(name).build());
        exchange(cx, id, present.and_then(|present| present.association_id), wanted).await
    };
    let passes = |error: &KindError| {
        // A call whose answer was lost is sent again, with an association that is no more.
        ["IncorrectState", "InvalidAssociationID.NotFound"].contains(&error.code.as_str())
            || error.says("InvalidParameterValue", "Invalid IAM Instance Profile")
            || error.says("InvalidParameterValue", " has no associated IAM Roles")
    };
    let what = format!("IAM: instance profile {} not yet usable by EC2", profile.unwrap_or_default());
    Wait::new(what, IAM_LIMIT).retry(cx, passes, call).await?;
    let look = || async {
        let instance = read::one(cx, id).await?;
        Ok(if read::profile_of(&instance).as_deref() == profile {
            Look::Done(())
        } else {
            Look::Pending("changing".to_owned())
        })
    };
    Wait::new("the instance to show its profile", IAM_LIMIT).until(cx, look).await
}

async fn association(cx: &Cx, id: &str) -> Result<Option<api::IamInstanceProfileAssociation>> {
    let request = cx.aws.ec2().describe_iam_instance_profile_associations();
    let answer = request.filters(crate::kinds::ec2::filter("instance-id", &[id])).send().await;
    let all = answer.map_err(failed("DescribeIamInstanceProfileAssociations"))?;
    let all = all.iam_instance_profile_associations.unwrap_or_default();
    let there = [
        Some(api::IamInstanceProfileAssociationState::Associated),
        Some(api::IamInstanceProfileAssociationState::Associating),
    ];
    Ok(all.into_iter().find(|each| there.contains(&each.state)))
}

fn name_of(association: &api::IamInstanceProfileAssociation) -> Option<&str> {
    association.iam_instance_profile.as_ref().and_then(read::profile_name)
}

async fn exchange(
    cx: &Cx,
    id: &str,
    present: Option<String>,
    wanted: Option<api::IamInstanceProfileSpecification>,
) -> Result<()> {
    let client = cx.aws.ec2();
    match (present, wanted) {
        (None, None) => Ok(()),
        (None, Some(wanted)) => {
            let request = client.associate_iam_instance_profile().instance_id(id).iam_instance_profile(wanted);
            request.send().await.map_err(failed("AssociateIamInstanceProfile")).map(|_| ())
        }
        (Some(present), Some(wanted)) => {
            let request = client.replace_iam_instance_profile_association().association_id(present);
            let answer = request.iam_instance_profile(wanted).send().await;
            answer.map_err(failed("ReplaceIamInstanceProfileAssociation")).map(|_| ())
        }
        (Some(present), None) => {
            let request = client.disassociate_iam_instance_profile().association_id(present);
            request.send().await.map_err(failed("DisassociateIamInstanceProfile")).map(|_| ())
        }
    }
}

/// Starts or stops the instance.
pub(super) async fn set_status(cx: &Cx, id: &str, status: Status) -> Result<()> {
    if status == Status::Running {
        return start(cx, id).await;
    }
    let answer = cx.aws.ec2().stop_instances().instance_ids(id).send().await;
    answer.map_err(failed("StopInstances")).map_err(explain_protection)?;
    wait_for(cx, id, "stopped", STOP_LIMIT).await
}

/// Changes the type, for which the instance has to stop; it runs again afterwards if it ran before.
///
/// A tag says that the stop was not the user's, so that a run that ends in between is made good by the next one.
pub(super) async fn resize(cx: &Cx, instance: &api::Instance, want: &Spec) -> Result<()> {
    let ids = [instance.instance_id.clone().unwrap_or_default()];
    let id = ids[0].as_str();
    let mark = Tags::from([(RESIZED.to_owned(), "true".to_owned())]);
    let resumed = is_resized(instance);
    let runs = !["stopping", "stopped"].contains(&state_of(instance));
    let present = instance.instance_type.as_ref().map(api::InstanceType::as_str);
    if present != Some(want.instance_type.as_str()) {
        if runs {
            retag(cx, &ids, &mark, &[]).await?;
            cx.note("stopping the instance to change its type");
            let answer = cx.aws.ec2().stop_instances().instance_ids(id).send().await;
            answer.map_err(failed("StopInstances")).map_err(explain_protection)?;
        }
        wait_for(cx, id, "stopped", STOP_LIMIT).await?;
        let kind = api::AttributeValue::builder().value(&want.instance_type).build();
        modify(cx, id, |call| call.instance_type(kind)).await?;
    }
    if runs || resumed {
        start(cx, id).await?;
        retag(cx, &ids, &Tags::new(), &[RESIZED.to_owned()]).await?;
    }
    Ok(())
}

/// Starts the instance unless it runs, once it has stopped.
async fn start(cx: &Cx, id: &str) -> Result<()> {
    let state = read::one(cx, id).await?;
    if state_of(&state) == "stopping" {
        wait_for(cx, id, "stopped", STOP_LIMIT).await?;
    }
    cx.aws.ec2().start_instances().instance_ids(id).send().await.map_err(failed("StartInstances"))?;
    wait_for(cx, id, "running", RUN_LIMIT).await
}

async fn wait_for(cx: &Cx, id: &str, state: &str, limit: std::time::Duration) -> Result<()> {
    let look = || async {
        let instance = read::one(cx, id).await?;
        let now = state_of(&instance);
        Ok(if now == state { Look::Done(()) } else { Look::Pending(now.to_owned()) })
    };
    Wait::new(format!("instance {id} to be {state}"), cx.limit("update", limit)).until(cx, look).await
}
