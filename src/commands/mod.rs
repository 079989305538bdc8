//! One file per command: load, observe, plan or apply, and choose how to show it.

mod apply;
mod ci;
mod confirm;
mod destroy;
mod drift;
mod export;
mod graph;
mod guard;
mod import_terraform;
mod local;
mod lock;
mod meta;
mod output;
mod plan;
mod planfile;
mod policy;
mod send;
mod show;
mod validate;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::aws::Aws;
use crate::aws::guard::Guard;
use crate::cli::{Cli, Command, Globals, GoalArgs, StackArgs};
use crate::failure::Failure;
use crate::graph::Graph;
use crate::kinds;
use crate::live::{self, Live};
use crate::plan::saved::Endpoint;
use crate::plan::{Adopt, Goal, Plan, permits};
use crate::report::Screen;
use crate::report::events::{self, JsonLines};
use crate::session::{self, Wish};
use crate::stack::load::{Inputs, load};
use crate::stack::{Report, Stack};

/// Exit code of a command that did its work.
pub(crate) const DONE: u8 = 0;

/// Prefix of variables that set stack variables.
const VARIABLE_PREFIX: &str = "STACKCTL_VAR_";

/// Runs a command and returns its exit code.
///
/// # Errors
/// Returns why it could not do its work.
pub async fn run(cli: Cli, screen: &mut Screen) -> Result<u8, Failure> {
    if let Some(dir) = &cli.globals.chdir {
        std::env::set_current_dir(dir)
            .map_err(|error| Failure::new(format!("could not change to {}: {error}", dir.display())))?;
    }
    let globals = &cli.globals;
    if globals.local && globals.endpoint_url.is_some() {
        // The parser sees such a conflict only when both stand on the same side of the command.
        return Err(Failure::usage("--local and --endpoint-url (or STACKCTL_ENDPOINT_URL) cannot be used together")
            .help("leave one of them out"));
    }
    screen.events = cli.command.is_told_in_events();
    match cli.command {
        Command::Validate(args) => validate::run(&args, screen),
        Command::Plan(args) => plan::run(globals, &args, screen).await,
        Command::Apply(args) => apply::run(globals, &args, screen).await,
        Command::Destroy(args) => destroy::run(globals, &args, screen).await,
        Command::Drift(args) => drift::run(globals, &args, screen).await,
        Command::Lock(command) => lock::run(globals, &command, screen).await,
        Command::Policy(args) => policy::run(globals, &args, screen).await,
        Command::Output(args) => output::run(globals, &args, screen).await,
        Command::Show(args) => show::run(globals, &args, screen).await,
        Command::Send(args) => send::run(globals, &args, screen).await,
        Command::Verify(args) => verify::run(globals, &args, screen).await,
        Command::Graph(args) => graph::run(&args, screen),
        Command::Export(args) => export::run(globals, &args, screen).await,
        Command::ImportTerraform(args) => import_terraform::run(&args, screen),
        Command::Schema(args) => meta::schema(&args, screen),
        Command::Completions { shell } => meta::completions(shell, screen),
        Command::Man => meta::man(screen),
        Command::Local(command) => local::run(globals, &command, screen).await,
    }
}

/// A loaded stack and the way to where it lives.
struct Opened {
    stack: Stack,
    graph: Graph,
    aws: Arc<Aws>,
}

impl Opened {
    async fn observe(&self) -> Live {
        live::observe(&self.aws, &self.stack, kinds::all()).await
    }

    /// Looks, plans, and warns of what AWS will refuse.
    async fn plan_for(&self, goal: &Goal, screen: &Screen) -> Plan {
        let (live, place) = (self.observe_for(goal, screen).await, &self.aws.place);
        let plan = crate::plan::make(&self.stack, &self.graph, &live, place, goal);
        for (step, lack) in permits::foreseen(&self.stack, place, &live, &plan) {
            let what = format!("{}.{}", step.kind.type_name(), step.id);
            events::warn(screen, &format!("{what}: AWS will refuse this: {}", lack.text), &lack.help);
        }
        plan
    }

