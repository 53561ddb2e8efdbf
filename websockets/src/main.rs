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

use std::{convert::Infallible, time::Duration};

use actix_web::http::header;
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{
    FromRequest as _, HttpRequest, HttpResponse, Result, body, dev, error, guard, web,
};
use feed::{Feed, Reader};
use frames::{CLOSE, Frames, Message, PING, PONG};
use futures_util::{StreamExt as _, stream, stream::LocalBoxStream};
use tokio::time::{Instant, Interval, interval_at};

/// How often a client is pinged (RFC 6455 §5.5.2).
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long a client may give no sign of life: time for two pongs. Then it is gone.
const DEADLINE: Duration = Duration::from_secs(2 * PING_EVERY.as_secs());
/// To take so many bytes is a sign of life too: no more fits on the way to a client that is dead.
const TAKEN: usize = 128 * 1024;

/// The handshake (RFC 6455 §4.2). All that the server says from then on is the body of its answer.
async fn open(request: HttpRequest, said: Payload, feed: Data<Feed>) -> Result<HttpResponse> {
    // Any site's page may open a WebSocket to here, but its browser says where it is from (§10.2).
    if !feed::is_own_page(&request) {
        return Err(error::ErrorForbidden("a page of another site may not open a WebSocket"));
    }
    let reader = feed.reader(feed::after(&request)?);
    let none = Payload::from_request(&request, &mut dev::Payload::None).await?;
    let (response, ..) = actix_ws::handle_with_protocols(&request, none, &["json"])?;
    let client = Client {
        reader,
        json: response.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL),
        answers: answers(said, feed),
        heard: Instant::now(),
        taken: 0,
        ping: interval_at(Instant::now() + PING_EVERY, PING_EVERY),
    };
    let frames = stream::unfold(Some(client), async |client| client?.tell().await);
    let frames = body::BodyStream::new(frames.map(Ok::<_, Infallible>));
    Ok(response.set_body(frames).map_into_boxed_body())
}

/// What is to be said to what a client says: for each of its messages a frame, or nothing. A text
/// is published before the next message is read.
fn answers(said: Payload, feed: Data<Feed>) -> LocalBoxStream<'static, Option<(u8, Bytes)>> {
    let unread = (said, Frames::default(), feed);
    let answer = |(mut said, mut frames, feed): (Payload, Frames, Data<Feed>)| async {
        let message = loop {
            match frames.next() {
                Ok(None) => frames.add(&said.next().await?.ok()?),
                Ok(Some(message)) => break message,
                Err(code) => break Message::Close(Some(code)),
            }
        };
        let answer = match message {
            Message::Text(text) => {
                if feed.publish(&text, None).await.is_ok() {
                    feed::print_line(format_args!("Received message => {text}"));
                }
                None
            }
            Message::Ping(data) => Some((PONG, data)),
            Message::Pong => None,
            Message::Close(code) => Some((CLOSE, frames::code(code))),
        };
        Some((answer, (said, frames, feed)))
    };
    stream::unfold(unread, answer).boxed_local()
}

/// What the server knows of a client.
struct Client {
    reader: Reader,
    json: bool,
    answers: LocalBoxStream<'static, Option<(u8, Bytes)>>,
    heard: Instant,
    taken: usize,
    ping: Interval,
}

impl Client {
    /// Waits for the next frames that the client is told, and goes on with it, but after a close.
    /// It is asked for none while those before can't be written: then there is no queue.
    async fn tell(mut self) -> Option<(Bytes, Option<Client>)> {
        loop {
            tokio::select! {
                biased; // what a client has said counts before its silence does
                answer = self.answers.next() => {
                    self.heard = Instant::now();
                    if let Some((opcode, payload)) = answer? {
                        return Some((frames::frame(opcode, &payload), (opcode != CLOSE).then_some(self)));
                    }
                }
                now = self.ping.tick() => {
                    let end = self.heard + DEADLINE;
                    if now >= end {
                        return None;
                    }
                    self.ping.reset_at(end.min(now + PING_EVERY));
                    return Some((frames::frame(PING, b""), Some(self)));
                }
                news = self.reader.next() => {
                    let frames = frames::updates(&news, self.json);
                    self.taken += frames.len();
                    if self.taken > TAKEN {
                        (self.heard, self.taken) = (Instant::now(), 0);
                    }
                    return Some((frames, Some(self)));
                }
            }
        }
    }
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
