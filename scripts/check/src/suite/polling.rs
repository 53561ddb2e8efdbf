//! What only `polling` has on the wire.

use super::basic::{assert_kind, at_once};
use lab::client::{answer, newest_id, publish};
use lab::{Server, Update, client};
use reqwest::Response;
use serde_json::Value;

/// `GET /`: at once, the newest update; there always is one.
pub async fn the_newest(name: &'static str) {
    let server = Server::start(name).await;
    let first: Value = get(&server, "/").await.json().await.expect("JSON");
    let is_one = first["id"].is_u64() && first["update"].as_str().is_some_and(|it| !it.is_empty());
    assert!(is_one, "before anybody has published anything, GET / is answered by {first}");
    for text in ["one", "two"] {
        let published = publish(&server, text).await;
        let newest: Update = get(&server, "/").await.json().await.expect("an update");
        assert_eq!(newest, published, "what GET / is answered by");
    }
    at_once("GET /", async || drop(get(&server, "/").await)).await;
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
        let asked = answer(client.get(server.url("/")).header("Accept", accept)).await;
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
    assert!(all.ends_with(&[one, two]), "without a cursor comes all that is kept: {all:?}");
    assert!(all.is_sorted_by(|one, next| one.id < next.id), "the oldest first: {all:?}");
    at_once("GET /api/messages", async || drop(get(&server, "/api/messages").await)).await;
}

/// `?after=ID`: only what is newer, at once, even when that is nothing.
pub async fn only_what_is_newer(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let path = format!("/api/messages?after={seen}");
    at_once("GET /api/messages without anything newer", async || {
        let none: Vec<Update> = get(&server, &path).await.json().await.expect("an array");
        assert_eq!(none, [], "what is newer than the newest");
    })
    .await;
    let one = publish(&server, "one").await;
    let two = publish(&server, "two").await;
    let newer: Vec<Update> = get(&server, &path).await.json().await.expect("updates");
    assert_eq!(newer, [one.clone(), two.clone()]);
    let path = format!("/api/messages?after={}", one.id);
    let newer: Vec<Update> = get(&server, &path).await.json().await.expect("updates");
    assert_eq!(newer, [two]);
}

async fn get(server: &Server, path: &str) -> Response {
    let response = client::get(server, path).await;
    assert_eq!(response.status(), 200, "the status of GET {path}");
    assert_kind(&response, "application/json");
    response
}
