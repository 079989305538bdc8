//! Runs the SQL of an application: compiles it once, then passes small batches of rows through its pumps.
//!
//! [`Program::compile`] turns application code and the schemas of the inputs into a plan; a [`Session`] holds the
//! open windows in an `SQLite` database of its own and answers each batch with the rows that every in-application
//! stream got. Nothing here reads a clock, a stream or the store: the same batches at the same times give the same rows.
//!
//! What differs from the service: whatever it has and this lacks is refused by name before the application starts
//! (joins, sliding and stagger windows, subqueries, views, functions in SQL, reference tables); ROWTIME is the moment
//! at which a batch was read, to the millisecond, for all its rows; a tumbling window closes when the clock passes
//! its end, rows or none; its rows carry that end as ROWTIME; open windows outlive a stop of the application.

mod cast;
mod code;
mod expression;
mod function;
mod schema;
mod select;
mod session;
#[cfg(test)]
mod tests;
mod time;
mod udf;
mod value;

use std::fmt;

use serde::{Deserialize, Serialize};

use code::Statement;
use select::{Head, Names};

pub(crate) use schema::Schema;
pub(crate) use session::{Problem, Session, Step};
pub(crate) use value::{Datum, Type};

/// One column of an in-application stream.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Type,
    /// Left out of `*`: what the service adds to the columns of an input.
    pub(crate) hidden: bool,
    /// Declared NOT NULL.
    pub(crate) required: bool,
}

impl Column {
    pub(crate) fn new(name: &str, kind: Type) -> Self {
        Self { name: name.to_owned(), kind, hidden: false, required: false }
    }
}

/// An in-application stream.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
}

/// Columns that the service adds to a Kinesis input ("Timestamps and the ROWTIME Column" of the developer guide).
const METADATA: [(&str, Type); 4] = [
    ("APPROXIMATE_ARRIVAL_TIME", Type::Timestamp),
    ("PARTITION_KEY", Type::Varchar(256)),
    ("SEQUENCE_NUMBER", Type::Varchar(128)),
    ("SHARD_ID", Type::Varchar(64)),
];

/// Columns of `error_stream` ("Error Stream Schema" of the developer guide).
const PROBLEM: [(&str, Type); 7] = [
    ("ERROR_TIME", Type::Timestamp),
    ("ERROR_LEVEL", Type::Varchar(10)),
    ("ERROR_NAME", Type::Varchar(32)),
    ("MESSAGE", Type::Varchar(4096)),
    ("DATA_ROWTIME", Type::Timestamp),
    ("DATA_ROW", Type::Varchar(49_152)),
    ("PUMP_NAME", Type::Varchar(128)),
];

impl Stream {
    /// Makes the stream of an input: its columns, then the service's own.
    pub(crate) fn input(name: &str, columns: &[Column]) -> Self {
        let own = METADATA.iter().filter(|(name, _)| columns.iter().all(|column| column.name != *name));
        let own = own.map(|(name, kind)| Column { hidden: true, ..Column::new(name, *kind) });
        Self { name: name.to_owned(), columns: columns.iter().cloned().chain(own).collect() }
    }

    /// Completes the values of a schema's columns with what the service adds.
    pub(crate) fn complete(&self, mut values: Vec<Datum>, own: &Origin) -> Vec<Datum> {
        for column in &self.columns[values.len().min(self.columns.len())..] {
            values.push(match column.name.as_str() {
                "APPROXIMATE_ARRIVAL_TIME" => Datum::Int(own.arrival),
                "PARTITION_KEY" => Datum::Text(own.partition_key.clone()),
                "SEQUENCE_NUMBER" => Datum::Text(own.sequence_number.clone()),
                _ => Datum::Text(own.shard.clone()),
            });
        }
        values
    }

    /// Makes the stream that takes what went wrong.
    pub(crate) fn problems() -> Self {
        let columns = PROBLEM.iter().map(|(name, kind)| Column::new(name, *kind)).collect();
        Self { name: "error_stream".to_owned(), columns }
    }
}

/// Where a record comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    pub(crate) arrival: i64,
    pub(crate) partition_key: String,
    pub(crate) sequence_number: String,
    pub(crate) shard: String,
}

/// One row of a stream: when it came, and the values of its columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) time: i64,
    pub(crate) values: Vec<Datum>,
}

/// How a pump cuts time into windows.
#[derive(Debug, Clone, Copy)]
enum Window {
    /// Multiples of some milliseconds.
    Step(i64),
    Unit(time::Unit),
}

impl Window {
    /// Returns begin and end of the window that holds a moment.
    fn around(self, moment: i64) -> Option<(i64, i64)> {
        match self {
            Self::Step(length) => {
                let start = moment.div_euclid(length).checked_mul(length)?;
                Some((start, start.checked_add(length)?))
            }
            Self::Unit(unit) => {
                let start = time::floor(moment, unit)?;
                Some((start, time::next(start, unit)?))
            }
        }
    }
}

/// A selected value and the column of the target that it goes to; none is ROWTIME.
#[derive(Debug, Clone, Copy)]
struct Field {
    column: Option<usize>,
    from: Type,
}

/// One query that feeds one stream from another.
#[derive(Debug)]
struct Pump {
    name: String,
    source: usize,
    target: usize,
    sql: String,
    fields: Vec<Field>,
    window: Option<Window>,
}

