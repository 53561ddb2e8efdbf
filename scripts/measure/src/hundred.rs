//! More clients than one process may have: some servers on one Redis, and for each of them a process of
//! clients, which is this program once more. (`scripts/measure.sh --redis --clients 95000 --nodes 5`.)

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use lab::Redis;
use nix::sys::resource::{Resource, getrlimit};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep};

use crate::clients::Publisher;
use crate::figures::{Hundred, Variant};
use crate::plan::{Options, Plan, allow_open_files};
use crate::running::{AN_ADDRESS, Running, Who};
use crate::{calculation, engine, process, report};

/// How many updates all of them get, and how long it is quiet between two.
const UPDATES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);
/// What a client takes, at both ends together: of the servers, of the kernel and of the clients.
const MEMORY: u64 = 40_000;
/// What a process opens besides its clients.
const FILES: u64 = 100;

/// What a process of clients says on a line: what it has counted until now.
#[derive(Serialize, Deserialize)]
struct Said {
    lost: u64,
    /// Seconds until all its clients were connected, and seconds of its processor time.
    connecting: f64,
    cpu: f64,
    /// Microseconds of a delivery, and how often they were seen.
    latency: Vec<(u64, u64)>,
}

/// How long all of it takes, about.
pub fn takes(options: &Options) -> Duration {
    let update = Duration::from_micros(u64::from(options.clients[0]) * 22) + PAUSE;
    update * UPDATES + Duration::from_micros(u64::from(options.clients[0]) * 100)
}

/// How many clients this machine allows, and why no more.
fn allowed(nodes: u32) -> Result<(u64, String)> {
    let (_, files) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let range = range.context("clients with addresses of their own need Linux")?;
    let ports: Vec<u64> = range.split_whitespace().flat_map(str::parse).collect();
    let ports = if let [from, to] = ports[..] { to - from } else { 0 };
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    Ok(fewest(nodes.into(), files, ports, system.available_memory()))
}

fn fewest(nodes: u64, files: u64, ports: u64, memory: u64) -> (u64, String) {
    let few_ports = ports < AN_ADDRESS.into();
    let limits = [
        (
            files.saturating_sub(FILES) * nodes,
            format!("a process may open {files} files (`ulimit -Hn`), and --nodes is {nodes}"),
        ),
        (
            if few_ports { ports * nodes } else { u64::MAX },
            format!("an address has {ports} ports (`ip_local_port_range`), and --nodes is {nodes}"),
        ),
        (memory / MEMORY, format!("{} MB of memory are free", memory / 1_000_000)),
    ];
    limits.into_iter().min_by_key(|(clients, _)| *clients).expect("there are three")
}

/// All of it.
pub async fn measure(options: &Options, plan: &Plan) -> Result<Hundred> {
    Redis::is_here().context(lab::redis::MISSING)?;
    let (clients, nodes) = (plan.clients, options.nodes[0]);
    let (most, why) = allowed(nodes)?;
    ensure!(u64::from(clients) <= most, "this machine allows {most} of {clients} clients: {why}");
    allow_open_files(clients / nodes)?;
    plan.begin(takes(options));
    let seen = plan.quietly(async || once(plan, nodes).await).await?;
    plan.progress.finish_and_clear();
    Ok(Hundred { conditions: report::conditions(plan, 0.0), ..seen })
}

