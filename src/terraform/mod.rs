//! Coming from Terraform or OpenTofu: a state file becomes a stack file.
//!
//! Pure: a text in, a [`Sheet`](crate::stack::write::Sheet) and what there is to say about it out. What the types of
//! Terraform mean is told by each kind ([`crate::kind::Peers`]); nothing here knows one.

mod ids;
mod import;
mod links;
mod secrets;
pub mod state;
#[cfg(test)]
mod tests;

pub use import::{Imported, Options, Unknown, import};
