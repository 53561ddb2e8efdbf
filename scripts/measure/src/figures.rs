//! What is measured, as it is kept in `scripts/pictures/measured.json`, and what follows from it.
//! Pictures, tables and sentences are made from this and nothing else.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    /// Where packets can be counted; else why they can't.
    #[serde(default)]
    pub wire: Vec<Wire>,
    #[serde(default)]
    pub no_wire: String,
    /// Where there is an nginx; else why there is none of it.
    #[serde(default)]
    pub deployed: Vec<Deployed>,
    #[serde(default)]
    pub no_deployed: String,
    /// Where a browser is there; else why there is nothing of it.
    #[serde(default)]
    pub browser: Vec<Page>,
    #[serde(default)]
    pub no_browser: String,
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
    /// What disturbed the measurement, as far as the system tells it.
    #[serde(default)]
    pub disturbed: Disturbed,
}

/// What other programs did meanwhile.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct Disturbed {
    /// How many rounds there were, and how many of them were disturbed, though they were repeated.
    pub rounds: u32,
    pub noisy: u32,
    /// Which part of all processors' time other programs took in such a round at the most, and which
    /// part the machine did not have, as another one had it.
    pub others: f64,
    pub stolen: f64,
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
    pub rounds: u32,
    pub bytes: Seen,
    /// Microseconds of the server's.
    pub cpu: Seen,
}

/// One figure, as several rounds have seen it.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Seen {
    pub least: f64,
    pub median: f64,
    pub most: f64,
    /// Whether three rounds, or all where there are fewer, differ by no more than [`AGREE`].
    pub agrees: bool,
}

/// Figures agree if the highest is at most so many times the lowest.
const AGREE: f64 = 1.1;

impl Seen {
    pub fn of(figures: impl Iterator<Item = f64>) -> Seen {
        let mut all: Vec<_> = figures.collect();
        all.sort_by(f64::total_cmp);
        let mut three = all.windows(all.len().clamp(1, 3));
        Seen {
            least: all[0],
            median: median(all.iter().copied()),
            most: all[all.len() - 1],
            agrees: three.any(|some| some[some.len() - 1] <= some[0] * AGREE),
        }
    }
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

/// What a client far away sends and receives, as its network interface counts it.
#[derive(Serialize, Deserialize)]
pub struct Wire {
    pub name: String,
    /// For an update that comes alone, and in a minute in which nothing happens.
    pub update: Traffic,
    pub quiet: Traffic,
}

/// From client to server and back; and how often a packet comes more than a second after the one
/// before.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Traffic {
    pub packets: [f64; 2],
    /// With the headers of Ethernet, IP and TCP.
    pub bytes: [f64; 2],
    pub wakes: f64,
}

impl Traffic {
    /// Shared by so many.
    pub fn per(self, count: f64) -> Traffic {
        Traffic {
            packets: self.packets.map(|packets| packets / count),
            bytes: self.bytes.map(|bytes| bytes / count),
            wakes: self.wakes / count,
        }
    }
}

/// What a client costs as its page is deployed, behind nginx with TLS; and as it is measured elsewhere.
#[derive(Serialize, Deserialize)]
pub struct Deployed {
    pub name: String,
    pub plain: Way,
    pub tls: Way,
}

/// What goes one of these ways: bytes are TCP's payload, up and down.
#[derive(Serialize, Deserialize)]
pub struct Way {
    /// Milliseconds from connecting to the first update, p50, far away.
    pub first: f64,
    /// For a connection's first request and its answer.
    pub request: [f64; 2],
    /// In a minute in which nothing happens, and for an update (with polling, for the poll that brings
    /// it).
    pub quiet: [f64; 2],
    pub update: [f64; 2],
}

/// What a technique's page takes of a browser for 1,000 updates: as it is, and where it draws nothing.
#[derive(Serialize, Deserialize)]
pub struct Page {
    pub name: String,
    /// Milliseconds of the main thread's processor time.
    pub main_thread: [f64; 2],
    /// KB of JavaScript's heap that are more than before, once garbage is collected.
    pub heap: [f64; 2],
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
    /// Which part of the time the process of the clients was busy.
    #[serde(default)]
    pub client_busy: f64,
    /// Resident bytes of the server for each client that waits.
    pub memory: f64,
}

/// What a client costs when there are many of them.
#[derive(Serialize, Deserialize)]
pub struct Crowds {
    pub conditions: Conditions,
    /// Bytes of the kernel's objects for one socket, where it tells them.
    pub kernel: Option<f64>,
    pub points: Vec<Crowd>,
}

