//! How one subscription of a topic is named without its endpoint.
//!
//! An endpoint may be somebody's telephone number, and there are so few of them that a number can be found from any hash
//! of it that tells it from all others. So a subscription is named by the last part of its ARN, which SNS makes up.
//! Where the ARN is not known (not yet, or because lists hide it while nobody has confirmed) a digest of 16 bits has
//! to do: it tells the few subscriptions of one topic apart, and more than a hundred thousand numbers share each value.

use std::fmt;

use sha2::{Digest, Sha256};

use super::Protocol;
use crate::kind::{KindError, Result};

/// Says which of a topic's subscriptions is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    /// Last part of its ARN.
    Id(String),
    /// Protocol, and digest of the endpoint.
    Digest(Protocol, String),
}

/// The address of a subscription: what the rest of the program knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) topic: String,
    pub(super) which: Which,
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            Which::Id(id) => write!(out, "{}:{id}", self.topic),
            Which::Digest(protocol, digest) => write!(out, "{}|{}|{digest}", self.topic, protocol.word()),
        }
    }
}

impl Address {
    /// Makes an address on a topic.
    pub(super) fn new(topic: &str, which: Which) -> Self {
        Self { topic: topic.to_owned(), which }
    }

    /// Reads an address back from its text: an ARN, or what stands for one.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let which = |text: &str| match text.split('|').collect::<Vec<_>>()[..] {
            [topic, protocol, digest] => {
                Some(Self::new(topic, Which::Digest(Protocol::parse(protocol)?, digest.to_owned())))
            }
            [arn] => arn.rsplit_once(':').map(|(topic, id)| Self::new(topic, Which::Id(id.to_owned()))),
            _ => None,
        };
        let is_topic = |topic: &str| topic.starts_with("arn:") && topic.split(':').count() == 6;
        which(text).filter(|address| is_topic(&address.topic)).ok_or_else(|| {
            KindError::invalid(format!("{text} is no address of a subscription"))
                .hint("give its ARN: that of the topic, a colon and what SNS has made up")
        })
    }
}

impl Which {
    /// Makes what stands for an ARN that is not known.
    pub(super) fn digest(topic: &str, protocol: Protocol, endpoint: &str) -> Self {
        let text = format!("{topic}|{}|{}", protocol.word(), canonical(protocol, endpoint));
        let digest = Sha256::digest(text.as_bytes());
        Self::Digest(protocol, digest.iter().take(2).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Reads one back from the text of a tag.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.split_once('.') {
            Some((protocol, digest)) => Some(Self::Digest(Protocol::parse(protocol)?, digest.to_owned())),
            None => (!text.is_empty()).then(|| Self::Id(text.to_owned())),
        }
    }

    /// Returns the text for a tag, whose letters are few.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Id(id) => id.clone(),
            Self::Digest(protocol, digest) => format!("{}.{digest}", protocol.word()),
        }
    }

    /// Tells whether it names a subscription for sure.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self, Self::Id(_))
    }
}

/// Phone numbers are compared by their digits, since SNS may drop what people write between them.
pub(super) fn canonical(protocol: Protocol, endpoint: &str) -> String {
    match protocol {
        Protocol::Sms => endpoint.chars().filter(char::is_ascii_digit).collect(),
        _ => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:t";

    #[test]
    fn addresses_read_back() {
        let id = Which::Id("6f1e0d3c-0000-4000-8000-000000000000".to_owned());
        for which in [id, Which::digest(TOPIC, Protocol::EmailJson, "a@b.c")] {
            assert_eq!(Which::parse(&which.text()).unwrap(), which);
            let address = Address::new(TOPIC, which);
            assert_eq!(Address::parse(&address.to_string()).unwrap(), address);
        }
        for text in ["x", "", TOPIC, "arn:aws:sns:us-east-1:123456789012:t|pigeon|0123", "t|sms|0123"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        assert_eq!((Which::parse(""), Which::parse("pigeon.0123")), (None, None));
    }

    #[test]
    fn a_digest_tells_endpoints_apart_and_is_too_short_to_guess_them_from() {
        let digest = |endpoint: &str| Which::digest(TOPIC, Protocol::Sms, endpoint);
        assert_eq!(digest("+79990000000"), digest("+7 999 000-00-00"));
        assert_ne!(digest("+79990000000"), digest("+79990000001"));
        let Which::Digest(_, text) = digest("+79990000000") else { panic!("an ARN out of nowhere") };
        assert_eq!(text.len(), 4, "{text}");
        // Of a hundred thousand numbers some share it: nobody can tell which of them it is of.
        let alike = (0..500_000).filter(|number| digest(&format!("+7999{number:07}")) == digest("+79990000000"));
        assert!(alike.count() > 2);
    }
}
