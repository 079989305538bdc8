//! The grammar of policy documents: what IAM accepts as identity policy, trust policy and resource policy.
//!
//! Knows nothing of what a document allows; see `evaluate`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::local::{Fault, Tx};

use super::{condition, principal};

const STATEMENT_FIELDS: &[&str] =
    &["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

const PARTITIONS: &[&str] =
    &["aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc", "*"];

/// Returns the fault for a document that breaks a rule.
pub(super) fn malformed(text: impl Into<String>) -> Fault {
    Fault::new("MalformedPolicyDocument", text)
}

fn syntax() -> Fault {
    malformed("Syntax errors in policy.")
}

/// Returns the size that quotas count: characters without white space.
pub(super) fn size(text: &str) -> usize {
    text.chars().filter(|letter| !letter.is_whitespace()).count()
}

/// Returns the values of a member that may be one string or a list of strings.
pub(super) fn strings(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(one) => Some(vec![one]),
        Value::Array(all) => all.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// Returns the statements of a document, which may be one object or a list.
pub(super) fn statements(document: &Value) -> Vec<&Map<String, Value>> {
    match document.get("Statement") {
        Some(Value::Object(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_object).collect(),
        _ => Vec::new(),
    }
}

/// Checks a policy that is attached to an identity.
pub(super) fn check_identity(text: &str) -> Result<(), Fault> {
    let document = parse(text)?;
    if document.get("Version").and_then(Value::as_str) != Some("2012-10-17") {
        return Err(malformed("Policy document must be version 2012-10-17 or greater."));
    }
    for statement in statements(&document) {
        if statement.contains_key("Principal") || statement.contains_key("NotPrincipal") {
            return Err(malformed("Policy document should not specify a principal."));
        }
        check_actions(statement)?;
        check_resources(statement)?;
    }
    check_sids(&document)
}

/// Checks the trust policy of a role; principals of this account must exist.
pub(super) fn check_trust(tx: &Tx<'_>, account: &str, text: &str) -> Result<(), Fault> {
    let document = parse(text)?;
    for statement in statements(&document) {
        for field in ["Resource", "NotResource"] {
            if statement.contains_key(field) {
                return Err(malformed(format!("Has prohibited field {field}")));
            }
        }
        check_actions(statement)?;
        for action in statement.get("Action").and_then(strings).unwrap_or_default() {
            if !action.to_ascii_lowercase().starts_with("sts:") {
                return Err(malformed("AssumeRole policy may only specify STS AssumeRole actions."));
            }
        }
        check_principals(tx, account, statement)?;
    }
    check_sids(&document)
}

/// Checks a policy that is attached to a resource; principals of this account must exist.
pub(super) fn check_resource(tx: &Tx<'_>, account: &str, text: &str) -> Result<(), Fault> {
    let document = parse(text)?;
    for statement in statements(&document) {
        check_actions(statement)?;
        check_principals(tx, account, statement)?;
    }
    // Services name statements as they like: SNS's own default is `__default_statement_ID` (facts/aws.md 10a.2).
    check_sids_differ(&document)
}

fn check_principals(tx: &Tx<'_>, account: &str, statement: &Map<String, Value>) -> Result<(), Fault> {
    match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(_), Some(_)) => Err(syntax()),
        (Some(named), None) | (None, Some(named)) => principal::check(tx, account, named),
        (None, None) => Err(malformed("Missing required field Principal")),
    }
}

fn parse(text: &str) -> Result<Value, Fault> {
    let document: Value = serde_json::from_str(text).map_err(|_| syntax())?;
    let Value::Object(fields) = &document else { return Err(syntax()) };
    if fields.keys().any(|name| !["Version", "Id", "Statement"].contains(&name.as_str())) {
        return Err(syntax());
    }
    match fields.get("Version") {
        None => {}
        Some(Value::String(version)) if version == "2012-10-17" || version == "2008-10-17" => {}
        Some(_) => return Err(syntax()),
    }
    if fields.get("Id").is_some_and(|id| !id.is_string()) {
        return Err(syntax());
    }
    let all = match fields.get("Statement") {
        Some(Value::Object(_)) => 1,
        Some(Value::Array(all)) if all.iter().all(Value::is_object) => all.len(),
        None => return Err(malformed("Missing required field Statement")),
        Some(_) => return Err(syntax()),
    };
    if all == 0 {
        return Err(syntax());
    }
    statements(&document).into_iter().try_for_each(check_statement)?;
    Ok(document)
}

fn check_statement(statement: &Map<String, Value>) -> Result<(), Fault> {
    if statement.keys().any(|name| !STATEMENT_FIELDS.contains(&name.as_str())) {
        return Err(syntax());
    }
    match statement.get("Effect") {
        Some(Value::String(effect)) if effect == "Allow" || effect == "Deny" => {}
        None => return Err(malformed("Missing required field Effect")),
        Some(Value::String(effect)) => return Err(malformed(format!("Invalid effect: {effect}"))),
        Some(_) => return Err(syntax()),
    }
    for field in ["Action", "NotAction", "Resource", "NotResource"] {
        if statement.get(field).is_some_and(|value| strings(value).is_none()) {
            return Err(syntax());
        }
    }
    for (one, other) in [("Action", "NotAction"), ("Resource", "NotResource")] {
        if statement.contains_key(one) && statement.contains_key(other) {
            return Err(syntax());
        }
    }
    statement.get("Condition").map_or(Ok(()), condition::check)
}

fn check_sids(document: &Value) -> Result<(), Fault> {
    for sid in statements(document).into_iter().filter_map(|statement| statement.get("Sid")?.as_str()) {
        if !sid.chars().all(|letter| letter.is_ascii_alphanumeric()) {
            let text = "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular \
                        expression [0-9A-Za-z]*";
            return Err(malformed(text));
        }
    }
    check_sids_differ(document)
}

fn check_sids_differ(document: &Value) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for sid in statements(document).into_iter().filter_map(|statement| statement.get("Sid")) {
        let Some(sid) = sid.as_str() else { return Err(syntax()) };
        if !sid.is_empty() && !seen.insert(sid) {
            return Err(malformed("Statement IDs (SID) in a single policy must be unique."));
        }
    }
    Ok(())
}

