//! One token bucket: calls take tokens, and time brings them back.

use std::time::Instant;

/// What is left, and when that was so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    tokens: f64,
    at: Instant,
    taken: u64,
}

impl Bucket {
    /// Makes a bucket that holds its most.
    pub(super) fn full(burst: f64, now: Instant) -> Self {
        Self { tokens: burst, at: now, taken: 0 }
    }

    /// Takes one token, if there is one; `rate` come back each second, up to `burst`.
    pub(super) fn take(&mut self, rate: f64, burst: f64, now: Instant) -> bool {
        let back = now.saturating_duration_since(self.at).as_secs_f64() * rate;
        (self.tokens, self.at) = ((self.tokens + back).min(burst), now);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        self.taken += 1;
        true
    }

    /// Returns how many tokens were taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        /// However calls come, no stretch of time sees more than the burst and what came back in it.
        #[test]
        fn no_more_than_the_rate_gets_through(gaps in prop::collection::vec(0..400_u64, 1..200)) {
            let (rate, burst, start) = (5.0, 5.0, Instant::now());
            let mut bucket = Bucket::full(burst, start);
            let (mut now, mut taken) = (start, 0.0);
            for gap in gaps {
                now += Duration::from_millis(gap);
                taken += f64::from(u8::from(bucket.take(rate, burst, now)));
                prop_assert!(taken <= burst + rate * now.duration_since(start).as_secs_f64() + 1e-6);
            }
        }
    }

    #[test]
    fn a_refused_call_costs_nothing() {
        let start = Instant::now();
        let mut bucket = Bucket::full(1.0, start);
        assert!(bucket.take(1.0, 1.0, start));
        assert!((0..10).all(|_| !bucket.take(1.0, 1.0, start)));
        assert!(bucket.take(1.0, 1.0, start + Duration::from_secs(1)));
    }
}
