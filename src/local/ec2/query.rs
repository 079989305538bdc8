//! What all `Describe…` calls share: ids, filters with wildcards, and pages.

use serde_json::Value;

use super::super::{Call, Fault, Outcome, Xml};
use super::{Row, answer, fault, invalid};

/// How one kind of object is asked for and shown.
pub(super) struct Listing {
    /// Element that holds the items.
    pub(super) set: &'static str,
    /// Parameter with the ids asked for.
    pub(super) ids: &'static str,
    /// Member with the id.
    pub(super) key: &'static str,
    /// Filter names with the path of the members they compare; see [`values`].
    pub(super) filters: &'static [(&'static str, &'static str)],
    /// Codes of the faults for an id that does not exist and for one that cannot.
    pub(super) not_found: &'static str,
    pub(super) malformed: &'static str,
}

/// Answers a `Describe…` call from all rows of a kind.
pub(super) fn describe(call: &Call, rows: Vec<Row>, listing: &Listing) -> Outcome {
    let chosen = select(call, rows, listing)?;
    let (page, next) = page(call, chosen, listing.key)?;
    answer(Xml::new().list(listing.set, "item", page.iter().map(Row::xml)).maybe("nextToken", next))
}

/// Returns the rows that the call's ids and filters choose; every id must exist.
pub(super) fn select(call: &Call, rows: Vec<Row>, listing: &Listing) -> Result<Vec<Row>, Fault> {
    let ids = call.params().texts(listing.ids);
    for id in &ids {
        must_exist(&rows, id, listing)?;
    }
    let filters = Filters::parse(call, listing.filters)?;
    let asked = |row: &Row| ids.is_empty() || ids.iter().any(|id| id == row.text(listing.key));
    Ok(rows.into_iter().filter(|row| asked(row) && filters.accept(row)).collect())
}

fn must_exist(rows: &[Row], id: &str, listing: &Listing) -> Result<(), Fault> {
    if rows.iter().any(|row| row.text(listing.key) == id) {
        return Ok(());
    }
    let digits = id.rsplit_once('-').map_or("", |(_, digits)| digits);
    let well_formed = (8..=17).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !well_formed && !listing.malformed.is_empty() {
        return Err(fault(listing.malformed, format!("Invalid id: \"{id}\"")));
    }
    Err(fault(listing.not_found, format!("The {} '{id}' does not exist", noun(listing.key))))
}

/// Turns `groupId` into `group ID`, as EC2's texts write it.
fn noun(key: &str) -> String {
    let spaced: String =
        key.chars().flat_map(|letter| if letter.is_uppercase() { vec![' ', letter] } else { vec![letter] }).collect();
    spaced.to_lowercase().replace(" id", " ID")
}

/// Returns the text that rows are ordered by; a leading `!` reads a hidden member.
fn order<'a>(row: &'a Row, key: &str) -> &'a str {
    key.strip_prefix('!').map_or_else(|| row.text(key), |hidden| row.secret(hidden))
}

/// Cuts a page out of rows; the token is the key that the page ends with.
pub(super) fn page(call: &Call, mut rows: Vec<Row>, key: &str) -> Result<(Vec<Row>, Option<String>), Fault> {
    let size = match call.params().get("MaxResults") {
        Some(text) => text.parse::<usize>().ok().filter(|size| (1..=1000).contains(size)).ok_or_else(|| {
            invalid(format!(
                "Value ( {text} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000."
            ))
        })?,
        None => 1000,
    };
    rows.sort_by(|one, other| order(one, key).cmp(order(other, key)));
    if let Some(token) = call.params().get("NextToken") {
        rows.retain(|row| order(row, key) > token);
    }
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| more).map(|row| order(row, key).to_owned());
    Ok((rows, next))
}

/// The filters of one call.
pub(super) struct Filters(Vec<Filter>);

struct Filter {
    place: Place,
    patterns: Vec<String>,
}

enum Place {
    Tag(String),
    TagKey,
    Member(&'static str),
}

impl Filters {
    /// Reads `Filter.N`; a name outside the list is refused.
    pub(super) fn parse(call: &Call, names: &[(&'static str, &'static str)]) -> Result<Self, Fault> {
        let given = call.params().list("Filter");
        let filters = given.iter().map(|filter| {
            let name = filter.get("Name").unwrap_or_default();
            let place = place(name, names).ok_or_else(|| invalid(format!("The filter '{name}' is invalid")))?;
            Ok(Filter { place, patterns: filter.texts("Value") })
        });
        Ok(Self(filters.collect::<Result<_, Fault>>()?))
    }

    /// Makes the filter that compares one member with one value.
    pub(super) fn on_member(path: &'static str, value: &str) -> Self {
        Self(vec![Filter { place: Place::Member(path), patterns: vec![value.to_owned()] }])
    }

    /// Tells whether a row passes every filter.
    pub(super) fn accept(&self, row: &Row) -> bool {
        self.0.iter().all(|filter| {
            let found = match &filter.place {
                Place::Tag(key) => row.tags.get(key).cloned().into_iter().collect(),
                Place::TagKey => row.tags.keys().cloned().collect(),
                Place::Member(path) => values(row, path),
            };
            found.iter().any(|value| filter.patterns.iter().any(|pattern| matches(pattern, value)))
        })
    }
}

fn place(name: &str, names: &[(&'static str, &'static str)]) -> Option<Place> {
    if let Some(key) = name.strip_prefix("tag:") {
        return Some(Place::Tag(key.to_owned()));
    }
    if name == "tag-key" {
        return Some(Place::TagKey);
    }
    names.iter().find(|(known, _)| *known == name).map(|(_, path)| Place::Member(path))
}

/// Returns all texts below a dotted path; lists on the way are entered. A leading `!` reads hidden members.
fn values(row: &Row, path: &str) -> Vec<String> {
    let (object, path) = match path.strip_prefix('!') {
        Some(path) => (&row.hidden, path),
        None => (&row.view, path),
    };
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let mut found = Vec::new();
    if let Some(value) = object.get(first) {
        collect(value, rest, &mut found);
    }
    found
}

fn collect(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|member| collect(member, path, found)),
        Value::Object(object) => {
            let (first, rest) = path.split_once('.').unwrap_or((path, ""));
            if let Some(inner) = object.get(first) {
                collect(inner, rest, found);
            }
        }
        Value::String(text) => found.push(text.clone()),
        Value::Null => {}
        other => found.push(other.to_string()),
    }
}

/// Compares a value with a pattern of `*` and `?`.
pub(super) fn matches(pattern: &str, value: &str) -> bool {
    let (pattern, value): (Vec<char>, Vec<char>) = (pattern.chars().collect(), value.chars().collect());
    let (mut at, mut from, mut star) = (0, 0, None);
    while from < value.len() {
        if at < pattern.len() && pattern[at] == '*' {
            star = Some((at, from));
            at += 1;
        } else if at < pattern.len() && (pattern[at] == '?' || pattern[at] == value[from]) {
            at += 1;
            from += 1;
        } else if let Some((place, begin)) = star {
            at = place + 1;
            from = begin + 1;
            star = Some((place, from));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_follow_stars_and_question_marks() {
        assert!(matches("al2023-ami-*", "al2023-ami-2023.9"));
        assert!(matches("*x86_64", "al2023-x86_64"));
        assert!(matches("a?c", "abc") && matches("*", "") && matches("a*b*c", "aXbYbZc"));
        assert!(!matches("a?c", "ac") && !matches("abc", "abcd") && !matches("*x", "xy"));
    }
}
