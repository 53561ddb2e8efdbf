//! The servers that a README starts: the real ones, on free ports.

use std::process::Stdio;
use std::{fs, time::Duration};

use lab::{SERVERS, Server, soon};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::compare::Names;
use crate::document::{At, Command};
use crate::session::{Session, free_ports};
use crate::solutions::Solved;

/// The ports that the servers have by default, in the order of [`SERVERS`].
pub const PORTS: [u16; 4] = [8001, 8002, 8003, 8004];

/// A command that starts servers, taken apart.
pub struct Start {
    variables: Vec<(String, String)>,
    /// Which server; none means all four.
    name: Option<&'static str>,
    arguments: Vec<String>,
}

impl Start {
    /// `[NAME=value …] cargo run -p SERVER` or `[NAME=value …] scripts/all.sh [OPTION …]`
    pub fn of(command: &str) -> Option<Start> {
        let mut words = command.split_whitespace().peekable();
        let mut variables = Vec::new();
        while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
            variables.push((name.into(), value.into()));
            words.next();
        }
        let words: Vec<_> = words.collect();
        let (name, arguments) = match words[..] {
            ["cargo", "run", "-p", name] => {
                (Some(*SERVERS.iter().find(|server| **server == name)?), Vec::new())
            }
            ["scripts/all.sh", ref arguments @ ..] => {
                (None, arguments.iter().map(ToString::to_string).collect())
            }
            _ => return None,
        };
        Some(Start { variables, name, arguments })
    }
}

/// What was started, and what is shown of what it prints.
pub struct Running {
    what: What,
    pub command: At<Command>,
}

enum What {
    One(Box<Server>),
    All(All),
}

impl Running {
    /// Starts it on free ports, which the ports of the README mean from now on; in the place of a
    /// server its solved copy, where there is one.
    pub async fn start(
        start: &Start,
        command: &At<Command>,
        quiet: bool,
        solved: Option<&Solved>,
        session: &Session,
        names: &mut Names,
    ) -> Result<Running, String> {
        let (ports, mut variables): (Vec<_>, Vec<_>) =
            start.variables.iter().cloned().partition(|(name, _)| name == "PORT");
        if quiet {
            variables.push(("QUIET".into(), "1".into()));
        }
        let what = if let Some(name) = start.name {
            let server = if let Some(solved) = solved {
                solved.start(&variables).await
            } else {
                let variables: Vec<_> =
                    variables.iter().map(|(name, value)| (&**name, &**value)).collect();
                Server::start_with(name, &variables).await
            };
            let default =
                SERVERS.iter().position(|server| *server == name).map(|place| PORTS[place]);
            let shown = ports.last().and_then(|(_, port)| port.parse().ok()).or(default);
            names.bind_port(shown.expect("it is one of the four"), server.port());
            What::One(Box::new(server))
        } else {
            What::All(All::start(start, variables, session, names).await?)
        };
        Ok(Running { what, command: command.clone() })
    }

    /// Whether this would start what runs: its port can be taken once only.
    pub fn is_started_again_by(&self, start: &Start) -> bool {
        match &self.what {
            What::One(server) => start.name.is_none_or(|name| name == server.name()),
            What::All(_) => true,
        }
    }

    fn printed(&self) -> Vec<String> {
        match &self.what {
            What::One(server) => server.printed(),
            What::All(all) => all.printed.borrow().clone(),
        }
    }

    /// Whether it has printed what is shown, before anything else, and ends as it should.
    pub async fn end(self, names: &mut Names) -> Result<(), String> {
        let result = begins_with(&self.command.is.shown, names, || self.printed()).await;
        let (status, expected) = match self.what {
            What::One(server) => (server.stop().await, 0),
            What::All(mut all) => {
                all.stop();
                let ended = soon("the end of scripts/all.sh", all.script.wait()).await;
                (ended.expect("it can be waited for"), 143)
            }
        };
        match status.code() {
            Some(code) if code == expected => result,
            _ => Err(format!("It ended with {status}. {}", result.err().unwrap_or_default())),
        }
    }
}

/// `scripts/all.sh`, of which the ports are others. Dropped, it ends with its servers.
struct All {
    script: Child,
    printed: watch::Receiver<Vec<String>>,
}

impl All {
    /// Starts it and waits until it says that all four listen.
    async fn start(
        start: &Start,
        variables: Vec<(String, String)>,
        session: &Session,
        names: &mut Names,
    ) -> Result<All, String> {
        let ports = free_ports();
        PORTS.into_iter().zip(&ports).for_each(|(port, other)| names.bind_port(port, *other));
        let mut script = session.all_at(&ports);
        script.args(&start.arguments).envs(variables);
        let script = script.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut script = script.expect("bash is there");
        let mut lines = BufReader::new(script.stdout.take().expect("it is piped")).lines();
        let (print, printed) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                print.send_modify(|lines: &mut Vec<String>| lines.push(line));
            }
        });
        let mut all = All { script, printed };
        let is_last = |line: &String| line.starts_with("Ctrl-C stops");
        let last = all.printed.wait_for(|lines| lines.iter().any(is_last));
        let listens = soon("all four servers listen", last).await.is_ok();
        let printed = all.printed.borrow().join("\n");
        listens.then_some(all).ok_or_else(|| format!("It has ended. It printed:\n{printed}"))
    }

    fn stop(&self) {
        if let Some(pid) = self.script.id().and_then(|pid| pid.try_into().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM); // it may have ended
        }
    }
}

impl Drop for All {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether the lines that something prints while it goes on begin with what is shown. Where that is
/// more updates than the first, it has as much time as three of them need.
pub async fn begins_with(
    shown: &str,
    names: &mut Names,
    printed: impl Fn() -> Vec<String>,
) -> Result<(), String> {
    let count = shown.trim_end().lines().count();
    let any_lines = shown.lines().any(|line| line == "...");
    let is_shown = |names: &mut Names, printed: &[String]| {
        let end = if any_lines { printed.len() } else { count.min(printed.len()) };
        names.compare(shown, &printed[..end].join("\n"))
    };
    let waiting = async {
        while is_shown(names, &printed()).is_err() && (any_lines || printed().len() < count) {
            sleep(Duration::from_millis(50)).await; // nobody tells: it has to be polled
        }
    };
    let limit = Duration::from_secs(if has_later_update(shown) { 30 } else { 5 });
    let _ = timeout(limit, waiting).await;
    is_shown(names, &printed())
}

/// Whether it shows an update that a server makes only when it is not quiet.
pub fn has_later_update(shown: &str) -> bool {
    let numbers = shown.split("Real-Time Update ").skip(1);
    let mut numbers = numbers.map(|text| text.split(|c: char| !c.is_ascii_digit()).next());
    numbers.any(|number| number.is_some_and(|number| !["", "1"].contains(&number)))
}

/// How many connections the servers have at these ports (on Linux; elsewhere none is seen).
pub fn connections(ports: &[u16]) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let is_established = |line: &&str| {
        let mut columns = line.split_whitespace().skip(1);
        let port = columns.next().and_then(|local| local.split_once(':'));
        let port = port.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        columns.nth(1) == Some("01") && port.is_some_and(|port| ports.contains(&port))
    };
    table.lines().filter(is_established).count()
}
