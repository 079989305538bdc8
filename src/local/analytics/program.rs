//! From an application's row to the program that runs it, and what the control plane refuses because of it.
//!
//! The service checked code when it was given: a name that is nowhere is refused then. What only the local cloud
//! cannot run is accepted, as the service accepted it, and refused when the application is started.

use std::sync::Arc;

use serde_json::Value;

use super::super::Fault;
use super::application::{Application, Part};
use super::run::{Program, Refused, Schema, Session, Stream};
use super::text;

impl Application {
    /// Compiles the code with the streams of the inputs.
    pub(crate) fn program(&self) -> Result<Program, Refused> {
        let mut streams = Vec::new();
        for input in &self.inputs {
            let schema = input.schema()?;
            streams.extend(input.stream_names().iter().map(|name| Stream::input(name, &schema.columns)));
        }
        let tables: Vec<String> =
            self.references.iter().filter_map(|part| text(&part.body, "TableName")).map(str::to_owned).collect();
        Program::compile(&self.code, streams, &tables)
    }

    /// Refuses code with a name that is nowhere. Without inputs nothing is sure yet.
    pub(super) fn check_names(&self) -> Result<(), Fault> {
        if self.inputs.is_empty() || self.code.trim().is_empty() {
            return Ok(());
        }
        match self.program() {
            Err(why) if why.is_unknown_name() => Err(Fault::new("CodeValidationException", why.to_string())),
            _ => Ok(()),
        }
    }

    /// Refuses what the local cloud could not run.
    pub(super) fn check_program(&self) -> Result<(), String> {
        let program = self.program().map_err(|why| why.to_string())?;
        Session::start(Arc::new(program)).map(drop).map_err(|why| why.to_string())
    }
}

impl Part {
    /// Reads the schema of an input.
    pub(crate) fn schema(&self) -> Result<Schema, Refused> {
        Schema::read(&self.body["InputSchema"])
    }

    /// Names the in-application streams of an input: numbered from the prefix (`facts/aws.md` 2.2).
    pub(crate) fn stream_names(&self) -> Vec<String> {
        let count = self.body.pointer("/InputParallelism/Count").and_then(Value::as_u64).unwrap_or(1);
        let prefix = text(&self.body, "NamePrefix").unwrap_or_default();
        (1..=count).map(|number| format!("{prefix}_{number:03}")).collect()
    }
}
