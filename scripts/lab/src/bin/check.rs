//! Tries anybody's server on [the contract](../../../../feed/WIRE.md), sentence by sentence.
//!
//! `scripts/check.sh polling -- node server.mjs` builds it and runs it. The cases are those by which
//! our own servers are tested ([`lab::suite`]).

use std::any::Any;
use std::io::{self, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use std::{io::IsTerminal as _, thread};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use lab::server::{NotTried, Other, try_other};
use lab::suite::contract::{LEVELS, Sentence, sentences};
use lab::suite::{Case, cases};
use lab::{SERVERS, Server, front};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// How many cases are tried at the same time, besides those that mostly wait.
const AT_ONCE: usize = 4;
/// How long one case may take, and all of them.
const ONE: Duration = Duration::from_secs(100);
const ALL: Duration = Duration::from_secs(280);

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
    /// Tries only these sentences, separated by commas, as in 1.3,2.2
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
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
#[derive(Clone)]
enum Found {
    Holds,
    /// What was seen instead.
    Fails(String),
    /// Why it was not tried.
    NotTried(&'static str),
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("check: {why:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether the level that is asked for holds.
fn run(options: &Options) -> Result<bool> {
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
    end_with_all_servers();
    let is_asked =
        |number: &str| options.only.is_empty() || options.only.iter().any(|it| it == number);
    let mut sentences = sentences();
    if let Some(unknown) =
        options.only.iter().find(|it| sentences.iter().all(|one| one.number != **it))
    {
        bail!("there is no sentence {unknown} in feed/WIRE.md");
    }
    sentences.retain(|it| it.is_for(technique) && is_asked(it.number));
    let found = try_all(technique, is_asked, options.url.is_some());
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
    Ok(holds)
}

/// What was started ends with this process, also by Ctrl-C: a server is a process group of its own.
fn end_with_all_servers() {
    thread::spawn(|| -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            lab::server::end_all();
            std::process::exit(130)
        })
    });
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
fn page(technique: &'static str, port: u16) -> Result<bool> {
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
        Ok(true)
    })
}

/// Tries all cases of these sentences: what was found, in the order of the suite.
fn try_all(
    technique: &'static str,
    is_asked: impl Fn(&str) -> bool,
    runs_already: bool,
) -> Vec<(Case, Found)> {
    let begin = Instant::now();
    let mut cases: Vec<_> = cases(technique)
        .into_iter()
        .filter(|case| case.sentences.iter().any(|number| is_asked(number)))
        .map(|case| (case, None))
        .collect();
    // Whoever does not start need not be waited for again and again.
    let broken = (!runs_already).then(|| does_not_start(technique)).flatten();
    let broken = broken.map(|why| Found::Fails(format!("it does not start: {why}")));
    for (case, found) in &mut cases {
        let is_left_out = runs_already && !case.is_for_any;
        *found = if is_left_out { Some(Found::NotTried(STARTS)) } else { broken.clone() };
    }
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let left: Vec<_> = (0..cases.len()).filter(|index| cases[*index].1.is_none()).collect();
    let (slow, quick): (Vec<_>, Vec<_>) =
        left.into_iter().partition(|index| cases[*index].0.is_slow);
    let (found, count) = (Mutex::new(Vec::new()), slow.len() + quick.len());
    let try_one = |index: usize| {
        let is_late = begin.elapsed() + ONE > ALL;
        let late = || Found::NotTried("the others took too long");
        let result = if is_late { late() } else { one(&cases[index].0, technique) };
        found.lock().expect("nobody panics with it").push((index, result));
        progress(&format!("{} of {count} tried", done.fetch_add(1, SeqCst) + 1));
    };
    let (try_one, next) = (&try_one, &next);
    thread::scope(|scope| {
        for index in slow {
            scope.spawn(move || try_one(index));
        }
        let quick = &quick;
        // A server that runs already is one for all: what one case says is news to the others.
        for _ in 0..if runs_already { 1 } else { AT_ONCE } {
            scope.spawn(move || {
                while let Some(index) = quick.get(next.fetch_add(1, SeqCst)) {
                    try_one(*index);
                }
            });
        }
    });
    progress("");
    for (index, result) in found.into_inner().expect("nobody panicked with it") {
        cases[index].1 = Some(result);
    }
    cases.into_iter().filter_map(|(case, found)| Some((case, found?))).collect()
}

const STARTS: &str = "it would start, stop or look into the server";

/// Why the server does not start; one that says nothing, or something else, may work all the same.
fn does_not_start(technique: &'static str) -> Option<String> {
    let start = async || drop(Server::start(technique).await);
    outcome(start()).err().map(|why| seen(why.as_ref()))
}

/// Shows how far it is, where somebody looks at it.
fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "\r{text:30}\r");
    }
}

/// Tries one case, whatever the server does.
fn one(case: &Case, technique: &'static str) -> Found {
    match outcome(case.run(technique)) {
        Ok(()) => Found::Holds,
        Err(why) if why.is::<NotTried>() => Found::NotTried(STARTS),
        Err(why) => Found::Fails(format!("{}: {}", case.title(), seen(why.as_ref()))),
    }
}

/// Runs it, in a runtime of its own; the error is what it panicked with.
fn outcome(test: impl Future<Output = ()>) -> thread::Result<()> {
    panic::catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        runtime.block_on(lab::within(ONE, "the whole case", test));
        runtime.shutdown_background();
    }))
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
            let what = short(what.trim_start_matches(": "));
            let what = if what.is_empty() { what } else { format!("{what}: ") };
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
fn result(sentence: &Sentence, found: &[(Case, Found)]) -> Found {
    let own = found.iter().filter(|(case, _)| case.sentences.contains(&sentence.number));
    let (mut fails, mut not_tried) = (Vec::new(), None);
    for (_, found) in own {
        match found {
            Found::Holds => {}
            Found::Fails(why) => fails.push(&**why),
            Found::NotTried(why) => not_tried = Some(*why),
        }
    }
    fails.dedup();
    match not_tried {
        _ if !fails.is_empty() => Found::Fails(fails.join("\n")),
        Some(why) => Found::NotTried(why),
        None => Found::Holds,
    }
}

fn as_text(results: &[(&Sentence, Found)], colours: bool) -> String {
    let coloured = |colour: &str, text: &str| {
        if colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.into() }
    };
    let (mut text, mut counts, mut said) = (String::new(), Vec::new(), "");
    for (index, name) in LEVELS.iter().enumerate() {
        let level = index + 1;
        let own = || results.iter().filter(|(sentence, _)| sentence.level() == level);
        if own().count() == 0 {
            continue;
        }
        text += &format!("Level {level}: {name}\n");
        for (sentence, result) in own() {
            let (sign, more) = match result {
                Found::Holds => (coloured("32", "holds "), ""),
                Found::Fails(why) => (coloured("31", "FAILS "), &**why),
                Found::NotTried(why) => (coloured("33", "not tried "), *why),
            };
            text += &format!("  {sign} {:5} {}\n", sentence.number, sentence.text);
            if more != said {
                text.extend(more.lines().map(|line| format!("                 {line}\n")));
                said = more; // once is enough, where all fail for one reason
            }
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
