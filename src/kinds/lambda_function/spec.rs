//! What a function is like: the fields of a stack file, their normal form and what is checked offline.
//!
//! Knows no AWS client.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use super::permission::Permission;
use crate::kind::{Fault, Files};
use crate::package::lambda::pack;

/// What a function is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// ARN of the role that the function runs with; it trusts `lambda.amazonaws.com`.
    pub role: String,
    /// Runtime, such as `python3.13`.
    pub runtime: String,
    /// Entry point, such as `main.handler`.
    pub handler: String,
    /// Path of a folder or a file to be zipped, or of a ready `.zip`, relative to the stack file. Either this or
    /// `s3_bucket` and `s3_key`.
    #[schemars(extend("x-source" = true))]
    #[serde(default)]
    pub code: Option<String>,
    /// Bucket, in the function's region, of a ready zip.
    #[schemars(extend("x-source" = true))]
    #[serde(default)]
    pub s3_bucket: Option<String>,
    /// Key of the zip in the bucket.
    #[schemars(extend("x-source" = true))]
    #[serde(default)]
    pub s3_key: Option<String>,
    /// Version of the object, where the bucket keeps versions.
    #[schemars(extend("x-source" = true))]
    #[serde(default)]
    pub s3_object_version: Option<String>,
    /// What the code is known by: the SHA-256 of the zip in base64, or a hash of its place in S3.
    #[schemars(extend("x-derived" = true))]
    #[serde(default)]
    pub code_sha256: Option<String>,
    /// Description.
    #[schemars(length(max = 256))]
    #[serde(default)]
    pub description: String,
    /// Seconds that one invocation may take, 3 unless set.
    #[schemars(range(min = 1, max = 900))]
    #[serde(default = "three")]
    pub timeout: i32,
    /// Memory in MB, 128 unless set.
    #[schemars(range(min = 128, max = 32_768))]
    #[serde(default = "smallest")]
    pub memory_size: i32,
    /// Environment of the function.
    #[serde(default)]
    pub environment: Environment,
    /// ARNs of layer versions, in order, at most five.
    #[schemars(length(max = 5))]
    #[serde(default)]
    pub layers: Vec<String>,
    /// Processor: `[x86_64]` unless set, or `[arm64]`.
    #[schemars(length(min = 1, max = 1))]
    #[serde(default = "intel")]
    pub architectures: Vec<Architecture>,
    /// Network of the function; unset for none of yours.
    #[serde(default, deserialize_with = "no_empty_network")]
    pub vpc_config: Option<VpcConfig>,
    /// Tracing with X-Ray.
    #[serde(default)]
    pub tracing_config: TracingConfig,
    /// Where and how the function logs.
    #[serde(default)]
    pub logging_config: LoggingConfig,
    /// Room in `/tmp`.
    #[serde(default)]
    pub ephemeral_storage: EphemeralStorage,
    /// Where failed asynchronous invocations go.
    #[serde(default, deserialize_with = "no_empty_target")]
    pub dead_letter_config: Option<DeadLetterConfig>,
    /// ARN of the key that encrypts the environment; unset for one of AWS's.
    #[serde(default, deserialize_with = "no_empty_text")]
    pub kms_key_arn: Option<String>,
    /// File system of EFS, at most one.
    #[schemars(length(max = 1))]
    #[serde(default)]
    pub file_system_configs: Vec<FileSystemConfig>,
    /// Snapshots of initialised functions.
    #[serde(default)]
    pub snap_start: SnapStart,
    /// Concurrency taken from the account's pool for this function; unset for none, 0 stops all invocations.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub reserved_concurrent_executions: Option<i32>,
    /// Who else may use the function, by statement id. Statements that are not listed are removed.
    #[serde(default)]
    #[schemars(extend("x-children" = true))]
    pub permissions: BTreeMap<String, Permission>,
}

/// Environment of a function.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Environment {
    /// Variables by name.
    pub variables: BTreeMap<String, String>,
}

/// A processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Intel and AMD.
    #[serde(rename = "x86_64")]
    X8664,
    /// Graviton.
    Arm64,
}

