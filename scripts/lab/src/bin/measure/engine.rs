//! What an engine costs: the same clients on one server with its feed in memory, then on one and on
//! several servers with their feed in a Redis. (`scripts/measure.sh --redis`.)

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::join_all;
use lab::{Redis, Server, server};
use tokio::time::sleep;

use crate::figures::{self, Variant};
use crate::running::{Running, Watched, evenly};
use crate::{Options, Plan, begin, process, report};

/// How long Redis is watched while nothing happens.
const IDLE: Duration = Duration::from_secs(3);

/// Where the feed is: `None` is in the memory of the only server; else so many servers share it.
type Place = Option<usize>;

/// One round of one technique.
struct Round {
    place: Place,
    technique: &'static str,
    watched: Watched,
    memory: f64,
    /// Microseconds of Redis' for each update.
    redis: f64,
}

/// Measures all of it, and says it as a table.
pub async fn measure(options: &Options, plan: &Plan) -> Result<String> {
    Redis::is_here().context(lab::redis::MISSING)?;
    ensure!(!options.nodes.contains(&0), "--nodes: at least one server");
    let redis = Redis::start(false).await;
    // What it does by itself, ten times a second and more, is not an update's.
    let before = process::cpu_time(redis.pid())?;
    sleep(IDLE).await;
    let idle = process::cpu_time(redis.pid())?.saturating_sub(before).div_duration_f64(IDLE);
    let places: Vec<Place> =
        [None].into_iter().chain(options.nodes.iter().copied().map(Some)).collect();
    let mut rounds = Vec::new();
    for number in 0..plan.rounds as usize {
        for index in 0..places.len() {
            let place = places[(number + index) % places.len()]; // the order rotates
            for variant in plan.variants.iter().filter(|variant| !variant.bare) {
                let technique = variant.server;
                plan.say(format!(
                    "round {} of {}: {technique}, {}",
                    number + 1,
                    plan.rounds,
                    name(place)
                ));
                // A stream of its own for each round: the clients count from 0.
                let key = format!("{technique}:{number}:{index}");
                let servers = start(technique, place, &redis, &key).await;
                let round = one_round(plan, *variant, servers, &redis, idle).await;
                let (watched, memory, redis) =
                    round.with_context(|| format!("{technique}, {key}"))?;
                rounds.push(Round { place, technique, watched, memory, redis });
            }
        }
    }
    plan.progress.finish_and_clear();
    let wrong: u64 = rounds.iter().map(|round| round.watched.lost + round.watched.twice).sum();
    let busy = rounds.iter().map(|round| round.watched.client_busy).fold(0.0, f64::max);
    let conditions = report::conditions(plan, busy);
    let text = format!(
        "{}\n{} {}\n\n{}",
        table(plan, &places, &rounds),
        report::said(&conditions, "loopback"),
        version(&redis).await,
        calculation(options, &rounds).unwrap_or_default()
    );
    ensure!(wrong == 0, "{wrong} updates were lost or came twice\n{text}");
    Ok(text)
}

/// What happened, how much memory a client takes, and what Redis took for an update.
async fn one_round(
    plan: &Plan,
    variant: Variant,
    servers: Vec<Server>,
    redis: &Redis,
    idle: f64,
) -> Result<(Watched, f64, f64)> {
    let ports: Vec<_> = servers.iter().map(Server::port).collect();
    let mut running = Running::start(variant, servers, &ports, plan.clients).await?;
    let begin = begin(variant);
    let all = begin + plan.length;
    let moments = evenly(plan.every, all);
    let updates = moments.len() as f64;
    let before = process::cpu_time(redis.pid())?;
    let watched = running.watch(moments, begin, plan.length).await?;
    let cpu = process::cpu_time(redis.pid())?.saturating_sub(before).as_secs_f64();
    let redis = (cpu - idle * all.as_secs_f64()) * 1e6 / updates;
    Ok((watched, running.memory, redis))
}

/// Starts the servers of a place.
async fn start(technique: &str, place: Place, redis: &Redis, key: &str) -> Vec<Server> {
    let servers = (0..place.unwrap_or(1)).map(async |_| {
        let mut command = server::command(technique);
        command.env("QUIET", "1").env_remove("REDIS_URL");
        if place.is_some() {
            command.env("REDIS_URL", redis.url()).env("REDIS_KEY", key);
        }
        Server::spawn(technique, &mut command).await
    });
    join_all(servers).await
}

fn name(place: Place) -> String {
    match place {
        None => "in memory".into(),
        Some(1) => "Redis, 1 server".into(),
        Some(servers) => format!("Redis, {servers} servers"),
    }
}

