//! One log line for each attempt of a call: what was called and how it ended, never what was said. How it ended is for
//! [`answer`] to judge.

use std::time::Instant;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextMut, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};

use super::answer;

/// Logs the calls of a client.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallLog;

#[derive(Debug, Clone, Copy)]
struct Started(Instant);

impl Storable for Started {
    type Storer = StoreReplace<Self>;
}

impl Intercept for CallLog {
    fn name(&self) -> &'static str {
        "CallLog"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        bag.interceptor_state().store_put(Started(Instant::now()));
        Ok(())
    }

    fn modify_before_attempt_completion(
        &self,
        context: &mut FinalizerInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        answer::judge(context, bag.load::<Metadata>().map_or("", Metadata::name));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(call) = bag.load::<Metadata>() else { return Ok(()) };
        let response = context.response();
        let status = response.map_or_else(|| "no answer".to_owned(), |response| response.status().to_string());
        let took = bag.load::<Started>().map(|started| started.0.elapsed().as_millis()).unwrap_or_default();
        let attempt = bag.load::<RequestAttempts>().map_or(1, RequestAttempts::attempts);
        let again = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
        tracing::info!("{} {}: {status}, {took} ms{again}", call.service(), call.name());
        let id = response.and_then(|response| response.headers().get("x-amzn-requestid"));
        tracing::debug!("{} {}: request id {}", call.service(), call.name(), id.unwrap_or("unknown"));
        Ok(())
    }
}
