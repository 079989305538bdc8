//! The parts of an application: inputs, outputs, reference data and logging, added, changed and removed.
//!
//! A part is kept in the form of its create request and checked again as a whole after every change, so that
//! no update can bring what a create would refuse.

use serde_json::{Map, Value, json};

use super::super::{Call, Fault, Outcome, Tx};
use super::application::{Application, Part, commit_edit, load_for_edit};
use super::{checks, invalid, members, missing, required, sql, text};

const SOURCES: &[&str] = &["KinesisStreamsInput", "KinesisFirehoseInput"];
const DESTINATIONS: &[&str] = &["KinesisStreamsOutput", "KinesisFirehoseOutput", "LambdaOutput"];

fn push(list: &mut Vec<Part>, id: String, body: &Value, most: usize, what: &str) -> Result<(), Fault> {
    if list.len() >= most {
        let text = format!("An application can have {most} {what} at most");
        return Err(if what == "inputs" { invalid(text) } else { Fault::new("LimitExceededException", text) });
    }
    list.push(Part { id, body: body.clone(), position: Map::new() });
    Ok(())
}

/// Adds an input to an application that is being made or edited.
pub(super) fn push_input(
    tx: &mut Tx<'_>,
    call: &Call,
    application: &mut Application,
    body: &Value,
) -> Result<(), Fault> {
    checks::input(tx, call, body)?;
    let id = application.next_id();
    push(&mut application.inputs, id, body, 1, "inputs")
}

/// Adds an output to an application that is being made or edited.
pub(super) fn push_output(
    tx: &mut Tx<'_>,
    call: &Call,
    application: &mut Application,
    body: &Value,
) -> Result<(), Fault> {
    checks::output(tx, call, body)?;
    let name = required(body, "Name")?;
    if application.outputs.iter().any(|output| text(&output.body, "Name") == Some(name)) {
        return Err(invalid(format!("Application {} already has an output with name {name}", application.name)));
    }
    let id = application.next_id();
    push(&mut application.outputs, id, body, 3, "outputs")
}

/// Adds a logging option to an application that is being made or edited.
pub(super) fn push_logging(tx: &mut Tx<'_>, application: &mut Application, body: &Value) -> Result<(), Fault> {
    checks::logging(tx, body)?;
    let id = application.next_id();
    push(&mut application.logging, id, body, 1, "logging options")
}

/// `AddApplicationInput`.
pub(super) fn add_input(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    add(tx, call, "Input", |tx, application, body| push_input(tx, call, application, body))
}

/// `AddApplicationOutput`.
pub(super) fn add_output(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    add(tx, call, "Output", |tx, application, body| push_output(tx, call, application, body))
}

/// `AddApplicationCloudWatchLoggingOption`.
pub(super) fn add_logging(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    add(tx, call, "CloudWatchLoggingOption", push_logging)
}

/// `AddApplicationReferenceDataSource`.
pub(super) fn add_reference(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    add(tx, call, "ReferenceDataSource", |tx, application, body| {
        checks::reference(tx, body)?;
        let id = application.next_id();
        push(&mut application.references, id, body, 1, "reference data sources")
    })
}

fn add(
    tx: &mut Tx<'_>,
    call: &Call,
    field: &str,
    push: impl FnOnce(&mut Tx<'_>, &mut Application, &Value) -> Result<(), Fault>,
) -> Outcome {
    let mut application = load_for_edit(tx, call)?;
    let body = call.json().get(field).ok_or_else(|| missing(field))?;
    // Ids carry the version that the part comes with, which is the one after the current.
    application.version += 1;
    push(tx, &mut application, body)?;
    application.version -= 1;
    commit_edit(tx, call, application)
}

/// `AddApplicationInputProcessingConfiguration`.
pub(super) fn add_processing(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let mut application = load_for_edit(tx, call)?;
    let field = "InputProcessingConfiguration";
    let configuration = call.json().get(field).ok_or_else(|| missing(field))?;
    checks::processing(tx, call, configuration)?;
    let input = find(&mut application.inputs, required(call.json(), "InputId")?)?;
    if input.body.get(field).is_some() {
        return Err(invalid(format!("Input {} already has an input processing configuration", input.id)));
    }
    input.body[field] = configuration.clone();
    commit_edit(tx, call, application)
}

/// `DeleteApplicationInputProcessingConfiguration`.
pub(super) fn delete_processing(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let mut application = load_for_edit(tx, call)?;
    let input = find(&mut application.inputs, required(call.json(), "InputId")?)?;
    let removed = input.body.as_object_mut().and_then(|body| body.shift_remove("InputProcessingConfiguration"));
    removed.ok_or_else(|| not_found(&input.id))?;
    commit_edit(tx, call, application)
}

/// `DeleteApplicationOutput`.
pub(super) fn delete_output(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    remove(tx, call, "OutputId", |application| &mut application.outputs)
}

/// `DeleteApplicationReferenceDataSource`.
pub(super) fn delete_reference(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    remove(tx, call, "ReferenceId", |application| &mut application.references)
}

/// `DeleteApplicationCloudWatchLoggingOption`.
pub(super) fn delete_logging(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    remove(tx, call, "CloudWatchLoggingOptionId", |application| &mut application.logging)
}

fn remove(tx: &mut Tx<'_>, call: &Call, field: &str, list: fn(&mut Application) -> &mut Vec<Part>) -> Outcome {
    let mut application = load_for_edit(tx, call)?;
    let id = required(call.json(), field)?;
    let parts = list(&mut application);
    find(parts, id)?;
    parts.retain(|part| part.id != id);
    commit_edit(tx, call, application)
}

fn find<'a>(parts: &'a mut [Part], id: &str) -> Result<&'a mut Part, Fault> {
    parts.iter_mut().find(|part| part.id == id).ok_or_else(|| not_found(id))
}

