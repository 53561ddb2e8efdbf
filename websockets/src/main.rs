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

use std::future::{pending, ready};
use std::{cell::Cell, convert::Infallible, time::Duration};

use actix_http::ws::{CloseCode, OpCode};
use actix_web::{FromRequest as _, HttpRequest, HttpResponse, Result, body::BodyStream, error, rt};
use actix_web::{dev, guard, http::header, web, web::Bytes, web::Data, web::Payload};
use feed::{Feed, Reader, Refused};
use frames::{Incoming, Message, close, frame};
use futures_util::{FutureExt as _, stream};
use tokio::{sync::mpsc, time::Instant, time::interval_at, time::sleep};

/// How often a client is pinged (RFC 6455 §5.5.2).
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long a client may give no sign of life. (Its last ping has 5 seconds or more to be answered.)
const DEADLINE: Duration = Duration::from_secs(2 * PING_EVERY.as_secs());
/// A client that takes so many bytes is alive too: fewer fit on the way to one that is dead.
const TAKEN: usize = 128 * 1024;
/// How long a client that is gone is still heard: what it has sent is published.
const FAREWELL: Duration = Duration::from_secs(5);

/// The handshake (RFC 6455 §4.2). All that the server sends from then on is the body of its answer.
async fn open(request: HttpRequest, payload: Payload, feed: Data<Feed>) -> Result<HttpResponse> {
    if !feed::is_own_page(&request) {
        return Err(error::ErrorForbidden("a page of another site may not open a WebSocket"));
    }
    let reader = feed.reader(feed::after(&request)?).await;
    // actix-ws would read the frames from the payload that it is given. It gets an empty one.
    let empty = Payload::from_request(&request, &mut dev::Payload::None).await?;
    let opened = actix_ws::handle_with_protocols(&request, empty, &["json"]);
    let (response, ..) = opened.map_err(frames::no_handshake)?;
    let json = response.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL);
    let (outgoing, mut body) = mpsc::channel(1);
    rt::spawn(converse(Incoming::new(payload), outgoing, feed, reader, json));
    let body = stream::poll_fn(move |cx| body.poll_recv(cx).map(|it| it.map(Ok::<_, Infallible>)));
    Ok(response.set_body(BodyStream::new(body)).map_into_boxed_body())
}

/// The conversation with a client: two loops. A loop that sends waits until the connection has room;
/// the other one goes on. So a client that does not read is still heard.
async fn converse(
    mut incoming: Incoming,
    outgoing: mpsc::Sender<Bytes>,
    feed: Data<Feed>,
    mut reader: Reader,
    json: bool,
) {
    let last_heard = Cell::new(Instant::now());
    let reply = async |frame| drop(outgoing.send(frame).await); // it may be gone
    let (closing, mut closed) = mpsc::channel(1);
    let end = async |code| closing.send(code).then(|_| pending()).await; // the other loop closes
    let hear = async {
        while let Some(message) = incoming.next().await {
            last_heard.set(Instant::now());
            match message {
                Message::Text(text) => match feed.publish(&text, None).await {
                    Ok(_) => feed::print_line(format_args!("Received message => {text}")),
                    Err(Refused::Away) => return end(Some(CloseCode::Again)).await,
                    Err(Refused::Invalid(_)) => {} // an empty one is ignored
                },
                Message::Ping(data) => reply(frame(OpCode::Pong, &data)).await,
                Message::Pong => {}
                Message::Close(code) => return end(code).await,
            }
        }
    };
    let tell = async {
        let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        let (mut taken, mut ending) = (0, None);
        loop {
            let frames = tokio::select! {
                biased; // what is new comes before a close
                now = ping.tick() => {
                    let end = last_heard.get() + DEADLINE;
                    if now >= end { return }
                    ping.reset_at(if end < now + PING_EVERY * 4 / 3 { end } else { now + PING_EVERY });
                    frame(OpCode::Ping, b"")
                }
                news = reader.next() => match news {
                    Some(news) => frames::updates(&news, json),
                    None => return reply(close(Some(CloseCode::Away))).await, // the server stops
                },
                () = ready(()), if ending.is_some() => return reply(close(ending.flatten())).await,
                code = closed.recv() => { ending = code; continue } // a last look at what is new
            };
            taken += frames.len();
            if outgoing.send(frames).await.is_err() {
                return sleep(FAREWELL).await; // nobody is there any more
            }
            if taken > TAKEN {
                last_heard.set(Instant::now());
                taken = 0;
            }
        }
    };
    // Biased: what a client has sent counts before its silence does.
    tokio::select! { biased; () = hear => {} () = tell => {} }
}

#[actix_web::main]
async fn main() -> std::process::ExitCode {
    feed::serve(8004, env!("CARGO_MANIFEST_DIR"), |routes| {
        let upgrade = guard::fn_guard(|it| it.head().headers().contains_key(header::UPGRADE));
        routes.route("/", web::get().guard(upgrade).to(open));
        routes.route("/websocket", web::get().to(open));
    })
    .await
}
