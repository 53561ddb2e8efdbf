//! WebSockets: one connection on which both sides speak whenever they like.
//!
//! Run it with `cargo run -p websockets`, open <http://localhost:8004/html/index.html>, or speak
//! yourself, with curl 8.11 or newer built with WebSockets, or with any WebSocket client:
//!
//! ```text
//! curl -N --http1.1 ws://localhost:8004/websocket
//! curl -i localhost:8004/api/messages --json '{"update": "Hello"}'
//! ```

mod frames;

use std::time::Duration;

use actix_web::http::{Uri, header};
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{Error, FromRequest as _, HttpRequest, HttpResponse, error, guard, rt, web};
use actix_ws::{AggregatedMessage, CloseCode, Message, MessageStream, Session};
use feed::{Feed, Reader};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, interval_at, sleep_until, timeout_at};

/// The most bytes of a client's message, its fragments added up.
const MAX_MESSAGE: usize = 4096;
/// How often a client is pinged (RFC 6455 §5.5.2).
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long nothing may be heard of a client: time for two pongs. Then it is gone.
const DEADLINE: Duration = Duration::from_secs(2 * PING_EVERY.as_secs());

/// The handshake (RFC 6455 §4.2). The conversation goes on in a task of its own.
async fn open(
    request: HttpRequest,
    body: Payload,
    feed: Data<Feed>,
) -> Result<HttpResponse, Error> {
    // Any site's page may open a WebSocket to here, but its browser says where it is from (§10.2).
    let host = request.headers().get(header::HOST).and_then(host_of);
    let mut origins = request.headers().get_all(header::ORIGIN);
    if !origins.all(|origin| host.is_some() && host_of(origin) == host) {
        return Err(error::ErrorForbidden("a page of another site may not open a WebSocket"));
    }
    let reader = feed.reader(feed::after(&request)?);
    let frames = frames::whole(body, MAX_MESSAGE).boxed_local();
    let frames = Payload::from_request(&request, &mut frames.into()).await?;
    let (response, session, messages) =
        actix_ws::handle_with_protocols(&request, frames, &["json"])?;
    let json = response.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL);
    rt::spawn(converse(session, messages, feed, reader, json));
    Ok(response)
}

/// Tells the client every update and everyone the client's messages, until one side closes.
async fn converse(
    mut session: Session,
    messages: MessageStream,
    feed: Data<Feed>,
    mut reader: Reader,
    json: bool,
) {
    let mut messages = messages.aggregate_continuations().max_continuation_size(MAX_MESSAGE);
    let mut heard = Instant::now();
    let mut ping = interval_at(heard + PING_EVERY, PING_EVERY);
    let close = loop {
        let say = tokio::select! {
            update = reader.next() => Message::Text(if json {
                serde_json::to_string(&update).expect("text and numbers").into()
            } else {
                update.update.as_str().into()
            }),
            message = messages.recv() => {
                heard = Instant::now();
                match message {
                    Some(Ok(AggregatedMessage::Text(text))) => {
                        if feed.publish(&text, None).is_ok() {
                            feed::print_line(format_args!("Received message => {text}"));
                        }
                        continue;
                    }
                    Some(Ok(AggregatedMessage::Ping(data))) => Message::Pong(data),
                    Some(Ok(AggregatedMessage::Pong(_))) => continue,
                    Some(Ok(AggregatedMessage::Binary(_))) => break Some(CloseCode::Unsupported),
                    Some(Ok(AggregatedMessage::Close(reason))) => break reason.map(|why| why.code),
                    Some(Err(error)) => break Some(frames::close_code(&error)),
                    None => return,
                }
            }
            _ = ping.tick() => Message::Ping(Bytes::new()),
            () = sleep_until(heard + DEADLINE) => return,
        };
        // A client that does not read makes this wait: not for ever.
        if !matches!(timeout_at(heard + DEADLINE, session.send(say)).await, Ok(Ok(()))) {
            return;
        }
    };
    let _ = timeout_at(heard + DEADLINE, session.close(close.map(Into::into))).await;
}

/// The host, without its port, that a `Host` or an `Origin` names.
fn host_of(value: &header::HeaderValue) -> Option<String> {
    Some(value.to_str().ok()?.parse::<Uri>().ok()?.host()?.to_ascii_lowercase())
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    feed::serve(8004, env!("CARGO_MANIFEST_DIR"), |routes| {
        let upgrade = guard::fn_guard(|request| request.head().headers().contains_key("Upgrade"));
        routes.route("/", web::get().guard(upgrade).to(open));
        routes.route("/websocket", web::get().to(open));
    })
    .await
}
