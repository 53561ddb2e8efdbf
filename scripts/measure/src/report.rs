//! What was measured in tables and words, all of them made from the figures: no sentence can
//! contradict them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use lab::SERVERS;
use sysinfo::System;

use crate::beside::{BYTES, CUTS, EVERY};
use crate::clients::{AWAY, MESSAGE};
use crate::figures::{
    Beside, Burst, Conditions, Distance, Measured, Quiet, RATES, Row, What, crossing, polling,
};
use crate::{Plan, root};

/// How, when and where.
pub fn conditions(plan: &Plan, client_busy: f64) -> Conditions {
    let words = std::env::args().skip(1).map(|word| match word.split_once(char::is_whitespace) {
        None => word,
        Some(_) => format!("'{word}'"),
    });
    let cpu = System::new_with_specifics(
        sysinfo::RefreshKind::nothing().with_cpu(sysinfo::CpuRefreshKind::nothing()),
    );
    Conditions {
        command: std::iter::once("scripts/measure.sh".into())
            .chain(words)
            .collect::<Vec<_>>()
            .join(" "),
        date: output("date", &["+%Y-%m-%d"]),
        machine: format!(
            "{} × {}, {} {}, {}, actix-web {}",
            cpu.cpus().len(),
            cpu.cpus().first().map_or("unknown", |cpu| cpu.brand().trim()),
            System::name().unwrap_or_default(),
            System::os_version().unwrap_or_default(),
            output("rustc", &["--version"]),
            actix_version(),
        ),
        clients: plan.clients,
        message: MESSAGE,
        every: plan.every.as_secs_f64(),
        poll_interval: plan.poll_interval.as_secs_f64(),
        rounds: plan.rounds,
        client_busy,
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn actix_version() -> &'static str {
    let lock = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"));
    let version = lock.split("name = \"actix-web\"\nversion = \"").nth(1);
    version.and_then(|rest| rest.split('"').next()).unwrap_or("unknown")
}

/// The conditions of a table, in one line: which command, when, and what is said of it.
pub fn said(it: &Conditions, what: &str) -> String {
    format!("`{}`, {}: {what}", it.command, it.date)
}

/// What counts for everything that is not said to be otherwise.
pub fn usual(it: &Conditions) -> String {
    format!(
        "loopback, {} clients, updates of {} bytes, one every {} ms, polling every {} s, {}; HTTP/1.1 \
         with the headers that Chromium sends with the pages' requests; bytes are HTTP's and the \
         WebSocket's, without those of TCP and IP. {}. The clients are one process with one thread, \
         busy for {:.0} % of the time at most: it is the servers that are measured.",
        it.clients,
        it.message,
        figure(it.every * 1e3),
        it.poll_interval,
        match it.rounds {
            1 => "one round".to_owned(),
            rounds => format!("medians of {rounds} rounds"),
        },
        it.machine,
        (it.client_busy * 100.0).max(1.0),
    )
}

/// All that there is, for a terminal.
pub fn all(measured: &Measured) -> String {
    let parts = [
        table(measured) + "\n" + &said(&measured.conditions, &usual(&measured.conditions)) + "\n",
        at_rates(measured, What::Bytes),
        crossings(measured, What::Bytes),
        at_rates(measured, What::Cpu),
        crossings(measured, What::Cpu),
        distances(measured),
        bursts(measured),
        beside(measured),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// What a cell of a table says of a figure.
type Cell<'a, Figure> = &'a dyn Fn(&Figure) -> String;

/// Makes a Markdown table.
pub fn markdown(head: &[String], lines: &[(&str, Vec<String>)]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head);
    let rule = (0..head.len()).map(|index| if index == 0 { "---" } else { "--:" }.to_owned());
    text += &line(&rule.collect::<Vec<_>>());
    for (name, cells) in lines {
        text += &line(&[&[(*name).to_owned()], &cells[..]].concat());
    }
    text
}

/// A column for each technique. Latency: from the moment before a message is written, by somebody
/// beside the server, to the moment in which a client has read it. Requests and bytes: counted by the
/// clients on their sockets, headers included. CPU and memory: the server process's own.
pub fn table(measured: &Measured) -> String {
    let quiet = |choose: fn(&Quiet) -> String| {
        move |row: &Row| measured.quiet(&row.name).map_or("not measured".into(), choose)
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
        ("server memory per idle client", &|row| format!("{} KB", figure(row.memory / 1e3)), ""),
    ];
    let mut head = vec![String::new()];
    head.extend(measured.rows.iter().map(|row| row.name.clone()));
    head.push("*the ideal*".into());
    let lines = lines.map(|(name, cell, ideal)| {
        (name, measured.rows.iter().map(cell).chain([ideal.to_owned()]).collect())
    });
    markdown(&head, &lines)
}

/// What a word in the table means.
fn explained(measured: &Measured) -> String {
    format!(
        "*p50*: half of all deliveries took no longer; *p99*: 99 of 100 took no longer. The time begins \
         just before a message is written, by a client beside the server, and ends when another one \
         has read it. (The comparison page's times are longer: they begin with the click, so that they \
         include the message's way up, and end when the browser shows it.) *The ideal* is a text of {} \
         bytes in the smallest frame there is, sent once, to a client that costs nothing else. \
         *websockets* is what the page does: JSON with an id, so that it can resume, like the others; \
         *bare text* is what most articles count, and a client that loses what it misses.",
        measured.conditions.message
    )
}

/// What a client costs at some rates.
fn at_rates(measured: &Measured, what: What) -> String {
    let costs = measured.costs(what);
    let names: Vec<_> = measured.names();
    if !names.iter().any(|name| costs.contains_key(*name)) {
        return String::new();
    }
    let head = match what {
        What::Bytes => "bytes per client and minute, at so many updates a minute",
        What::Cpu => "ms of server CPU per 1,000 clients and minute, at so many updates a minute",
    };
    let rates = [0.1, 1.0, 10.0, 60.0, 300.0];
    let mut heads = vec![head.to_owned()];
    heads.extend(rates.map(|rate| format!("{rate}")));
    let lines: Vec<_> = names
        .iter()
        .filter_map(|name| {
            let cost = costs.get(*name)?;
            Some((*name, rates.map(|rate| count(cost.at(rate))).to_vec())) // µs for one are ms for 1,000
        })
        .collect();
    markdown(&heads, &lines)
}

fn amount(what: What, cost: f64) -> String {
    match what {
        What::Bytes => format!("{} bytes", count(cost)),
        What::Cpu => milliseconds(cost / 1e3),
    }
}

/// What a picture of costs over the rate tells: its two ends, and one sentence for each crossing.
fn crossings(measured: &Measured, what: What) -> String {
    let costs = measured.costs(what);
    let names: Vec<_> =
        measured.names().into_iter().filter(|name| costs.contains_key(*name)).collect();
    if names.is_empty() {
        return String::new();
    }
    let end = |rate: f64| {
        let mut sorted = names.clone();
        sorted.sort_by(|one, other| costs[*one].at(rate).total_cmp(&costs[*other].at(rate)));
        let say = |name: &str| format!("{} ({name})", amount(what, costs[name].at(rate)));
        format!("from {} to {}", say(sorted[0]), say(sorted[sorted.len() - 1]))
    };
    let whose = match what {
        What::Bytes => "what a client moves in a minute, both ways",
        What::Cpu => "what a client takes of the server's time in a minute",
    };
    let mut text = format!(
        "The picture shows {whose}. On the left, where little happens ({} updates a minute), you see \
         what waiting costs: {}. On the right, where much happens ({} a minute), you see what the updates \
         cost: {}.\n\n",
        RATES[0],
        end(RATES[0]),
        RATES[1],
        end(RATES[1]),
    );
    let does = match what {
        What::Bytes => "moves fewer bytes",
        What::Cpu => "takes less of a server's time",
    };
    let mut sentences = Vec::new();
    for one in &names {
        for other in &names {
            if let Some(rate) = crossing(costs[*one], costs[*other], what) {
                let sentence = format!(
                    "- Above {} updates a minute, {one} {does} than {other}.",
                    number(rate)
                );
                sentences.push((rate, sentence));
            }
        }
    }
    sentences.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    for (_, sentence) in &sentences {
        text += sentence;
        text += "\n";
    }
    let but = match what {
        What::Bytes => "",
        What::Cpu => " by so much that a second run would show the same",
    };
    let other = if sentences.is_empty() { "" } else { "other " };
    text + &format!("- No {other}two of these lines cross{but}.\n")
}

/// Each once, in their order.
pub fn unique<'a>(names: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for name in names {
        if !all.contains(&&**name) {
            all.push(name);
        }
    }
    all
}

