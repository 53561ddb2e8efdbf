//! Tries anybody's server on [the contract](../../../feed/WIRE.md), sentence by sentence.
//!
//! `scripts/check.sh polling -- node server.mjs` builds it and runs it. The cases are those by which
//! our own servers are tested ([`check::suite`]).

mod report;
mod tries;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;
use std::{io, panic, thread};

use anyhow::{Context as _, Result, bail, ensure};
use check::front;
use check::suite::contract::sentences;
use clap::Parser;
use lab::server::{Other, try_other};
use lab::{SERVERS, Server};
use report::{as_json, as_text, result};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tries::try_all;

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
            eprintln!("check: {}", tries::seen(why));
            std::process::exit(2);
        }));
        return page(technique, options.page_port);
    }
    panic::set_hook(Box::new(|_| {})); // what a case panics with is said at its sentence
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
        print!("{}", as_text(&results));
    }
    let asked = usize::from(options.level);
    let holds =
        results.iter().all(|(sentence, result)| sentence.level() > asked || result.is_right());
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
        println!("Our page before it: http://localhost:{port}/html/index.html (Ctrl-C ends both)");
        let behind = ([127, 0, 0, 1], server.port()).into();
        front::serve(listener, technique, behind).await?;
        Ok(true)
    })
}
