//! Conversion of values: of record fields by the input schema, and between SQL types.
//!
//! Record fields follow "Mapping JSON Data Types to SQL Data Types" of the developer guide: 123.4 is no INT, a text
//! is cut to its VARCHAR without an error, any text but `true` is a false BOOLEAN. The empty text of a CSV field is
//! NULL for every type but text. A CAST in SQL cuts fractions off; the service does not say what it does.

use serde_json::Value as Json;

use super::time;
use super::value::{Datum, Type};

/// Why a value does not fit a type.
pub(crate) type Misfit = String;

fn misfit(value: &str, kind: Type) -> Misfit {
    let shown: String = value.chars().take(64).collect();
    format!("Could not convert '{shown}' to {kind}")
}

/// Converts a field of a JSON record; a missing field is [`Json::Null`].
pub(crate) fn from_json(value: &Json, kind: Type) -> Result<Datum, Misfit> {
    match value {
        Json::Null => Ok(Datum::Null),
        Json::Bool(flag) if kind == Type::Boolean || kind.is_number() => number(f64::from(u8::from(*flag)), kind, true),
        Json::Bool(flag) => from_text(&flag.to_string(), kind),
        Json::Number(given) if kind == Type::Boolean => Ok(Datum::Int(i64::from(given.as_f64() != Some(0.0)))),
        Json::Number(_) if kind.is_moment() => Err(misfit(&value.to_string(), kind)),
        Json::Number(given) => match given.as_i64() {
            Some(whole) if kind.is_whole() => within(whole, kind),
            _ => from_text(&given.to_string(), kind),
        },
        Json::String(text) => from_text(text, kind),
        Json::Array(_) | Json::Object(_) if kind.is_text() => from_text(&value.to_string(), kind),
        Json::Array(_) | Json::Object(_) => Err(misfit(&value.to_string(), kind)),
    }
}

/// Converts a text of a record.
pub(crate) fn from_text(text: &str, kind: Type) -> Result<Datum, Misfit> {
    let trimmed = text.trim();
    match kind {
        Type::Boolean => Ok(Datum::Int(i64::from(trimmed.eq_ignore_ascii_case("true")))),
        Type::Char(_) | Type::Varchar(_) => Ok(Datum::Text(fit(text, kind))),
        Type::Date | Type::Time | Type::Timestamp => {
            time::read(trimmed, kind).map(Datum::Int).ok_or_else(|| misfit(text, kind))
        }
        _ if kind.is_whole() && trimmed.parse::<i64>().is_ok() => {
            trimmed.parse().map_err(|_| misfit(text, kind)).and_then(|whole| within(whole, kind))
        }
        _ => {
            // Rust also reads `inf`, `nan` and the like, which are no SQL numbers.
            let plain = trimmed.bytes().all(|letter| letter.is_ascii_digit() || b"+-.eE".contains(&letter));
            let value = trimmed.parse::<f64>().ok().filter(|_| plain);
            number(value.ok_or_else(|| misfit(text, kind))?, kind, true)
        }
    }
}

