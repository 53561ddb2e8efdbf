//! Ids, and a client that comes back with the last one it saw.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::watch;

use lab::client::{Client, Update, newest_id, path, publish, publish_all, request_of};
use lab::{cutter::Cutter, raw::Raw, server::Server, time::seeded};

/// They order updates, date them, and fit a JavaScript number.
pub async fn ids_grow_and_are_the_time_in_microseconds(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let before = micros_now();
    let sent = publish_all(&server, (0..100).map(|number| format!("number {number}"))).await;
    let after = micros_now();
    let are_times = sent.iter().all(|update| (before..=after).contains(&update.id));
    assert!(
        are_times,
        "microseconds have 16 digits; ids came from {:?} on, it was {before}",
        sent[0]
    );
    assert!(after < 1 << 53);
    let received = Client::new(&server, seen).take(100).await;
    assert_eq!(received, sent, "the same for everybody");
    assert!(received.is_sorted_by(|one, next| one.id < next.id), "{received:?}");
}

fn micros_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    now.as_micros().try_into().expect("it is long until then")
}

/// Ids go on growing, so that the old cursor misses nothing of the new process.
pub async fn a_cursor_holds_over_a_restart(name: &'static str) {
    let server = Server::start(name).await;
    let seen = publish(&server, "before").await.id;
    server.stop().await;

    let server = Server::start(name).await;
    let mut client = Client::new(&server, seen);
    publish(&server, "after").await;
    assert_eq!(client.texts_until("after").await, ["Real-Time Update 1", "after"]);
}

/// It was given by a server whose clock was ahead. What was made after it then, and lost, nobody
/// knows: so everything that is kept comes, after a gap.
pub async fn a_cursor_beyond_the_newest_is_told_a_gap(name: &'static str) {
    let server = Server::start(name).await;
    let newest = newest_id(&server).await;
    let everything = ["Real-Time Update 1", "where are we"];
    // With an engine the next id may be another server's update that this one does not have yet.
    let hour = if env::var_os("REDIS_URL").is_some() { 3_600_000_000 } else { 0 };
    let beyond = (newest + 1 + hour).to_string();
    for cursor in ["0", "00", &beyond, "9007199254740993", &"9".repeat(19), &"9".repeat(100)] {
        let mut client = Client::at(name, server.port(), cursor);
        assert_eq!(client.texts_until("where are we").await, everything, "after={cursor}");
        let is_beginning = cursor.chars().all(|digit| digit == '0');
        assert_eq!(client.gaps(), usize::from(!is_beginning), "gaps told after={cursor}");
    }
    let mut client = Client::new(&server, newest);
    publish(&server, "next").await;
    assert_eq!(client.texts_until("next").await, ["next"], "the newest itself is not beyond");
    let mut client = Client::new(&server, newest - 1);
    assert_eq!(client.texts_until("next").await, ["where are we", "next"]);
}

/// 400, and why in one line.
pub async fn what_is_no_id_is_refused(name: &'static str) {
    let server = Server::start(name).await;
    let rows = [
        "-1", "x", "1.5", "", "+1", "%2B1", "%201", "1%20", "1e3", "0x1", "1_000", "1,000", "NaN",
        "%D9%A1", "%FF", "null", "1%00", "-0",
    ];
    for cursor in rows {
        let mut connection = Raw::connect(&server).await;
        let path = format!("{}?after={cursor}", path(name));
        connection.send(request_of(name, &path, "")).await;
        let response = connection.response().await;
        assert_eq!(response.status(), 400, "after={cursor}");
        let why = String::from_utf8(response.body.clone()).expect("it is text");
        assert_eq!(why.lines().count(), 1, "after={cursor} is refused with {why:?}");
        let kind = response.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/plain"), "after={cursor}: {kind}");
    }
    // Another word of the query is nobody's business.
    let mut connection = Raw::connect(&server).await;
    connection.send(request_of(name, &format!("{}?after=0&before=x", path(name)), "")).await;
    assert!([200, 101].contains(&head_status(&mut connection).await));
}

async fn head_status(connection: &mut Raw) -> u16 {
    connection.until("\r\n").await[9..12].parse().expect("a status")
}

/// Whoever was away for longer goes on from the oldest kept, and misses nothing from there.
pub async fn the_newest_1000_are_kept(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let sent = publish_all(&server, (1..=1_100).map(|number| format!("message {number}"))).await;
    let last = sent[1_099].id;
    for after in [0, seen, sent[0].id, sent[98].id, sent[99].id] {
        let mut client = Client::new(&server, after);
        let received = client.take(1_000).await;
        assert!(received == sent[100..], "after {after} comes {:?} first", received[0]);
    }
    let mut client = Client::new(&server, sent[100].id);
    assert!(client.take(999).await == sent[101..], "one of them was seen");
    let next = publish(&server, "next").await;
    assert_eq!(client.next().await, next);
    assert_eq!(Client::new(&server, last).next().await, next);
}

/// Five hundred updates, over connections that are cut after a few bytes, in the middle of an
/// update, of a header: every update comes exactly once, in order.
pub async fn cut_off_at_random_moments_misses_nothing(name: &'static str) {
    const UPDATES: usize = 500;
    let mut random = seeded();
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let cutter = Cutter::start(server.port(), StdRng::from_rng(&mut random)).await;

    let mut client = Client::at(name, cutter.port, &seen.to_string());
    let (progress, mut behind) = watch::channel(0);
    let receive = async {
        let mut received: Vec<Update> = Vec::new();
        while received.len() < UPDATES {
            if let Ok(update) = client.try_next().await {
                received.push(update);
                progress.send_replace(received.len());
            }
        }
        received
    };
    let send = async {
        let mut sent = Vec::new();
        while sent.len() < UPDATES {
            let burst = random.random_range(1..=20).min(UPDATES - sent.len());
            let texts: Vec<_> = (sent.len()..sent.len() + burst)
                .map(|number| format!("{number} {}", "x".repeat(random.random_range(0..100))))
                .collect();
            sent.extend(publish_all(&server, texts).await);
            // What polling asks for in one response must fit through a connection now and then.
            let last = sent.len();
            let _ = behind.wait_for(|received| received + 40 > last).await;
        }
        sent
    };
    let (received, published) = tokio::join!(receive, send);
    assert_eq!(received, published);
    // No other comes before these; and so on up to the fifth cut, wherever chance has put it.
    loop {
        let next = publish(&server, &"x".repeat(1_000)).await;
        let received = loop {
            if let Ok(update) = client.try_next().await {
                break update;
            }
        };
        assert_eq!(received, next);
        if cutter.cuts() >= 5 {
            break;
        }
    }
}
