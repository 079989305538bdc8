//! Times of streams: AWS writes seconds with a fraction, the cloud counts milliseconds.

use ferrokinesis::types::Stream;
use jiff::SignedDuration;

/// Converts seconds since the epoch, rounded to milliseconds; what no time can be is the end of all times.
pub(super) fn millis(seconds: f64) -> i64 {
    let half = SignedDuration::from_micros(500);
    let time = SignedDuration::try_from_secs_f64(seconds).ok().and_then(|time| time.checked_add(half));
    time.and_then(|time| i64::try_from(time.as_millis()).ok()).unwrap_or(i64::MAX)
}

/// Converts milliseconds since the epoch.
pub(super) fn seconds(milliseconds: i64) -> f64 {
    SignedDuration::from_millis(milliseconds).as_secs_f64()
}

/// Returns when a stream was made: with its name, this tells apart what was made under one name.
pub(super) fn made(stream: &Stream) -> i64 {
    millis(stream.stream_creation_timestamp.0)
}

/// Returns the time before which the records of a stream have expired.
pub(super) fn retained_since(stream: &Stream, now: i64) -> i64 {
    now - i64::from(stream.retention_period_hours) * 3_600_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_survive_the_way_through_seconds() {
        for time in [0, 1, 999, 1_795_000_000_123, 1_795_000_000_999, 4_102_444_799_999] {
            assert_eq!(millis(seconds(time)), time);
        }
        assert_eq!(millis(f64::INFINITY), i64::MAX);
        assert_eq!(millis(f64::NAN), i64::MAX);
    }
}
