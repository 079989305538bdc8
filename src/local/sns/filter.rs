//! Attributes of subscriptions: which there are, their values, and which messages a filter lets through.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::local::{Fault, Tx, iam, pattern};

use super::{endpoint, invalid};

/// Keys that one filter policy may have.
const MOST_KEYS: usize = 5;

/// Checks one attribute of a subscription and returns the value to keep; none removes the attribute.
pub(super) fn check(tx: &Tx<'_>, protocol: &str, name: &str, value: Option<&str>) -> Result<Option<String>, Fault> {
    let text = value.unwrap_or_default();
    let kept = || Some(text.to_owned());
    match name {
        "RawMessageDelivery" => raw(protocol, text).map(Some),
        "FilterPolicyScope" if ["MessageAttributes", "MessageBody"].contains(&text) => Ok(kept()),
        "FilterPolicyScope" => Err(invalid(format!(
            "FilterPolicyScope: Invalid value [{text}]. Please use either MessageBody or MessageAttributes"
        ))),
        "FilterPolicy" => policy(text).map(|policy| (!policy.is_empty()).then(|| text.to_owned())),
        "RedrivePolicy" => value.map_or(Ok(None), |text| redrive(text).map(|()| kept())),
        "DeliveryPolicy" | "ReplayPolicy" if text.is_empty() => Ok(None),
        "DeliveryPolicy" if !protocol.starts_with("http") => {
            Err(invalid(format!("Delivery protocol [{protocol}] does not support delivery policies.")))
        }
        "DeliveryPolicy" => object("DeliveryPolicy", text).map(|_| kept()),
        // Messages are replayed from the archive of a FIFO topic, which delivers to queues alone.
        "ReplayPolicy" if protocol == "sqs" => object("ReplayPolicy", text).map(|_| kept()),
        "SubscriptionRoleArn" if protocol == "firehose" => role(tx, text).map(|()| kept()),
        _ => Err(invalid("AttributeName")),
    }
}

fn raw(protocol: &str, value: &str) -> Result<String, Fault> {
    let small = value.to_ascii_lowercase();
    if small != "true" && small != "false" {
        return Err(invalid(format!("RawMessageDelivery: Invalid value [{value}]. Must be true or false.")));
    }
    if small == "true" && !["sqs", "http", "https", "firehose"].contains(&protocol) {
        return Err(invalid(format!("Delivery protocol [{protocol}] does not support raw message delivery.")));
    }
    Ok(small)
}

fn object(name: &str, text: &str) -> Result<Map<String, Value>, Fault> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(invalid(format!("{name}: failed to parse JSON."))),
    }
}

fn redrive(text: &str) -> Result<(), Fault> {
    let policy = object("RedrivePolicy", text)?;
    match policy.get("deadLetterTargetArn").and_then(Value::as_str) {
        Some(arn) if endpoint::is_queue(arn) => Ok(()),
        _ => Err(invalid("RedrivePolicy: deadLetterTargetArn is an invalid arn")),
    }
}

fn role(tx: &Tx<'_>, arn: &str) -> Result<(), Fault> {
    if iam::role_trusts(tx, arn, "sns.amazonaws.com")? {
        return Ok(());
    }
    Err(invalid(format!("SubscriptionRoleArn: the role {arn} cannot be assumed by sns.amazonaws.com")))
}

fn policy(text: &str) -> Result<Map<String, Value>, Fault> {
    let policy = object("FilterPolicy", text)?;
    if policy.len() > MOST_KEYS {
        let text = format!("Filter policy can not have more than {MOST_KEYS} keys");
        return Err(invalid(format!("FilterPolicy: {text}")));
    }
    policy.iter().try_for_each(|(key, rule)| check_rule(key, rule))?;
    Ok(policy)
}

fn check_rule(key: &str, rule: &Value) -> Result<(), Fault> {
    match rule {
        Value::Object(nested) if !nested.is_empty() => nested.iter().try_for_each(|(key, rule)| check_rule(key, rule)),
        Value::Array(matches) if !matches.is_empty() => matches.iter().try_for_each(|one| check_match(key, one)),
        Value::Object(_) | Value::Array(_) => {
            Err(invalid(format!("FilterPolicy: Empty arrays are not allowed at \"{key}\"")))
        }
        _ => Err(invalid(format!("FilterPolicy: \"{key}\" must be an object or an array"))),
    }
}

