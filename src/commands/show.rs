//! `show`: what is live of the stack, with its status; or a saved plan, as `plan` showed it.

use std::path::Path;

use serde_json::{Value, json};

use super::plan::show as show_plan;
use super::{DONE, Opened, headline, headline_of, open, planfile};
use crate::aws::marks;
use crate::cli::{Globals, PlanFormat, RunFormat, ShowArgs};
use crate::failure::Failure;
use crate::kinds;
use crate::live::Live;
use crate::plan::saved::Endpoint;
use crate::report::documents::FORMAT_VERSION;
use crate::report::{Screen, line, safe};

struct Row {
    id: String,
    kind: &'static str,
    physical: String,
    status: String,
    outputs: Value,
}

/// Runs the command.
pub(super) async fn run(globals: &Globals, args: &ShowArgs, screen: &mut Screen) -> Result<u8, Failure> {
    if let Some(file) = planfile::named(&args.stack) {
        return planned(file, args, screen);
    }
    let opened = open(globals, &args.stack, screen).await?;
    let live = opened.observe().await;
    let rows = rows(&opened, &live);
    if args.format == RunFormat::Json {
        screen.json(&document(&opened, &rows))?;
    } else {
        screen.note(&headline("Live resources of", &opened, globals.local));
        screen.result(&table(&rows))?;
    }
    match live.unreadable.first() {
        Some(unreadable) => Err(Failure::new(format!("{} could not be read: {}", unreadable.what, unreadable.error))),
        None => Ok(DONE),
    }
}

/// Shows a saved plan, without asking AWS anything.
fn planned(file: &Path, args: &ShowArgs, screen: &Screen) -> Result<u8, Failure> {
    if !args.stack.vars.is_empty() || !args.stack.var_files.is_empty() {
        return Err(Failure::usage("--var and --var-file cannot be used with a saved plan, which has its values"));
    }
    let saved = planfile::read(file)?;
    let plan = saved.plan(&kinds::find).map_err(|reason| {
        Failure::new(format!("could not show the saved plan {}: {reason}", file.display()))
            .help("show it with the version of stackctl that made it, or plan again")
    })?;
    let local = saved.place.endpoint == Endpoint::Local;
    let headline = headline_of("Plan for", &plan.stack, &plan.region, &plan.account, local);
    let format = match args.format {
        RunFormat::Text => PlanFormat::Text,
        RunFormat::Json => PlanFormat::Json,
    };
    show_plan(&headline, &plan, format, screen)?;
    Ok(DONE)
}

fn rows(opened: &Opened, live: &Live) -> Vec<Row> {
    let row = |id: &String, kind: &'static str, note: &str| {
        let found = live.found.get(id);
        let status = match found {
            None => "not there".to_owned(),
            Some(found) if marks::stack_of(&found.tags) != Some(&opened.stack.name) => {
                "exists, not of this stack".to_owned()
            }
            Some(found) => found.status.clone().unwrap_or_else(|| "exists".to_owned()),
        };
        Row {
            id: id.clone(),
            kind,
            physical: found.map(|found| found.physical.clone()).unwrap_or_default(),
            status: format!("{status}{note}"),
            outputs: json!(found.map(|found| &found.outputs)),
        }
    };
    let mut rows: Vec<_> =
        opened.stack.resources.values().map(|resource| row(&resource.id, resource.kind.type_name(), "")).collect();
    rows.extend(live.orphans.iter().map(|orphan| Row {
        id: orphan.id.clone(),
        kind: orphan.kind.type_name(),
        physical: orphan.found.physical.clone(),
        status: format!("{}, no longer in the file", orphan.found.status.as_deref().unwrap_or("exists")),
        outputs: json!(orphan.found.outputs),
    }));
    rows
}

fn document(opened: &Opened, rows: &[Row]) -> Value {
    let row = |row: &Row| json!({"id": row.id, "type": row.kind, "physical_id": row.physical, "status": row.status, "outputs": row.outputs});
    json!({
        "format_version": FORMAT_VERSION,
        "stack": opened.stack.name,
        "region": opened.aws.place.region,
        "account": opened.aws.place.account,
        "resources": rows.iter().map(row).collect::<Vec<_>>(),
    })
}

fn table(rows: &[Row]) -> String {
    let title = |row: &Row| line(&format!("{}.{}", row.kind, row.id));
    let width = rows.iter().map(|row| title(row).chars().count()).max().unwrap_or(0);
    let shown = |row: &Row| {
        let physical = if row.physical.is_empty() || row.physical == row.id {
            String::new()
        } else {
            format!("  [{}]", line(&row.physical))
        };
        let status = safe(&row.status);
        let (first, rest) = status.split_once('\n').unwrap_or((&status, ""));
        let more: String = rest.lines().map(|line| format!("{:width$}    {line}\n", "")).collect();
        format!("{:width$}  {first}{physical}\n{more}", title(row))
    };
    rows.iter().map(shown).collect()
}
