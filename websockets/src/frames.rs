//! Frames (RFC 6455 §5.2): those that the server writes, and where those of a client end.

use std::io::ErrorKind;

use actix_web::error::PayloadError;
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_ws::{CloseCode, ProtocolError};
use feed::Update;
use futures_util::{Stream, StreamExt as _, stream};

const TEXT: u8 = 1;
/// The opcode of a close frame; its payload is a code, or nothing (§5.5.1).
pub const CLOSE: u8 = 8;
/// The opcode of a ping (§5.5.2).
pub const PING: u8 = 9;
/// The opcode of a pong; its payload is the ping's (§5.5.3).
pub const PONG: u8 = 10;

/// The frame that tells an update: its text, or its JSON.
pub fn text(update: &Update, json: bool) -> Bytes {
    if json {
        frame(TEXT, &serde_json::to_vec(update).expect("an update is text and a number"))
    } else {
        frame(TEXT, update.update.as_bytes())
    }
}

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

/// A client's bytes, one whole frame at a time, each with at most `max` bytes of payload.
///
/// So a frame that says that it is too long is refused before its bytes have come, and one that
/// is broken doesn't hide those before it.
pub fn whole(body: Payload, max: usize) -> impl Stream<Item = Result<Bytes, PayloadError>> {
    stream::try_unfold((body, BytesMut::new()), move |(mut body, mut bytes)| async move {
        tokio::task::yield_now().await; // pending between two frames: each is read by itself
        loop {
            match header_and_payload(&bytes) {
                Some((_, payload)) if payload > max => return Err(PayloadError::Overflow),
                Some((header, payload)) if header + payload <= bytes.len() => {
                    let frame = bytes.split_to(header + payload).freeze();
                    return Ok(Some((frame, (body, bytes))));
                }
                _ => match body.next().await.transpose()? {
                    Some(more) => bytes.extend_from_slice(&more),
                    None => return Ok(None),
                },
            }
        }
    })
}

/// How many bytes the frame that begins here has, in its header and in its payload, if its header
/// is here already.
fn header_and_payload(bytes: &[u8]) -> Option<(usize, usize)> {
    let mask = if bytes.get(1)? & 0x80 == 0 { 0 } else { 4 };
    Some(match bytes[1] & 0x7f {
        126 => (4 + mask, u16::from_be_bytes(*bytes[2..].first_chunk()?).into()),
        127 => {
            let payload = u64::from_be_bytes(*bytes[2..].first_chunk()?);
            (10 + mask, usize::try_from(payload).unwrap_or(usize::MAX))
        }
        payload => (2 + mask, payload.into()),
    })
}

/// What a client is told that broke the protocol (§7.4.1).
pub fn close_code(error: &ProtocolError) -> CloseCode {
    match error {
        ProtocolError::Io(io) if io.kind() == ErrorKind::Other => CloseCode::Size,
        ProtocolError::Io(io) if !io.to_string().contains("reserved bits") => CloseCode::Invalid,
        _ => CloseCode::Protocol,
    }
}
