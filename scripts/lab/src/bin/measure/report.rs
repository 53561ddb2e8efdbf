//! What was measured, as a table, as JSON, and as a part of the README.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sysinfo::System;

use crate::Options;
use crate::clients::MESSAGE;

/// One round of one technique. Counts are for each update and client.
pub struct Round {
    pub technique: String,
    /// p50, p99 and the longest, in microseconds.
    pub latency_us: [u64; 3],
    pub lost: u64,
    pub twice: u64,
    pub requests: f64,
    /// Bytes from client to server.
    pub up: f64,
    /// Bytes from server to client.
    pub down: f64,
    /// Milliseconds for 1,000 deliveries.
    pub server_cpu_ms: f64,
    /// Microseconds of the engine's for each update, where there is one.
    pub engine_cpu_us: f64,
    /// Which part of the time the process of the clients had something to do.
    pub client_busy: f64,
    /// Resident bytes of the server for each client that waits.
    pub memory: f64,
}

/// Bytes of a client in a minute in which nothing happens.
pub struct Idle {
    pub technique: String,
    pub up: f64,
    pub down: f64,
}

/// A technique's medians over all rounds; of `lost` and `twice` the sums.
pub struct Row {
    pub technique: String,
    pub latency_ms: [f64; 3],
    pub lost: u64,
    pub twice: u64,
    pub requests: f64,
    pub up: f64,
    pub down: f64,
    pub server_cpu_ms: f64,
    pub client_busy: f64,
    pub memory: f64,
    pub idle: Option<(f64, f64)>,
}

/// A row for each technique.
pub struct Results(pub Vec<Row>);

impl Results {
    pub fn new(techniques: &[String], rounds: &[Round], idle: &[Idle]) -> Results {
        Results(techniques.iter().map(|technique| row(technique, rounds, idle)).collect())
    }
}

fn row(technique: &str, rounds: &[Round], idle: &[Idle]) -> Row {
    let rounds: Vec<_> = rounds.iter().filter(|round| round.technique == technique).collect();
    let median = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(|round| figure(round)));
    let latency = |index: usize| median(&|round| round.latency_us[index] as f64 / 1000.0);
    Row {
        technique: technique.to_owned(),
        latency_ms: [latency(0), latency(1), latency(2)],
        lost: rounds.iter().map(|round| round.lost).sum(),
        twice: rounds.iter().map(|round| round.twice).sum(),
        requests: median(&|round| round.requests),
        up: median(&|round| round.up),
        down: median(&|round| round.down),
        server_cpu_ms: median(&|round| round.server_cpu_ms),
        client_busy: median(&|round| round.client_busy),
        memory: median(&|round| round.memory),
        idle: idle.iter().find(|idle| idle.technique == technique).map(|idle| (idle.up, idle.down)),
    }
}

/// The middle one, or what is between the two in the middle.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    f64::midpoint(figures[(figures.len() - 1) / 2], figures[figures.len() / 2])
}

/// The Markdown table, a column for each technique. Latency: from the moment before a message is
/// written to the moment in which a client has read it. Requests and bytes: counted by the clients
/// on their sockets, headers included. CPU and memory: the server process's own.
pub fn table(results: &Results) -> String {
    let quiet = |choose: fn((f64, f64)) -> f64| {
        move |row: &Row| row.idle.map_or("not measured".into(), |idle| count(choose(idle)))
    };
    let (none, frame) = (String::new(), format!("{}", MESSAGE + 2));
    let lines: [(&str, Cell, &str); 11] = [
        ("latency, p50", &|row| milliseconds(row.latency_ms[0]), &none),
        ("latency, p99", &|row| milliseconds(row.latency_ms[1]), &none),
        ("latency, longest", &|row| milliseconds(row.latency_ms[2]), &none),
        ("updates lost, received twice", &|row| format!("{}, {}", row.lost, row.twice), "0, 0"),
        ("requests per update and client", &|row| figure(row.requests), "0"),
        ("bytes per update and client, up", &|row| count(row.up), "0"),
        ("bytes per update and client, down", &|row| count(row.down), &frame),
        ("bytes per client in a quiet minute, up", &quiet(|(up, _)| up), "0"),
        ("bytes per client in a quiet minute, down", &quiet(|(_, down)| down), "0"),
        ("server CPU for 1,000 deliveries", &|row| milliseconds(row.server_cpu_ms), &none),
        ("server memory per idle client", &|row| format!("{} KB", figure(row.memory / 1e3)), &none),
    ];
    let names = results.0.iter().map(|row| row.technique.clone());
    let mut table = line("", names, "*the ideal*");
    table += &line("---", results.0.iter().map(|_| "--:".into()), "--:");
    for (name, cell, ideal) in lines {
        table += &line(name, results.0.iter().map(cell), ideal);
    }
    table
}

