//! How, when and where it was measured.

use std::process::Command;

use sysinfo::System;

use crate::clients::MESSAGE;
use crate::figures::{Conditions, Disturbed};
use crate::plan::Plan;
use crate::report::text::{figure, percent};

/// Those of this run.
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
        disturbed: plan.disturbed(),
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
         with the headers that Chromium sends with the pages' requests, but for the 17 bytes of long polling's \
         `Prefer`; bytes are HTTP's and the \
         WebSocket's, without those of TCP and IP. {}. The clients are one process with one thread, \
         busy for {:.0} % of the time at most: it is the servers that are measured.{}",
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
        disturbed(&it.disturbed),
    )
}

/// What is to be known where other programs ran.
pub fn disturbed(it: &Disturbed) -> String {
    if it.noisy == 0 {
        return String::new();
    }
    let stolen = match it.stolen {
        0.01.. => format!(", and other machines on the same hardware up to {}", percent(it.stolen)),
        _ => String::new(),
    };
    format!(
        " **The machine was not quiet**: in {} of {} rounds other programs took up to {} of the \
         processors' time{stolen}. So times are longer here than they are alone.",
        it.noisy,
        it.rounds,
        percent(it.others),
    )
}
