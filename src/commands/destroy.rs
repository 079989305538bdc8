//! `destroy`: deletes what the stack owns, then looks again and proves that nothing is left.

use serde_json::json;

use super::apply::{execute, finish, show};
use super::confirm::{Signals, check_asking, confirm};
use super::guard::{Guard, guarded};
use super::{DONE, Opened, goal, headline, open};
use crate::cli::{DestroyArgs, Globals, GoalArgs, RunArgs, RunFormat};
use crate::failure::Failure;
use crate::plan::{self, Goal, Plan};
use crate::report::events::JsonLines;
use crate::report::{Screen, count};

/// Runs the command.
pub(super) async fn run(globals: &Globals, args: &DestroyArgs, screen: &mut Screen) -> Result<u8, Failure> {
    check_asking(args.run.auto_approve)?;
    let opened = open(globals, &args.stack, screen).await?;
    let work = async |guard: &Guard| alone(globals, args, &opened, guard, screen).await;
    guarded(&opened, "destroy", &args.run, screen, work).await
}

/// Looks, plans, asks, does it and looks again, while no other run may.
async fn alone(
    globals: &Globals,
    args: &DestroyArgs,
    opened: &Opened,
    guard: &Guard,
    screen: &Screen,
) -> Result<u8, Failure> {
    let wish = GoalArgs { targets: args.targets.clone(), excludes: args.excludes.clone(), ..GoalArgs::default() };
    let goal = goal(&wish, true, &opened.stack)?;
    let live = opened.observe().await;
    let plan = plan::make(&opened.stack, &opened.graph, &live, &opened.aws.place, &goal);
    show(&headline("Destruction of", opened, globals.local), &plan, args.run.format, screen)?;
    if !plan.blocked.is_empty() {
        return Ok(1);
    }
    if !plan.is_empty() {
        let question = format!("Do you really want to delete what stack {} owns? There is no undo.", opened.stack.name);
        confirm(&question, args.run.auto_approve, screen).await?;
    }
    delete(opened, &plan, &goal, &args.run, guard, screen).await
}

/// Carries out a plan of deletion that was agreed to, and proves that nothing is left.
pub(super) async fn delete(
    opened: &Opened,
    plan: &Plan,
    goal: &Goal,
    args: &RunArgs,
    guard: &Guard,
    screen: &Screen,
) -> Result<u8, Failure> {
    let (summary, _, code) = execute(opened, plan, args, guard, screen).await?;
    if !plan.is_empty() || args.format == RunFormat::Json {
        finish(&summary, args.format, true, screen)?;
    }
    let whole = goal.targets.is_empty() && goal.excludes.is_empty();
    if summary.is_complete() && code == DONE && whole { prove(opened, args.format, screen).await } else { Ok(code) }
}

fn stopped(signals: &Signals) -> Failure {
    let failure = Failure::new("stopped while looking whether anything is left; all steps of the plan were done");
    Failure { code: signals.exit_code().unwrap_or(1), ..failure.help("run destroy again to look once more") }
}

/// Looks again: everything of the stack must be gone.
async fn prove(opened: &Opened, format: RunFormat, screen: &Screen) -> Result<u8, Failure> {
    let (signals, mut stops) = Signals::listen()?;
    let live = tokio::select! {
        live = opened.observe() => live,
        _ = stops.recv() => return Err(stopped(&signals)),
    };
    let ours = |tags: &crate::kind::Tags| crate::aws::marks::stack_of(tags) == Some(&opened.stack.name);
    let mut left: Vec<String> = live
        .found
        .iter()
        .filter(|(_, found)| ours(&found.tags))
        .map(|(id, found)| format!("{id} [{}]", found.physical))
        .collect();
    left.extend(live.orphans.iter().map(|orphan| format!("{} [{}]", orphan.id, orphan.found.physical)));
    left.extend(
        live.unreadable
            .iter()
            .map(|unreadable| format!("{}: could not be read: {}", unreadable.what, unreadable.error)),
    );
    if format == RunFormat::Json {
        let (level, message) =
            if left.is_empty() { ("info", "nothing is left") } else { ("error", "something is left") };
        let fields = json!({"severity": level, "left": left});
        JsonLines::new(screen).line(level, "diagnostic", message, fields);
    } else if left.is_empty() {
        let looked = count(opened.stack.resources.len(), "resource");
        screen.result(&format!(
            "Looked again by name and by tag ({looked}): nothing is left of stack {}.\n",
            opened.stack.name
        ))?;
    }
    if left.is_empty() {
        return Ok(DONE);
    }
    Err(Failure::new(format!("this is still there:\n  {}", left.join("\n  "))).help("run destroy again"))
}
