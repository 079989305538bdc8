//! An application's row, its creation and how it is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::store::Table;
use super::super::{Answer, Call, Fault, Outcome, Tx};
use super::{checks, in_use, invalid, members, missing, parts, required, sql, tags, text};

pub(crate) const TABLE: Table = Table::regional("analytics.application");
/// Applications per region (`facts/aws.md` 2.7).
const MOST_APPLICATIONS: usize = 50;
const LONGEST_PAGE: u64 = 50;

/// One application as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Application {
    pub(crate) arn: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) code: String,
    pub(crate) version: u64,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    /// State that the application is in or moves to: READY, RUNNING, or GONE.
    pub(crate) goal: String,
    /// State shown until `ready_at`.
    pub(crate) moving: String,
    pub(crate) ready_at: i64,
    /// When it was last started.
    #[serde(default)]
    pub(crate) started: i64,
    pub(crate) inputs: Vec<Part>,
    pub(crate) outputs: Vec<Part>,
    pub(crate) references: Vec<Part>,
    pub(crate) logging: Vec<Part>,
}

/// An input, output, reference or logging option in the form of its create request, with the id that the service gave it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) id: String,
    pub(crate) body: Value,
    /// `InputStartingPositionConfiguration` of an input; empty until the first start.
    #[serde(default)]
    pub(crate) position: Map<String, Value>,
}

impl Application {
    /// Returns the state at one moment.
    pub(crate) fn status(&self, now: i64) -> &str {
        if now < self.ready_at { &self.moving } else { &self.goal }
    }

    /// Sends the application on the way to a state.
    pub(super) fn move_to(&mut self, call: &Call, moving: &str, goal: &str) {
        moving.clone_into(&mut self.moving);
        goal.clone_into(&mut self.goal);
        self.ready_at = call.now + call.delay;
    }

    /// Returns the next free id: the version that brings the part, and its number within that version.
    pub(super) fn next_id(&self) -> String {
        let all = self.inputs.iter().chain(&self.outputs).chain(&self.references).chain(&self.logging);
        let start = format!("{}.", self.version);
        let last = all.filter_map(|part| part.id.strip_prefix(&start)?.parse::<u32>().ok()).max();
        format!("{start}{}", last.unwrap_or(0) + 1)
    }

    /// Writes the row, or removes it once its deletion has come to its end.
    pub(super) fn save(&self, tx: &mut Tx<'_>, now: i64) -> Result<(), Fault> {
        if self.status(now) == "GONE" {
            return tx.delete(TABLE, &self.name).map(drop);
        }
        tx.put(TABLE, &self.name, self)
    }
}

/// Reads an application by the call's `ApplicationName`.
pub(super) fn load(tx: &mut Tx<'_>, call: &Call) -> Result<Application, Fault> {
    load_named(tx, call, required(call.json(), "ApplicationName")?)
}

/// Reads an application by name.
pub(super) fn load_named(tx: &mut Tx<'_>, call: &Call, name: &str) -> Result<Application, Fault> {
    let found: Option<Application> = tx.get(TABLE, name)?;
    found.filter(|application| application.status(call.now) != "GONE").ok_or_else(|| {
        Fault::new("ResourceNotFoundException", format!("Application {name} under account {} not found", call.account))
    })
}

/// Reads an application for an edit: the version must be current and the state READY or RUNNING (`facts/aws.md` 2.5).
pub(super) fn load_for_edit(tx: &mut Tx<'_>, call: &Call) -> Result<Application, Fault> {
    let application = load(tx, call)?;
    let version = call.json().get("CurrentApplicationVersionId").and_then(Value::as_u64);
    let version = version.ok_or_else(|| missing("currentApplicationVersionId"))?;
    let status = application.status(call.now);
    if !matches!(status, "READY" | "RUNNING") {
        return Err(in_use(&application.name, status));
    }
    if version != application.version {
        let text = format!("CurrentApplicationVersionId {version} is not the current version {}", application.version);
        return Err(Fault::new("ConcurrentModificationException", text));
    }
    Ok(application)
}

/// Keeps an edited application: one version on, UPDATING for a while, then back to its state.
pub(super) fn commit_edit(tx: &mut Tx<'_>, call: &Call, mut application: Application) -> Outcome {
    application.version += 1;
    application.updated = call.now;
    let goal = application.goal.clone();
    application.move_to(call, "UPDATING", &goal);
    application.save(tx, call.now)?;
    Ok(super::empty())
}

