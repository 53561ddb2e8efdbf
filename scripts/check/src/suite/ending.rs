//! How a server ends, and how it forgets a client that ends.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::time::sleep;

use lab::client::{idle, publish, request};
use lab::raw::Raw;
use lab::server::{Server, is_other};
use lab::time::late;

/// By the time it says that it listens, it can be stopped.
pub async fn sigterm_at_once_ends_with_0(name: &'static str) {
    for _ in 0..5 {
        let status = Server::start(name).await.stop().await;
        assert_eq!(status.code(), Some(0), "the exit code");
    }
}

/// Ctrl-C is SIGINT, here with a client that is connected.
pub async fn ctrl_c_ends_with_0(name: &'static str) {
    let server = Server::start(name).await;
    let _client = idle(&server).await;
    server.signal(Signal::SIGINT);
    let status = server.end().await;
    assert_eq!(status.code(), Some(0), "the exit code");
}

/// Within two seconds. A busy machine may have three tries.
pub async fn a_thousand_clients_do_not_hold_the_end(name: &'static str) {
    let mut took = Vec::new();
    while took.len() < 3 {
        let server = Server::start(name).await;
        let before = server.open_files();
        let clients = idle_clients(&server, 1_000).await;
        all_are_there(&server, before + 1_000).await;
        let start = Instant::now();
        let status = server.stop().await;
        took.push(start.elapsed());
        assert_eq!(status.code(), Some(0), "the exit code");
        drop(clients);
        if took.last() < Some(&Duration::from_secs(2)) {
            return;
        }
    }
    late();
    panic!("more than two seconds, each time: {took:?}");
}

/// A server that was stopped while clients were connected can be started again at once.
pub async fn the_same_port_is_free_after_it(name: &'static str) {
    let server = Server::start(name).await;
    let port = server.port().to_string();
    let client = idle(&server).await;
    server.stop().await;
    drop(client);
    let again = Server::start_with(name, &[("PORT", &port), ("QUIET", "1")]).await;
    assert_eq!(again.port().to_string(), port);
    publish(&again, "here again").await;
}

/// Its socket, and with it its task and memory, is free then.
pub async fn a_client_that_closes_is_forgotten(name: &'static str) {
    forgets(name, async |clients| drop(clients)).await;
}

/// A client that has nothing more to say could still read; but a browser that has gone looks the
/// same from here.
pub async fn a_client_that_closes_its_half_is_forgotten(name: &'static str) {
    forgets(name, async |mut clients: Vec<Raw>| {
        for client in &mut clients {
            client.close_half().await;
        }
        std::mem::forget(clients); // or they would close the other half too
    })
    .await;
}

/// As when the client's process is killed while something is on its way to it.
pub async fn a_client_that_resets_is_forgotten(name: &'static str) {
    forgets(name, async |clients: Vec<Raw>| clients.into_iter().for_each(Raw::reset)).await;
    // The server may read the request and the reset in one go.
    let server = Server::start(name).await;
    let before = settled(&server).await;
    for _ in 0..300 {
        let mut client = Raw::connect(&server).await;
        client.send(request(name)).await;
        client.reset();
    }
    server.open_files_until(Duration::from_secs(10), |now| now <= before).await;
}

/// Within five seconds, and as many again for a busy machine: a heartbeat that would find it out
/// by itself comes later.
async fn forgets(name: &str, end: impl AsyncFnOnce(Vec<Raw>)) {
    let server = Server::start(name).await;
    let before = settled(&server).await;
    let clients = idle_clients(&server, 50).await;
    all_are_there(&server, before + 50).await;
    end(clients).await;
    server.open_files_until(Duration::from_secs(10), |now| now <= before).await;
    publish(&server, "it goes on").await;
}

/// Each client was there, as it has had its answer. Others' servers may close after each: then it is gone.
async fn all_are_there(server: &Server, files: usize) {
    if server.name() != "polling" || !is_other() {
        server.open_files_until(Duration::from_secs(20), |now| now >= files).await;
    }
}

/// How many files a server has open when it has been used and nobody is connected: some open more at
/// their first request, and keep them.
pub async fn settled(server: &Server) -> usize {
    if !is_other() {
        return server.open_files();
    }
    drop(idle_clients(server, 3).await);
    let mut least = usize::MAX;
    for _ in 0..20 {
        least = least.min(server.open_files());
        sleep(Duration::from_millis(50)).await; // nobody tells when they are forgotten
    }
    least
}

async fn idle_clients(server: &Server, count: usize) -> Vec<Raw> {
    let mut clients = Vec::new();
    while clients.len() < count {
        clients.push(idle(server).await);
    }
    clients
}
