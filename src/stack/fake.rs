//! Kinds for tests of the loader and the checks: a stream, a role and loose kinds of any name.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::aws::Cx;
use crate::diff::{Change, Fields};
use crate::kind::{
    AnyKind, Changes, Erased, Fault, Files, Found, Grant, Key, Kind, KindError, Naming, Observed, Outputs, Owned,
    Place, Result, Tagging, Tags,
};

use super::load::{Loaded, load_text};
use super::problem::Report;
use super::variables::Inputs;

static STREAM: Erased<FakeStream> = Erased::new();
static ROLE: Erased<FakeRole> = Erased::new();
static APPLICATION: Loose = Loose("kinesis_analytics_application");
static INSTANCE: Loose = Loose("ec2_instance");
static KINESIS: Loose = Loose("kinesis_stream");

pub(crate) static KINDS: &[&dyn AnyKind] = &[&STREAM, &ROLE, &APPLICATION, &INSTANCE, &KINESIS];

pub(crate) fn kind(name: &str) -> &'static dyn AnyKind {
    KINDS.iter().copied().find(|kind| kind.type_name() == name).unwrap()
}

/// Loads a text with the fake kinds.
pub(crate) fn load(text: &str) -> std::result::Result<Loaded, Report> {
    load_with(text, &[])
}

pub(crate) fn load_with(text: &str, vars: &[(&str, &str)]) -> std::result::Result<Loaded, Report> {
    let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    load_text(text, Path::new("stack.yaml"), &Inputs { vars, ..Inputs::default() }, KINDS)
}

/// Loads a text that is wrong, and draws why.
pub(crate) fn problems(text: &str) -> String {
    load(text).unwrap_err().render(false, 100)
}

/// How a stream grows.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Mode {
    /// By hand.
    #[default]
    Provisioned,
    /// By itself.
    OnDemand,
}

/// A stream.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamSpec {
    /// Number of shards.
    #[serde(default = "one")]
    shard_count: u32,
    /// How it grows.
    #[serde(default)]
    mode: Mode,
    /// Key for encryption.
    #[serde(default)]
    kms_key: Option<String>,
    /// Filled by the program.
    #[serde(default)]
    #[schemars(extend("x-derived" = true))]
    hash: String,
}

fn one() -> u32 {
    1
}

/// Outputs of a stream.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StreamOutputs {
    /// ARN.
    arn: String,
    /// Name.
    name: String,
}

pub(crate) struct FakeStream;

fn none<T>() -> Result<T> {
    Err(KindError::invalid("a fake kind does nothing".to_owned()))
}

impl Kind for FakeStream {
    const TYPE: &'static str = "fake_stream";
    const TITLE: &'static str = "Stream of a test";
    const DELETE_RANK: u8 = 1;
    const NAMING: Naming = Naming::Name { pattern: "[a-zA-Z0-9_.-]{1,20}" };
    const GRANTS: &'static [Grant] = &[
        Grant { verb: "read", actions: &["s:Get", "s:Describe"], resources: &[""] },
        Grant { verb: "write", actions: &["s:Put"], resources: &["", "/*"] },
    ];
    type Spec = StreamSpec;
    type Outputs = StreamOutputs;

    fn prepare(spec: &mut StreamSpec, files: &Files) -> std::result::Result<(), Vec<Fault>> {
        spec.hash = format!("hash in {}", files.stack);
        match spec.shard_count {
            0 => Err(vec![Fault::new("shard_count", "a stream has at least one shard").help("use 1")]),
            _ => Ok(()),
        }
    }

    async fn observe(_: &Cx, _: Option<&StreamSpec>) -> Result<Option<Observed<StreamSpec, StreamOutputs>>> {
        none()
    }

    async fn create(_: &Cx, _: &StreamSpec, _: &Tags) -> Result<(String, StreamOutputs)> {
        none()
    }

    async fn update(_: &Cx, _: &StreamSpec, _: &StreamSpec, _: &Changes<'_>) -> Result<()> {
        none()
    }

    async fn delete(_: &Cx) -> Result<()> {
        none()
    }

    async fn retag(_: &Cx, _: &Tags, _: &[String]) -> Result<()> {
        none()
    }

    async fn owned(_: &Cx) -> Result<Vec<Owned>> {
        none()
    }
}

