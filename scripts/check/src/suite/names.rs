//! Whose name and which address: another site's name for this machine is refused, and `localhost`
//! is listened on wherever a browser looks for it.

use std::net::TcpListener;

use tokio::net::TcpStream;

use lab::client::{UPGRADE, path};
use lab::raw::{Raw, Response};
use lab::server::{Server, is_other, refuses_to_start};

/// DNS rebinding: a page whose own name leads here would read and write as if it were ours.
pub async fn another_sites_name_is_refused(name: &'static str) {
    let server = Server::start(name).await;
    let rows = [
        ("localhost", true),
        ("localhost:1", true),
        ("LocalHost:8001", true),
        ("polling.localhost", true),
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
    ];
    for (host, passes) in rows {
        assert_passes(&server, host, passes).await;
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

/// Names of one's own, as behind a proxy.
pub async fn allowed_names_pass(name: &'static str) {
    // That spaces and ports are ignored there, no sentence says.
    let names = if is_other() { "one.example,two.example" } else { "one.example, Two.Example:80" };
    let names = [("ALLOWED_HOSTS", names), ("QUIET", "1")];
    let server = Server::start_with(name, &names).await;
    for (host, passes) in [
        ("one.example", true),
        ("TWO.example:8080", true),
        ("localhost", true),
        ("x.one.example", false),
    ] {
        assert_passes(&server, host, passes).await;
    }
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
    let right = |status: u16| if passes { status < 300 } else { status == 421 };
    let gets = |answer: &Response| format!("Host: {host} gets {}", first_line(&answer.head));
    let answer = ask(server, host, "POST /api/messages", MESSAGE).await;
    assert!(right(answer.status()), "{}", gets(&answer));
    let own = format!("GET {}?after=0", path(server.name()));
    if server.name() != "websockets" {
        let answer = ask(server, host, &own, "\r\n").await;
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
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains(&port), "the port {port} is taken at ::1; it says: {complaint}");
}