    /// Looks at a stack, with the objects that the goal names and what hangs on those that it prunes; says which entries of
    /// `moved:` have done their work.
    async fn observe_for(&self, goal: &Goal, screen: &Screen) -> Live {
        let mut live = live::observe_given(&self.aws, &self.stack, kinds::all(), &goal.given).await;
        if !goal.prune.is_empty() {
            live::extras(&self.aws, &self.stack, &mut live, kinds::all(), &|id| goal.prune.contains(id)).await;
        }
        for old in crate::plan::settled_moves(&self.stack, &live) {
            screen.note(&format!("note: nothing in AWS is marked `{old}` any more: its entry in `moved:` can go\n"));
        }
        live
    }
}

/// Loads the stack file, shows its warnings, and opens the way to AWS.
async fn open(globals: &Globals, args: &StackArgs, screen: &mut Screen) -> Result<Opened, Failure> {
    let stack = load_stack(args, screen)?;
    enter(globals, stack, screen).await
}

/// Opens the way to where a stack lives.
async fn enter(globals: &Globals, stack: Stack, screen: &Screen) -> Result<Opened, Failure> {
    let graph = graph_of(&stack)?;
    let aws = session::open(&wish(globals), stack.region.as_deref()).await?;
    remark(&aws, screen);
    check_account(&stack, &aws)?;
    Ok(Opened { stack, graph, aws })
}

/// Shows what the user should know of the way to AWS.
fn remark(aws: &Aws, screen: &Screen) {
    if let Some(remark) = &aws.remark {
        screen.note(&format!("{remark}\n"));
    }
}

fn wish(globals: &Globals) -> Wish {
    Wish {
        profile: globals.profile.clone(),
        region: globals.region.clone(),
        endpoint_url: globals.endpoint_url.clone(),
        local: globals.local,
        guard: Guard::default(),
    }
}

fn check_account(stack: &Stack, aws: &Aws) -> Result<(), Failure> {
    if stack.accounts.is_empty() || stack.accounts.contains(&aws.place.account) {
        return Ok(());
    }
    let allowed = stack.accounts.join(", ");
    Err(Failure::new(format!(
        "the credentials are for account {}, but this stack is only for {allowed}",
        aws.place.account
    ))
    .help("use other credentials (AWS_PROFILE or --profile), or change `accounts:` in the stack file"))
}

fn graph_of(stack: &Stack) -> Result<Graph, Failure> {
    Graph::of(stack).map_err(|cycle| Failure::new(cycle.to_string()))
}

/// Loads the stack file and shows its warnings.
fn load_stack(args: &StackArgs, screen: &mut Screen) -> Result<Stack, Failure> {
    let path = stack_file(args.stack.as_deref())?;
    if planfile::is_plan(&path) {
        let message = format!("{} is a saved plan, and this command is about a stack file", path.display());
        return Err(Failure::usage(message).help("`show` and `apply` take saved plans"));
    }
    load_file(&path, &inputs(args)?, screen)
}

/// Loads a stack file with these values of variables and shows its warnings.
fn load_file(path: &Path, inputs: &Inputs, screen: &mut Screen) -> Result<Stack, Failure> {
    let loaded = load(path, inputs).map_err(|report| {
        let text = report.render(screen.paint_err.is_on(), width());
        Failure::report(text)
    })?;
    screen.hide(&loaded.stack.secrets);
    show_warnings(&loaded.warnings, screen);
    Ok(loaded.stack)
}

/// Shows the warnings of a stack file: as events where a run is told in events, else drawn with their places.
fn show_warnings(warnings: &Report, screen: &Screen) {
    if warnings.is_empty() {
        return;
    }
    if !screen.events {
        return screen.note(&warnings.render(screen.paint_err.is_on(), width()));
    }
    for one in warnings.diagnostics() {
        let fields = json!({"severity": one.severity, "diagnostic": one});
        JsonLines::new(screen).line("warn", "diagnostic", &one.message, fields);
    }
}

