//! The engine that answers is not the one of a moment ago, or it is not what it was: what was
//! refused, what is lost, and who is told.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future;
use lab::client::{Client, message, newest_id, publish};
use lab::{Redis, SERVERS, Server, Update, soon};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::sleep;

use crate::line::{Line, clock, ids_after, newest_id_at_last};
use crate::{command, start, with};

async fn one_of_each(url: &str) -> Vec<Server> {
    future::join_all(SERVERS.map(async |name| start(name, url).await)).await
}

/// Each client has these, and was told of so many gaps.
pub async fn all_have(clients: &mut [Client], expected: &[u64], gaps: usize) {
    for (index, client) in clients.iter_mut().enumerate() {
        let updates = client.take(expected.len()).await;
        assert_eq!(updates.iter().map(|update| update.id).collect::<Vec<_>>(), expected);
        assert_eq!(client.gaps(), gaps, "client {index}: {updates:?}");
    }
}

pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            sleep(Duration::from_millis(20)).await; // nobody tells
        }
    };
    soon(what, waiting).await;
}

/// A replica that has all.
async fn replicate(replica: &Redis, master: &Redis) {
    replica.cli(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]).await;
    until("the replica has all", async || {
        replica.cli(&["INFO", "replication"]).await.contains("master_link_status:up")
            && replica.cli(&["XLEN", "updates"]).await == master.cli(&["XLEN", "updates"]).await
    })
    .await;
}

/// The master becomes the replica, and back again, without a connection that breaks: it answers every
/// message by an error. The name leads to the new one.
#[test]
fn a_master_that_is_one_no_more() {
    with(&[], async {
        let (one, other) = (Redis::start(true).await, Redis::start(true).await);
        let line = Line::start(one.port()).await;
        let servers = one_of_each(&line.url).await;
        replicate(&other, &one).await;
        let seen = newest_id(&servers[0]).await;
        let mut clients: Vec<_> = servers.iter().map(|server| Client::new(server, seen)).collect();
        for (master, replica) in [(&one, &other), (&other, &one)] {
            line.engine.store(replica.port(), Relaxed);
            let port = replica.port().to_string();
            until("the failover", async || {
                master.cli(&["FAILOVER", "TO", "127.0.0.1", &port]).await;
                master.cli(&["ROLE"]).await.starts_with("slave")
            })
            .await;
            future::join_all(servers.iter().map(newest_id_at_last)).await;
        }
        let expected = ids_after(&one, seen).await;
        all_have(&mut clients, &expected, 0).await;
    });
}

