//! What only `server-sent-events` has on the wire.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use lab::client::{
    Answered as _, Client, events_of, message, newest_id, publish, request_of, update_of,
};
use lab::{Raw, Server, Update, soon};
use rand::RngExt as _;
use reqwest::Response;
use serde_json::json;
use tokio::time::sleep;

const PATHS: [&str; 2] = ["/server-sent-events", "/events"];
/// A stream begins with such a line; the number has four digits.
const RETRY: &str = "retry: NNNN\n\n";
const RETRY_END: &str = "\n\n";

/// To the byte, just before the oldest kept, and without an id: a browser keeps the one it has.
pub async fn a_gap_is_an_event(name: &'static str) {
    let server = Server::start(name).await;
    for query in ["?after=1", ""] {
        let mut client = Raw::connect(&server).await;
        let path = format!("/events{query}");
        let resumes = if query.is_empty() { "Last-Event-ID: 1\r\n" } else { "" };
        client.send(request_of("server-sent-events", &path, resumes)).await;
        client.until(RETRY_END).await;
        client.until("\r\n").await;
        let gap = "event: gap\ndata: some updates are no longer kept\n\nid: ";
        let chunk = client.until("data: Real-Time Update 1\n\n").await;
        assert!(chunk.contains(gap), "{chunk:?}");
    }
}

/// Every byte of it, and the headers that say what it is.
pub async fn the_stream_to_the_byte(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let rows = [
        (json!({"update": "Hello"}), "data: Hello\n"),
        (json!({"update": "Hello", "event": "greeting"}), "event: greeting\ndata: Hello\n"),
        (json!({"update": "a\nb"}), "data: a\ndata: b\n"),
        (json!({"update": "a\rb"}), "data: a\ndata: b\n"),
        (json!({"update": "a\r\nb"}), "data: a\ndata: b\n"),
        (json!({"update": "a\n\rb"}), "data: a\ndata: \ndata: b\n"),
        (json!({"update": "a\r\r\n\nb"}), "data: a\ndata: \ndata: \ndata: b\n"),
        (json!({"update": "\n"}), "data: \ndata: \n"),
        (json!({"update": "\r\n\r\n"}), "data: \ndata: \ndata: \n"),
        (json!({"update": " a\n b"}), "data:  a\ndata:  b\n"),
        (
            json!({"update": ":a\nid: 1\n\ndata: b"}),
            "data: :a\ndata: id: 1\ndata: \ndata: data: b\n",
        ),
        (json!({"update": "\u{feff}\u{2028}\u{85}\u{0}"}), "data: \u{feff}\u{2028}\u{85}\u{0}\n"),
        (json!({"update": "x", "event": "e"}), "event: e\ndata: x\n"),
    ];
    let mut expected = String::new();
    for (row, fields) in rows {
        let update: Update = message(&server, row.to_string())
            .send()
            .await
            .answered()
            .json()
            .await
            .expect("an update");
        expected += "id: ";
        expected += &update.id.to_string();
        expected += "\n";
        expected += fields;
        expected += "\n";
    }
    for path in PATHS {
        let mut response = get(&server, &format!("{path}?after={seen}"), None).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let buffering = response.headers().get("x-accel-buffering");
        assert_eq!(buffering.and_then(|it| it.to_str().ok()), Some("no"), "X-Accel-Buffering");
        assert!(!response.headers().contains_key("content-encoding"));
        let received = read(&mut response, RETRY.len() + expected.len()).await;
        let received = String::from_utf8_lossy(&received);
        assert_eq!(retry_of(&received).1, expected);
    }
}

/// In milliseconds, and what comes behind it.
fn retry_of(stream: &str) -> (u64, &str) {
    let rest = stream.strip_prefix("retry: ").and_then(|rest| rest.split_once(RETRY_END));
    let (digits, rest) = rest.unwrap_or_else(|| panic!("no retry: at the beginning: {stream:?}"));
    (digits.parse().unwrap_or_else(|_| panic!("no number: {stream:?}")), rest)
}

/// Between one and three seconds, at random: a thousand streams that lost their server would come
/// back in the same instant.
pub async fn each_stream_has_its_own_retry(name: &'static str) {
    let server = Server::start(name).await;
    let mut all = BTreeSet::new();
    for _ in 0..20 {
        let mut response = get(&server, "/events", None).await;
        let begin = read(&mut response, RETRY.len()).await;
        let (retry, _) = retry_of(&String::from_utf8_lossy(&begin));
        assert!((1_000..=3_000).contains(&retry), "retry: {retry}");
        all.insert(retry);
    }
    assert!(all.len() > 10, "of 20 streams, these only: {all:?}");
}

