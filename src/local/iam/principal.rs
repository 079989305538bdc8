//! Principals in trust policies and resource policies: their forms, whether they exist, whom they let in.

use serde_json::{Map, Value};

use crate::local::{Fault, Tx};

use super::document::{malformed, statements, strings};
use super::evaluate::matches;
use super::role;

/// Checks the value of a `Principal` member. A role or user of this account must exist (`facts/aws.md` 4.3);
/// those of other accounts cannot be looked up here and pass by their form.
pub(super) fn check(tx: &Tx<'_>, account: &str, value: &Value) -> Result<(), Fault> {
    let kinds = match value {
        Value::String(all) if all == "*" => return Ok(()),
        Value::String(other) => return Err(invalid("STAR", other)),
        Value::Object(kinds) if !kinds.is_empty() => kinds,
        _ => return Err(malformed("Syntax errors in policy.")),
    };
    for (kind, named) in kinds {
        let named = strings(named).filter(|named| !named.is_empty());
        for name in named.ok_or_else(|| malformed("Syntax errors in policy."))? {
            if !is_valid(tx, account, kind, name)? {
                return Err(invalid(kind, name));
            }
        }
    }
    Ok(())
}

fn invalid(kind: &str, name: &str) -> Fault {
    let kind = if kind == "Service" { "SERVICE" } else { kind };
    malformed(format!("Invalid principal in policy: \"{kind}\":\"{name}\""))
}

fn is_valid(tx: &Tx<'_>, account: &str, kind: &str, name: &str) -> Result<bool, Fault> {
    match kind {
        "AWS" => is_identity(tx, account, name),
        "Service" => Ok(is_service(name)),
        "Federated" => Ok(is_provider(name)),
        "CanonicalUser" => Ok(name.len() == 64 && name.chars().all(|letter| letter.is_ascii_hexdigit())),
        _ => Err(malformed(format!("Invalid principal type: {kind}"))),
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit())
}

fn is_service(name: &str) -> bool {
    let host = name.strip_suffix(".cn").unwrap_or(name);
    host.strip_suffix(".amazonaws.com").is_some_and(|service| {
        !service.is_empty()
            && !service.starts_with('.')
            && service
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-.".contains(letter))
    })
}

fn is_provider(name: &str) -> bool {
    let known = name.starts_with("arn:") && (name.contains(":saml-provider/") || name.contains(":oidc-provider/"));
    let host = |letter: char| letter.is_ascii_alphanumeric() || "-.".contains(letter);
    known || (name.contains('.') && name.chars().all(host))
}

fn is_identity(tx: &Tx<'_>, account: &str, name: &str) -> Result<bool, Fault> {
    if name == "*" || is_account(name) {
        return Ok(true);
    }
    let parts: Vec<_> = name.splitn(6, ':').collect();
    let ["arn", _, service, "", owner, resource] = parts.as_slice() else {
        return exists_by_id(tx, name);
    };
    if !is_account(owner) || name.contains(['*', '?']) {
        return Ok(false);
    }
    match (*service, resource.split_once('/')) {
        ("iam", None) => Ok(*resource == "root"),
        ("iam", Some(("role", _))) if *owner == account => Ok(role::by_arn(tx, name)?.is_some()),
        ("iam", Some(("role" | "user", tail))) => Ok(*owner != account && !tail.is_empty()),
        ("sts", Some(("assumed-role", tail))) if *owner == account => {
            let name = tail.split_once('/').map_or("", |(role, _)| role);
            tx.has(role::ROLES, name)
        }
        ("sts", Some(("assumed-role" | "federated-user", tail))) => Ok(!tail.is_empty()),
        _ => Ok(false),
    }
}

/// Tells whether the text is the unique id of a role that exists, as a document that was read back may say.
fn exists_by_id(tx: &Tx<'_>, id: &str) -> Result<bool, Fault> {
    Ok(id.starts_with("AROA") && role::all(tx)?.iter().any(|(_, role)| role.id == id))
}

