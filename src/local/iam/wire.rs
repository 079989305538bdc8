//! Details of the IAM wire form: encoded documents, times, unique ids, pages, and the checks of names and paths.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use crate::local::constraint::{Charset, Constraints};
use crate::local::{Call, Fault, Xml};

/// What RFC 3986 leaves as it is: letters, digits and `-._~`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const NAME: Charset =
    Charset { pattern: r"[\w+=,.@-]+", allows: |letter| letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter) };

/// Characters of documents: tab, line ends and U+0020 to U+00FF (`facts/aws.md` 5.3).
const DOCUMENT: Charset = Charset {
    pattern: r"[\u0009\u000A\u000D\u0020-\u00FF]+",
    allows: |letter| matches!(letter, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}'),
};

const DESCRIPTION: Charset = Charset {
    pattern: r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*",
    allows: |letter| matches!(letter, '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{a1}'..='\u{ff}'),
};

/// Encodes a policy document as IAM answers carry it.
pub(super) fn encode(document: &str) -> String {
    utf8_percent_encode(document, ENCODED).to_string()
}

/// Formats a time as IAM answers carry it.
pub(super) fn time(milliseconds: i64) -> String {
    let seconds = milliseconds.div_euclid(1000);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// Makes the unique id of an entity: four letters for its kind and 17 that depend on name and time.
pub(super) fn unique_id(kind: &str, call: &Call, name: &str) -> String {
    derived_id(kind, &format!("{}/{name}/{}", call.account, call.now))
}

/// Makes a unique id from any seed text.
pub(super) fn derived_id(kind: &str, seed: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = Sha256::digest(format!("{kind}/{seed}"));
    let tail = digest.iter().take(17).map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    kind.chars().chain(tail).collect()
}

/// Builds the ARN of an IAM entity; `path` starts and ends with a slash.
pub(super) fn arn(call: &Call, kind: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{}:{kind}{path}{name}", call.account)
}

/// Returns a field that must be there and be a name.
pub(super) fn name<'a>(call: &'a Call, field: &str, most: usize) -> Result<&'a str, Fault> {
    let value = call.params().get(field);
    let mut check = Constraints::new();
    check_name(&mut check, field, value, most);
    check.done("ValidationError")?;
    Ok(value.unwrap_or_default())
}

/// Adds the checks of a required name.
pub(super) fn check_name(check: &mut Constraints, field: &str, value: Option<&str>, most: usize) {
    let label = member(field);
    check.required(&label, value);
    check.length(&label, value, 1, most);
    check.charset(&label, value, NAME);
}

/// Adds the checks of a required policy document.
pub(super) fn check_document(check: &mut Constraints, field: &str, value: Option<&str>) {
    let label = member(field);
    check.required(&label, value);
    check.length(&label, value, 1, 131_072);
    check.charset(&label, value, DOCUMENT);
}

/// Adds the checks of an optional description.
pub(super) fn check_description(check: &mut Constraints, value: Option<&str>) {
    check.length("description", value, 0, 1000);
    check.charset("description", value, DESCRIPTION);
}

/// Adds the checks of an optional path.
pub(super) fn check_path(check: &mut Constraints, field: &str, value: Option<&str>) {
    let label = member(field);
    check.length(&label, value, 1, 512);
    let rule = r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)";
    check.shape(&label, value, rule, |path| path == "/" || is_path(path));
}

fn is_path(path: &str) -> bool {
    path.len() > 2
        && path.starts_with('/')
        && path.ends_with('/')
        && path.chars().all(|letter| letter.is_ascii_graphic())
}

/// Returns a field's name as constraint reports write it.
pub(super) fn member(field: &str) -> String {
    let mut letters = field.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

/// Returns a number field, or a fault when it is not one.
pub(super) fn number(call: &Call, field: &str) -> Result<Option<i64>, Fault> {
    let Some(text) = call.params().get(field) else { return Ok(None) };
    let wrong = |_| Fault::new("MalformedInput", format!("{field} must be a whole number, not '{text}'"));
    text.parse().map(Some).map_err(wrong)
}

/// Returns a field with true or false, or a fault when it is neither.
pub(super) fn flag(call: &Call, field: &str) -> Result<bool, Fault> {
    match call.params().get(field) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(text) => Err(Fault::new("MalformedInput", format!("{field} must be true or false, not '{text}'"))),
    }
}

