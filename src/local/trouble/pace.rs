//! The times of an AWS that is not at once: of requests, of changes of state, and of IAM.

use super::delay::Delays;
use super::latency::Latency;

/// How fast things go.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pace {
    /// How long every request waits before it is answered.
    pub(crate) latency: Latency,
    /// How long changes of state take.
    pub(crate) delays: Delays,
    /// Milliseconds until others see what was changed in IAM.
    pub(crate) iam: u32,
}

impl Pace {
    /// Tells whether something is left to chance.
    pub(crate) fn draws(&self) -> bool {
        self.latency.draws() || self.iam > 0
    }
}