/// A name that leads to two masters by turns: what goes to the one is not read from the other. Nobody
/// is told 201 for what can't be read.
#[test]
fn two_masters_by_one_name() {
    with(&[], async {
        let (one, other) = (Redis::start(true).await, Redis::start(true).await);
        let line = Line::start(one.port()).await;
        let servers = one_of_each(&line.url).await;
        let seen = newest_id(&servers[0]).await;
        replicate(&other, &one).await;
        other.cli(&["REPLICAOF", "NO", "ONE"]).await;
        line.other.store(other.port(), Relaxed);
        line.end.notify_waiters();
        for _ in 0..2 {
            let answers = servers.iter().map(async |server| {
                let sent = message(server, r#"{"update":"where to?"}"#).send();
                let answer = soon("an answer", sent).await.expect("an answer");
                if answer.status() == 201 {
                    let update: Update = answer.json().await.expect("an update");
                    assert_eq!(Client::new(server, update.id - 1).next().await, update);
                } else {
                    assert_eq!(answer.status(), 503, "{}", server.name());
                }
            });
            future::join_all(answers).await;
        }
        line.other.store(0, Relaxed);
        line.end.notify_waiters();
        let last = newest_id_at_last(&servers[0]).await;
        assert_eq!(ids_after(&one, seen).await.last(), Some(&last));
    });
}

/// An update was confirmed, and then the engine lost it. Whoever has it goes on; whoever lacks it is
/// told so: at once if a server publishes that had it, and else as soon as such a server does.
#[test]
fn who_is_told_of_a_lost_update() {
    with(&[], async {
        future::join(Box::pin(lost_update(true)), Box::pin(lost_update(false))).await;
    });
}

async fn lost_update(publisher_had_it: bool) {
    let redis = Redis::start(true).await;
    let line = Line::start(redis.port()).await;
    let first = start("polling", &redis.url()).await;
    let second = start("websockets", &line.url).await;
    let seen = newest_id(&first).await;
    assert_eq!(Client::new(&second, seen - 1).next().await.id, seen);
    let client = |server: &Server, seen| Client::new(server, seen);
    let mut clients = [client(&first, seen), client(&second, seen)];

    line.engine.store(1, Relaxed); // nobody is there
    line.end.notify_waiters();
    redis.cli(&["COPY", "updates", "saved"]).await;
    let lost = publish(&first, "which is lost").await.id;
    redis.cli(&["COPY", "saved", "updates", "REPLACE"]).await;
    line.engine.store(redis.port(), Relaxed);

    let mut kept = vec![newest_id_at_last(if publisher_had_it { &first } else { &second }).await];
    let at_first: Vec<_> = [lost].into_iter().chain(kept.clone()).collect();
    all_have(&mut clients[..1], &at_first, 0).await;
    all_have(&mut clients[1..], &kept, usize::from(publisher_had_it)).await;
    if !publisher_had_it {
        kept = vec![publish(&first, "by one that had it").await.id];
        all_have(&mut clients[..1], &kept, 0).await;
        all_have(&mut clients[1..], &kept, 1).await;
    }
    let fresh = start("polling", &redis.url()).await;
    for (server, seen, gaps) in [(&first, lost, 0), (&second, seen, 1), (&fresh, seen, 1)] {
        let begin = if gaps == 0 { lost } else { kept[0] - 1 };
        let ids = ids_after(&redis, begin).await;
        all_have(&mut [client(server, seen)], &ids, gaps).await;
        let mut client = Client::new(server, *ids.last().expect("it was published"));
        assert_eq!(publish(server, "next").await, client.next().await);
        assert_eq!(client.gaps(), 0, "it is told once");
    }
}

/// A hanging engine carries out in the end what waits in its connections. A client that obeys the 503
/// has sent its message again by then: it is stored once.
#[test]
fn what_was_refused_stays_refused() {
    with(&[], async {
        let redis = Redis::start(true).await;
        let servers = one_of_each(&redis.url()).await;
        let seen = newest_id(&servers[0]).await;
        let engine = Pid::from_raw(redis.pid());
        kill(engine, Signal::SIGSTOP).expect("it runs");
        let tries = servers.iter().map(async |server| {
            let mut tries = 0;
            loop {
                let body = format!(r#"{{"update":"by {}"}}"#, server.name());
                let answer = soon("an answer", message(server, body).send()).await;
                let answer = answer.expect("an answer");
                if answer.status() == 201 {
                    break answer.json::<Update>().await.expect("an update").id;
                }
                assert_eq!(answer.status(), 503);
                tries += 1;
                if tries == 2 {
                    kill(engine, Signal::SIGCONT).expect("it runs");
                }
                sleep(Duration::from_secs(1)).await; // as it was told
            }
        });
        let mut stored = future::join_all(tries).await;
        stored.sort_unstable();
        assert_eq!(ids_after(&redis, seen).await, stored);
    });
}

/// Two servers whose clocks are half a minute apart, and a client that goes to both by turns: each
/// update once. A cursor that nobody gave, some seconds or an hour ahead, is told a gap at once.
#[test]
fn clocks_that_differ() {
    with(&[], async {
        let Some(clocks) = clock(15).zip(clock(-15)) else {
            return eprintln!("not tried: faketime is missing (Debian: apt-get install faketime)");
        };
        let redis = Redis::start(true).await;
        let url = redis.url();
        let server = async |name, clock| {
            Server::spawn(name, command(name, &url).envs::<[(&str, String); 3], _, _>(clock)).await
        };
        for name in SERVERS {
            let servers =
                [server(name, clocks.0.clone()).await, server(name, clocks.1.clone()).await];
            let mut seen = newest_id(&servers[0]).await;
            for number in 0..20 {
                let sent = publish(&servers[number / 2 % 2], "tick").await;
                let mut client = Client::new(&servers[number % 2], seen);
                assert_eq!(client.next().await, sent, "{name}");
                assert_eq!(client.gaps(), 0, "{name}");
                seen = sent.id;
            }
            for ahead in [5_000_000, 3_600_000_000, u64::MAX - seen] {
                let mut client = Client::new(&servers[0], seen + ahead);
                assert_eq!(client.next().await.update, "Real-Time Update 1", "{name}: {ahead} µs");
                assert_eq!(client.gaps(), 1, "{name}: {ahead} µs");
            }
        }
    });
}

/// A replica takes over whose clock is behind that of the old master, and which lacks the last update. A
/// server that has started there has gone on with lower ids: all are told what they lack, and ids grow.
#[test]
fn a_replica_whose_clock_is_behind() {
    with(&[], async {
        let (one, other) = (Redis::start(true).await, Redis::start(true).await);
        let line = Line::start(one.port()).await;
        let first = start("server-sent-events", &line.url).await;
        let seen = newest_id(&first).await;
        replicate(&other, &one).await;
        other.cli(&["REPLICAOF", "NO", "ONE"]).await;
        let lost = seen + 60_000_000; // as if it were a minute later there
        let (id, after) = (format!("{lost}-0"), seen.to_string());
        one.cli(&["XADD", "updates", &id, "after", &after, "knew", "0", "update", "lost"]).await;
        assert_eq!(Client::new(&first, seen).next().await.id, lost);
        let fresh = start("websockets", &other.url()).await;
        let lower = publish(&fresh, "with a lower id").await.id;
        assert!(seen < lower && lower < lost, "its clock is behind");
        let mut clients = [Client::new(&first, lost), Client::new(&fresh, lower)];
        line.engine.store(other.port(), Relaxed);
        drop(one);
        let next = newest_id_at_last(&first).await;
        assert!(next > lost);
        all_have(&mut clients, &[next], 1).await;
    });
}

/// A line that is dead, and does not say so: connections stay open, new ones are accepted.
#[test]
fn a_line_that_swallows_everything() {
    with(&[], async {
        let redis = Redis::start(true).await;
        let line = Line::start(redis.port()).await;
        let servers = one_of_each(&line.url).await;
        let seen = newest_id(&servers[0]).await;
        let mut clients: Vec<_> = servers.iter().map(|server| Client::new(server, seen)).collect();
        line.dead.store(true, Relaxed);
        let answers = servers.iter().map(async |server| {
            let sent = message(server, r#"{"update":"into the void"}"#).send();
            assert_eq!(soon("an answer", sent).await.expect("an answer").status(), 503);
        });
        future::join_all(answers).await;
        line.dead.store(false, Relaxed);
        future::join_all(servers.iter().map(newest_id_at_last)).await;
        let expected = ids_after(&redis, seen).await;
        all_have(&mut clients, &expected, 0).await;
    });
}

/// Another program writes into the stream, with ids after which none of ours could come: they are left
/// out, by those who are there and by one that starts then; and after a `DEL` all goes on.
#[test]
fn ids_out_of_reach() {
    with(&[], async {
        let redis = Redis::start(true).await;
        let servers = one_of_each(&redis.url()).await;
        let seen = newest_id(&servers[0]).await;
        let mut clients: Vec<_> = servers.iter().map(|server| Client::new(server, seen)).collect();
        let days = format!("{}-0", seen + 3 * 86_400_000_000);
        let huge = "9007199254740993-0";
        let last = "18446744073709551615-18446744073709551615";
        for (number, id) in [&days, huge, last].into_iter().enumerate() {
            assert_eq!(redis.cli(&["XADD", "updates", id, "update", "by hand"]).await, id);
            let fresh = start("polling", &redis.url()).await;
            let now =
                SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_micros();
            let sent = publish(&servers[number], "goes on").await;
            assert!(u128::from(sent.id) < now + 60_000_000, "{id}: an id of today");
            for client in &mut clients {
                client.texts_until("goes on").await;
                assert_eq!(client.gaps(), 0, "{id}");
            }
            drop(fresh);
        }
        redis.cli(&["XADD", "updates", &days, "update", "by hand"]).await;
        redis.cli(&["DEL", "updates"]).await;
        let sent = publish(&servers[3], "it hears").await;
        for client in &mut clients {
            assert_eq!(client.next().await, sent);
            assert_eq!(client.gaps(), 0);
        }
    });
}
