//! Single attributes of instances: read one by one, changed one per call (`facts/aws.md` 12b.2, 12b.4).

use serde_json::{Value, json};

use super::super::{Call, Fault, Outcome, Params, Tx, Xml};
use super::instance::{load, state};
use super::launch_checks::{hops, instance_type, one_of, resolve_groups, user_data};
use super::{
    INSTANCES, INTERFACES, Row, answer, catalog, done, fault, invalid, launch, members, missing, required, rows,
};

/// `DescribeInstanceAttribute`.
pub(super) fn describe(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let row = load(tx, required(call, "InstanceId")?)?;
    let name = required(call, "Attribute")?;
    let value = |value: &dyn std::fmt::Display| Xml::new().text("value", value);
    let inside = match name {
        "userData" => Xml::new().maybe("value", row.hidden.get("userData").and_then(Value::as_str)),
        "disableApiTermination" | "disableApiStop" => value(&row.flag(name)),
        "instanceInitiatedShutdownBehavior" => value(&row.secret("shutdown")),
        "instanceType" => value(&row.text("instanceType")),
        "rootDeviceName" => value(&row.text("rootDeviceName")),
        "ebsOptimized" | "sourceDestCheck" | "enaSupport" => value(&row.view.get(name).unwrap_or(&Value::Null)),
        "kernel" | "ramdisk" | "sriovNetSupport" => Xml::new(),
        "groupSet" | "blockDeviceMapping" | "productCodes" => {
            let list = row.view.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
            let items = list.iter().filter_map(Value::as_object).map(members);
            return answer(Xml::new().text("instanceId", row.text("instanceId")).list(name, "item", items));
        }
        other => {
            return Err(invalid(format!("Value ({other}) for parameter attribute is invalid. Unknown attribute.")));
        }
    };
    answer(Xml::new().text("instanceId", row.text("instanceId")).node(name, inside))
}

/// `ModifyInstanceAttribute`: one attribute per call.
pub(super) fn modify(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let mut row = load(tx, required(call, "InstanceId")?)?;
    if row.secret("goal") == "terminated" {
        let text = format!("Instance '{}' is terminated", row.text("instanceId"));
        return Err(fault("IncorrectInstanceState", text));
    }
    let groups = call.params().texts("GroupId");
    if groups.is_empty() {
        let (name, value) = one_attribute(call.params())?;
        set(&mut row, call, &name, &value)?;
    } else {
        set_groups(tx, &mut row, &groups)?;
    }
    tx.put(INSTANCES, row.text("instanceId"), &row)?;
    done()
}

const NAMES: [(&str, &str); 8] = [
    ("InstanceType.Value", "instanceType"),
    ("UserData.Value", "userData"),
    ("DisableApiTermination.Value", "disableApiTermination"),
    ("DisableApiStop.Value", "disableApiStop"),
    ("InstanceInitiatedShutdownBehavior.Value", "instanceInitiatedShutdownBehavior"),
    ("SourceDestCheck.Value", "sourceDestCheck"),
    ("EbsOptimized.Value", "ebsOptimized"),
    ("EnaSupport.Value", "enaSupport"),
];

fn one_attribute(params: &Params) -> Result<(String, String), Fault> {
    let mut given: Vec<(String, String)> = Vec::new();
    for (field, name) in NAMES {
        given.extend(params.get(field).map(|value| (name.to_owned(), value.to_owned())));
    }
    if let Some(name) = params.get("Attribute") {
        given.push((name.to_owned(), params.get("Value").unwrap_or_default().to_owned()));
    }
    match given.len() {
        0 => Err(fault("InvalidParameterCombination", "No attributes specified.")),
        1 => Ok(given.remove(0)),
        _ => Err(fault("InvalidParameterCombination", "Fields for multiple attribute types specified")),
    }
}

fn set(row: &mut Row, call: &Call, name: &str, value: &str) -> Result<(), Fault> {
    if matches!(name, "instanceType" | "userData" | "ebsOptimized") && state(row, call.now) != "stopped" {
        let text = format!("The instance '{}' is not in the 'stopped' state.", row.text("instanceId"));
        return Err(fault("IncorrectInstanceState", text));
    }
    match name {
        "instanceType" => set_type(row, value)?,
        "userData" => row.hide("userData", user_data(Some(value))?),
        "disableApiTermination" | "disableApiStop" => row.hide(name, flag(value)?),
        "instanceInitiatedShutdownBehavior" => {
            one_of(name, Some(value), &["stop", "terminate"])?;
            row.hide("shutdown", value);
        }
        "sourceDestCheck" | "ebsOptimized" | "enaSupport" => row.set(name, flag(value)?),
        other => {
            return Err(invalid(format!("Value ({other}) for parameter attribute is invalid. Unknown attribute.")));
        }
    }
    Ok(())
}

fn flag(text: &str) -> Result<bool, Fault> {
    text.parse().map_err(|_| invalid(format!("Invalid value '{text}': true or false expected")))
}

