//! Just enough of the SQL of Kinesis Data Analytics to see which streams a text creates, fills and reads.
//!
//! Tolerant: what it does not understand it passes over; AWS's own parser has the last word on syntax. An unquoted
//! identifier means its upper case, a quoted one means itself (SQL reference, "Identifiers").

/// A name in the text and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// The name as the service sees it.
    pub(crate) text: String,
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// Place among the tokens, to tell what comes first.
    pub(crate) order: usize,
}

/// What a text does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Script {
    /// Streams that it creates.
    pub(crate) streams: Vec<Name>,
    /// Views and named subqueries, which can be read like streams.
    pub(crate) views: Vec<Name>,
    /// Streams that it inserts into.
    pub(crate) targets: Vec<Name>,
    /// Streams, tables and views that it reads.
    pub(crate) sources: Vec<Name>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Word,
    Quoted,
    Text,
    Symbol(char),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    kind: Kind,
    text: String,
    line: usize,
    column: usize,
}

struct Letters<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    column: usize,
}

impl Letters<'_> {
    fn next(&mut self) -> Option<char> {
        let letter = self.rest.next()?;
        if letter == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(letter)
    }

    fn next_is(&mut self, letter: char) -> bool {
        self.rest.peek() == Some(&letter)
    }

    /// Reads up to the closing quote, which doubled stands for itself.
    fn quoted(&mut self, quote: char) -> String {
        let mut text = String::new();
        while let Some(letter) = self.next() {
            if letter == quote {
                if !self.next_is(quote) {
                    break;
                }
                self.next();
            }
            text.push(letter);
        }
        text
    }

    fn word(&mut self, first: char) -> String {
        let mut text = first.to_string();
        while let Some(letter) = self.rest.peek().copied().filter(|letter| is_word(*letter)) {
            text.push(letter);
            self.next();
        }
        text.to_uppercase()
    }

    fn skip_line(&mut self) {
        while !self.next_is('\n') && self.next().is_some() {}
    }

    fn skip_comment(&mut self) {
        self.next();
        while let Some(letter) = self.next() {
            if letter == '*' && self.next_is('/') {
                self.next();
                return;
            }
        }
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

fn tokens(text: &str) -> Vec<Token> {
    let mut letters = Letters { rest: text.chars().peekable(), line: 1, column: 1 };
    let mut tokens = Vec::new();
    loop {
        let (line, column) = (letters.line, letters.column);
        let Some(letter) = letters.next() else { return tokens };
        let (kind, text) = match letter {
            '-' if letters.next_is('-') => {
                letters.skip_line();
                continue;
            }
            '/' if letters.next_is('*') => {
                letters.skip_comment();
                continue;
            }
            '\'' => (Kind::Text, letters.quoted('\'')),
            '"' => (Kind::Quoted, letters.quoted('"')),
            letter if is_word(letter) => (Kind::Word, letters.word(letter)),
            letter if letter.is_whitespace() => continue,
            symbol => (Kind::Symbol(symbol), symbol.to_string()),
        };
        tokens.push(Token { kind, text, line, column });
    }
}

/// One pair of brackets: what has been seen of a query in it.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    selecting: bool,
    listing: bool,
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    levels: Vec<Level>,
    script: Script,
}

/// Reads a script.
pub(crate) fn read(text: &str) -> Script {
    let mut reader = Reader { tokens: tokens(text), at: 0, levels: vec![Level::default()], script: Script::default() };
    while reader.at < reader.tokens.len() {
        reader.step();
    }
    reader.script
}

