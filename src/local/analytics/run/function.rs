//! Functions of the SQL that the local cloud has, and what it says of the others.
//!
//! Source: "Aggregate Functions", "Date and Time Functions", "Numeric Functions" and "String and Search Functions"
//! of the SQL reference. AVG of whole numbers is a whole number, as the reference's type of the argument.

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, TrimWhereField,
};

use super::Refused;
use super::expression::{Scope, Typed, cast, quoted, unit};
use super::value::Type;

const LONG: Type = Type::Varchar(65_535);

/// Tells whether a name is a point in time that is written without parentheses.
pub(super) fn is_moment(name: &str) -> bool {
    matches!(name, "CURRENT_TIMESTAMP" | "CURRENT_ROW_TIMESTAMP" | "ROW_TIMESTAMP" | "LOCALTIMESTAMP")
}

/// Renders a call.
pub(super) fn call(scope: &Scope<'_>, call: &Function, expr: &Expr) -> Result<Typed, Refused> {
    let name = call.name.to_string().to_uppercase();
    if call.over.is_some() {
        return scope.unsupported(format!("{name}(…) OVER (a sliding window)"), expr);
    }
    if call.filter.is_some() || call.null_treatment.is_some() || !call.within_group.is_empty() {
        return scope.unsupported(format!("{name} with FILTER, NULLS or WITHIN GROUP"), expr);
    }
    let (arguments, distinct, star) = arguments(scope, call, &name, expr)?;
    match name.as_str() {
        "COUNT" | "SUM" | "AVG" | "MIN" | "MAX" => aggregate(scope, &name, &arguments, distinct, star, expr),
        _ if distinct || star => scope.unsupported(format!("{name} of DISTINCT or *"), expr),
        _ => scalar(scope, &name, &arguments, expr),
    }
}

fn arguments<'a>(
    scope: &Scope<'_>,
    call: &'a Function,
    name: &str,
    expr: &Expr,
) -> Result<(Vec<&'a Expr>, bool, bool), Refused> {
    let FunctionArguments::List(list) = &call.args else {
        return match &call.args {
            FunctionArguments::None => Ok((Vec::new(), false, false)),
            _ => scope.unsupported(format!("{name} of a subquery"), expr),
        };
    };
    if !list.clauses.is_empty() {
        return scope.unsupported(format!("{name} with clauses"), expr);
    }
    let mut star = false;
    let mut found = Vec::new();
    for argument in &list.args {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => found.push(expr),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => star = true,
            other => return scope.unsupported(format!("{name}({other})"), expr),
        }
    }
    Ok((found, list.duplicate_treatment == Some(DuplicateTreatment::Distinct), star))
}

fn aggregate(
    scope: &Scope<'_>,
    name: &str,
    arguments: &[&Expr],
    distinct: bool,
    star: bool,
    expr: &Expr,
) -> Result<Typed, Refused> {
    if scope.groups.is_none() {
        return scope.unsupported(format!("{name} without GROUP BY a window of ROWTIME"), expr);
    }
    let (argument, star) = match (arguments, star) {
        ([], true) if name == "COUNT" => return Ok(Typed::new("count(*)", Type::BigInt)),
        ([argument], false) => (scope.plain().render(argument)?, if distinct { "DISTINCT " } else { "" }),
        _ => return scope.invalid(format!("Invalid number of arguments to function '{name}'"), expr),
    };
    if matches!(name, "SUM" | "AVG") && !argument.kind.is_number() {
        return scope.invalid(format!("{name} of {}", argument.kind), expr);
    }
    let text = format!("{}({star}{})", name.to_lowercase(), argument.sql);
    Ok(match (name, argument.kind) {
        ("COUNT", _) => Typed::new(text, Type::BigInt),
        ("SUM" | "AVG", kind) if kind != Type::Double => {
            let sum = if kind.is_whole() && name == "SUM" { Type::BigInt } else { Type::Double };
            cast(&Typed::new(text, sum), kind)
        }
        (_, kind) => Typed::new(text, kind),
    })
}

