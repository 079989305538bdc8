//! Maps records to rows by an input schema (`SourceSchema`): JSON by paths, CSV by delimiters.
//!
//! Source: "Mapping Streaming Source Elements to SQL Input Columns" and "Working with `JSONPath`" of the developer
//! guide. Of `JSONPath` it knows `$`, names, `['name']`, `[n]`, `[*]`, `[0:]` and `[a:b]`, not `..` and filters.

use serde_json::Value as Json;

use super::cast::{from_json, from_text};
use super::value::{Datum, Type};
use super::{Column, Refused};

/// How records become rows.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    format: Format,
    pub(crate) columns: Vec<Column>,
}

#[derive(Debug, Clone)]
enum Format {
    Json { row: Path, fields: Vec<Path> },
    Csv { row: String, column: String },
}

type Path = Vec<Step>;

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Name(String),
    Range(usize, usize),
}

impl Schema {
    /// Reads an `InputSchema`.
    pub(crate) fn read(body: &Json) -> Result<Self, Refused> {
        let described = body["RecordColumns"].as_array().map_or(&[][..], Vec::as_slice);
        let columns = described.iter().map(read_column).collect::<Result<Vec<_>, _>>()?;
        let format = &body["RecordFormat"];
        let parameters = &format["MappingParameters"];
        let format = if format["RecordFormatType"] == "CSV" {
            let text = |field: &str| unescape(parameters["CSVMappingParameters"][field].as_str().unwrap_or_default());
            Format::Csv { row: text("RecordRowDelimiter"), column: text("RecordColumnDelimiter") }
        } else {
            let row = parameters["JSONMappingParameters"]["RecordRowPath"].as_str().unwrap_or("$");
            let fields = described.iter().map(|column| path(column["Mapping"].as_str().unwrap_or("$")));
            Format::Json { row: path(row)?, fields: fields.collect::<Result<_, _>>()? }
        };
        Ok(Self { format, columns })
    }

    /// Maps one record; each row stands alone, with its values or why it has none.
    pub(crate) fn rows(&self, record: &[u8]) -> Vec<Result<Vec<Datum>, String>> {
        let Ok(text) = std::str::from_utf8(record) else { return vec![Err("The record is not UTF-8".to_owned())] };
        match &self.format {
            Format::Json { row, fields } => self.json_rows(text, row, fields),
            Format::Csv { row, column } => self.csv_rows(text, row, column),
        }
    }

    fn json_rows(&self, text: &str, row: &Path, fields: &[Path]) -> Vec<Result<Vec<Datum>, String>> {
        let mut rows = Vec::new();
        // A record may hold several documents one after the other, such as lines.
        for document in serde_json::Deserializer::from_str(text).into_iter::<Json>() {
            match document {
                Ok(document) => {
                    let found = follow(&document, row);
                    rows.extend(found.into_iter().map(|value| self.json_row(value, fields)));
                }
                Err(cause) => rows.push(Err(format!("The record is not JSON: {cause}"))),
            }
        }
        rows
    }

    fn json_row(&self, value: &Json, fields: &[Path]) -> Result<Vec<Datum>, String> {
        let columns = self.columns.iter().zip(fields);
        columns
            .map(|(column, path)| {
                let found = follow(value, path).first().copied().unwrap_or(&Json::Null);
                from_json(found, column.kind).map_err(|cause| format!("{cause} for column {}", column.name))
            })
            .collect()
    }

    fn csv_rows(&self, text: &str, row: &str, column: &str) -> Vec<Result<Vec<Datum>, String>> {
        split(text, row, false)
            .into_iter()
            .filter(|line| !line.trim().is_empty())
            .map(|line| {
                let fields = split(&line, column, true);
                if fields.len() < self.columns.len() {
                    let (there, wanted) = (fields.len(), self.columns.len());
                    return Err(format!("The row has {there} fields where the schema has {wanted} columns"));
                }
                self.columns.iter().zip(&fields).map(|(column, field)| csv_field(column, field)).collect()
            })
            .collect()
    }
}

