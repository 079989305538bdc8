//! Patterns that choose JSON documents, as `EventBridge`, event source mappings and SNS filter policies write them.
//!
//! A pattern is an object of the wanted document's shape whose leaves are lists of rules; one rule of each list
//! must hold. It does not know what the document is.

use std::net::IpAddr;

use serde_json::{Map, Value};

/// Tells whether a document fits a pattern.
pub(crate) fn fits(pattern: &Map<String, Value>, found: Option<&Value>) -> bool {
    pattern.iter().all(|(key, rule)| match rule {
        Value::Array(ways) if key == "$or" => {
            ways.iter().filter_map(Value::as_object).any(|alternative| fits(alternative, found))
        }
        Value::Object(nested) => fits_below(nested, field(found, key)),
        Value::Array(rules) => rules.iter().any(|rule| fits_any(rule, field(found, key))),
        _ => false,
    })
}

fn field<'a>(found: Option<&'a Value>, key: &str) -> Option<&'a Value> {
    found?.as_object()?.get(key)
}

/// A list of objects fits when one of them does.
fn fits_below(nested: &Map<String, Value>, found: Option<&Value>) -> bool {
    match found {
        Some(Value::Array(all)) => all.iter().any(|one| fits_below(nested, Some(one))),
        other => fits(nested, other),
    }
}

fn fits_any(rule: &Value, found: Option<&Value>) -> bool {
    if let Some(wanted) = rule.get("exists").and_then(Value::as_bool) {
        return wanted == found.is_some();
    }
    match found {
        None => false,
        Some(Value::Array(all)) => all.iter().any(|one| fits_one(rule, one)),
        Some(one) => fits_one(rule, one),
    }
}

fn fits_one(rule: &Value, found: &Value) -> bool {
    let Value::Object(rule) = rule else { return same(rule, found) };
    let Some((kind, wanted)) = rule.iter().next() else { return false };
    match kind.as_str() {
        "anything-but" => !any_of(wanted, found),
        "numeric" => found.as_f64().is_some_and(|number| in_range(wanted, number)),
        kind => found.as_str().is_some_and(|text| fits_text(kind, wanted, text)),
    }
}

/// Tells whether a value is what `anything-but` excludes: a value, a list of them, or a rule with one or more texts.
fn any_of(wanted: &Value, found: &Value) -> bool {
    match wanted {
        Value::Array(all) => all.iter().any(|one| same(one, found)),
        Value::Object(rule) => rule.iter().any(|(kind, texts)| {
            let Some(text) = found.as_str() else { return false };
            match texts {
                Value::Array(all) => all.iter().any(|one| fits_text(kind, one, text)),
                one => fits_text(kind, one, text),
            }
        }),
        one => same(one, found),
    }
}

fn fits_text(kind: &str, wanted: &Value, text: &str) -> bool {
    let folded = wanted.get("equals-ignore-case").and_then(Value::as_str).map(str::to_lowercase);
    let (text, pattern) = match (&folded, wanted.as_str()) {
        (Some(folded), _) => (text.to_lowercase(), folded.as_str()),
        (None, Some(pattern)) => (text.to_owned(), pattern),
        (None, None) => return false,
    };
    match kind {
        "prefix" => text.starts_with(pattern),
        "suffix" => text.ends_with(pattern),
        "equals-ignore-case" => text.to_lowercase() == pattern.to_lowercase(),
        "wildcard" => fits_wildcard(pattern, &text),
        "cidr" => in_network(pattern, &text).unwrap_or(false),
        _ => false,
    }
}

fn same(wanted: &Value, found: &Value) -> bool {
    match (wanted.as_f64(), found.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other).is_eq(),
        _ => wanted == found,
    }
}

