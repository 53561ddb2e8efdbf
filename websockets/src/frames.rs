//! Frames (RFC 6455 §5.2): those that the server sends, and those that a client sends. And the
//! answer to a request that is no handshake.

use actix_http::ws::CloseCode::{self, Invalid, Protocol, Size, Unsupported};
use actix_http::ws::{HandshakeError, OpCode, Parser};
use actix_web::http::{StatusCode, header, header::HeaderValue};
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{Error, HttpResponse, error::InternalError};
use feed::News;
use futures_util::StreamExt as _;

/// The most bytes of a client's message, its fragments added up.
const MAX: u16 = 4096;

/// The answer to a request that is no handshake: what it lacks, in one line. One without an upgrade
/// is told which one there is (RFC 9110 §15.5.22).
pub fn no_handshake(why: Error) -> Error {
    let (mut response, text) = (why.error_response(), why.to_string());
    if let Some(HandshakeError::NoWebsocketUpgrade) = why.as_error() {
        response = HttpResponse::build(StatusCode::UPGRADE_REQUIRED)
            .insert_header((header::UPGRADE, "websocket"))
            .finish();
    }
    let text_plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text_plain);
    InternalError::from_response(why, response.set_body(text).map_into_boxed_body()).into()
}

/// A frame of the server.
pub fn frame(opcode: OpCode, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    write(&mut frame, opcode, payload);
    frame.freeze()
}

/// A close frame. Its payload is the code that says why, or nothing (§5.5.1).
pub fn close(code: Option<CloseCode>) -> Bytes {
    let code = code.map(|code| u16::from(code).to_be_bytes());
    frame(OpCode::Close, code.as_ref().map_or(&[], |code| code))
}

/// Every frame of the server is a whole message, and is not masked (§5.1).
fn write(frames: &mut BytesMut, opcode: OpCode, payload: &[u8]) {
    Parser::write_message(frames, payload, opcode, true, false);
}

/// A text frame for each update: its text, or its JSON. Only JSON can tell of a gap.
pub fn updates(news: &News, json: bool) -> Bytes {
    let mut frames = BytesMut::new();
    if news.gap && json {
        write(&mut frames, OpCode::Text, br#"{"gap":true}"#);
    }
    for update in &news.updates {
        let json = json.then(|| serde_json::to_vec(update).expect("it is text and a number"));
        write(&mut frames, OpCode::Text, json.as_deref().unwrap_or(update.update.as_bytes()));
    }
    frames.freeze()
}

/// What a client sends.
pub enum Message {
    Text(String),
    Ping(Bytes),
    Pong,
    Close(Option<CloseCode>),
}

/// A client's messages.
pub struct Incoming {
    payload: Payload,
    /// What was received and is not yet read.
    bytes: BytesMut,
    /// The fragments of a message whose last one has not come yet.
    begun: Option<Vec<u8>>,
}

impl Incoming {
    pub fn new(payload: Payload) -> Incoming {
        Incoming { payload, bytes: BytesMut::new(), begun: None }
    }

    /// The next message. One that is not allowed comes as a close, with the code that says why
    /// (§7.4.1). None comes when the client has closed its half of the connection, or is gone.
    pub async fn next(&mut self) -> Option<Message> {
        self.read().await.unwrap_or_else(|code| Some(Message::Close(Some(code))))
    }

    async fn read(&mut self) -> Result<Option<Message>, CloseCode> {
        loop {
            // Refused by its first bytes: the parser would wait for the last one.
            match *self.bytes {
                [0x08..=0x0a, ..] | [0x88..=0x8a, 0xfe | 0xff, ..] => return Err(Protocol),
                [0x02 | 0x82, ..] if self.begun.is_none() => return Err(Unsupported),
                [_, 0xff, ..] => return Err(Size),
                [_, 0xfe, a, b, ..] if u16::from_be_bytes([a, b]) > MAX => return Err(Size),
                _ => {}
            }
            let frame = Parser::parse(&mut self.bytes, true, MAX.into());
            let Some((is_last, opcode, payload)) = frame.map_err(|_| Protocol)? else {
                let Some(Ok(more)) = self.payload.next().await else { return Ok(None) };
                self.bytes.extend_from_slice(&more);
                continue;
            };
            let payload = payload.unwrap_or_default();
            // Control frames may come between the fragments of a message (§5.4).
            match (opcode, &mut self.begun) {
                (OpCode::Ping, _) => return Ok(Some(Message::Ping(payload.freeze()))),
                (OpCode::Pong, _) => return Ok(Some(Message::Pong)),
                (OpCode::Close, _) => {
                    let reason = Parser::try_parse_close_payload(&payload).map_err(|_| Protocol)?;
                    return Ok(Some(Message::Close(reason.map(|reason| reason.code))));
                }
                (OpCode::Text, begun @ None) => *begun = Some(payload.to_vec()),
                (OpCode::Continue, Some(begun)) => begun.extend_from_slice(&payload),
                _ => return Err(Protocol),
            }
            if self.begun.as_ref().is_some_and(|begun| begun.len() > usize::from(MAX)) {
                return Err(Size);
            }
            if let Some(text) = self.begun.take_if(|_| is_last) {
                let text = String::from_utf8(text).map_err(|_| Invalid)?;
                return Ok(Some(Message::Text(text)));
            }
        }
    }
}
