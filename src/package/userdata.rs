//! Renders the boot script of a machine from a text, a file or a template.
//!
//! The result is text in the `${…}` language of stack files: what the source says literally, such as a shell's
//! `${HOME}`, is escaped, and references that came with the values stay references, to be filled in later. Templates are
//! those of minijinja, with unknown values as errors and no escaping; they include files of their own folder.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use regex::Regex;
use serde_json::Value;

use crate::stack::reference::{Segment, escape, parse};

/// Most bytes that EC2 takes, before base64 (`facts/aws.md` 12e).
pub const MOST: usize = 16 * 1024;

/// Where a boot script comes from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Text of the stack file, references and all.
    Text(&'a str),
    /// A file that is taken as it is.
    File(&'a str),
    /// A template and its values.
    Template(&'a str, &'a BTreeMap<String, Value>),
}

/// Why a boot script cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A file cannot be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// A template is wrong at a place.
    #[error("{at}: {message}")]
    Template {
        /// File and line.
        at: String,
        /// What is wrong.
        message: String,
    },
    /// A dollar sign stands before a reference, where the language would take it for an escape.
    #[error("`$` right before ${{{0}}} cannot be told from a literal `${{`; put something between them")]
    Dollar(String),
    /// It is longer than EC2 takes.
    #[error("it has {0} bytes, and EC2 takes {MOST} at most; fetch the rest at boot")]
    Large(usize),
}

/// Renders a boot script; paths are relative to `dir`.
///
/// # Errors
/// Returns what cannot be read or rendered, with file and line.
pub fn render(dir: &Path, source: Source<'_>) -> Result<String, RenderError> {
    let text = match source {
        Source::Text(text) => text.to_owned(),
        Source::File(path) => escape(&read(&dir.join(path))?),
        Source::Template(path, values) => from_template(&dir.join(path), path, values)?,
    };
    let size = parse(&text).map_or(text.len(), |segments| segments.iter().map(size).sum());
    if size > MOST { Err(RenderError::Large(size)) } else { Ok(text) }
}

/// Returns what a segment certainly takes; a reference may become short.
fn size(segment: &Segment) -> usize {
    match segment {
        Segment::Text(text) => text.len(),
        Segment::Reference(..) => 0,
    }
}

fn read(path: &Path) -> Result<String, RenderError> {
    Ok(fs_err::read_to_string(path)?)
}

fn from_template(path: &Path, name: &str, values: &BTreeMap<String, Value>) -> Result<String, RenderError> {
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let sources = gather(&folder, name, read(path)?)?;
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    for (name, source) in &sources {
        environment.add_template(name, source).map_err(|error| explain(&error))?;
    }
    let mut references = Vec::new();
    let values = values.iter().map(|(name, value)| (name.clone(), hide(value, &mut references)));
    let values: BTreeMap<String, minijinja::Value> = values.collect();
    let template = environment.get_template(name).map_err(|error| explain(&error))?;
    let mut text = template.render(values).map_err(|error| explain(&error))?;
    // The end of a file is a new line; templates drop it.
    if sources.get(name).is_some_and(|source| source.ends_with('\n')) && !text.ends_with('\n') {
        text.push('\n');
    }
    show(&text, &references)
}

/// Reads a template and all that it includes by a literal name, at any depth.
fn gather(folder: &Path, name: &str, source: String) -> Result<BTreeMap<String, String>, RenderError> {
    let pattern = Regex::new(r#"\{%[-+]?\s*(?:include|import|extends|from)\s+["']([^"']+)["']"#);
    let pattern = pattern.map_err(|error| std::io::Error::other(error.to_string()))?;
    let mut left = vec![(name.to_owned(), source)];
    let mut sources = BTreeMap::new();
    while let Some((name, source)) = left.pop() {
        for found in pattern.captures_iter(&source).filter_map(|found| found.get(1)) {
            let Some(path) = inside(folder, found.as_str()) else { continue };
            let known = sources.contains_key(found.as_str()) || found.as_str() == name;
            // A missing file is told by the template that includes it, which knows the line.
            if !known && path.is_file() {
                left.push((found.as_str().to_owned(), read(&path)?));
            }
        }
        sources.insert(name, source);
    }
    Ok(sources)
}

/// Returns the path of an included file; none for one outside the folder.
fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    plain.then(|| folder.join(name))
}

