//! Marks of subscriptions, kept as tags of their topic, since subscriptions have none.
//!
//! One tag for each subscription: key `stackctl:sub:<resource id>:<number>`, value `<which>:<spec hash>` with `:protect`
//! and `:retain` after it where these marks are set. A replacement and what it replaces have a number each.
//!
//! The mark is written before the subscription is made, so that a crash in between leaves a mark without a subscription
//! and never the reverse. By then there is no ARN, so the mark holds a short digest of the endpoint. As soon as SNS
//! has answered, the same tag is written over with the ARN's last part: the mark is complete. See [`Which`].

use super::address::Which;
use crate::aws::marks;
use crate::kind::Tags;

const PREFIX: &str = "stackctl:sub:";

/// The mark of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Logical id of its resource.
    pub(super) id: String,
    /// Tells the marks of one resource apart.
    pub(super) number: u16,
    pub(super) which: Which,
    /// Marks besides stack and resource.
    marks: Tags,
}

/// Marks that are words after the spec hash.
const FLAGS: [(&str, &str); 2] = [(marks::PROTECT, "protect"), (marks::RETAIN, "retain")];

impl Entry {
    /// Makes the mark of a subscription from the marks it would have as tags.
    pub(super) fn new(id: &str, number: u16, which: Which, marks: &Tags) -> Self {
        let kept = [marks::SPEC, marks::PROTECT, marks::RETAIN];
        let kept = kept.iter().filter_map(|key| Some(((*key).to_owned(), marks.get(*key)?.clone())));
        Self { id: id.to_owned(), number, which, marks: kept.collect() }
    }

    /// Returns the marks as if the subscription had tags.
    pub(super) fn marks(&self, stack: &str) -> Tags {
        let mut all = self.marks.clone();
        all.insert(marks::STACK.to_owned(), stack.to_owned());
        all.insert(marks::RESOURCE.to_owned(), self.id.clone());
        all
    }

    /// Returns the key of the topic's tag.
    pub(super) fn key(&self) -> String {
        format!("{PREFIX}{}:{}", self.id, self.number)
    }

    /// Returns the tag of the topic.
    pub(super) fn tag(&self) -> (String, String) {
        let spec = self.marks.get(marks::SPEC).map_or("", String::as_str);
        let mut value = format!("{}:{spec}", self.which.text());
        for (_, word) in FLAGS.iter().filter(|(mark, _)| marks::is_set(&self.marks, mark)) {
            value = format!("{value}:{word}");
        }
        (self.key(), value)
    }
}

/// Lists the marks among a topic's tags.
pub(super) fn all(tags: &Tags) -> Vec<Entry> {
    tags.iter().filter_map(|(key, value)| read(key, value)).collect()
}

/// Returns a number that no mark of the resource has.
pub(super) fn free_number(marks: &[Entry], id: &str) -> u16 {
    let taken = |number: &u16| marks.iter().any(|entry| entry.id == id && entry.number == *number);
    (1..u16::MAX).find(|number| !taken(number)).unwrap_or(u16::MAX)
}

/// Lists the marks that a subscription has: those with its ARN, else those of one resource that its digest fits. A digest
/// alone is no reason to take a subscription for that of any resource whatever.
pub(super) fn of<'a>(marks: &'a [Entry], exact: Option<&Which>, id: &str, digest: &Which) -> Vec<&'a Entry> {
    let complete: Vec<_> = marks.iter().filter(|entry| Some(&entry.which) == exact).collect();
    let fits = |entry: &&Entry| entry.id == id && entry.which == *digest;
    if complete.is_empty() { marks.iter().filter(fits).collect() } else { complete }
}

fn read(key: &str, value: &str) -> Option<Entry> {
    let (id, number) = key.strip_prefix(PREFIX)?.rsplit_once(':')?;
    let mut words = value.split(':');
    let which = Which::parse(words.next()?)?;
    let spec = words.next().filter(|spec| !spec.is_empty()).map(|spec| (marks::SPEC.to_owned(), spec.to_owned()));
    let flags: Vec<&str> = words.collect();
    let flags = FLAGS.iter().filter(|(_, word)| flags.contains(word));
    let marks = spec.into_iter().chain(flags.map(|(mark, _)| ((*mark).to_owned(), "true".to_owned()))).collect();
    Some(Entry { id: id.to_owned(), number: number.parse().ok()?, which, marks })
}

#[cfg(test)]
mod tests {
    use super::super::Protocol;
    use super::*;

    const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:t";

    fn id() -> Which {
        Which::Id("6f1e0d3c-0000-4000-8000-000000000000".to_owned())
    }

    fn digest() -> Which {
        Which::digest(TOPIC, Protocol::EmailJson, "a@b.c")
    }

    #[test]
    fn marks_read_back() {
        let marks =
            Tags::from([(marks::SPEC.to_owned(), "abc".to_owned()), (marks::RETAIN.to_owned(), "true".to_owned())]);
        for (which, marks) in [(id(), marks.clone()), (digest(), marks), (id(), Tags::new())] {
            let entry = Entry::new("mail", 2, which, &marks);
            let tags = Tags::from([
                entry.tag(),
                ("stackctl:stack".to_owned(), "s".to_owned()),
                ("stackctl:sub:broken".to_owned(), "x".to_owned()),
                ("stackctl:sub:broken:x".to_owned(), "x".to_owned()),
                ("stackctl:sub:broken:1".to_owned(), "pigeon.1".to_owned()),
            ]);
            assert_eq!(all(&tags), [entry]);
        }
    }

    #[test]
    fn a_mark_is_short_and_has_only_letters_that_sns_takes() {
        let marks = [marks::SPEC, marks::PROTECT, marks::RETAIN].map(|key| (key.to_owned(), "true".to_owned()));
        for which in [id(), digest()] {
            let (key, value) = Entry::new("mail", 1, which, &Tags::from(marks.clone())).tag();
            let fits = |letter: char| letter.is_ascii_alphanumeric() || " _.:/=+-@".contains(letter);
            assert!(key.len() <= 128 && value.len() <= 256 - 32, "{key} {value}");
            assert!(format!("{key}{value}").chars().all(fits), "{key} {value}");
        }
    }

    #[test]
    fn an_entry_gives_the_marks() {
        let tags = Entry::new("phone", 1, id(), &Tags::new()).marks("s");
        assert_eq!((marks::stack_of(&tags), marks::resource_of(&tags), tags.len()), (Some("s"), Some("phone"), 2));
    }

    #[test]
    fn numbers_are_free_again() {
        let entry = |id: &str, number| Entry::new(id, number, digest(), &Tags::new());
        let marks = [entry("a", 1), entry("a", 3), entry("b", 2)];
        assert_eq!(["a", "b", "c"].map(|id| free_number(&marks, id)), [2, 1, 1]);
    }

    #[test]
    fn a_complete_mark_counts_before_one_that_only_fits() {
        let entry = |id: &str, number, which| Entry::new(id, number, which, &Tags::new());
        let marks = [entry("a", 1, digest()), entry("a", 2, id()), entry("b", 3, digest())];
        let numbers = |exact: Option<Which>| {
            let found = of(&marks, exact.as_ref(), "a", &digest());
            found.iter().map(|entry| entry.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(Some(id())), [2]);
        assert_eq!(numbers(Some(Which::Id("x".into()))), [1]);
        assert_eq!(numbers(None), [1]);
        assert_eq!(numbers(Some(digest())), [1, 3]);
    }
}
