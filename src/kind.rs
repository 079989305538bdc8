//! The one interface between the engine and AWS resource types.
//!
//! A type of resource is a [`Kind`]: a spec (one Rust type for what the file wants and what AWS has), its outputs, and
//! what can be read of it. What can be done to it is a trait of its own, [`Writes`], so that whoever holds a kind can
//! look and nothing else. The engine sees kinds through [`AnyKind`] and [`AnyWrites`], which speak JSON values;
//! [`Erased`] bridges the two, once for all. Nothing here knows a particular service.

mod changes;
mod demand;
mod erased;
mod path;
mod peers;
mod writes;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::aws::Cx;
pub use crate::aws::error::{Class, KindError};
use crate::diff::{Change, Fields};
pub use changes::Changes;
pub use demand::{Ask, Demand, Lack};
pub use erased::Erased;
pub use path::{Check, End, Holder, Hop, Need, Path, Side, State};
pub use peers::{
    Attributes, CloudFormation, Draft, Import, PARAMETER, Peers, Piece, TagForm, Terraform, parameter, pascal,
    pascal_word, properties,
};
pub use writes::{AnyWrites, Right, Writes};

/// Result of a verb.
pub type Result<T> = std::result::Result<T, KindError>;

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// Named values that other resources may refer to.
pub type Outputs = Map<String, Value>;

/// Where a stack lives: what ARNs are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Partition, such as `aws` or `aws-cn`.
    pub partition: String,
    /// Region, such as `us-east-1`.
    pub region: String,
    /// Account number, twelve digits.
    pub account: String,
}

impl Place {
    /// Builds the ARN of a regional resource.
    #[must_use]
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{resource}", self.partition, self.region, self.account)
    }

    /// Builds the ARN of an IAM entity, which has no region.
    #[must_use]
    pub fn iam_arn(&self, resource: &str) -> String {
        format!("arn:{}:iam::{}:{resource}", self.partition, self.account)
    }
}

/// Which object a verb is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Key {
    /// Name of the stack.
    pub stack: String,
    /// Logical id: the key in the stack file.
    pub id: String,
    /// `name:` of the resource; for kinds with names, the name in AWS.
    pub name: String,
    /// Identifier in AWS by which the kind addresses the object, once known: a name, an ARN or an id, as the kind likes.
    pub physical: Option<String>,
}

impl Key {
    /// Returns the physical identifier when known, else the name.
    #[must_use]
    pub fn handle(&self) -> &str {
        self.physical.as_deref().unwrap_or(&self.name)
    }
}

/// What `observe` found, with the kind's own types.
#[derive(Debug, Clone)]
pub struct Observed<S, O> {
    /// Identifier for later verbs.
    pub physical: String,
    /// The object in normal form: everything filled in, defaults as the spec's own defaults.
    pub spec: S,
    /// Its outputs.
    pub outputs: O,
    /// Its tags, ownership marks included.
    pub tags: Tags,
    /// A word for `show`, such as `ACTIVE` or `RUNNING`.
    pub status: Option<String>,
    /// Since when and why it does not run, where AWS says so.
    pub halt: Option<Halt>,
}

/// Since when and why something does not run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Halt {
    /// When it stopped, as AWS writes it.
    pub since: Option<String>,
    /// AWS's reason.
    pub reason: Option<String>,
}

/// An object of another kind that hangs on this one, such as a subscription on a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Its kind's `type:`.
    pub kind: &'static str,
    /// Identifier by which its kind addresses it.
    pub physical: String,
}

/// What `observe` found, as values.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// Identifier for later verbs.
    pub physical: String,
    /// The object in normal form.
    pub spec: Value,
    /// Its outputs.
    pub outputs: Outputs,
    /// Its tags, ownership marks included.
    pub tags: Tags,
    /// A word for `show`.
    pub status: Option<String>,
    /// Since when and why it does not run, where AWS says so.
    pub halt: Option<Halt>,
}

/// Something that carries this stack's tags, as a sweep saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// Identifier for later verbs.
    pub physical: String,
    /// Its tags.
    pub tags: Tags,
}

