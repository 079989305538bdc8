//! SSM Parameter Store of the local cloud: parameters with versions, tags, and the public image parameters.
//!
//! Secure values are kept as they are, on the user's own machine; without decryption callers see text that
//! looks like cipher text. Nothing of Systems Manager but parameters exists here.

mod describe;
mod put;
mod read;
mod tags;
#[cfg(test)]
mod testing;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::amis::{PUBLIC_AMI_PATH, PUBLIC_AMIS};
use super::store::Table;
use super::{Answer, Call, Fault, Outcome, Service, Tx, unknown_operation};

/// Parameters by name.
pub(crate) const PARAMETERS: Table = Table::regional("ssm.parameter");

/// When the public parameters were last changed: 10 November 2025.
const PUBLISHED: i64 = 1_762_732_800_000;

/// The service `ssm`.
pub(crate) struct Ssm;

impl Service for Ssm {
    fn handle(&self, tx: &mut Tx<'_>, call: &Call) -> Outcome {
        let answer = match call.operation.as_str() {
            "PutParameter" => put::put(tx, call),
            "DeleteParameter" => put::delete(tx, call),
            "DeleteParameters" => put::delete_many(tx, call),
            "GetParameter" => read::get(tx, call),
            "GetParameters" => read::get_many(tx, call),
            "GetParametersByPath" => read::get_by_path(tx, call),
            "GetParameterHistory" => read::history(tx, call),
            "DescribeParameters" => describe::describe(tx, call),
            "AddTagsToResource" => tags::add(tx, call),
            "RemoveTagsFromResource" => tags::remove(tx, call),
            "ListTagsForResource" => tags::list(tx, call),
            _ => return Err(unknown_operation(call)),
        };
        answer.map(Answer::json)
    }
}

/// One parameter with its past.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Parameter {
    arn: String,
    name: String,
    kind: String,
    data_type: String,
    tags: BTreeMap<String, String>,
    /// Versions, the oldest first; there is at least one.
    versions: Vec<Version>,
}

/// One version of a parameter.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Version {
    number: i64,
    value: String,
    modified: i64,
    description: Option<String>,
    pattern: Option<String>,
    key: Option<String>,
    tier: String,
}

impl Parameter {
    fn latest(&self) -> Result<&Version, Fault> {
        self.versions.last().ok_or_else(|| not_found(&self.name))
    }

    /// Returns one version as the read calls show it.
    fn shown(&self, version: &Version, decrypted: bool) -> Value {
        let hidden = self.kind == "SecureString" && !decrypted;
        json!({
            "Name": self.name,
            "Type": self.kind,
            "Value": if hidden { cipher(&self.arn, version) } else { version.value.clone() },
            "Version": version.number,
            "LastModifiedDate": seconds(version.modified),
            "ARN": self.arn,
            "DataType": self.data_type,
        })
    }
}

/// Makes text that looks like what KMS would give for a value.
fn cipher(arn: &str, version: &Version) -> String {
    let digest = Sha256::digest(format!("{arn}/{}/{}", version.number, version.value));
    let bytes = [&[1, 2, 2, 0, 120][..], &digest, &digest].concat();
    STANDARD.encode(bytes)
}

/// Returns a time as JSON services write it: seconds with a fraction.
fn seconds(milliseconds: i64) -> Value {
    let (whole, part) = (milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000));
    serde_json::from_str(&format!("{whole}.{part:03}")).unwrap_or_else(|_| json!(whole))
}

/// Returns the ARN of a parameter; a name that is a path has its slash already.
fn arn(call: &Call, name: &str) -> String {
    call.arn("ssm", &format!("parameter/{}", name.trim_start_matches('/')))
}

/// Returns the public parameters, which AWS owns.
fn public(call: &Call) -> impl Iterator<Item = Parameter> {
    PUBLIC_AMIS.iter().map(|(name, image, _)| Parameter {
        arn: format!("arn:aws:ssm:{}::parameter{name}", call.region),
        name: (*name).to_owned(),
        kind: "String".to_owned(),
        data_type: "aws:ec2:image".to_owned(),
        tags: BTreeMap::new(),
        versions: vec![Version {
            number: 1,
            value: (*image).to_owned(),
            modified: PUBLISHED,
            description: None,
            pattern: None,
            key: None,
            tier: "Standard".to_owned(),
        }],
    })
}

