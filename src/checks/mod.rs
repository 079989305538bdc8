//! Checks across resources of a loaded stack: mistakes that no single resource shows and that AWS reports late or never.
//!
//! Each family is one file and reads specs as values, by AWS's own field names. Nothing here talks to AWS.

mod agent;
mod analytics;
mod canary;
mod lock;
mod retirement;
pub(crate) mod sql;

use crate::stack::{Problem, Resource, Stack};

/// Runs all checks.
#[must_use]
pub fn run(stack: &Stack) -> Vec<Problem> {
    let mut problems = analytics::check(stack);
    problems.extend(agent::check(stack));
    problems.extend(canary::check(stack));
    problems.extend(lock::check(stack));
    problems.extend(retirement::check(stack));
    problems
}

/// Lists the resources of a kind.
fn of_kind<'a>(stack: &'a Stack, name: &'a str) -> impl Iterator<Item = &'a Resource> {
    stack.resources.values().filter(move |resource| resource.kind.type_name() == name)
}

/// Returns the path of a field in the file.
fn path_of(resource: &Resource, field: &str) -> String {
    format!("resources.{}.{field}", resource.id)
}
