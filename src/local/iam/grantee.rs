//! Whom a document with principals lets in: trust policies of roles, policies of topics and functions.
//!
//! Knows neither the store nor calls; what the asker's own policies say is for the caller to add.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::condition::{self, Context};
use super::document::{statements, strings};
use super::evaluate;

/// Who asks to be let in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker<'a> {
    /// The account itself, by its number.
    Account(&'a str),
    /// A session of a role, by the ARNs of both.
    Role { arn: &'a str, session: &'a str },
    /// A service, such as `sns.amazonaws.com`.
    Service(&'a str),
}

/// What a document says to an asker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Nothing.
    Silent,
    /// It lets the asker's account decide: the asker's own policies must allow it as well.
    ByAccount,
    /// It lets in the asker itself.
    ByName,
    /// It forbids it.
    Denied,
}

/// Reads what a document says to an asker; trust policies have no resource.
pub(super) fn standing(
    document: &Value,
    asker: Asker<'_>,
    action: &str,
    resource: Option<&str>,
    context: &Context,
) -> Standing {
    let mut context = context.clone();
    context.extend(asker_context(asker));
    let mut most = Standing::Silent;
    for statement in statements(document) {
        let concerned = resource.map_or_else(
            || evaluate::acts(statement, action),
            |resource| evaluate::concerns(statement, action, resource),
        );
        let named = named(statement, asker);
        if named == Standing::Silent || !concerned || !condition::holds(statement, &context, &mut BTreeSet::new()) {
            continue;
        }
        let forbids = statement.get("Effect").and_then(Value::as_str) == Some("Deny");
        most = most.max(if forbids { Standing::Denied } else { named });
    }
    most
}

/// Returns the condition keys that tell who asks.
pub(crate) fn asker_context(asker: Asker<'_>) -> Context {
    let known = match asker {
        Asker::Account(account) => {
            vec![("aws:principalarn", root(account)), ("aws:principalaccount", account.to_owned())]
        }
        Asker::Role { arn, .. } => {
            vec![("aws:principalarn", arn.to_owned()), ("aws:principalaccount", account_of(arn).to_owned())]
        }
        Asker::Service(name) => vec![("aws:principalservicename", name.to_owned())],
    };
    known.into_iter().map(|(key, value)| (key.to_owned(), vec![value])).collect()
}

fn root(account: &str) -> String {
    format!("arn:aws:iam::{account}:root")
}

/// Returns the account number in an ARN; empty when it has none.
pub(crate) fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

fn named(statement: &Map<String, Value>, asker: Asker<'_>) -> Standing {
    match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(principal), _) => among(principal, asker),
        (None, Some(principal)) if among(principal, asker) == Standing::Silent => Standing::ByName,
        _ => Standing::Silent,
    }
}

