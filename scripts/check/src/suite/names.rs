//! Whose name and which address: another site's name for this machine is refused, and `localhost`
//! is listened on wherever a browser looks for it.

use std::{net::TcpListener, time::Duration};

use lab::soon;
use tokio::{net::TcpStream, time::sleep};

use lab::client::{UPGRADE, accept, path};
use lab::raw::{Raw, Response};
use lab::server::{Server, is_other, refuses_to_start};

use super::start::assert_refused;

/// DNS rebinding: a page whose own name leads here would read and write as if it were ours.
pub async fn another_sites_name_is_refused(name: &'static str) {
    let server = Server::start(name).await;
    let rows = [
        ("localhost", true),
        ("localhost:1", true),
        ("LocalHost:8001", true),
        ("polling.localhost", true),
        ("localhost.", true),
        ("localhost.:8001", true),
        ("polling.localhost.", true),
        ("127.0.0.1.", true),
        ("127.0.0.1", true),
        ("127.0.0.1:8001", true),
        ("192.168.0.7:8001", true),
        ("[::1]", true),
        ("[::1]:8001", true),
        ("evil.example", false),
        ("evil.example:8001", false),
        ("localhost.evil.example", false),
        ("evillocalhost", false),
        ("127.0.0.1.evil.example", false),
        ("null", false),
        ("localhost..", false),
        ("evil.example.", false),
        // What can't be read is nobody's name, wherever it ends.
        ("evil.example/.localhost", false),
        ("evil.example\\.localhost", false),
        ("evil example.localhost", false),
        ("evil.example:x.localhost", false),
        ("[::1].localhost", false),
        ("evil.example@localhost", false),
        ("localhost:x", false),
        ("localhost:", true),
        ("\u{e9}.localhost", false),
    ];
    for (host, passes) in rows {
        let is_odd = ["127.0.0.1.", "localhost..", "localhost:"].contains(&host);
        if !is_odd || !is_other() {
            assert_passes(&server, host, passes).await; // of these, no sentence speaks
        }
    }
    if is_other() {
        return;
    }
    assert_passes(&server, "localhost@evil.example", false).await;
    // The same in the request line, which counts more (RFC 9112 §3.2.2).
    let mut client = Raw::connect(&server).await;
    let request = "POST http://evil.example/api/messages HTTP/1.1\r\nHost: localhost\r\n";
    client.send(format!("{request}{MESSAGE}")).await;
    assert_eq!(client.response().await.status(), 421, "{request}");
    let mut client = Raw::connect(&server).await;
    client.send(format!("POST /api/messages HTTP/1.0\r\n{MESSAGE}")).await;
    assert_eq!(client.response().await.status(), 201, "no browser sends no Host");
}

/// Names of one's own, as behind a proxy. A dot first stands for all names below.
pub async fn allowed_names_pass(name: &'static str) {
    // That spaces and ports are ignored there, no sentence says.
    let names = if is_other() {
        "one.example,two.example,three.example,.four.example"
    } else {
        "one.example, Two.Example:80, three.example., .four.example"
    };
    let names = [("ALLOWED_HOSTS", names), ("QUIET", "1")];
    let server = Server::start_with(name, &names).await;
    for (host, passes) in [
        ("one.example", true),
        ("TWO.example:8080", true),
        ("localhost", true),
        ("x.one.example", false),
        ("one.example.", true),
        ("three.example", true),
        ("four.example", false),
        ("a.four.example", true),
        ("A.b.Four.example.:80", true),
        ("evilfour.example", false),
    ] {
        assert_passes(&server, host, passes).await;
    }
}

/// What nobody can ask for is no name: it is told at the start, in one line.
pub async fn what_can_never_match_is_refused(name: &'static str) {
    for names in [
        "https://one.example",
        "one.example/",
        "*",
        "*.example",
        " ",
        "one.example two.example",
        "one.example,,two.example",
        "one.example,",
        "one..example",
        "..example",
        ".",
        "b\u{fc}cher.example",
        "user@one.example",
        "one.example:port",
    ] {
        assert_refused(name, &[("ALLOWED_HOSTS", names), ("PORT", "0")], "").await;
    }
}

