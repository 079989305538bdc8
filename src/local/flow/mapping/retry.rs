//! What is tried next of a batch, and what is given up; pure.
//!
//! It knows a batch by the number of its records and when they arrived.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use super::options::Rules;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A part of the batch that goes to the function in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) range: Range<usize>,
    /// Failures that count against the retries.
    failures: u32,
    /// How often it was sent.
    pub(super) calls: u32,
    /// No try can do any good.
    hopeless: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Send this after a wait.
    Try(Piece, Duration),
    /// Give this up.
    Drop(Piece, Condition),
    /// All is done.
    End,
}

/// Why records are given up, in the word of the failure document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    RetryAttemptsExhausted,
    RecordAgeExceeded,
}

/// The rest of one batch.
#[derive(Debug)]
pub(super) struct Plan {
    rules: Rules,
    arrivals: Vec<i64>,
    pieces: VecDeque<Piece>,
    settled: usize,
}

impl Plan {
    /// Plans a batch by the arrivals of its records in milliseconds. A batch without records is one try.
    pub(super) fn new(rules: Rules, arrivals: Vec<i64>) -> Self {
        let whole = Piece { range: 0..arrivals.len(), failures: 0, calls: 0, hopeless: false };
        Self { rules, arrivals, pieces: VecDeque::from([whole]), settled: 0 }
    }

    /// Returns how many records from the first on are delivered or given up.
    pub(super) fn settled(&self) -> usize {
        self.settled
    }

    /// Says what to do at a time. What is dropped counts as settled.
    pub(super) fn next(&mut self, now: i64) -> Step {
        let Some(piece) = self.pieces.front() else { return Step::End };
        let old = self.rules.age.map_or(0, |age| self.too_old(piece, now - age));
        if old > 0 {
            return Step::Drop(self.take(old), Condition::RecordAgeExceeded);
        }
        if piece.hopeless || self.rules.retries.is_some_and(|retries| piece.failures > retries) {
            let all = piece.range.len();
            return Step::Drop(self.take(all), Condition::RetryAttemptsExhausted);
        }
        Step::Try(piece.clone(), wait(piece.failures))
    }

    /// Counts the records at the start of a piece that arrived before a time; later ones arrived later.
    fn too_old(&self, piece: &Piece, oldest: i64) -> usize {
        self.arrivals[piece.range.clone()].iter().take_while(|arrival| **arrival < oldest).count()
    }

    /// Takes records from the start of the first piece.
    fn take(&mut self, count: usize) -> Piece {
        let Some(piece) = self.pieces.front_mut() else {
            return Piece { range: self.settled..self.settled, failures: 0, calls: 0, hopeless: false };
        };
        let mut taken = piece.clone();
        taken.range.end = taken.range.start + count;
        piece.range.start = taken.range.end;
        if piece.range.is_empty() {
            self.pieces.pop_front();
        }
        self.settled = taken.range.end;
        taken
    }

    /// The first piece can never be delivered.
    pub(super) fn give_up(&mut self) {
        if let Some(piece) = self.pieces.front_mut() {
            piece.hopeless = true;
        }
    }

    /// The first piece was delivered.
    pub(super) fn succeeded(&mut self) {
        if let Some(piece) = self.pieces.pop_front() {
            self.settled = piece.range.end;
        }
    }

    /// The first piece failed from one of its records on; what is before it was delivered. Splitting a batch does
    /// not count as a retry.
    pub(super) fn failed(&mut self, from: usize) {
        let Some(mut piece) = self.pieces.pop_front() else { return };
        piece.calls += 1;
        let at = from.min(piece.range.len().saturating_sub(1));
        piece.range.start += at;
        self.settled = piece.range.start;
        let half = piece.range.len() / 2;
        match (self.rules.bisect, at) {
            (true, 0) if half > 0 => {
                let middle = piece.range.start + half;
                self.pieces.push_front(Piece { range: middle..piece.range.end, ..piece });
                self.pieces.push_front(Piece { range: piece.range.start..middle, ..piece });
            }
            (true, 1..) => self.pieces.push_front(piece),
            _ => {
                piece.failures += 1;
                self.pieces.push_front(piece);
            }
        }
    }
}

