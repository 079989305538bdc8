//! Settings of functions: defaults, checks, and how a request changes them (`facts/aws.md` 11a.2, 11a.3).

use serde_json::{Map, Value, json};

use super::super::{Call, Fault, Tx, ec2, iam};
use super::{constraint, environment, invalid, text, within};

const MOST_LAYERS: usize = 5;

/// Returns what a function has that its creation does not say.
pub(super) fn defaults(name: &str) -> Map<String, Value> {
    let all = json!({
        "Description": "", "Timeout": 3, "MemorySize": 128, "TracingConfig": { "Mode": "PassThrough" },
        "Architectures": ["x86_64"], "EphemeralStorage": { "Size": 512 },
        "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" },
        "VpcConfig": { "SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": false },
        "LoggingConfig": { "LogFormat": "Text", "LogGroup": format!("/aws/lambda/{name}") },
    });
    all.as_object().cloned().unwrap_or_default()
}

/// Checks the settings of a request and carries those that it has over.
pub(super) fn apply(tx: &mut Tx<'_>, call: &Call, into: &mut Map<String, Value>, body: &Value) -> Result<(), Fault> {
    check_numbers(body)?;
    for field in ["Runtime", "Handler", "Description", "Timeout", "MemorySize", "EphemeralStorage"] {
        if let Some(value) = body.get(field).filter(|value| !value.is_null()) {
            into.insert(field.to_owned(), value.clone());
        }
    }
    architectures(into, body)?;
    environment::apply(into, body)?;
    layers(call, into, body)?;
    modes(into, body)?;
    logging(into, body)?;
    keep_or_clear(into, "KMSKeyArn", body.get("KMSKeyArn"), text(body, "KMSKeyArn"));
    let target = body.get("DeadLetterConfig").and_then(|config| text(config, "TargetArn"));
    keep_or_clear(into, "DeadLetterConfig", body.get("DeadLetterConfig"), target);
    role(tx, into, body)?;
    vpc(tx, call, into, body)?;
    file_systems(into, body)
}

fn check_numbers(body: &Value) -> Result<(), Fault> {
    within(body, "Timeout", 1, 900)?;
    within(body, "MemorySize", 128, 10_240)?;
    within(body.get("EphemeralStorage").unwrap_or(&Value::Null), "Size", 512, 10_240)?;
    let length = |field: &str| text(body, field).map_or(0, |text| text.chars().count());
    if length("Description") > 256 {
        return Err(constraint("Value at 'description'", "Member must have length less than or equal to 256"));
    }
    let handler = text(body, "Handler").unwrap_or("x");
    if length("Handler") > 128 || handler.is_empty() || handler.contains(char::is_whitespace) {
        return Err(constraint(
            &format!("Value '{handler}' at 'handler'"),
            "Member must satisfy regular expression pattern: [^\\s]+",
        ));
    }
    Ok(())
}

/// Sets a member that an empty text removes.
fn keep_or_clear(into: &mut Map<String, Value>, field: &str, given: Option<&Value>, text: Option<&str>) {
    let Some(given) = given.filter(|given| !given.is_null()) else { return };
    if text.is_none_or(str::is_empty) {
        into.shift_remove(field);
    } else {
        into.insert(field.to_owned(), given.clone());
    }
}

/// Sets the architectures of a request; exactly one is allowed.
pub(super) fn architectures(into: &mut Map<String, Value>, body: &Value) -> Result<(), Fault> {
    let Some(given) = body.get("Architectures").and_then(Value::as_array) else { return Ok(()) };
    match given.as_slice() {
        [one] if matches!(one.as_str(), Some("x86_64" | "arm64")) => {
            into.insert("Architectures".to_owned(), json!(given));
            Ok(())
        }
        _ => Err(constraint(
            &format!("Value '{}' at 'architectures'", json!(given)),
            "Member must satisfy enum value set: [x86_64, arm64]",
        )),
    }
}

fn layers(call: &Call, into: &mut Map<String, Value>, body: &Value) -> Result<(), Fault> {
    let Some(given) = body.get("Layers").and_then(Value::as_array) else { return Ok(()) };
    if given.len() > MOST_LAYERS {
        return Err(invalid(format!("Layers can have {MOST_LAYERS} members at most")));
    }
    let mut kept = Vec::new();
    for arn in given.iter().map(|arn| arn.as_str().unwrap_or_default()) {
        let version = arn.rsplit(':').next().is_some_and(|version| version.parse::<u32>().is_ok());
        if !arn.contains(":layer:") || !version {
            return Err(constraint(&format!("Value '{arn}' at 'layers'"), "Member must be the ARN of a layer version"));
        }
        if arn.split(':').nth(3) != Some(call.region.as_str()) {
            return Err(invalid(format!("Layers are not in the same region as the function: {arn}")));
        }
        kept.push(json!({ "Arn": arn, "CodeSize": 0 }));
    }
    if kept.is_empty() {
        into.shift_remove("Layers");
    } else {
        into.insert("Layers".to_owned(), Value::Array(kept));
    }
    Ok(())
}

fn choice<'a>(body: &'a Value, structure: &str, field: &str, allowed: &[&str]) -> Result<Option<&'a str>, Fault> {
    let Some(value) = body.get(structure).and_then(|inner| text(inner, field)) else { return Ok(None) };
    if allowed.contains(&value) {
        return Ok(Some(value));
    }
    let rule = format!("Member must satisfy enum value set: [{}]", allowed.join(", "));
    Err(constraint(&format!("Value '{value}' at '{structure}.{field}'"), &rule))
}

