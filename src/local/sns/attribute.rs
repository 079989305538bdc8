//! Which attributes a topic takes, and with which values.

use serde_json::Value;

use crate::local::{Call, Fault, Tx, iam};

use super::invalid;
use super::topic::{Topic, is_fifo_name};

const SENDERS: &[&str] = &["HTTP", "Firehose", "Lambda", "Application", "SQS"];

/// Returns the value of an attribute that was never set.
pub(super) fn default(name: &str) -> &'static str {
    match name {
        "FifoTopic" | "ContentBasedDeduplication" => "false",
        "SignatureVersion" => "1",
        "TracingConfig" => "PassThrough",
        _ => "",
    }
}

/// Tells whether two values of an attribute mean the same.
pub(super) fn equal(name: &str, one: &str, other: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    let is_document = name == "Policy" || name.ends_with("DeliveryPolicy");
    one == other || (is_document && parsed(one).is_some() && parsed(one) == parsed(other))
}

/// Checks an attribute of a new topic and returns its value in the form that is kept.
pub(super) fn check_created(tx: &Tx<'_>, call: &Call, topic: &str, name: &str, value: &str) -> Result<String, Fault> {
    if name == "FifoTopic" {
        return boolean(name, value);
    }
    check(tx, call, is_fifo_name(topic), name, value).map_err(|fault| {
        let reason = fault.message.trim_start_matches("Invalid parameter: ").to_owned();
        invalid(format!("Attributes Reason: {reason}"))
    })
}

/// Checks a change of an attribute and returns its value in the form that is kept; empty means its default.
pub(super) fn check_changed(tx: &Tx<'_>, call: &Call, topic: &Topic, name: &str, value: &str) -> Result<String, Fault> {
    check(tx, call, topic.is_fifo(), name, value)
}

fn check(tx: &Tx<'_>, call: &Call, fifo: bool, name: &str, value: &str) -> Result<String, Fault> {
    let fifo_only = ["ContentBasedDeduplication", "FifoThroughputScope", "ArchivePolicy"];
    if fifo_only.contains(&name) && !fifo {
        return Err(invalid(format!("{name} Reason: {name} can only be set for FIFO topics")));
    }
    match name {
        "DisplayName" if value.chars().count() <= 100 => Ok(value.to_owned()),
        "KmsMasterKeyId" if value.len() <= 2048 && !value.contains(char::is_whitespace) => Ok(value.to_owned()),
        "ContentBasedDeduplication" => boolean(name, value),
        "SignatureVersion" if ["", "1", "2"].contains(&value) => Ok(value.to_owned()),
        "TracingConfig" if ["", "PassThrough", "Active"].contains(&value) => Ok(value.to_owned()),
        "FifoThroughputScope" if ["", "Topic", "MessageGroup"].contains(&value) => Ok(value.to_owned()),
        "Policy" => policy(tx, call, value),
        "DeliveryPolicy" | "ArchivePolicy" => object(name, value),
        _ => feedback(tx, name, value),
    }
}

fn boolean(name: &str, value: &str) -> Result<String, Fault> {
    let small = value.to_ascii_lowercase();
    if small == "true" || small == "false" { Ok(small) } else { Err(invalid(name)) }
}

fn object(name: &str, value: &str) -> Result<String, Fault> {
    match serde_json::from_str(value) {
        Ok(Value::Object(_)) => Ok(value.to_owned()),
        _ if value.is_empty() => Ok(String::new()),
        _ => Err(invalid(format!("{name}: failed to parse JSON."))),
    }
}

fn policy(tx: &Tx<'_>, call: &Call, value: &str) -> Result<String, Fault> {
    let fault = iam::check_resource_policy(tx, &call.account, value).err();
    if let Some(fault) = fault {
        let principal = fault.message.starts_with("Invalid principal");
        let reason = if principal { "PrincipalNotFound" } else { fault.message.as_str() };
        return Err(invalid(format!("Policy Error: {reason}")));
    }
    let document: Value = serde_json::from_str(value).map_err(|_| invalid("Policy Error: null"))?;
    let statements = document.get("Statement").map(|all| all.as_array().cloned().unwrap_or_else(|| vec![all.clone()]));
    let actions = statements.unwrap_or_default().into_iter().filter_map(|statement| statement.get("Action").cloned());
    let foreign = |action: &Value| {
        action.as_str().is_some_and(|action| action != "*" && !action.to_ascii_lowercase().starts_with("sns:"))
    };
    let mut actions = actions.map(|action| action.as_array().cloned().unwrap_or_else(|| vec![action.clone()]));
    if actions.any(|all| all.iter().any(foreign)) {
        return Err(invalid("Policy statement action out of service scope!"));
    }
    Ok(value.to_owned())
}