impl Reader {
    fn is(&self, at: usize, word: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == Kind::Word && token.text == word)
    }

    fn is_symbol(&self, at: usize, symbol: char) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == Kind::Symbol(symbol))
    }

    fn step(&mut self) {
        let Some(token) = self.tokens.get(self.at).cloned() else { return };
        match (&token.kind, token.text.as_str()) {
            (Kind::Symbol('('), _) => self.levels.push(Level::default()),
            (Kind::Symbol(')'), _) if self.levels.len() > 1 => drop(self.levels.pop()),
            (Kind::Symbol(';'), _) => self.levels = vec![Level::default()],
            (Kind::Symbol(','), _) if self.level().listing => return self.source(),
            (Kind::Word, "CREATE") => return self.create(),
            (Kind::Word, "INTO") if self.at > 0 && self.is(self.at - 1, "INSERT") => return self.target(),
            (Kind::Word, "SELECT") => *self.level() = Level { selecting: true, listing: false },
            (Kind::Word, "FROM") if self.level().selecting && !self.is_distinct_from() => {
                *self.level() = Level { selecting: false, listing: true };
                return self.source();
            }
            (Kind::Word, "JOIN") => return self.source(),
            (Kind::Word, "WHERE" | "GROUP" | "HAVING" | "WINDOW" | "ORDER" | "UNION" | "EXCEPT" | "INTERSECT") => {
                self.level().listing = false;
            }
            (Kind::Word | Kind::Quoted, _) if self.is_subquery_name() => {
                let name = self.name_at(self.at);
                self.script.views.push(name);
            }
            _ => {}
        }
        self.at += 1;
    }

    fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    /// `a IS [NOT] DISTINCT FROM b` is a comparison.
    fn is_distinct_from(&self) -> bool {
        self.at > 1 && self.is(self.at - 1, "DISTINCT") && (self.is(self.at - 2, "IS") || self.is(self.at - 2, "NOT"))
    }

    /// `WITH name AS (SELECT …`
    fn is_subquery_name(&self) -> bool {
        self.is(self.at + 1, "AS") && self.is_symbol(self.at + 2, '(') && self.is(self.at + 3, "SELECT")
    }

    fn create(&mut self) {
        self.at += 1;
        if self.is(self.at, "OR") && self.is(self.at + 1, "REPLACE") {
            self.at += 2;
        }
        let is_stream = self.is(self.at, "STREAM");
        let is_view = self.is(self.at, "VIEW");
        if !is_stream && !is_view {
            return;
        }
        self.at += 1;
        if let Some(name) = self.name() {
            if is_stream { self.script.streams.push(name) } else { self.script.views.push(name) }
        }
    }

    fn target(&mut self) {
        self.at += 1;
        if let Some(name) = self.name() {
            self.script.targets.push(name);
        }
    }

    /// Reads what stands after `FROM`, `JOIN` or a comma between sources: a name, unless it is a subquery or function.
    fn source(&mut self) {
        self.at += 1;
        if self.is_symbol(self.at + 1, '(') || ["TABLE", "LATERAL", "SELECT"].iter().any(|word| self.is(self.at, word))
        {
            return;
        }
        if let Some(name) = self.name() {
            self.script.sources.push(name);
        }
    }

    /// Reads a name, with or without a schema before it; moves behind it.
    fn name(&mut self) -> Option<Name> {
        if !matches!(self.tokens.get(self.at)?.kind, Kind::Word | Kind::Quoted) {
            return None;
        }
        while self.is_symbol(self.at + 1, '.') && self.tokens.len() > self.at + 2 {
            self.at += 2;
        }
        let name = self.name_at(self.at);
        self.at += 1;
        Some(name)
    }

    fn name_at(&self, at: usize) -> Name {
        let token = &self.tokens[at];
        Name { text: token.text.clone(), line: token.line, column: token.column, order: at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(names: &[Name]) -> Vec<&str> {
        names.iter().map(|name| name.text.as_str()).collect()
    }

    #[test]
    fn finds_streams_targets_and_sources() {
        let script = read(
            "-- CREATE STREAM no (\nCREATE OR REPLACE STREAM \"Out\" (\"cost\" DOUBLE, gate VARCHAR(16)); /* FROM no */\n\
             create stream plain (a integer);\n\
             CREATE OR REPLACE PUMP \"p\" AS INSERT INTO \"Out\" SELECT STREAM \"cost\", 'FROM no', EXTRACT(DAY FROM ROWTIME)\n\
             FROM \"IN_001\" AS s, other o INNER JOIN \"lib\".\"ref\" r ON s.a = r.a WHERE a IS NOT DISTINCT FROM b, c;\n\
             CREATE PUMP q AS INSERT INTO plain SELECT * FROM (SELECT STREAM a FROM inner_one) x;\n\
             CREATE PUMP r AS INSERT INTO plain SELECT * FROM TABLE(RCF(CURSOR(SELECT STREAM * FROM deep), 1, 2));\n\
             CREATE VIEW v AS WITH w AS (SELECT a FROM x) SELECT a FROM w GROUP BY a, b;",
        );
        assert_eq!(names(&script.streams), ["Out", "PLAIN"]);
        assert_eq!(names(&script.targets), ["Out", "PLAIN", "PLAIN"]);
        assert_eq!(names(&script.sources), ["IN_001", "OTHER", "ref", "INNER_ONE", "DEEP", "X", "W"]);
        assert_eq!(names(&script.views), ["V", "W"]);
        assert_eq!((script.streams[0].line, script.streams[0].column), (2, 26));
    }

    #[test]
    fn doubled_quotes_stand_for_themselves() {
        assert_eq!(names(&read("CREATE STREAM \"a\"\"b\" (x INT)").streams), ["a\"b"]);
    }

    proptest! {
        #[test]
        fn never_panics(text in "(CREATE|STREAM|INSERT|INTO|FROM|SELECT|JOIN|OR|AS|\"|'|\\.|,|\\(|\\)|;|x|--|/\\*|\\n| ){0,40}") {
            let _ = read(&text);
        }
    }
}
