//! The forms in which a function's process is spoken to: events, answers, and the log with its records.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// More than any answer is: the process itself refuses those that Lambda would refuse.
const LARGEST_ANSWER: u32 = 8 << 20;
/// A line that is longer is cut, as CloudWatch does.
const LONGEST_LINE: usize = 256 << 10;
const REQUEST: usize = 36;

/// What a process says: that it is ready, or how an invocation went.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) kind: Kind,
    /// The most memory that the process ever had, in bytes.
    pub(super) peak: u64,
    pub(super) body: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ready,
    Answer,
    Error,
}

/// Reads one reply.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Reply> {
    let size = from.read_u32().await?;
    let kind = match from.read_u8().await? {
        0 => Kind::Ready,
        1 => Kind::Answer,
        2 => Kind::Error,
        other => return Err(io::Error::other(format!("the runtime sent a reply of kind {other}"))),
    };
    let peak = u64::from(from.read_u32().await?) * 1024;
    if size > LARGEST_ANSWER {
        return Err(io::Error::other("the runtime sent a reply that is too large"));
    }
    let mut body = vec![0; usize::try_from(size).unwrap_or(0)];
    from.read_exact(&mut body).await?;
    Ok(Reply { kind, peak, body })
}

/// Sends one event.
pub(super) async fn send(to: &mut (impl AsyncWrite + Unpin), head: &Value, event: &[u8]) -> io::Result<()> {
    let head = head.to_string();
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    let mut frame = Vec::with_capacity(8 + head.len() + event.len());
    frame.extend(size(head.as_bytes())?.to_be_bytes());
    frame.extend(size(event)?.to_be_bytes());
    frame.extend(head.as_bytes());
    frame.extend(event);
    to.write_all(&frame).await?;
    to.flush().await
}

/// A piece of a process's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Line(String),
    /// The log of an invocation is complete.
    End(String),
}

/// Cuts a log into pieces, however its bytes arrive.
#[derive(Default)]
pub(super) struct Splitter {
    rest: Vec<u8>,
}

impl Splitter {
    /// Takes the next bytes and returns the pieces that are complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Piece> {
        self.rest.extend(bytes);
        let mut pieces = Vec::new();
        let mut done = 0;
        while let Some((piece, size)) = next(&self.rest[done..]) {
            pieces.extend(piece);
            done += size;
        }
        self.rest.drain(..done);
        pieces
    }

    /// Returns the line that has no end.
    pub(super) fn finish(self) -> Option<Piece> {
        line(&self.rest)
    }
}

/// Finds the first piece and how many bytes it takes; none when more bytes are needed.
fn next(bytes: &[u8]) -> Option<(Option<Piece>, usize)> {
    match bytes.iter().position(|byte| matches!(byte, b'\n' | 0)) {
        Some(0) if bytes[0] == 0 => record(bytes),
        Some(at) if bytes[at] == 0 => Some((line(&bytes[..at]), at)),
        Some(at) => Some((line(&bytes[..at]), at + 1)),
        None if bytes.len() >= LONGEST_LINE => Some((line(&bytes[..LONGEST_LINE]), LONGEST_LINE)),
        None => None,
    }
}

fn record(bytes: &[u8]) -> Option<(Option<Piece>, usize)> {
    match bytes.get(1)? {
        b'E' => {
            let request = String::from_utf8_lossy(bytes.get(2..2 + REQUEST)?).into_owned();
            Some((Some(Piece::End(request)), 2 + REQUEST))
        }
        b'L' => {
            let digits = std::str::from_utf8(bytes.get(2..10)?).ok();
            let Some(size) = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok()) else {
                return Some((None, 1));
            };
            let text = bytes.get(10..10 + size)?;
            Some((line(&text[..size.min(LONGEST_LINE)]), 10 + size))
        }
        // A NUL that the function itself printed.
        _ => Some((None, 1)),
    }
}

/// An empty line is none: CloudWatch takes no empty events.
fn line(bytes: &[u8]) -> Option<Piece> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\r');
    (!text.is_empty()).then(|| Piece::Line(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(parts: &[&[u8]]) -> Vec<Piece> {
        let mut splitter = Splitter::default();
        let mut pieces: Vec<Piece> = parts.iter().flat_map(|part| splitter.feed(part)).collect();
        pieces.extend(splitter.finish());
        pieces
    }

    fn text(line: &str) -> Piece {
        Piece::Line(line.to_owned())
    }

    #[test]
    fn lines_messages_and_ends_are_told_apart() {
        let id = "0".repeat(REQUEST);
        let log = format!("one\n\npart\0L00000003a\nb\0E{id}\0x\nlast");
        let wanted = [text("one"), text("part"), text("a\nb"), Piece::End(id), text("x"), text("last")];
        assert_eq!(split(&[log.as_bytes()]), wanted);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let long = vec![b'x'; LONGEST_LINE + 1];
        assert_eq!(split(&[&long]).len(), 2);
    }

    proptest! {
        #[test]
        fn pieces_do_not_depend_on_how_bytes_arrive(cut in 0_usize..80, log in "[ab\n\\x00]{0,20}") {
            let whole = format!("{log}\0L00000005hello\0E{}\n{log}\n", "7".repeat(REQUEST));
            let cut = cut.min(whole.len());
            let (head, tail) = whole.as_bytes().split_at(cut);
            prop_assert_eq!(split(&[head, tail]), split(&[whole.as_bytes()]));
        }
    }

    #[tokio::test]
    async fn replies_are_read_and_odd_ones_refused() {
        let bytes = [&3_u32.to_be_bytes()[..], &[1], &2_u32.to_be_bytes(), b"abc"].concat();
        let reply = read(&mut bytes.as_slice()).await.unwrap();
        assert_eq!(reply, Reply { kind: Kind::Answer, peak: 2048, body: b"abc".to_vec() });
        assert!(read(&mut [0, 0, 0, 0, 9].as_slice()).await.is_err());
        assert!(read(&mut [255, 0, 0, 0, 1, 0, 0, 0, 0].as_slice()).await.is_err());
    }
}
