//! A wire between runs and an AWS stand-in that writes down what goes over it, in order.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Number of the run that made it.
    pub(crate) run: usize,
    /// Operation of AWS's JSON or query protocol.
    pub(crate) operation: String,
    /// What was asked.
    pub(crate) body: String,
    /// What was answered.
    pub(crate) answer: String,
    /// Status of the answer.
    pub(crate) status: u16,
    /// When it came from the run, and when its answer went back: one count for all calls.
    pub(crate) began: u64,
    pub(crate) ended: u64,
}

/// The wire. It goes on for as long as the tests do.
#[derive(Clone)]
pub(crate) struct Wire {
    target: String,
    count: Arc<AtomicU64>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// One message of HTTP.
struct Message {
    first: String,
    headers: BTreeMap<String, String>,
    raw: Vec<u8>,
    body: Vec<u8>,
}

impl Wire {
    /// Makes a wire to an address.
    pub(crate) fn to(url: &str) -> Self {
        let target = url.trim_start_matches("http://").to_owned();
        Self { target, count: Arc::default(), asked: Arc::default() }
    }

    /// Returns an address for one run.
    pub(crate) fn end(&self, run: usize) -> String {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let wire = self.clone();
        std::thread::spawn(move || {
            for client in socket.incoming().map_while(Result::ok) {
                let wire = wire.clone();
                std::thread::spawn(move || wire.carry(run, client));
            }
        });
        url
    }

    /// Returns the calls so far, in the order in which they came.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let mut all = self.asked.lock().unwrap().clone();
        all.sort_by_key(|call| call.began);
        all
    }

    /// Carries the calls of one connection until either side ends it.
    fn carry(&self, run: usize, mut client: TcpStream) -> Option<()> {
        let mut server = TcpStream::connect(&self.target).ok()?;
        let mut from_client = BufReader::new(client.try_clone().ok()?);
        let mut from_server = BufReader::new(server.try_clone().ok()?);
        loop {
            let request = read(&mut from_client)?;
            let began = self.count.fetch_add(1, Ordering::SeqCst);
            server.write_all(&request.raw).ok()?;
            let answer = read(&mut from_server)?;
            let ended = self.count.fetch_add(1, Ordering::SeqCst);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            self.asked.lock().unwrap().push(Asked {
                run,
                operation: request.operation(),
                body: text(&request.body),
                answer: text(&answer.body),
                status: answer.first.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap(),
                began,
                ended,
            });
            client.write_all(&answer.raw).ok()?;
        }
    }
}

impl Message {
    fn operation(&self) -> String {
        let target = self.headers.get("x-amz-target").and_then(|target| target.split('.').next_back());
        let body = String::from_utf8_lossy(&self.body);
        let action = body.split('&').find_map(|pair| pair.strip_prefix("Action="));
        target.or(action).unwrap_or(&self.first).to_owned()
    }
}

fn read(from: &mut BufReader<TcpStream>) -> Option<Message> {
    let (mut raw, mut first, mut headers) = (Vec::new(), None, BTreeMap::new());
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        raw.extend(line.as_bytes());
        match line.trim_end() {
            "" => break,
            text if first.is_none() => first = Some(text.to_owned()),
            text => {
                let (name, value) = text.split_once(':').unwrap();
                headers.insert(name.to_lowercase(), value.trim().to_owned());
            }
        }
    }
    assert!(!headers.contains_key("transfer-encoding"), "the wire carries no chunks: {first:?}");
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    raw.extend(&body);
    Some(Message { first: first?, headers, raw, body })
}
