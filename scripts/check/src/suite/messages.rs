//! `POST /api/messages`: from client A to client B, and what is no message.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Body, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::sleep;

use lab::client::{Client, UPGRADE, Update, answer, message, newest_id, path, publish, send};
use lab::raw::{Raw, Response};
use lab::server::{Server, is_other};
use lab::time::soon;

use super::basic::{listener, reaches};

/// Whoever listens gets what was sent, and who sent it the same with its id.
async fn arrive(name: &'static str, rows: Vec<Value>) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let mut clients = [(); 3].map(|()| Client::new(&server, seen));
    for row in rows {
        let response = answer(message(&server, row.to_string())).await;
        assert!(response.status().is_success(), "{} for {row}", response.status());
        let answer: Value = response.json().await.expect("JSON");
        for member in ["update", "event"] {
            assert_eq!(answer[member], row[member], "{member} in the answer to {row}");
        }
        let mut update: Update = serde_json::from_value(answer).expect("an update");
        if name == "server-sent-events" {
            // To an EventSource, that is the same.
            update.event = update.event.filter(|event| event != "message");
            update.update = update.update.replace("\r\n", "\n").replace('\r', "\n");
        }
        for client in &mut clients {
            assert_eq!(client.next().await, update);
        }
    }
}

/// The name comes with the update.
pub async fn an_event_with_a_name(name: &'static str) {
    let rows = vec![
        json!({"update": "named", "event": "greeting"}),
        json!({"update": "named", "event": "A-z_0"}),
        json!({"update": "named", "event": "-"}),
        json!({"update": "named", "event": "message"}),
        json!({"update": "named", "event": "Open"}),
        json!({"event": "x".repeat(64), "update": "the other way round"}),
        json!({"update": "without a name"}),
    ];
    arrive(name, rows).await;
}

/// To the letter.
pub async fn any_text_arrives(name: &'static str) {
    let rows = [
        "Hello",
        "Grüße, 世界 \u{1F30D} \u{2028}",
        "<b>bold</b> & \"quoted\" \\ / \t",
        "two\nlines\n",
        "\r\n\r",
        " ",
        "\u{0}\u{1b}\u{feff}",
        "data: x",
        "null",
        &"é".repeat(2_000),
    ];
    arrive(name, rows.map(|text| json!({"update": text})).into()).await;
}