/// What a technique's cell says.
type Cell<'a> = &'a dyn Fn(&Row) -> String;

fn line(name: &str, cells: impl Iterator<Item = String>, ideal: &str) -> String {
    let cells: Vec<_> = cells.collect();
    format!("| {name} | {} | {ideal} |\n", cells.join(" | "))
}

/// What the usual adjectives are in numbers, and what to choose by them; nothing when not all
/// techniques were measured.
fn meaning(options: &Options, results: &Results) -> Option<String> {
    let row = |name: &str| results.0.iter().find(|row| row.technique == name);
    let rows =
        [row("polling")?, row("long-polling")?, row("server-sent-events")?, row("websockets")?];
    let [polling, long, stream, socket] = rows;
    let latency = |row: &Row| milliseconds(row.latency_ms[0]);
    let bytes = |row: &Row| count(row.up + row.down);
    let quiet = |row: &Row| row.idle.map_or(f64::NAN, |(up, down)| up + down);
    let all = |figure: &dyn Fn(&Row) -> String| rows.map(figure).join(" / ");
    let lines = |source: &str| source.lines().count();
    Some(format!(
        "What the usual comparison says in adjectives, here in numbers, in the order of the table:\n\n\
         | usually said | here |\n|---|---|\n\
         | latency: high / medium / low / low | p50 {} |\n\
         | network traffic: high / medium / low / low | {} bytes per update; {} in a quiet minute |\n\
         | server load: high / high / low / low | {} of CPU for 1,000 deliveries; {} of memory per idle client |\n\
         | connection: one per request / held / open / open | {} requests per update |\n\
         | direction: client / client / server / both | the same; A's message goes up by a `POST`, except with WebSockets |\n\
         | implementation: simple / medium / simple / complex | {} lines of `main.rs`, comments included (and {} of `frames.rs`) |\n\
         | browser support: all / all / all but Internet Explorer / all | the same today |\n\n\
         The surprise is polling. With {} updates a second and a poll every {:?}, one answer carries \
         many updates: {} requests per update, and {} of CPU for 1,000 deliveries. What it costs is \
         the wait, and the quiet minute: {} bytes to say nothing, {:.0} times those of a WebSocket. And \
         long polling, often called a compromise, moves {} bytes per update, as each update comes with \
         a browser's whole request and the answer's headers.\n\n\
         ```mermaid\nflowchart TD\n\
         \x20   A{{Do both sides speak often?}} -- yes: bidirectional --> W[\"<b>WebSockets</b><br>p50 {}, {} bytes per update\"]\n\
         \x20   A -- no: server to client --> B{{May an update be seconds old?}}\n\
         \x20   B -- yes: simple --> P[\"<b>Polling</b><br>p50 {}, {} bytes in a quiet minute\"]\n\
         \x20   B -- no --> C{{Does everything on the way let a stream through?}}\n\
         \x20   C -- yes --> S[\"<b>Server-sent events</b><br>p50 {}, {} bytes per update\"]\n\
         \x20   C -- no: fallback --> L[\"<b>Long polling</b><br>p50 {}, {} bytes per update\"]\n```\n",
        all(&latency),
        all(&bytes),
        all(&|row| count(quiet(row))),
        all(&|row| milliseconds(row.server_cpu_ms)),
        all(&|row| format!("{} KB", figure(row.memory / 1e3))),
        all(&|row| figure(row.requests)),
        SOURCES.map(|source| lines(source).to_string()).join(" / "),
        lines(FRAMES),
        figure(1.0 / options.every.as_secs_f64()).trim_end_matches('0').trim_end_matches('.'),
        options.poll_interval,
        figure(polling.requests),
        milliseconds(polling.server_cpu_ms),
        count(quiet(polling)),
        quiet(polling) / quiet(socket),
        bytes(long),
        latency(socket),
        bytes(socket),
        latency(polling),
        count(quiet(polling)),
        latency(stream),
        bytes(stream),
        latency(long),
        bytes(long),
    ))
}

const SOURCES: [&str; 4] = [
    include_str!("../../../../../polling/src/main.rs"),
    include_str!("../../../../../long-polling/src/main.rs"),
    include_str!("../../../../../server-sent-events/src/main.rs"),
    include_str!("../../../../../websockets/src/main.rs"),
];
const FRAMES: &str = include_str!("../../../../../websockets/src/frames.rs");

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

