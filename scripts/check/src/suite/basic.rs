//! The first level of the contract: it works. What any server does that is written as the articles
//! write it, without a cursor, so that nothing here may depend on one.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt as _, Stream as Sequence, StreamExt as _, future, stream};
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use lab::client::{
    Answered as _, Update, answer, events_of, get, message, open_socket, path, publish,
    publish_all, send,
};
use lab::server::{Server, command};
use lab::time::{late, soon, within};

use super::stream::Stream;
use super::{but, but_only};

/// How long a message may take before it counts as lost, and is sent again: a request that is held,
/// or a stream that is open, says nothing.
const A_WHILE: Duration = Duration::from_millis(500);

/// What is answered "at once" is answered so fast at least once in five times. A busy machine is
/// late now and then; who waits on purpose always is.
const AT_ONCE: Duration = Duration::from_millis(700);

/// Asks up to five times, until an answer comes at once.
pub async fn at_once(what: &str, ask: impl AsyncFn()) {
    let mut soonest = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        ask().await;
        soonest = soonest.min(start.elapsed());
        if soonest < AT_ONCE {
            return;
        }
    }
    late();
    panic!("{what} is answered after {soonest:?} at the soonest, five times: not at once");
}

/// Whether a `Content-Type` is this media type. JSON needs no charset, and has but one.
pub fn assert_is(kind: Option<&str>, expected: &str, what: &str) {
    let kind = kind.unwrap_or("none");
    let (essence, more) = kind.split_once(';').unwrap_or((kind, ""));
    let is_it = essence.trim().eq_ignore_ascii_case(expected);
    let charset = more.trim().to_ascii_lowercase().replace(['"', ' '], "");
    let is_utf8 = ["", "charset=utf-8", "charset=utf8"].contains(&&*charset);
    assert!(is_it && is_utf8, "the Content-Type of {what} is {kind}, not {expected}");
    if !charset.is_empty() && expected == "application/json" {
        but("its JSON says a charset, which JSON does not have");
    }
}

/// The same of a response.
pub fn assert_kind(response: &reqwest::Response, expected: &str) {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    assert_is(kind, expected, response.url().path());
}

/// Connections are accepted as soon as it says so, at the port that was said. One that binds a moment
/// later fails its user once in a while; a tenth of a second is no moment.
pub async fn it_says_where_it_listens(name: &'static str) {
    let mut soonest = Duration::MAX;
    for _ in 0..5 {
        let mut command = command(name);
        command.env("QUIET", "1");
        let asked = command.as_std().get_envs().find(|(name, _)| *name == "PORT");
        let asked: Option<u16> = asked.and_then(|(_, port)| port?.to_str()?.parse().ok());
        let server = Server::spawn(name, &mut command).await;
        let is_asked = asked.is_none_or(|port| port == server.port() || port == 0);
        assert!(is_asked, "PORT is {asked:?}, but it says {}", server.port());
        let start = Instant::now();
        let there = async |host| TcpStream::connect((host, server.port())).await.is_ok();
        let mut tries = 0;
        let accepted = async {
            while !there("127.0.0.1").await && !there("::1").await {
                tries += 1;
                sleep(Duration::from_millis(5)).await; // nobody tells when it does
            }
        };
        let is_accepted = timeout(Duration::from_secs(5), accepted).await.is_ok();
        assert!(is_accepted, "it says that it listens, but a connection is refused");
        if tries > 0 {
            soonest = soonest.min(start.elapsed());
        }
    }
    let is_late = soonest > Duration::from_millis(100) && soonest < Duration::MAX;
    assert!(!is_late, "it says that it listens, but a connection is refused for {soonest:?}");
    but_only(soonest == Duration::MAX, "it says so a moment before it accepts connections");
}

/// `201`, and the update.
pub async fn a_message_is_confirmed(name: &'static str) {
    let server = Server::start(name).await;
    let (status, _, body) = confirmed(&server).await;
    let update: Value = serde_json::from_str(&body)
        .unwrap_or_else(|why| panic!("POST /api/messages was answered with {body:?}: {why}"));
    assert!(update["id"].is_u64(), "the update has an id, a whole number: {body}");
    assert_eq!(update["update"], "Hello", "the update's text");
    assert!((200..300).contains(&status), "the status of POST /api/messages is {status}, not 201");
}

/// The same, to the letter: what others hear of it does not depend on that.
pub async fn it_is_confirmed_by_201(name: &'static str) {
    let server = Server::start(name).await;
    let (status, kind, body) = confirmed(&server).await;
    assert_eq!(status, 201, "the status of POST /api/messages");
    assert_is(kind.as_deref(), "application/json", "/api/messages");
    let update: Value = serde_json::from_str(&body).unwrap_or_default();
    let more = update.as_object().into_iter().flatten();
    let more: Vec<_> = more.filter(|(name, _)| !["id", "update"].contains(&&***name)).collect();
    but_only(more.is_empty(), "the update has more members than it needs");
}

