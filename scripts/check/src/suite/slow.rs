//! What takes its time by the contract.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future;
use tokio::{sync::watch, time::Instant, time::sleep, time::sleep_until};

use lab::client::{Client, idle, newest_id, path, publish, publish_all, request, request_of};
use lab::time::within;
use lab::{raw::Raw, server::Server};

/// How long a silent client may be held.
const MINUTE: Duration = Duration::from_secs(60);

/// While 10 MB are published, clients that do not read cost the server little memory and the
/// others nothing, and after a minute they are gone.
pub async fn a_client_that_no_longer_reads(name: &'static str) {
    const UPDATES: usize = 2_500;
    const STUCK: usize = 8;
    /// KiB: the 1,000 newest updates are 4,000 of it, and a response with all of them takes as
    /// much for each client. A queue of 10 MB for each of them would not fit.
    const ROOM: u64 = 60 * 1024;
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let mut good = Client::new(&server, seen);
    let (before, memory) = (server.open_files(), server.memory());
    let start = Instant::now();
    let (mut stuck, mut held) = (Vec::new(), false);
    for _ in 0..STUCK {
        let mut client = Raw::connect_small(&server).await;
        client.send(request(name)).await;
        stuck.push(client);
    }

    let (progress, mut behind) = watch::channel(0);
    let receive = async {
        for number in 1..=UPDATES {
            let update = good.next().await.update;
            assert!(update.starts_with(&format!("{number} ")), "{number} is next, not {update}");
            progress.send_replace(number);
        }
    };
    let send = async {
        for numbers in (1..=UPDATES).collect::<Vec<_>>().chunks(250) {
            let texts = numbers.iter().map(|number| format!("{number} {}", "x".repeat(4_000)));
            publish_all(&server, texts).await;
            let last = numbers[numbers.len() - 1];
            let _ = behind.wait_for(|received| received + 250 > last).await;
            let grown = server.memory().saturating_sub(memory);
            held |= server.open_files() >= before + STUCK; // on a busy machine not to the end
            assert!(grown < ROOM, "grown by {grown} KiB when {last} were published");
            if ["polling", "long-polling"].contains(&name) {
                for client in &mut stuck {
                    client.try_send(request_of(name, &format!("{}?after=0", path(name)), "")).await;
                }
            }
        }
    };
    let all = Box::pin(future::join(receive, send));
    within(Duration::from_secs(80), "10 MB are published", all).await;
    drop(good);
    let rest = MINUTE.saturating_sub(start.elapsed()).max(Duration::from_secs(10));
    assert!(held, "the server held those that do not read");
    server.open_files_until(rest, |now| now <= before).await;
    drop(stuck);
    publish(&server, "it goes on").await;
    server.stop().await;
}

/// `408`, and the connection is not kept for somebody who may never come back.
pub async fn a_body_that_never_comes(name: &'static str) {
    let server = Server::start(name).await;
    let head =
        "POST /api/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let rows = [
        format!("{head}Content-Length: 100\r\n\r\n"),
        format!("{head}Content-Length: 100\r\n\r\n{{\"update\":\"x\"}}"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"upd"),
    ];
    let clients = rows.iter().map(async |row| {
        let mut client = Raw::connect(&server).await;
        client.send(row).await;
        let response = client.response().await;
        assert_eq!(response.status(), 408, "{row}: {}", response.head);
        assert_eq!(response.header("cache-control"), Some("no-cache"), "{}", response.head);
        let why = String::from_utf8_lossy(&response.body);
        assert_eq!(why.lines().count(), 1, "{why:?}");
        (!client.ended_within(MINUTE).await).then_some(row)
    });
    let stay: Vec<_> = future::join_all(clients).await.into_iter().flatten().collect();
    assert!(stay.is_empty(), "these are still connected after a minute: {stay:#?}");
    publish(&server, "it goes on").await;
}

/// Whoever reads is alive: 4 MB behind, with a small buffer, at 30 KB a second. It is not dropped
/// while it does so for longer than any time limit, and gets everything.
pub async fn a_client_that_catches_up_slowly(name: &'static str) {
    const SECONDS: u64 = 45;
    let server = Server::start(name).await;
    let texts = (0..1_000).map(|number| format!("{number:03} {}", "x".repeat(4_000)));
    let sent = publish_all(&server, texts).await;
    let mut client = Raw::connect_small(&server).await;
    client.send(request_of(name, &format!("{}?after={}", path(name), sent[0].id - 1), "")).await;
    let start = Instant::now();
    for second in 1..=SECONDS {
        let mut step = 0;
        while step < 30_000 {
            let part = client.some_of(8_192).await;
            assert!(part > 0, "it is dropped after {second} s");
            step += part;
        }
        sleep_until(start + Duration::from_secs(second)).await;
    }
    // The rest as fast as it comes, up to the last; a WebSocket's client answers no ping here.
    let last = format!("999 {}", "x".repeat(4_000));
    let all = client.until(&last).await;
    for number in 800..999 {
        assert_eq!(all.matches(&format!("{number} xxx")).count(), 1, "update {number}");
    }
}

