//! `plan`: shows what apply would do, and writes nothing to AWS. Saves the plan when asked to.

use std::path::Path;

use super::{DONE, Opened, endpoint, goal, headline, open, planfile};
use crate::cli::{Globals, PlanArgs, PlanFormat};
use crate::failure::Failure;
use crate::kinds;
use crate::plan::saved::{Saved, Sources};
use crate::plan::{Goal, Plan};
use crate::report::{Screen, documents, plan as text};

/// Exit code of a plan with changes under `--detailed-exitcode`.
const CHANGES: u8 = 2;

/// Runs the command.
pub(super) async fn run(globals: &Globals, args: &PlanArgs, screen: &mut Screen) -> Result<u8, Failure> {
    if let Some(file) = &args.out {
        planfile::check_free(file)?;
    }
    let opened = open(globals, &args.stack, screen).await?;
    let goal = goal(&args.goal, args.destroy, &opened.stack)?;
    let plan = opened.plan_for(&goal, screen).await;
    let Some(file) = &args.out else {
        show(&headline("Plan for", &opened, globals.local), &plan, args.format, screen)?;
        return Ok(exit_code(&plan, args.detailed_exitcode));
    };
    if !plan.blocked.is_empty() {
        show(&headline("Plan for", &opened, globals.local), &plan, args.format, screen)?;
        let message = format!("the plan cannot be carried out like this, and was not saved to {}", file.display());
        return Err(Failure::new(message).help("do what the help above says, and plan again"));
    }
    let saved = saved(globals, &opened, &plan, &goal)?;
    // What is shown is what is saved.
    let shown = saved.plan(&kinds::find).map_err(Failure::new)?;
    show(&headline("Plan for", &opened, globals.local), &shown, args.format, screen)?;
    planfile::write(file, &saved)?;
    screen.note(&closing(file, &saved));
    Ok(exit_code(&plan, args.detailed_exitcode))
}

/// Makes a plan of this command into one that can be kept.
pub(super) fn saved(globals: &Globals, opened: &Opened, plan: &Plan, goal: &Goal) -> Result<Saved, Failure> {
    if opened.stack.file.to_str().is_none() {
        let path = opened.stack.file.display();
        return Err(Failure::new(format!("a plan cannot name the stack file {path}: its name is not UTF-8")));
    }
    let sources = Sources {
        stack: &opened.stack,
        goal,
        place: &opened.aws.place,
        endpoint: endpoint(globals, &opened.aws),
        tool: env!("CARGO_PKG_VERSION"),
    };
    Ok(Saved::of(plan, sources))
}

/// Shows a plan.
pub(super) fn show(headline: &str, plan: &Plan, format: PlanFormat, screen: &Screen) -> Result<(), Failure> {
    match format {
        PlanFormat::Text => {
            screen.note(headline);
            screen.result(&text::text(plan, screen.paint))?;
        }
        PlanFormat::Json => screen.json(&documents::plan_json(plan))?,
        PlanFormat::Markdown => screen.result(&documents::plan_markdown(plan))?,
    }
    Ok(())
}

fn closing(file: &Path, saved: &Saved) -> String {
    let file = file.display();
    let secrets: String = saved.secrets().map(|name| format!(" --var {name}=…")).collect();
    let note = if secrets.is_empty() { "" } else { "\nValues of sensitive variables are not in it: give them again." };
    format!("\nSaved to {file}. To carry out exactly this: stackctl apply {file}{secrets}{note}\n")
}

fn exit_code(plan: &Plan, detailed: bool) -> u8 {
    match (plan.blocked.is_empty(), plan.is_empty(), detailed) {
        (false, _, _) => 1,
        (true, false, true) => CHANGES,
        _ => DONE,
    }
}
