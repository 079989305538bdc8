//! The calls: create, change settings and code one after the other, and the waits between them.

use std::time::Duration;

use aws_sdk_lambda::operation::get_function::GetFunctionOutput;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, FunctionConfiguration, LastUpdateStatus, State};

use super::permission::{Permission, of_policy};
use super::spec::Spec;
use super::wire::{self, CODE_MARK};
use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::marks;
use crate::aws::wait::{Look, Wait};
use crate::kind::{Class, KindError, Result, Tags};
use crate::package::lambda::pack;

/// Most that one call can carry of a zip; larger ones go through S3 (`facts/aws.md` 11a.3).
const MOST_ZIP: usize = 50 * 1024 * 1024;
/// Limits of waiting: Terraform's (`facts/aws.md` 11a.3).
const IAM_LIMIT: Duration = Duration::from_mins(5);
const LIMIT: Duration = Duration::from_mins(10);

/// What passes by itself: IAM or KMS does not know a role everywhere yet, or EC2 is busy (`facts/aws.md` 11a.3).
const NOT_YET: [&str; 4] = [
    "The role defined for the function cannot be assumed by Lambda",
    "The provided execution role does not have permissions",
    "throttled by EC2",
    "Lambda was unable to configure access to your environment variables because the KMS key is invalid for CreateGrant",
];

/// Reads the function with its tags and reserved concurrency.
pub(super) async fn get(cx: &Cx) -> Result<GetFunctionOutput> {
    let request = cx.aws.lambda().get_function().function_name(cx.key.handle());
    request.send().await.map_err(failed("GetFunction"))
}

/// Reads the function's policy; empty text when it has none.
pub(super) async fn policy(cx: &Cx) -> Result<String> {
    let answer = cx.aws.lambda().get_policy().function_name(cx.key.handle()).send().await;
    let answer = found(answer.map_err(failed("GetPolicy")))?;
    Ok(answer.and_then(|answer| answer.policy).unwrap_or_default())
}

/// Returns the ARN without a version.
pub(super) async fn arn(cx: &Cx) -> Result<String> {
    let arn = get(cx).await?.configuration.and_then(|function| function.function_arn);
    arn.ok_or_else(|| KindError::lacking("GetFunction", "function"))
}

fn not_yet(error: &KindError) -> bool {
    error.code == "InvalidParameterValueException" && NOT_YET.iter().any(|text| error.message.contains(text))
}

/// `ResourceConflictException` is "already exists" as well as "an update is in progress" (`facts/aws.md` 11a.3).
fn in_progress(error: &KindError) -> bool {
    error.code == "ResourceConflictException" && !error.message.contains("already exist")
}

fn passes(error: &KindError) -> bool {
    not_yet(error) || in_progress(error)
}

fn patient(want: &Spec) -> Wait {
    Wait::new(format!("IAM: role {} to be assumable by Lambda", want.role), IAM_LIMIT).for_iam(not_yet)
}

/// The zip of a local path, or nothing for code in S3.
fn zip_of(want: &Spec) -> Result<Option<Blob>> {
    let Some(path) = &want.code else { return Ok(None) };
    let package = pack(path.as_ref()).map_err(|error| KindError::invalid(format!("code: {error}")))?;
    if Some(&package.sha256) != want.code_sha256.as_ref() {
        let text = format!("the files of {path} changed since the plan was made");
        return Err(KindError::invalid(text).hint("make the plan again"));
    }
    check_size(path, package.zip.len())?;
    Ok(Some(Blob::new(package.zip)))
}

fn check_size(path: &str, size: usize) -> Result<()> {
    if size <= MOST_ZIP {
        return Ok(());
    }
    let text = format!("the zip of {path} has {} MB, and Lambda takes 50 MB at once", size / (1024 * 1024));
    Err(KindError::invalid(text).hint("put the zip into a bucket and set s3_bucket and s3_key, or use layers"))
}