fn explain(error: &minijinja::Error) -> RenderError {
    let mut cause = error;
    while let Some(inner) = std::error::Error::source(cause).and_then(|inner| inner.downcast_ref()) {
        cause = inner;
    }
    let name = cause.name().unwrap_or("template");
    let at = cause.line().map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"));
    let message = match (cause.kind(), cause.detail()) {
        (minijinja::ErrorKind::SyntaxError, Some(detail)) if detail.contains("comment") => {
            format!("`{{#` begins a comment ({detail}); write a shell's ${{#…}} as {{% raw %}}${{#…}}{{% endraw %}}")
        }
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (minijinja::ErrorKind::UndefinedError, None) => "a name that `values` does not have".to_owned(),
        (kind, None) => kind.to_string(),
    };
    RenderError::Template { at, message }
}

/// Marks around the number of a reference while a template is rendered: letters that no script has.
const OPEN: char = '\u{f0000}';
const CLOSE: char = '\u{f0001}';

/// Gives a value to the template with numbers in the place of references, so that the template's own text can be told from them.
fn hide(value: &Value, references: &mut Vec<String>) -> minijinja::Value {
    match value {
        Value::Null => minijinja::Value::from(()),
        Value::Bool(flag) => minijinja::Value::from(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => minijinja::Value::from(whole),
            None => minijinja::Value::from(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => minijinja::Value::from(hide_text(text, references)),
        Value::Array(items) => items.iter().map(|item| hide(item, references)).collect(),
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), hide(value, references))).collect(),
    }
}

fn hide_text(text: &str, references: &mut Vec<String>) -> String {
    let Ok(segments) = parse(text) else { return text.to_owned() };
    let mut hidden = String::new();
    for segment in segments {
        match segment {
            Segment::Text(text) => hidden.push_str(&text),
            Segment::Reference(reference, _) => {
                hidden.push_str(&format!("{OPEN}{}{CLOSE}", references.len()));
                references.push(reference.to_string());
            }
        }
    }
    hidden
}

