//! An experiment: a seed and rules, as JSON.
//!
//! ```json
//! {"seed": 7, "rules": [
//!   {"what": "throttle", "on": "kinesis:*", "chance": 0.1},
//!   {"what": "reset-after", "on": ["iam:Create*", "ec2:RunInstances"], "calls": 1},
//!   {"what": "slow", "only": "reads", "calls": [3, 9], "ms": 2000},
//!   {"what": "hold-before", "only": "writes", "calls": 5}]}
//! ```
//!
//! `what` is one of `throttle internal unavailable reset-before reset-after slow html truncated empty quota denied
//! hold-before hold-after`. A rule is about the calls that `on` and `only` name (all when unset); of these it strikes
//! the ones that `calls` counts (over all, or `per` operation or resource), or each with the probability `chance`, or all; `times` bounds how often. The first
//! rule that strikes a call has it. `latency_ms`, `delay_ms`, `iam_delay_ms`,
//! `ec2_delay_ms` and `analytics` stand for the environment variables of these names, in their forms; unset, the
//! environment's hold.

use serde::{Deserialize, Serialize};

use super::delay::Delays;
use super::latency::Latency;
use super::pace::{Pace, is_retired};
use super::rule::Rule;

/// Milliseconds as a number, or in the words of a setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Time {
    Number(u64),
    Text(String),
}

impl Time {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// What is tried out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Experiment {
    /// Decides all that is left to chance; the cloud's own seed when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latency_ms: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delay_ms: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iam_delay_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ec2_delay_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    analytics: Option<String>,
}

impl Experiment {
    /// Reads an experiment, or says what is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let experiment: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for (rule, number) in experiment.rules.iter().zip(1..) {
            rule.check().map_err(|wrong| format!("rule {number}: {wrong}"))?;
        }
        experiment.pace(&Pace::default())?;
        Ok(experiment)
    }

    /// Returns the pace of the experiment: its own where it says so, else the one given.
    pub(super) fn pace(&self, usual: &Pace) -> Result<Pace, String> {
        let mut pace = usual.clone();
        if let Some(time) = &self.latency_ms {
            pace.latency = Latency::read(&time.text()).ok_or("`latency_ms` is no time or distribution")?;
        }
        if let Some(time) = &self.delay_ms {
            pace.delays = Delays::read(&time.text()).ok_or("`delay_ms` is no time or list of times")?;
        }
        if let Some(text) = &self.analytics {
            pace.retired = is_retired(text).ok_or("`analytics` must be `retired` or `open`")?;
        }
        pace.iam = self.iam_delay_ms.unwrap_or(pace.iam);
        pace.ec2 = self.ec2_delay_ms.unwrap_or(pace.ec2);
        Ok(pace)
    }

    /// Tells whether something is left to chance.
    pub(crate) fn draws(&self) -> bool {
        let pace = self.pace(&Pace::default()).unwrap_or_default();
        self.rules.iter().any(|rule| rule.chance.is_some()) || pace.draws()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("", "EOF"),
            ("[]x", "trailing"),
            (r#"{"rule":[]}"#, "unknown field `rule`"),
            (r#"{"rules":[{"what":"fire"}]}"#, "unknown variant `fire`"),
            (r#"{"rules":[{"what":"slow"},{"what":"slow","chance":2}]}"#, "rule 2: `chance`"),
            (r#"{"latency_ms":"fast"}"#, "`latency_ms`"),
            (r#"{"delay_ms":"s3=4"}"#, "`delay_ms`"),
            (r#"{"analytics":"gone"}"#, "`retired` or `open`"),
        ] {
            let error = Experiment::read(text).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn it_is_written_as_it_was_read() {
        let text = r#"{"seed":7,"rules":[{"what":"hold-before","on":["iam:*"],"only":"writes","calls":5,"times":1}]}"#;
        let experiment = Experiment::read(text).unwrap();
        assert_eq!(serde_json::to_string(&experiment).unwrap(), text);
        assert!(!experiment.draws());
    }
}
