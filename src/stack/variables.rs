//! Variables: their declarations in the file, and the values that a run gives them.
//!
//! Knows nothing of where variables are used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use indexmap::IndexMap;
use serde_json::{Map, Number, Value};

use super::given::Given;
use super::problem::{Problem, Spot, join};
use super::suggest;
use super::text::{describe, parse, read};

/// Shortest secret, in characters, that can be told from ordinary text wherever it shows.
pub const SHORTEST_SECRET: usize = 3;

const PREFIX: &str = "STACKCTL_VAR_";
const FIELDS: [&str; 7] = ["type", "default", "pattern", "enum", "allowed", "sensitive", "description"];
const TYPES: [&str; 4] = ["string", "number", "bool", "list"];

/// Values given from outside, strongest first.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// `--var name=value`; a later one wins.
    pub vars: Vec<(String, String)>,
    /// `--var-file path`; a later one wins.
    pub var_files: Vec<PathBuf>,
    /// `STACKCTL_VAR_name=value`, with or without the prefix.
    pub env: Vec<(String, String)>,
    /// Values that a saved plan was made with.
    pub saved: Vec<(String, Value)>,
}

/// The variables of a stack with their values.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// Values by name; nothing where the value is in error, which has been reported.
    pub(super) values: IndexMap<String, Option<Value>>,
    /// Values of sensitive variables, as text.
    pub(super) secrets: Vec<String>,
    /// Names of sensitive variables with a secret too short to be found in texts.
    pub(super) short: BTreeSet<String>,
    /// What was given from outside the file.
    pub(super) given: BTreeMap<String, Given>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    String,
    Number,
    Bool,
    List,
}

/// One value from outside and where it came from.
struct Source {
    value: Value,
    origin: String,
}

struct Declaration<'a> {
    name: &'a str,
    path: String,
    fields: &'a Map<String, Value>,
    kind: Type,
    sensitive: bool,
}

/// Reads the declarations and finds every variable's value.
pub(super) fn resolve(declared: Option<&Value>, inputs: &Inputs, problems: &mut Vec<Problem>) -> Variables {
    let empty = Map::new();
    let declared = match declared {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(map)) => map,
        Some(other) => {
            let message = format!("`variables` is a mapping of names to declarations, this is {}", describe(other));
            problems.push(Problem::error("variables", message).help(example()));
            &empty
        }
    };
    let given = gather(declared, inputs, problems);
    let mut variables = Variables::default();
    for (name, fields) in declared {
        let known = variables.secrets.len();
        let value = variable(name, fields, given.get(name), &mut variables.secrets, problems);
        if variables.secrets[known..].iter().any(|secret| is_short(secret)) {
            problems.push(short(name));
            variables.short.insert(name.clone());
        }
        if given.contains_key(name) {
            variables.given.insert(name.clone(), Given::of(fields, value.as_ref()));
        }
        variables.values.insert(name.clone(), value);
    }
    variables
}

/// Tells whether a secret is too short to be found: it would stand in every other word.
#[must_use]
pub fn is_short(secret: &str) -> bool {
    secret.chars().count() < SHORTEST_SECRET
}

fn short(name: &str) -> Problem {
    let message = format!("the sensitive variable `{name}` has a value of fewer than {SHORTEST_SECRET} characters");
    let help = "the fields that take it are hidden, but it cannot be found in the messages of AWS: use a longer one";
    Problem::warning(join("variables", name), message).at_key().label("too short to be masked").help(help)
}

fn example() -> &'static str {
    "a declaration looks like `interval: {type: number, default: 5}`"
}

