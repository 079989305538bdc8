//! Event source mappings: polls streams for functions (`facts/aws.md` 11b).
//!
//! One task per mapping watches the shards, and one per lane of a shard reads and delivers. Everything goes
//! through the public API, so it knows neither how streams keep records nor how functions run.

mod batch;
mod event;
mod failure;
mod invocation;
mod lane;
mod options;
mod position;
mod retry;
mod source;
#[cfg(test)]
mod tests;
mod verdict;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use super::{Busy, Desk, Job};
use crate::local::lambda::polling;
use crate::local::{Cloud, Fault, Who};
use lane::{End, Lane, Left};
use options::Options;
pub(crate) use position::forget;
use position::{Place, Position};
use source::{Reader, Trouble};

/// How long a mapping waits whose stream cannot be listed.
const TROUBLED: Duration = Duration::from_secs(1);

/// The mappings that are enabled now.
pub(super) fn jobs(cloud: &Cloud, endpoint: &str) -> Result<Vec<Job>, Fault> {
    let rows = polling::enabled(cloud.rows(), jiff::Timestamp::now().as_millisecond())?;
    let job = |row: polling::Polled| {
        let options = Options::read(&row)?;
        let who = Who { account: row.account, region: row.region, role: row.role, endpoint: endpoint.to_owned() };
        let id = format!("{}@{}", options.id, row.version);
        Some(Job { id, who, work: Box::new(|desk| Box::pin(Watch::new(desk, options).run())) })
    };
    Ok(rows.into_iter().filter_map(job).collect())
}

/// Returns what a lane left. A lane that panicked takes the whole watch with it, which is started again then; without
/// that its shard would never be read again.
fn left_by<T>(ended: Result<T, JoinError>) -> Option<T> {
    match ended.map_err(JoinError::try_into_panic) {
        Ok(left) => Some(left),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => None,
    }
}

/// The watch over the shards of one mapping.
struct Watch {
    desk: Desk,
    options: Arc<Options>,
    lanes: JoinSet<Left>,
    /// Shards that are being read, with the number of lanes that still do.
    reading: BTreeMap<String, u32>,
    done: BTreeSet<String>,
}

impl Watch {
    fn new(desk: Desk, options: Options) -> Self {
        let options = Arc::new(options);
        Self { desk, options, lanes: JoinSet::new(), reading: BTreeMap::new(), done: BTreeSet::new() }
    }

    async fn run(mut self) {
        let mut busy = self.desk.busy();
        self.desk.delegate();
        if self.options.role.is_none() {
            let problem = format!("PROBLEM: Function not found: {}", self.options.function);
            // There is nobody to tell when this fails as well.
            let _ = position::note_result(&self.desk.cloud, &self.desk.who, &self.options.id, &problem);
            return;
        }
        let mut holds: Vec<(Desk, Busy)> = Vec::new();
        while !self.desk.stop.is_cancelled() {
            let listed = self.open().await;
            holds.clear();
            match listed {
                Ok(()) => {
                    drop(busy);
                    let left = self.next_end().await;
                    busy = self.desk.busy();
                    holds.extend(left.and_then(|left| self.close(left)));
                }
                Err(fault) => {
                    busy = self.bear(&fault, busy).await;
                }
            }
        }
        while self.lanes.join_next().await.is_some() {}
    }

    /// Waits for the end of a lane; none when the task must end.
    async fn next_end(&mut self) -> Option<Left> {
        if self.lanes.is_empty() {
            // No shard can be read, which no stream stays in for long.
            self.desk.sleep(TROUBLED).await;
            return None;
        }
        tokio::select! {
            () = self.desk.stop.cancelled() => None,
            ended = self.lanes.join_next() => ended.and_then(left_by),
        }
    }

    /// Starts the lanes of all shards that can be read now.
    async fn open(&mut self) -> Result<(), Fault> {
        let reader = Reader { cloud: &self.desk.cloud, who: &self.desk.who, options: &self.options };
        let shards = reader.shards().await?;
        loop {
            let due = source::startable(&shards, |id| self.done.contains(id), |id| self.reading.contains_key(id));
            let due: Vec<String> = due.into_iter().map(|shard| shard.id.clone()).collect();
            let before = self.done.len();
            for shard in due {
                self.start(shard)?;
            }
            // A shard that was done already lets its children start.
            if self.done.len() == before {
                return Ok(());
            }
        }
    }

    fn start(&mut self, shard: String) -> Result<(), Fault> {
        let (id, lanes) = (&self.options.id, self.options.lanes);
        let positions = position::spread(&self.desk.cloud, &self.desk.who, id, &shard, lanes)?;
        let mut reading = 0;
        for (lane, position) in (0..).zip(positions).filter(|(_, position): &(u32, Position)| !position.done) {
            let place = Place { id: id.clone(), shard: shard.clone(), lane };
            let lane = Lane::new(self.desk.branch(), Arc::clone(&self.options), place, position);
            self.lanes.spawn(lane.run());
            reading += 1;
        }
        match reading {
            0 => drop(self.done.insert(shard)),
            lanes => drop(self.reading.insert(shard, lanes)),
        }
        Ok(())
    }

    /// Notes the end of a lane; what it gives back is to be kept until the shards are looked at again.
    fn close(&mut self, left: Left) -> Option<(Desk, Busy)> {
        let Left { place, end, hold } = left;
        let lanes = self.reading.entry(place.shard.clone()).or_default();
        *lanes = lanes.saturating_sub(1);
        if *lanes == 0 {
            self.reading.remove(&place.shard);
            if end == End::Read {
                self.done.insert(place.shard);
            }
        }
        (end == End::Read).then_some(hold)
    }

    /// Waits after the shards could not be listed. A stream that is gone has nothing that could be delivered.
    async fn bear(&mut self, fault: &Fault, busy: Busy) -> Busy {
        let (cloud, who, id) = (&self.desk.cloud, &self.desk.who, &self.options.id);
        let _ = position::note_result(cloud, who, id, &source::problem(&self.options, fault));
        if Trouble::of(fault) != Trouble::Gone {
            self.desk.failed();
            self.desk.sleep(TROUBLED).await;
            return busy;
        }
        self.done.clear();
        let _ = position::start_over(cloud, who, id);
        // Whether the stream is back is looked at by this task itself.
        self.desk.resume();
        drop(busy);
        self.desk.pause(TROUBLED).await;
        let busy = self.desk.busy();
        self.desk.delegate();
        busy
    }
}
