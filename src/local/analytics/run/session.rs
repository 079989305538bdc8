//! A running program: one `SQLite` database in memory with the batch at hand and the rows of open windows.
//!
//! A row that a query cannot compute (a division by zero, a value too long for a number) goes to the problems and the
//! others pass. In a window the whole window goes there, because its rows have become one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rusqlite::{Connection, Statement, params_from_iter};
use serde_json::Value as Json;
use thiserror::Error;

use super::cast::cast;
use super::udf::{datum, register};
use super::{Datum, Program, Pump, Row};

/// A session that cannot go on.
#[derive(Debug, Error)]
#[error("the SQL could not be run: {0}")]
pub(crate) struct Broken(#[from] rusqlite::Error);

/// Something that went wrong with one row; it becomes a row of `error_stream`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    pub(crate) name: &'static str,
    pub(crate) message: String,
    pub(crate) row_time: i64,
    /// What the row was: the record, or its values as JSON.
    pub(crate) data: Vec<u8>,
    pub(crate) pump: Option<String>,
}

impl Problem {
    /// Makes the row of `error_stream`.
    pub(crate) fn row(&self, now: i64) -> Row {
        let hex: String = self.data.iter().take(24_576).map(|byte| format!("{byte:02X}")).collect();
        let pump = self.pump.clone().map_or(Datum::Null, Datum::Text);
        let text = |text: &str| Datum::Text(text.chars().take(4096).collect());
        let values = vec![
            Datum::Int(now),
            text("ERROR"),
            text(self.name),
            text(&self.message),
            Datum::Int(self.row_time),
            Datum::Text(hex),
            pump,
        ];
        Row { time: now, values }
    }
}

/// What one batch gave.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// New rows by in-application stream, inputs included.
    pub(crate) rows: BTreeMap<String, Vec<Row>>,
    pub(crate) problems: Vec<Problem>,
    /// Rows that wait in an open window, by number of the pump.
    pub(crate) held: Vec<(usize, Vec<Row>)>,
    /// Windows that ended: pump and end; rows held from before that are done with.
    pub(crate) closed: Vec<(usize, i64)>,
}

/// A program with the state of its windows.
pub(crate) struct Session {
    pub(super) program: Arc<Program>,
    connection: Connection,
}

impl Session {
    /// Starts a program with nothing in its windows.
    pub(crate) fn start(program: Arc<Program>) -> Result<Self, Broken> {
        let connection = Connection::open_in_memory()?;
        connection.set_prepared_statement_cache_capacity(256);
        register(&connection)?;
        for (place, stream) in program.streams.iter().enumerate() {
            connection.execute_batch(&table('r', place, stream.columns.len()))?;
        }
        for (place, pump) in program.pumps.iter().enumerate() {
            if pump.window.is_some() {
                let columns = program.streams[pump.source].columns.len();
                connection.execute_batch(&table('h', place, columns))?;
                connection.execute_batch(&format!("CREATE INDEX i{place} ON h{place} (_time)"))?;
            }
            connection.prepare_cached(&pump.sql)?;
        }
        Ok(Self { program, connection })
    }

    /// Puts rows back into an open window; those of a pump that is no more, or is another now, are dropped.
    pub(crate) fn restore(&self, pump: usize, rows: &[Row]) -> Result<(), Broken> {
        let Some(known) = self.program.pumps.get(pump).filter(|pump| pump.window.is_some()) else { return Ok(()) };
        let columns = self.program.streams[known.source].columns.len();
        if rows.iter().any(|row| row.values.len() != columns) {
            return Ok(());
        }
        self.insert('h', pump, rows)
    }

    /// Passes a batch through all pumps: rows by number of their input.
    pub(crate) fn step(&self, now: i64, input: Vec<(usize, Vec<Row>)>) -> Result<Step, Broken> {
        let mut step = Step::default();
        let mut waiting: VecDeque<(usize, Vec<Row>)> = VecDeque::new();
        self.close(now, &mut step, &mut waiting)?;
        waiting.extend(input);
        while let Some((stream, rows)) = waiting.pop_front() {
            if rows.is_empty() {
                continue;
            }
            self.feed(now, stream, &rows, &mut step, &mut waiting)?;
            let name = self.program.streams[stream].name.clone();
            step.rows.entry(name).or_default().extend(rows);
            if waiting.is_empty() {
                self.close(now, &mut step, &mut waiting)?;
            }
        }
        step.drop_closed();
        Ok(step)
    }

