//! `drift`: compares stacks with AWS, and cannot write.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap::builder::PossibleValue;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{DONE, Opened, check_account, ci, graph_of, load_stack, stack_file, wish};
use crate::aws::guard::Guard;
use crate::cli::{DriftArgs, DriftClass, DriftFormat, Globals, StackArgs};
use crate::drift::{self, Class, Report, reads};
use crate::failure::Failure;
use crate::kinds;
use crate::live;
use crate::report::{Paint, Screen, drift as report, safe};
use crate::session::{self, Wish};

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
    let (files, writes) = (files(&args.stacks)?, writes(args)?);
    if files.len() > 1 {
        // What is wrong with one of several becomes part of the report, which has colours of its own.
        screen.paint_err = Paint::default();
    }
    for file in &files {
        match check(globals, args, file, screen).await {
            Ok(report) => outcome.reports.push(report),
            Err(failure) if files.len() == 1 => return Err(failure),
            Err(failure) => outcome.failures.push((file.display().to_string(), told(&failure))),
        }
    }
    let told = report::masked(outcome.clone(), screen);
    let text = shown(&told, args.format, screen.paint, screen);
    match args.format {
        DriftFormat::Text | DriftFormat::Markdown => screen.result(&text)?,
        _ => screen.verbatim(&text)?,
    }
    if args.format == DriftFormat::Github {
        ci::leave(&told, screen);
    }
    for (format, path) in writes {
        fs_err::write(&path, screen.fit(&shown(&told, format, Paint::default(), screen)))?;
    }
    Ok(exit_code(&outcome, args.report_only))
}

fn told(failure: &Failure) -> String {
    let help = failure.help.iter().map(|help| format!("\n  help: {help}"));
    help.fold(failure.to_string(), |text, help| text + &help)
}

fn shown(outcome: &drift::Outcome, format: DriftFormat, paint: Paint, screen: &Screen) -> String {
    match format {
        DriftFormat::Text => report::text(outcome, paint),
        DriftFormat::Json => screen.document(&report::json(outcome)),
        DriftFormat::Markdown => report::markdown(outcome, report::COMMENT),
        DriftFormat::Junit => report::junit(&in_repository(outcome)),
        DriftFormat::Sarif => screen.document(&report::sarif(&in_repository(outcome))),
        DriftFormat::Github => report::annotations(&in_repository(outcome)),
    }
}

/// Reads `FORMAT=FILE`.
fn writes(args: &DriftArgs) -> Result<Vec<(DriftFormat, PathBuf)>, Failure> {
    let read = |text: &String| {
        let (format, path) = text.split_once('=').filter(|(_, path)| !path.is_empty())?;
        Some((DriftFormat::from_str(format, true).ok()?, PathBuf::from(path)))
    };
    let wrong = |text: &String| {
        let formats: Vec<_> = DriftFormat::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
        let names: Vec<&str> = formats.iter().map(PossibleValue::get_name).collect();
        Failure::usage(format!("--write {text}: expected FORMAT=FILE"))
            .help(format!("a format is one of {}", names.join(", ")))
    };
    args.writes.iter().map(|text| read(text).ok_or_else(|| wrong(text))).collect()
}

/// Names the files as the repository does: annotations and results are laid over its files.
fn in_repository(outcome: &drift::Outcome) -> drift::Outcome {
    let named = |file: &str| ci::in_repository(Path::new(file)).display().to_string();
    let report = |report: &Report| Report { file: named(&report.file), ..report.clone() };
    drift::Outcome {
        reports: outcome.reports.iter().map(report).collect(),
        failures: outcome.failures.iter().map(|(file, error)| (named(file), error.clone())).collect(),
        fail_on: outcome.fail_on.clone(),
    }
}

async fn check(globals: &Globals, args: &DriftArgs, file: &Path, screen: &mut Screen) -> Result<Report, Failure> {
    let stack_args =
        StackArgs { stack: Some(file.to_owned()), vars: args.vars.clone(), var_files: args.var_files.clone() };
    let stack = load_stack(&stack_args, screen)?;
    let graph = graph_of(&stack)?;
    let guard = Guard::only(reads::actions(kinds::all(), true, args.who));
    let aws = session::open(&Wish { guard, ..wish(globals) }, stack.region.as_deref()).await?;
    check_account(&stack, &aws)?;
    let opened = Opened { stack, graph, aws };
    let mut live = opened.observe().await;
    let Opened { stack, graph, aws } = &opened;
    live::extras(aws, stack, &mut live, kinds::all(), &|_| true).await;
    live::remains(aws, stack, &mut live).await;
    let mut report = drift::assess(stack, graph, &live, &aws.place, &command(globals, args, file, &stack.secrets));
    drift::places::locate(&mut report, stack);
    drift::ignore::apply(&mut report, &stack.ignore, today());
    if args.who {
        let note = drift::who::ask(aws, &mut report).await;
        if let Some(note) = note {
            screen.note(&format!("note: {}\n", safe(&note)));
        }
    }
    Ok(report)
}

/// The day in UTC: a rule ends at the same moment on every machine.
fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

/// Returns how this program is called to apply a file in the same place with the same variables, as far as they are no
/// secrets.
fn command(globals: &Globals, args: &DriftArgs, file: &Path, secrets: &[String]) -> String {
    let mut words = vec!["stackctl".to_owned()];
    words.extend(globals.local.then(|| "--local".to_owned()));
    let flags =
        [("--profile", &globals.profile), ("--region", &globals.region), ("--endpoint-url", &globals.endpoint_url)];
    for (flag, value) in flags {
        words.extend(value.iter().flat_map(|value| [flag.to_owned(), quoted(value)]));
    }
    words.extend(["apply".to_owned(), quoted(&file.display().to_string())]);
    for text in &args.vars {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let secret = secrets.iter().any(|secret| value.contains(secret.as_str()));
        words.extend(["--var".to_owned(), if secret { format!("{name}=…") } else { quoted(text) }]);
    }
    words.extend(args.var_files.iter().flat_map(|path| ["--var-file".to_owned(), quoted(&path.display().to_string())]));
    words.join(" ")
}

/// Returns a word as a shell reads it as one.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./:=@%+,".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
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
