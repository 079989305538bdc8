//! How many of the records that wait make the next batch; pure.

use super::event::Record;
use super::options::Options;
use super::window::Window;

/// The largest event that a function takes, in bytes.
pub(super) const MOST_BYTES: usize = 6 << 20;
/// What an event has around its records.
const AROUND: usize = 1024;

/// What the records that wait amount to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) count: usize,
    /// There is no room for more, so there is nothing to wait for.
    pub(super) full: bool,
}

/// Returns the first records that go together: up to the batch size, the largest event and the window's end.
/// A record that is too large for any event goes alone.
pub(super) fn next<'a>(waiting: impl Iterator<Item = &'a Record>, options: &Options, window: Option<&Window>) -> Batch {
    let mut window = window.cloned();
    let mut bytes = AROUND + window.as_ref().map_or(0, |window| window.state.to_string().len());
    let mut count = 0;
    for record in waiting {
        let of_window = match (options.tumble, &window) {
            (Some(length), None) => {
                window = Some(Window::of(record.arrival, length));
                true
            }
            (_, Some(window)) => window.takes(record.arrival),
            (None, None) => true,
        };
        bytes += record.size + 1;
        if count == options.batch || !of_window || (bytes > MOST_BYTES && count > 0) {
            return Batch { count, full: true };
        }
        count += 1;
    }
    Batch { count, full: count == options.batch }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::event::tests::record;
    use super::super::options::tests::options;
    use super::*;

    #[test]
    fn batches_end_at_their_size() {
        let records: Vec<Record> = (0..5).map(|number| record(number, 0, b"x")).collect();
        let options = options(&json!({ "BatchSize": 3 })).unwrap();
        let batch = |count: usize| next(records.iter().take(count), &options, None);
        assert_eq!(batch(0), Batch { count: 0, full: false });
        assert_eq!(batch(2), Batch { count: 2, full: false });
        assert_eq!(batch(3), Batch { count: 3, full: true });
        assert_eq!(batch(5), Batch { count: 3, full: true });
    }

    #[test]
    fn batches_end_at_the_largest_event() {
        let options = options(&json!({})).unwrap();
        let large = |size: usize| Record { size, ..record(1, 0, b"") };
        let megabyte = 1 << 20;
        let records: Vec<Record> = (0..7).map(|_| large(megabyte)).collect();
        assert_eq!(next(records.iter(), &options, None), Batch { count: 5, full: true });
        let alone = [large(7 * megabyte), large(1)];
        assert_eq!(next(alone.iter(), &options, None), Batch { count: 1, full: true });
    }

    #[test]
    fn batches_end_at_their_window() {
        let options = options(&json!({ "TumblingWindowInSeconds": 1 })).unwrap();
        let records = [record(1, 1500, b""), record(2, 1999, b""), record(3, 2000, b"")];
        assert_eq!(next(records.iter(), &options, None), Batch { count: 2, full: true });
        assert_eq!(next(records.iter(), &options, Some(&Window::of(0, 1000))), Batch { count: 0, full: true });
    }
}
