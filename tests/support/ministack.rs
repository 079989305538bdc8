//! ministack, an AWS stand-in of other people through which records really flow.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running ministack with its functions' workers; ends with its owner.
pub(crate) struct Ministack {
    process: Child,
    url: String,
}

impl Ministack {
    /// Starts a server on a free port.
    pub(crate) fn start() -> Self {
        // It takes no port 0. Another process may be faster to the port; then it ends and the wait below says so.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(super::moto::python());
        command.args(["-c", "from ministack.app import main; main()"]);
        command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert_eq!(process.try_wait().unwrap(), None, "ministack ended");
            assert!(Instant::now() < deadline, "ministack does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { process, url: format!("http://127.0.0.1:{port}") }
    }

    /// Returns the address for clients.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        // It may have ended by itself; its workers end when it closes their pipes.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
