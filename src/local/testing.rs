//! What the tests of several services share: a fresh account whose clock they move, with roles and streams.

use std::cell::Cell;

use serde_json::{Value, json};

use super::store::{Store, Table};
use super::{Answer, Call, Fault, Input, Outcome, Params, Service, Tx, iam};

/// One account with nothing in it but what a test puts there.
pub(crate) struct Bench {
    store: Store,
    /// Milliseconds since the epoch.
    pub(crate) now: Cell<i64>,
    delay: i64,
}

impl Bench {
    /// Makes an account whose state changes take no time.
    pub(crate) fn new() -> Self {
        Self::slow(0)
    }

    /// Makes an account whose state changes take some milliseconds.
    pub(crate) fn slow(delay: i64) -> Self {
        Self { store: Store::memory().unwrap(), now: Cell::new(1_795_000_000_123), delay }
    }

    fn call(&self, operation: &str, input: Input) -> Call {
        Call { delay: self.delay, ..Call::new(operation, input, self.now.get()) }
    }

    /// Sends one call.
    pub(crate) fn run(&self, service: &dyn Service, operation: &str, input: Input) -> Outcome {
        let call = self.call(operation, input);
        self.store.transaction(&call, |tx| service.handle(tx, &call))
    }

    /// Sends a JSON call.
    pub(crate) fn json(&self, service: &dyn Service, operation: &str, body: Value) -> Result<Value, Fault> {
        self.run(service, operation, Input::Json(body)).map(body_of)
    }

    /// Sends a REST-JSON call; the path may have a query string.
    pub(crate) fn rest(&self, service: &dyn Service, method: &str, path: &str, body: Value) -> Result<Value, Fault> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let segments = path.split('/').map(str::to_owned).collect();
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        self.run(service, method, Input::Rest { segments, query, body }).map(body_of)
    }

    /// Sends a Query call and returns the XML.
    pub(crate) fn query(
        &self,
        service: &dyn Service,
        operation: &str,
        fields: &[(&str, &str)],
    ) -> Result<String, Fault> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        match self.run(service, operation, Input::Query(Params(fields.collect())))? {
            Answer::Xml(xml) => Ok(xml.into_text()),
            other => panic!("no XML: {other:?}"),
        }
    }

    /// Makes a role that a service may assume and that allows some actions on everything.
    pub(crate) fn role(&self, name: &str, principal: &str, actions: &[&str]) -> String {
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": principal } },
        ]});
        let role = [("RoleName", name), ("AssumeRolePolicyDocument", &trust.to_string())];
        self.query(&iam::Iam, "CreateRole", &role).unwrap();
        if !actions.is_empty() {
            let policy = json!({ "Version": "2012-10-17", "Statement": [
                { "Effect": "Allow", "Action": actions, "Resource": "*" },
            ]});
            let policy = [("RoleName", name), ("PolicyName", "p"), ("PolicyDocument", &policy.to_string())];
            self.query(&iam::Iam, "PutRolePolicy", &policy).unwrap();
        }
        format!("arn:aws:iam::000000000000:role/{name}")
    }

    /// Notes a Kinesis stream, as the Kinesis service does.
    pub(crate) fn stream(&self, name: &str) -> String {
        let arn = format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}");
        let call = self.call("", Input::Json(Value::Null));
        let row = json!({ "arn": arn, "tags": {} });
        self.store.transaction(&call, |tx| tx.put(Table::regional("kinesis.stream"), name, &row)).unwrap();
        arn
    }

    /// Does what the cloud's own parts do with the rows.
    pub(crate) fn inside<T>(&self, work: impl FnOnce(&mut Tx<'_>, &Call) -> Result<T, Fault>) -> T {
        let call = self.call("Inside", Input::Json(Value::Null));
        self.store.transaction(&call, |tx| work(tx, &call)).unwrap()
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, milliseconds: i64) {
        self.now.set(self.now.get() + milliseconds);
    }
}

