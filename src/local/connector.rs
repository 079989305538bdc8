//! Hands the SDK's HTTP requests to a [`Cloud`] in the same process, without a socket.

use std::io;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http::Request;
use http_body_util::BodyExt;

use super::{Cloud, trouble};

/// An HTTP client of the SDK whose other end is a local cloud.
#[derive(Debug, Clone)]
pub(crate) struct LocalClient {
    cloud: Cloud,
}

impl LocalClient {
    /// Makes a client of this cloud.
    pub(crate) fn new(cloud: Cloud) -> Self {
        Self { cloud }
    }
}

impl HttpClient for LocalClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(LocalConnector { cloud: self.cloud.clone(), patience: settings.read_timeout() })
    }
}

/// The way of one client's requests, with its own patience.
#[derive(Debug, Clone)]
struct LocalConnector {
    cloud: Cloud,
    patience: Option<Duration>,
}

impl HttpConnector for LocalConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { cloud, patience } = self.clone();
        HttpConnectorFuture::new(async move {
            let sent = send(&cloud, request);
            match patience {
                Some(patience) => tokio::time::timeout(patience, sent)
                    .await
                    .unwrap_or_else(|late| Err(ConnectorError::timeout(late.into()))),
                None => sent.await,
            }
        })
    }
}

async fn send(cloud: &Cloud, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|cause| ConnectorError::user(cause.into()))?;
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(ConnectorError::user)?.to_bytes();
    let response = cloud.handle(Request::from_parts(parts, body)).await;
    if trouble::is_cut(&response) {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        return Err(ConnectorError::io(reset.into()));
    }
    HttpResponse::try_from(response.map(SdkBody::from)).map_err(|cause| ConnectorError::other(cause.into(), None))
}
