//! SQL applications: reads the streams of their inputs, runs their code and delivers what it gives.
//!
//! One task per RUNNING application. A round reads all shards, maps the records to rows, passes them through the
//! program and delivers each in-application stream that an output has the name of; then it notes how far it has come.
//! A process that dies before the note delivers again: at least once. It does not know SQL or schemas; those are in
//! [`run`](crate::local::analytics::run).
//!
//! Where it differs from the service: parent and child shards of a resharded stream are read side by side; a
//! Firehose input or output, and reference data, do not exist in the local cloud and are only logged as errors.

mod delivery;
mod journal;
mod preprocess;
mod source;
mod streams;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use self::delivery::{Output, longer};
use self::journal::Journal;
use self::source::{Record, Source};
use self::streams::Streams;
use super::{Busy, Desk, Job};
use crate::local::analytics::note::{self, Note};
use crate::local::analytics::run::{Problem, Program, Row, Session, Step, Stream};
use crate::local::analytics::{Application, TABLE};
use crate::local::{Call, Cloud, Fault, Input, Who};

/// Longest time between two looks at the shards; a shard may be read five times a second (`facts/aws.md` 1).
const LOOK: Duration = Duration::from_millis(250);
/// First pause after a failure of the program itself.
const AGAIN: Duration = Duration::from_secs(1);

/// The applications that run now.
pub(super) fn jobs(cloud: &Cloud, endpoint: &str) -> Result<Vec<Job>, Fault> {
    let now = now();
    let found = cloud.rows().everywhere::<Application>(TABLE)?;
    let running = found.into_iter().filter(|placed| placed.value.status(now) == "RUNNING");
    Ok(running
        .map(|placed| {
            let application = placed.value;
            let Application { arn, created, version, started, .. } = &application;
            let id = format!("{arn}@{created} {version} {started}");
            let (account, region) = (placed.account, placed.region);
            let who = Who { account, region, role: None, endpoint: endpoint.to_owned() };
            let owner = id.clone();
            Job { id, who, work: Box::new(move |desk| work(desk, application, owner).boxed()) }
        })
        .collect())
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A call in the application's account, for the store.
fn store_call(who: &Who) -> Call {
    let mut call = Call::new("", Input::Json(serde_json::Value::Null), now());
    call.account.clone_from(&who.account);
    call.region.clone_from(&who.region);
    call
}

async fn work(desk: Desk, application: Application, owner: String) {
    let mut journal = Journal::new(&desk, &application);
    let mut trouble = Trouble::default();
    loop {
        let ended = match Task::open(&desk, &application, &owner) {
            Ok(mut task) => task.run(&mut journal, &mut trouble).await,
            Err(cause) => Err(cause),
        };
        match ended {
            Ok(()) => return,
            Err(cause) => journal.error(&cause, None, "ApplicationError").await,
        }
        if !longer(&desk, trouble.again(&desk)).await {
            return;
        }
    }
}

/// A program that fails on a batch: the batch stays in hand, and the pauses grow, until a round succeeds.
struct Trouble {
    pause: Duration,
    hold: Option<Busy>,
}

impl Default for Trouble {
    fn default() -> Self {
        Self { pause: AGAIN, hold: None }
    }
}

impl Trouble {
    /// Notes a failure and returns the pause before the next try.
    fn again(&mut self, desk: &Desk) -> &mut Duration {
        self.hold.get_or_insert_with(|| desk.busy());
        &mut self.pause
    }
}

/// One application at work.
struct Task<'a> {
    desk: &'a Desk,
    name: &'a str,
    program: Arc<Program>,
    /// Away while a step runs.
    session: Option<Session>,
    sources: Vec<Source>,
    outputs: Vec<Output>,
    note: Note,
}

/// What a round leaves the task to do.
#[derive(PartialEq)]
enum Round {
    Idle,
    Moved,
    Over,
}

impl<'a> Task<'a> {
    fn open(desk: &'a Desk, application: &'a Application, owner: &str) -> Result<Self, String> {
        let program = Arc::new(application.program().map_err(|why| why.to_string())?);
        let session = Session::start(Arc::clone(&program)).map_err(|why| why.to_string())?;
        let claim = desk
            .cloud
            .rows()
            .transaction(&store_call(&desk.who), |tx| note::claim(tx, &application.name, application.created, owner));
        let (note, held) = claim.map_err(|fault| fault.message)?;
        for (pump, rows) in &held {
            session.restore(*pump, rows).map_err(|why| why.to_string())?;
        }
        let kinesis = Streams::new(desk);
        let source = |input| Source::new(desk, &kinesis, application, input, &program);
        let sources = application.inputs.iter().map(source);
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let output = |output| Output::new(desk, &kinesis, application, output);
        let outputs = application.outputs.iter().map(output).collect();
        let session = Some(session);
        Ok(Self { desk, name: &application.name, program, session, sources, outputs, note })
    }