/// How long to wait before a try, by the failures in a row before it.
pub(super) fn wait(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        more => FIRST_WAIT.saturating_mul(1 << (more - 1).min(16)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(bisect: bool, retries: Option<u32>) -> Rules {
        Rules { bisect, retries, age: None }
    }

    /// Runs a plan with a function that fails on some records; returns what was sent and what was dropped.
    fn play(mut plan: Plan, bad: &[usize]) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
        let (mut sent, mut dropped) = (Vec::new(), Vec::new());
        loop {
            match plan.next(0) {
                Step::End => return (sent, dropped),
                Step::Drop(piece, _) => dropped.push(piece.range),
                Step::Try(piece, _) => {
                    sent.push(piece.range.clone());
                    match bad.iter().any(|bad| piece.range.contains(bad)) {
                        true => plan.failed(0),
                        false => plan.succeeded(),
                    }
                }
            }
        }
    }

    #[test]
    fn a_batch_is_retried_as_a_whole_and_then_dropped() {
        let (sent, dropped) = play(Plan::new(rules(false, Some(2)), vec![0; 4]), &[1]);
        assert_eq!(sent, [0..4, 0..4, 0..4]);
        assert_eq!(dropped, [Range { start: 0, end: 4 }]);
    }

    #[test]
    fn halves_are_tried_until_the_bad_record_is_alone() {
        let (sent, dropped) = play(Plan::new(rules(true, Some(1)), vec![0; 8]), &[2]);
        assert_eq!(sent, [0..8, 0..4, 0..2, 2..4, 2..3, 2..3, 3..4, 4..8]);
        assert_eq!(dropped, [Range { start: 2, end: 3 }]);
    }

    #[test]
    fn what_is_before_the_reported_failure_is_done() {
        let mut plan = Plan::new(rules(false, Some(1)), vec![0; 5]);
        assert!(matches!(plan.next(0), Step::Try(..)));
        plan.failed(3);
        assert_eq!(plan.settled(), 3);
        let Step::Try(piece, wait) = plan.next(0) else { panic!() };
        assert_eq!((piece.range, piece.calls, wait), (3..5, 1, FIRST_WAIT));
        plan.failed(0);
        assert!(matches!(plan.next(0), Step::Drop(piece, Condition::RetryAttemptsExhausted) if piece.calls == 2));
        assert_eq!(plan.next(0), Step::End);
    }

    #[test]
    fn old_records_are_dropped_before_the_others_are_tried() {
        let rules = Rules { age: Some(60), ..Rules::default() };
        let mut plan = Plan::new(rules, vec![10, 20, 100]);
        let Step::Drop(piece, Condition::RecordAgeExceeded) = plan.next(100) else { panic!() };
        assert_eq!((piece.range, plan.settled()), (0..2, 2));
        assert!(matches!(plan.next(100), Step::Try(piece, _) if piece.range == (2..3)));
        plan.failed(0);
        assert!(matches!(plan.next(161), Step::Drop(_, Condition::RecordAgeExceeded)));
    }

    #[test]
    fn what_can_never_be_delivered_is_dropped_at_once() {
        let mut plan = Plan::new(rules(false, None), vec![0; 2]);
        plan.give_up();
        assert!(matches!(plan.next(0), Step::Drop(piece, Condition::RetryAttemptsExhausted) if piece.calls == 0));
        assert_eq!((plan.next(0), plan.settled()), (Step::End, 2));
    }

    #[test]
    fn a_try_without_records_ends_as_well() {
        let mut plan = Plan::new(rules(true, Some(0)), Vec::new());
        assert!(matches!(plan.next(0), Step::Try(..)));
        plan.failed(0);
        assert!(matches!(plan.next(0), Step::Drop(..)));
        assert_eq!(plan.next(0), Step::End);
    }

    #[test]
    fn waits_grow_up_to_a_limit() {
        let waits: Vec<u128> = [0, 1, 2, 3, 50].map(|failures| wait(failures).as_millis()).to_vec();
        assert_eq!(waits, [0, 100, 200, 400, 10_000]);
    }

    proptest! {
        #[test]
        fn every_record_is_delivered_or_dropped_in_order(
            count in 1_usize..40, bad in prop::collection::vec(0_usize..40, 0..5), bisect: bool, retries in 0_u32..3,
        ) {
            let mut plan = Plan::new(rules(bisect, Some(retries)), vec![0; count]);
            let mut ends = 0;
            loop {
                let before = plan.settled();
                prop_assert_eq!(before, ends);
                match plan.next(0) {
                    Step::End => break,
                    Step::Drop(piece, _) => {
                        prop_assert_eq!(piece.range.start, ends);
                        prop_assert!(bad.iter().any(|bad| piece.range.contains(bad)));
                        prop_assert!(!bisect || piece.range.len() == 1);
                        ends = piece.range.end;
                    }
                    Step::Try(piece, _) => {
                        prop_assert_eq!(piece.range.start, ends);
                        if bad.iter().any(|bad| piece.range.contains(bad)) {
                            plan.failed(0);
                        } else {
                            plan.succeeded();
                            ends = piece.range.end;
                        }
                    }
                }
            }
            prop_assert_eq!(ends, count);
        }
    }
}
