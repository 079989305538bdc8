//! Whether the parts of an Analytics application fit its SQL.
//!
//! AWS accepts an output whose name no stream of the SQL has, and then delivers nothing (`facts/aws.md` 2.8); a query
//! that reads a stream which is not there fails only when the application is made.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::stack::{Problem, Resource, Stack, suggest};

use super::sql::{Name, Script, read};
use super::{of_kind, path_of};

/// The stream in which the service itself puts records that cannot be processed.
const ERROR_STREAM: &str = "error_stream";

/// Checks every application.
pub(super) fn check(stack: &Stack) -> Vec<Problem> {
    of_kind(stack, "kinesis_analytics_application").flat_map(application).collect()
}

fn application(resource: &Resource) -> Vec<Problem> {
    let view = View { resource, script: read(code_of(resource)), given: given(&resource.spec) };
    let mut problems = view.outputs();
    problems.extend(view.sources());
    problems.extend(view.targets());
    problems
}

fn code_of(resource: &Resource) -> &str {
    resource.spec.get("application_code").and_then(Value::as_str).unwrap_or_default()
}

/// One application with its SQL read.
struct View<'a> {
    resource: &'a Resource,
    script: Script,
    /// Streams and tables that are there before the SQL runs.
    given: BTreeSet<String>,
}

/// Lists in-application names that inputs and reference data make: `PREFIX_001` and so on for each parallel stream.
fn given(spec: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::from([ERROR_STREAM.to_owned()]);
    for input in list(spec, "inputs") {
        let count = input.pointer("/input_parallelism/count").and_then(Value::as_u64).unwrap_or(1).clamp(1, 64);
        if let Some(prefix) = input.get("name_prefix").and_then(Value::as_str) {
            names.extend((1..=count).map(|number| format!("{prefix}_{number:03}")));
        }
    }
    let tables = list(spec, "reference_data_sources").iter().filter_map(|table| table.get("table_name")?.as_str());
    names.extend(tables.map(str::to_owned));
    names
}

fn list<'a>(spec: &'a Value, field: &str) -> &'a [Value] {
    spec.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

impl View<'_> {
    fn code(&self) -> &str {
        code_of(self.resource)
    }

    fn created(&self) -> impl Iterator<Item = &str> + Clone {
        self.script.streams.iter().map(|stream| stream.text.as_str())
    }

    fn outputs(&self) -> Vec<Problem> {
        let named = |(index, output): (usize, &Value)| Some((index, output.get("name")?.as_str()?.to_owned()));
        let outputs = list(&self.resource.spec, "outputs").iter().enumerate().filter_map(named);
        outputs.filter_map(|(index, name)| self.output(index, &name)).collect()
    }

    fn output(&self, index: usize, name: &str) -> Option<Problem> {
        let path = path_of(self.resource, &format!("outputs.{index}.name"));
        if name == ERROR_STREAM || name.contains("${") {
            return None;
        }
        let Some(stream) = self.script.streams.iter().find(|stream| stream.text == name) else {
            return Some(self.unbound(name, &path));
        };
        if self.script.targets.iter().any(|target| target.text == name) {
            return None;
        }
        let message = format!("nothing fills `{name}`: the SQL creates it, but no pump inserts into it");
        let help =
            format!("it is created in line {} of the SQL; add a pump with `INSERT INTO \"{name}\"`", stream.line);
        Some(Problem::warning(path, message).label("would deliver nothing").help(help))
    }

    fn unbound(&self, name: &str, path: &str) -> Problem {
        let near = suggest::nearest(name, self.created());
        let place = |found: &Name| format!("`{}`, line {} of the SQL", found.text, found.line);
        let help = match (near, &self.script.streams[..]) {
            (Some(near), streams) => {
                let stream = streams.iter().find(|stream| stream.text == near);
                format!("did you mean {}?", stream.map_or_else(String::new, place))
            }
            (None, []) => "the SQL creates no stream: add `CREATE OR REPLACE STREAM`".to_owned(),
            (None, streams) => {
                format!("the SQL creates {}", streams.iter().map(place).collect::<Vec<_>>().join(", "))
            }
        };
        let message = format!("output `{name}` is no stream that the SQL creates, so AWS would deliver nothing");
        // What is left as it is in AWS was not written here, and refusing it would refuse to look after the rest.
        if self.resource.ignore_changes.iter().any(|ignored| ignored == "outputs") {
            return Problem::warning(path, message).label("no such in-application stream").help(help);
        }
        Problem::error(path, message).label("no such in-application stream").help(help)
    }

    fn sources(&self) -> Vec<Problem> {
        self.script.sources.iter().filter_map(|source| self.source(source)).collect()
    }

    fn source(&self, source: &Name) -> Option<Problem> {
        let made = self.script.streams.iter().chain(&self.script.views).filter(|made| made.text == source.text);
        let first = made.min_by_key(|made| made.order);
        if self.given.contains(&source.text) || first.is_some_and(|made| made.order < source.order) {
            return None;
        }
        if let Some(later) = first {
            return Some(self.too_early(source, later, "read"));
        }
        let known = self.given.iter().map(String::as_str).filter(|name| *name != ERROR_STREAM).chain(self.created());
        let message = format!("the SQL reads `{}`, which is no input and no stream that it creates", source.text);
        Some(self.in_sql(source, &message).maybe_help(quoting(&source.text, known)))
    }

    fn targets(&self) -> Vec<Problem> {
        self.script.targets.iter().filter_map(|target| self.target(target)).collect()
    }

    fn target(&self, target: &Name) -> Option<Problem> {
        let stream = self.script.streams.iter().find(|stream| stream.text == target.text);
        match stream {
            Some(stream) if stream.order < target.order => None,
            Some(later) => Some(self.too_early(target, later, "filled")),
            None => {
                let message = format!("a pump inserts into `{}`, which the SQL does not create", target.text);
                Some(self.in_sql(target, &message).maybe_help(quoting(&target.text, self.created())))
            }
        }
    }

    fn too_early(&self, used: &Name, made: &Name, verb: &str) -> Problem {
        let message = format!("`{}` is {verb} before the SQL creates it", used.text);
        self.in_sql(used, &message).help(format!("move its creation, now in line {}, before this", made.line))
    }

    fn in_sql(&self, name: &Name, message: &str) -> Problem {
        let place = format!("line {}, column {} of the SQL", name.line, name.column);
        let path = path_of(self.resource, "application_code");
        let line = self.code().lines().nth(name.line - 1).unwrap_or_default().trim();
        Problem::error(path, format!("{message} ({place})")).at_text(line).label(place)
    }
}

