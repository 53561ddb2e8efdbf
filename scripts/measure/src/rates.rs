//! What a client costs when nothing happens, and at several rates of updates.

use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::future::{try_join, try_join_all};
use tokio::time::Instant;

use crate::figures::{Point, Quiet, Seen, Variant, median};
use crate::load::{Load, Look};
use crate::plan::{Plan, begin};
use crate::running::{Watched, at_random};
use crate::start;

/// How many rounds there are of each rate at least, where it is watched for long.
const ROUNDS: u32 = 3;
/// How long it may take until all clients of a round are connected.
const START: Duration = Duration::from_secs(3);

/// All techniques and rates at the same time, since all of them together are far from what the machine
/// can do. What is over sooner is repeated, for as long as the rarest takes.
pub async fn measure(plan: &Plan) -> Result<(Vec<Quiet>, Vec<Point>)> {
    let until = Instant::now() + plan.rates_take();
    let also = plan.in_pictures.iter().filter(|variant| !plan.variants.contains(variant));
    let all: Vec<_> = plan.variants.iter().chain(also).copied().collect();
    let mut what = Vec::new();
    if !plan.idle.is_zero() {
        what.push("a quiet time".to_owned());
    }
    what.extend(plan.rates.iter().map(|(rate, _)| format!("{rate} updates a minute")));
    if what.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    plan.say(what.join(", "));
    let quiet = rounds(plan, &all, 0.0, plan.idle, until);
    let rates = plan.rates.iter().map(|(rate, window)| async move {
        let all = &plan.in_pictures;
        let rounds = rounds(plan, all, *rate, *window, until).await?;
        let points = all.iter().enumerate().map(|(index, variant)| {
            let seen = |figure: fn(&Watched) -> f64| {
                Seen::of(rounds.iter().map(|round| figure(&round[index]) / round[index].minutes))
            };
            Point {
                name: variant.name(),
                rate: rounds[0][index].updates / rounds[0][index].minutes,
                rounds: u32::try_from(rounds.len()).expect("they are few"),
                bytes: seen(|it| it.up + it.down),
                cpu: seen(|it| it.cpu),
            }
        });
        anyhow::Ok(points.collect::<Vec<_>>())
    });
    let (quiet, rates) = try_join(quiet, try_join_all(rates)).await?;
    let quiet = all.iter().enumerate().filter(|_| !quiet.is_empty()).map(|(index, variant)| {
        let each = |figure: fn(&Watched) -> f64| {
            median(quiet.iter().map(|round| figure(&round[index]) / round[index].minutes))
        };
        let (up, down, cpu) = (each(|it| it.up), each(|it| it.down), each(|it| it.cpu));
        Quiet { name: variant.name(), up, down, cpu }
    });
    Ok((quiet.collect(), rates.concat()))
}

/// Rounds of all these variants at once, for as long as there is time for another one: of each what was
/// seen, one for each variant. Those that were disturbed are left out where there are others.
async fn rounds(
    plan: &Plan,
    all: &[Variant],
    rate: f64,
    window: Duration,
    until: Instant,
) -> Result<Vec<Vec<Watched>>> {
    if window.is_zero() {
        return Ok(Vec::new());
    }
    let mut rounds: Vec<(Load, Vec<Watched>)> = Vec::new();
    let whole = until.saturating_duration_since(Instant::now());
    // What takes too long to be repeated is done at the same time.
    let round = START + window + all.iter().map(|it| begin(*it)).max().unwrap_or_default();
    let at_once = if rate == 0.0 || whole > round * ROUNDS { 1 } else { ROUNDS };
    while rounds.is_empty() || Instant::now() + window < until {
        let look = Look::now();
        let each = || try_join_all(all.iter().map(|variant| one(plan, *variant, rate, window)));
        let seen = try_join_all((0..at_once).map(|_| each())).await?;
        let load = look.load();
        rounds.extend(seen.into_iter().map(|seen| (load, seen)));
    }
    let is_good = |(load, _): &(Load, _)| !load.disturbs();
    if rounds.iter().any(is_good) {
        rounds.retain(is_good);
    }
    Ok(rounds
        .into_iter()
        .map(|(load, seen)| {
            plan.count(load);
            seen
        })
        .collect())
}

async fn one(plan: &Plan, variant: Variant, rate: f64, window: Duration) -> Result<Watched> {
    let mut running = start(plan, variant).await?;
    let begin = begin(variant);
    // What comes before the window is the end of another one, just like it: so as much of it is still
    // on its way when it begins as when it ends.
    let within = at_random(rate, window);
    let before = within.iter().filter_map(|at| (*at + begin).checked_sub(window));
    let moments = before.chain(within.iter().map(|at| *at + begin)).collect();
    let it = running.watch(moments, begin, window).await?;
    if it.lost + it.twice > 0 && plan.other(variant.server).is_none() {
        bail!("{}: {} lost, {} twice", variant.name(), it.lost, it.twice);
    }
    Ok(it)
}
