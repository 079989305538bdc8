//! How long a call may take, and how often it is tried.

use std::time::Duration;

use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

use crate::failure::Failure;

/// Milliseconds after which an answer is given up.
const READ: &str = "STACKCTL_READ_TIMEOUT_MS";

/// How often a call is tried, as the AWS tools have it.
const TRIES: &str = "AWS_MAX_ATTEMPTS";

/// Attempts of one call: with three, as the SDK has it, hundreds of resources show throttling (`facts/aws.md` 0.1).
const ATTEMPTS: u32 = 8;

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Without a limit, an answer that is lost on the way would be waited for for ever.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// Returns how calls are repeated that were throttled or got no proper answer.
pub(super) fn retries() -> Result<RetryConfig, Failure> {
    let attempts = positive(TRIES, "a whole number", std::env::var(TRIES).ok())?.unwrap_or(ATTEMPTS);
    Ok(RetryConfig::standard().with_max_attempts(attempts).with_max_backoff(LONGEST_PAUSE))
}

/// Returns the limits of one attempt.
pub(super) fn timeouts() -> Result<TimeoutConfig, Failure> {
    let read = read_limit(std::env::var(READ).ok())?;
    Ok(TimeoutConfig::builder().connect_timeout(CONNECT_LIMIT).read_timeout(read).build())
}

fn read_limit(value: Option<String>) -> Result<Duration, Failure> {
    let limit = positive(READ, "a whole number of milliseconds", value)?;
    Ok(limit.map_or(READ_LIMIT, |limit| Duration::from_millis(limit.into())))
}

/// Reads a variable that is a number above zero; one that is unset or empty is none.
fn positive(name: &str, wanted: &str, value: Option<String>) -> Result<Option<u32>, Failure> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    match value.trim().parse() {
        Ok(0) | Err(_) => {
            let text = format!("{name} must be {wanted} above zero, not `{value}`");
            Err(Failure::new(text).help("correct it or unset it"))
        }
        Ok(number) => Ok(Some(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_half_a_minute_unless_it_is_set() {
        let limit = |value: &str| read_limit(Some(value.to_owned()));
        assert_eq!(read_limit(None).unwrap(), READ_LIMIT);
        assert_eq!(limit("").unwrap(), READ_LIMIT);
        assert_eq!(limit(" 250 ").unwrap(), Duration::from_millis(250));
        for wrong in ["0", "-1", "soon", "1s"] {
            let failure = limit(wrong).unwrap_err();
            assert!(failure.message.starts_with(READ) && failure.message.contains(wrong), "{}", failure.message);
        }
    }
}
