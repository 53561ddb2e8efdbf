//! Server-sent events: one response that never ends, an event in it for each update.
//!
//! Run it with `cargo run -p server-sent-events`, open <http://localhost:8003/html/index.html>, or
//! listen yourself, and send a message from another terminal:
//!
//! ```text
//! curl -iN localhost:8003/events
//! curl -i localhost:8003/api/messages --json '{"update": "Hello", "event": "greeting"}'
//! ```

use std::{convert::Infallible, time::Duration};

use actix_web::{Error, HttpRequest, HttpResponse, Responder, web};
use feed::{Feed, News};
use futures_util::stream::{self, StreamExt as _};
use tokio::time::interval;

/// After so much silence comes a comment, so that nobody on the way takes the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How many milliseconds a browser waits before it reconnects by itself.
const RETRY: &str = "retry: 1000\n\n";
/// Some updates are missing here.
const GAP: &str = "event: gap\ndata: some updates are no longer kept\n\n";

/// The stream (WHATWG HTML §9.2.6). A browser that reconnects sends the last id it saw by itself;
/// where it is no id, it counts as absent.
async fn events(request: HttpRequest, feed: web::Data<Feed>) -> Result<impl Responder, Error> {
    let after = feed::after(&request)?;
    let last_event_id = request.headers().get("Last-Event-ID").and_then(|id| id.to_str().ok());
    let reader = feed.reader(last_event_id.and_then(feed::parse_id).or(after)).await;

    let client = Box::new((reader, interval(KEEP_ALIVE)));
    let updates = stream::unfold(client, async |mut client| {
        let (reader, silence) = &mut *client;
        silence.reset();
        let bytes = tokio::select! {
            biased; // an update before the silence
            news = reader.next() => events_of(&news),
            _ = silence.tick() => ": keep-alive\n\n".into(),
        };
        Some((bytes, client))
    });
    let stream = stream::once(async { RETRY.into() }).chain(updates).map(Ok::<_, Infallible>);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("X-Accel-Buffering", "no")) // a proxy passes each event on at once
        .streaming(stream))
}

/// An event for each update; where some are missing before them, one that says so, without an id:
/// a browser goes on from the last id that it has.
fn events_of(news: &News) -> web::Bytes {
    let mut events = String::new();
    if news.gap {
        events += GAP;
    }
    for update in &news.updates {
        events.extend(["id: ", &update.id.to_string(), "\n"]);
        if let Some(name) = &update.event {
            events.extend(["event: ", name, "\n"]);
        }
        // A line end in its text, be it CR, LF or both, ends a line of data: were it sent as it
        // is, the rest of the text could pass for fields of its own.
        for line in update.update.replace("\r\n", "\n").split(['\r', '\n']) {
            events.extend(["data: ", line, "\n"]);
        }
        events.push('\n');
    }
    events.into()
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    feed::serve(8003, env!("CARGO_MANIFEST_DIR"), |routes| {
        routes.route("/server-sent-events", web::get().to(events));
        routes.route("/events", web::get().to(events));
    })
    .await
}
