//! `send`: the agent's part, from a file to a stream.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use super::confirm::Signals;
use super::{DONE, check_account, load_stack, remark, stack_file, wish};
use crate::apply::run::Stop;
use crate::aws::Aws;
use crate::cli::{Globals, RunFormat, SendArgs, StackArgs};
use crate::failure::Failure;
use crate::kind::KindError;
use crate::report::Screen;
use crate::report::send::{Progress, Sent, waiting};
use crate::send::batch::{Batches, Rate};
use crate::send::put::{Done, largest_record, put};
use crate::send::source::{Format, Source, SourceError};
use crate::session::{self, Moving};
use crate::stack::Stack;

/// `type:` of what can be sent to.
const STREAM: &str = "kinesis_stream";

/// How long something may fail while nothing arrives, before the rest is left to a later run.
const PATIENCE: Duration = Duration::from_mins(1);

/// Said when it has failed for so long.
const STALLED: &str = "What was sent does not all arrive: something has failed for a minute, and what waits behind \
    it goes on with the next run.\nRun `stackctl verify --local` to see where, and `stackctl local logs FUNCTION` \
    to see why.\n";

/// Runs the command.
pub(super) async fn run(globals: &Globals, args: &SendArgs, screen: &mut Screen) -> Result<u8, Failure> {
    let rate = args.rate.as_deref().map(Rate::parse).transpose();
    let rate = rate.map_err(|text| Failure::usage(format!("--rate: {text}")))?;
    let stack = stack(globals, args, screen)?;
    let stream = stream_name(&args.stream, stack.as_ref().filter(|_| args.stack.is_some()))?;
    let region = stack.as_ref().and_then(|stack| stack.region.as_deref());
    let (aws, moving) = session::open_moving(&wish(globals), region).await?;
    remark(&aws, screen);
    if let Some(stack) = stack.as_ref().filter(|_| args.stack.is_some()) {
        check_account(stack, &aws)?;
    }
    let code = send(&aws, args, rate, &stream, moving.as_ref(), screen).await;
    if let Some(moving) = moving {
        moving.stop().await?;
    }
    code
}

/// Loads the stack that was named, or the one that is usual here. The latter only gives a region: if it cannot be
/// loaded, perhaps for want of a variable, that is no reason not to send.
fn stack(globals: &Globals, args: &SendArgs, screen: &mut Screen) -> Result<Option<Stack>, Failure> {
    let files = |stack| StackArgs { stack, vars: args.vars.clone(), var_files: args.var_files.clone() };
    if args.stack.is_some() {
        return load_stack(&files(args.stack.clone()), screen).map(Some);
    }
    if globals.region.is_some() {
        return Ok(None);
    }
    let Ok(path) = stack_file(None) else { return Ok(None) };
    let loaded = load_stack(&files(Some(path.clone())), &mut Screen::default());
    if loaded.is_err() {
        screen.note(&format!("{} cannot be loaded, so its region is not used; --region sets one\n", path.display()));
    }
    Ok(loaded.ok())
}

/// Returns the name behind an id of the stack; what is no id is a name already.
fn stream_name(named: &str, stack: Option<&Stack>) -> Result<String, Failure> {
    let Some(resource) = stack.and_then(|stack| stack.resources.get(named)) else { return Ok(named.to_owned()) };
    if resource.kind.type_name() == STREAM {
        return Ok(resource.name.clone());
    }
    Err(Failure::usage(format!("`{named}` is a {} and takes no records", resource.kind.type_name()))
        .help("name a resource of type kinesis_stream"))
}

