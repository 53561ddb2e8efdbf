//! Tries anybody's server, or client, on [the contract](../../../feed/WIRE.md), sentence by sentence.
//!
//! `scripts/check.sh polling -- node server.mjs` builds it and runs it. The cases are those by which
//! our own servers are tested ([`check::suite`]). A client is tried by a hard server ([`client`]).

mod client;
mod mark;
mod report;
mod tries;
mod words;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, io, panic, thread};

use anyhow::{Context as _, Result, ensure};
use check::front;
use check::suite::contract::{Sentence, clients_sentences, sentences};
use clap::Parser;
use lab::server::{Other, try_other};
use lab::{SERVERS, Server};
use report::{Report, about};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tries::try_all;

/// Tries anybody's server, or client, on the contract (feed/WIRE.md), sentence by sentence.
///
/// The exit code is 0 when all that was asked for holds, 1 when something does not, 2 when it could
/// not be tried at all, 3 when something was not tried and the rest holds.
#[derive(Parser)]
#[command(name = "scripts/check.sh", version)]
struct Options {
    /// It is a client: it gets SERVER in its environment, and prints what it receives
    #[arg(long, conflicts_with_all = ["url", "page"])]
    client: bool,
    /// By which technique the server tells what is new
    #[arg(value_parser = SERVERS)]
    technique: String,
    /// The command that starts the server, behind --. It gets PORT, QUIET and HOST in its environment
    #[arg(last = true)]
    command: Vec<String>,
    /// Instead of a command: where it runs already. What starts and stops it is asked only by --only
    #[arg(long, conflicts_with = "command")]
    url: Option<String>,
    /// Tries only the sentences up to this level
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=3))]
    level: u8,
    /// Tries only these sentences, separated by commas, as in 1.3,2.2; a level by its number alone
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How many of a client's situations are played at the same time
    #[arg(long, default_value_t = 16, requires = "client")]
    at_once: usize,
    /// Prints the result as JSON; with --json=FILE, it goes there
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[expect(clippy::option_option, reason = "it is given or not, with a file or without")]
    json: Option<Option<PathBuf>>,
    /// Writes the result for another program's CI, in the form of `JUnit`
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Writes the result as a page to hand out
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Tries nothing: serves a page before it, to look at what it does
    #[arg(long)]
    page: bool,
    /// The port of that page
    #[arg(long, default_value_t = 8000, requires = "page")]
    page_port: u16,
}

fn main() -> ExitCode {
    let mut words: Vec<String> = env::args().collect();
    let result = if words.get(1).is_some_and(|word| word == "mark") {
        words.remove(1);
        mark::Options::parse_from(words).run();
        Ok(ExitCode::SUCCESS)
    } else {
        let options = Options::parse_from(words);
        run(&options).inspect_err(|why| {
            let mut result = about(&env::args().skip(1).collect::<Vec<_>>());
            result["error"] = format!("{why:#}").into();
            let _ = options.say(&result);
        })
    };
    result.unwrap_or_else(|why| {
        eprintln!("check: {why:#}");
        ExitCode::from(2)
    })
}

/// What holds, as the exit code says it.
fn run(options: &Options) -> Result<ExitCode> {
    let technique = SERVERS.into_iter().find(|name| *name == options.technique);
    let technique = technique.context("it is one of the four")?;
    let asked = options.asked(technique)?;
    try_other(if let Some(url) = &options.url {
        Other::Port(pass_on(address(url)?)?)
    } else {
        ensure!(!options.command.is_empty(), "say how it is started: -- COMMAND, or --url URL");
        Other::Command(options.command.clone())
    });
    end_with_all_servers();
    if options.page {
        panic::set_hook(Box::new(|why| {
            let why = why.payload();
            eprintln!("check: {}", words::seen(why));
            std::process::exit(2);
        }));
        return page(technique, options.page_port);
    }
    let is_asked = |number: &str| asked.iter().any(|sentence| sentence.number == number);
    let found = if options.client {
        client::try_all(technique, is_asked, &options.command, options.at_once)?
    } else {
        panic::set_hook(Box::new(|_| {})); // what a case panics with is said at its sentence
        try_all(technique, is_asked, options.url.is_some())
    };
    let report = Report::new(technique, asked, found);
    if !matches!(options.json, Some(None)) {
        print!("{}", report.as_text());
    }
    options.say(&report.as_json())?;
    let file =
        |path: &Path, text| fs::write(path, text).with_context(|| path.display().to_string());
    options.junit.as_ref().map_or(Ok(()), |path| file(path, report.as_junit()))?;
    options.html.as_ref().map_or(Ok(()), |path| file(path, report.as_html()))?;
    let count = report.count();
    Ok(ExitCode::from(match () {
        () if count.fails > 0 => 1,
        () if report.is_open() || count.holds == 0 => 3,
        () => 0,
    }))
}

impl Options {
    /// The sentences that are asked for.
    fn asked(&self, technique: &str) -> Result<Vec<Sentence>> {
        let all = if self.client { clients_sentences() } else { sentences() };
        for word in &self.only {
            let is_known = all.iter().any(|it| it.is_called(word));
            ensure!(is_known, "there is no sentence {word} in feed/WIRE.md");
        }
        let is_named = |it: &Sentence| self.only.iter().any(|word| it.is_called(word));
        let can_be = |it: &Sentence| self.url.is_none() || tries::is_for_any(technique, it.number);
        let is_asked = |it: &Sentence| {
            let by_level = it.level() <= usize::from(self.level) && can_be(it);
            it.is_for(technique) && if self.only.is_empty() { by_level } else { is_named(it) }
        };
        let asked: Vec<_> = all.into_iter().filter(is_asked).collect();
        ensure!(!asked.is_empty(), "no sentence of these is for {technique}");
        Ok(asked)
    }

    /// Says the result as JSON, where that was asked for.
    fn say(&self, result: &Value) -> Result<()> {
        let text = serde_json::to_string_pretty(result)? + "\n";
        match &self.json {
            None => {}
            Some(None) => print!("{text}"),
            Some(Some(path)) => {
                fs::write(path, text).with_context(|| path.display().to_string())?;
            }
        }
        Ok(())
    }
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
        println!("Our page before it: http://localhost:{port}/html/index.html (Ctrl-C ends both)");
        let behind = ([127, 0, 0, 1], server.port()).into();
        front::serve(listener, technique, behind).await?;
        Ok(ExitCode::SUCCESS)
    })
}
