//! Expressions to `SQLite` text, each with its SQL type; what is not known is refused by name.
//!
//! Three-valued logic, CASE, IN and BETWEEN mean the same in `SQLite`. Where it differs (integer overflow, division,
//! LIKE, rounding, everything on time) a function of [`udf`](super::udf) stands in. Text compares by code point, a
//! CHAR without its trailing blanks. Arithmetic on DECIMAL is rounded to the scale; a quotient of it is a DOUBLE.

use std::cell::Cell;

use sqlparser::ast::{
    BinaryOperator as Binary, CaseWhen, CastKind, CeilFloorKind, DateTimeField, Expr, Ident, Interval, Spanned,
    TypedString, UnaryOperator, Value,
};

use super::code::fold;
use super::time::{self, Unit};
use super::value::Type;
use super::{Refused, Stream, function};

/// As deep as an expression may be.
const DEEPEST: u32 = 64;

/// A rendered expression.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) sql: String,
    pub(super) kind: Type,
}

impl Typed {
    pub(super) fn new(sql: impl Into<String>, kind: Type) -> Self {
        Self { sql: sql.into(), kind }
    }
}

/// What the names in one SELECT mean.
pub(super) struct Scope<'a> {
    pub(super) stream: &'a Stream,
    /// Name that columns may be qualified with.
    pub(super) alias: String,
    /// The grouping expressions, rendered; none for a SELECT without groups.
    pub(super) groups: Option<Vec<String>>,
    /// Line of the statement, for expressions that do not know their own.
    pub(super) line: u64,
    depth: Cell<u32>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(stream: &'a Stream, alias: String, line: u64) -> Self {
        Self { stream, alias, groups: None, line, depth: Cell::new(0) }
    }

    /// The same names without groups, as inside an aggregate.
    pub(super) fn plain(&self) -> Self {
        Self { depth: Cell::new(self.depth.get()), ..Self::new(self.stream, self.alias.clone(), self.line) }
    }

    fn at(&self, expr: &Expr) -> u64 {
        match expr.span().start.line {
            0 => self.line,
            line => line,
        }
    }

    pub(super) fn unsupported<T>(&self, what: impl Into<String>, expr: &Expr) -> Result<T, Refused> {
        Err(Refused::unsupported(what.into(), self.at(expr)))
    }

    pub(super) fn invalid<T>(&self, what: impl Into<String>, expr: &Expr) -> Result<T, Refused> {
        Err(Refused::invalid(what.into(), self.at(expr)))
    }

    /// Renders a condition.
    pub(super) fn condition(&self, expr: &Expr) -> Result<String, Refused> {
        let found = self.render(expr)?;
        if !matches!(found.kind, Type::Boolean | Type::Null) {
            return self.invalid(format!("a condition of type {}", found.kind), expr);
        }
        Ok(found.sql)
    }

    /// Renders an expression.
    pub(super) fn render(&self, expr: &Expr) -> Result<Typed, Refused> {
        self.depth.set(self.depth.get() + 1);
        if self.depth.get() > DEEPEST {
            return Err(Refused::unsupported(format!("an expression more than {DEEPEST} deep"), self.line));
        }
        let grouped = self.groups.as_ref().and_then(|groups| {
            let plain = self.plain().render(expr).ok()?;
            groups.contains(&plain.sql).then_some(plain)
        });
        let found = grouped.map_or_else(|| self.leaf(expr), Ok);
        self.depth.set(self.depth.get() - 1);
        found
    }

    fn leaf(&self, expr: &Expr) -> Result<Typed, Refused> {
        match expr {
            Expr::Identifier(name) => self.column(name, expr),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, name] if fold(table) == self.alias => self.column(name, expr),
                [table, _] => Err(Refused::unknown(format!("Table '{}' not found", fold(table)), self.at(expr))),
                _ => self.unsupported("names of three parts", expr),
            },
            Expr::Value(value) => self.literal(&value.value, expr),
            Expr::TypedString(text) => self.moment(text, expr),
            Expr::Interval(interval) => self.interval(interval, expr),
            Expr::Nested(inner) => self.render(inner).map(|inner| Typed::new(format!("({})", inner.sql), inner.kind)),
            Expr::Function(call) => function::call(self, call, expr),
            _ => self.operation(expr),
        }
    }

    fn operation(&self, expr: &Expr) -> Result<Typed, Refused> {
        match expr {
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, expr),
            Expr::UnaryOp { op, expr: inner } => self.unary(*op, inner, expr),
            Expr::Between { expr: inner, negated, low, high } => {
                let inner = self.render(inner)?;
                let low = self.compare(&inner, ">=", &self.render(low)?, expr)?;
                let high = self.compare(&inner, "<=", &self.render(high)?, expr)?;
                Ok(Typed::new(format!("({}({low} AND {high}))", not(*negated)), Type::Boolean))
            }
            Expr::InList { expr: inner, list, negated } => {
                let inner = self.render(inner)?;
                let equal = list.iter().map(|item| self.compare(&inner, "=", &self.render(item)?, expr));
                let equal = equal.collect::<Result<Vec<_>, _>>()?.join(" OR ");
                Ok(Typed::new(format!("({}({equal}))", not(*negated)), Type::Boolean))
            }
            Expr::Like { negated, any: false, expr: inner, pattern, escape_char } => {
                let escape = escape_char.as_ref().map_or(Ok("''".to_owned()), |escape| self.text(escape))?;
                let (inner, pattern) = (self.text(inner)?, self.text(pattern)?);
                Ok(Typed::new(format!("({}k_like({inner}, {pattern}, {escape}))", not(*negated)), Type::Boolean))
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), expr)
            }
            Expr::Cast { kind: CastKind::Cast, expr: inner, data_type, format: None } => {
                let Some(to) = Type::of(data_type) else { return self.unsupported(format!("type {data_type}"), expr) };
                let inner = self.render(inner)?;
                Ok(cast(&inner, to))
            }
            _ => self.predicate(expr),
        }
    }

    fn predicate(&self, expr: &Expr) -> Result<Typed, Refused> {
        let (inner, test) = match expr {
            Expr::IsNull(inner) | Expr::IsUnknown(inner) => (inner, "IS NULL"),
            Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => (inner, "IS NOT NULL"),
            Expr::IsTrue(inner) => (inner, "IS TRUE"),
            Expr::IsNotTrue(inner) => (inner, "IS NOT TRUE"),
            Expr::IsFalse(inner) => (inner, "IS FALSE"),
            Expr::IsNotFalse(inner) => (inner, "IS NOT FALSE"),
            Expr::IsDistinctFrom(left, right) => {
                let same = self.compare(&self.render(left)?, "IS", &self.render(right)?, expr)?;
                return Ok(Typed::new(format!("(NOT {same})"), Type::Boolean));
            }
            Expr::IsNotDistinctFrom(left, right) => {
                let same = self.compare(&self.render(left)?, "IS", &self.render(right)?, expr)?;
                return Ok(Typed::new(same, Type::Boolean));
            }
            _ => return function::special(self, expr),
        };
        Ok(Typed::new(format!("(({}) {test})", self.render(inner)?.sql), Type::Boolean))
    }

    fn column(&self, name: &Ident, expr: &Expr) -> Result<Typed, Refused> {
        let wanted = fold(name);
        let place = self.stream.columns.iter().position(|column| column.name == wanted);
        let found = match place {
            Some(place) => Typed::new(format!("c{place}"), self.stream.columns[place].kind),
            None if wanted == "ROWTIME" => Typed::new("_time", Type::Timestamp),
            None if name.quote_style.is_none() && function::is_moment(&wanted) => {
                return Ok(Typed::new(if wanted == "CURRENT_ROW_TIMESTAMP" { "_time" } else { "?3" }, Type::Timestamp));
            }
            None => {
                let text = format!("Column '{wanted}' not found in stream '{}'", self.stream.name);
                return Err(Refused::unknown(text, self.at(expr)));
            }
        };
        if self.groups.is_some() {
            return self.invalid(format!("Expression '{wanted}' is not being grouped"), expr);
        }
        Ok(found)
    }

    fn literal(&self, value: &Value, expr: &Expr) -> Result<Typed, Refused> {
        match value {
            Value::Null => Ok(Typed::new("NULL", Type::Null)),
            Value::Boolean(flag) => Ok(Typed::new(if *flag { "1" } else { "0" }, Type::Boolean)),
            Value::SingleQuotedString(text) => {
                let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX).max(1);
                Ok(Typed::new(quoted(text), Type::Varchar(length)))
            }
            Value::Number(text, false) => self.number(text, expr),
            other => self.unsupported(format!("the literal {other}"), expr),
        }
    }

    fn number(&self, text: &str, expr: &Expr) -> Result<Typed, Refused> {
        if let Ok(whole) = text.parse::<i64>() {
            let kind = if i32::try_from(whole).is_ok() { Type::Integer } else { Type::BigInt };
            return Ok(Typed::new(whole.to_string(), kind));
        }
        let Some(value) = text.parse::<f64>().ok().filter(|value| value.is_finite()) else {
            return self.unsupported(format!("the number {text}"), expr);
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let kind = match (u8::try_from(whole.len() + fraction.len()), u8::try_from(fraction.len())) {
            (Ok(precision @ 1..=19), Ok(scale)) if !text.contains(['e', 'E']) => Type::Decimal(precision, scale),
            _ => Type::Double,
        };
        Ok(Typed::new(format!("{value:?}"), kind))
    }

    fn moment(&self, given: &TypedString, expr: &Expr) -> Result<Typed, Refused> {
        let kind = Type::of(&given.data_type).filter(|kind| kind.is_moment());
        let text = given.value.clone().into_string().unwrap_or_default();
        match kind.and_then(|kind| Some((kind, time::read(&text, kind)?))) {
            Some((kind, value)) => Ok(Typed::new(value.to_string(), kind)),
            None => self.invalid(format!("the literal {} '{text}'", given.data_type), expr),
        }
    }

    fn interval(&self, given: &Interval, expr: &Expr) -> Result<Typed, Refused> {
        let Expr::Value(value) = given.value.as_ref() else { return self.unsupported("a computed INTERVAL", expr) };
        let unit = given.leading_field.as_ref().and_then(unit);
        let length = unit.and_then(Unit::length);
        let (Some(length), None) = (length, &given.last_field) else {
            return self.unsupported(format!("{given} (days, hours, minutes and seconds only)"), expr);
        };
        let text = match &value.value {
            Value::SingleQuotedString(text) | Value::Number(text, _) => text.trim(),
            _ => "",
        };
        match text.parse::<i64>().ok().and_then(|count| count.checked_mul(length)) {
            Some(milliseconds) => Ok(Typed::new(milliseconds.to_string(), Type::Interval)),
            None => self.unsupported(format!("{given}"), expr),
        }
    }

    fn binary(&self, left: &Expr, op: &Binary, right: &Expr, expr: &Expr) -> Result<Typed, Refused> {
        if let Binary::And | Binary::Or = op {
            return self.chain(left, op, right);
        }
        let (left, right) = (self.render(left)?, self.render(right)?);
        match op {
            Binary::Eq | Binary::NotEq | Binary::Lt | Binary::LtEq | Binary::Gt | Binary::GtEq => {
                self.compare(&left, &op.to_string(), &right, expr).map(|sql| Typed::new(sql, Type::Boolean))
            }
            Binary::StringConcat if left.kind.is_text() && right.kind.is_text() => {
                Ok(Typed::new(format!("({} || {})", left.sql, right.sql), Type::Varchar(u32::from(u16::MAX))))
            }
            Binary::Plus | Binary::Minus | Binary::Multiply | Binary::Divide => {
                arithmetic(&left, op, &right).map_or_else(|| self.mismatch(&left, &op.to_string(), &right, expr), Ok)
            }
            _ => self.unsupported(format!("{} {op} {}", left.kind, right.kind), expr),
        }
    }

    /// Renders `a AND b AND c …`, which may be long, without going deep.
    fn chain(&self, left: &Expr, op: &Binary, right: &Expr) -> Result<Typed, Refused> {
        let mut parts = vec![self.condition(right)?];
        let mut rest = left;
        while let Expr::BinaryOp { left, op: same, right } = rest
            && same == op
        {
            parts.push(self.condition(right)?);
            rest = left;
        }
        parts.push(self.condition(rest)?);
        parts.reverse();
        Ok(Typed::new(format!("({})", parts.join(&format!(" {op} "))), Type::Boolean))
    }

    fn mismatch<T>(&self, left: &Typed, op: &str, right: &Typed, expr: &Expr) -> Result<T, Refused> {
        self.invalid(format!("Cannot apply '{op}' to arguments of type '<{}> {op} <{}>'", left.kind, right.kind), expr)
    }

    fn compare(&self, left: &Typed, op: &str, right: &Typed, expr: &Expr) -> Result<String, Refused> {
        if !alike(left.kind, right.kind) {
            return self.mismatch(left, op, right, expr);
        }
        if matches!((left.kind, right.kind), (Type::Char(_), _) | (_, Type::Char(_))) {
            return Ok(format!("(rtrim({}, ' ') {op} rtrim({}, ' '))", left.sql, right.sql));
        }
        Ok(format!("({} {op} {})", left.sql, right.sql))
    }

    fn unary(&self, op: UnaryOperator, inner: &Expr, expr: &Expr) -> Result<Typed, Refused> {
        match op {
            UnaryOperator::Not => Ok(Typed::new(format!("(NOT {})", self.condition(inner)?), Type::Boolean)),
            UnaryOperator::Plus | UnaryOperator::Minus => {
                let inner = self.render(inner)?;
                if !inner.kind.is_number() && inner.kind != Type::Interval {
                    return self.invalid(format!("{op} of {}", inner.kind), expr);
                }
                Ok(Typed::new(format!("({op} {})", inner.sql), inner.kind))
            }
            _ => self.unsupported(format!("the operator {op}"), expr),
        }
    }

    fn case(
        &self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        rest: Option<&Expr>,
        expr: &Expr,
    ) -> Result<Typed, Refused> {
        let operand = operand.map(|operand| self.render(operand)).transpose()?;
        let mut results = Vec::new();
        let mut sql = "CASE".to_owned();
        for CaseWhen { condition, result } in conditions {
            let condition = match &operand {
                Some(operand) => self.compare(operand, "=", &self.render(condition)?, expr)?,
                None => self.condition(condition)?,
            };
            let result = self.render(result)?;
            sql += &format!(" WHEN {condition} THEN {}", result.sql);
            results.push(result);
        }
        if let Some(rest) = rest {
            let rest = self.render(rest)?;
            sql += &format!(" ELSE {}", rest.sql);
            results.push(rest);
        }
        let kind = self.common(&results, expr)?;
        Ok(Typed::new(format!("({sql} END)"), kind))
    }

    /// Finds the type that can hold all of some values.
    pub(super) fn common(&self, values: &[Typed], expr: &Expr) -> Result<Type, Refused> {
        let mut found = Type::Null;
        for value in values {
            if !alike(found, value.kind) {
                return self.invalid(format!("values of types {found} and {} in one place", value.kind), expr);
            }
            found = wider(found, value.kind);
        }
        Ok(found)
    }

    /// Renders a text.
    pub(super) fn text(&self, expr: &Expr) -> Result<String, Refused> {
        let found = self.render(expr)?;
        if found.kind.is_text() || found.kind == Type::Null {
            return Ok(found.sql);
        }
        self.invalid(format!("{} where a text is needed", found.kind), expr)
    }

    /// Renders a number.
    pub(super) fn numeric(&self, expr: &Expr) -> Result<Typed, Refused> {
        let found = self.render(expr)?;
        if found.kind.is_number() || found.kind == Type::Null {
            return Ok(found);
        }
        self.invalid(format!("{} where a number is needed", found.kind), expr)
    }

    /// Rounds a number, or a point in time to a unit.
    pub(super) fn round(&self, name: &str, inner: &Expr, field: &CeilFloorKind, expr: &Expr) -> Result<Typed, Refused> {
        let inner = self.render(inner)?;
        match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) if inner.kind.is_number() => {
                Ok(Typed::new(format!("k_round('{name}', {})", inner.sql), inner.kind))
            }
            CeilFloorKind::DateTimeField(field) if inner.kind.is_moment() => {
                let Some(unit) = unit(field) else { return self.unsupported(format!("{name} TO {field}"), expr) };
                Ok(Typed::new(format!("k_{name}_time({}, {})", inner.sql, unit.code()), inner.kind))
            }
            _ => self.unsupported(format!("{} of {} with a scale or unit", name.to_uppercase(), inner.kind), expr),
        }
    }
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

