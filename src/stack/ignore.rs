//! `drift:` of a stack file: what the drift check is to overlook, why, and until when.
//!
//! Reads and checks the rules. Knows nothing of what a drift check finds but the names of its classes.

use glob::Pattern;
use indexmap::IndexMap;
use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::diff::path_matches;
use crate::kind::AnyKind;

use super::Resource;
use super::problem::{Problem, join};
use super::suggest;
use super::text::describe;

/// Classes of findings that can be ignored. What could not be read cannot: the check would claim to be complete.
pub const CLASSES: [&str; 8] =
    ["look_alike", "missing", "stopped", "both", "drifted", "undeclared", "orphan", "pending"];

const KEYS: [&str; 5] = ["resource", "path", "classes", "reason", "expires"];

/// Where the rules stand in the file.
const PLACE: &str = "drift.ignore";

/// Something that the drift check is to overlook.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Logical ids, with `*` and `?`.
    pub resource: Pattern,
    /// Dotted path of fields, `*` standing for one step; none for the resource as a whole.
    pub path: Option<String>,
    /// Classes, by name; empty for all that can be ignored.
    pub classes: Vec<String>,
    /// Why.
    pub reason: String,
    /// The last day on which the rule holds.
    pub expires: Option<Date>,
}

impl Rule {
    /// Tells whether a finding is to be overlooked.
    #[must_use]
    pub fn covers(&self, id: &str, class: &str, path: &str) -> bool {
        let is_meant = self.classes.is_empty() || self.classes.iter().any(|name| name == class);
        CLASSES.contains(&class)
            && is_meant
            && self.resource.matches(id)
            && self.path.as_ref().is_none_or(|pattern| path_matches(pattern, path))
    }

    /// Names what the rule is about.
    #[must_use]
    pub fn subject(&self) -> String {
        let path = self.path.iter().map(|path| format!(" {path}"));
        path.fold(self.resource.to_string(), |subject, path| subject + &path)
    }
}

/// What rules can be about.
pub(super) struct Scope<'a> {
    /// The resources that are wanted.
    pub(super) resources: &'a IndexMap<String, Resource>,
    /// Ids of the file, with those that are left out.
    pub(super) listed: Vec<&'a str>,
    /// What there is at all.
    pub(super) kinds: &'a [&'static dyn AnyKind],
}

/// Reads the section.
pub(super) fn read(section: &Value, scope: &Scope<'_>, problems: &mut Vec<Problem>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (index, item) in items(section, problems).iter().enumerate() {
        let path = join(PLACE, &index.to_string());
        if let Some(rule) = rule(item, &path, problems) {
            scope.check_resource(&rule, &path, problems);
            scope.check_path(&rule, &path, problems);
            rules.push(rule);
        }
    }
    rules
}

fn items<'a>(section: &'a Value, problems: &mut Vec<Problem>) -> &'a [Value] {
    let example = "write `drift: {ignore: [{resource: ID, path: FIELD, reason: TEXT, expires: 2027-01-31}]}`";
    let mut refuse = |path: &str, what: &str, value: &Value| {
        problems.push(Problem::error(path, format!("{what}, this is {}", describe(value))).help(example));
    };
    match section {
        Value::Null => &[],
        Value::Object(map) => {
            let list = match map.get("ignore") {
                None | Some(Value::Null) => &[],
                Some(Value::Array(items)) => items.as_slice(),
                Some(other) => {
                    refuse(PLACE, "`ignore` is a list of rules", other);
                    &[]
                }
            };
            check_keys(map, "drift", &["ignore"], problems);
            list
        }
        other => {
            refuse("drift", "`drift` is a mapping", other);
            &[]
        }
    }
}

fn check_keys(map: &Map<String, Value>, path: &str, known: &[&'static str], problems: &mut Vec<Problem>) {
    for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
        let owner = if path == "drift" { "`drift`" } else { "an ignore rule" };
        let problem = Problem::error(join(path, key), format!("unknown field `{key}` of {owner}")).at_key();
        problems.push(problem.label("unknown field").maybe_help(suggest::help(key, known.iter().copied())));
    }
}

