//! A step on the way of every request: an HTTP client around another one.
//!
//! It does not know what the step does.

use std::fmt::Debug;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::config_bag::ConfigBag;

/// What is done with a request, and with its answer.
pub(super) trait Layer: Debug + Clone + Send + Sync + 'static {
    /// Passes a request on to the connector below.
    fn pass(
        &self,
        request: HttpRequest,
        below: &SharedHttpConnector,
        settings: &HttpConnectorSettings,
    ) -> HttpConnectorFuture;
}

/// Puts a layer around a client.
pub(super) fn layered(below: SharedHttpClient, layer: impl Layer) -> SharedHttpClient {
    SharedHttpClient::new(Layered { below, layer })
}

#[derive(Debug)]
struct Layered<L> {
    below: SharedHttpClient,
    layer: L,
}

impl<L: Layer> HttpClient for Layered<L> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let below = self.below.http_connector(settings, components);
        SharedHttpConnector::new(Connector { below, layer: self.layer.clone(), settings: settings.clone() })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        bag: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.below.validate_base_client_config(components, bag)
    }

    fn validate_final_config(&self, components: &RuntimeComponents, bag: &ConfigBag) -> Result<(), BoxError> {
        self.below.validate_final_config(components, bag)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.below.connector_metadata()
    }
}

#[derive(Debug)]
struct Connector<L> {
    below: SharedHttpConnector,
    layer: L,
    settings: HttpConnectorSettings,
}

impl<L: Layer> HttpConnector for Connector<L> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.layer.pass(request, &self.below, &self.settings)
    }
}
