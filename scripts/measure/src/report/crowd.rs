//! What a client costs when there are many of them.

use super::conditions::disturbed;
use super::text::{about, count, figure, markdown, milliseconds, unique};
use super::{Cell, said};
use crate::crowd::INTERVAL;
use crate::figures::{Crowd, Crowds};

/// Costs that differ by so many times at the most are flat.
const FLAT: f64 = 1.15;

/// A column for each number of clients, a part for each technique.
pub fn crowds(measured: &Crowds) -> String {
    let mut clients: Vec<u32> = measured.points.iter().map(|it| it.clients).collect();
    clients.sort_unstable();
    clients.dedup();
    let names = unique(measured.points.iter().map(|it| &it.name));
    let kilobytes = |bytes: f64| format!("{} KB", figure(bytes / 1e3));
    let figures: [(&str, Cell<Crowd>); 6] = [
        ("server CPU of a delivery", &|it| format!("{} µs", figure(it.delivery))),
        ("server memory per idle client", &|it| kilobytes(it.memory)),
        ("server CPU to connect one", &|it| format!("{} µs", about(it.connecting_cpu))),
        ("until all are connected", &|it| milliseconds(it.connecting * 1e3)),
        ("a delivery takes, p50, p99", &|it| it.latency.map(milliseconds).join(", ")),
        ("the last has it after, p50, longest", &|it| it.last.map(milliseconds).join(", ")),
    ];
    let mut head = vec!["so many clients".to_owned()];
    head.extend(clients.iter().map(|clients| count(f64::from(*clients))));
    let find = |name: &str, clients: u32| {
        measured.points.iter().find(|it| it.name == name && it.clients == clients)
    };
    let mut labels = Vec::new();
    for name in &names {
        for (what, cell) in figures {
            let cell = |clients: &u32| find(name, *clients).map_or(String::new(), cell);
            labels.push((format!("{name}: {what}"), clients.iter().map(cell).collect()));
        }
    }
    let lines: Vec<_> =
        labels.iter().map(|(name, cells): &(_, Vec<_>)| (&**name, cells.clone())).collect();
    // How many times as much a delivery costs with the most clients as with the fewest.
    let growth = names.iter().filter_map(|name| {
        let of = |clients: Option<&u32>| Some(find(name, *clients?)?.delivery);
        Some((*name, of(clients.last())? / of(clients.first())?))
    });
    let (flat, other): (Vec<_>, Vec<_>) =
        growth.partition(|(_, times)| (1.0 / FLAT..=FLAT).contains(times));
    let mut parts = Vec::new();
    if !flat.is_empty() {
        let names: Vec<_> = flat.into_iter().map(|(name, _)| name).collect();
        let within = (FLAT - 1.0) * 100.0;
        parts.push(format!("the same within {within:.0} % with {}", names.join(" and ")));
    }
    parts.extend(other.iter().map(|(name, times)| format!("{times:.1} times as much with {name}")));
    let [fewest, most] = [clients.first(), clients.last()]
        .map(|it| it.map_or(String::new(), |it| count(f64::from(*it))));
    let words = parts.join("; ");
    let kernel = measured.kernel.map_or(String::new(), |bytes| {
        format!(
            " The kernel's memory for a socket comes on top: {}, at each end (an object of `TCP`, \
             `sock_inode_cache` and `filp` of `/proc/slabinfo`), and what is on its way.",
            kilobytes(bytes)
        )
    });
    format!(
        "With {most} clients a delivery costs, beside {fewest}: {words}.\n\n{}\n{}\n",
        markdown(&head, &lines),
        said(
            &measured.conditions,
            &format!(
                "loopback, one server on one core, its clients on the others; updates of {} bytes, each \
                 published after all clients have the one before; polling every {} s, where a delivery is \
                 the poll that brings it.{kernel} {}.{}",
                measured.conditions.message,
                INTERVAL.as_secs(),
                measured.conditions.machine,
                disturbed(&measured.conditions.disturbed),
            )
        ),
    )
}