/// What a browser says by itself wins over what its page said first, unless it is no id.
pub async fn where_it_resumes(name: &'static str) {
    let server = Server::start(name).await;
    let one = publish(&server, "one").await.id.to_string();
    let two = publish(&server, "two").await.id.to_string();
    publish(&server, "three").await;
    let all: &[&str] = &["Real-Time Update 1", "one", "two", "three"];
    let beyond = "9".repeat(30);
    let rows: [(Option<&str>, Option<&str>, &[&str]); _] = [
        (None, None, &[]),
        (None, Some("0"), all),
        (None, Some(&one), &all[2..]),
        (Some("0"), None, all),
        (Some(&two), None, &all[3..]),
        (Some(&two), Some("0"), &all[3..]),
        (Some("0"), Some(&two), all),
        (Some(&beyond), Some(&two), all),
        (Some(""), Some(&two), &all[3..]),
        (Some("x"), Some(&two), &all[3..]),
        (Some("-1"), Some(&two), &all[3..]),
        (Some("1.5"), Some(&two), &all[3..]),
        (Some("+1"), Some(&two), &all[3..]),
        (Some("ä"), Some(&two), &all[3..]),
        (Some("x"), None, &[]),
    ];
    for (row, (last_event_id, after, texts)) in rows.into_iter().enumerate() {
        for path in PATHS {
            let query = after.map_or(String::new(), |after| format!("?after={after}"));
            let mut events =
                events_of(get(&server, &format!("{path}{query}"), last_event_id).await);
            let now = format!("now {row} {path}"); // the response has begun: this is new to it
            publish(&server, &now).await;
            let mut received = Vec::new();
            while received.last() != Some(&now) {
                let event = soon("an event", events.next()).await.expect("no end");
                let event = event.expect("no failure");
                if event.event != "gap" {
                    received.push(update_of(event).expect("an update").update);
                }
            }
            if texts.is_empty() {
                assert_eq!(received, [now], "from now on");
            }
            received.retain(|text| !text.starts_with("now"));
            assert_eq!(received, texts, "Last-Event-ID {last_event_id:?}, after {after:?}");
        }
    }
}

/// Whatever text is sent, a parser of event streams gives back exactly that one message, with CR
/// and CRLF read as LF.
pub async fn any_text_comes_back_as_itself(name: &'static str) {
    const PARTS: [&str; 24] = [
        "\r",
        "\n",
        "\r\n",
        "\n\n",
        ":",
        " ",
        "data",
        "data: ",
        "data:",
        "id: 1\n",
        "event: x",
        "retry: 1",
        "a",
        "Hello",
        "\0",
        "\u{feff}",
        "\u{2028}",
        "\u{85}",
        "é",
        "世",
        "\u{1F30D}",
        "\t",
        "\\r",
        "\"",
    ];
    let mut random = lab::seeded();
    let server = Server::start(name).await;
    let mut client = Client::new(&server, newest_id(&server).await);
    for _ in 0..500 {
        let count = random.random_range(1..20);
        let parts = (0..count).map(|_| PARTS[random.random_range(0..PARTS.len())]);
        let mut published = publish(&server, &parts.collect::<String>()).await;
        let received = client.next().await;
        published.update = published.update.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(received, published);
    }
}

/// Counted from the last thing that was said, and again.
pub async fn a_comment_after_15_seconds_of_silence(name: &'static str) {
    const COMMENT: &str = ": keep-alive\n\n";
    let server = Server::start(name).await;
    let mut response = get(&server, "/events", None).await;
    read(&mut response, RETRY.len()).await;
    sleep(Duration::from_secs(3)).await;
    let start = Instant::now();
    let update = publish(&server, "x").await;
    let event = format!("id: {}\ndata: x\n\n", update.id);
    assert_eq!(read(&mut response, event.len()).await, event.as_bytes());
    for silence in [15, 30].map(Duration::from_secs) {
        let comment = read(&mut response, COMMENT.len()).await;
        assert_eq!(String::from_utf8_lossy(&comment), COMMENT);
        let took = start.elapsed();
        assert!(took >= silence, "after {took:?} already");
    }
}

async fn get(server: &Server, path: &str, last_event_id: Option<&str>) -> Response {
    let request = reqwest::Client::new().get(server.url(path));
    let request = last_event_id.into_iter().fold(request, |request, id| {
        let id = reqwest::header::HeaderValue::from_bytes(id.as_bytes()).expect("it may be sent");
        request.header("Last-Event-ID", id)
    });
    let response = soon("an answer", request.send()).await.answered();
    assert_eq!(response.status(), 200);
    response
}

/// So many bytes of a stream, or a few more if they came together.
async fn read(response: &mut Response, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let chunk = soon("more of the stream", response.chunk()).await;
        bytes.extend(chunk.expect("no failure").expect("no end"));
    }
    bytes
}
