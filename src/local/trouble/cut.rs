//! Answers that are none: ended connections, cut bodies and other people's pages.

use axum::body::Bytes;
use http::Response;

use crate::local::envelope;

/// What a proxy without a way to AWS sends.
const PAGE: &[u8] =
    b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Sign in to go on</h1></body></html>\n";

/// Marks a response in place of which the connection must end.
#[derive(Debug, Clone, Copy)]
struct Cut;

/// Makes the stand-in for an answer that never comes.
pub(super) fn cut() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    response.extensions_mut().insert(Cut);
    response
}

/// Tells whether the connection must end instead of this answer.
pub(crate) fn is_cut(response: &Response<Bytes>) -> bool {
    response.extensions().get::<Cut>().is_some()
}

/// Makes a page for people.
pub(super) fn html() -> Response<Bytes> {
    envelope::raw(200, "text/html", PAGE.to_vec())
}

/// Leaves half of an answer.
pub(super) fn truncated(response: Response<Bytes>) -> Response<Bytes> {
    response.map(|body| body.slice(..body.len() / 2))
}

/// Leaves nothing of an answer but its status and the type of its content.
pub(super) fn emptied(response: &Response<Bytes>) -> Response<Bytes> {
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
    envelope::raw(response.status().as_u16(), kind.unwrap_or("application/json"), Vec::new())
}
