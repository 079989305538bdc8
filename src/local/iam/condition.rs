//! Conditions of policy statements: their form, and whether they hold for given context values.
//!
//! A key without a value makes a condition false, and a negated one (`StringNotEquals`) true, as in AWS;
//! `…IfExists` makes both true. Operators on addresses and binary values are accepted but never hold here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::local::Fault;

use super::document::malformed;
use super::evaluate::matches;

/// Values of condition keys, by lower-case key.
pub(crate) type Context = BTreeMap<String, Vec<String>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Text { like: bool, fold: bool },
    Number(Order),
    Date(Order),
    Bool,
    Null,
    Unknowable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

struct Operator {
    test: Test,
    negated: bool,
    if_exists: bool,
    all_values: bool,
}

fn operator(name: &str) -> Option<Operator> {
    let (all_values, name) = match name.split_once(':') {
        Some(("ForAllValues", rest)) => (true, rest),
        Some(("ForAnyValue", rest)) => (false, rest),
        Some(_) => return None,
        None => (false, name),
    };
    let (if_exists, name) = name.strip_suffix("IfExists").map_or((false, name), |name| (true, name));
    let (test, negated) = test(name)?;
    (test != Test::Null || !if_exists).then_some(Operator { test, negated, if_exists, all_values })
}

fn test(name: &str) -> Option<(Test, bool)> {
    let text = |like, fold| Test::Text { like, fold };
    Some(match name {
        "StringEquals" => (text(false, false), false),
        "StringNotEquals" => (text(false, false), true),
        "StringEqualsIgnoreCase" => (text(false, true), false),
        "StringNotEqualsIgnoreCase" => (text(false, true), true),
        "StringLike" | "ArnLike" | "ArnEquals" => (text(true, false), false),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (text(true, false), true),
        "Bool" => (Test::Bool, false),
        "Null" => (Test::Null, false),
        "IpAddress" | "NotIpAddress" | "BinaryEquals" => (Test::Unknowable, false),
        _ => {
            let numeric = name.strip_prefix("Numeric").map(order);
            let date = name.strip_prefix("Date").map(order);
            match (numeric, date) {
                (Some(Some((order, negated))), _) => (Test::Number(order), negated),
                (_, Some(Some((order, negated)))) => (Test::Date(order), negated),
                _ => return None,
            }
        }
    })
}

fn order(name: &str) -> Option<(Order, bool)> {
    Some(match name {
        "Equals" => (Order::Equal, false),
        "NotEquals" => (Order::Equal, true),
        "LessThan" => (Order::Less, false),
        "LessThanEquals" => (Order::LessOrEqual, false),
        "GreaterThan" => (Order::Greater, false),
        "GreaterThanEquals" => (Order::GreaterOrEqual, false),
        _ => return None,
    })
}

/// Checks the form of a `Condition` member.
pub(super) fn check(condition: &Value) -> Result<(), Fault> {
    let Value::Object(operators) = condition else { return Err(malformed("Syntax errors in policy.")) };
    for (name, keys) in operators {
        if operator(name).is_none() {
            return Err(malformed(format!("Invalid Condition type : {name}.")));
        }
        let Value::Object(keys) = keys else { return Err(malformed("Syntax errors in policy.")) };
        if keys.values().any(|wanted| values(wanted).is_none()) {
            return Err(malformed("Syntax errors in policy."));
        }
    }
    Ok(())
}

fn values(wanted: &Value) -> Option<Vec<String>> {
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    match wanted {
        Value::Array(all) => all.iter().map(scalar).collect(),
        one => scalar(one).map(|one| vec![one]),
    }
}

/// Tells whether a statement's condition holds, and collects the keys that have no value.
pub(super) fn holds(statement: &Map<String, Value>, context: &Context, missing: &mut BTreeSet<String>) -> bool {
    let Some(Value::Object(operators)) = statement.get("Condition") else { return true };
    let mut all = true;
    for (name, keys) in operators {
        for (key, wanted) in keys.as_object().into_iter().flatten() {
            let found = context.get(&key.to_ascii_lowercase());
            if found.is_none() {
                missing.insert(key.clone());
            }
            all &= operator(name).is_some_and(|operator| met(&operator, found, &values(wanted).unwrap_or_default()));
        }
    }
    all
}