/// Quotes a text for `SQLite`.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Renders a cast.
pub(super) fn cast(inner: &Typed, to: Type) -> Typed {
    Typed::new(format!("k_cast({}, {}, {})", inner.sql, inner.kind.pack(), to.pack()), to)
}

/// Finds the unit that a field of EXTRACT or FLOOR names.
pub(super) fn unit(field: &DateTimeField) -> Option<Unit> {
    Some(match field {
        DateTimeField::Year | DateTimeField::Years => Unit::Year,
        DateTimeField::Month | DateTimeField::Months => Unit::Month,
        DateTimeField::Day | DateTimeField::Days => Unit::Day,
        DateTimeField::Hour | DateTimeField::Hours => Unit::Hour,
        DateTimeField::Minute | DateTimeField::Minutes => Unit::Minute,
        DateTimeField::Second | DateTimeField::Seconds => Unit::Second,
        _ => return None,
    })
}

/// Tells whether values of two types can be compared or assigned.
pub(super) fn alike(left: Type, right: Type) -> bool {
    left == right
        || left == Type::Null
        || right == Type::Null
        || (left.is_number() && right.is_number())
        || (left.is_text() && right.is_text())
}

fn rank(kind: Type) -> u8 {
    match kind {
        Type::TinyInt => 1,
        Type::SmallInt => 2,
        Type::Integer => 3,
        Type::BigInt => 4,
        Type::Decimal(..) => 5,
        Type::Real => 6,
        Type::Double => 7,
        _ => 0,
    }
}

