//! One feed for all servers that name the same engine.

use std::{env, net::TcpListener, process, time::Duration, time::Instant};

use futures_util::{SinkExt as _, StreamExt as _, future};
use lab::client::{Client, message, newest_id, open_socket, publish, publish_all, request};
use lab::raw::{Raw, frame};
use lab::{Redis, SERVERS, Server, Update, soon, within};
use rand::seq::IndexedRandom as _;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

use crate::{command, start, with};

/// Runs a test, if there is an engine to try it on.
fn on_redis(test: impl AsyncFnOnce(Redis)) {
    with(&[], async { test(Redis::start(true).await).await });
}

async fn server(redis: &Redis, name: &str) -> Server {
    start(name, &redis.url()).await
}

/// Two servers of each technique.
async fn two_of_each(redis: &Redis) -> Vec<Server> {
    let names = SERVERS.into_iter().chain(SERVERS);
    future::join_all(names.map(|name| server(redis, name))).await
}

/// Whatever the technique and whichever the server: one feed, one order, one cursor.
#[test]
fn one_feed_for_all() {
    on_redis(async |redis| {
        let servers = two_of_each(&redis).await;
        let first = newest_id(&servers[0]).await;
        let mut clients: Vec<_> = servers.iter().map(|server| Client::new(server, first)).collect();
        let mut sent = Vec::new();
        for server in &servers {
            sent.push(publish(server, &format!("by {}", server.port())).await);
            let own = Client::new(server, sent[sent.len() - 1].id - 1).next().await;
            assert_eq!(own, sent[sent.len() - 1], "whoever is told 201 reads what they wrote");
        }
        for client in &mut clients {
            assert_eq!(client.take(sent.len()).await, sent);
        }
        // A cursor of one is good on any other, and after a restart of all servers.
        for server in servers {
            server.stop().await;
        }
        for server in two_of_each(&redis).await {
            let mut client = Client::new(&server, sent[3].id);
            assert_eq!(client.take(4).await, sent[4..8]);
            assert_eq!(client.gaps(), 0);
        }
    });
}

/// A server that starts is no news for the clients of the others: the first update is there already.
/// It makes more of them only where it is asked to.
#[test]
fn a_start_is_no_news() {
    on_redis(async |redis| {
        let first = server(&redis, "polling").await;
        let seen = newest_id(&first).await;
        let start = Instant::now();
        let loud = async |quiet: Option<&str>| {
            let mut command = command("websockets", &redis.url());
            command.env_remove("QUIET").envs(quiet.map(|quiet| ("QUIET", quiet)));
            Server::spawn("websockets", &mut command).await
        };
        let (not_asked, mut asked) = (loud(None).await, loud(Some("0")).await);
        let second = asked.prints(|line| line == "SENT: Real-Time Update 2");
        within(Duration::from_secs(30), "the second update", second).await;
        let news = Client::new(&first, seen).next().await;
        assert_eq!(news.update, "Real-Time Update 2", "the first one is not made again");
        let longest = Duration::from_secs(10); // the longest wait is 9
        sleep(longest.saturating_sub(start.elapsed())).await;
        let printed = not_asked.printed();
        assert_eq!(printed.len(), 1, "only where it listens: {printed:?}");
    });
}

/// A WebSocket client sends 100 texts, and a close or not, and is gone. Each of them takes the engine's
/// answer to be published: all are, in order, and on the other server.
#[test]
fn a_client_that_is_gone_before_it_is_published() {
    on_redis(async |redis| {
        let servers = [server(&redis, "websockets").await, server(&redis, "polling").await];
        let mut listener = Client::new(&servers[1], newest_id(&servers[1]).await);
        for close in [&frame(0x88, b"")[..], b""] {
            let mut client = Raw::connect(&servers[0]).await;
            client.send(request("websockets")).await;
            assert_eq!(client.response().await.status(), 101);
            let texts: Vec<_> = (0..100).map(|number| format!("{number} and gone")).collect();
            let frames = texts.iter().flat_map(|text| frame(0x81, text.as_bytes()));
            client.send([&frames.collect::<Vec<_>>(), close].concat()).await;
            drop(client);
            for text in &texts {
                assert_eq!(listener.next().await.update, *text);
            }
        }
    });
}