/// Returns the parameter with a name, or with an ARN of this account.
fn find(tx: &Tx<'_>, call: &Call, name: &str) -> Result<Option<Parameter>, Fault> {
    if name.starts_with(PUBLIC_AMI_PATH) {
        return Ok(public(call).find(|parameter| parameter.name == name));
    }
    let Some((_, rest)) = name.split_once(":parameter/") else { return tx.get(PARAMETERS, name) };
    for candidate in [format!("/{rest}"), rest.to_owned()] {
        let found: Option<Parameter> = tx.get(PARAMETERS, &candidate)?;
        if let Some(found) = found.filter(|found| found.arn == name) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn validation(text: impl Into<String>) -> Fault {
    Fault::new("ValidationException", text)
}

fn not_found(name: &str) -> Fault {
    Fault::new("ParameterNotFound", format!("Parameter {name} not found."))
}

/// Returns a required text field.
fn required<'a>(call: &'a Call, field: &str) -> Result<&'a str, Fault> {
    text(call, field).ok_or_else(|| {
        let rule = "failed to satisfy constraint: Member must not be null";
        validation(format!("1 validation error detected: Value null at '{field}' {rule}"))
    })
}

fn text<'a>(call: &'a Call, field: &str) -> Option<&'a str> {
    call.json()[field].as_str()
}

fn flag(call: &Call, field: &str) -> bool {
    call.json()[field].as_bool().unwrap_or(false)
}

/// Returns the texts of a list field.
fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Cuts one page of at most `MaxResults` items after `NextToken` and names the next one.
fn page<T>(call: &Call, items: Vec<(String, T)>, usual: usize, most: usize) -> Result<(Vec<T>, Option<String>), Fault> {
    let size = match call.json().get("MaxResults").filter(|value| !value.is_null()) {
        None => usual,
        Some(value) => {
            let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
            size.filter(|size| (1..=most).contains(size)).ok_or_else(|| {
                let rule = format!("Member must have value between 1 and {most}");
                let text = format!("Value '{value}' at 'maxResults' failed to satisfy constraint: {rule}");
                validation(format!("1 validation error detected: {text}"))
            })?
        }
    };
    let after = match text(call, "NextToken") {
        None => String::new(),
        Some(token) => {
            let decoded = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            decoded.ok_or_else(|| Fault::new("InvalidNextToken", "The specified token is not valid."))?
        }
    };
    let mut rest: Vec<_> = items.into_iter().filter(|(key, _)| *key > after).collect();
    let more = rest.len() > size;
    rest.truncate(size);
    let token = rest.last().filter(|_| more).map(|(key, _)| URL_SAFE_NO_PAD.encode(key));
    Ok((rest.into_iter().map(|(_, item)| item).collect(), token))
}

/// Adds `NextToken` to an answer when there is more.
fn with_token(mut answer: Value, token: Option<String>) -> Value {
    if let Some(token) = token {
        answer["NextToken"] = json!(token);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::testing::Bench;
    use super::*;
    use crate::local::Input;

    #[test]
    fn unknown_operations_are_refused() {
        assert_eq!(Bench::new().code("RunCommand", &json!({})), "UnknownOperationException");
    }

    #[test]
    fn times_keep_their_milliseconds() {
        assert_eq!(seconds(1_780_000_000_042).to_string(), "1780000000.042");
    }

    #[test]
    fn names_and_paths_have_one_slash_in_their_arn() {
        let call = Call::new("GetParameter", Input::Json(json!({})), 0);
        assert_eq!(arn(&call, "/a/b"), "arn:aws:ssm:us-east-1:000000000000:parameter/a/b");
        assert_eq!(arn(&call, "a"), "arn:aws:ssm:us-east-1:000000000000:parameter/a");
    }
}
