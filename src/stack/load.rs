//! From a stack file to a [`Stack`], or to every problem of the file at once.
//!
//! The only place that brings text, variables, kinds and references together; each of them has a module of its own.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::kind::{AnyKind, Tags};

use super::common;
use super::links::{Link, Targets, cycles};
use super::problem::{Problem, Report, Severity, join};
use super::resource::{Draft, Reader};
use super::spans::Source;
use super::substitute::Known;
use super::suggest;
use super::text::{describe, parse, read_stack};
use super::variables::{Variables, resolve};
use super::{Resource, Stack};

pub use super::variables::Inputs;

/// What stands in for an output that takes a secret too short to be found by its text.
const MASK: &str = "(sensitive)";

/// Keys at the top of a stack file.
pub(super) const KEYS: [&str; 11] =
    ["stack", "region", "accounts", "variables", "tags", "resources", "moved", "outputs", "verify", "lock", "drift"];

/// A stack file that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The stack.
    pub stack: Stack,
    /// What the user should know.
    pub warnings: Report,
}

/// Loads and checks a stack file with the registry's kinds.
///
/// # Errors
/// Returns everything that is wrong with the file.
pub fn load(path: &Path, inputs: &Inputs) -> Result<Loaded, Report> {
    load_text(&read_stack(path)?, path, inputs, crate::kinds::all())
}

/// Loads and checks the text of a stack file; `path` says what its own paths are relative to.
///
/// # Errors
/// Returns everything that is wrong with the text.
pub fn load_text(text: &str, path: &Path, inputs: &Inputs, kinds: &[&'static dyn AnyKind]) -> Result<Loaded, Report> {
    let (source, root) = parse(text, &path.to_string_lossy())?;
    let mut problems = Vec::new();
    let variables = resolve(root.get("variables"), inputs, &mut problems);
    let secrets = variables.secrets.clone();
    let report = |problems| Report::new(source.clone(), problems, &secrets);
    let stack = Loader { root: &root, path, variables, kinds }.stack(&source, &mut problems);
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(report(problems));
    }
    problems.extend(crate::checks::run(&stack));
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(report(problems));
    }
    Ok(Loaded { stack, warnings: report(problems) })
}

struct Loader<'a> {
    root: &'a Map<String, Value>,
    path: &'a Path,
    variables: Variables,
    kinds: &'a [&'static dyn AnyKind],
}