/// Which tags a kind can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagging {
    /// Any tags.
    Full,
    /// Ownership marks only, kept on a tagged parent.
    OwnershipOnly,
}

/// How objects of a kind are told apart in AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// By a name of the user's choice, unique per account and region; the pattern is a regular expression for all of it.
    Name {
        /// Regular expression that the whole name matches.
        pattern: &'static str,
    },
    /// By an identifier that AWS makes up; `name:` is only a label.
    Assigned,
}

/// What a kind permits another resource's role to do with it: one `grants:` verb.
#[derive(Debug, Clone, Copy)]
pub struct Grant {
    /// The verb, such as `read`.
    pub verb: &'static str,
    /// IAM actions.
    pub actions: &'static [&'static str],
    /// Suffixes of the ARN that the actions apply to; `""` is the object itself.
    pub resources: &'static [&'static str],
}

/// Local surroundings of a stack file, for [`Kind::prepare`].
#[derive(Debug, Clone)]
pub struct Files {
    /// Folder of the stack file; paths in it are relative to this.
    pub dir: PathBuf,
    /// Name of the stack.
    pub stack: String,
}

/// One thing wrong with a spec, at a path below the resource, such as `global_secondary_indexes.0.index_name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Dotted path below the resource; empty for the resource as a whole.
    pub path: String,
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Fault {
    /// Makes a fault at a path.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), help: None }
    }

    /// Adds advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// One type of AWS resource. Each implementation is one file in `kinds/`.
