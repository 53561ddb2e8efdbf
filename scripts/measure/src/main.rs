//! Measures what each technique costs: latency, requests, bytes, CPU time and memory; at any rate of
//! updates, at any distance, and on one core that has more to do than it can.
//!
//! `scripts/measure.sh` builds it and the servers for release and runs it. Each server runs in a
//! process of its own (`QUIET=1`); all clients run in this one, on one thread. What is counted is
//! said at each figure in [`figures`].

#![expect(clippy::cast_precision_loss, reason = "what is counted stays far below 2^52")]

mod beside;
mod browser;
mod burst;
mod calculation;
mod clients;
mod crowd;
mod deployed;
mod distance;
mod engine;
mod figures;
mod hundred;
mod load;
mod morning;
mod peers;
mod picture;
mod plan;
mod process;
mod rates;
mod report;
mod running;
mod wire;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use lab::Server;
use lab::server::free_port;
use serde::{Serialize, de::DeserializeOwned};
use tokio::task::LocalSet;

use figures::{Crowds, Engine, Hundred, Measured, Mornings, Peers, Row, Variant, median};
use plan::{Kind, Options, Plan, allow_open_files, begin};
use running::{Running, Watched, evenly};

fn main() -> Result<()> {
    let options = Options::parse();
    let plan = Plan::new(&options);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, all(&options, &plan))
}

async fn all(options: &Options, plan: &Plan) -> Result<()> {
    if let (Some(server), Some(network)) = (options.within.as_client, options.within.network) {
        return hundred::be_crowd(plan.variants[0], server.port(), network, plan.clients).await;
    }
    allow_open_files(plan.most_clients())?;
    if let Some(server) = options.within.as_client {
        return wire::be_client(plan.variants[usize::from(options.within.bare)], server).await;
    }
    if options.within.on_the_wire {
        println!("{}", serde_json::to_string(&wire::within(plan).await?)?);
        return Ok(());
    }
    if options.again {
        return kept_pages()?.iter().try_for_each(Page::write);
    }
    match plan.kind {
        Kind::Hundred => return tell(options, &hundred::measure(options, plan).await?),
        Kind::Engine => return tell(options, &engine::measure(options, plan).await?),
        Kind::Morning => return tell(options, &morning::measure(plan).await?),
        Kind::Crowds => return tell(options, &crowd::measure(plan).await?),
        Kind::Peers => return tell(options, &peers::measure(plan).await?),
        Kind::Costs => {}
    }
    let measured = measure(plan).await?;
    plan.progress.finish_and_clear();
    tell(options, &measured)?;
    options.svg.as_ref().map(|folder| draw(&measured, folder)).transpose()?;
    let wrong: u64 = measured.rows.iter().map(|row| row.lost + row.twice).sum();
    ensure!(wrong == 0, "{wrong} updates were lost or came twice: see the table");
    Ok(())
}

/// Shows what was measured, and writes it where that is asked for. (On a terminal as a terminal shows it
/// best; to a file or a pipe it goes as it is.)
fn tell<Figures: Kept>(options: &Options, measured: &Figures) -> Result<()> {
    let (text, is_terminal) = (measured.text(), std::io::stdout().is_terminal());
    println!("{}", if is_terminal { report::text::plain(&text) } else { text });
    let json = serde_json::to_string_pretty(measured)? + "\n";
    options.json.as_ref().map(|path| write(path, &json)).transpose()?;
    if options.readme {
        write(&pictures().join(Figures::FILE), &json)?;
        measured.pages()?.iter().try_for_each(Page::write)?;
    }
    Ok(())
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn pictures() -> PathBuf {
    root().join("scripts/pictures")
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} can't be written", path.display()))
}

fn draw(measured: &Measured, folder: &Path) -> Result<()> {
    picture::all(measured).into_iter().try_for_each(|(name, svg)| write(&folder.join(name), &svg?))
}

/// Figures that are kept in `scripts/pictures`, and what is made from them.
trait Kept: Serialize + DeserializeOwned {
    const FILE: &str;
    const PART: report::Part;

    /// For a terminal, and mostly for the page.
    fn text(&self) -> String;

    fn pages(&self) -> Result<Vec<Page>> {
        Ok(vec![Page::Part(Self::PART, self.text())])
    }

    fn read() -> Result<Self> {
        let json = std::fs::read_to_string(pictures().join(Self::FILE));
        let json = json.with_context(|| format!("{} can't be read", Self::FILE))?;
        Ok(serde_json::from_str(&json)?)
    }
}

