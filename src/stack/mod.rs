//! A stack file as data: what the user wants, checked, with references still in place.
//!
//! [`load`] makes a [`Stack`] from YAML or returns every problem of the file at once, each with its place. Nothing
//! here talks to AWS.

pub mod canary;
mod common;
#[cfg(test)]
pub(crate) mod fake;
mod fields;
mod given;
mod grants;
pub mod harmless;
pub mod ignore;
mod links;
pub mod load;
pub mod lock;
mod moves;
pub mod problem;
pub mod reference;
mod render;
pub mod resolve;
mod resource;
pub mod schema;
pub mod secrets;
pub mod spans;
mod substitute;
pub mod suggest;
mod text;
pub mod variables;
pub mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Value;

use crate::kind::{AnyKind, Key, Tags};
pub use common::duration;
pub use given::Given;
pub use problem::{Problem, Report, Severity};

/// A loaded and checked stack file.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Identity of the stack.
    pub name: String,
    /// The file it came from, as the user named it.
    pub file: PathBuf,
    /// Region of the file; without it the AWS chain's.
    pub region: Option<String>,
    /// Accounts it may be applied to; empty means any.
    pub accounts: Vec<String>,
    /// Resources in the order of the file, without those whose `when` is unset.
    pub resources: IndexMap<String, Resource>,
    /// Outputs, as templates.
    pub outputs: IndexMap<String, Value>,
    /// Ids of today by former ones.
    pub moved: IndexMap<String, String>,
    /// The record that `verify --canary` sends through.
    pub canary: Option<canary::Canary>,
    /// Where runs that change the stack take turns.
    pub lock: Option<lock::Lock>,
    /// What the drift check overlooks.
    pub ignore: Vec<ignore::Rule>,
    /// Values of sensitive variables, to be masked wherever they would show.
    pub secrets: Vec<String>,
    /// Variables that were given a value from outside the file.
    pub given: BTreeMap<String, Given>,
    /// The file's text and the places in it, for messages about it after loading.
    pub source: spans::Source,
}

/// One resource of a stack.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Logical id: its key in the file.
    pub id: String,
    /// Its kind.
    pub kind: &'static dyn AnyKind,
    /// Its name; the id unless the file says otherwise.
    pub name: String,
    /// Its spec in normal form; strings may hold `${id.output}`, `${region}` and `${account}`.
    pub spec: Value,
    /// Resources that it waits for without referring to them.
    pub depends_on: Vec<String>,
    /// Its own and the stack's tags, without ownership marks.
    pub tags: Tags,
    /// Refuses to delete or replace it.
    pub protect: bool,
    /// Leaves it in AWS when it is removed from the file or destroyed.
    pub retain: bool,
    /// Paths whose differences do not matter.
    pub ignore_changes: Vec<String>,
    /// Fields that take a secret too short to be found by its text; `tags.KEY` for a tag.
    pub hidden: BTreeSet<String>,
    /// Time limits by verb: `create`, `update`, `delete`.
    pub timeouts: BTreeMap<String, Duration>,
}

impl Stack {
    /// Returns the key by which a resource of this stack is looked up.
    #[must_use]
    pub fn key(&self, resource: &Resource) -> Key {
        Key { stack: self.name.clone(), id: resource.id.clone(), name: resource.name.clone(), physical: None }
    }

    /// Returns the resource that an object is marked for: the same type, by its id or its former one.
    #[must_use]
    pub fn marked_for(&self, id: &str, kind: &dyn AnyKind) -> Option<&Resource> {
        let id = self.moved.get(id).map_or(id, String::as_str);
        self.resources.get(id).filter(|resource| resource.kind.type_name() == kind.type_name())
    }
}
