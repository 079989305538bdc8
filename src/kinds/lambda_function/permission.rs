//! Statements of a function's own policy: who else may use it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// Who: a service such as `sns.amazonaws.com`, an account, an ARN, or `*`.
    #[serde(deserialize_with = "principal")]
    pub principal: String,
    /// What, `lambda:InvokeFunction` unless set.
    #[serde(default = "invoke")]
    pub action: String,
    /// ARN, or pattern of ARNs, of what the service acts for.
    #[serde(default)]
    pub source_arn: Option<String>,
    /// Account of what the service acts for.
    #[serde(default)]
    pub source_account: Option<String>,
    /// Token of an Alexa skill.
    #[serde(default)]
    pub event_source_token: Option<String>,
    /// Organisation to which the principal must belong.
    #[serde(default)]
    pub principal_org_id: Option<String>,
    /// For `lambda:InvokeFunctionUrl`: the authentication of the URL, `NONE` or `AWS_IAM`.
    #[serde(default)]
    pub function_url_auth_type: Option<String>,
}

fn invoke() -> String {
    "lambda:InvokeFunction".to_owned()
}

fn principal<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    Ok(account_or_self(&String::deserialize(input)?))
}

/// AWS turns an account number into the ARN of its root; both mean the same.
fn account_or_self(text: &str) -> String {
    let account = text
        .strip_prefix("arn:")
        .and_then(|rest| rest.split_once(":iam::"))
        .and_then(|(_, rest)| rest.strip_suffix(":root"))
        .filter(|account| account.len() == 12 && account.bytes().all(|letter| letter.is_ascii_digit()));
    account.unwrap_or(text).to_owned()
}

/// Reads a function's policy. Statements without an id or of another shape than `AddPermission` makes are left out.
pub(super) fn of_policy(policy: &str) -> BTreeMap<String, Permission> {
    let document: Value = serde_json::from_str(policy).unwrap_or_default();
    let statements = document["Statement"].as_array().cloned().unwrap_or_default();
    let named = |statement: &Value| Some((statement["Sid"].as_str()?.to_owned(), of_statement(statement)?));
    statements.iter().filter_map(named).collect()
}

fn of_statement(statement: &Value) -> Option<Permission> {
    let conditions = conditions_of(&statement["Condition"]);
    let condition = |name: &str| conditions.get(name).cloned();
    Some(Permission {
        principal: account_or_self(&principal_of(&statement["Principal"])?),
        action: first_text(&statement["Action"])?,
        source_arn: condition("aws:sourcearn"),
        source_account: condition("aws:sourceaccount"),
        event_source_token: condition("lambda:eventsourcetoken"),
        principal_org_id: condition("aws:principalorgid"),
        function_url_auth_type: condition("lambda:functionurlauthtype"),
    })
}

fn principal_of(principal: &Value) -> Option<String> {
    match principal {
        Value::String(text) => Some(text.clone()),
        Value::Object(kinds) => kinds.values().find_map(first_text),
        _ => None,
    }
}

/// Lists conditions by key in lower case, whatever their operators are; keys do not care for case.
fn conditions_of(conditions: &Value) -> BTreeMap<String, String> {
    let operators = conditions.as_object().into_iter().flat_map(|operators| operators.values());
    let pairs = operators.filter_map(Value::as_object).flatten();
    pairs.filter_map(|(key, value)| Some((key.to_lowercase(), first_text(value)?))).collect()
}

fn first_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => items.first().and_then(first_text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn permission(value: Value) -> Permission {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn statements_read_back_as_they_were_made() {
        let policy = json!({"Version": "2012-10-17", "Id": "default", "Statement": [
            {
                "Sid": "topic", "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "lambda:InvokeFunction", "Resource": "arn:f",
                "Condition": {
                    "ArnLike": {"AWS:SourceArn": "arn:topic"},
                    "StringEquals": {"AWS:SourceAccount": "123456789012"},
                },
            },
            {
                "Sid": "other", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                "Action": "lambda:GetFunction", "Resource": "arn:f",
            },
        ]});
        let found = of_policy(&policy.to_string());
        let topic = json!({
            "principal": "sns.amazonaws.com", "source_arn": "arn:topic", "source_account": "123456789012",
        });
        assert_eq!(found["topic"], permission(topic));
        let other = json!({"principal": "123456789012", "action": "lambda:GetFunction"});
        assert_eq!(found["other"], permission(other.clone()));
        let by_arn = json!({"principal": "arn:aws:iam::123456789012:root", "action": "lambda:GetFunction"});
        assert_eq!(permission(by_arn), permission(other));
    }

    #[test]
    fn strange_policies_have_no_statements() {
        for text in ["", "[]", "{}", r#"{"Statement": [{"Sid": 1}, 2, {"Sid": "a", "Principal": []}]}"#] {
            assert!(of_policy(text).is_empty(), "{text}");
        }
    }
}