fn wider(left: Type, right: Type) -> Type {
    match (left, right) {
        (Type::Null, other) | (other, Type::Null) => other,
        (Type::Decimal(_, one), Type::Decimal(_, other)) => Type::Decimal(19, one.max(other)),
        (Type::Char(one) | Type::Varchar(one), Type::Char(other) | Type::Varchar(other)) => {
            Type::Varchar(one.max(other))
        }
        (Type::Decimal(_, scale), other) | (other, Type::Decimal(_, scale)) if other.is_whole() => {
            Type::Decimal(19, scale)
        }
        _ if rank(left) >= rank(right) => left,
        _ => right,
    }
}

fn arithmetic(left: &Typed, op: &Binary, right: &Typed) -> Option<Typed> {
    let text = format!("({} {op} {})", left.sql, right.sql);
    if left.kind.is_number() && right.kind.is_number() {
        let wide = wider(left.kind, right.kind);
        if *op == Binary::Divide {
            let (name, kind) = if wide.is_whole() { ("k_divide_whole", wide) } else { ("k_divide", Type::Double) };
            return Some(Typed::new(format!("{name}({}, {})", left.sql, right.sql), kind));
        }
        let kind = match (op, left.kind, right.kind) {
            (Binary::Multiply, Type::Decimal(_, one), Type::Decimal(_, other)) => {
                Type::Decimal(19, one.saturating_add(other).min(19))
            }
            _ => wide,
        };
        // Whole numbers must stay within their type, decimals within their scale.
        let exact = Typed::new(text, if kind.is_whole() { Type::BigInt } else { Type::Double });
        return Some(if kind == Type::Double { exact } else { cast(&exact, kind) });
    }
    match (left.kind, op, right.kind) {
        (moment, Binary::Plus | Binary::Minus, Type::Interval) | (Type::Interval, Binary::Plus, moment)
            if moment.is_moment() =>
        {
            Some(Typed::new(text, moment))
        }
        (Type::Interval, Binary::Plus | Binary::Minus, Type::Interval) => Some(Typed::new(text, Type::Interval)),
        _ => None,
    }
}
