//! Tests of the program from outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod build;
mod chaos;
mod ci_examples;
mod cli;
mod crash;
mod data_path;
mod docs;
mod drift;
mod drift_formats;
mod faults;
mod functions;
mod hostile;
mod imports;
mod lifecycle;
mod limits;
mod local;
mod lock;
mod ministack;
mod moto;
mod permissions;
mod policy;
mod python;
mod round_trip;
mod saved;
mod schema;
mod send;
mod stack_files;
mod subscriptions;
mod support;
mod terraform;
mod verify;