fn not_found(id: &str) -> Fault {
    Fault::new("ResourceNotFoundException", format!("The application has no such part with id {id}"))
}

/// `UpdateApplication`: code and changes of existing parts, as one version (`facts/aws.md` 2.5).
pub(super) fn update(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let mut application = load_for_edit(tx, call)?;
    let changes = call.json().get("ApplicationUpdate").ok_or_else(|| missing("applicationUpdate"))?;
    if let Some(code) = text(changes, "ApplicationCodeUpdate") {
        sql::check(code)?;
        code.clone_into(&mut application.code);
    }
    for change in members(changes, "InputUpdates") {
        let input = change_part(&mut application.inputs, change, "InputId", SOURCES)?;
        checks::input(tx, call, input)?;
    }
    for change in members(changes, "OutputUpdates") {
        let output = change_part(&mut application.outputs, change, "OutputId", DESTINATIONS)?;
        checks::output(tx, call, output)?;
    }
    for change in members(changes, "ReferenceDataSourceUpdates") {
        checks::reference(tx, change_part(&mut application.references, change, "ReferenceId", &[])?)?;
    }
    for change in members(changes, "CloudWatchLoggingOptionUpdates") {
        checks::logging(tx, change_part(&mut application.logging, change, "CloudWatchLoggingOptionId", &[])?)?;
    }
    if text(changes, "ApplicationCodeUpdate").is_some() {
        application.check_names()?;
    }
    commit_edit(tx, call, application)
}

fn change_part<'a>(parts: &'a mut [Part], change: &Value, id: &str, choices: &[&str]) -> Result<&'a Value, Fault> {
    let part = find(parts, required(change, id)?)?;
    merge(&mut part.body, change);
    // Naming another source or destination takes the place of the one before.
    let chosen = choices.iter().find(|choice| change.get(format!("{choice}Update")).is_some());
    if let (Some(chosen), Some(body)) = (chosen, part.body.as_object_mut()) {
        body.retain(|field, _| field == chosen || !choices.contains(&field.as_str()));
    }
    Ok(&part.body)
}

/// Carries `FieldUpdate` members over to `Field`; a structure made of such members is merged, any other replaced.
fn merge(body: &mut Value, change: &Value) {
    for (field, value) in change.as_object().into_iter().flatten() {
        let Some(field) = target_field(field) else { continue };
        let nested = value.as_object().is_some_and(|inner| inner.keys().any(|key| target_field(key).is_some()));
        if nested {
            let slot = &mut body[field.as_str()];
            if slot.is_null() {
                *slot = json!({});
            }
            merge(slot, value);
        } else {
            body[field.as_str()] = value.clone();
        }
    }
}

fn target_field(field: &str) -> Option<String> {
    if let Some(stem) = field.strip_suffix("Updates") {
        return Some(format!("{stem}s"));
    }
    field.strip_suffix("Update").map(str::to_owned)
}

/// Shows an input as `InputDescription`; in-application streams are numbered from the prefix (`facts/aws.md` 2.2).
pub(super) fn show_input(part: &Part) -> Value {
    let prefix = text(&part.body, "NamePrefix").unwrap_or_default();
    let names = part.stream_names();
    let count = names.len();
    let mut shown = json!({ "InputId": part.id, "NamePrefix": prefix, "InAppStreamNames": names });
    if let Some(processor) = part.body.pointer("/InputProcessingConfiguration/InputLambdaProcessor") {
        shown["InputProcessingConfigurationDescription"] = json!({ "InputLambdaProcessorDescription": processor });
    }
    describe_choice(&mut shown, part, SOURCES);
    shown["InputSchema"] = part.body["InputSchema"].clone();
    shown["InputParallelism"] = json!({ "Count": count });
    shown["InputStartingPositionConfiguration"] = Value::Object(part.position.clone());
    shown
}

/// Shows an output as `OutputDescription`.
pub(super) fn show_output(part: &Part) -> Value {
    let mut shown = json!({ "OutputId": part.id, "Name": part.body["Name"] });
    describe_choice(&mut shown, part, DESTINATIONS);
    shown["DestinationSchema"] = part.body["DestinationSchema"].clone();
    shown
}

/// Shows a reference data source as `ReferenceDataSourceDescription`.
pub(super) fn show_reference(part: &Part) -> Value {
    let mut shown = json!({ "ReferenceId": part.id, "TableName": part.body["TableName"] });
    describe_choice(&mut shown, part, &["S3ReferenceDataSource"]);
    shown["ReferenceSchema"] = part.body["ReferenceSchema"].clone();
    shown
}

/// Shows a logging option as `CloudWatchLoggingOptionDescription`.
pub(super) fn show_logging(part: &Part) -> Value {
    let body = &part.body;
    json!({ "CloudWatchLoggingOptionId": part.id, "LogStreamARN": body["LogStreamARN"], "RoleARN": body["RoleARN"] })
}

fn describe_choice(shown: &mut Value, part: &Part, choices: &[&str]) {
    for choice in choices {
        if let Some(body) = part.body.get(*choice) {
            shown[format!("{choice}Description")] = body.clone();
        }
    }
}
