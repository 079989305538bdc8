//! From one entry of `resources:` to a [`Resource`].
//!
//! In two steps, because references and grants need to know all other entries: a draft of each, then each finished.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::kind::{AnyKind, Fault, Files, Naming, Tags};

use super::Resource;
use super::common::{self, Common};
use super::fields::Shape;
use super::grants::{Granting, Target};
use super::links::{Link, Targets, each_text};
use super::problem::{Problem, Spot, join};
use super::reference::{Reference, Segment, parse};
use super::resolve::references;
use super::substitute::Known;
use super::suggest;
use super::text::describe;

/// An entry with its variables filled in and its kind found.
pub(super) struct Draft<'a> {
    pub(super) id: &'a str,
    pub(super) path: String,
    /// Nothing where the type is unknown, which has been reported.
    pub(super) kind: Option<&'static dyn AnyKind>,
    /// Whether `when:` says that it is not wanted.
    pub(super) left_out: bool,
    hidden: BTreeSet<String>,
    fields: Map<String, Value>,
}

/// What all entries of a file have in common.
pub(super) struct Reader<'a> {
    pub(super) known: &'a Known<'a>,
    pub(super) kinds: &'a [&'static dyn AnyKind],
    pub(super) stack_tags: &'a Tags,
    /// Tags of the stack that take a secret too short to be found, as `tags.KEY`.
    pub(super) hidden_tags: BTreeSet<String>,
    pub(super) stack: &'a str,
}

