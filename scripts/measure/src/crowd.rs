//! What a client costs when there are many of them: each technique with so many clients at one server,
//! which has one core. (`scripts/measure.sh --clients 1000,5000,10000,19000`.)

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::{Instant, sleep, sleep_until};

use crate::clients::Publisher;
use crate::figures::{Crowd, Crowds, Variant};
use crate::plan::{Plan, begin};
use crate::running::Running;
use crate::{process, report, start_server};

/// How many updates all of them get; with polling, as long as so many intervals.
const UPDATES: u32 = 20;
/// The time between two requests of a polling client: long enough for all of them on one core.
pub const INTERVAL: Duration = Duration::from_secs(2);
/// How long it is quiet between two updates, at the least and at the most.
const PAUSE: [f64; 2] = [0.1, 0.2];

/// What each socket has one of in the kernel.
const OBJECTS: [&str; 3] = ["TCP", "sock_inode_cache", "filp"];

/// How long all of it takes, about.
pub fn takes(plan: &Plan) -> Duration {
    let each = |clients: &u32| {
        let updates = INTERVAL * (UPDATES + 3) + Duration::from_millis(300) * UPDATES * 3;
        updates + Duration::from_millis((clients * 2 / 5).into()) * 4
    };
    plan.crowds.iter().map(each).sum()
}

pub async fn measure(plan: &Plan) -> Result<Crowds> {
    plan.begin(takes(plan));
    let mut crowds = Vec::new();
    for clients in &plan.crowds {
        for variant in plan.variants.iter().filter(|variant| !variant.bare) {
            let variant = Variant { poll_interval: INTERVAL, ..*variant };
            plan.say(format!("{clients} clients: {}", variant.name()));
            let crowd = plan.quietly(async || one(plan, variant, *clients).await).await;
            let _ = process::stay_on_core(|_| true);
            crowds.push(crowd.with_context(|| format!("{clients} clients: {}", variant.name()))?);
        }
    }
    plan.progress.finish_and_clear();
    Ok(Crowds { conditions: report::conditions(plan, 0.0), kernel: kernel(), points: crowds })
}

async fn one(plan: &Plan, variant: Variant, clients: u32) -> Result<Crowd> {
    let server = process::on_one_core(start_server(plan, variant.server)).await;
    let port = server.port();
    let mut running = Running::start(variant, vec![server], &[port], clients).await?;
    let (connecting, connecting_cpu) = running.connecting;
    let mut publisher = Publisher::connect(port).await?;
    let is_polling = variant.server == "polling";
    sleep(begin(variant)).await;
    running.tally.reset();
    let (start, cpu) = (Instant::now(), running.cpu()?);
    let mut times = Vec::new();
    for update in 0..UPDATES {
        let at = Instant::now();
        publisher.publish(false).await?;
        let lost = running.all_received(u64::from(update + 1)).await?;
        ensure!(lost == 0, "{lost} updates were lost");
        times.push(at.elapsed().as_secs_f64() * 1e3);
        if is_polling {
            sleep_until(start + INTERVAL * (update + 1)).await;
        } else {
            let pause = PAUSE[0] + (PAUSE[1] - PAUSE[0]) * rand::random::<f64>();
            sleep(Duration::from_secs_f64(pause)).await;
        }
    }
    let cpu = running.cpu()?.saturating_sub(cpu).as_secs_f64();
    times.sort_by(f64::total_cmp);
    let each = f64::from(clients);
    Ok(Crowd {
        name: variant.name(),
        clients,
        connecting: connecting.as_secs_f64(),
        connecting_cpu: connecting_cpu.as_secs_f64() * 1e6 / each,
        memory: running.memory,
        delivery: cpu * 1e6 / each / f64::from(UPDATES),
        latency: running.latency([0.5, 0.99]),
        last: [times[times.len() / 2], times[times.len() - 1]],
    })
}

/// Bytes of the kernel's objects for one socket (`/proc/slabinfo`, which root may read). Linux only. How
/// many of them there are, it does not say at once: it keeps some for later.
fn kernel() -> Option<f64> {
    let slabs = fs::read_to_string("/proc/slabinfo").ok()?;
    let size = |name| {
        let mut lines = slabs.lines().map(str::split_whitespace);
        lines.find(|words| words.clone().next() == Some(name))?.nth(3)?.parse::<f64>().ok()
    };
    OBJECTS.into_iter().map(size).sum()
}
