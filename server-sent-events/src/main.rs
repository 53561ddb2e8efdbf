//! Server-sent events: one response that never ends, an event in it for each update.
//!
//! Run it with `cargo run -p server-sent-events`, open <http://localhost:8003/html/index.html>, or
//! listen yourself, and send a message from another terminal:
//!
//! ```text
//! curl -iN localhost:8003/events
//! curl -i localhost:8003/api/messages --json '{"update": "Hello", "event": "greeting"}'
//! ```

use std::{convert::Infallible, ops::RangeInclusive, time::Duration};

use actix_web::{Error, HttpRequest, HttpResponse, Responder, web};
use feed::{Feed, News};
use futures_util::stream::{self, StreamExt as _};
use tokio::time::interval;

/// After this time without an update comes a comment, so that no proxy closes a stream that is silent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How many milliseconds a browser waits before it reconnects by itself. Each draws its own number:
/// else all that lost the server would come back in the same instant.
const RETRY: RangeInclusive<u64> = 1_000..=3_000;
/// Tells the client that updates are missing here.
const GAP: &str = "event: gap\ndata: some updates are no longer kept\n\n";

/// The stream (WHATWG HTML §9.2.6). A browser that reconnects sends by itself the last id that it
/// saw. What is no id is ignored.
async fn events(request: HttpRequest, feed: web::Data<Feed>) -> Result<impl Responder, Error> {
    let after = feed::after(&request)?;
    let last_event_id = request.headers().get("Last-Event-ID").and_then(|id| id.to_str().ok());
    let reader = feed.reader(last_event_id.and_then(feed::parse_id).or(after)).await;

    let client = Box::new((reader, interval(KEEP_ALIVE)));
    let updates = stream::unfold(client, async |mut client| {
        let (reader, silence) = &mut *client;
        silence.reset();
        let bytes = tokio::select! {
            biased; // where both are ready: the update
            news = reader.next() => events_of(&news?), // none when the server stops
            _ = silence.tick() => ": keep-alive\n\n".into(),
        };
        Some((bytes, client))
    });
    let retry = format!("retry: {}\n\n", rand::random_range(RETRY));
    let stream = stream::iter([retry.into()]).chain(updates).map(Ok::<_, Infallible>);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("X-Accel-Buffering", "no")) // nginx passes each event on at once
        .insert_header(("Cache-Control", "no-cache, no-transform")) // no proxy compresses it
        .streaming(stream))
}

/// An event for each update. Where updates are missing before them, first an event that says so. It
/// has no id, so that a browser keeps the last one that it has.
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
        // A text may have several lines, ended by CR, LF or both. Each becomes a `data` field of its
        // own: sent as it is, the second line could pass for an `id` or an `event`.
        for line in update.update.replace("\r\n", "\n").split(['\r', '\n']) {
            events.extend(["data: ", line, "\n"]);
        }
        events.push('\n');
    }
    events.into()
}

#[actix_web::main]
async fn main() -> std::process::ExitCode {
    feed::serve(8003, env!("CARGO_MANIFEST_DIR"), |routes| {
        routes.route("/server-sent-events", web::get().to(events));
        routes.route("/events", web::get().to(events));
    })
    .await
}
