//! Refuses calls that a session is not opened for, before anything is sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeSerializationInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// What the clients of a session may call; everything, unless it is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard(Option<Arc<BTreeSet<&'static str>>>);

impl Guard {
    /// Lets through only these IAM actions, such as `kinesis:ListStreams`.
    #[must_use]
    pub fn only(actions: BTreeSet<&'static str>) -> Self {
        Self(Some(Arc::new(actions)))
    }

    fn permits(&self, service: &str, operation: &str) -> bool {
        let Self(Some(actions)) = self else { return true };
        actions.contains(action_of(service, operation).as_str())
    }
}

/// Returns the IAM action of an operation, by the service's name in the SDK.
///
/// For the operations in use the action is named as the operation is (Service Authorization Reference).
#[must_use]
pub fn action_of(service: &str, operation: &str) -> String {
    let prefix = match service {
        "CloudWatch Logs" => "logs".to_owned(),
        "Resource Groups Tagging API" => "tag".to_owned(),
        other => other.to_lowercase().replace(' ', ""),
    };
    format!("{prefix}:{operation}")
}

impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "Guard"
    }

    // The first moment at which the SDK has told the interceptors of a client which operation it is.
    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(call) = bag.load::<Metadata>() else { return Ok(()) };
        if self.permits(call.service(), call.name()) {
            return Ok(());
        }
        let action = action_of(call.service(), call.name());
        Err(format!("{action} is not among the reads of this command, and was not sent").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_permitted() {
        let guard = Guard::only(BTreeSet::from(["logs:DescribeLogGroups", "tag:GetResources", "kinesis:ListStreams"]));
        assert!(guard.permits("CloudWatch Logs", "DescribeLogGroups"));
        assert!(guard.permits("Resource Groups Tagging API", "GetResources"));
        assert!(guard.permits("Kinesis", "ListStreams"));
        assert!(!guard.permits("Kinesis", "CreateStream"));
        assert!(!guard.permits("Kinesis Analytics", "ListStreams"));
        assert!(Guard::default().permits("Kinesis", "CreateStream"));
    }

    #[tokio::test]
    async fn what_is_not_listed_is_not_sent() {
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
            .interceptor(Guard::only(BTreeSet::from(["kinesis:ListStreams"])));
        let client = aws_sdk_kinesis::Client::from_conf(config.build());
        let error = client.delete_stream().stream_name("a").send().await.unwrap_err();
        let refused = format!("{error:?}");
        assert!(refused.contains("kinesis:DeleteStream is not among the reads of this command"), "{refused}");
        let error = client.list_streams().send().await.unwrap_err();
        assert!(!format!("{error:?}").contains("not among the reads"), "{error:?}");
    }
}
