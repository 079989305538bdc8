//! Since when and why an instance does not run, as EC2 tells it: in a text with the time in brackets.

use aws_sdk_ec2::types::Instance;

use super::state_of;
use crate::kind::Halt;

/// Returns since when and why an instance does not run; nothing when it runs or is about to.
pub(super) fn halt(instance: &Instance) -> Option<Halt> {
    if ["pending", "running"].contains(&state_of(instance)) {
        return None;
    }
    let text = instance.state_transition_reason.as_deref().unwrap_or_default();
    let reason = instance.state_reason.as_ref().and_then(|reason| reason.message.clone().or(reason.code.clone()));
    let reason = reason.or_else(|| Some(text.to_owned()).filter(|text| !text.is_empty()));
    Some(Halt { since: time_in(text), reason: Some(reason.unwrap_or_else(|| state_of(instance).to_owned())) })
}

/// Reads the time of `User initiated (2026-11-22 10:00:00 GMT)`.
fn time_in(text: &str) -> Option<String> {
    let (_, rest) = text.rsplit_once('(')?;
    let time = rest.strip_suffix(')')?;
    time.starts_with(|letter: char| letter.is_ascii_digit()).then(|| time.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{InstanceState, InstanceStateName, StateReason};

    fn instance(state: InstanceStateName) -> aws_sdk_ec2::types::builders::InstanceBuilder {
        Instance::builder().state(InstanceState::builder().name(state).build())
    }

    #[test]
    fn the_time_stands_in_the_text() {
        let reason = StateReason::builder().code("Server.SpotInstanceTermination").message("Spot instance reclaimed");
        let gone = instance(InstanceStateName::Terminated).state_reason(reason.build());
        let gone = gone.state_transition_reason("Server.SpotInstanceTermination (2026-11-22 10:00:00 GMT)").build();
        let halt = halt(&gone).unwrap();
        assert_eq!(halt.since.as_deref(), Some("2026-11-22 10:00:00 GMT"));
        assert_eq!(halt.reason.as_deref(), Some("Spot instance reclaimed"));
    }

    #[test]
    fn a_text_without_a_time_is_a_reason() {
        let stopped = instance(InstanceStateName::Stopped).state_transition_reason("User initiated (by hand)").build();
        let told = halt(&stopped).unwrap();
        assert_eq!((told.since, told.reason.as_deref()), (None, Some("User initiated (by hand)")));
        assert_eq!(halt(&instance(InstanceStateName::Running).build()), None);
    }
}
