//! Tries anybody's server on [the contract](../../../../feed/WIRE.md), sentence by sentence.
//!
//! `scripts/check.sh polling -- node server.mjs` builds it and runs it. The cases are those by which
//! our own servers are tested ([`lab::suite`]).

use std::any::Any;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{io::IsTerminal as _, thread};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use lab::server::{NotTried, Other, try_other};
use lab::suite::contract::{LEVELS, Sentence, sentences};
use lab::suite::{Case, cases};
use lab::{SERVERS, Server, front};
use serde_json::json;
use tokio::net::TcpListener;

/// How many cases are tried at the same time, besides those that mostly wait.
const AT_ONCE: usize = 4;
/// How long one case may take, and all of them.
const ONE: Duration = Duration::from_secs(100);
const ALL: Duration = Duration::from_secs(270);

/// Tries anybody's server on the contract (feed/WIRE.md), sentence by sentence.
#[derive(Parser)]
#[command(name = "scripts/check.sh")]
struct Options {
    /// By which technique the server tells what is new
    #[arg(value_parser = SERVERS)]
    technique: String,
    /// The command that starts the server, behind --. It gets PORT, QUIET and HOST in its environment
    #[arg(last = true)]
    command: Vec<String>,
    /// Instead of a command: where it runs already. What starts and stops it is left out
    #[arg(long, conflicts_with = "command")]
    url: Option<String>,
    /// Exit with 0 when this level and those below it hold
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=3))]
    level: u8,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
    /// Tries nothing: serves a page before it, to look at what it does
    #[arg(long)]
    page: bool,
    /// The port of that page
    #[arg(long, default_value_t = 8000, requires = "page")]
    page_port: u16,
}

/// What was found out about a case.
enum Found {
    Holds,
    /// What was seen instead.
    Fails(String),
    /// Why it was not tried.
    NotTried(&'static str),
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let technique = SERVERS.into_iter().find(|name| *name == options.technique);
    let technique = technique.context("it is one of the four")?;
    match &options.url {
        Some(url) => try_other(Other::Port(pass_on(address(url)?)?)),
        None => {
            ensure!(
                !options.command.is_empty(),
                "say how it is started (-- COMMAND), or --url where it runs"
            );
            try_other(Other::Command(options.command.clone()));
        }
    }
    if options.page {
        return page(technique, options.page_port);
    }
    panic::set_hook(Box::new(|_| {})); // what a case panics with is said at its sentence
    let found = try_all(technique, options.url.is_some(), options.json);
    let sentences: Vec<_> = sentences().into_iter().filter(|it| it.is_for(technique)).collect();
    let results: Vec<_> =
        sentences.iter().map(|sentence| (sentence, result(sentence, &found))).collect();
    if options.json {
        println!("{}", serde_json::to_string_pretty(&as_json(technique, &results))?);
    } else {
        print!("{}", as_text(&results, io_is_coloured()));
    }
    let asked = usize::from(options.level);
    let holds = results
        .iter()
        .all(|(sentence, result)| sentence.level() > asked || !matches!(result, Found::Fails(_)));
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn io_is_coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Where a server runs, as `http://localhost:3000`.
fn address(url: &str) -> Result<SocketAddr> {
    let authority = url.strip_prefix("http://").context("--url begins with http://")?;
    let authority = authority.split('/').next().unwrap_or_default();
    let authority =
        if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let mut all = authority.to_socket_addrs().with_context(|| format!("{authority} is nowhere"))?;
    // A name may have two addresses, with a server at one of them.
    let there =
        all.find(|at| std::net::TcpStream::connect_timeout(at, Duration::from_secs(5)).is_ok());
    there.with_context(|| format!("nobody answers at {authority}"))
}

/// A port of this machine that leads there: all cases connect to 127.0.0.1.
fn pass_on(server: SocketAddr) -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (_set, none) = tokio::sync::watch::channel(Duration::ZERO);
            line::pass_all(TcpListener::from_std(listener)?, server, none).await
        })
    });
    Ok(port)
}

/// Starts the server, and a page before it, until Ctrl-C.
fn page(technique: &'static str, port: u16) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = Server::start_loud(technique).await;
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        let listener =
            listener.with_context(|| format!("port {port}; --page-port takes another"))?;
        let port = listener.local_addr()?.port();
        println!("Our page before it: http://localhost:{port}/html/index.html");
        let behind = ([127, 0, 0, 1], server.port()).into();
        tokio::select! {
            served = front::serve(listener, technique, behind) => served?,
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Tries all cases that a sentence asks for: what was found, by the sentence's number.
fn try_all(
    technique: &'static str,
    runs_already: bool,
    is_silent: bool,
) -> BTreeMap<&'static str, Vec<Found>> {
    let begin = Instant::now();
    let mut left: Vec<Case> =
        cases(technique).into_iter().filter(|case| !case.sentences.is_empty()).collect();
    let count = left.len();
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut note = |case: &Case, result: &dyn Fn() -> Found| {
        for number in &case.sentences {
            found.entry(*number).or_default().push(result());
        }
    };
    // Whoever does not start need not be waited for again and again.
    let first = left.remove(0);
    if !runs_already {
        let result = one(&first, technique);
        if let Found::Fails(why) = &result {
            note(&first, &|| Found::Fails(why.clone()));
            for case in &left {
                note(case, &|| Found::NotTried("it does not start"));
            }
            return found;
        }
        note(&first, &|| Found::Holds);
    } else {
        note(&first, &|| Found::NotTried(STARTS));
        // Others use it: what one case says would be news to the others.
        for case in left.extract_if(.., |case| !case.is_for_any) {
            note(&case, &|| Found::NotTried(STARTS));
        }
    }
    let at_once = if runs_already { 1 } else { AT_ONCE };
    let (slow, quick): (Vec<_>, Vec<_>) = left.into_iter().partition(|case| case.is_slow);
    let (quick, done) =
        (Mutex::new(quick.into_iter().rev().collect::<Vec<_>>()), Mutex::new(Vec::new()));
    let finish = |case: Case, result: Found| {
        let mut done = done.lock().expect("nobody panics with it");
        done.push((case, result));
        if !is_silent && std::io::stderr().is_terminal() {
            let _ = write!(std::io::stderr(), "\r{} of {count} tried ", done.len() + 1);
        }
    };
    thread::scope(|scope| {
        for case in slow {
            scope.spawn(|| {
                let result = one(&case, technique);
                finish(case, result);
            });
        }
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let next = quick.lock().expect("nobody panics with it").pop();
                    let Some(case) = next else { return };
                    let result = if begin.elapsed() + ONE / 2 > ALL {
                        Found::NotTried("the others took too long")
                    } else {
                        one(&case, technique)
                    };
                    finish(case, result);
                }
            });
        }
    });
    if !is_silent && std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "\r{:30}\r", "");
    }
    for (case, result) in done.into_inner().expect("nobody panicked with it") {
        let again = |result: &Found| match result {
            Found::Holds => Found::Holds,
            Found::Fails(why) => Found::Fails(why.clone()),
            Found::NotTried(why) => Found::NotTried(why),
        };
        note(&case, &|| again(&result));
    }
    found
}

