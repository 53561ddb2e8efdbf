//! Headers that every response has, those that none has, and paths that there are not.

use std::time::Duration;

use lab::client::{UPGRADE, path};
use lab::raw::{Raw, Response};
use lab::server::{Server, is_other};
use tokio::net::TcpStream;

const JSON: &str = "Content-Type: application/json\r\n";

/// Whatever the status.
pub async fn every_response_has_them(name: &'static str) {
    let server = Server::start(name).await;
    let message = |length: usize| format!("{JSON}Content-Length: {length}\r\n");
    let good = format!("{}\r\n{}", message(14), r#"{"update":"x"}"#);
    let huge = format!("{}\r\n{}", message(5_000), "x".repeat(5_000));
    let mut rows = vec![
        ("POST /api/messages", &*good, 201),
        ("POST /api/messages", "Content-Length: 0\r\n\r\n", 400),
        ("POST /api/messages", "Content-Type: application/json\r\nContent-Length: 1\r\n\r\nx", 400),
        ("POST /api/messages", &huge, 413),
        ("GET /nothing/here", "\r\n", 404),
    ];
    if !is_other() {
        let (page, no_range) = ("GET /html/index.html", "Range: bytes=9999999-\r\n\r\n");
        rows.extend([
            (page, "\r\n", 200),
            ("HEAD /html/index.html", "\r\n", 200),
            (page, "Range: bytes=0-9\r\n\r\n", 206),
            (page, "If-None-Match: *\r\n\r\n", 304),
            (page, no_range, 416),
            ("GET /html/nothing", "\r\n", 404),
            ("GET /public/nothing", "\r\n", 404),
            ("GET /", "\r\n", if name == "polling" { 200 } else { 307 }),
        ]);
    }
    rows.extend(match name {
        "polling" => vec![
            ("GET /", "\r\n", 200),
            ("GET /api/messages", "\r\n", 200),
            ("GET /api/messages?after=x", "\r\n", 400),
        ],
        "long-polling" => vec![
            ("GET /api/messages/long-poll?after=0", "\r\n", 200),
            ("GET /api/messages/long-poll", "Prefer: wait=0\r\n\r\n", 204),
            ("GET /api/messages/long-poll?after=x", "\r\n", 400),
        ],
        "server-sent-events" => vec![
            ("GET /server-sent-events", "Accept: text/event-stream\r\n\r\n", 200),
            ("GET /events", "Accept: text/event-stream\r\n\r\n", 200),
            ("GET /events?after=x", "\r\n", 400),
        ],
        _ => vec![
            ("GET /websocket", "\r\n", 400),
            ("GET /websocket?after=x", "\r\n", 400),
            ("GET /websocket", "Origin: http://other.example\r\n\r\n", 403),
        ],
    });
    for (request, rest, status) in rows {
        let response = ask(&server, request, rest).await;
        let is_right = response.status() == status || (status == 400 && response.status() == 426);
        assert!(is_other() || is_right, "{request}: {}", response.head); // others say that of others
        if response.status() != 101 {
            assert_headers(&response, request);
        }
    }
}

/// Another site's page reads nothing, and gets no permission when its browser asks first.
pub async fn no_cors(name: &'static str) {
    let mut server = Server::start(name).await;
    let origin = "Origin: http://other.example\r\n";
    let asks = format!(
        "{origin}Access-Control-Request-Method: POST\r\n\
        Access-Control-Request-Headers: content-type\r\n\r\n"
    );
    // What gets no answer, or is held, reads nothing; that it ends a server, others say.
    let mut none = async |request: &str, rest: &str| {
        if is_other() && TcpStream::connect(server.address()).await.is_err() {
            server = Server::start(name).await;
        }
        let mut client = Raw::connect(&server).await;
        client.try_send(format!("{request} HTTP/1.1\r\nHost: localhost\r\n{rest}")).await;
        if client.any_within(Duration::from_secs(2)).await {
            let head = client.until("\r\n\r\n").await;
            let is_there = head.to_ascii_lowercase().contains("access-control");
            assert!(!is_there, "{request}: {head}");
            return Response { head, body: Vec::new() }.status();
        }
        assert!(is_other(), "{request} gets no answer");
        404
    };
    for path in ["/", "/api/messages", "/html/index.html", "/nothing", path(name)] {
        let status = none(&format!("OPTIONS {path}"), &asks).await;
        assert!(is_other() || status >= 400 || status == 307, "OPTIONS {path}: {status}");
        if (name, path) != ("long-polling", "/api/messages/long-poll") {
            none(&format!("GET {path}"), &format!("{origin}\r\n")).await;
        }
    }
    none("GET /websocket", &format!("{UPGRADE}\r\n")).await;
}

/// `405` or `404`.
pub async fn other_methods_are_refused(name: &'static str) {
    let server = Server::start(name).await;
    let mut rows = vec!["PUT /api/messages", "DELETE /api/messages", "PATCH /api/messages"];
    if !is_other() {
        rows.extend(["NONSENSE /api/messages", "TRACE /"]); // which many servers refuse earlier
        let pages = ["POST /html/index.html", "DELETE /html/index.html", "POST /public/style.css"];
        rows.extend(pages.into_iter().chain(["POST /"]));
    }
    if name != "polling" {
        rows.push("GET /api/messages");
    }
    let own = path(name);
    let own = ["POST", "PUT", "DELETE", "PATCH"].map(|method| format!("{method} {own}"));
    if name != "polling" {
        rows.extend(own.iter().map(String::as_str));
    }
    for request in rows {
        let response = ask(&server, request, "Content-Length: 0\r\n\r\n").await;
        assert!([404, 405].contains(&response.status()), "{request}: {}", response.head);
    }
}

/// However it is written, no path leads out of them.
pub async fn nothing_outside_of_the_asset_folders(name: &'static str) {
    let server = Server::start(name).await;
    let climbs = [
        "../Cargo.toml",
        "../../Cargo.toml",
        "../../../Cargo.toml",
        "%2e%2e/Cargo.toml",
        "%2e%2e/%2e%2e/Cargo.toml",
        "..%2fCargo.toml",
        "..%2f..%2fCargo.toml",
        "%2e%2e%2f%2e%2e%2fCargo.toml",
        "..%252f..%252fCargo.toml",
        "..\\..\\Cargo.toml",
        "..%5c..%5cCargo.toml",
        "./../../Cargo.toml",
        "x/../../../Cargo.toml",
        "....//....//Cargo.toml",
        "..;/..;/Cargo.toml",
        "%c0%ae%c0%ae/%c0%ae%c0%ae/Cargo.toml",
        "/etc/passwd",
        "../../../../../../../../../../../../etc/passwd",
        "%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "index.html%00",
        "%00",
        ".gitignore",
        "../src/main.rs",
        "",
    ];
    for folder in ["/html/", "/public/", "/"] {
        for climb in climbs {
            let request = format!("GET {folder}{climb}");
            let response = ask(&server, &request, "\r\n").await;
            let page = climb.is_empty() && folder != "/public/"; // where it leads by itself
            let right = if page { 200..400 } else { 400..500 };
            assert!(right.contains(&response.status()), "{request}: {}", response.head);
            let body = String::from_utf8_lossy(&response.body);
            assert!(!body.contains("[package]") && !body.contains("root:"), "{request}: {body}");
        }
    }
}

async fn ask(server: &Server, request: &str, rest: &str) -> Response {
    let mut connection = Raw::connect(server).await;
    connection.send(format!("{request} HTTP/1.1\r\nHost: localhost\r\n{rest}")).await;
    if request.starts_with("HEAD") {
        let head = connection.until("\r\n\r\n").await;
        return Response { head, body: Vec::new() };
    }
    connection.response().await
}

fn assert_headers(response: &Response, request: &str) {
    let what = format!("{request}: {}", response.head);
    let sniff = response.header("x-content-type-options").map(str::to_ascii_lowercase);
    assert_eq!(sniff.as_deref(), Some("nosniff"), "X-Content-Type-Options of {what}");
    let cache = response.header("cache-control").unwrap_or_default().to_ascii_lowercase();
    let words: Vec<_> = cache.split(',').map(str::trim).collect();
    let is_said = words.contains(&"no-cache") || words.contains(&"no-store");
    assert!(is_said, "Cache-Control of {what}");
    if response.header("content-type").is_some_and(|it| it.starts_with("text/event-stream")) {
        assert_eq!(response.header("x-accel-buffering"), Some("no"), "{what}");
        // Or a proxy would collect its events, to compress them.
        assert!(words.contains(&"no-transform"), "no-transform in the Cache-Control of {what}");
    }
}
