//! Many servers on bad days: through nginx, with the very `scripts/nginx.conf` that the README tells
//! to copy, while servers are killed; and with a bad line to the engine.

use std::{time::Duration, time::Instant};

use futures_util::future;
use lab::browser::Browser;
use lab::client::{Client, message, newest_id, open_socket, publish};
use lab::{Redis, SERVERS, Server, Update, soon};
use nix::sys::signal::Signal;
use rand::RngExt as _;
use serde_json::json;
use std::sync::atomic::Ordering::Relaxed;
use tokio::time::{sleep, timeout};

use crate::line::{Line, ids_after, newest_id_at_last};
use crate::nginx::{Nginx, lasting_port};
use crate::{command, start, with};

async fn start_at(port: u16, name: &str, engine: &str) -> Server {
    let mut command = command(name, engine);
    Server::spawn(name, command.env("PORT", port.to_string())).await
}

/// What a client gets, up to the update with this text, whatever happens to its connections.
async fn follow(mut client: Client, last: &str) -> (Vec<Update>, usize) {
    let mut updates: Vec<Update> = Vec::new();
    while updates.last().is_none_or(|update| update.update != last) {
        match client.try_next().await {
            Ok(update) => updates.push(update),
            Err(_) => sleep(Duration::from_millis(50)).await, // as a client waits before it retries
        }
    }
    (updates, client.gaps())
}

fn ids(updates: &[Update]) -> Vec<u64> {
    updates.iter().map(|update| update.id).collect()
}

/// Redis, two servers of each technique, and nginx before them.
struct Cluster {
    redis: Redis,
    /// As in [`SERVERS`], twice.
    servers: Vec<Option<Server>>,
    ports: Vec<u16>,
    /// Where nginx listens for each technique.
    fronts: Vec<u16>,
    _nginx: Nginx,
}

impl Cluster {
    async fn start() -> Cluster {
        let redis = Redis::start(true).await;
        let names: Vec<_> = SERVERS.into_iter().chain(SERVERS).collect();
        let ports: Vec<_> = names.iter().map(|_| lasting_port()).collect();
        let url = redis.url();
        let servers = names.iter().zip(&ports).map(|(name, port)| start_at(*port, name, &url));
        let servers = future::join_all(servers).await.into_iter().map(Some).collect();

        let upstreams: Vec<_> = (0..4).map(|index| [ports[index], ports[index + 4]]).collect();
        // As one process: killed, it takes no workers to be left behind with it.
        let nginx = Nginx::start(&upstreams, &["-g", "master_process off;"]).await;
        let fronts = nginx.fronts.clone();
        Cluster { redis, servers, ports, fronts, _nginx: nginx }
    }

    async fn kill(&mut self, index: usize) {
        let server = self.servers[index].take().expect("it runs");
        server.signal(Signal::SIGKILL);
        server.end().await;
    }

    async fn start_again(&mut self, index: usize) {
        let name = SERVERS[index % 4];
        self.servers[index] = Some(start_at(self.ports[index], name, &self.redis.url()).await);
    }

    /// Publishes through nginx, to whichever server it chooses: the id, if it was confirmed.
    async fn publish(&self, technique: usize, text: &str) -> Option<u64> {
        let url = format!("http://127.0.0.1:{}/api/messages", self.fronts[technique]);
        let request = reqwest::Client::new().post(url).json(&json!({ "update": text }));
        let answer = timeout(Duration::from_secs(10), request.send()).await.ok()?.ok()?;
        if answer.status() != 201 {
            return None;
        }
        Some(answer.json::<Update>().await.ok()?.id)
    }
}

