//! Event source mappings: made, changed and deleted with their states (`facts/aws.md` 11b).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::store::Table;
use super::super::{Answer, Call, Fault, Outcome, Tx, flow};
use super::mapping_source::Source;
use super::{conflict, function, mapping_options, mapping_source, not_found, required, tags, text};

pub(super) const MAPPINGS: Table = Table::regional("lambda.mapping");

/// One mapping as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Mapping {
    pub(super) arn: String,
    pub(super) tags: BTreeMap<String, String>,
    /// `EventSourceMappingConfiguration` without the state.
    pub(super) view: Map<String, Value>,
    moving: String,
    /// Enabled, Disabled or Gone.
    goal: String,
    ready_at: i64,
    /// When the mapping was enabled first: `LATEST` counts from then on.
    #[serde(default)]
    pub(super) since: Option<i64>,
}

impl Mapping {
    pub(super) fn text(&self, field: &str) -> &str {
        self.view.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn state(&self, now: i64) -> &str {
        if now < self.ready_at { &self.moving } else { &self.goal }
    }

    pub(super) fn move_to(&mut self, call: &Call, moving: &str, goal: &str) {
        moving.clone_into(&mut self.moving);
        goal.clone_into(&mut self.goal);
        self.ready_at = call.now + call.delay;
        if goal == "Enabled" {
            self.since.get_or_insert(self.ready_at);
        }
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this era fit a double exactly")]
        let seconds = call.now as f64 / 1000.0;
        self.view.insert("LastModified".to_owned(), json!(seconds));
    }

    /// Shows the mapping with its state at the moment.
    pub(super) fn shown(&self, now: i64) -> Value {
        let mut shown = Value::Object(self.view.clone());
        shown["State"] = json!(self.state(now));
        shown
    }

    // The answer to a change shows the state on the way, even when the way takes no time.
    fn shown_moving(&self) -> Answer {
        let mut shown = Value::Object(self.view.clone());
        shown["State"] = json!(self.moving);
        Answer::Json(202, shown)
    }

    pub(super) fn save(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        tx.put(MAPPINGS, self.text("UUID"), self)
    }

    fn must_be_settled(&self, call: &Call, what: &str) -> Result<(), Fault> {
        if matches!(self.state(call.now), "Enabled" | "Disabled") {
            return Ok(());
        }
        Err(Fault::new(
            "ResourceInUseException",
            format!("Cannot {what} the event source mapping because it is in use."),
        ))
    }
}

/// Reads a mapping by its UUID.
pub(super) fn load(tx: &Tx<'_>, call: &Call, id: &str) -> Result<Mapping, Fault> {
    let found: Option<Mapping> = tx.get(MAPPINGS, id)?;
    found
        .filter(|row| row.state(call.now) != "Gone")
        .ok_or_else(|| not_found("The resource you requested does not exist."))
}

/// Returns all mappings that have a text in them; those whose deletion is over are removed on the way.
pub(super) fn live(tx: &mut Tx<'_>, call: &Call, text: &str) -> Result<Vec<Mapping>, Fault> {
    let (gone, live): (Vec<_>, Vec<_>) = tx
        .list_with::<Mapping>(MAPPINGS, text)?
        .into_iter()
        .map(|(_, row)| row)
        .partition(|row| row.state(call.now) == "Gone");
    for row in gone {
        remove(tx, row.text("UUID"))?;
    }
    Ok(live)
}

/// Removes a mapping with all that is known of how far it has read.
fn remove(tx: &mut Tx<'_>, id: &str) -> Result<(), Fault> {
    flow::forget(tx, id)?;
    tx.delete(MAPPINGS, id).map(drop)
}

/// `CreateEventSourceMapping`.
pub(super) fn create(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let body = call.json();
    let source = Source::parse(call, required(body, "EventSourceArn")?)?;
    let function = function::load(tx, call, required(body, "FunctionName")?)?;
    let tags = tags::parse(body.get("Tags"))?;
    mapping_options::check(&source, body)?;
    mapping_source::check_position(&source, body)?;
    mapping_source::check_access(tx, function.text("Role"), &source)?;
    mapping_source::check_destination(tx, function.text("Role"), body)?;
    refuse_duplicate(tx, call, &source, &function.arn)?;
    let id = uuid::Uuid::new_v4().to_string();
    let arn = call.arn("lambda", &format!("event-source-mapping:{id}"));
    let view = json!({
        "UUID": id, "EventSourceArn": source.arn, "FunctionArn": function.arn, "EventSourceMappingArn": arn,
        "StateTransitionReason": "User action", "LastProcessingResult": "No records processed",
    });
    let mut row = Mapping {
        arn,
        tags,
        view: view.as_object().cloned().unwrap_or_default(),
        moving: String::new(),
        goal: String::new(),
        ready_at: 0,
        since: None,
    };
    row.view.extend(mapping_options::defaults(&source));
    mapping_options::apply(&mut row.view, body);
    for field in ["StartingPosition", "StartingPositionTimestamp"] {
        if let Some(value) = body.get(field).filter(|value| !value.is_null()) {
            row.view.insert(field.to_owned(), value.clone());
        }
    }
    let enabled = body.get("Enabled").and_then(Value::as_bool).unwrap_or(true);
    row.move_to(call, "Creating", if enabled { "Enabled" } else { "Disabled" });
    row.save(tx)?;
    Ok(row.shown_moving())
}

/// Refuses a second mapping of the same source and function; the text names the first.
fn refuse_duplicate(tx: &mut Tx<'_>, call: &Call, source: &Source, function: &str) -> Result<(), Fault> {
    let all = live(tx, call, function)?;
    let twin = all.iter().find(|row| row.text("EventSourceArn") == source.arn && row.text("FunctionArn") == function);
    let Some(twin) = twin else { return Ok(()) };
    let (arn, id) = (&source.arn, twin.text("UUID"));
    let end = format!("Please update or delete the existing mapping with UUID {id}");
    Err(conflict(if source.is_queue() {
        format!(
            "An event source mapping with SQS arn (\" {arn} \") and function (\" {function} \") already exists. {end}"
        )
    } else {
        format!(
            "The event source arn (\" {arn} \") and function (\" {function} \") provided mapping already exists. {end}"
        )
    }))
}

/// `GetEventSourceMapping`.
pub(super) fn get(tx: &mut Tx<'_>, call: &Call, id: &str) -> Outcome {
    Ok(Answer::json(load(tx, call, id)?.shown(call.now)))
}

/// `UpdateEventSourceMapping`.
pub(super) fn update(tx: &mut Tx<'_>, call: &Call, id: &str) -> Outcome {
    let mut row = load(tx, call, id)?;
    row.must_be_settled(call, "update")?;
    let body = call.json();
    let source = Source::parse(call, row.text("EventSourceArn"))?;
    let function = text(body, "FunctionName").map(|given| function::load(tx, call, given)).transpose()?;
    let mut merged = Value::Object(row.view.clone());
    if let (Some(merged), Some(body)) = (merged.as_object_mut(), body.as_object()) {
        merged.extend(body.clone());
    }
    mapping_options::check(&source, &merged)?;
    if let Some(function) = &function {
        if function.arn != row.text("FunctionArn") {
            refuse_duplicate(tx, call, &source, &function.arn)?;
        }
        mapping_source::check_access(tx, function.text("Role"), &source)?;
        row.view.insert("FunctionArn".to_owned(), json!(function.arn));
    }
    if body.get("DestinationConfig").is_some() {
        let function = function::load(tx, call, row.text("FunctionArn"))?;
        mapping_source::check_destination(tx, function.text("Role"), body)?;
    }
    mapping_options::apply(&mut row.view, body);
    let goal = match body.get("Enabled").and_then(Value::as_bool) {
        Some(true) => "Enabled".to_owned(),
        Some(false) => "Disabled".to_owned(),
        None => row.goal.clone(),
    };
    let moving = match (row.goal.as_str(), goal.as_str()) {
        ("Disabled", "Enabled") => "Enabling",
        ("Enabled", "Disabled") => "Disabling",
        _ => "Updating",
    };
    row.move_to(call, moving, &goal);
    row.save(tx)?;
    Ok(row.shown_moving())
}

/// `DeleteEventSourceMapping`.
pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, id: &str) -> Outcome {
    let mut row = load(tx, call, id)?;
    row.must_be_settled(call, "delete")?;
    row.move_to(call, "Deleting", "Gone");
    if call.delay == 0 {
        remove(tx, id)?;
    } else {
        row.save(tx)?;
    }
    Ok(row.shown_moving())
}
