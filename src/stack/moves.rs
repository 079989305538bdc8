//! `moved:`, which says what a resource was called before, so that its object is not made anew.
//!
//! Knows ids and names; what carries an id in AWS is told elsewhere.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::problem::{Problem, Spot, join};
use super::suggest;
use super::text::describe;
use crate::kind::{AnyKind, Naming};

const SECTION: &str = "moved";

/// Reads the section; `resources` is what the file lists, `kinds` the kind of each where it is known.
pub(super) fn read(
    section: Option<&Value>,
    resources: &Map<String, Value>,
    kind_of: impl Fn(&str) -> Option<&'static dyn AnyKind>,
    problems: &mut Vec<Problem>,
) -> IndexMap<String, String> {
    let entries = match section {
        None | Some(Value::Null) => return IndexMap::new(),
        Some(Value::Object(entries)) => entries,
        Some(other) => {
            let message = format!("`moved` is a mapping of old ids to new ones, this is {}", describe(other));
            problems.push(Problem::error(SECTION, message).help("write `moved: {OLD: NEW}`"));
            return IndexMap::new();
        }
    };
    let mut moved = IndexMap::new();
    for (old, new) in entries {
        let at = join(SECTION, old);
        let Some(new) = new.as_str() else {
            let message = format!("the new id of `{old}` is {}, not text", describe(new));
            problems.push(Problem::error(at, message).label("expected an id"));
            continue;
        };
        if let Some(problem) = fault(old, new, entries, resources, &at) {
            problems.push(problem);
            continue;
        }
        problems.extend(renamed(old, new, resources, kind_of(new), &at));
        moved.insert(old.clone(), new.to_owned());
    }
    moved
}

fn fault(
    old: &str,
    new: &str,
    entries: &Map<String, Value>,
    resources: &Map<String, Value>,
    at: &str,
) -> Option<Problem> {
    if old == new {
        return Some(Problem::error(at, format!("`{old}` is moved to itself")).label("the same id"));
    }
    if resources.contains_key(old) {
        let problem = Problem::error(at, format!("`{old}` is moved to `{new}`, but it is still in the file")).at_key();
        let problem = problem.label("moved away").also(join("resources", old), Spot::Key, "still here");
        return Some(problem.help("remove one of the two: the object in AWS can be only one of them"));
    }
    if let Some(next) = entries.get(new) {
        let last = next.as_str().unwrap_or_default();
        let problem =
            Problem::error(at, format!("`{old}` is moved to `{new}`, which is moved itself")).label("not the last id");
        let problem = problem.also(join(SECTION, new), Spot::Key, "moved here again");
        let help = if resources.contains_key(last) {
            format!("write `{old}: {last}`: each entry leads straight to an id of today")
        } else {
            "each entry leads straight to an id of today".to_owned()
        };
        return Some(problem.help(help));
    }
    if !resources.contains_key(new) {
        let problem = Problem::error(at, format!("there is no resource `{new}`")).label("unknown resource");
        return Some(problem.maybe_help(suggest::help(new, resources.keys().map(String::as_str))));
    }
    None
}

/// Warns of a name that changes with the id: then the object is made anew after all.
fn renamed(
    old: &str,
    new: &str,
    resources: &Map<String, Value>,
    kind: Option<&'static dyn AnyKind>,
    at: &str,
) -> Option<Problem> {
    let named = resources.get(new).and_then(|fields| fields.get("name")).is_some_and(|name| !name.is_null());
    let kind = kind.filter(|kind| kind.naming() != Naming::Assigned && !named)?;
    let message = format!(
        "`{new}` has no `name:`, so the {} is called `{new}`, and one called `{old}` is made anew",
        kind.title()
    );
    let help = format!("add `name: {old}` to `{new}` to keep the object, if that is what it is called in AWS");
    Some(Problem::warning(at, message).label("its name changes with its id").help(help))
}

#[cfg(test)]
mod tests {
    use crate::stack::fake;

    fn file(moved: &str) -> String {
        format!(
            "stack: s\nmoved: {moved}\nresources:\n  new: {{type: fake_stream, name: keep}}\n  plain: {{type: fake_stream}}\n"
        )
    }

    #[test]
    fn entries_lead_to_ids_of_today() {
        let loaded = fake::load(&file("{old: new, older: new}")).unwrap();
        assert_eq!(
            loaded.stack.moved.iter().map(|(old, new)| format!("{old}>{new}")).collect::<Vec<_>>(),
            ["old>new", "older>new"]
        );
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings.render(false, 100));
        assert!(fake::load(&file("null")).unwrap().stack.moved.is_empty());
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        insta::assert_snapshot!(fake::problems(&file("{a: b, b: new, c: c, plain: new, d: nwe, e: 5, x: y, y: x}")));
        assert!(fake::messages(&file("[old]")).contains("a mapping of old ids"));
    }

    #[test]
    fn a_name_that_changes_with_the_id_is_told() {
        let warnings = fake::load(&file("{old: plain}")).unwrap().warnings;
        insta::assert_snapshot!(warnings.render(false, 100));
    }
}
