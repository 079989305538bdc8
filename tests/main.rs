//! Tests.

mod python;
mod schema;
mod stack_files;