fn in_range(wanted: &Value, number: f64) -> bool {
    let bounds = wanted.as_array().map_or(&[][..], Vec::as_slice);
    !bounds.is_empty()
        && bounds.chunks(2).all(|bound| {
            match (bound.first().and_then(Value::as_str), bound.get(1).and_then(Value::as_f64)) {
                (Some("="), Some(limit)) => number.total_cmp(&limit).is_eq(),
                (Some("<"), Some(limit)) => number < limit,
                (Some("<="), Some(limit)) => number <= limit,
                (Some(">"), Some(limit)) => number > limit,
                (Some(">="), Some(limit)) => number >= limit,
                _ => false,
            }
        })
}

/// Matches `*` with any text, and `\*` and `\\` with the character itself.
fn fits_wildcard(pattern: &str, text: &str) -> bool {
    let pieces = pieces(pattern);
    let Some((last, before)) = pieces.split_last() else { return false };
    let Some((first, middle)) = before.split_first() else { return text == last };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for piece in middle {
        match rest.split_once(piece.as_str()) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last.as_str())
}

/// Splits a wildcard pattern at its stars.
fn pieces(pattern: &str) -> Vec<String> {
    let (mut pieces, mut piece, mut characters) = (Vec::new(), String::new(), pattern.chars());
    while let Some(character) = characters.next() {
        match character {
            '*' => pieces.push(std::mem::take(&mut piece)),
            '\\' => piece.extend(characters.next()),
            other => piece.push(other),
        }
    }
    pieces.push(piece);
    pieces
}

fn in_network(network: &str, address: &str) -> Option<bool> {
    let (base, bits) = network.split_once('/')?;
    let (base, address, bits): (IpAddr, IpAddr, u32) = (base.parse().ok()?, address.parse().ok()?, bits.parse().ok()?);
    match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits)?).unwrap_or(0);
            Some(u32::from(base) & mask == u32::from(address) & mask)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(bits)?).unwrap_or(0);
            Some(u128::from(base) & mask == u128::from(address) & mask)
        }
        _ => Some(false),
    }
}

/// Tells whether a value is a pattern: an object whose leaves are lists of known rules.
pub(crate) fn is_valid(pattern: &Value) -> bool {
    pattern.as_object().is_some_and(|fields| fields.iter().all(|(key, rule)| is_valid_rule(key, rule)))
}

fn is_valid_rule(key: &str, rule: &Value) -> bool {
    match rule {
        Value::Array(ways) if key == "$or" => ways.len() > 1 && ways.iter().all(is_valid),
        Value::Array(rules) => !rules.is_empty() && rules.iter().all(is_valid_leaf),
        nested => is_valid(nested),
    }
}

fn is_valid_leaf(rule: &Value) -> bool {
    let Value::Object(rule) = rule else { return !rule.is_array() };
    let (Some((kind, wanted)), 1) = (rule.iter().next(), rule.len()) else { return false };
    match kind.as_str() {
        "exists" => wanted.is_boolean(),
        "numeric" => is_valid_range(wanted),
        "anything-but" => match wanted {
            Value::Object(inner) => inner.len() == 1 && inner.keys().all(|kind| TEXT_RULES.contains(&kind.as_str())),
            Value::Array(all) => !all.is_empty() && all.iter().all(|one| one.is_string() || one.is_number()),
            one => one.is_string() || one.is_number(),
        },
        kind if TEXT_RULES.contains(&kind) => wanted.is_string() || wanted.get("equals-ignore-case").is_some(),
        _ => false,
    }
}

const TEXT_RULES: [&str; 5] = ["prefix", "suffix", "equals-ignore-case", "wildcard", "cidr"];