    async fn run(&mut self, journal: &mut Journal, trouble: &mut Trouble) -> Result<(), String> {
        while !self.desk.stop.is_cancelled() {
            let round = self.round(journal).await?;
            *trouble = Trouble::default();
            match round {
                Round::Over => return Ok(()),
                Round::Moved => {}
                Round::Idle => {
                    if !self.desk.pause(LOOK).await {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    async fn round(&mut self, journal: &mut Journal) -> Result<Round, String> {
        let mut read = Vec::new();
        for source in &mut self.sources {
            read.push(source.read(self.desk, &self.note, journal).await);
        }
        // Rows that wait are stored by the time of their round, so no two rounds may have the same.
        let now = now().max(self.note.time + 1);
        let due = self.next_end()?.is_some_and(|end| end <= now);
        if read.iter().all(Vec::is_empty) && !due {
            return Ok(Round::Idle);
        }
        let _busy = self.desk.busy();
        let (mut rows, mut problems) = (Vec::new(), Vec::new());
        for (source, records) in self.sources.iter().zip(read) {
            for record in &records {
                self.note.shards.insert(source.place(&record.origin.shard), record.origin.sequence_number.clone());
            }
            let Some(records) = source.preprocess(self.desk, records, now, &mut problems, journal).await else {
                return Ok(Round::Over);
            };
            self.map(source, &records, now, &mut rows, &mut problems);
        }
        self.note.time = now;
        let mut step = self.step(now, rows).await?;
        step.problems.extend(problems);
        add_problems(&mut step, now);
        if self.deliver(&step, journal).await && self.save(&step)? { Ok(Round::Moved) } else { Ok(Round::Over) }
    }

    fn next_end(&self) -> Result<Option<i64>, String> {
        let session = self.session.as_ref().ok_or("the session is lost")?;
        session.next_end().map_err(|why| why.to_string())
    }

    fn map(
        &self,
        source: &Source,
        records: &[Record],
        now: i64,
        rows: &mut Vec<(usize, Vec<Row>)>,
        problems: &mut Vec<Problem>,
    ) {
        for (stream, name) in &source.streams {
            let Some(columns) = self.program.stream(name) else { continue };
            let mut found = Vec::new();
            for record in records.iter().filter(|record| record.stream == *stream) {
                for row in source.schema.rows(&record.data) {
                    match row {
                        Ok(values) => found.push(Row { time: now, values: columns.complete(values, &record.origin) }),
                        Err(message) => problems.push(Problem {
                            name: "Coercion_Error",
                            message,
                            row_time: now,
                            data: record.data.clone(),
                            pump: None,
                        }),
                    }
                }
            }
            rows.push((*stream, found));
        }
    }

    /// Runs the program where it may take its time.
    async fn step(&mut self, now: i64, rows: Vec<(usize, Vec<Row>)>) -> Result<Step, String> {
        let session = self.session.take().ok_or("the session is lost")?;
        let run = move || {
            let step = session.step(now, rows);
            (session, step)
        };
        let (session, step) = tokio::task::spawn_blocking(run).await.map_err(|why| why.to_string())?;
        self.session = Some(session);
        step.map_err(|why| why.to_string())
    }

    /// Delivers everything, however often it takes; false when the task must end before.
    async fn deliver(&mut self, step: &Step, journal: &mut Journal) -> bool {
        let problems = Stream::problems();
        for output in &mut self.outputs {
            let Some(rows) = step.rows.get(&output.name).filter(|rows| !rows.is_empty()) else { continue };
            let stream = if output.name == problems.name { Some(&problems) } else { self.program.stream(&output.name) };
            let Some(stream) = stream else { continue };
            let records = rows.iter().map(|row| stream.write(row, &output.format)).collect();
            if !output.deliver(self.desk, records, journal).await {
                return false;
            }
        }
        true
    }

    fn save(&self, step: &Step) -> Result<bool, String> {
        let call = store_call(&self.desk.who);
        let saved = self.desk.cloud.rows().transaction(&call, |tx| note::save(tx, self.name, &self.note, step));
        saved.map_err(|fault| fault.message)
    }
}

fn add_problems(step: &mut Step, now: i64) {
    if !step.problems.is_empty() {
        let rows = step.problems.iter().map(|problem| problem.row(now)).collect();
        step.rows.insert(Stream::problems().name, rows);
    }
}
