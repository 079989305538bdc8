//! For how long things have failed and nothing has gone through.
//!
//! It does not know what the things are.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The first failure after which nothing has gone through.
#[derive(Debug, Default)]
pub(crate) struct Stall(Mutex<Option<Instant>>);

impl Stall {
    /// Notes a failure.
    pub(crate) fn failed(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    /// Notes that something went through.
    pub(crate) fn moved(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Tells for how long things have failed; zero when they do not.
    pub(crate) fn time(&self) -> Duration {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_from_the_first_failure_until_something_goes_through() {
        let stall = Stall::default();
        assert_eq!(stall.time(), Duration::ZERO);
        stall.failed();
        std::thread::sleep(Duration::from_millis(2));
        stall.failed();
        assert!(stall.time() >= Duration::from_millis(2));
        stall.moved();
        assert_eq!(stall.time(), Duration::ZERO);
    }
}
