//! Nothing that a client sends can make a server panic, hang, or grow without bound.

use std::time::Duration;

use rand::{Rng as _, RngExt as _};

use lab::client::{
    Client, idle, message, newest_id, path, publish, publish_all, request, request_of, send,
};
use lab::raw::Raw;
use lab::server::{Server, is_other};
use lab::{seeded, soon};
use tokio::time::{sleep, timeout};

use super::basic::{listener, reaches};

/// KiB by which a server may grow while strangers try what they like.
const ROOM: u64 = 64 * 1024;

/// Whatever comes over a connection, the next one is answered.
pub async fn random_bytes(name: &'static str) {
    let mut random = seeded();
    let server = Server::start(name).await;
    let before = server.open_files();
    for _ in 0..200 {
        let mut bytes = vec![0; random.random_range(0..5_000)];
        random.fill_bytes(&mut bytes);
        let mut connection = Raw::connect(&server).await;
        connection.try_send(&bytes).await;
        if random.random_bool(0.5) {
            connection.reset();
        }
    }
    assert_well(server, before).await;
}

/// A request that is almost right gets further than random bytes do.
pub async fn random_changes_to_a_request(name: &'static str) {
    let mut random = seeded();
    let server = Server::start(name).await;
    let before = server.open_files();
    let message = "{\"update\":\"x\",\"event\":\"y\"}";
    let requests = [
        request_of(
            name,
            &format!("{}?after=1", path(name)),
            "Last-Event-ID: 1\r\nPrefer: wait=1\r\n",
        ),
        request_of(
            name,
            "/websocket",
            "Sec-WebSocket-Protocol: json\r\nOrigin: http://[::1]:1\r\n",
        ),
        format!(
            "POST /api/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
            Content-Length: {}\r\n\r\n{message}",
            message.len()
        ),
        format!(
            "POST /api/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
            Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{message}\r\n0\r\n\r\n",
            message.len()
        ),
        "GET /html/../public/%2e?x=%zz HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-1,5-\r\n\r\n"
            .into(),
    ];
    for round in 0..400 {
        let mut bytes = requests[round % requests.len()].clone().into_bytes();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..4) {
                0 => bytes[at] = random.random(),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(
                    at,
                    *b"\r\n\0%:,;=\"\xff".get(random.random_range(0..10)).expect("ten"),
                ),
                _ => {
                    let part = bytes[at..].to_vec();
                    bytes.extend(part);
                }
            }
        }
        let mut connection = Raw::connect(&server).await;
        connection.try_send(&bytes).await;
    }
    assert_well(server, before).await;
}

/// Whoever asks again and again without reading the answers fills their own connection only.
pub async fn requests_without_reading_the_answers(name: &'static str) {
    let server = Server::start(name).await;
    publish_all(&server, vec!["x".repeat(4_000); 1_000]).await;
    let seen = newest_id(&server).await;
    drop(Client::new(&server, 0).take(1_000).await); // what one reader costs is no growth
    let (before, memory) = (server.open_files(), server.memory());
    let requests = request_of(name, &format!("{}?after=0", path(name)), "").repeat(100);
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Raw::connect_small(&server).await;
        client.try_send(&requests).await;
        clients.push(client);
    }
    let mut good = Client::new(&server, seen);
    for number in 0..100 {
        let update = publish(&server, &number.to_string()).await;
        assert_eq!(good.next().await, update, "the others are not disturbed");
        let grown = server.memory().saturating_sub(memory);
        assert!(grown < ROOM, "grown by {grown} KiB");
    }
    drop((good, clients));
    assert_well(server, before).await;
}

/// At the system's limit on open files nothing panics, those connected are served, and new ones
/// as soon as there is room again.
pub async fn more_clients_than_files(name: &'static str) {
    let server = Server::start_limited(name, 100).await;
    let before = server.open_files();

    let mut listener = idle(&server).await;
    let mut sender = Raw::connect(&server).await;
    let body = r#"{"update":"the room is full"}"#;
    let full = format!(
        "POST /api/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    sender.send(&full).await;
    let answer = sender.response().await;
    assert!(answer.status() < 300, "before the room is full");
    let mut crowd = Vec::new();
    for _ in 0..300 {
        // The system accepts it, not the server yet; where few may wait, the system does not either.
        let address = server.address();
        let client = timeout(Duration::from_millis(200), Raw::to(&address)).await;
        let Ok(mut client) = client else { break };
        client.try_send(request(name)).await;
        crowd.push(client);
    }
    if !is_other() {
        sender.send("GET /html/index.html HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let page = sender.response().await;
        assert!([200, 503].contains(&page.status()), "there is such a page: {}", page.head);
    }
    if !is_other() || !answer.closes() {
        sender.send(&full).await;
        assert!(sender.response().await.status() < 300, "who is connected is served");
        if name == "polling" {
            listener.send(request(name)).await;
        }
        listener.until("the room is full").await;
    }

    drop((crowd, sender, listener));
    if is_other() {
        // It may refuse whoever comes before there is room.
        let body = r#"{"update":"is there room?"}"#;
        let is_room = async {
            while send(message(&server, body)).await.is_err() {
                sleep(Duration::from_millis(50)).await; // nobody tells
            }
        };
        soon("an answer, when the others have gone", is_room).await;
    }
    assert_well(server, before).await;
}

/// It answers, has forgotten everybody, and ends as it should; nothing panicked.
pub async fn assert_well(server: Server, open_files: usize) {
    reaches(&server, &mut listener(&server).await).await;
    if is_other() {
        return; // whether it forgets them, and how it ends, is asked elsewhere
    }
    server.open_files_until(Duration::from_secs(20), |now| now <= open_files).await;
    let status = server.stop().await; // asserts that it didn't panic
    assert_eq!(status.code(), Some(0), "{status}");
}
