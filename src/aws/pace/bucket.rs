//! The arithmetic of one budget: when the next call may go, and how the pace follows refusals.

use std::time::{Duration, Instant};

use super::rates::Rate;

/// Share of the published rate that is used. The rest is for clocks that differ; runs that follow one another cannot know
/// of each other, and live on what bursts leave.
const SHARE: f64 = 0.99;
/// The slowest that refusals make it, as a share of its rate.
const SLOWEST: f64 = 1.0 / 16.0;
/// Share of its rate that a budget regains each second after it was cut.
const REGAIN: f64 = 1.0 / 20.0;
/// Refusals that come within this time of a cut are of calls that were on their way then.
const ONE_CUT: Duration = Duration::from_secs(1);

/// The budget of one API.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    burst: f64,
    /// Calls a second at present.
    pace: f64,
    /// When the last cut or regain was.
    seen: Instant,
    cut: Option<Instant>,
    /// When the bucket would be full again if no further call was planned.
    full: Instant,
    /// The same of the calls that went.
    refilled: Instant,
}

impl Bucket {
    /// Makes a full budget.
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        let pace = rate.rate * SHARE;
        Self { rate: pace, burst: rate.burst, pace, seen: now, cut: None, full: now, refilled: now }
    }

    /// Takes the next place; returns the time until then.
    pub(super) fn reserve(&mut self, now: Instant) -> Duration {
        self.regain(now);
        let interval = Duration::from_secs_f64(1.0 / self.pace);
        let ahead = Duration::from_secs_f64((self.burst - 1.0) / self.pace);
        let full = self.full.max(now);
        self.full = full + interval;
        full.saturating_duration_since(now).saturating_sub(ahead)
    }

    /// Lets a call go whose time has come, or returns how much longer it waits: a program that was held up wakes many
    /// calls at once, and they must not go at once.
    pub(super) fn go(&mut self, now: Instant) -> Option<Duration> {
        let refilled = self.refilled.max(now);
        let ahead = Duration::from_secs_f64((self.burst - 1.0) / self.pace);
        let wait = refilled.saturating_duration_since(now).saturating_sub(ahead);
        if wait.is_zero() {
            self.refilled = refilled + Duration::from_secs_f64(1.0 / self.pace);
        }
        Some(wait).filter(|wait| !wait.is_zero())
    }

    /// Halves the pace, once for calls that were under way together; nothing goes ahead of time until it is regained.
    pub(super) fn throttled(&mut self, now: Instant) {
        if self.cut.is_some_and(|cut| now.saturating_duration_since(cut) < ONE_CUT) {
            return;
        }
        self.regain(now);
        self.pace = (self.pace / 2.0).max(self.rate * SLOWEST);
        self.cut = Some(now);
        let ahead = Duration::from_secs_f64((self.burst - 1.0) / self.pace);
        self.full = self.full.max(now + ahead);
    }

    fn regain(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        self.pace = (self.pace + passed * self.rate * REGAIN).min(self.rate);
        self.seen = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bucket(rate: f64, burst: f64, now: Instant) -> Bucket {
        Bucket::new(Rate { rate, burst }, now)
    }

    proptest! {
        /// However calls come, no stretch of time sees more of them go than the burst and the rate allow.
        #[test]
        fn calls_go_no_faster_than_the_rate(gaps in prop::collection::vec(0..300_u64, 1..150), rate in 1..50_u32) {
            let (rate, burst, start) = (f64::from(rate), (f64::from(rate) / 4.0).max(1.0), Instant::now());
            let mut bucket = bucket(rate, burst, start);
            let (mut now, mut went) = (start, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                went.push(now + bucket.reserve(now));
            }
            for (index, first) in went.iter().enumerate() {
                for (calls, last) in went[index..].iter().enumerate() {
                    let allowed = burst + rate * last.duration_since(*first).as_secs_f64() + 1e-3;
                    #[expect(clippy::cast_precision_loss, reason = "small counts")]
                    let calls = calls as f64 + 1.0;
                    prop_assert!(calls <= allowed, "{calls} calls where {allowed} may go");
                }
            }
        }
    }

    #[test]
    fn calls_that_wake_together_go_one_by_one() {
        let start = Instant::now();
        let mut bucket = bucket(10.0, 2.5, start);
        for _ in 0..20 {
            bucket.reserve(start);
        }
        let late = start + Duration::from_secs(5);
        let gone = (0..20).take_while(|_| bucket.go(late).is_none()).count();
        assert_eq!(gone, 2);
        let wait = bucket.go(late).unwrap();
        assert!(bucket.go(late + wait).is_none());
    }

    #[test]
    fn runs_that_follow_one_another_stay_within_the_bucket_of_aws() {
        let (row, _) = super::super::rates::find("CloudWatch Logs", "DescribeLogGroups").unwrap();
        let (rate, holds, mut now) = (super::super::rates::of(row), 10.0, Instant::now());
        let (mut tokens, mut at) = (holds, now);
        for run in 0..30 {
            let mut bucket = Bucket::new(rate, now);
            for _ in 0..50 {
                let goes = now + bucket.reserve(now);
                tokens = (tokens + rate.rate * goes.duration_since(at).as_secs_f64()).min(holds) - 1.0;
                assert!(tokens >= 0.0, "run {run}");
                at = goes;
            }
            now = at + Duration::from_millis(300);
        }
    }

    #[test]
    fn far_from_the_limit_nothing_waits() {
        let start = Instant::now();
        let mut bucket = bucket(10.0, 2.5, start);
        assert!((1..50).all(|n| bucket.reserve(start + Duration::from_millis(n * 200)) == Duration::ZERO));
    }

    #[test]
    fn a_refusal_halves_the_pace_and_time_brings_it_back() {
        let start = Instant::now();
        let mut bucket = bucket(10.0, 1.0, start);
        bucket.throttled(start);
        bucket.throttled(start + Duration::from_millis(10));
        assert!((bucket.pace - 4.95).abs() < 0.1, "{}", bucket.pace);
        for second in 2..20 {
            bucket.throttled(start + Duration::from_secs(second));
        }
        assert!(bucket.pace >= 9.9 * SLOWEST);
        bucket.reserve(start + Duration::from_mins(1));
        assert!((bucket.pace - 9.9).abs() < 1e-6, "{}", bucket.pace);
    }
}