async fn send(
    aws: &Arc<Aws>,
    args: &SendArgs,
    rate: Option<Rate>,
    stream: &str,
    moving: Option<&Moving>,
    screen: &Screen,
) -> Result<u8, Failure> {
    let most = largest_record(aws.kinesis(), stream).await.map_err(|error| missing(error, stream, aws))?;
    let format = Format::of(&args.file, &args.csv_columns, args.raw);
    let source = Source::open(&args.file, format, std::io::stdin().lock()).map_err(|error| wrong(&error))?;
    let size = source.check(most).map_err(|error| wrong(&error))?;
    let (signals, mut stops) = Signals::listen()?;
    let sent = Sent { stream: stream.to_owned(), of: size.records, ..Sent::default() };
    let mut run = Run { aws, rate, sent, progress: Progress::new(screen, size.records), stopping: false };
    let batches = Batches::new(source.records(most).map_err(|error| wrong(&error))?, rate);
    let ended = run.batches(batches, &mut stops).await;
    run.progress.end();
    if ended.is_ok()
        && !run.sent.interrupted
        && let Some(moving) = moving
    {
        flow(moving, &mut stops, screen).await;
    }
    match args.format {
        RunFormat::Text if run.sent.records > 0 || ended.is_ok() => screen.result(&run.sent.text())?,
        RunFormat::Text => {}
        RunFormat::Json => screen.json(&run.sent.json())?,
    }
    ended.map(|()| signals.exit_code().unwrap_or(DONE))
}

/// Waits for the records to arrive, or for a signal.
async fn flow(moving: &Moving, stops: &mut UnboundedReceiver<Stop>, screen: &Screen) {
    let bar = waiting(screen, "waiting until the records have flowed");
    tokio::select! {
        done = moving.drained(PATIENCE) => if !done {
            screen.note(STALLED);
        },
        _ = stops.recv() => screen.note("Interrupted: what has not arrived yet goes on with the next run.\n"),
    }
    bar.finish_and_clear();
}

/// One run through a file.
struct Run<'a> {
    aws: &'a Aws,
    rate: Option<Rate>,
    sent: Sent,
    progress: Progress<'a>,
    /// Whether a signal came while a batch was in flight.
    stopping: bool,
}

impl Run<'_> {
    async fn batches(
        &mut self,
        batches: impl Iterator<Item = Result<Vec<Vec<u8>>, SourceError>>,
        stops: &mut UnboundedReceiver<Stop>,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        for batch in batches {
            let done = match self.pace(start, stops).await {
                true => self.batch(batch.map_err(|error| self.broken(&error))?, stops).await,
                false => None,
            };
            self.sent.elapsed = start.elapsed();
            let Some(done) = done else {
                self.sent.interrupted = true;
                return Ok(());
            };
            self.add(&done);
            if let Some(error) = done.error {
                return Err(self.broken(&error));
            }
        }
        Ok(())
    }

    fn broken(&self, error: &dyn fmt::Display) -> Failure {
        Failure::new(format!("{error}; {} of {} records were sent", self.sent.records, self.sent.of))
    }

    fn add(&mut self, done: &Done) {
        self.sent.records += done.records;
        self.sent.bytes += done.bytes;
        self.sent.retries += done.retries;
        self.progress.at(self.sent.records);
    }

    /// Puts a batch to its end, which a first signal does not cut short; nothing is known of it after a second one.
    async fn batch(&mut self, batch: Vec<Vec<u8>>, stops: &mut UnboundedReceiver<Stop>) -> Option<Done> {
        let (aws, stream) = (self.aws, self.sent.stream.clone());
        let work = put(aws.kinesis(), &stream, batch);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                stop = stops.recv() => match stop {
                    Some(Stop::Gently) => self.stopping = true,
                    _ => return None,
                },
            }
        }
    }

    /// Waits for the batch's turn; false when a signal came.
    async fn pace(&self, start: Instant, stops: &mut UnboundedReceiver<Stop>) -> bool {
        if self.stopping {
            return false;
        }
        let due = self.rate.map_or(start, |rate| start + rate.due(self.sent.records));
        tokio::select! {
            biased;
            _ = stops.recv() => false,
            () = tokio::time::sleep_until(due.into()) => true,
        }
    }
}

fn wrong(error: &SourceError) -> Failure {
    Failure::new(error.to_string()).help("nothing was sent")
}

fn missing(error: KindError, stream: &str, aws: &Aws) -> Failure {
    if !error.is_not_found() {
        return error.into();
    }
    let place = &aws.place;
    Failure::new(format!("there is no stream {stream} in {}, account {}", place.region, place.account))
        .help("apply the stack first, or name its region with --region; names of streams are case-sensitive")
}
