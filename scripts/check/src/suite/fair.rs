//! A client that publishes without pause does not outrun those who read; and one that does not read
//! costs little.

use futures_util::future;

use lab::client::{Client, newest_id, path, publish, publish_all, request, request_of};
use lab::raw::{Raw, frame};
use lab::{server::Server, time::soon};

/// In one go, frames or pipelined requests: whoever reads gets all of it, the sender included.
/// Between two requests of polling or of long polling nobody waits for their client, so that on a
/// busy machine it may be told of a gap; but nothing is lost silently. With a stream nobody may be
/// told of one; but a machine that has other things to do may have three tries.
pub async fn a_burst_is_for_everyone_who_reads(name: &'static str) {
    const BURST: usize = 5_000;
    let mut came = Vec::new();
    while came.len() < 3 {
        let received = received_of_a_burst(name, BURST).await;
        for (numbers, gaps) in &received {
            assert!(numbers.is_sorted_by(|one, next| one < next), "in order, each once");
            assert_eq!(numbers.len() == BURST, *gaps == 0, "{} received", numbers.len());
        }
        came.push(received.iter().map(|(numbers, _)| numbers.len()).collect::<Vec<_>>());
        if came.last().is_some_and(|counts| counts.iter().all(|count| *count == BURST)) {
            return;
        }
    }
    let may_lose = ["polling", "long-polling"].contains(&name);
    assert!(
        may_lose,
        "of {BURST} in one go each client received, in each of three tries: {came:?}"
    );
}

/// What each of four clients received of a burst, and how often it was told of a gap.
async fn received_of_a_burst(name: &'static str, burst: usize) -> Vec<(Vec<usize>, usize)> {
    let server = Server::start(name).await;
    let seen = newest_id(&server).await;
    let mut readers: Vec<_> = (0..4).map(|_| Client::new(&server, seen)).collect();
    // A reader that connects while the burst is under way may rightly be told of a gap.
    let marker = publish(&server, "before the burst").await;
    for reader in &mut readers {
        assert_eq!(reader.next().await, marker, "each reader is connected");
    }
    let mut sender = Raw::connect(&server).await;
    let bytes: Vec<u8> = if name == "websockets" {
        sender.send(request(name)).await;
        assert_eq!(sender.response().await.status(), 101);
        (0..burst).flat_map(|number| frame(0x81, number.to_string().as_bytes())).collect()
    } else {
        let message = |number| {
            let body = format!(r#"{{"update":"{number}"}}"#);
            let length = body.len();
            format!(
                "POST /api/messages HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        };
        (0..burst).flat_map(|number| message(number).into_bytes()).collect()
    };
    // It reads what comes back, as fast as it comes, while it sends.
    let (mut from, mut to) = sender.into_halves();
    let read_back =
        tokio::spawn(async move { tokio::io::copy(&mut from, &mut tokio::io::sink()).await });
    let send = async {
        use tokio::io::AsyncWriteExt as _;
        to.write_all(&bytes).await.expect("it takes them");
    };
    let read = future::join_all(readers.iter_mut().map(async |reader| {
        let mut numbers = Vec::new();
        while numbers.last() != Some(&(burst - 1)) {
            numbers.push(reader.next().await.update.parse().expect("a number"));
        }
        numbers
    }));
    let (received, ()) = soon("the whole burst", future::join(read, send)).await;
    read_back.abort();
    received.into_iter().zip(&readers).map(|(numbers, reader)| (numbers, reader.gaps())).collect()
}

/// Whatever it asked for: 1,000 updates of 4 KB are there for each of 30 clients, which read
/// nothing. A client that catches up gets everything all the same.
pub async fn answers_that_nobody_reads_cost_little(name: &'static str) {
    const CLIENTS: u64 = 30;
    /// KiB: what the contract allows for each.
    const EACH: u64 = 128;
    let server = Server::start(name).await;
    let sent = publish_all(&server, vec!["x".repeat(4_000); 1_000]).await;
    assert!(Client::new(&server, 0).take(1_000).await == sent); // what one costs is no growth
    let (before, memory) = (server.open_files(), server.memory());
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Raw::connect_small(&server).await;
        client.send(request_of(name, &format!("{}?after=0", path(name)), "")).await;
        assert!(client.any_within(lab::time::SOON).await, "an answer begins");
        clients.push(client);
    }
    publish(&server, "the others are served").await;
    let grown = server.memory().saturating_sub(memory);
    assert!(grown < CLIENTS * EACH, "grown by {grown} KiB for {CLIENTS} that do not read");
    assert!(server.open_files() >= before + clients.len(), "they are held");
    assert!(Client::new(&server, sent[0].id).take(999).await == sent[1..]);
}
