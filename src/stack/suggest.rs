//! "Did you mean": the known word nearest to a wrong one.

/// Returns the candidate nearest to a word, when one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .filter_map(|candidate| distance(word, candidate).map(|distance| (distance, candidate)))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns the number of edits between two words, case and separators counting little; nothing when they are far apart.
fn distance(left: &str, right: &str) -> Option<usize> {
    let plain = |word: &str| word.to_lowercase().replace(['_', '-', ' '], "");
    let (a, b) = (plain(left), plain(right));
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let edits = strsim::osa_distance(&a, &b);
    // Long words may have more slips; a beginning of the right word is near too.
    let limit = (a.chars().count().max(b.chars().count()) + 1) / 3;
    if edits <= limit {
        return Some(edits * 2 + usize::from(left != right));
    }
    let begins = a.len().min(b.len()) > 3 && (a.starts_with(&b) || b.starts_with(&a));
    begins.then_some(edits * 2 + 1)
}

/// Says "did you mean", or lists what there is when nothing is near and the list is short.
pub fn help<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(found) = nearest(word, candidates.clone()) {
        return Some(format!("did you mean `{found}`?"));
    }
    let all: Vec<String> = candidates.into_iter().map(|candidate| format!("`{candidate}`")).collect();
    (!all.is_empty() && all.len() <= 30).then(|| format!("possible here: {}", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_slips() {
        for (word, want) in [
            ("kinesis_steam", Some("kinesis_stream")),
            ("ShardCount", Some("shard_count")),
            ("shards", None),
            ("shard", Some("shard_count")),
            ("Airline_Tickets", Some("airline_tickets")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, ["kinesis_stream", "shard_count", "airline_tickets"]), want, "{word}");
        }
    }

    #[test]
    fn the_nearest_of_several_wins() {
        assert_eq!(nearest("arnn", ["name", "arns", "arn"]), Some("arn"));
    }

    proptest! {
        #[test]
        fn nearness_is_mutual(left in "[a-c_]{0,6}", right in "[a-c_]{0,6}") {
            prop_assert_eq!(distance(&left, &right), distance(&right, &left));
        }

        #[test]
        fn a_word_is_nearest_to_itself(word in "[a-z]{1,8}", other in "[a-z]{1,8}") {
            prop_assert_eq!(nearest(&word, [other.as_str(), word.as_str()]), Some(word.as_str()));
        }
    }
}
