//! What the tests of this service share: a fresh account and short ways to call it.

use std::ops::Deref;

use crate::local::testing::QueryBench;

use super::Iam;

/// A trust policy for Lambda.
pub(super) const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda.amazonaws.com"}}]}"#;

/// An identity policy for one action.
pub(super) const GRANT: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kinesis:*","Resource":"*"}]}"#;

/// One account with nothing in it.
pub(super) struct Bench(QueryBench);

impl Bench {
    pub(super) fn new() -> Self {
        Self(QueryBench::new(&Iam))
    }
}

impl Deref for Bench {
    type Target = QueryBench;

    fn deref(&self) -> &QueryBench {
        &self.0
    }
}

/// Returns the texts of all elements with this name.
pub(super) fn texts(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).map(str::to_owned).collect()
}