impl Loader<'_> {
    fn stack(&self, source: &Source, problems: &mut Vec<Problem>) -> Stack {
        self.check_keys(problems);
        let dir = self.path.parent().map(PathBuf::from).unwrap_or_default();
        let name = self.name(&Known { variables: &self.variables, stack: None, dir: &dir, left_out: false }, problems);
        let known = Known { variables: &self.variables, stack: name.as_deref(), dir: &dir, left_out: false };
        let name = name.clone().unwrap_or_default();
        let tags = common::tags(self.filled("tags", &known, problems).as_ref(), "tags", problems);
        common::check_count(&tags, "", problems);
        let resources = self.resources(&known, &tags, &name, problems);
        Stack {
            region: self.region(&known, problems),
            accounts: self.accounts(&known, problems),
            canary: self.filled("verify", &known, problems).and_then(|section| super::canary::read(&section, problems)),
            lock: self.filled("lock", &known, problems).and_then(|section| super::lock::read(&section, problems)),
            ignore: self.ignore(&known, &resources.0, problems),
            moved: self.moved(problems),
            outputs: resources.1,
            resources: resources.0,
            secrets: self.variables.secrets.clone(),
            given: self.variables.given.clone(),
            file: self.path.to_owned(),
            source: source.clone(),
            name,
        }
    }

    fn ignore(
        &self,
        known: &Known<'_>,
        resources: &IndexMap<String, Resource>,
        problems: &mut Vec<Problem>,
    ) -> Vec<super::ignore::Rule> {
        let Some(section) = self.filled("drift", known, problems) else { return Vec::new() };
        let listed = self.root.get("resources").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        let scope = super::ignore::Scope { resources, listed: listed.map(String::as_str).collect(), kinds: self.kinds };
        super::ignore::read(&section, &scope, problems)
    }

    fn check_keys(&self, problems: &mut Vec<Problem>) {
        for key in self.root.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            problems.push(
                Problem::error(key, format!("unknown field `{key}` of a stack file"))
                    .at_key()
                    .label("unknown field")
                    .maybe_help(suggest::help(key, KEYS)),
            );
        }
    }

    fn filled(&self, key: &str, known: &Known<'_>, problems: &mut Vec<Problem>) -> Option<Value> {
        self.root.get(key).map(|value| known.fill(value, key, problems))
    }

    fn name(&self, known: &Known<'_>, problems: &mut Vec<Problem>) -> Option<String> {
        let before = problems.len();
        let Some(value) = self.filled("stack", known, problems) else {
            let problem = Problem::error("", "`stack:` is missing: the name that the stack is known by");
            problems.push(problem.label("the file").help("write `stack: NAME` at the top"));
            return None;
        };
        if problems.len() > before {
            return None;
        }
        match value {
            Value::String(name) if is_stack_name(&name) => Some(name),
            other => {
                let shown = other.as_str().map_or_else(|| describe(&other).to_owned(), |name| format!("`{name}`"));
                let problem = Problem::error("stack", format!("{shown} cannot be the name of a stack"));
                let help = "use up to 63 lower-case letters, digits and `-`, not beginning with `-`";
                problems.push(problem.label("not a name").help(help));
                None
            }
        }
    }

    fn region(&self, known: &Known<'_>, problems: &mut Vec<Problem>) -> Option<String> {
        match self.filled("region", known, problems)? {
            Value::Null => None,
            Value::String(region) if is_region(&region) => Some(region),
            other => {
                let message = format!("`{}` is not a region", super::variables::plain(&other));
                let problem = Problem::error("region", message).label("not a region");
                problems.push(problem.help("a region looks like `us-east-1`"));
                None
            }
        }
    }

    fn accounts(&self, known: &Known<'_>, problems: &mut Vec<Problem>) -> Vec<String> {
        let Some(value) = self.filled("accounts", known, problems) else { return Vec::new() };
        let items = match value {
            Value::Null => return Vec::new(),
            Value::Array(items) => items,
            other => {
                let message = format!("`accounts` is a list of account numbers, this is {}", describe(&other));
                problems.push(Problem::error("accounts", message).help("write `accounts: [\"123456789012\"]`"));
                return Vec::new();
            }
        };
        let texts: Vec<String> = items.iter().map(super::variables::plain).collect();
        for (index, text) in texts.iter().enumerate() {
            if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                let path = join("accounts", &index.to_string());
                let problem = Problem::error(path, format!("`{text}` is not an account number"));
                problems.push(problem.label("twelve digits").help("write twelve digits in quotes"));
            }
        }
        texts
    }

    fn resources(
        &self,
        known: &Known<'_>,
        tags: &Tags,
        stack: &str,
        problems: &mut Vec<Problem>,
    ) -> (IndexMap<String, Resource>, IndexMap<String, Value>) {
        let empty = Map::new();
        let listed = match self.root.get("resources") {
            None | Some(Value::Null) => &empty,
            Some(Value::Object(listed)) => listed,
            Some(other) => {
                let message = format!("`resources` is a mapping of ids to resources, this is {}", describe(other));
                let problem = Problem::error("resources", message);
                problems.push(problem.help("write each resource as `ID: {type: KIND, …}`"));
                &empty
            }
        };
        let own_tags = self.root.get("tags").map(|tags| json!({"tags": tags})).unwrap_or_default();
        let hidden_tags = known.hidden(&own_tags);
        let reader = Reader { known, kinds: self.kinds, stack_tags: tags, hidden_tags, stack };
        let drafts: Vec<Draft> = listed.iter().map(|(id, value)| reader.draft(id, value, problems)).collect();
        let targets = targets(&drafts);
        let mut links: Vec<Link> = Vec::new();
        let mut finished = IndexMap::new();
        for draft in &drafts {
            let resource = reader.finish(draft, &drafts, &targets, &mut links, problems);
            finished.extend(resource.map(|resource| (draft.id.to_owned(), resource)));
        }
        cycles(&links, problems);
        super::resource::check_names(&finished, problems);
        (finished, self.outputs(known, &targets, problems))
    }

    fn moved(&self, problems: &mut Vec<Problem>) -> IndexMap<String, String> {
        let empty = Map::new();
        let listed = self.root.get("resources").and_then(Value::as_object).unwrap_or(&empty);
        let kind_of = |id: &str| {
            let name = listed.get(id)?.get("type")?.as_str()?;
            self.kinds.iter().copied().find(|kind| kind.type_name() == name)
        };
        super::moves::read(self.root.get("moved"), listed, kind_of, problems)
    }

    fn outputs(
        &self,
        known: &Known<'_>,
        targets: &Targets<'_>,
        problems: &mut Vec<Problem>,
    ) -> IndexMap<String, Value> {
        match self.filled("outputs", known, problems) {
            None | Some(Value::Null) => IndexMap::new(),
            Some(Value::Object(outputs)) => {
                targets.check(None, &Value::Object(outputs.clone()), "outputs", problems);
                let hidden = self.root.get("outputs").map(|written| known.hidden(written)).unwrap_or_default();
                let is_hidden = |name: &str| hidden.iter().any(|path| path.split('.').next() == Some(name));
                let shown = |(name, value): (String, Value)| {
                    let value = if is_hidden(&name) { MASK.into() } else { value };
                    (name, value)
                };
                outputs.into_iter().map(shown).collect()
            }
            Some(other) => {
                let message = format!("`outputs` is a mapping of names to values, this is {}", describe(&other));
                problems.push(Problem::error("outputs", message).help("write `NAME: ${ID.OUTPUT}`"));
                IndexMap::new()
            }
        }
    }
}