/// What a distance changes, a line for each technique and figure.
fn distances(measured: &Measured) -> String {
    type Figure = fn(&Distance) -> Option<f64>;
    let rtts: BTreeSet<u32> = measured.distances.iter().map(|it| it.rtt).collect();
    if rtts.is_empty() {
        return String::new();
    }
    let figures: [(&str, Figure); 4] = [
        ("an update, p50", |it| Some(it.latency[0])),
        ("an update, p99", |it| Some(it.latency[1])),
        ("the second of two, p50", |it| Some(it.second).filter(|second| *second > 0.0)), // or lost
        ("from connecting to the first, p50", |it| it.first),
    ];
    let mut head = vec!["a round trip of".to_owned()];
    head.extend(rtts.iter().map(|rtt| format!("{rtt} ms")));
    let mut labels = Vec::new();
    for (what, figure) in figures {
        for name in unique(measured.distances.iter().map(|it| &it.name)) {
            let at = |rtt: &u32| {
                let mut all = measured.distances.iter();
                let it = all.find(|it| it.name == *name && it.rtt == *rtt);
                it.and_then(figure).map_or("–".into(), milliseconds)
            };
            labels.push((format!("{what}: {name}"), rtts.iter().map(at).collect()));
        }
    }
    let lines: Vec<_> =
        labels.iter().map(|(name, cells): &(_, Vec<_>)| (&**name, cells.clone())).collect();
    let conditions = said(
        &measured.conditions,
        &format!(
            "loopback behind a line that delays each direction by half of the round trip, and a new \
             connection's first byte by one more; {} clients of each technique, all at the same time; \
             the publisher is beside the server; HTTP/1.1. {}.",
            measured.conditions.clients, measured.conditions.machine
        ),
    );
    far(measured) + &markdown(&head, &lines) + "\n" + &conditions + "\n"
}

