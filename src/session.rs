//! Opens the way to AWS, or to the local cloud, for one command.

mod moving;
pub(crate) mod pages;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_types::retry::RetryConfig;
use aws_types::sdk_config::Builder;

use crate::aws::Aws;
use crate::aws::error::failed;
use crate::aws::guard::Guard;
use crate::aws::log::CallLog;
use crate::failure::Failure;
use crate::kind::Place;
use crate::local::cloud::OpenError;
use crate::local::connector::LocalClient;
use crate::local::{Cloud, DEFAULT_ACCOUNT, Settings};

pub use moving::Moving;

/// Where the local cloud keeps its state, below the folder that stackctl works in.
pub const LOCAL_DIR: &str = ".stackctl/local";

/// Region of the local cloud when nothing else is said.
pub(crate) const LOCAL_REGION: &str = "us-east-1";

/// Attempts of one call: with three, as the SDK has it, hundreds of resources show throttling (`facts/aws.md` 0.1).
const ATTEMPTS: u32 = 8;

/// What the user said about where to go.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Named profile of the AWS configuration.
    pub profile: Option<String>,
    /// Region; wins over the stack file's.
    pub region: Option<String>,
    /// Endpoint instead of AWS's.
    pub endpoint_url: Option<String>,
    /// The local cloud instead of AWS.
    pub local: bool,
    /// What the clients may call.
    pub guard: Guard,
}

/// Opens the clients and asks which account they are in.
///
/// # Errors
/// Returns a failure when there is no region, no credentials, no connection, or when another process has the local
/// cloud.
pub async fn open(wish: &Wish, stack_region: Option<&str>) -> Result<Arc<Aws>, Failure> {
    let region = wish.region.clone().or_else(|| stack_region.map(str::to_owned));
    let config = if wish.local { local(region)? } else { remote(wish, region).await };
    enter(wish, config).await
}

/// Opens the clients as [`open`] does; a local cloud that is opened in this process also moves its records.
///
/// # Errors
/// Returns a failure as [`open`] does.
pub async fn open_moving(wish: &Wish, stack_region: Option<&str>) -> Result<(Arc<Aws>, Option<Moving>), Failure> {
    if !wish.local {
        return Ok((open(wish, stack_region).await?, None));
    }
    let region = wish.region.clone().or_else(|| stack_region.map(str::to_owned));
    let builder = local_config(region);
    match Moving::open(local_settings()?).await? {
        Ok(moving) => {
            let client = LocalClient::new(moving.listener().cloud().clone());
            Ok((enter(wish, builder.http_client(client).build()).await?, Some(moving)))
        }
        Err(url) => Ok((enter(wish, builder.endpoint_url(url).build()).await?, None)),
    }
}

async fn enter(wish: &Wish, config: SdkConfig) -> Result<Arc<Aws>, Failure> {
    let Some(region) = config.region().map(ToString::to_string) else {
        return Err(
            Failure::new("no region is set").help("add `region:` to the stack file, pass --region, or set AWS_REGION")
        );
    };
    let emulated = !wish.local && (wish.endpoint_url.is_some() || config.endpoint_url().is_some());
    // The local cloud and emulators take any number of calls, unless the local cloud is asked to be as strict as AWS.
    let limited = if wish.local { local_settings()?.limits } else { !emulated };
    let place = place(&config, region).await?;
    let aws = Aws::new(config, place, !emulated).guarded(wish.guard.clone());
    Ok(Arc::new(if limited { aws.paced() } else { aws }))
}

async fn remote(wish: &Wish, region: Option<String>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(Duration::from_secs(5)));
    if let Some(profile) = &wish.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let Some(url) = &wish.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    loader.load().await
}

/// Points the SDK at the local cloud: in this process, or through the listener that has it.
fn local(region: Option<String>) -> Result<SdkConfig, Failure> {
    let builder = local_config(region);
    match Cloud::open(&local_dir(), local_settings()?) {
        Ok(cloud) => Ok(builder.http_client(LocalClient::new(cloud)).build()),
        Err(OpenError::Busy { listener: Some(url), .. }) => Ok(builder.endpoint_url(url).build()),
        Err(error) => Err(local_failure(&error)),
    }
}

fn local_config(region: Option<String>) -> Builder {
    let credentials = Credentials::from_keys(DEFAULT_ACCOUNT, "local", None);
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.unwrap_or_else(|| LOCAL_REGION.to_owned())))
        .retry_config(RetryConfig::standard())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
}

fn local_settings() -> Result<Settings, Failure> {
    Settings::from_env().map_err(|error| Failure::new(error.to_string()))
}

/// Returns the folder of the local cloud's state.
#[must_use]
pub fn local_dir() -> PathBuf {
    PathBuf::from(LOCAL_DIR)
}

/// Turns the local cloud's error into a failure with its causes.
pub(crate) fn local_failure(error: &OpenError) -> Failure {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::new(format!("{error}{cause}"))
}

async fn place(config: &SdkConfig, region: String) -> Result<Place, Failure> {
    let logged = aws_sdk_sts::config::Builder::from(config).interceptor(CallLog).build();
    let answer = aws_sdk_sts::Client::from_conf(logged).get_caller_identity().send().await;
    let answer = answer.map_err(failed("GetCallerIdentity"))?;
    let arn = answer.arn.unwrap_or_default();
    let partition = arn.split(':').nth(1).filter(|part| !part.is_empty()).unwrap_or("aws").to_owned();
    let Some(account) = answer.account else {
        return Err(Failure::new("GetCallerIdentity: the answer names no account"));
    };
    Ok(Place { partition, region, account })
}
