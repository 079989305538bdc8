//! `lock:` of a stack file: the table in which runs that change the stack take turns.
//!
//! It does not know how a lease is taken; that is `lease`.

use std::time::Duration;

use serde_json::{Map, Value};

use super::common::duration;
use super::problem::{Problem, join};
use super::suggest;
use super::text::describe;
use super::variables::plain;

const SECTION: &str = "lock";
const KEYS: [&str; 2] = ["table", "ttl"];

/// How long a lease lasts without a renewal, unless the file says otherwise.
const USUAL: Duration = Duration::from_mins(1);
/// A shorter lease would be lost to one slow answer.
const SHORTEST: Duration = Duration::from_secs(5);
/// A longer one would keep a stack closed for too long after a run has died.
const LONGEST: Duration = Duration::from_hours(1);

/// Where and for how long a run that changes the stack keeps others out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Name of a DynamoDB table with the hash key `LockID`.
    pub table: String,
    /// How long a lease lasts without a renewal.
    pub ttl: Duration,
}

/// Reads the section.
pub(super) fn read(section: &Value, problems: &mut Vec<Problem>) -> Option<Lock> {
    let fields = match section {
        Value::Null => return None,
        Value::Object(fields) => fields,
        other => {
            let message = format!("`lock` is a mapping, this is {}", describe(other));
            problems.push(Problem::error(SECTION, message).help("write `lock: {table: stackctl-locks}`"));
            return None;
        }
    };
    for key in fields.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        let problem = Problem::error(join(SECTION, key), format!("unknown field `{key}` of `lock`"));
        problems.push(problem.at_key().label("unknown field").maybe_help(suggest::help(key, KEYS)));
    }
    let (table, ttl) = (table(fields, problems), ttl(fields, problems));
    Some(Lock { table: table?, ttl: ttl? })
}

fn table(fields: &Map<String, Value>, problems: &mut Vec<Problem>) -> Option<String> {
    let help = "name a DynamoDB table whose hash key is `LockID`, of type S";
    match fields.get("table") {
        None | Some(Value::Null) => {
            problems.push(Problem::error(SECTION, "`lock` has no `table`").label("table is missing").help(help));
            None
        }
        Some(Value::String(name)) if is_table_name(name) => Some(name.clone()),
        Some(other) => {
            let message = format!("`{}` cannot be the name of a table", plain(other));
            let help = "a table's name has 3 to 255 letters, digits, `_`, `-` and `.`";
            problems.push(Problem::error(join(SECTION, "table"), message).label("not a name").help(help));
            None
        }
    }
}

/// Tells whether DynamoDB takes a name (`facts/aws.md` 9.1).
fn is_table_name(name: &str) -> bool {
    (3..=255).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

fn ttl(fields: &Map<String, Value>, problems: &mut Vec<Problem>) -> Option<Duration> {
    let Some(value) = fields.get("ttl").filter(|value| !value.is_null()) else { return Some(USUAL) };
    let time = value.as_str().and_then(duration).filter(|time| (SHORTEST..=LONGEST).contains(time));
    if time.is_none() {
        let problem = Problem::error(join(SECTION, "ttl"), format!("`{}` is not the time of a lease", plain(value)));
        problems.push(problem.label("not a time").help("write a time from `5s` to `1h`, such as `60s`"));
    }
    time
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::fake;

    fn file(lock: &str) -> String {
        format!("stack: s\nvariables: {{table: {{default: locks-of-v}}}}\nlock: {lock}\nresources: {{}}\n")
    }

    #[test]
    fn a_lock_is_a_table_and_a_time() {
        let lock = |text: &str| fake::load(&file(text)).unwrap().stack.lock;
        let made = |table: &str, seconds| Some(Lock { table: table.to_owned(), ttl: Duration::from_secs(seconds) });
        assert_eq!(lock("{table: stackctl-locks}"), made("stackctl-locks", 60));
        assert_eq!(lock("{table: a.b_c, ttl: 1m30s}"), made("a.b_c", 90));
        assert_eq!(lock("{table: '${var.table}', ttl: null}"), made("locks-of-v", 60));
        assert_eq!(lock("null"), None);
        assert_eq!(fake::load("stack: s\nresources: {}\n").unwrap().stack.lock, None);
    }

    #[test]
    fn wrong_locks_are_told() {
        let bad = [
            "stackctl-locks",
            "{}",
            "{tabel: locks}",
            "{table: no, tll: 60s}",
            "{table: [locks]}",
            "{table: '${account}-locks'}",
            "{table: locks, ttl: 60}",
            "{table: locks, ttl: 1s}",
            "{table: locks, ttl: 2h}",
            "{table: locks, ttl: soon}",
        ];
        let told: Vec<String> =
            bad.iter().map(|lock| format!("{lock}\n  {}", fake::messages(&file(lock)).replace('\n', "\n  "))).collect();
        insta::assert_snapshot!(told.join("\n"));
    }
}