/// What is made from figures: a part of a page, or a picture.
enum Page {
    Part(report::Part, String),
    Picture(&'static str, String),
}

impl Page {
    fn path(&self) -> PathBuf {
        match self {
            Page::Part(part, _) => root().join(part.page),
            Page::Picture(name, _) => pictures().join(name),
        }
    }

    /// The whole file.
    fn file(&self) -> Result<String> {
        match self {
            Page::Part(part, text) => part.put_into(text, &std::fs::read_to_string(self.path())?),
            Page::Picture(_, svg) => Ok(svg.clone()),
        }
    }

    fn write(&self) -> Result<()> {
        write(&self.path(), &self.file()?)
    }
}

impl Kept for Measured {
    const FILE: &str = "measured.json";
    const PART: report::Part = report::COSTS;

    fn text(&self) -> String {
        report::all(self)
    }

    fn pages(&self) -> Result<Vec<Page>> {
        let pictures = picture::all(self).into_iter();
        let pictures = pictures.map(|(name, svg)| Ok(Page::Picture(name, svg?)));
        let parts = [(Self::PART, report::costs(self)), (report::FRONT, report::front(self))];
        let parts = parts
            .into_iter()
            .map(|(part, text)| Ok(Page::Part(part, text.context("it is incomplete")?)));
        pictures.chain(parts).collect()
    }
}

impl Kept for Crowds {
    const FILE: &str = "clients.json";
    const PART: report::Part = report::CLIENTS;

    fn text(&self) -> String {
        report::crowds(self)
    }

    fn pages(&self) -> Result<Vec<Page>> {
        let picture = Page::Picture("clients.svg", picture::crowds(self)?);
        Ok(vec![picture, Page::Part(Self::PART, self.text())])
    }
}

impl Kept for Peers {
    const FILE: &str = "peers.json";
    const PART: report::Part = report::PEERS;

    fn text(&self) -> String {
        report::peers(self)
    }
}

impl Kept for Engine {
    const FILE: &str = "engine.json";
    const PART: report::Part = report::ENGINE;

    fn text(&self) -> String {
        calculation::engine(self)
    }

    fn pages(&self) -> Result<Vec<Page>> {
        let text = self.text() + &calculation::tried(self, &Hundred::read()?).unwrap_or_default();
        Ok(vec![Page::Part(Self::PART, text)])
    }
}

impl Kept for Hundred {
    const FILE: &str = "hundred.json";
    const PART: report::Part = report::ENGINE;

    fn text(&self) -> String {
        let engine = Engine::read().ok();
        engine.and_then(|engine| calculation::tried(&engine, self)).unwrap_or_default()
    }

    fn pages(&self) -> Result<Vec<Page>> {
        Engine::read()?.pages()
    }
}

impl Kept for Mornings {
    const FILE: &str = "morning.json";
    const PART: report::Part = report::MORNING;