fn csv_field(column: &Column, field: &str) -> Result<Datum, String> {
    if field.trim().is_empty() && !column.kind.is_text() {
        return Ok(Datum::Null);
    }
    from_text(field, column.kind).map_err(|cause| format!("{cause} for column {}", column.name))
}

fn read_column(column: &Json) -> Result<Column, Refused> {
    let name = column["Name"].as_str().unwrap_or_default();
    let given = column["SqlType"].as_str().unwrap_or_default();
    let kind = Type::parse(given)
        .ok_or_else(|| Refused::unsupported(format!("the type {given} of input column {name}"), 0))?;
    Ok(Column::new(name, kind))
}

fn unescape(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t")
}

/// Splits at a delimiter that stands outside double quotes; `bare` takes the quotes off.
fn split(text: &str, delimiter: &str, bare: bool) -> Vec<String> {
    let (mut parts, mut current, mut quoted, mut rest) = (Vec::new(), String::new(), false, text);
    while let Some(letter) = rest.chars().next() {
        if !quoted && !delimiter.is_empty() && rest.starts_with(delimiter) {
            parts.push(std::mem::take(&mut current));
            rest = &rest[delimiter.len()..];
            continue;
        }
        rest = &rest[letter.len_utf8()..];
        if letter == '"' {
            if quoted && bare && rest.starts_with('"') {
                current.push('"');
                rest = &rest[1..];
                continue;
            }
            quoted = !quoted;
            if bare {
                continue;
            }
        }
        current.push(letter);
    }
    parts.push(current);
    parts
}

fn path(text: &str) -> Result<Path, Refused> {
    let bad = || Refused::unsupported(format!("the JSON path {text}"), 0);
    let mut rest = text.trim().strip_prefix('$').unwrap_or(text.trim());
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (index, after) = inner.split_once(']').ok_or_else(bad)?;
            steps.push(subscript(index.trim()).ok_or_else(bad)?);
            rest = after;
            continue;
        }
        let name = rest.strip_prefix('.').unwrap_or(rest);
        let end = name.find(['.', '[']).unwrap_or(name.len());
        if end == 0 {
            return Err(bad());
        }
        steps.push(Step::Name(name[..end].to_owned()));
        rest = &name[end..];
    }
    Ok(steps)
}

fn subscript(index: &str) -> Option<Step> {
    let quoted = |quote: char| index.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    if let Some(name) = quoted('\'').or_else(|| quoted('"')) {
        return Some(Step::Name(name.to_owned()));
    }
    if index == "*" {
        return Some(Step::Range(0, usize::MAX));
    }
    let number = |text: &str, usual| if text.trim().is_empty() { Some(usual) } else { text.trim().parse().ok() };
    match index.split_once(':') {
        Some((from, to)) => Some(Step::Range(number(from, 0)?, number(to, usize::MAX)?)),
        None => index.parse().ok().map(|at: usize| Step::Range(at, at.saturating_add(1))),
    }
}

fn follow<'a>(root: &'a Json, path: &Path) -> Vec<&'a Json> {
    path.iter().fold(vec![root], |found, step| match step {
        Step::Name(name) => found.into_iter().filter_map(|value| value.get(name)).collect(),
        Step::Range(from, to) => found.into_iter().flat_map(|value| range(value, *from, *to)).collect(),
    })
}

