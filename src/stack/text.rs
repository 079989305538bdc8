//! From bytes to one YAML mapping with places, or the reason why not.
//!
//! Knows the limits of a file, not what its fields mean.

use std::path::Path;

use serde_json::{Map, Number, Value};

use super::problem::{Problem, Report, join};
use super::spans::{Source, scan};

/// Largest file that is read.
pub(super) const MAX_BYTES: u64 = 1_000_000;

/// Reads a text file of bounded size.
///
/// # Errors
/// Returns a sentence that finishes "could not read it: …" and, for bytes that are not text, their position.
pub(super) fn read(path: &Path) -> Result<String, (String, Option<usize>)> {
    let fail = |message: String| (message, None);
    let meta = fs_err::metadata(path).map_err(|error| fail(reason(&error)))?;
    if meta.is_dir() {
        return Err(fail("it is a folder, not a file".to_owned()));
    }
    if meta.len() > MAX_BYTES {
        return Err(fail(too_large(meta.len())));
    }
    let bytes = fs_err::read(path).map_err(|error| fail(reason(&error)))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        (format!("it is not UTF-8 text (byte {at})"), Some(at))
    })
}

/// Says why a file cannot be read, without its path.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        kind => kind.to_string(),
    }
}

fn too_large(size: u64) -> String {
    let tenths = size / 100_000;
    format!("it has {}.{} MB, the limit is {} MB", tenths / 10, tenths % 10, MAX_BYTES / 1_000_000)
}

/// Reads a stack file.
///
/// # Errors
/// Returns a report with the one reason.
pub(super) fn read_stack(path: &Path) -> Result<String, Report> {
    read(path).map_err(|(message, at)| {
        let source = Source::new(&path.to_string_lossy(), &readable_part(path, at));
        let end = source.text().len();
        let problem = Problem::error("", format!("could not read the stack file: {message}"))
            .at_bytes(end..end)
            .label(if at.is_some() { "text ends here" } else { "the file" })
            .help("name a YAML file of at most 1 MB, encoded as UTF-8");
        Report::new(source, vec![problem], &[])
    })
}

/// Returns the text before the first byte that is none.
fn readable_part(path: &Path, at: Option<usize>) -> String {
    let Some(at) = at else { return String::new() };
    let bytes = fs_err::read(path).unwrap_or_default();
    String::from_utf8_lossy(bytes.get(..at).unwrap_or_default()).into_owned()
}

/// Parses a text as one mapping.
///
/// # Errors
/// Returns a report with everything that keeps it from being one.
pub(super) fn parse(text: &str, name: &str) -> Result<(Source, Map<String, Value>), Report> {
    let source = Source::new(name, text);
    let fail = |source: Source, problems| Report::new(source, problems, &[]);
    if text.len() as u64 > MAX_BYTES {
        let problem = Problem::error("", format!("could not read the stack file: {}", too_large(text.len() as u64)))
            .help("move long texts to files of their own and use `${file(\"path\")}`");
        return Err(fail(Source::new(name, ""), vec![problem]));
    }
    let root = scan(text).map_err(|problems| fail(source.clone(), problems))?;
    let source = source.with_places(root);
    let parsed = serde_yaml::from_str::<serde_yaml::Value>(text);
    let value = parsed.map_err(|error| fail(source.clone(), vec![unreadable(&error, text)]))?;
    let mut problems = Vec::new();
    match json(value, "", &mut problems) {
        _ if !problems.is_empty() => Err(fail(source, problems)),
        Value::Object(map) => Ok((source, map)),
        other => Err(fail(source, vec![not_a_mapping(&other)])),
    }
}

fn unreadable(error: &serde_yaml::Error, text: &str) -> Problem {
    let at = error.location().map_or(0, |location| location.index()).min(text.len());
    Problem::error("", format!("this is not YAML: {error}")).at_bytes(at..at).label("reading stopped here")
}

fn not_a_mapping(value: &Value) -> Problem {
    let message = match value {
        Value::Null => "the stack file is empty".to_owned(),
        other => format!("a stack file is a mapping with `stack:` and `resources:`, this is {}", describe(other)),
    };
    Problem::error("", message).help("start with `stack: NAME` and `resources:`; see `stackctl schema`")
}

/// Turns YAML into JSON; the scan before has refused what JSON cannot say, but for odd numbers.
fn json(value: serde_yaml::Value, path: &str, problems: &mut Vec<Problem>) -> Value {
    match value {
        serde_yaml::Value::Null => Value::Null,
        serde_yaml::Value::Bool(value) => Value::Bool(value),
        serde_yaml::Value::Number(number) => json_number(&number, path, problems),
        serde_yaml::Value::String(text) => Value::String(text),
        serde_yaml::Value::Sequence(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| json(item, &join(path, &index.to_string()), problems))
            .collect(),
        serde_yaml::Value::Mapping(entries) => json_map(entries, path, problems),
        serde_yaml::Value::Tagged(tagged) => json(tagged.value, path, problems),
    }
}

fn json_map(entries: serde_yaml::Mapping, path: &str, problems: &mut Vec<Problem>) -> Value {
    let mut map = Map::new();
    for (key, value) in entries {
        let name = match json(key, path, problems) {
            Value::String(name) => name,
            Value::Null => "null".to_owned(),
            other => other.to_string(),
        };
        let value = json(value, &join(path, &name), problems);
        map.insert(name, value);
    }
    Value::Object(map)
}

fn json_number(number: &serde_yaml::Number, path: &str, problems: &mut Vec<Problem>) -> Value {
    let whole = number.as_i64().map(Number::from).or_else(|| number.as_u64().map(Number::from));
    let number = whole.or_else(|| number.as_f64().and_then(Number::from_f64));
    number.map_or_else(
        || {
            problems.push(Problem::error(path, "this is not a finite number").label("not a number"));
            Value::Null
        },
        Value::Number,
    )
}

/// Names a value's type in words.
pub(super) fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "a whole number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        parse(text, "f.yaml").unwrap_err().problems[0].message.clone()
    }

    #[test]
    fn keeps_types_and_order() {
        let (_, map) = parse("b: 1\na: [true, null, 'x', 1.5, no]\n1: 2\n", "f").unwrap();
        assert_eq!(Value::Object(map).to_string(), r#"{"b":1,"a":[true,null,"x",1.5,"no"],"1":2}"#);
    }

    #[test]
    fn refuses_what_is_no_mapping() {
        assert_eq!(message(""), "the stack file is empty");
        assert_eq!(message("# only a comment\n"), "the stack file is empty");
        assert!(message("- a\n").ends_with("this is a list"));
        assert!(message("a: .inf\n").contains("finite"));
        assert!(message(&"a".repeat(1_200_000)).contains("1.2 MB"));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), b"a: 1\nb: \xff\xfe\n").unwrap();
        let report = read_stack(file.path()).unwrap_err();
        let place = &report.diagnostics()[0];
        assert_eq!((place.line, place.column), (2, 4));
        assert!(place.message.contains("not UTF-8"));
    }
}