/// Collects values by name, the weakest source first so that stronger ones overwrite.
fn gather(declared: &Map<String, Value>, inputs: &Inputs, problems: &mut Vec<Problem>) -> IndexMap<String, Source> {
    let mut given = IndexMap::new();
    for (name, value) in inputs.saved.iter().filter(|(name, _)| declared.contains_key(name)) {
        given.insert(name.clone(), Source { value: value.clone(), origin: "the saved plan".to_owned() });
    }
    for (name, value) in &inputs.env {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        let origin = format!("{PREFIX}{name}");
        if !declared.contains_key(name) {
            problems.extend(misspelled(name, &origin, declared));
        }
        given.insert(name.to_owned(), Source { value: Value::from(value.as_str()), origin });
    }
    for file in &inputs.var_files {
        for (name, value) in values_of(file, problems) {
            let origin = format!("--var-file {}", file.display());
            unknown(&name, &origin, declared, problems);
            given.insert(name, Source { value, origin });
        }
    }
    for (name, value) in &inputs.vars {
        unknown(name, "--var", declared, problems);
        given.insert(name.clone(), Source { value: Value::from(value.as_str()), origin: "--var".to_owned() });
    }
    given
}

/// An environment may hold variables of other stacks: only a near miss is worth a word.
fn misspelled(name: &str, origin: &str, declared: &Map<String, Value>) -> Option<Problem> {
    let near = suggest::nearest(name, declared.keys().map(String::as_str))?;
    let message = format!("`{origin}` is set, but the stack has no variable `{name}`");
    Some(Problem::warning("variables", message).at_key().help(format!("did you mean `{PREFIX}{near}`?")))
}

fn unknown(name: &str, origin: &str, declared: &Map<String, Value>, problems: &mut Vec<Problem>) {
    if declared.contains_key(name) {
        return;
    }
    let help = suggest::help(name, declared.keys().map(String::as_str));
    problems.push(
        Problem::error("variables", format!("`{origin}` gives `{name}`, but the stack has no such variable"))
            .at_key()
            .label("declared here")
            .maybe_help(help.or_else(|| Some("declare it under `variables:`".to_owned()))),
    );
}

fn values_of(file: &std::path::Path, problems: &mut Vec<Problem>) -> Map<String, Value> {
    let name = file.display().to_string();
    let text = read(file).map_err(|(message, _)| message);
    let parsed = text.and_then(|text| {
        parse(&text, &name).map(|(_, map)| map).map_err(|report| {
            let first = report.diagnostics().into_iter().next();
            first.map_or_else(String::new, |place| format!("line {}: {}", place.line, place.message))
        })
    });
    parsed.unwrap_or_else(|message| {
        let message = format!("could not read the variables of `{name}`: {message}");
        problems.push(Problem::error("variables", message).at_key().help("a variable file has lines `name: value`"));
        Map::new()
    })
}

/// Returns a variable's value; nothing when something is wrong with it.
fn variable(
    name: &str,
    fields: &Value,
    given: Option<&Source>,
    secrets: &mut Vec<String>,
    problems: &mut Vec<Problem>,
) -> Option<Value> {
    let before = problems.len();
    let path = join("variables", name);
    check_name(name, &path, problems);
    let Value::Object(fields) = fields else {
        let message = format!("the declaration of `{name}` is {}, not a mapping", describe(fields));
        problems.push(Problem::error(&path, message).help(example()));
        return None;
    };
    let declaration = declaration(name, path, fields, problems);
    let value = declaration.value(given, secrets, problems);
    value.filter(|_| problems.len() == before)
}

fn check_name(name: &str, path: &str, problems: &mut Vec<Problem>) {
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic() || letter == '_');
    if !first || !letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-') {
        problems.push(
            Problem::error(path, format!("`{name}` cannot be the name of a variable"))
                .at_key()
                .help("use letters, digits, `_` and `-`, beginning with a letter"),
        );
    }
}

