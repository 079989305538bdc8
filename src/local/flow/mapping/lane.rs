//! One lane of a shard: reads, makes batches, delivers them in order and notes how far it is.
//!
//! What goes into a batch and what follows a failure is decided in [`batch`](super::batch) and
//! [`retry`](super::retry).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::batch::{self, MOST_BYTES};
use super::event::Record;
use super::failure::Failure;
use super::invocation::{Called, call};
use super::options::Options;
use super::position::{self, Place, Position};
use super::retry::{Condition, Piece, Plan, Step, wait};
use super::source::{self, Reader, Trouble};
use super::verdict;
use super::window::{Close, Window};
use crate::local::Fault;
use crate::local::flow::{Busy, Desk};

/// How long an idle lane waits; a put wakes it earlier.
const IDLE: Duration = Duration::from_millis(250);
/// How long a lane waits that has read too much.
const THROTTLED: Duration = Duration::from_millis(200);
/// How long a lane waits that cannot read.
const TROUBLED: Duration = Duration::from_secs(1);
const FAILED: &str = "PROBLEM: Function call failed";

/// Why a lane ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was told to stop, or its mapping is gone.
    Stopped,
    /// The shard is closed and read to its end.
    Read,
    /// The stream is gone.
    Gone,
}

/// What a lane leaves behind: its end, and what says that somebody has to go on from there.
pub(super) struct Left {
    pub(super) place: Place,
    pub(super) end: End,
    pub(super) hold: (Desk, Busy),
}

/// What a look at the shard led to.
enum Round {
    /// There may be more to do at once.
    Again,
    /// There is nothing to do until records come in or a time is over.
    Idle(Duration),
    /// Records wait for others to fill their batch.
    Fill(Duration),
    /// The source or the function cannot be used for a while.
    Sleep(Duration),
    End(End),
}

/// A lane with what it has read and not delivered.
pub(super) struct Lane {
    desk: Desk,
    options: Arc<Options>,
    place: Place,
    position: Position,
    iterator: Option<String>,
    /// Sequence number of the last record that was read, wanted or not.
    read: Option<String>,
    waiting: VecDeque<Record>,
    /// When the first of those that wait was read.
    since: Instant,
    /// The shard has no more.
    ended: bool,
    /// `responseContext` of the last call for the batch in hand.
    response: Option<Value>,
}

impl Lane {
    /// Makes a lane that goes on at a position.
    pub(super) fn new(desk: Desk, options: Arc<Options>, place: Place, position: Position) -> Self {
        Self {
            desk,
            options,
            place,
            read: position.after.clone(),
            position,
            iterator: None,
            waiting: VecDeque::new(),
            since: Instant::now(),
            ended: false,
            response: None,
        }
    }

    /// Reads and delivers until the shard ends or the desk is closed.
    pub(super) async fn run(mut self) -> Left {
        let mut busy = self.desk.busy();
        let end = loop {
            if self.desk.stop.is_cancelled() {
                break End::Stopped;
            }
            // A lane that cannot note what it did tries the same again later.
            let round = self.round().await.unwrap_or_else(|_| {
                self.desk.failed();
                Round::Sleep(TROUBLED)
            });
            let goes_on = match round {
                Round::Again => true,
                Round::Fill(most) => self.desk.pause(most.min(IDLE)).await,
                Round::Sleep(time) => self.desk.sleep(time).await,
                Round::End(end) => break end,
                Round::Idle(most) => {
                    drop(busy);
                    let goes_on = self.desk.pause(most).await;
                    busy = self.desk.busy();
                    goes_on
                }
            };
            if !goes_on {
                break End::Stopped;
            }
        };
        Left { place: self.place, end, hold: (self.desk, busy) }
    }

    async fn round(&mut self) -> Result<Round, Fault> {
        let mut at_end = self.ended;
        if !self.ended && !self.batch().full {
            at_end = match self.pull().await {
                Ok(at_end) => at_end,
                Err(fault) => return self.trouble(&fault),
            };
        }
        let batch = self.batch();
        let left = self.options.wait.saturating_sub(self.since.elapsed());
        match batch.count {
            0 if batch.full => self.close(Close::Final).await,
            0 if !at_end => Ok(Round::Again),
            0 => self.rest().await,
            count if batch.full || self.ended || left.is_zero() => self.deliver(count).await,
            _ => Ok(Round::Fill(left)),
        }
    }