impl Reader<'_> {
    /// Fills variables in and finds kind and `when`.
    pub(super) fn draft<'b>(&self, id: &'b str, value: &Value, problems: &mut Vec<Problem>) -> Draft<'b> {
        let path = join("resources", id);
        check_id(id, &path, problems);
        let Value::Object(written) = value else {
            let message = format!("`{id}` is {}, not a resource", describe(value));
            problems.push(Problem::error(&path, message).help("write `ID: {type: KIND, …}`"));
            return Draft { id, path, kind: None, left_out: false, hidden: BTreeSet::new(), fields: Map::new() };
        };
        let left_out = self.is_left_out(written, &path, problems);
        let kind = self.kind(id, &path, written, problems);
        let others = written.iter().filter(|(name, _)| *name != "when");
        let others: Map<String, Value> = others.map(|(name, value)| (name.clone(), value.clone())).collect();
        let known = Known { left_out, ..*self.known };
        let fields = match known.fill(&Value::Object(others), &path, problems) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        Draft { id, path, kind, left_out, hidden: self.known.hidden(value), fields }
    }

    /// Reads `when:` before anything else is filled in: what it leaves out may lack what it asks for.
    fn is_left_out(&self, written: &Map<String, Value>, path: &str, problems: &mut Vec<Problem>) -> bool {
        let Some(when) = written.get("when") else { return false };
        let when = self.known.fill(when, &join(path, "when"), problems);
        is_off(&when, path, problems)
    }

    fn kind(
        &self,
        id: &str,
        path: &str,
        written: &Map<String, Value>,
        problems: &mut Vec<Problem>,
    ) -> Option<&'static dyn AnyKind> {
        let names = || self.kinds.iter().map(|kind| kind.type_name());
        let Some(name) = written.get("type").and_then(Value::as_str) else {
            let problem = Problem::error(path, format!("`{id}` has no `type:`")).at_key().label("needs a type");
            let all: Vec<String> = names().map(|name| format!("`{name}`")).collect();
            problems.push(problem.help(format!("the types are {}", all.join(", "))));
            return None;
        };
        let found = self.kinds.iter().copied().find(|kind| kind.type_name() == name);
        if found.is_none() {
            let problem = Problem::error(join(path, "type"), format!("unknown type `{name}`")).label("unknown type");
            problems.push(problem.maybe_help(suggest::help(name, names())));
        }
        found
    }

    /// Checks an entry against its kind and all others; nothing when it is left out or wrong.
    pub(super) fn finish(
        &self,
        draft: &Draft<'_>,
        drafts: &[Draft<'_>],
        targets: &Targets<'_>,
        links: &mut Vec<Link>,
        problems: &mut Vec<Problem>,
    ) -> Option<Resource> {
        let kind = draft.kind?;
        let mut spec = draft.spec();
        let schema = kind.spec_schema();
        let shape = Shape {
            type_name: kind.type_name(),
            schema,
            fields: kind.fields(),
            path: &draft.path,
            common: &common::KEYS,
        };
        shape.take_unknown(&mut spec, problems);
        if draft.left_out {
            problems.extend(shape.wrong_values(&spec));
            return None;
        }
        let mut common = common::read(draft.id, &draft.path, &draft.fields, kind, problems);
        let on = targets.depends(draft.id, &common.depends_on, &join(&draft.path, "depends_on"), problems);
        common.depends_on = on.0;
        links.extend(on.1);
        links.extend(targets.check(Some(draft.id), &Value::Object(spec.clone()), &draft.path, problems));
        if schema.pointer("/properties/grants").is_some() {
            links.extend(expand(draft, drafts, &mut spec, problems));
        }
        let before = problems.len();
        shape.misplaced(&spec, problems);
        if problems.len() > before || is_unfilled(&spec) {
            return None;
        }
        let spec = self.checked(kind, &shape, spec, problems)?;
        Some(self.resource(draft, kind, spec, common, problems))
    }

    /// Brings a spec to normal form and prepares it.
    fn checked(
        &self,
        kind: &dyn AnyKind,
        shape: &Shape<'_>,
        spec: Map<String, Value>,
        problems: &mut Vec<Problem>,
    ) -> Option<Value> {
        let spec = Value::Object(spec);
        let normal = kind.normal(&spec).map_err(|fault| {
            let mismatches = spec.as_object().map(|spec| shape.mismatches(spec)).unwrap_or_default();
            if mismatches.is_empty() { vec![fault_at(shape.path, fault)] } else { mismatches }
        });
        let files = Files { dir: self.known.dir.to_owned(), stack: self.stack.to_owned() };
        let prepared = normal.and_then(|spec| {
            let placed = |faults: Vec<Fault>| faults.into_iter().map(|fault| fault_at(shape.path, fault)).collect();
            kind.prepare(&spec, &files).map_err(placed)
        });
        prepared.map_err(|told: Vec<Problem>| problems.extend(told)).ok()
    }

    fn resource(
        &self,
        draft: &Draft<'_>,
        kind: &'static dyn AnyKind,
        spec: Value,
        common: Common,
        problems: &mut Vec<Problem>,
    ) -> Resource {
        let mut tags = self.stack_tags.clone();
        tags.extend(common.tags);
        if tags.len() > self.stack_tags.len() {
            common::check_count(&tags, &draft.path, problems);
        }
        Resource {
            id: draft.id.to_owned(),
            kind,
            name: common.name,
            spec,
            depends_on: common.depends_on,
            tags,
            protect: common.protect,
            retain: common.retain,
            ignore_changes: common.ignore_changes,
            hidden: self.hidden_tags.union(&draft.hidden(kind)).cloned().collect(),
            timeouts: common.timeouts,
        }
    }
}

