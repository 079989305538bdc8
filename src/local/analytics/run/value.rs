//! SQL types and values as the run knows them, and how they leave it as JSON and CSV.
//!
//! Types follow the SQL reference's "Data Types" page. A DECIMAL is a double rounded to its scale, so beyond 15
//! digits it differs from the service, which has 19. BINARY, VARBINARY and year-month intervals are not there.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sqlparser::ast::{CharacterLength, DataType, ExactNumberInfo};
use sqlparser::parser::Parser;

use super::code::Streaming;
use super::time;

/// A value as `SQLite` holds it: booleans are 0 and 1, points in time are milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Datum {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
}

/// The type of a column or an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Boolean,
    TinyInt,
    SmallInt,
    Integer,
    BigInt,
    Decimal(u8, u8),
    Real,
    Double,
    Char(u32),
    Varchar(u32),
    Date,
    Time,
    Timestamp,
    /// Day-time interval in milliseconds.
    Interval,
    /// The type of a bare NULL.
    Null,
}

const LONGEST: u32 = 65_535;
const DIGITS: u8 = 19;

impl Type {
    /// Reads a `SqlType` of an input schema; `None` when the local cloud does not know it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parser = Parser::new(&Streaming).try_with_sql(text).ok()?;
        let found = parser.parse_data_type().ok()?;
        let ended = parser.peek_token().token == sqlparser::tokenizer::Token::EOF;
        Self::of(&found).filter(|_| ended)
    }

    /// Reads a parsed type.
    pub(super) fn of(given: &DataType) -> Option<Self> {
        Some(match given {
            DataType::Boolean | DataType::Bool => Self::Boolean,
            DataType::TinyInt(None) => Self::TinyInt,
            DataType::SmallInt(None) => Self::SmallInt,
            DataType::Int(None) | DataType::Integer(None) => Self::Integer,
            DataType::BigInt(None) => Self::BigInt,
            DataType::Decimal(info) | DataType::Numeric(info) | DataType::Dec(info) => decimal(info)?,
            DataType::Real => Self::Real,
            DataType::Double(ExactNumberInfo::None)
            | DataType::DoublePrecision
            | DataType::Float(ExactNumberInfo::None) => Self::Double,
            DataType::Char(length) | DataType::Character(length) => Self::Char(size(length.as_ref(), 1)?),
            DataType::Varchar(length) | DataType::CharVarying(length) | DataType::CharacterVarying(length) => {
                Self::Varchar(size(length.as_ref(), LONGEST)?)
            }
            DataType::Date => Self::Date,
            DataType::Time(..) => Self::Time,
            DataType::Timestamp(..) => Self::Timestamp,
            _ => return None,
        })
    }

    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::TinyInt | Self::SmallInt | Self::Integer | Self::BigInt)
    }

    pub(super) fn is_number(self) -> bool {
        self.is_whole() || matches!(self, Self::Decimal(..) | Self::Real | Self::Double)
    }

    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Char(_) | Self::Varchar(_))
    }

    pub(super) fn is_moment(self) -> bool {
        matches!(self, Self::Date | Self::Time | Self::Timestamp)
    }

    /// Packs the type into a number that `SQLite` passes to the cast function.
    pub(super) fn pack(self) -> i64 {
        let (kind, size) = match self {
            Self::Boolean => (0, 0),
            Self::TinyInt => (1, 0),
            Self::SmallInt => (2, 0),
            Self::Integer => (3, 0),
            Self::BigInt => (4, 0),
            Self::Decimal(precision, scale) => (5, i64::from(precision) << 8 | i64::from(scale)),
            Self::Real => (6, 0),
            Self::Double => (7, 0),
            Self::Char(length) => (8, i64::from(length)),
            Self::Varchar(length) => (9, i64::from(length)),
            Self::Date => (10, 0),
            Self::Time => (11, 0),
            Self::Timestamp => (12, 0),
            Self::Interval => (13, 0),
            Self::Null => (14, 0),
        };
        kind << 32 | size
    }

    /// Unpacks [`Type::pack`].
    pub(super) fn unpack(packed: i64) -> Self {
        let size = u32::try_from(packed & 0xffff_ffff).unwrap_or(LONGEST);
        let [_, _, precision, scale] = size.to_be_bytes();
        match packed >> 32 {
            0 => Self::Boolean,
            1 => Self::TinyInt,
            2 => Self::SmallInt,
            3 => Self::Integer,
            4 => Self::BigInt,
            5 => Self::Decimal(precision, scale),
            6 => Self::Real,
            7 => Self::Double,
            8 => Self::Char(size),
            9 => Self::Varchar(size),
            10 => Self::Date,
            11 => Self::Time,
            12 => Self::Timestamp,
            13 => Self::Interval,
            _ => Self::Null,
        }
    }
}

fn decimal(info: &ExactNumberInfo) -> Option<Type> {
    let (precision, scale) = match *info {
        ExactNumberInfo::None => (u64::from(DIGITS), 0),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, u64::try_from(scale).ok()?),
    };
    let (precision, scale) = (u8::try_from(precision).ok()?, u8::try_from(scale).ok()?);
    ((1..=DIGITS).contains(&precision) && scale <= precision).then_some(Type::Decimal(precision, scale))
}

fn size(length: Option<&CharacterLength>, usual: u32) -> Option<u32> {
    match length {
        None => Some(usual),
        Some(CharacterLength::IntegerLength { length, .. }) => {
            u32::try_from(*length).ok().filter(|length| (1..=LONGEST).contains(length))
        }
        Some(CharacterLength::Max) => None,
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean => out.write_str("BOOLEAN"),
            Self::TinyInt => out.write_str("TINYINT"),
            Self::SmallInt => out.write_str("SMALLINT"),
            Self::Integer => out.write_str("INTEGER"),
            Self::BigInt => out.write_str("BIGINT"),
            Self::Decimal(precision, scale) => write!(out, "DECIMAL({precision},{scale})"),
            Self::Real => out.write_str("REAL"),
            Self::Double => out.write_str("DOUBLE"),
            Self::Char(length) => write!(out, "CHAR({length})"),
            Self::Varchar(length) => write!(out, "VARCHAR({length})"),
            Self::Date => out.write_str("DATE"),
            Self::Time => out.write_str("TIME"),
            Self::Timestamp => out.write_str("TIMESTAMP"),
            Self::Interval => out.write_str("INTERVAL"),
            Self::Null => out.write_str("NULL"),
        }
    }
}

impl Datum {
    /// Shows a value of a type as a member of a JSON record.
    pub(crate) fn json(&self, kind: Type) -> Json {
        match (self, kind) {
            (Self::Null, _) => Json::Null,
            (Self::Int(value), Type::Boolean) => Json::Bool(*value != 0),
            (Self::Int(value), _) if kind.is_moment() => Json::String(time::show(*value, kind)),
            (Self::Int(value), _) => Json::from(*value),
            (Self::Real(value), _) => Json::from(*value),
            (Self::Text(value), _) => Json::String(value.clone()),
        }
    }

    /// Shows a value of a type as text, as a cast to VARCHAR and a CSV field do; NULL is empty.
    pub(crate) fn text(&self, kind: Type) -> String {
        match self.json(kind) {
            Json::Null => String::new(),
            Json::String(text) => text,
            Json::Bool(value) => value.to_string(),
            other => other.to_string(),
        }
    }
}
