//! A server with its clients, and what happens there in a while.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::Server;
use rand::seq::SliceRandom as _;
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::clients::{self, Publisher, Return, Setup, Tally};
use crate::figures::Variant;
use crate::process;

/// How many clients have the same address: the system finds them ports quickly, up to half of all.
pub const AN_ADDRESS: u32 = 10_000;
/// How many clients connect at the same time.
const CONNECTING: u32 = 100;
/// How long to wait for what should come soon, before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same where many are lost: by clients that come back after a cut, or by a naive server.
const LITTLE: Duration = Duration::from_secs(2);

/// Which clients.
#[derive(Clone, Copy)]
pub struct Who {
    pub variant: Variant,
    pub count: u32,
    /// Theirs are the addresses 127.0.`network`.*; with 0, the first of them leave it to the system.
    pub network: u8,
    /// How they come back whenever their connection breaks: then some updates may be lost.
    pub comes_back: Option<Return>,
}

impl Who {
    /// So many that end where their connection breaks.
    pub fn of(variant: Variant, count: u32) -> Who {
        Who { variant, count, network: 0, comes_back: None }
    }
}

/// A server with its clients connected and waiting; or several, among which they are shared.
pub struct Running {
    pub servers: Vec<Server>,
    pub tally: Rc<Tally>,
    clients: JoinSet<Result<()>>,
    who: Who,
    /// Resident bytes of the servers for each client that waits.
    pub memory: f64,
    /// How long it took until all were connected, and the servers' time for that.
    pub connecting: (Duration, Duration),
}

impl Running {
    /// Connects so many clients; they find the servers at these ports.
    pub async fn start(
        variant: Variant,
        servers: Vec<Server>,
        ports: &[u16],
        count: u32,
    ) -> Result<Running> {
        Running::start_for(Who::of(variant, count), servers, ports).await
    }

    /// The same for any clients.
    pub async fn start_for(who: Who, servers: Vec<Server>, ports: &[u16]) -> Result<Running> {
        let (tally, clients) = (Tally::new(), JoinSet::new());
        let mut running = Running {
            servers,
            tally,
            clients,
            who,
            memory: 0.0,
            connecting: (Duration::ZERO, Duration::ZERO),
        };
        // What a server makes once, for its first client, is not what a client costs.
        running.connect(ports, u32::try_from(ports.len())?).await?;
        running.clients.shutdown().await;
        let before = running.resident()?;
        let (begin, cpu) = (Instant::now(), running.cpu()?);
        running.connect(ports, who.count).await?;
        running.connecting = (begin.elapsed(), running.cpu()?.saturating_sub(cpu));
        sleep(Duration::from_millis(500)).await; // those who came last are put to rest, too
        running.memory = (running.resident()? - before) / f64::from(who.count);
        running.tally.reset();
        Ok(running)
    }

    /// Resident bytes of all servers.
    pub fn resident(&self) -> Result<f64> {
        let of = |server: &Server| Ok(process::memory(server.pid())? as f64);
        self.servers.iter().map(of).sum()
    }

    /// The processor time of all servers until now.
    pub fn cpu(&self) -> Result<Duration> {
        self.servers.iter().map(|server| process::cpu_time(server.pid())).sum()
    }

    async fn connect(&mut self, ports: &[u16], count: u32) -> Result<()> {
        self.tally.ready.set(0);
        for index in 0..count {
            let Who { variant, network, comes_back, .. } = self.who;
            let interval = variant.poll_interval;
            let setup = Setup {
                address: match (network, u8::try_from(index / AN_ADDRESS)?) {
                    (0, 0) => [0; 4],
                    (network, number) => [127, 0, network, 1 + number],
                },
                server: ([127, 0, 0, 1], ports[index as usize % ports.len()]).into(),
                variant,
                phase: interval.mul_f64(rand::random()),
                comes_back,
            };
            self.clients.spawn_local(clients::run(setup, self.tally.clone()));
            self.ready((index + 1).saturating_sub(CONNECTING)).await?;
        }
        self.ready(count).await
    }

