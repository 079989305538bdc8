//! How the calls of the cloud in memory take turns, and at which point of them a run is told to stop.

use tokio::sync::mpsc::UnboundedSender;

use crate::apply::run::Stop;

/// A script for pauses. Without one, every pause takes a millisecond; with one, none takes any time.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// How many turns the pauses of calls take, one after the other and then from the start again.
    pub(super) turns: Vec<u8>,
    /// At which pause, counted from one, a run is told to stop.
    pub(super) stops: Vec<(usize, Stop)>,
    /// Who is told.
    pub(super) sender: Option<UnboundedSender<Stop>>,
    /// Whether anybody was told.
    pub(super) stopped: bool,
    pauses: usize,
}

impl Pace {
    /// Begins to count anew.
    pub(super) fn restart(&mut self, stops: Vec<(usize, Stop)>) {
        (self.stops, self.stopped, self.pauses) = (stops, false, 0);
    }

    /// Counts a pause, and returns for how many turns it lasts.
    pub(super) fn pause(&mut self) -> Option<u8> {
        self.pauses += 1;
        for (_, stop) in self.stops.iter().filter(|(at, _)| *at == self.pauses) {
            self.sender.as_ref().unwrap().send(*stop).unwrap();
            self.stopped = true;
        }
        // One turn at least: a stop reaches the run while the call that met it waits.
        Some(1 + self.turns.get(self.pauses % self.turns.len().max(1))?)
    }
}
