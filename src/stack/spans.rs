//! A YAML text and the places of everything in it; what the format does not allow is refused here.
//!
//! Walks the parser's events once. Knows nothing of stacks: places are found by dotted path.

use std::ops::Range;
use std::sync::Arc;

use indexmap::IndexMap;
use saphyr_parser::{Event, Parser, ScanError, Span, StrInput, Tag};

use super::problem::{Problem, Spot, join};

/// Deepest nesting of lists and mappings.
const MAX_DEPTH: usize = 64;
/// Most refusals that are told: a file made to do harm has thousands.
const MAX_REFUSED: usize = 10;
/// Most characters that are marked.
const MAX_MARK: usize = 160;

/// A text and where its values stand.
#[derive(Debug, Clone, Default)]
pub struct Source {
    name: String,
    text: Arc<str>,
    lines: Arc<[usize]>,
    root: Arc<Node>,
}

/// The place of one value and of what is inside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    key: Option<Range<usize>>,
    value: Range<usize>,
    children: IndexMap<String, Node>,
}

impl Source {
    /// Takes a text without places.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        let text = printable(text);
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name: name.to_owned(), text: text.into(), lines, root: Arc::default() }
    }

    /// Adds places.
    #[must_use]
    pub fn with_places(self, root: Node) -> Self {
        Self { root: Arc::new(root), ..self }
    }

    /// Returns the name of the file, as the user gave it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the text, control characters replaced.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the same source with secrets blotted out, every place unchanged.
    pub(super) fn masked(&self, secrets: &[String]) -> Self {
        let mut text = self.text.to_string();
        for secret in secrets {
            text = text.replace(secret.as_str(), &"*".repeat(secret.len()));
        }
        Self { text: text.into(), ..self.clone() }
    }

    /// Returns line and column, in characters, both from 1.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_of(offset);
        let start = self.lines.get(line).copied().unwrap_or(0);
        (line + 1, self.text.get(start..offset).map_or(0, |text| text.chars().count()) + 1)
    }

    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    pub(super) fn line_range(&self, line: usize) -> Range<usize> {
        let at = |line: usize| self.lines.get(line).copied().unwrap_or(self.text.len());
        at(line)..at(line + 1)
    }

    /// Returns the bytes to mark for a path: of the deepest place on the path that the file has, on one line.
    #[must_use]
    pub fn range(&self, path: &str, spot: &Spot) -> Range<usize> {
        let range = match (spot, self.find(path)) {
            (Spot::Bytes(range), _) => range.clone(),
            (_, None) => 0..0,
            (Spot::Text(text), Some((node, true))) => self.within(&node.value, text),
            (Spot::Key, Some((node, _))) | (Spot::Value | Spot::Text(_), Some((node, false))) => node.opening(),
            (Spot::Value, Some((node, true))) => node.content(),
        };
        self.on_one_line(range)
    }

    fn within(&self, place: &Range<usize>, text: &str) -> Range<usize> {
        let found = self.text.get(place.clone()).and_then(|value| value.find(text));
        found.map_or(place.clone(), |found| place.start + found..place.start + found + text.len())
    }

    fn on_one_line(&self, range: Range<usize>) -> Range<usize> {
        let start = range.start.min(self.text.len());
        let end = range.end.clamp(start, self.text.len());
        let line = self.text.get(start..end).and_then(|text| text.lines().next()).unwrap_or("").trim_end();
        let marked = line.char_indices().nth(MAX_MARK).map_or(line.len(), |(at, _)| at);
        start..start + marked
    }

    /// Returns the deepest node on a path, and whether it is the path's own.
    fn find(&self, path: &str) -> Option<(&Node, bool)> {
        if self.root.value.is_empty() && self.root.children.is_empty() {
            return None;
        }
        let (node, left) = self.root.descend(path);
        Some((node, left.is_empty()))
    }
}

impl Node {
    /// Walks down a dotted path. Keys may hold dots themselves: the walk that gets furthest wins.
    fn descend<'a, 'b>(&'a self, path: &'b str) -> (&'a Node, &'b str) {
        let mut best = (self, path);
        let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let Some(child) = self.children.get(&path[..end]) else { continue };
            let found = child.descend(path[end..].trim_start_matches('.'));
            if found.1.len() < best.1.len() {
                best = found;
            }
        }
        best
    }

    fn opening(&self) -> Range<usize> {
        self.key.clone().unwrap_or_else(|| self.value.clone())
    }

    fn content(&self) -> Range<usize> {
        if self.children.is_empty() && !self.value.is_empty() { self.value.clone() } else { self.opening() }
    }
}

/// Replaces control characters by printable ones of the same length.
fn printable(text: &str) -> String {
    let replace = |letter: char| match letter {
        '\n' | '\t' | '\r' => letter,
        letter if letter.is_control() => ['?', '\u{bf}'][letter.len_utf8() - 1],
        letter => letter,
    };
    text.chars().map(replace).collect()
}