    /// Returns when the next open window ends.
    pub(crate) fn next_end(&self) -> Result<Option<i64>, Broken> {
        let mut next: Option<i64> = None;
        for (place, pump) in self.program.pumps.iter().enumerate() {
            if let Some((_, end)) = self.open(place, pump)? {
                next = Some(next.map_or(end, |known| known.min(end)));
            }
        }
        Ok(next)
    }

    fn feed(
        &self,
        now: i64,
        stream: usize,
        rows: &[Row],
        step: &mut Step,
        waiting: &mut VecDeque<(usize, Vec<Row>)>,
    ) -> Result<(), Broken> {
        self.connection.prepare_cached(&format!("DELETE FROM r{stream}"))?.execute([])?;
        self.insert('r', stream, rows)?;
        for (place, pump) in self.program.pumps.iter().enumerate().filter(|(_, pump)| pump.source == stream) {
            if pump.window.is_some() {
                self.insert('h', place, rows)?;
                step.held.push((place, rows.to_vec()));
            } else {
                let mut made = Vec::new();
                let most = i64::try_from(rows.len()).unwrap_or(i64::MAX);
                self.pass(now, pump, (1, most), rows, &mut made, &mut step.problems)?;
                waiting.push_back((pump.target, made));
            }
        }
        Ok(())
    }

    /// Runs a pump over rows with numbers in a range; halves the range until what fails is one row.
    fn pass(
        &self,
        now: i64,
        pump: &Pump,
        (from, to): (i64, i64),
        rows: &[Row],
        made: &mut Vec<Row>,
        problems: &mut Vec<Problem>,
    ) -> Result<(), Broken> {
        if from > to {
            return Ok(());
        }
        let (before, known) = (made.len(), problems.len());
        match self.run(now, pump, (from, to), rows, made, problems) {
            Ok(()) => Ok(()),
            Err(cause) if from == to => {
                problems.truncate(known);
                let row = usize::try_from(from - 1).ok().and_then(|place| rows.get(place));
                problems.push(self.failed(pump, row, &cause.to_string()));
                Ok(())
            }
            Err(_) => {
                made.truncate(before);
                problems.truncate(known);
                let middle = from + (to - from) / 2;
                self.pass(now, pump, (from, middle), rows, made, problems)?;
                self.pass(now, pump, (middle + 1, to), rows, made, problems)
            }
        }
    }

    fn run(
        &self,
        now: i64,
        pump: &Pump,
        (from, to): (i64, i64),
        rows: &[Row],
        made: &mut Vec<Row>,
        problems: &mut Vec<Problem>,
    ) -> Result<(), rusqlite::Error> {
        let mut statement = self.connection.prepare_cached(&pump.sql)?;
        let mut found = statement.query([from, to, now])?;
        while let Some(row) = found.next()? {
            let number: i64 = row.get(0)?;
            let time: i64 = row.get(1)?;
            let values = (0..pump.fields.len()).map(|place| row.get_ref(place + 2).map(datum));
            let values = values.collect::<Result<Vec<_>, _>>()?;
            match self.assign(pump, time, values) {
                Ok(row) => made.push(row),
                Err(message) => {
                    let row = usize::try_from(number - 1).ok().and_then(|place| rows.get(place));
                    problems.push(self.failed(pump, row, &message));
                }
            }
        }
        Ok(())
    }

    /// Brings selected values into the columns of the target.
    fn assign(&self, pump: &Pump, time: i64, values: Vec<Datum>) -> Result<Row, String> {
        let columns = &self.program.streams[pump.target].columns;
        let mut row = Row { time, values: vec![Datum::Null; columns.len()] };
        for (field, value) in pump.fields.iter().zip(values) {
            match (field.column, value) {
                (Some(place), value) => row.values[place] = cast(value, field.from, columns[place].kind)?,
                (None, Datum::Int(moment)) => row.time = moment,
                (None, _) => return Err("ROWTIME is NULL".to_owned()),
            }
        }
        let empty = |(column, value): &(&super::Column, &Datum)| column.required && **value == Datum::Null;
        match columns.iter().zip(&row.values).find(empty) {
            Some((column, _)) => Err(format!("NULL for column '{}', which is NOT NULL", column.name)),
            None => Ok(row),
        }
    }

