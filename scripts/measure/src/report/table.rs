//! An update and a quiet minute, a column for each technique; and the same in few words.

use std::path::Path;

use lab::SERVERS;

use super::Cell;
use super::text::{count, few, figure, markdown, milliseconds};
use crate::browser::{POLL_INTERVAL, RATE, ROWS};
use crate::figures::{Measured, Page, Quiet, Row, Wire, polling};
use crate::root;
use crate::wire::{DISTANCE, EVERY};

/// A column for each technique. Latency: from the moment before a message is written, by somebody
/// beside the server, to the moment in which a client has read it. Requests and bytes: counted by the
/// clients on their sockets, headers included. CPU and memory: the server process's own.
pub fn table(measured: &Measured) -> String {
    let quiet = |choose: fn(&Quiet) -> String| {
        move |row: &Row| measured.quiet(&row.name).map_or(String::new(), choose)
    };
    let lines: [(&str, Cell<Row>, &str); 12] = [
        ("latency, p50", &|row| milliseconds(row.latency[0]), ""),
        ("latency, p99", &|row| milliseconds(row.latency[1]), ""),
        ("latency, longest", &|row| milliseconds(row.latency[2]), ""),
        ("updates lost, received twice", &|row| format!("{}, {}", row.lost, row.twice), "0, 0"),
        ("requests per update and client", &|row| figure(row.requests), "0"),
        ("bytes per update and client, up", &|row| count(row.up), "0"),
        ("bytes per update and client, down", &|row| count(row.down), "66"),
        ("bytes per client in a quiet minute, up", &quiet(|quiet| count(quiet.up)), "0"),
        ("bytes per client in a quiet minute, down", &quiet(|quiet| count(quiet.down)), "0"),
        ("server CPU for 1,000 deliveries", &|row| milliseconds(row.cpu), ""),
        (
            "server CPU in a quiet minute, for 1,000 clients",
            &quiet(|quiet| milliseconds(quiet.cpu)),
            "0",
        ),
        ("server memory per idle client", &|row| kilobytes(row.memory / 1e3), ""),
    ];
    let mut head = vec![String::new()];
    head.extend(measured.rows.iter().map(|row| row.name.clone()));
    head.push("*the ideal*".into());
    let wire = |figure: &dyn Fn(&Wire) -> String| -> Vec<String> {
        let of = |row: &Row| measured.wire(&row.name).map(figure);
        measured.rows.iter().map(|row| of(row).unwrap_or_default()).collect()
    };
    let both = |it: [f64; 2]| it.map(few).join(", ");
    let bytes = |it: [f64; 2]| it.map(count).join(", ");
    let packets: [(&str, Vec<String>); 5] = [
        ("packets of an update alone, up, down", wire(&|it| both(it.update.packets))),
        ("their bytes, up, down", wire(&|it| bytes(it.update.bytes))),
        ("packets of a quiet minute, up, down", wire(&|it| both(it.quiet.packets))),
        ("their bytes, up, down", wire(&|it| bytes(it.quiet.bytes))),
        ("how often a radio wakes in a quiet minute", wire(&|it| few(it.quiet.wakes))),
    ];
    let page = |figure: &dyn Fn(&Page) -> String| -> Vec<String> {
        let of = |row: &Row| measured.page(&row.name).map(figure);
        measured.rows.iter().map(|row| of(row).unwrap_or_default()).collect()
    };
    let pages: [(&str, Vec<String>); 2] = [
        (
            "main thread of the page for 1,000 updates, drawn, not drawn",
            page(&|it| it.main_thread.map(milliseconds).join(", ")),
        ),
        (
            "heap of the page after them, drawn, not drawn",
            page(&|it| it.heap.map(kilobytes).join(", ")),
        ),
    ];
    let packets = packets.into_iter().filter(|_| !measured.wire.is_empty());
    let pages = pages.into_iter().filter(|_| !measured.browser.is_empty());
    let clients = packets.chain(pages).map(|(name, mut cells)| {
        cells.push(String::new());
        (name, cells)
    });
    let is_known = |name: &str| !measured.quiet.is_empty() || !name.contains("quiet");
    let lines = lines.into_iter().filter(|(name, ..)| is_known(name)).map(|(name, cell, ideal)| {
        (name, measured.rows.iter().map(cell).chain([ideal.to_owned()]).collect())
    });
    markdown(&head, &lines.chain(clients).collect::<Vec<_>>())
}