/// A column for each place. Latency, and what is counted: as in [`report::table`]. The CPU of all
/// servers together, and of Redis, each for one update that all clients get.
fn table(plan: &Plan, places: &[Place], rounds: &[Round]) -> String {
    let clients = f64::from(plan.clients);
    type Figure<'a> = &'a dyn Fn(&Round) -> f64;
    let figures: [(&str, Figure); 4] = [
        ("latency, p50", &|round| round.watched.latency[0]),
        ("latency, p99", &|round| round.watched.latency[1]),
        ("CPU of all servers, per update", &|round| {
            round.watched.cpu / round.watched.updates * clients / 1e3
        }),
        ("CPU of Redis, per update", &|round| round.redis / 1e3),
    ];
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut head = vec![format!("{clients} clients")];
    head.extend(places.iter().map(|place| name(*place)));
    let mut rule = vec!["---".to_owned()];
    rule.extend(places.iter().map(|_| "--:".to_owned()));
    let mut table = line(&head) + &line(&rule);
    for variant in plan.variants.iter().filter(|variant| !variant.bare) {
        for (what, figure) in figures {
            let mut cells = vec![format!("{}: {what}", variant.server)];
            cells.extend(places.iter().map(|place| {
                let value = median(rounds, variant.server, *place, figure);
                let is_none = place.is_none() && what.contains("Redis");
                if is_none { String::new() } else { report::milliseconds(value) }
            }));
            table += &line(&cells);
        }
    }
    table
}

fn median(rounds: &[Round], technique: &str, place: Place, figure: impl Fn(&Round) -> f64) -> f64 {
    let is_it = |round: &&Round| round.place == place && round.technique == technique;
    figures::median(rounds.iter().filter(is_it).map(figure))
}

/// What the figures mean for many: a calculation, step by step. It needs event streams on Redis, on
/// two different numbers of servers.
fn calculation(options: &Options, rounds: &[Round]) -> Option<String> {
    const CLIENTS: f64 = 1e6;
    const STREAM: &str = "server-sent-events";
    let (fewest, most) = (*options.nodes.iter().min()?, *options.nodes.iter().max()?);
    if fewest == most || !options.techniques.iter().any(|technique| technique == STREAM) {
        return None;
    }
    let of = |nodes: usize, figure: fn(&Round) -> f64| median(rounds, STREAM, Some(nodes), figure);
    let delivery = of(fewest, |round| round.watched.cpu / round.watched.updates) / 1e6; // seconds
    let memory = of(fewest, |round| round.memory);
    let bytes = of(fewest, |round| round.watched.down / round.watched.updates);
    let redis = |nodes| of(nodes, |round| round.redis);
    // Noise can make it negative; a reader costs something all the same.
    let reader = ((redis(most) - redis(fewest)) / (most - fewest) as f64).max(0.0);
    let append = redis(fewest) - reader * fewest as f64;
    let servers = (CLIENTS * delivery / 0.5).ceil();
    let update = append + reader * servers;
    let count = report::count;
    Some(format!(
        "A calculation with these figures, not a measurement: a million clients with event streams, \
         and one update a second that all of them get.\n\n\
         1. *Deliveries:* {} a second. One takes {} µs of CPU (the first column with Redis, divided \
            by its clients), so that is {} cores that do nothing else.\n\
         2. *Servers:* a core that is busy half of the time answers at once, and takes over when \
            another one fails. That makes {} processes with a core each, and {} clients on each.\n\
         3. *Memory:* {} KB for a client that waits, as measured in the same rounds: {} GB \
            altogether, {} MB for each process. The kernel's own for each connection comes on top.\n\
         4. *Network:* {} bytes for each delivery are {} MB a second, and some 60 bytes of headers \
            of TCP, IP and Ethernet with each: {} Gbit/s, over all machines.\n\
         5. *Redis, meanwhile:* an append takes {} µs, and each server that reads it {} µs. With {} \
            readers an update takes {} ms: {} % of its only thread. It never hears of a client.\n\
         6. *What breaks first* is none of these, but what stands before them. In a proxy, each client \
            is two connections: that is two open files, and a port of the proxy's address, of which \
            there are 28,000 towards one server where nobody changes `ip_local_port_range`. So many \
            proxies, or a balancer that only passes packets on. Then the second after a server \
            dies: {} clients come back at once. They ask for what is after their cursor, and get it \
            out of the lists in the other servers' memory; Redis notices nothing.\n\
         7. *Where one stream becomes many:* with so many readers, {} updates a second fill the Redis (more, \
            if they come so fast that one reading takes several), and no human could read them. Long before, not everybody is to see \
            everything: a key for each room (`REDIS_KEY`), with servers of its own. Redis Cluster \
            puts the keys on many machines; nothing here spans two keys.\n",
        count(CLIENTS),
        report::figure(delivery * 1e6),
        report::figure(CLIENTS * delivery),
        count(servers),
        count(CLIENTS / servers),
        report::figure(memory / 1e3),
        report::figure(CLIENTS * memory / 1e9),
        count(CLIENTS * memory / servers / 1e6),
        count(bytes),
        count(CLIENTS * bytes / 1e6),
        report::figure(CLIENTS * (bytes + 60.0) * 8.0 / 1e9),
        count(append),
        count(reader),
        count(servers),
        report::figure(update / 1e3),
        report::figure(update / 1e4),
        count(CLIENTS / servers),
        count(1e6 / update),
    ))
}

async fn version(redis: &Redis) -> String {
    let info = redis.cli(&["INFO", "server"]).await;
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
    format!("Redis {}, append-only file, once a second on the disk.", version.unwrap_or("?").trim())
}
