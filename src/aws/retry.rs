//! Which refusals are worth another attempt, where the SDK does not know.
//!
//! The SDK takes every `LimitExceededException` for throttling, but it is also the code of used-up quotas, which no
//! attempt gives back (`facts/aws.md` 0.1). Limits on what goes on at once are waited out by the kinds, where users see
//! what is waited for. SNS's word for throttling is not on the SDK's list (`facts/aws.md` 0.4).

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction, RetryClassifierPriority};
use aws_smithy_types::retry::ErrorKind;
use serde_json::Value;

/// Lets the SDK repeat `LimitExceededException` only where it speaks of a rate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quotas;

impl ClassifyRetry for Quotas {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let body = context.response().and_then(|response| response.body().bytes()).unwrap_or_default();
        if is_used_up(&String::from_utf8_lossy(body)) {
            RetryAction::RetryForbidden
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "Quotas"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

/// Lets the SDK repeat what SNS calls throttled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Throttles;

impl ClassifyRetry for Throttles {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let refused = context.response().filter(|response| !response.status().is_success());
        let body = refused.and_then(|response| response.body().bytes()).unwrap_or_default();
        if String::from_utf8_lossy(body).contains("<Code>Throttled</Code>") {
            RetryAction::retryable_error(ErrorKind::ThrottlingError)
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "Throttles"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

/// Reads the errors of AWS's JSON protocols; the four services with this code speak no other.
fn is_used_up(answer: &str) -> bool {
    let Ok(error) = serde_json::from_str::<Value>(answer) else { return false };
    let text = |names: [&str; 2]| names.iter().find_map(|name| error[*name].as_str()).unwrap_or_default();
    let code = text(["__type", "code"]).rsplit('#').next().unwrap_or_default();
    code == "LimitExceededException" && !text(["message", "Message"]).contains("Rate exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::client::interceptors::context::Input;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_types::body::SdkBody;

    fn answered(status: u16, body: &'static str) -> InterceptorContext {
        let mut context = InterceptorContext::new(Input::erase(()));
        context.set_response(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body)));
        context
    }

    fn action(body: &'static str) -> RetryAction {
        Quotas.classify_retry(&answered(400, body))
    }

    #[test]
    fn what_sns_calls_throttled_is_tried_again() {
        let body = "<ErrorResponse><Error><Code>Throttled</Code></Error></ErrorResponse>";
        let again = RetryAction::retryable_error(ErrorKind::ThrottlingError);
        assert_eq!(Throttles.classify_retry(&answered(429, body)), again);
        assert_eq!(Throttles.classify_retry(&answered(200, body)), RetryAction::NoActionIndicated);
        let other = "<ErrorResponse><Error><Code>NotFound</Code></Error></ErrorResponse>";
        assert_eq!(Throttles.classify_retry(&answered(404, other)), RetryAction::NoActionIndicated);
    }

    #[test]
    fn quotas_are_told_from_rates() {
        for quota in [
            r#"{"__type":"LimitExceededException","message":"You exceeded the limit on the number of On-Demand streams"}"#,
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#LimitExceededException","message":"Subscriber limit exceeded: there is a limit of 2500 tables"}"#,
        ] {
            assert_eq!(action(quota), RetryAction::RetryForbidden, "{quota}");
        }
        for other in [
            r#"{"__type":"LimitExceededException","message":"Rate exceeded for stream s under account 1."}"#,
            r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#,
            r#"{"__type":"ResourceNotFoundException","message":"LimitExceededException"}"#,
            "",
        ] {
            assert_eq!(action(other), RetryAction::NoActionIndicated, "{other}");
        }
    }
}
