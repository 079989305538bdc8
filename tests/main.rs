//! Tests.

mod stack_files;
