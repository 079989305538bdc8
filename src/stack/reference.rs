//! The `${…}` language of strings: parsing, listing and filling in.
//!
//! Knows no resources and no variables; whoever asks says what a name stands for.

use std::fmt;
use std::ops::Range;

/// What one `${…}` refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `${var.x}`
    Variable(String),
    /// `${stack}`, `${region}` or `${account}`
    Place(String),
    /// `${file("path")}`
    File(String),
    /// `${id.output}`
    Output {
        /// Logical id of the other resource.
        id: String,
        /// Name of its output.
        output: String,
    },
}

/// A part of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Literal text, `$${` already turned into `${`.
    Text(String),
    /// A reference and the bytes of the source string that it takes.
    Reference(Reference, Range<usize>),
}

/// A `${…}` that is not in the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Bytes of the string that are wrong.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(out, "${{var.{name}}}"),
            Self::Place(name) => write!(out, "${{{name}}}"),
            Self::File(path) => write!(out, "${{file({path:?})}}"),
            Self::Output { id, output } => write!(out, "${{{id}.{output}}}"),
        }
    }
}

/// Splits a string into text and references.
///
/// # Errors
/// Returns the first `${…}` that cannot be read.
pub fn parse(text: &str) -> Result<Vec<Segment>, Malformed> {
    let mut segments = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${").map(|found| found + at) {
        if text[..found].ends_with('$') && found > at {
            literal.push_str(&text[at..found - 1]);
            literal.push_str("${");
            at = found + 2;
            continue;
        }
        literal.push_str(&text[at..found]);
        let end = closing(text, found)?;
        if !literal.is_empty() {
            segments.push(Segment::Text(std::mem::take(&mut literal)));
        }
        segments.push(Segment::Reference(inside(text, found..end)?, found..end));
        at = end;
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() {
        segments.push(Segment::Text(literal));
    }
    Ok(segments)
}

/// Tells whether a string holds a reference to another resource's output, so that it is known only after apply.
///
/// What only looks like a reference, such as a policy variable `${aws:username}`, is literal text.
#[must_use]
pub fn is_unresolved(text: &str) -> bool {
    let output = |segment: &Segment| matches!(segment, Segment::Reference(Reference::Output { .. }, _));
    text.contains("${") && parse(text).is_ok_and(|segments| segments.iter().any(output))
}

/// Turns literal text into a string that parses back to it.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

fn closing(text: &str, start: usize) -> Result<usize, Malformed> {
    let mut quoted = false;
    for (offset, letter) in text[start..].char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '}' if !quoted => return Ok(start + offset + 1),
            _ => {}
        }
    }
    Err(Malformed { at: start..text.len(), message: "`${` without a closing `}`".to_owned() })
}

fn inside(text: &str, at: Range<usize>) -> Result<Reference, Malformed> {
    let body = text[at.start + 2..at.end - 1].trim();
    let malformed = |message: &str| Malformed { at: at.clone(), message: message.to_owned() };
    if let Some(quoted) = body.strip_prefix("file(").and_then(|rest| rest.strip_suffix(')')) {
        let path = quoted.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        return path
            .map(|path| Reference::File(path.to_owned()))
            .ok_or_else(|| malformed("`file` takes one path in double quotes"));
    }
    if ["stack", "region", "account"].contains(&body) {
        return Ok(Reference::Place(body.to_owned()));
    }
    let Some((first, second)) = body.split_once('.') else {
        return Err(malformed(
            "a reference is `${id.output}`, `${var.name}`, `${file(\"path\")}`, `${stack}`, `${region}` or `${account}`",
        ));
    };
    if !is_word(first) || !is_word(second) {
        return Err(malformed("a reference has letters, digits, `_` and `-` around one dot"));
    }
    Ok(match first {
        "var" => Reference::Variable(second.to_owned()),
        _ => Reference::Output { id: first.to_owned(), output: second.to_owned() },
    })
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_alphanumeric() || letter == '_' || letter == '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mixes_text_and_references() {
        let segments = parse("a ${x.arn} $${y} ${var.z}").unwrap();
        assert_eq!(
            segments,
            [
                Segment::Text("a ".into()),
                Segment::Reference(Reference::Output { id: "x".into(), output: "arn".into() }, 2..10),
                Segment::Text(" ${y} ".into()),
                Segment::Reference(Reference::Variable("z".into()), 17..25),
            ]
        );
    }

    #[test]
    fn file_paths_may_hold_braces() {
        let segments = parse("${file(\"a}b\")}").unwrap();
        assert!(matches!(&segments[..], [Segment::Reference(Reference::File(path), _)] if path == "a}b"));
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for text in ["${", "${}", "${a}", "${a.b.c}", "${file(x)}", "x ${a b.c}"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_parses_to_itself(text in ".*") {
            prop_assume!(!text.contains('$'));
            let text = format!("{text}${{x.y}}");
            let parsed = parse(&escape(&text)).unwrap();
            prop_assert_eq!(parsed, vec![Segment::Text(text)]);
        }

        #[test]
        fn never_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