fn check_actions(statement: &Map<String, Value>) -> Result<(), Fault> {
    let named = statement.get("Action").or_else(|| statement.get("NotAction")).and_then(strings);
    let named = named.ok_or_else(|| malformed("Missing required field Action"))?;
    if named.is_empty() {
        return Err(malformed("Policy statement must contain actions."));
    }
    named.into_iter().try_for_each(check_action)
}

fn check_action(action: &str) -> Result<(), Fault> {
    if action == "*" {
        return Ok(());
    }
    let Some((vendor, name)) = action.split_once(':') else {
        let text = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
        return Err(malformed(text));
    };
    if name.contains(':') {
        return Err(malformed("Actions/Condition can contain only one colon."));
    }
    if vendor.is_empty() || !vendor.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-') {
        return Err(malformed(format!("Vendor {vendor} is not valid")));
    }
    if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_alphanumeric() || "*?_-".contains(letter)) {
        return Err(malformed(format!("Invalid Action: {action}")));
    }
    Ok(())
}

fn check_resources(statement: &Map<String, Value>) -> Result<(), Fault> {
    let named = statement.get("Resource").or_else(|| statement.get("NotResource")).and_then(strings);
    let named = named.unwrap_or_default();
    if named.is_empty() {
        return Err(malformed("Policy statement must contain resources."));
    }
    named.into_iter().try_for_each(check_resource_name)
}