/// Twenty clients, five of each technique, know one address each; for twenty seconds the servers
/// behind it are killed and started at random. Each client has everything, once, in the engine's order.
#[test]
fn servers_that_come_and_go() {
    with(&["nginx"], async {
        let mut cluster = Cluster::start().await;
        let mut random = lab::seeded();
        let seen = newest_id(cluster.servers[0].as_ref().expect("it runs")).await;
        let clients = (0..20).map(|index| {
            let client =
                Client::at(SERVERS[index % 4], cluster.fronts[index % 4], &seen.to_string());
            follow(client, "the end")
        });
        let clients = future::join_all(clients);
        let mut confirmed = Vec::new();
        let mut kills = 0;
        let mischief = async {
            let end = Instant::now() + Duration::from_secs(20);
            while Instant::now() < end {
                let victim = random.random_range(0..8);
                cluster.kill(victim).await;
                kills += 1;
                for _ in 0..random.random_range(5..25) {
                    confirmed.extend(cluster.publish(random.random_range(0..4), "an update").await);
                    sleep(Duration::from_millis(random.random_range(0..30))).await;
                }
                cluster.start_again(victim).await;
            }
            soon("the end", async { while cluster.publish(0, "the end").await.is_none() {} }).await;
        };
        let (received, ()) = future::join(clients, mischief).await;
        let mut expected = ids_after(&cluster.redis, seen).await;
        let last = received[0].0.last().expect("the end").id; // it may be there twice
        expected.retain(|id| *id <= last);
        eprintln!(
            "{kills} servers killed, {} updates, {} confirmed",
            expected.len(),
            confirmed.len()
        );
        assert!(kills > 5 && expected.len() > 100 && expected.len() < 1_000);
        for (index, (updates, gaps)) in received.iter().enumerate() {
            assert!(ids(updates) == expected, "client {index} of {}", SERVERS[index % 4]);
            assert_eq!(*gaps, 0, "client {index}");
        }
        assert!(confirmed.iter().all(|id| expected.contains(id)), "201 is kept");
    });
}

/// A page in a real browser, one of each technique: whichever server it was with is killed, and it
/// goes on with the other one.
#[test]
fn a_page_whose_server_is_killed() {
    with(&["nginx"], async {
        let mut cluster = Cluster::start().await;
        let browser = Browser::start().await;
        let mut windows = Vec::new();
        for front in &cluster.fronts {
            windows.push(browser.open_window().await);
            browser.open(&format!("http://127.0.0.1:{front}/html/index.html")).await;
            let connected = "document.querySelector('#status').textContent.startsWith('connected')";
            browser.until("the page is connected", connected).await;
        }
        // One server of each technique after the other: each page was with one of the two.
        for (half, text) in
            ["the first are killed", "the second are killed"].into_iter().enumerate()
        {
            for index in 0..4 {
                cluster.kill(half * 4 + index).await;
            }
            let id = cluster.publish(0, text).await;
            let id = id.expect("the other server takes it");
            for window in &windows {
                browser.switch_to(window).await;
                let there = format!("!!document.querySelector('#updates > [data-id=\"{id}\"]')");
                browser.until(&format!("the page shows: {text}"), &there).await;
                let count = format!("document.querySelectorAll('[data-id=\"{id}\"]').length");
                assert_eq!(browser.value(&count).await, 1);
            }
            for index in 0..4 {
                cluster.start_again(half * 4 + index).await;
            }
        }
    });
}

/// A slow engine over a line that is cut all the time: what is confirmed is there, and everybody has
/// what the engine has, once.
#[test]
fn a_bad_line_to_the_engine() {
    with(&[], async {
        let redis = Redis::start(true).await;
        let line = Line::start(redis.port()).await;
        let servers = [start("websockets", &line.url).await, start("polling", &line.url).await];
        let seen = newest_id(&servers[0]).await;
        line.delay.store(20, Relaxed);
        line.cut.store(600, Relaxed);
        // Those who are connected are cut off too: by the engine.
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        let clients = servers.iter().map(|server| follow(Client::new(server, seen), "the end"));
        let clients = future::join_all(clients);
        let mut confirmed = Vec::new();
        let send = async {
            for number in 0..30 {
                let text = if number < 29 { "an update" } else { "the end" };
                let body = json!({ "update": text }).to_string();
                let sent = message(&servers[number % 2], body).send();
                let answer = soon("an answer", sent).await.expect("an answer");
                if answer.status() == 201 {
                    confirmed.push(answer.json::<Update>().await.expect("an update").id);
                } else {
                    assert_eq!(answer.status(), 503);
                }
                if number == 28 {
                    line.cut.store(0, Relaxed); // the last one is to arrive
                    newest_id_at_last(&servers[1]).await;
                }
            }
        };
        let (received, ()) = future::join(clients, send).await;
        let expected = ids_after(&redis, seen).await;
        eprintln!("{} updates, {} confirmed", expected.len(), confirmed.len());
        for (updates, gaps) in &received {
            assert_eq!(ids(updates), expected);
            assert_eq!(*gaps, 0);
        }
        assert!(confirmed.iter().all(|id| expected.contains(id)), "201 is kept");
    });
}

