//! The local cloud's own pages: from this process, or from the listener that has it.

use axum::body::Bytes;
use http::Request;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::failure::Failure;
use crate::local::{Cloud, OpenError};

use super::{local_dir, local_failure, local_settings};

/// The way to the pages.
pub(crate) enum Pages {
    /// This process has the local cloud.
    Here(Cloud),
    /// A listener has it, at this address.
    There(String),
}

impl Pages {
    /// Opens the local cloud, or finds the listener that has it.
    pub(crate) fn open() -> Result<Self, Failure> {
        match Cloud::open(&local_dir(), local_settings()?) {
            Ok(cloud) => Ok(Self::Here(cloud)),
            Err(OpenError::Busy { listener: Some(url), .. }) => Ok(Self::There(url)),
            Err(error) => Err(local_failure(&error)),
        }
    }

    /// Tells whether the local cloud is served, so that more can come.
    pub(crate) fn are_served(&self) -> bool {
        matches!(self, Self::There(_))
    }

    /// Reads a page below `/_local/`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        let page = match self {
            Self::Here(cloud) => {
                let request = Request::get(format!("/_local/{path}")).body(Bytes::new());
                let request = request.map_err(|error| Failure::new(format!("no page can be at {path}: {error}")))?;
                cloud.handle(request).await.into_body().to_vec()
            }
            Self::There(url) => fetch(url, path).await.map_err(|error| {
                Failure::new(format!("the local cloud does not answer at {url}: {error}"))
                    .help("start it again with `stackctl local serve`")
            })?,
        };
        serde_json::from_slice(&page).map_err(|_| {
            Failure::new("the local cloud's answer cannot be read")
                .help("it may be served by another version of stackctl: stop that and try again")
        })
    }
}

/// Version 1.0 has neither chunks nor kept connections, so the answer ends where the connection does.
async fn fetch(url: &str, path: &str) -> std::io::Result<Vec<u8>> {
    let host = url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(host).await?;
    socket.write_all(format!("GET /_local/{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").map(|place| place + 4);
    Ok(answer.split_off(body.unwrap_or(answer.len())))
}
