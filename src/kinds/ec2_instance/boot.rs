//! How an instance's first boot went, as its user data reports it.
//!
//! EC2 calls an instance running whatever its user data did (`facts/aws.md` 12e), so the user data writes its verdict
//! into an SSM parameter: a line of instance, time and verdict, where `ok` is the good one, then the end of its log.

use crate::aws::Cx;
use crate::aws::error::{failed, found};
use crate::kind::Check;

/// What a parameter says about the boot of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Boot {
    /// Nothing yet, or only about an instance before this one.
    Silent,
    /// All steps were done, at this time.
    Done(String),
    /// A step failed: time, verdict and the end of the log.
    Failed { time: String, verdict: String, log: Vec<String> },
    /// The parameter cannot be read, for this reason.
    Unreadable(String),
}

impl Boot {
    /// Reads the text of a parameter, as far as it is about this instance.
    pub(crate) fn read(text: &str, instance: &str) -> Self {
        let mut lines = text.lines();
        let mut words = lines.next().unwrap_or_default().splitn(3, ' ');
        let (Some(id), Some(time), Some(verdict)) = (words.next(), words.next(), words.next()) else {
            return Self::Silent;
        };
        match verdict.trim() {
            _ if id != instance => Self::Silent,
            "ok" => Self::Done(time.to_owned()),
            verdict => {
                let log = lines.map(str::to_owned).collect();
                Self::Failed { time: time.to_owned(), verdict: verdict.to_owned(), log }
            }
        }
    }

    /// Asks for the report of an instance.
    pub(crate) async fn ask(cx: &Cx, parameter: &str, instance: &str) -> Self {
        let answer = cx.aws.ssm().get_parameter().name(parameter).send().await;
        match found(answer.map_err(failed("GetParameter"))) {
            Err(error) => Self::Unreadable(error.to_string()),
            Ok(answer) => {
                let value = answer.and_then(|answer| answer.parameter).and_then(|parameter| parameter.value);
                Self::read(&value.unwrap_or_default(), instance)
            }
        }
    }

    /// Tells whether data can come from a machine that booted so.
    pub(crate) fn check(&self) -> Check {
        match self {
            Self::Done(_) => Check::ok(self.describe()),
            Self::Failed { .. } => Check::failed(self.describe())
                .help("mend what failed, then make the machine anew: user data runs at the first boot only"),
            Self::Silent | Self::Unreadable(_) => Check::unknown(self.describe()),
        }
    }

    /// Describes the boot in one line, with the end of the log below when it failed.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Silent => "boot not reported yet".to_owned(),
            Self::Done(time) => format!("boot ok at {time}"),
            Self::Unreadable(why) => format!("boot unknown: {why}"),
            Self::Failed { time, verdict, log } => {
                let tail = log.iter().map(|line| format!("\n{line}"));
                format!("boot {verdict} at {time}{}", tail.collect::<String>())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: &str = "i-1 2026-11-22T10:00:00Z FAILED while installing the Kinesis agent (exit code 7)\n\
                          producer: installing the Kinesis agent\nno such package\n";

    #[test]
    fn a_failure_is_told_with_the_end_of_its_log() {
        insta::assert_snapshot!(Boot::read(FAILED, "i-1").describe(), @r"
        boot FAILED while installing the Kinesis agent (exit code 7) at 2026-11-22T10:00:00Z
        producer: installing the Kinesis agent
        no such package
        ");
    }

    #[test]
    fn a_good_boot_needs_no_log() {
        assert_eq!(
            Boot::read("i-1 2026-11-22T10:00:00Z ok\nproducer: ok\n", "i-1").describe(),
            "boot ok at 2026-11-22T10:00:00Z"
        );
    }

    #[test]
    fn another_instance_and_other_texts_say_nothing() {
        for (text, instance) in [(FAILED, "i-2"), ("unset", "i-1"), ("", "i-1"), ("i-1 ok", "i-1")] {
            assert_eq!(Boot::read(text, instance), Boot::Silent, "{text}");
        }
    }
}
