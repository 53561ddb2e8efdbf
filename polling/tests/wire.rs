//! What goes over the wire, tried on the real binary: polling's own lines here, and what is the
//! same for all four in `lab::suite`.

use lab::client::{newest_id, publish};
use lab::{Server, Update};
use reqwest::Response;
use serde_json::{Value, json};

lab::common_tests!("polling");

#[test]
fn all_that_takes_its_time() {
    lab::run(lab::together(lab::suite::slow::parts("polling")));
}

/// `GET /`: at once, the newest update; there always is one.
#[test]
fn the_newest() {
    lab::run(async {
        let server = Server::start("polling").await;
        let first: Value = get(&server, "/").await.json().await.expect("JSON");
        let expected = json!({"id": first["id"], "update": "Real-Time Update 1"});
        assert_eq!(first, expected, "an update, and nothing else");
        for text in ["one", "two"] {
            let published = publish(&server, text).await;
            let newest: Update = get(&server, "/").await.json().await.expect("an update");
            assert_eq!(newest, published);
        }
        let newest: Update = get(&server, "/?after=0").await.json().await.expect("an update");
        assert_eq!(newest.update, "two", "whatever else is asked");
    });
}

/// `GET /api/messages`: all that is kept, oldest first.
#[test]
fn all_that_is_kept() {
    lab::run(async {
        let server = Server::start("polling").await;
        let one = publish(&server, "one").await;
        let two = publish(&server, "two").await;
        let all: Vec<Update> = get(&server, "/api/messages").await.json().await.expect("updates");
        assert_eq!(all[0].update, "Real-Time Update 1");
        assert_eq!(all[1..], [one, two]);
    });
}

/// `?after=ID`: only what is newer, at once, even when that is nothing.
#[test]
fn only_what_is_newer() {
    lab::run(async {
        let server = Server::start("polling").await;
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
    });
}

async fn get(server: &Server, path: &str) -> Response {
    let response = lab::soon("an answer", reqwest::get(server.url(path))).await;
    let response = response.expect("an answer");
    assert_eq!(response.status(), 200, "{path}");
    assert_eq!(response.headers()["content-type"], "application/json", "{path}");
    response
}
