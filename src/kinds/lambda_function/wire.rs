//! Between the spec and the types of the Lambda API.

use aws_sdk_lambda::operation::get_function::GetFunctionOutput;
use aws_sdk_lambda::types as api;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::permission::of_policy;
use super::spec::{
    DeadLetterConfig, Environment, EphemeralStorage, FileSystemConfig, LoggingConfig, SnapStart, Spec, TracingConfig,
    VpcConfig, intel, smallest, three,
};
use crate::kind::{KindError, Result, Tags};

/// Tag with the place of code that came from S3 and the hash that the function had with it.
pub(super) const CODE_MARK: &str = "stackctl:code";

/// Returns the API's word for a choice of the spec.
pub(super) fn word(choice: impl Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(Value::String(text)) => text,
        _ => String::new(),
    }
}

/// Returns the spec's choice for a word of the API; the default for words it does not know.
fn choice<T: DeserializeOwned + Default>(word: Option<&str>) -> T {
    maybe(word).unwrap_or_default()
}

fn maybe<T: DeserializeOwned>(word: Option<&str>) -> Option<T> {
    word.and_then(|word| serde_json::from_value(Value::from(word)).ok())
}

fn text(found: Option<&String>) -> String {
    found.cloned().unwrap_or_default()
}

/// Reads a spec from the answers of `GetFunction` and `GetPolicy`.
///
/// `want` decides where AWS does not tell: variables that the caller may not decrypt, and whether the default log group
/// was named or left out.
pub(super) fn spec_of(answer: &GetFunctionOutput, policy: &str, tags: &Tags, want: Option<&Spec>) -> Result<Spec> {
    let Some(found) = answer.configuration.as_ref() else {
        return Err(KindError::lacking("GetFunction", "function"));
    };
    let architectures: Vec<_> =
        found.architectures().iter().filter_map(|architecture| maybe(Some(architecture.as_str()))).collect();
    Ok(Spec {
        role: text(found.role.as_ref()),
        runtime: found.runtime.as_ref().map(|runtime| runtime.as_str().to_owned()).unwrap_or_default(),
        handler: text(found.handler.as_ref()),
        code: None,
        s3_bucket: None,
        s3_key: None,
        s3_object_version: None,
        code_sha256: code_of(found.code_sha256.as_deref(), tags, want),
        description: text(found.description.as_ref()),
        timeout: found.timeout.unwrap_or_else(three),
        memory_size: found.memory_size.unwrap_or_else(smallest),
        environment: environment_of(found, want),
        layers: found.layers().iter().filter_map(|layer| layer.arn.clone()).collect(),
        architectures: if architectures.is_empty() { intel() } else { architectures },
        vpc_config: vpc_of(found),
        tracing_config: TracingConfig {
            mode: choice(
                found.tracing_config.as_ref().and_then(|tracing| tracing.mode.as_ref()).map(api::TracingMode::as_str),
            ),
        },
        logging_config: logging_of(found, want),
        ephemeral_storage: EphemeralStorage {
            size: found.ephemeral_storage.as_ref().map_or(512, |storage| storage.size),
        },
        dead_letter_config: found
            .dead_letter_config
            .as_ref()
            .and_then(|config| config.target_arn.clone())
            .filter(|target| !target.is_empty())
            .map(|target_arn| DeadLetterConfig { target_arn }),
        kms_key_arn: found.kms_key_arn.clone().filter(|key| !key.is_empty()),
        file_system_configs: found
            .file_system_configs()
            .iter()
            .map(|config| FileSystemConfig {
                arn: config.arn.clone(),
                local_mount_path: config.local_mount_path.clone(),
            })
            .collect(),
        snap_start: SnapStart {
            apply_on: choice(
                found.snap_start.as_ref().and_then(|snap| snap.apply_on.as_ref()).map(api::SnapStartApplyOn::as_str),
            ),
        },
        reserved_concurrent_executions: answer
            .concurrency
            .as_ref()
            .and_then(|concurrency| concurrency.reserved_concurrent_executions),
        permissions: of_policy(policy),
    })
}

/// Code from S3 is known by its place as long as nobody replaced it since.
fn code_of(live: Option<&str>, tags: &Tags, want: Option<&Spec>) -> Option<String> {
    if want.is_some_and(|want| want.code_sha256.as_deref() == live) {
        return live.map(str::to_owned);
    }
    let marked = tags.get(CODE_MARK).and_then(|mark| mark.rsplit_once(' '));
    match marked {
        Some((place, hash)) if Some(hash) == live => Some(place.to_owned()),
        _ => live.map(str::to_owned),
    }
}

