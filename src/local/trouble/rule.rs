//! One rule of an experiment: what happens to which calls.

use serde::{Deserialize, Serialize};

use super::seen::Seen;

/// Milliseconds by which a slow answer is late when the rule does not say.
const LATE: u64 = 60_000;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    /// The service refuses it as one too many.
    Throttle,
    /// The service fails (HTTP 500).
    Internal,
    /// The service is not there for a moment (HTTP 503).
    Unavailable,
    /// The connection ends before the call is done: nothing has happened.
    ResetBefore,
    /// The connection ends after the call is done: only the answer is lost.
    ResetAfter,
    /// The call is done at once, and its answer comes late.
    Slow,
    /// A page of some machine on the way is the answer; nothing has happened.
    Html,
    /// The call is done, and its answer ends in the middle.
    Truncated,
    /// The call is done, and its answer is an HTTP 200 without a body.
    Empty,
    /// A quota of the account is used up.
    Quota,
    /// The caller may not do it.
    Denied,
    /// The call waits before it is done, until it is released or the client is gone.
    HoldBefore,
    /// The call is done, and its answer waits until it is released or the client is gone.
    HoldAfter,
}

/// Calls of one sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Only {
    Reads,
    Writes,
}

/// Among which calls a call is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Per {
    /// Those of the same operation.
    Operation,
    /// Those of the same operation about the same thing.
    Resource,
}

/// One value, or a list of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMore<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// What happens to which calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) what: What,
    /// `service:Operation`, both with `*` for anything; one or several; every call when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on: Option<OneOrMore<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    only: Option<Only>,
    /// How likely it is, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) chance: Option<f64>,
    /// Which of the calls that the rule is about, counted from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calls: Option<OneOrMore<u64>>,
    /// Counts them apart for every operation, or for everything that an operation is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) per: Option<Per>,
    /// How often at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) times: Option<u64>,
    /// For `slow`: how late the answer is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
}

impl Rule {
    /// Says what is wrong with the rule.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.chance.is_some() && self.calls.is_some() {
            return Err("`chance` and `calls` exclude each other".to_owned());
        }
        if self.chance.is_some_and(|chance| !(0.0..=1.0).contains(&chance)) {
            return Err("`chance` must be from 0 to 1".to_owned());
        }
        if self.calls.as_ref().is_some_and(|calls| calls.as_slice().contains(&0)) {
            return Err("`calls` are counted from 1".to_owned());
        }
        if self.per.is_some() && self.calls.is_none() {
            return Err("`per` says how `calls` are counted".to_owned());
        }
        if self.ms.is_some() && self.what != What::Slow {
            return Err("`ms` belongs to `slow`".to_owned());
        }
        let patterns = self.on.as_ref().map(OneOrMore::as_slice).unwrap_or_default();
        match patterns.iter().find(|pattern| !is_pattern(pattern)) {
            Some(wrong) => Err(format!("`on` must be like `kinesis:CreateStream` or `iam:*`, not `{wrong}`")),
            None => Ok(()),
        }
    }

    /// Tells whether the rule is about a call.
    pub(super) fn is_about(&self, seen: &Seen) -> bool {
        let patterns = self.on.as_ref().map(OneOrMore::as_slice);
        let sort = match self.only {
            Some(Only::Reads) => !seen.writes,
            Some(Only::Writes) => seen.writes,
            None => true,
        };
        sort && patterns.is_none_or(|patterns| patterns.iter().any(|pattern| fits(pattern, seen)))
    }

    /// Tells whether the rule names the n-th call that it is about; none when it does not go by numbers.
    pub(super) fn names(&self, nth: u64) -> Option<bool> {
        self.calls.as_ref().map(|calls| calls.as_slice().contains(&nth))
    }

    /// Returns how late an answer is, in milliseconds.
    pub(super) fn late(&self) -> u64 {
        self.ms.unwrap_or(LATE)
    }
}

fn is_pattern(pattern: &str) -> bool {
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'*');
    pattern == "*" || pattern.split_once(':').is_some_and(|(service, operation)| word(service) && word(operation))
}

fn fits(pattern: &str, seen: &Seen) -> bool {
    let (service, operation) = pattern.split_once(':').unwrap_or(("*", "*"));
    matches(service, seen.service) && matches(operation, &seen.operation)
}

/// Tells whether a text is like a pattern, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(start) else { return false };
    let parts: Vec<&str> = rest.split('*').collect();
    let Some((end, middle)) = parts.split_last() else { return true };
    for part in middle {
        let Some(place) = left.find(part) else { return false };
        left = &left[place + part.len()..];
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        serde_json::from_str(text).unwrap()
    }

    fn seen(service: &'static str, operation: &str, writes: bool) -> Seen {
        Seen { service, operation: operation.to_owned(), resource: None, writes }
    }

    #[test]
    fn patterns_stand_for_services_and_operations() {
        let create = seen("kinesis", "CreateStream", true);
        for fitting in ["*", "*:*", "kinesis:*", "kinesis:Create*", "*:*Stream", "k*s:*re*St*m", "kinesis:CreateStream"]
        {
            let rule = rule(&format!(r#"{{"what":"throttle","on":"{fitting}"}}"#));
            assert!(rule.is_about(&create) && rule.check().is_ok(), "{fitting}");
        }
        for other in ["iam:*", "kinesis:Delete*", "kinesis:Create", "*:*Streams", "kinesis:*a*a*a*"] {
            assert!(!rule(&format!(r#"{{"what":"throttle","on":["{other}"]}}"#)).is_about(&create), "{other}");
        }
    }

    #[test]
    fn reads_and_writes_are_told_apart() {
        let writes = rule(r#"{"what":"reset-after","only":"writes"}"#);
        assert!(writes.is_about(&seen("iam", "CreateRole", true)));
        assert!(!writes.is_about(&seen("iam", "GetRole", false)));
    }

    #[test]
    fn wrong_rules_say_what_is_wrong() {
        for (text, says) in [
            (r#"{"what":"slow","chance":0.1,"calls":1}"#, "exclude"),
            (r#"{"what":"slow","chance":1.5}"#, "from 0 to 1"),
            (r#"{"what":"slow","calls":[1,0]}"#, "from 1"),
            (r#"{"what":"empty","ms":3}"#, "`slow`"),
            (r#"{"what":"empty","per":"resource"}"#, "`calls`"),
            (r#"{"what":"slow","on":"CreateStream"}"#, "`CreateStream`"),
        ] {
            let error = rule(text).check().unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