    fn failed(&self, pump: &Pump, row: Option<&Row>, message: &str) -> Problem {
        let columns = &self.program.streams[pump.source].columns;
        let json = |row: &Row| -> Json { row.values.iter().zip(columns).map(|(v, c)| v.json(c.kind)).collect() };
        Problem {
            name: "Runtime_Error",
            message: message.to_owned(),
            row_time: row.map_or(0, |row| row.time),
            data: row.map(json).map_or(Vec::new(), |json| json.to_string().into_bytes()),
            pump: Some(pump.name.clone()),
        }
    }

    /// Ends the windows whose end has come.
    fn close(&self, now: i64, step: &mut Step, waiting: &mut VecDeque<(usize, Vec<Row>)>) -> Result<(), Broken> {
        for (place, pump) in self.program.pumps.iter().enumerate() {
            while let Some((start, end)) = self.open(place, pump)?.filter(|(_, end)| *end <= now) {
                let (mut made, known) = (Vec::new(), step.problems.len());
                if let Err(cause) = self.run(now, pump, (start, end), &[], &mut made, &mut step.problems) {
                    made.clear();
                    step.problems.truncate(known);
                    step.problems.push(Problem { row_time: end, ..self.failed(pump, None, &cause.to_string()) });
                }
                self.connection.prepare_cached(&format!("DELETE FROM h{place} WHERE _time < ?"))?.execute([end])?;
                step.closed.push((place, end));
                waiting.push_back((pump.target, made));
            }
        }
        Ok(())
    }

    /// Returns the oldest open window of a pump.
    fn open(&self, place: usize, pump: &Pump) -> Result<Option<(i64, i64)>, Broken> {
        let Some(window) = pump.window else { return Ok(None) };
        let mut oldest = self.connection.prepare_cached(&format!("SELECT min(_time) FROM h{place}"))?;
        let oldest: Option<i64> = oldest.query_row([], |row| row.get(0))?;
        Ok(oldest.and_then(|oldest| window.around(oldest)))
    }

    fn insert(&self, kind: char, place: usize, rows: &[Row]) -> Result<(), Broken> {
        let Some(first) = rows.first() else { return Ok(()) };
        let marks = ", ?".repeat(first.values.len());
        let number = if kind == 'r' { "?1" } else { "NULL" };
        let sql = format!("INSERT INTO {kind}{place} VALUES ({number}, ?2{marks})");
        let mut statement: rusqlite::CachedStatement<'_> = self.connection.prepare_cached(&sql)?;
        for (number, row) in (1_i64..).zip(rows) {
            write(&mut statement, kind == 'r', number, row)?;
        }
        Ok(())
    }
}

fn write(statement: &mut Statement<'_>, numbered: bool, number: i64, row: &Row) -> Result<(), rusqlite::Error> {
    let number = if numbered { Datum::Int(number) } else { Datum::Null };
    let head = [number, Datum::Int(row.time)];
    statement.execute(params_from_iter(head.iter().chain(&row.values))).map(drop)
}

fn table(kind: char, place: usize, columns: usize) -> String {
    let columns: String = (0..columns).map(|column| format!(", c{column}")).collect();
    format!("CREATE TABLE {kind}{place} (_row INTEGER PRIMARY KEY, _time INTEGER{columns})")
}

impl Step {
    /// Forgets rows that came into a window and left it in the same step.
    fn drop_closed(&mut self) {
        for (pump, rows) in &mut self.held {
            let ends = self.closed.iter().filter(|(closed, _)| closed == pump).map(|(_, end)| *end);
            let end = ends.max().unwrap_or(i64::MIN);
            rows.retain(|row| row.time >= end);
        }
        self.held.retain(|(_, rows)| !rows.is_empty());
    }
}

/// Shows a row as the service writes it to a destination: members in the order of the columns.
pub(super) fn json(row: &Row, columns: &[super::Column]) -> Json {
    let members = columns.iter().zip(&row.values);
    Json::Object(members.map(|(column, value)| (column.name.clone(), value.json(column.kind))).collect())
}

/// Shows a row as a CSV line.
pub(super) fn csv(row: &Row, columns: &[super::Column]) -> String {
    let fields = columns.iter().zip(&row.values).map(|(column, value)| field(&value.text(column.kind)));
    fields.collect::<Vec<_>>().join(",") + "\n"
}

fn field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

impl super::Stream {
    /// Writes rows in the format of a `DestinationSchema`.
    pub(crate) fn write(&self, row: &Row, format: &str) -> Vec<u8> {
        match format {
            "CSV" => csv(row, &self.columns).into_bytes(),
            _ => json(row, &self.columns).to_string().into_bytes(),
        }
    }
}
