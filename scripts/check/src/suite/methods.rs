//! Methods that are not GET, and HTTP of 1996.

use lab::client::{UPGRADE, path, publish};
use lab::raw::{Raw, Response};
use lab::server::{Server, is_other};

/// Wherever `GET` is answered at once: the same head, and no body.
pub async fn head_is_answered(name: &'static str) {
    let server = Server::start(name).await;
    let mut paths = Vec::new();
    if name == "polling" {
        paths.extend(["/", "/api/messages"]);
    }
    if !is_other() {
        paths.extend(["/", "/html/index.html"]);
    }
    for path in paths {
        let get = ask(&server, &format!("GET {path} HTTP/1.1")).await;
        let mut client = Raw::connect(&server).await;
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.send(head.repeat(2)).await;
        for _ in 0..2 {
            let head = client.until("\r\n\r\n").await; // the second begins where the first ends
            let head = Response { head, body: Vec::new() };
            assert_eq!(head.status(), get.status(), "HEAD {path}: {}", head.head);
            for field in ["content-type", "content-length", "location", "cache-control"] {
                assert_eq!(head.header(field), get.header(field), "HEAD {path}, {field}");
            }
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
        methods.retain(|method| !is_other() || *method != "OPTIONS"); // which some add by themselves
        methods.sort_unstable();
        assert_eq!(methods.join(", "), allow, "Allow for {method} {path}");
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
        client.send(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{kept}{upgrade}\r\n")).await;
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