fn fit(text: &str, kind: Type) -> String {
    let (length, padded) = match kind {
        Type::Char(length) => (length, true),
        Type::Varchar(length) => (length, false),
        _ => return text.to_owned(),
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut cut: String = text.chars().take(length).collect();
    if padded {
        let missing = length.saturating_sub(cut.chars().count());
        cut.extend(std::iter::repeat_n(' ', missing));
    }
    cut
}

fn within(value: i64, kind: Type) -> Result<Datum, Misfit> {
    let fits = match kind {
        Type::TinyInt => i8::try_from(value).is_ok(),
        Type::SmallInt => i16::try_from(value).is_ok(),
        Type::Integer => i32::try_from(value).is_ok(),
        _ => true,
    };
    if fits { Ok(Datum::Int(value)) } else { Err(misfit(&value.to_string(), kind)) }
}

#[expect(clippy::cast_possible_truncation, reason = "REAL has 24 bits, and whole numbers are checked first")]
fn number(value: f64, kind: Type, exact: bool) -> Result<Datum, Misfit> {
    if !value.is_finite() {
        return Err(misfit(&value.to_string(), kind));
    }
    match kind {
        Type::Boolean => Ok(Datum::Int(i64::from(value != 0.0))),
        Type::Decimal(precision, scale) => {
            let unit = 10_f64.powi(i32::from(scale));
            let rounded = (value * unit).round() / unit;
            let fits = rounded.abs() < 10_f64.powi(i32::from(precision - scale));
            if fits { Ok(Datum::Real(rounded)) } else { Err(misfit(&value.to_string(), kind)) }
        }
        Type::Real => {
            let single = value as f32;
            if single.is_finite() { Ok(Datum::Real(f64::from(single))) } else { Err(misfit(&value.to_string(), kind)) }
        }
        Type::Double => Ok(Datum::Real(value)),
        _ if kind.is_whole() => {
            let whole = value.trunc();
            if (exact && whole.to_bits() != value.to_bits()) || whole.abs() >= 9.2e18 {
                return Err(misfit(&value.to_string(), kind));
            }
            within(whole as i64, kind)
        }
        _ => Err(misfit(&value.to_string(), kind)),
    }
}

/// Converts between SQL types, as CAST and the columns of a pump's target do.
pub(crate) fn cast(value: Datum, from: Type, to: Type) -> Result<Datum, Misfit> {
    match (&value, to) {
        (Datum::Null, _) => Ok(Datum::Null),
        (_, Type::Char(_) | Type::Varchar(_)) => Ok(Datum::Text(fit(&value.text(from), to))),
        (Datum::Text(text), Type::Boolean) => match text.trim().to_lowercase().as_str() {
            "true" => Ok(Datum::Int(1)),
            "false" => Ok(Datum::Int(0)),
            _ => Err(misfit(text, to)),
        },
        (Datum::Text(text), _) => match from_text(text, to) {
            Err(_) if to.is_whole() => number(text.trim().parse().map_err(|_| misfit(text, to))?, to, false),
            other => other,
        },
        (Datum::Int(whole), _) if to.is_whole() => within(*whole, to),
        (Datum::Int(moment), Type::Date) if from == Type::Timestamp => {
            Ok(Datum::Int(moment.div_euclid(time::DAY) * time::DAY))
        }
        (Datum::Int(moment), Type::Time) if from == Type::Timestamp => Ok(Datum::Int(moment.rem_euclid(time::DAY))),
        (Datum::Int(_), Type::Timestamp | Type::Date | Type::Time | Type::Interval) => Ok(value),
        #[expect(clippy::cast_precision_loss, reason = "a double holds what it can, as in the service")]
        (Datum::Int(whole), _) => number(*whole as f64, to, false),
        (Datum::Real(real), _) => number(*real, to, false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn json(value: &Json, kind: &str) -> Result<Json, Misfit> {
        let kind = Type::parse(kind).unwrap();
        from_json(value, kind).map(|datum| datum.json(kind))
    }

    #[test]
    fn record_fields_convert_as_the_guide_says() {
        let cases = [
            (json!("4500"), "DOUBLE", json!(4500.0)),
            (json!(4500), "DOUBLE", json!(4500.0)),
            (json!("7"), "INTEGER", json!(7)),
            (json!(" 7 "), "SMALLINT", json!(7)),
            (json!(7.0), "INTEGER", json!(7)),
            (json!("12.345"), "DECIMAL(5,2)", json!(12.35)),
            (json!(true), "INTEGER", json!(1)),
            (json!("TRUE"), "BOOLEAN", json!(true)),
            (json!("yes"), "BOOLEAN", json!(false)),
            (json!(2), "BOOLEAN", json!(true)),
            (json!(true), "VARCHAR(3)", json!("tru")),
            (json!("Aeroflot"), "VARCHAR(4)", json!("Aero")),
            (json!("Ёлка"), "VARCHAR(2)", json!("Ёл")),
            (json!("a"), "CHAR(3)", json!("a  ")),
            (json!(1.5), "VARCHAR(8)", json!("1.5")),
            (json!([1, {"a": "b"}]), "VARCHAR(32)", json!(r#"[1,{"a":"b"}]"#)),
            (json!("1992-02-14"), "TIMESTAMP", json!("1992-02-14 00:00:00.000")),
            (json!("1992-02-14 18:35:44.5"), "TIMESTAMP", json!("1992-02-14 18:35:44.500")),
            (json!("1992-02-14T18:35:44+03:00"), "TIMESTAMP", json!("1992-02-14 15:35:44.000")),
            (json!("1992-02-14"), "DATE", json!("1992-02-14")),
            (json!("18:35:44"), "TIME", json!("18:35:44")),
            (json!(null), "TIMESTAMP", json!(null)),
        ];
        for (value, kind, wanted) in cases {
            assert_eq!(json(&value, kind), Ok(wanted), "{value} as {kind}");
        }
    }

    #[test]
    fn misfits_are_told() {
        let cases = [
            (json!(123.4), "INTEGER"),
            (json!("123.4"), "INTEGER"),
            (json!(3_000_000_000_i64), "INTEGER"),
            (json!(128), "TINYINT"),
            (json!("cheap"), "DOUBLE"),
            (json!("inf"), "DOUBLE"),
            (json!("1e999"), "DOUBLE"),
            (json!("123456"), "DECIMAL(5,2)"),
            (json!(1), "TIMESTAMP"),
            (json!(true), "DATE"),
            (json!("soon"), "TIMESTAMP"),
            (json!([1]), "DOUBLE"),
            (json!(""), "DOUBLE"),
        ];
        for (value, kind) in cases {
            assert!(json(&value, kind).is_err(), "{value} as {kind}");
        }
    }

    #[test]
    fn types_are_read_or_not_known() {
        for text in ["VARCHAR(16)", "DOUBLE", "DECIMAL(5,2)", "TIMESTAMP", "CHAR(4)", "BIGINT", "INTEGER"] {
            assert_eq!(Type::parse(text).unwrap().to_string(), text);
            assert_eq!(Type::unpack(Type::parse(text).unwrap().pack()), Type::parse(text).unwrap());
        }
        for text in ["", "VARBINARY(3)", "ARRAY", "VARCHAR(0)", "DECIMAL(40)", "INTEGER x", "("] {
            assert_eq!(Type::parse(text), None, "{text}");
        }
    }

    fn kinds() -> impl Strategy<Value = Type> {
        let all =
            ["BOOLEAN", "TINYINT", "BIGINT", "DECIMAL(19,0)", "DECIMAL(3,3)", "REAL", "DOUBLE", "CHAR(2)", "DATE"];
        let more = ["VARCHAR(5)", "TIME", "TIMESTAMP", "INTEGER"];
        proptest::sample::select([all.as_slice(), more.as_slice()].concat()).prop_map(|text| Type::parse(text).unwrap())
    }

    proptest! {
        #[test]
        fn any_text_converts_or_is_refused_without_panic(text in ".{0,40}", from in kinds(), to in kinds()) {
            if let Ok(value) = from_text(&text, from) {
                let _ = value.json(from);
                let _ = cast(value, from, to);
            }
        }

        #[test]
        fn any_number_converts_or_is_refused_without_panic(bits in any::<u64>(), whole in any::<i64>(), to in kinds()) {
            let _ = cast(Datum::Real(f64::from_bits(bits)), Type::Double, to);
            let cast = cast(Datum::Int(whole), Type::BigInt, to);
            let _ = cast.map(|value| value.json(to));
            let _ = from_json(&json!(whole), to);
        }

        #[test]
        fn a_varchar_is_never_longer_than_its_type(text in ".*", length in 1_u32..20) {
            let kind = Type::Varchar(length);
            let Ok(Datum::Text(cut)) = from_text(&text, kind) else { panic!("no text") };
            prop_assert!(cut.chars().count() <= usize::try_from(length).unwrap());
            prop_assert!(text.starts_with(&cut));
        }
    }
}
