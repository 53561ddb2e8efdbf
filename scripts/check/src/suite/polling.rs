//! What only `polling` has on the wire.

use lab::client::{Answered as _, newest_id, publish};
use lab::{Server, Update};
use reqwest::Response;
use serde_json::{Value, json};

/// `GET /`: at once, the newest update; there always is one.
pub async fn the_newest(name: &'static str) {
    let server = Server::start(name).await;
    let first: Value = get(&server, "/").await.json().await.expect("JSON");
    let expected = json!({"id": first["id"], "update": "Real-Time Update 1"});
    assert_eq!(first, expected, "an update, and nothing else");
    for text in ["one", "two"] {
        let published = publish(&server, text).await;
        let newest: Update = get(&server, "/").await.json().await.expect("an update");
        assert_eq!(newest, published);
    }
}

/// Whose `Accept` prefers HTML looks for a page: every terminal's link leads to `/`.
pub async fn a_browser_is_led_to_the_page(name: &'static str) {
    let server = Server::start(name).await;
    let rows = [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", true),
        ("text/html", true),
        ("application/json;q=0.1, text/html;q=0.9", true),
        ("*/*", false),
        ("application/json", false),
        ("application/json, text/plain, */*", false),
        ("application/json, text/html;q=0.9", false),
        ("text/html;q=0", false),
        ("", false),
    ];
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
    let client = client.expect("a client");
    for (accept, to_page) in rows {
        let asked = client.get(server.url("/")).header("Accept", accept).send().await.answered();
        assert_eq!(asked.status(), if to_page { 307 } else { 200 }, "Accept: {accept}");
        let leads = asked.headers().get("location").and_then(|to| to.to_str().ok());
        assert_eq!(leads, to_page.then_some("html/index.html"), "Accept: {accept}");
    }
}

/// A cursor has no meaning there.
pub async fn the_newest_whatever_else_is_asked(name: &'static str) {
    let server = Server::start(name).await;
    let published = publish(&server, "the newest").await;
    let newest: Update = get(&server, "/?after=0").await.json().await.expect("an update");
    assert_eq!(newest, published);
}

/// `GET /api/messages`: all that is kept, oldest first.
pub async fn all_that_is_kept(name: &'static str) {
    let server = Server::start(name).await;
    let one = publish(&server, "one").await;
    let two = publish(&server, "two").await;
    let all: Vec<Update> = get(&server, "/api/messages").await.json().await.expect("updates");
    assert_eq!(all[0].update, "Real-Time Update 1");
    assert_eq!(all[1..], [one, two]);
}

/// `?after=ID`: only what is newer, at once, even when that is nothing.
pub async fn only_what_is_newer(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let path = format!("/api/messages?after={seen}");
    assert_eq!(get(&server, &path).await.text().await.expect("a body"), "[]");
    let one = publish(&server, "one").await;
    let two = publish(&server, "two").await;
    let newer: Vec<Update> = get(&server, &path).await.json().await.expect("updates");
    assert_eq!(newer, [one.clone(), two.clone()]);
    let path = format!("/api/messages?after={}", one.id);
    let newer: Vec<Update> = get(&server, &path).await.json().await.expect("updates");
    assert_eq!(newer, [two]);
}

async fn get(server: &Server, path: &str) -> Response {
    let response = lab::soon("an answer", reqwest::get(server.url(path))).await;
    let response = response.answered();
    assert_eq!(response.status(), 200, "{path}");
    assert_eq!(response.headers()["content-type"], "application/json", "{path}");
    response
}
