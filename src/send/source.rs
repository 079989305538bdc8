//! A file as records: CSV lines as the agent's CSVTOJSON converter makes them, other lines as they are.
//!
//! It is read twice, once to check every line before anything is sent and once to send, and never held in memory.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};
use fs_err::File;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use tempfile::NamedTempFile;
use thiserror::Error;

/// How a file is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// CSV with these columns; without any, the first line names them.
    Csv(Vec<String>),
    /// A record for each line; `json` refuses lines that are not JSON.
    Lines {
        /// Whether each line has to be JSON.
        json: bool,
    },
}

impl Format {
    /// Chooses by the user's columns and the file's name.
    #[must_use]
    pub fn of(file: &Path, columns: &[String], raw: bool) -> Self {
        let is_csv = file.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
        if columns.is_empty() && (!is_csv || raw) {
            return Self::Lines { json: !raw };
        }
        Self::Csv(columns.to_vec())
    }
}

/// Why a file cannot be sent.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A line is wrong.
    #[error("{file}:{line}: {message}")]
    Line {
        /// The file, as the user named it.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// The columns are wrong.
    #[error("{0}")]
    Columns(String),
    /// The file cannot be read.
    #[error("{file}: {cause}")]
    Read {
        /// The file, as the user named it.
        file: String,
        /// Why.
        cause: io::Error,
    },
}

/// What a file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Number of records.
    pub records: u64,
    /// Their bytes, without partition keys.
    pub bytes: u64,
}

enum Place {
    Path(PathBuf),
    /// What can be read only once is kept aside.
    Spool(NamedTempFile),
}

/// A file of records.
pub struct Source {
    place: Place,
    /// The file, as the user named it.
    name: String,
    format: Format,
}

impl fmt::Debug for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Source").field("name", &self.name).field("format", &self.format).finish_non_exhaustive()
    }
}

/// Records as they are sent, or the first thing that is wrong.
pub type Records = Box<dyn Iterator<Item = Result<Vec<u8>, SourceError>> + Send>;

impl Source {
    /// Opens a file; `-` is standard input. What is no regular file is copied first, as it can be read only once.
    ///
    /// # Errors
    /// Returns why it cannot be read.
    pub fn open(file: &Path, format: Format, input: impl Read) -> Result<Self, SourceError> {
        let is_input = file == Path::new("-");
        let name = if is_input { "standard input".to_owned() } else { file.display().to_string() };
        let failed = |cause| SourceError::Read { file: name.clone(), cause };
        let place = if is_input {
            Place::Spool(spool(input).map_err(failed)?)
        } else if std::fs::metadata(file).map_err(failed)?.is_file() {
            Place::Path(file.to_owned())
        } else {
            Place::Spool(File::open(file).and_then(spool).map_err(failed)?)
        };
        Ok(Self { place, name, format })
    }

    /// Reads everything once and counts it; no record may be larger than `most` bytes.
    ///
    /// # Errors
    /// Returns the first line that is wrong.
    pub fn check(&self, most: usize) -> Result<Size, SourceError> {
        let mut size = Size::default();
        for record in self.records(most)? {
            size.records += 1;
            size.bytes += record?.len() as u64;
        }
        Ok(size)
    }

    /// Reads the records, each with the line break that the agent leaves at its end.
    ///
    /// # Errors
    /// Returns why the file cannot be read, or what is wrong with its columns.
    pub fn records(&self, most: usize) -> Result<Records, SourceError> {
        let file = match &self.place {
            Place::Path(path) => File::open(path),
            Place::Spool(file) => File::open(file.path()),
        };
        let file = file.map_err(|cause| SourceError::Read { file: self.name.clone(), cause })?;
        let limits = Limits { file: self.name.clone(), most };
        match &self.format {
            Format::Csv(columns) => rows(file, columns, limits),
            Format::Lines { json } => Ok(plain(BufReader::new(file), *json, limits)),
        }
    }
}

fn spool(mut input: impl Read) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    io::copy(&mut input, &mut file)?;
    Ok(file)
}

/// What every record is held against.
struct Limits {
    file: String,
    most: usize,
}

impl Limits {
    fn wrong(&self, line: u64, message: impl Into<String>) -> SourceError {
        SourceError::Line { file: self.file.clone(), line, message: message.into() }
    }

    fn unreadable(&self, cause: io::Error) -> SourceError {
        SourceError::Read { file: self.file.clone(), cause }
    }

    fn check_size(&self, line: u64, bytes: usize) -> Result<(), SourceError> {
        if bytes <= self.most {
            return Ok(());
        }
        Err(self.wrong(line, format!("the record is larger than the {} bytes that the stream takes", self.most)))
    }
}

/// Reads CSV. A line may have fewer fields than there are columns: the agent sends null for them.
fn rows(file: File, columns: &[String], limits: Limits) -> Result<Records, SourceError> {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::None).from_reader(file);
    let mut row = StringRecord::new();
    let columns = if columns.is_empty() {
        reader.read_record(&mut row).map_err(|error| csv_error(&limits, &error))?;
        row.iter().map(|name| name.trim().to_owned()).collect()
    } else {
        columns.to_vec()
    };
    check_columns(&columns, &limits)?;
    Ok(Box::new(std::iter::from_fn(move || match reader.read_record(&mut row) {
        Ok(true) => Some(converted(&row, &columns, &limits)),
        Ok(false) => None,
        Err(error) => Some(Err(csv_error(&limits, &error))),
    })))
}

