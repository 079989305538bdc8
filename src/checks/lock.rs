//! Whether the table of `lock:` lives longer than the stack that it guards.

use super::of_kind;
use crate::stack::problem::Spot;
use crate::stack::{Problem, Resource, Stack};

/// Refuses a lock in a table of the stack itself: nothing could be applied before it exists, and a destroy would
/// delete its own lease.
pub(super) fn check(stack: &Stack) -> Vec<Problem> {
    let Some(lock) = &stack.lock else { return Vec::new() };
    let own = of_kind(stack, "dynamodb_table").find(|resource| resource.name == lock.table);
    let problem = |resource: &Resource| {
        Problem::error("lock.table", format!("the table {} belongs to the stack that it would guard", lock.table))
            .label("this table")
            .also(format!("resources.{}", resource.id), Spot::Value, "is a resource of the stack")
            .help("make the table in a stack of its own, without `lock:`; one table serves all stacks")
    };
    own.map(problem).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::stack::load::{Inputs, load_text};

    #[test]
    fn the_table_is_not_a_resource_of_the_stack() {
        let load = |name: &str| {
            let text = format!(
                "stack: s\nresources:\n  locks:\n    type: dynamodb_table\n    name: {name}\n    hash_key: {{name: LockID, type: S}}\n    billing_mode: PAY_PER_REQUEST\nlock: {{table: run-locks}}\n"
            );
            load_text(&text, Path::new("stack.yaml"), &Inputs::default(), crate::kinds::all())
        };
        assert!(load("other-locks").is_ok());
        insta::assert_snapshot!(load("run-locks").unwrap_err().render(false, 100));
    }
}
