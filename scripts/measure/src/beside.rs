//! Ours beside the naive servers (`NAME/naive/server.mjs`): what each loses when connections are cut,
//! and what it keeps in memory after a burst, and for a client that reads nothing.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::{try_join, try_join_all};
use lab::Server;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, sleep_until};

use crate::clients::{self, Publisher, Return};
use crate::figures::{Beside, Row, Variant};
use crate::plan::{Plan, begin};
use crate::running::{Running, Who, evenly};
use crate::{root, start_other, start_server};

/// How often a client's connection is cut, and the time between two updates meanwhile.
pub const CUTS: u64 = 20;
pub const EVERY: Duration = Duration::from_millis(20);
/// How many clients read in a burst, and how often a polling one asks.
const READERS: u32 = 4;
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How many updates a burst has, and their size in bytes: 6 MB. (A body may have 4 KiB.)
const BURST: u32 = 1_500;
pub const BYTES: usize = 4_000;
/// The time between two of them: no more than 1,000, which are kept, between two polls.
const PACE: Duration = Duration::from_millis(2);
/// A server that takes updates more slowly than it should gets no more of a burst after so long.
const LONGEST: Duration = Duration::from_secs(15);

/// Each of the variants, as ours and as the naive server, where there is a Node to run it.
pub async fn measure(plan: &Plan, rows: &[Row]) -> Result<Vec<Beside>> {
    if !plan.beside {
        return Ok(Vec::new());
    }
    let node = tokio::process::Command::new("node").arg("--version").output().await;
    let has_node = node.is_ok_and(|output| output.status.success());
    if !has_node {
        plan.say("there is no node here: the naive servers are left out".into());
    }
    let all = || {
        let variants = plan.variants.iter().filter(|variant| !variant.bare);
        variants.flat_map(move |variant| [(*variant, false), (*variant, true)])
    };
    let all = || all().filter(|(_, is_naive)| has_node || !is_naive);
    plan.say(format!("{CUTS} cuts, of a client of each server"));
    let cuts = try_join_all(all().map(|(variant, is_naive)| cut(plan, variant, is_naive))).await?;
    let mut cpu = Vec::new();
    for (variant, is_naive) in all() {
        let name = variant.name();
        if is_naive {
            plan.say(format!("a round of the naive server: {name}"));
            let round = plan.quietly(async || round(plan, variant).await).await;
            cpu.push(round.with_context(|| name)?);
        } else {
            let row = rows.iter().find(|row| row.name == name);
            cpu.push(row.map(|row| row.cpu).context("it was measured before")?);
        }
    }
    let mut bursts = Vec::new();
    for variant in plan.variants.iter().filter(|variant| !variant.bare) {
        plan.say(format!("bursts, and a client that reads nothing: {}", variant.server));
        if has_node {
            let both = try_join(burst(plan, *variant, false), burst(plan, *variant, true));
            bursts.extend(<[Beside; 2]>::from(both.await.context(variant.server)?));
        } else {
            bursts.push(burst(plan, *variant, false).await.context(variant.server)?);
        }
    }
    let all = bursts.into_iter().zip(cuts).zip(cpu);
    let all = all.map(|((it, [published, lost, twice]), cpu)| Beside {
        published,
        lost,
        twice,
        cpu,
        ..it
    });
    Ok(all.collect())
}

async fn server(plan: &Plan, variant: Variant, is_naive: bool) -> Server {
    if !is_naive {
        return start_server(plan, variant.server).await;
    }
    let file = root().join(variant.server).join("naive/server.mjs");
    start_other(variant.server, &format!("node '{}'", file.display())).await
}

/// So many clients that come back.
fn who(variant: Variant, count: u32) -> Who {
    Who { comes_back: Some(Return::Soon), ..Who::of(variant, count) }
}

/// One client, whose connection is cut at random moments, and which comes back after each cut: how
/// many updates were published, lost and received twice.
async fn cut(plan: &Plan, variant: Variant, is_naive: bool) -> Result<[u64; 3]> {
    let variant = Variant { poll_interval: POLL_INTERVAL, ..variant };
    let server = server(plan, variant, is_naive).await;
    let port = server.port();
    let (scissors, _) = broadcast::channel(1);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let way = listener.local_addr()?.port();
    let passing = spawn_local(pass_all(listener, port, scissors.clone()));
    let mut running = Running::start_for(who(variant, 1), vec![server], &[way]).await?;
    let mut publisher = Publisher::connect(port).await?;
    let cutting = spawn_local(async move {
        for _ in 0..CUTS {
            sleep((clients::AWAY * 2).mul_f64(0.5 + rand::random::<f64>())).await;
            while scissors.send(()).is_err() {
                sleep(Duration::from_millis(10)).await; // until there is a connection
            }
        }
    });
    let mut updates = 0;
    while !cutting.is_finished() {
        publisher.publish(false).await?;
        updates += 1;
        sleep(EVERY).await;
    }
    let lost = running.all_received(updates).await?;
    passing.abort();
    Ok([updates, lost, running.tally.twice.get()])
}

/// Passes connections on to this port, until they are cut.
async fn pass_all(listener: TcpListener, port: u16, scissors: broadcast::Sender<()>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let mut cut = scissors.subscribe();
        spawn_local(async move {
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = cut.recv() => {}
            }
        });
    }
}

/// What a server takes for a delivery, as in a round of ours.
async fn round(plan: &Plan, variant: Variant) -> Result<f64> {
    let server = server(plan, variant, true).await;
    let port = server.port();
    let who = who(variant, plan.clients);
    let mut running = Running::start_for(who, vec![server], &[port]).await?;
    let (begin, length) = (begin(variant), plan.length / 2);
    let length = length.max(variant.poll_interval); // whole intervals
    let watched = running.watch(evenly(plan.every, begin + length), begin, length).await?;
    Ok(watched.cpu / watched.updates)
}

/// Two bursts, the second one with a client that reads nothing.
async fn burst(plan: &Plan, variant: Variant, is_naive: bool) -> Result<Beside> {
    let variant = Variant { poll_interval: POLL_INTERVAL, ..variant };
    let server = server(plan, variant, is_naive).await;
    let port = server.port();
    let mut running = Running::start_for(who(variant, READERS), vec![server], &[port]).await?;
    let mut publisher = Publisher::connect(port).await?;
    publisher.bytes = BYTES;
    let mut memory = [running.resident()?, 0.0, 0.0];
    let (mut updates, mut missing) = (0, 0);
    let mut idle = None;
    for (number, after) in memory[1..].iter_mut().enumerate() {
        if number == 1 {
            idle = Some(spawn_local(clients::never_read(port, variant.server)));
        }
        let start = Instant::now();
        for update in 0..BURST {
            if start.elapsed() > LONGEST {
                break;
            }
            sleep_until(start + PACE * update).await;
            publisher.publish(false).await?;
            updates += 1;
        }
        missing = running.all_received(updates).await?;
        *after = running.resident()?;
    }
    if let Some(idle) = idle {
        idle.abort();
    }
    Ok(Beside {
        name: variant.server.into(),
        is_naive,
        published: 0,
        lost: 0,
        twice: 0,
        memory,
        updates,
        clients: READERS,
        missing,
        cpu: 0.0,
    })
}
