//! The morning after: a server with many clients is killed and started again, and all of them come back.
//! (`scripts/measure.sh --morning 19000`.)

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Server, server};
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::clients::{Publisher, Return};
use crate::crowd::INTERVAL;
use crate::figures::{Morning, Mornings, Variant};
use crate::plan::{Plan, begin};
use crate::running::{Running, Who};
use crate::{process, report, start_server};

/// How often it is looked how many are back.
const LOOK: Duration = Duration::from_millis(20);
/// So long all of them may take.
const LONGEST: Duration = Duration::from_secs(60);

fn cases(plan: &Plan) -> impl Iterator<Item = (Variant, Return)> {
    let variants = plan.variants.iter().filter(|variant| !variant.bare);
    let both = |variant: &Variant| {
        let variant = Variant { poll_interval: INTERVAL, ..*variant };
        [Return::AtRandom, Return::Alike].map(|comes_back| (variant, comes_back))
    };
    variants.flat_map(both)
}

/// How long all of it takes, about.
pub fn takes(plan: &Plan) -> Duration {
    let connecting = Duration::from_micros(100) * plan.clients;
    cases(plan).map(|_| connecting + Duration::from_secs(8)).sum()
}

pub async fn measure(plan: &Plan) -> Result<Mornings> {
    plan.begin(takes(plan));
    let mut points = Vec::new();
    for (variant, comes_back) in cases(plan) {
        plan.say(format!("{} clients come back: {}", plan.clients, variant.name()));
        let point = plan.quietly(async || one(plan, variant, comes_back).await).await;
        let _ = process::stay_on_core(|_| true);
        points.push(point.with_context(|| variant.name())?);
    }
    plan.progress.finish_and_clear();
    Ok(Mornings { conditions: report::conditions(plan, 0.0), points })
}

async fn one(plan: &Plan, variant: Variant, comes_back: Return) -> Result<Morning> {
    let first = process::on_one_core(start_server(plan, variant.server)).await;
    let port = first.port();
    let who = Who { comes_back: Some(comes_back), ..Who::of(variant, plan.clients) };
    let mut running = Running::start_for(who, vec![first], &[port]).await?;
    let mut publisher = Publisher::connect(port).await?;
    sleep(begin(variant)).await;
    running.tally.reset();
    publisher.publish(false).await?;
    ensure!(running.all_received(1).await? == 0, "an update was lost before");

    running.tally.ready.set(0);
    let killed = Instant::now();
    running.servers[0].signal(Signal::SIGKILL);
    running.servers.remove(0).end().await;
    let mut command = server::command(variant.server);
    command.env("QUIET", "1").env("PORT", port.to_string());
    let server = process::on_one_core(Server::spawn(variant.server, &mut command)).await;
    let away = killed.elapsed();
    publisher.renew().await?;
    publisher.publish(false).await?;

    let (count, mut back, mut seen) = (u64::from(plan.clients), None, Vec::new());
    let unique = || running.tally.received.get() - running.tally.twice.get();
    while back.is_none() || unique() < 2 * count {
        let (ready, now) = (running.tally.ready.get(), killed.elapsed());
        ensure!(now < LONGEST, "{ready} are back, and {} have all", unique().saturating_sub(count));
        seen.push((now, ready));
        if u64::from(ready) >= count {
            back = back.or(Some(now));
        }
        sleep(LOOK).await;
    }
    let second = |(at, ready): &(Duration, u32)| {
        let before = seen.iter().rev().find(|(then, _)| *then + Duration::from_secs(1) <= *at);
        ready - before.map_or(0, |(_, ready)| *ready)
    };
    Ok(Morning {
        name: variant.name(),
        at_random: comes_back == Return::AtRandom,
        away: away.as_secs_f64(),
        back: back.unwrap_or_default().as_secs_f64(),
        all: killed.elapsed().as_secs_f64(),
        busiest: seen.iter().map(second).max().unwrap_or_default(),
        cpu: process::cpu_time(server.pid())?.as_secs_f64(),
    })
}