/// Five hundred updates, and before each some tens of them the client goes to another server, of
/// any technique: exactly once, in order.
#[test]
fn a_client_that_changes_servers() {
    on_redis(async |redis| {
        let servers = two_of_each(&redis).await;
        let seen = newest_id(&servers[0]).await;
        let texts: Vec<_> = (0..500).map(|number| number.to_string()).collect();
        let send = publish_all(&servers[0], &texts);
        let receive = async {
            let mut received: Vec<Update> = Vec::new();
            let mut random = lab::seeded();
            while received.len() < texts.len() {
                let server = servers.choose(&mut random).expect("there are eight");
                let after = received.last().map_or(seen, |update| update.id);
                let count = 37.min(texts.len() - received.len());
                received.extend(Client::new(server, after).take(count).await);
            }
            received
        };
        let (published, received) = future::join(send, receive).await;
        assert_eq!(received, published);
    });
}

/// Two servers publish 5,000 each at once: everybody has the same 10,000, in the same order, and
/// what one of them says in the order in which it said it.
#[test]
fn two_servers_publish_at_once() {
    const EACH: usize = 5_000;
    on_redis(async |redis| {
        let servers =
            [server(&redis, "server-sent-events").await, server(&redis, "websockets").await];
        let seen = newest_id(&servers[0]).await;
        let send = future::join_all(servers.iter().map(async |server| {
            let texts = (0..EACH).map(|number| format!("{} {number}", server.name()));
            within(Duration::from_secs(100), "publishing", publish_all(server, texts)).await
        }));
        let receive = future::join_all(servers.iter().map(async |server| {
            let mut client = Client::new(server, seen);
            let updates = client.take(2 * EACH).await;
            assert_eq!(client.gaps(), 0);
            updates
        }));
        let (published, received) = future::join(send, receive).await;
        assert!(received[0] == received[1], "one order for all");
        assert!(received[0].is_sorted_by(|one, next| one.id < next.id));
        for (server, sent) in servers.iter().zip(published) {
            let own = received[0].iter().filter(|it| it.update.starts_with(server.name()));
            assert!(own.eq(&sent), "all that {} was sent", server.name());
        }
    });
}

/// Whatever is wrong with it: one line, and an exit code.
#[test]
fn an_engine_that_can_not_be_used() {
    on_redis(async |redis| {
        redis.cli(&["SET", "text", "x"]).await;
        redis.cli(&["CONFIG", "SET", "requirepass", "secret"]).await;
        let (url, port) = (redis.url(), redis.port());
        let wrong = format!("redis://:wrong@127.0.0.1:{port}");
        let right = format!("redis://:secret@127.0.0.1:{port}");
        let silent = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let silent = format!("redis://{}", silent.local_addr().expect("it is bound"));
        let rows = [
            ("nonsense", "updates"),
            ("http://127.0.0.1", "updates"),
            ("redis://127.0.0.1:1", "updates"),
            (&silent, "updates"),
            (&url, "updates"),
            (&wrong, "updates"),
            (&right, "text"),
        ];
        for (url, key) in rows {
            let start = Instant::now();
            let mut command = command("polling", &redis.url());
            command.env("REDIS_URL", url).env("REDIS_KEY", key).kill_on_drop(true);
            let output = soon("its refusal", command.output()).await.expect("it starts");
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{url} {key}: {complaint}");
            assert_eq!(complaint.lines().count(), 1, "{url} {key}: {complaint}");
            assert!(complaint.contains("REDIS_URL"), "{url} {key}: {complaint}");
            assert!(!complaint.contains("panicked") && output.stdout.is_empty(), "{complaint}");
            eprintln!("{url} {key}: {complaint} after {:?}", start.elapsed());
        }
        let mut command = command("polling", &redis.url());
        let server = Server::spawn("polling", command.env("REDIS_URL", &right)).await;
        publish(&server, "with the right password").await;
    });
}

