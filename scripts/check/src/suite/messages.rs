//! `POST /api/messages`: from client A to client B, and what is no message.

use reqwest::{Body, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use lab::client::{Answered as _, Client, Update, message, newest_id, publish};
use lab::{raw::Raw, server::Server, time::soon};

/// `201` and the update with its id; every client of the server gets the same.
pub async fn client_a_to_client_b(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let mut clients = [(); 3].map(|()| Client::new(&server, seen));
    let rows = [
        json!({"update": "Hello"}),
        json!({"update": "Grüße, 世界 \u{1F30D} \u{2028}"}),
        json!({"update": "<b>bold</b> & \"quoted\" \\ / \t"}),
        json!({"update": "two\nlines\n"}),
        json!({"update": " "}),
        json!({"update": "\u{0}\u{1b}"}),
        json!({"update": "named", "event": "greeting"}),
        json!({"update": "named", "event": "A-z_0"}),
        json!({"update": "named", "event": "-"}),
        json!({"update": "named", "event": "message"}),
        json!({"update": "named", "event": "Open"}),
        json!({"event": "x".repeat(64), "update": "the other way round"}),
    ];
    for mut row in rows {
        let response = message(&server, row.to_string()).send().await.answered();
        assert_eq!(response.status(), 201, "{row}");
        assert_eq!(response.headers()["content-type"], "application/json");
        let answer: Value = response.json().await.expect("JSON");
        row["id"] = answer["id"].clone();
        assert_eq!(answer, row, "the update, and nothing else");
        let mut update: Update = serde_json::from_value(answer).expect("an update");
        if name == "server-sent-events" && update.event.as_deref() == Some("message") {
            update.event = None; // to an EventSource, that is the same
        }
        for client in &mut clients {
            assert_eq!(client.next().await, update);
        }
    }
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

/// `400`, why in one line of text, nothing is published, and the server goes on.
pub async fn bad_messages_are_refused(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
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
        let response = post(&server, kind, body).send();
        let response = soon(&what, response).await.answered();
        assert_why(response, 400, &what).await;
    }

    let marker = publish(&server, "it goes on").await;
    assert_eq!(Client::new(&server, seen).next().await, marker, "none of them was published");
}

/// `413`, whether the length is said or not; the largest that fits is taken.
pub async fn at_most_4096_bytes(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
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
            if status == 413 {
                let why = String::from_utf8(response.body).expect("it is text");
                assert_eq!(why.lines().count(), 1, "{why:?}");
            }
        }
        // The same from an ordinary client.
        let response = message(&server, body).send().await;
        if status == 201 {
            assert_eq!(response.answered().status(), 201);
        } else if let Ok(response) = response {
            assert_why(response, 413, "from an ordinary client").await;
        }
    }
    let marker = publish(&server, "it goes on").await;
    let received = Client::new(&server, seen).take(7).await;
    assert_eq!(received[6], marker, "only those that fit were published");
}

/// The status, and one line of plain text that says why.
async fn assert_why(response: reqwest::Response, status: u16, what: &str) {
    assert_eq!(response.status(), status, "{what}");
    let kind = response.headers().get("content-type").cloned();
    let kind = kind.unwrap_or_else(|| panic!("{what} is refused without a word"));
    assert!(kind.as_bytes().starts_with(b"text/plain"), "{what}: {kind:?}");
    let why = response.text().await.expect("a body");
    assert_eq!(why.lines().count(), 1, "{what} is refused with {why:?}");
}

fn post(server: &Server, kind: Option<&str>, body: impl Into<Body>) -> RequestBuilder {
    let request = reqwest::Client::new().post(server.url("/api/messages")).body(body);
    kind.into_iter().fold(request, |request, kind| request.header("Content-Type", kind))
}

async fn status_of(server: &Server, kind: Option<&str>, body: &'static str) -> StatusCode {
    let response = soon("an answer", post(server, kind, body).send()).await;
    response.answered().status()
}
