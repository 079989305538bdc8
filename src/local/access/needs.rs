//! What a call needs to be allowed: actions, and the resources that its input names.

use serde_json::Value;

use crate::local::iam::{self, Arns};
use crate::local::registry::Entry;
use crate::local::{Call, Fault, Tx};

use super::{dynamodb, kinesis, lambda};

/// One action on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    /// Such as `kinesis:GetRecords`.
    pub(super) action: String,
    pub(super) resource: String,
    /// Condition keys, in lower case, that belong to this action.
    pub(super) context: Vec<(&'static str, String)>,
}

impl Need {
    /// Makes the need for an action of a service.
    pub(super) fn new(service: &str, operation: &str, resource: impl Into<String>) -> Self {
        Self { action: format!("{service}:{operation}"), resource: resource.into(), context: Vec::new() }
    }

    /// Makes the need to hand a role to a service.
    pub(super) fn pass(role: &str, service: &str) -> Self {
        let context = vec![("iam:passedtoservice", service.to_owned())];
        Self { context, ..Self::new("iam", "PassRole", role) }
    }
}

/// Returns everything that a call needs; all of it must be allowed.
pub(super) fn of(tx: &Tx<'_>, entry: &Entry, call: &Call) -> Result<Vec<Need>, Fault> {
    Ok(match entry.signing {
        "kinesis" => kinesis::needs(call),
        "dynamodb" => dynamodb::needs(tx, call)?,
        "lambda" => lambda::needs(call),
        "sns" => vec![topic(call)],
        "ssm" => parameters(call),
        "logs" => vec![Need::new("logs", &call.operation, log_group(call))],
        "kinesisanalytics" => application(call),
        "iam" => identity(&iam::arns(tx, call)?, call),
        "sts" => session(call),
        "tagging" => vec![Need::new("tag", &call.operation, "*")],
        "ec2" => machine(tx, call)?,
        other => vec![Need::new(other, &call.operation, "*")],
    })
}

fn text<'a>(call: &'a Call, fields: &[&str]) -> Option<&'a str> {
    fields.iter().find_map(|field| call.json().get(field)?.as_str())
}

/// SNS writes its own name in capitals.
fn topic(call: &Call) -> Need {
    let fields = call.params();
    let named = ["TopicArn", "TargetArn", "SubscriptionArn", "ResourceArn", "PhoneNumber"];
    let resource = match (named.iter().find_map(|name| fields.get(name)), fields.get("Name")) {
        (Some(named), _) => named.to_owned(),
        (None, Some(name)) => call.arn("sns", name),
        (None, None) => "*".to_owned(),
    };
    let operation = if call.operation == "PublishBatch" { "Publish" } else { &call.operation };
    Need::new("SNS", operation, resource)
}

fn parameters(call: &Call) -> Vec<Need> {
    let list = |field: &str| call.json().get(field).and_then(Value::as_array).into_iter().flatten();
    let mut names: Vec<&str> = list("Names").filter_map(Value::as_str).collect();
    names.extend(text(call, &["Name", "Path", "ResourceId"]));
    let need = |resource: String| Need::new("ssm", &call.operation, resource);
    if names.is_empty() {
        return vec![need(call.arn("ssm", "*"))];
    }
    names.into_iter().map(|name| need(parameter(call, name))).collect()
}

/// A name may carry a version or label behind a colon; AWS's own public parameters have no account.
fn parameter(call: &Call, name: &str) -> String {
    if name.starts_with("arn:") {
        return name.to_owned();
    }
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    if name.starts_with("/aws/service/") {
        return format!("arn:aws:ssm:{}::parameter{name}", call.region);
    }
    call.arn("ssm", &format!("parameter/{}", name.trim_start_matches('/')))
}

fn log_group(call: &Call) -> String {
    if let Some(arn) = text(call, &["resourceArn"]) {
        return arn.to_owned();
    }
    let group = text(call, &["logGroupName", "logGroupIdentifier"]).unwrap_or_default();
    let stream = text(call, &["logStreamName"]).unwrap_or_default();
    match group.strip_suffix(":*").unwrap_or(group) {
        arn if arn.starts_with("arn:") => format!("{arn}:log-stream:{stream}"),
        name => call.arn("logs", &format!("log-group:{name}:log-stream:{stream}")),
    }
}

fn application(call: &Call) -> Vec<Need> {
    let resource = match (text(call, &["ResourceARN"]), text(call, &["ApplicationName"])) {
        (Some(arn), _) => arn.to_owned(),
        (None, Some(name)) => call.arn("kinesisanalytics", &format!("application/{name}")),
        (None, None) => "*".to_owned(),
    };
    let mut roles = Vec::new();
    collect_roles(call.json(), &mut roles);
    roles.sort_unstable();
    roles.dedup();
    let passed = roles.into_iter().map(|role| Need::pass(role, "kinesisanalytics.amazonaws.com"));
    [Need::new("kinesisanalytics", &call.operation, resource)].into_iter().chain(passed).collect()
}

fn collect_roles<'a>(value: &'a Value, roles: &mut Vec<&'a str>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect_roles(value, roles)),
        Value::Object(fields) => {
            let named = |name: &str| matches!(name, "RoleARN" | "RoleARNUpdate" | "ServiceExecutionRole");
            roles.extend(fields.iter().filter(|(name, _)| named(name)).filter_map(|(_, value)| value.as_str()));
            fields.values().for_each(|value| collect_roles(value, roles));
        }
        _ => {}
    }
}

fn identity(arns: &Arns, call: &Call) -> Vec<Need> {
    let need = |arn: &Option<String>| Need::new("iam", &call.operation, arn.as_deref().unwrap_or("*"));
    match (&arns.profile, &arns.role) {
        (Some(_), Some(role)) if call.operation == "AddRoleToInstanceProfile" => {
            vec![need(&arns.profile), Need::pass(role, "ec2.amazonaws.com")]
        }
        (Some(_), _) => vec![need(&arns.profile)],
        (None, Some(_)) => vec![need(&arns.role)],
        (None, None) => vec![need(&arns.policy)],
    }
}

/// Anyone may ask who he is, and the trust policy judges who wants to assume a role.
fn session(call: &Call) -> Vec<Need> {
    match call.operation.as_str() {
        "GetCallerIdentity" | "AssumeRole" => Vec::new(),
        other => vec![Need::new("sts", other, "*")],
    }
}

fn machine(tx: &Tx<'_>, call: &Call) -> Result<Vec<Need>, Fault> {
    let mut needs = vec![Need::new("ec2", &call.operation, "*")];
    for start in ["", "LaunchSpecification."] {
        for field in ["Name", "Arn"] {
            let profile = call.params().get(&format!("{start}IamInstanceProfile.{field}"));
            if let Some(role) = profile.map(|name| iam::profile_role(tx, name)).transpose()?.flatten() {
                needs.push(Need::pass(&role, "ec2.amazonaws.com"));
            }
        }
    }
    Ok(needs)
}