/// A media type has no big and small letters, and may say the one encoding that JSON has.
pub async fn json_by_any_of_its_names(name: &'static str) {
    let server = Server::start(name).await;
    let rows = [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json ; charset=utf-8",
    ];
    for kind in rows {
        assert_eq!(status_of(&server, Some(kind), r#"{"update":"x"}"#).await, 201, "{kind}");
    }
    let spaced = " \r\n{ \"event\" : \"e\",\t\"update\":\"\\u0041\" }\n";
    assert_eq!(status_of(&server, Some("application/json"), spaced).await, 201);
}

/// `400`, nothing is published, and the server goes on.
pub async fn bad_messages_are_refused(name: &'static str) {
    let server = Server::start(name).await;
    let mut listener = listener(&server).await;
    reaches(&server, &mut listener).await;
    let event = |event: &str| json!({"update": "x", "event": event}).to_string().into_bytes();
    let json = Some("application/json");
    let good = br#"{"update":"x"}"#.to_vec();

    let mut rows: Vec<(Option<&str>, Vec<u8>)> = vec![];
    for body in [
        "",
        " ",
        "x",
        "null",
        "1",
        "\"x\"",
        "[]",
        "{}",
        "[\"x\"]",
        "[\"x\",null]",
        "[\"x\",\"y\"]",
        "{\"update\":\"\"}",
        "{\"update\":null}",
        "{\"update\":1}",
        "{\"update\":[\"x\"]}",
        "{\"update\":{}}",
        "{\"update\":true}",
        "{\"Update\":\"x\"}",
        "{update:\"x\"}",
        "{'update':'x'}",
        "{\"update\":\"x\"",
        "{\"update\":\"x\"}}",
        "{\"update\":\"x\"} y",
        "{\"update\":\"x\",}",
        "{\"update\":\"x\",\"more\":1}",
        "{\"update\":\"x\",\"id\":1}",
        "{\"update\":\"x\",\"update\":\"y\"}",
        "{\"update\":\"two\nlines\"}",
        "{\"update\":\"\\ud800\"}",
        "{\"update\":\"x\",\"event\":1}",
        "{\"update\":\"x\",\"event\":[]}",
        "{\"event\":\"e\"}",
        "update=x",
    ] {
        rows.push((json, body.into()));
    }
    rows.push((json, b"{\"update\":\"\xff\"}".into()));
    rows.push((json, b"\xef\xbb\xbf{\"update\":\"x\"}".into()));
    rows.push((json, b"\xff\xfe{\0}\0".into()));
    rows.push((json, "[".repeat(4_000).into())); // nested as deep as it fits
    for name in [
        "",
        " ",
        "a b",
        "a\nb",
        "a\rb",
        "a:b",
        "a.b",
        "a/b",
        "a\u{0}",
        "ä",
        "é",
        "open",
        "error",
        &"x".repeat(65),
        &"x".repeat(1_000),
    ] {
        rows.push((json, event(name)));
    }
    for kind in [
        None,
        Some(""),
        Some("text/plain"),
        Some("text/plain;charset=UTF-8"),
        Some("text/plain; application/json"),
        Some("text/json"),
        Some("application/jsonp"),
        Some("application/x-json"),
        Some("application/json-patch+json"),
        Some("application"),
        Some("application/json, text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("application/octet-stream"),
        Some("*/*"),
    ] {
        rows.push((kind, good.clone()));
    }
    for (kind, body) in rows {
        let what = format!("{kind:?} {:?}", String::from_utf8_lossy(&body));
        let response = answer(post(&server, kind, body)).await;
        assert_eq!(response.status(), 400, "the status for {what}");
    }

    let talk = async {
        loop {
            publish(&server, "it goes on").await;
            sleep(Duration::from_millis(500)).await;
        }
    };
    let hear = async {
        loop {
            let text = listener.next().await.expect("it goes on");
            if text == "it goes on" {
                return;
            }
            let is_before = text.starts_with("is somebody there?") || text.starts_with("Real-Time");
            assert!(is_before, "{text:?} was published, of something that is no message");
        }
    };
    tokio::select! {
        () = soon("what is published then", hear) => {}
        () = talk => unreachable!("it goes on"),
    }
}

/// `413`, whether the length is said or not; the largest that fits is taken.
pub async fn at_most_4096_bytes(name: &'static str) {
    let server = Server::start(name).await;
    let of_size = |size: usize| format!(r#"{{"update":"{}"}}"#, "x".repeat(size - 13));
    let rows = [(4_095, 201), (4_096, 201), (4_097, 413), (5_000, 413), (100_000, 413)];
    for (size, status) in rows {
        let body = of_size(size);
        assert_eq!(body.len(), size);
        let head = "POST /api/messages HTTP/1.1\r\nHost: localhost\r\n\
            Content-Type: application/json\r\n";
        let with_length = format!("{head}Content-Length: {size}\r\n\r\n{body}");
        let chunks = body
            .as_bytes()
            .chunks(1_000)
            .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)));
        let chunks: String = chunks.collect();
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
        for request in [with_length, chunked] {
            let mut connection = Raw::connect(&server).await;
            connection.try_send(&request).await; // it may say no before all is sent
            let response = connection.response().await;
            assert_eq!(response.status(), status, "{size} bytes: {}", response.head);
        }
        // The same from an ordinary client.
        let response = send(message(&server, body)).await;
        if status == 201 {
            assert!(response.is_ok_and(|it| it.status().is_success()), "{size} bytes");
        } else if let Ok(response) = response {
            assert_eq!(response.status(), 413, "{size} bytes, from an ordinary client");
        }
    }
    publish(&server, "it goes on").await;
}

/// Wherever something is refused with a body. (That ours have one everywhere is tried too.)
pub async fn why_is_one_line_of_text(name: &'static str) {
    let mut server = Server::start(name).await;
    let own = path(name);
    let json = "Content-Type: application/json\r\n";
    let long = format!("{json}Content-Length: 5000\r\n\r\n{}", "x".repeat(5_000));
    let mut rows = vec![
        ("POST /api/messages".to_owned(), format!("{json}Content-Length: 1\r\n\r\nx")),
        ("POST /api/messages".into(), format!("{json}Content-Length: 0\r\n\r\n")),
        (
            "POST /api/messages".into(),
            format!("{json}Content-Length: 13\r\n\r\n{{\"update\":\"\"}}"),
        ),
        ("POST /api/messages".into(), "Content-Length: 1\r\n\r\nx".into()),
        ("POST /api/messages".into(), long),
        ("DELETE /api/messages".into(), "\r\n".into()),
        ("GET /nothing/here".into(), "\r\n".into()),
        ("POST /nothing".into(), "Content-Length: 0\r\n\r\n".into()),
        (format!("GET {own}?after=x"), "\r\n".into()),
        (format!("GET {own}?after=x"), format!("{UPGRADE}\r\n")),
        (format!("PUT {own}"), "Content-Length: 0\r\n\r\n".into()),
        (format!("GET {own}?after=0"), "Host: evil.example\r\n\r\n".into()),
        ("GET /websocket".into(), format!("{UPGRADE}Origin: http://other.example\r\n\r\n")),
    ];
    if name == "websockets" {
        rows.push((format!("GET {own}"), "\r\n".into()));
    }
    for (request, rest) in rows {
        if TcpStream::connect(server.address()).await.is_err() {
            server = Server::start(name).await; // one that ends at a bad request has another fault
        }
        let mut client = Raw::connect(&server).await;
        let host = if rest.starts_with("Host") { "" } else { "Host: localhost\r\n" };
        client.try_send(format!("{request} HTTP/1.1\r\n{host}{rest}")).await;
        if !client.any_within(Duration::from_secs(2)).await {
            continue; // it is held, or the server has gone: others say so
        }
        let head = client.until("\r\n\r\n").await;
        let status = Response { head: head.clone(), body: Vec::new() }.status();
        if status < 400 {
            continue;
        }
        let response = client.rest_of(head).await;
        let why = String::from_utf8_lossy(&response.body);
        assert!(is_other() || !why.is_empty(), "{request} is refused without a word");
        if !why.is_empty() {
            let kind = response.header("content-type").unwrap_or("no Content-Type");
            assert!(kind.starts_with("text/plain"), "{request} is refused with {kind}: {why:?}");
            assert_eq!(why.trim_end().lines().count(), 1, "{request} is refused with {why:?}");
        }
    }
}

fn post(server: &Server, kind: Option<&str>, body: impl Into<Body>) -> RequestBuilder {
    let request = reqwest::Client::new().post(server.url("/api/messages")).body(body);
    kind.into_iter().fold(request, |request, kind| request.header("Content-Type", kind))
}

async fn status_of(server: &Server, kind: Option<&str>, body: &'static str) -> StatusCode {
    answer(post(server, kind, body)).await.status()
}