/// Finds the place of every value.
///
/// # Errors
/// Returns what cannot be read and what is refused: aliases, tags, duplicate keys, a second document, deep nesting.
pub fn scan(text: &str) -> Result<Node, Vec<Problem>> {
    let mut scan = Scan { parser: Parser::new_from_str(text), bytes: Bytes::of(text), problems: Vec::new() };
    let root = scan.document();
    match root {
        Ok(node) if scan.problems.is_empty() => Ok(node),
        Ok(_) | Err(Stop) => Err(scan.problems),
    }
}

/// Character positions as byte positions.
enum Bytes {
    Ascii(usize),
    Mapped(Vec<usize>),
}

impl Bytes {
    fn of(text: &str) -> Self {
        if text.is_ascii() {
            return Self::Ascii(text.len());
        }
        Self::Mapped(text.char_indices().map(|(at, _)| at).chain([text.len()]).collect())
    }

    fn at(&self, character: usize) -> usize {
        match self {
            Self::Ascii(length) => character.min(*length),
            Self::Mapped(starts) => starts.get(character).or(starts.last()).copied().unwrap_or(0),
        }
    }

    fn range(&self, span: &Span) -> Range<usize> {
        let start = self.at(span.start.index());
        start..self.at(span.end.index()).max(start)
    }
}

/// The rest cannot be read; the reason is in the problems.
struct Stop;

struct Scan<'a> {
    parser: Parser<'a, StrInput<'a>>,
    bytes: Bytes,
    problems: Vec<Problem>,
}