const STARTS: &str = "it would start, stop or look into the server";

/// Tries one case, whatever the server does.
fn one(case: &Case, technique: &'static str) -> Found {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        runtime.block_on(lab::within(ONE, "the whole case", case.run(technique)));
        runtime.shutdown_background();
    };
    match panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(()) => Found::Holds,
        Err(why) if why.is::<NotTried>() => Found::NotTried(STARTS),
        Err(why) => Found::Fails(seen(why.as_ref())),
    }
}

/// What was seen, and what should have been.
fn seen(why: &(dyn Any + Send)) -> String {
    let text = why.downcast_ref::<String>().map(String::as_str);
    let text =
        text.or_else(|| why.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
    let comparison = text.strip_prefix("assertion `left == right` failed");
    let sides = comparison.and_then(|rest| rest.split_once("\n  left: "));
    match sides.and_then(|(what, sides)| Some((what, sides.split_once("\n right: ")?))) {
        Some((what, (came, expected))) => {
            let what = what.trim_start_matches(": ");
            let what = if what.is_empty() { String::new() } else { format!("{what}: ") };
            format!("{what}came {}, expected {}", short(came), short(expected))
        }
        None => short(text),
    }
}

/// In one line, and not too long.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 300 {
        line
    } else {
        line.chars().take(300).collect::<String>() + " …"
    }
}

/// A sentence holds when all of its cases do.
fn result(sentence: &Sentence, found: &BTreeMap<&'static str, Vec<Found>>) -> Found {
    let Some(found) = found.get(sentence.number) else {
        return Found::NotTried("there is no case");
    };
    let fails: Vec<_> = found
        .iter()
        .filter_map(|it| match it {
            Found::Fails(why) => Some(&**why),
            _ => None,
        })
        .collect();
    if !fails.is_empty() {
        return Found::Fails(fails.join("\n"));
    }
    let not_tried = found.iter().find_map(|it| match it {
        Found::NotTried(why) => Some(*why),
        _ => None,
    });
    not_tried.map_or(Found::Holds, Found::NotTried)
}

fn as_text(results: &[(&Sentence, Found)], colours: bool) -> String {
    let coloured = |colour: &str, text: &str| {
        if colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.into() }
    };
    let (mut text, mut counts) = (String::new(), Vec::new());
    for (index, name) in LEVELS.iter().enumerate() {
        let level = index + 1;
        text += &format!("Level {level}: {name}\n");
        let own = || results.iter().filter(|(sentence, _)| sentence.level() == level);
        for (sentence, result) in own() {
            let (sign, more) = match result {
                Found::Holds => (coloured("32", "holds "), ""),
                Found::Fails(why) => (coloured("31", "FAILS "), &**why),
                Found::NotTried(why) => (coloured("33", "not tried "), *why),
            };
            text += &format!("  {sign} {:5} {}\n", sentence.number, sentence.text);
            text.extend(more.lines().map(|line| format!("                 {line}\n")));
        }
        let holds = own().filter(|(_, result)| matches!(result, Found::Holds)).count();
        let tried = own().filter(|(_, result)| !matches!(result, Found::NotTried(_))).count();
        let all = own().count();
        let left =
            if tried == all { String::new() } else { format!(" ({} not tried)", all - tried) };
        counts.push(format!("level {level}: {holds} of {all}{left}"));
        text += "\n";
    }
    text + &counts.join(", ") + "\n"
}

fn as_json(technique: &str, results: &[(&Sentence, Found)]) -> serde_json::Value {
    let sentences = results.iter().map(|(sentence, result)| {
        let (holds, why) = match result {
            Found::Holds => (Some(true), None),
            Found::Fails(why) => (Some(false), Some(&**why)),
            Found::NotTried(why) => (None, Some(*why)),
        };
        json!({"number": sentence.number, "text": sentence.text, "holds": holds, "why": why})
    });
    let levels = (1..=3).map(|level| {
        let own = || results.iter().filter(move |(sentence, _)| sentence.level() == level);
        let holds = own().filter(|(_, result)| matches!(result, Found::Holds)).count();
        json!({"level": level, "holds": holds, "of": own().count()})
    });
    json!({
        "technique": technique,
        "levels": levels.collect::<Vec<_>>(),
        "sentences": sentences.collect::<Vec<_>>(),
    })
}
