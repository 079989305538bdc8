//! Leaving: what a stack has in AWS, in the words of other tools that are to take it over.
//!
//! Pure: the stack and what is live in, files out. What types are called elsewhere is told by each kind
//! ([`crate::kind::Peers`]).

mod cloudformation;
mod terraform;

use crate::aws::marks;
use crate::kind::Found;
use crate::live::Live;
use crate::stack::{Resource, Stack};

pub use cloudformation::cloudformation;
pub use terraform::terraform;

/// Files for another tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Export {
    /// Name and text of each.
    pub files: Vec<(&'static str, String)>,
    /// How many objects they tell of.
    pub count: usize,
    /// What they do not tell of, and why.
    pub missing: Vec<Missing>,
    /// Parameters that the user has to give.
    pub parameters: Vec<String>,
}

/// A resource that the other tool cannot take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Logical id.
    pub id: String,
    /// Its type.
    pub kind: &'static str,
    /// Why not.
    pub reason: String,
}

impl Missing {
    fn new(resource: &Resource, reason: impl Into<String>) -> Self {
        Self { id: resource.id.clone(), kind: resource.kind.type_name(), reason: reason.into() }
    }
}

/// Returns a resource's object, which must be there and the stack's.
fn own<'a>(stack: &Stack, live: &'a Live, resource: &Resource) -> Result<&'a Found, Missing> {
    let found = live.found.get(&resource.id).ok_or_else(|| Missing::new(resource, "it is not there"))?;
    if marks::stack_of(&found.tags) == Some(&stack.name) {
        return Ok(found);
    }
    Err(Missing::new(resource, "it is not this stack's"))
}
