//! What is asked for, and what is measured because of that, and for how long.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use lab::SERVERS;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::figures::{Disturbed, Variant};
use crate::load::{Load, Look};
use crate::peers::{self, Instead};

/// How often a disturbed round is repeated; and how many repeats that did not help are enough to see
/// that none will.
const REPEATS: u32 = 2;
/// With so many clients on an engine, they are in several processes.
const MANY: u32 = 10_000;
const ENOUGH: u32 = 4;

/// Measures what each real-time technique costs on this machine.
#[derive(Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option by itself")]
pub struct Options {
    /// How many clients listen; several numbers, separated by commas: only what a client costs then
    #[arg(long, value_delimiter = ',', default_value = "100",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub clients: Vec<u32>,
    /// How many updates are counted in each round, as many more as make whole intervals of polling
    /// [default: 50, with --redis 25]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub updates: Option<u32>,
    /// The time between two updates
    #[arg(long, default_value = "200ms", value_parser = duration)]
    pub every: Duration,
    /// The time between two requests of a polling client [default: 5s, with --redis 1s]
    #[arg(long, value_parser = duration)]
    pub poll_interval: Option<Duration>,
    /// How often an update's cost is measured; the table shows medians [default: 3, with --redis 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// How long a quiet time is watched; 75 s are whole periods of every technique, 0s leaves it out
    #[arg(long, default_value = "75s", value_parser = duration)]
    pub idle: Duration,
    /// Which techniques, separated by commas
    #[arg(long, value_delimiter = ',', default_values = SERVERS, value_parser = SERVERS)]
    pub techniques: Vec<String>,
    /// Another server in the place of ours, as in polling='node server.mjs'; it gets PORT and QUIET
    #[arg(long, value_name = "NAME=COMMAND", value_parser = named)]
    pub server: Vec<(String, String)>,
    /// Only: ours beside this server, for this technique; may be said several times
    #[arg(long, value_name = "NAME=TECHNIQUE=COMMAND", value_parser = instead)]
    pub peer: Vec<Instead>,
    /// Also measures at so many updates a minute, separated by commas
    #[arg(long, value_delimiter = ',', value_parser = positive)]
    pub rates: Vec<f64>,
    /// Also measures at these distances: round trips, separated by commas, as in 0,20ms,100ms
    #[arg(long, value_delimiter = ',', value_parser = duration)]
    pub rtt: Vec<Duration>,
    /// Also measures how much one core takes, with so many clients, separated by commas
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub burst: Vec<u32>,
    /// Also measures the naive servers (NAME/naive/server.mjs) beside ours; they need Node
    #[arg(long, conflicts_with = "server")]
    pub naive: bool,
    /// Also measures what the pages take of a browser; it needs Chromium and its driver
    #[arg(long, conflicts_with = "server")]
    pub pages: bool,
    #[command(flatten)]
    pub within: Within,
    /// Everything that the README shows
    #[arg(long)]
    pub all: bool,
    /// All that is asked for and can be told in a minute: for a first look
    #[arg(long)]
    pub quick: bool,
    /// Measures everything, and writes it into the pages and their pictures
    #[arg(long, conflicts_with_all = ["quick", "server", "techniques"])]
    pub readme: bool,
    /// Measures nothing: writes the pages and their pictures again, from the figures that are kept
    #[arg(long, conflicts_with = "readme")]
    pub again: bool,
    /// Writes all figures to this file as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Draws the pictures that can be drawn into this folder, as SVG
    #[arg(long)]
    pub svg: Option<PathBuf>,
    /// Measures what an engine costs instead: in memory, then with a Redis and so many servers; with
    /// 10,000 --clients or more only with a Redis, and in several processes
    #[arg(long)]
    pub redis: bool,
    /// Instead: kills a server with so many clients, starts it again, and sees them come back
    #[arg(long, value_name = "CLIENTS", value_parser = clap::value_parser!(u32).range(1..))]
    pub morning: Option<u32>,
    /// With --redis: how many servers share the clients, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "1,2,4", requires = "redis",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub nodes: Vec<u32>,
}

/// What this program tells itself, where it runs in a network namespace of its own.
#[derive(clap::Args)]
pub struct Within {
    /// Counts packets
    #[arg(long, hide = true)]
    pub on_the_wire: bool,
    /// Is a client of this server
    #[arg(long, hide = true)]
    pub as_client: Option<SocketAddr>,
    #[arg(long, hide = true)]
    pub bare: bool,
    /// Is many, with the addresses 127.0.`network`.*
    #[arg(long, hide = true)]
    pub network: Option<u8>,
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

fn instead(text: &str) -> Result<Instead, String> {
    let (name, rest) = text.split_once('=').ok_or("it has the form NAME=TECHNIQUE=COMMAND")?;
    let (technique, command) = named(rest)?;
    Ok(Instead { name: name.into(), technique, command })
}

/// Which measurement it is.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// The usual one.
    Costs,
    /// Several numbers of clients in turn.
    Crowds,
    /// Ours beside other people's servers.
    Peers,
    /// A server is killed.
    Morning,
    /// Servers share a feed.
    Engine,
    /// The same with more clients than one process may have.
    Hundred,
}

