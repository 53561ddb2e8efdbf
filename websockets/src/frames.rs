//! Where a frame ends, and what a client is told that sends a broken one.

use std::io::ErrorKind;

use actix_web::error::PayloadError;
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_ws::{CloseCode, ProtocolError};
use futures_util::{Stream, StreamExt as _, stream};

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
/// is here already (RFC 6455 §5.2).
fn header_and_payload(bytes: &[u8]) -> Option<(usize, usize)> {
    let mask = if bytes.get(1)? & 0x80 == 0 { 0 } else { 4 };
    Some(match bytes[1] & 0x7f {
        126 => (4 + mask, u16::from_be_bytes(*bytes[2..].first_chunk()?).into()),
        127 => (10 + mask, usize::try_from(u64::from_be_bytes(*bytes[2..].first_chunk()?)).ok()?),
        payload => (2 + mask, payload.into()),
    })
}

/// What a client is told with the close frame (RFC 6455 §7.4.1).
pub fn close_code(error: &ProtocolError) -> CloseCode {
    match error {
        ProtocolError::Io(io) if io.kind() == ErrorKind::Other => CloseCode::Size,
        ProtocolError::Io(io) if !io.to_string().contains("reserved bits") => CloseCode::Invalid,
        _ => CloseCode::Protocol,
    }
}