fn check_match(key: &str, one: &Value) -> Result<(), Fault> {
    let known = ["prefix", "suffix", "anything-but", "numeric", "exists", "equals-ignore-case", "wildcard", "cidr"];
    match one {
        Value::Array(_) => {
            Err(invalid(format!("FilterPolicy: Match value must be String, number, true, false, or null at \"{key}\"")))
        }
        Value::Object(rule) if rule.len() != 1 => {
            Err(invalid("FilterPolicy: Only one key allowed in match expression"))
        }
        Value::Object(rule) => match rule.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(invalid(format!("FilterPolicy: Unrecognized match type {name}"))),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Checks that a filter without nesting is used on message attributes.
pub(super) fn check_together(attributes: &BTreeMap<String, String>) -> Result<(), Fault> {
    let Some(text) = attributes.get("FilterPolicy") else { return Ok(()) };
    let body = attributes.get("FilterPolicyScope").is_some_and(|scope| scope == "MessageBody");
    if !body && object("FilterPolicy", text)?.values().any(Value::is_object) {
        let text = "Filter policy scope MessageAttributes does not support nested filter policy";
        return Err(invalid(format!("FilterPolicy: {text}")));
    }
    Ok(())
}

/// Tells whether a subscription's filter lets a message through.
///
/// `attributes` are the message's attributes as JSON values.
pub(super) fn passes(kept: &BTreeMap<String, String>, message: &str, attributes: &Map<String, Value>) -> bool {
    let Some(Ok(Value::Object(policy))) = kept.get("FilterPolicy").map(|text| serde_json::from_str(text)) else {
        return true;
    };
    if kept.get("FilterPolicyScope").is_some_and(|scope| scope == "MessageBody") {
        return matches!(serde_json::from_str::<Value>(message), Ok(body) if body.is_object() && pattern::fits(&policy, Some(&body)));
    }
    pattern::fits(&policy, Some(&Value::Object(attributes.clone())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::Bench;
    use super::*;

    fn checked(protocol: &str, name: &str, value: Option<&str>) -> Result<Option<String>, String> {
        Bench::new().read(|tx| Ok(check(tx, protocol, name, value).map_err(|fault| fault.message)))
    }

    #[test]
    fn filters_are_objects_of_lists() {
        let filter = |value: &str| checked("sqs", "FilterPolicy", Some(value)).is_ok();
        assert!(filter(r#"{"gate":["Aeroflot",{"prefix":"S"}],"cost":[{"numeric":[">",0,"<=",5000]}]}"#));
        assert!(filter(r#"{"a":{"b":["c"]}}"#));
        for wrong in ["", "[]", r#"{"a":"b"}"#, r#"{"a":[]}"#, r#"{"a":[["b"]]}"#, r#"{"a":[{"like":"b"}]}"#] {
            assert!(!filter(wrong), "{wrong}");
        }
        assert!(!filter(r#"{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]}"#));
        assert_eq!(checked("sqs", "FilterPolicy", Some("{}")), Ok(None), "this removes the filter");
    }

    #[test]
    fn attributes_depend_on_the_protocol() {
        assert!(checked("sqs", "RawMessageDelivery", Some("true")).is_ok());
        assert!(checked("sms", "RawMessageDelivery", Some("true")).unwrap_err().contains("[sms]"));
        assert!(checked("https", "DeliveryPolicy", Some("{}")).is_ok());
        assert!(checked("sqs", "DeliveryPolicy", Some("{}")).is_err());
        assert!(checked("sqs", "SubscriptionRoleArn", Some("x")).is_err());
        assert!(checked("sqs", "Colour", Some("red")).is_err());
        assert!(checked("sqs", "FilterPolicyScope", Some("All")).is_err());
    }

    #[test]
    fn a_redrive_policy_names_a_queue_and_is_removed_by_no_value() {
        let redrive = |value| checked("sqs", "RedrivePolicy", value);
        assert!(redrive(Some(r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:q"}"#)).is_ok());
        assert!(redrive(Some(r#"{"deadLetterTargetArn":"q"}"#)).is_err());
        assert!(redrive(Some("")).is_err());
        assert_eq!(redrive(None), Ok(None));
    }

    fn passed(policy: &Value, attributes: &Value) -> bool {
        let kept = BTreeMap::from([("FilterPolicy".to_owned(), policy.to_string())]);
        passes(&kept, "", attributes.as_object().unwrap())
    }

    #[test]
    fn filters_choose_messages() {
        let policy = json!({"gate": ["Aeroflot", {"prefix": "S"}], "cost": [{"numeric": [">=", 10, "<", 5000]}]});
        assert!(passed(&policy, &json!({"gate": "Aeroflot", "cost": 10})));
        assert!(passed(&policy, &json!({"gate": "S7", "cost": 4999.5})));
        assert!(!passed(&policy, &json!({"gate": "Aeroflot", "cost": 5000})));
        assert!(!passed(&policy, &json!({"gate": "Aeroflot"})));
        assert!(passed(&json!({"a": [{"exists": false}]}), &json!({})));
        assert!(passed(&json!({"a": [{"anything-but": ["x"]}]}), &json!({"a": "y"})));
        assert!(!passed(&json!({"a": [{"anything-but": ["x"]}]}), &json!({"a": "x"})));
        assert!(passed(&json!({"a": ["x"]}), &json!({"a": ["w", "x"]})));
    }

    #[test]
    fn a_filter_can_look_into_the_message() {
        let kept = BTreeMap::from([
            ("FilterPolicy".to_owned(), r#"{"a":{"b":[1]}}"#.to_owned()),
            ("FilterPolicyScope".to_owned(), "MessageBody".to_owned()),
        ]);
        assert!(passes(&kept, r#"{"a":{"b":1.0}}"#, &Map::new()));
        assert!(!passes(&kept, r#"{"a":{"b":2}}"#, &Map::new()));
        assert!(!passes(&kept, "text", &Map::new()));
    }
}
