//! The times of an AWS that is not at once: of requests, of changes of state, of IAM, and of EC2's listings.

use std::time::Duration;

use super::delay::Delays;
use super::draw;
use super::latency::Latency;
use super::seen::Seen;

/// How fast things go, and what does not go at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pace {
    /// How long every request waits before it is answered.
    pub(crate) latency: Latency,
    /// How long changes of state take.
    pub(crate) delays: Delays,
    /// Milliseconds until others see what was changed in IAM.
    pub(crate) iam: u32,
    /// Milliseconds until EC2 lists a new instance.
    pub(crate) ec2: u32,
    /// Whether Analytics for SQL takes no new applications.
    pub(crate) retired: bool,
}

/// Reads whether Analytics for SQL is `retired` or `open`.
pub(crate) fn is_retired(text: &str) -> Option<bool> {
    match text.trim() {
        "retired" => Some(true),
        "open" => Some(false),
        _ => None,
    }
}

impl Pace {
    /// Tells for how long a service may not show what is changed in it.
    pub(super) fn hides(&self, service: &str) -> Option<Duration> {
        let time = match service {
            "iam" => self.iam,
            "ec2" => self.ec2,
            _ => 0,
        };
        (time > 0).then(|| Duration::from_millis(time.into()))
    }

    /// Returns after how many milliseconds others see what a call changes: half the service's time to one and a half.
    pub(super) fn lag(time: Duration, seed: u64, seen: &Seen) -> i64 {
        let place = format!("{}/{}/{}", seen.service, seen.operation, seen.resource.as_deref().unwrap_or_default());
        let time = time.mul_f64(0.5 + draw::unit(seed, &place));
        i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
    }

    /// Tells whether something is left to chance.
    pub(crate) fn draws(&self) -> bool {
        self.latency.draws() || self.iam > 0 || self.ec2 > 0
    }
}
