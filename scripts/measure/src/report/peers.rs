//! Ours beside what people would take instead.

use super::conditions::disturbed;
use super::said;
use super::text::{about, figure, markdown, milliseconds};
use crate::figures::{Peer, Peers, median};
use crate::peers::CLIENTS;

/// A line for each server; beside each figure of another one, how many times ours it is.
pub fn peers(measured: &Peers) -> String {
    let head = [
        "",
        "CPU for 1,000 deliveries",
        "memory per idle client",
        "deliveries a second of one core",
    ];
    let said_of: [fn(f64) -> String; 3] =
        [milliseconds, |bytes| format!("{} KB", figure(bytes / 1e3)), about];
    let cells = |peer: &Peer| -> Vec<String> {
        let is_ours = |it: &&Peer| it.name.is_none() && it.technique == peer.technique;
        let ours = measured.peers.iter().find(is_ours);
        let cell = |at: usize| {
            let own = said_of[at](median(peer.rounds.iter().map(|round| round[at])));
            let both = ours.filter(|_| peer.name.is_some()).map(|ours| {
                let rounds = peer.rounds.iter().zip(&ours.rounds);
                median(rounds.map(|(own, ours)| own[at] / ours[at]))
            });
            both.map_or(own.clone(), |times| format!("{own} ({} ×)", figure(times)))
        };
        (0..3).map(cell).collect()
    };
    let names: Vec<_> = measured
        .peers
        .iter()
        .map(|it| format!("{}: {}", it.technique, it.name.as_deref().unwrap_or("ours")))
        .collect();
    let lines: Vec<_> =
        names.iter().map(|name| &**name).zip(measured.peers.iter().map(cells)).collect();
    let conditions = &measured.conditions;
    format!(
        "{}\n{}\n",
        markdown(&head.map(ToOwned::to_owned), &lines),
        said(
            conditions,
            &format!(
                "loopback, the server on one core, {CLIENTS} clients on the other; updates of {} bytes; CPU \
                 with one every {} ms; the last column is a burst, its deliveries by the seconds of CPU that \
                 the server took. Medians of {} rounds in which the servers take turns; *×* is the median of \
                 each round's ratio to ours. All processes of a server count. {}.{}",
                conditions.message,
                figure(conditions.every * 1e3),
                conditions.rounds,
                conditions.machine,
                disturbed(&conditions.disturbed),
            )
        )
    )
}