/// A role.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleSpec {
    /// Who may assume it.
    service: String,
    /// Documents by name.
    #[serde(default)]
    inline_policies: BTreeMap<String, Value>,
    /// What it may do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    grants: Vec<BTreeMap<String, String>>,
}

/// Outputs of a role.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RoleOutputs {
    /// ARN.
    arn: String,
}

pub(crate) struct FakeRole;

impl Kind for FakeRole {
    const TYPE: &'static str = "fake_role";
    const TITLE: &'static str = "Role of a test";
    const DELETE_RANK: u8 = 2;
    const NAMING: Naming = Naming::Assigned;
    type Spec = RoleSpec;
    type Outputs = RoleOutputs;

    async fn observe(_: &Cx, _: Option<&RoleSpec>) -> Result<Option<Observed<RoleSpec, RoleOutputs>>> {
        none()
    }

    async fn create(_: &Cx, _: &RoleSpec, _: &Tags) -> Result<(String, RoleOutputs)> {
        none()
    }

    async fn update(_: &Cx, _: &RoleSpec, _: &RoleSpec, _: &Changes<'_>) -> Result<()> {
        none()
    }

    async fn delete(_: &Cx) -> Result<()> {
        none()
    }

    async fn retag(_: &Cx, _: &Tags, _: &[String]) -> Result<()> {
        none()
    }

    async fn owned(_: &Cx) -> Result<Vec<Owned>> {
        none()
    }
}

/// A kind that takes any fields.
struct Loose(&'static str);

static NO_FIELDS: std::sync::LazyLock<Fields> = std::sync::LazyLock::new(Fields::default);

#[async_trait]
impl AnyKind for Loose {
    fn type_name(&self) -> &'static str {
        self.0
    }

    fn title(&self) -> &'static str {
        "Anything"
    }

    fn delete_rank(&self) -> u8 {
        3
    }

    fn naming(&self) -> Naming {
        Naming::Name { pattern: ".*" }
    }

    fn tagging(&self) -> Tagging {
        Tagging::Full
    }

    fn tag_index(&self) -> Option<&'static str> {
        None
    }

    fn grants(&self) -> &'static [Grant] {
        &[]
    }

    fn spec_schema(&self) -> Value {
        json!({"type": "object", "additionalProperties": true})
    }

    fn output_schema(&self) -> Value {
        json!({"properties": {"arn": {}, "name": {}}})
    }

    fn fields(&self) -> &Fields {
        &NO_FIELDS
    }

    fn normal(&self, spec: &Value) -> std::result::Result<Value, Fault> {
        Ok(spec.clone())
    }

    fn prepare(&self, spec: &Value, _: &Files) -> std::result::Result<Value, Vec<Fault>> {
        Ok(spec.clone())
    }

    fn predict(&self, _: &Place, _: &Key, _: &Value) -> Outputs {
        Outputs::new()
    }

    fn physical_of_arn(&self, _: &str) -> Option<String> {
        None
    }

    async fn observe(&self, _: &Cx, _: Option<&Value>) -> Result<Option<Found>> {
        none()
    }

    async fn create(&self, _: &Cx, _: &Value, _: &Tags) -> Result<(String, Outputs)> {
        none()
    }

    async fn update(&self, _: &Cx, _: &Value, _: &Value, _: &[Change]) -> Result<()> {
        none()
    }

    async fn delete(&self, _: &Cx) -> Result<()> {
        none()
    }

    async fn retag(&self, _: &Cx, _: &Tags, _: &[String]) -> Result<()> {
        none()
    }

    async fn owned(&self, _: &Cx) -> Result<Vec<Owned>> {
        none()
    }
}