fn modes(into: &mut Map<String, Value>, body: &Value) -> Result<(), Fault> {
    if let Some(mode) = choice(body, "TracingConfig", "Mode", &["Active", "PassThrough"])? {
        into.insert("TracingConfig".to_owned(), json!({ "Mode": mode }));
    }
    if let Some(apply) = choice(body, "SnapStart", "ApplyOn", &["None", "PublishedVersions"])? {
        into.insert("SnapStart".to_owned(), json!({ "ApplyOn": apply, "OptimizationStatus": "Off" }));
    }
    Ok(())
}

/// Levels exist in the JSON format only; a log group that is not named is the function's own.
fn logging(into: &mut Map<String, Value>, body: &Value) -> Result<(), Fault> {
    let Some(given) = body.get("LoggingConfig").filter(|given| !given.is_null()) else { return Ok(()) };
    let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
    let application = choice(body, "LoggingConfig", "ApplicationLogLevel", &levels)?;
    let system = choice(body, "LoggingConfig", "SystemLogLevel", &levels[1..4])?;
    let before = into.get("LoggingConfig").and_then(|before| text(before, "LogFormat")).unwrap_or("Text").to_owned();
    let format = choice(body, "LoggingConfig", "LogFormat", &["Text", "JSON"])?.unwrap_or(&before);
    if format == "Text" && (application.is_some() || system.is_some()) {
        return Err(invalid("Log levels can only be set when LogFormat is JSON."));
    }
    let name = into.get("FunctionName").and_then(Value::as_str).unwrap_or_default();
    let group = text(given, "LogGroup").map_or_else(|| format!("/aws/lambda/{name}"), str::to_owned);
    let mut kept = json!({ "LogFormat": format, "LogGroup": group });
    if format == "JSON" {
        kept["ApplicationLogLevel"] = json!(application.unwrap_or("INFO"));
        kept["SystemLogLevel"] = json!(system.unwrap_or("INFO"));
    }
    into.insert("LoggingConfig".to_owned(), kept);
    Ok(())
}

fn role(tx: &mut Tx<'_>, into: &mut Map<String, Value>, body: &Value) -> Result<(), Fault> {
    let Some(role) = text(body, "Role") else { return Ok(()) };
    if !role.starts_with("arn:aws:iam::") || !role.contains(":role/") {
        return Err(constraint(&format!("Value '{role}' at 'role'"), "Member must be the ARN of an IAM role"));
    }
    if !iam::role_trusts(tx, role, "lambda.amazonaws.com")? {
        return Err(invalid("The role defined for the function cannot be assumed by Lambda."));
    }
    into.insert("Role".to_owned(), json!(role));
    Ok(())
}

/// Sets the VPC of a function; empty lists take it out again.
fn vpc(tx: &mut Tx<'_>, call: &Call, into: &mut Map<String, Value>, body: &Value) -> Result<(), Fault> {
    let Some(given) = body.get("VpcConfig").filter(|given| !given.is_null()) else { return Ok(()) };
    let list = |field: &str| -> Vec<&str> {
        given.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let (subnets, groups) = (list("SubnetIds"), list("SecurityGroupIds"));
    if subnets.is_empty() != groups.is_empty() {
        return Err(invalid("SubnetIds and SecurityGroupIds must be given together, or both be empty."));
    }
    let vpc = ec2::check_network(tx, call, &subnets, &groups).map_err(|cause| refusal(&cause))?;
    let role = into.get("Role").and_then(Value::as_str).unwrap_or_default();
    if !subnets.is_empty() && !iam::role_allows(tx, role, "ec2:CreateNetworkInterface", "*")? {
        return Err(invalid(
            "The provided execution role does not have permissions to call CreateNetworkInterface on EC2",
        ));
    }
    let dual = given.get("Ipv6AllowedForDualStack").and_then(Value::as_bool).unwrap_or(false);
    let kept =
        json!({ "SubnetIds": subnets, "SecurityGroupIds": groups, "VpcId": vpc, "Ipv6AllowedForDualStack": dual });
    into.insert("VpcConfig".to_owned(), kept);
    Ok(())
}

/// Sets the file systems of a function, which it reaches through its VPC only.
fn file_systems(into: &mut Map<String, Value>, body: &Value) -> Result<(), Fault> {
    let Some(given) = body.get("FileSystemConfigs").and_then(Value::as_array) else { return Ok(()) };
    for system in given {
        let (arn, path) = (text(system, "Arn").unwrap_or_default(), text(system, "LocalMountPath").unwrap_or_default());
        if !arn.contains(":elasticfilesystem:") || !arn.contains(":access-point/fsap-") || !path.starts_with("/mnt/") {
            let rule = "Member must be the ARN of an EFS access point with a path below /mnt";
            return Err(constraint(&format!("Value '{system}' at 'fileSystemConfigs'"), rule));
        }
    }
    let in_network = into.get("VpcConfig").and_then(|vpc| text(vpc, "VpcId")).is_some_and(|vpc| !vpc.is_empty());
    match given.as_slice() {
        [] => into.shift_remove("FileSystemConfigs"),
        [_] if in_network => into.insert("FileSystemConfigs".to_owned(), json!(given)),
        [_] => return Err(invalid("Function must be configured to execute in a VPC to reference access point.")),
        _ => return Err(invalid("FileSystemConfigs can have 1 member at most")),
    };
    Ok(())
}

fn refusal(cause: &Fault) -> Fault {
    invalid(format!(
        "Error occurred while checking the VPC. EC2 Error Code: {}. EC2 Error Message: {}",
        cause.code, cause.message
    ))
}