/// Of a long poll as of any other request: its client has gone, and so has what was held for it.
pub async fn a_body_that_nobody_reads(name: &'static str) {
    let server = Server::start(name).await;
    let before = server.open_files();
    for length in ["Content-Length: 400000", "Transfer-Encoding: chunked"] {
        let mut client = Raw::connect(&server).await;
        let lines = format!("{length}\r\n");
        client.send(request_of(name, path(name), &lines)).await;
        client.try_send(format!("61a80\r\n{}", "x".repeat(400_000))).await;
    }
    server.open_files_until(Duration::from_secs(10), |now| now <= before).await;
}

/// A connection over which nothing comes is free after a minute, whatever came before.
pub async fn silent_clients_are_forgotten(name: &'static str) {
    let server = Server::start(name).await;
    let page = "GET /html/index.html HTTP/1.1\r\nHost: localhost\r\n";
    let rows = [
        String::new(),
        "G".into(),
        page.into(),
        format!("{page}\r\n"),
        format!("{page}\r\n{page}"),
        format!("{page}Content-Length: 100\r\n\r\n"),
        format!("{page}Content-Length: 100\r\n\r\nx"),
        "POST /api/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n".into(),
        "POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
        format!("{page}Transfer-Encoding: chunked\r\n\r\n5\r\nx"),
    ];
    let clients = rows.iter().map(async |row| {
        let mut client = Raw::connect(&server).await;
        client.send(row).await;
        let end = client.ended_within(MINUTE).await;
        (!end).then_some(row)
    });
    let stay: Vec<_> = future::join_all(clients).await.into_iter().flatten().collect();
    assert!(stay.is_empty(), "these are still connected after a minute: {stay:#?}");
    let _ = idle(&server).await;
}

/// 1 at the start, then 2, 3, … each after a new random wait of 2 to 9 whole seconds; each is
/// printed. The ids say when, whatever else the machine does meanwhile.
pub async fn generated_updates(name: &'static str) {
    let servers = (0..8).map(async |_| {
        let mut server = Server::start_with(name, &[]).await;
        let third = server.prints(|line| line == "SENT: Real-Time Update 3");
        within(Duration::from_secs(30), "the third update", third).await;
        let expected = (1..=3).map(|number| format!("Real-Time Update {number}"));
        let updates = Client::new(&server, 0).take(3).await;
        assert!(updates.iter().map(|update| update.update.clone()).eq(expected.clone()));
        assert!(
            server.printed()[1..]
                .iter()
                .eq(&expected.map(|text| format!("SENT: {text}")).collect::<Vec<_>>())
        );
        [updates[1].id - updates[0].id, updates[2].id - updates[1].id]
    });
    let waits = future::join_all(servers).await;
    let all = waits.as_flattened();
    assert!(all.iter().all(|wait| (2_000_000..12_000_000).contains(wait)), "{waits:?}");
    let whole = all.iter().filter(|wait| *wait % 1_000_000 < 300_000).count();
    assert!(whole > all.len() / 2, "whole seconds: {waits:?}");
    let seconds = |wait: &u64| wait / 1_000_000;
    let different = all.iter().map(seconds).collect::<BTreeSet<_>>();
    assert!(different.len() > 1, "each server has waits of its own: {waits:?}");
    let anew = waits.iter().any(|[one, next]| seconds(one) != seconds(next));
    assert!(anew, "each wait is drawn anew: {waits:?}");
}

/// Only the first is made; then everything that comes is somebody's message.
pub async fn quiet(name: &'static str) {
    let server = Server::start(name).await;
    sleep_until(Instant::now() + Duration::from_secs(10)).await; // the longest wait is 9
    publish(&server, "a message").await;
    let texts = Client::new(&server, 0).texts_until("a message").await;
    assert_eq!(texts, ["Real-Time Update 1", "a message"]);
    assert_eq!(server.printed()[1..], ["SENT: Real-Time Update 1"]);
    let loud = Server::start_with(name, &[("QUIET", "")]).await;
    sleep(Duration::from_secs(10)).await;
    assert!(loud.printed().len() > 2, "only QUIET=1 says so: {:?}", loud.printed());
}
