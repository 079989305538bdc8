//! `apply`: plans, asks, and does exactly what the plan said.

mod saved;

use std::collections::BTreeMap;

use serde_json::json;

use super::confirm::{check_asking, confirm};
use super::guard::{Guard, guarded};
use super::{DONE, Opened, goal, headline, open, planfile};
use crate::apply::event::{Observer, Summary};
use crate::apply::run::{Run, run as carry_out};
use crate::cli::{ApplyArgs, Globals, RunArgs, RunFormat};
use crate::failure::Failure;
use crate::kind::Outputs;
use crate::kinds;
use crate::plan::{self, Plan};
use crate::report::events::JsonLines;
use crate::report::progress::{self, Human};
use crate::report::{Screen, documents, line, plan as text, values};

/// Runs the command.
pub(super) async fn run(globals: &Globals, args: &ApplyArgs, screen: &mut Screen) -> Result<u8, Failure> {
    if let Some(file) = planfile::named(&args.stack) {
        return saved::run(globals, args, file, screen).await;
    }
    check_asking(args.run.auto_approve)?;
    let opened = open(globals, &args.stack, screen).await?;
    let work = async |guard: &Guard| alone(globals, args, &opened, guard, screen).await;
    guarded(&opened, "apply", &args.run, screen, work).await
}

/// Looks, plans, asks and does it, while no other run may.
async fn alone(
    globals: &Globals,
    args: &ApplyArgs,
    opened: &Opened,
    guard: &Guard,
    screen: &Screen,
) -> Result<u8, Failure> {
    let goal = goal(&args.goal, false, &opened.stack)?;
    let plan = opened.plan_for(&goal, screen).await;
    show(&headline("Apply of", opened, globals.local), &plan, args.run.format, screen)?;
    if plan.blocked.is_empty() && !plan.is_empty() {
        confirm("Do you want to make these changes?", args.run.auto_approve, screen).await?;
    } else if !plan.blocked.is_empty() {
        return Ok(1);
    }
    converge(opened, &plan, &args.run, guard, screen).await
}

/// Carries out a plan that was agreed to, and tells how it ended.
async fn converge(opened: &Opened, plan: &Plan, args: &RunArgs, guard: &Guard, screen: &Screen) -> Result<u8, Failure> {
    let (summary, outputs, code) = execute(opened, plan, args, guard, screen).await?;
    if !plan.is_empty() || args.format == RunFormat::Json {
        finish(&summary, args.format, false, screen)?;
    }
    if summary.is_complete() {
        show_outputs(opened, &outputs, args.format, screen)?;
    }
    Ok(code)
}

/// Shows a plan before it is carried out.
pub(super) fn show(headline: &str, plan: &Plan, format: RunFormat, screen: &Screen) -> Result<(), Failure> {
    if format == RunFormat::Text {
        screen.note(headline);
        return Ok(screen.result(&text::text(plan, screen.paint))?);
    }
    let lines = JsonLines::new(screen);
    for step in plan.active() {
        lines.line(
            "info",
            "planned_change",
            &format!("{}: plan to {}", step.id, documents::action_word(step.action)),
            json!({"change": documents::step_json(step)}),
        );
    }
    for blocked in &plan.blocked {
        lines.line("error", "diagnostic", &blocked.message, json!({"severity": "error", "diagnostic": blocked}));
    }
    Ok(())
}

/// Carries a plan out; returns how it ended, the outputs, and the exit code.
pub(super) async fn execute(
    opened: &Opened,
    plan: &Plan,
    args: &RunArgs,
    guard: &Guard,
    screen: &Screen,
) -> Result<(Summary, BTreeMap<String, Outputs>, u8), Failure> {
    let (signals, stops) = guard.begin()?;
    let run = Run {
        aws: opened.aws.clone(),
        stack: &opened.stack,
        graph: &opened.graph,
        plan,
        writers: kinds::KINDS,
        parallelism: args.parallelism,
    };
    let (mut human, mut json) = (Human::new(screen), JsonLines::new(screen));
    let observer: &mut dyn Observer = match args.format {
        RunFormat::Text => &mut human,
        RunFormat::Json => &mut json,
    };
    let (summary, outputs) = carry_out(&run, stops, observer).await;
    let code = match signals.exit_code() {
        Some(code) => code,
        None if summary.is_complete() => DONE,
        None => 1,
    };
    Ok((summary, outputs, code))
}

/// Shows how a run ended.
pub(super) fn finish(summary: &Summary, format: RunFormat, destroy: bool, screen: &Screen) -> Result<(), Failure> {
    if format == RunFormat::Json {
        JsonLines::new(screen).summary(summary, destroy);
        return Ok(());
    }
    screen.note(&progress::failures(summary, screen.paint_err));
    screen.result(&format!("\n{}", screen.paint.bold(&progress::closing(summary, destroy))))?;
    Ok(())
}

fn show_outputs(
    opened: &Opened,
    known: &BTreeMap<String, Outputs>,
    format: RunFormat,
    screen: &Screen,
) -> Result<(), Failure> {
    let outputs = plan::resolve_outputs(&opened.stack, &opened.aws.place, known);
    if format == RunFormat::Json {
        JsonLines::new(screen).line("info", "outputs", "outputs of the stack", json!({"outputs": outputs}));
        return Ok(());
    }
    if !outputs.is_empty() {
        let lines: String =
            outputs.iter().map(|(name, value)| format!("  {} = {}\n", line(name), values::short(value))).collect();
        screen.result(&format!("\nOutputs:\n{lines}"))?;
    }
    Ok(())
}