/// Network of a function.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VpcConfig {
    /// Ids of subnets.
    pub subnet_ids: BTreeSet<String>,
    /// Ids of security groups.
    pub security_group_ids: BTreeSet<String>,
    /// Whether IPv6 may go out of dual-stack subnets.
    pub ipv6_allowed_for_dual_stack: bool,
}

/// Tracing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TracingConfig {
    /// `PassThrough` unless set, or `Active`.
    pub mode: TracingMode,
}

/// Whether requests are traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TracingMode {
    /// As the caller decides.
    #[default]
    PassThrough,
    /// Some of them always.
    Active,
}

/// Where and how a function logs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoggingConfig {
    /// `Text` unless set, or `JSON`.
    pub log_format: LogFormat,
    /// Least level of the function's own records, `INFO` unless set; with `JSON` only.
    pub application_log_level: Option<ApplicationLogLevel>,
    /// Least level of Lambda's records, `INFO` unless set; with `JSON` only.
    pub system_log_level: Option<SystemLogLevel>,
    /// Log group, `/aws/lambda/NAME` unless set.
    pub log_group: Option<String>,
}

/// Format of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum LogFormat {
    /// Lines.
    #[default]
    Text,
    /// Objects.
    #[serde(rename = "JSON")]
    Json,
}

/// Level of a function's own records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ApplicationLogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

/// Level of Lambda's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum SystemLogLevel {
    Debug,
    Info,
    Warn,
}

/// Room in `/tmp`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EphemeralStorage {
    /// Size in MB, 512 unless set.
    #[schemars(range(min = 512, max = 10_240))]
    pub size: i32,
}

impl Default for EphemeralStorage {
    fn default() -> Self {
        Self { size: 512 }
    }
}

/// Where failed asynchronous invocations go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterConfig {
    /// ARN of a queue or topic.
    pub target_arn: String,
}

/// A file system of EFS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSystemConfig {
    /// ARN of the access point.
    pub arn: String,
    /// Where it is mounted, below `/mnt/`.
    pub local_mount_path: String,
}

/// Snapshots of initialised functions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SnapStart {
    /// `None` unless set, or `PublishedVersions`.
    pub apply_on: SnapStartApplyOn,
}

/// When snapshots are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum SnapStartApplyOn {
    /// Never.
    #[default]
    None,
    /// When a version is published.
    PublishedVersions,
}

pub(super) fn three() -> i32 {
    3
}

pub(super) fn smallest() -> i32 {
    128
}

pub(super) fn intel() -> Vec<Architecture> {
    vec![Architecture::X8664]
}

/// AWS makes no difference between an empty and an absent text, network or target (`facts/aws.md` 11a.4).
fn no_empty_text<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(input)?.filter(|text| !text.is_empty()))
}

fn no_empty_network<'de, D: Deserializer<'de>>(input: D) -> Result<Option<VpcConfig>, D::Error> {
    let network = Option::<VpcConfig>::deserialize(input)?;
    Ok(network.filter(|network| !network.subnet_ids.is_empty() || !network.security_group_ids.is_empty()))
}

fn no_empty_target<'de, D: Deserializer<'de>>(input: D) -> Result<Option<DeadLetterConfig>, D::Error> {
    Ok(Option::<DeadLetterConfig>::deserialize(input)?.filter(|target| !target.target_arn.is_empty()))
}

impl LoggingConfig {
    /// Fills in the levels that AWS takes for JSON.
    pub(super) fn complete(&mut self) {
        if self.log_format == LogFormat::Json {
            self.application_log_level.get_or_insert(ApplicationLogLevel::Info);
            self.system_log_level.get_or_insert(SystemLogLevel::Info);
        }
    }
}

