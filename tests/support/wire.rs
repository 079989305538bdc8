//! A wire between runs and an AWS stand-in that writes down what goes over it, in order.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::proxy::{message, operation};

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
                // A run may be killed at any time.
                std::thread::spawn(move || drop(wire.carry(run, client)));
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
    fn carry(&self, run: usize, client: TcpStream) -> std::io::Result<()> {
        let mut server = BufReader::new(TcpStream::connect(&self.target)?);
        let mut client = BufReader::new(client);
        while let Some(request) = message(&mut client)? {
            let began = self.count.fetch_add(1, Ordering::SeqCst);
            server.get_mut().write_all(&request)?;
            let Some(answer) = message(&mut server)? else { return Ok(()) };
            let ended = self.count.fetch_add(1, Ordering::SeqCst);
            let (request, text) = (String::from_utf8_lossy(&request), String::from_utf8_lossy(&answer));
            let body = |text: &str| text.split_once("\r\n\r\n").unwrap().1.to_owned();
            self.asked.lock().unwrap().push(Asked {
                run,
                operation: operation(&request),
                body: body(&request),
                status: text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap(),
                answer: body(&text),
                began,
                ended,
            });
            client.get_mut().write_all(&answer)?;
        }
        Ok(())
    }
}
