//! What is true of tags in most services: how many a resource may have, and which letters they are made of.
//!
//! It knows no service: each says in its own words what is wrong.

use std::collections::BTreeMap;

/// How many tags a resource may have.
pub(crate) const MOST: usize = 50;

/// What is wrong with a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// A length or a letter.
    Form,
    /// The key is one of AWS's own.
    Reserved,
}

/// Checks one tag.
pub(crate) fn check(key: &str, value: &str) -> Result<(), Wrong> {
    let allowed = |letter: char| letter.is_alphanumeric() || letter == ' ' || "_.:/=+-@".contains(letter);
    let lengths = (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
    if !lengths || !key.chars().chain(value.chars()).all(allowed) {
        return Err(Wrong::Form);
    }
    if key.to_ascii_lowercase().starts_with("aws:") { Err(Wrong::Reserved) } else { Ok(()) }
}

/// Tells whether a resource may have all of these tags.
pub(crate) fn fit(tags: &BTreeMap<String, String>) -> bool {
    tags.len() <= MOST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_lengths_letters_and_reserved_keys() {
        for (key, value) in [("k", ""), ("ключ", "a b_.:/=+-@"), (&*"k".repeat(128), &*"v".repeat(256))] {
            assert_eq!(check(key, value), Ok(()), "{key}");
        }
        for (key, value) in [("", "v"), ("k!", ""), ("k", "*"), (&*"k".repeat(129), ""), ("k", &*"v".repeat(257))] {
            assert_eq!(check(key, value), Err(Wrong::Form), "{key}");
        }
        assert_eq!(check("AWS:x", ""), Err(Wrong::Reserved));
    }

    #[test]
    fn fifty_tags_fit() {
        let mut tags: BTreeMap<String, String> = (0..MOST).map(|number| (number.to_string(), String::new())).collect();
        assert!(fit(&tags));
        tags.insert("one more".to_owned(), String::new());
        assert!(!fit(&tags));
    }
}