/// Creates the function and waits until it can be invoked.
pub(super) async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<()> {
    let code = FunctionCode::builder()
        .set_zip_file(zip_of(want)?)
        .set_s3_bucket(want.s3_bucket.clone())
        .set_s3_key(want.s3_key.clone())
        .set_s3_object_version(want.s3_object_version.clone());
    let name = &cx.key.name;
    let request = cx
        .aws
        .lambda()
        .create_function()
        .function_name(name)
        .runtime(want.runtime.as_str().into())
        .role(&want.role)
        .handler(&want.handler)
        .code(code.build())
        .description(&want.description)
        .timeout(want.timeout)
        .memory_size(want.memory_size)
        .environment(wire::environment(want))
        .set_layers(Some(want.layers.clone()).filter(|layers| !layers.is_empty()))
        .set_architectures(Some(wire::architectures(want)))
        .set_vpc_config(want.vpc_config.as_ref().map(|_| wire::vpc(want)))
        .tracing_config(wire::tracing(want))
        .logging_config(wire::logging(want, name))
        .ephemeral_storage(wire::storage(want)?)
        .set_dead_letter_config(want.dead_letter_config.as_ref().map(|_| wire::dead_letter(want)))
        .set_kms_key_arn(want.kms_key_arn.clone())
        .set_file_system_configs(Some(wire::file_systems(want)?).filter(|configs| !configs.is_empty()))
        .snap_start(wire::snap_start(want))
        .set_tags(Some(tags.clone().into_iter().collect()));
    let call = || async {
        match request.clone().customize().config_override(upload(cx)).send().await.map_err(failed("CreateFunction")) {
            Err(error) if error.says("ResourceConflictException", "already exist") => {
                settle_existing(cx, tags, error).await
            }
            other => other.map(|_| ()),
        }
    };
    patient(want).retry(cx, passes, call).await?;
    wait_ready(cx, "create").await.map(|_| ())
}

/// Gives calls the time that code needs on a slow line.
fn upload(cx: &Cx) -> aws_sdk_lambda::config::Builder {
    aws_sdk_lambda::Config::builder().timeout_config(cx.aws.upload_limits())
}

/// After "already exists": a lost answer of our own call is success, anybody else's function is not ours.
async fn settle_existing(cx: &Cx, tags: &Tags, error: KindError) -> Result<()> {
    let present: Tags = get(cx).await?.tags.unwrap_or_default().into_iter().collect();
    marks::settle(&present, tags, error)
}

/// Waits until the function can be invoked and changed.
pub(super) async fn wait_ready(cx: &Cx, verb: &str) -> Result<FunctionConfiguration> {
    let wait = Wait::new(format!("function {} to be ready", cx.key.handle()), cx.limit(verb, LIMIT));
    wait.until(cx, || async {
        let function = match get(cx).await {
            // A function made a moment ago may not be found yet.
            Err(error) if error.is_not_found() && verb == "create" => None,
            other => other?.configuration,
        };
        function.map_or_else(|| Ok(Look::Pending("not found".to_owned())), look)
    })
    .await
}

fn look(function: FunctionConfiguration) -> Result<Look<FunctionConfiguration>> {
    let reason = |text: Option<&String>| text.cloned().unwrap_or_else(|| "no reason given".to_owned());
    match (&function.state, &function.last_update_status) {
        (Some(State::Failed), _) => {
            let text = format!("the function failed: {}", reason(function.state_reason.as_ref()));
            Err(KindError::new(Class::Other, text))
        }
        (_, Some(LastUpdateStatus::Failed)) => {
            let text = format!("the update failed: {}", reason(function.last_update_status_reason.as_ref()));
            Err(KindError::new(Class::Other, text))
        }
        (Some(State::Deleting), _) => Err(KindError::new(Class::Other, "the function is being deleted")
            .hint("run the same command again once it is gone")),
        (Some(state @ State::Pending), _) => Ok(Look::Pending(state.as_str().to_owned())),
        (_, Some(status @ LastUpdateStatus::InProgress)) => Ok(Look::Pending(status.as_str().to_owned())),
        _ => Ok(Look::Done(function)),
    }
}