fn set_type(row: &mut Row, name: &str) -> Result<(), Fault> {
    let kind = instance_type(name)?;
    if kind.architecture != row.text("architecture") {
        return Err(invalid("The architecture of the instance type does not match that of the instance"));
    }
    row.set("instanceType", name);
    row.set("cpuOptions", json!({ "coreCount": kind.vcpus / kind.threads, "threadsPerCore": kind.threads }));
    if !kind.is_burstable() {
        row.hidden.shift_remove("credits");
    } else if row.secret("credits").is_empty() {
        row.hide("credits", "unlimited");
    }
    Ok(())
}

fn set_groups(tx: &mut Tx<'_>, row: &mut Row, ids: &[String]) -> Result<(), Fault> {
    let set = launch::group_set(&resolve_groups(tx, ids)?);
    row.set("groupSet", set.clone());
    if let Some(interfaces) = row.view.get_mut("networkInterfaceSet").and_then(Value::as_array_mut) {
        for interface in interfaces {
            interface["groupSet"] = set.clone();
        }
    }
    let id = row.text("instanceId");
    for mut interface in rows(tx, INTERFACES)?.into_iter().filter(|interface| interface.secret("instance") == id) {
        interface.set("groupSet", set.clone());
        tx.put(INTERFACES, interface.text("networkInterfaceId"), &interface)?;
    }
    Ok(())
}

/// `ModifyInstanceMetadataOptions`.
pub(super) fn modify_metadata(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let mut row = load(tx, required(call, "InstanceId")?)?;
    let choices: [(&str, &str, &[&str]); 4] = [
        ("HttpTokens", "httpTokens", &["optional", "required"]),
        ("HttpEndpoint", "httpEndpoint", &["enabled", "disabled"]),
        ("HttpProtocolIpv6", "httpProtocolIpv6", &["enabled", "disabled"]),
        ("InstanceMetadataTags", "instanceMetadataTags", &["enabled", "disabled"]),
    ];
    let mut options = row.view.get("metadataOptions").cloned().unwrap_or_default();
    for (field, member, allowed) in choices {
        one_of(field, call.params().get(field), allowed)?;
        if let Some(value) = call.params().get(field) {
            options[member] = json!(value);
        }
    }
    let limit = call.params().get("HttpPutResponseHopLimit");
    hops(limit)?;
    if let Some(limit) = limit.and_then(|text| text.parse::<u32>().ok()) {
        options["httpPutResponseHopLimit"] = json!(limit);
    }
    row.set("metadataOptions", options.clone());
    tx.put(INSTANCES, row.text("instanceId"), &row)?;
    let shown = options.as_object().map(members).unwrap_or_default();
    answer(Xml::new().text("instanceId", row.text("instanceId")).node("instanceMetadataOptions", shown))
}

/// `DescribeInstanceCreditSpecifications`: types without credits are refused when asked for by id.
pub(super) fn credits(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let ids = call.params().texts("InstanceId");
    let mut chosen = Vec::new();
    for id in &ids {
        let row = load(tx, id)?;
        if row.secret("credits").is_empty() {
            let text = format!("The instance type of '{id}' does not support credits");
            return Err(fault("InstanceCreditSpecification.NotSupported", text));
        }
        chosen.push(row);
    }
    if ids.is_empty() {
        chosen = rows(tx, INSTANCES)?.into_iter().filter(|row| row.secret("credits") == "unlimited").collect();
    }
    let items = chosen
        .iter()
        .map(|row| Xml::new().text("instanceId", row.text("instanceId")).text("cpuCredits", row.secret("credits")));
    answer(Xml::new().list("instanceCreditSpecificationSet", "item", items))
}

/// `ModifyInstanceCreditSpecification`: instances that cannot be changed are listed, not refused.
pub(super) fn modify_credits(tx: &mut Tx<'_>, call: &Call) -> Outcome {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for change in call.params().list("InstanceCreditSpecification") {
        let id = change.get("InstanceId").ok_or_else(|| missing("InstanceId"))?;
        let credits = change.get("CpuCredits");
        one_of("CpuCredits", credits, &["standard", "unlimited"])?;
        let found: Option<Row> = tx.get(INSTANCES, id)?;
        let Some(mut row) =
            found.filter(|row| catalog::find(row.text("instanceType")).is_some_and(catalog::Type::is_burstable))
        else {
            bad.push(unsuccessful(id));
            continue;
        };
        row.hide("credits", credits.unwrap_or("standard"));
        tx.put(INSTANCES, id, &row)?;
        good.push(Xml::new().text("instanceId", id));
    }
    answer(Xml::new().list("successfulInstanceCreditSpecificationSet", "item", good).list(
        "unsuccessfulInstanceCreditSpecificationSet",
        "item",
        bad,
    ))
}

fn unsuccessful(id: &str) -> Xml {
    let error = Xml::new()
        .text("code", "InstanceCreditSpecification.NotSupported")
        .text("message", "The instance does not exist or its type has no credits");
    Xml::new().text("instanceId", id).node("error", error)
}
