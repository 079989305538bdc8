//! Lambda functions from zips (`facts/aws.md` 11a). Functions from container images are not offered.
//!
//! Code is compared by hash: of the zip made of local files, or of the place in S3, which a tag remembers.

mod calls;
mod peers;
mod permission;
mod spec;
mod wire;

use aws_sdk_lambda::types::{FunctionConfiguration, State};
use futures::stream::{StreamExt, TryStreamExt, iter};
use schemars::JsonSchema;
use serde::Serialize;

pub use permission::Permission;
pub use spec::{
    ApplicationLogLevel, Architecture, DeadLetterConfig, Environment, EphemeralStorage, FileSystemConfig, LogFormat,
    LoggingConfig, SnapStart, SnapStartApplyOn, Spec, SystemLogLevel, TracingConfig, TracingMode, VpcConfig,
};

use super::lambda;
use super::lambda_event_source_mapping::LambdaEventSourceMapping;
use crate::aws::Cx;
use crate::aws::error::{failed, found};
use crate::aws::marks;
use crate::kind::{
    Changes, Child, Demand, End, Fault, Files, Grant, Halt, Holder, Hop, Key, Kind, Naming, Observed, Outputs, Owned,
    Path, Peers, Place, Result, Right, Side, Tags, Writes,
};

/// A Lambda function.
pub struct LambdaFunction;

/// What other resources may refer to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FunctionOutputs {
    /// Amazon Resource Name, without a version.
    pub arn: String,
    /// Name.
    pub name: String,
    /// ARN by which API Gateway invokes it.
    pub invoke_arn: String,
}

impl FunctionOutputs {
    fn new(place: &Place, name: &str) -> Self {
        let arn = place.arn("lambda", &format!("function:{name}"));
        let (partition, region) = (&place.partition, &place.region);
        let path = format!("path/2015-03-31/functions/{arn}/invocations");
        let invoke_arn = format!("arn:{partition}:apigateway:{region}:lambda:{path}");
        Self { arn, name: name.to_owned(), invoke_arn }
    }
}

/// Lists of tags that are read at once; all calls but `GetFunction` share 15 a second (`facts/aws.md` 11a.6).
const READERS: usize = 4;

/// Who takes on a function's role.
const SERVICE: &str = "lambda.amazonaws.com";

impl Kind for LambdaFunction {
    const TYPE: &'static str = "lambda_function";
    const TITLE: &'static str = "Lambda function";
    const DELETE_RANK: u8 = 35;
    const NAMING: Naming = Naming::Name { pattern: r"^[a-zA-Z0-9_-]{1,64}$" };
    const PEERS: Peers = peers::PEERS;
    const TAG_INDEX: Option<&'static str> = Some("lambda:function");
    const READS: &'static [&'static str] =
        &["lambda:GetFunction", "lambda:GetPolicy", "lambda:ListEventSourceMappings"];
    const LISTS: &'static [&'static str] = &["lambda:ListFunctions", "lambda:ListTags"];
    const GRANTS: &'static [Grant] = &[Grant {
        verb: "invoke",
        actions: &["lambda:InvokeFunction", "lambda:GetFunctionConfiguration"],
        resources: &["", ":*"],
    }];

    // A function that has not been used for long is inactive until the next event.
    const PATH: Path = Path { ready: &["Active", "Inactive"], accepts: &["lambda:InvokeFunction"], ..Path::NONE };

    type Spec = Spec;
    type Outputs = FunctionOutputs;

    fn prepare(spec: &mut Spec, files: &Files) -> std::result::Result<(), Vec<Fault>> {
        spec.complete(files)
    }

    fn check(spec: &Spec) -> Vec<Fault> {
        spec.faults()
    }

    fn predict(place: &Place, key: &Key, _: &Spec) -> Outputs {
        let outputs = serde_json::to_value(FunctionOutputs::new(place, &key.name));
        outputs.ok().and_then(|outputs| outputs.as_object().cloned()).unwrap_or_default()
    }

    async fn observe(cx: &Cx, want: Option<&Spec>) -> Result<Option<Observed<Spec, FunctionOutputs>>> {
        let (function, policy) = tokio::try_join!(async { found(calls::get(cx).await) }, calls::policy(cx))?;
        let Some(answer) = function else { return Ok(None) };
        let state = answer.configuration.as_ref().and_then(|function| function.state.clone());
        if state == Some(State::Deleting) {
            return Ok(None);
        }
        let tags: Tags = answer.tags.clone().unwrap_or_default().into_iter().collect();
        Ok(Some(Observed {
            physical: cx.key.handle().to_owned(),
            spec: wire::spec_of(&answer, &policy, &tags, want)?,
            outputs: FunctionOutputs::new(cx.place(), cx.key.handle()),
            status: answer.configuration.as_ref().map(status_text),
            halt: answer.configuration.as_ref().and_then(halt),
            tags,
        }))
    }

    fn hops(spec: &Spec) -> Vec<Hop> {
        // What a function writes to, it is told by its environment.
        let variables = spec.environment.variables.iter();
        let hop = |(name, value): (&String, &String)| {
            Hop::new(End::Own, End::Hint(value.clone()), format!("environment variable {name}")).needs(
                Holder::At(Side::From),
                Side::To,
                &[],
            )
        };
        variables.map(hop).collect()
    }

    fn role(spec: &Spec) -> Option<String> {
        Some(spec.role.clone())
    }

    fn demands(spec: &Spec) -> Vec<Demand> {
        let network = spec.vpc_config.iter().map(|_| Demand::access(&spec.role, &["ec2:CreateNetworkInterface"], "*"));
        let failures = spec.dead_letter_config.iter();
        let failures = failures.map(|letters| Demand::access(&spec.role, lambda::FAILURES, &letters.target_arn));
        std::iter::once(Demand::trust(&spec.role, SERVICE)).chain(network).chain(failures).collect()
    }

    async fn children(cx: &Cx) -> Result<Vec<Child>> {
        let request = cx.aws.lambda().list_event_source_mappings().function_name(cx.key.handle());
        let all = request.into_paginator().items().send().collect::<std::result::Result<Vec<_>, _>>().await;
        let all = all.map_err(failed("ListEventSourceMappings"))?.into_iter();
        let there = all.filter(|mapping| mapping.state() != Some("Deleting")).filter_map(|mapping| mapping.uuid);
        Ok(there.map(|uuid| Child { kind: LambdaEventSourceMapping::TYPE, physical: uuid }).collect())
    }

    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let pages = cx.aws.lambda().list_functions().into_paginator().items().send();
        let functions = pages.collect::<std::result::Result<Vec<_>, _>>().await.map_err(failed("ListFunctions"))?;
        let all = iter(functions).map(|function| async move {
            let request = cx.aws.lambda().list_tags().resource(function.function_arn.unwrap_or_default());
            let answer = found(request.send().await.map_err(failed("ListTags")))?;
            let tags = answer.and_then(|answer| answer.tags).unwrap_or_default().into_iter().collect();
            Ok(Owned { physical: function.function_name.unwrap_or_default(), tags })
        });
        let all: Vec<Owned> = all.buffer_unordered(READERS).try_collect().await?;
        Ok(all.into_iter().filter(|one| marks::stack_of(&one.tags) == Some(&cx.key.stack)).collect())
    }
}