impl<'a> Scan<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Range<usize>), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.bytes.range(&span))),
            Some(Err(error)) => Err(self.unreadable(&error)),
            None => Ok((Event::StreamEnd, 0..0)),
        }
    }

    fn unreadable(&mut self, error: &ScanError) -> Stop {
        let at = self.bytes.at(error.marker().index());
        // The parser has a limit of its own, which brackets without spaces reach before the walk sees them.
        if error.info().contains("recursion limit") {
            return self.too_deep(at..at);
        }
        self.problems.push(
            Problem::error("", format!("this is not YAML: {}", error.info()))
                .at_bytes(at..at)
                .label("reading stopped here")
                .help("check indentation, quotes and brackets just before this place"),
        );
        Stop
    }

    fn document(&mut self) -> Result<Node, Stop> {
        let mut root = Node::default();
        let mut documents = 0;
        loop {
            let (event, range) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if documents == 0 => documents = 1,
                Event::DocumentStart(_) => return Err(self.second_document(range)),
                event => root = self.node(&event, range, "", 0)?,
            }
        }
    }

    fn second_document(&mut self, range: Range<usize>) -> Stop {
        self.problems.push(
            Problem::error("", "the file has more than one YAML document")
                .at_bytes(range)
                .label("the second one starts here")
                .help("put each stack in a file of its own"),
        );
        Stop
    }

    fn node(&mut self, event: &Event<'a>, range: Range<usize>, path: &str, depth: usize) -> Result<Node, Stop> {
        if depth > MAX_DEPTH {
            return Err(self.too_deep(range));
        }
        self.refuse(event, &range, path);
        let mut node = Node { key: None, value: range, children: IndexMap::new() };
        match event {
            Event::SequenceStart(..) => self.items(&mut node, path, depth)?,
            Event::MappingStart(..) => self.entries(&mut node, path, depth)?,
            _ => {}
        }
        Ok(node)
    }

    fn too_deep(&mut self, range: Range<usize>) -> Stop {
        self.problems.push(
            Problem::error("", format!("lists and mappings are nested more than {MAX_DEPTH} deep"))
                .at_bytes(range)
                .label("too deep")
                .help("a stack file needs less than ten levels"),
        );
        Stop
    }

    fn items(&mut self, node: &mut Node, path: &str, depth: usize) -> Result<(), Stop> {
        loop {
            let (event, range) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(());
            }
            let step = node.children.len().to_string();
            let item = self.node(&event, range, &join(path, &step), depth + 1)?;
            node.children.insert(step, item);
        }
    }

    fn entries(&mut self, node: &mut Node, path: &str, depth: usize) -> Result<(), Stop> {
        loop {
            let (event, key) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(());
            }
            let name = self.key(&event, &key, path, depth)?;
            let inner = join(path, &name);
            let (event, range) = self.next()?;
            let mut value = self.node(&event, range, &inner, depth + 1)?;
            value.key = Some(key.clone());
            if let Some(first) = node.children.get(&name) {
                let first = first.opening();
                self.duplicate(&name, &inner, key, first);
            } else {
                node.children.insert(name, value);
            }
        }
    }

    fn key(&mut self, event: &Event<'a>, range: &Range<usize>, path: &str, depth: usize) -> Result<String, Stop> {
        self.refuse(event, range, path);
        if let Event::Scalar(text, style, ..) = event {
            if text == "<<" && *style == saphyr_parser::ScalarStyle::Plain {
                self.refused(range.clone(), path, "merge keys (`<<`)", "write the fields out");
            }
            return Ok(text.to_string());
        }
        self.refused(range.clone(), path, "lists and mappings as keys", "use plain text as the key");
        self.node(event, range.clone(), path, depth + 1)?;
        Ok(String::new())
    }

    fn duplicate(&mut self, name: &str, path: &str, key: Range<usize>, first: Range<usize>) {
        self.problems.push(
            Problem::error(path, format!("`{name}` is given twice"))
                .at_bytes(key)
                .label("given again here")
                .also(path, Spot::Bytes(first), "first given here")
                .help("keep one of the two"),
        );
    }

    fn refuse(&mut self, event: &Event<'_>, range: &Range<usize>, path: &str) {
        let (anchor, tag) = match event {
            Event::Scalar(_, _, anchor, tag) | Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                (*anchor, tag.as_deref())
            }
            Event::Alias(_) => {
                let help = "write the value out, or put it in a variable and use `${var.name}`";
                return self.refused(range.clone(), path, "aliases (`*name`)", help);
            }
            _ => return,
        };
        if anchor > 0 {
            let help = "write the value out, or put it in a variable and use `${var.name}`";
            self.refused(range.clone(), path, "anchors (`&name`)", help);
        }
        if let Some(Tag { handle, suffix }) = tag {
            let what = format!("tags (`{}{suffix}`)", if handle == "tag:yaml.org,2002:" { "!!" } else { handle });
            self.refused(range.clone(), path, &what, "remove the tag; references are written `${id.output}`");
        }
    }

    fn refused(&mut self, range: Range<usize>, path: &str, what: &str, help: &str) {
        if self.problems.len() >= MAX_REFUSED {
            return;
        }
        self.problems.push(
            Problem::error(path, format!("{what} are not allowed in a stack file"))
                .at_bytes(range)
                .label("not allowed")
                .help(help),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source(text: &str) -> Source {
        Source::new("f.yaml", text).with_places(scan(text).unwrap())
    }

    fn marked(text: &str, path: &str, spot: &Spot) -> String {
        let source = source(text);
        source.text()[source.range(path, spot)].to_owned()
    }

    #[test]
    fn finds_keys_and_values() {
        let text = "a:\n  b: [1, {c: zwei}]\n  d.e: 'q'\n  ü: ß\n  f:\n  g: |\n    one\n    two\n";
        for (path, spot, want) in [
            ("a.b.1.c", Spot::Value, "zwei"),
            ("a.b.1.c", Spot::Key, "c"),
            ("a.b.0", Spot::Value, "1"),
            ("a.b", Spot::Value, "b"),
            ("a.d.e", Spot::Value, "'q'"),
            ("a.d.e.f", Spot::Value, "d.e"),
            ("a.ü", Spot::Value, "ß"),
            ("a.f", Spot::Value, "f"),
            ("a.nope.x", Spot::Value, "a"),
            ("a.g", Spot::Text("two".into()), "two"),
        ] {
            assert_eq!(marked(text, path, &spot), want, "{path} {spot:?}");
        }
    }

    #[test]
    fn positions_count_characters() {
        let text = "a: 1\nü: {b: 2}\n";
        let source = source(text);
        assert_eq!(source.position(source.range("ü.b", &Spot::Value).start), (2, 8));
    }

    #[test]
    fn refuses_what_the_format_does_not_allow() {
        let text = "a: &x {k: 1}\nb: *x\nc: {<<: {d: 1}}\ne: !Ref y\na: 2\n[q]: 1\n";
        let found: Vec<String> = scan(text).unwrap_err().into_iter().map(|problem| problem.message).collect();
        insta::assert_debug_snapshot!(found);
    }

    #[test]
    fn deep_nesting_is_refused_at_once() {
        for text in ["[".repeat(100_000), format!("a: {}", "{a: ".repeat(100_000)), "- ".repeat(100_000)] {
            let start = std::time::Instant::now();
            let problems = scan(&text).unwrap_err();
            assert!(problems[0].message.contains("nested more than 64"), "{}", problems[0].message);
            assert!(start.elapsed().as_millis() < 1_000);
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[-\\[\\]{}:,a-c&*!|> \n\"'#?%@]{0,80}") {
            if let Ok(root) = scan(&text) {
                let source = Source::new("f", &text).with_places(root);
                prop_assert!(source.range("a.b", &Spot::Value).end <= text.len());
            }
        }
    }
}
