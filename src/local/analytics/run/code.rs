//! Application code to statements: streams with their columns, pumps with their queries.
//!
//! `sqlparser` reads types, names and queries. What only this SQL has is read here (CREATE STREAM, CREATE PUMP) or
//! brought into a form that it knows: `SELECT STREAM` loses its second word, `STEP(x BY y)` becomes `STEP(x, y)`.
//! Source: "CREATE STREAM", "CREATE PUMP" and "Identifiers" of the SQL reference.

use sqlparser::ast::{Ident, Query};
use sqlparser::dialect::Dialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Word};

use super::value::Type;
use super::{Column, Refused};

/// More than any query that people write; deeper ones could exhaust the stack.
const MOST_TOKENS: usize = 4000;

/// The SQL dialect of the service: names in double quotes only.
#[derive(Debug)]
pub(super) struct Streaming;

impl Dialect for Streaming {
    fn is_identifier_start(&self, letter: char) -> bool {
        letter.is_alphabetic() || letter == '_'
    }

    fn is_identifier_part(&self, letter: char) -> bool {
        letter.is_alphanumeric() || letter == '_' || letter == '$'
    }

    fn is_delimited_identifier_start(&self, letter: char) -> bool {
        letter == '"'
    }

    fn require_interval_qualifier(&self) -> bool {
        true
    }
}

/// One statement.
#[derive(Debug)]
pub(super) enum Statement {
    Stream { name: String, columns: Vec<Column>, line: u64 },
    Pump { name: String, target: String, columns: Option<Vec<String>>, query: Box<Query>, line: u64 },
}

/// Folds a name as SQL does: upper case unless it is quoted.
pub(super) fn fold(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_uppercase() }
}

/// Reads all statements.
pub(super) fn statements(code: &str) -> Result<Vec<Statement>, Refused> {
    let tokens = Tokenizer::new(&Streaming, code).tokenize_with_location();
    let tokens = tokens.map_err(|cause| Refused::syntax(cause.message.clone(), cause.location.line))?;
    let solid: Vec<_> = tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let parts = solid.split(|token| token.token == Token::SemiColon).filter(|part| !part.is_empty());
    parts.map(|part| statement(part.to_vec())).collect()
}

fn statement(tokens: Vec<TokenWithSpan>) -> Result<Statement, Refused> {
    let line = tokens.first().map_or(0, |token| token.span.start.line);
    let counted = tokens.iter().filter(|token| token.token != Token::Comma).count();
    if counted > MOST_TOKENS {
        return Err(Refused::unsupported(format!("a statement of {counted} words"), line));
    }
    let parser = Parser::new(&Streaming).with_tokens_with_locations(rewrite(tokens));
    Reader { parser, line }.statement()
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(word))
}

/// Drops STREAM after SELECT and writes a comma for the BY of STEP.
fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut steps: Vec<usize> = Vec::new();
    let mut depth = 0;
    for mut token in tokens {
        match &token.token {
            Token::LParen => {
                depth += 1;
                if kept.last().is_some_and(|last| is_word(&last.token, "STEP")) {
                    steps.push(depth);
                }
            }
            Token::RParen => {
                steps.retain(|step| *step < depth);
                depth = depth.saturating_sub(1);
            }
            found if is_word(found, "STREAM") && kept.last().is_some_and(|last| is_word(&last.token, "SELECT")) => {
                continue;
            }
            found if is_word(found, "BY") && steps.last() == Some(&depth) => token.token = Token::Comma,
            _ => {}
        }
        kept.push(token);
    }
    kept
}

struct Reader<'a> {
    parser: Parser<'a>,
    line: u64,
}

