//! From a stack file to a [`Stack`], or to every problem of the file at once.
//!
//! The only place that brings text, variables, kinds and references together; each of them has a module of its own.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::{Map, Value};

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

/// Keys at the top of a stack file.
pub(super) const KEYS: [&str; 7] = ["stack", "region", "accounts", "variables", "tags", "resources", "outputs"];

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
    load_text(&read_stack(path)?, path, inputs, crate::kinds::KINDS)
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
        let name = self.name(&Known { variables: &self.variables, stack: None, dir: &dir }, problems);
        let known = Known { variables: &self.variables, stack: name.as_deref(), dir: &dir };
        let name = name.clone().unwrap_or_default();
        let tags = common::tags(self.filled("tags", &known, problems).as_ref(), "tags", problems);
        common::check_count(&tags, "", problems);
        let resources = self.resources(&known, &tags, &name, problems);
        Stack {
            region: self.region(&known, problems),
            accounts: self.accounts(&known, problems),
            outputs: resources.1,
            resources: resources.0,
            secrets: self.variables.secrets.clone(),
            file: self.path.to_owned(),
            source: source.clone(),
            name,
        }
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
        let reader = Reader { known, kinds: self.kinds, stack_tags: tags, stack };
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
                outputs.into_iter().collect()
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

fn is_stack_name(name: &str) -> bool {
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
