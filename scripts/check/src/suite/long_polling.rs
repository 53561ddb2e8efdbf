//! What only `long-polling` has on the wire.

use std::time::{Duration, Instant};

use lab::client::{newest_id, publish, publish_all};
use lab::raw::{Raw, Response};
use lab::{Server, Update};
use tokio::time::sleep;

/// Something is newer already.
pub async fn at_once(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let sent = publish_all(&server, ["one", "two", "three"]).await;
    for (after, expected) in [(seen, &sent[..]), (sent[0].id, &sent[1..])] {
        super::basic::at_once("a long poll for what is there", async || {
            let response = held(&server, after, "").await.response().await;
            assert_eq!(updates(&response), expected, "what is newer than {after}");
        })
        .await;
    }
}

/// Whoever waits is answered by one message, all of them.
pub async fn as_soon_as_something_is_newer(name: &'static str) {
    let server = Server::start(name).await;
    let before = server.open_files();
    let seen = newest_id(&server).await;
    let mut waiting = Vec::new();
    for _ in 0..100 {
        waiting.push(held(&server, seen, "").await);
    }
    server.open_files_until(Duration::from_secs(20), |now| now >= before + 100).await;
    let sent = [publish(&server, "for all of you").await];
    for client in &mut waiting {
        let response = client.response().await;
        assert_eq!(updates(&response), sent);
    }
    // Their connections are as good as new.
    for client in &mut waiting {
        client.send(request(&format!("?after={seen}"), "")).await;
        assert_eq!(updates(&client.response().await), sent);
    }
}

/// Without `after`: what was there is not told, what comes next is.
pub async fn whatever_comes_next(name: &'static str) {
    let server = Server::start(name).await;
    let before = newest_id(&server).await;
    let mut client = Raw::connect(&server).await;
    client.send(request("", "")).await;
    // Nobody says when the request is held. So somebody goes on talking until it is answered.
    let talk = async {
        loop {
            publish(&server, "is somebody there?").await;
            sleep(Duration::from_millis(50)).await;
        }
    };
    let response = tokio::select! {
        response = client.response() => response,
        () = talk => unreachable!("it goes on"),
    };
    let received = updates(&response);
    assert_eq!(received.len(), 1, "the next one: {received:?}");
    assert!(received[0].id > before, "{received:?}");
    assert_eq!(received[0].update, "is somebody there?");
}

/// RFC 7240: names have no big and small letters, a value may be quoted, only the first `wait`
/// counts, and what is not understood is ignored. The answer says what was.
pub async fn the_preferred_time_is_applied(name: &'static str) {
    let server = Server::start(name).await;
    let rows = [
        ("Prefer: wait=30\r\n", Some("wait=30")),
        ("prefer: WAIT=30\r\n", Some("wait=30")),
        ("Prefer: wait = 30\r\n", Some("wait=30")),
        ("Prefer: wait=\"30\"\r\n", Some("wait=30")),
        ("Prefer: respond-async, wait=30\r\n", Some("wait=30")),
        ("Prefer: wait=30, respond-async\r\n", Some("wait=30")),
        ("Prefer: respond-async\r\nPrefer: wait=30\r\n", Some("wait=30")),
        ("Prefer: wait=30; foo=bar\r\n", Some("wait=30")),
        ("Prefer: , ,wait=30,\r\n", Some("wait=30")),
        ("Prefer: foo=\"a\"; bar, wait=30\r\n", Some("wait=30")),
        ("Prefer: wait=30, wait=0\r\n", Some("wait=30")),
        ("Prefer: wait=30\r\nPrefer: wait=0\r\n", Some("wait=30")),
        ("Prefer: wait=60\r\n", Some("wait=60")),
        ("Prefer: wait=61\r\n", Some("wait=60")),
        ("Prefer: wait=100\r\n", Some("wait=60")),
        ("Prefer: wait=99999999999999999999999999\r\n", Some("wait=60")),
        ("", None),
        ("Prefer:\r\n", None),
        ("Prefer: wait\r\n", None),
        ("Prefer: wait=\r\n", None),
        ("Prefer: wait=-1\r\n", None),
        ("Prefer: wait=+1\r\n", None),
        ("Prefer: wait=0.5\r\n", None),
        ("Prefer: wait=0s\r\n", None),
        ("Prefer: wait=x\r\n", None),
        ("Prefer: await=0\r\n", None),
        ("Prefer: foo; wait=0\r\n", None),
        ("Prefer: foo=\"a, wait=0\"\r\n", None),
        ("Prefer: foo=\"wait=0, b\"\r\n", None),
        ("Prefer: =0\r\n", None),
        ("Prefer: \"wait=0\"\r\n", None),
        ("Prefer: return=minimal\r\n", None),
        ("Prefer: w\u{e4}it=0\r\n", None),
    ];
    for (lines, applied) in rows {
        // It is held: the answer is what was published after it was asked.
        let seen = newest_id(&server).await;
        let mut client = held(&server, seen, lines).await;
        let sent = publish(&server, "an answer").await;
        let response = client.response().await;
        assert_eq!(response.status(), 200, "{lines:?}: {}", response.head);
        assert_eq!(updates(&response), [sent], "{lines:?}");
        assert_eq!(applied_of(&response).as_deref(), applied, "{lines:?}");
    }
    let mut client = held(&server, newest_id(&server).await, "Prefer: wait=0\r\n").await;
    let response = client.response().await;
    assert_eq!(response.status(), 204, "nobody published anything: {}", response.head);
    assert_eq!(applied_of(&response).as_deref(), Some("wait=0"));
}

