//! What has moved between a saved plan and the same plan made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{Endpoint, Place, Prints, Record, Saved, Seen, Shown};
use crate::plan::Action;
use crate::stack::Given;

/// Most fields that are named of one resource.
const NAMED: usize = 8;

/// Where something has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The version of stackctl.
    Tool,
    /// What answers: AWS, the local cloud or another endpoint.
    Endpoint,
    /// The account.
    Account,
    /// The region.
    Region,
    /// Values of variables.
    Variables,
    /// The stack file, or a file that it names.
    File,
    /// What AWS has.
    Aws,
}

/// One thing that has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Where.
    pub side: Side,
    /// Logical id of the resource, if it is one.
    pub resource: Option<String>,
    /// What has happened, for people.
    pub message: String,
    /// The fields, as far as they are known.
    pub paths: Vec<String>,
}

impl fmt::Display for Moved {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Tool => "stackctl",
            Side::Endpoint => "endpoint",
            Side::Account => "account",
            Side::Region => "region",
            Side::Variables => "variables",
            Side::File => "file",
            Side::Aws => "AWS",
        };
        let resource = self.resource.as_ref().map_or_else(String::new, |id| format!("{id}: "));
        write!(out, "{side}: {resource}{}", self.message)
    }
}

fn moved(side: Side, message: impl Into<String>) -> Moved {
    Moved { side, resource: None, message: message.into(), paths: Vec::new() }
}

fn of(side: Side, record: &Record, message: impl Into<String>) -> Moved {
    Moved { resource: Some(record.id.clone()), ..moved(side, message) }
}

fn fields(side: Side, record: &Record, paths: Vec<String>) -> Moved {
    let more = paths.len().saturating_sub(NAMED);
    let named = paths.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Moved { paths, ..of(side, record, format!("{named}{more}")) }
}

/// Lists everything that has moved from the saved plan to the one made anew; nothing when they are the same.
#[must_use]
pub fn compare(saved: &Saved, now: &Saved) -> Vec<Moved> {
    let mut all: Vec<Moved> = of_another_tool(saved, &now.tool_version).into_iter().collect();
    all.extend(elsewhere(&saved.place, &now.place));
    all.extend(variables(saved, now));
    all.extend(
        differing(&saved.head, &now.head).map(|path| Moved { paths: vec![path.clone()], ..moved(Side::File, path) }),
    );
    all.extend(resources(saved, now));
    if all.is_empty() {
        // Whatever moves a step shows above; this is for what a secret's new value or an output of AWS does.
        all.extend(pairs(saved, now).filter_map(|(then, now)| otherwise(then, now)));
    }
    all
}

/// Tells whether another version of the tool made the plan.
#[must_use]
pub fn of_another_tool(saved: &Saved, tool: &str) -> Option<Moved> {
    let message = || format!("the plan was made by version {}, this is version {tool}", saved.tool_version);
    (saved.tool_version != tool).then(|| moved(Side::Tool, message()))
}

/// Lists what differs of the places that the plan is for and that the command works in.
#[must_use]
pub fn elsewhere(saved: &Place, now: &Place) -> Vec<Moved> {
    let word = |endpoint: Endpoint| match endpoint {
        Endpoint::Aws => "AWS",
        Endpoint::Local => "the local cloud (--local)",
        Endpoint::Other => "an endpoint other than AWS's (--endpoint-url)",
    };
    let mut all = Vec::new();
    let mut compare = |side: Side, then: &str, now: &str| {
        if then != now {
            all.push(moved(side, format!("the plan is for {then}, this would go to {now}")));
        }
    };
    compare(Side::Endpoint, word(saved.endpoint), word(now.endpoint));
    compare(Side::Account, &saved.account, &now.account);
    compare(Side::Region, &saved.region, &now.region);
    compare(Side::Region, &saved.partition, &now.partition);
    all
}

fn variables(saved: &Saved, now: &Saved) -> Vec<Moved> {
    let word = |given: Option<&Given>| match given {
        None => "not given".to_owned(),
        Some(Given::Secret) => "given, and is sensitive".to_owned(),
        Some(Given::Value(value)) => value.to_string(),
    };
    let names: BTreeSet<&String> = saved.variables.keys().chain(now.variables.keys()).collect();
    let differs = |name: &&&String| saved.variables.get(**name) != now.variables.get(**name);
    let told = |name: &String| {
        let (then, now) = (word(saved.variables.get(name)), word(now.variables.get(name)));
        let message = format!("`{name}` was {then}, and is {now}");
        Moved { paths: vec![name.clone()], ..moved(Side::Variables, message) }
    };
    names.iter().filter(differs).map(|name| told(name)).collect()
}

/// What tells one resource from another: an object that has left the file has its identifier, too, and twins a number.
type Name<'a> = (bool, &'a str, &'a str, &'a str, usize);