/// Tells whether a trust policy lets a service assume the role.
///
/// Conditions count as met: they narrow which of the service's resources may assume it, and at this
/// point the resource does not exist yet.
pub(super) fn trusts_service(trust: &str, service: &str) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(trust) else { return false };
    let concerned = |effect: &str| {
        statements(&document).into_iter().any(|statement| {
            statement.get("Effect").and_then(Value::as_str) == Some(effect)
                && (effect == "Allow" || !statement.contains_key("Condition"))
                && assumes(statement)
                && names_service(statement, service)
        })
    };
    concerned("Allow") && !concerned("Deny")
}

fn assumes(statement: &Map<String, Value>) -> bool {
    let actions = statement.get("Action").and_then(strings).unwrap_or_default();
    actions.iter().any(|action| matches(&action.to_ascii_lowercase(), "sts:assumerole"))
}

fn names_service(statement: &Map<String, Value>, service: &str) -> bool {
    match statement.get("Principal") {
        Some(Value::String(all)) => all == "*",
        Some(Value::Object(kinds)) => kinds.get("Service").and_then(strings).unwrap_or_default().contains(&service),
        _ => false,
    }
}

/// Replaces a principal in the text of a document, and only as a whole string.
pub(super) fn replaced(text: &str, old: &str, new: &str) -> String {
    text.replace(&format!("\"{old}\""), &format!("\"{new}\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Bench, TRUST};
    use super::*;

    fn told(bench: &Bench, value: &Value) -> Option<String> {
        bench.read(|tx| Ok(check(tx, "000000000000", value).err().map(|fault| fault.message)))
    }

    #[test]
    fn known_forms_pass() {
        let bench = Bench::new();
        for value in [
            json!("*"),
            json!({"AWS": "*"}),
            json!({"AWS": ["123456789012", "arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:role/any/r"]}),
            json!({"Service": ["lambda.amazonaws.com", "logs.eu-west-1.amazonaws.com", "ec2.amazonaws.com.cn"]}),
            json!({"Federated": ["cognito-identity.amazonaws.com", "arn:aws:iam::123456789012:oidc-provider/x.io"]}),
        ] {
            assert_eq!(told(&bench, &value), None, "{value}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let bench = Bench::new();
        for value in [
            json!("everyone"),
            json!({"AWS": "12345"}),
            json!({"AWS": "arn:aws:iam::123456789012:role/*"}),
            json!({"AWS": "arn:aws:iam::000000000000:user/nobody"}),
            json!({"AWS": "AROAAAAAAAAAAAAAAAAAA"}),
            json!({"Service": "lambda"}),
            json!({"Service": "lambda.amazon.com"}),
            json!({"Federated": "nobody"}),
        ] {
            let told = told(&bench, &value).unwrap_or_default();
            assert!(told.starts_with("Invalid principal in policy: "), "{value}: {told}");
        }
        assert!(told(&bench, &json!({"Robot": "x"})).is_some());
        assert!(told(&bench, &json!({})).is_some());
        assert!(told(&bench, &json!({"AWS": []})).is_some());
    }

    #[test]
    fn a_role_of_this_account_must_exist() {
        let bench = Bench::new();
        let role = json!({"AWS": "arn:aws:iam::000000000000:role/x/r"});
        assert!(told(&bench, &role).is_some());
        bench.ok("CreateRole", &[("RoleName", "r"), ("Path", "/x/"), ("AssumeRolePolicyDocument", TRUST)]);
        assert_eq!(told(&bench, &role), None);
        let session = json!({"AWS": "arn:aws:sts::000000000000:assumed-role/r/session"});
        assert_eq!(told(&bench, &session), None);
        assert!(told(&bench, &json!({"AWS": "arn:aws:iam::000000000000:role/r"})).is_some(), "the path is missing");
    }

    #[test]
    fn a_deny_outweighs_an_allow() {
        assert!(trusts_service(TRUST, "lambda.amazonaws.com"));
        let deny = TRUST.replace("[{", r#"[{"Effect":"Deny","Principal":"*","Action":"sts:*"},{"#);
        assert!(!trusts_service(&deny, "lambda.amazonaws.com"));
        assert!(!trusts_service(&TRUST.replace("AssumeRole", "TagSession"), "lambda.amazonaws.com"));
        assert!(!trusts_service("{", "lambda.amazonaws.com"));
    }

    #[test]
    fn principals_are_replaced_as_whole_strings() {
        assert_eq!(replaced(r#"["a/r","a/r2"]"#, "a/r", "ID"), r#"["ID","a/r2"]"#);
    }
}
