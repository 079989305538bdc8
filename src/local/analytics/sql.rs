//! A first look at application code: whether it can be SQL at all.
//!
//! It splits statements, follows quotes, comments and parentheses, and knows the words that begin a statement.
//! It does not know columns, types or which streams exist; an output bound to a stream that nothing creates is
//! accepted, as on AWS (`facts/aws.md` 2.8).

use super::super::Fault;

const LONGEST_CODE: usize = 102_400;
const FIRST_WORDS: [&str; 7] = ["CREATE", "ALTER", "DROP", "INSERT", "SELECT", "WITH", "VALUES"];
const CREATED: [&str; 5] = ["STREAM", "PUMP", "FUNCTION", "VIEW", "SCHEMA"];

/// Refuses code that is no list of SQL statements; empty code is allowed.
pub(super) fn check(code: &str) -> Result<(), Fault> {
    if code.chars().count() > LONGEST_CODE {
        return Err(refuse(&format!("the code is longer than {LONGEST_CODE} characters")));
    }
    statements(code)?.iter().try_for_each(|statement| check_statement(statement))
}

fn refuse(why: &str) -> Fault {
    Fault::new("CodeValidationException", format!("The application code is not valid SQL: {why}"))
}

/// Returns the words of each statement, without the text of literals and comments.
fn statements(code: &str) -> Result<Vec<String>, Fault> {
    let mut scan = Scan { rest: code, depth: 0, current: String::new(), found: Vec::new() };
    while let Some(letter) = scan.rest.chars().next() {
        scan.step(letter)?;
    }
    if scan.depth != 0 {
        return Err(refuse("a parenthesis is not closed"));
    }
    scan.finish_statement();
    Ok(scan.found)
}

struct Scan<'a> {
    rest: &'a str,
    depth: u32,
    current: String,
    found: Vec<String>,
}

impl Scan<'_> {
    fn step(&mut self, letter: char) -> Result<(), Fault> {
        match letter {
            _ if self.rest.starts_with("--") => self.skip_past(2, "\n", true)?,
            _ if self.rest.starts_with("/*") => self.skip_past(2, "*/", false)?,
            '\'' => self.skip_past(1, "'", false)?,
            '"' => self.skip_past(1, "\"", false)?,
            '(' => {
                self.depth += 1;
                self.keep(letter);
            }
            ')' => {
                self.depth =
                    self.depth.checked_sub(1).ok_or_else(|| refuse("a parenthesis is closed but not opened"))?;
                self.keep(letter);
            }
            ';' if self.depth == 0 => {
                self.rest = &self.rest[1..];
                self.finish_statement();
            }
            _ => self.keep(letter),
        }
        Ok(())
    }

    fn keep(&mut self, letter: char) {
        self.current.push(letter);
        self.rest = &self.rest[letter.len_utf8()..];
    }

    // A doubled quote inside a literal reads as two literals side by side, which is the same for our purpose.
    fn skip_past(&mut self, opening: usize, end: &str, end_of_text_too: bool) -> Result<(), Fault> {
        if opening == 1 {
            self.current.push_str(" x ");
        }
        match self.rest[opening..].find(end) {
            Some(at) => self.rest = &self.rest[opening + at + end.len()..],
            None if end_of_text_too => self.rest = "",
            None => return Err(refuse("a quote or a comment is not closed")),
        }
        Ok(())
    }

    fn finish_statement(&mut self) {
        let statement = std::mem::take(&mut self.current);
        if !statement.trim().is_empty() {
            self.found.push(statement);
        }
    }
}

fn check_statement(statement: &str) -> Result<(), Fault> {
    let upper = statement.to_uppercase();
    let mut words = upper.split(|letter: char| letter.is_whitespace() || letter == '(').filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    if !FIRST_WORDS.contains(&first) {
        return Err(refuse(&format!("a statement cannot begin with {first}")));
    }
    if first != "CREATE" {
        return Ok(());
    }
    let mut next = words.next();
    if next == Some("OR") {
        next = words.next().filter(|word| *word == "REPLACE").and_then(|_| words.next());
    }
    match next {
        Some(what) if CREATED.contains(&what) => Ok(()),
        _ => Err(refuse("CREATE must be followed by STREAM, PUMP, FUNCTION, VIEW or SCHEMA")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUMPED: &str = r#"
        -- cheap tickets; don't mind this quote
        CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" ("cost" DOUBLE, "gate" VARCHAR(16));
        CREATE OR REPLACE PUMP "STREAM_PUMP" AS INSERT INTO "DESTINATION_SQL_STREAM"
        SELECT STREAM "cost", "gate" FROM "SOURCE_SQL_STREAM_001" WHERE "cost" < 5000 AND "gate" = 'Aero;flot''s (';"#;

    #[test]
    fn accepts_statements_empty_text_and_comments() {
        for code in ["", " \n", "-- nothing", "/* nothing ( ' */", PUMPED, "select 1", "ALTER PUMP x START"] {
            assert!(check(code).is_ok(), "{code}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_sql() {
        for code in [
            "CREATE STREAM x (a INT",
            "SELECT 'a",
            "SELECT \"a",
            "testCode",
            "CREATE TABLE x (a INT)",
            "SELECT 1)",
            "/*",
        ] {
            let fault = check(code).unwrap_err();
            assert_eq!(fault.code, "CodeValidationException", "{code}");
        }
        assert!(check(&format!("SELECT {}", "1".repeat(LONGEST_CODE))).is_err());
    }
}
