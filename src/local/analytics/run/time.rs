//! Points in time as milliseconds since 1970 without a zone: reading, showing, rounding.
//!
//! The service has no time zone but UTC. DATE is the midnight it begins with, TIME the milliseconds of a day.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::value::Type;

pub(super) const SECOND: i64 = 1000;
pub(super) const DAY: i64 = 86_400 * SECOND;

/// A unit of FLOOR, CEIL and EXTRACT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

impl Unit {
    pub(super) const ALL: [Self; 6] = [Self::Year, Self::Month, Self::Day, Self::Hour, Self::Minute, Self::Second];

    /// Milliseconds of a unit that has always the same.
    pub(super) fn length(self) -> Option<i64> {
        match self {
            Self::Year | Self::Month => None,
            Self::Day => Some(DAY),
            Self::Hour => Some(3600 * SECOND),
            Self::Minute => Some(60 * SECOND),
            Self::Second => Some(SECOND),
        }
    }

    pub(super) fn code(self) -> usize {
        Self::ALL.iter().position(|unit| *unit == self).unwrap_or_default()
    }

    pub(super) fn from_code(code: i64) -> Option<Self> {
        usize::try_from(code).ok().and_then(|code| Self::ALL.get(code)).copied()
    }
}

fn civil(moment: i64) -> Option<DateTime> {
    Some(Timestamp::from_millisecond(moment).ok()?.to_zoned(TimeZone::UTC).datetime())
}

fn moment(civil: DateTime) -> Option<i64> {
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// Reads a text: `1992-02-14`, `1992-02-14 18:35:44.0` and ISO 8601 with or without an offset.
pub(super) fn read(text: &str, kind: Type) -> Option<i64> {
    let text = text.trim();
    match kind {
        Type::Time => clock(text).or_else(|| read(text, Type::Timestamp).map(|moment| moment.rem_euclid(DAY))),
        Type::Date => read(text, Type::Timestamp).map(|moment| moment.div_euclid(DAY) * DAY),
        _ => {
            let zoned = text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
            zoned
                .or_else(|| moment(text.parse::<DateTime>().ok()?))
                .or_else(|| moment(text.parse::<Date>().ok()?.to_datetime(Time::midnight())))
        }
    }
}

fn clock(text: &str) -> Option<i64> {
    let time = text.parse::<Time>().ok()?;
    moment(Date::new(1970, 1, 1).ok()?.to_datetime(time))
}

/// Shows a point in time as the service writes it: `YYYY-MM-DD HH:MM:SS.sss`.
pub(super) fn show(value: i64, kind: Type) -> String {
    let Some(civil) = civil(value) else { return value.to_string() };
    let form = match kind {
        Type::Date => "%Y-%m-%d",
        Type::Time => "%H:%M:%S",
        _ => "%Y-%m-%d %H:%M:%S.%3f",
    };
    civil.strftime(form).to_string()
}

/// Rounds down to a unit.
pub(super) fn floor(value: i64, unit: Unit) -> Option<i64> {
    if let Some(length) = unit.length() {
        return value.div_euclid(length).checked_mul(length);
    }
    let civil = civil(value)?;
    let month = if unit == Unit::Year { 1 } else { civil.month() };
    moment(Date::new(civil.year(), month, 1).ok()?.to_datetime(Time::midnight()))
}

/// Returns where the unit that begins at `start` ends.
pub(super) fn next(start: i64, unit: Unit) -> Option<i64> {
    if let Some(length) = unit.length() {
        return start.checked_add(length);
    }
    let step = if unit == Unit::Year { 1.year() } else { 1.month() };
    moment(civil(start)?.checked_add(step).ok()?)
}

/// Takes a field out of a point in time.
pub(super) fn extract(value: i64, unit: Unit) -> Option<i64> {
    let civil = civil(value)?;
    Some(match unit {
        Unit::Year => i64::from(civil.year()),
        Unit::Month => i64::from(civil.month()),
        Unit::Day => i64::from(civil.day()),
        Unit::Hour => i64::from(civil.hour()),
        Unit::Minute => i64::from(civil.minute()),
        Unit::Second => i64::from(civil.second()),
    })
}
