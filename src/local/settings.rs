//! How life-like the local cloud behaves: request latency and the time that state changes take.
//!
//! Everything is off by default. It does not know which services use the values.

use thiserror::Error;

const LATENCY: &str = "STACKCTL_LOCAL_LATENCY_MS";
const DELAY: &str = "STACKCTL_LOCAL_DELAY_MS";

/// Settings of one local cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Milliseconds that every request waits before it is answered.
    pub(crate) latency: u64,
    /// Milliseconds that a state change takes (CREATING, UPDATING, DELETING, pending, STARTING).
    pub(crate) delay: u32,
}

/// A setting that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{name} must be a whole number of milliseconds, not `{value}`; correct it or unset it")]
pub(crate) struct SettingsError {
    name: &'static str,
    value: String,
}

impl Settings {
    /// Reads the settings from the environment.
    pub(crate) fn from_env() -> Result<Self, SettingsError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads the settings through `lookup`, which returns the value of a variable.
    pub(crate) fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        Ok(Self { latency: number(&lookup, LATENCY)?, delay: number(&lookup, DELAY)? })
    }
}

fn number<T: std::str::FromStr + Default>(
    lookup: impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<T, SettingsError> {
    let Some(value) = lookup(name).filter(|value| !value.is_empty()) else { return Ok(T::default()) };
    value.trim().parse().map_err(|_| SettingsError { name, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Settings, SettingsError> {
        Settings::from_lookup(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn unset_variables_mean_no_waiting() {
        assert_eq!(Settings::from_lookup(|_| None), Ok(Settings { latency: 0, delay: 0 }));
    }

    #[test]
    fn each_variable_sets_its_own_value() {
        assert_eq!(read(LATENCY, "30"), Ok(Settings { latency: 30, delay: 0 }));
        assert_eq!(read(DELAY, "500"), Ok(Settings { latency: 0, delay: 500 }));
    }

    #[test]
    fn text_is_refused_by_name() {
        let error = read(DELAY, "soon").unwrap_err().to_string();
        assert!(error.contains("STACKCTL_LOCAL_DELAY_MS") && error.contains("`soon`"), "{error}");
    }
}
