//! The servers that a README starts: the real ones, on free ports.

use std::net::TcpListener;
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
use crate::session::{Session, set_environment, write_script};

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
    All { script: Child, printed: watch::Receiver<Vec<String>> },
}

impl Running {
    /// Starts it on free ports, which the ports of the README mean from now on.
    pub async fn start(
        start: &Start,
        command: &At<Command>,
        quiet: bool,
        session: &Session,
        names: &mut Names,
    ) -> Result<Running, String> {
        let quiet = quiet.then(|| ("QUIET".to_owned(), "1".to_owned()));
        let variables = || start.variables.iter().cloned().chain(quiet.clone());
        let what = if let Some(name) = start.name {
            let default = SERVERS.iter().zip(PORTS).find(|(server, _)| **server == name);
            let port = start.variables.iter().find(|(variable, _)| variable == "PORT");
            let port = port.and_then(|(_, port)| port.parse().ok());
            let variables: Vec<_> = variables().filter(|(name, _)| name != "PORT").collect();
            let variables: Vec<_> =
                variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let server = Server::start_with(name, &variables).await;
            names.bind_port(port.or(default.map(|(_, port)| port)).unwrap_or(0), server.port());
            What::One(Box::new(server))
        } else {
            for port in PORTS {
                names.bind_port(port, free_port());
            }
            let script = fs::read_to_string("../all.sh").map_err(|error| error.to_string())?;
            let folder = session.folder.join("scripts");
            fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
            write_script(&folder.join("all.sh"), &names.real(&script));
            let mut script = tokio::process::Command::new(folder.join("all.sh"));
            set_environment(&mut script, &session.folder);
            script.args(&start.arguments).envs(variables()).stdin(Stdio::null());
            let script = script.stdout(Stdio::piped()).process_group(0).kill_on_drop(true).spawn();
            let mut script = script.map_err(|error| error.to_string())?;
            let mut lines = BufReader::new(script.stdout.take().expect("it is piped")).lines();
            let (print, mut printed) = watch::channel(Vec::new());
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    print.send_modify(|lines| lines.push(line));
                }
            });
            let last = |lines: &Vec<String>| lines.iter().any(|line| line.starts_with("Ctrl-C"));
            let all = soon("all four servers", printed.wait_for(last)).await.is_ok();
            if !all {
                return Err(format!("It has ended. It printed: {:#?}", printed.borrow()));
            }
            What::All { script, printed }
        };
        Ok(Running { what, command: command.clone() })
    }

    /// Whether this would start what runs: its port can be taken once only.
    pub fn is_started_again_by(&self, start: &Start) -> bool {
        match &self.what {
            What::One(server) => start.name.is_none_or(|name| name == server.name()),
            What::All { .. } => true,
        }
    }

    fn printed(&self) -> Vec<String> {
        match &self.what {
            What::One(server) => server.printed(),
            What::All { printed, .. } => printed.borrow().clone(),
        }
    }

    /// Whether it has printed what is shown, before anything else, and ends as it should.
    pub async fn end(self, names: &mut Names) -> Result<(), String> {
        let mut printed = || self.printed();
        let result = begins_with(&self.command.is.shown, names, &mut printed).await;
        match self.what {
            What::One(server) => {
                let status = server.stop().await;
                if !status.success() {
                    return Err(format!("It ended with {status}"));
                }
            }
            What::All { mut script, .. } => {
                let pid = script.id().and_then(|pid| pid.try_into().ok());
                kill(Pid::from_raw(pid.ok_or("It has ended")?), Signal::SIGTERM)
                    .map_err(|error| error.to_string())?;
                soon("the end of all.sh", script.wait())
                    .await
                    .map_err(|error| error.to_string())?;
            }
        }
        result
    }
}

/// Whether the lines that something prints while it goes on begin with what is shown. It has as much
/// time for that as three updates need.
pub async fn begins_with(
    shown: &str,
    names: &mut Names,
    printed: &mut impl FnMut() -> Vec<String>,
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
    let _ = timeout(Duration::from_secs(30), waiting).await;
    is_shown(names, &printed())
}

/// A port that nobody listens on, and that nobody gets who asks for any free one.
fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::random_range(20_000..32_000));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).expect("there is no end of them")
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
