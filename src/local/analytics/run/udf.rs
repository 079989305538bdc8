//! The functions that `SQLite` lacks, or has with another meaning. NULL in any argument gives NULL.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Error, Result, ToSql};

use super::cast::cast;
use super::time::{self, Unit};
use super::value::{Datum, Type};

impl ToSql for Datum {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
        }))
    }
}

/// Takes a value over from `SQLite`.
pub(super) fn datum(value: ValueRef<'_>) -> Datum {
    match value {
        ValueRef::Null => Datum::Null,
        ValueRef::Integer(value) => Datum::Int(value),
        ValueRef::Real(value) => Datum::Real(value),
        ValueRef::Text(value) | ValueRef::Blob(value) => Datum::Text(String::from_utf8_lossy(value).into_owned()),
    }
}

fn fail(message: impl Into<String>) -> Error {
    Error::UserFunctionError(message.into().into())
}

type Body = fn(&Arguments<'_, '_>) -> Result<Datum>;

struct Arguments<'a, 'b>(&'a Context<'b>);

impl Arguments<'_, '_> {
    fn text(&self, place: usize) -> Result<&str> {
        self.0.get_raw(place).as_str().map_err(|cause| fail(cause.to_string()))
    }

    fn whole(&self, place: usize) -> Result<i64> {
        self.0.get(place)
    }

    #[expect(clippy::cast_precision_loss, reason = "a double holds what it can, as in the service")]
    fn real(&self, place: usize) -> Result<f64> {
        match self.0.get_raw(place) {
            ValueRef::Integer(value) => Ok(value as f64),
            other => other.as_f64().map_err(|cause| fail(cause.to_string())),
        }
    }

    fn unit(&self, place: usize) -> Result<Unit> {
        Unit::from_code(self.whole(place)?).ok_or_else(|| fail("an unknown unit of time"))
    }
}

const FUNCTIONS: &[(&str, i32, Body)] = &[
    ("k_cast", 3, |a| {
        let (from, to) = (Type::unpack(a.whole(1)?), Type::unpack(a.whole(2)?));
        cast(datum(a.0.get_raw(0)), from, to).map_err(fail)
    }),
    ("k_divide_whole", 2, |a| match a.whole(1)? {
        0 => Err(fail("division by zero")),
        by => a.whole(0)?.checked_div(by).map(Datum::Int).ok_or_else(|| fail("a quotient out of range")),
    }),
    ("k_divide", 2, |a| match a.real(1)? {
        0.0 => Err(fail("division by zero")),
        by => finite(a.real(0)? / by),
    }),
    ("k_modulo", 2, |a| match a.whole(1)? {
        0 => Err(fail("division by zero")),
        by => Ok(Datum::Int(a.whole(0)?.checked_rem(by).unwrap_or(0))),
    }),
    ("k_round", 2, round),
    ("k_math", 2, |a| math(a.text(0)?, a.real(1)?, 0.0)),
    ("k_math", 3, |a| math(a.text(0)?, a.real(1)?, a.real(2)?)),
    ("k_step", 2, |a| match a.whole(1)? {
        by @ 1.. => Ok(Datum::Int(a.whole(0)?.div_euclid(by).saturating_mul(by))),
        _ => Err(fail("STEP by less than one")),
    }),
    ("k_floor_time", 2, |a| moment(time::floor(a.whole(0)?, a.unit(1)?))),
    ("k_ceil_time", 2, |a| {
        let (value, unit) = (a.whole(0)?, a.unit(1)?);
        let floor = time::floor(value, unit);
        moment(floor.and_then(|floor| if floor == value { Some(floor) } else { time::next(floor, unit) }))
    }),
    ("k_extract", 2, |a| moment(time::extract(a.whole(0)?, a.unit(1)?))),
    ("k_upper", 1, |a| Ok(Datum::Text(a.text(0)?.to_uppercase()))),
    ("k_lower", 1, |a| Ok(Datum::Text(a.text(0)?.to_lowercase()))),
    ("k_initcap", 1, |a| Ok(Datum::Text(initcap(a.text(0)?)))),
    ("k_like", 3, |a| like(a.text(0)?, a.text(1)?, a.text(2)?)),
    ("k_substring", 3, |a| Ok(Datum::Text(substring(a.text(0)?, a.whole(1)?, a.whole(2)?)))),
    ("k_overlay", 4, |a| {
        let (text, from, length) = (a.text(0)?, a.whole(2)?, a.whole(3)?);
        let (head, tail) =
            (substring(text, 1, from.saturating_sub(1)), substring(text, from.saturating_add(length), i64::MAX));
        Ok(Datum::Text(format!("{head}{}{tail}", a.text(1)?)))
    }),
    ("k_regex_replace", 3, |a| {
        let pattern = regex::Regex::new(a.text(1)?).map_err(|cause| fail(cause.to_string()))?;
        Ok(Datum::Text(pattern.replace_all(a.text(0)?, regex::NoExpand(a.text(2)?)).into_owned()))
    }),
];

