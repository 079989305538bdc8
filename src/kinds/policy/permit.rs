//! What documents could ever allow, told offline and in doubt in their favour.
//!
//! A condition may hold, and a `${…}` may become anything, so only what no reading allows is refused here. AWS alone
//! decides what is allowed.

use serde_json::{Map, Value};

use super::PolicyDocument;

type Statement = Map<String, Value>;

/// Tells whether documents of a role could allow an action on a resource.
#[must_use]
pub fn could_allow<'a>(documents: impl IntoIterator<Item = &'a PolicyDocument>, action: &str, resource: &str) -> bool {
    let mut allowed = false;
    for document in documents {
        let Some(statements) = statements(document) else { return true };
        for statement in statements {
            let about = about(statement, "Action", action, true).and(about(statement, "Resource", resource, false));
            match effect(statement) {
                Some("Deny") if about == May::Yes && is_unconditional(statement) => return false,
                Some("Deny") => {}
                _ => allowed |= about != May::No,
            }
        }
    }
    allowed
}

/// Tells whether a trust policy could let a service take on its role.
#[must_use]
pub fn could_trust(document: &PolicyDocument, service: &str) -> bool {
    let Some(statements) = statements(document) else { return true };
    let lets_in = |statement: &&Statement| {
        effect(statement) != Some("Deny") && about(statement, "Action", "sts:AssumeRole", true) != May::No
    };
    statements.into_iter().filter(lets_in).any(|statement| could_be(statement.get("Principal"), service))
}

fn could_be(principal: Option<&Value>, service: &str) -> bool {
    // `NotPrincipal` names whom it does not let in.
    let Some(Value::Object(kinds)) = principal else { return true };
    let anybody = kinds.get("AWS").is_some_and(|names| texts(names).any(|name| name == "*"));
    let named = |name: &str| name == service || name == "*" || is_open(name);
    anybody || kinds.get("Service").is_some_and(|names| texts(names).any(named))
}

/// Returns a document's statements; none when it is not known yet.
fn statements(document: &PolicyDocument) -> Option<Vec<&Statement>> {
    let Value::Object(document) = document.value() else { return None };
    Some(document.get("Statement")?.as_array()?.iter().filter_map(Value::as_object).collect())
}

fn effect(statement: &Statement) -> Option<&str> {
    statement.get("Effect").and_then(Value::as_str)
}

fn is_unconditional(statement: &Statement) -> bool {
    !statement.contains_key("Condition")
}

/// Whether a statement speaks of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum May {
    No,
    Perhaps,
    Yes,
}

impl May {
    fn and(self, other: Self) -> Self {
        self.min(other)
    }

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Perhaps => Self::Perhaps,
            Self::Yes => Self::No,
        }
    }
}

/// Tells whether an element of a statement, or its negation, covers a text. Actions know no letter case.
fn about(statement: &Statement, element: &str, text: &str, folds: bool) -> May {
    let fold = |text: &str| if folds { text.to_ascii_lowercase() } else { text.to_owned() };
    let text = fold(text);
    let covers = |patterns: &Value| texts(patterns).map(|pattern| covers(&fold(pattern), &text)).max();
    match (statement.get(element), statement.get(&format!("Not{element}"))) {
        (Some(patterns), _) => covers(patterns).unwrap_or(May::No),
        (None, Some(patterns)) => covers(patterns).unwrap_or(May::No).not(),
        (None, None) => May::No,
    }
}

fn covers(pattern: &str, text: &str) -> May {
    // What is done to nothing in particular may be allowed by way of what it touches.
    if is_open(pattern) || is_open(text) || text == "*" {
        return if pattern == "*" || pattern == text { May::Yes } else { May::Perhaps };
    }
    if fits(pattern.as_bytes(), text.as_bytes()) { May::Yes } else { May::No }
}

/// Tells whether a text holds what is filled in later: a reference, or a variable of the policy language.
fn is_open(text: &str) -> bool {
    text.contains("${")
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str)
}

/// Tells whether a text fits a pattern in which `*` stands for any text and `?` for one character.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    // Which beginnings of the text the pattern so far fits.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for sign in pattern {
        if *sign == b'*' {
            let first = reached.iter().position(|fits| *fits).unwrap_or(reached.len());
            reached[first..].fill(true);
            continue;
        }
        for at in (0..text.len()).rev() {
            reached[at + 1] = reached[at] && (*sign == b'?' || *sign == text[at]);
        }
        reached[0] = false;
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const STREAM: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";

    fn document(statements: Value) -> PolicyDocument {
        PolicyDocument::of_statements(statements)
    }

    fn could(statements: Value) -> bool {
        could_allow([&document(statements)], "kinesis:GetRecords", STREAM)
    }

    #[test]
    fn what_no_reading_allows_is_refused() {
        assert!(!could(json!([])));
        assert!(!could(json!([{"Effect": "Allow", "Action": "kinesis:PutRecord", "Resource": "*"}])));
        assert!(!could(json!([{"Effect": "Allow", "Action": "kinesis:*", "Resource": format!("{STREAM}2")}])));
        assert!(!could(json!([{"Effect": "Allow", "NotAction": "kinesis:Get*", "Resource": "*"}])));
        assert!(!could(json!([{"Effect": "Allow", "Action": "*", "NotResource": STREAM}])));
        let denied = json!([{"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "kinesis:GetRecord?", "Resource": "*"}]);
        assert!(!could(denied));
    }

    #[test]
    fn doubt_is_in_favour() {
        assert!(could(json!([{"Effect": "Allow", "Action": "KINESIS:get*", "Resource": STREAM}])));
        assert!(could(json!([{"Effect": "Allow", "Action": "*", "Resource": "${orders.arn}"}])));
        let condition = json!({"Bool": {"aws:SecureTransport": "true"}});
        assert!(could(json!([{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}])));
        let perhaps = json!([{"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition},
            {"Effect": "Deny", "Action": "*", "Resource": "${other.arn}"},
            {"Effect": "Deny", "Action": "*", "NotResource": STREAM}]);
        assert!(could(perhaps));
        let text = PolicyDocument::from_value(&json!("${file(\"policy.json\")}")).unwrap();
        assert!(could_allow([&text], "kinesis:GetRecords", STREAM));
    }

    #[test]
    fn who_may_take_on_a_role() {
        let trusts = |statements: Value| could_trust(&document(statements), "lambda.amazonaws.com");
        let by = |principal: Value| json!([{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}]);
        assert!(trusts(by(json!({"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]}))));
        assert!(trusts(by(json!("*"))));
        assert!(trusts(by(json!({"Service": "${var.service}"}))));
        assert!(!trusts(by(json!({"Service": "ec2.amazonaws.com"}))));
        assert!(!trusts(by(json!({"AWS": "123456789012"}))));
        let action =
            json!([{"Effect": "Allow", "Action": "sts:TagSession", "Principal": {"Service": "lambda.amazonaws.com"}}]);
        assert!(!trusts(action));
    }

    proptest! {
        #[test]
        fn patterns_fit_as_regular_expressions_do(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let as_regex = format!("^{}$", pattern.replace('*', ".*").replace('?', "."));
            let expected = regex::Regex::new(&as_regex).unwrap().is_match(&text);
            prop_assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), expected);
        }
    }
}