async fn confirmed(server: &Server) -> (u16, Option<String>, String) {
    let sent = json!({"update": "Hello"}).to_string();
    let answer = answer(message(server, sent)).await;
    let status = answer.status().as_u16();
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.map(ToOwned::to_owned);
    (status, kind, answer.text().await.expect("a body"))
}

/// Each is greater than the one before.
pub async fn ids_grow(name: &'static str) {
    let server = Server::start(name).await;
    let updates = publish_all(&server, ["one", "two", "three", "four", "five"]).await;
    let ids: Vec<_> = updates.iter().map(|update| update.id).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "ids are to grow: {ids:?}");
}

/// Again and again, until one comes; whoever else listens.
pub async fn client_a_reaches_client_b(name: &'static str) {
    let server = Server::start(name).await;
    let mut client = listener(&server).await;
    for _ in 0..5 {
        reaches(&server, &mut client).await;
    }
    let mut other = listener(&server).await;
    reaches(&server, &mut other).await;
    reaches(&server, &mut client).await;
}

/// Those that come, come in the order in which they were sent.
pub async fn in_the_order_of_sending(name: &'static str) {
    let server = Server::start(name).await;
    let mut client = listener(&server).await;
    let mut came = Vec::new();
    for round in 0..10 {
        reaches(&server, &mut client).await;
        let sent: Vec<_> = (1..=10).map(|number| format!("message {round} {number:02}")).collect();
        let publish = publish_all(&server, &sent);
        let hear = async {
            while let Ok(Some(next)) = timeout(A_WHILE, client.next()).await {
                came.push(next.clone());
                if sent.last() == Some(&next) {
                    break;
                }
            }
        };
        future::join(publish, hear).await;
    }
    came.retain(|text| text.starts_with("message "));
    assert!(came.is_sorted_by(|one, next| one < next), "sent in order, but they came as {came:?}");
    assert!(came.len() > 10, "of 100 messages in a row came {}", came.len());
}

/// Publishes, again and again, until somebody who listens has heard it.
pub async fn reaches(server: &Server, client: &mut Texts) {
    let (mut sent, mut came) = (0, Vec::new());
    let one_came = async {
        loop {
            sent += 1;
            let text = format!("is somebody there? {sent}");
            publish(server, &text).await;
            while let Ok(Some(next)) = timeout(A_WHILE, client.next()).await {
                if next.starts_with("is somebody there? ") {
                    return;
                }
                came.push(next);
            }
        }
    };
    if timeout(Duration::from_secs(10), one_came).await.is_err() {
        late();
        panic!("client A sent {sent} messages; client B, who listens, got {came:?}");
    }
}

/// The texts of updates, one after the other.
pub type Texts = Pin<Box<dyn Sequence<Item = String>>>;

/// The texts that a client gets by the technique, as any simple client of it does.
pub async fn listener(server: &Server) -> Texts {
    let path = path(server.name());
    match server.name() {
        "server-sent-events" => {
            let events = events_of(get(server, path).await);
            Box::pin(events.filter_map(async |event| Some(event.ok()?.data)))
        }
        "websockets" => {
            let address = format!("{}{path}", server.address());
            let socket = soon("a WebSocket", open_socket(&address, false)).await;
            Box::pin(socket.expect("a WebSocket opens").filter_map(async |message| match message {
                Ok(Message::Text(text)) => Some(text.to_string()),
                _ => None,
            }))
        }
        // Polling gets everything each time; what it had before is no news.
        technique => {
            let pause = Duration::from_millis(if technique == "polling" { 20 } else { 0 });
            let url = server.url(path);
            let ask = move |(seen, http, url): (u64, reqwest::Client, String)| async move {
                sleep(pause).await; // it is polling
                let answer = send(http.get(&url)).await.ok()?;
                let updates: Vec<Value> = answer.json().await.unwrap_or_default();
                let news = updates.into_iter().filter(move |it| it["id"].as_u64() > Some(seen));
                let news: Vec<_> = news.collect();
                let seen = news.iter().filter_map(|it| it["id"].as_u64()).fold(seen, u64::max);
                let texts =
                    news.into_iter().map(|it| it["update"].as_str().unwrap_or("").to_owned());
                Some((stream::iter(texts.collect::<Vec<_>>()), (seen, http, url)))
            };
            Box::pin(stream::unfold((0, lab::client::http(), url), ask).flatten())
        }
    }
}