    /// Waits until so many clients are ready.
    async fn ready(&mut self, count: u32) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.tally.ready.get() < count {
            self.check()?;
            let ready = self.tally.ready.get();
            ensure!(Instant::now() < deadline, "no more than {ready} are served");
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// A client only ends when something is wrong.
    pub fn check(&mut self) -> Result<()> {
        self.clients.try_join_next().map_or(Ok(()), |ended| ended?.context("a client ended"))
    }

    /// Waits until every client has had so many updates, for as long as some are still coming: how
    /// many were lost.
    pub async fn all_received(&mut self, updates: u64) -> Result<u64> {
        let expected = updates * u64::from(self.who.count);
        let patience = if self.who.comes_back == Some(Return::Soon) { LITTLE } else { PATIENCE };
        let patience = self.who.variant.poll_interval + patience;
        loop {
            self.check()?;
            let had = self.tally.received.get();
            let all = self.tally.received(expected + self.tally.twice.get());
            let came = timeout(patience, all).await;
            let unique = self.tally.received.get() - self.tally.twice.get();
            if unique >= expected || (came.is_err() && self.tally.received.get() == had) {
                return Ok(expected - unique);
            }
        }
    }

    /// Publishes at these moments, at the first server; says what happened from `begin` on, for
    /// `length`: then the clients are in full swing, and with whole periods of whatever repeats, none
    /// counts more than another. Times are from now on.
    pub async fn watch(
        &mut self,
        moments: Vec<Duration>,
        begin: Duration,
        length: Duration,
    ) -> Result<Watched> {
        let now = Instant::now();
        let updates = moments.len() as u64;
        let counted = moments.iter().filter(|at| (begin..begin + length).contains(*at)).count();
        let mut publisher = Publisher::connect(self.servers[0].port()).await?;
        let publishing = spawn_local(async move {
            for at in moments {
                sleep_until(now + at).await;
                publisher.publish(false).await?;
            }
            anyhow::Ok(())
        });
        sleep_until(now + begin).await;
        let (before, cpu, own) = (self.counts(), self.cpu()?, process::own_cpu_time()?);
        sleep_until(now + begin + length).await;
        let (after, cpu) = (self.counts(), self.cpu()?.saturating_sub(cpu));
        let own = process::own_cpu_time()?.saturating_sub(own);
        publishing.await?.context("who publishes")?;
        let lost = self.all_received(updates).await?;
        let per_client =
            |index: usize| (after[index] - before[index]) as f64 / f64::from(self.who.count);
        Ok(Watched {
            updates: counted as f64,
            minutes: length.as_secs_f64() / 60.0,
            latency: self.latency([0.5, 0.99, 1.0]),
            lost,
            twice: self.tally.twice.get(),
            requests: per_client(0),
            up: per_client(1),
            down: per_client(2),
            cpu: cpu.as_secs_f64() * 1e6 / f64::from(self.who.count),
            client_busy: own.div_duration_f64(length),
        })
    }

    fn counts(&self) -> [u64; 3] {
        [&self.tally.requests, &self.tally.up, &self.tally.down].map(std::cell::Cell::get)
    }

    /// Quantiles of the latency, in milliseconds.
    pub fn latency<const N: usize>(&self, quantiles: [f64; N]) -> [f64; N] {
        let latency = self.tally.latency.borrow();
        quantiles.map(|quantile| latency.value_at_quantile(quantile) as f64 / 1e3)
    }
}

/// What happened while it was watched, for each client.
pub struct Watched {
    pub updates: f64,
    pub minutes: f64,
    /// p50, p99 and the longest, in milliseconds, of all updates.
    pub latency: [f64; 3],
    pub lost: u64,
    pub twice: u64,
    pub requests: f64,
    pub up: f64,
    pub down: f64,
    /// Microseconds of the servers'.
    pub cpu: f64,
    /// Which part of the time the process of the clients was busy, of all that it measures.
    pub client_busy: f64,
}

/// Evenly spaced moments.
pub fn evenly(every: Duration, length: Duration) -> Vec<Duration> {
    let mut moments = Vec::new();
    while every * u32::try_from(moments.len()).expect("they are few") < length {
        moments.push(every * u32::try_from(moments.len()).expect("they are few"));
    }
    moments
}

/// Moments with so many updates a minute, which are as random as those of a Poisson process: their
/// gaps have its lengths (exponentially distributed), but each in its share, only their order is
/// chance. So no sample, short as it is, has more long gaps than is to be expected.
pub fn at_random(rate: f64, length: Duration) -> Vec<Duration> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they are few")]
    let count = (rate * length.as_secs_f64() / 60.0).round() as u32;
    let gap = |index: u32| -(1.0 - (f64::from(index) + 0.5) / f64::from(count)).ln();
    let mut gaps: Vec<f64> = (0..count).map(gap).collect();
    gaps.shuffle(&mut rand::rng());
    let scale = length.as_secs_f64() / gaps.iter().sum::<f64>();
    let mut at = -gaps.first().copied().unwrap_or_default() * scale * rand::random::<f64>();
    let moments = gaps.iter().map(|gap| {
        at += gap * scale;
        Duration::from_secs_f64(at)
    });
    moments.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as asked for, in order, with as many long gaps as chance has: one in e is longer than
    /// the mean.
    #[test]
    fn random_moments_are_those_of_a_poisson_process() {
        let length = Duration::from_secs(600);
        let moments = at_random(60.0, length);
        assert_eq!(moments.len(), 600);
        assert!(moments.is_sorted() && moments.iter().all(|at| *at < length));
        let gaps = moments.windows(2).map(|pair| pair[1].as_secs_f64() - pair[0].as_secs_f64());
        let long = gaps.filter(|gap| *gap > 1.0).count() as f64 / 600.0;
        assert!((long - (-1.0_f64).exp()).abs() < 0.01, "{long}");
        assert!(at_random(0.1, length).len() == 1 && at_random(0.01, length).is_empty());
        assert_ne!(moments, at_random(60.0, length), "they are random");
    }
}
