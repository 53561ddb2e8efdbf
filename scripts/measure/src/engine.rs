//! What an engine costs: the same clients on one server with its feed in memory, then on one and on
//! several servers with their feed in a Redis. (`scripts/measure.sh --redis`.)

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::join_all;
use lab::{Redis, Server, server};
use tokio::time::sleep;

use crate::figures::{Engine, Shared, Variant, median};
use crate::plan::{Options, Plan, begin};
use crate::running::{Running, Watched, evenly};
use crate::{calculation, process, report};

/// How long Redis is watched while nothing happens.
const IDLE: Duration = Duration::from_secs(3);

/// Where the feed is: `None` is in the memory of the only server; else so many servers share it.
type Place = Option<u32>;

/// One round of one technique.
struct Round {
    place: Place,
    technique: &'static str,
    watched: Watched,
    memory: f64,
    /// Microseconds of Redis' for each update.
    redis: f64,
}

/// How long all of it takes, about.
pub fn takes(options: &Options, plan: &Plan) -> Duration {
    let techniques = plan.variants.iter().filter(|variant| !variant.bare);
    let each = techniques.map(|it| plan.length + begin(*it) + Duration::from_secs(1));
    let places = u32::try_from(options.nodes.len() + 1).expect("they are few");
    each.sum::<Duration>() * plan.rounds * places
}

/// Measures all of it: each technique in each place.
pub async fn measure(options: &Options, plan: &Plan) -> Result<Engine> {
    Redis::is_here().context(lab::redis::MISSING)?;
    plan.begin(takes(options, plan));
    let redis = Redis::start(false).await;
    let idle = idle(&redis).await?;
    let places: Vec<Place> =
        [None].into_iter().chain(options.nodes.iter().copied().map(Some)).collect();
    let techniques = || plan.variants.iter().filter(|variant| !variant.bare);
    let mut rounds = Vec::new();
    for number in 0..plan.rounds as usize {
        for index in 0..places.len() {
            let place = places[(number + index) % places.len()]; // the order rotates
            for variant in techniques() {
                let (technique, name) = (variant.server, calculation::place(place));
                plan.say(format!("round {} of {}: {technique}, {name}", number + 1, plan.rounds));
                let tries = Cell::new(0);
                let round = async || {
                    // A stream of its own for each round: the clients count from 0.
                    let key =
                        format!("{technique}:{number}:{index}:{}", tries.replace(tries.get() + 1));
                    let servers = start(technique, place, &redis, &key).await;
                    one_round(plan, *variant, servers, &redis, idle).await
                };
                let round = plan.quietly(round).await;
                let (watched, memory, redis) =
                    round.with_context(|| format!("{technique}, {name}"))?;
                rounds.push(Round { place, technique, watched, memory, redis });
            }
        }
    }
    plan.progress.finish_and_clear();
    let wrong: u64 = rounds.iter().map(|round| round.watched.lost + round.watched.twice).sum();
    ensure!(wrong == 0, "{wrong} updates were lost or came twice");
    let busy = rounds.iter().map(|round| round.watched.client_busy).fold(0.0, f64::max);
    let clients = f64::from(plan.clients);
    let shared = |variant: &Variant, place: Place| {
        let is_it = |round: &&Round| round.place == place && round.technique == variant.server;
        let each = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().filter(is_it).map(figure));
        let updates = |round: &Round| round.watched.updates;
        Shared {
            name: variant.server.into(),
            servers: place,
            latency: [0, 1].map(|index| each(&|round| round.watched.latency[index])),
            cpu: each(&|round| round.watched.cpu / updates(round) * clients / 1e3),
            redis: each(&|round| round.redis / 1e3),
            memory: each(&|round| round.memory),
            down: each(&|round| round.watched.down / updates(round)),
        }
    };
    let each = techniques().flat_map(|variant| places.iter().map(move |place| (variant, *place)));
    Ok(Engine {
        conditions: report::conditions(plan, busy),
        redis: version(&redis).await,
        shared: each.map(|(variant, place)| shared(variant, place)).collect(),
    })
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

/// Which part of the time Redis is busy by itself, ten times a second and more: that is not an update's.
pub async fn idle(redis: &Redis) -> Result<f64> {
    let before = process::cpu_time(redis.pid())?;
    sleep(IDLE).await;
    Ok(process::cpu_time(redis.pid())?.saturating_sub(before).div_duration_f64(IDLE))
}

/// Starts the servers of a place.
pub async fn start(technique: &str, place: Place, redis: &Redis, key: &str) -> Vec<Server> {
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

pub async fn version(redis: &Redis) -> String {
    let info = redis.cli(&["INFO", "server"]).await;
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
    format!("Redis {}, append-only file, once a second on the disk.", version.unwrap_or("?").trim())
}
