//! What one core takes.

use super::Cell;
use super::text::{about, count, figure, markdown, milliseconds, percent, unique};
use crate::figures::{Burst, Measured};

/// What one core takes, a column for each technique, a part for each number of clients.
pub fn bursts(measured: &Measured) -> String {
    let mut clients: Vec<u32> = measured.bursts.iter().map(|it| it.clients).collect();
    clients.dedup();
    if clients.is_empty() {
        return String::new();
    }
    let names = unique(measured.bursts.iter().map(|it| &it.name));
    let figures: [(&str, Cell<Burst>); 6] = [
        ("deliveries a second", &|it| about(it.deliveries)),
        ("requests answered a second", &|it| about(it.requests)),
        ("latency, p50, p99", &|it| {
            format!("{}, {}", milliseconds(it.latency[0]), milliseconds(it.latency[1]))
        }),
        ("the core is busy", &|it| percent(it.busy)),
        ("of that, in the kernel", &|it| it.kernel.map_or("?".into(), percent)),
        ("memory per idle client", &|it| format!("{} KB", figure(it.memory / 1e3))),
    ];
    let mut head = vec!["on one core".to_owned()];
    head.extend(names.iter().map(|name| (*name).to_owned()));
    let mut labels = Vec::new();
    for clients in &clients {
        for (what, cell) in figures {
            let cells: Vec<_> = names
                .iter()
                .map(|name| {
                    let mut all = measured.bursts.iter();
                    let it = all.find(|it| it.name == *name && it.clients == *clients);
                    it.map_or(String::new(), cell)
                })
                .collect();
            labels.push((format!("{} clients: {what}", count(f64::from(*clients))), cells));
        }
    }
    let lines: Vec<_> = labels.iter().map(|(name, cells)| (&**name, cells.clone())).collect();
    let best =
        measured.bursts.iter().max_by(|it, other| it.deliveries.total_cmp(&other.deliveries));
    let best = best.map_or(String::new(), |it| {
        let (deliveries, clients) = (about(it.deliveries), count(f64::from(it.clients)));
        format!(
            "The most were {deliveries} deliveries a second, to {clients} clients, with {}.",
            it.name
        )
    });
    let kernel = || measured.bursts.iter().filter_map(|it| it.kernel);
    let kernel = match (kernel().reduce(f64::min), kernel().reduce(f64::max)) {
        (Some(least), Some(most)) => {
            let span = match (percent(least), percent(most)) {
                (least, most) if least == most => least,
                (least, most) => format!("between {least} and {most}"),
            };
            format!(" The kernel sends and receives: that is {span} of the servers' time.")
        }
        _ => String::new(),
    };
    let idle = idle(measured);
    let clients = clients.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    format!(
        "{best}{kernel}{idle}\n\n{}\n`scripts/measure.sh --burst {clients}`, {}: loopback; a burst, in \
         which two updates are always under way to all clients; the server on one core, the clients on the \
         others; the kernel's share is system time by user and system time, as `/proc/PID/stat` has them. \
         {}.\n",
        markdown(&head, &lines),
        measured.conditions.date,
        measured.conditions.machine,
    )
}

/// Who was the limit where it was not the server.
fn idle(measured: &Measured) -> String {
    let idle = measured.bursts.iter().filter(|it| it.busy < BUSY);
    let (by_clients, others): (Vec<_>, Vec<_>) = idle.partition(|it| it.client_busy > BUSY);
    let names = |all: &[&Burst]| {
        let of = |it: &&Burst| format!("{} with {} clients", it.name, count(f64::from(it.clients)));
        all.iter().map(of).collect::<Vec<_>>().join(", ")
    };
    let by_clients = match &by_clients[..] {
        [] => String::new(),
        some => format!(
            " The clients' core was the limit for {}: there a server can do more.",
            names(some)
        ),
    };
    let why = match measured.conditions.disturbed.noisy {
        0 => "server and clients waited for each other",
        _ => "other programs took their time",
    };
    let others = match &others[..] {
        [] => String::new(),
        some => format!(" No core was busy all the time for {}: {why}.", names(some)),
    };
    by_clients + &others
}

/// A core that is busy for such a part of the time is so all the time.
const BUSY: f64 = 0.9;
