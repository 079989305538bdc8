//! Sequence numbers of records: the engine's form, in which the numbers of one shard grow with a counter.
//!
//! It does not know where the counters stand.

use ferrokinesis::sequence::{MAX_SEQ_IX, SeqObj, parse_sequence, stringify_sequence};
use ferrokinesis::types::Shard;

/// What all sequence numbers of one shard have in common.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// Milliseconds since the epoch at which the shard was made.
    made: u64,
    shard: i64,
}

/// Why a sequence number cannot be a position in a shard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misplaced {
    /// It is no sequence number.
    Unreadable,
    /// It is of the shard with this index.
    OtherShard(i64),
    /// It is of a stream that was there before, or never.
    OtherStream,
}

impl Origin {
    /// Reads what a shard's numbers start with.
    pub(super) fn of(shard: &Shard) -> Option<Self> {
        let start = parse_sequence(&shard.sequence_number_range.starting_sequence_number).ok()?;
        Some(Self { made: start.shard_create_time, shard: start.shard_ix })
    }

    /// Returns when the shard was made, in milliseconds since the epoch.
    pub(super) fn made(&self) -> i64 {
        i64::try_from(self.made).unwrap_or(i64::MAX)
    }

    /// Writes the number of the record at a position, counted from 1, which arrived at a time.
    pub(super) fn number(&self, position: i64, arrived: i64) -> String {
        stringify_sequence(&SeqObj {
            shard_create_time: self.made,
            seq_ix: u64::try_from(position).ok(),
            byte1: None,
            seq_time: Some(u64::try_from(arrived).unwrap_or_default().max(self.made)),
            seq_rand: None,
            shard_ix: self.shard,
            version: 2,
        })
    }

    /// Returns the position that a number stands for: 0 for the start of the shard, `i64::MAX` for its end.
    pub(super) fn position(&self, number: &str) -> Result<i64, Misplaced> {
        let parsed = parse_sequence(number).map_err(|_| Misplaced::Unreadable)?;
        if parsed.shard_ix != self.shard {
            return Err(Misplaced::OtherShard(parsed.shard_ix));
        }
        if parsed.version != 2 || parsed.shard_create_time != self.made {
            return Err(Misplaced::OtherStream);
        }
        match parsed.seq_ix {
            Some(MAX_SEQ_IX) => Ok(i64::MAX),
            position => Ok(position.and_then(|position| i64::try_from(position).ok()).unwrap_or_default()),
        }
    }
}

/// Returns the second in which a shard was closed, in milliseconds since the epoch; none for an open one.
pub(super) fn closed(shard: &Shard) -> Option<i64> {
    let end = shard.sequence_number_range.ending_sequence_number.as_ref()?;
    let time = parse_sequence(end).ok().and_then(|end| end.seq_time).unwrap_or_default();
    Some(i64::try_from(time).unwrap_or(i64::MAX))
}

/// Tells whether records can still be put into a shard.
pub(super) fn is_open(shard: &Shard) -> bool {
    shard.sequence_number_range.ending_sequence_number.is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(shard: i64) -> Origin {
        Origin { made: 1_795_000_000_000, shard }
    }

    /// Compares decimal numbers without leading zeros.
    fn less(one: &str, other: &str) -> bool {
        (one.len(), one) < (other.len(), other)
    }

    proptest! {
        #[test]
        fn numbers_grow_with_the_position_whatever_the_clock_does(
            position in 1..i64::MAX - 1, first in 0..4_000_000_000_000_i64, second in 0..4_000_000_000_000_i64, shard in 0..5000_i64,
        ) {
            let origin = origin(shard);
            let (one, next) = (origin.number(position, first), origin.number(position + 1, second));
            prop_assert!(less(&one, &next));
            prop_assert_eq!(origin.position(&one), Ok(position));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[0-9]{0,130}") {
            let _ = origin(0).position(&text);
        }
    }

    #[test]
    fn numbers_of_other_shards_and_streams_are_told_apart() {
        let number = origin(1).number(7, 0);
        assert_eq!(origin(0).position(&number), Err(Misplaced::OtherShard(1)));
        let older = Origin { made: 1_794_000_000_000, shard: 1 };
        assert_eq!(older.position(&number), Err(Misplaced::OtherStream));
        assert_eq!(origin(0).position("nine"), Err(Misplaced::Unreadable));
    }
}