/// A client has an update that its next server does not have yet: nothing comes twice, and it goes on
/// there as soon as the server has it. A cursor from an hour ahead, which nobody ever gave, counts as 0.
#[test]
fn a_server_that_lags_behind() {
    with(&[], async {
        let redis = Redis::start(true).await;
        let line = Line::start(redis.port()).await;
        let first = start("polling", &redis.url()).await;
        let servers = SERVERS.map(async |name| start(name, &line.url).await);
        let servers = future::join_all(servers).await;
        newest_id(&first).await;
        line.delay.store(1_500, Relaxed);
        let seen = publish(&first, "seen at the first").await;
        let mut clients: Vec<_> = servers.iter().map(|it| Client::new(it, seen.id)).collect();
        let next = async {
            let next = future::join_all(clients.iter_mut().map(Client::next)).await;
            line.delay.store(0, Relaxed);
            next
        };
        let publisher = async {
            sleep(Duration::from_millis(200)).await; // they have asked: nothing tells that they wait
            publish(&first, "next").await
        };
        let (received, sent) = future::join(next, publisher).await;
        for (server, update) in servers.iter().zip(received) {
            assert_eq!(update, sent, "{}", server.name());
        }
        for server in &servers {
            let mut client = Client::new(server, sent.id + 3_600_000_000);
            assert_eq!(client.next().await.update, "Real-Time Update 1", "{}", server.name());
        }
    });
}

/// Another master takes over, which did not have the last update yet: it is lost there. The servers that
/// had it still have it, so their clients miss nothing; one that has started since tells its own.
#[test]
fn another_master_that_has_less() {
    with(&[], async {
        let (one, other) = (Redis::start(true).await, Redis::start(true).await);
        let line = Line::start(one.port()).await;
        let servers = SERVERS.map(async |name| start(name, &line.url).await);
        let servers = future::join_all(servers).await;
        let seen = newest_id(&servers[0]).await;
        let port = one.port().to_string();
        other.cli(&["REPLICAOF", "127.0.0.1", &port]).await;
        let same = async {
            while other.cli(&["XLEN", "updates"]).await != one.cli(&["XLEN", "updates"]).await {
                sleep(Duration::from_millis(20)).await; // nobody tells when it is there
            }
        };
        soon("the replica has all", same).await;
        other.cli(&["REPLICAOF", "NO", "ONE"]).await;

        let mut clients: Vec<_> = servers.iter().map(|server| Client::new(server, seen)).collect();
        let lost = publish(&servers[0], "which is lost").await;
        for client in &mut clients {
            assert_eq!(client.next().await, lost);
        }
        line.engine.store(other.port(), Relaxed);
        drop(one);
        let id = newest_id_at_last(&servers[1]).await;
        assert!(id > lost.id, "ids go on growing");
        for (client, server) in clients.iter_mut().zip(&servers) {
            let update = client.next().await;
            assert_eq!((update.id, &*update.update), (id, "at last"), "{}", server.name());
            assert_eq!(client.gaps(), 0, "{} has all of it", server.name());
        }
        let fresh = start("polling", &line.url).await;
        for (seen, gaps) in [(seen, 1), (lost.id, 0)] {
            let mut client = Client::new(&fresh, seen);
            assert_eq!(client.next().await.id, id);
            assert_eq!(client.gaps(), gaps, "from {seen}");
        }
    });
}

/// A stopped engine does not answer, and its connections stay open: held requests stay held, streams
/// have their keep-alive, and all goes on when it does.
#[test]
fn an_engine_that_hangs() {
    with(&[], async {
        let redis = Redis::start(true).await;
        let servers = SERVERS.map(async |name| start(name, &redis.url()).await);
        let servers = future::join_all(servers).await;
        let seen = newest_id(&servers[0]).await;
        let mut clients: Vec<_> = servers.iter().map(|server| Client::new(server, seen)).collect();
        let before = publish(&servers[0], "before").await;
        for client in &mut clients {
            assert_eq!(client.next().await, before);
        }
        let engine = nix::unistd::Pid::from_raw(redis.pid());
        nix::sys::signal::kill(engine, Signal::SIGSTOP).expect("it runs");
        let answers = servers.iter().map(async |server| {
            let sent = message(server, r#"{"update":"stored, or not"}"#).send();
            let answer = soon("an answer", sent).await.expect("an answer");
            assert_eq!(answer.status(), 503, "{}", server.name());
        });
        future::join_all(answers).await;
        let port = servers[3].port();
        open_socket(&format!("127.0.0.1:{port}/"), true).await.expect("it opens all the same");
        nix::sys::signal::kill(engine, Signal::SIGCONT).expect("it runs");
        let last = newest_id_at_last(&servers[2]).await;
        let expected = ids_after(&redis, before.id).await;
        assert_eq!(expected.last(), Some(&last));
        for client in &mut clients {
            assert_eq!(ids(&client.take(expected.len()).await), expected);
            assert_eq!(client.gaps(), 0);
        }
    });
}