/// What a word in the table means.
pub fn explained(measured: &Measured) -> String {
    let wire = match (measured.wire.is_empty(), &*measured.no_wire) {
        (false, _) => format!(
            " *Packets* are counted by the client's network interface, acknowledgements and the headers of \
             Ethernet, IP and TCP included. The client is {} ms away, and an update comes every {} s. With \
             polling, what an update takes is the poll that brings it. *A radio wakes* with a packet that \
             comes more than a second after the one before.",
            DISTANCE.as_millis(),
            EVERY.as_secs(),
        ),
        (true, "") => String::new(),
        (true, why) => format!(" Packets could not be counted here: {why}."),
    };
    let page = match (measured.browser.is_empty(), &*measured.no_browser) {
        (false, _) => format!(
            " *The page* is each technique's own, in Chromium. {RATE} updates come in a second. Polling's \
             page asks every {POLL_INTERVAL} s, so that few answers bring many updates. *Not drawn*: the page without its lines that begin with `show.` \
             receives with the same code, but draws and counts nothing. Processor time of the main \
             thread is counted, all of it from the first update to the last. Drawing is mostly style, \
             layout and paint, once for each frame. Several updates share a frame here; one that comes \
             alone takes more. The heap is JavaScript's, garbage collected, without that before the \
             updates. It does not go on growing: the page keeps {} rows of updates and {} of the wire.",
            ROWS[0], ROWS[1],
        ),
        (true, "") => String::new(),
        (true, why) => format!(" The pages could not be measured in a browser here: {why}."),
    };
    format!(
        "*p50*: half of all deliveries took no longer; *p99*: 99 of 100 took no longer. The time begins \
         just before a message is written, by a client beside the server, and ends when another one \
         has read it. (The comparison page's times are longer: they begin with the click, so that they \
         include the message's way up, and end when the browser shows it.) *The ideal* is a text of {} \
         bytes in the smallest frame there is, sent once, to a client that costs nothing else. \
         *websockets* is what the page does: JSON with an id, so that it can resume, like the others; \
         *bare text* is what most articles count, and a client that loses what it misses.{wire}{page}",
        measured.conditions.message
    )
}

/// What the usual adjectives are in numbers.
pub fn meaning(measured: &Measured) -> Option<String> {
    let rows = main_rows(measured)?;
    let all = |figure: &dyn Fn(usize) -> String| (0..4).map(figure).collect::<Vec<_>>().join(" / ");
    let names: Vec<_> = rows.iter().map(|(row, _)| &*row.name).collect();
    let wires = names.iter().map(|name| Some(few(measured.wire(name)?.quiet.wakes)));
    let wakes = wires.collect::<Option<Vec<_>>>().map(|wakes| {
        format!("a phone's radio wakes {} times in a quiet minute", wakes.join(" / "))
    });
    let pages = names.iter().map(|name| measured.page(name));
    let page = pages.collect::<Option<Vec<_>>>().map(|pages| {
        let all = |figure: &dyn Fn(&Page) -> String| {
            pages.iter().map(|page| figure(page)).collect::<Vec<_>>().join(" / ")
        };
        format!(
            "{} of the page's main thread for 1,000 updates that are not drawn, {} for those that are; \
             {} of heap for them, {} with what is drawn",
            all(&|page| milliseconds(page.main_thread[1])),
            all(&|page| milliseconds(page.main_thread[0])),
            all(&|page| kilobytes(page.heap[1])),
            all(&|page| kilobytes(page.heap[0])),
        )
    });
    let client = wakes.into_iter().chain(page).collect::<Vec<_>>().join("; ");
    let battery = match &*client {
        "" => String::new(),
        client => format!("| battery: high / medium / low / low | {client} |\n"),
    };
    let every = figure(60.0 / measured.conditions.every);
    Some(format!(
        "What the usual comparison says in adjectives, here in numbers, in the order of the table:\n\n\
         | usually said | here |\n|---|---|\n\
         | latency: high / medium / low / low | p50 {} |\n\
         | network traffic: high / medium / low / low | {} bytes per update, with {every} updates a minute; \
         {} in a quiet minute |\n\
         | server load: high / high / low / low | {} of CPU for 1,000 deliveries; {} for 1,000 \
         clients in a quiet minute; {} of memory per idle client |\n\
         {battery}\
         | connection: one per request / held / open / open | {} requests per update |\n\
         | direction: client / client / server / both | the same; A's message goes up by a `POST`, except \
         with WebSockets |\n\
         | implementation: simple / medium / simple / complex | lines of `main.rs`, comments \
         included: {}; and for all four some {} of `feed` |\n\
         | browser support: all / all / all but Internet Explorer / all | every browser of today has all \
         four |\n",
        all(&|at| milliseconds(rows[at].0.latency[0])),
        all(&|at| count(rows[at].0.up + rows[at].0.down)),
        all(&|at| count(rows[at].1.up + rows[at].1.down)),
        all(&|at| milliseconds(rows[at].0.cpu)),
        all(&|at| milliseconds(rows[at].1.cpu)),
        all(&|at| kilobytes(rows[at].0.memory / 1e3)),
        all(&|at| figure(rows[at].0.requests)),
        all(&server_lines),
        feed_lines(),
    ))
}

