//! Measures what each technique costs: latency, requests, bytes, CPU time and memory; at any rate of
//! updates, at any distance, and on one core that has more to do than it can.
//!
//! `scripts/measure.sh` builds it and the servers for release and runs it. Each server runs in a
//! process of its own (`QUIET=1`); all clients run in this one, on one thread. What is counted is
//! said at each figure in [`figures`].

#![expect(clippy::cast_precision_loss, reason = "what is counted stays far below 2^52")]

mod beside;
mod burst;
mod calculation;
mod clients;
mod distance;
mod engine;
mod figures;
mod picture;
mod process;
mod report;
mod running;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use futures_util::future::{try_join_all, try_join3};
use indicatif::{ProgressBar, ProgressStyle};
use lab::{SERVERS, Server};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::task::LocalSet;

use figures::{Measured, Point, Quiet, Row, Variant, median};
use running::{Running, Watched, at_random, evenly};

/// Measures what each real-time technique costs on this machine.
#[derive(Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option by itself")]
struct Options {
    /// How many clients listen
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// How many updates are counted in each round, as many more as make whole intervals of polling
    /// [default: 50, with --redis 25]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    updates: Option<u32>,
    /// The time between two updates
    #[arg(long, default_value = "200ms", value_parser = duration)]
    every: Duration,
    /// The time between two requests of a polling client [default: 5s, with --redis 1s]
    #[arg(long, value_parser = duration)]
    poll_interval: Option<Duration>,
    /// How often an update's cost is measured; the table shows medians [default: 3, with --redis 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// How long a quiet time is watched; 75 s are whole periods of every technique, 0s leaves it out
    #[arg(long, default_value = "75s", value_parser = duration)]
    idle: Duration,
    /// Which techniques, separated by commas
    #[arg(long, value_delimiter = ',', default_values = SERVERS, value_parser = SERVERS)]
    techniques: Vec<String>,
    /// Another server in the place of ours, as in polling='node server.mjs'; it gets PORT and QUIET
    #[arg(long, value_name = "NAME=COMMAND", value_parser = named)]
    server: Vec<(String, String)>,
    /// Also measures at so many updates a minute, separated by commas
    #[arg(long, value_delimiter = ',', value_parser = positive)]
    rates: Vec<f64>,
    /// Also measures at these distances: round trips, separated by commas, as in 0,20ms,100ms
    #[arg(long, value_delimiter = ',', value_parser = duration)]
    rtt: Vec<Duration>,
    /// Also measures how much one core takes, with so many clients, separated by commas
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    burst: Vec<u32>,
    /// Also measures the naive servers (NAME/naive/server.mjs) beside ours; they need Node
    #[arg(long, conflicts_with = "server")]
    naive: bool,
    /// Everything that the README shows, in 15 minutes at the most
    #[arg(long)]
    all: bool,
    /// With all that is asked for, but so short that it takes a minute: for a first look
    #[arg(long)]
    quick: bool,
    /// Measures everything, and writes it into the pages and their pictures
    #[arg(long, conflicts_with_all = ["quick", "server", "techniques"])]
    readme: bool,
    /// Measures nothing: writes the pages and their pictures again, from the figures that are kept
    #[arg(long, conflicts_with = "readme")]
    again: bool,
    /// Writes all figures to this file as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Draws the pictures that can be drawn into this folder, as SVG
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Measures what an engine costs instead: in memory, then with a Redis and so many servers
    #[arg(long)]
    redis: bool,
    /// With --redis: how many servers share the clients, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "1,2,4", requires = "redis",
        value_parser = clap::value_parser!(u32).range(1..))]
    nodes: Vec<u32>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "" if digits == "0" => 0.0,
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err("a duration is a number with ms, s or m, as in 200ms".into()),
    };
    let number: f64 = digits.parse().map_err(|_| format!("{digits:?} is no number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|rate| (0.01..=6_000.0).contains(rate));
    number.ok_or("updates a minute are a number from 0.01 to 6000".into())
}

fn named(text: &str) -> Result<(String, String), String> {
    let (name, command) = text.split_once('=').ok_or("it has the form NAME=COMMAND")?;
    if !SERVERS.contains(&name) {
        return Err(format!("{name} is none of {}", SERVERS.join(", ")));
    }
    Ok((name.into(), command.into()))
}

/// What is measured, and how long.
pub struct Plan {
    variants: Vec<Variant>,
    /// Those whose costs are drawn over the rate of updates.
    in_pictures: Vec<Variant>,
    others: Vec<(String, String)>,
    clients: u32,
    every: Duration,
    poll_interval: Duration,
    /// How long a round is.
    length: Duration,
    rounds: u32,
    idle: Duration,
    /// Rates, and how long each is watched.
    rates: Vec<(f64, Duration)>,
    distances: Vec<Duration>,
    /// How many pairs of updates are published at each distance.
    pairs: u64,
    bursts: Vec<u32>,
    /// How long a burst is.
    burst: Duration,
    /// Whether the naive servers are measured beside ours.
    beside: bool,
    progress: ProgressBar,
}

impl Plan {
    fn new(options: &Options) -> Plan {
        let (all, quick) = (options.all || options.readme, options.quick);
        let seconds = Duration::from_secs;
        let is_asked = |server: &&str| options.techniques.iter().any(|name| name == server);
        let (updates, poll_interval, rounds) =
            if options.redis { (25, seconds(1), 2) } else { (50, seconds(5), 3) };
        let poll_interval =
            if quick { Some(seconds(1)) } else { options.poll_interval }.unwrap_or(poll_interval);
        let variant = |server| Variant { server, poll_interval, bare: false };
        let mut variants: Vec<_> = SERVERS.into_iter().filter(is_asked).map(variant).collect();
        let mut in_pictures = variants.clone();
        if let Some(socket) = variants.last().filter(|it| it.server == "websockets") {
            variants.push(Variant { bare: true, ..*socket });
        }
        if poll_interval > seconds(1) && variants.first().is_some_and(|it| it.server == "polling") {
            in_pictures.insert(1, Variant { poll_interval: seconds(1), ..variants[0] });
        }
        // Whole intervals of a polling client, so that none counts more than another.
        let length = options.every * options.updates.unwrap_or(updates);
        let whole = (length.as_secs_f64() / poll_interval.as_secs_f64()).ceil().max(1.0);
        let length = if quick { seconds(2) } else { poll_interval.mul_f64(whole) };
        let rates = match &options.rates[..] {
            [] if all && quick => vec![60.0, 300.0],
            [] if all => vec![2.0, 6.0, 20.0, 60.0, 300.0],
            rates => rates.to_vec(),
        };
        // Long enough for some updates, and for whole periods of all that repeats by itself.
        let window = |rate: f64| match rate {
            _ if quick => seconds(3),
            0.0..4.0 => seconds(150),
            4.0..30.0 => seconds(75),
            _ => seconds(30),
        };
        Plan {
            variants,
            in_pictures,
            others: options.server.clone(),
            clients: options.clients,
            every: options.every,
            poll_interval,
            length,
            rounds: if quick { 1 } else { options.rounds.unwrap_or(rounds) },
            idle: if quick && !options.idle.is_zero() { seconds(25) } else { options.idle },
            rates: rates.into_iter().map(|rate| (rate, window(rate))).collect(),
            distances: match &options.rtt[..] {
                [] if all && quick => vec![Duration::ZERO, Duration::from_millis(100)],
                [] if all => [0, 20, 100, 300].map(Duration::from_millis).into(),
                rtt => rtt.to_vec(),
            },
            pairs: if quick { 5 } else { 20 },
            bursts: match &options.burst[..] {
                [] if all && quick => vec![1_000],
                [] if all => vec![1_000, 10_000],
                bursts => bursts.to_vec(),
            },
            burst: seconds(if quick { 1 } else { 5 }),
            beside: options.naive || (all && !quick && options.server.is_empty()),
            progress: ProgressBar::new_spinner().with_style(
                ProgressStyle::with_template("{elapsed} {msg}").expect("the template is right"),
            ),
        }
    }

    /// The command of the server that takes the place of ours.
    fn other(&self, name: &str) -> Option<&str> {
        let other = self.others.iter().find(|(technique, _)| technique == name);
        other.map(|(_, command)| &**command)
    }

    fn say(&self, what: String) {
        if self.progress.is_hidden() {
            eprintln!("{what}");
        }
        self.progress.set_message(what);
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let plan = Plan::new(&options);
    // All techniques at once, in a quiet time, at several rates, and behind a line (with three each).
    let most = plan.bursts.iter().copied().chain([options.clients.saturating_mul(40)]).max();
    allow_open_files(most.expect("there is one at least"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if options.redis {
        let measured = LocalSet::new().block_on(&runtime, engine::measure(&options, &plan))?;
        println!("{}", calculation::engine(&measured));
        let json = serde_json::to_string_pretty(&measured)? + "\n";
        options.json.as_ref().map(|path| write(path, &json)).transpose()?;
        if options.readme {
            write(&root().join(ENGINE), &json)?;
            into_page(&report::ENGINE, &calculation::engine(&measured))?;
        }
        return Ok(());
    }
    if options.again {
        write_pages(&kept(MEASURED)?)?;
        return into_page(&report::ENGINE, &calculation::engine(&kept(ENGINE)?));
    }
    let measured = LocalSet::new().block_on(&runtime, measure(&plan))?;
    plan.progress.finish_and_clear();
    println!("{}", report::all(&measured));
    let json = serde_json::to_string_pretty(&measured)? + "\n";
    options.json.as_ref().map(|path| write(path, &json)).transpose()?;
    options.svg.as_ref().map(|folder| draw(&measured, folder)).transpose()?;
    if options.readme {
        write(&root().join(MEASURED), &json)?;
        write_pages(&measured)?;
    }
    let wrong: u64 = measured.rows.iter().map(|row| row.lost + row.twice).sum();
    ensure!(wrong == 0, "{wrong} updates were lost or came twice: see the table");
    Ok(())
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} can't be written", path.display()))
}

fn draw(measured: &Measured, folder: &Path) -> Result<()> {
    picture::all(measured).into_iter().try_for_each(|(name, svg)| write(&folder.join(name), &svg?))
}

fn write_pages(measured: &Measured) -> Result<()> {
    draw(measured, &root().join("scripts/pictures"))?;
    into_page(&report::COSTS, &report::costs(measured).context("it is incomplete")?)?;
    into_page(&report::FRONT, &report::front(measured).context("it is incomplete")?)
}

fn into_page(part: &report::Part, text: &str) -> Result<()> {
    let path = root().join(part.page);
    let page = std::fs::read_to_string(&path)?;
    write(&path, &part.put_into(text, &page)?)
}

/// The figures that are kept: what each technique costs, and what an engine costs.
const MEASURED: &str = "scripts/pictures/measured.json";
const ENGINE: &str = "scripts/pictures/engine.json";

fn kept<Figures: serde::de::DeserializeOwned>(file: &str) -> Result<Figures> {
    let json = std::fs::read_to_string(root().join(file));
    let json = json.with_context(|| format!("{file} can't be read"))?;
    Ok(serde_json::from_str(&json)?)
}

/// Raises this process's limit on open files, which the servers inherit, to what is needed.
fn allow_open_files(clients: u32) -> Result<()> {
    let needed = u64::from(clients) + 100;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(
        needed <= hard,
        "{clients} clients need {needed} open files, and the limit is {hard}: ask for fewer \
         clients, or raise it (`ulimit -Hn {needed}` as root, or LimitNOFILE of systemd)"
    );
    Ok(setrlimit(Resource::RLIMIT_NOFILE, needed.max(soft), hard)?)
}

/// Starts a server: ours, or the one that takes its place.
async fn start_server(plan: &Plan, name: &str) -> Result<Server> {
    match plan.other(name) {
        None => Ok(Server::start(name).await),
        Some(command) => start_other(name, command).await,
    }
}

/// Starts somebody else's server. Many a one takes the port 0 for none: it gets one that is free.
async fn start_other(name: &str, command: &str) -> Result<Server> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut shell = tokio::process::Command::new("sh");
    shell.arg("-c").arg(format!("exec {command}")).env("QUIET", "1");
    shell.env("PORT", port.to_string()).env("HOST", "127.0.0.1");
    Ok(Server::spawn(name, &mut shell).await)
}

async fn start(plan: &Plan, variant: Variant) -> Result<Running> {
    let server = start_server(plan, variant.server).await?;
    let port = server.port();
    Running::start(variant, vec![server], &[port], plan.clients).await
}

/// One after the other, since what one does would disturb the other. A quiet time and few updates
/// disturb nobody: they share the time.
async fn measure(plan: &Plan) -> Result<Measured> {
    ensure!(!plan.variants.is_empty(), "there is nothing to measure");
    plan.progress.enable_steady_tick(Duration::from_millis(500));
    let (rows, client_busy) = rounds(plan).await?;
    let (few, many): (Vec<_>, Vec<_>) = plan.rates.iter().partition(|(rate, _)| *rate < 30.0);
    let few = try_join_all(few.into_iter().map(|(rate, length)| at_rate(plan, rate, length)));
    let (quiet, distances, few) = try_join3(quiet_time(plan), distance::measure(plan), few).await?;
    let mut rates = few.concat();
    for (rate, length) in many {
        rates.extend(at_rate(plan, rate, length).await?);
    }
    let bursts = burst::measure(plan).await?;
    let beside = beside::measure(plan, &rows).await?;
    let conditions = report::conditions(plan, client_busy);
    Ok(Measured { conditions, rows, quiet, rates, distances, bursts, beside })
}

/// An update's cost: all rounds of all techniques, and how busy the clients were.
async fn rounds(plan: &Plan) -> Result<(Vec<Row>, f64)> {
    let mut rounds: Vec<(Variant, Watched, f64)> = Vec::new();
    for round in 0..plan.rounds as usize {
        for index in 0..plan.variants.len() {
            let variant = plan.variants[(round + index) % plan.variants.len()]; // the order rotates
            plan.say(format!("round {} of {}: {}", round + 1, plan.rounds, variant.name()));
            let watch = async {
                let mut running = start(plan, variant).await?;
                let begin = begin(variant);
                let moments = evenly(plan.every, begin + plan.length);
                anyhow::Ok((running.watch(moments, begin, plan.length).await?, running.memory))
            };
            let (watched, memory) = watch.await.with_context(|| variant.name())?;
            rounds.push((variant, watched, memory));
        }
    }
    let busy = rounds.iter().map(|(_, watched, _)| watched.client_busy).fold(0.0, f64::max);
    let row = |variant: &Variant| {
        let own: Vec<_> = rounds.iter().filter(|(of, ..)| of == variant).collect();
        let each = |figure: fn(&Watched) -> f64| median(own.iter().map(|(_, it, _)| figure(it)));
        Row {
            name: variant.name(),
            latency: [each(|it| it.latency[0]), each(|it| it.latency[1]), each(|it| it.latency[2])],
            lost: own.iter().map(|(_, it, _)| it.lost).sum(),
            twice: own.iter().map(|(_, it, _)| it.twice).sum(),
            requests: each(|it| it.requests / it.updates),
            up: each(|it| it.up / it.updates),
            down: each(|it| it.down / it.updates),
            cpu: each(|it| it.cpu / it.updates), // µs for one are ms for 1,000
            memory: median(own.iter().map(|(.., memory)| *memory)),
        }
    };
    Ok((plan.variants.iter().map(row).collect(), busy))
}

/// When a client is in full swing: with polling, once each has asked.
fn begin(variant: Variant) -> Duration {
    if variant.server == "polling" { variant.poll_interval } else { Duration::from_millis(500) }
}

/// What a client costs when nothing happens, all techniques at once.
async fn quiet_time(plan: &Plan) -> Result<Vec<Quiet>> {
    if plan.idle.is_zero() {
        return Ok(Vec::new());
    }
    let also = plan.in_pictures.iter().filter(|variant| !plan.variants.contains(variant));
    let all = plan.variants.iter().chain(also).map(|variant| async {
        let mut running = start(plan, *variant).await?;
        let it = running.watch(Vec::new(), begin(*variant), plan.idle).await?;
        let minutes = it.minutes;
        let (up, down, cpu) = (it.up / minutes, it.down / minutes, it.cpu / minutes);
        anyhow::Ok(Quiet { name: variant.name(), up, down, cpu })
    });
    try_join_all(all).await
}

/// What a client costs at a rate, all techniques at once; updates come at random moments.
async fn at_rate(plan: &Plan, rate: f64, length: Duration) -> Result<Vec<Point>> {
    plan.say(format!("{rate} updates a minute, for {length:?}"));
    let all = plan.in_pictures.iter().map(|variant| async {
        let mut running = start(plan, *variant).await?;
        let begin = begin(*variant);
        let moments = at_random(rate, begin + length);
        let it = running.watch(moments, begin, length).await?;
        if it.lost + it.twice > 0 && plan.other(variant.server).is_none() {
            bail!("{}: {} lost, {} twice", variant.name(), it.lost, it.twice);
        }
        let (bytes, cpu) = ((it.up + it.down) / it.minutes, it.cpu / it.minutes);
        Ok(Point { name: variant.name(), rate: it.updates / it.minutes, bytes, cpu })
    });
    try_join_all(all).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use figures::What;

    fn kept() -> Measured {
        super::kept(MEASURED).expect("scripts/measure.sh --readme has written it")
    }

    /// The pictures' lines are calculated, their points were measured.
    #[test]
    fn points_are_on_their_lines() {
        let measured = kept();
        let rates = measured.names().len() * 5;
        assert!(measured.rates.len() >= rates, "five rates or more");
        // Bytes are counted. Time is not the same twice, and what is done rarely takes longer.
        for (what, most) in [(What::Bytes, 1.1), (What::Cpu, 2.5)] {
            let mut count = 0;
            for (Point { name, rate, .. }, apart) in measured.apart(what) {
                assert!(apart < most, "{name} at {rate}: {apart} times its line, or its line it");
                count += 1;
            }
            assert_eq!(count, measured.rates.len(), "each has its line");
        }
    }

    /// Tables, sentences and pictures are those of the figures that are kept.
    #[test]
    fn the_pages_say_what_was_measured() {
        let measured = kept();
        let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("it is there");
        let engine = super::kept(ENGINE).expect("--redis --readme has written it");
        for (part, text) in [
            (report::COSTS, report::costs(&measured).expect("it is complete")),
            (report::FRONT, report::front(&measured).expect("it is complete")),
            (report::ENGINE, calculation::engine(&engine)),
        ] {
            let page = read(part.page);
            let again = part.put_into(&text, &page).expect("it has markers");
            assert!(page == again, "{}: scripts/measure.sh --again writes it", part.page);
        }
        for (name, svg) in picture::all(&measured) {
            assert!(
                read(&format!("scripts/pictures/{name}")) == svg.expect("it can be drawn"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_crossing_is_where_two_lines_are_equal() {
        let measured = kept();
        let costs = measured.costs(What::Bytes);
        let (poll, long) = (costs[&figures::polling(5.0)], costs["long-polling"]);
        let rate = figures::crossing(poll, long, What::Bytes).expect("they cross");
        assert!((poll.at(rate) / long.at(rate) - 1.0).abs() < 1e-6);
        assert!(
            poll.at(rate * 2.0) < long.at(rate * 2.0) && poll.at(rate / 2.0) > long.at(rate / 2.0)
        );
        assert_eq!(figures::crossing(long, poll, What::Bytes), None);
    }
}
