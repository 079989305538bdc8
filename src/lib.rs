//! Plans, applies and destroys streaming stacks on AWS from one YAML file.
//!
//! The program is a pipeline of plain data: [`stack`] loads and checks the file, [`graph`] orders it, [`live`] asks AWS
//! what exists, [`diff`] and [`plan`] say what has to happen, [`apply`] does it, [`report`] tells the user. `live` and
//! `apply` talk to AWS through the [`kind::Kind`] of each resource. Beside the pipeline, [`drift`] tells how AWS differs
//! and by whose doing, [`send`] puts records into a stream and [`verify`] looks whether they get through; [`lease`] lets
//! runs on the same stack take turns. [`local`] is an AWS on the user's machine.

pub mod apply;
pub mod aws;
pub mod checks;
pub mod cli;
pub mod commands;
pub mod diff;
pub mod drift;
pub mod entry;
pub mod export;
pub mod failure;
pub mod graph;
pub mod kind;
pub mod kinds;
pub mod lease;
pub mod live;
pub(crate) mod local;
pub mod package;
pub mod plan;
pub mod policy;
pub mod report;
pub mod send;
pub mod session;
pub mod stack;
pub mod terraform;
pub mod verify;