fn kilobytes(value: f64) -> String {
    format!("{} KB", figure(value))
}

/// What an update and a quiet minute cost, of the four techniques in their order.
fn main_rows(measured: &Measured) -> Option<Vec<(&Row, &Quiet)>> {
    let poll = polling(measured.conditions.poll_interval);
    let names = [&*poll, "long-polling", "server-sent-events", "websockets"];
    names.iter().map(|name| Some((measured.row(name)?, measured.quiet(name)?))).collect()
}

/// The few figures that decide, for the README.
pub fn front(measured: &Measured) -> Option<String> {
    let rows = main_rows(measured)?;
    let cells = |cell: &dyn Fn(usize) -> String| (0..4).map(cell).collect::<Vec<_>>();
    let lines = [
        ("an update arrives after (p50)", cells(&|at| milliseconds(rows[at].0.latency[0]))),
        ("bytes of an update", cells(&|at| count(rows[at].0.up + rows[at].0.down))),
        ("bytes of a quiet minute", cells(&|at| count(rows[at].1.up + rows[at].1.down))),
        ("server CPU for 1,000 deliveries", cells(&|at| milliseconds(rows[at].0.cpu))),
        ("lines of the server", cells(&server_lines)),
    ];
    let mut head = vec!["for one client".to_owned()];
    head.extend(rows.iter().map(|(row, _)| row.name.clone()));
    Some(format!(
        "{}\n(All four share the {} lines of `feed`. Measured on loopback, {}.)\n\n\
         ![Bytes of a client in a minute, over the rate of updates](scripts/pictures/bytes.svg)\n",
        markdown(&head, &lines),
        feed_lines(),
        measured.conditions.date,
    ))
}

/// How long a technique's server is.
fn server_lines(at: usize) -> String {
    let lines = |file: &str| source_lines(&root().join(SERVERS[at]).join("src").join(file));
    match SERVERS[at] {
        "websockets" => format!("{}, and {} of `frames.rs`", lines("main.rs"), lines("frames.rs")),
        _ => lines("main.rs").to_string(),
    }
}

/// How long what they share is, without its engine, in hundreds: it changes more often.
fn feed_lines() -> String {
    let source = root().join("feed/src");
    let mut lines = source_lines(&source.join("lib.rs")) + source_lines(&source.join("serve.rs"));
    for file in source.join("serve").read_dir().into_iter().flatten().flatten() {
        lines += source_lines(&file.path());
    }
    count((lines as f64 / 100.0).round() * 100.0)
}

fn source_lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}
