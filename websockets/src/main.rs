//! WebSockets: one connection on which both sides speak whenever they like.
//!
//! Run it with `cargo run -p websockets`, open <http://localhost:8004/html/index.html>, or shake
//! hands yourself, and send a message from another terminal:
//!
//! ```text
//! curl -iN localhost:8004/websocket -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
//!   -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
//! curl -i localhost:8004/api/messages --json '{"update": "Hello"}'
//! ```

mod frames;

use std::{convert::Infallible, pin::Pin, time::Duration};

use actix_web::body::{BodyStream, BoxBody};
use actix_web::http::{Uri, header};
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{FromRequest as _, HttpRequest, HttpResponse, Result, error, guard, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode};
use feed::{Feed, Reader};
use frames::{CLOSE, PING, PONG};
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, Interval, Sleep, interval_at, sleep};

/// The most bytes of a client's message, its fragments added up.
const MAX_MESSAGE: usize = 4096;
/// How often a client is pinged (RFC 6455 §5.5.2).
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long nothing may be heard of a client: time for two pongs. Then it is gone.
const DEADLINE: Duration = Duration::from_secs(2 * PING_EVERY.as_secs());

/// The handshake (RFC 6455 §4.2). All that the server says from then on is the body of its answer.
async fn open(request: HttpRequest, body: Payload, feed: Data<Feed>) -> Result<HttpResponse> {
    // Any site's page may open a WebSocket to here, but its browser says where it is from (§10.2).
    let host = request.headers().get(header::HOST).and_then(host_of);
    let mut origins = request.headers().get_all(header::ORIGIN);
    if !origins.all(|origin| host.is_some() && host_of(origin) == host) {
        return Err(error::ErrorForbidden("a page of another site may not open a WebSocket"));
    }
    let reader = feed.reader(feed::after(&request)?);
    let mut frames = frames::whole(body, MAX_MESSAGE).boxed_local().into();
    let frames = Payload::from_request(&request, &mut frames).await?;
    let (response, _, messages) = actix_ws::handle_with_protocols(&request, frames, &["json"])?;
    let json = response.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL);
    let messages = messages.aggregate_continuations().max_continuation_size(MAX_MESSAGE);
    let ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    let silence = Box::pin(sleep(DEADLINE));
    let (response, open) = response.into_parts();
    let client = Client { feed, reader, json, messages, ping, silence, _open: open };
    let said = stream::unfold(Some(Box::new(client)), async |client| client?.say().await);
    Ok(response.set_body(BodyStream::new(said.map(Ok::<_, Infallible>))).map_into_boxed_body())
}

/// What the server knows of a client.
struct Client {
    feed: Data<Feed>,
    reader: Reader,
    json: bool,
    messages: AggregatedMessageStream,
    ping: Interval,
    silence: Pin<Box<Sleep>>,
    _open: BoxBody, // where it is dropped, the messages end
}

impl Client {
    /// Waits for the next frame that the client is sent, and goes on with it, but after a close.
    /// It is asked for no frame while the one before can't be written: then there is no queue.
    async fn say(mut self: Box<Client>) -> Option<(Bytes, Option<Box<Client>>)> {
        let code = loop {
            let message = tokio::select! {
                biased; // what a client has said counts before its silence does
                message = self.messages.recv() => message?,
                update = self.reader.next() => {
                    return Some((frames::text(&update, self.json), Some(self)));
                }
                () = &mut self.silence => return None,
                _ = self.ping.tick() => return Some((frames::frame(PING, b""), Some(self))),
            };
            self.silence.as_mut().reset(Instant::now() + DEADLINE);
            match message {
                Ok(AggregatedMessage::Text(text)) => {
                    if self.feed.publish(&text, None).is_ok() {
                        feed::print_line(format_args!("Received message => {text}"));
                    }
                }
                Ok(AggregatedMessage::Ping(data)) => {
                    return Some((frames::frame(PONG, &data), Some(self)));
                }
                Ok(AggregatedMessage::Pong(_)) => {}
                Ok(AggregatedMessage::Binary(_)) => break Some(CloseCode::Unsupported),
                Ok(AggregatedMessage::Close(reason)) => break reason.map(|reason| reason.code),
                Err(error) => break Some(frames::close_code(&error)),
            }
        };
        let code = code.map(|code| u16::from(code).to_be_bytes());
        Some((frames::frame(CLOSE, code.as_ref().map_or(&[], |code| code)), None))
    }
}

/// The host, without its port, that a `Host` or an `Origin` names.
fn host_of(value: &header::HeaderValue) -> Option<String> {
    Some(value.to_str().ok()?.parse::<Uri>().ok()?.host()?.to_ascii_lowercase())
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    feed::serve(8004, env!("CARGO_MANIFEST_DIR"), |routes| {
        let upgrade = guard::fn_guard(|request| {
            let to = request.head().headers().get(header::UPGRADE);
            to.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
        });
        routes.route("/", web::get().guard(upgrade).to(open));
        routes.route("/websocket", web::get().to(open));
    })
    .await
}
