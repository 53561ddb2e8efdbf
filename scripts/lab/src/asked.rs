//! The last requests of a case, which its failure shows; and a bound for what an answer holds: a server
//! that never ends one fails, and the check does not grow with it.

use std::cell::RefCell;
use std::fmt::Write as _;

use futures_util::TryStreamExt as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Body, Response, ResponseBuilderExt as _};
use tokio_tungstenite::tungstenite::http;

thread_local! {
    static ASKED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The beginnings of fields that stand in every request, and tell nothing.
const USUAL: [&str; 7] = [
    "accept: */*",
    "connection: upgrade",
    "content-length: ",
    "host: 127.0.0.1",
    "host: localhost",
    "sec-websocket-key: ",
    "sec-websocket-version: 13",
];

/// How much of a request is shown.
const SHOWN: usize = 160;

/// More bytes of an answer nobody has to keep; nor of a stream up to an event, nor of one of its lines.
const ANSWER: usize = 32 << 20;
const EVENT: usize = 4 << 20;
const LINE: usize = 1 << 20;

/// Keeps what is sent on this thread, if that is a request; gives it back in a few words.
pub fn note(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(2_000)]);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut fields = head.lines();
    let line = fields.next().filter(|line| line.contains(" HTTP/1.")).unwrap_or_default();
    if line.is_empty() {
        return String::new();
    }
    let mut what = line.trim_end_matches(" HTTP/1.1").to_owned();
    let is_usual = |field: &str| USUAL.iter().any(|usual| field.starts_with(usual));
    let mut with = " with ";
    for field in fields.filter(|field| !is_usual(&field.to_ascii_lowercase())).chain([body]) {
        if !field.is_empty() {
            what += with;
            what += field;
            with = ", ";
        }
    }
    let mut shown: String = what.chars().take(SHOWN).collect();
    shown = shown.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if shown.len() < what.len() {
        shown += " …";
    }
    ASKED.with_borrow_mut(|all| {
        // Of those who listen the last one, and of those who publish.
        all.retain(|it| it.split(' ').next() != shown.split(' ').next());
        all.push(shown.clone());
        all.drain(..all.len().saturating_sub(2));
    });
    shown
}

/// The same of a request in parts.
pub fn note_parts(method: &str, path: &str, headers: &HeaderMap, body: &[u8]) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in headers {
        let _ = write!(head, "{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
    }
    note(&[head.as_bytes(), b"\r\n", body].concat())
}

/// What this request was answered by.
pub fn note_answer(what: &str, status: u16, kind: Option<&str>) {
    let kind = kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
    ASKED.with_borrow_mut(|all| {
        for it in all.iter_mut().filter(|it| *it == what) {
            let _ = write!(it, ", answered by {status}{kind}");
        }
    });
}

/// The last requests on this thread since this was asked last.
#[must_use]
pub fn asked() -> Vec<String> {
    ASKED.take()
}

/// The same answer, which panics as soon as somebody reads more of it than anybody has to keep.
///
/// # Panics
/// Then.
pub(crate) fn bounded(response: Response) -> Response {
    let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    let mut bound = Bound { is_stream: kind.starts_with(b"text/event-stream"), ..Bound::default() };
    let path = response.url().path().to_owned();
    let (status, headers, url) =
        (response.status(), response.headers().clone(), response.url().clone());
    let body = response.bytes_stream().inspect_ok(move |part| bound.take(part, &path));
    let whole = http::Response::builder().status(status).url(url).body(Body::wrap_stream(body));
    let mut whole = whole.expect("it was one before");
    *whole.headers_mut() = headers;
    whole.into()
}

/// What has come of an answer.
#[derive(Default)]
struct Bound {
    is_stream: bool,
    /// Bytes since the beginning, or since the last event.
    held: usize,
    /// Bytes of the line.
    line: usize,
    /// Whether there is more than comments since the last event.
    has_fields: bool,
    ended_with_cr: bool,
}

impl Bound {
    fn take(&mut self, part: &[u8], path: &str) {
        self.held += part.len();
        for byte in part.iter().filter(|_| self.is_stream) {
            let is_rest = *byte == b'\n' && self.ended_with_cr;
            self.ended_with_cr = *byte == b'\r';
            if matches!(byte, b'\r' | b'\n') && !is_rest {
                if self.line == 0 && std::mem::take(&mut self.has_fields) {
                    self.held = 0;
                }
                self.line = 0;
            } else if !is_rest {
                self.has_fields |= self.line == 0 && *byte != b':';
                self.line += 1;
            }
        }
        let (line, most) = (self.line, if self.is_stream { EVENT } else { ANSWER });
        assert!(
            line < LINE,
            "the stream of {path} has a line without end: {LINE} bytes of it came"
        );
        assert!(self.held < most, "the answer to {path} has no end: {most} bytes of it came");
    }
}
