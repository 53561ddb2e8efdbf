//! Nothing is lost silently: whoever misses something is told, once, just before what is kept.

use lab::client::{Client, newest_id, publish, publish_all};
use lab::server::Server;

/// More than 1,000 updates were made meanwhile. (Whether one who comes with 0 misses something, no
/// sentence says.)
pub async fn away_for_too_long_is_told(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let sent = publish_all(&server, (1..=1_003).map(|number| format!("message {number}"))).await;
    let cursors = [(seen, 1), (sent[1].id, 1), (sent[2].id, 0)];
    let mut clients = cursors.map(|(after, gaps)| (Client::new(&server, after), after, gaps));
    for (client, after, gaps) in &mut clients {
        let received = client.take(1_000).await;
        assert!(received == sent[3..], "after {after} comes {:?} first", received[0]);
        assert_eq!(
            client.gaps(),
            *gaps,
            "gaps told after {after}; {} is the oldest kept",
            sent[3].id
        );
        if name.ends_with("polling") {
            let said = client.said_of_gaps().iter().map(|said| said.trim()).collect::<Vec<_>>();
            assert!(
                said.iter().all(|said| *said == "true"),
                "Feed-Gap: {said:?} is told, not true"
            );
        }
    }
    let next = publish(&server, "next").await;
    for (client, after, gaps) in &mut clients {
        assert_eq!(client.next().await, next, "after {after}");
        assert_eq!(client.gaps(), *gaps, "it is told once, after {after}");
    }
}

/// A cursor from before a restart: what was made after it, and lost, nobody knows.
pub async fn a_restart_is_told(name: &'static str) {
    let server = Server::start(name).await;
    let seen = publish(&server, "before").await.id;
    drop(server);
    let server = Server::start(name).await;
    publish(&server, "after").await;
    let mut client = Client::new(&server, seen);
    client.texts_until("after").await;
    assert_eq!(client.gaps(), 1, "gaps told after {seen}, which is from before the start");
}
