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

use actix_web::{FromRequest as _, HttpRequest, HttpResponse, Result};
use actix_web::{body, dev, error, guard, http::header, web, web::Bytes, web::Data, web::Payload};
use feed::{Feed, Reader, Refused};
use frames::{CLOSE, Message, PING, PONG, frame};
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
    if !feed::is_own_page(&request) {
        return Err(error::ErrorForbidden("a page of another site may not open a WebSocket"));
    }
    let none = Payload::from_request(&request, &mut dev::Payload::None).await?;
    let (response, ..) = actix_ws::handle_with_protocols(&request, none, &["json"])?;
    let client = Box::new(Client {
        reader: feed.reader(feed::after(&request)?),
        json: response.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL),
        answers: answers(said, feed),
        heard: Instant::now(),
        taken: 0,
        ping: interval_at(Instant::now() + PING_EVERY, PING_EVERY),
    });
    let told = stream::unfold(Some(client), async |it| it?.tell().await).map(Ok::<_, Infallible>);
    Ok(response.set_body(body::BodyStream::new(told)).map_into_boxed_body())
}

/// The frame that answers what a client says, or no bytes; a text is published first.
fn answers(said: Payload, feed: Data<Feed>) -> LocalBoxStream<'static, Bytes> {
    let answer = async |message, feed: Data<Feed>| match message {
        Message::Text(text) => {
            match feed.publish(&text, None).await {
                Ok(_) => feed::print_line(format_args!("Received message => {text}")),
                Err(Refused::Away) => return frame(CLOSE, &u16::to_be_bytes(1013)), // come again
                Err(Refused::Invalid(_)) => {} // an empty one is ignored
            }
            Bytes::new()
        }
        Message::Pong => Bytes::new(),
        Message::Ping(data) => frame(PONG, &data),
        Message::Close(code) => frame(CLOSE, &code),
    };
    frames::messages(said).then(move |message| answer(message, feed.clone())).boxed_local()
}

struct Client {
    reader: Reader,
    json: bool,
    answers: LocalBoxStream<'static, Bytes>,
    heard: Instant,
    taken: usize,
    ping: Interval,
}

impl Client {
    /// Waits for the next frames that the client is told. It is asked for them only when those
    /// before are written: then there is no queue. After a close nothing comes.
    async fn tell(mut self: Box<Client>) -> Option<(Bytes, Option<Box<Client>>)> {
        loop {
            let frames = tokio::select! {
                biased; // what a client has said counts before its silence does
                answer = self.answers.next() => {
                    self.heard = Instant::now();
                    answer?
                }
                now = self.ping.tick() => {
                    let end = self.heard + DEADLINE;
                    self.ping.reset_at(end.min(now + PING_EVERY));
                    (now < end).then(|| frame(PING, b""))?
                }
                news = self.reader.next() => {
                    let frames = frames::updates(&news, self.json);
                    self.taken += frames.len();
                    if self.taken > TAKEN {
                        (self.heard, self.taken) = (Instant::now(), 0);
                    }
                    frames
                }
            };
            if !frames.is_empty() {
                let goes_on = frames[0] != 0x80 | CLOSE;
                return Some((frames, goes_on.then_some(self)));
            }
        }
    }
}

#[actix_web::main]
async fn main() -> std::process::ExitCode {
    feed::serve(8004, env!("CARGO_MANIFEST_DIR"), |routes| {
        let upgrade =
            guard::fn_guard(|request| request.head().headers().contains_key(header::UPGRADE));
        routes.route("/", web::get().guard(upgrade).to(open));
        routes.route("/websocket", web::get().to(open));
    })
    .await
}