fn is_valid_range(wanted: &Value) -> bool {
    let bounds = wanted.as_array().map_or(&[][..], Vec::as_slice);
    let known = |bound: &[Value]| {
        matches!(bound, [sign, limit] if limit.is_number()
            && sign.as_str().is_some_and(|sign| ["=", "<", "<=", ">", ">="].contains(&sign)))
    };
    matches!(bounds.len(), 2 | 4) && bounds.chunks(2).all(known)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn passed(pattern: &Value, found: &Value) -> bool {
        assert!(is_valid(pattern), "{pattern}");
        fits(pattern.as_object().unwrap(), Some(found))
    }

    fn leaf(rule: &Value, found: &Value) -> bool {
        passed(&json!({ "a": [rule] }), &json!({ "a": found }))
    }

    #[test]
    fn each_rule_has_its_meaning() {
        let holds = [
            (json!("x"), json!("x")),
            (json!(1), json!(1.0)),
            (json!(null), json!(null)),
            (json!({ "prefix": "Aero" }), json!("Aeroflot")),
            (json!({ "prefix": { "equals-ignore-case": "AERO" } }), json!("Aeroflot")),
            (json!({ "suffix": "flot" }), json!("Aeroflot")),
            (json!({ "equals-ignore-case": "aeroFLOT" }), json!("Aeroflot")),
            (json!({ "wildcard": "A*f*t" }), json!("Aeroflot")),
            (json!({ "wildcard": "a\\*b" }), json!("a*b")),
            (json!({ "anything-but": ["x", 1] }), json!("y")),
            (json!({ "anything-but": { "prefix": ["x", "z"] } }), json!("y")),
            (json!({ "numeric": [">", 0, "<=", 5] }), json!(5)),
            (json!({ "numeric": ["=", 5] }), json!(5.0)),
            (json!({ "cidr": "10.0.0.0/24" }), json!("10.0.0.255")),
            (json!({ "cidr": "::/0" }), json!("fe80::1")),
            (json!({ "exists": true }), json!(null)),
        ];
        for (rule, found) in holds {
            assert!(leaf(&rule, &found), "{rule} {found}");
        }
        let fails = [
            (json!("x"), json!("X")),
            (json!({ "prefix": "flot" }), json!("Aeroflot")),
            (json!({ "wildcard": "a*bc*bc" }), json!("abc")),
            (json!({ "anything-but": { "suffix": "y" } }), json!("xy")),
            (json!({ "anything-but": 1 }), json!(1)),
            (json!({ "numeric": ["<", 5000] }), json!("4000")),
            (json!({ "cidr": "10.0.0.0/24" }), json!("10.0.1.0")),
            (json!({ "exists": false }), json!(1)),
        ];
        for (rule, found) in fails {
            assert!(!leaf(&rule, &found), "{rule} {found}");
        }
    }

    #[test]
    fn all_keys_one_rule_and_any_member() {
        let pattern = json!({ "gate": ["Aeroflot", { "prefix": "S" }], "cost": [{ "numeric": ["<", 5000] }] });
        assert!(passed(&pattern, &json!({ "gate": "S7", "cost": 10 })));
        assert!(!passed(&pattern, &json!({ "gate": "S7" })));
        assert!(leaf(&json!("x"), &json!(["w", "x"])));
        assert!(passed(&json!({ "a": { "b": [1] } }), &json!({ "a": [{ "b": 2 }, { "b": 1 }] })));
        assert!(passed(&json!({ "a": { "b": [{ "exists": false }] } }), &json!({})));
    }

    #[test]
    fn alternatives_hold_for_what_is_beside_them() {
        let pattern = json!({ "a": [1], "$or": [{ "b": [1] }, { "c": [1] }] });
        assert!(passed(&pattern, &json!({ "a": 1, "c": 1 })));
        assert!(!passed(&pattern, &json!({ "a": 1, "c": 2 })));
        assert!(!passed(&pattern, &json!({ "a": 2, "b": 1 })));
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        let wrong = [
            json!([]),
            json!({ "a": 1 }),
            json!({ "a": [] }),
            json!({ "a": [[1]] }),
            json!({ "a": [{ "like": "x" }] }),
            json!({ "a": [{ "prefix": 1 }] }),
            json!({ "a": [{ "numeric": ["<"] }] }),
            json!({ "a": [{ "exists": "no" }] }),
            json!({ "$or": [{ "a": [1] }] }),
        ];
        for pattern in wrong {
            assert!(!is_valid(&pattern), "{pattern}");
        }
    }
}