fn scalar(scope: &Scope<'_>, name: &str, arguments: &[&Expr], expr: &Expr) -> Result<Typed, Refused> {
    match (name, arguments) {
        ("COALESCE", [_, ..]) => {
            let values = arguments.iter().map(|value| scope.render(value)).collect::<Result<Vec<_>, _>>()?;
            let kind = scope.common(&values, expr)?;
            // SQLite wants two arguments.
            let list = values.iter().map(|value| value.sql.as_str()).collect::<Vec<_>>().join(", ");
            Ok(Typed::new(format!("coalesce({list}, NULL)"), kind))
        }
        ("NULLIF", [left, right]) => {
            let (left, right) = (scope.render(left)?, scope.render(right)?);
            scope.common(&[left.clone(), right.clone()], expr)?;
            Ok(Typed::new(format!("nullif({}, {})", left.sql, right.sql), left.kind))
        }
        ("STEP", [value, by]) => step(scope, value, by, expr),
        _ if is_moment(name) && arguments.is_empty() => {
            Ok(Typed::new(if name == "CURRENT_ROW_TIMESTAMP" { "_time" } else { "?3" }, Type::Timestamp))
        }
        ("CURRENT_DATE", []) => Ok(cast(&Typed::new("?3", Type::Timestamp), Type::Date)),
        _ if NUMERIC.iter().any(|known| known.0 == name) => numeric(scope, name, arguments, expr),
        _ => textual(scope, name, arguments, expr),
    }
}

/// Rounds down to a multiple, of milliseconds or of a whole number.
fn step(scope: &Scope<'_>, value: &Expr, by: &Expr, expr: &Expr) -> Result<Typed, Refused> {
    let (value, by) = (scope.render(value)?, scope.render(by)?);
    let fits = (value.kind.is_moment() && by.kind == Type::Interval) || (value.kind.is_whole() && by.kind.is_whole());
    if !fits {
        return scope.invalid(format!("STEP({} BY {})", value.kind, by.kind), expr);
    }
    Ok(Typed::new(format!("k_step({}, {})", value.sql, by.sql), value.kind))
}

/// Numeric functions: name, number of arguments, result (none: that of the first argument).
const NUMERIC: &[(&str, usize, Option<Type>)] = &[
    ("ABS", 1, None),
    ("MOD", 2, None),
    ("CEIL", 1, None),
    ("CEILING", 1, None),
    ("FLOOR", 1, None),
    ("POWER", 2, Some(Type::Double)),
    ("LN", 1, Some(Type::Double)),
    ("LOG10", 1, Some(Type::Double)),
    ("EXP", 1, Some(Type::Double)),
    ("SQRT", 1, Some(Type::Double)),
];

fn numeric(scope: &Scope<'_>, name: &str, arguments: &[&Expr], expr: &Expr) -> Result<Typed, Refused> {
    let values = arguments.iter().map(|value| scope.numeric(value)).collect::<Result<Vec<_>, _>>()?;
    let known = NUMERIC.iter().find(|known| known.0 == name && known.1 == values.len());
    let Some((_, _, result)) = known else {
        return scope.invalid(format!("Invalid number of arguments to function '{name}'"), expr);
    };
    let list = values.iter().map(|value| value.sql.as_str()).collect::<Vec<_>>().join(", ");
    let kind = result.unwrap_or(values[0].kind);
    Ok(match name {
        "ABS" => Typed::new(format!("abs({list})"), kind),
        "MOD" if kind.is_whole() && values[1].kind.is_whole() => Typed::new(format!("k_modulo({list})"), kind),
        "MOD" => return scope.unsupported(format!("MOD of {kind}"), expr),
        "CEIL" | "CEILING" => Typed::new(format!("k_round('ceil', {list})"), kind),
        "FLOOR" => Typed::new(format!("k_round('floor', {list})"), kind),
        _ => Typed::new(format!("k_math({}, {list})", quoted(&name.to_lowercase())), kind),
    })
}