fn declaration<'a>(
    name: &'a str,
    path: String,
    fields: &'a Map<String, Value>,
    problems: &mut Vec<Problem>,
) -> Declaration<'a> {
    for field in fields.keys().filter(|field| !FIELDS.contains(&field.as_str())) {
        problems.push(
            Problem::error(join(&path, field), format!("unknown field `{field}` in the declaration of `{name}`"))
                .at_key()
                .label("unknown field")
                .maybe_help(suggest::help(field, FIELDS)),
        );
    }
    let kind = type_of(&path, fields.get("type"), problems);
    let sensitive = match fields.get("sensitive") {
        None => false,
        Some(Value::Bool(sensitive)) => *sensitive,
        Some(other) => {
            let message = format!("`sensitive` is true or false, this is {}", describe(other));
            problems.push(Problem::error(join(&path, "sensitive"), message));
            true
        }
    };
    Declaration { name, path, fields, kind, sensitive }
}

fn type_of(path: &str, given: Option<&Value>, problems: &mut Vec<Problem>) -> Type {
    match given.map(|given| given.as_str()) {
        None | Some(Some("string")) => Type::String,
        Some(Some("number")) => Type::Number,
        Some(Some("bool")) => Type::Bool,
        Some(Some("list")) => Type::List,
        Some(other) => {
            let word = other.unwrap_or("");
            problems.push(
                Problem::error(join(path, "type"), "a variable's type is `string`, `number`, `bool` or `list`")
                    .label("unknown type")
                    .maybe_help(suggest::help(word, TYPES)),
            );
            Type::String
        }
    }
}

impl Declaration<'_> {
    fn value(&self, given: Option<&Source>, secrets: &mut Vec<String>, problems: &mut Vec<Problem>) -> Option<Value> {
        let (raw, origin, path) = match (given, self.fields.get("default")) {
            (Some(given), _) => (&given.value, format!("the value from {}", given.origin), self.path.clone()),
            (None, Some(default)) => (default, "the default".to_owned(), join(&self.path, "default")),
            (None, None) => {
                problems.push(self.missing());
                return None;
            }
        };
        if self.sensitive {
            secrets.extend(texts(raw));
        }
        if raw.is_null() {
            return Some(Value::Null);
        }
        let Some(value) = self.kind.convert(raw) else {
            let shown = if self.sensitive { describe(raw).to_owned() } else { format!("`{}`", plain(raw)) };
            let message = format!("{origin} of variable `{}` is {shown}, not {}", self.name, self.kind.words());
            problems.push(Problem::error(path, message).label(format!("expected {}", self.kind.words())));
            return None;
        };
        self.check_pattern(&value, &origin, &path, problems);
        self.check_allowed(&value, &origin, &path, problems);
        Some(value)
    }

    fn missing(&self) -> Problem {
        let name = self.name;
        Problem::error(&self.path, format!("variable `{name}` has no value and no default"))
            .at_key()
            .label("needs a value")
            .help(format!("give one by `--var {name}=…`, in a `--var-file`, or as `{PREFIX}{name}`"))
    }

    fn check_pattern(&self, value: &Value, origin: &str, path: &str, problems: &mut Vec<Problem>) {
        let Some(pattern) = self.fields.get("pattern").filter(|pattern| !pattern.is_null()) else { return };
        let at = join(&self.path, "pattern");
        let compiled = match pattern.as_str().map(regex::Regex::new) {
            Some(Ok(compiled)) => compiled,
            Some(Err(error)) => {
                let message = format!("`pattern` is not a regular expression: {}", last_line(&error.to_string()));
                return problems.push(Problem::error(at, message));
            }
            None => return problems.push(Problem::error(at, "`pattern` is a regular expression, as text")),
        };
        if texts(value).iter().any(|text| !compiled.is_match(text)) {
            let shown = if self.sensitive { String::new() } else { format!(" `{}`", plain(value)) };
            let message = format!("{origin} of variable `{}`{shown} does not match its pattern", self.name);
            let help = format!("the pattern is `{}`{}", plain(pattern), self.described());
            problems.push(
                Problem::error(path, message).also(at, Spot::Value, "the pattern").label("does not match").help(help),
            );
        }
    }

    fn described(&self) -> String {
        let text = self.fields.get("description").and_then(Value::as_str);
        text.map_or_else(String::new, |text| format!(" ({text})"))
    }

    fn check_allowed(&self, value: &Value, origin: &str, path: &str, problems: &mut Vec<Problem>) {
        let Some((field, allowed)) = ["enum", "allowed"].iter().find_map(|key| Some((*key, self.fields.get(*key)?)))
        else {
            return;
        };
        let Value::Array(allowed) = allowed else {
            let message = format!("`{field}` is a list of values, this is {}", describe(allowed));
            return problems.push(Problem::error(join(&self.path, field), message));
        };
        let fits = |value: &Value| allowed.iter().any(|allowed| self.kind.convert(allowed).as_ref() == Some(value));
        if !fits(value) {
            let shown = if self.sensitive { String::new() } else { format!(" `{}`", plain(value)) };
            let choices: Vec<String> = allowed.iter().map(|value| format!("`{}`", plain(value))).collect();
            let message = format!("{origin} of variable `{}`{shown} is not allowed", self.name);
            problems.push(Problem::error(path, message).help(format!("allowed are {}", choices.join(", "))));
        }
    }
}