    fn batch(&self) -> batch::Batch {
        batch::next(self.waiting.iter(), &self.options, self.position.window.as_ref())
    }

    /// Reads one page; tells whether there was nothing.
    async fn pull(&mut self) -> Result<bool, Fault> {
        let reader = Reader { cloud: &self.desk.cloud, who: &self.desk.who, options: &self.options };
        let iterator = match self.iterator.take() {
            Some(iterator) => iterator,
            None => match reader.iterator(&self.place.shard, self.read.as_deref()).await {
                Err(fault) if Trouble::of(&fault) == Trouble::Iterator && self.read.is_some() => {
                    // The record that was read last is not of this stream, or has expired.
                    (self.read, self.position.after) = (None, None);
                    return Ok(false);
                }
                other => other?,
            },
        };
        let page = reader.records(&iterator).await?;
        self.iterator = page.next;
        self.ended = self.iterator.is_none();
        for given in &page.records {
            self.take(given);
        }
        Ok(page.records.is_empty())
    }

    fn take(&mut self, given: &Value) {
        let Some(record) = Record::read(&self.options, &self.place.shard, given) else { return };
        self.read = Some(record.sequence.clone());
        let is_new = self.options.start.is_none_or(|start| record.arrival >= start);
        if is_new && record.lane(self.options.lanes) == self.place.lane && record.passes(&self.options) {
            if self.waiting.is_empty() {
                self.since = Instant::now();
            }
            self.waiting.push_back(record);
        }
    }

    fn trouble(&mut self, fault: &Fault) -> Result<Round, Fault> {
        self.iterator = None;
        match Trouble::of(fault) {
            Trouble::Iterator => Ok(Round::Sleep(Duration::from_millis(10))),
            Trouble::Throttled => Ok(Round::Sleep(THROTTLED)),
            Trouble::Gone => Ok(Round::End(End::Gone)),
            Trouble::Other => {
                self.tell(&source::problem(&self.options, fault))?;
                Ok(Round::Sleep(TROUBLED))
            }
        }
    }

    /// Ends what is over when everything is read and delivered.
    async fn rest(&mut self) -> Result<Round, Fault> {
        if self.position.after != self.read {
            self.position.after.clone_from(&self.read);
            if !self.note(None)? {
                return Ok(Round::End(End::Stopped));
            }
        }
        let left = self.position.window.as_ref().map(|window| window.end - now());
        match left {
            Some(left) if left <= 0 => return self.close(Close::Final).await,
            Some(_) if self.ended => return self.close(Close::Early).await,
            _ => {}
        }
        if self.ended {
            self.position.done = true;
            self.note(None)?;
            return Ok(Round::End(End::Read));
        }
        let left = left.and_then(|left| u64::try_from(left).ok()).map_or(IDLE, Duration::from_millis);
        Ok(Round::Idle(left.min(IDLE)))
    }

    /// Delivers the first of the records that wait.
    async fn deliver(&mut self, count: usize) -> Result<Round, Fault> {
        let records: Vec<Record> = self.waiting.drain(..count).collect();
        self.since = Instant::now();
        if let (Some(length), Some(first)) = (self.options.tumble, records.first()) {
            self.position.window.get_or_insert_with(|| Window::of(first.arrival, length));
        }
        let round = self.play(&records, Close::Open).await;
        // What was not delivered is read again.
        if !matches!(round, Ok(Round::Again)) {
            self.waiting.clear();
            (self.iterator, self.ended) = (None, false);
            self.read.clone_from(&self.position.after);
            return round;
        }
        match self.position.window.as_ref().is_some_and(Window::is_full) {
            true => self.close(Close::Early).await,
            false => round,
        }
    }

    /// Calls the function for the last time in a window.
    async fn close(&mut self, close: Close) -> Result<Round, Fault> {
        let round = self.play(&[], close).await?;
        if matches!(round, Round::Again) {
            self.position.window = None;
            self.note(None)?;
        }
        Ok(round)
    }

