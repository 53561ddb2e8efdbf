//! Ids, and a client that comes back with the last one it saw.

use std::env;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::timeout;
use tokio::{sync::watch, task::yield_now};

use lab::client::{Client, Update, answer, newest_id, path, publish, publish_all, request_of};
use lab::{cutter::Cutter, raw::Raw, seeded, server::Server, time::late, time::soon};

/// They date updates, and fit a JavaScript number. A clock that is read in milliseconds does; the
/// server may also be another machine.
pub async fn ids_are_the_time_in_microseconds(name: &'static str) {
    const MINUTE: u64 = 60_000_000;
    let server = Server::start(name).await;
    let before = micros_now();
    let sent = publish_all(&server, (0..100).map(|number| format!("number {number}"))).await;
    let times = before - MINUTE..=micros_now() + MINUTE;
    for update in &sent {
        assert!(times.contains(&update.id), "the id {}; it was {before}", update.id);
        assert!(update.id < 1 << 53, "the id {} is no JavaScript number", update.id);
    }
    assert!(sent.is_sorted_by(|one, next| one.id < next.id), "{sent:?}");
}

fn micros_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    now.as_micros().try_into().expect("it is long until then")
}

/// So that an old cursor misses nothing of the new process.
pub async fn ids_grow_over_a_restart(name: &'static str) {
    let server = Server::start(name).await;
    let before = publish(&server, "before").await.id;
    drop(server);
    let server = Server::start(name).await;
    let after = publish(&server, "after").await.id;
    assert!(after > before, "the id {before} before a restart, {after} after it");
}

/// What is newer than the cursor, then what comes, and none of it twice.
pub async fn what_is_newer_then_what_comes(name: &'static str) {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let mut expected = publish_all(&server, ["one", "two", "three"]).await;
    let mut client = Client::new(&server, seen);
    assert_eq!(client.take(3).await, expected, "what is newer than after={seen}");
    expected = publish_all(&server, ["four", "five"]).await;
    assert_eq!(client.take(2).await, expected, "what came then");
}

/// Between the moment in which a server looks what is newer and the one from which it waits, an
/// update may come. Somebody publishes just then, again and again: each comes, without another one
/// that would wake whoever waits.
pub async fn nothing_falls_between_look_and_wait(name: &'static str) {
    let mut random = seeded();
    let server = Server::start(name).await;
    let mut client = Client::new(&server, newest_id(&server).await);
    let http = lab::client::http();
    let start = Instant::now();
    // One that looks by itself now and then takes its time: ten seconds of it are enough.
    for number in 0..2_000 {
        if start.elapsed() > Duration::from_secs(10) {
            return;
        }
        let text = number.to_string();
        let message = serde_json::json!({ "update": text });
        let steps = random.random_range(0..12);
        let publish = async {
            for _ in 0..steps {
                yield_now().await;
            }
            answer(http.post(server.url("/api/messages")).json(&message)).await
        };
        let came = timeout(Duration::from_secs(2), client.next());
        let (answer, came) = tokio::join!(publish, came);
        let cursor = answer.json::<Update>().await.expect("an update").id;
        if let Ok(came) = came {
            assert_eq!(came.update, text, "the update that was published next");
            continue;
        }
        // Is it the machine? Then another client would have to wait for it too.
        let mut other = Client::new(&server, cursor - 1);
        let is_there = timeout(Duration::from_secs(2), other.next()).await.is_ok();
        let came = timeout(Duration::from_secs(3), client.next()).await.is_ok();
        if came || !is_there {
            late();
        }
        panic!(
            "{number} updates came, each at once; one more, which was published while the server \
             began to wait, {}",
            if came { "came late" } else { "did not come: others have it" }
        );
    }
}

/// It was given by a server whose clock was ahead. What was made after it then, and lost, nobody
/// knows: so everything that is kept comes, after a gap.
pub async fn a_cursor_beyond_the_newest_is_told_a_gap(name: &'static str) {
    let server = Server::start(name).await;
    let newest = newest_id(&server).await;
    let from = async |cursor: &str| {
        let mut client = Client::from(name, server.address(), cursor);
        (client.texts_until("where are we").await, client.gaps())
    };
    let (everything, _) = from("0").await;
    // With an engine the next id may be another server's update that this one does not have yet.
    let hour = if env::var_os("REDIS_URL").is_some() { 3_600_000_000 } else { 0 };
    let beyond = (newest + 1 + hour).to_string();
    for cursor in ["00", &beyond, "9007199254740993", &"9".repeat(19), &"9".repeat(100)] {
        let (came, gaps) = from(cursor).await;
        assert_eq!(came, everything, "after={cursor}");
        let is_beginning = cursor.chars().all(|digit| digit == '0');
        assert!(is_beginning || gaps == 1, "{gaps} gaps are told after={cursor}");
    }
    let mut client = Client::new(&server, newest);
    publish(&server, "next").await;
    assert_eq!(client.texts_until("next").await, ["next"], "the newest itself is not beyond");
    let mut client = Client::new(&server, newest - 1);
    assert_eq!(client.texts_until("next").await, ["where are we", "next"]);
}

/// Only digits are a whole number.
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
    let cutter = Cutter::start(server.address(), StdRng::from_rng(&mut random)).await;

    let mut client = Client::at(name, cutter.port, &seen.to_string());
    let (progress, mut behind) = watch::channel(0);
    let receive = async {
        let mut received: Vec<Update> = Vec::new();
        while received.len() < UPDATES {
            received
                .push(soon("the next update, whatever is cut", whatever_is_cut(&mut client)).await);
            progress.send_replace(received.len());
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
        let received = soon("the next update, whatever is cut", whatever_is_cut(&mut client)).await;
        assert_eq!(received, next);
        if cutter.cuts() >= 5 {
            break;
        }
    }
}

/// The next update, by as many connections as it takes.
async fn whatever_is_cut(client: &mut Client) -> Update {
    loop {
        if let Ok(update) = client.try_next().await {
            return update;
        }
    }
}