fn targets<'a>(drafts: &[Draft<'a>]) -> Targets<'a> {
    let outputs = |draft: &Draft<'a>| {
        let schema = draft.kind?.output_schema();
        let names = schema.get("properties")?.as_object()?.keys().cloned().collect();
        Some(names)
    };
    Targets {
        outputs: drafts.iter().map(|draft| (draft.id, outputs(draft))).collect(),
        left_out: drafts.iter().filter(|draft| draft.left_out).map(|draft| draft.id).collect(),
    }
}

/// Tells whether a text can be the name of a stack.
#[must_use]
pub fn is_stack_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.bytes().next().is_some_and(letter)
        && name.bytes().all(|byte| letter(byte) || byte == b'-')
}

fn is_region(region: &str) -> bool {
    let parts: Vec<&str> = region.split('-').collect();
    parts.len() >= 3
        && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        && region == region.to_lowercase()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::stack::fake;
    use proptest::prelude::*;
    use serde_json::json;

    const EVERY_KEY: &str = include_str!("testdata/every_key.yaml");

    #[test]
    fn every_key_arrives() {
        let stack = fake::load(EVERY_KEY).unwrap().stack;
        assert_eq!((stack.name.as_str(), stack.region.as_deref()), ("every-key", Some("eu-central-1")));
        assert_eq!(stack.accounts, ["123456789012"]);
        assert_eq!(stack.resources.keys().collect::<Vec<_>>(), ["orders", "role"]);
        let orders = &stack.resources["orders"];
        assert_eq!(orders.name, "orders-every-key");
        let spec = json!({"shard_count": 2, "mode": "ON_DEMAND", "kms_key": null, "hash": "hash in every-key"});
        assert_eq!(orders.spec, spec);
        assert_eq!(json!(orders.tags), json!({"owner": "me", "project": "tickets", "version": "3"}));
        assert!(orders.retain && !orders.protect);
        assert_eq!(orders.ignore_changes, ["shard_count"]);
        assert_eq!(orders.timeouts["delete"], Duration::from_mins(90));
        assert_eq!(stack.outputs["arn"], json!("${orders.arn}"));
    }

    #[test]
    fn what_is_left_out_is_neither_waited_for_nor_granted() {
        let role = &fake::load(EVERY_KEY).unwrap().stack.resources["role"];
        assert_eq!(role.depends_on, ["orders"]);
        assert_eq!(role.spec["inline_policies"]["grants"]["Statement"].as_array().unwrap().len(), 1);
        let loaded = fake::load_with(EVERY_KEY, &[("key", "k1")]).unwrap();
        let role = &loaded.stack.resources["role"];
        assert_eq!(role.depends_on, ["orders", "extra"]);
        assert_eq!(role.spec["inline_policies"]["grants"]["Statement"].as_array().unwrap().len(), 2);
        assert_eq!(loaded.stack.secrets, ["k1"]);
        assert_eq!(loaded.stack.resources["orders"].spec["kms_key"], json!("k1"));
    }

    #[test]
    fn what_is_left_out_needs_no_texts_but_right_types() {
        let text = "stack: s\nvariables: {key: {default: null}}\nresources:\n  a: {type: fake_stream, when: \"${var.key}\", \
                    kms_key: \"key ${var.key}\", shard_count: ";
        assert!(fake::load(&format!("{text}2}}\n")).unwrap().stack.resources.is_empty());
        let problems = fake::problems(&format!("{text}many, hsh: x}}\n"));
        assert!(problems.contains("`shard_count` is") && problems.contains("unknown field `hsh`"), "{problems}");
        let problems = fake::problems(&text.replace("when: \"${var.key}\", ", "").replace(", shard_count: ", "}\n"));
        assert!(problems.contains("is null and cannot be part of a text"), "{problems}");
    }

    #[test]
    fn prepared_fields_and_faults_have_places() {
        let text = "stack: s\nresources:\n  orders: {type: fake_stream, shard_count: 0, hash: x}\n";
        insta::assert_snapshot!(fake::problems(text));
    }

    #[test]
    fn a_secret_of_the_wrong_type_does_not_show() {
        let text = "stack: s\nvariables: {key: {sensitive: true}}\nresources:\n  a: {type: fake_stream, shard_count: \
                    \"${var.key}\", name: \"${var.key} x\"}\n";
        let report = fake::load_with(text, &[("key", "hunter2")]).unwrap_err();
        let shown = report.render(false, 100);
        assert!(!shown.contains("hunter2") && shown.contains("(sensitive)"), "{shown}");
    }

    #[test]
    fn a_wrong_variable_is_told_once() {
        let text = "stack: s\nvariables: {n: {type: number}}\nresources:\n  a: {type: fake_stream, shard_count: \
                    \"${var.n}\"}\n  b: {type: fake_stream, when: \"${var.n}\"}\n";
        assert_eq!(fake::load(text).unwrap_err().problems.len(), 1, "{}", fake::problems(text));
    }

    #[test]
    fn loading_is_linear() {
        let one = |index: usize| format!("  r{index}: {{type: fake_role, service: \"${{r{}.arn}}\"}}\n", index + 1);
        let resources: String = (0..3_000).map(one).collect();
        let text = format!("stack: s\nresources:\n{resources}  r3000: {{type: fake_role, service: x}}\n");
        let start = std::time::Instant::now();
        assert_eq!(fake::load(&text).unwrap().stack.resources.len(), 3_001);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn any_text_is_loaded_or_refused(text in ".{0,200}") {
            let _ = fake::load(&text).map_err(|report| report.render(false, 80));
        }

        #[test]
        fn any_cut_and_change_of_a_good_file_is_loaded_or_refused(
            from in 0..EVERY_KEY.len(),
            length in 0_usize..30,
            with in "[-{}\\[\\]:,&*!|>\"'#$ \\na-c0-9é]{0,6}",
        ) {
            let mut bytes = EVERY_KEY.as_bytes().to_vec();
            let end = (from + length).min(bytes.len());
            bytes.splice(from..end, with.bytes());
            let text = String::from_utf8_lossy(&bytes);
            let _ = fake::load(&text).map_err(|report| report.render(true, 80));
        }
    }
}