impl Type {
    fn words(self) -> &'static str {
        match self {
            Self::String => "text",
            Self::Number => "a number",
            Self::Bool => "`true` or `false`",
            Self::List => "a list, such as `[a, b]` or `a,b`",
        }
    }

    /// Converts a value; text becomes what the type says.
    fn convert(self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Self::String, Value::Number(_) | Value::Bool(_)) => Some(Value::from(value.to_string())),
            (Self::String, Value::String(_))
            | (Self::Number, Value::Number(_))
            | (Self::Bool, Value::Bool(_))
            | (Self::List, Value::Array(_)) => Some(value.clone()),
            (Self::Number, Value::String(text)) => text.trim().parse::<Number>().ok().map(Value::Number),
            (Self::Bool, Value::String(text)) => text.trim().parse::<bool>().ok().map(Value::Bool),
            (Self::List, Value::String(text)) => Some(list(text)),
            _ => None,
        }
    }
}

/// Reads a list from JSON or from words between commas.
fn list(text: &str) -> Value {
    if let Ok(list @ Value::Array(_)) = serde_json::from_str(text) {
        return list;
    }
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    inner.split(',').map(str::trim).filter(|word| !word.is_empty()).map(Value::from).collect()
}

/// Returns a value as its user wrote it.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns the non-empty texts in a scalar or a list.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        scalar => Some(plain(scalar)).filter(|text| !text.is_empty()).into_iter().collect(),
    }
}

