//! Checks across resources of a loaded stack: mistakes that no single resource shows and that AWS reports late or never.
//!
//! Each family is one file. Nothing here talks to AWS.

use crate::stack::{Problem, Stack};

/// Runs all checks.
#[must_use]
pub fn run(stack: &Stack) -> Vec<Problem> {
    let _ = stack;
    Vec::new()
}