/// Suggests a name; one that differs only in case wants quotes.
fn quoting<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    let same = known.clone().find(|known| known.to_uppercase() == name && *known != name);
    same.map(|known| format!("write \"{known}\" in double quotes: without them SQL means `{name}`"))
        .or_else(|| suggest::help(name, known))
}

#[cfg(test)]
mod tests {
    use crate::stack::fake;

    fn file(code: &str, output: &str) -> String {
        let code = code.replace('\n', "\n      ");
        format!(
            "stack: s\nresources:\n  app:\n    type: kinesis_analytics_application\n    inputs: [{{name_prefix: SRC, \
             input_parallelism: {{count: 2}}}}]\n    reference_data_sources: [{{table_name: ref}}]\n    outputs: \
             [{{name: {output}}}]\n    application_code: |\n      {code}\n"
        )
    }

    const GOOD: &str = "CREATE STREAM \"DEST\" (a INTEGER);\nCREATE PUMP p AS INSERT INTO \"DEST\"\nSELECT STREAM a \
                        FROM \"SRC_002\" JOIN \"ref\" ON a = b;";

    #[test]
    fn a_fitting_application_has_only_the_notice() {
        let warnings = fake::load(&file(GOOD, "DEST")).unwrap().warnings;
        assert_eq!(warnings.problems.len(), 1, "{}", warnings.render(false, 100));
        assert!(fake::load(&file(GOOD, "error_stream")).is_ok());
    }

    #[test]
    fn an_output_that_the_sql_never_creates_is_refused() {
        insta::assert_snapshot!(fake::problems(&file(GOOD, "IN_APP_STREAM")));
        assert!(fake::messages(&file(GOOD, "dest")).contains("did you mean `DEST`, line 1 of the SQL?"));
    }

    #[test]
    fn an_output_that_is_left_as_it_is_is_only_told() {
        let text = file(GOOD, "IN_APP_STREAM").replace("    outputs:", "    ignore_changes: [outputs]\n    outputs:");
        let warnings = fake::load(&text).unwrap().warnings;
        assert!(warnings.render(false, 100).contains("output `IN_APP_STREAM` is no stream"));
    }

    #[test]
    fn what_the_sql_reads_and_fills_must_be_there() {
        let code = "CREATE PUMP p AS INSERT INTO late SELECT STREAM a FROM \"SRC_003\";\nCREATE STREAM late (a INT);\n\
                    CREATE STREAM \"Mixed\" (a INT);\nCREATE PUMP q AS INSERT INTO mixed SELECT STREAM a FROM ref;";
        insta::assert_snapshot!(fake::problems(&file(code, "LATE")));
    }

    #[test]
    fn an_output_that_nothing_fills_is_a_warning() {
        let warnings = fake::load(&file("CREATE STREAM \"DEST\" (a INT);", "DEST")).unwrap().warnings;
        assert!(warnings.render(false, 100).contains("nothing fills `DEST`"));
    }
}
