//! Measures what each technique costs: latency, requests, bytes, CPU time and memory.
//!
//! `scripts/measure.sh` builds it and the servers for release and runs it. Each server runs in a
//! process of its own (`QUIET=1`); all clients run in this one, on one thread. What is counted is
//! said at each column of [`report::table`].

#![expect(clippy::cast_precision_loss, reason = "what is counted stays far below 2^52")]

mod clients;
mod engine;
mod picture;
mod process;
mod report;

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use lab::{SERVERS, Server};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep};

use clients::{Setup, Tally};
use report::{Idle, Round};

/// Measures what each real-time technique costs on this machine.
#[derive(Parser)]
struct Options {
    /// How many clients listen
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// How many updates are published in each round
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
    updates: u64,
    /// The time between two updates
    #[arg(long, default_value = "200ms", value_parser = duration)]
    every: Duration,
    /// The time between two requests of a polling client
    #[arg(long, default_value = "5s", value_parser = duration)]
    poll_interval: Duration,
    /// How often everything is measured; the table shows medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long the bytes of a quiet time are counted; 75 s are whole periods of every technique,
    /// 0s leaves the column out
    #[arg(long, default_value = "75s", value_parser = duration)]
    idle: Duration,
    /// Which techniques, separated by commas
    #[arg(long, value_delimiter = ',', default_values = SERVERS, value_parser = SERVERS)]
    techniques: Vec<String>,
    /// Keeps each server on one processor core and the clients on the others (Linux)
    #[arg(long)]
    one_core: bool,
    /// Writes all figures to this file as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Draws latency and bytes into this file as SVG
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Writes the table into the README's part between its markers, and its picture
    #[arg(long)]
    readme: bool,
    /// Measures what an engine costs instead: in memory, then with a Redis and so many servers
    #[arg(long)]
    redis: bool,
    /// With --redis: how many servers share the clients, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "1,2,4", requires = "redis")]
    nodes: Vec<usize>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err("a duration is a number with ms, s or m, as in 200ms".into()),
    };
    let number: f64 = digits.parse().map_err(|_| format!("{digits:?} is no number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

fn main() -> Result<()> {
    let options = Options::parse();
    allow_open_files(options.clients)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let write = |path: &PathBuf, text: String| {
        std::fs::write(path, text).with_context(|| format!("{} can't be written", path.display()))
    };
    let into_readme = |markers, part: &str| {
        let readme = std::fs::read_to_string(root.join("README.md"))?;
        write(&root.join("README.md"), report::into_readme(&readme, markers, part)?)
    };
    if options.redis {
        let measured = LocalSet::new().block_on(&runtime, engine::measure(&options))?;
        println!("{measured}");
        if options.readme {
            into_readme(report::ENGINE, &format!("\n{measured}\n"))?;
        }
        return Ok(());
    }
    let measured = LocalSet::new().block_on(&runtime, measure(&options));
    let (rounds, idle) = measured?;
    let results = report::Results::new(&options.techniques, &rounds, &idle);
    println!("{}", report::table(&results));
    println!("{}", report::conditions(&options, &results));
    let json = serde_json::to_string_pretty(&report::json(&options, &results, &rounds))?;
    options.json.as_ref().map(|path| write(path, json + "\n")).transpose()?;
    options.svg.as_ref().map(|path| write(path, picture::svg(&results)?)).transpose()?;
    if options.readme {
        write(&root.join("scripts/pictures/measured.svg"), picture::svg(&results)?)?;
        into_readme(report::MEASURED, &report::part(&options, &results)?)?;
    }
    let wrong: u64 = rounds.iter().map(|round| round.lost + round.twice).sum();
    ensure!(wrong == 0, "{wrong} updates were lost or came twice: see the table");
    Ok(())
}

/// Raises this process's limit on open files, which the servers inherit, to what is needed.
fn allow_open_files(clients: u32) -> Result<()> {
    let needed = u64::from(clients) + 100;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(
        needed <= hard,
        "{clients} clients need {needed} open files, and the limit is {hard}: ask for fewer \
         --clients, or raise it (`ulimit -Hn {needed}` as root, or LimitNOFILE of systemd)"
    );
    Ok(setrlimit(Resource::RLIMIT_NOFILE, needed.max(soft), hard)?)
}

/// All rounds of all techniques, and what each costs when nothing happens.
async fn measure(options: &Options) -> Result<(Vec<Round>, Vec<Idle>)> {
    let techniques = &options.techniques;
    let steps = u64::from(options.rounds) * techniques.len() as u64 * options.updates;
    let progress = ProgressBar::new(steps).with_style(
        ProgressStyle::with_template("{msg:40} {wide_bar} {pos}/{len} updates {elapsed}")
            .expect("the template is right"),
    );
    let mut rounds = Vec::new();
    for round in 0..options.rounds as usize {
        for index in 0..techniques.len() {
            let technique = &techniques[(round + index) % techniques.len()]; // the order rotates
            progress.set_message(format!("round {}: {technique}", round + 1));
            let server = start_server(technique, options.one_core).await?;
            let round = one_round(technique, vec![server], None, options, &progress).await;
            rounds.push(round.context(technique.clone())?);
        }
    }
    progress.set_message(format!("nothing happens for {:?}", options.idle));
    let mut idle = Vec::new();
    if !options.idle.is_zero() {
        idle = quiet_time(options).await?;
    }
    progress.finish_and_clear();
    Ok((rounds, idle))
}

/// A server with its clients connected and waiting; or several, among which they are shared.
struct Running {
    servers: Vec<Server>,
    clients: JoinSet<Result<()>>,
    tally: Rc<Tally>,
    /// The servers' resident bytes before the clients came, and with all of them waiting.
    memory: (u64, u64),
}

/// How many clients connect at the same time.
const CONNECTING: u32 = 100;
/// How long to wait for what should come soon, before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

impl Running {
    async fn start(
        technique: &str,
        servers: Vec<Server>,
        options: &Options,
        count: u32,
    ) -> Result<Running> {
        let tally = Tally::new();
        let clients = JoinSet::new();
        let mut running = Running { servers, clients, tally, memory: (0, 0) };
        let memory = |servers: &[Server]| {
            servers.iter().map(|server| process::memory(server.pid())).sum::<Result<u64>>()
        };
        // What a server makes once, for its first client, is not what a client costs.
        running.connect(technique, options, u32::try_from(running.servers.len())?).await?;
        running.clients.shutdown().await;
        running.memory.0 = memory(&running.servers)?;
        running.connect(technique, options, count).await?;
        sleep(Duration::from_millis(500)).await; // those who came last are put to rest, too
        running.memory.1 = memory(&running.servers)?;
        Ok(running)
    }

    async fn connect(&mut self, technique: &str, options: &Options, count: u32) -> Result<()> {
        self.tally.ready.set(0);
        for index in 0..count {
            let setup = Setup {
                port: self.servers[index as usize % self.servers.len()].port(),
                poll_interval: options.poll_interval,
                phase: options.poll_interval.mul_f64(rand::random()),
            };
            let (technique, tally) = (technique.to_owned(), self.tally.clone());
            self.clients.spawn_local(async move { clients::run(&technique, setup, tally).await });
            self.ready((index + 1).saturating_sub(CONNECTING)).await?;
        }
        self.ready(count).await
    }

    /// Waits until so many clients are ready.
    async fn ready(&mut self, count: u32) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.tally.ready.get() < count {
            self.check()?;
            ensure!(
                Instant::now() < deadline,
                "no more than {} are served",
                self.tally.ready.get()
            );
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// A client only ends when something is wrong.
    fn check(&mut self) -> Result<()> {
        self.clients.try_join_next().map_or(Ok(()), |ended| ended?.context("a client ended"))
    }
}

/// Starts a server; with `one_core`, on a processor core that this process then leaves to it.
async fn start_server(technique: &str, one_core: bool) -> Result<Server> {
    if !one_core {
        return Ok(Server::start(technique).await);
    }
    process::stay_on_core(|core| core == 0)?; // what is started inherits it
    let server = Server::start(technique).await;
    process::stay_on_core(|core| core != 0)?;
    Ok(server)
}

/// Publishes all updates once, at the first server, and waits until every client has them.
async fn one_round(
    technique: &str,
    servers: Vec<Server>,
    engine: Option<i32>,
    options: &Options,
    progress: &ProgressBar,
) -> Result<Round> {
    let pids: Vec<_> = servers.iter().map(Server::pid).collect();
    let cpu_of = |pids: &[i32]| pids.iter().map(|pid| process::cpu_time(*pid)).sum::<Result<_>>();
    let mut running = Running::start(technique, servers, options, options.clients).await?;
    let tally = running.tally.clone();
    tally.reset();
    let (server_before, client_before) = (cpu_of(&pids)?, process::own_cpu_time()?);
    let engine_before: Duration = cpu_of(engine.as_slice())?;
    let start = Instant::now();
    let published = progress.position();
    let done = |updates| progress.set_position(published + updates);
    clients::publish(running.servers[0].port(), options.updates, options.every, done).await?;

    let expected = u64::from(options.clients) * options.updates;
    let mut deadline = Instant::now() + options.poll_interval + PATIENCE;
    let mut received = 0;
    while tally.received.get() - tally.twice.get() < expected && Instant::now() < deadline {
        if tally.received.get() > received {
            received = tally.received.get();
            deadline = Instant::now() + options.poll_interval + PATIENCE;
        }
        running.check()?;
        sleep(Duration::from_millis(10)).await;
    }
    let server_cpu: Duration = cpu_of(&pids)?.saturating_sub(server_before);
    let engine_cpu = cpu_of(engine.as_slice())?.saturating_sub(engine_before);
    let client_cpu = process::own_cpu_time()?.saturating_sub(client_before);
    let each = |count: u64| count as f64 / expected as f64;
    let latency = tally.latency.borrow();
    Ok(Round {
        technique: technique.to_owned(),
        latency_us: [
            latency.value_at_quantile(0.5),
            latency.value_at_quantile(0.99),
            latency.max(),
        ],
        lost: expected - (tally.received.get() - tally.twice.get()),
        twice: tally.twice.get(),
        requests: each(tally.requests.get()),
        up: each(tally.up.get()),
        down: each(tally.down.get()),
        server_cpu_ms: server_cpu.as_secs_f64() * 1e6 / expected as f64,
        engine_cpu_us: engine_cpu.as_secs_f64() * 1e6 / options.updates as f64,
        client_busy: client_cpu.as_secs_f64() / start.elapsed().as_secs_f64(),
        memory: (running.memory.1 as f64 - running.memory.0 as f64) / f64::from(options.clients),
    })
}

/// Counts the bytes of a time in which nothing happens, of all techniques at the same time.
async fn quiet_time(options: &Options) -> Result<Vec<Idle>> {
    let count = options.clients.min(100);
    let mut running = Vec::new();
    for technique in &options.techniques {
        let server = start_server(technique, options.one_core).await?;
        running.push((technique, Running::start(technique, vec![server], options, count).await?));
    }
    for (_, running) in &running {
        running.tally.reset();
    }
    sleep(options.idle).await;
    let per_minute = 60.0 / options.idle.as_secs_f64() / f64::from(count);
    let mut idle = Vec::new();
    for (technique, mut running) in running {
        running.check()?;
        let bytes = |count: &Cell<u64>| count.get() as f64 * per_minute;
        let (up, down) = (bytes(&running.tally.up), bytes(&running.tally.down));
        idle.push(Idle { technique: technique.clone(), up, down });
    }
    Ok(idle)
}
