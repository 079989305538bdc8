//! The local cloud behind its loopback listener, and what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::sandbox::Sandbox;

/// Starts of the names of operations that change nothing; Lambda's are methods of HTTP.
const READS: &[&str] = &["Get", "List", "Describe", "Lookup", "Simulate", "GET "];

/// A running `stackctl local serve`; ends with its owner.
pub(crate) struct Listener {
    process: Child,
    url: String,
}

/// How often each operation was called, by service and operation.
pub(crate) type Calls = BTreeMap<(String, String), u64>;

impl Listener {
    /// Serves the local cloud of a sandbox on a free port.
    pub(crate) fn start(sandbox: &Sandbox) -> Self {
        let mut command = sandbox.command();
        command.args(["local", "serve", "--port", "0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://127.0.0.1:"), "the listener said {url:?}");
        Self { process, url: url.trim().to_owned() }
    }

    /// Returns the address for clients.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the calls so far.
    pub(crate) fn calls(&self) -> Calls {
        let text = get(&self.url, "/_local/calls");
        let calls: Vec<Value> = serde_json::from_str(&text).unwrap();
        let field = |call: &Value, name: &str| call[name].as_str().unwrap().to_owned();
        let entry =
            |call: &Value| ((field(call, "service"), field(call, "operation")), call["count"].as_u64().unwrap());
        calls.iter().map(entry).collect()
    }

    /// Returns what is said of limits: the numbers, the calls, and what was refused.
    pub(crate) fn limits(&self) -> Value {
        self.page("limits")
    }

    /// Starts an experiment, such as `{"rules": [{"what": "throttle", "on": "iam:*", "calls": 1}]}`.
    pub(crate) fn trouble(&self, experiment: &Value) {
        self.post("trouble", experiment);
    }

    /// Ends the experiment.
    pub(crate) fn peace(&self) {
        self.trouble(&serde_json::json!({}));
    }

    /// Returns what came of the experiment so far: `rules` with counts, `injected`, and the calls that are `held`.
    pub(crate) fn troubled(&self) -> Value {
        self.page("trouble")
    }

    /// Returns the calls of the journal after a number.
    pub(crate) fn journal(&self, after: u64) -> Vec<Value> {
        self.page(&format!("journal/{after}"))["calls"].as_array().unwrap().clone()
    }

    /// Returns a page of the local cloud's own.
    pub(crate) fn page(&self, path: &str) -> Value {
        serde_json::from_str(&get(&self.url, &format!("/_local/{path}"))).unwrap()
    }

    /// Sends a value to a page of the local cloud's own and returns the answer.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        let answer = ask(&self.url, &format!("POST /_local/{path}"), &format!("{head}Connection: close\r\n\r\n{body}"));
        serde_json::from_str(&answer).unwrap()
    }

    /// Returns what `work` returns, having checked that it only read.
    #[track_caller]
    pub(crate) fn reading<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = self.calls();
        let result = work();
        let after = self.calls();
        let is_new = |call: &(&(String, String), &u64)| before.get(call.0) != Some(call.1);
        let is_read = |operation: &str| READS.iter().any(|start| operation.starts_with(start));
        let new: Vec<_> = after.iter().filter(is_new).map(|(call, _)| call).collect();
        assert!(!new.is_empty(), "no call reached the listener");
        let writes: Vec<_> = new.into_iter().filter(|(_, operation)| !is_read(operation)).collect();
        assert!(writes.is_empty(), "these calls write: {writes:?}");
        result
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do for it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the body of a page.
fn get(url: &str, path: &str) -> String {
    ask(url, &format!("GET {path}"), "Connection: close\r\n\r\n")
}

fn ask(url: &str, what: &str, rest: &str) -> String {
    let host = url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(host).unwrap();
    write!(socket, "{what} HTTP/1.0\r\nHost: {host}\r\n{rest}").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{what}: {head}: {body}");
    body.to_owned()
}