fn rule(item: &Value, path: &str, problems: &mut Vec<Problem>) -> Option<Rule> {
    let Value::Object(map) = item else {
        let problem = Problem::error(path, format!("an ignore rule is a mapping, this is {}", describe(item)));
        problems.push(problem.help("write `- {resource: ID, reason: TEXT}`"));
        return None;
    };
    let before = problems.len();
    check_keys(map, path, &KEYS, problems);
    let field = Fields { map, path };
    let resource = field.text("resource", true, problems).and_then(|text| field.pattern(&text, problems));
    let steps = field.text("path", false, problems);
    let classes = field.classes(problems);
    let reason = field.text("reason", true, problems);
    let expires = field.text("expires", false, problems).and_then(|text| field.date(&text, problems));
    (problems.len() == before).then_some(())?;
    Some(Rule { resource: resource?, path: steps, classes, reason: reason?, expires })
}

struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: &'a str,
}

impl Fields<'_> {
    fn text(&self, key: &str, required: bool, problems: &mut Vec<Problem>) -> Option<String> {
        match self.map.get(key).filter(|value| !value.is_null()) {
            Some(Value::String(text)) if !text.trim().is_empty() => return Some(text.clone()),
            Some(other) => {
                let problem =
                    Problem::error(join(self.path, key), format!("`{key}` is text, this is {}", shown(other)));
                problems.push(problem.label("expected text"));
            }
            None if required => {
                let problem = Problem::error(self.path, format!("an ignore rule without `{key}`")).label("incomplete");
                problems.push(problem.help(match key {
                    "reason" => "say why it is to be ignored, for those who come after",
                    _ => "name a resource by its key, or several with `*`",
                }));
            }
            None => {}
        }
        None
    }

    fn pattern(&self, text: &str, problems: &mut Vec<Problem>) -> Option<Pattern> {
        let refuse = |error: &glob::PatternError| {
            let at = join(self.path, "resource");
            let problem = Problem::error(at, format!("`{text}` is not a pattern: {}", error.msg));
            problem.label("not a pattern").help("`*` stands for any letters, `?` for one")
        };
        Pattern::new(text).map_err(|error| problems.push(refuse(&error))).ok()
    }

    fn classes(&self, problems: &mut Vec<Problem>) -> Vec<String> {
        let path = join(self.path, "classes");
        let items = match self.map.get("classes") {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) if !items.is_empty() => items,
            Some(other) => {
                let what = if other.as_str().is_some() { "text" } else { shown(other) };
                let message = format!("`classes` is a list of classes, this is {what}");
                problems
                    .push(Problem::error(path, message).help("write `classes: [drifted]`, or leave it out for all"));
                return Vec::new();
            }
        };
        let mut classes = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let name = super::variables::plain(item);
            if CLASSES.contains(&name.as_str()) {
                classes.push(name);
                continue;
            }
            let problem =
                Problem::error(join(&path, &index.to_string()), format!("`{name}` is not a class that can be ignored"));
            problems.push(problem.label("unknown class").maybe_help(suggest::help(&name, CLASSES)));
        }
        classes
    }

    fn date(&self, text: &str, problems: &mut Vec<Problem>) -> Option<Date> {
        let date = text.parse().ok().filter(|date: &Date| date.to_string() == text);
        if date.is_none() {
            let problem = Problem::error(join(self.path, "expires"), format!("`{text}` is not a date"));
            problems.push(problem.label("not a date").help("write it as year, month and day: `2027-01-31`"));
        }
        date
    }
}

fn shown(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "empty",
        Value::Array(items) if items.is_empty() => "an empty list",
        other => describe(other),
    }
}

impl Scope<'_> {
    /// Warns only: a rule may be about what the file listed before, which the check finds as an orphan.
    fn check_resource(&self, rule: &Rule, path: &str, problems: &mut Vec<Problem>) {
        let for_orphans = rule.classes.iter().any(|class| class == "orphan");
        if for_orphans || self.listed.iter().any(|id| rule.resource.matches(id)) {
            return;
        }
        let problem = Problem::warning(join(path, "resource"), format!("no resource is called `{}`", rule.resource));
        let near = suggest::nearest(rule.resource.as_str(), self.listed.iter().copied());
        let help = near.map(|near| format!("did you mean `{near}`?"));
        let orphans = || "for what the file no longer lists, say `classes: [orphan]`".to_owned();
        problems.push(problem.label("unknown resource").help(help.unwrap_or_else(orphans)));
    }

    /// Refuses a path that none of the resources can have.
    fn check_path(&self, rule: &Rule, path: &str, problems: &mut Vec<Problem>) {
        let Some(first) = rule.path.as_ref().and_then(|steps| steps.split('.').next()) else { return };
        let meant = self.resources.values().filter(|resource| rule.resource.matches(&resource.id));
        let fields: Vec<&str> = meant.flat_map(fields_of).collect();
        // What hangs on a resource and is not listed stands at the name of its type.
        let is_type = self.kinds.iter().any(|kind| kind.type_name() == first);
        if fields.is_empty() || is_type || ["*", "tags"].contains(&first) || fields.contains(&first) {
            return;
        }
        let message = format!("no resource called `{}` has a field `{first}`", rule.resource);
        let problem = Problem::error(join(path, "path"), message).label("unknown field");
        problems.push(problem.maybe_help(suggest::help(first, fields)));
    }
}

