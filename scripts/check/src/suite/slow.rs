//! What takes its time by the contract.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future;
use tokio::{time::Instant, time::sleep, time::sleep_until};

use lab::client::{Client, idle, newest_id, path, publish, publish_all, request_of};
use lab::raw::{Raw, frame};
use lab::server::{Server, is_other};
use lab::time::{SOON, late, within};

use super::ending::settled;

/// How long a silent client may be held.
const MINUTE: Duration = Duration::from_secs(60);

/// Its connection is free after a minute, also when what it was told never fits through.
pub async fn a_client_that_no_longer_reads(name: &'static str) {
    const STUCK: usize = 8;
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    publish_all(&server, vec!["x".repeat(4_000); 1_000]).await;
    let before = settled(&server).await;
    let mut stuck = Vec::new();
    for _ in 0..STUCK {
        let mut client = Raw::connect_small(&server).await;
        client.send(request_of(name, &format!("{}?after={seen}", path(name)), "")).await;
        assert!(client.any_within(SOON).await, "an answer begins");
        stuck.push(client);
    }
    // As a minute is counted from the last byte that went out, which may be a while ahead.
    server.open_files_until(MINUTE + Duration::from_secs(10), |now| now <= before).await;
    drop(stuck);
    publish(&server, "it goes on").await;
}

/// The connection is not kept for somebody who may never come back. (Ours says `408`, and why.)
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
        if !is_other() {
            let response = client.response().await;
            assert_eq!(response.status(), 408, "{row}: {}", response.head);
            assert_eq!(response.header("cache-control"), Some("no-cache"), "{}", response.head);
            let why = String::from_utf8_lossy(&response.body);
            assert_eq!(why.lines().count(), 1, "{why:?}");
        }
        (!client.ended_within(MINUTE + Duration::from_secs(10)).await).then_some(row)
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
    let (mut all, mut answered) = (Vec::new(), 0);
    for second in 1..=SECONDS {
        let mut step = 0;
        while step < 30_000 {
            let part = client.some_of(8_192).await;
            assert!(part > 0, "it is dropped after {second} s");
            step += part;
        }
        all.extend(client.taken());
        if name == "websockets" {
            let pings = pings_in(&all);
            client.try_send(frame(0x8a, b"").repeat(pings - answered)).await;
            answered = pings;
        }
        sleep_until(start + Duration::from_secs(second)).await;
    }
    // The rest as fast as it comes, up to the last; some servers put chunks into the middle of it.
    let has_last = |end: &[u8]| memchr::memmem::find(end, b"999 xxx").is_some();
    while !has_last(&all[all.len().saturating_sub(70_000)..]) {
        let came = client.some_of(1 << 16).await;
        assert!(came > 0, "it ended after {} bytes, before the last update", all.len());
        all.extend(client.taken());
    }
    let body = unchunked(&all);
    let starts = memchr::memmem::find_iter(&body, b" xxx");
    let numbers = starts.map(|at| String::from_utf8_lossy(&body[at.saturating_sub(3)..at]));
    let numbers: Vec<_> = numbers.collect();
    let expected: Vec<_> = (0..1_000).map(|number| format!("{number:03}")).collect();
    let same = numbers.iter().zip(&expected).take_while(|(came, due)| *came == *due).count();
    assert_eq!(numbers.len(), 1_000, "updates came, the first {same} of them in order");
    assert_eq!(same, 1_000, "how many updates came in order");
}

/// How many pings a server has sent: its frames behind the head of its handshake's answer.
fn pings_in(all: &[u8]) -> usize {
    let mut rest = memchr::memmem::find(all, b"\r\n\r\n").map_or(&[][..], |end| &all[end + 4..]);
    let mut pings = 0;
    while let [first, length, more @ ..] = rest {
        let (length, more) = match (length, more) {
            (126, [a, b, more @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), more),
            (126.., _) => return pings,
            (length, more) => (usize::from(*length), more),
        };
        if more.len() < length {
            break;
        }
        pings += usize::from(*first == 0x89);
        rest = &more[length..];
    }
    pings
}

