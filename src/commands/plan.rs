//! `plan`: shows what apply would do, and writes nothing to AWS.

use super::{DONE, goal, headline, open};
use crate::cli::{Globals, PlanArgs, PlanFormat};
use crate::failure::Failure;
use crate::plan::{self, Plan};
use crate::report::{Screen, documents, plan as text};

/// Exit code of a plan with changes under `--detailed-exitcode`.
const CHANGES: u8 = 2;

/// Runs the command.
pub(super) async fn run(globals: &Globals, args: &PlanArgs, screen: &mut Screen) -> Result<u8, Failure> {
    let opened = open(globals, &args.stack, screen).await?;
    let goal = goal(&args.goal, args.destroy, &opened.stack)?;
    let live = opened.observe_for(&goal, screen).await;
    let plan = plan::make(&opened.stack, &opened.graph, &live, &opened.aws.place, &goal);
    match args.format {
        PlanFormat::Text => {
            screen.note(&headline("Plan for", &opened, globals.local));
            screen.result(&text::text(&plan, screen.paint))?;
        }
        PlanFormat::Json => screen.json(&documents::plan_json(&plan))?,
        PlanFormat::Markdown => screen.result(&documents::plan_markdown(&plan))?,
    }
    Ok(exit_code(&plan, args.detailed_exitcode))
}

fn exit_code(plan: &Plan, detailed: bool) -> u8 {
    match (plan.blocked.is_empty(), plan.is_empty(), detailed) {
        (false, _, _) => 1,
        (true, false, true) => CHANGES,
        _ => DONE,
    }
}
