//! Which refusals of the form "limit exceeded" are worth another attempt.
//!
//! The SDK takes every `LimitExceededException` for throttling, but it is also the code of used-up quotas, which no
//! attempt gives back (`facts/aws.md` 0.1). Limits on what goes on at once are waited out by the kinds, where users see
//! what is waited for.

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction, RetryClassifierPriority};
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

/// Lets the SDK repeat calls that SNS refuses with its own word for throttling, which the SDK does not know
/// (`facts/aws.md` 10c.6).
#[derive(Debug, Clone, Copy, Default)]
pub struct Throttled;

impl ClassifyRetry for Throttled {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let body = context.response().and_then(|response| response.body().bytes()).unwrap_or_default();
        if String::from_utf8_lossy(body).contains("<Code>Throttled</Code>") {
            RetryAction::throttling_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "Throttled"
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

    fn action(body: &'static str) -> RetryAction {
        classified(&Quotas, body)
    }

    fn classified(classifier: &dyn ClassifyRetry, body: &'static str) -> RetryAction {
        let mut context = InterceptorContext::new(Input::erase(()));
        let status = 400.try_into().unwrap();
        context.set_response(HttpResponse::new(status, SdkBody::from(body)));
        classifier.classify_retry(&context)
    }

    #[test]
    fn sns_has_a_word_of_its_own_for_throttling() {
        let error =
            "<ErrorResponse><Error><Code>Throttled</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
        assert_eq!(classified(&Throttled, error), RetryAction::throttling_error());
        assert_eq!(classified(&Throttled, "<Code>NotFound</Code>"), RetryAction::NoActionIndicated);
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