fn fields_of(resource: &Resource) -> impl Iterator<Item = &'static str> + use<> {
    let properties = resource.kind.spec_schema().get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(|fields| fields.keys().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::stack::fake;

    const FILE: &str = "stack: s\nvariables: {why: {default: by hand}}\nresources:\n  orders: {type: fake_stream}\n  \
                        audit: {type: fake_role, service: x}\n  off: {type: fake_role, service: x, when: false}\n";

    fn file(rules: &str) -> String {
        format!("{FILE}drift:\n  ignore:\n{rules}")
    }

    #[test]
    fn rules_are_read() {
        let text = file(
            "    - {resource: 'o*', path: shard_count, classes: [drifted, both], reason: '${var.why}', expires: 2027-01-31}\n    \
             - {resource: gone, classes: [orphan], reason: kept}\n    - {resource: 'off', path: tags.x, reason: r}\n    \
             - {resource: audit, path: fake_stream, reason: r}\n",
        );
        let loaded = fake::load(&text).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings.problems);
        let rules = loaded.stack.ignore;
        assert_eq!(rules.len(), 4);
        assert_eq!((rules[0].reason.as_str(), rules[0].subject().as_str()), ("by hand", "o* shard_count"));
        assert_eq!(rules[0].expires.unwrap().to_string(), "2027-01-31");
        assert!(rules[0].covers("orders", "drifted", "shard_count") && rules[0].covers("o", "both", "shard_count.0"));
        assert!(
            !rules[0].covers("orders", "pending", "shard_count") && !rules[0].covers("audit", "both", "shard_count")
        );
        assert!(!rules[2].covers("off", "unreadable", "tags.x") && !rules[2].covers("off", "drifted", "tags"));
    }

    #[test]
    fn nothing_is_no_rule() {
        for text in ["drift:\n", "drift: {}\n", "drift: {ignore: }\n", "drift: {ignore: []}\n"] {
            assert!(fake::load(&format!("{FILE}{text}")).unwrap().stack.ignore.is_empty(), "{text}");
        }
    }

    #[test]
    fn wrong_rules_are_told() {
        let rules = "    - {resource: orders, path: shard_cuont, reason: r}\n    - {resource: orders}\n    \
                     - {resource: '[', reason: r}\n    - {reason: r, resuorce: x}\n    - text\n    \
                     - {resource: orders, reason: ' ', expires: 31.01.2027, classes: [drifed, unreadable]}\n    \
                     - {resource: orders, reason: [r], expires: 2027-1-1, classes: drifted}\n";
        insta::assert_snapshot!(fake::problems(&file(rules)));
        let others = ["drift: [x]", "drift: {ignore: x}", "drift: {ignored: []}"];
        let told: Vec<String> = others.iter().map(|text| fake::messages(&format!("{FILE}{text}\n"))).collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn a_rule_for_nobody_is_a_warning() {
        let loaded =
            fake::load(&file("    - {resource: oders, reason: r}\n    - {resource: zzz, reason: r}\n")).unwrap();
        let told = loaded.warnings.render(false, 100);
        assert!(told.contains("did you mean `orders`?") && told.contains("say `classes: [orphan]`"), "{told}");
    }

    proptest! {
        #[test]
        fn any_rule_is_read_or_refused(key in "[a-z]{0,9}", value in "[ -~]{0,12}") {
            let rule = serde_json::json!({"resource": "orders", "reason": "r", key: value});
            let text = format!("{FILE}drift: {{ignore: [{rule}]}}\n");
            let _ = fake::load(&text).map_err(|report| report.render(false, 80));
        }
    }
}
