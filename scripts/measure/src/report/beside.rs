//! Ours and the naive servers.

use super::text::{count, figure, markdown, milliseconds};
use crate::beside::{BYTES, CUTS, EVERY};
use crate::clients::AWAY;
use crate::figures::{Beside, Measured};

/// What the naive servers are.
pub const NAIVE: &str = "In each technique's folder, `naive/server.mjs` is what everybody writes first, in Node. It \
    works, until a connection breaks or a client is slow.";
/// Ours and the naive servers, a line for each.
pub fn beside(measured: &Measured) -> String {
    if measured.beside.is_empty() {
        return String::new();
    }
    let head = [
        "",
        &format!("lost at {CUTS} cuts"),
        "received twice",
        "memory: start → burst → and one that does not read",
        "lost to the others",
        "CPU for 1,000 deliveries",
    ];
    let megabytes = |bytes: f64| figure(bytes / 1e6);
    let cells = |it: &Beside| {
        vec![
            format!("{} of {}", count(it.lost as f64), count(it.published as f64)),
            count(it.twice as f64),
            format!("{} MB", it.memory.map(megabytes).join(" → ")),
            format!(
                "{} of {}",
                count(it.missing as f64),
                count((it.updates * u64::from(it.clients)) as f64)
            ),
            milliseconds(it.cpu),
        ]
    };
    let names = measured.beside.iter().map(|it| {
        let whose = if it.is_naive { "naive" } else { "ours" };
        format!("{}, {whose}", it.name)
    });
    let names: Vec<_> = names.collect();
    let lines: Vec<_> =
        names.iter().map(|name| &**name).zip(measured.beside.iter().map(cells)).collect();
    let sum = |naive: bool, figure: fn(&Beside) -> u64| {
        measured.beside.iter().filter(|it| it.is_naive == naive).map(figure).sum::<u64>()
    };
    let most = |naive: bool| {
        let of = measured.beside.iter().filter(|it| it.is_naive == naive);
        megabytes(of.map(|it| it.memory[2] - it.memory[0]).fold(0.0, f64::max))
    };
    let naive = measured.beside.iter().filter(|it| it.is_naive);
    let node = figure(naive.map(|it| it.memory[0] / 1e6).fold(0.0, f64::max));
    let words = if measured.beside.iter().any(|it| it.is_naive) {
        format!(
            "Altogether, at their cuts: ours lost {} of {}, the naive ones {} of {}. After both bursts ours \
             had at most {} MB more than at the start, the naive ones up to {} MB. Some of that is Node, and \
             not naivety: it takes {} MB before the first client comes, and collects its garbage late. Node's \
             share of the CPU is what right servers in Node take: express and `ws`, further down.",
            count(sum(false, |it| it.lost) as f64),
            count(sum(false, |it| it.published) as f64),
            count(sum(true, |it| it.lost) as f64),
            count(sum(true, |it| it.published) as f64),
            most(false),
            most(true),
            node
        )
    } else {
        "There was no Node, so that the naive servers' lines are missing.".into()
    };
    let first = &measured.beside[0];
    let most_updates = measured.beside.iter().map(|it| it.updates).max().unwrap_or_default();
    format!(
        "{words}\n\n{}\n`scripts/measure.sh --naive`, {}: loopback. *Cuts*: one client, an update every \
         {} ms; its connection is cut {CUTS} times, at random moments, and it comes back after {} ms, with \
         its cursor. *Memory*: resident; {} clients read a burst of {} updates of {} bytes, then as \
         many again while one more client reads nothing; polling every second. *Lost to the others*: \
         deliveries of both bursts. *CPU*: as in the table above. {}.\n",
        markdown(&head.map(str::to_owned), &lines),
        measured.conditions.date,
        EVERY.as_millis(),
        AWAY.as_millis(),
        first.clients,
        count(most_updates as f64 / 2.0),
        count(BYTES as f64),
        measured.conditions.machine,
    )
}