///
/// Everything here only reads. The spec's serialised form is its normal form: two specs that AWS would treat alike
/// serialise alike.
///
/// Extensions that the differ reads from fields (`#[schemars(extend("x-…" = true))]`):
/// `x-immutable` a change forces replacement · `x-computed` AWS chooses when unset, so unset is never compared ·
/// `x-source` local input that AWS never shows, never compared · `x-derived` filled by `prepare`, not by users ·
/// `x-sensitive` shown masked · `x-pins` AWS does not delete an object of this type while the field names it ·
/// `x-loses` the field's value goes when the object of this type that it names is deleted · `x-status` whether it runs,
/// so that a difference means that it has stopped, or was started, by itself · `x-children` a list
/// or map of things that people add one by one, so that one too many is told apart from one that is different.
pub trait Kind: Send + Sync + 'static {
    /// `type:` in a stack file.
    const TYPE: &'static str;
    /// What it is, in a few words.
    const TITLE: &'static str;
    /// Place in the fixed order of deletion, lowest first (`facts/aws.md` 18.2).
    const DELETE_RANK: u8;
    /// How its objects are told apart.
    const NAMING: Naming;
    /// Which tags it carries.
    const TAGGING: Tagging = Tagging::Full;
    /// Its resource type in the Resource Groups Tagging API, such as `kinesis:stream`, where that index is reliable.
    const TAG_INDEX: Option<&'static str> = None;
    /// IAM actions of what `observe`, `children` and `remains` ask, such as `kinesis:DescribeStreamSummary`.
    const READS: &'static [&'static str];
    /// IAM actions that only `owned` asks, and what goes with it where there is no reliable tag index.
    const LISTS: &'static [&'static str];
    /// IAM actions that only `probe` and `arrivals` ask.
    const PROBES: &'static [&'static str] = &[];
    /// What roles can be granted on it.
    const GRANTS: &'static [Grant] = &[];
    /// What it is on the way of data.
    const PATH: Path = Path::NONE;
    /// What other tools call its objects.
    const PEERS: Peers = Peers::NONE;

    /// Wanted and found state.
    type Spec: Serialize + DeserializeOwned + JsonSchema + Clone + fmt::Debug + Send + Sync + 'static;
    /// What other resources may refer to.
    type Outputs: Serialize + JsonSchema + Send + Sync + 'static;

    /// Fills derived fields from local files and short forms, once, when the file is loaded.
    ///
    /// # Errors
    /// Returns everything that is wrong with the fields.
    fn prepare(spec: &mut Self::Spec, files: &Files) -> std::result::Result<(), Vec<Fault>> {
        let _ = (spec, files);
        Ok(())
    }

    /// Checks what types cannot say, offline. Strings may still hold `${…}` references.
    #[must_use]
    fn check(spec: &Self::Spec) -> Vec<Fault> {
        let _ = spec;
        Vec::new()
    }

    /// Returns the outputs that can be told before the object exists: an object whose unknown values are absent.
    #[must_use]
    fn predict(place: &Place, key: &Key, want: &Self::Spec) -> Outputs {
        let _ = (place, key, want);
        Outputs::new()
    }

    /// Returns fields whose difference forces replacement for reasons that a mark on the field cannot tell.
    #[must_use]
    fn replaces(want: &Self::Spec, found: &Self::Spec) -> Vec<String> {
        let _ = (want, found);
        Vec::new()
    }

    /// Returns what AWS does not let an update do and no replacement should be made for unasked.
    #[must_use]
    fn refuses(want: &Self::Spec, found: &Self::Spec) -> Option<Fault> {
        let _ = (want, found);
        None
    }

    /// Tells whether a replacement can be made only after the old object is gone.
    #[must_use]
    fn collides(want: &Self::Spec, found: &Self::Spec) -> bool {
        let _ = (want, found);
        matches!(Self::NAMING, Naming::Name { .. })
    }

    /// Returns the outputs that an update with these changes makes anew, so that they are unknown until it is done.
    #[must_use]
    fn renews(changes: &Changes<'_>) -> &'static [&'static str] {
        let _ = changes;
        &[]
    }

    /// Returns the physical identifier behind an ARN of the tagging API.
    #[must_use]
    fn physical_of_arn(arn: &str) -> Option<String> {
        arn.rsplit(['/', ':']).next().map(str::to_owned)
    }

    /// Returns the ways that data takes by this object. Strings may still hold `${…}` references.
    #[must_use]
    fn hops(spec: &Self::Spec) -> Vec<Hop> {
        let _ = spec;
        Vec::new()
    }

    /// Returns the role that it works with, or what hands it one: an ARN, a name or a reference.
    #[must_use]
    fn role(spec: &Self::Spec) -> Option<String> {
        let _ = spec;
        None
    }

    /// Returns what AWS asks of roles before it makes or changes the object.
    #[must_use]
    fn demands(spec: &Self::Spec) -> Vec<Demand> {
        let _ = spec;
        Vec::new()
    }

    /// Looks at one of the object's hops, as it is in AWS; reads only.
    fn probe(
        cx: &Cx,
        hop: &Hop,
        want: &Self::Spec,
        found: &Self::Spec,
    ) -> impl Future<Output = Result<Vec<Check>>> + Send {
        let _ = (cx, hop, want, found);
        async { Ok(Vec::new()) }
    }

    /// Looks whether data has come in lately; reads only.
    #[must_use]
    fn arrivals(cx: &Cx) -> impl Future<Output = Result<Vec<Check>>> + Send {
        let _ = cx;
        async { Ok(Vec::new()) }
    }

    /// Tells whether an identifier that `owned` gave means the object with this spec, besides its own identifier.
    #[must_use]
    fn is_also(spec: &Self::Spec, physical: &str) -> bool {
        let _ = (spec, physical);
        false
    }

    /// Looks the object up: by `key.physical` when known, else by name or, for kinds without names, by what `want` says.
    fn observe(
        cx: &Cx,
        want: Option<&Self::Spec>,
    ) -> impl Future<Output = Result<Option<Observed<Self::Spec, Self::Outputs>>>> + Send;

    /// Looks for what AWS still shows of an object that is gone: since when and why.
    #[must_use]
    fn remains(cx: &Cx) -> impl Future<Output = Result<Option<Halt>>> + Send {
        let _ = cx;
        async { Ok(None) }
    }

    /// Lists the objects of other kinds that hang on `cx.key.physical`, whoever made them.
    #[must_use]
    fn children(cx: &Cx) -> impl Future<Output = Result<Vec<Child>>> + Send {
        let _ = cx;
        async { Ok(Vec::new()) }
    }

    /// Lists what carries the tags of `cx.key.stack`, by the service's own calls.
    fn owned(cx: &Cx) -> impl Future<Output = Result<Vec<Owned>>> + Send;
}