/// Variables that the caller may not decrypt are not drift (`facts/aws.md` 11a.2).
fn environment_of(found: &api::FunctionConfiguration, want: Option<&Spec>) -> Environment {
    let Some(environment) = &found.environment else { return Environment::default() };
    match (&environment.variables, &environment.error, want) {
        (None, Some(_), Some(want)) => want.environment.clone(),
        (variables, ..) => Environment { variables: variables.clone().unwrap_or_default().into_iter().collect() },
    }
}

fn vpc_of(found: &api::FunctionConfiguration) -> Option<VpcConfig> {
    let network = found.vpc_config.as_ref()?;
    let network = VpcConfig {
        subnet_ids: network.subnet_ids().iter().cloned().collect(),
        security_group_ids: network.security_group_ids().iter().cloned().collect(),
        ipv6_allowed_for_dual_stack: network.ipv6_allowed_for_dual_stack.unwrap_or(false),
    };
    Some(network).filter(|network| !network.subnet_ids.is_empty() || !network.security_group_ids.is_empty())
}

fn logging_of(found: &api::FunctionConfiguration, want: Option<&Spec>) -> LoggingConfig {
    let Some(logging) = &found.logging_config else { return LoggingConfig::default() };
    let default = format!("/aws/lambda/{}", found.function_name().unwrap_or_default());
    let named = want.is_some_and(|want| want.logging_config.log_group.as_ref() == Some(&default));
    let mut logging = LoggingConfig {
        log_format: choice(logging.log_format.as_ref().map(api::LogFormat::as_str)),
        application_log_level: maybe(logging.application_log_level.as_ref().map(api::ApplicationLogLevel::as_str)),
        system_log_level: maybe(logging.system_log_level.as_ref().map(api::SystemLogLevel::as_str)),
        log_group: logging.log_group.clone().filter(|group| !group.is_empty() && (named || *group != default)),
    };
    logging.complete();
    logging
}

/// Writes the network; empty lists take it away.
pub(super) fn vpc(want: &Spec) -> api::VpcConfig {
    let network = want.vpc_config.clone().unwrap_or_default();
    api::VpcConfig::builder()
        .set_subnet_ids(Some(network.subnet_ids.into_iter().collect()))
        .set_security_group_ids(Some(network.security_group_ids.into_iter().collect()))
        .ipv6_allowed_for_dual_stack(network.ipv6_allowed_for_dual_stack)
        .build()
}

/// Writes logging, with the default log group by name.
pub(super) fn logging(want: &Spec, name: &str) -> api::LoggingConfig {
    let logging = &want.logging_config;
    api::LoggingConfig::builder()
        .log_format(word(logging.log_format).as_str().into())
        .set_application_log_level(logging.application_log_level.map(|level| word(level).as_str().into()))
        .set_system_log_level(logging.system_log_level.map(|level| word(level).as_str().into()))
        .log_group(logging.log_group.clone().unwrap_or_else(|| format!("/aws/lambda/{name}")))
        .build()
}

/// Writes variables; an empty map takes them away.
pub(super) fn environment(want: &Spec) -> api::Environment {
    let variables = want.environment.variables.clone();
    api::Environment::builder().set_variables(Some(variables.into_iter().collect())).build()
}

/// Writes the room in `/tmp`.
pub(super) fn storage(want: &Spec) -> Result<api::EphemeralStorage> {
    let storage = api::EphemeralStorage::builder().size(want.ephemeral_storage.size).build();
    storage.map_err(|error| KindError::invalid(error.to_string()))
}

/// Writes file systems.
pub(super) fn file_systems(want: &Spec) -> Result<Vec<api::FileSystemConfig>> {
    let config = |config: &FileSystemConfig| {
        let config = api::FileSystemConfig::builder().arn(&config.arn).local_mount_path(&config.local_mount_path);
        config.build().map_err(|error| KindError::invalid(error.to_string()))
    };
    want.file_system_configs.iter().map(config).collect()
}

/// Writes tracing.
pub(super) fn tracing(want: &Spec) -> api::TracingConfig {
    api::TracingConfig::builder().mode(word(want.tracing_config.mode).as_str().into()).build()
}

/// Writes snapshots.
pub(super) fn snap_start(want: &Spec) -> api::SnapStart {
    api::SnapStart::builder().apply_on(word(want.snap_start.apply_on).as_str().into()).build()
}

/// Writes the processor.
pub(super) fn architectures(want: &Spec) -> Vec<api::Architecture> {
    want.architectures.iter().map(|architecture| word(architecture).as_str().into()).collect()
}

/// Writes the dead-letter target; an empty one takes it away.
pub(super) fn dead_letter(want: &Spec) -> api::DeadLetterConfig {
    let target = want.dead_letter_config.as_ref().map(|config| config.target_arn.clone()).unwrap_or_default();
    api::DeadLetterConfig::builder().target_arn(target).build()
}
