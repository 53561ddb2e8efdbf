//! The first level of the contract: it works. What any server does that is written as the articles
//! write it, without a cursor, so that nothing here may depend on one.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, Stream, StreamExt as _, future, stream};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use lab::client::{
    Answered as _, Client, events_of, message, newest_id, open_socket, path, publish, publish_all,
};
use lab::server::{Server, command};
use lab::{raw::Raw, time::soon};

/// How long a message may take before it counts as lost, and is sent again: a request that is held,
/// or a stream that is open, says nothing.
const A_WHILE: Duration = Duration::from_millis(500);

/// Connections are accepted as soon as it says so.
pub async fn it_says_where_it_listens(name: &'static str) {
    for _ in 0..5 {
        let server = Server::spawn(name, command(name).env("QUIET", "1")).await;
        let connected = TcpStream::connect(("127.0.0.1", server.port())).await;
        if let Err(why) = connected {
            panic!("it says that it listens, but a connection is refused: {why}");
        }
    }
}

/// `201`, and the update.
pub async fn a_message_is_confirmed(name: &'static str) {
    let server = Server::start(name).await;
    let sent = json!({"update": "Hello"}).to_string();
    let answer = soon("an answer to POST /api/messages", message(&server, sent).send()).await;
    let answer = answer.answered();
    assert_eq!(answer.status(), 201, "the status of POST /api/messages");
    let body = answer.text().await.expect("a body");
    let update: Value = serde_json::from_str(&body)
        .unwrap_or_else(|why| panic!("POST /api/messages was answered with {body:?}: {why}"));
    assert!(update["id"].is_u64(), "the update has an id, a whole number: {body}");
    assert_eq!(update["update"], "Hello", "the update's text");
}

/// Each is greater than the one before.
pub async fn ids_grow(name: &'static str) {
    let server = Server::start(name).await;
    let updates = publish_all(&server, ["one", "two", "three", "four", "five"]).await;
    let ids: Vec<_> = updates.iter().map(|update| update.id).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "ids are to grow: {ids:?}");
}

/// Client A sends two messages in a row, again and again, until client B has one of them: those that
/// come, come in the order in which they were sent.
pub async fn client_a_reaches_client_b(name: &'static str) {
    let server = Server::start(name).await;
    let mut client = listener(&server).await;
    let (mut sent, mut came) = (0, Vec::new());
    for _ in 0..5 {
        let one_came = async {
            loop {
                let two = [sent + 1, sent + 2].map(|number| format!("message {number:03}"));
                sent += 2;
                publish_all(&server, &two).await;
                while let Ok(Some(next)) = timeout(A_WHILE, client.next()).await {
                    came.push(next.clone());
                    if two.contains(&next) {
                        return;
                    }
                }
            }
        };
        let one_came = timeout(Duration::from_secs(10), one_came).await.is_ok();
        assert!(one_came, "client A sent {sent} messages; client B, who listens, got {came:?}");
    }
    let own = came.iter().filter(|text| text.starts_with("message "));
    assert!(own.is_sorted_by(|one, next| one < next), "sent in order, but they came as {came:?}");
}

/// The texts that a client gets by the technique, as any simple client of it does.
async fn listener(server: &Server) -> Pin<Box<dyn Stream<Item = String>>> {
    let url = server.url(path(server.name()));
    match server.name() {
        "server-sent-events" => {
            let stream = soon("an answer to the stream's request", reqwest::get(url)).await;
            let events = events_of(stream.answered());
            Box::pin(events.filter_map(async |event| Some(event.ok()?.data)))
        }
        "websockets" => {
            let address = format!("127.0.0.1:{}/", server.port());
            let socket = soon("a WebSocket", open_socket(&address, false)).await;
            Box::pin(socket.expect("a WebSocket opens").filter_map(async |message| match message {
                Ok(Message::Text(text)) => Some(text.to_string()),
                _ => None,
            }))
        }
        // Polling gets everything each time; what it had before is no news.
        technique => {
            let pause = Duration::from_millis(if technique == "polling" { 20 } else { 0 });
            let ask = move |(seen, url): (u64, String)| async move {
                sleep(pause).await; // it is polling
                let answer = reqwest::get(&url).await.ok()?;
                let updates: Vec<Value> = answer.json().await.unwrap_or_default();
                let news = updates.into_iter().filter(move |it| it["id"].as_u64() > Some(seen));
                let news: Vec<_> = news.collect();
                let seen = news.iter().filter_map(|it| it["id"].as_u64()).fold(seen, u64::max);
                let texts =
                    news.into_iter().map(|it| it["update"].as_str().unwrap_or("").to_owned());
                Some((stream::iter(texts.collect::<Vec<_>>()), (seen, url)))
            };
            Box::pin(stream::unfold((0, url), ask).flatten())
        }
    }
}

/// What is newer than the cursor, then what comes, and none of it twice.
pub async fn a_cursor_goes_on(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let mut expected = publish_all(&server, ["one", "two", "three"]).await;
    let mut client = Client::new(&server, seen);
    assert_eq!(client.take(3).await, expected, "what is newer than after={seen}");
    expected = publish_all(&server, ["four", "five"]).await;
    assert_eq!(client.take(2).await, expected, "what came then");
}