/// By one message, all of them, and alike. Nobody says when all are held: a busy machine may have four
/// tries, each with more time.
pub async fn everybody_who_waits_is_answered(name: &'static str) {
    let server = Server::start(name).await;
    let mut came = Vec::new();
    for round in 1..=4 {
        let ask = async |_| get(&server, path(name)).await;
        let mut waiting: FuturesUnordered<_> = (0..4).map(ask).collect();
        let held = timeout(A_WHILE * round, waiting.next()).await;
        assert!(held.is_err(), "without an update it is answered");
        let message = publish(&server, "for all of you").await;
        let mut answers: Vec<Vec<Update>> = Vec::new();
        while let Ok(Some(answer)) = timeout(A_WHILE * 2 * round, waiting.next()).await {
            assert_eq!(answer.status(), 200, "the status of what was held");
            answers.push(answer.json().await.expect("an array of updates"));
        }
        let is_alike = |answer: &Vec<_>| answer.first() == Some(&message) && *answer == answers[0];
        assert!(answers.iter().all(is_alike), "{message:?} answers those who wait by {answers:?}");
        if answers.len() == 4 {
            return;
        }
        came.push(answers.len());
    }
    late();
    panic!("of four who wait, one message answers {came:?}, in each of four tries");
}

/// A busy machine may be late. (A clock that is rounded is a little early.)
pub async fn nothing_after_25_seconds(name: &'static str) {
    let server = Server::start(name).await;
    let start = Instant::now();
    let answer = send(lab::client::http().get(server.url(path(name))));
    let answer = within(Duration::from_secs(45), "an answer without an update", answer).await;
    let took = start.elapsed();
    assert_eq!(answer.answered().status(), 204, "the status after {took:?} without an update");
    assert!(took >= Duration::from_secs(24), "204 came after {took:?}");
}

/// At the address by which all other cases ask.
pub async fn a_stream_begins(name: &'static str) {
    a_stream_at(name, "/server-sent-events").await;
}

/// At the other one too.
pub async fn a_stream_begins_at_events(name: &'static str) {
    a_stream_at(name, "/events").await;
}

/// Its head comes at once, and it has no end: one update after another comes over it.
async fn a_stream_at(name: &'static str, path: &str) {
    let server = Server::start(name).await;
    let mut stream = Stream::open(&server, path, None).await;
    assert_kind(&stream.response, "text/event-stream");
    for text in ["the first", "the second", "the third"] {
        let talk = async {
            loop {
                publish(&server, text).await;
                sleep(A_WHILE).await; // until the stream is there
            }
        };
        let hear = async { while !stream.block().await.says(text) {} };
        tokio::select! {
            () = soon("an update over the stream", hear) => {}
            () = talk => unreachable!("it goes on"),
        }
    }
}

/// `data` and its text, then a blank line.
pub async fn an_update_is_an_event(name: &'static str) {
    let server = Server::start(name).await;
    let mut stream = Stream::open(&server, path(name), None).await;
    let hear = async {
        let mut came = Vec::new();
        loop {
            let event = stream.event().await;
            if event.data().as_deref() == Some("Hello") {
                return event;
            }
            came.push(event);
            assert!(came.len() < 20, "the event of the text Hello does not come, but {came:?}");
        }
    };
    let talk = async {
        loop {
            publish(&server, "Hello").await;
            sleep(A_WHILE).await; // until the stream is there
        }
    };
    let event = tokio::select! {
        event = soon("an event with the data \"Hello\"", hear) => event,
        () = talk => unreachable!("it goes on"),
    };
    let kind = event.get("event").unwrap_or("message");
    assert_eq!(kind, "message", "the event's name, which a client would have to listen for");
    but_only(!stream.has_other_ends, "its lines end with CR LF, or CR");
}

/// A line of data for each of its lines: else the second one would be a field of its own, or lost.
pub async fn lines_stay_in_one_event(name: &'static str) {
    let server = Server::start(name).await;
    let mut stream = Stream::open(&server, path(name), None).await;
    let talk = async {
        loop {
            publish(&server, "one\ntwo").await;
            sleep(A_WHILE).await; // until the stream is there
        }
    };
    let event = async {
        loop {
            let text = stream.event().await.data().unwrap_or_default();
            if ["one", "two"].iter().any(|part| text.contains(part)) {
                return text;
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
    let address = format!("{}{}", server.address(), path(name));
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
                Message::Text(text) if !text.contains("Hello") => {} // what the server makes
                Message::Ping(_) => {}
                other => return other,
            }
        }
    };
    let frame = tokio::select! {
        frame = soon("a frame", frame) => frame,
        () = talk => unreachable!("it goes on"),
    };
    assert_eq!(frame, Message::text("Hello"), "the frame of the update Hello");
}

/// What a client says, the others hear, and so does it.
pub async fn a_text_is_for_everyone(name: &'static str) {
    let server = Server::start(name).await;
    let address = format!("{}{}", server.address(), path(name));
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
