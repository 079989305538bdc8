//! `apply FILE`: carries out a saved plan, or says what has moved since it was made.

use std::path::Path;

use serde_json::json;

use super::super::guard::{Guard, guarded};
use super::super::plan::saved as keep;
use super::super::{Opened, destroy, endpoint, enter, headline, inputs, load_file, planfile};
use super::{converge, show};
use crate::cli::{ApplyArgs, Globals, RunFormat};
use crate::failure::Failure;
use crate::live::Live;
use crate::plan::saved::{Endpoint, Moved, Place, Saved, Side, compare, elsewhere, of_another_tool};
use crate::plan::{self, Plan};
use crate::report::events::JsonLines;
use crate::report::{Screen, plan as text};
use crate::stack::load::Inputs;
use crate::stack::{Given, Stack};

/// Carries out the plan in a file. Whoever saved it has seen it, so that nobody is asked.
pub(super) async fn run(globals: &Globals, args: &ApplyArgs, file: &Path, screen: &mut Screen) -> Result<u8, Failure> {
    let saved = planfile::read(file)?;
    let refusal = Refusal { file, format: args.run.format };
    check_flags(args, &saved)?;
    refusal.check(&before_any_call(globals, &saved), screen)?;
    let stack = load(args, &saved, screen)?;
    let opened = enter(globals, stack, screen).await?;
    let place = Place::of(&opened.aws.place, endpoint(globals, &opened.aws));
    refusal.check(&elsewhere(&saved.place, &place), screen)?;
    let operation = if saved.goal.destroy { "destroy" } else { "apply" };
    let work = async |guard: &Guard| alone(globals, args, (&saved, &refusal), &opened, guard, screen).await;
    guarded(&opened, operation, &args.run, screen, work).await
}

