//! The pages of the experiment: `trouble`, `trouble/release` and `journal`.
//!
//! `POST trouble` takes an experiment and starts it with fresh counts; `GET trouble` shows it, what was injected, and
//! the calls that are held. `POST trouble/release` takes `{"call": 12}`, or `{}` for all. `GET journal` lists the
//! calls, `GET journal/12` those after the twelfth.

use http::Method;
use http::request::Parts;
use serde_json::{Value, json};

use super::{Experiment, Trouble};

/// What a page answers: a value, or what is wrong with the request.
pub(crate) type Page = Result<Value, String>;

/// Says why a request to a page is not one of this machine's user: web pages in a browser can send some as well.
pub(crate) fn foreign(parts: &Parts) -> Option<&'static str> {
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = header("host").unwrap_or("localhost");
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !["127.0.0.1", "localhost", "[::1]", ""].contains(&name) {
        return Some("the local cloud's own pages are for this machine only\n");
    }
    let is_json = header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    (parts.method != Method::GET && !is_json).then_some("send application/json\n")
}

impl Trouble {
    /// Answers a page; none when the path is not one of these.
    pub(crate) fn page(&self, method: &str, path: &[&str], body: &[u8]) -> Option<Page> {
        match (method, path) {
            ("GET", ["trouble"]) => Some(Ok(self.show())),
            ("POST", ["trouble"]) => Some(self.set(body)),
            ("POST", ["trouble", "release"]) => Some(self.release(body)),
            ("GET", ["journal"]) => Some(Ok(self.journal.show(0))),
            ("GET", ["journal", after]) => {
                let after = after.parse().map_err(|_| format!("`{after}` is not the number of a call"));
                Some(after.map(|after| self.journal.show(after)))
            }
            _ => None,
        }
    }

    fn show(&self) -> Value {
        let mut shown = self.running().show();
        let held: Vec<Value> = self.holds.numbers().into_iter().map(|number| self.journal.call(number)).collect();
        shown["held"] = held.into();
        shown
    }

    fn set(&self, body: &[u8]) -> Page {
        let experiment = Experiment::read(&String::from_utf8_lossy(body))?;
        self.running().restart(experiment);
        Ok(self.show())
    }

    fn release(&self, body: &[u8]) -> Page {
        let wanted: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let number = match wanted.get("call") {
            None => None,
            Some(number) => Some(number.as_u64().ok_or("`call` must be the number of a call")?),
        };
        Ok(json!({ "released": self.holds.release(number) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn only_this_machine_reaches_the_pages() {
        let refused = |method: &str, host: &str, kind: &str| {
            let request = Request::builder().method(method).uri("/_local/trouble").header("host", host);
            foreign(&request.header("content-type", kind).body(()).unwrap().into_parts().0).is_some()
        };
        assert!(!refused("GET", "127.0.0.1:4599", "") && !refused("POST", "localhost:1", "application/json"));
        assert!(refused("GET", "evil.example:4599", "") && refused("POST", "127.0.0.1:1", "text/plain"));
    }
}
