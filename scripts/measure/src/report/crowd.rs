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
    let mut clients: Vec<u32> = measured.crowds.iter().map(|it| it.clients).collect();
    clients.sort_unstable();
    clients.dedup();
    let names = unique(measured.crowds.iter().map(|it| &it.name));
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
        measured.crowds.iter().find(|it| it.name == name && it.clients == clients)
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
    // How many times as much the dearest number of clients costs as the cheapest.
    let growth: Vec<_> = names
        .iter()
        .filter_map(|name| {
            let all = measured.crowds.iter().filter(|it| it.name == **name).map(|it| it.delivery);
            Some((*name, all.clone().reduce(f64::max)? / all.reduce(f64::min)?))
        })
        .collect();
    let (flat, other): (Vec<_>, Vec<_>) = growth.into_iter().partition(|(_, times)| *times <= FLAT);
    let flat = match &flat[..] {
        [] => String::new(),
        all => format!(
            "A delivery costs the same within {:.0} %, however many clients there are, with {}. ",
            (FLAT - 1.0) * 100.0,
            all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" and ")
        ),
    };
    let other = match &other[..] {
        [] => String::new(),
        all => format!(
            "The dearest number of clients costs more than the cheapest: {}.",
            all.iter()
                .map(|(name, times)| format!("{times:.1} times as much with {name}"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    let kernel = measured.kernel.map_or(String::new(), |bytes| {
        format!(
            " The kernel's memory for a socket comes on top: {}, at each end (an object of `TCP`, \
             `sock_inode_cache` and `filp` of `/proc/slabinfo`), and what is on its way.",
            kilobytes(bytes)
        )
    });
    format!(
        "{flat}{other}\n\n{}\n{}\n",
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