/// Why code cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    kind: Kind,
    what: String,
    line: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Syntax,
    Unknown,
    Invalid,
    Unsupported,
}

impl Refused {
    fn syntax(what: String, line: u64) -> Self {
        Self { kind: Kind::Syntax, what, line }
    }

    fn unknown(what: String, line: u64) -> Self {
        Self { kind: Kind::Unknown, what, line }
    }

    fn invalid(what: String, line: u64) -> Self {
        Self { kind: Kind::Invalid, what, line }
    }

    fn unsupported(what: String, line: u64) -> Self {
        Self { kind: Kind::Unsupported, what, line }
    }

    /// Tells whether the service would refuse the code as well: it names a stream or column that is not there.
    pub(crate) fn is_unknown_name(&self) -> bool {
        self.kind == Kind::Unknown
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = if self.line == 0 { String::new() } else { format!(" (line {})", self.line) };
        match self.kind {
            Kind::Unsupported => write!(out, "the local cloud cannot run {}{line}", self.what),
            Kind::Syntax => write!(out, "the local cloud cannot read the SQL: {}{line}", self.what),
            Kind::Unknown | Kind::Invalid => write!(out, "{}{line}", self.what),
        }
    }
}

/// Compiled application code.
#[derive(Debug)]
pub(crate) struct Program {
    streams: Vec<Stream>,
    pumps: Vec<Pump>,
}

impl Program {
    /// Compiles code that reads some inputs; `tables` are the names of reference data.
    pub(crate) fn compile(code: &str, inputs: Vec<Stream>, tables: &[String]) -> Result<Self, Refused> {
        let statements = code::statements(code)?;
        let mut program = Self { streams: inputs, pumps: Vec::new() };
        let first = program.streams.len();
        for statement in &statements {
            if let Statement::Stream { name, columns, line } = statement {
                program.create(first, name, columns, *line)?;
            }
        }
        for statement in &statements {
            program.pump(statement, first, tables)?;
        }
        program.refuse_circles()?;
        Ok(program)
    }

    fn create(&mut self, first: usize, name: &str, columns: &[Column], line: u64) -> Result<(), Refused> {
        for (place, column) in columns.iter().enumerate() {
            if columns[..place].iter().any(|other| other.name == column.name) {
                return Err(Refused::invalid(format!("Stream '{name}' has column '{}' twice", column.name), line));
            }
        }
        let made = Stream { name: name.to_owned(), columns: columns.to_vec() };
        match self.streams.iter().position(|stream| stream.name == name) {
            Some(place) if place < first => {
                Err(Refused::invalid(format!("Stream '{name}' is an input of the application"), line))
            }
            Some(place) => {
                self.streams[place] = made;
                Ok(())
            }
            None => {
                self.streams.push(made);
                Ok(())
            }
        }
    }

    fn pump(&mut self, statement: &Statement, first: usize, tables: &[String]) -> Result<(), Refused> {
        let Statement::Pump { name, target, columns, query, line } = statement else { return Ok(()) };
        let line = *line;
        let found = self.streams.iter().position(|stream| stream.name == *target);
        let place = found.ok_or_else(|| Refused::unknown(format!("Table '{target}' not found"), line))?;
        if place < first {
            return Err(Refused::unsupported(format!("a pump into the input '{target}'"), line));
        }
        let stream = &self.streams[place];
        let columns: Vec<Option<usize>> = match columns {
            None => (0..stream.columns.len()).map(Some).collect(),
            Some(names) => names.iter().map(|name| target_column(stream, name, line)).collect::<Result<_, _>>()?,
        };
        if let Some(missing) =
            (0..stream.columns.len()).find(|place| stream.columns[*place].required && !columns.contains(&Some(*place)))
        {
            let text =
                format!("Column '{}' has no default value and does not allow NULLs", stream.columns[missing].name);
            return Err(Refused::invalid(text, line));
        }
        if self.pumps.iter().any(|pump| pump.name == *name) {
            return Err(Refused::unsupported(format!("two pumps with the name '{name}'"), line));
        }
        let names = Names { streams: &self.streams, tables };
        let head = Head { name, target: place, columns: &columns, line };
        let planned = select::plan(&names, &head, query, self.pumps.len())?;
        self.pumps.extend(planned);
        Ok(())
    }

    fn refuse_circles(&self) -> Result<(), Refused> {
        let mut left: Vec<&Pump> = self.pumps.iter().collect();
        loop {
            let before = left.len();
            let fed: Vec<usize> = left.iter().map(|pump| pump.target).collect();
            left.retain(|pump| fed.contains(&pump.source));
            match left.first() {
                None => return Ok(()),
                Some(pump) if left.len() == before => {
                    let text = format!("pumps that feed each other in a circle, such as '{}'", pump.name);
                    return Err(Refused::unsupported(text, 0));
                }
                Some(_) => {}
            }
        }
    }

    /// Returns the number of a stream.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.streams.iter().position(|stream| stream.name == name)
    }

    /// Returns the stream of a name.
    pub(crate) fn stream(&self, name: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.name == name)
    }
}

fn target_column(stream: &Stream, name: &str, line: u64) -> Result<Option<usize>, Refused> {
    let place = stream.columns.iter().position(|column| column.name == name);
    if place.is_none() && name != "ROWTIME" {
        return Err(Refused::unknown(format!("Unknown target column '{name}' in stream '{}'", stream.name), line));
    }
    Ok(place)
}
