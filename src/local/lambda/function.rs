//! Functions: their row, state over time, creation, reading and deletion (`facts/aws.md` 11a).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::store::Table;
use super::super::{Answer, Call, Fault, Outcome, Tx};
use super::{code, configuration, conflict, constraint, invalid, not_found, query, required, runtime, tags, text};

pub(super) const FUNCTIONS: Table = Table::regional("lambda.function");

/// One function as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Function {
    pub(super) arn: String,
    pub(super) tags: BTreeMap<String, String>,
    /// `FunctionConfiguration` without what depends on the moment.
    pub(super) configuration: Map<String, Value>,
    pub(super) active_at: i64,
    pub(super) updated_at: i64,
    pub(super) reserved: Option<u64>,
    /// Statements of the resource policy.
    pub(super) statements: Vec<Value>,
    pub(super) policy_revision: String,
    /// What keeps it from running.
    #[serde(default)]
    pub(super) ailment: Option<Ailment>,
}

/// A state other than the usual ones, until the next change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ailment {
    pub(super) state: String,
    pub(super) code: String,
    pub(super) reason: String,
}

impl Function {
    pub(super) fn name(&self) -> &str {
        self.text("FunctionName")
    }

    pub(super) fn text(&self, field: &str) -> &str {
        self.configuration.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn save(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        tx.put(FUNCTIONS, self.name(), self)
    }

    /// Refuses a change while another is on its way; the texts are AWS's.
    pub(super) fn must_be_settled(&self, call: &Call) -> Result<(), Fault> {
        let start = "The operation cannot be performed at this time.";
        if call.now < self.active_at {
            return Err(conflict(format!("{start} The function is currently in the following state: Pending")));
        }
        if call.now < self.updated_at {
            return Err(conflict(format!("{start} An update is in progress for resource: {}", self.arn)));
        }
        Ok(())
    }

    /// Marks a change: a new revision that is in progress for a while.
    pub(super) fn touch(&mut self, call: &Call) {
        self.updated_at = call.now + call.delay;
        self.ailment = None;
        self.configuration.insert("LastModified".to_owned(), json!(modified(call.now)));
        self.configuration.insert("RevisionId".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
    }

    /// Shows the configuration with its state at the moment.
    pub(super) fn shown(&self, now: i64) -> Value {
        let mut shown = Value::Object(self.configuration.clone());
        if now < self.active_at {
            shown["State"] = json!("Pending");
            shown["StateReason"] = json!("The function is being created.");
            shown["StateReasonCode"] = json!("Creating");
        } else if let Some(Ailment { state, code, reason }) = &self.ailment {
            shown["State"] = json!(state);
            shown["StateReason"] = json!(reason);
            shown["StateReasonCode"] = json!(code);
        } else {
            shown["State"] = json!("Active");
        }
        let updating = now < self.updated_at;
        shown["LastUpdateStatus"] = json!(if updating { "InProgress" } else { "Successful" });
        if updating {
            shown["LastUpdateStatusReason"] = json!("The function is being updated.");
            shown["LastUpdateStatusReasonCode"] = json!("Creating");
        }
        shown
    }
}

fn modified(now: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(now).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string()
}

/// Takes the plain name out of a name, a partial ARN or an ARN; a qualifier other than `$LATEST` names nothing here.
pub(super) fn plain_name(call: &Call, given: &str) -> Result<String, Fault> {
    let own = call.arn("lambda", "function:");
    let rest = match given.split_once("function:") {
        Some((before, rest)) if own.starts_with(before) || own.ends_with(&format!("{before}function:")) => rest,
        Some(_) => return Err(missing(call, given)),
        None => given,
    };
    let (name, qualifier) = rest.split_once(':').unwrap_or((rest, "$LATEST"));
    if qualifier != "$LATEST" {
        return Err(missing(call, rest));
    }
    Ok(name.to_owned())
}

fn missing(call: &Call, name: &str) -> Fault {
    not_found(format!("Function not found: {}", call.arn("lambda", &format!("function:{name}"))))
}

/// Tells whether there is a function of this name.
pub(crate) fn exists(tx: &Tx<'_>, name: &str) -> Result<bool, Fault> {
    tx.has(FUNCTIONS, name)
}

/// Reads a function by name or ARN.
pub(super) fn load(tx: &Tx<'_>, call: &Call, given: &str) -> Result<Function, Fault> {
    let name = plain_name(call, given)?;
    if let Some(qualifier) = query(call, "Qualifier").filter(|qualifier| *qualifier != "$LATEST") {
        return Err(missing(call, &format!("{name}:{qualifier}")));
    }
    tx.get(FUNCTIONS, &name)?.ok_or_else(|| missing(call, &name))
}

/// `CreateFunction`.
pub(super) fn create(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let body = call.json();
    let name = plain_name(call, required(body, "FunctionName")?)?;
    check_name(&name)?;
    let package = text(body, "PackageType").unwrap_or("Zip");
    if package != "Zip" {
        return Err(invalid("the local cloud has no container images: use PackageType Zip"));
    }
    let (Some(wanted), Some(_)) = (text(body, "Runtime"), text(body, "Handler")) else {
        let text = "Runtime and Handler are mandatory parameters for functions created with deployment packages.";
        return Err(invalid(text));
    };
    runtime::check(wanted)?;
    required(body, "Role")?;
    let archive = code::read(body.get("Code").unwrap_or(&Value::Null), "CreateFunction")?;
    if tx.has(FUNCTIONS, &name)? {
        return Err(conflict(format!("Function already exist: {name}")));
    }
    let tags = tags::parse(body.get("Tags"))?;
    let mut function = fresh(call, &name, tags);
    configuration::apply(tx, call, &mut function.configuration, body)?;
    code::keep(tx, &mut function, &archive)?;
    function.save(tx)?;
    Ok(Answer::Json(201, function.shown(call.now)))
}

fn check_name(name: &str) -> Result<(), Fault> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if name.len() <= 64 && !name.is_empty() && name.chars().all(allowed) {
        return Ok(());
    }
    let rule =
        "Member must have length less than or equal to 64 and satisfy regular expression pattern: [a-zA-Z0-9-_]+";
    Err(constraint(&format!("Value '{name}' at 'functionName'"), rule))
}

fn fresh(call: &Call, name: &str, tags: BTreeMap<String, String>) -> Function {
    let arn = call.arn("lambda", &format!("function:{name}"));
    let version = format!("arn:aws:lambda:{}::runtime:local", call.region);
    let base = json!({
        "FunctionName": name, "FunctionArn": arn, "Version": "$LATEST", "PackageType": "Zip",
        "RuntimeVersionConfig": { "RuntimeVersionArn": version },
    });
    let mut configuration = base.as_object().cloned().unwrap_or_default();
    configuration.extend(configuration::defaults(name));
    let mut function = Function {
        arn,
        tags,
        configuration,
        active_at: call.now + call.delay,
        updated_at: 0,
        reserved: None,
        statements: Vec::new(),
        policy_revision: String::new(),
        ailment: None,
    };
    function.touch(call);
    function.updated_at = 0;
    function
}

/// `GetFunction`.
pub(super) fn get(tx: &mut Tx<'_>, call: &Call, given: &str) -> Outcome {
    let function = load(tx, call, given)?;
    let location = format!("{}/_local/code/{}/{}/{}", call.endpoint, call.account, call.region, function.name());
    let mut shown = json!({
        "Configuration": function.shown(call.now),
        "Code": { "RepositoryType": "S3", "Location": location },
    });
    if !function.tags.is_empty() {
        shown["Tags"] = json!(function.tags);
    }
    if let Some(reserved) = function.reserved.filter(|_| query(call, "Qualifier").is_none()) {
        shown["Concurrency"] = json!({ "ReservedConcurrentExecutions": reserved });
    }
    Ok(Answer::json(shown))
}

/// `GetFunctionConfiguration`.
pub(super) fn get_configuration(tx: &mut Tx<'_>, call: &Call, given: &str) -> Outcome {
    Ok(Answer::json(load(tx, call, given)?.shown(call.now)))
}

/// `DeleteFunction`: mappings and the log group stay (`facts/aws.md` 11a.5).
pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, given: &str) -> Outcome {
    let function = load(tx, call, given)?;
    tx.delete(FUNCTIONS, function.name())?;
    tx.delete(code::ARCHIVES, function.name())?;
    Ok(Answer::Json(204, Value::Null))
}
