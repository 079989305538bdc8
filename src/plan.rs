//! What has to happen, as data: one step a resource, with its action and, apart from it, the reason.
//!
//! Pure: the stack, its graph and what is live give a plan. The action decides; the reason only explains.

mod make;
pub mod permits;
pub mod saved;
mod shield;
mod ties;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::aws::marks;
use crate::diff::Change;
use crate::kind::{AnyKind, Found, Outputs, Place, Tags};
use crate::live;
use crate::stack::Stack;
pub use make::{differences, make};

/// What the user asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// Delete everything instead.
    pub destroy: bool,
    /// Only these and what they need; empty for all.
    pub targets: BTreeSet<String>,
    /// Not these, nor what needs them.
    pub excludes: BTreeSet<String>,
    /// Replace these although nothing forces it.
    pub replace: BTreeSet<String>,
    /// Delete what hangs on these resources' objects and is nobody's.
    pub prune: BTreeSet<String>,
    /// Take over what exists under these resources' names.
    pub adopt: Adopt,
    /// Which objects these are, where a name does not tell; they are taken over as well.
    pub given: live::Given,
}

impl Goal {
    /// Tells whether a foreign object may become a resource's.
    fn adopts(&self, id: &str) -> bool {
        self.adopt.takes(id) || self.given.contains_key(id)
    }
}

/// Which foreign objects become the stack's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adopt {
    /// None.
    #[default]
    Nothing,
    /// Those of some resources.
    Some(BTreeSet<String>),
    /// All that are in the way.
    All,
}

impl Adopt {
    fn takes(&self, id: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Some(ids) => ids.contains(id),
            Self::All => true,
        }
    }
}

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing.
    NoOp,
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is deleted and made anew.
    DeleteCreate,
    /// A new one is made, then the old one is deleted.
    CreateDelete,
    /// It is deleted.
    Delete,
    /// It stays in AWS and is no longer the stack's.
    Leave,
}

impl Action {
    /// Returns the sign that stands for it, as Terraform's users know it.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::NoOp => " ",
            Self::Create => "+",
            Self::Update => "~",
            Self::DeleteCreate => "-/+",
            Self::CreateDelete => "+/-",
            Self::Delete => "-",
            Self::Leave => "#",
        }
    }

    /// Tells whether the object is made or made anew.
    #[must_use]
    pub fn creates(self) -> bool {
        matches!(self, Self::Create | Self::DeleteCreate | Self::CreateDelete)
    }

    /// Tells whether an object is deleted.
    #[must_use]
    pub fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::DeleteCreate | Self::CreateDelete)
    }
}

/// Why a step is what it is; explains and never decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Reason {
    /// It does not exist.
    Missing,
    /// The file has changed since it was last applied.
    Pending,
    /// AWS differs from what was last applied.
    Drift,
    /// Only its tags differ.
    Tags,
    /// A difference that cannot be changed in place.
    CannotUpdate {
        /// Paths of the differences.
        paths: Vec<String>,
    },
    /// Its name in the file is another than before.
    Renamed {
        /// Identifier of the object under the old name.
        from: String,
    },
    /// Its id in the file is another than before.
    Moved {
        /// The former id.
        from: String,
    },
    /// What it has of another resource goes when that is made anew, and is given back.
    Undone {
        /// Logical id of the other one.
        by: String,
    },
    /// `--replace`.
    Requested,
    /// `--adopt`: it exists and becomes the stack's.
    Adopted,
    /// What is taken over has another ARN than the stack would give it: it lies on another IAM path, and the sweep for
    /// what has left the file looks on the stack's own path only.
    Astray,
    /// The file no longer lists it.
    Removed,
    /// The file does not list it below this resource: `--prune`.
    Undeclared {
        /// Logical id of what it hangs on.
        parent: String,
    },
    /// The stack is being destroyed.
    Destroyed,
    /// `retain: true`.
    Retained,
}

/// One resource's part of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Logical id.
    pub id: String,
    /// Its kind.
    #[serde(rename = "type", serialize_with = "type_name")]
    pub kind: &'static dyn AnyKind,
    /// Name.
    pub name: String,
    /// Identifier in AWS of the object that exists.
    pub physical: Option<String>,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Differences of the spec.
    pub changes: Vec<Change>,
    /// Tags that are set, without the mark of the spec's hash.
    pub set_tags: Tags,
    /// Tags that are removed.
    pub remove_tags: Vec<String>,
    /// Wanted spec as far as it is known; null when there is none.
    pub want: Value,
    /// Fields and tags whose values must not be shown, besides those of the kind.
    #[serde(skip)]
    pub hidden: BTreeSet<String>,
    /// What exists.
    #[serde(skip)]
    pub found: Option<Found>,
    /// Whether it stands in the file.
    #[serde(skip)]
    pub in_file: bool,
}

fn type_name<S: Serializer>(kind: &&'static dyn AnyKind, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(kind.type_name())
}

/// Something that a plan cannot do, and what the user can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocked {
    /// Logical id or type.
    pub id: String,
    /// What is in the way.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// What has to happen to a stack.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Name of the stack.
    pub stack: String,
    /// Region.
    pub region: String,
    /// Account.
    pub account: String,
    /// One step a resource, in the order of the graph; then what the file no longer lists.
    pub steps: Vec<Step>,
    /// What is in the way; a plan with any of these is not applied.
    pub blocked: Vec<Blocked>,
    /// Values of the stack's outputs as far as they are known.
    pub outputs: IndexMap<String, Value>,
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Made, or made anew.
    pub add: usize,
    /// Changed in place.
    pub change: usize,
    /// Deleted, or made anew.
    pub destroy: usize,
    /// Left in AWS.
    pub leave: usize,
}

/// Lists entries of `moved:` whose former id nothing in AWS has any more.
#[must_use]
pub fn settled_moves<'a>(stack: &'a Stack, live: &live::Live) -> Vec<&'a str> {
    // What cannot be read may have it.
    if !live.unreadable.is_empty() {
        return Vec::new();
    }
    let marked = live.found.values().filter_map(|found| marks::resource_of(&found.tags));
    let known: BTreeSet<&str> = marked.chain(live.orphans.iter().map(|orphan| orphan.id.as_str())).collect();
    stack.moved.keys().map(String::as_str).filter(|old| !known.contains(old)).collect()
}

impl Plan {
    /// Returns the steps that do something.
    pub fn active(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.action != Action::NoOp)
    }

    /// Tells whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.active().next().is_none()
    }

    /// Counts the steps.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let count = |test: &dyn Fn(Action) -> bool| self.steps.iter().filter(|step| test(step.action)).count();
        Counts {
            add: count(&Action::creates),
            change: count(&|action| action == Action::Update),
            destroy: count(&Action::deletes),
            leave: count(&|action| action == Action::Leave),
        }
    }
}

/// Fills in the stack's outputs as far as the resources' outputs are known.
#[must_use]
pub fn resolve_outputs(stack: &Stack, place: &Place, known: &BTreeMap<String, Outputs>) -> IndexMap<String, Value> {
    use crate::stack::reference::Reference;
    let value = |template: &Value| {
        crate::stack::resolve::fill(template, &|reference| match reference {
            Reference::Place(name) => live::place_value(place, &stack.name, name),
            Reference::Output { id, output } => known.get(id).and_then(|outputs| outputs.get(output)).cloned(),
            _ => None,
        })
    };
    stack.outputs.iter().map(|(name, template)| (name.clone(), value(template))).collect()
}