/// Checks the attributes of delivery status logging: a role that SNS may assume, or a rate in percent.
fn feedback(tx: &Tx<'_>, name: &str, value: &str) -> Result<String, Fault> {
    let kind = SENDERS.iter().find_map(|sender| name.strip_prefix(sender));
    match kind {
        Some("SuccessFeedbackSampleRate") => match value.parse::<u8>() {
            Ok(0..=100) => Ok(value.to_owned()),
            _ if value.is_empty() => Ok(String::new()),
            _ => Err(invalid(name)),
        },
        Some("SuccessFeedbackRoleArn" | "FailureFeedbackRoleArn") => {
            if value.is_empty() || iam::role_trusts(tx, value, "sns.amazonaws.com")? {
                Ok(value.to_owned())
            } else {
                Err(invalid(format!("Role {value} is not valid")))
            }
        }
        _ => Err(invalid(if default(name).is_empty() { "AttributeName" } else { name })),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, TOPIC};

    fn set(bench: &Bench, name: &str, value: &str) -> Result<String, String> {
        let fields = [("TopicArn", TOPIC), ("AttributeName", name), ("AttributeValue", value)];
        bench.run("SetTopicAttributes", &fields).map_err(|fault| fault.message)
    }

    #[test]
    fn values_are_checked() {
        let bench = Bench::with_topic();
        for (name, value) in [
            ("SignatureVersion", "2"),
            ("TracingConfig", "Active"),
            ("KmsMasterKeyId", "alias/aws/sns"),
            ("DeliveryPolicy", r#"{"http":{}}"#),
            ("SQSSuccessFeedbackSampleRate", "100"),
        ] {
            assert!(set(&bench, name, value).is_ok(), "{name}");
        }
        let long = "x".repeat(101);
        for (name, value) in [
            ("SignatureVersion", "3"),
            ("TracingConfig", "Loud"),
            ("DisplayName", &long),
            ("DeliveryPolicy", "{"),
            ("SQSSuccessFeedbackSampleRate", "101"),
            ("ContentBasedDeduplication", "true"),
            ("FifoTopic", "true"),
            ("Colour", "red"),
        ] {
            assert!(set(&bench, name, value).is_err(), "{name}");
        }
    }

    #[test]
    fn a_feedback_role_must_trust_the_service() {
        let bench = Bench::with_topic();
        bench.with_role("good", "sns.amazonaws.com");
        bench.with_role("bad", "lambda.amazonaws.com");
        let set =
            |role: &str| set(&bench, "HTTPFailureFeedbackRoleArn", &format!("arn:aws:iam::000000000000:role/{role}"));
        assert!(set("good").is_ok());
        assert!(set("bad").is_err());
        assert!(set("none").is_err());
    }

    #[test]
    fn policies_name_principals_that_exist_and_actions_of_the_service() {
        let bench = Bench::with_topic();
        let policy = |principal: &str, action: &str| {
            let principal = serde_json::json!({ "AWS": principal });
            let statement =
                serde_json::json!({"Effect": "Allow", "Principal": principal, "Action": action, "Resource": TOPIC});
            set(&bench, "Policy", &serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string())
        };
        assert!(policy("*", "sns:Publish").is_ok());
        let told = policy("arn:aws:iam::000000000000:role/none", "sns:Publish").unwrap_err();
        assert_eq!(told, "Invalid parameter: Policy Error: PrincipalNotFound");
        assert!(policy("*", "sqs:SendMessage").unwrap_err().contains("out of service scope"));
        assert!(set(&bench, "Policy", "").is_err());
    }
}