/// A kind as the engine sees it: JSON values instead of types.
#[async_trait]
pub trait AnyKind: Send + Sync {
    /// `type:` in a stack file.
    fn type_name(&self) -> &'static str;
    /// What it is, in a few words.
    fn title(&self) -> &'static str;
    /// Place in the order of deletion.
    fn delete_rank(&self) -> u8;
    /// How its objects are told apart.
    fn naming(&self) -> Naming;
    /// Which tags it carries.
    fn tagging(&self) -> Tagging;
    /// Type in the tagging API.
    fn tag_index(&self) -> Option<&'static str>;
    /// What roles can be granted on it.
    fn grants(&self) -> &'static [Grant];
    /// See [`Kind::READS`].
    fn reads(&self) -> &'static [&'static str];
    /// See [`Kind::LISTS`].
    fn lists(&self) -> &'static [&'static str];
    /// See [`Kind::PROBES`].
    fn probes(&self) -> &'static [&'static str];
    /// JSON Schema of the spec.
    fn spec_schema(&self) -> &'static Value;
    /// JSON Schema of the outputs.
    fn output_schema(&self) -> &'static Value;
    /// What the differ needs to know of each field.
    fn fields(&self) -> &'static Fields;
    /// Brings a spec to normal form.
    ///
    /// # Errors
    /// Returns the path and text of the first thing that does not fit.
    fn normal(&self, spec: &Value) -> std::result::Result<Value, Fault>;
    /// Fills derived fields and checks, see [`Kind::prepare`] and [`Kind::check`].
    ///
    /// # Errors
    /// Returns everything that is wrong.
    fn prepare(&self, spec: &Value, files: &Files) -> std::result::Result<Value, Vec<Fault>>;
    /// See [`Kind::predict`].
    fn predict(&self, place: &Place, key: &Key, want: &Value) -> Outputs;
    /// See [`Kind::replaces`].
    fn replaces(&self, want: &Value, found: &Value) -> Vec<String>;
    /// See [`Kind::refuses`].
    fn refuses(&self, want: &Value, found: &Value) -> Option<Fault>;
    /// See [`Kind::collides`].
    fn collides(&self, want: &Value, found: &Value) -> bool;
    /// See [`Kind::renews`].
    fn renews(&self, changes: &[Change]) -> &'static [&'static str];
    /// See [`Kind::physical_of_arn`].
    fn physical_of_arn(&self, arn: &str) -> Option<String>;
    /// See [`Kind::is_also`].
    fn is_also(&self, spec: &Value, physical: &str) -> bool {
        let _ = (spec, physical);
        false
    }
    /// See [`Kind::observe`].
    async fn observe(&self, cx: &Cx, want: Option<&Value>) -> Result<Option<Found>>;
    /// What it is on the way of data.
    fn path(&self) -> Path;
    /// What other tools call its objects.
    fn peers(&self) -> Peers {
        Peers::NONE
    }
    /// See [`Kind::hops`].
    fn hops(&self, spec: &Value) -> Vec<Hop>;
    /// See [`Kind::role`].
    fn role(&self, spec: &Value) -> Option<String>;
    /// See [`Kind::demands`].
    fn demands(&self, _: &Value) -> Vec<Demand> {
        Vec::new()
    }
    /// See [`Kind::probe`].
    async fn probe(&self, cx: &Cx, hop: &Hop, want: &Value, found: &Value) -> Result<Vec<Check>>;
    /// See [`Kind::arrivals`].
    async fn arrivals(&self, cx: &Cx) -> Result<Vec<Check>>;
    /// See [`Kind::remains`].
    async fn remains(&self, cx: &Cx) -> Result<Option<Halt>>;
    /// See [`Kind::children`]; looks the object up by `cx.key.physical`.
    async fn children(&self, cx: &Cx) -> Result<Vec<Child>>;
    /// See [`Kind::owned`].
    async fn owned(&self, cx: &Cx) -> Result<Vec<Owned>>;
}

impl fmt::Debug for dyn AnyKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.type_name())
    }
}
