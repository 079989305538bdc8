//! Kinds for tests of the loader and the checks: a stream, a role and loose kinds of any name.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aws::Cx;
use crate::kind::{AnyKind, Erased, Fault, Files, Grant, Kind, KindError, Naming, Observed, Owned, Result};

use super::load::{Loaded, load_text};
use super::problem::Report;
use super::variables::Inputs;

static STREAM: Erased<FakeStream> = Erased::new();
static ROLE: Erased<FakeRole> = Erased::new();
static APPLICATION: Erased<Loose<Application>> = Erased::new();
static INSTANCE: Erased<Loose<Instance>> = Erased::new();
static KINESIS: Erased<Loose<Stream>> = Erased::new();

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

/// Loads a text that is wrong, and returns what is told without places.
pub(crate) fn messages(text: &str) -> String {
    let told = load(text).unwrap_err().problems.into_iter();
    let lines: Vec<String> =
        told.map(|problem| format!("{} ({})", problem.message, problem.help.unwrap_or_default())).collect();
    lines.join("\n")
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
    const READS: &'static [&'static str] = &[];
    const LISTS: &'static [&'static str] = &[];
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
    const READS: &'static [&'static str] = &[];
    const LISTS: &'static [&'static str] = &[];
    type Spec = RoleSpec;
    type Outputs = RoleOutputs;

    async fn observe(_: &Cx, _: Option<&RoleSpec>) -> Result<Option<Observed<RoleSpec, RoleOutputs>>> {
        none()
    }

    async fn owned(_: &Cx) -> Result<Vec<Owned>> {
        none()
    }
}

/// The name of a loose kind.
pub(crate) trait Label: Send + Sync + 'static {
    const TYPE: &'static str;
}

pub(crate) struct Application;

impl Label for Application {
    const TYPE: &'static str = "kinesis_analytics_application";
}

pub(crate) struct Instance;

impl Label for Instance {
    const TYPE: &'static str = "ec2_instance";
}

pub(crate) struct Stream;

impl Label for Stream {
    const TYPE: &'static str = "kinesis_stream";
}

/// A kind that takes any fields.
pub(crate) struct Loose<L>(PhantomData<fn() -> L>);

type Fields = BTreeMap<String, Value>;

impl<L: Label> Kind for Loose<L> {
    const TYPE: &'static str = L::TYPE;
    const TITLE: &'static str = "Anything";
    const DELETE_RANK: u8 = 3;
    const NAMING: Naming = Naming::Name { pattern: ".*" };
    const READS: &'static [&'static str] = &[];
    const LISTS: &'static [&'static str] = &[];
    type Spec = Fields;
    type Outputs = StreamOutputs;

    async fn observe(_: &Cx, _: Option<&Fields>) -> Result<Option<Observed<Fields, StreamOutputs>>> {
        none()
    }

    async fn owned(_: &Cx) -> Result<Vec<Owned>> {
        none()
    }
}