/// How, when and where it was measured.
pub fn conditions(options: &Options, results: &Results) -> String {
    let busy = results.0.iter().map(|row| row.client_busy).fold(0.0, f64::max);
    format!("{} {}", circumstances(options), honesty(busy))
}

/// That it is the servers that are measured.
pub fn honesty(busy: f64) -> String {
    format!(
        "The clients send the headers that Chromium sends with the pages' requests. They are not \
         what is measured: their process, one thread for all of them, has something to do in \
         {:.0} % of the time at the most.",
        busy * 100.0
    )
}

/// The command, the date, the load and the machine.
pub fn circumstances(options: &Options) -> String {
    let command: Vec<_> =
        std::iter::once("scripts/measure.sh".to_owned()).chain(std::env::args().skip(1)).collect();
    let cpu = System::new_with_specifics(
        sysinfo::RefreshKind::nothing().with_cpu(sysinfo::CpuRefreshKind::nothing()),
    );
    let processor = cpu.cpus().first().map_or("unknown", |cpu| cpu.brand().trim());
    format!(
        "`{}`, {}: {} clients, {} updates of {MESSAGE} bytes, one every {:?}, \
         polling every {:?}, medians of {} rounds; {} × {processor}, {} {}, {}, actix-web {}.",
        command.join(" "),
        said("date", &["+%Y-%m-%d"]),
        options.clients,
        options.updates,
        options.every,
        options.poll_interval,
        options.rounds,
        cpu.cpus().len(),
        System::name().unwrap_or_default(),
        System::os_version().unwrap_or_default(),
        said("rustc", &["--version"]),
        actix_version(),
    )
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn actix_version() -> &'static str {
    let lock = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"));
    let version = lock.split("name = \"actix-web\"\nversion = \"").nth(1);
    version.and_then(|rest| rest.split('"').next()).unwrap_or("unknown")
}

/// Everything, round by round and as medians.
pub fn json(options: &Options, results: &Results, rounds: &[Round]) -> Value {
    let rows = results.0.iter().map(|row| {
        json!({
            "technique": row.technique,
            "latency_ms": {"p50": row.latency_ms[0], "p99": row.latency_ms[1], "max": row.latency_ms[2]},
            "lost": row.lost, "twice": row.twice,
            "requests_per_update_and_client": row.requests,
            "bytes_per_update_and_client": {"up": row.up, "down": row.down},
            "bytes_per_client_and_quiet_minute": row.idle.map(|(up, down)| json!({"up": up, "down": down})),
            "server_cpu_ms_per_1000_deliveries": row.server_cpu_ms,
            "client_busy": row.client_busy,
            "server_bytes_per_idle_client": row.memory,
        })
    });
    let rounds = rounds.iter().map(|round| {
        json!({
            "technique": round.technique,
            "latency_us": {"p50": round.latency_us[0], "p99": round.latency_us[1], "max": round.latency_us[2]},
            "server_cpu_ms_per_1000_deliveries": round.server_cpu_ms,
            "server_bytes_per_idle_client": round.memory,
        })
    });
    json!({
        "conditions": conditions(options, results),
        "medians": rows.collect::<Vec<_>>(),
        "rounds": rounds.collect::<Vec<_>>(),
    })
}

/// What stands in the README before and after what is measured: the techniques, and the engine.
pub const MEASURED: [&str; 2] = ["<!-- measured: begin -->\n", "<!-- measured: end -->\n"];
pub const ENGINE: [&str; 2] = ["<!-- engine: begin -->\n", "<!-- engine: end -->\n"];

/// The README's part with the techniques.
pub fn part(options: &Options, results: &Results) -> Result<String> {
    let (table, conditions) = (table(results), conditions(options, results));
    let meaning = meaning(options, results).context("--readme wants all four techniques")?;
    Ok(format!("\n{table}\n{conditions}\n\n{meaning}\n"))
}

/// The README with what is between these markers made anew.
pub fn into_readme(readme: &str, [begin, end]: [&str; 2], part: &str) -> Result<String> {
    let missing = "README.md has no such line: ";
    let (before, rest) = readme.split_once(begin).with_context(|| format!("{missing}{begin}"))?;
    let (_, after) = rest.split_once(end).with_context(|| format!("{missing}{end}"))?;
    Ok(format!("{before}{begin}{part}{end}{after}"))
}
