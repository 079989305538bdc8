//! Records in batches that one call takes, and at what pace they go.

use std::time::Duration;

/// Most records of one `PutRecords` call (Kinesis API reference, `PutRecords`).
const MOST_RECORDS: usize = 500;

/// Most bytes of one `PutRecords` call, partition keys included.
const MOST_BYTES: usize = 5 << 20;

/// Length of a partition key: a random UUID as text.
const KEY: usize = 36;

/// How many records may go in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(u32);

impl Rate {
    /// Reads `100/s` or `100`.
    ///
    /// # Errors
    /// Returns what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix("/s").unwrap_or(text).trim();
        match number.parse() {
            Ok(0) | Err(_) => Err("expected a whole number of records a second, such as 100/s".to_owned()),
            Ok(number) => Ok(Self(number)),
        }
    }

    /// Returns when so many records may have been sent, counted from the start.
    #[must_use]
    pub fn due(self, records: u64) -> Duration {
        let micros = u128::from(records) * 1_000_000 / u128::from(self.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// Returns the records of a batch: about ten batches a second, so that records flow and do not come in bursts.
    fn batch(self) -> usize {
        usize::try_from(self.0.div_ceil(10)).unwrap_or(MOST_RECORDS).min(MOST_RECORDS)
    }
}

/// Cuts records into batches.
#[derive(Debug)]
pub struct Batches<I> {
    records: I,
    most: usize,
    next: Option<Vec<u8>>,
}

impl<I> Batches<I> {
    /// Makes batches of what `records` gives.
    pub fn new(records: I, rate: Option<Rate>) -> Self {
        Self { records, most: rate.map_or(MOST_RECORDS, Rate::batch), next: None }
    }
}

impl<I: Iterator<Item = Result<Vec<u8>, E>>, E> Iterator for Batches<I> {
    type Item = Result<Vec<Vec<u8>>, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch: Vec<Vec<u8>> = self.next.take().into_iter().collect();
        let mut bytes: usize = batch.iter().map(|record| record.len() + KEY).sum();
        while batch.len() < self.most {
            match self.records.next() {
                None => break,
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(record)) => {
                    bytes += record.len() + KEY;
                    if bytes > MOST_BYTES && !batch.is_empty() {
                        self.next = Some(record);
                        break;
                    }
                    batch.push(record);
                }
            }
        }
        (!batch.is_empty()).then_some(Ok(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates() {
        assert_eq!(Rate::parse("100/s"), Ok(Rate(100)));
        assert_eq!(Rate::parse("7").unwrap().due(14), Duration::from_secs(2));
        assert_eq!([1, 7, 5000, 90_000].map(|rate| Rate(rate).batch()), [1, 1, 500, 500]);
        for wrong in ["0", "", "/s", "fast", "-1", "1/m"] {
            assert!(Rate::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn batches_keep_all_records_in_order_and_within_limits(
            sizes in prop::collection::vec(prop_oneof![0_usize..40, 900_000_usize..1_048_576], 0..20),
            many in 0_usize..1200,
        ) {
            let sizes: Vec<usize> = sizes.into_iter().chain(std::iter::repeat_n(3, many)).collect();
            let records = sizes.iter().map(|size| Ok::<_, ()>(vec![b'x'; *size]));
            let batches: Vec<_> = Batches::new(records, None).map(Result::unwrap).collect();
            let bytes = |batch: &Vec<Vec<u8>>| batch.iter().map(|record| record.len() + KEY).sum::<usize>();
            prop_assert!(batches.iter().all(|batch| batch.len() <= MOST_RECORDS && bytes(batch) <= MOST_BYTES));
            prop_assert_eq!(batches.concat().iter().map(Vec::len).collect::<Vec<_>>(), sizes);
        }
    }
}