/// Escapes rendered text and puts the references back.
fn show(text: &str, references: &[String]) -> Result<String, RenderError> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        shown.push_str(&escape(before));
        let number = after.split_once(CLOSE).and_then(|(number, tail)| Some((number.parse::<usize>().ok()?, tail)));
        let Some((reference, tail)) = number.and_then(|(number, tail)| Some((references.get(number)?, tail))) else {
            rest = after;
            continue;
        };
        if shown.ends_with('$') {
            return Err(RenderError::Dollar(reference.trim_start_matches("${").trim_end_matches('}').to_owned()));
        }
        shown.push_str(reference);
        rest = tail;
    }
    shown.push_str(&escape(rest));
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::reference::Reference;
    use crate::stack::resolve::fill;
    use proptest::prelude::*;
    use serde_json::json;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs_err::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            fs_err::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    fn values(all: &Value) -> BTreeMap<String, Value> {
        serde_json::from_value(all.clone()).unwrap()
    }

    fn template(files: &[(&str, &str)], all: &Value) -> Result<String, String> {
        let dir = folder(files);
        render(dir.path(), Source::Template(files[0].0, &values(all))).map_err(|error| error.to_string())
    }

    /// Fills in every reference, as apply does.
    fn filled(text: &str) -> String {
        let known = |reference: &Reference| match reference {
            Reference::Output { id, output } => Some(json!(format!("<{id}.{output}>"))),
            _ => None,
        };
        fill(&Value::from(text), &known).as_str().unwrap().to_owned()
    }

    #[test]
    fn shell_variables_survive_and_values_are_filled_in() {
        let script = "echo ${HOME} \"${x.y}\" ${#list} {{ stream }} $${z} ${code:-1}\n".replace("${#list}", "$LIST");
        let text = template(&[("run.sh", &script)], &json!({"stream": "${stream.name}"})).unwrap();
        assert_eq!(filled(&text), "echo ${HOME} \"${x.y}\" $LIST <stream.name> $${z} ${code:-1}\n");
    }

    #[test]
    fn a_file_is_taken_as_it_is() {
        let dir = folder(&[("run.sh", "echo ${HOME} {{ x }} ${a.b}\n")]);
        let text = render(dir.path(), Source::File("run.sh")).unwrap();
        assert_eq!(filled(&text), "echo ${HOME} {{ x }} ${a.b}\n");
    }

    #[test]
    fn text_keeps_its_references() {
        let text = render(Path::new("."), Source::Text("echo $${HOME} ${a.b}")).unwrap();
        assert_eq!(filled(&text), "echo ${HOME} <a.b>");
    }

    #[test]
    fn includes_are_found_beside_the_template() {
        let files = [
            ("boot/run.sh", "<{% include \"agent.json\" %}>"),
            ("boot/agent.json", "{\"stream\": \"{{ stream }}\", {% include 'part/x' %}}\n"),
            ("boot/part/x", "${X}"),
        ];
        let text = template(&files, &json!({"stream": "s"})).unwrap();
        assert_eq!(filled(&text), "<{\"stream\": \"s\", ${X}}>");
    }

    #[test]
    fn errors_name_file_and_line() {
        let unknown = template(&[("run.sh", "a\nb {{ nope }}\n")], &json!({})).unwrap_err();
        assert!(unknown.starts_with("run.sh:2: "), "{unknown}");
        let inner = template(&[("run.sh", "{% include 'x' %}"), ("x", "\n\n{{ nope }}")], &json!({})).unwrap_err();
        assert!(inner.starts_with("x:3: "), "{inner}");
        let missing = template(&[("run.sh", "a\n{% include 'gone' %}")], &json!({})).unwrap_err();
        assert!(missing.starts_with("run.sh:2: ") && missing.contains("gone"), "{missing}");
        let outside = template(&[("boot/run.sh", "{% include '../x' %}"), ("x", "secret")], &json!({})).unwrap_err();
        assert!(outside.contains("../x"), "{outside}");
        let length = template(&[("run.sh", "echo ${#LIST}")], &json!({})).unwrap_err();
        assert!(length.contains("{% raw %}"), "{length}");
        let syntax = template(&[("run.sh", "\n{% if %}")], &json!({})).unwrap_err();
        assert!(syntax.starts_with("run.sh:2: "), "{syntax}");
        let file = render(Path::new("/nonexistent"), Source::File("x")).unwrap_err().to_string();
        assert!(file.contains("/nonexistent/x"), "{file}");
    }

    #[test]
    fn a_dollar_before_a_reference_is_refused() {
        let error = template(&[("run.sh", "cost: ${{ price }}")], &json!({"price": "${a.b}"})).unwrap_err();
        assert!(error.contains("${a.b}"), "{error}");
        assert_eq!(template(&[("run.sh", "cost: ${{ price }}")], &json!({"price": 5})).unwrap(), "cost: $5");
    }

    #[test]
    fn what_ec2_would_refuse_is_refused() {
        let dir = folder(&[("run.sh", &"x".repeat(MOST + 1)), ("most.sh", &"x".repeat(MOST))]);
        assert!(
            matches!(render(dir.path(), Source::File("run.sh")), Err(RenderError::Large(size)) if size == MOST + 1)
        );
        assert!(render(dir.path(), Source::File("most.sh")).is_ok());
    }

    proptest! {
        #[test]
        fn any_literal_text_comes_back(text in "[a-z${}\\n.]{0,40}", value in "[a-z$}]{0,8}") {
            prop_assume!(!["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)));
            let script = format!("{text} {{{{ value }}}} ${{HOME}}");
            let rendered = template(&[("run.sh", &script)], &json!({"value": format!("{value}${{a.b}}")}));
            if value.ends_with('$') {
                // `$${` is how the language writes a literal `${`: no reference was meant.
                prop_assert_eq!(filled(&rendered.unwrap()), format!("{text} {}${{a.b}} ${{HOME}}", &value[..value.len() - 1]));
            } else {
                prop_assert_eq!(filled(&rendered.unwrap()), format!("{text} {value}<a.b> ${{HOME}}"));
            }
        }
    }
}
