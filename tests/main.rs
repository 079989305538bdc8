//! Tests of the program from outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod build;
mod cli;
mod data_path;
mod drift;
mod functions;
mod imports;
mod lifecycle;
mod local;
mod ministack;
mod moto;
mod permissions;
mod policy;
mod python;
mod round_trip;
mod schema;
mod send;
mod stack_files;
mod support;
mod verify;