/// The body says which name was asked for, and what admits it; stderr too, once for each name, but
/// not for as many as strangers like.
pub async fn the_name_that_was_asked_for_is_said(name: &'static str) {
    let names = [("ALLOWED_HOSTS", "one.example"), ("QUIET", "1")];
    let server = Server::start_with(name, &names).await;
    for _ in 0..3 {
        let answer = ask(&server, "two.example:8001", "POST /api/messages", MESSAGE).await;
        let why = String::from_utf8_lossy(&answer.body);
        assert!(why.contains("the name two.example"), "{why}");
        assert!(why.contains("ALLOWED_HOSTS=one.example,two.example"), "{why}");
    }
    let answer = ask(&server, "$(reboot).example", "POST /api/messages", MESSAGE).await;
    assert_eq!(answer.status(), 421, "{}", answer.head);
    assert!(!String::from_utf8_lossy(&answer.body).contains("reboot"), "nobody is to type that");
    for number in 0..100 {
        ask(&server, &format!("n{number}.example"), "POST /api/messages", MESSAGE).await;
    }
    soon("the names on stderr", async {
        while server.complained().len() < 20 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let complained = server.complained();
    assert_eq!(complained.len(), 20, "{complained:?}");
    assert_eq!(complained.iter().filter(|line| line.contains("name two.example;")).count(), 1);
}

/// For a class, `HOST=0.0.0.0`: every name passes, unless some are named.
pub async fn listening_elsewhere_every_name_passes(name: &'static str) {
    for (allowed, passes) in [("", true), ("one.example", false)] {
        let variables = [("HOST", "0.0.0.0"), ("ALLOWED_HOSTS", allowed), ("QUIET", "1")];
        let server = Server::start_with(name, &variables).await;
        assert_passes(&server, "teacher.example:8001", passes).await;
        assert_passes(&server, "192.168.0.7:8001", true).await;
    }
}

/// The rest of a request that sends a message.
const MESSAGE: &str =
    "Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"update\":\"x\"}";

fn first_line(head: &str) -> &str {
    head.lines().next().unwrap_or_default()
}

/// Reading, writing and, with WebSockets, opening one.
async fn assert_passes(server: &Server, host: &str, passes: bool) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    let (bare, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let is_read = bare.chars().all(is_name) && port.chars().all(|c| c.is_ascii_digit());
    // What can't be read is a bad request, too (RFC 9112 §3.2).
    let refused = |status| status == 421 || is_other() && !is_read && status == 400;
    let right = |status: u16| if passes { status < 300 } else { refused(status) };
    let gets = |answer: &Response| format!("Host: {host} gets {}", first_line(&answer.head));
    let answer = ask(server, host, "POST /api/messages", MESSAGE).await;
    assert!(right(answer.status()), "{}", gets(&answer));
    let own = format!("GET {}?after=0", path(server.name()));
    if server.name() != "websockets" {
        let mut client = Raw::connect(server).await;
        let accept = format!("Accept: {}\r\n", accept(server.name()));
        client.send(format!("{own} HTTP/1.1\r\nHost: {host}\r\n{accept}\r\n")).await;
        // A long poll without a cursor is held, by a server that knows none.
        let may_wait = is_other() && server.name() == "long-polling";
        if may_wait && !client.any_within(Duration::from_secs(2)).await {
            assert!(passes, "Host: {host} is held, and not refused");
            return;
        }
        let answer = client.response().await;
        assert!(right(answer.status()), "{}", gets(&answer));
    }
    if !is_other() {
        let page = ask(server, host, "GET /html/index.html", "\r\n").await;
        assert!(right(page.status()), "{}", gets(&page));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    }
    if server.name() == "websockets" {
        let origin = format!("{UPGRADE}Origin: http://{host}\r\n\r\n");
        let answer = ask(server, host, &own, &origin).await;
        assert!(right(answer.status()), "{}", gets(&answer));
    }
}

async fn ask(server: &Server, host: &str, request: &str, rest: &str) -> Response {
    let mut client = Raw::connect(server).await;
    client.send(format!("{request} HTTP/1.1\r\nHost: {host}\r\n{rest}")).await;
    client.response().await
}

/// `127.0.0.1` and `::1`, whichever a browser tries first; at the same port, whichever is free.
pub async fn localhost_is_two_addresses(name: &'static str) {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("this machine has no ::1: not tried");
        return;
    }
    let server = Server::start(name).await;
    for address in ["127.0.0.1", "::1"] {
        let there = TcpStream::connect((address, server.port())).await;
        assert!(there.is_ok(), "nobody listens at {address}, which localhost may mean");
    }
    // Another program has one of them: a browser could speak to that one.
    let taken = TcpListener::bind("[::1]:0").expect("there is a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let refusal = refuses_to_start(name, &[("PORT", &port)]).await;
    let complaint = String::from_utf8_lossy(&refusal.stderr);
    assert!(!refusal.status.success(), "it listens at the other one only");
    if is_other() {
        return; // in which words, 3.13 asks
    }
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains(&port), "the port {port} is taken at ::1; it says: {complaint}");
}
