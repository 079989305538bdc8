//! One local cloud: its state folder, its engines and the way of a request through it.
//!
//! It does not know what any operation means; [`registry`](super::registry) says who does.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use http::request::Parts;
use http::{Request, Response};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::sync::watch;

use super::dynamodb::Tables;
use super::kinesis::Streams;
use super::limits::Limits;
use super::registry::{Entry, Handler, SERVICES, Wire};
use super::router::{self, Caller, Form, Route, Temporary};
use super::sns::outbox;
use super::store::{Store, Table};
use super::sts::session;
use super::trouble::{self, Trouble};
use super::{Call, Fault, Input, Outcome, Settings, access, cloudtrail, envelope, happen, lambda, private};

const LOCK: &str = "lock";
const LISTENER: &str = "listener";
const ROWS: &str = "cloud.sqlite";
/// The unpacked code of functions that run.
const FUNCTIONS: &str = "lambda";
/// Everything that a local cloud writes into its folder besides the lock.
const STATE: &[&str] = &[ROWS, "cloud.sqlite-wal", "cloud.sqlite-shm", "kinesis", "dynamodb", FUNCTIONS, LISTENER];

/// Zip files of functions by function name, as base64 text.
pub(crate) const CODE: Table = Table::regional("lambda.code");

/// Why a local cloud cannot be used.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    /// Another process holds the state.
    #[error("the local cloud in {} is in use by another process{}", dir.display(), busy_hint(listener.as_deref()))]
    Busy { dir: PathBuf, listener: Option<String> },
    /// The folder or its lock cannot be used.
    #[error("could not use the local cloud's folder {}", dir.display())]
    Folder { dir: PathBuf, source: io::Error },
    /// The database cannot be opened.
    #[error("could not open the local cloud's database {}; `stackctl local reset` starts afresh", path.display())]
    Rows { path: PathBuf, source: rusqlite::Error },
    /// The address cannot be listened on.
    #[error("could not listen on {address}; choose another port")]
    Bind { address: std::net::SocketAddr, source: io::Error },
}

fn busy_hint(listener: Option<&str>) -> String {
    match listener {
        Some(url) => format!(", which answers at {url}"),
        None => "; wait until it ends".to_owned(),
    }
}

/// An AWS on this machine. Clones share one state.
#[derive(Clone)]
pub(crate) struct Cloud {
    inner: Arc<Inner>,
}

/// For whom one of the cloud's own services makes a call.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) account: String,
    pub(crate) region: String,
    /// ARN of the role whose policies the call must pass; none for the service itself.
    pub(crate) role: Option<String>,
    /// Where the cloud can be reached from outside, for functions that call it.
    pub(crate) endpoint: String,
}

struct Inner {
    rows: Store,
    streams: Streams,
    tables: Tables,
    functions: lambda::Functions,
    settings: Settings,
    calls: Mutex<BTreeMap<(String, String), u64>>,
    limits: Limits,
    trouble: Trouble,
    /// Counts the calls that may have brought records, from one.
    bell: watch::Sender<u64>,
    home: Option<PathBuf>,
    /// Where the cloud can be reached from other processes, once it can.
    address: OnceLock<String>,
    /// After everything that writes there, and before others may.
    _closing: Option<private::Closing>,
    /// Held for as long as the state is in use; the system drops it with the process.
    _lock: Option<File>,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Cloud").field("home", &self.inner.home).finish_non_exhaustive()
    }
}

impl Cloud {
    /// Opens the state in `dir`, creating it when missing; one process at a time may hold it.
    pub(crate) fn open(dir: &Path, settings: Settings) -> Result<Self, OpenError> {
        let lock = lock(dir)?;
        // Only the holder of the lock writes these, so what is there now is from a process that died.
        for left in [LISTENER, FUNCTIONS] {
            discard(&dir.join(left)).map_err(|source| OpenError::Folder { dir: dir.to_owned(), source })?;
        }
        let path = dir.join(ROWS);
        private::begin(&path).map_err(|source| OpenError::Folder { dir: dir.to_owned(), source })?;
        let rows = Store::open(&path).map_err(|source| OpenError::Rows { path, source })?;
        private::close(dir).map_err(|source| OpenError::Folder { dir: dir.to_owned(), source })?;
        Ok(Self::with(rows, Some(dir), settings, Some(lock)))
    }

