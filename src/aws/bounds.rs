//! Bounds on what an endpoint may send: how long an answer is and how long it takes, and how many pages a listing has.
//!
//! Whoever answers may be a broken proxy, or mean harm: without bounds, an answer without an end takes the memory of the
//! machine, and a listing without an end its time. No answer of AWS comes near them. Redirects are not followed, and
//! nothing is decompressed.

mod pages;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_http_client::{Builder, ConnectorBuilder, proxy::ProxyConfig, tls};
use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use self::pages::{Asked, Pages};
use super::layer::{Layer, layered};

/// Longest answer in bytes. The largest of AWS's are 10 MB of records, in base64 (`GetRecords`).
const MOST_BYTES: usize = 32_000_000;

/// Longest listing in bytes, all its pages together.
const MOST_LISTED: usize = 256_000_000;

/// Most pages of a listing: a hundred thousand objects at twenty a page.
const MOST_PAGES: usize = 5_000;

/// How many read time-outs a whole answer may take; within one of them something must come.
const PATIENCE: u32 = 4;

/// How long nothing may come where no read time-out is set.
const SILENCE: Duration = Duration::from_mins(1);

/// Why an answer is not taken. Another attempt would end alike, so none is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// One answer does not end.
    #[error("the answer has more than {} MB, which no answer of AWS has", MOST_BYTES / 1_000_000)]
    Long,
    /// One answer comes in small pieces.
    #[error("the answer is not complete after {} s", .0.as_secs())]
    Slow(Duration),
    /// The SDK would end such a listing, and say nothing.
    #[error("the listing does not go on: a page names itself as the next one")]
    Circle,
    /// Page follows on page.
    #[error("the listing has no end: {pages} pages with {} MB came so far", bytes / 1_000_000)]
    Endless {
        /// Pages so far.
        pages: usize,
        /// Bytes so far.
        bytes: usize,
    },
}

/// Finds the reason among the causes of an error.
pub(super) fn unfit<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Unfit> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(unfit) = cause.downcast_ref() {
            return Some(unfit);
        }
        next = cause.source();
    }
    None
}

/// Makes the client that the SDK would make by itself, with bounds.
pub(crate) fn client() -> SharedHttpClient {
    layered(https(), Bounds::default())
}

#[derive(Debug, Clone, Default)]
struct Bounds(Arc<Pages>);

impl Layer for Bounds {
    fn pass(
        &self,
        request: HttpRequest,
        below: &SharedHttpConnector,
        settings: &HttpConnectorSettings,
    ) -> HttpConnectorFuture {
        let asked = Asked::of(&request);
        let silence = settings.read_timeout().unwrap_or(SILENCE);
        let (answer, pages) = (below.call(request), self.0.clone());
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            let bytes = whole(answer.take_body(), silence).await?;
            pages.check(&asked, &bytes).map_err(refused)?;
            *answer.body_mut() = SdkBody::from(bytes);
            Ok::<HttpResponse, ConnectorError>(answer)
        })
    }
}

/// Makes the client that the SDK would make by itself, one for all services: each would read the system's certificates
/// anew.
fn https() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
            .proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.build()
    })
}

/// Errors of the user are the ones that the SDK does not try again for.
fn refused(unfit: Unfit) -> ConnectorError {
    ConnectorError::user(unfit.into())
}

/// Reads an answer to its end.
async fn whole(body: SdkBody, silence: Duration) -> Result<Vec<u8>, ConnectorError> {
    let limit = silence * PATIENCE;
    timeout(limit, collect(body, silence)).await.unwrap_or_else(|_| Err(refused(Unfit::Slow(limit))))
}

async fn collect(mut body: SdkBody, silence: Duration) -> Result<Vec<u8>, ConnectorError> {
    if body.content_length().is_some_and(|length| length > MOST_BYTES as u64) {
        return Err(refused(Unfit::Long));
    }
    let late = |_| ConnectorError::timeout(format!("no more of the answer came within {} s", silence.as_secs()).into());
    let mut bytes = Vec::new();
    while let Some(frame) = timeout(silence, body.frame()).await.map_err(late)? {
        let Ok(data) = frame.map_err(ConnectorError::io)?.into_data() else { continue };
        if bytes.len() + data.len() > MOST_BYTES {
            return Err(refused(Unfit::Long));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_are_as_long_as_they_may_be() {
        let silence = Duration::from_secs(10);
        assert_eq!(whole(SdkBody::from("ab"), silence).await.unwrap(), b"ab");
        assert_eq!(whole(SdkBody::from(vec![b'a'; MOST_BYTES]), silence).await.unwrap().len(), MOST_BYTES);
        let long = whole(SdkBody::from(vec![b'a'; MOST_BYTES + 1]), silence).await.unwrap_err();
        assert_eq!(unfit(&long), Some(&Unfit::Long));
        assert!(long.is_user(), "it would be tried again");
        assert_eq!(Unfit::Long.to_string(), "the answer has more than 32 MB, which no answer of AWS has");
        assert_eq!(unfit(&ConnectorError::io("reset".into())), None);
    }
}