/// Text functions: name, `SQLite` function, least and most arguments that are texts, result.
const TEXTUAL: &[(&str, &str, usize, usize, Type)] = &[
    ("UPPER", "k_upper", 1, 1, LONG),
    ("LOWER", "k_lower", 1, 1, LONG),
    ("INITCAP", "k_initcap", 1, 1, LONG),
    ("CHAR_LENGTH", "length", 1, 1, Type::Integer),
    ("CHARACTER_LENGTH", "length", 1, 1, Type::Integer),
    ("LTRIM", "ltrim", 1, 2, LONG),
    ("RTRIM", "rtrim", 1, 2, LONG),
    ("REGEX_REPLACE", "k_regex_replace", 3, 3, LONG),
    ("REPLACE", "replace", 3, 3, LONG),
    ("TO_TIMESTAMP", "k_to_timestamp", 1, 1, Type::Timestamp),
];

fn textual(scope: &Scope<'_>, name: &str, arguments: &[&Expr], expr: &Expr) -> Result<Typed, Refused> {
    let Some((_, function, least, most, kind)) = TEXTUAL.iter().find(|known| known.0 == name) else {
        return scope.unsupported(format!("the function {name}"), expr);
    };
    if name == "TO_TIMESTAMP" && arguments.len() == 1 {
        // "TO TIMESTAMP": milliseconds since 1970 as a BIGINT.
        let value = scope.numeric(arguments[0])?;
        return Ok(cast(&cast(&value, Type::BigInt), Type::Timestamp));
    }
    if !(*least..=*most).contains(&arguments.len()) {
        return scope.unsupported(format!("{name} with {} arguments", arguments.len()), expr);
    }
    let list = arguments.iter().map(|text| scope.text(text)).collect::<Result<Vec<_>, _>>()?.join(", ");
    Ok(Typed::new(format!("{function}({list})"), *kind))
}

/// Renders the functions that have a syntax of their own.
pub(super) fn special(scope: &Scope<'_>, expr: &Expr) -> Result<Typed, Refused> {
    match expr {
        Expr::Floor { expr: inner, field } => scope.round("floor", inner, field, expr),
        Expr::Ceil { expr: inner, field } => scope.round("ceil", inner, field, expr),
        Expr::Extract { field, expr: inner, .. } => {
            let inner = scope.render(inner)?;
            match unit(field).filter(|_| inner.kind.is_moment()) {
                Some(unit) => Ok(Typed::new(format!("k_extract({}, {})", inner.sql, unit.code()), Type::BigInt)),
                None => scope.unsupported(format!("EXTRACT({field} FROM {})", inner.kind), expr),
            }
        }
        Expr::Position { expr: part, r#in } => {
            Ok(Typed::new(format!("instr({}, {})", scope.text(r#in)?, scope.text(part)?), Type::Integer))
        }
        Expr::Substring { expr: inner, substring_from: Some(from), substring_for, .. } => {
            let (inner, from) = (scope.text(inner)?, scope.numeric(from)?.sql);
            let length = substring_for.as_ref().map_or(Ok("9223372036854775807".to_owned()), |length| {
                scope.numeric(length).map(|length| length.sql)
            })?;
            Ok(Typed::new(format!("k_substring({inner}, {from}, {length})"), LONG))
        }
        Expr::Overlay { expr: inner, overlay_what, overlay_from, overlay_for } => {
            let (inner, what) = (scope.text(inner)?, scope.text(overlay_what)?);
            let from = scope.numeric(overlay_from)?.sql;
            let length = overlay_for
                .as_ref()
                .map_or(Ok(format!("length({what})")), |length| scope.numeric(length).map(|length| length.sql))?;
            Ok(Typed::new(format!("k_overlay({inner}, {what}, {from}, {length})"), LONG))
        }
        Expr::Trim { trim_where, trim_what, expr: inner, trim_characters: None } => {
            let what = trim_what.as_ref().map_or(Ok("' '".to_owned()), |what| scope.text(what))?;
            let name = match trim_where {
                Some(TrimWhereField::Leading) => "ltrim",
                Some(TrimWhereField::Trailing) => "rtrim",
                Some(TrimWhereField::Both) | None => "trim",
            };
            Ok(Typed::new(format!("{name}({}, {what})", scope.text(inner)?), LONG))
        }
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => scope.unsupported("a subquery", expr),
        other => {
            let shown: String = other.to_string().chars().take(60).collect();
            scope.unsupported(format!("the expression {shown}"), expr)
        }
    }
}
