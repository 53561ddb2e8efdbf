//! What is measured, as it is kept in `scripts/pictures/measured.json`, and what follows from it.
//! Pictures, tables and sentences are made from this and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The rates that the pictures show, in updates a minute.
pub const RATES: [f64; 2] = [0.1, 300.0];

/// All that one run has measured.
#[derive(Serialize, Deserialize)]
pub struct Measured {
    pub conditions: Conditions,
    pub rows: Vec<Row>,
    pub quiet: Vec<Quiet>,
    pub rates: Vec<Point>,
    pub distances: Vec<Distance>,
    pub bursts: Vec<Burst>,
    pub beside: Vec<Beside>,
}

/// How, when and where.
#[derive(Serialize, Deserialize)]
pub struct Conditions {
    pub command: String,
    pub date: String,
    /// Processors, system, compiler and the version of actix-web.
    pub machine: String,
    pub clients: u32,
    /// Bytes of an update's text.
    pub message: usize,
    /// Seconds between two updates, and between two requests of a polling client.
    pub every: f64,
    pub poll_interval: f64,
    pub rounds: u32,
    /// Which part of the time the process of the clients was busy, at most.
    pub client_busy: f64,
}

/// What an update costs: the medians of all rounds; of `lost` and `twice` the sums.
#[derive(Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    /// p50, p99 and the longest, in milliseconds.
    pub latency: [f64; 3],
    pub lost: u64,
    pub twice: u64,
    /// For each update and client.
    pub requests: f64,
    /// Bytes for each update and client, from client to server and back.
    pub up: f64,
    pub down: f64,
    /// Milliseconds of the server's for 1,000 deliveries.
    pub cpu: f64,
    /// Resident bytes of the server for each client that waits.
    pub memory: f64,
}

/// What a client costs in a minute in which nothing happens.
#[derive(Serialize, Deserialize)]
pub struct Quiet {
    pub name: String,
    pub up: f64,
    pub down: f64,
    /// Microseconds of the server's.
    pub cpu: f64,
}

/// What a client costs in a minute with so many updates.
#[derive(Clone, Serialize, Deserialize)]
pub struct Point {
    pub name: String,
    pub rate: f64,
    pub bytes: f64,
    /// Microseconds of the server's.
    pub cpu: f64,
}

/// What a distance changes. All in milliseconds.
#[derive(Serialize, Deserialize)]
pub struct Distance {
    pub name: String,
    pub rtt: u32,
    /// p50 and p99 of an update that comes alone.
    pub latency: [f64; 2],
    /// From connecting to the first update, p50; where it came.
    pub first: Option<f64>,
    /// p50 of an update that is published right after another one.
    pub second: f64,
}

/// What one core takes.
#[derive(Serialize, Deserialize)]
pub struct Burst {
    pub name: String,
    pub clients: u32,
    /// Deliveries, and answered requests, in a second.
    pub deliveries: f64,
    pub requests: f64,
    /// p50 and p99, in milliseconds.
    pub latency: [f64; 2],
    /// Which part of the core's time the server took.
    pub busy: f64,
    /// Which part of that was the kernel's; where the system tells it.
    pub kernel: Option<f64>,
    /// Resident bytes of the server for each client that waits.
    pub memory: f64,
}

/// A server under a strain that a naive one does not stand: ours, and the naive one beside it.
#[derive(Serialize, Deserialize)]
pub struct Beside {
    pub name: String,
    pub is_naive: bool,
    /// How many updates were published while a client's connection was cut again and again, and how
    /// many of them it has not had, or had more than once.
    pub published: u64,
    pub lost: u64,
    pub twice: u64,
    /// Resident bytes: at the start, after a burst, and after another one with a client that reads
    /// nothing.
    pub memory: [f64; 3],
    /// How many updates had been published by then, how many clients were there that read, and how
    /// many deliveries to them are missing.
    pub updates: u64,
    pub clients: u32,
    pub missing: u64,
    /// Milliseconds of the server's for 1,000 deliveries, as in [`Row`].
    pub cpu: f64,
}

/// What an engine costs.
#[derive(Serialize, Deserialize)]
pub struct Engine {
    pub conditions: Conditions,
    /// Which Redis, and how it keeps its file.
    pub redis: String,
    pub shared: Vec<Shared>,
}

/// One technique with its feed in one place: medians of all rounds.
#[derive(Serialize, Deserialize)]
pub struct Shared {
    pub name: String,
    /// How many servers share the clients and a feed in Redis; `None` is one with it in memory.
    pub servers: Option<u32>,
    /// p50 and p99, in milliseconds.
    pub latency: [f64; 2],
    /// Milliseconds of all servers together, and of Redis, for an update that all clients get.
    pub cpu: f64,
    pub redis: f64,
    /// Resident bytes of the servers for each client that waits.
    pub memory: f64,
    /// Bytes for each update and client, from server to client.
    pub down: f64,
}

