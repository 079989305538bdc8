//! Opens the way to AWS, or to the local cloud, for one command.

mod moving;
pub(crate) mod pages;
mod patience;

use std::path::PathBuf;
use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::sdk_config::Builder;

use crate::aws::error::failed;
use crate::aws::guard::Guard;
use crate::aws::log::CallLog;
use crate::aws::{Aws, bounds};
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
    if !wish.local {
        return Ok(Arc::new(enter(wish, remote(wish, region).await?).await?));
    }
    let settings = local_settings()?;
    let remark = seed_remark(&settings);
    let (config, is_here) = local(region, settings)?;
    let aws = enter(wish, config).await?;
    Ok(Arc::new(aws.with_remark(remark.filter(|_| is_here))))
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
    let builder = local_config(region)?;
    let settings = local_settings()?;
    let remark = seed_remark(&settings);
    match Moving::open(settings).await? {
        Ok(moving) => {
            let client = LocalClient::new(moving.listener().cloud().clone());
            let aws = enter(wish, builder.http_client(client).build()).await?.with_remark(remark);
            Ok((Arc::new(aws), Some(moving)))
        }
        Err(url) => Ok((Arc::new(enter(wish, builder.endpoint_url(url).build()).await?), None)),
    }
}

async fn enter(wish: &Wish, config: SdkConfig) -> Result<Aws, Failure> {
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
    Ok(if limited { aws.paced() } else { aws })
}

async fn remote(wish: &Wish, region: Option<String>) -> Result<SdkConfig, Failure> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(bounds::client())
        .retry_config(patience::retries()?)
        .timeout_config(patience::timeouts()?);
    if let Some(profile) = &wish.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let Some(url) = &wish.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    Ok(loader.load().await)
}

/// Points the SDK at the local cloud: in this process, which is true then, or through the listener that has it.
fn local(region: Option<String>, settings: Settings) -> Result<(SdkConfig, bool), Failure> {
    let builder = local_config(region)?;
    match Cloud::open(&local_dir(), settings) {
        Ok(cloud) => Ok((builder.http_client(LocalClient::new(cloud)).build(), true)),
        Err(OpenError::Busy { listener: Some(url), .. }) => Ok((builder.endpoint_url(url).build(), false)),
        Err(error) => Err(local_failure(&error)),
    }
}

/// Says how a run can be repeated in which something was left to chance.
pub(crate) fn seed_remark(settings: &Settings) -> Option<String> {
    let seed = settings.seed;
    settings.is_drawn.then(|| format!("The local cloud's seed is {seed}; STACKCTL_LOCAL_SEED={seed} repeats this run."))
}

fn local_config(region: Option<String>) -> Result<Builder, Failure> {
    let credentials = Credentials::from_keys(DEFAULT_ACCOUNT, "local", None);
    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.unwrap_or_else(|| LOCAL_REGION.to_owned())))
        .retry_config(patience::retries()?)
        .timeout_config(patience::timeouts()?)
        .credentials_provider(SharedCredentialsProvider::new(credentials)))
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
    // Both become part of every ARN.
    let is_partition = |part: &&str| {
        part.starts_with("aws") && part.bytes().all(|byte| b"-".contains(&byte) || byte.is_ascii_lowercase())
    };
    let partition = arn.split(':').nth(1).filter(is_partition).unwrap_or("aws").to_owned();
    let is_account = |account: &String| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let Some(account) = answer.account.filter(is_account) else {
        return Err(Failure::new("GetCallerIdentity: the answer names no account"));
    };
    Ok(Place { partition, region, account })
}
