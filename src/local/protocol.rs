//! Wire forms of AWS: JSON, REST-JSON, Query and EC2 Query, decoded to [`Input`] and encoded from [`Answer`].

use std::collections::BTreeMap;

use serde_json::Value;

/// Parameters of one call.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// Body of a JSON call (`X-Amz-Target` services).
    Json(Value),
    /// Form fields of a Query or EC2 Query call.
    Query(Params),
    /// A REST-JSON call (Lambda): the path's segments, query string and body. Headers that carry parameters
    /// (`x-amz-invocation-type`, `x-amz-log-type`, `x-amz-client-context`) stand in `query` under their names.
    Rest { segments: Vec<String>, query: Vec<(String, String)>, body: Value },
}

impl Input {
    /// Returns the JSON body, or null for Query calls.
    pub(crate) fn json(&self) -> &Value {
        match self {
            Self::Json(body) | Self::Rest { body, .. } => body,
            Self::Query(_) => &Value::Null,
        }
    }

    /// Returns the form fields, or none for JSON calls.
    pub(crate) fn params(&self) -> &Params {
        static NONE: Params = Params(BTreeMap::new());
        match self {
            Self::Query(params) => params,
            _ => &NONE,
        }
    }
}

/// Form fields of a Query call by their dotted names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(pub(crate) BTreeMap<String, String>);

impl Params {
    /// Decodes an `application/x-www-form-urlencoded` body.
    pub(crate) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// Returns a field's text.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the fields below `prefix.`, with the prefix taken off.
    pub(crate) fn under(&self, prefix: &str) -> Self {
        let start = format!("{prefix}.");
        let below =
            self.0.iter().filter_map(|(name, value)| Some((name.strip_prefix(&start)?.to_owned(), value.clone())));
        Self(below.collect())
    }

    /// Returns the members of a list in order: `prefix.N…`, or `prefix.member.N…` as IAM and SNS write it,
    /// or `prefix.entry.N…` for maps. A scalar member is found under the empty name.
    pub(crate) fn list(&self, prefix: &str) -> Vec<Self> {
        let direct = self.under(prefix);
        let inner = ["member", "entry"].iter().map(|word| direct.under(word)).find(|found| !found.0.is_empty());
        let mut members: BTreeMap<u32, BTreeMap<String, String>> = BTreeMap::new();
        for (name, value) in inner.unwrap_or(direct).0 {
            let (index, rest) = name.split_once('.').unwrap_or((&name, ""));
            if let Ok(index) = index.parse() {
                members.entry(index).or_default().insert(rest.to_owned(), value);
            }
        }
        members.into_values().map(Self).collect()
    }

    /// Returns the members of a list of scalars.
    pub(crate) fn texts(&self, prefix: &str) -> Vec<String> {
        self.list(prefix).into_iter().filter_map(|member| member.0.get("").cloned()).collect()
    }
}

/// A successful answer.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A JSON body with its HTTP status (Lambda uses 201, 202 and 204 as well as 200); null is an empty body.
    Json(u16, Value),
    /// The same with headers, such as Lambda's `x-amz-function-error`; in a 200 of REST-JSON, null is a body.
    Headed(u16, Vec<(&'static str, String)>, Value),
    /// The inside of `<OpResult>` (Query) or of `<OpResponse>` (EC2).
    Xml(Xml),
}

impl Answer {
    /// An HTTP 200 with a JSON body.
    pub(crate) fn json(body: Value) -> Self {
        Self::Json(200, body)
    }
}

/// XML under construction; text is escaped when it is added.
#[derive(Debug, Clone, Default)]
pub(crate) struct Xml(String);

impl Xml {
    /// Starts empty.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds `<name>text</name>`.
    #[must_use]
    pub(crate) fn text(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.0 += &element(name, &escape(&value.to_string()));
        self
    }

    /// Adds `<name>text</name>` when there is a value.
    #[must_use]
    pub(crate) fn maybe(self, name: &str, value: Option<impl std::fmt::Display>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// Adds `<name>…</name>` around other elements.
    #[must_use]
    pub(crate) fn node(mut self, name: &str, inside: Self) -> Self {
        self.0 += &element(name, &inside.into_text());
        self
    }

    /// Adds `<name>` with one `<item>` (EC2: `item`; IAM and SNS: `member`) per element.
    #[must_use]
    pub(crate) fn list(self, name: &str, item: &str, elements: impl IntoIterator<Item = Self>) -> Self {
        let inside = elements.into_iter().fold(Self::new(), |all, element| all.node(item, element));
        self.node(name, inside)
    }

    /// Adds `<name>` with one `<item>text</item>` per value.
    #[must_use]
    pub(crate) fn texts(
        self,
        name: &str,
        item: &str,
        values: impl IntoIterator<Item = impl std::fmt::Display>,
    ) -> Self {
        let inside = values.into_iter().fold(Self::new(), |all, value| all.text(item, value));
        self.node(name, inside)
    }

    /// Adds the elements of another piece after these.
    #[must_use]
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0 += &other.into_text();
        self
    }

    /// Returns the text built so far.
    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

fn element(name: &str, inside: &str) -> String {
    format!("<{name}>{inside}</{name}>")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#xD;"),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_the_order_of_their_numbers_in_every_spelling() {
        let params = Params::parse(b"A.member.2=b&A.member.10=c&A.member.1=a&B.1=x&C.entry.1.key=k&C.entry.1.value=v");
        assert_eq!(params.texts("A"), ["a", "b", "c"]);
        assert_eq!(params.texts("B"), ["x"]);
        assert_eq!(params.list("C")[0].get("value"), Some("v"));
        assert!(params.list("D").is_empty());
    }

    #[test]
    fn text_is_escaped_and_elements_nest() {
        let xml = Xml::new().node("a", Xml::new().text("b", "<&>")).and(Xml::new().texts("c", "member", ["1", "2"]));
        assert_eq!(xml.into_text(), "<a><b>&lt;&amp;&gt;</b></a><c><member>1</member><member>2</member></c>");
    }
}
