//! The arithmetic of one budget: which call may go next and when, and how the pace follows refusals.

use std::collections::BTreeSet;
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

/// For how long later calls that are more urgent may go before one that nothing waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A call's place in the row: until when others may go before it, sooner for the more urgent. So these go first, and
/// none waits for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    until: Instant,
    number: u64,
}

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
    /// When the bucket is full again if no further call goes.
    full: Instant,
    row: BTreeSet<Place>,
    next: u64,
}

impl Bucket {
    /// Makes a full budget.
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        let pace = rate.rate * SHARE;
        Self { rate: pace, burst: rate.burst, pace, seen: now, cut: None, full: now, row: BTreeSet::new(), next: 0 }
    }

    /// Takes a place in the row.
    pub(super) fn enter(&mut self, urgency: usize, now: Instant) -> Place {
        let part = u32::try_from(urgency).unwrap_or(u32::MAX).saturating_add(1);
        let place = Place { until: now + PATIENCE / part, number: self.next };
        self.next += 1;
        self.row.insert(place);
        place
    }

    /// Lets a call go whose time has come, or returns how much longer it waits as things are: more urgent calls may come,
    /// and a program that was held up wakes many calls at once, which must not go at once.
    pub(super) fn go(&mut self, place: Place, now: Instant) -> Option<Duration> {
        self.regain(now);
        let interval = Duration::from_secs_f64(1.0 / self.pace);
        let before = u32::try_from(self.row.range(..place).count()).unwrap_or(u32::MAX);
        let full = self.full.max(now);
        let wait = (full + interval.saturating_mul(before)).saturating_duration_since(now + self.ahead());
        if !wait.is_zero() {
            return Some(wait);
        }
        self.full = full + interval;
        self.leave(place);
        None
    }

    /// Takes a call out of the row.
    pub(super) fn leave(&mut self, place: Place) {
        self.row.remove(&place);
    }

    /// Halves the pace, once for calls that were under way together; nothing goes ahead of time until it is regained.
    pub(super) fn throttled(&mut self, now: Instant) {
        if self.cut.is_some_and(|cut| now.saturating_duration_since(cut) < ONE_CUT) {
            return;
        }
        self.regain(now);
        self.pace = (self.pace / 2.0).max(self.rate * SLOWEST);
        self.cut = Some(now);
        self.full = self.full.max(now + self.ahead());
    }

    /// Returns how long before the bucket is full a call may go.
    fn ahead(&self) -> Duration {
        Duration::from_secs_f64((self.burst - 1.0) / self.pace)
    }

    fn regain(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        self.pace = (self.pace + passed * self.rate * REGAIN).min(self.rate);
        self.seen = now;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn bucket(rate: f64, burst: f64, now: Instant) -> Bucket {
        Bucket::new(Rate { rate, burst }, now)
    }

    /// Sends calls that come at these times, each when its time has come; returns when each went, in the order they came.
    fn send(bucket: &mut Bucket, calls: &[(Instant, usize)]) -> Vec<Instant> {
        let mut went = vec![None; calls.len()];
        let mut waiting: BTreeMap<(Instant, usize), Option<Place>> =
            calls.iter().enumerate().map(|(call, (comes, _))| ((*comes, call), None)).collect();
        while let Some(((now, call), place)) = waiting.pop_first() {
            let place = place.unwrap_or_else(|| bucket.enter(calls[call].1, now));
            match bucket.go(place, now) {
                None => went[call] = Some(now),
                Some(wait) => assert!(waiting.insert((now + wait, call), Some(place)).is_none()),
            }
        }
        went.into_iter().map(Option::unwrap).collect()
    }

    proptest! {
        /// However calls come, no stretch of time sees more of them go than the burst and the rate allow, and urgency
        /// costs no time in all.
        #[test]
        fn calls_go_as_fast_as_the_rate_allows_and_no_faster(
            comes in prop::collection::vec((0..300_u64, 0..4_usize), 1..150), rate in 1..50_u32
        ) {
            let (rate, burst, start) = (f64::from(rate), (f64::from(rate) / 4.0).max(1.0), Instant::now());
            let mut now = start;
            let calls: Vec<_> = comes.into_iter().map(|(gap, urgency)| {
                now += Duration::from_millis(gap);
                (now, urgency)
            }).collect();
            let mut went = send(&mut bucket(rate, burst, start), &calls);
            went.sort();
            for (index, first) in went.iter().enumerate() {
                for (calls, last) in went[index..].iter().enumerate() {
                    let allowed = burst + rate * last.duration_since(*first).as_secs_f64() + 1e-3;
                    #[expect(clippy::cast_precision_loss, reason = "small counts")]
                    let calls = calls as f64 + 1.0;
                    prop_assert!(calls <= allowed, "{calls} calls where {allowed} may go");
                }
            }
            let alike: Vec<_> = calls.iter().map(|(comes, _)| (*comes, 0)).collect();
            let in_turn = send(&mut bucket(rate, burst, start), &alike);
            for (went, in_turn) in went.iter().zip(in_turn) {
                prop_assert!(*went <= in_turn + Duration::from_micros(1));
            }
        }
    }

    #[test]
    fn calls_that_wake_together_go_one_by_one() {
        let start = Instant::now();
        let mut bucket = bucket(10.0, 2.5, start);
        let row: Vec<_> = (0..20).map(|_| bucket.enter(0, start)).collect();
        let late = start + Duration::from_secs(5);
        let gone = row.iter().filter(|place| bucket.go(**place, late).is_none()).count();
        assert_eq!(gone, 2);
        let wait = bucket.go(row[2], late).unwrap();
        assert!(bucket.go(row[2], late + wait).is_none());
    }

    #[test]
    fn the_urgent_go_first_and_the_others_as_they_came() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let calls = [(at(0), 0), (at(1), 0), (at(2), 0), (at(3), 7), (at(150), 9), (at(151), 7)];
        let went = send(&mut bucket(10.0, 1.0, start), &calls);
        let mut order: Vec<_> = (0..calls.len()).collect();
        order.sort_by_key(|call| went[*call]);
        assert_eq!(order, [0, 3, 4, 5, 1, 2]);
    }

    #[test]
    fn the_urgent_do_not_go_first_for_ever() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let comes = |call: u64| at(if call < 50 { call } else { call * 90 });
        let calls: Vec<_> = (0..1000).map(|call| (comes(call), usize::from(call != 1))).collect();
        let went = send(&mut bucket(10.0, 1.0, start), &calls)[1].duration_since(start);
        assert!(went > Duration::from_secs(10) && went < PATIENCE, "{went:?}");
    }

    #[test]
    fn who_gives_up_takes_no_place() {
        let start = Instant::now();
        let mut bucket = bucket(1.0, 1.0, start);
        let row: Vec<_> = (0..3).map(|_| bucket.enter(0, start)).collect();
        assert!(bucket.go(row[0], start).is_none());
        bucket.leave(row[1]);
        let wait = bucket.go(row[2], start).unwrap();
        assert!(wait < Duration::from_millis(1100), "{wait:?}");
    }

    #[test]
    fn runs_that_follow_one_another_stay_within_the_bucket_of_aws() {
        let (row, _) = super::super::rates::find("CloudWatch Logs", "DescribeLogGroups").unwrap();
        let (rate, holds, mut now) = (super::super::rates::of(row), 10.0, Instant::now());
        let (mut tokens, mut at) = (holds, now);
        for run in 0..30 {
            let mut bucket = Bucket::new(rate, now);
            for goes in send(&mut bucket, &[(now, 0); 50]) {
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
        let calls: Vec<_> = (1..50).map(|n| (start + Duration::from_millis(n * 200), 0)).collect();
        let went = send(&mut bucket, &calls);
        assert!(calls.iter().zip(went).all(|((comes, _), went)| *comes == went));
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
        let place = bucket.enter(0, start);
        assert_eq!(bucket.go(place, start + Duration::from_mins(1)), None);
        assert!((bucket.pace - 9.9).abs() < 1e-6, "{}", bucket.pace);
    }
}