    /// Makes a cloud that is forgotten when it is dropped.
    #[cfg(test)]
    pub(crate) fn memory(settings: Settings) -> Result<Self, OpenError> {
        let rows = Store::memory().map_err(|source| OpenError::Rows { path: PathBuf::from(":memory:"), source })?;
        Ok(Self::with(rows, None, settings, None))
    }

    fn with(rows: Store, home: Option<&Path>, settings: Settings, lock: Option<File>) -> Self {
        let streams = Streams::new(home.map(|dir| dir.join("kinesis")));
        let tables = Tables::new(home.map(|dir| dir.join("dynamodb")));
        let functions = lambda::Functions::new(home.map(|dir| dir.join(FUNCTIONS)), &settings);
        let home = home.map(Path::to_owned);
        let closing = home.clone().map(private::Closing);
        let trouble = Trouble::new(settings.trouble.clone(), settings.seed, settings.pace.clone());
        let (calls, bell, address) = (Mutex::default(), watch::Sender::new(1), OnceLock::new());
        let limits = Limits::new(settings.limits);
        let inner = Inner {
            rows,
            streams,
            tables,
            functions,
            settings,
            calls,
            limits,
            trouble,
            bell,
            home,
            address,
            _closing: closing,
            _lock: lock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Answers one HTTP request to any service.
    pub(crate) async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let answer = AssertUnwindSafe(Box::pin(self.answer(&parts, &body))).catch_unwind().await;
        answer.unwrap_or_else(|_| {
            let fault = Fault::with_status(500, "InternalFailure", "the local cloud failed on this request");
            envelope::respond(&Form::Json("application/x-amz-json-1.1"), Err(fault))
        })
    }

    async fn answer(&self, parts: &Parts, body: &Bytes) -> Response<Bytes> {
        if let Some(path) = parts.uri.path().strip_prefix("/_local/") {
            let path = path.to_owned();
            if let Some(refusal) = trouble::foreign(parts) {
                return envelope::raw(403, "text/plain", refusal.as_bytes().to_vec());
            }
            return self.page(parts.method.as_str(), &path, body);
        }
        let latency = self.inner.trouble.latency();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        // Before the service is known, its protocol is not either: the content type is the best guess.
        let guess = guess_form(parts);
        let mut caller = match Caller::read(parts) {
            Ok(caller) => caller,
            Err(fault) => return envelope::respond(&guess, Err(fault)),
        };
        let route = match router::find(parts, &caller, body) {
            Ok(route) => route,
            Err(fault) => return envelope::respond(&guess, Err(fault)),
        };
        let temporary = caller.temporary.take();
        match router::decode(parts, body, &route, caller) {
            Ok(call) => {
                let work = Box::pin(self.serve(&route, call.clone(), temporary));
                self.inner.trouble.around(&route, &call, work).await
            }
            Err(fault) => envelope::respond(&route.form, Err(fault)),
        }
    }

    async fn serve(&self, route: &Route, mut call: Call, temporary: Option<Temporary>) -> Outcome {
        self.count(route.entry, &call);
        self.inner.limits.admit(route.entry, &call)?;
        self.inner.trouble.pace(route.entry, &mut call);
        if let Some(shown) = temporary {
            let bearer = self
                .inner
                .rows
                .transaction(&call, |tx| session::bearer(tx, call.now, &shown.key, shown.token.as_deref()))?;
            let bearer = bearer.map_err(|refusal| refusal.fault(route.entry.wire))?;
            (call.role, call.session) = (Some(bearer.role), Some(bearer.session));
        }
        let outcome = self.call(route.entry, &call).await;
        outcome.inspect_err(|fault| self.inner.limits.note(route.entry, &call, fault))
    }

    /// Answers a call that one of the cloud's own services makes, without the way through HTTP.
    pub(crate) async fn ask(&self, who: &Who, service: &str, operation: &str, input: Input) -> Outcome {
        let Some(entry) = SERVICES.iter().find(|entry| entry.signing == service) else {
            return Err(Fault::new("UnknownOperationException", format!("the local cloud has no service {service}")));
        };
        let mut call = Call::new(operation, input, jiff::Timestamp::now().as_millisecond());
        call.account.clone_from(&who.account);
        call.region.clone_from(&who.region);
        call.role.clone_from(&who.role);
        call.endpoint.clone_from(&who.endpoint);
        self.inner.trouble.pace(entry, &mut call);
        self.call(entry, &call).await
    }

    async fn call(&self, entry: &Entry, call: &Call) -> Outcome {
        let rows = &self.inner.rows;
        access::check(rows, entry, call)?;
        let outcome = match entry.handler {
            Handler::Rows(service) => rows.transaction(call, |tx| service.handle(tx, call)),
            Handler::Streams => self.inner.streams.handle(rows, call).await,
            Handler::Tables => self.inner.tables.handle(rows, call),
            Handler::Functions => lambda::handle(self, call).await,
        };
        cloudtrail::record(rows, entry, call, &outcome)?;
        if stirs(entry, &call.operation) {
            self.inner.bell.send_modify(|count| *count += 1);
        }
        outcome
    }

    /// Returns the count of calls that may have brought records into a stream; it grows after they are there.
    pub(crate) fn bell(&self) -> watch::Receiver<u64> {
        self.inner.bell.subscribe()
    }

    /// Returns the stored rows, for what the cloud does by itself.
    pub(crate) fn rows(&self) -> &Store {
        &self.inner.rows
    }

    /// Returns how long changes of a service take now, in milliseconds.
    pub(crate) fn delay_of(&self, service: &str) -> i64 {
        self.inner.trouble.delay(service)
    }

    /// Returns how the cloud was set up.
    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Returns the processes of functions.
    pub(crate) fn functions(&self) -> &lambda::Functions {
        &self.inner.functions
    }

    /// Notes where the cloud answers; the first listener's address stays.
    pub(crate) fn reached_at(&self, url: String) {
        self.inner.address.get_or_init(|| url);
    }

    /// Returns where the cloud answers, for processes that it starts.
    pub(crate) fn address(&self) -> Option<&str> {
        self.inner.address.get().map(String::as_str)
    }

    fn count(&self, entry: &Entry, call: &Call) {
        let operation = match (entry.wire, &call.input) {
            (Wire::Rest, Input::Rest { segments, .. }) => {
                format!("{} {}", call.operation, segments.get(1).map_or("", String::as_str))
            }
            _ => call.operation.clone(),
        };
        let mut calls = self.inner.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry((entry.signing.to_owned(), operation)).or_default() += 1;
    }

    /// Returns how often each operation was called: service, operation, count. Lambda's operations are a
    /// method and the collection, such as `GET functions`.
    pub(crate) fn calls(&self) -> Vec<(String, String, u64)> {
        let calls = self.inner.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().map(|((service, operation), count)| (service.clone(), operation.clone(), *count)).collect()
    }

    /// Answers the paths that are the local cloud's own.
    pub(super) fn page(&self, method: &str, path: &str, body: &[u8]) -> Response<Bytes> {
        let segments: Vec<_> = path.split('/').collect();
        let happened = (method, &segments[..]) == ("POST", &["happen"][..]);
        let happened = happened.then(|| happen::page(self, body));
        if let Some(page) = happened.or_else(|| self.inner.trouble.page(method, &segments, body)) {
            return match page {
                Ok(shown) => envelope::raw(200, "application/json", shown.to_string().into_bytes()),
                Err(wrong) => envelope::raw(400, "text/plain", format!("{wrong}\n").into_bytes()),
            };
        }
        match segments.as_slice() {
            ["calls"] => {
                let entry =
                    |(service, operation, count)| json!({"service": service, "operation": operation, "count": count});
                let calls: Value = self.calls().into_iter().map(entry).collect();
                envelope::raw(200, "application/json", calls.to_string().into_bytes())
            }
            ["limits"] => envelope::raw(200, "application/json", self.inner.limits.page().to_string().into_bytes()),
            ["code", account, region, function] => self.code(account, region, function),
            ["outbox", account, region, rest @ ..] if rest.len() < 2 => {
                self.outbox(account, region, rest.first().copied().unwrap_or_default())
            }
            _ => envelope::raw(404, "text/plain", b"the local cloud has no such path\n".to_vec()),
        }
    }

    fn code(&self, account: &str, region: &str, function: &str) -> Response<Bytes> {
        let name = percent_encoding::percent_decode_str(function).decode_utf8_lossy();
        let mut call = Call::new("GetCode", Input::Json(Value::Null), 0);
        (call.account, call.region) = (account.to_owned(), region.to_owned());
        let found = self.inner.rows.transaction(&call, |tx| tx.get::<String>(CODE, &name));
        match found.ok().flatten().and_then(|text| STANDARD.decode(text).ok()) {
            Some(zip) => envelope::raw(200, "application/zip", zip),
            None => envelope::raw(404, "text/plain", b"there is no code of such a function\n".to_vec()),
        }
    }

    /// Shows what would have been sent, the newest last, after a message or from the first that is kept.
    fn outbox(&self, account: &str, region: &str, last: &str) -> Response<Bytes> {
        let mut call = Call::new("GetOutbox", Input::Json(Value::Null), 0);
        (call.account, call.region) = (account.to_owned(), region.to_owned());
        match self.inner.rows.transaction(&call, |tx| outbox::after(tx, last)) {
            Ok(messages) => {
                let entry = |(id, sent)| json!({ "id": id, "sent": sent });
                let messages: Value = messages.into_iter().map(entry).collect();
                envelope::raw(200, "application/json", messages.to_string().into_bytes())
            }
            Err(fault) => envelope::raw(500, "text/plain", fault.message.into_bytes()),
        }
    }

    /// Writes down where this cloud can be reached, for processes that find its state in use.
    pub(crate) fn announce(&self, url: &str) -> io::Result<()> {
        let Some(home) = &self.inner.home else { return Ok(()) };
        private::write(&home.join(LISTENER), url)
    }

    /// Takes the announcement back.
    pub(crate) fn withdraw(&self) -> io::Result<()> {
        let Some(home) = &self.inner.home else { return Ok(()) };
        discard(&home.join(LISTENER))
    }
}

/// Tells whether a call may bring records into a stream, or change its shards.
fn stirs(entry: &Entry, operation: &str) -> bool {
    match entry.handler {
        Handler::Streams => {
            ["Put", "Create", "Split", "Merge", "Update"].iter().any(|start| operation.starts_with(start))
        }
        Handler::Tables => {
            ["Put", "Update", "Delete", "Batch", "Transact", "Execute"].iter().any(|start| operation.starts_with(start))
        }
        Handler::Rows(_) => operation.starts_with("Publish"),
        Handler::Functions => false,
    }
}

fn guess_form(parts: &Parts) -> Form {
    let content_type = parts.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.starts_with("application/x-www-form-urlencoded") {
        Form::Query { operation: String::new(), namespace: "http://webservices.amazon.com/AWSFault/2005-15-09" }
    } else {
        Form::Json("application/x-amz-json-1.1")
    }
}

/// Empties the local cloud in `dir`; refuses while a process uses it.
pub(crate) fn reset(dir: &Path) -> Result<(), OpenError> {
    if !dir.exists() {
        return Ok(());
    }
    let _lock = lock(dir)?;
    STATE
        .iter()
        .try_for_each(|name| discard(&dir.join(name)))
        .map_err(|source| OpenError::Folder { dir: dir.to_owned(), source })
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let folder = |source| OpenError::Folder { dir: dir.to_owned(), source };
    private::make(dir).map_err(folder)?;
    let file = File::options().create(true).append(true).mode(0o600).open(dir.join(LOCK)).map_err(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let listener = fs_err::read_to_string(dir.join(LISTENER)).ok().filter(|url| !url.is_empty());
            Err(OpenError::Busy { dir: dir.to_owned(), listener })
        }
        Err(TryLockError::Error(source)) => Err(folder(source)),
    }
}

fn discard(path: &Path) -> io::Result<()> {
    let gone = if path.is_dir() { fs_err::remove_dir_all(path) } else { fs_err::remove_file(path) };
    match gone {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
