//! What happens when a server is killed.

use super::conditions::disturbed;
use super::said;
use super::text::{about, count, markdown, milliseconds, unique};
use crate::crowd::INTERVAL;
use crate::figures::{Morning, Mornings};

/// A line for each technique, with times at random and without.
pub fn mornings(measured: &Mornings) -> String {
    let head = [
        "",
        "they wait",
        "all are back after",
        "all have everything after",
        "in the busiest second",
        "server CPU",
    ];
    let clients = f64::from(measured.conditions.clients);
    let seconds = |time: f64| milliseconds(time * 1e3);
    let cells = |it: &Morning| {
        let wait = if it.at_random { "at random" } else { "all as long" };
        let busiest = format!("{} come", about(f64::from(it.busiest)));
        vec![wait.into(), seconds(it.back), seconds(it.all), busiest, seconds(it.cpu)]
    };
    let lines: Vec<_> = measured.points.iter().map(|it| (&*it.name, cells(it))).collect();
    let most = |at_random: bool| {
        let all = measured.points.iter().filter(|it| it.at_random == at_random);
        all.map(|it| it.all).fold(0.0, f64::max)
    };
    let away = measured.points.iter().map(|it| it.away).fold(0.0, f64::max);
    format!(
        "**The morning after.** A server with {} clients is killed (`SIGKILL`) and started again at once. With \
         {}, all had everything after {} at the latest, also what was published after the start. They wait a \
         time at random, as the pages do. Where all wait as long, it was {}.\n\n{}\n{}\n",
        count(clients),
        match unique(measured.points.iter().map(|it| &it.name))[..] {
            [one] => one.to_owned(),
            _ => "each technique".to_owned(),
        },
        seconds(most(true)),
        seconds(most(false)),
        markdown(&head.map(String::from), &lines),
        said(
            &measured.conditions,
            &format!(
                "loopback, one server on one core, its clients on the others; times are from the kill on, and \
                 the server listens again after {} at the latest; its CPU is that from its start on. An event \
                 stream comes back after its `retry:`, 1 to 3 s. The others wait up to a second, and longer \
                 after each failure: up to 10 s, of which up to a half is left to chance. *All as long*: the \
                 mean of that. Polling every {} s. Left out: the page of WebSockets sends a `HEAD` before it comes \
                 back. {}.{}",
                seconds(away),
                INTERVAL.as_secs(),
                measured.conditions.machine,
                disturbed(&measured.conditions.disturbed),
            )
        ),
    )
}