/// What to see at the longest distance.
fn far(measured: &Measured) -> String {
    let far = measured.distances.iter().map(|it| it.rtt).max().unwrap_or_default();
    let at = |name: &str| measured.distances.iter().find(|it| it.name == name && it.rtt == far);
    let poll = polling(measured.conditions.poll_interval);
    let all = [at(&poll), at("long-polling"), at("server-sent-events"), at("websockets")];
    let [Some(poll), Some(long), Some(stream), Some(socket)] = all else { return String::new() };
    if far == 0 {
        return String::new();
    }
    let first: Option<Vec<f64>> = [poll, long, stream, socket].iter().map(|it| it.first).collect();
    let Some(first) = first else { return String::new() };
    let trips = |milliseconds: f64| format!("{:.2}", milliseconds / f64::from(far));
    let [least, most] = [f64::min, f64::max].map(|of| first.iter().copied().reduce(of));
    let (least, most) = (least.unwrap_or_default(), most.unwrap_or_default());
    format!(
        "What to see, at {far} ms: an event and a frame need {} of a round trip to arrive, and the second of \
         two needs {}. A long poll's answer needs {}; but a second update has to wait until the client has \
         asked again: {} round trips. Polling's {} are its interval, whatever the distance. A new connection \
         takes {} round trips until its first update: one for TCP's handshake, one for the request and its \
         answer.\n\n",
        span("and", &trips(stream.latency[0]), &trips(socket.latency[0])),
        span("and", &trips(stream.second), &trips(socket.second)),
        trips(long.latency[0]),
        trips(long.second),
        milliseconds(poll.latency[0]),
        span("to", &trips(least), &trips(most)),
    )
}

/// Two figures, or one where they are the same.
fn span(word: &str, one: &str, other: &str) -> String {
    if one == other { one.into() } else { format!("{one} {word} {other}") }
}