async fn once(plan: &Plan, nodes: u32) -> Result<Hundred> {
    let clients = plan.clients;
    let redis = Redis::start(false).await;
    let idle = engine::idle(&redis).await?;
    let variant = plan.variants.iter().find(|it| it.server == calculation::STREAM);
    let variant = *variant.context("it is measured with event streams")?;
    let servers = engine::start(variant.server, Some(nodes), &redis, "hundred").await;
    let ports: Vec<_> = servers.iter().map(lab::Server::port).collect();
    // One client of each server is here: what a server makes for its first one is no other's.
    let mut running = Running::start(variant, servers, &ports, nodes).await?;
    let (memory, before) = (running.resident()?, running.cpu()?);
    plan.say(format!("{clients} clients connect"));
    // Addresses of which a run before has left no ports that are not free yet.
    let crowds = ports.iter().zip(rand::random_range(1..200)..);
    let crowds = crowds.map(|(port, network)| spawn(variant, *port, network, clients / nodes - 1));
    let mut crowds = crowds.collect::<Result<Vec<_>>>()?;
    let connected = all_say(&mut crowds).await?;
    let memory = running.resident()? - memory;
    let mut publisher = Publisher::connect(ports[0]).await?;
    let (begin, cpu) = (Instant::now(), running.cpu()?);
    let redis_cpu = process::cpu_time(redis.pid())?;
    let (mut times, mut said) = (Vec::new(), Vec::new());
    for update in 1..=UPDATES {
        plan.say(format!("update {update} of {UPDATES} to {clients} clients"));
        let at = Instant::now();
        publisher.publish(false).await?;
        said = all_say(&mut crowds).await?;
        times.push(at.elapsed().as_secs_f64() * 1e3);
        let lost = running.all_received(u64::from(update)).await?;
        let lost = lost + said.iter().map(|it| it.lost).sum::<u64>();
        ensure!(lost == 0, "{lost} updates were lost");
        sleep(PAUSE).await;
    }
    let seconds = |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64();
    let redis_cpu = seconds(process::cpu_time(redis.pid())?, redis_cpu);
    let redis_cpu = redis_cpu - idle * begin.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let mut latency = Histogram::<u64>::new(3)?;
    for (value, count) in said.iter().flat_map(|it| &it.latency) {
        latency.record_n(*value, *count)?;
    }
    let of_clients = |said: &[Said]| said.iter().map(|it| it.cpu).sum::<f64>();
    let updates = f64::from(UPDATES);
    let (each, delivery) = (f64::from(clients), f64::from(clients) * updates);
    Ok(Hundred {
        conditions: report::conditions(plan, 0.0),
        redis_version: engine::version(&redis).await,
        servers: nodes,
        cores: std::thread::available_parallelism()?.get(),
        connecting: connected.iter().map(|it| it.connecting).fold(0.0, f64::max),
        connecting_cpu: seconds(cpu, before) * 1e6 / each,
        memory: memory / each,
        delivery: seconds(running.cpu()?, cpu) * 1e6 / delivery,
        client: (of_clients(&said) - of_clients(&connected)) * 1e6 / delivery,
        redis: redis_cpu * 1e3 / updates,
        latency: [0.5, 0.99].map(|part| latency.value_at_quantile(part) as f64 / 1e3),
        last: [times[times.len() / 2], times[times.len() - 1]],
    })
}

type Crowd = (Child, Lines<BufReader<ChildStdout>>);

fn spawn(variant: Variant, port: u16, network: u8, clients: u32) -> Result<Crowd> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--techniques", variant.server]).arg(format!("--network={network}"));
    command.arg(format!("--as-client=127.0.0.1:{port}")).arg(format!("--clients={clients}"));
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let stdout = child.stdout.take().context("it is piped")?;
    Ok((child, BufReader::new(stdout).lines()))
}

/// The next line of each.
async fn all_say(crowds: &mut [Crowd]) -> Result<Vec<Said>> {
    let lines = crowds.iter_mut().map(async |(_, lines)| {
        let line = lines.next_line().await?.context("clients have ended")?;
        anyhow::Ok(serde_json::from_str(&line)?)
    });
    try_join_all(lines).await
}

/// Is clients of one server, until killed: says when all are connected, and when all have an update.
pub async fn be_crowd(variant: Variant, port: u16, network: u8, count: u32) -> Result<()> {
    allow_open_files(count)?;
    let who = Who { network, ..Who::of(variant, count) };
    let mut running = Running::start_for(who, Vec::new(), &[port]).await?;
    for updates in 0.. {
        if updates > 0 {
            // Nobody knows when it is published: as soon as the first has it.
            running.tally.received((updates - 1) * u64::from(count) + 1).await;
        }
        let lost = running.all_received(updates).await?;
        let seen = running.tally.latency.borrow();
        let latency = seen.iter_recorded().map(|it| (it.value_iterated_to(), it.count_at_value()));
        let latency = latency.collect();
        let connecting = running.connecting.0.as_secs_f64();
        let cpu = process::own_cpu_time()?.as_secs_f64();
        let said = Said { lost, connecting, cpu, latency };
        println!("{}", serde_json::to_string(&said)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::fewest;

    /// It is said before it begins: how many clients a machine allows, and by which limit.
    #[test]
    fn the_lowest_limit_counts() {
        let ask = |files, ports, memory| fewest(5, files, ports, memory);
        let (clients, why) = ask(20_000, 28_000, 23_000_000_000);
        assert!(clients == 99_500 && why.contains("20000 files"), "{clients}: {why}");
        let (clients, why) = ask(20_000, 9_000, 23_000_000_000);
        assert!(clients == 45_000 && why.contains("ports"), "{clients}: {why}");
        let (clients, why) = ask(20_000, 28_000, 1_000_000_000);
        assert!(clients == 25_000 && why.contains("1000 MB"), "{clients}: {why}");
    }
}
