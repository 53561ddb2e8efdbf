//! Starts a server's real binary on a free port, reads what it prints, and stops it.

use std::{env, path::PathBuf, process::ExitStatus, process::Stdio};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// The four servers, each named as its crate is.
pub const SERVERS: [&str; 4] = ["polling", "long-polling", "server-sent-events", "websockets"];

/// A server's process. Dropped, it is killed.
pub struct Server {
    process: Child,
    port: u16,
    /// All lines that it printed on stdout, without their ends.
    printed: watch::Receiver<Vec<String>>,
}

impl Server {
    /// Starts a server that makes no updates of its own, but for the first (`QUIET=1`).
    pub async fn start(name: &str) -> Server {
        Server::start_with(name, &[("QUIET", "1")]).await
    }

    /// Starts a server on a free port with these variables in its environment, and waits until it
    /// says where it listens.
    ///
    /// # Panics
    /// When it says anything else first.
    pub async fn start_with(name: &str, variables: &[(&str, &str)]) -> Server {
        let mut process = Command::new(binary(name))
            .env("PORT", "0")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let stdout = process.stdout.take().expect("it is piped");
        let (printing, mut printed) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                printing.send_modify(|printed| printed.push(line));
            }
        });
        let first = printed.wait_for(|lines| !lines.is_empty()).await.expect("it prints").clone();
        let port = first[0].strip_prefix("Listening at http://localhost:");
        let port = port.and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("{name} said first: {}", first[0]));
        Server { process, port, printed }
    }

    /// The port that it listens on, at 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a path (which begins with `/`) at this server.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The same as a WebSocket's URL.
    #[must_use]
    pub fn ws_url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{path}", self.port)
    }

    /// The lines that it has printed until now.
    #[must_use]
    pub fn printed(&self) -> Vec<String> {
        self.printed.borrow().clone()
    }

    /// Waits until it has printed such a line.
    ///
    /// # Panics
    /// When it ends before.
    pub async fn prints(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        let lines = self.printed.wait_for(|lines| lines.iter().any(|line| is_it(line))).await;
        let lines = lines.expect("it ended without such a line");
        lines.iter().find(|line| is_it(line)).expect("it was waited for").clone()
    }

    /// Its process id, under which `/proc` tells of its memory, time and open files.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.id().expect("it runs").try_into().expect("process ids are small")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        signal::kill(Pid::from_raw(self.pid()), signal).expect("it runs");
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.process.wait().await.expect("it can be waited for")
    }
}

/// Where a server's binary is: beside the one that runs, of the same profile. It is built first
/// when `cargo test -p` or `cargo run -p` has built another package only.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let this = env::current_exe().expect("it runs");
    let profile = this.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    let binary = profile.expect("it is in a folder").join(name);
    if !binary.exists() {
        let release = profile.is_some_and(|folder| folder.ends_with("release"));
        let mut build = std::process::Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
        build.args(["build", "--quiet", "--package", name]).args(release.then_some("--release"));
        let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(status.is_ok_and(|status| status.success()), "{name} does not build");
    }
    binary
}
