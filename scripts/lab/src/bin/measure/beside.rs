//! Ours beside the naive servers (`NAME/naive/server.mjs`): what each loses when connections are cut,
//! and what it keeps in memory after a burst, and for a client that reads nothing.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use lab::Server;
use lab::cutter::Cutter;
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::clients::{self, Publisher};
use crate::figures::{Beside, Row, Variant};
use crate::running::{Running, evenly};
use crate::{Plan, begin, root, start_other, start_server};

/// How often connections are cut, and how long that may take.
const CUTS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(60);
/// The time between two updates meanwhile.
const EVERY: Duration = Duration::from_millis(20);
/// How many clients read in a burst, and how often a polling one asks.
const READERS: u32 = 10;
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How many updates a burst has, and their size in bytes: 8 MB. (A body may have 4 KiB.)
const BURST: u64 = 2_000;
const BYTES: usize = 4_000;

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
    let mut beside = Vec::new();
    for ((variant, is_naive), cuts) in all().zip(cuts) {
        let name = variant.name();
        let whose = if is_naive { "the naive server" } else { "ours" };
        plan.say(format!("bursts, and a client that reads nothing: {name}, {whose}"));
        let row = rows.iter().find(|row| row.name == name).map(|row| row.cpu);
        let cpu = if is_naive { cpu(plan, variant).await? } else { row.unwrap_or_default() };
        let mut it = burst(plan, variant, is_naive).await.context(name)?;
        (it.cuts, it.published, it.lost, it.twice) = cuts;
        beside.push(Beside { cpu, ..it });
    }
    Ok(beside)
}

async fn server(plan: &Plan, variant: Variant, is_naive: bool) -> Result<Server> {
    if !is_naive {
        return start_server(plan, variant.server).await;
    }
    let file = root().join(variant.server).join("naive/server.mjs");
    start_other(variant.server, &format!("node '{}'", file.display())).await
}

/// One client, whose connections are cut at random moments, and which comes back after each cut: how
/// many cuts, and how many updates were published, lost and received twice.
async fn cut(plan: &Plan, variant: Variant, is_naive: bool) -> Result<(u64, u64, u64, u64)> {
    let variant = Variant { poll_interval: POLL_INTERVAL, ..variant };
    let server = server(plan, variant, is_naive).await?;
    let port = server.port();
    let cutter = Cutter::start(port, StdRng::from_rng(&mut rand::rng())).await;
    let mut running = Running::start_where(variant, vec![server], &[cutter.port], 1, true).await?;
    let mut publisher = Publisher::connect(port).await?;
    let before = cutter.cuts();
    let mut updates = 0;
    let publishing = async {
        while cutter.cuts() < before + CUTS {
            publisher.publish(false).await?;
            updates += 1;
            sleep(EVERY).await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, publishing).await.unwrap_or(Ok(()))?;
    let cuts = cutter.cuts() - before;
    let lost = running.all_received(updates).await?;
    Ok((cuts as u64, updates, lost, running.tally.twice.get()))
}

/// What a server takes for a delivery, as in a round of ours.
async fn cpu(plan: &Plan, variant: Variant) -> Result<f64> {
    let server = server(plan, variant, true).await?;
    let port = server.port();
    let mut running =
        Running::start_where(variant, vec![server], &[port], plan.clients, true).await?;
    let (begin, length) = (begin(variant), plan.length / 2);
    let length = length.max(variant.poll_interval); // whole intervals
    let watched = running.watch(evenly(plan.every, begin + length), begin, length).await?;
    Ok(watched.cpu / watched.updates)
}

/// Two bursts, the second one with a client that reads nothing.
async fn burst(plan: &Plan, variant: Variant, is_naive: bool) -> Result<Beside> {
    let variant = Variant { poll_interval: POLL_INTERVAL, ..variant };
    let server = server(plan, variant, is_naive).await?;
    let port = server.port();
    let mut running = Running::start_where(variant, vec![server], &[port], READERS, true).await?;
    let mut publisher = Publisher::connect(port).await?;
    publisher.bytes = BYTES;
    let mut memory = [running.resident()?, 0.0, 0.0];
    let mut missing = 0;
    let mut idle = None;
    for (number, after) in memory[1..].iter_mut().enumerate() {
        if number == 1 {
            idle = Some(spawn_local(clients::never_read(port, variant.server)));
        }
        for _ in 0..BURST {
            publisher.publish(false).await?;
        }
        missing = running.all_received(BURST * (number as u64 + 1)).await?;
        *after = running.resident()?;
    }
    if let Some(idle) = idle {
        idle.abort();
    }
    Ok(Beside {
        name: variant.server.into(),
        is_naive,
        cuts: 0,
        published: 0,
        lost: 0,
        twice: 0,
        memory,
        updates: BURST * 2,
        clients: READERS,
        missing,
        cpu: 0.0,
    })
}
