//! `output`: the stack's outputs, from what is live.

use serde_json::{Value, json};

use super::{DONE, open};
use crate::cli::{Globals, OutputArgs, RunFormat, StackArgs};
use crate::diff::is_unknown;
use crate::failure::Failure;
use crate::plan::resolve_outputs;
use crate::report::{Screen, values};

/// Runs the command.
pub(super) async fn run(globals: &Globals, args: &OutputArgs, screen: &mut Screen) -> Result<u8, Failure> {
    let stack = StackArgs { stack: args.stack.clone(), vars: args.vars.clone(), var_files: args.var_files.clone() };
    let opened = open(globals, &stack, screen).await?;
    let live = opened.observe().await;
    let known = live.found.into_iter().map(|(id, found)| (id, found.outputs)).collect();
    let outputs = resolve_outputs(&opened.stack, &opened.aws.place, &known);
    let text = match (&args.name, args.format) {
        (None, RunFormat::Json) => return screen.json(&json!(outputs)).map(|()| DONE).map_err(Failure::from),
        (None, RunFormat::Text) => {
            outputs.iter().map(|(name, value)| format!("{name} = {}\n", values::short(value))).collect()
        }
        (Some(name), format) => one(outputs.get(name), name, format)?,
    };
    screen.result(&text)?;
    Ok(DONE)
}

fn one(value: Option<&Value>, name: &str, format: RunFormat) -> Result<String, Failure> {
    match value {
        None => Err(Failure::new(format!("the stack has no output `{name}`"))),
        Some(value) if is_unknown(value) => {
            Err(Failure::new(format!("output `{name}` has no value yet")).help("apply the stack first"))
        }
        Some(Value::String(text)) if format == RunFormat::Text => Ok(format!("{text}\n")),
        Some(value) => Ok(format!("{value}\n")),
    }
}