fn among(principal: &Value, asker: Asker<'_>) -> Standing {
    let kinds = match principal {
        Value::String(all) if all == "*" => return Standing::ByName,
        Value::Object(kinds) => kinds,
        _ => return Standing::Silent,
    };
    let names = |kind: &str| kinds.get(kind).and_then(strings).unwrap_or_default();
    match asker {
        Asker::Service(name) if names("Service").contains(&name) => Standing::ByName,
        Asker::Service(_) => Standing::Silent,
        Asker::Account(account) => {
            let fits = |name: &str| name == "*" || name == account || name == root(account);
            if names("AWS").into_iter().any(fits) { Standing::ByName } else { Standing::Silent }
        }
        Asker::Role { arn, session } => {
            let names = names("AWS");
            let account = account_of(arn);
            if names.iter().any(|name| ["*", arn, session].contains(name)) {
                Standing::ByName
            } else if names.iter().any(|name| *name == account || *name == root(account)) {
                Standing::ByAccount
            } else {
                Standing::Silent
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROLE: Asker<'_> = Asker::Role {
        arn: "arn:aws:iam::111111111111:role/x/r",
        session: "arn:aws:sts::111111111111:assumed-role/r/s",
    };

    fn said(statements: &Value, asker: Asker<'_>) -> Standing {
        let document = json!({ "Version": "2012-10-17", "Statement": statements });
        standing(&document, asker, "sts:AssumeRole", None, &Context::new())
    }

    fn to(principal: &Value) -> Value {
        json!({ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal })
    }

    #[test]
    fn principals_let_in_whom_they_name() {
        let root = json!({ "AWS": "arn:aws:iam::111111111111:root" });
        let other = json!({ "AWS": ["arn:aws:iam::222222222222:root", "222222222222"] });
        let cases = [
            (json!("*"), ROLE, Standing::ByName),
            (json!({ "AWS": "*" }), ROLE, Standing::ByName),
            (json!({ "AWS": ["x", "arn:aws:iam::111111111111:role/x/r"] }), ROLE, Standing::ByName),
            (json!({ "AWS": "arn:aws:sts::111111111111:assumed-role/r/s" }), ROLE, Standing::ByName),
            (json!({ "AWS": "arn:aws:iam::111111111111:role/r" }), ROLE, Standing::Silent),
            (root.clone(), ROLE, Standing::ByAccount),
            (json!({ "AWS": "111111111111" }), ROLE, Standing::ByAccount),
            (other.clone(), ROLE, Standing::Silent),
            (root.clone(), Asker::Account("111111111111"), Standing::ByName),
            (other, Asker::Account("111111111111"), Standing::Silent),
            (json!({ "Service": "sns.amazonaws.com" }), Asker::Service("sns.amazonaws.com"), Standing::ByName),
            (json!({ "Service": "sns.amazonaws.com" }), Asker::Service("ec2.amazonaws.com"), Standing::Silent),
            (json!({ "Service": "sns.amazonaws.com" }), ROLE, Standing::Silent),
            (root, Asker::Service("sns.amazonaws.com"), Standing::Silent),
        ];
        for (principal, asker, wanted) in cases {
            assert_eq!(said(&to(&principal), asker), wanted, "{principal} {asker:?}");
        }
    }

    #[test]
    fn a_deny_outweighs_every_allow() {
        let deny = json!({ "Effect": "Deny", "Action": "sts:*", "NotPrincipal": { "AWS": "222222222222" } });
        assert_eq!(said(&json!([to(&json!("*")), deny]), ROLE), Standing::Denied);
        assert_eq!(said(&json!([to(&json!("*"))]), ROLE), Standing::ByName);
    }

    #[test]
    fn conditions_see_who_asks_and_what_came_along() {
        let mut statement = to(&json!("*"));
        statement["Condition"] =
            json!({ "StringEquals": { "aws:PrincipalAccount": "111111111111", "sts:ExternalId": "e" } });
        assert_eq!(said(&statement, ROLE), Standing::Silent, "the external id is missing");
        let document = json!({ "Statement": statement });
        let context = Context::from([("sts:externalid".to_owned(), vec!["e".to_owned()])]);
        let with = |asker| standing(&document, asker, "sts:AssumeRole", None, &context);
        assert_eq!(with(ROLE), Standing::ByName);
        assert_eq!(with(Asker::Account("222222222222")), Standing::Silent);
    }

    #[test]
    fn resources_and_actions_narrow_a_statement() {
        let statement = json!({ "Effect": "Allow", "Action": "SNS:Publish", "Principal": "*", "Resource": "arn:t" });
        let document = json!({ "Statement": [statement] });
        let on = |action: &str, resource: &str| standing(&document, ROLE, action, Some(resource), &Context::new());
        assert_eq!(on("sns:Publish", "arn:t"), Standing::ByName);
        assert_eq!(on("sns:Publish", "arn:u"), Standing::Silent);
        assert_eq!(on("sns:Subscribe", "arn:t"), Standing::Silent);
    }
}
