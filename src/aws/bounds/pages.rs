//! Listings by the tokens with which one page leads to the next, whatever the protocol.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{MOST_LISTED, MOST_PAGES, Unfit};

/// Fields of requests that say where to go on.
const FROM: [&str; 7] = [
    "NextToken",
    "nextToken",
    "Marker",
    "PaginationToken",
    "ExclusiveStartTableName",
    "ExclusiveStartTagKey",
    "ExclusiveStartApplicationName",
];

/// Elements of XML answers that say where the next page begins.
const ELEMENTS: [&str; 3] = ["Marker", "NextToken", "nextToken"];

/// Longest request that can be one for a page.
const MOST_ASKED: usize = 64 * 1024;

/// A request as a part of a listing.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// What is listed.
    listing: u64,
    /// Where to go on; none at the first page.
    from: Option<String>,
}

impl Asked {
    /// Reads a request.
    pub(super) fn of(request: &HttpRequest) -> Self {
        let (path, query) = request.uri().split_once('?').unwrap_or((request.uri(), ""));
        let body = request.body().bytes().filter(|body| body.len() <= MOST_ASKED).unwrap_or_default();
        let mut fields: BTreeMap<String, String> = form(query.as_bytes());
        match serde_json::from_slice::<Map<String, Value>>(body) {
            Ok(map) => fields.extend(map.into_iter().map(|(name, value)| (name, text(value)))),
            Err(_) => fields.extend(form(body)),
        }
        let tokens: Vec<_> = FROM.iter().filter_map(|name| fields.remove(*name)).collect();
        let mut hasher = DefaultHasher::new();
        (request.method(), path, request.headers().get("x-amz-target"), fields).hash(&mut hasher);
        Self { listing: hasher.finish(), from: tokens.into_iter().find(|token| !token.is_empty()) }
    }
}

fn form(text: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(text).into_owned().collect()
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The listings that have come to their second page.
#[derive(Debug, Default)]
pub(super) struct Pages(Mutex<HashMap<u64, Listing>>);

#[derive(Debug, Clone, Copy, Default)]
struct Listing {
    pages: usize,
    bytes: usize,
}

impl Pages {
    /// Counts an answer among the pages of its listing.
    pub(super) fn check(&self, asked: &Asked, answer: &[u8]) -> Result<(), Unfit> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(from) = &asked.from else {
            // It begins anew.
            all.remove(&asked.listing);
            return Ok(());
        };
        if next(answer).as_ref() == Some(from) {
            return Err(Unfit::Circle);
        }
        let listing = all.entry(asked.listing).or_default();
        listing.pages += 1;
        listing.bytes += answer.len();
        let Listing { pages, bytes } = *listing;
        if pages < MOST_PAGES && bytes <= MOST_LISTED { Ok(()) } else { Err(Unfit::Endless { pages, bytes }) }
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(alias = "NextToken", alias = "nextToken", alias = "NextMarker")]
    #[serde(alias = "PaginationToken", alias = "LastEvaluatedTableName")]
    next: Option<String>,
}

/// Returns where the next page begins, as an answer has it.
fn next(answer: &[u8]) -> Option<String> {
    if let Ok(page) = serde_json::from_slice::<Page>(answer) {
        return page.next;
    }
    let answer = String::from_utf8_lossy(answer);
    let inner = |name: &&str| answer.split_once(&format!("<{name}>"))?.1.split_once(&format!("</{name}>"));
    ELEMENTS.iter().find_map(inner).map(|(token, _)| unescaped(token))
}

/// Returns a text of XML as it is meant.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('&');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').unwrap_or(("", part));
        out.extend(letter(name));
        out.push_str(rest);
    }
    out
}

fn letter(name: &str) -> Option<char> {
    let number = name.strip_prefix('#').map(|digits| match digits.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => digits.parse(),
    });
    match (name, number) {
        (_, Some(number)) => char::from_u32(number.ok()?),
        ("amp", _) => Some('&'),
        ("lt", _) => Some('<'),
        ("gt", _) => Some('>'),
        ("quot", _) => Some('"'),
        ("apos", _) => Some('\''),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_types::body::SdkBody;

    fn asked(uri: &str, target: &'static str, body: &'static str) -> Asked {
        let mut request = HttpRequest::get(uri).unwrap();
        request.headers_mut().insert("x-amz-target", target);
        *request.body_mut() = SdkBody::from(body);
        Asked::of(&request)
    }

    fn stream(body: &'static str) -> Asked {
        asked("http://h/", "Kinesis_20131202.ListStreams", body)
    }

    #[test]
    fn a_page_is_told_by_its_token_in_every_protocol() {
        let first = stream(r#"{"Limit":10}"#);
        assert_eq!(first.from, None);
        let second = stream(r#"{"Limit":10,"NextToken":"a/b"}"#);
        assert_eq!((second.from.as_deref(), second.listing), (Some("a/b"), first.listing));
        assert_ne!(stream(r#"{"Limit":11}"#).listing, first.listing);
        let (first, second) =
            (asked("http://h/", "", "Action=ListRoles"), asked("http://h/", "", "Action=ListRoles&Marker=a%2Fb"));
        assert_eq!((second.from.as_deref(), second.listing), (Some("a/b"), first.listing));
        let (first, second) = (asked("http://h/f?X=1", "", ""), asked("http://h/f?Marker=a%2Fb&X=1", "", ""));
        assert_eq!((second.from.as_deref(), second.listing), (Some("a/b"), first.listing));
    }

    #[test]
    fn a_page_that_names_itself_is_refused() {
        let pages = Pages::default();
        let second = stream(r#"{"NextToken":"<a&>"}"#);
        for circle in [
            r#"{"NextToken":"\u003ca&>"}"#,
            "<X><Marker>&lt;&#97;&#x26;&gt;</Marker></X>",
            r#"{"x":[1],"nextToken":"<a&>"}"#,
        ] {
            assert_eq!(pages.check(&second, circle.as_bytes()), Err(Unfit::Circle), "{circle}");
        }
        for good in [
            r#"{"NextToken":"b"}"#,
            r#"{"NextToken":null}"#,
            "{}",
            "<X><NextToken>b</NextToken></X>",
            "<X/>",
            "",
            "\u{0}",
        ] {
            assert_eq!(pages.check(&second, good.as_bytes()), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_listing_has_an_end() {
        let (pages, first, second) = (Pages::default(), stream("{}"), stream(r#"{"NextToken":"a"}"#));
        for _ in 1..MOST_PAGES {
            assert_eq!(pages.check(&second, b"{}"), Ok(()));
        }
        assert!(matches!(pages.check(&second, b"{}"), Err(Unfit::Endless { pages: MOST_PAGES, .. })));
        assert_eq!((pages.check(&first, b"{}"), pages.check(&second, b"{}")), (Ok(()), Ok(())));
        let page = vec![b' '; MOST_LISTED / 2];
        assert_eq!(pages.check(&second, &page), Ok(()));
        assert!(matches!(pages.check(&second, &page), Err(Unfit::Endless { pages: 3, .. })));
    }
}