impl Writes for LambdaFunction {
    const WRITES: &'static [Right] = &[Right {
        actions: &[
            "lambda:AddPermission",
            "lambda:CreateFunction",
            "lambda:DeleteFunction",
            "lambda:DeleteFunctionConcurrency",
            "lambda:PutFunctionConcurrency",
            "lambda:RemovePermission",
            "lambda:TagResource",
            "lambda:UntagResource",
            "lambda:UpdateFunctionCode",
            "lambda:UpdateFunctionConfiguration",
        ],
        resources: &["lambda:{region}:{account}:function:{name}"],
    }];
    const PASSES_TO: Option<&'static str> = Some(SERVICE);

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, FunctionOutputs)> {
        calls::create(cx, want, tags).await?;
        calls::mark_code(cx, want).await?;
        let (function, policy) = tokio::try_join!(calls::get(cx), calls::policy(cx))?;
        let present: Tags = function.tags.clone().unwrap_or_default().into_iter().collect();
        let fresh = wire::spec_of(&function, &policy, &present, Some(want))?;
        calls::converge(cx, want, &fresh).await?;
        Ok((cx.key.name.clone(), FunctionOutputs::new(cx.place(), &cx.key.name)))
    }

    async fn update(cx: &Cx, want: &Spec, found: &Spec, changes: &Changes<'_>) -> Result<()> {
        let mut target = changes.target(want, found)?;
        // Where code comes from is never compared, and so never among the changes.
        target.code.clone_from(&want.code);
        target.s3_bucket.clone_from(&want.s3_bucket);
        target.s3_key.clone_from(&want.s3_key);
        target.s3_object_version.clone_from(&want.s3_object_version);
        if target.code_sha256 != want.code_sha256 && target.architectures != found.architectures {
            // A new processor needs the code in the same call; there is no other than the wanted.
            target.code_sha256.clone_from(&want.code_sha256);
        }
        calls::converge(cx, &target, found).await
    }

    async fn delete(cx: &Cx) -> Result<()> {
        calls::delete(cx).await
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        lambda::retag(cx, &calls::arn(cx).await?, set, remove).await
    }
}

fn status_text(function: &FunctionConfiguration) -> String {
    let state = function.state.as_ref().map_or("Active", State::as_str);
    match &function.state_reason {
        Some(reason) if state != "Active" => format!("{state}: {reason}"),
        _ => state.to_owned(),
    }
}

/// A function that failed answers nothing; one that is inactive, since nobody used it for long, wakes up by itself.
fn halt(function: &FunctionConfiguration) -> Option<Halt> {
    let failed = function.state == Some(State::Failed);
    failed.then(|| Halt { since: function.last_modified.clone(), reason: function.state_reason.clone() })
}

#[cfg(test)]
mod tests;