/// What stands in the chunks of a response (RFC 9112 §7.1), if it comes in chunks.
fn unchunked(all: &[u8]) -> Vec<u8> {
    let Some(end) = memchr::memmem::find(all, b"\r\n\r\n") else { return all.into() };
    let head = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
    let (mut body, mut rest) = (Vec::new(), &all[end + 4..]);
    if !head.contains("transfer-encoding: chunked") {
        return rest.into();
    }
    while let Some(line) = memchr::memmem::find(rest, b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..line]);
        let Ok(size) = usize::from_str_radix(size.split(';').next().unwrap_or("").trim(), 16)
        else {
            break;
        };
        let chunk = &rest[line + 2..];
        body.extend(&chunk[..size.min(chunk.len())]);
        rest = chunk.get(size + 2..).unwrap_or_default();
    }
    body
}

/// Of a long poll as of any other request: its client has gone, and so has what was held for it.
pub async fn a_body_that_nobody_reads(name: &'static str) {
    let server = Server::start(name).await;
    let before = settled(&server).await;
    for length in ["Content-Length: 400000", "Transfer-Encoding: chunked"] {
        let mut client = Raw::connect(&server).await;
        let lines = format!("{length}\r\n");
        client.send(request_of(name, path(name), &lines)).await;
        client.try_send(format!("61a80\r\n{}", "x".repeat(400_000))).await;
    }
    server.open_files_until(MINUTE + Duration::from_secs(10), |now| now <= before).await;
}

/// A connection over which nothing comes is free after a minute, whatever came before.
pub async fn silent_clients_are_forgotten(name: &'static str) {
    let server = Server::start(name).await;
    let page = if is_other() { "/nothing" } else { "/html/index.html" };
    let page = &format!("GET {page} HTTP/1.1\r\nHost: localhost\r\n");
    let rows = [
        String::new(),
        "G".into(),
        page.clone(),
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
        let end = client.ended_within(MINUTE + Duration::from_secs(10)).await;
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
        within(Duration::from_secs(40), "the third update", third).await;
        let expected = (1..=3).map(|number| format!("Real-Time Update {number}"));
        let updates = Client::new(&server, 0).take(3).await;
        assert!(updates.iter().map(|update| update.update.clone()).eq(expected.clone()));
        let mut printed = server.printed();
        printed.retain(|line| line.starts_with("SENT: "));
        printed.truncate(3);
        let expected = expected.map(|text| format!("SENT: {text}"));
        assert!(printed.iter().eq(&expected.collect::<Vec<_>>()), "it printed {printed:?}");
        [updates[1].id - updates[0].id, updates[2].id - updates[1].id]
    });
    let waits = future::join_all(servers).await;
    let all = waits.as_flattened();
    assert!(all.iter().all(|wait| (2_000_000..12_000_000).contains(wait)), "{waits:?}");
    let whole = all.iter().filter(|wait| *wait % 1_000_000 < 300_000).count();
    late(); // these need a machine that has time
    assert!(whole > all.len() / 2, "whole seconds: {waits:?}");
    let seconds = |wait: &u64| (wait + 500_000) / 1_000_000;
    let different = all.iter().map(seconds).collect::<BTreeSet<_>>();
    assert!(different.len() > 1, "each server has waits of its own: {waits:?}");
    let anew = waits.iter().filter(|[one, next]| one.abs_diff(*next) > 700_000).count();
    assert!(anew > 2, "each wait is drawn anew: {waits:?}"); // two in a row may be alike
}

/// Only the first is made; then everything that comes is somebody's message.
pub async fn quiet(name: &'static str) {
    let server = Server::start(name).await;
    sleep_until(Instant::now() + Duration::from_secs(10)).await; // the longest wait is 9
    publish(&server, "a message").await;
    let texts = Client::new(&server, 0).texts_until("a message").await;
    assert_eq!(texts, ["Real-Time Update 1", "a message"]);
    let mut printed = server.printed();
    printed.retain(|line| line.starts_with("SENT: "));
    assert_eq!(printed, ["SENT: Real-Time Update 1"], "what is printed with QUIET=1");
    let loud = Server::start_with(name, &[("QUIET", "")]).await;
    sleep(Duration::from_secs(12)).await;
    assert!(loud.printed().len() > 2, "only QUIET=1 says so: {:?}", loud.printed());
}