fn range(value: &Json, from: usize, to: usize) -> &[Json] {
    let Some(items) = value.as_array() else { return &[] };
    items.get(from..to.min(items.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn json_schema(row: &str, columns: &[(&str, &str, &str)]) -> Schema {
        let columns: Vec<_> = columns
            .iter()
            .map(|(name, mapping, kind)| json!({"Name": name, "Mapping": mapping, "SqlType": kind}))
            .collect();
        let body = json!({"RecordColumns": columns, "RecordFormat": {"RecordFormatType": "JSON",
            "MappingParameters": {"JSONMappingParameters": {"RecordRowPath": row}}}});
        Schema::read(&body).unwrap()
    }

    fn csv_schema(row: &str, column: &str) -> Schema {
        let body = json!({"RecordColumns": [{"Name": "a", "SqlType": "VARCHAR(8)"}, {"Name": "b", "SqlType": "INTEGER"}],
            "RecordFormat": {"RecordFormatType": "CSV", "MappingParameters": {"CSVMappingParameters":
                {"RecordRowDelimiter": row, "RecordColumnDelimiter": column}}}});
        Schema::read(&body).unwrap()
    }

    fn shown(schema: &Schema, record: &str) -> Vec<Result<Vec<Json>, String>> {
        let show = |row: Vec<Datum>| row.iter().zip(&schema.columns).map(|(v, c)| v.json(c.kind)).collect();
        schema.rows(record.as_bytes()).into_iter().map(|row| row.map(show)).collect()
    }

    #[test]
    fn a_record_is_one_row_or_several() {
        let flat = json_schema("$", &[("cost", "$.cost", "DOUBLE"), ("city", "$.to.city", "VARCHAR(3)")]);
        let record = r#"{"cost": "4500", "to": {"city": "Kazan"}}"#;
        assert_eq!(shown(&flat, record), [Ok(vec![json!(4500.0), json!("Kaz")])]);
        assert_eq!(shown(&flat, "{}\n{\"cost\": 1}").len(), 2);
        for row in ["$.items[*]", "$.items[0:]", "$.items", "$['items'][0:2]"] {
            let many = json_schema(row, &[("n", "$.n", "INTEGER")]);
            let rows = shown(&many, r#"{"items": [{"n": 1}, {"n": 2}]}"#);
            let wanted = if row == "$.items" { vec![json!(null)] } else { vec![json!(1), json!(2)] };
            let found: Vec<_> = rows.into_iter().map(|row| row.unwrap()[0].clone()).collect();
            assert_eq!(found, wanted, "{row}");
        }
    }

    #[test]
    fn csv_has_quotes_and_own_delimiters() {
        let schema = csv_schema("\\n", ",");
        let rows = shown(&schema, "x,1\n\"a,\"\"b\",2,more\n,\n");
        assert_eq!(
            rows,
            [Ok(vec![json!("x"), json!(1)]), Ok(vec![json!("a,\"b"), json!(2)]), Ok(vec![json!(""), json!(null)])]
        );
        assert_eq!(shown(&csv_schema("|", "::"), "x::1|y::2").len(), 2);
        assert!(shown(&schema, "x").remove(0).unwrap_err().contains("1 fields"));
    }

    #[test]
    fn a_bad_record_says_why() {
        let schema = json_schema("$", &[("cost", "$.cost", "DOUBLE")]);
        for (record, text) in [("{", "not JSON"), (r#"{"cost": "x"}"#, "'x' to DOUBLE for column cost")] {
            let fault = shown(&schema, record).remove(0).unwrap_err();
            assert!(fault.contains(text), "{fault}");
        }
        assert!(schema.rows(&[0xff])[0].is_err());
        assert!(path("$..a").is_err() && path("$[?(@.a)]").is_err() && path("$.").is_err());
    }

    proptest! {
        #[test]
        fn no_record_and_no_path_panics(record in ".{0,60}", mapping in "[$.\\[\\]a*:0-9' ]{0,12}") {
            let _ = csv_schema("\n", ",").rows(record.as_bytes());
            let _ = json_schema("$", &[("a", "$.a", "INTEGER")]).rows(record.as_bytes());
            if let Ok(found) = path(&mapping) {
                let _ = follow(&json!({"a": [1, {"a": 2}]}), &found);
            }
        }
    }
}
