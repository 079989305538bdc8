//! How life-like the local cloud behaves: its pace, its faults and how many calls it takes; the Python that runs its
//! functions; and where the streams of its applications are.
//!
//! Everything is off by default. It does not know which services use the values.

use std::path::PathBuf;

use thiserror::Error;

use super::trouble::{self, Delays, Experiment, Latency, Pace};

const LATENCY: &str = "STACKCTL_LOCAL_LATENCY_MS";
const DELAY: &str = "STACKCTL_LOCAL_DELAY_MS";
const LIMITS: &str = "STACKCTL_LOCAL_LIMITS";
const IAM_DELAY: &str = "STACKCTL_LOCAL_IAM_DELAY_MS";
const EC2_DELAY: &str = "STACKCTL_LOCAL_EC2_DELAY_MS";
const ANALYTICS: &str = "STACKCTL_LOCAL_ANALYTICS";
const SEED: &str = "STACKCTL_LOCAL_SEED";
const TROUBLE: &str = "STACKCTL_LOCAL_TROUBLE";
const PYTHON: &str = "STACKCTL_LOCAL_PYTHON";
const STREAMS: &str = "STACKCTL_LOCAL_STREAMS_URL";

const MILLISECONDS: &str = "a whole number of milliseconds";
const LATENCIES: &str = "milliseconds such as `50`, `20..80` or `lognormal(40, 0.5)`";
const DELAYS: &str = "milliseconds such as `500`, or for some services: `kinesis=200,lambda=50` (analytics, dynamodb, ec2, kinesis, lambda, mapping)";
const NUMBER: &str = "a whole number";
const URL: &str = "an http or https URL";
const LIMITED: &str = "`aws` or `off`";

/// Settings of one local cloud.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Settings {
    /// How fast things go.
    pub(crate) pace: Pace,
    /// Faults on request.
    pub(crate) trouble: Experiment,
    /// Decides what is left to chance; drawn when it is not set.
    pub(crate) seed: u64,
    /// Whether the seed was drawn and something hangs on it.
    pub(crate) is_drawn: bool,
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
    wanted: String,
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
        let pace = Pace {
            latency: read(&lookup, LATENCY, LATENCIES, Latency::read)?.unwrap_or_default(),
            delays: read(&lookup, DELAY, DELAYS, Delays::read)?.unwrap_or_default(),
            retired: read(&lookup, ANALYTICS, "`retired` or `open`", trouble::is_retired)?.unwrap_or_default(),
            iam: read(&lookup, IAM_DELAY, MILLISECONDS, |text| text.trim().parse().ok())?.unwrap_or_default(),
            ec2: read(&lookup, EC2_DELAY, MILLISECONDS, |text| text.trim().parse().ok())?.unwrap_or_default(),
        };
        let trouble = experiment(&lookup)?;
        let seed: Option<u64> = read(&lookup, SEED, NUMBER, |text| text.trim().parse().ok())?.or(trouble.seed);
        let is_drawn = seed.is_none() && (pace.draws() || trouble.draws());
        let (python, limits, streams_url) = (path(PYTHON), limits(&lookup)?, url(&lookup, STREAMS)?);
        Ok(Self {
            pace,
            trouble,
            seed: seed.unwrap_or_else(trouble::seed),
            is_drawn,
            limits,
            python,
            cache,
            streams_url,
        })
    }
}

/// Reads a variable through `parse`; one that is unset or empty is none.
fn read<T>(
    lookup: impl Fn(&str) -> Option<String>,
    name: &'static str,
    wanted: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, SettingsError> {
    let Some(value) = lookup(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    parse(&value).map(Some).ok_or_else(|| SettingsError { name, wanted: wanted.to_owned(), value })
}

fn experiment(lookup: impl Fn(&str) -> Option<String>) -> Result<Experiment, SettingsError> {
    let Some(value) = lookup(TROUBLE).filter(|value| !value.is_empty()) else { return Ok(Experiment::default()) };
    Experiment::read(&value).map_err(|wrong| SettingsError {
        name: TROUBLE,
        wanted: format!("an experiment such as {{\"rules\":[{{\"what\":\"throttle\",\"chance\":0.1}}]}} ({wrong})"),
        value,
    })
}

fn limits(lookup: impl Fn(&str) -> Option<String>) -> Result<bool, SettingsError> {
    match lookup(LIMITS).as_deref().map(str::trim) {
        None | Some("" | "off") => Ok(false),
        Some("aws") => Ok(true),
        Some(value) => Err(SettingsError { name: LIMITS, wanted: LIMITED.to_owned(), value: value.to_owned() }),
    }
}

fn url(lookup: impl Fn(&str) -> Option<String>, name: &'static str) -> Result<Option<String>, SettingsError> {
    let Some(value) = lookup(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let parsed = value.trim().parse::<http::Uri>();
    if parsed.is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https"))) {
        return Ok(Some(value.trim().to_owned()));
    }
    Err(SettingsError { name, wanted: URL.to_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Settings, SettingsError> {
        Settings::from_lookup(|asked| match asked {
            SEED if name != SEED => Some("1".to_owned()),
            _ => (asked == name).then(|| value.to_owned()),
        })
    }

    #[test]
    fn unset_variables_mean_no_waiting() {
        let found = Settings::from_lookup(|_| None).unwrap();
        assert_eq!(Settings { seed: 0, ..found }, Settings::default());
    }

    #[test]
    fn each_variable_sets_its_own_value() {
        let pace = |name, value| read(name, value).unwrap().pace;
        assert_eq!(pace(LATENCY, "20..30").latency, Latency::Between(20, 30));
        assert_eq!(pace(DELAY, "500").delays, Delays::all(500));
        assert_eq!(pace(IAM_DELAY, "900").iam, 900);
        assert_eq!(pace(EC2_DELAY, "800").ec2, 800);
        assert!(pace(ANALYTICS, "retired").retired && !pace(ANALYTICS, "open").retired);
        assert_eq!(read(SEED, "9").unwrap().seed, 9);
        assert_ne!(read(TROUBLE, r#"{"rules":[{"what":"slow"}]}"#).unwrap().trouble, Experiment::default());
    }

    #[test]
    fn a_seed_is_drawn_when_something_hangs_on_it() {
        let drawn = |name: &str, value: &str| {
            let found = Settings::from_lookup(|asked| (asked == name).then(|| value.to_owned())).unwrap();
            found.is_drawn
        };
        assert!(drawn(LATENCY, "1..2") && drawn(IAM_DELAY, "5") && drawn(EC2_DELAY, "5"));
        assert!(drawn(TROUBLE, r#"{"rules":[{"what":"slow","chance":0.1}]}"#));
        assert!(!drawn(TROUBLE, r#"{"seed":1,"rules":[{"what":"slow","chance":0.1}]}"#));
        assert!(!drawn(TROUBLE, r#"{"rules":[{"what":"slow","calls":1}]}"#) && !drawn(DELAY, "5"));
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
        for name in [LATENCY, DELAY, IAM_DELAY, EC2_DELAY, ANALYTICS, SEED, TROUBLE] {
            let error = read(name, "soon").unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} must be ")) && error.contains("`soon`"), "{error}");
        }
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
