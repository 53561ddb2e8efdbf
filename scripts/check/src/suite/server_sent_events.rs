//! What only `server-sent-events` has on the wire.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::client::{Client, answer, message, newest_id, path, publish, publish_all};
use lab::server::is_other;
use lab::time::{late, within};
use lab::{Server, Update, soon};
use rand::RngExt as _;
use reqwest::Response;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::stream::Stream;

const PATHS: [&str; 2] = ["/server-sent-events", "/events"];
/// A stream begins with such a line; the number has four digits.
const RETRY: &str = "retry: NNNN\n\n";
const RETRY_END: &str = "\n\n";

/// Told before the oldest kept, so that every client hears it, which needs data; and without an id:
/// from that one a browser would resume.
pub async fn a_gap_is_an_event(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let sent = publish_all(&server, (1..=1_003).map(|number| format!("message {number}"))).await;
    let seen = seen.to_string();
    for resumes in [true, false] {
        let (query, last) =
            if resumes { (String::new(), Some(&*seen)) } else { (format!("?after={seen}"), None) };
        let mut stream = Stream::open(&server, &format!("{}{query}", path(name)), last).await;
        let gap = loop {
            let block = stream.block().await;
            if block.data().is_some() || block.get("event").is_some() {
                break block;
            }
        };
        let how = if resumes { "by Last-Event-ID" } else { "by after" };
        assert_eq!(gap.get("event"), Some("gap"), "the first event for who misses some, {how}");
        assert!(gap.data().is_some(), "without data no client hears of the event gap");
        assert_eq!(gap.get("id"), None, "the id of the event gap, from which a browser resumes");
        let first = stream.event().await.data().unwrap_or_default();
        assert_eq!(first, sent[3].update, "the oldest kept comes behind the event gap");
    }
}

/// First how long a browser waits before it comes back; and each event has its update's id.
pub async fn retry_and_ids(name: &'static str) {
    let server = Server::start(name).await;
    let mut stream = Stream::open(&server, path(name), None).await;
    let (mut retry, mut heard) = (None, 0);
    for number in 0..20 {
        let sent = publish(&server, &format!("number {number}")).await;
        let comes = async {
            loop {
                let block = stream.block().await;
                if heard == 0
                    && let Some(said) = block.get("retry")
                {
                    retry = Some(said.to_owned());
                }
                let Some(text) = block.data() else { continue };
                if text == sent.update {
                    return block.get("id").map(ToOwned::to_owned);
                }
            }
        };
        // Until the stream is there, nothing comes.
        if let Ok(id) = timeout(Duration::from_secs(1), comes).await {
            let id = id.expect("an event has no id");
            assert_eq!(id, sent.id.to_string(), "the id of an event");
            heard += 1;
        }
        if heard == 3 {
            let retry = retry.as_deref().and_then(|retry| retry.parse::<u64>().ok());
            let is_right = retry.is_some_and(|retry| (1_000..=3_000).contains(&retry));
            assert!(is_right, "the field retry before the first event: {retry:?}");
            return;
        }
    }
    late();
    panic!("of twenty updates came {heard}");
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
        let update = answer(message(&server, row.to_string())).await;
        let update: Update = update.json().await.expect("an update");
        expected += "id: ";
        expected += &update.id.to_string();
        expected += "\n";
        expected += fields;
        expected += "\n";
    }
    for path in PATHS {
        let mut response = get(&server, &format!("{path}?after={seen}")).await;
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
        let mut stream = Stream::open(&server, path(name), None).await;
        publish(&server, "something").await; // some say it with the first event only
        let retry = stream.block().await.get("retry").map(ToOwned::to_owned);
        all.insert(retry);
    }
    // A client can live with it; whoever serves a thousand of them can't.
    super::but_only(all.len() > 10, "many of its streams have the same retry");
    assert!(is_other() || all.len() > 10, "of 20 streams, these only: {all:?}");
}

/// What a browser says by itself wins over what its page said first, unless it is no id.
pub async fn where_it_resumes(name: &'static str) {
    let server = Server::start(name).await;
    let one = publish(&server, "one").await.id.to_string();
    let two = publish(&server, "two").await.id.to_string();
    publish(&server, "three").await;
    let all: &[&str] = &["", "one", "two", "three"]; // what the server made first, whatever it says
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
        // Whether the other path is there, another sentence says.
        for path in &PATHS[..if is_other() { 1 } else { 2 }] {
            let query = after.map_or(String::new(), |after| format!("?after={after}"));
            let mut stream = Stream::open(&server, &format!("{path}{query}"), last_event_id).await;
            let now = format!("now {row} {path}"); // the response has begun: this is new to it
            publish(&server, &now).await;
            let mut received = Vec::new();
            while received.last() != Some(&now) {
                received.push(stream.event().await.data().unwrap_or_default());
            }
            if texts.is_empty() {
                assert_eq!(received, [now], "from now on");
            }
            received.retain(|text| !text.starts_with("now"));
            if let Some(first) = received.first_mut().filter(|_| texts.len() == all.len()) {
                first.clear();
            }
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

/// Counted from the last thing that was said, and again. What comes earlier harms nobody, and what it
/// says nobody reads.
pub async fn a_comment_after_15_seconds_of_silence(name: &'static str) {
    let server = Server::start(name).await;
    let mut stream = Stream::open(&server, path(name), None).await;
    sleep(Duration::from_secs(3)).await;
    let hear = async { while stream.event().await.data().as_deref() != Some("x") {} };
    tokio::join!(publish(&server, "x"), hear);
    for _ in 0..2 {
        // A busy machine may take some seconds more.
        let comment = within(Duration::from_secs(20), "a comment", stream.block_whenever()).await;
        let comment = comment.get("").map(ToOwned::to_owned);
        assert!(comment.is_some(), "what comes into the silence is no comment");
        super::but_only(comment.as_deref() == Some("keep-alive"), "its comment is another one");
    }
}

async fn get(server: &Server, path: &str) -> Response {
    let response = lab::client::get(server, path).await;
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
