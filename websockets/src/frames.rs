//! Frames (RFC 6455 §5.2): those that the server writes, and those that a client sends.

use actix_web::web::{Bytes, BytesMut};
use actix_ws::CloseCode;
use feed::News;

/// The most bytes of a client's message, its fragments added up.
const MAX_MESSAGE: usize = 4096;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
/// The opcode of a close frame; its payload is a code, or nothing (§5.5.1).
pub const CLOSE: u8 = 8;
/// The opcode of a ping (§5.5.2).
pub const PING: u8 = 9;
/// The opcode of a pong; its payload is the ping's (§5.5.3).
pub const PONG: u8 = 10;

/// A whole frame. A server does not mask it (§5.1).
pub fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let length = payload.len().to_be_bytes();
    let length: &[u8] = match payload.len() {
        0..126 => &length[7..],
        126..65_536 => &[126, length[6], length[7]],
        _ => &[&[127], &length[..]].concat(),
    };
    [&[0x80 | opcode], length, payload].concat().into()
}

/// The frames that tell updates: their texts, or their JSON. Of a gap only the JSON can tell.
pub fn updates(news: &News, json: bool) -> Bytes {
    let gap = (news.gap && json).then(|| frame(TEXT, br#"{"gap":true}"#));
    let updates = news.updates.iter().map(|update| {
        if json {
            frame(TEXT, &serde_json::to_vec(update).expect("it is text and a number"))
        } else {
            frame(TEXT, update.update.as_bytes())
        }
    });
    gap.into_iter().chain(updates).flatten().collect()
}

/// The payload of a close frame.
pub fn code(code: Option<CloseCode>) -> Bytes {
    code.map_or(Bytes::new(), |code| Bytes::copy_from_slice(&u16::from(code).to_be_bytes()))
}

/// What a client says.
pub enum Message {
    Text(String),
    Ping(Bytes),
    Pong,
    Close(Option<CloseCode>),
}

/// A client's bytes that are not yet read, and its message of which the end is still to come.
#[derive(Default)]
pub struct Frames {
    bytes: BytesMut,
    begun: Option<Vec<u8>>,
}

impl Frames {
    /// More bytes have come.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, its fragments put together, or control frame (§5.4); `None` where its end
    /// is not here yet. What may not be is refused as soon as it is seen, with the code that says
    /// why (§7.4.1): so nothing is waited for that is too long.
    pub fn next(&mut self) -> Result<Option<Message>, CloseCode> {
        while let Some((&[first, second], rest)) = self.bytes.split_first_chunk() {
            let (is_last, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
            let (is_masked, short) = (second & 0x80 != 0, second & 0x7f);
            let may_be = match opcode {
                0 => self.begun.is_some(),
                TEXT | BINARY => self.begun.is_none(),
                CLOSE..=PONG => is_last && short < 126,
                _ => false,
            };
            if !may_be || !is_masked || reserved != 0 {
                return Err(CloseCode::Protocol);
            } else if opcode == BINARY {
                return Err(CloseCode::Unsupported);
            }
            let extended = [0, 2, 8][usize::from(short.max(125) - 125)];
            let Some(length) = rest.get(..extended) else { break };
            let number = length.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
            let length = if extended == 0 { short.into() } else { number };
            if length > MAX_MESSAGE - self.begun.as_ref().map_or(0, Vec::len) && opcode < CLOSE {
                return Err(CloseCode::Size);
            }
            let header = 2 + extended + 4;
            if self.bytes.len() < header + length {
                break;
            }
            let mut payload = self.bytes.split_to(header + length).split_off(2 + extended);
            let mask = payload.split_to(4);
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            match opcode {
                PING => return Ok(Some(Message::Ping(payload.freeze()))),
                PONG => return Ok(Some(Message::Pong)),
                CLOSE => return close(&payload).map(|code| Some(Message::Close(code))),
                _ => self.begun.get_or_insert_default().extend_from_slice(&payload),
            }
            if let Some(text) = self.begun.take_if(|_| is_last) {
                let text = String::from_utf8(text).map_err(|_| CloseCode::Invalid)?;
                return Ok(Some(Message::Text(text)));
            }
        }
        Ok(None)
    }
}

/// The code of a close frame, if it has one that may be sent (§7.4).
fn close(payload: &[u8]) -> Result<Option<CloseCode>, CloseCode> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(CloseCode::Protocol) };
    };
    match u16::from_be_bytes(*code) {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) if str::from_utf8(reason).is_ok() => {
            Ok(Some(code.into()))
        }
        _ => Err(CloseCode::Protocol),
    }
}