/// What one core takes, a column for each technique, a part for each number of clients.
fn bursts(measured: &Measured) -> String {
    let mut clients: Vec<u32> = measured.bursts.iter().map(|it| it.clients).collect();
    clients.dedup();
    let Some(busiest) = measured.bursts.iter().map(|it| it.busy).reduce(f64::max) else {
        return String::new();
    };
    let names = unique(measured.bursts.iter().map(|it| &it.name));
    let figures: [(&str, Cell<Burst>); 6] = [
        ("deliveries a second", &|it| count(it.deliveries)),
        ("requests answered a second", &|it| count(it.requests)),
        ("latency, p50, p99", &|it| {
            format!("{}, {}", milliseconds(it.latency[0]), milliseconds(it.latency[1]))
        }),
        ("the core is busy", &|it| percent(Some(it.busy))),
        ("of that, in the kernel", &|it| percent(it.kernel)),
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
        measured.bursts.iter().max_by(|one, other| one.deliveries.total_cmp(&other.deliveries));
    let best = best.map_or(String::new(), |it| {
        format!(
            "The most that was seen: {} deliveries a second, by {}",
            count(it.deliveries),
            it.name
        )
    });
    let kernel = measured.bursts.iter().filter_map(|it| it.kernel);
    let (least, most) =
        kernel.fold((1.0, 0.0), |(least, most): (f64, f64), it| (least.min(it), most.max(it)));
    let kernel = if least > most {
        String::new()
    } else {
        format!(
            " The kernel, which sends and receives, takes {} of the servers' time.",
            span("to", &percent(Some(least)), &percent(Some(most)))
        )
    };
    let least_busy = measured.bursts.iter().map(|it| it.busy).fold(1.0, f64::min);
    let idle = match (busiest, least_busy) {
        (0.9.., 0.9..) => "",
        (0.9.., _) => {
            " Where the core was busy for less than 90 % of the time, the clients, on the other core, \
             were the limit: there a server can do more than was seen."
        }
        _ => {
            " No core was busy all the time: the clients, on the other core, were the limit. A server \
             can do more than was seen."
        }
    };
    let clients = clients.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    format!(
        "{best}.{kernel}{idle}\n\n{}\n`scripts/measure.sh --burst {clients}`, {}: loopback; a burst, in \
         which two updates are always under way to all clients; the server on one core, the clients on the \
         others; the kernel's share is system time by user and system time, as `/proc/PID/stat` has them. \
         {}.\n",
        markdown(&head, &lines),
        measured.conditions.date,
        measured.conditions.machine,
    )
}

/// Ours and the naive servers, a line for each.
fn beside(measured: &Measured) -> String {
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
    let words = if measured.beside.iter().any(|it| it.is_naive) {
        format!(
            "Altogether, at their cuts: ours lost {} of {}, the naive ones {} of {}. After both bursts ours \
             had at most {} MB more than at the start, the naive ones up to {} MB.",
            count(sum(false, |it| it.lost) as f64),
            count(sum(false, |it| it.published) as f64),
            count(sum(true, |it| it.lost) as f64),
            count(sum(true, |it| it.published) as f64),
            most(false),
            most(true),
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

fn percent(part: Option<f64>) -> String {
    part.map_or("?".into(), |part| format!("{:.0} %", part * 100.0))
}

/// What the usual adjectives are in numbers.
fn meaning(measured: &Measured) -> Option<String> {
    let rows = main_rows(measured)?;
    let all = |figure: &dyn Fn(usize) -> String| (0..4).map(figure).collect::<Vec<_>>().join(" / ");
    let every = figure(60.0 / measured.conditions.every);
    Some(format!(
        "What the usual comparison says in adjectives, here in numbers, in the order of the table:\n\n\
         | usually said | here |\n|---|---|\n\
         | latency: high / medium / low / low | p50 {} |\n\
         | network traffic: high / medium / low / low | {} bytes per update, with {every} updates a minute; \
         {} in a quiet minute |\n\
         | server load: high / high / low / low | {} of CPU for 1,000 deliveries; {} for 1,000 \
         clients in a quiet minute; {} of memory per idle client |\n\
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
        all(&|at| format!("{} KB", figure(rows[at].0.memory / 1e3))),
        all(&|at| figure(rows[at].0.requests)),
        all(&server_lines),
        feed_lines(),
    ))
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

pub fn milliseconds(value: f64) -> String {
    if value >= 1000.0 {
        format!("{} s", figure(value / 1000.0))
    } else {
        format!("{} ms", figure(value))
    }
}

/// Three significant digits at the most, and no more than two places.
pub fn figure(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => count(value),
    }
}

/// Two significant digits: where two lines cross is not known any better.
fn number(value: f64) -> String {
    match value {
        0.0..1.0 => format!("{value:.2}"),
        1.0..10.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A whole number, its thousands separated.
pub fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.split_at(usize::from(digits.starts_with('-')));
    let mut text = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of a page that is made from figures.
pub struct Part {
    /// The page.
    pub page: &'static str,
    /// What the lines before and after it say.
    name: &'static str,
}

/// What each technique costs.
pub const COSTS: Part = Part { page: "scripts/COSTS.md", name: "measured" };
/// The few figures of it that decide.
pub const FRONT: Part = Part { page: "README.md", name: "measured" };
/// What an engine costs.
pub const ENGINE: Part = Part { page: "scripts/PAST-ONE-MACHINE.md", name: "engine" };

impl Part {
    /// The page with this part written again.
    pub fn put_into(&self, text: &str, page: &str) -> Result<String> {
        let [begin, end] = ["begin", "end"].map(|it| format!("<!-- {}: {it} -->\n", self.name));
        let missing = |line: &str| format!("{} has no such line: {line}", self.page);
        let (before, rest) = page.split_once(&begin).with_context(|| missing(&begin))?;
        let (_, after) = rest.split_once(&end).with_context(|| missing(&end))?;
        Ok(format!("{before}{begin}\n{text}\n{end}{after}"))
    }
}

/// All that was measured; nothing where something was not.
pub fn costs(measured: &Measured) -> Option<String> {
    let meaning = meaning(measured)?;
    let is_missing = measured.rates.is_empty()
        || measured.distances.is_empty()
        || measured.bursts.is_empty()
        || measured.beside.is_empty();
    (!is_missing).then(|| {
        format!(
            "## Over the rate of updates\n\n\
             ![Bytes of a client in a minute, over the rate of updates](pictures/bytes.svg)\n\n\
             {}\n\
             ![Server time of a client in a minute, over the rate of updates](pictures/cpu.svg)\n\n\
             {}\n{CHART} {} {}\n\n\
             ## An update, and a quiet minute\n\n\
             {}\n{}\n\n{}\n\n\
             ![Latency and bytes of the four techniques](pictures/measured.svg)\n\n\
             ## At a distance\n\n\
             ![Latency over the round trip](pictures/distance.svg)\n\n\
             {}\n\
             `scripts/all.sh` starts the four servers behind such lines: the comparison has a slider, \
             *Distance to the server*.\n\n\
             ## What one core takes\n\n{}\n\
             ## What the naive servers lose\n\n{NAIVE} {}\n\
             ## In words\n\n{meaning}",
            crossings(measured, What::Bytes),
            crossings(measured, What::Cpu),
            apart(measured),
            said(&measured.conditions, "as under the table below; all techniques at once."),
            table(measured),
            explained(measured),
            said(&measured.conditions, &usual(&measured.conditions)),
            distances(measured),
            bursts(measured),
            beside(measured),
        )
    })
}

/// How to read the first two pictures.
const CHART: &str = "The points were measured, with updates at random moments; the lines are what an update \
    costs times their number, and what a quiet minute costs. (Long polling answers after 25 s of silence, and an \
    event stream sends a comment after 15: the more updates, the less of that.) Both axes are \
    logarithmic.";

/// How far the points are from their lines.
fn apart(measured: &Measured) -> String {
    let most = |what| measured.apart(what).map(|(_, apart)| apart).fold(1.0, f64::max);
    format!(
        "The points and their lines are at most {:.0} % apart in bytes, and a factor of {:.1} in time: \
         where little happens, an update takes longer.",
        (most(What::Bytes) - 1.0) * 100.0,
        most(What::Cpu)
    )
}

/// What the naive servers are.
const NAIVE: &str = "In each technique's folder, `naive/server.mjs` is what everybody writes first, in Node. It \
    works, until a connection breaks or a client is slow.";