/// By one message, all of them.
pub async fn everybody_who_waits_is_answered(name: &'static str) {
    let server = Server::start(name).await;
    let url = server.url(path(name));
    let mut waiting = Box::pin(future::join_all([&url, &url, &url].map(reqwest::get)));
    assert!(timeout(A_WHILE, &mut waiting).await.is_err(), "without an update it is answered");
    let talk = async {
        loop {
            publish(&server, "for all of you").await;
            sleep(A_WHILE).await; // whoever was not held yet gets the next one
        }
    };
    let answers = tokio::select! {
        answers = soon("an answer for everybody who waits", waiting) => answers,
        () = talk => unreachable!("it goes on"),
    };
    for answer in answers {
        let answer = answer.answered();
        assert_eq!(answer.status(), 200, "the status of what was held");
        let updates: Vec<Value> = answer.json().await.expect("an array of updates");
        assert!(!updates.is_empty(), "it is answered with an empty array");
        assert_eq!(updates[0]["update"], "for all of you", "what was held is answered by");
    }
}

/// A busy machine may be late, but never early.
pub async fn nothing_after_25_seconds(name: &'static str) {
    let server = Server::start(name).await;
    let start = Instant::now();
    let answer = timeout(Duration::from_secs(45), reqwest::get(server.url(path(name)))).await;
    let answer = answer.expect("it is held for more than 45 seconds").answered();
    assert_eq!(answer.status(), 204, "the status after {:?} without an update", start.elapsed());
    assert!(start.elapsed() >= Duration::from_secs(25), "204 came after {:?}", start.elapsed());
}

/// At both addresses.
pub async fn a_stream_begins(name: &'static str) {
    let server = Server::start(name).await;
    for path in ["/server-sent-events", "/events"] {
        let answer =
            soon("an answer to the stream's request", reqwest::get(server.url(path))).await;
        let answer = answer.answered();
        assert_eq!(answer.status(), 200, "the status of GET {path}");
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or("none");
        assert!(kind.starts_with("text/event-stream"), "the Content-Type of GET {path}: {kind}");
    }
}

/// `data: ` and its text, then a blank line.
pub async fn an_update_is_an_event(name: &'static str) {
    let server = Server::start(name).await;
    let mut client = Raw::connect(&server).await;
    client.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let _ = client.response().await;
    let talk = async {
        loop {
            publish(&server, "Hello").await;
            sleep(A_WHILE).await; // until the stream is there
        }
    };
    tokio::select! {
        _ = soon("the event \"data: Hello\"", client.until("data: Hello\n\n")) => {}
        () = talk => unreachable!("it goes on"),
    }
}

/// A line of data for each of its lines: else the second one would be a field of its own, or lost.
pub async fn lines_stay_in_one_event(name: &'static str) {
    let server = Server::start(name).await;
    let answer =
        soon("an answer to the stream's request", reqwest::get(server.url("/events"))).await;
    let mut events = events_of(answer.answered());
    let talk = async {
        loop {
            publish(&server, "one\ntwo").await;
            sleep(A_WHILE).await; // until the stream is there
        }
    };
    let event = async {
        loop {
            let event = events.next().await.expect("the stream has ended").expect("an event");
            if !event.data.starts_with("Real-Time Update ") {
                return event.data;
            }
        }
    };
    let event = tokio::select! {
        event = soon("an event", event) => event,
        () = talk => unreachable!("it goes on"),
    };
    assert_eq!(event, "one\ntwo", "the event of a text with two lines");
}

/// Its text, and nothing else. (tokio-tungstenite refuses a server's frame that is masked.)
pub async fn an_update_is_a_frame(name: &'static str) {
    let server = Server::start(name).await;
    for path in ["/", "/websocket"] {
        let address = format!("127.0.0.1:{}{path}", server.port());
        let mut socket =
            soon("a WebSocket", open_socket(&address, false)).await.expect("a WebSocket opens");
        let talk = async {
            loop {
                publish(&server, "Hello").await;
                sleep(A_WHILE).await; // until it is known there
            }
        };
        let frame = async {
            loop {
                match socket.next().await.expect("the WebSocket has ended").expect("a frame") {
                    Message::Text(text) if text.starts_with("Real-Time Update ") => {}
                    Message::Ping(_) => {}
                    other => return other,
                }
            }
        };
        let frame = tokio::select! {
            frame = soon("a frame", frame) => frame,
            () = talk => unreachable!("it goes on"),
        };
        assert_eq!(frame, Message::text("Hello"), "the frame of an update at {path}");
    }
}

/// What a client says, the others hear, and so does it.
pub async fn a_text_is_for_everyone(name: &'static str) {
    let server = Server::start(name).await;
    let address = format!("127.0.0.1:{}/", server.port());
    let open = async || soon("a WebSocket", open_socket(&address, false)).await.expect("it opens");
    let (mut sender, mut other) = (open().await, open().await);
    for text in ["Hello", "again"] {
        soon("it is sent", sender.send(Message::text(text))).await.expect("it is open");
        for (who, socket) in [("its sender", &mut sender), ("another client", &mut other)] {
            let heard = async {
                while let Some(Ok(message)) = socket.next().await {
                    if message == Message::text(text) {
                        return;
                    }
                }
                panic!("the WebSocket of {who} has ended");
            };
            soon(&format!("{who} gets the text {text:?}"), heard).await;
        }
    }
}
