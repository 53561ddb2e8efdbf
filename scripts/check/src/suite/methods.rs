//! Methods that are not GET, and HTTP of 1996.

use std::time::Duration;

use lab::client::{UPGRADE, accept, path, publish};
use lab::raw::{Raw, Response};
use lab::server::{Server, is_other};

/// Wherever `GET` is answered at once: the same head, and no body.
pub async fn head_is_answered(name: &'static str) {
    head_as_get(name, &["/", "/api/messages"]).await;
}

/// The same of what only ours have.
pub async fn head_of_a_page(name: &'static str) {
    head_as_get(name, &["/", "/html/index.html"]).await;
}

async fn head_as_get(name: &'static str, paths: &[&str]) {
    let server = Server::start(name).await;
    for path in paths {
        let get = ask(&server, &format!("GET {path} HTTP/1.1")).await;
        let mut client = Raw::connect(&server).await;
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        let head = Response { head: client.until("\r\n\r\n").await, body: Vec::new() };
        assert_eq!(head.status(), get.status(), "the status of HEAD {path}");
        for field in ["content-type", "content-length", "location", "cache-control"] {
            let (head, get) = (head.header(field), get.header(field));
            let may_be_left_out = is_other() && field == "content-length" && head.is_none();
            assert!(head == get || may_be_left_out, "HEAD {path}, {field}: {head:?}; GET: {get:?}");
        }
        // The next answer begins where the head ends: there is no body.
        if client.try_send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
            && client.any_within(Duration::from_secs(1)).await
        {
            let next = client.exactly(5).await;
            assert_eq!(next, b"HTTP/", "what comes behind the head of HEAD {path}");
        }
    }
}

/// `405` with what is allowed where the path is known, and `404` where it is not.
pub async fn what_is_allowed_is_said(name: &'static str) {
    let server = Server::start(name).await;
    let own = path(name);
    let reads = "GET, HEAD";
    let mut rows = vec![
        ("DELETE", "/api/messages", if name == "polling" { "GET, HEAD, POST" } else { "POST" }),
        ("PUT", own, if name == "polling" { "GET, HEAD, POST" } else { "GET" }),
        ("DELETE", "/nothing/here", ""),
        ("POST", "/nothing", ""),
        ("GET", "/nothing", ""),
    ];
    if !is_other() {
        let pages = [("PUT", "/html/index.html"), ("POST", "/public/"), ("DELETE", "/")];
        rows.extend(pages.map(|(method, path)| (method, path, reads)));
    }
    for (method, path, allow) in rows {
        let response = ask(&server, &format!("{method} {path} HTTP/1.1")).await;
        let status = if allow.is_empty() { 404 } else { 405 };
        assert_eq!(response.status(), status, "{method} {path}: {}", response.head);
        let said = response.header("allow").unwrap_or_default();
        let mut methods: Vec<_> = said.split(',').map(str::trim).collect();
        methods.sort_unstable();
        // Others may have more methods than the contract asks of them, but not the refused one.
        let mut asked = allow.split(", ").filter(|it| !is_other() || *it != "HEAD");
        let is_right = asked.all(|it| methods.contains(&it)) && !methods.contains(&method);
        assert!(is_right || allow.is_empty(), "Allow for {method} {path} is {said:?}");
        assert!(is_other() || methods.join(", ") == allow, "Allow for {method} {path}: {said:?}");
    }
}

/// HTTP/1.0 knows no chunks and no upgrade: a stream ends with its connection.
pub async fn old_http_is_answered_as_it_reads(name: &'static str) {
    let server = Server::start(name).await;
    let marker = publish(&server, "since 1996").await;
    let own = format!("{}?after={}", path(name), marker.id - 1);
    let upgrade = if name == "websockets" { UPGRADE } else { "" };
    let pages = [("/html/index.html", ""), ("/", "")];
    let pages = pages.into_iter().filter(|_| !is_other());
    for (path, kept) in pages.chain([(&*own, ""), (&own, "keep-alive")]) {
        let mut client = Raw::connect(&server).await;
        let kept = if kept.is_empty() { kept } else { "Connection: keep-alive\r\n" };
        let accept = format!("Accept: {}\r\n", accept(name));
        let lines = format!("Host: localhost\r\n{accept}{kept}{upgrade}");
        client.send(format!("GET {path} HTTP/1.0\r\n{lines}\r\n")).await;
        let response = Response { head: client.until("\r\n\r\n").await, body: Vec::new() };
        assert_ne!(response.status(), 101, "GET {path}: {}", response.head);
        assert_eq!(response.header("transfer-encoding"), None, "GET {path}: {}", response.head);
        if path == own && name == "server-sent-events" && !is_other() {
            assert!(client.until("\n\n").await.starts_with("retry: "));
            assert!(client.until("\n\n").await.starts_with("id: "));
        } else if path == own && name.ends_with("polling") {
            assert_eq!(client.until("]").await.matches("since 1996").count(), 1);
        }
    }
}

async fn ask(server: &Server, request: &str) -> Response {
    let mut client = Raw::connect(server).await;
    client.send(format!("{request}\r\nHost: localhost\r\n\r\n")).await;
    client.response().await
}
