//! A client that publishes without pause does not outrun those who read; and one that does not read
//! costs little.

use futures_util::future;
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::OwnedWriteHalf;

use lab::client::{Client, newest_id, path, publish, publish_all, request, request_of};
use lab::raw::{Raw, frame};
use lab::server::{Server, is_other};
use lab::time::{late, soon};

/// By frames in one go, or by requests over four connections: whoever reads gets all of it, the
/// sender included. Between two requests of polling or of long polling nobody waits for their client,
/// so that on a busy machine it may be told of a gap; but nothing is lost silently. With a stream
/// nobody may be told of one; but a machine that has other things to do may have three tries.
pub async fn a_burst_is_for_everyone_who_reads(name: &'static str) {
    a_burst(name, 2_400, name == "websockets").await;
}

/// The same to ours by requests in one go, which another server need not take.
pub async fn a_burst_in_one_go(name: &'static str) {
    a_burst(name, 5_000, true).await;
}

async fn a_burst(name: &'static str, burst: usize, in_one_go: bool) {
    let mut came = Vec::new();
    while came.len() < 3 {
        let received = received_of_a_burst(name, burst, in_one_go).await;
        for (ids, gaps) in &received {
            assert!(ids.is_sorted_by(|one, next| one < next), "in order, each once");
            assert_eq!(ids.len() == burst, *gaps == 0, "{} received, {gaps} gaps told", ids.len());
        }
        came.push(received.iter().map(|(ids, _)| ids.len()).collect::<Vec<_>>());
        if came.last().is_some_and(|counts| counts.iter().all(|count| *count == burst)) {
            return;
        }
    }
    if !["polling", "long-polling"].contains(&name) {
        late();
        panic!("of {burst} in one go each client received, in each of three tries: {came:?}");
    }
}

/// The ids that each of four clients received of a burst, and how often it was told of a gap.
async fn received_of_a_burst(
    name: &'static str,
    burst: usize,
    in_one_go: bool,
) -> Vec<(Vec<u64>, usize)> {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let mut readers: Vec<_> = (0..4).map(|_| Client::new(&server, seen)).collect();
    // A reader that connects while the burst is under way may rightly be told of a gap.
    let marker = publish(&server, "before the burst").await;
    for reader in &mut readers {
        assert_eq!(reader.next().await, marker, "each reader is connected");
    }
    let send = async {
        if in_one_go {
            Some(send_in_one_go(&server, burst).await)
        } else {
            let part = || publish_all(&server, (0..burst / 4).map(|number| number.to_string()));
            future::join_all([part(), part(), part(), part()]).await;
            publish(&server, THE_END).await;
            None
        }
    };
    let read = future::join_all(readers.iter_mut().map(async |reader| {
        let mut ids = Vec::new();
        loop {
            let next = reader.next().await;
            if next.update == THE_END {
                return ids;
            }
            ids.push(next.id);
        }
    }));
    let (received, _connection) = future::join(read, send).await;
    received.into_iter().zip(&readers).map(|(ids, reader)| (ids, reader.gaps())).collect()
}

/// What is published last.
const THE_END: &str = "the end";

/// Frames, or pipelined requests. It reads what comes back, as fast as it comes, while it sends. What
/// comes back here is its connection, which goes on.
async fn send_in_one_go(server: &Server, burst: usize) -> OwnedWriteHalf {
    let name = server.name();
    let mut sender = Raw::connect(server).await;
    let texts = (0..burst).map(|number| number.to_string()).chain([THE_END.to_owned()]);
    let bytes: Vec<u8> = if name == "websockets" {
        sender.send(request(name)).await;
        assert_eq!(sender.response().await.status(), 101);
        texts.flat_map(|text| frame(0x81, text.as_bytes())).collect()
    } else {
        let message = |text| {
            let body = format!(r#"{{"update":"{text}"}}"#);
            let length = body.len();
            format!(
                "POST /api/messages HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        };
        texts.flat_map(|text| message(text).into_bytes()).collect()
    };
    let (mut from, mut to) = sender.into_halves();
    tokio::spawn(async move { tokio::io::copy(&mut from, &mut tokio::io::sink()).await });
    for part in bytes.chunks(4_096) {
        soon("the server takes more", to.write_all(part)).await.expect("it takes them");
    }
    to
}

/// KiB by which another server's memory may grow by itself: one that collects its garbage does so
/// when it likes. Ours do not.
fn by_itself() -> u64 {
    if is_other() { 48 * 1024 } else { 0 }
}

/// Whatever it asked for: 1,000 updates of 4 KB are there for each client, which read nothing. A
/// client that catches up gets everything all the same.
pub async fn answers_that_nobody_reads_cost_little(name: &'static str) {
    /// KiB: what the contract allows for each.
    const EACH: u64 = 128;
    let clients = if is_other() { 60 } else { 30 };
    let server = Server::start(name).await;
    let sent = publish_all(&server, vec!["x".repeat(4_000); 1_000]).await;
    assert!(Client::new(&server, sent[0].id - 1).take(1_000).await == sent); // this is no growth
    let memory = server.memory();
    let mut held = Vec::new();
    for _ in 0..clients {
        let mut client = Raw::connect_small(&server).await;
        let path = format!("{}?after={}", path(name), sent[0].id - 1);
        client.send(request_of(name, &path, "")).await;
        assert!(client.any_within(lab::time::SOON).await, "an answer begins");
        held.push(client);
    }
    publish(&server, "the others are served").await;
    let grown = server.memory().saturating_sub(memory);
    let most = clients * EACH + by_itself();
    assert!(grown < most, "grown by {grown} KiB for {clients} that do not read");
    assert!(Client::new(&server, sent[0].id).take(999).await == sent[1..]);
}

/// While 10 MB are published, clients that do not read cost the server little memory, and the others
/// nothing: a queue for each of them would hold it all.
pub async fn no_queue_grows_for_those_who_do_not_read(name: &'static str) {
    const UPDATES: usize = 2_500;
    const STUCK: usize = 8;
    /// KiB: the 1,000 newest updates are 4,000 of it, and a response with all of them takes as
    /// much for each client. A queue of 10 MB for each of them would not fit.
    const ROOM: u64 = 60 * 1024;
    let server = Server::start(name).await;
    let mut good = Client::new(&server, newest_id(&server).await);
    let memory = server.memory();
    let mut stuck = Vec::new();
    for _ in 0..STUCK {
        let mut client = Raw::connect_small(&server).await;
        client.send(request(name)).await;
        stuck.push(client);
    }
    for numbers in (1..=UPDATES).collect::<Vec<_>>().chunks(250) {
        let texts = numbers.iter().map(|number| format!("{number} {}", "x".repeat(4_000)));
        let send = publish_all(&server, texts.collect::<Vec<_>>());
        let receive = async {
            for number in numbers {
                let update = good.next().await.update;
                assert!(update.starts_with(&format!("{number} ")), "{number} is next: {update}");
            }
        };
        future::join(send, receive).await;
        let grown = server.memory().saturating_sub(memory);
        assert!(grown < ROOM, "grown by {grown} KiB when {} were published", numbers[249]);
        if name.ends_with("polling") {
            for client in &mut stuck {
                client.try_send(request_of(name, &format!("{}?after=0", path(name)), "")).await;
            }
        }
    }
}