impl Spec {
    /// Fills in what is derived: the whole path of the code, what it is known by, and log levels.
    pub(super) fn complete(&mut self, files: &Files) -> Result<(), Vec<Fault>> {
        self.logging_config.complete();
        let from_s3 = self.s3_bucket.is_some() || self.s3_key.is_some() || self.s3_object_version.is_some();
        match (&self.code, &self.s3_bucket, &self.s3_key) {
            (Some(code), None, None) if !from_s3 => {
                let path = files.dir.join(code);
                self.code_sha256 = Some(hash_of(&path, code)?);
                self.code = Some(path.to_string_lossy().into_owned());
                Ok(())
            }
            (None, Some(_), Some(_)) => {
                self.code_sha256 = Some(self.place_in_s3());
                Ok(())
            }
            (None, ..) => Err(vec![
                Fault::new("", "no code").help("set `code` to a path, or `s3_bucket` and `s3_key` to a zip in S3"),
            ]),
            _ => Err(vec![Fault::new("code", "does not go with s3_bucket, s3_key and s3_object_version")]),
        }
    }

    /// Returns what code in S3 is known by. AWS never tells where code came from.
    pub(super) fn place_in_s3(&self) -> String {
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        let place = format!("{}\n{}\n{}", part(&self.s3_bucket), part(&self.s3_key), part(&self.s3_object_version));
        format!("s3:{}", STANDARD.encode(Sha256::digest(place.as_bytes())))
    }

    /// Lists what is wrong with the spec.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut range = |path: &str, value: i32, low: i32, high: i32| {
            if !(low..=high).contains(&value) {
                faults.push(Fault::new(path, format!("must be between {low} and {high}")));
            }
        };
        range("timeout", self.timeout, 1, 900);
        range("memory_size", self.memory_size, 128, 32_768);
        range("ephemeral_storage.size", self.ephemeral_storage.size, 512, 10_240);
        range("reserved_concurrent_executions", self.reserved_concurrent_executions.unwrap_or(0), 0, i32::MAX);
        let mut count = |path: &str, count: usize, low: usize, high: usize| {
            if !(low..=high).contains(&count) {
                faults.push(Fault::new(path, format!("has {count} entries where AWS takes {low} to {high}")));
            }
        };
        count("layers", self.layers.len(), 0, 5);
        count("architectures", self.architectures.len(), 1, 1);
        count("file_system_configs", self.file_system_configs.len(), 0, 1);
        if self.description.chars().count() > 256 {
            faults.push(Fault::new("description", "is longer than 256 characters"));
        }
        self.check_variables(&mut faults);
        self.check_logging(&mut faults);
        self.check_network(&mut faults);
        faults
    }

    /// Names are a letter and at least one more letter, digit or `_` (`CreateFunction`, `EnvironmentVariableName`).
    fn check_variables(&self, faults: &mut Vec<Fault>) {
        for name in self.environment.variables.keys() {
            let fits = name.len() > 1
                && name.starts_with(|letter: char| letter.is_ascii_alphabetic())
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
            if !fits {
                faults.push(
                    Fault::new(format!("environment.variables.{name}"), "is not a name that Lambda takes")
                        .help("use a letter, then letters, digits and `_`; two characters at least"),
                );
            }
        }
    }

    fn check_logging(&self, faults: &mut Vec<Fault>) {
        let logging = &self.logging_config;
        let leveled = logging.application_log_level.is_some() || logging.system_log_level.is_some();
        if logging.log_format == LogFormat::Text && leveled {
            faults.push(
                Fault::new("logging_config", "log levels go with log_format JSON only")
                    .help("set `log_format: JSON`, or leave the levels out"),
            );
        }
    }

    fn check_network(&self, faults: &mut Vec<Fault>) {
        let lopsided = |network: &VpcConfig| network.subnet_ids.is_empty() || network.security_group_ids.is_empty();
        if self.vpc_config.as_ref().is_some_and(lopsided) {
            faults.push(Fault::new("vpc_config", "needs both subnet_ids and security_group_ids"));
        }
        if !self.file_system_configs.is_empty() && self.vpc_config.is_none() {
            faults.push(Fault::new("file_system_configs", "needs a vpc_config that reaches the file system"));
        }
    }
}

fn hash_of(path: &Path, code: &str) -> Result<String, Vec<Fault>> {
    if code.contains("${") {
        return Err(vec![Fault::new("code", "a path cannot refer to outputs of resources")]);
    }
    pack(path).map(|package| package.sha256).map_err(|error| {
        vec![Fault::new("code", error.to_string()).help("name a folder, a file or a zip, relative to the stack file")]
    })
}