/// Puts the functions into a connection.
pub(super) fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    FUNCTIONS.iter().try_for_each(|(name, count, body)| {
        connection.create_scalar_function(*name, *count, flags, move |context| {
            let empty = (0..context.len()).any(|place| context.get_raw(place) == ValueRef::Null);
            if empty { Ok(Datum::Null) } else { body(&Arguments(context)) }
        })
    })
}

fn finite(value: f64) -> Result<Datum> {
    if value.is_finite() { Ok(Datum::Real(value)) } else { Err(fail("a number out of range")) }
}

fn moment(value: Option<i64>) -> Result<Datum> {
    value.map(Datum::Int).ok_or_else(|| fail("a time out of range"))
}

fn round(a: &Arguments<'_, '_>) -> Result<Datum> {
    match (a.0.get_raw(1), a.text(0)?) {
        (ValueRef::Integer(value), _) => Ok(Datum::Int(value)),
        (_, "ceil") => finite(a.real(1)?.ceil()),
        _ => finite(a.real(1)?.floor()),
    }
}

fn math(name: &str, value: f64, other: f64) -> Result<Datum> {
    finite(match name {
        "power" => value.powf(other),
        "ln" => value.ln(),
        "log10" => value.log10(),
        "exp" => value.exp(),
        "sqrt" => value.sqrt(),
        _ => return Err(fail("an unknown function")),
    })
}

fn initcap(text: &str) -> String {
    let mut inside = false;
    text.chars()
        .flat_map(|letter| {
            let shown: Vec<char> =
                if inside { letter.to_lowercase().collect() } else { letter.to_uppercase().collect() };
            inside = letter.is_alphanumeric();
            shown
        })
        .collect()
}

/// Takes characters from place `from` (1 is the first) on; places before the first count, as in the standard.
fn substring(text: &str, from: i64, length: i64) -> String {
    let end = from.saturating_add(length.max(0));
    (1_i64..).zip(text.chars()).filter(|(place, _)| (from..end).contains(place)).map(|(_, letter)| letter).collect()
}

fn like(text: &str, pattern: &str, escape: &str) -> Result<Datum> {
    let escape = escape.chars().next();
    let mut wanted = "(?s)\\A".to_owned();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            _ if Some(letter) == escape => {
                let next = letters.next().ok_or_else(|| fail("a LIKE pattern ends with its escape character"))?;
                wanted += &regex::escape(&next.to_string());
            }
            '%' => wanted += ".*",
            '_' => wanted.push('.'),
            _ => wanted += &regex::escape(&letter.to_string()),
        }
    }
    let pattern = regex::Regex::new(&(wanted + "\\z")).map_err(|cause| fail(cause.to_string()))?;
    Ok(Datum::Int(i64::from(pattern.is_match(text))))
}
