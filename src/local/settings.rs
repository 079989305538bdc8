//! How life-like the local cloud behaves: request latency, the time that state changes take, and how many calls it
//! takes; the Python that runs its functions; and where the streams of its applications are.
//!
//! Everything is off by default. It does not know which services use the values.

use std::path::PathBuf;

use thiserror::Error;

const LATENCY: &str = "STACKCTL_LOCAL_LATENCY_MS";
const DELAY: &str = "STACKCTL_LOCAL_DELAY_MS";
const LIMITS: &str = "STACKCTL_LOCAL_LIMITS";
const PYTHON: &str = "STACKCTL_LOCAL_PYTHON";
const STREAMS: &str = "STACKCTL_LOCAL_STREAMS_URL";

const MILLISECONDS: &str = "a whole number of milliseconds";
const URL: &str = "an http or https URL";
const LIMITED: &str = "`aws` or `off`";

/// Settings of one local cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Milliseconds that every request waits before it is answered.
    pub(crate) latency: u64,
    /// Milliseconds that a state change takes (CREATING, UPDATING, DELETING, pending, STARTING).
    pub(crate) delay: u32,
    /// Whether calls that come faster than AWS takes them are refused.
    pub(crate) limits: bool,
    /// Interpreter for functions, with boto3; without one, the local cloud makes itself one in `cache`.
    pub(crate) python: Option<PathBuf>,
    /// Folder for what is made once and used by all local clouds of the user.
    pub(crate) cache: Option<PathBuf>,
    /// Kinesis whose streams applications read and write instead of the local cloud's own.
    pub(crate) streams_url: Option<String>,
}

/// A setting that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{name} must be {wanted}, not `{value}`; correct it or unset it")]
pub(crate) struct SettingsError {
    name: &'static str,
    wanted: &'static str,
    value: String,
}

impl Settings {
    /// Reads the settings from the environment.
    pub(crate) fn from_env() -> Result<Self, SettingsError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads the settings through `lookup`, which returns the value of a variable.
    pub(crate) fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let path = |name: &str| lookup(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // By the XDG rules a path that is not absolute does not count.
        let cache = path("XDG_CACHE_HOME").filter(|path| path.is_absolute());
        let cache = cache.or_else(|| path("HOME").map(|home| home.join(".cache"))).map(|cache| cache.join("stackctl"));
        let (latency, delay) = (number(&lookup, LATENCY)?, number(&lookup, DELAY)?);
        let (limits, streams_url) = (limits(&lookup)?, url(&lookup, STREAMS)?);
        Ok(Self { latency, delay, limits, python: path(PYTHON), cache, streams_url })
    }
}

fn number<T: std::str::FromStr + Default>(
    lookup: impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<T, SettingsError> {
    let Some(value) = lookup(name).filter(|value| !value.is_empty()) else { return Ok(T::default()) };
    value.trim().parse().map_err(|_| SettingsError { name, wanted: MILLISECONDS, value })
}

fn limits(lookup: impl Fn(&str) -> Option<String>) -> Result<bool, SettingsError> {
    match lookup(LIMITS).as_deref().map(str::trim) {
        None | Some("" | "off") => Ok(false),
        Some("aws") => Ok(true),
        Some(value) => Err(SettingsError { name: LIMITS, wanted: LIMITED, value: value.to_owned() }),
    }
}

fn url(lookup: impl Fn(&str) -> Option<String>, name: &'static str) -> Result<Option<String>, SettingsError> {
    let Some(value) = lookup(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let parsed = value.trim().parse::<http::Uri>();
    if parsed.is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https"))) {
        return Ok(Some(value.trim().to_owned()));
    }
    Err(SettingsError { name, wanted: URL, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Settings, SettingsError> {
        Settings::from_lookup(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn unset_variables_mean_no_waiting() {
        assert_eq!(Settings::from_lookup(|_| None), Ok(Settings::default()));
    }

    #[test]
    fn each_variable_sets_its_own_value() {
        assert_eq!(read(LATENCY, "30"), Ok(Settings { latency: 30, ..Settings::default() }));
        assert_eq!(read(DELAY, "500"), Ok(Settings { delay: 500, ..Settings::default() }));
    }

    #[test]
    fn the_cache_follows_the_home_folder_unless_it_is_said() {
        assert_eq!(read("HOME", "/h").unwrap().cache, Some("/h/.cache/stackctl".into()));
        assert_eq!(read("XDG_CACHE_HOME", "/c").unwrap().cache, Some("/c/stackctl".into()));
        assert_eq!(read("XDG_CACHE_HOME", "c").unwrap().cache, None);
        assert_eq!(read(PYTHON, "/p/python3").unwrap().python, Some("/p/python3".into()));
    }

    #[test]
    fn limits_are_aws_s_or_none() {
        let limits = |value: &str| read(LIMITS, value).map(|settings| settings.limits);
        assert_eq!((limits("aws"), limits("off"), limits("")), (Ok(true), Ok(false), Ok(false)));
        let error = limits("5").unwrap_err().to_string();
        assert!(error.contains("STACKCTL_LOCAL_LIMITS must be `aws` or `off`, not `5`"), "{error}");
    }

    #[test]
    fn text_is_refused_by_name() {
        let error = read(DELAY, "soon").unwrap_err().to_string();
        assert!(error.contains("STACKCTL_LOCAL_DELAY_MS") && error.contains("`soon`"), "{error}");
    }

    #[test]
    fn streams_are_elsewhere_only_at_a_url() {
        let found = |value: &str| read(STREAMS, value).map(|settings| settings.streams_url);
        assert_eq!(found(""), Ok(None));
        assert_eq!(found(" http://127.0.0.1:4566 "), Ok(Some("http://127.0.0.1:4566".to_owned())));
        assert_eq!(found("https://kinesis.example/"), Ok(Some("https://kinesis.example/".to_owned())));
        for wrong in ["127.0.0.1:4566", "localhost", "ftp://127.0.0.1", "http://", "/streams", "http://a b"] {
            let error = found(wrong).unwrap_err().to_string();
            let start = "STACKCTL_LOCAL_STREAMS_URL must be an http or https URL, not `";
            assert!(error.starts_with(start) && error.contains(&format!("`{wrong}`")), "{error}");
        }
    }
}
