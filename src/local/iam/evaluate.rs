//! What policy documents allow: explicit deny before allow, else nothing.
//!
//! Pure: knows neither the store nor calls. Conditions are judged by `condition`; one on a key without a
//! value does not let an Allow match. Policy variables such as `${aws:username}` are plain text here.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::condition;
pub(super) use super::condition::Context;
use super::document::{statements, strings};

/// Outcome of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

impl Decision {
    /// Returns the name in simulation answers.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::ExplicitDeny => "explicitDeny",
            Self::ImplicitDeny => "implicitDeny",
        }
    }
}

/// One policy document with where it comes from.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Name as `SourcePolicyId` tells it.
    pub(super) name: String,
    /// Kind as `SourcePolicyType` tells it.
    pub(super) kind: &'static str,
    pub(super) document: Value,
}

/// A decision with its grounds.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) decision: Decision,
    /// Places of the policies whose statements decided.
    pub(super) matched: Vec<usize>,
    /// Condition keys that had no value.
    pub(super) missing: BTreeSet<String>,
}

/// Decides whether the policies allow an action on a resource.
pub(super) fn decide(policies: &[Source], action: &str, resource: &str, context: &Context) -> Verdict {
    let mut missing = BTreeSet::new();
    let (mut allows, mut denies) = (Vec::new(), Vec::new());
    for (place, policy) in policies.iter().enumerate() {
        for statement in statements(&policy.document) {
            if !concerns(statement, action, resource) || !condition::holds(statement, context, &mut missing) {
                continue;
            }
            let forbids = statement.get("Effect").and_then(Value::as_str) == Some("Deny");
            if forbids { &mut denies } else { &mut allows }.push(place);
        }
    }
    let (decision, matched) = match (denies.is_empty(), allows.is_empty()) {
        (false, _) => (Decision::ExplicitDeny, denies),
        (true, false) => (Decision::Allowed, allows),
        (true, true) => (Decision::ImplicitDeny, Vec::new()),
    };
    Verdict { decision, matched, missing }
}

/// Tells whether a statement speaks of an action on a resource.
pub(super) fn concerns(statement: &Map<String, Value>, action: &str, resource: &str) -> bool {
    acts(statement, action) && named(statement, "Resource", "NotResource", |pattern| matches(pattern, resource))
}

/// Tells whether a statement speaks of an action.
pub(super) fn acts(statement: &Map<String, Value>, action: &str) -> bool {
    let action = action.to_ascii_lowercase();
    named(statement, "Action", "NotAction", |pattern| matches(&pattern.to_ascii_lowercase(), &action))
}

fn named(statement: &Map<String, Value>, field: &str, negation: &str, fits: impl Fn(&str) -> bool) -> bool {
    let any = |value: &Value| strings(value).unwrap_or_default().into_iter().any(&fits);
    match (statement.get(field), statement.get(negation)) {
        (Some(value), _) => any(value),
        (None, Some(value)) => !any(value),
        (None, None) => false,
    }
}

/// Tells whether a text fits a pattern in which `*` stands for any text and `?` for one character.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut place) = (0, 0);
    // Where to go on when a literal does not fit: behind the last star, one character further.
    let mut retry: Option<(usize, usize)> = None;
    while place < text.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at + 1, place));
                at += 1;
            }
            Some(letter) if *letter == '?' || text.get(place) == Some(letter) => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((star, from)) = retry else { return false };
                retry = Some((star, from + 1));
                (at, place) = (star, from + 1);
            }
        }
    }
    pattern.iter().skip(at).all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn decided(statements: &Value, action: &str, resource: &str) -> Decision {
        let document = json!({"Version": "2012-10-17", "Statement": statements});
        let policy = Source { name: "p".to_owned(), kind: "IAM Policy", document };
        decide(&[policy], action, resource, &Context::new()).decision
    }

    #[test]
    fn nothing_is_allowed_by_silence() {
        let statement = json!({"Effect": "Allow", "Action": "kinesis:Get*", "Resource": "*"});
        assert_eq!(decided(&statement, "kinesis:GetRecords", "*"), Decision::Allowed);
        assert_eq!(decided(&statement, "KINESIS:getrecords", "*"), Decision::Allowed);
        assert_eq!(decided(&statement, "kinesis:PutRecord", "*"), Decision::ImplicitDeny);
    }

    #[test]
    fn a_deny_wins() {
        let both = json!([
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "NotAction": "s3:*", "Resource": "arn:aws:sns:*:*:secret"},
        ]);
        assert_eq!(decided(&both, "sns:Publish", "arn:aws:sns:us-east-1:1:open"), Decision::Allowed);
        assert_eq!(decided(&both, "sns:Publish", "arn:aws:sns:us-east-1:1:secret"), Decision::ExplicitDeny);
        assert_eq!(decided(&both, "s3:GetObject", "arn:aws:sns:us-east-1:1:secret"), Decision::Allowed);
    }

    #[test]
    fn resources_match_by_pattern_and_case() {
        let statement = json!({"Effect": "Allow", "Action": "s3:*", "NotResource": ["arn:aws:s3:::b/?ey"]});
        assert_eq!(decided(&statement, "s3:GetObject", "arn:aws:s3:::b/key"), Decision::ImplicitDeny);
        assert_eq!(decided(&statement, "s3:GetObject", "arn:aws:s3:::b/kEy"), Decision::Allowed);
    }

    #[test]
    fn an_allow_with_an_unknown_condition_key_does_not_match() {
        let condition = json!({"StringEquals": {"aws:SourceAccount": "1"}});
        let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition});
        assert_eq!(decided(&statement, "s3:GetObject", "*"), Decision::ImplicitDeny);
    }

    #[test]
    fn patterns_match_as_written() {
        assert!(matches("*", "") && matches("a*c", "abbc") && matches("a**", "a") && matches("?b*", "abc"));
        assert!(!matches("a", "ab") && !matches("", "a") && !matches("a*c", "ab") && !matches("?", ""));
    }

    proptest! {
        #[test]
        fn a_pattern_agrees_with_its_regular_expression(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let expression = format!("^{}$", pattern.replace('*', ".*").replace('?', "."));
            let wanted = regex::Regex::new(&expression).unwrap().is_match(&text);
            prop_assert_eq!(matches(&pattern, &text), wanted);
        }
    }
}