/// `CreateApplication`.
pub(super) fn create(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let body = call.json();
    let name = required(body, "ApplicationName")?;
    checks::name("applicationName", name, 128, checks::is_name_letter)?;
    refuse_existing(tx, call, name)?;
    let mut application = fresh(call, name, body)?;
    sql::check(&application.code)?;
    application.tags = tags::parse(members(body, "Tags"))?;
    for input in members(body, "Inputs") {
        parts::push_input(tx, call, &mut application, input)?;
    }
    for output in members(body, "Outputs") {
        parts::push_output(tx, call, &mut application, output)?;
    }
    for option in members(body, "CloudWatchLoggingOptions") {
        parts::push_logging(tx, &mut application, option)?;
    }
    application.check_names()?;
    application.save(tx, call.now)?;
    Ok(Answer::json(json!({ "ApplicationSummary": summary(&application, call.now) })))
}

fn refuse_existing(tx: &mut Tx<'_>, call: &Call, name: &str) -> Result<(), Fault> {
    let all = live(tx, call)?;
    if all.iter().any(|application| application.name == name) {
        return Err(Fault::new("ResourceInUseException", format!("Application {name} already exists")));
    }
    if all.len() >= MOST_APPLICATIONS {
        let text = format!("The limit of {MOST_APPLICATIONS} applications per region is reached");
        return Err(Fault::new("LimitExceededException", text));
    }
    Ok(())
}

fn fresh(call: &Call, name: &str, body: &Value) -> Result<Application, Fault> {
    let description = text(body, "ApplicationDescription");
    checks::length("applicationDescription", description.unwrap_or_default(), 0, 1024)?;
    Ok(Application {
        arn: call.arn("kinesisanalytics", &format!("application/{name}")),
        tags: BTreeMap::new(),
        name: name.to_owned(),
        description: description.map(str::to_owned),
        code: text(body, "ApplicationCode").unwrap_or_default().to_owned(),
        version: 1,
        created: call.now,
        updated: call.now,
        goal: "READY".to_owned(),
        moving: String::new(),
        ready_at: 0,
        started: 0,
        inputs: Vec::new(),
        outputs: Vec::new(),
        references: Vec::new(),
        logging: Vec::new(),
    })
}

/// `DescribeApplication`.
pub(super) fn describe(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let application = load(tx, call)?;
    Ok(Answer::json(json!({ "ApplicationDetail": detail(&application, call.now) })))
}

/// `ListApplications`: pages by name (`facts/aws.md` 2.1).
pub(super) fn list(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let limit = call.json().get("Limit").and_then(Value::as_u64).unwrap_or(LONGEST_PAGE);
    if !(1..=LONGEST_PAGE).contains(&limit) {
        return Err(invalid(format!("Limit {limit} is not between 1 and {LONGEST_PAGE}")));
    }
    let after = text(call.json(), "ExclusiveStartApplicationName").unwrap_or_default();
    let rest: Vec<_> = live(tx, call)?.into_iter().filter(|application| application.name.as_str() > after).collect();
    let page: Vec<_> = rest.iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
    let more = page.len() < rest.len();
    let summaries: Vec<_> = page.into_iter().map(|application| summary(application, call.now)).collect();
    Ok(Answer::json(json!({ "ApplicationSummaries": summaries, "HasMoreApplications": more })))
}

pub(super) fn live(tx: &mut Tx<'_>, call: &Call) -> Result<Vec<Application>, Fault> {
    let (gone, live): (Vec<_>, Vec<_>) = tx
        .list::<Application>(TABLE)?
        .into_iter()
        .map(|(_, application)| application)
        .partition(|application| application.status(call.now) == "GONE");
    for application in gone {
        tx.delete(TABLE, &application.name)?;
    }
    Ok(live)
}

fn summary(application: &Application, now: i64) -> Value {
    json!({
        "ApplicationName": application.name,
        "ApplicationARN": application.arn,
        "ApplicationStatus": application.status(now),
    })
}

fn detail(application: &Application, now: i64) -> Value {
    let mut shown = summary(application, now);
    if let Some(description) = &application.description {
        shown["ApplicationDescription"] = json!(description);
    }
    shown["CreateTimestamp"] = seconds(application.created);
    shown["LastUpdateTimestamp"] = seconds(application.updated);
    shown["ApplicationCode"] = json!(application.code);
    shown["ApplicationVersionId"] = json!(application.version);
    shown["InputDescriptions"] = application.inputs.iter().map(parts::show_input).collect();
    shown["OutputDescriptions"] = application.outputs.iter().map(parts::show_output).collect();
    shown["ReferenceDataSourceDescriptions"] = application.references.iter().map(parts::show_reference).collect();
    shown["CloudWatchLoggingOptionDescriptions"] = application.logging.iter().map(parts::show_logging).collect();
    shown
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of this era fit a double exactly")]
fn seconds(milliseconds: i64) -> Value {
    json!(milliseconds as f64 / 1000.0)
}
