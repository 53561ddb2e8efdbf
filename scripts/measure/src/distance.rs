//! What a distance changes: clients behind a line, which is a round trip long.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::clients::{self, Publisher, Tally};
use crate::figures::{Distance, Variant, median};
use crate::plan::Plan;
use crate::running::Running;
use crate::start_server;

/// How many clients connect one after the other, to see how long the first update takes.
pub const FIRST: usize = 10;

/// All variants at once, one distance after the other.
pub async fn measure(plan: &Plan) -> Result<Vec<Distance>> {
    let mut distances = Vec::new();
    for rtt in &plan.distances {
        plan.say(format!("a distance of {} ms", rtt.as_millis()));
        let all: Vec<_> = plan.variants.iter().filter(|variant| !variant.bare).collect();
        let all = async || try_join_all(all.iter().map(|variant| one(plan, **variant, *rtt))).await;
        distances.extend(plan.quietly(all).await?);
    }
    Ok(distances)
}

/// The publisher stands beside the server: the message's way up is no part of the latency.
async fn one(plan: &Plan, variant: Variant, rtt: Duration) -> Result<Distance> {
    let server = start_server(plan, variant.server).await;
    let port = if rtt.is_zero() { server.port() } else { line_before(server.port(), rtt)? };
    let mut first = Some(Vec::new());
    for _ in 0..FIRST {
        let Some(all) = &mut first else { break };
        match clients::first_update(port, variant.server, Tally::new()).await? {
            Some(took) => all.push(took),
            None => first = None,
        }
    }
    let mut running = Running::start(variant, vec![server], &[port], plan.clients).await?;
    let mut publisher = Publisher::connect(running.servers[0].port()).await?;
    for _ in 0..plan.pairs {
        // At a random moment, but after all that the pair before has started.
        sleep(rtt * 2 + Duration::from_millis(300).mul_f64(1.0 + rand::random::<f64>())).await;
        publisher.publish(false).await?;
        publisher.publish(true).await?;
    }
    let lost = running.all_received(u64::from(plan.pairs) * 2).await?;
    let is_ours = plan.other(variant.server).is_none();
    anyhow::ensure!(lost == 0 || !is_ours, "{}: {lost} updates lost at {rtt:?}", variant.name());
    let second = running.tally.second.borrow().value_at_quantile(0.5) as f64 / 1e3;
    Ok(Distance {
        name: variant.name(),
        rtt: u32::try_from(rtt.as_millis())?,
        latency: running.latency([0.5, 0.99]),
        first: first.map(|first| median(first.iter().map(|it| it.as_secs_f64() * 1e3))),
        second,
    })
}

/// A line on a free port, in a thread of its own, so that neither clients nor server wait for it.
pub fn line_before(server: u16, rtt: Duration) -> Result<u16> {
    let listener = TcpListener::bind("0.0.0.0:0").context("a line")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (_set, rtt) = watch::channel(rtt);
            let listener = tokio::net::TcpListener::from_std(listener)?;
            line::pass_all(listener, ([127, 0, 0, 1], server).into(), rtt).await
        })
    });
    Ok(port)
}