impl Draft<'_> {
    /// Returns what is to be hidden; what is made from local input may have come from any part of it.
    fn hidden(&self, kind: &dyn AnyKind) -> BTreeSet<String> {
        let mut hidden = self.hidden.clone();
        if hidden.iter().any(|path| kind.fields().is_source(path)) {
            hidden.extend(kind.fields().derived());
        }
        hidden
    }

    /// Returns what is not common to all resources.
    fn spec(&self) -> Map<String, Value> {
        let own = |(name, _): &(&String, &Value)| !common::KEYS.contains(&name.as_str());
        self.fields.iter().filter(own).map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

fn expand(
    draft: &Draft<'_>,
    drafts: &[Draft<'_>],
    spec: &mut Map<String, Value>,
    problems: &mut Vec<Problem>,
) -> Vec<Link> {
    let find = |id: &str| {
        let target = drafts.iter().find(|draft| draft.id == id)?;
        Some(match target.kind {
            _ if target.left_out => Target::LeftOut,
            None => Target::Unknown,
            Some(kind) => Target::Kind(kind),
        })
    };
    let ids: Vec<&str> = drafts.iter().map(|draft| draft.id).collect();
    let links = Granting { id: draft.id, path: &draft.path, find, ids: &ids }.expand(spec, problems);
    links.into_iter().filter(|link| ids.contains(&link.to.as_str())).collect()
}

fn check_id(id: &str, path: &str, problems: &mut Vec<Problem>) {
    let mut letters = id.chars();
    let first = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic() || letter == '_');
    let rest = letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-');
    let problem = Problem::error(path, format!("`{id}` cannot be the id of a resource")).at_key();
    if !first || !rest || id.len() > 128 {
        let help = "use letters, digits, `_` and `-`, beginning with a letter; AWS's own name can be given as `name:`";
        problems.push(problem.label("not an id").help(help));
    } else if ["var", "stack", "region", "account", "file"].contains(&id) {
        problems
            .push(problem.label("reserved").help(format!("`${{{id}}}` has a meaning of its own: choose another id")));
    }
}

/// Tells whether a `when:` says no.
fn is_off(when: &Value, path: &str, problems: &mut Vec<Problem>) -> bool {
    if let Some(reference) =
        references(when).iter().find(|reference| matches!(reference, Reference::Output { .. } | Reference::Place(_)))
    {
        let message = format!("`when` cannot use `{reference}`, which the file alone does not tell");
        let problem = Problem::error(join(path, "when"), message).at_text(reference.to_string());
        problems.push(problem.label("not allowed here").help("variables and `${stack}` can be used here"));
        return false;
    }
    match when {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Tells whether a variable or file could not be filled in, which has been reported.
fn is_unfilled(spec: &Map<String, Value>) -> bool {
    let mut found = false;
    for (name, value) in spec {
        each_text(value, name, &mut |text, _| {
            found |= parse(text).map_or(true, |segments| segments.iter().any(is_early));
        });
    }
    found
}

fn is_early(segment: &Segment) -> bool {
    match segment {
        Segment::Reference(Reference::Variable(_) | Reference::File(_), _) => true,
        Segment::Reference(Reference::Place(place), _) => place == "stack",
        _ => false,
    }
}

fn fault_at(path: &str, fault: Fault) -> Problem {
    let at = if fault.path.is_empty() { path.to_owned() } else { join(path, &fault.path) };
    let message = if fault.path.is_empty() { fault.message } else { format!("`{}`: {}", fault.path, fault.message) };
    let problem = Problem::error(at, message).maybe_help(fault.help);
    if fault.path.is_empty() { problem.at_key() } else { problem }
}

/// Refuses two resources of one kind with one name.
pub(super) fn check_names(resources: &IndexMap<String, Resource>, problems: &mut Vec<Problem>) {
    let mut seen: HashMap<(&str, &str), &str> = HashMap::new();
    for resource in resources.values() {
        if resource.kind.naming() == Naming::Assigned {
            continue;
        }
        let place = |id: &str| format!("resources.{id}.name");
        if let Some(first) = seen.insert((resource.kind.type_name(), &resource.name), &resource.id) {
            let message = format!(
                "`{first}` and `{}` are both the {} `{}`",
                resource.id,
                resource.kind.type_name(),
                resource.name
            );
            problems.push(
                Problem::error(place(&resource.id), message)
                    .label("the same name again")
                    .also(place(first), Spot::Value, "first used here")
                    .help("give one of them another `name:`"),
            );
        }
    }
}
