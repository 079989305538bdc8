//! Marks of subscriptions, kept as tags of their topic.
//!
//! One tag for each subscription: key `stackctl:sub:<resource id>:<hash>`, value `<protocol>:<spec hash>`. The hash is
//! of topic, protocol and endpoint, so that a replacement and what it replaces have a mark each.

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
    pub(super) spec: Option<String>,
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
        let hash = Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
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

impl Entry {
    /// Returns the marks as if the subscription had tags.
    pub(super) fn marks(&self, stack: &str, id: &str) -> Tags {
        let marks = [
            (marks::STACK, Some(stack.to_owned())),
            (marks::RESOURCE, Some(id.to_owned())),
            (marks::SPEC, self.spec.clone()),
        ];
        marks.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// Returns the key of the tag.
pub(super) fn tag_key(id: &str, handle: &Handle) -> String {
    format!("{PREFIX}{id}:{}", handle.hash)
}

/// Returns the value of the tag.
pub(super) fn tag_value(handle: &Handle, spec: &str) -> String {
    format!("{}:{spec}", handle.protocol.word())
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
    let (protocol, spec) = value.split_once(':')?;
    let handle = Handle { topic: topic.to_owned(), protocol: Protocol::parse(protocol)?, hash: hash.to_owned() };
    let spec = Some(spec.to_owned()).filter(|spec| !spec.is_empty());
    Some((id.to_owned(), Entry { handle, spec }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:t";

    #[test]
    fn handles_and_marks_read_back() {
        let handle = Handle::of(TOPIC, Protocol::EmailJson, "a@b.c");
        assert_eq!(Handle::parse(&handle.to_string()).unwrap(), handle);
        let tags = Tags::from([
            (tag_key("mail", &handle), tag_value(&handle, "abc")),
            ("stackctl:stack".to_owned(), "s".to_owned()),
            ("stackctl:sub:broken".to_owned(), "x".to_owned()),
        ]);
        let entry = Entry { handle: handle.clone(), spec: Some("abc".to_owned()) };
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
    fn an_entry_gives_the_three_marks() {
        let entry = Entry { handle: Handle::of(TOPIC, Protocol::Sms, "+7"), spec: None };
        let tags = entry.marks("s", "phone");
        assert_eq!((marks::stack_of(&tags), marks::resource_of(&tags), tags.len()), (Some("s"), Some("phone"), 2));
    }
}
