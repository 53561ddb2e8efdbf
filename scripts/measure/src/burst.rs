//! What one core takes: updates as fast as they are delivered.

use anyhow::{Context as _, Result};
use std::time::Duration;
use tokio::time::{Instant, timeout};

use crate::clients::{Publisher, Return};
use crate::figures::{Burst, Variant};
use crate::plan::Plan;
use crate::process::{self, Share};
use crate::running::{Running, Who};
use crate::start_server;

/// How many updates are on their way at any time: the server always has something to do, and still
/// delivers each by itself, instead of many at once.
const UNDER_WAY: u64 = 2;
/// What has not come in such a while from a server that loses some is lost.
const LOST: Duration = Duration::from_millis(200);

/// One variant after the other, the server on one core, the clients on the others.
pub async fn measure(plan: &Plan) -> Result<Vec<Burst>> {
    let mut bursts = Vec::new();
    for clients in &plan.bursts {
        for variant in plan.variants.iter().filter(|variant| !variant.bare) {
            plan.say(format!("a burst for {clients} clients: {}", variant.server));
            let burst = plan.quietly(async || {
                let server = process::on_one_core(start_server(plan, variant.server)).await;
                let memory = idle_memory(plan, *variant, *clients).await?;
                let burst = one(plan, *variant, server, *clients, false).await?;
                anyhow::Ok(Burst { memory, ..burst })
            });
            let burst = burst.await;
            let _ = process::stay_on_core(|_| true);
            bursts.push(burst.with_context(|| format!("a burst: {}", variant.server))?);
        }
    }
    Ok(bursts)
}

/// Before a burst: memory is measured while all wait.
async fn idle_memory(plan: &Plan, variant: Variant, clients: u32) -> Result<f64> {
    let idle = Variant { poll_interval: Duration::from_secs(3600), ..variant };
    let server = start_server(plan, variant.server).await;
    let port = server.port();
    Ok(Running::start(idle, vec![server], &[port], clients).await?.memory)
}

/// A burst at this server, which may be one that loses some.
pub async fn one(
    plan: &Plan,
    variant: Variant,
    server: lab::Server,
    clients: u32,
    may_lose: bool,
) -> Result<Burst> {
    // Polling clients ask again at once: what takes a server to its limits is their requests.
    let asking = Variant { poll_interval: Duration::ZERO, ..variant };
    let port = server.port();
    let comes_back = may_lose.then_some(Return::Soon);
    let who = Who { comes_back, ..Who::of(asking, clients) };
    let mut running = Running::start_for(who, vec![server], &[port]).await?;
    let patience = if may_lose { LOST } else { plan.burst };
    let mut publisher = Publisher::connect(port).await?;
    let pid = running.servers[0].pid();
    running.tally.reset();
    let (begin, cpu, share) = (Instant::now(), running.cpu()?, Share::of(pid));
    let own = process::own_cpu_time()?;
    let mut updates = 0;
    while begin.elapsed() < plan.burst {
        publisher.publish(false).await?;
        updates += 1;
        let awaited = (updates + 1_u64).saturating_sub(UNDER_WAY) * u64::from(clients);
        let _ = timeout(patience, running.tally.received(awaited)).await;
        running.check()?;
    }
    running.all_received(updates).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let cpu = running.cpu()?.saturating_sub(cpu).as_secs_f64();
    let own = process::own_cpu_time()?.saturating_sub(own).as_secs_f64();
    Ok(Burst {
        name: if variant.server == "polling" {
            "polling without a pause".into()
        } else {
            variant.name()
        },
        clients,
        deliveries: running.tally.received.get() as f64 / seconds,
        requests: running.tally.requests.get() as f64 / seconds,
        latency: running.latency([0.5, 0.99]),
        busy: cpu / seconds,
        kernel: share.of_kernel(),
        client_busy: own / seconds,
        memory: 0.0,
    })
}
