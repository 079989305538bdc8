//! Start, stop and deletion of applications, as the service's state machine allows (`facts/aws.md` 2.4, 2.6).

use serde_json::Value;

use super::super::{Call, Fault, Outcome, Tx};
use super::application::{Application, load, load_named};
use super::{empty, in_use, invalid, members, missing, note, required, text};

/// `StartApplication`: the application must be READY and each configuration must name one of its inputs.
pub(super) fn start(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let mut application = load(tx, call)?;
    let configurations = members(call.json(), "InputConfigurations");
    let status = application.status(call.now);
    if status != "READY" {
        return Err(in_use(&application.name, status));
    }
    if application.inputs.is_empty() {
        return Err(misconfigured(&application, "it has no input"));
    }
    if configurations.is_empty() {
        return Err(missing("inputConfigurations"));
    }
    for configuration in configurations {
        take_position(&mut application, configuration)?;
    }
    application.check_program().map_err(|why| misconfigured(&application, &why))?;
    let position = application.inputs.first().and_then(|input| input.position.get("InputStartingPosition")?.as_str());
    let since = match position {
        Some("TRIM_HORIZON") => Some(0),
        Some("LAST_STOPPED_POINT") => None,
        _ => Some(call.now),
    };
    note::begin(tx, &application.name, application.created, since, call.now)?;
    application.started = call.now;
    application.move_to(call, "STARTING", "RUNNING");
    application.save(tx, call.now)?;
    Ok(empty())
}

fn misconfigured(application: &Application, why: &str) -> Fault {
    let text = format!("Application {} cannot be started: {why}", application.name);
    Fault::new("InvalidApplicationConfigurationException", text)
}

fn take_position(application: &mut Application, configuration: &Value) -> Result<(), Fault> {
    let id = required(configuration, "Id")?;
    let given = configuration.get("InputStartingPositionConfiguration");
    let position = given.and_then(|given| text(given, "InputStartingPosition"));
    if position.is_some_and(|position| !matches!(position, "NOW" | "TRIM_HORIZON" | "LAST_STOPPED_POINT")) {
        return Err(invalid("InputStartingPosition must be NOW, TRIM_HORIZON or LAST_STOPPED_POINT"));
    }
    let name = application.name.clone();
    let input = application.inputs.iter_mut().find(|input| input.id == id);
    let input = input.ok_or_else(|| invalid(format!("Application {name} has no input with id {id}")))?;
    if let Some(position) = position {
        input.position.insert("InputStartingPosition".to_owned(), Value::from(position));
    }
    Ok(())
}

/// Stops a running application, as the service does by itself now and then.
pub(crate) fn halt(tx: &mut Tx<'_>, call: &Call, name: &str) -> Result<(), Fault> {
    let mut application = load_named(tx, call, name)?;
    let status = application.status(call.now);
    if status != "RUNNING" {
        return Err(in_use(&application.name, status));
    }
    application.move_to(call, "READY", "READY");
    application.save(tx, call.now)
}

/// `StopApplication`: only a running application can be stopped.
pub(super) fn stop(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let mut application = load(tx, call)?;
    let status = application.status(call.now);
    if status != "RUNNING" {
        return Err(in_use(&application.name, status));
    }
    application.move_to(call, "STOPPING", "READY");
    application.save(tx, call.now)?;
    Ok(empty())
}

/// `DeleteApplication`: allowed while running; the creation time must match to the second.
pub(super) fn delete(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let mut application = load(tx, call)?;
    let given = call.json().get("CreateTimestamp").and_then(Value::as_f64).ok_or_else(|| missing("createTimestamp"))?;
    if whole_seconds(given) != application.created.div_euclid(1000) {
        return Err(invalid(format!("CreateTimestamp does not match that of application {}", application.name)));
    }
    let status = application.status(call.now);
    if !matches!(status, "READY" | "RUNNING") {
        return Err(in_use(&application.name, status));
    }
    note::forget(tx, &application.name)?;
    application.move_to(call, "DELETING", "GONE");
    application.save(tx, call.now)?;
    Ok(empty())
}

#[expect(clippy::cast_possible_truncation, reason = "a float to integer cast saturates, and no such time matches")]
fn whole_seconds(seconds: f64) -> i64 {
    seconds.floor() as i64
}
