//! Marks of subscriptions, kept as tags of their topic.
//!
//! One tag for each subscription: key `stackctl:sub:<resource id>:<hash>`, value `<protocol>:<spec hash>` with
//! `:protect` and `:retain` after it where these marks are set. The hash in the key is of topic, protocol and endpoint, so that a replacement and what it replaces have a mark each.

use std::fmt;

use sha2::{Digest, Sha256};

use super::Protocol;
use crate::aws::marks;
use crate::kind::{KindError, Result, Tags};

const PREFIX: &str = "stackctl:sub:";

/// The address of a subscription, confirmed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Handle {
    pub(super) topic: String,
    pub(super) protocol: Protocol,
    hash: String,
}

/// The mark of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) handle: Handle,
    /// Marks besides stack and resource.
    marks: Tags,
}

impl fmt::Display for Handle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}|{}|{}", self.topic, self.protocol.word(), self.hash)
    }
}

impl Handle {
    /// Makes the handle of a triple.
    pub(super) fn of(topic: &str, protocol: Protocol, endpoint: &str) -> Self {
        let text = format!("{topic}|{}|{}", protocol.word(), canonical(protocol, endpoint));
        let digest = Sha256::digest(text.as_bytes());
        let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let hash = format!("{number:016x}");
        Self { topic: topic.to_owned(), protocol, hash }
    }

    /// Reads a handle back from its text.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut parts = text.split('|');
        let parts = (parts.next(), parts.next().and_then(Protocol::parse), parts.next(), parts.next());
        let (Some(topic), Some(protocol), Some(hash), None) = parts else {
            return Err(KindError::invalid(format!("{text} is no address of a subscription")));
        };
        Ok(Self { topic: topic.to_owned(), protocol, hash: hash.to_owned() })
    }
}

/// Phone numbers are compared by their digits, since SNS may drop what people write between them.
fn canonical(protocol: Protocol, endpoint: &str) -> String {
    match protocol {
        Protocol::Sms => endpoint.chars().filter(char::is_ascii_digit).collect(),
        _ => endpoint.to_owned(),
    }
}

/// Marks that are words after the spec hash.
const FLAGS: [(&str, &str); 2] = [(marks::PROTECT, "protect"), (marks::RETAIN, "retain")];

impl Entry {
    /// Makes the mark of a subscription from the marks it would have as tags.
    pub(super) fn new(handle: Handle, marks: &Tags) -> Self {
        let kept = [marks::SPEC, marks::PROTECT, marks::RETAIN];
        let kept = kept.iter().filter_map(|key| Some(((*key).to_owned(), marks.get(*key)?.clone())));
        Self { handle, marks: kept.collect() }
    }

    /// Returns the marks as if the subscription had tags.
    pub(super) fn marks(&self, stack: &str, id: &str) -> Tags {
        let mut all = self.marks.clone();
        all.insert(marks::STACK.to_owned(), stack.to_owned());
        all.insert(marks::RESOURCE.to_owned(), id.to_owned());
        all
    }

    /// Returns the tag of the topic.
    pub(super) fn tag(&self, id: &str) -> (String, String) {
        let spec = self.marks.get(marks::SPEC).map_or("", String::as_str);
        let mut value = format!("{}:{spec}", self.handle.protocol.word());
        for (_, word) in FLAGS.iter().filter(|(mark, _)| marks::is_set(&self.marks, mark)) {
            value = format!("{value}:{word}");
        }
        (tag_key(id, &self.handle), value)
    }
}

/// Returns the key of the tag.
pub(super) fn tag_key(id: &str, handle: &Handle) -> String {
    format!("{PREFIX}{id}:{}", handle.hash)
}

/// Lists the marks among a topic's tags, with the ids of their resources.
pub(super) fn all(topic: &str, tags: &Tags) -> Vec<(String, Entry)> {
    tags.iter().filter_map(|(key, value)| read(topic, key, value)).collect()
}

/// Lists the marks of one resource.
pub(super) fn of_resource(topic: &str, tags: &Tags, id: &str) -> Vec<Entry> {
    all(topic, tags).into_iter().filter(|(owner, _)| owner == id).map(|(_, entry)| entry).collect()
}

fn read(topic: &str, key: &str, value: &str) -> Option<(String, Entry)> {
    let (id, hash) = key.strip_prefix(PREFIX)?.rsplit_once(':')?;
    let mut words = value.split(':');
    let protocol = Protocol::parse(words.next()?)?;
    let handle = Handle { topic: topic.to_owned(), protocol, hash: hash.to_owned() };
    let spec = words.next().filter(|spec| !spec.is_empty()).map(|spec| (marks::SPEC.to_owned(), spec.to_owned()));
    let flags: Vec<&str> = words.collect();
    let flags = FLAGS.iter().filter(|(_, word)| flags.contains(word));
    let marks = spec.into_iter().chain(flags.map(|(mark, _)| ((*mark).to_owned(), "true".to_owned()))).collect();
    Some((id.to_owned(), Entry { handle, marks }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:t";

    #[test]
    fn handles_and_marks_read_back() {
        let handle = Handle::of(TOPIC, Protocol::EmailJson, "a@b.c");
        assert_eq!(Handle::parse(&handle.to_string()).unwrap(), handle);
        let marks =
            Tags::from([(marks::SPEC.to_owned(), "abc".to_owned()), (marks::RETAIN.to_owned(), "true".to_owned())]);
        let entry = Entry::new(handle, &marks);
        let tags = Tags::from([
            entry.tag("mail"),
            ("stackctl:stack".to_owned(), "s".to_owned()),
            ("stackctl:sub:broken".to_owned(), "x".to_owned()),
        ]);
        assert_eq!(all(TOPIC, &tags), [("mail".to_owned(), entry.clone())]);
        assert_eq!(of_resource(TOPIC, &tags, "mail"), [entry]);
        assert_eq!(of_resource(TOPIC, &tags, "other"), []);
    }

    #[test]
    fn a_handle_tells_endpoints_apart_and_does_not_show_them() {
        let phone = Handle::of(TOPIC, Protocol::Sms, "+79990000000");
        assert_eq!(phone, Handle::of(TOPIC, Protocol::Sms, "+7 999 000-00-00"));
        assert_ne!(phone, Handle::of(TOPIC, Protocol::Sms, "+79990000001"));
        assert!(!phone.to_string().contains("999"), "{phone}");
        assert!(Handle::parse("x").is_err());
    }

    #[test]
    fn an_entry_gives_the_marks() {
        let entry = Entry::new(Handle::of(TOPIC, Protocol::Sms, "+7"), &Tags::new());
        let tags = entry.marks("s", "phone");
        assert_eq!((marks::stack_of(&tags), marks::resource_of(&tags), tags.len()), (Some("s"), Some("phone"), 2));
    }
}
