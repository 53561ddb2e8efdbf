//! Ours beside what people would take instead: the shortest honest servers of other frameworks, in
//! rounds that take turns. (`scripts/frameworks.sh --measure` prepares them.)

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::Server;
use lab::descendants::{adopt, end_children};

use crate::clients::Return;
use crate::figures::{Conditions, Peer, Peers, Variant};
use crate::plan::{Plan, begin};
use crate::running::{Running, Who, evenly};
use crate::{burst, process, report, start_other};

/// How many clients each of them has.
pub const CLIENTS: u32 = 1_000;
/// For how long updates come one by one.
const LENGTH: Duration = Duration::from_secs(3);

/// A server that takes the place of ours, for one technique.
#[derive(Clone)]
pub struct Instead {
    pub name: String,
    pub technique: String,
    pub command: String,
}

/// How long all of it takes, about.
pub fn takes(plan: &Plan) -> Duration {
    let servers = u32::try_from(plan.peers.len() + 3).expect("they are few");
    (LENGTH + plan.burst + Duration::from_secs(4)) * servers * plan.rounds
}

/// Ours and theirs, technique by technique, in each round.
pub async fn measure(plan: &Plan) -> Result<Peers> {
    plan.begin(takes(plan));
    adopt();
    let mut all = Vec::new();
    for variant in plan.variants.iter().filter(|variant| !variant.bare) {
        let theirs = plan.peers.iter().filter(|it| it.technique == variant.server);
        let theirs: Vec<_> = theirs.map(Some).collect();
        if !theirs.is_empty() {
            all.extend([None].into_iter().chain(theirs).map(|it| (*variant, it, Vec::new())));
        }
    }
    let count = all.len();
    for round in 0..plan.rounds as usize {
        for index in 0..count {
            let (variant, instead, rounds) = &mut all[(round + index) % count]; // the order rotates
            let name = instead.map_or("ours", |it| &it.name);
            plan.say(format!("round {} of {}: {}, {name}", round + 1, plan.rounds, variant.server));
            let figures = plan.quietly(async || one(plan, *variant, *instead).await).await;
            let _ = process::stay_on_core(|_| true);
            rounds.push(figures.with_context(|| format!("{}, {name}", variant.server))?);
        }
    }
    plan.progress.finish_and_clear();
    let peers = all.into_iter().map(|(variant, instead, rounds)| Peer {
        technique: variant.server.into(),
        name: instead.map(|it| it.name.clone()),
        rounds,
    });
    let command = "scripts/frameworks.sh --measure".into(); // it says the commands of all the others
    let conditions = Conditions { command, ..report::conditions(plan, 0.0) };
    Ok(Peers { conditions, peers: peers.collect() })
}

/// Milliseconds of CPU for 1,000 deliveries, bytes of memory for a client that waits, and deliveries for
/// each second of CPU in a burst. (Many a server loses what comes while a client is away.)
async fn one(plan: &Plan, variant: Variant, instead: Option<&Instead>) -> Result<[f64; 3]> {
    let started = start(variant, instead).await;
    let port = started.port();
    let who = Who { comes_back: Some(Return::Soon), ..Who::of(variant, CLIENTS) };
    let mut running = Running::start_for(who, vec![started], &[port]).await?;
    let begin = begin(variant);
    let moments = evenly(plan.every, begin + LENGTH);
    let watched = running.watch(moments, begin, LENGTH).await?;
    let (cpu, memory) = (watched.cpu / watched.updates, running.memory);
    drop(running);
    end_children(); // nchan's nginx is a process of its own
    let started = start(variant, instead).await;
    let burst = burst::one(plan, variant, started, CLIENTS, instead.is_some()).await?;
    end_children();
    ensure!(burst.deliveries > 0.0, "nothing comes from it");
    Ok([cpu, memory, burst.deliveries / burst.busy])
}

/// On one core; the clients have the others.
async fn start(variant: Variant, instead: Option<&Instead>) -> Server {
    process::on_one_core(async {
        match instead {
            None => Server::start(variant.server).await,
            Some(instead) => start_other(variant.server, &instead.command).await,
        }
    })
    .await
}
