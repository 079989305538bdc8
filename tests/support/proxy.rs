//! A man in the middle between the program and the local cloud, who strikes at one call.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The signal that no process can do anything about.
pub(crate) const KILL: &str = "-KILL";

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strike {
    /// The program gets a signal before the call gets through; when it is killed, the call never does.
    Before(&'static str),
    /// The call gets through, and the program gets a signal before it has the answer.
    After(&'static str),
    /// The call gets through, and its answer does not.
    LoseAnswer,
}

/// Which call it is, and what has happened.
struct Plot {
    /// The calls that count: those of an operation, or all.
    on: Option<&'static str>,
    counted: usize,
    at: usize,
    strike: Strike,
    process: Option<u32>,
    calls: Vec<String>,
    struck: bool,
}

/// The proxy; it lives as long as the test.
pub(crate) struct Proxy {
    url: String,
    plot: Arc<Mutex<Plot>>,
}

impl Proxy {
    /// Stands in front of an address; `at` counts calls from one.
    pub(crate) fn start(upstream: &str, at: usize, strike: Strike) -> Self {
        Self::on(upstream, None, at, strike)
    }

    /// Stands in front of an address; `at` counts calls from one, of one operation or all.
    pub(crate) fn on(upstream: &str, on: Option<&'static str>, at: usize, strike: Strike) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let plot =
            Arc::new(Mutex::new(Plot { on, counted: 0, at, strike, process: None, calls: Vec::new(), struck: false }));
        let (shared, upstream) = (plot.clone(), upstream.trim_start_matches("http://").to_owned());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (plot, upstream) = (shared.clone(), upstream.clone());
                // A connection that breaks is what this is about.
                thread::spawn(move || drop(serve(client, &upstream, &plot)));
            }
        });
        Self { url, plot }
    }

    /// Returns the address for the program.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Says which process a signal goes to.
    pub(crate) fn aim(&self, process: u32) {
        self.plot.lock().unwrap().process = Some(process);
    }

    /// Returns the calls so far, in the order in which they came.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.plot.lock().unwrap().calls.clone()
    }

    /// Tells whether the chosen call came.
    pub(crate) fn has_struck(&self) -> bool {
        self.plot.lock().unwrap().struck
    }
}

/// Passes requests on and answers back, one after the other, until it is time to strike.
fn serve(client: TcpStream, upstream: &str, plot: &Mutex<Plot>) -> std::io::Result<()> {
    let mut server = BufReader::new(TcpStream::connect(upstream)?);
    let mut client = BufReader::new(client);
    while let Some(request) = message(&mut client)? {
        let strike = count(plot, &request);
        if let Some(Strike::Before(signal)) = strike {
            end(plot, signal);
            if signal == KILL {
                return client.get_ref().shutdown(Shutdown::Both);
            }
        }
        server.get_mut().write_all(&request)?;
        let Some(answer) = message(&mut server)? else { return Ok(()) };
        match strike {
            Some(Strike::After(signal)) => end(plot, signal),
            Some(Strike::LoseAnswer) => return client.get_ref().shutdown(Shutdown::Both),
            Some(Strike::Before(_)) | None => {}
        }
        client.get_mut().write_all(&answer)?;
    }
    Ok(())
}

/// Reads one HTTP message whose length its head tells.
pub(super) fn message(from: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut length = 0;
    loop {
        let mut line = Vec::new();
        if from.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
        if let Some(value) = text.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        assert!(!text.starts_with("transfer-encoding:"), "a message without a length");
        bytes.extend(&line);
        if line == b"\r\n" {
            break;
        }
    }
    let head = bytes.len();
    bytes.resize(head + length, 0);
    from.read_exact(&mut bytes[head..])?;
    Ok(Some(bytes))
}

fn count(plot: &Mutex<Plot>, request: &[u8]) -> Option<Strike> {
    let mut plot = plot.lock().unwrap();
    let call = operation(&String::from_utf8_lossy(request));
    let counts = plot.on.is_none_or(|on| on == call);
    plot.counted += usize::from(counts);
    plot.calls.push(call);
    let now = counts && plot.counted == plot.at;
    plot.struck |= now;
    now.then_some(plot.strike)
}

/// Names what a request asks for: its target, its `Action`, or method and path.
pub(super) fn operation(request: &str) -> String {
    let line = request.lines().next().unwrap_or_default();
    let target = request.lines().find(|line| line.to_ascii_lowercase().starts_with("x-amz-target:"));
    let action =
        request.split_once("\r\n\r\n").and_then(|(_, body)| body.split('&').find(|pair| pair.starts_with("Action=")));
    match (target, action) {
        (Some(target), _) => target.rsplit('.').next().unwrap_or_default().trim().to_owned(),
        (None, Some(action)) => action.trim_start_matches("Action=").to_owned(),
        (None, None) => line.rsplit_once(' ').map_or(line, |(call, _)| call).to_owned(),
    }
}

fn end(plot: &Mutex<Plot>, signal: &str) {
    let process = loop {
        let process = plot.lock().unwrap().process;
        if let Some(process) = process {
            break process.to_string();
        }
        thread::yield_now();
    };
    // The process may have ended by itself; then there is nobody to strike.
    let _ = std::process::Command::new("kill").args([signal, &process]).status();
}