fn met(operator: &Operator, found: Option<&Vec<String>>, wanted: &[String]) -> bool {
    if operator.test == Test::Null {
        return wanted.iter().any(|wanted| (wanted == "true") == found.is_none());
    }
    let Some(found) = found else { return operator.negated || operator.if_exists || operator.all_values };
    let fits = |value: &String| operator.negated != wanted.iter().any(|wanted| equal(operator.test, wanted, value));
    if operator.all_values { found.iter().all(fits) } else { found.iter().any(fits) }
}

fn equal(test: Test, wanted: &str, found: &str) -> bool {
    match test {
        Test::Text { like: true, .. } => matches(wanted, found),
        Test::Text { fold: true, .. } | Test::Bool => wanted.eq_ignore_ascii_case(found),
        Test::Text { .. } => wanted == found,
        Test::Number(order) => compare(order, found.parse::<f64>().ok(), wanted.parse::<f64>().ok()),
        Test::Date(order) => {
            compare(order, found.parse::<jiff::Timestamp>().ok(), wanted.parse::<jiff::Timestamp>().ok())
        }
        Test::Null | Test::Unknowable => false,
    }
}

fn compare<T: PartialOrd>(order: Order, found: Option<T>, wanted: Option<T>) -> bool {
    let (Some(found), Some(wanted)) = (found, wanted) else { return false };
    match order {
        Order::Equal => found == wanted,
        Order::Less => found < wanted,
        Order::LessOrEqual => found <= wanted,
        Order::Greater => found > wanted,
        Order::GreaterOrEqual => found >= wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn held(condition: &Value, context: &[(&str, &str)]) -> bool {
        let statement = json!({ "Condition": condition });
        let context = context.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect();
        holds(statement.as_object().unwrap(), &context, &mut BTreeSet::new())
    }

    #[test]
    fn operators_compare_as_named() {
        let key = [("k", "Abc")];
        assert!(held(&json!({"StringEquals": {"K": ["x", "Abc"]}}), &key));
        assert!(!held(&json!({"StringEquals": {"k": "abc"}}), &key));
        assert!(held(&json!({"StringEqualsIgnoreCase": {"k": "abc"}}), &key));
        assert!(!held(&json!({"StringNotEquals": {"k": ["Abc", "x"]}}), &key));
        assert!(held(&json!({"StringLike": {"k": "A*"}}), &key));
        assert!(held(&json!({"Bool": {"k": true}}), &[("k", "true")]));
        assert!(held(&json!({"NumericLessThan": {"k": 10}}), &[("k", "9")]));
        assert!(!held(&json!({"NumericGreaterThanEquals": {"k": "10"}}), &[("k", "9")]));
        assert!(held(&json!({"DateGreaterThan": {"k": "2020-01-01T00:00:00Z"}}), &[("k", "2026-01-01T00:00:00Z")]));
        assert!(!held(&json!({"IpAddress": {"k": "10.0.0.0/8"}}), &[("k", "10.1.1.1")]));
    }

    #[test]
    fn a_missing_key_meets_only_negations_and_optional_operators() {
        assert!(!held(&json!({"StringEquals": {"k": "v"}}), &[]));
        assert!(held(&json!({"StringNotEquals": {"k": "v"}}), &[]));
        assert!(held(&json!({"StringEqualsIfExists": {"k": "v"}}), &[]));
        assert!(held(&json!({"Null": {"k": "true"}}), &[]));
        assert!(!held(&json!({"Null": {"k": "false"}}), &[]));
    }

    #[test]
    fn all_operators_must_hold() {
        let both = json!({"StringEquals": {"a": "1"}, "StringLike": {"b": "2*"}});
        assert!(held(&both, &[("a", "1"), ("b", "23")]));
        assert!(!held(&both, &[("a", "1"), ("b", "3")]));
    }

    #[test]
    fn broken_forms_are_refused() {
        for condition in [
            json!("x"),
            json!({"StringEqualz": {"k": "v"}}),
            json!({"NullIfExists": {"k": "true"}}),
            json!({"ForSome:StringEquals": {"k": "v"}}),
            json!({"StringEquals": "v"}),
            json!({"StringEquals": {"k": {"v": 1}}}),
        ] {
            assert!(check(&condition).is_err(), "{condition}");
        }
        assert!(check(&json!({"ForAllValues:StringLikeIfExists": {"k": ["a", true, 1]}})).is_ok());
    }
}
