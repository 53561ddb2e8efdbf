//! Somebody stands between: a proxy that offers upgrades and compresses, another site's page, a client
//! that has closed its half.

use std::time::Duration;

use lab::client::{UPGRADE, idle, path, publish, request_of};
use lab::raw::{Raw, Response};
use lab::server::{Server, is_other};

/// A message, and what else its head says.
fn message(text: &str, lines: &str) -> String {
    let body = format!(r#"{{"update":"{text}"}}"#);
    let length = body.len();
    format!(
        "POST /api/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        {lines}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// The lines with which a browser says which page asks, and how.
fn fetched(site: &str, mode: &str) -> String {
    format!("Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: {mode}\r\n")
}

async fn status_of(server: &Server, request: String) -> u16 {
    let mut client = Raw::connect(server).await;
    client.send(request).await;
    client.until("\r\n").await[9..12].parse().expect("a status")
}

/// In the background, it would learn when something happens: from the time of an answer, or of more
/// bytes. Whoever follows a link is served, and so is every client that is no browser.
pub async fn another_sites_page_learns_nothing(name: &'static str) {
    let server = Server::start(name).await;
    let upgrade = if name == "websockets" { UPGRADE } else { "" };
    let own = if name == "websockets" { 101 } else { 200 };
    for (site, mode, passes) in [
        ("cross-site", "no-cors", false),
        ("cross-site", "cors", false),
        ("Cross-Site", "websocket", false),
        ("cross-site", "navigate", true),
        ("same-site", "cors", true),
        ("same-origin", "cors", true),
        ("none", "navigate", true),
    ] {
        let lines = fetched(site, mode);
        let asked = request_of(name, &format!("{}?after=0", path(name)), &lines);
        let status = status_of(&server, asked).await;
        assert_eq!(status, if passes { own } else { 403 }, "{site}, {mode}");
        let status = status_of(&server, message("x", &lines)).await;
        let is_right = if passes { status < 300 } else { status == 403 };
        assert!(is_right, "a message: {site}, {mode}: {status}");
    }
    let silent = request_of(name, &format!("{}?after=0", path(name)), "Sec-Fetch-Mode: cors\r\n");
    assert_eq!(status_of(&server, silent).await, own, "a client that says nothing of its site");
    if !is_other() {
        let page = |mode| {
            let lines = fetched("cross-site", mode);
            format!("GET /html/index.html HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
        };
        assert_eq!(status_of(&server, page("navigate")).await, 200, "a link leads to the page");
        assert_eq!(status_of(&server, page("no-cors")).await, 403);
    }
    if is_other() {
        return;
    }
    // Who is named as a friend is one.
    let names = [("ALLOWED_HOSTS", "friend.example"), ("QUIET", "1")];
    let server = Server::start_with(name, &names).await;
    for (origin, right) in [("friend.example", own), ("other.example", 403)] {
        let lines =
            format!("{}Origin: https://{origin}\r\n{upgrade}", fetched("cross-site", "cors"));
        let lines = if name == "websockets" { lines } else { lines.replace(upgrade, "") };
        let asked =
            format!("GET {}?after=0 HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n", path(name));
        assert_eq!(status_of(&server, asked).await, right, "Origin: {origin}");
    }
}

/// Twice on one connection, as Java's client and `curl --http2` do it: the offer is ignored, and the
/// connection goes on (RFC 9110 §7.8).
pub async fn an_offered_upgrade_is_ignored(name: &'static str) {
    let server = Server::start(name).await;
    let mut plain = Raw::connect(&server).await;
    plain.send(message("without", "")).await;
    let closes = is_other() && plain.response().await.closes(); // whatever is asked
    let h2c =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAI\r\n";
    for offer in [
        h2c,
        "Connection: Upgrade\r\n",
        "connection:keep-alive,upgrade\r\nUpgrade: TLS/1.2\r\n",
        "Upgrade: h2c\r\nConnection: keep-alive\r\nConnection: UPGRADE\r\n",
    ] {
        let mut client = Raw::connect(&server).await;
        for number in 1..=if closes { 1 } else { 3 } {
            client.send(message("offered", offer)).await;
            let answer = client.response().await;
            assert_eq!(answer.status(), 201, "{offer}, request {number}: {}", answer.head);
            let says = answer.header("connection").unwrap_or_default().to_ascii_lowercase();
            let goes_on = closes || !says.contains("close");
            assert!(!says.contains("upgrade") && goes_on, "{offer}: Connection: {says}");
        }
        if closes {
            continue;
        }
        client.send(message("and without", "")).await;
        assert_eq!(client.response().await.status(), 201, "{offer}, then none");
        // The head in two pieces: it may close then, but it says so.
        let request = message("in pieces", offer);
        let (first, rest) =
            request.split_at(request.to_ascii_lowercase().find("upgrade").expect("it offers") + 3);
        client.send(first).await;
        tokio::task::yield_now().await;
        client.send(rest).await;
        let answer = client.response().await;
        assert_eq!(answer.status(), 201, "{offer}: {}", answer.head);
    }
    // What has the word in its text is nobody's offer.
    for text in ["Connection: Upgrade", "x\\r\\nConnection: upgrade\\r\\n"] {
        let mut client = Raw::connect(&server).await;
        client.send(message(text, "")).await;
        let body = String::from_utf8(client.response().await.body).expect("text");
        assert!(body.contains(text), "{body}");
    }
}

/// `Upgrade: websocket` and a body: at once, whatever it was sent to.
pub async fn an_upgrade_with_a_body_is_refused(name: &'static str) {
    let server = Server::start(name).await;
    for path in ["/api/messages", path(name)] {
        let mut client = Raw::connect(&server).await;
        let request = message("x", UPGRADE).replace("/api/messages", path);
        client.send(request).await;
        let answer = client.response().await;
        let is_right = if is_other() { answer.status() != 408 } else { answer.status() == 400 };
        assert!(is_right, "{path}: {}", answer.head);
    }
}

/// As `nc -N` and socat do: whoever has asked for all that they want may still read.
pub async fn a_whole_request_and_a_closed_half(name: &'static str) {
    let server = Server::start(name).await;
    for number in 0..20 {
        let mut client = Raw::connect(&server).await;
        client.send(message(&number.to_string(), "")).await;
        client.close_half().await;
        let answer: Response = client.response().await;
        assert_eq!(answer.status(), 201, "{}", answer.head);
    }
    let mut client = Raw::connect(&server).await;
    let ahead = if is_other() { 1 } else { 40 }; // nobody else's has to take requests ahead
    client
        .send((0..ahead).map(|number| message(&number.to_string(), "")).collect::<String>())
        .await;
    client.close_half().await;
    for number in 0..ahead {
        assert_eq!(client.response().await.status(), 201, "message {number} of {ahead}");
    }
    // A server that knows no cursor holds a long poll.
    let mut client = Raw::connect(&server).await;
    client.send(request_of(name, &format!("{}?after=0", path(name)), "")).await;
    let is_array = ["polling", "long-polling"].contains(&name);
    if is_array && (!is_other() || client.any_within(Duration::from_secs(2)).await) {
        for _ in 0..300 {
            publish(&server, &"x".repeat(4_000)).await;
        }
        for _ in 0..5 {
            let mut client = Raw::connect(&server).await;
            client.send(request_of(name, &format!("{}?after=0", path(name)), "")).await;
            client.close_half().await;
            let answer = client.response().await;
            assert!(answer.body.len() > 1_200_000, "{} bytes of an array", answer.body.len());
        }
    }
    if !is_other() {
        for _ in 0..10 {
            let mut client = Raw::connect(&server).await;
            client.send("GET /html/index.html HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            client.close_half().await;
            assert!(client.response().await.body.ends_with(b"</html>\n"), "the page, whole");
        }
    }
    drop(idle(&server).await);
}
