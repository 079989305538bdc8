//! Values that are another object's: which reference stands for them, as long as nothing waits for itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Outputs of all objects by their values, and who refers to whom so far.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Index of the object and name of its output, by value.
    values: HashMap<String, (usize, &'static str)>,
    /// Objects by kind and name.
    names: HashMap<(&'static str, String), usize>,
    needs: BTreeMap<usize, BTreeSet<usize>>,
}

/// A reference to an output, and what of the text comes after its value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link<'a> {
    pub(super) to: usize,
    pub(super) output: &'static str,
    pub(super) rest: &'a str,
}

impl Links {
    /// Adds an object's name.
    pub(super) fn name(&mut self, kind: &'static str, name: &str, object: usize) {
        self.names.entry((kind, name.to_owned())).or_insert(object);
    }

    /// Adds an output, unless its value could be anybody's.
    pub(super) fn value(&mut self, value: &str, object: usize, output: &'static str) {
        if is_telling(value) {
            self.values.entry(value.to_owned()).or_insert((object, output));
        }
    }

    /// Finds the output that a text is or begins with, and remembers that one object refers to the other.
    pub(super) fn find<'a>(&mut self, from: usize, text: &'a str) -> Option<Link<'a>> {
        let ends = text.char_indices().filter(|(_, letter)| [':', '/'].contains(letter)).map(|(at, _)| at);
        let mut ends: Vec<usize> = ends.chain([text.len()]).collect();
        ends.reverse();
        let known = |end: &usize| text.get(..*end).and_then(|start| self.values.get(start)).map(|found| (*end, *found));
        let (end, (to, output)) = ends.iter().find_map(known)?;
        self.allow(from, to).then(|| Link { to, output, rest: &text[end..] })
    }

    /// Finds the object of a kind that has a name.
    pub(super) fn named(&mut self, from: usize, kind: &'static str, name: &str) -> Option<usize> {
        let to = *self.names.get(&(kind, name.to_owned()))?;
        self.allow(from, to).then_some(to)
    }

    /// Lets one object refer to another, unless that one waits for it.
    fn allow(&mut self, from: usize, to: usize) -> bool {
        if self.needs.get(&from).is_some_and(|needs| needs.contains(&to)) {
            return true;
        }
        if from == to || self.reaches(to, from) {
            return false;
        }
        self.needs.entry(from).or_default().insert(to)
    }

    fn reaches(&self, start: usize, goal: usize) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(at) = open.pop() {
            if at == goal {
                return true;
            }
            if seen.insert(at) {
                open.extend(self.needs.get(&at).into_iter().flatten());
            }
        }
        false
    }
}

/// Tells whether a value is one that AWS made: an ARN, or an id such as `sg-0123456789abcdef0`.
fn is_telling(value: &str) -> bool {
    let id = value.split_once('-').is_some_and(|(kind, rest)| {
        kind.len() <= 8
            && kind.bytes().all(|byte| byte.is_ascii_lowercase())
            && rest.len() >= 8
            && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    value.starts_with("arn:") || id
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:sns:us-east-1:1:topic";

    #[test]
    fn whole_values_and_their_beginnings_are_found() {
        let mut links = Links::default();
        links.value(ARN, 1, "arn");
        links.value("sg-0123456789abcdef0", 2, "id");
        links.value("topic", 1, "name");
        let find = |links: &mut Links, text: &str| links.find(0, text).map(|link| (link.to, link.rest.to_owned()));
        assert_eq!(find(&mut links, ARN), Some((1, String::new())));
        assert_eq!(find(&mut links, &format!("{ARN}:*")), Some((1, ":*".to_owned())));
        assert_eq!(find(&mut links, &format!("{ARN}2")), None);
        assert_eq!(find(&mut links, "topic"), None, "a name alone says nothing");
        assert_eq!(find(&mut links, "sg-0123456789abcdef0"), Some((2, String::new())));
        assert_eq!(find(&mut links, "ü:ö/ä"), None);
    }

    #[test]
    fn nothing_waits_for_itself() {
        let mut links = Links::default();
        for (index, value) in ["arn:a", "arn:b", "arn:c"].into_iter().enumerate() {
            links.value(value, index, "arn");
        }
        assert!(links.find(0, "arn:a").is_none());
        assert!(links.find(0, "arn:b").is_some());
        assert!(links.find(1, "arn:c").is_some());
        assert!(links.find(2, "arn:a").is_none(), "that would close a circle");
        assert!(links.find(0, "arn:b").is_some());
    }
}