fn by_name(saved: &Saved) -> BTreeMap<Name<'_>, &Record> {
    let mut all: BTreeMap<Name<'_>, &Record> = BTreeMap::new();
    for record in &saved.resources {
        let object = record.step.physical.as_deref().filter(|_| !record.in_file).unwrap_or_default();
        let mut name = (record.in_file, record.kind.as_str(), record.id.as_str(), object, 0);
        while all.contains_key(&name) {
            name.4 += 1;
        }
        all.insert(name, record);
    }
    all
}

fn pairs<'a>(saved: &'a Saved, now: &'a Saved) -> impl Iterator<Item = (&'a Record, &'a Record)> {
    let today = by_name(now);
    by_name(saved).into_iter().filter_map(move |(name, record)| Some((record, *today.get(&name)?)))
}

fn resources(saved: &Saved, now: &Saved) -> Vec<Moved> {
    let (then, today) = (by_name(saved), by_name(now));
    let mut all = Vec::new();
    for (name, record) in then.iter().filter(|(name, _)| !today.contains_key(*name)) {
        all.push(if name.0 {
            of(Side::File, record, format!("no longer there as a {}", record.kind))
        } else {
            of(Side::Aws, record, format!("{} is gone, or in the file again", record.kind))
        });
    }
    for (name, record) in today.iter().filter(|(name, _)| !then.contains_key(*name)) {
        all.push(if name.0 {
            of(Side::File, record, format!("new, as a {}", record.kind))
        } else {
            of(Side::Aws, record, format!("{} has appeared, or left the file", record.kind))
        });
    }
    for (record, now) in pairs(saved, now) {
        let wanted: Vec<_> = differing(&record.wanted, &now.wanted).collect();
        if !wanted.is_empty() {
            all.push(fields(Side::File, record, wanted));
        }
        all.extend(object(record, record.found.as_ref(), now.found.as_ref()));
    }
    all
}

/// Says what has become of an object.
fn object(record: &Record, then: Option<&Seen>, now: Option<&Seen>) -> Option<Moved> {
    match (then, now) {
        (None, None) => None,
        (Some(_), None) => Some(of(Side::Aws, record, "it is gone")),
        (None, Some(_)) => Some(of(Side::Aws, record, "it is there now")),
        (Some(then), Some(now)) if then.physical != now.physical => {
            Some(of(Side::Aws, record, format!("it was {}, and is {}", then.physical, now.physical)))
        }
        (Some(then), Some(now)) => {
            let tags = differing(&then.tags, &now.tags).map(|key| format!("tags.{key}"));
            let paths: Vec<_> = differing(&then.spec, &now.spec).chain(tags).collect();
            (!paths.is_empty()).then(|| fields(Side::Aws, record, paths))
        }
    }
}

/// Says how a step differs that was made from what looks the same.
fn otherwise(then: &Record, now: &Record) -> Option<Moved> {
    if then.step == now.step {
        return None;
    }
    let paths = changed(&then.step, &now.step);
    let named = if paths.is_empty() { String::new() } else { format!(" ({})", paths.join(", ")) };
    let message = format!(
        "{} would be done, and the plan says {}{named}: something that it refers to, or a sensitive variable, is another",
        word(now.step.action),
        word(then.step.action)
    );
    Some(Moved { paths, ..of(Side::Aws, then, message) })
}

/// Lists the fields and tags with which two steps would do something else.
fn changed(then: &Shown, now: &Shown) -> Vec<String> {
    let changes = |one: &Shown, other: &Shown| -> Vec<String> {
        one.changes.iter().filter(|change| !other.changes.contains(change)).map(|change| change.path.clone()).collect()
    };
    let mut paths: BTreeSet<String> = changes(then, now).into_iter().chain(changes(now, then)).collect();
    let tags = then.set_tags.iter().chain(&now.set_tags).map(|(key, _)| key);
    let same = |key: &&String| then.set_tags.get(*key) == now.set_tags.get(*key);
    paths.extend(tags.filter(|key| !same(key)).map(|key| format!("tags.{key}")));
    let removed = |one: &Shown, other: &Shown| -> Vec<String> {
        one.remove_tags.iter().filter(|key| !other.remove_tags.contains(key)).map(|key| format!("tags.{key}")).collect()
    };
    paths.extend(removed(then, now).into_iter().chain(removed(now, then)));
    paths.extend(wants(&then.want, &now.want));
    paths.into_iter().collect()
}

/// Lists the fields that would be made otherwise.
fn wants(then: &Value, now: &Value) -> Vec<String> {
    let print = |value: &Value| super::prints(value, &|_| false);
    differing(&print(then), &print(now)).collect()
}

fn word(action: Action) -> &'static str {
    match action {
        Action::NoOp => "nothing",
        Action::Create => "a creation",
        Action::Update => "an update",
        Action::DeleteCreate | Action::CreateDelete => "a replacement",
        Action::Delete => "a deletion",
        Action::Leave => "a release",
    }
}

/// Lists the paths whose fingerprints differ.
fn differing<'a>(then: &'a Prints, now: &'a Prints) -> impl Iterator<Item = String> + use<'a> {
    let paths: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    paths.into_iter().filter(|path| then.get(*path) != now.get(*path)).cloned()
}