/// Looks whether the plan still holds, and does it, while no other run may.
async fn alone(
    globals: &Globals,
    args: &ApplyArgs,
    (saved, refusal): (&Saved, &Refusal<'_>),
    opened: &Opened,
    guard: &Guard,
    screen: &Screen,
) -> Result<u8, Failure> {
    let live = opened.observe_for(&saved.goal, screen).await;
    let plan = plan::make(&opened.stack, &opened.graph, &live, &opened.aws.place, &saved.goal);
    check_readable(&live, &plan, screen)?;
    refusal.check(&compare(saved, &keep(globals, opened, &plan, &saved.goal)?), screen)?;
    carry_out(globals, args, saved, (opened, &plan, guard), screen).await
}

async fn carry_out(
    globals: &Globals,
    args: &ApplyArgs,
    saved: &Saved,
    (opened, plan, guard): (&Opened, &Plan, &Guard),
    screen: &Screen,
) -> Result<u8, Failure> {
    let what = if saved.goal.destroy { "Saved destruction of" } else { "Saved plan for" };
    show(&headline(what, opened, globals.local), plan, args.run.format, screen)?;
    if !plan.blocked.is_empty() {
        return Ok(1);
    }
    if saved.goal.destroy {
        destroy::delete(opened, plan, &saved.goal, &args.run, guard, screen).await
    } else {
        converge(opened, plan, &args.run, guard, screen).await
    }
}

/// Refuses flags that ask for another plan.
fn check_flags(args: &ApplyArgs, saved: &Saved) -> Result<(), Failure> {
    let goal = &args.goal;
    let lists =
        [("target", &goal.targets), ("exclude", &goal.excludes), ("replace", &goal.replace), ("adopt", &goal.adopt)];
    let flag = lists.iter().find(|(_, ids)| !ids.is_empty()).map(|(flag, _)| format!("--{flag}"));
    let is_secret = |name: &str| saved.variables.get(name) == Some(&Given::Secret);
    let names = args.stack.vars.iter().filter_map(|text| text.split_once('=')).map(|(name, _)| name);
    let variable = names.into_iter().find(|name| !is_secret(name)).map(|name| format!("--var {name}"));
    match flag.or(variable) {
        None => Ok(()),
        Some(flag) => Err(Failure::usage(format!("{flag} cannot be used with a saved plan, which is carried out as it is"))
            .help("leave it out, or make another plan with it; sensitive variables that the plan was made with are given again")),
    }
}

/// Lists what can be told without asking anybody, lest a plan for one place opens another.
fn before_any_call(globals: &Globals, saved: &Saved) -> Vec<Moved> {
    let mut moved: Vec<Moved> = of_another_tool(saved, env!("CARGO_PKG_VERSION")).into_iter().collect();
    if globals.local != (saved.place.endpoint == Endpoint::Local) {
        let endpoint = if globals.local { Endpoint::Local } else { Endpoint::Aws };
        moved.extend(elsewhere(&saved.place, &Place { endpoint, ..saved.place.clone() }));
    }
    moved
}

/// Loads the stack file that the plan names, with the values that it was planned with.
fn load(args: &ApplyArgs, saved: &Saved, screen: &mut Screen) -> Result<Stack, Failure> {
    let values = saved.values().map(|(name, value)| (name.to_owned(), value.clone()));
    let inputs = Inputs { saved: values.collect(), ..inputs(&args.stack)? };
    if inputs.var_files.is_empty() {
        let is_given = |name: &str| {
            let from_env = |(given, _): &(String, String)| given == name;
            inputs.vars.iter().any(|(given, _)| given == name) || inputs.env.iter().any(from_env)
        };
        check_secrets(saved, is_given)?;
    }
    let file = Path::new(&saved.file);
    if !file.exists() {
        return Err(Failure::new(format!("the stack file of the plan, {}, is not there", file.display()))
            .help("run apply in the folder where the plan was made (see --chdir), or plan again"));
    }
    let stack = load_file(file, &inputs, screen)?;
    check_secrets(saved, |name| stack.given.contains_key(name))?;
    Ok(stack)
}

fn check_secrets(saved: &Saved, is_given: impl Fn(&str) -> bool) -> Result<(), Failure> {
    match saved.secrets().find(|name| !is_given(name)) {
        None => Ok(()),
        Some(name) => Err(Failure::new(format!(
            "the plan was made with the sensitive variable `{name}`, whose value is not in the plan"
        ))
        .help(format!("give it again, by `--var {name}=…` or as STACKCTL_VAR_{name}"))),
    }
}

/// Fails when something could not be read, which must not look as if it were gone.
fn check_readable(live: &Live, plan: &Plan, screen: &Screen) -> Result<(), Failure> {
    if live.unreadable.is_empty() {
        return Ok(());
    }
    screen.note(&text::blocked(&plan.blocked, screen.paint_err));
    Err(Failure::new("whether the saved plan still holds cannot be told; nothing was changed"))
}

/// How a plan that no longer holds is refused.
struct Refusal<'a> {
    file: &'a Path,
    format: RunFormat,
}

impl Refusal<'_> {
    /// Fails when something has moved, and names it.
    fn check(&self, moved: &[Moved], screen: &Screen) -> Result<(), Failure> {
        if moved.is_empty() {
            return Ok(());
        }
        if self.format == RunFormat::Json {
            let lines = JsonLines::new(screen);
            for one in moved {
                lines.line("error", "diagnostic", &one.to_string(), json!({"severity": "error", "moved": one}));
            }
        }
        let list: String = moved.iter().map(|one| format!("\n  {one}")).collect();
        let file = self.file.display();
        let message = format!("the plan in {file} no longer holds, and nothing was changed; this has moved:{list}");
        Err(Failure::new(message).help(help(moved)))
    }
}

fn help(moved: &[Moved]) -> &'static str {
    let is_elsewhere = |one: &Moved| matches!(one.side, Side::Account | Side::Region | Side::Endpoint);
    if moved.iter().all(is_elsewhere) {
        "use the credentials, --region, --local and --endpoint-url that the plan was made with, or plan again"
    } else {
        "run plan again, and look at what it says now"
    }
}