/// One that takes no updates, as a replica, or when its memory is full: then there would be no newest
/// update to answer with.
#[test]
fn an_engine_that_stores_nothing() {
    on_redis(async |redis| {
        redis.cli(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
        let mut command = command("polling", &redis.url());
        let output = soon("its refusal", command.kill_on_drop(true).output()).await;
        let output = output.expect("it starts");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        assert!(complaint.contains("REDIS_URL") && output.stdout.is_empty(), "{complaint}");
    });
}

/// Somebody else writes to the stream, by hand: what is no update is left out, and read once.
#[test]
fn what_is_no_update() {
    on_redis(async |redis| {
        let server = server(&redis, "polling").await;
        let seen = newest_id(&server).await;
        let id = format!("{}-0", seen + 1);
        assert_eq!(redis.cli(&["XADD", "updates", &id, "update", "by hand"]).await, id);
        let before = reads(&redis, "calls").await;
        for _ in 0..20 {
            redis.cli(&["PING"]).await; // some time, in which the server could read a lot
        }
        let more = reads(&redis, "calls").await - before;
        assert!(more < 20, "it reads on and on: {more} times");
        let next = publish(&server, "next").await;
        let mut client = Client::new(&server, seen);
        assert_eq!(client.next().await, next);
        assert_eq!(client.gaps(), 0, "nothing of ours is missing");
    });
}

/// An engine that is there, but answers with errors only, is not asked on and on either.
#[test]
fn errors_are_waited_for() {
    on_redis(async |redis| {
        let server = server(&redis, "polling").await;
        redis.cli(&["SET", "updates", "no stream"]).await;
        let errors = async |count| {
            while reads(&redis, "failed_calls").await < count {
                sleep(Duration::from_millis(20)).await; // nobody tells when it asks
            }
        };
        soon("an error", errors(1)).await;
        let start = Instant::now();
        soon("five more", errors(6)).await;
        let took = start.elapsed();
        assert!(took > Duration::from_secs(1), "the waits grow: five errors more in {took:?}");
        redis.cli(&["DEL", "updates"]).await;
        publish(&server, "it goes on").await;
    });
}

/// How often the stream was read, or was tried to be; as Redis counts it.
async fn reads(redis: &Redis, what: &str) -> u64 {
    let stats = redis.cli(&["INFO", "commandstats"]).await;
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_xread:"));
    let mut counts = line.expect("a server reads").trim_end().split(',');
    let count = counts.find_map(|count| count.strip_prefix(what)?.strip_prefix('='));
    count.expect("it is counted").parse().expect("a number")
}

/// It goes away and comes back: who is connected stays so, who publishes is told, and then all goes
/// on by itself.
#[test]
fn an_engine_that_goes_away_and_comes_back() {
    on_redis(async |mut redis| {
        let servers = two_of_each(&redis).await;
        let seen = newest_id(&servers[0]).await;
        let mut clients: Vec<_> = servers.iter().map(|server| Client::new(server, seen)).collect();
        let before = publish(&servers[0], "before").await;
        for client in &mut clients {
            assert_eq!(client.next().await, before);
        }
        redis.end().await;
        future::join_all(servers.iter().map(async |server| {
            let body = r#"{"update":"lost, or not"}"#;
            let answer = soon("an answer", message(server, body).send()).await.expect("an answer");
            assert_eq!(answer.status(), 503);
            assert_eq!(answer.headers()["retry-after"], "1");
            let why = answer.text().await.expect("a body");
            assert_eq!(why.lines().count(), 1, "{why}");
        }))
        .await;
        let sockets = servers.iter().find(|server| server.name() == "websockets");
        let address = format!("127.0.0.1:{}/", sockets.expect("there are two").port());
        let mut socket = open_socket(&address, true).await.expect("it opens all the same");
        socket.send(Message::text("lost, or not")).await.expect("it is open");
        let end = loop {
            match soon("a close", socket.next()).await.expect("a close").expect("a close") {
                Message::Close(Some(why)) => break u16::from(why.code),
                Message::Text(text) => panic!("{text}"),
                _ => {}
            }
        };
        assert_eq!(end, 1013);

        redis.go_on().await;
        let back = async {
            while message(&servers[1], r#"{"update":"back"}"#)
                .send()
                .await
                .expect("an answer")
                .status()
                != 201
            {
                sleep(Duration::from_millis(50)).await; // as a client that is told to come again
            }
        };
        soon("it is back", back).await;
        for server in &servers {
            soon("it goes on", async {
                while message(server, r#"{"update":"again"}"#)
                    .send()
                    .await
                    .expect("an answer")
                    .status()
                    != 201
                {
                    sleep(Duration::from_millis(50)).await;
                }
            })
            .await;
        }
        let last = publish(&servers[0], "the last").await;
        let mut seen = Vec::new();
        for client in &mut clients {
            let texts = client.texts_until(&last.update).await;
            assert_eq!(client.gaps(), 0, "nothing was lost");
            seen.push(texts);
        }
        assert!(seen.iter().all(|texts| *texts == seen[0]), "everybody has the same: {seen:?}");
    });
}

/// An emptied engine: the servers have what it had, so their clients miss nothing. Whoever had not seen
/// that is told so by a server that has started since.
#[test]
fn an_engine_that_was_emptied() {
    on_redis(async |redis| {
        let servers = two_of_each(&redis).await;
        let seen = newest_id(&servers[0]).await;
        let mut clients: Vec<_> = servers.iter().map(|server| Client::new(server, seen)).collect();
        let before = publish(&servers[0], "before").await;
        for client in &mut clients {
            assert_eq!(client.next().await, before);
        }
        redis.cli(&["DEL", "updates"]).await;
        let after = publish(&servers[1], "after").await;
        assert!(after.id > before.id);
        for (client, server) in clients.iter_mut().zip(&servers) {
            assert_eq!(client.next().await, after);
            let mut other = Client::new(server, seen);
            assert_eq!(other.take(2).await, [before.clone(), after.clone()]);
            assert_eq!(client.gaps() + other.gaps(), 0, "{} has all of it", server.name());
        }
        let fresh = server(&redis, "polling").await;
        for (seen, gaps) in [(before.id, 0), (seen, 1)] {
            let mut client = Client::new(&fresh, seen);
            assert_eq!(client.next().await, after);
            assert_eq!(client.gaps(), gaps, "from a server that has started since");
        }
    });
}

/// The newest 1,000 are kept, there as here.
#[test]
fn the_newest_1000_are_kept() {
    on_redis(async |redis| {
        let servers = [server(&redis, "polling").await, server(&redis, "websockets").await];
        let sent = publish_all(&servers[0], (0..1_003).map(|number| number.to_string())).await;
        assert_eq!(redis.cli(&["XLEN", "updates"]).await, "1000");
        Client::new(&servers[1], sent[1_001].id).next().await; // the other server has it too
        for server in servers {
            let mut client = Client::new(&server, sent[1].id);
            assert!(client.take(1_000).await == sent[3..]);
            assert_eq!(client.gaps(), 1);
            let mut client = Client::new(&server, sent[2].id);
            assert!(client.take(1_000).await == sent[3..]);
            assert_eq!(client.gaps(), 0);
        }
    });
}

/// Without the feature nothing of it is there, and a server that is asked for it says how to get it.
#[test]
fn without_the_feature() {
    let mut tree = process::Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    tree.args(["tree", "--edges", "normal", "--package", "polling", "--prefix", "none"]);
    let tree = tree.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo is there");
    let tree = String::from_utf8_lossy(&tree.stdout);
    assert!(tree.contains("actix-web") && !tree.contains("redis"), "{tree}");
    lab::run(async {
        let variables = [("REDIS_URL", "redis://127.0.0.1")];
        let refusal = lab::server::refuses_to_start("polling", &variables).await;
        let complaint = String::from_utf8_lossy(&refusal.stderr);
        assert!(!refusal.status.success() && refusal.stdout.is_empty());
        assert!(complaint.contains("--features feed/redis"), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    });
}