fn inputs(args: &StackArgs) -> Result<Inputs, Failure> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let vars = args
        .vars
        .iter()
        .map(|text| pair(text).ok_or_else(|| Failure::usage(format!("--var {text}: expected NAME=VALUE"))));
    let env = environment().filter_map(|(name, value)| Some((name.strip_prefix(VARIABLE_PREFIX)?.to_owned(), value)));
    Ok(Inputs {
        vars: vars.collect::<Result<_, _>>()?,
        var_files: args.var_files.clone(),
        env: env.collect(),
        ..Inputs::default()
    })
}

/// Returns the environment, without what is not text.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Returns the width of messages: the terminal's, within reason.
fn width() -> usize {
    std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).unwrap_or(100).clamp(60, 160)
}

/// Finds the stack file: the one named, else `stack.yaml`, else the only one in `stacks/`.
fn stack_file(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let usual = PathBuf::from("stack.yaml");
    if usual.exists() {
        return Ok(usual);
    }
    let entries = std::fs::read_dir("stacks").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml")).collect();
    found.sort();
    match &found[..] {
        [only] => Ok(only.clone()),
        [] => Err(Failure::new("there is no stack file here").help("name one, or write stack.yaml")),
        several => {
            let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
            Err(Failure::new("there are several stack files, and none is named")
                .help(format!("name one of {}", names.join(", "))))
        }
    }
}

/// Reads what a plan is about, refusing ids that the stack does not have.
fn goal(args: &GoalArgs, destroy: bool, stack: &Stack) -> Result<Goal, Failure> {
    let known = |flag: &str, ids: &[String]| {
        for id in ids {
            if !stack.resources.contains_key(id) {
                let near = stack
                    .resources
                    .keys()
                    .max_by(|one, other| strsim::jaro(one, id).total_cmp(&strsim::jaro(other, id)));
                let failure = Failure::usage(format!("{flag} {id}: the stack has no such resource"));
                return Err(match near {
                    Some(near) => failure.help(format!("did you mean `{near}`?")),
                    None => failure,
                });
            }
        }
        Ok(ids.iter().cloned().collect())
    };
    let (given, ids) = adopted(&args.adopt)?;
    known("--adopt", &given.keys().cloned().collect::<Vec<_>>())?;
    let adopt = match &ids[..] {
        [] => Adopt::Nothing,
        ids if ids.iter().any(|id| id == "all") => Adopt::All,
        ids => Adopt::Some(known("--adopt", ids)?),
    };
    let prune = match &args.prune[..] {
        ids if ids.iter().any(|id| id == "all") => stack.resources.keys().cloned().collect(),
        ids => known("--prune", ids)?,
    };
    Ok(Goal {
        destroy,
        prune,
        targets: known("--target", &args.targets)?,
        excludes: known("--exclude", &args.excludes)?,
        replace: known("--replace", &args.replace)?,
        adopt,
        given,
    })
}

/// Splits what is to be adopted: `ID=PHYSICAL`, and ids alone.
fn adopted(words: &[String]) -> Result<(live::Given, Vec<String>), Failure> {
    let (mut given, mut ids) = (live::Given::new(), Vec::new());
    for word in words {
        match word.split_once('=') {
            None => ids.push(word.clone()),
            Some((id, physical)) if !id.is_empty() && !physical.is_empty() => {
                given.insert(id.to_owned(), physical.to_owned());
            }
            Some(_) => return Err(Failure::usage(format!("--adopt {word}: expected ID, ID=PHYSICAL or all"))),
        }
    }
    Ok((given, ids))
}

/// Says which stack a command is about, and where.
fn headline(what: &str, opened: &Opened, local: bool) -> String {
    let place = &opened.aws.place;
    headline_of(what, &opened.stack.name, &place.region, &place.account, local)
}

fn headline_of(what: &str, stack: &str, region: &str, account: &str, local: bool) -> String {
    let at = if local { " (local cloud)" } else { "" };
    format!("{what} stack {stack} in {region}, account {account}{at}\n\n")
}

/// Says what answers the calls of this command.
fn endpoint(globals: &Globals, aws: &Aws) -> Endpoint {
    match (globals.local, aws.tag_index_complete) {
        (true, _) => Endpoint::Local,
        (false, true) => Endpoint::Aws,
        (false, false) => Endpoint::Other,
    }
}