impl Kind {
    fn of(options: &Options) -> Kind {
        match options {
            _ if options.redis && options.clients[0] >= MANY => Kind::Hundred,
            _ if options.redis => Kind::Engine,
            _ if options.morning.is_some() => Kind::Morning,
            _ if options.clients.len() > 1 => Kind::Crowds,
            _ if !options.peer.is_empty() => Kind::Peers,
            _ => Kind::Costs,
        }
    }
}

/// What is measured, and how long.
pub struct Plan {
    pub kind: Kind,
    pub variants: Vec<Variant>,
    /// Those whose costs are drawn over the rate of updates.
    pub in_pictures: Vec<Variant>,
    pub others: Vec<(String, String)>,
    /// Servers that are measured beside ours, where that is all.
    pub peers: Vec<Instead>,
    pub clients: u32,
    /// How many clients in turn, where that is what is measured.
    pub crowds: Vec<u32>,
    pub every: Duration,
    pub poll_interval: Duration,
    /// How long a round is.
    pub length: Duration,
    pub rounds: u32,
    pub idle: Duration,
    /// Rates, and how long each is watched.
    pub rates: Vec<(f64, Duration)>,
    pub distances: Vec<Duration>,
    /// How many pairs of updates are published at each distance.
    pub pairs: u32,
    pub bursts: Vec<u32>,
    /// How long a burst is.
    pub burst: Duration,
    /// Whether the naive servers are measured beside ours.
    pub beside: bool,
    /// Whether packets are counted, and what it costs behind nginx is seen.
    pub wire: bool,
    /// Whether the pages are opened in a browser.
    pub browser: bool,
    pub progress: ProgressBar,
    /// How often a disturbed round is repeated.
    repeats: u32,
    disturbed: Cell<Disturbed>,
    /// How many repeats did not help.
    in_vain: Cell<u32>,
}

impl Plan {
    pub fn new(options: &Options) -> Plan {
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
            [] if all => vec![0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0],
            rates => rates.to_vec(),
        };
        // Long enough for an update, better for many.
        let window = |rate: f64| match rate {
            _ if quick => seconds(3),
            0.0..0.2 => seconds(600),
            0.2..0.5 => seconds(200),
            0.5..2.0 => seconds(180),
            2.0..5.0 => seconds(120),
            5.0..20.0 => seconds(90),
            20.0..60.0 => seconds(60),
            _ => seconds(30),
        };
        Plan {
            kind: Kind::of(options),
            variants,
            in_pictures,
            others: options.server.clone(),
            peers: options.peer.clone(),
            clients: options.morning.unwrap_or(options.clients[0]),
            crowds: options.clients.clone(),
            every: options.every,
            poll_interval,
            length,
            rounds: if quick { 1 } else { options.rounds.unwrap_or(rounds) },
            idle: if quick { Duration::ZERO } else { options.idle }, // it can't be shorter
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
            wire: all && !quick && options.server.is_empty(),
            browser: options.pages || (all && !quick && options.server.is_empty()),
            beside: options.naive || (all && !quick && options.server.is_empty()),
            progress: ProgressBar::new_spinner(),
            repeats: if quick { 0 } else { REPEATS },
            disturbed: Cell::default(),
            in_vain: Cell::default(),
        }
    }

    /// How long all of it takes, about.
    pub fn takes(&self) -> Duration {
        let start = Duration::from_secs(1);
        let one = |variant: &Variant| start + begin(*variant) + self.length;
        let rounds = self.variants.iter().map(one).sum::<Duration>() * self.rounds;
        let rates = self.rates_take() + if self.rates.is_empty() { self.idle } else { start };
        let pair = |rtt: &Duration| *rtt * 2 + Duration::from_millis(450);
        let distances = self.distances.iter();
        let distances = distances.map(|rtt| start * 3 + *rtt * 20 + pair(rtt) * self.pairs);
        let bursts = self.bursts.iter().map(|clients| self.burst * 4 + start * (8 + clients / 700));
        let beside = start * if self.beside { 150 } else { 0 };
        let wire = if self.wire { crate::wire::TAKES } else { Duration::ZERO };
        let browser = if self.browser { crate::browser::TAKES } else { Duration::ZERO };
        browser
            + wire
            + rounds
            + rates
            + distances.sum::<Duration>()
            + bursts.sum::<Duration>()
            + beside
    }

    /// How many clients there are at the most at the same time: the rates have the most, some of them
    /// three times, with five variants each.
    pub fn most_clients(&self) -> u32 {
        let rates = u32::try_from(self.rates.len()).expect("they are few");
        let all = self.clients.saturating_mul(25 + 7 * rates);
        match self.kind {
            Kind::Costs | Kind::Engine => self.bursts.iter().copied().fold(all, u32::max),
            Kind::Crowds => self.crowds.iter().copied().fold(0, u32::max),
            Kind::Peers => peers::CLIENTS,
            Kind::Morning => self.clients,
            Kind::Hundred => 0, // they are in processes of their own
        }
    }

    /// For how long what is rare is watched, round after round: at least three of most rates.
    pub fn rates_take(&self) -> Duration {
        let longest = self.rates.iter().map(|(_, window)| *window).max();
        longest.map_or(Duration::ZERO, |longest| {
            let begin = self.in_pictures.iter().map(|it| begin(*it)).max().unwrap_or_default();
            longest.max(if longest < self.idle { self.idle * 3 } else { longest }) + begin
        })
    }

    /// Says how long it takes, and from then on what is done.
    pub fn begin(&self, takes: Duration) {
        let time = match minutes(takes) {
            1 => "a minute".into(),
            minutes => format!("{minutes} minutes"),
        };
        eprintln!("Measuring takes about {time}.");
        let template = ProgressStyle::with_template(&format!("{{elapsed}} of {time}: {{msg}}"));
        self.progress.set_style(template.expect("the template is right"));
        self.progress.enable_steady_tick(Duration::from_millis(500));
    }

    /// Does what is done in a round; once more, where other programs disturbed it.
    pub async fn quietly<T>(&self, round: impl AsyncFn() -> Result<T>) -> Result<T> {
        let mut repeats = 0;
        loop {
            let look = Look::now();
            let result = round().await?;
            let load = look.load();
            if load.disturbs() && repeats < self.repeats && self.in_vain.get() < ENOUGH {
                repeats += 1;
                let percent = (load.others + load.stolen) * 100.0;
                self.say(format!(
                    "once more: other programs took {percent:.0} % of the processors"
                ));
                continue;
            }
            if load.disturbs() && repeats > 0 {
                self.in_vain.set(self.in_vain.get() + 1);
            }
            self.count(load);
            return Ok(result);
        }
    }

    /// Counts a round that is kept.
    pub fn count(&self, load: Load) {
        let mut all = self.disturbed.get();
        all.rounds += 1;
        if load.disturbs() {
            all.noisy += 1;
            all.others = all.others.max(load.others);
            all.stolen = all.stolen.max(load.stolen);
        }
        self.disturbed.set(all);
    }

    pub fn disturbed(&self) -> Disturbed {
        self.disturbed.get()
    }

    /// The command of the server that takes the place of ours.
    pub fn other(&self, name: &str) -> Option<&str> {
        let other = self.others.iter().find(|(technique, _)| technique == name);
        other.map(|(_, command)| &**command)
    }

    pub fn say(&self, what: String) {
        if self.progress.is_hidden() {
            eprintln!("{what}");
        }
        self.progress.set_message(what);
    }
}