fn csv_error(limits: &Limits, error: &csv::Error) -> SourceError {
    let line = error.position().map_or(0, csv::Position::line);
    limits.wrong(line, error.to_string())
}

fn check_columns(columns: &[String], limits: &Limits) -> Result<(), SourceError> {
    let wrong = |text: String| Err(SourceError::Columns(format!("{}: {text}", limits.file)));
    if columns.is_empty() {
        return wrong("there is no first line that names the columns; name them with --csv-columns".to_owned());
    }
    let mut seen = BTreeSet::new();
    for name in columns {
        if name.is_empty() {
            return wrong("a column has no name; name the columns with --csv-columns".to_owned());
        }
        if !seen.insert(name) {
            return wrong(format!("the column `{name}` occurs twice; name the columns with --csv-columns"));
        }
    }
    Ok(())
}

/// Makes a JSON object in which every value is a text, as the agent's converter does (`facts/aws.md` 16.2).
fn converted(row: &StringRecord, columns: &[String], limits: &Limits) -> Result<Vec<u8>, SourceError> {
    let line = row.position().map_or(0, csv::Position::line);
    if row.len() > columns.len() {
        return Err(limits.wrong(line, format!("there are {} fields for {} columns", row.len(), columns.len())));
    }
    let value = |at: usize| row.get(at).map_or(Value::Null, Value::from);
    let object: Map<String, Value> = columns.iter().enumerate().map(|(at, name)| (name.clone(), value(at))).collect();
    let record = format!("{}\n", Value::Object(object)).into_bytes();
    limits.check_size(line, record.len())?;
    Ok(record)
}

/// Reads lines as they are, without those that are empty.
fn plain(mut reader: BufReader<File>, json: bool, limits: Limits) -> Records {
    let mut line = 0;
    Box::new(std::iter::from_fn(move || {
        loop {
            line += 1;
            let mut record = Vec::new();
            // One byte more than allowed tells that a line is too long, without reading all of it.
            match (&mut reader).take(limits.most as u64 + 1).read_until(b'\n', &mut record) {
                Err(cause) => return Some(Err(limits.unreadable(cause))),
                Ok(0) => return None,
                Ok(_) => {}
            }
            if line == 1 && record.starts_with(b"\xef\xbb\xbf") {
                record.drain(..3);
            }
            if !record.trim_ascii().is_empty() {
                return Some(line_of(record, json, line, &limits));
            }
        }
    }))
}

fn line_of(mut record: Vec<u8>, json: bool, line: u64, limits: &Limits) -> Result<Vec<u8>, SourceError> {
    limits.check_size(line, record.len())?;
    if json && let Err(error) = serde_json::from_slice::<IgnoredAny>(record.trim_ascii_end()) {
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        return Err(limits.wrong(line, format!("this is not JSON, column {}: {text}", error.column())));
    }
    if record.last() != Some(&b'\n') {
        record.push(b'\n');
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, columns: &[&str], raw: bool, text: &str) -> Result<Vec<String>, String> {
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        let format = Format::of(Path::new(name), &columns, raw);
        let source = Source::open(Path::new("-"), format, text.as_bytes()).unwrap();
        let records = source.records(60).map_err(|error| error.to_string())?;
        let text = |record: Result<Vec<u8>, SourceError>| {
            record.map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|error| error.to_string())
        };
        records.map(text).collect()
    }

    #[test]
    fn csv_becomes_texts_whatever_they_look_like() {
        let found = read("a.csv", &[], false, "cost,gate,actual\n4999.5,\"Aero, flot\",true\n\n,S7\n").unwrap();
        let wanted = [
            "{\"cost\":\"4999.5\",\"gate\":\"Aero, flot\",\"actual\":\"true\"}\n",
            "{\"cost\":\"\",\"gate\":\"S7\",\"actual\":null}\n",
        ];
        assert_eq!(found, wanted);
        assert_eq!(read("x", &["a", "b"], false, "1,2\n").unwrap(), ["{\"a\":\"1\",\"b\":\"2\"}\n"]);
    }

    #[test]
    fn lines_stay_as_they_are() {
        assert_eq!(read("a.json", &[], false, "\u{feff}{\"a\": 1}\n\n [2]").unwrap(), ["{\"a\": 1}\n", " [2]\n"]);
        assert_eq!(read("a.log", &[], true, "no json\r\n").unwrap(), ["no json\r\n"]);
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        let long = format!("1\n{}\n", "x".repeat(100));
        let cases = [
            read("a.json", &[], false, "{}\n{\"a\":\n"),
            read("a.log", &[], true, &long),
            read("a.csv", &[], false, "a,b\n1,2\n1,2,3\n"),
            read("a.csv", &[], false, ""),
            read("a.csv", &[], false, "a,a\n"),
            read("a.csv", &[], false, "a,\n1,2\n"),
            read("a.csv", &["a"], false, &long),
        ];
        let told: Vec<String> = cases.into_iter().map(|case| case.unwrap_err()).collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn everything_is_counted() {
        let source = Source::open(Path::new("-"), Format::Lines { json: true }, "1\n22\n".as_bytes()).unwrap();
        assert_eq!(source.check(100).unwrap(), Size { records: 2, bytes: 5 });
        let missing = Source::open(Path::new("/no/such/file"), Format::Lines { json: true }, io::empty());
        assert!(missing.unwrap_err().to_string().contains("/no/such/file"));
    }
}