/// One technique with so many clients at one server on one core.
#[derive(Serialize, Deserialize)]
pub struct Crowd {
    pub name: String,
    pub clients: u32,
    /// Seconds until all were connected, and microseconds of the server's for each.
    pub connecting: f64,
    pub connecting_cpu: f64,
    /// Resident bytes of the server for each client that waits.
    pub memory: f64,
    /// Microseconds of the server's for a delivery.
    pub delivery: f64,
    /// p50 and p99 of a delivery, and of the last one of an update p50 and the longest, in milliseconds.
    pub latency: [f64; 2],
    pub last: [f64; 2],
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

/// Ours beside what people would take instead.
#[derive(Serialize, Deserialize)]
pub struct Peers {
    pub conditions: Conditions,
    pub peers: Vec<Peer>,
}

/// A server of one technique; without a name it is ours.
#[derive(Serialize, Deserialize)]
pub struct Peer {
    pub technique: String,
    pub name: Option<String>,
    /// In each round: milliseconds of CPU for 1,000 deliveries, bytes of memory for a client that waits,
    /// and deliveries for each second of CPU in a burst.
    pub rounds: Vec<[f64; 3]>,
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

/// More clients than a process may have, on servers that share a Redis: event streams.
#[derive(Serialize, Deserialize)]
pub struct Hundred {
    pub conditions: Conditions,
    pub redis_version: String,
    pub servers: u32,
    /// How many cores servers, Redis and clients have together.
    pub cores: usize,
    /// Seconds until all were connected, and microseconds of the servers' for each.
    pub connecting: f64,
    pub connecting_cpu: f64,
    /// Resident bytes of the servers for each client that waits.
    pub memory: f64,
    /// Microseconds of the servers', and of the clients', for a delivery.
    pub delivery: f64,
    pub client: f64,
    /// Milliseconds of Redis' for an update.
    pub redis: f64,
    /// p50 and p99 of a delivery, and of the last one of an update p50 and the longest, in milliseconds.
    pub latency: [f64; 2],
    pub last: [f64; 2],
}

/// What happens when a server is killed and started again.
#[derive(Serialize, Deserialize)]
pub struct Mornings {
    pub conditions: Conditions,
    pub points: Vec<Morning>,
}

/// All clients of one technique come back.
#[derive(Serialize, Deserialize)]
pub struct Morning {
    pub name: String,
    /// Whether each of them waits a time at random.
    pub at_random: bool,
    /// Seconds after the kill: until the server listens again, until all are back, and until all have
    /// what was published after it.
    pub away: f64,
    pub back: f64,
    pub all: f64,
    /// How many came back in the busiest second.
    pub busiest: u32,
    /// Seconds of the new server's processor time, until all had everything.
    pub cpu: f64,
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

    pub fn wire(&self, name: &str) -> Option<&Wire> {
        self.wire.iter().find(|wire| wire.name == name)
    }

    pub fn page(&self, name: &str) -> Option<&Page> {
        self.browser.iter().find(|page| page.name == name)
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

impl Measured {
    /// The points of a line, from the lowest rate to the highest.
    pub fn line(&self, name: &str) -> Vec<&Point> {
        let mut points: Vec<_> = self.rates.iter().filter(|point| point.name == name).collect();
        points.sort_by(|one, other| one.rate.total_cmp(&other.rate));
        points
    }
}

impl What {
    pub fn of(self, point: &Point) -> Seen {
        if self == What::Bytes { point.bytes } else { point.cpu }
    }

    /// How far a second run may be from the median of this one, though all rounds agree: bytes are
    /// counted, but two runs never take the same time.
    fn apart(self) -> f64 {
        if self == What::Bytes { 1.01 } else { 1.1 }
    }

    /// What is seen at a rate, at the least and at the most: on the straight lines, in a picture with
    /// logarithmic axes, between the points.
    fn at(self, line: &[&Point], rate: f64) -> [f64; 2] {
        let next =
            line.iter().position(|point| point.rate >= rate).unwrap_or(line.len() - 1).max(1);
        let (from, to) = (line[next - 1], line[next]);
        let part = ((rate / from.rate).ln() / (to.rate / from.rate).ln()).clamp(0.0, 1.0);
        let least = |seen: Seen| seen.least.min(seen.median / self.apart());
        let most = |seen: Seen| seen.most.max(seen.median * self.apart());
        let between = |of: &dyn Fn(Seen) -> f64| {
            let [from, to] = [from, to].map(|point| of(self.of(point)).ln());
            (from + (to - from) * part).exp()
        };
        [between(&least), between(&most)]
    }

    /// Below the first of these two rates `one` costs more than `other`, above the second it costs
    /// less, whichever of the rounds are compared. (Between them that is not certain.)
    pub fn crossing(self, one: &[&Point], other: &[&Point]) -> Option<[f64; 2]> {
        const STEPS: u32 = 1000;
        if one.len() < 2 || other.len() < 2 {
            return None;
        }
        let [from, to] = [one[0], one[one.len() - 1]].map(|point| point.rate);
        let rate = |step: u32| from * (to / from).powf(f64::from(step) / f64::from(STEPS));
        let is_more = |dear: &[&Point], cheap: &[&Point], step| {
            self.at(dear, rate(step))[0] > self.at(cheap, rate(step))[1]
        };
        let more = (0..=STEPS).take_while(|step| is_more(one, other, *step)).last()?;
        let less = (0..=STEPS).rev().take_while(|step| is_more(other, one, *step)).last()?;
        Some([rate(more), rate(less)])
    }
}

/// The middle one, or what is between the two in the middle.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    f64::midpoint(figures[(figures.len() - 1) / 2], figures[figures.len() / 2])
}