/// When the calls arrive that tests of one service make.
pub(crate) const NOW: i64 = 1_780_000_000_000;

/// One account as a service of the Query protocol sees it.
pub(crate) struct QueryBench {
    service: &'static dyn Service,
    store: Store,
}

impl QueryBench {
    pub(crate) fn new(service: &'static dyn Service) -> Self {
        Self { service, store: Store::memory().unwrap() }
    }

    pub(crate) fn call(operation: &str, fields: &[(&str, &str)]) -> Call {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Call::new(operation, Input::Query(Params(fields.collect())), NOW)
    }

    /// Calls another service of the same account.
    pub(crate) fn send(
        &self,
        service: &dyn Service,
        operation: &str,
        fields: &[(&str, &str)],
    ) -> Result<String, Fault> {
        let call = Self::call(operation, fields);
        match self.store.transaction(&call, |tx| service.handle(tx, &call))? {
            Answer::Xml(xml) => Ok(xml.into_text()),
            other => panic!("no XML: {other:?}"),
        }
    }

    pub(crate) fn run(&self, operation: &str, fields: &[(&str, &str)]) -> Result<String, Fault> {
        self.send(self.service, operation, fields)
    }

    pub(crate) fn ok(&self, operation: &str, fields: &[(&str, &str)]) -> String {
        self.run(operation, fields).unwrap_or_else(|fault| panic!("{operation}: {fault:?}"))
    }

    pub(crate) fn refused(&self, operation: &str, fields: &[(&str, &str)]) -> Fault {
        self.run(operation, fields).expect_err("the call must be refused")
    }

    pub(crate) fn code(&self, operation: &str, fields: &[(&str, &str)]) -> String {
        self.refused(operation, fields).code
    }

    pub(crate) fn write<T>(&self, work: impl FnOnce(&mut Tx<'_>, &Call) -> Result<T, Fault>) -> T {
        let call = Self::call("Inside", &[]);
        self.store.transaction(&call, |tx| work(tx, &call)).unwrap()
    }

    pub(crate) fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, Fault>) -> T {
        self.write(|tx, _| work(tx))
    }
}

/// One account as a service of the JSON protocol sees it.
pub(crate) struct JsonBench {
    service: &'static dyn Service,
    store: Store,
}

impl JsonBench {
    pub(crate) fn new(service: &'static dyn Service) -> Self {
        Self { service, store: Store::memory().unwrap() }
    }

    pub(crate) fn run(&self, operation: &str, body: &Value) -> Result<Value, Fault> {
        let call = Call::new(operation, Input::Json(body.clone()), NOW);
        self.store.transaction(&call, |tx| self.service.handle(tx, &call)).map(body_of)
    }

    pub(crate) fn ok(&self, operation: &str, body: &Value) -> Value {
        self.run(operation, body).unwrap_or_else(|fault| panic!("{operation}: {fault:?}"))
    }

    pub(crate) fn code(&self, operation: &str, body: &Value) -> String {
        self.run(operation, body).expect_err("the call must be refused").code
    }

    pub(crate) fn inside<T>(&self, work: impl FnOnce(&mut Tx<'_>, &Call) -> Result<T, Fault>) -> T {
        let call = Call::new("Inside", Input::Json(Value::Null), NOW);
        self.store.transaction(&call, |tx| work(tx, &call)).unwrap()
    }
}

fn body_of(answer: Answer) -> Value {
    match answer {
        Answer::Json(_, body) | Answer::Headed(_, _, body) => body,
        other @ Answer::Xml(_) => panic!("no JSON: {other:?}"),
    }
}

/// Returns the text of the first element with this name.
pub(crate) fn first<'a>(xml: &'a str, name: &str) -> &'a str {
    let start = format!("<{name}>");
    let rest = xml.split_once(&start).unwrap_or_else(|| panic!("no {name} in {xml}")).1;
    rest.split('<').next().unwrap_or_default()
}