fn check_resource_name(resource: &str) -> Result<(), Fault> {
    if resource == "*" {
        return Ok(());
    }
    let parts: Vec<_> = resource.splitn(6, ':').collect();
    let ["arn", partition, rest @ ..] = parts.as_slice() else {
        return Err(malformed(format!("Resource {resource} must be in ARN format or \"*\".")));
    };
    if !PARTITIONS.contains(partition) {
        return Err(malformed(format!("Partition \"{partition}\" is not valid for resource \"{resource}\".")));
    }
    match rest {
        [vendor, ..] if vendor.contains(['*', '?']) => {
            Err(malformed("Resource vendor must be fully qualified and cannot contain regexes."))
        }
        ["iam", region, ..] if !region.is_empty() && *region != "*" => {
            Err(malformed(format!("IAM resource {resource} cannot contain region information.")))
        }
        [_, _, _, path] if !path.is_empty() => Ok(()),
        [_, .., last] if last.ends_with('*') => Ok(()),
        _ => Err(malformed(format!("Resource {resource} must be in ARN format or \"*\"."))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, GRANT, TRUST};
    use super::*;

    fn identity(text: &str) -> Result<(), String> {
        check_identity(text).map_err(|fault| {
            assert_eq!(fault.code, "MalformedPolicyDocument");
            fault.message
        })
    }

    fn trust(text: &str) -> Result<(), String> {
        Bench::new().read(|tx| Ok(check_trust(tx, "000000000000", text).map_err(|fault| fault.message)))
    }

    fn with_statement(fields: &str) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":[{{{fields}}}]}}"#)
    }

    #[test]
    fn good_identity_policies_pass() {
        assert_eq!(identity(GRANT), Ok(()));
        let several = r#""Sid":"a1","Effect":"Deny","NotAction":["s3:Get*","iam:*"],"NotResource":["arn:aws:s3:::b/*","arn:aws:iam::*:role/x"]"#;
        assert_eq!(identity(&with_statement(several)), Ok(()));
        let condition =
            r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:SourceAccount":"1"}}"#;
        assert_eq!(identity(&with_statement(condition)), Ok(()));
    }

    #[test]
    fn broken_shapes_are_syntax_errors() {
        let syntax = Err("Syntax errors in policy.".to_owned());
        for text in [
            "{nope",
            "[]",
            r#"{"Version":"2012-10-17","Statement":[]}"#,
            r#"{"Version":"2012-10-17","Statement":["x"]}"#,
            r#"{"Version":"2015-01-01","Statement":[{}]}"#,
            r#"{"Version":"2012-10-17","Extra":1,"Statement":[]}"#,
        ] {
            assert_eq!(identity(text), syntax, "{text}");
        }
        for fields in [
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Actoin":"x""#,
            r#""Effect":"Allow","Action":"s3:*","NotAction":"s3:*","Resource":"*""#,
            r#""Effect":"Allow","Action":{"s3":"*"},"Resource":"*""#,
            r#""Effect":"Allow","Action":"s3:*","Resource":7"#,
        ] {
            assert_eq!(identity(&with_statement(fields)), syntax, "{fields}");
        }
    }

    #[test]
    fn broken_rules_are_named() {
        let cases = [
            (r#""Action":"s3:*","Resource":"*""#, "Missing required field Effect"),
            (r#""Effect":"allow","Action":"s3:*","Resource":"*""#, "Invalid effect: allow"),
            (r#""Effect":"Allow","Resource":"*""#, "Missing required field Action"),
            (r#""Effect":"Allow","Action":[],"Resource":"*""#, "Policy statement must contain actions."),
            (r#""Effect":"Allow","Action":"s3:*""#, "Policy statement must contain resources."),
            (r#""Effect":"Allow","Action":"s3*","Resource":"*""#, "Actions/Conditions must be prefaced by a vendor"),
            (r#""Effect":"Allow","Action":"a:b:c","Resource":"*""#, "Actions/Condition can contain only one colon."),
            (r#""Effect":"Allow","Action":"s*:Get","Resource":"*""#, "Vendor s* is not valid"),
            (r#""Effect":"Allow","Action":"s3:","Resource":"*""#, "Invalid Action: s3:"),
            (r#""Effect":"Allow","Action":"s3:*","Resource":"bucket""#, "Resource bucket must be in ARN format"),
            (r#""Effect":"Allow","Action":"s3:*","Resource":"arn:oops:s3:::b""#, "Partition \"oops\" is not valid"),
            (r#""Effect":"Allow","Action":"s3:*","Resource":"arn:aws:*:::b""#, "Resource vendor must be fully"),
            (r#""Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:b""#, "must be in ARN format"),
            (
                r#""Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam:eu-west-1:1:role/r""#,
                "cannot contain region",
            ),
            (r#""Sid":"a b","Effect":"Allow","Action":"s3:*","Resource":"*""#, "must be alpha-numeric"),
            (r#""Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*""#, "should not specify a principal"),
        ];
        for (fields, wanted) in cases {
            let told = identity(&with_statement(fields)).unwrap_err();
            assert!(told.contains(wanted), "{fields}: {told}");
        }
        let old = GRANT.replace("2012-10-17", "2008-10-17");
        assert!(identity(&old).unwrap_err().contains("2012-10-17 or greater"));
    }

    #[test]
    fn statement_ids_are_unique() {
        let one = r#"{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{one},{one}]}}"#);
        assert!(identity(&text).unwrap_err().contains("must be unique"));
    }

    #[test]
    fn trust_policies_have_principals_and_no_resources() {
        assert_eq!(trust(TRUST), Ok(()));
        assert_eq!(trust(&TRUST.replace("2012-10-17", "2008-10-17")), Ok(()));
        let cases = [
            (r#""Effect":"Allow","Action":"sts:AssumeRole""#, "Missing required field Principal"),
            (
                r#""Effect":"Allow","Action":"sts:AssumeRole","Principal":"*","Resource":"*""#,
                "Has prohibited field Resource",
            ),
            (r#""Effect":"Allow","Action":"s3:GetObject","Principal":"*""#, "may only specify STS AssumeRole actions"),
            (r#""Effect":"Allow","Action":"*","Principal":"*""#, "may only specify STS AssumeRole actions"),
        ];
        for (fields, wanted) in cases {
            let told = trust(&with_statement(fields)).unwrap_err();
            assert!(told.contains(wanted), "{fields}: {told}");
        }
    }

    #[test]
    fn white_space_does_not_count() {
        assert_eq!(size(" { \n\t}\r\n"), 2);
    }
}
