//! What the tests of this service share: a fresh account and short ways to call it.

use crate::local::store::Store;
use crate::local::{Answer, Call, Fault, Input, Params, Service, Tx};

use super::Iam;

/// A trust policy for Lambda.
pub(super) const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda.amazonaws.com"}}]}"#;

/// An identity policy for one action.
pub(super) const GRANT: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kinesis:*","Resource":"*"}]}"#;

/// One account with nothing in it.
pub(super) struct Bench(Store);

impl Bench {
    pub(super) fn new() -> Self {
        Self(Store::memory().unwrap())
    }

    pub(super) fn call(operation: &str, fields: &[(&str, &str)]) -> Call {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Call::new(operation, Input::Query(Params(fields.collect())), 1_780_000_000_000)
    }

    pub(super) fn run(&self, operation: &str, fields: &[(&str, &str)]) -> Result<String, Fault> {
        let call = Self::call(operation, fields);
        match self.0.transaction(&call, |tx| Iam.handle(tx, &call))? {
            Answer::Xml(xml) => Ok(xml.into_text()),
            other => panic!("not XML: {other:?}"),
        }
    }

    pub(super) fn ok(&self, operation: &str, fields: &[(&str, &str)]) -> String {
        self.run(operation, fields).unwrap_or_else(|fault| panic!("{operation}: {fault:?}"))
    }

    pub(super) fn refused(&self, operation: &str, fields: &[(&str, &str)]) -> Fault {
        self.run(operation, fields).expect_err("the call must be refused")
    }

    pub(super) fn code(&self, operation: &str, fields: &[(&str, &str)]) -> String {
        self.refused(operation, fields).code
    }

    pub(super) fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, Fault>) -> T {
        self.0.transaction(&Self::call("Read", &[]), |tx| work(tx)).unwrap()
    }
}

/// Returns the texts of all elements with this name.
pub(super) fn texts(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).map(str::to_owned).collect()
}