/// Raises this process's limit on open files, which the servers inherit, to what is needed.
pub fn allow_open_files(clients: u32) -> Result<()> {
    let needed = u64::from(clients) + 100;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(
        needed <= hard,
        "{clients} clients need {needed} open files, and the limit is {hard}, enough for {} clients: \
         ask for fewer, or raise it (`ulimit -Hn {needed}` as root, or LimitNOFILE of systemd)",
        hard.saturating_sub(100)
    );
    Ok(setrlimit(Resource::RLIMIT_NOFILE, needed.max(soft), hard)?)
}

/// So many minutes, and one at the least.
fn minutes(time: Duration) -> u64 {
    ((time.as_secs() + 30) / 60).max(1)
}

/// When a client is in full swing: with polling, once each has asked.
pub fn begin(variant: Variant) -> Duration {
    if variant.server == "polling" { variant.poll_interval } else { Duration::from_millis(500) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crowd, engine, hundred, morning};

    /// The script says how long each takes before anything is built.
    #[test]
    fn the_script_says_how_long_it_takes() {
        let script =
            include_str!("../../measure.sh").lines().take_while(|line| line.starts_with('#'));
        let said = script.filter_map(|line| {
            let (command, about) = line.strip_prefix("#   scripts/measure.sh")?.split_once("  ")?;
            Some((command, about.strip_suffix("minute").or(about.strip_suffix("minutes"))?))
        });
        let mut count = 0;
        for (command, about) in said {
            let options = Options::parse_from(format!("measure{command}").split_whitespace());
            let plan = Plan::new(&options);
            let takes = match plan.kind {
                Kind::Costs => plan.takes(),
                Kind::Crowds => crowd::takes(&plan),
                Kind::Peers => peers::takes(&plan),
                Kind::Morning => morning::takes(&plan),
                Kind::Engine => engine::takes(&options, &plan),
                Kind::Hundred => hundred::takes(&options),
            };
            let minutes = minutes(takes);
            assert!(
                about.ends_with(&format!(": {minutes} ")),
                "{command} takes {minutes}: {about}"
            );
            count += 1;
        }
        assert!(count >= 5, "{count}");
    }
}