/// Brings the function from `found` to `want`: settings, then code, then what has calls of its own.
pub(super) async fn converge(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    set_configuration(cx, want, found).await?;
    set_code(cx, want, found).await?;
    set_concurrency(cx, want, found).await?;
    set_permissions(cx, want, found).await
}

/// Returns a spec with only what `UpdateFunctionConfiguration` sets.
fn configuration(spec: &Spec) -> Spec {
    Spec {
        code: None,
        s3_bucket: None,
        s3_key: None,
        s3_object_version: None,
        code_sha256: None,
        architectures: Vec::new(),
        reserved_concurrent_executions: None,
        permissions: std::collections::BTreeMap::new(),
        ..spec.clone()
    }
}

async fn set_configuration(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    if configuration(want) == configuration(found) {
        return Ok(());
    }
    wait_changeable(cx).await?;
    let request = cx
        .aws
        .lambda()
        .update_function_configuration()
        .function_name(cx.key.handle())
        .runtime(want.runtime.as_str().into())
        .role(&want.role)
        .handler(&want.handler)
        .description(&want.description)
        .timeout(want.timeout)
        .memory_size(want.memory_size)
        .environment(wire::environment(want))
        .set_layers(Some(want.layers.clone()))
        .tracing_config(wire::tracing(want))
        .logging_config(wire::logging(want, &cx.key.name))
        .ephemeral_storage(wire::storage(want)?)
        .kms_key_arn(want.kms_key_arn.clone().unwrap_or_default())
        .set_file_system_configs(
            differs(&want.file_system_configs, &found.file_system_configs).then_some(wire::file_systems(want)?),
        )
        .snap_start(wire::snap_start(want))
        .set_vpc_config(differs(&want.vpc_config, &found.vpc_config).then(|| wire::vpc(want)))
        .set_dead_letter_config(
            differs(&want.dead_letter_config, &found.dead_letter_config).then(|| wire::dead_letter(want)),
        );
    let call = || async { request.clone().send().await.map(|_| ()).map_err(failed("UpdateFunctionConfiguration")) };
    patient(want).retry(cx, passes, call).await?;
    wait_ready(cx, "update").await.map(|_| ())
}

fn differs<T: PartialEq>(want: &T, found: &T) -> bool {
    want != found
}

/// Waits for an update that is under way; one that failed before does not matter to the next.
async fn wait_changeable(cx: &Cx) -> Result<()> {
    let wait = Wait::new(format!("function {} to be changeable", cx.key.handle()), cx.limit("update", LIMIT));
    wait.until(cx, || async {
        let function = get(cx).await?.configuration;
        let state = function.as_ref().and_then(|function| function.state.clone());
        let update = function.and_then(|function| function.last_update_status);
        Ok(match (state, update) {
            (Some(State::Pending), _) => Look::Pending("Pending".to_owned()),
            (_, Some(LastUpdateStatus::InProgress)) => Look::Pending("InProgress".to_owned()),
            _ => Look::Done(()),
        })
    })
    .await
}

async fn set_code(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    if want.code_sha256 == found.code_sha256 && want.architectures == found.architectures {
        return Ok(());
    }
    wait_changeable(cx).await?;
    let request = cx
        .aws
        .lambda()
        .update_function_code()
        .function_name(cx.key.handle())
        .set_architectures(Some(wire::architectures(want)))
        .set_zip_file(zip_of(want)?)
        .set_s3_bucket(want.s3_bucket.clone())
        .set_s3_key(want.s3_key.clone())
        .set_s3_object_version(want.s3_object_version.clone());
    let call = || async {
        let sent = request.clone().customize().config_override(upload(cx)).send().await;
        sent.map(|_| ()).map_err(failed("UpdateFunctionCode"))
    };
    patient(want).retry(cx, passes, call).await?;
    wait_ready(cx, "update").await?;
    mark_code(cx, want).await
}

