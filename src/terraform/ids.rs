//! Logical ids for what has an address: short, valid, and each once.

use std::collections::{BTreeMap, BTreeSet};

/// Ids that mean something else in references.
const RESERVED: [&str; 5] = ["var", "stack", "region", "account", "file"];
/// Longest id that is made; a stack file allows 128.
const LONGEST: usize = 100;

/// Gives each object an id: its words, with the kind's noun where several kinds have the same words.
pub(super) fn assign(objects: &[(&[String], &str)]) -> Vec<String> {
    let plain: Vec<String> = objects.iter().map(|(words, _)| word(&words.join("_"))).collect();
    let mut users: BTreeMap<&str, usize> = BTreeMap::new();
    for id in &plain {
        *users.entry(id).or_default() += 1;
    }
    let mut taken = BTreeSet::new();
    let named = plain.iter().zip(objects).map(|(id, (_, kind))| {
        let noun = kind.split_once('_').map_or(*kind, |(_, noun)| noun);
        if users.get(id.as_str()).is_some_and(|count| *count > 1) && !id.ends_with(noun) {
            format!("{id}_{noun}")
        } else {
            id.clone()
        }
    });
    named.map(|id| free(&id, &mut taken)).collect()
}

/// Returns an id that nothing else has.
pub(super) fn free(id: &str, taken: &mut BTreeSet<String>) -> String {
    let mut fresh = id.to_owned();
    let mut number = 2;
    while !taken.insert(fresh.clone()) {
        fresh = format!("{id}_{number}");
        number += 1;
    }
    fresh
}

/// Turns a text into a word that can be an id.
pub(super) fn word(text: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    let mut word: String = text.chars().take(LONGEST).map(letter).collect();
    while word.contains("__") {
        word = word.replace("__", "_");
    }
    let word = word.trim_matches('_');
    let fits = word.starts_with(|first: char| first.is_ascii_alphabetic()) && !RESERVED.contains(&word);
    if fits { word.to_owned() } else { format!("r_{word}").trim_end_matches('_').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_are_words_and_unique() {
        let all = [
            ("a", "iam_role"),
            ("a", "iam_policy"),
            ("b", "iam_role"),
            ("b", "iam_role"),
            ("c[\"x y\"]", "t"),
            ("var", "t"),
            ("0", "t"),
            ("", "t"),
        ];
        let words: Vec<Vec<String>> = all.iter().map(|(word, _)| vec![(*word).to_owned()]).collect();
        let objects: Vec<_> = words.iter().zip(all).map(|(words, (_, kind))| (words.as_slice(), kind)).collect();
        let ids = assign(&objects);
        assert_eq!(ids, ["a_role", "a_policy", "b_role", "b_role_2", "c_x_y", "r_var", "r_0", "r"]);
    }

    proptest! {
        #[test]
        fn every_text_becomes_an_id(text in ".{0,200}") {
            let id = word(&text);
            prop_assert!(!id.is_empty() && id.len() <= 128 && !RESERVED.contains(&id.as_str()), "{}", id);
            prop_assert!(id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-'), "{}", id);
            prop_assert!(id.starts_with(|first: char| first.is_ascii_alphabetic()), "{}", id);
        }
    }
}