/// Returns the last line of a drawn error, which is the reason.
fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(declared: &Value, inputs: &Inputs) -> (Variables, Vec<String>) {
        let mut problems = Vec::new();
        let variables = resolve(Some(declared), inputs, &mut problems);
        let help = |problem: &Problem| problem.help.clone().unwrap_or_default();
        (variables, problems.iter().map(|problem| format!("{}: {}", problem.message, help(problem))).collect())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn the_strongest_source_wins() {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        fs_err::write(file.path(), "a: file\nb: file\n").unwrap();
        let inputs = Inputs {
            vars: vec![pair("a", "var")],
            var_files: vec![file.path().to_owned()],
            env: vec![pair("STACKCTL_VAR_a", "env"), pair("b", "env"), pair("STACKCTL_VAR_c", "env")],
            saved: ["c", "e", "gone"].map(|name| (name.to_owned(), json!("saved"))).into(),
        };
        let declared = json!({"a": {}, "b": {}, "c": {"default": "d"}, "d": {"default": "d"}, "e": {"default": "d"}});
        let (variables, problems) = run(&declared, &inputs);
        assert!(problems.is_empty(), "{problems:?}");
        let values: Vec<String> = variables.values.values().map(|value| plain(value.as_ref().unwrap())).collect();
        assert_eq!(values, ["var", "file", "env", "d", "saved"]);
        assert_eq!(variables.given.into_keys().collect::<Vec<_>>(), ["a", "b", "c", "e"]);
    }

    #[test]
    fn of_a_sensitive_value_only_that_it_was_given_is_remembered() {
        let declared = json!({"pin": {"sensitive": true}, "odd": {"sensitive": 1}, "n": {"type": "number"}});
        let vars = vec![pair("pin", "4242"), pair("odd", "4242"), pair("n", "7")];
        let given = run(&declared, &Inputs { vars, ..Inputs::default() }).0.given;
        assert_eq!(json!(given), json!({"n": {"value": 7}, "odd": "secret", "pin": "secret"}));
    }

    #[test]
    fn text_becomes_the_declared_type() {
        let declared =
            json!({"n": {"type": "number"}, "b": {"type": "bool"}, "l": {"type": "list"}, "j": {"type": "list"}});
        let vars = vec![pair("n", "1.5"), pair("b", "true"), pair("l", "a, b"), pair("j", "[1,\"x\"]")];
        let (variables, problems) = run(&declared, &Inputs { vars, ..Inputs::default() });
        assert!(problems.is_empty(), "{problems:?}");
        let values: Vec<Value> = variables.values.into_values().flatten().collect();
        assert_eq!(json!(values), json!([1.5, true, ["a", "b"], [1, "x"]]));
    }

    #[test]
    fn says_what_is_wrong() {
        let declared = json!({
            "none": {},
            "typo": {"tipe": "number"},
            "kind": {"type": "integer", "default": 1},
            "count": {"type": "number", "default": 1},
            "phone": {"pattern": "^[0-9]+$", "sensitive": true, "description": "Who is told"},
            "size": {"enum": ["small", "large"], "default": "medium"},
            "bad pattern": {"pattern": "(", "default": "x"},
            "short": 5,
        });
        let vars = vec![pair("count", "many"), pair("phone", "secret!"), pair("fone", "1")];
        let (variables, problems) = run(&declared, &Inputs { vars, ..Inputs::default() });
        assert!(variables.values.values().all(Option::is_none));
        assert!(!problems.join("").contains("secret!"));
        insta::assert_snapshot!(problems.join("\n"));
    }

    #[test]
    fn secrets_are_collected_unless_empty() {
        let declared = json!({
            "a": {"sensitive": true, "default": null},
            "b": {"sensitive": true, "default": ""},
            "c": {"sensitive": true, "default": "x"},
        });
        assert_eq!(run(&declared, &Inputs::default()).0.secrets, ["x"]);
    }

    #[test]
    fn a_short_secret_is_told() {
        let declared = json!({"pin": {"sensitive": true}, "key": {"sensitive": true, "default": "abc"}});
        let (variables, problems) = run(&declared, &Inputs { vars: vec![pair("pin", "42")], ..Inputs::default() });
        assert_eq!(
            (variables.short, variables.values["pin"].clone()),
            (BTreeSet::from(["pin".into()]), Some(json!("42")))
        );
        assert!(problems.len() == 1 && problems[0].contains("`pin`") && !problems[0].contains("42"), "{problems:?}");
    }

    #[test]
    fn a_foreign_environment_is_no_error() {
        let declared = json!({"phone": {"default": null}});
        let inputs = Inputs { env: vec![pair("STACKCTL_VAR_other", "1")], ..Inputs::default() };
        assert!(run(&declared, &inputs).1.is_empty());
        let inputs = Inputs { env: vec![pair("STACKCTL_VAR_fone", "1")], ..Inputs::default() };
        assert!(run(&declared, &inputs).1[0].contains("did you mean `STACKCTL_VAR_phone`?"));
    }
}
