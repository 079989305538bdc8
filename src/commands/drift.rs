//! `drift`: compares stacks with AWS, and cannot write.

use std::path::{Path, PathBuf};

use super::{DONE, Opened, check_account, graph_of, load_stack, stack_file, wish};
use crate::aws::guard::Guard;
use crate::cli::{DriftArgs, DriftClass, DriftFormat, Globals, StackArgs};
use crate::drift::{self, Class, Report, reads};
use crate::failure::Failure;
use crate::report::{Screen, drift as report};
use crate::session::{self, Wish};
use crate::{kinds, live};

/// Exit code when AWS is not as last applied.
const DRIFT: u8 = 2;

/// Exit code when something could not be read.
const INCOMPLETE: u8 = 3;

/// What makes the exit code [`DRIFT`] unless it is said: everything but what the file is about to change.
const FAIL_ON: &[Class] =
    &[Class::LookAlike, Class::Missing, Class::Stopped, Class::Both, Class::Drifted, Class::Undeclared, Class::Orphan];

/// Runs the command.
pub(super) async fn run(globals: &Globals, args: &DriftArgs, screen: &mut Screen) -> Result<u8, Failure> {
    let mut outcome = drift::Outcome { reports: Vec::new(), failures: Vec::new(), fail_on: fail_on(args) };
    for file in files(&args.stacks)? {
        match check(globals, args, &file, screen).await {
            Ok(report) => outcome.reports.push(report),
            Err(failure) if args.stacks.len() < 2 && outcome.reports.is_empty() => return Err(failure),
            Err(failure) => outcome.failures.push((file.display().to_string(), failure.to_string())),
        }
    }
    show(&outcome, args.format, screen)?;
    Ok(exit_code(&outcome, args.report_only))
}

fn show(outcome: &drift::Outcome, format: DriftFormat, screen: &Screen) -> Result<(), Failure> {
    match format {
        DriftFormat::Text => screen.result(&report::text(outcome, screen.paint))?,
        DriftFormat::Json => screen.json(&report::json(outcome))?,
        DriftFormat::Markdown | DriftFormat::Junit | DriftFormat::Sarif | DriftFormat::Github => {
            return Err(Failure::usage("this format is not there yet"));
        }
    }
    Ok(())
}

async fn check(globals: &Globals, args: &DriftArgs, file: &Path, screen: &mut Screen) -> Result<Report, Failure> {
    let stack_args =
        StackArgs { stack: Some(file.to_owned()), vars: args.vars.clone(), var_files: args.var_files.clone() };
    let stack = load_stack(&stack_args, screen)?;
    let graph = graph_of(&stack)?;
    let guard = Guard::only(reads::actions(kinds::all(), args.who));
    let aws = session::open(&Wish { guard, ..wish(globals) }, stack.region.as_deref()).await?;
    check_account(&stack, &aws)?;
    let opened = Opened { stack, graph, aws };
    let mut live = opened.observe().await;
    let extras = live::extras(&opened.aws, &opened.stack, &mut live, kinds::all()).await;
    let Opened { stack, graph, aws } = &opened;
    Ok(drift::assess(stack, graph, &live, &extras, &aws.place, &command(globals, file)))
}

/// Returns how this program is called to apply a file in the same place.
fn command(globals: &Globals, file: &Path) -> String {
    let local = if globals.local { " --local" } else { "" };
    format!("stackctl{local} apply {}", file.display())
}

/// Returns the stack files that are meant, in the order of the arguments, each once.
fn files(patterns: &[String]) -> Result<Vec<PathBuf>, Failure> {
    if patterns.is_empty() {
        return Ok(vec![stack_file(None)?]);
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        let found = matching(pattern)?;
        files.extend(found);
    }
    let mut seen = std::collections::BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

/// A name without wildcards stands for itself, so that a missing file is told as one.
fn matching(pattern: &str) -> Result<Vec<PathBuf>, Failure> {
    if !pattern.contains(['*', '?', '[']) || Path::new(pattern).exists() {
        return Ok(vec![PathBuf::from(pattern)]);
    }
    let paths = glob::glob(pattern).map_err(|error| Failure::usage(format!("{pattern}: {error}")))?;
    let found: Vec<PathBuf> = paths.flatten().filter(|path| path.is_file()).collect();
    if found.is_empty() {
        return Err(Failure::usage(format!("{pattern}: no file matches")));
    }
    Ok(found)
}

fn fail_on(args: &DriftArgs) -> Vec<Class> {
    let class = |class: &DriftClass| match class {
        DriftClass::LookAlike => Class::LookAlike,
        DriftClass::Missing => Class::Missing,
        DriftClass::Stopped => Class::Stopped,
        DriftClass::Both => Class::Both,
        DriftClass::Drifted => Class::Drifted,
        DriftClass::Undeclared => Class::Undeclared,
        DriftClass::Orphan => Class::Orphan,
        DriftClass::Pending => Class::Pending,
    };
    if args.fail_on.is_empty() { FAIL_ON.to_vec() } else { args.fail_on.iter().map(class).collect() }
}

/// A drift that is certain counts more than what could not be read.
fn exit_code(outcome: &drift::Outcome, report_only: bool) -> u8 {
    match () {
        () if !outcome.failures.is_empty() => 1,
        () if report_only => DONE,
        () if outcome.has_drift() => DRIFT,
        () if !outcome.is_complete() => INCOMPLETE,
        () => DONE,
    }
}