/// As a preference is compared: a value may stand in quotes (RFC 7240 §2).
fn applied_of(response: &Response) -> Option<String> {
    let said = response.header("preference-applied")?;
    Some(said.replace([' ', '"'], "").to_ascii_lowercase())
}

/// `204` after them, and not before.
pub async fn nothing_after_the_preferred_seconds(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    for (lines, seconds) in [("Prefer: wait=1\r\n", 1), ("Prefer: x, Wait=\"2\"\r\n", 2)] {
        let start = Instant::now();
        let response = held(&server, seen, lines).await.response().await;
        assert_eq!(response.status(), 204, "{lines:?}: {}", response.head);
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(seconds * 900), "{lines:?}: after {took:?}");
        assert!(took < Duration::from_secs(seconds + 15), "{lines:?}: after {took:?}");
        let applied = format!("wait={seconds}");
        assert_eq!(applied_of(&response).as_deref(), Some(&*applied));
    }
}

/// A busy machine may be late, but never early.
pub async fn nothing_after_25_seconds(name: &'static str) {
    let server = Server::start(name).await;
    let after = format!("?after={}", newest_id(&server).await);
    let rows = [&after, ""].map(async |query| {
        let mut client = Raw::connect(&server).await;
        let start = Instant::now();
        client.send(request(query, "Prefer: respond-async\r\n")).await;
        assert!(client.any_within(Duration::from_secs(40)).await, "it is held for too long");
        let took = start.elapsed();
        let response = client.response().await;
        assert_eq!(response.status(), 204, "{}", response.head);
        assert!(took >= Duration::from_secs(25), "after {took:?}");
        assert_eq!(response.header("preference-applied"), None);
        client.send(request("?after=0", "")).await;
        assert_eq!(client.response().await.status(), 200, "204 has no body: the next fits");
    });
    futures_util::future::join_all(rows).await;
}

/// A client that asks for what is newer than an id.
async fn held(server: &Server, after: u64, lines: &str) -> Raw {
    let mut client = Raw::connect(server).await;
    client.send(request(&format!("?after={after}"), lines)).await;
    client
}

fn request(query: &str, lines: &str) -> String {
    format!("GET /api/messages/long-poll{query} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

fn updates(response: &Response) -> Vec<Update> {
    assert_eq!(response.status(), 200, "{}", response.head);
    serde_json::from_slice(&response.body).expect("an array of updates")
}
