//! An AWS endpoint with ill intent: it stands in front of the local cloud and gives what answers it likes.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::proxy::{message, operation};

/// Content types of AWS's protocols.
pub(crate) const JSON: &str = "application/x-amz-json-1.1";
pub(crate) const XML: &str = "text/xml";

/// One call.
pub(crate) struct Asked {
    /// Operation, or method and path where the protocol names none.
    pub(crate) operation: String,
}

/// What comes instead of the local cloud's answer.
pub(crate) enum Reply {
    /// Its answer.
    Pass,
    /// Its answer with another body.
    Rewrite(Box<dyn Fn(&str) -> String>),
    /// A whole answer.
    Answer(u16, &'static str, Vec<u8>),
    /// These bytes, and then the end of the connection.
    Bytes(Vec<u8>),
    /// A head, and then the same bytes for ever, with a pause after each time.
    Endless(Vec<u8>, Vec<u8>, Duration),
}

/// The endpoint; it lives as long as the tests do.
pub(crate) struct Endpoint {
    url: String,
    calls: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
}

type Plan = dyn Fn(&Asked) -> Reply + Send + Sync;

impl Endpoint {
    /// Stands in front of an address.
    pub(crate) fn before(upstream: &str, plan: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (calls, sent) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let endpoint = Self { url, calls: calls.clone(), sent: sent.clone() };
        let (plan, upstream): (Arc<Plan>, _) = (Arc::new(plan), upstream.trim_start_matches("http://").to_owned());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (plan, upstream, calls, sent) = (plan.clone(), upstream.clone(), calls.clone(), sent.clone());
                // The program may hang up in the middle of an answer, and is right to.
                thread::spawn(move || drop(serve(client, &upstream, &*plan, &calls, &sent)));
            }
        });
        endpoint
    }

    /// Returns the address for the program.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns how many calls came.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Returns how many bytes of endless answers went out.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

/// Answers the calls of one connection.
fn serve(client: TcpStream, upstream: &str, plan: &Plan, calls: &AtomicU64, sent: &AtomicU64) -> std::io::Result<()> {
    let mut server = BufReader::new(TcpStream::connect(upstream)?);
    let mut client = BufReader::new(client);
    while let Some(request) = message(&mut client)? {
        calls.fetch_add(1, Ordering::SeqCst);
        let text = String::from_utf8_lossy(&request);
        let reply = plan(&Asked { operation: operation(&text) });
        let out = client.get_mut();
        match reply {
            Reply::Pass | Reply::Rewrite(_) => {
                server.get_mut().write_all(&request)?;
                let Some(answer) = message(&mut server)? else { return Ok(()) };
                match reply {
                    Reply::Rewrite(change) => out.write_all(&rewritten(&answer, &*change))?,
                    _ => out.write_all(&answer)?,
                }
            }
            Reply::Answer(status, kind, body) => out.write_all(&whole(status, kind, &body))?,
            Reply::Bytes(bytes) => return out.write_all(&bytes),
            Reply::Endless(head, piece, pause) => {
                out.write_all(&head)?;
                loop {
                    out.write_all(&piece)?;
                    sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
                    thread::sleep(pause);
                }
            }
        }
    }
    Ok(())
}

/// Returns an answer with its length.
pub(crate) fn whole(status: u16, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Returns an answer with another body.
fn rewritten(answer: &[u8], change: &dyn Fn(&str) -> String) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let body = change(body);
    let keep = |line: &&str| !line.to_ascii_lowercase().starts_with("content-length:");
    let head: Vec<&str> = head.lines().filter(keep).collect();
    format!("{}\r\ncontent-length: {}\r\n\r\n{body}", head.join("\r\n"), body.len()).into_bytes()
}