impl Reader<'_> {
    fn statement(mut self) -> Result<Statement, Refused> {
        if !self.take("CREATE") {
            let first = self.parser.peek_token();
            return Err(self.unsupported(format!("{} statements", first.token.to_string().to_uppercase())));
        }
        if self.take("OR") {
            self.need("REPLACE")?;
        }
        let what = self.parser.next_token().token;
        let made = match () {
            () if is_word(&what, "STREAM") => self.stream(),
            () if is_word(&what, "PUMP") => self.pump(),
            () => Err(self.unsupported(format!("CREATE {}", what.to_string().to_uppercase()))),
        }?;
        match self.parser.next_token() {
            TokenWithSpan { token: Token::EOF, .. } => Ok(made),
            other => Err(Refused::unsupported(format!("{} here", other.token), other.span.start.line)),
        }
    }

    fn stream(&mut self) -> Result<Statement, Refused> {
        let name = self.name()?;
        self.token(&Token::LParen)?;
        let mut columns = Vec::new();
        loop {
            columns.push(self.column()?);
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        self.token(&Token::RParen)?;
        self.description()?;
        Ok(Statement::Stream { name, columns, line: self.line })
    }

    fn column(&mut self) -> Result<Column, Refused> {
        let line = self.parser.peek_token().span.start.line;
        let name = self.name()?;
        let given = self.parser.parse_data_type().map_err(|cause| self.syntax(&cause))?;
        let kind = Type::of(&given).ok_or_else(|| Refused::unsupported(format!("the type {given}"), line))?;
        let mut column = Column::new(&name, kind);
        if self.take("NOT") {
            self.need("NULL")?;
            column.required = true;
        }
        Ok(column)
    }

    fn pump(&mut self) -> Result<Statement, Refused> {
        let name = self.name()?;
        if self.take("STOPPED") {
            return Err(self.unsupported("a pump that is created STOPPED".to_owned()));
        }
        self.take("STARTED");
        self.description()?;
        self.need("AS")?;
        self.need("INSERT")?;
        self.need("INTO")?;
        let target = self.name()?;
        let columns = self.columns()?;
        let query = self.parser.parse_query().map_err(|cause| self.syntax(&cause))?;
        Ok(Statement::Pump { name, target, columns, query, line: self.line })
    }

    fn columns(&mut self) -> Result<Option<Vec<String>>, Refused> {
        if !self.parser.consume_token(&Token::LParen) {
            return Ok(None);
        }
        let mut names = vec![self.name()?];
        while self.parser.consume_token(&Token::Comma) {
            names.push(self.name()?);
        }
        self.token(&Token::RParen)?;
        Ok(Some(names))
    }

    fn description(&mut self) -> Result<(), Refused> {
        if self.take("DESCRIPTION") {
            match self.parser.next_token().token {
                Token::SingleQuotedString(_) => {}
                other => return Err(Refused::syntax(format!("{other} is no description"), self.line)),
            }
        }
        Ok(())
    }

    fn take(&mut self, word: &str) -> bool {
        let found = is_word(&self.parser.peek_token().token, word);
        if found {
            self.parser.next_token();
        }
        found
    }

    fn need(&mut self, word: &str) -> Result<(), Refused> {
        if self.take(word) {
            return Ok(());
        }
        let found = self.parser.peek_token();
        Err(Refused::syntax(format!("{word} is missing before {}", found.token), found.span.start.line.max(self.line)))
    }

    fn token(&mut self, wanted: &Token) -> Result<(), Refused> {
        self.parser.expect_token(wanted).map(drop).map_err(|cause| self.syntax(&cause))
    }

    fn name(&mut self) -> Result<String, Refused> {
        self.parser.parse_identifier().map(|name| fold(&name)).map_err(|cause| self.syntax(&cause))
    }

    fn unsupported(&self, what: String) -> Refused {
        Refused::unsupported(what, self.line)
    }

    fn syntax(&self, cause: &ParserError) -> Refused {
        let text = cause.to_string();
        let text = text.trim_start_matches("sql parser error: ");
        Refused::syntax(text.to_owned(), self.line)
    }
}
