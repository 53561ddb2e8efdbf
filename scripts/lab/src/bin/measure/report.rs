//! What was measured, as a table, as JSON, and as a part of the README.

use std::fmt::Write as _;
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
    /// The measuring client's own, for comparison.
    pub client_cpu_ms: f64,
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
    pub client_cpu_ms: f64,
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
    let median = |figure: &dyn Fn(&Round) -> f64| {
        let mut figures: Vec<_> = rounds.iter().map(|round| figure(round)).collect();
        figures.sort_by(f64::total_cmp);
        f64::midpoint(figures[(figures.len() - 1) / 2], figures[figures.len() / 2])
    };
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
        client_cpu_ms: median(&|round| round.client_cpu_ms),
        memory: median(&|round| round.memory),
        idle: idle.iter().find(|idle| idle.technique == technique).map(|idle| (idle.up, idle.down)),
    }
}

/// The Markdown table. Latency: from the moment before a message is written to the moment in which
/// a client has read it. Requests and bytes: counted by the clients on their sockets, headers
/// included. CPU and memory: the server process's own.
pub fn table(results: &Results) -> String {
    let mut table = String::from(
        "| technique | latency p50 | p99 | max | lost, twice | requests per update and client \
         | bytes per update and client, up / down | bytes per client and quiet minute, up / down \
         | server CPU per 1,000 deliveries | server memory per idle client |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in &results.0 {
        let [p50, p99, max] = row.latency_ms.map(milliseconds);
        let idle = row
            .idle
            .map_or("not measured".into(), |(up, down)| format!("{} / {}", count(up), count(down)));
        writeln!(
            table,
            "| {} | {p50} | {p99} | {max} | {}, {} | {} | {} / {} | {idle} | {} | {} KB |",
            row.technique,
            row.lost,
            row.twice,
            figure(row.requests),
            count(row.up),
            count(row.down),
            milliseconds(row.server_cpu_ms),
            figure(row.memory / 1000.0),
        )
        .expect("a string takes it");
    }
    let frame = MESSAGE + 2;
    writeln!(table, "| *the ideal* | | | | 0, 0 | 0 | 0 / {frame} | 0 / 0 | | |")
        .expect("a string takes it");
    table
}

fn milliseconds(value: f64) -> String {
    if value >= 1000.0 {
        format!("{} s", figure(value / 1000.0))
    } else {
        format!("{} ms", figure(value))
    }
}

/// Three significant digits at the most, and no more than two places.
fn figure(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => count(value),
    }
}

/// A whole number, its thousands separated.
fn count(value: f64) -> String {
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
    let command: Vec<_> = std::env::args().skip(1).collect();
    let cpu = System::new_with_specifics(
        sysinfo::RefreshKind::nothing().with_cpu(sysinfo::CpuRefreshKind::nothing()),
    );
    let processor = cpu.cpus().first().map_or("unknown", |cpu| cpu.brand().trim());
    let client = results.0.iter().map(|row| row.client_cpu_ms / row.server_cpu_ms);
    let client = client.fold(0.0, f64::max);
    format!(
        "`scripts/measure.sh {}`, {}: {} clients, {} updates of {MESSAGE} bytes, one every {:?}, \
         polling every {:?}, medians of {} rounds; {} × {processor}, {} {}, {}, actix-web {}. \
         The clients send the headers that Chromium sends. They are not what is measured: per \
         delivery they need at most {client:.2} times the server's CPU time, on another core.",
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
            "client_cpu_ms_per_1000_deliveries": row.client_cpu_ms,
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

/// What stands in the README before and after what is measured.
const MARKERS: [&str; 2] = ["<!-- measured: begin -->\n", "<!-- measured: end -->\n"];

/// The README with what is between its markers made anew.
pub fn into_readme(readme: &str, options: &Options, results: &Results) -> Result<String> {
    let missing = "README.md has no such line: ";
    let (before, rest) =
        readme.split_once(MARKERS[0]).with_context(|| format!("{missing}{}", MARKERS[0]))?;
    let (_, after) =
        rest.split_once(MARKERS[1]).with_context(|| format!("{missing}{}", MARKERS[1]))?;
    let (table, conditions) = (table(results), conditions(options, results));
    Ok(format!("{before}{}{table}\n{conditions}\n{}{after}", MARKERS[0], MARKERS[1]))
}