/// What is measured: a server's name, and how its clients use it.
#[derive(Clone, Copy, PartialEq)]
pub struct Variant {
    pub server: &'static str,
    /// For the polling server: the time between two requests of a client.
    pub poll_interval: Duration,
    /// Only for the WebSocket: texts only, without ids, as a client that can't resume.
    pub bare: bool,
}

impl Variant {
    pub fn name(self) -> String {
        match self.server {
            "polling" => polling(self.poll_interval.as_secs_f64()),
            server if self.bare => format!("{server}, bare text"),
            server => server.into(),
        }
    }
}

/// How polling is called with so many seconds between two requests.
pub fn polling(interval: f64) -> String {
    format!("polling every {interval} s")
}

/// A cost in a minute, which depends on how many updates there are.
#[derive(Clone, Copy)]
pub struct Cost {
    /// For each update.
    pub update: f64,
    /// In a minute in which nothing happens.
    pub quiet: f64,
    /// In seconds: only after so long without an update comes what a quiet minute costs. Without:
    /// it comes whatever happens.
    silence: Option<f64>,
}

impl Cost {
    /// In a minute with so many updates at random moments.
    ///
    /// Where something is sent after `s` seconds of silence, and updates come at random (a Poisson
    /// process of so many `x` in `s` seconds), x / (eˣ - 1) of it remain.
    pub fn at(self, rate: f64) -> f64 {
        let silent = self.silence.map_or(1.0, |silence| {
            let updates = rate * silence / 60.0;
            if updates < 1e-9 { 1.0 } else { updates / updates.exp_m1() }
        });
        self.update * rate + self.quiet * silent
    }
}

/// Which cost.
#[derive(Clone, Copy, PartialEq)]
pub enum What {
    /// On the wire, both ways together.
    Bytes,
    /// Microseconds of the server's.
    Cpu,
}

impl Measured {
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    pub fn quiet(&self, name: &str) -> Option<&Quiet> {
        self.quiet.iter().find(|quiet| quiet.name == name)
    }

    /// What each of the variants in [`Measured::rates`] costs, in their order: the sum of what an
    /// update and a quiet minute cost, both of which were measured apart from those.
    pub fn costs(&self, what: What) -> BTreeMap<String, Cost> {
        let mut costs = BTreeMap::new();
        for point in &self.rates {
            let name = &*point.name;
            let interval = name.strip_prefix("polling every ").and_then(|it| it.split(' ').next());
            let interval: Option<f64> = interval.and_then(|seconds| seconds.parse().ok());
            // What an update costs is measured at one of them.
            let main = interval.map_or(name.into(), |_| polling(self.conditions.poll_interval));
            let (Some(row), Some(waits)) = (self.row(&main), self.quiet(&main)) else { continue };
            let (update, quiet) = match what {
                What::Bytes => (row.up + row.down, waits.up + waits.down),
                What::Cpu => (row.cpu, waits.cpu), // ms for 1,000 are µs for one
            };
            let silence = match name {
                "long-polling" => Some(25.0),
                "server-sent-events" => Some(15.0),
                _ => None,
            };
            // What a minute at the rate of the rounds costs, without what it costs by itself.
            let rate = 60.0 / self.conditions.every;
            let own = Cost { update: 0.0, quiet, silence }.at(rate);
            let update = (update - own / rate).max(0.0);
            let own = self.quiet(name).unwrap_or(waits);
            let quiet = if what == What::Bytes { own.up + own.down } else { own.cpu };
            costs.insert(name.to_owned(), Cost { update, quiet, silence });
        }
        costs
    }

    /// How far each point is from its line: so many times one the other.
    pub fn apart(&self, what: What) -> impl Iterator<Item = (&Point, f64)> {
        let costs = self.costs(what);
        self.rates.iter().filter_map(move |point| {
            let value = if what == What::Bytes { point.bytes } else { point.cpu };
            let line = costs.get(&point.name)?.at(point.rate);
            Some((point, (value / line).max(line / value)))
        })
    }

    /// The names in [`Measured::rates`], each once, in their order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for point in &self.rates {
            if !names.contains(&&*point.name) {
                names.push(&point.name);
            }
        }
        names
    }
}

impl What {
    /// Two costs are told apart if one is so many times the other: bytes are counted, but two runs
    /// never take the same time.
    pub fn noise(self) -> f64 {
        if self == What::Bytes { 1.0 } else { 1.2 }
    }
}

/// The rate within [`RATES`] above which `one` costs less than `other`, which costs less below it,
/// by so many times at both ends.
pub fn crossing(one: Cost, other: Cost, what: What) -> Option<f64> {
    let more = |rate: f64| one.at(rate) - other.at(rate);
    let [mut low, mut high] = RATES;
    let is_more = one.at(low) > other.at(low) * what.noise();
    if !is_more || one.at(high) * what.noise() >= other.at(high) {
        return None;
    }
    for _ in 0..60 {
        let middle = (low * high).sqrt();
        if more(middle) > 0.0 { low = middle } else { high = middle }
    }
    Some(low)
}

/// The middle one, or what is between the two in the middle.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    f64::midpoint(figures[(figures.len() - 1) / 2], figures[figures.len() / 2])
}