    fn text(&self) -> String {
        report::mornings(self)
    }
}

/// All that is made from the figures that are kept.
fn kept_pages() -> Result<Vec<Page>> {
    let all = [
        Measured::read()?.pages()?,
        Crowds::read()?.pages()?,
        Peers::read()?.pages()?,
        Engine::read()?.pages()?,
        Mornings::read()?.pages()?,
    ];
    Ok(all.into_iter().flatten().collect())
}

/// Starts a server: ours, or the one that takes its place.
async fn start_server(plan: &Plan, name: &str) -> Server {
    match plan.other(name) {
        None => Server::start(name).await,
        Some(command) => start_other(name, command).await,
    }
}

/// Starts somebody else's server. Many a one takes the port 0 for none: it gets one that is free.
async fn start_other(name: &str, command: &str) -> Server {
    let mut shell = tokio::process::Command::new("sh");
    shell.arg("-c").arg(format!("exec {command}")).env("QUIET", "1");
    shell.env("PORT", free_port().to_string()).env("HOST", "127.0.0.1");
    Server::spawn(name, &mut shell).await
}

async fn start(plan: &Plan, variant: Variant) -> Result<Running> {
    let server = start_server(plan, variant.server).await;
    let port = server.port();
    Running::start(variant, vec![server], &[port], plan.clients).await
}

/// One after the other, since what one does would disturb the other. A quiet time and few updates
/// disturb nobody: they share the time.
async fn measure(plan: &Plan) -> Result<Measured> {
    ensure!(!plan.variants.is_empty(), "there is nothing to measure");
    plan.begin(plan.takes());
    let (rows, client_busy) = rounds(plan).await?;
    let (quiet, rates) = rates::measure(plan).await?;
    let distances = distance::measure(plan).await?;
    let bursts = burst::measure(plan).await?;
    let beside = beside::measure(plan, &rows).await?;
    // Both count what little a client alone sends and receives: that needs no quiet machine.
    let both = tokio::join!(wire::measure(plan), deployed::measure(plan));
    let ((wire, no_wire), (deployed, no_deployed)) = (or_why(both.0), or_why(both.1));
    let (browser, no_browser) = or_why(browser::measure(plan).await);
    Ok(Measured {
        conditions: report::conditions(plan, client_busy),
        rows,
        quiet,
        rates,
        distances,
        bursts,
        beside,
        wire,
        no_wire,
        deployed,
        no_deployed,
        browser,
        no_browser,
    })
}

/// What was measured; or why not, as not every machine has or allows it.
fn or_why<Figures>(all: Result<Vec<Figures>>) -> (Vec<Figures>, String) {
    all.map_or_else(|why| (Vec::new(), format!("{why:#}")), |all| (all, String::new()))
}

/// An update's cost: all rounds of all techniques, and how busy the clients were.
async fn rounds(plan: &Plan) -> Result<(Vec<Row>, f64)> {
    let mut rounds: Vec<(Variant, Watched, f64)> = Vec::new();
    for round in 0..plan.rounds as usize {
        for index in 0..plan.variants.len() {
            let variant = plan.variants[(round + index) % plan.variants.len()]; // the order rotates
            plan.say(format!("round {} of {}: {}", round + 1, plan.rounds, variant.name()));
            let watch = async || {
                let mut running = start(plan, variant).await?;
                let begin = begin(variant);
                let moments = evenly(plan.every, begin + plan.length);
                anyhow::Ok((running.watch(moments, begin, plan.length).await?, running.memory))
            };
            let watched = plan.quietly(watch).await;
            let (watched, memory) = watched.with_context(|| variant.name())?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use figures::{Point, Seen, What};

    /// Tables, sentences and pictures are those of the figures that are kept.
    #[test]
    fn the_pages_say_what_was_measured() {
        for page in kept_pages().expect("--readme has written the figures") {
            let is = std::fs::read_to_string(page.path()).expect("it is there");
            let again = page.file().expect("it has markers");
            assert!(is == again, "{:?}: scripts/measure.sh --again writes it", page.path());
        }
    }

    fn line(costs: &[(f64, f64, f64)]) -> Vec<Point> {
        let point = |(rate, least, most): &(f64, f64, f64)| {
            let seen = Seen::of([*least, *most].into_iter());
            Point { name: String::new(), rate: *rate, rounds: 2, bytes: seen, cpu: seen }
        };
        costs.iter().map(point).collect()
    }

    /// Two lines cross where the rounds of both leave it open which is the higher one.
    #[test]
    fn a_crossing_is_a_range() {
        let crossing = |one: &[Point], other: &[Point]| {
            let [one, other] = [one, other].map(|line| line.iter().collect::<Vec<_>>());
            What::Bytes.crossing(&one, &other)
        };
        let flat = line(&[(1.0, 98.0, 102.0), (100.0, 98.0, 102.0)]);
        let rising = line(&[(1.0, 9.8, 10.2), (100.0, 980.0, 1020.0)]);
        let [from, to] = crossing(&flat, &rising).expect("they cross");
        assert!((9.5..9.7).contains(&from) && (10.3..10.6).contains(&to), "{from} to {to}");
        assert_eq!(crossing(&rising, &flat), None);
        let unsure = line(&[(1.0, 9.8, 110.0), (100.0, 980.0, 1020.0)]);
        assert_eq!(crossing(&flat, &unsure), None, "below it may be either");
        let twice =
            line(&[(1.0, 10.0, 10.0), (10.0, 1e3, 1e3), (50.0, 10.0, 10.0), (100.0, 1e3, 1e3)]);
        let [from, to] = crossing(&flat, &twice).expect("above all of them it is certain");
        assert!(from < 4.0 && to > 60.0, "{from} to {to}");
    }

    #[test]
    fn three_rounds_agree_within_a_tenth() {
        let agrees = |rounds: &[f64]| Seen::of(rounds.iter().copied()).agrees;
        assert!(agrees(&[5.0, 1.0, 1.05, 1.1]) && agrees(&[1.0, 1.1]));
        assert!(!agrees(&[1.0, 1.05, 1.15, 1.3]) && !agrees(&[1.0, 1.2]));
    }
}