    /// Follows the plan of a batch to its end.
    async fn play(&mut self, records: &[Record], close: Close) -> Result<Round, Fault> {
        let mut plan = Plan::new(self.options.rules, records.iter().map(|record| record.arrival).collect());
        let mut refused = 0;
        self.response = None;
        loop {
            let goes_on = match plan.next(now()) {
                Step::End => return Ok(Round::Again),
                Step::Drop(piece, condition) => self.give_up(records, &piece, condition).await?,
                Step::Try(piece, pause) => {
                    let pause = pause.max(wait(refused));
                    if !self.desk.sleep(pause).await || self.desk.stop.is_cancelled() {
                        return Ok(Round::End(End::Stopped));
                    }
                    self.attempt(records, &piece, close, (&mut plan, &mut refused)).await?
                }
            };
            if !goes_on {
                return Ok(Round::End(End::Stopped));
            }
        }
    }

    /// Sends a piece of a batch once; false when there is nothing more to do.
    async fn attempt(
        &mut self,
        records: &[Record],
        piece: &Piece,
        close: Close,
        (plan, refused): (&mut Plan, &mut u32),
    ) -> Result<bool, Fault> {
        let sent = &records[piece.range.clone()];
        if let [alone] = sent
            && alone.size > MOST_BYTES
        {
            plan.give_up();
            return Ok(true);
        }
        match call(&self.desk, &self.options, self.event(sent, close)).await {
            Called::Stopped => Ok(false),
            Called::Refused(problem) => {
                *refused += 1;
                self.tell(&problem)
            }
            Called::Failed(context) => {
                *refused = 0;
                self.response = Some(context);
                plan.failed(0);
                self.tell(FAILED)
            }
            Called::Answered(answer, context) => {
                *refused = 0;
                self.response = Some(context);
                if let Some(window) = &mut self.position.window {
                    window.answered(&answer);
                }
                let sequences: Vec<&str> = sent.iter().map(|record| record.sequence.as_str()).collect();
                match verdict::first_failure(&answer, &sequences).filter(|_| self.options.report) {
                    None => {
                        plan.succeeded();
                        self.desk.moved();
                    }
                    Some(place) => {
                        if place > 0 {
                            self.desk.moved();
                        }
                        self.desk.failed();
                        plan.failed(place);
                    }
                }
                let result = if plan.settled() == piece.range.end { "OK" } else { FAILED };
                self.advance(records, plan.settled(), result)
            }
        }
    }

    fn event(&self, records: &[Record], close: Close) -> Value {
        let records: Vec<&Value> = records.iter().map(|record| &record.event).collect();
        let mut event = Map::from_iter([("Records".to_owned(), json!(records))]);
        if let Some(window) = &self.position.window {
            window.mark(&mut event, &self.place.shard, &self.options.source, close);
        }
        Value::Object(event)
    }

    /// Tells the failure destination of records that are given up, and goes on behind them.
    async fn give_up(&mut self, records: &[Record], piece: &Piece, condition: Condition) -> Result<bool, Fault> {
        let failure = Failure {
            shard: &self.place.shard,
            records: &records[piece.range.clone()],
            condition,
            calls: piece.calls,
            response: self.response.as_ref().filter(|_| piece.calls > 0),
        };
        let sent = failure.send(&self.desk.cloud, &self.desk.who, &self.options).await;
        let result = sent.err().unwrap_or_else(|| FAILED.to_owned());
        self.desk.moved();
        self.advance(records, piece.range.end, &result)
    }

    /// Notes that the first records of a batch are done; false when the mapping is gone.
    fn advance(&mut self, records: &[Record], done: usize, result: &str) -> Result<bool, Fault> {
        if done == records.len() && self.waiting.is_empty() {
            self.position.after.clone_from(&self.read);
        } else if let Some(last) = done.checked_sub(1).and_then(|last| records.get(last)) {
            self.position.after = Some(last.sequence.clone());
        }
        self.note(Some(result))
    }

    fn note(&self, result: Option<&str>) -> Result<bool, Fault> {
        position::note(&self.desk.cloud, &self.desk.who, &self.place, &self.position, result)
    }

    /// Tells what keeps records from being delivered.
    fn tell(&self, result: &str) -> Result<bool, Fault> {
        self.desk.failed();
        position::note_result(&self.desk.cloud, &self.desk.who, &self.place.id, result)
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