/// Requires a path prefix in the form that list calls take and returns it.
pub(super) fn path_prefix(call: &Call) -> Result<&str, Fault> {
    let prefix = call.params().get("PathPrefix");
    let mut check = Constraints::new();
    check.length("pathPrefix", prefix, 1, 512);
    let fits = |path: &str| path.starts_with('/') && path.chars().all(|letter| letter.is_ascii_graphic());
    check.shape("pathPrefix", prefix, r"\u002F[\u0021-\u007F]*", fits);
    check.done("ValidationError")?;
    Ok(prefix.unwrap_or("/"))
}

/// Cuts one page out of a list of keyed items: `MaxItems` of those after `Marker`.
///
/// Returns the items and the elements `IsTruncated` and `Marker`.
pub(super) fn page<T>(call: &Call, items: Vec<(String, T)>) -> Result<(Vec<T>, Xml), Fault> {
    let most = number(call, "MaxItems")?;
    let mut check = Constraints::new();
    check.range("maxItems", most, 1, 1000);
    check.done("ValidationError")?;
    let most = usize::try_from(most.unwrap_or(100)).unwrap_or(100);
    let after = call.params().get("Marker").map(unmark).transpose()?;
    let mut rest = items.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after)).peekable();
    let mut page = Vec::new();
    let mut last = String::new();
    while page.len() < most
        && let Some((key, item)) = rest.next()
    {
        last = key;
        page.push(item);
    }
    let more = rest.peek().is_some();
    let tail = Xml::new().text("IsTruncated", more).maybe("Marker", more.then(|| URL_SAFE_NO_PAD.encode(last)));
    Ok((page, tail))
}

fn unmark(marker: &str) -> Result<String, Fault> {
    let decoded = URL_SAFE_NO_PAD.decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.ok_or_else(|| Fault::new("ValidationError", "Invalid Marker."))
}

/// An error with the HTTP status 409.
pub(super) fn conflict(code: &str, message: impl Into<String>) -> Fault {
    Fault::with_status(409, code, message)
}

/// The error for an entity that is not there.
pub(super) fn missing(message: impl Into<String>) -> Fault {
    Fault::with_status(404, "NoSuchEntity", message)
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::super::testing::texts;
    use super::*;
    use crate::local::testing::QueryBench;

    proptest! {
        #[test]
        fn encoded_documents_decode_to_themselves(document in "\\PC*") {
            let encoded = encode(&document);
            prop_assert!(encoded.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._~%".contains(letter)));
            prop_assert_eq!(percent_decode_str(&encoded).decode_utf8().unwrap(), document);
        }

        #[test]
        fn pages_join_to_the_whole_list(count in 0..40_usize, size in 1..9_usize) {
            let items: Vec<_> = (0..count).map(|index| (format!("{index:03}"), index)).collect();
            let mut seen = Vec::new();
            let mut marker: Option<String> = None;
            loop {
                let most = size.to_string();
                let mut fields = vec![("MaxItems", most.as_str())];
                fields.extend(marker.as_deref().map(|marker| ("Marker", marker)));
                let (part, tail) = page(&QueryBench::call("List", &fields), items.clone()).unwrap();
                prop_assert!(part.len() <= size);
                seen.extend(part);
                marker = texts(&tail.into_text(), "Marker").pop();
                if marker.is_none() {
                    break;
                }
            }
            prop_assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_plus_is_never_left_as_it_is() {
        assert_eq!(encode("a+b c~"), "a%2Bb%20c~");
    }

    #[test]
    fn paths_begin_and_end_with_a_slash() {
        let fits = |path: &str| {
            let mut check = Constraints::new();
            check_path(&mut check, "Path", Some(path));
            check.done("ValidationError").is_ok()
        };
        assert!(fits("/") && fits("/stackctl/demo/"));
        assert!(!fits("") && !fits("stackctl/") && !fits("/stackctl") && !fits("/a b/"));
    }

    #[test]
    fn wrong_markers_and_page_sizes_are_refused() {
        let refused =
            |fields: &[(&str, &str)]| page::<u8>(&QueryBench::call("List", fields), Vec::new()).unwrap_err().code;
        assert_eq!(refused(&[("Marker", "%%")]), "ValidationError");
        assert_eq!(refused(&[("MaxItems", "0")]), "ValidationError");
        assert_eq!(refused(&[("MaxItems", "1001")]), "ValidationError");
        assert_eq!(refused(&[("MaxItems", "many")]), "MalformedInput");
    }

    #[test]
    fn times_have_no_fraction() {
        assert_eq!(time(1_780_000_000_999), "2026-05-28T20:26:40Z");
    }
}