/// Notes on the function which place in S3 its code is from, since AWS does not tell.
pub(super) async fn mark_code(cx: &Cx, want: &Spec) -> Result<()> {
    let (None, Some(place)) = (&want.code, &want.code_sha256) else { return Ok(()) };
    let function = wait_ready(cx, "update").await?;
    let mark = format!("{place} {}", function.code_sha256.unwrap_or_default());
    let arn = function.function_arn.unwrap_or_default();
    let request = cx.aws.lambda().tag_resource().resource(arn).tags(CODE_MARK, mark);
    request.send().await.map(|_| ()).map_err(failed("TagResource"))
}

async fn set_concurrency(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    let (client, name) = (cx.aws.lambda(), cx.key.handle());
    if want.reserved_concurrent_executions == found.reserved_concurrent_executions {
        return Ok(());
    }
    let call = || async {
        if let Some(count) = want.reserved_concurrent_executions {
            let request = client.put_function_concurrency().function_name(name);
            let answer = request.reserved_concurrent_executions(count).send().await;
            return answer.map(|_| ()).map_err(failed("PutFunctionConcurrency"));
        }
        let answer = client.delete_function_concurrency().function_name(name).send().await;
        answer.map(|_| ()).map_err(failed("DeleteFunctionConcurrency"))
    };
    Wait::new("another update of the function to be over", cx.limit("update", LIMIT)).retry(cx, in_progress, call).await
}

async fn set_permissions(cx: &Cx, want: &Spec, found: &Spec) -> Result<()> {
    for (id, permission) in &found.permissions {
        if want.permissions.get(id) != Some(permission) {
            let request = cx.aws.lambda().remove_permission().function_name(cx.key.handle()).statement_id(id);
            gone(request.send().await.map_err(failed("RemovePermission")))?;
        }
    }
    for (id, permission) in &want.permissions {
        if found.permissions.get(id) != Some(permission) {
            add_permission(cx, id, permission).await?;
        }
    }
    Ok(())
}

async fn add_permission(cx: &Cx, id: &str, want: &Permission) -> Result<()> {
    let request = cx
        .aws
        .lambda()
        .add_permission()
        .function_name(cx.key.handle())
        .statement_id(id)
        .principal(&want.principal)
        .action(&want.action)
        .set_source_arn(want.source_arn.clone())
        .set_source_account(want.source_account.clone())
        .set_event_source_token(want.event_source_token.clone())
        .set_principal_org_id(want.principal_org_id.clone())
        .set_function_url_auth_type(want.function_url_auth_type.as_deref().map(Into::into));
    match request.send().await.map_err(failed("AddPermission")) {
        Err(error) if error.code == "ResourceConflictException" => {
            // A lost answer of our own call left an equal statement behind.
            let present = of_policy(&policy(cx).await?);
            if present.get(id) == Some(want) { Ok(()) } else { Err(error) }
        }
        other => other.map(|_| ()),
    }
}

/// Deletes the function with all its versions and waits until it is gone.
pub(super) async fn delete(cx: &Cx) -> Result<()> {
    let call = || async {
        let answer = cx.aws.lambda().delete_function().function_name(cx.key.handle()).send().await;
        gone(answer.map_err(failed("DeleteFunction")))
    };
    let replicated = |error: &KindError| {
        error.says("InvalidParameterValueException", "because it is a replicated function") || in_progress(error)
    };
    let limit = cx.limit("delete", LIMIT);
    Wait::new("the function to accept its deletion", limit).retry(cx, replicated, call).await?;
    let wait = Wait::new(format!("function {} to be gone", cx.key.handle()), limit);
    wait.until(cx, || async {
        Ok(match found(get(cx).await)? {
            None => Look::Done(()),
            Some(_) => Look::Pending("Deleting".to_owned()),
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_waiting_ends_is_told_at_once() {
        let function = |state: State| FunctionConfiguration::builder().state(state).build();
        assert!(matches!(look(function(State::Pending)), Ok(Look::Pending(_))));
        for state in [State::Failed, State::Deleting] {
            assert!(look(function(state)).is_err());
        }
    }

    #[test]
    fn large_zips_are_told_the_way_through_s3() {
        assert!(check_size("code", MOST_ZIP).is_ok());
        assert!(check_size("code", MOST_ZIP + 1).unwrap_err().hint.unwrap().contains("s3_bucket"));
    }
}
