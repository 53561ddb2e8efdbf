//! A server's real binary on a free port: what it prints, what it holds, how it ends.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::panic::panic_any;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::{env, fs, path::PathBuf, time::Duration};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::{sync::watch, time::sleep, time::timeout};

use crate::descendants::{MARK, adopt, end_children, end_marked, family};
use crate::time::{late, soon, within};

/// The four servers, each named as its crate is.
pub const SERVERS: [&str; 4] = ["polling", "long-polling", "server-sent-events", "websockets"];

/// Whose server is tried: without it, ours is.
static OTHER: OnceLock<Other> = OnceLock::new();

/// Somebody else's server.
#[derive(Debug)]
pub enum Other {
    /// The words of the command that starts it. It gets `PORT`, `QUIET` and `HOST` as ours do.
    Command(Vec<String>),
    /// It runs already, and is reached at this port of 127.0.0.1.
    Port(u16),
}

/// From now on, and for good, this process tries somebody else's server in the place of ours.
pub fn try_other(other: Other) {
    adopt();
    let _ = OTHER.set(other);
}

/// Whether it is somebody else's server that is tried.
#[must_use]
pub fn is_other() -> bool {
    OTHER.get().is_some()
}

/// What a case panics with that can't be tried on a server which runs already: it would start and
/// stop it, or look at its process.
pub struct NotTried;

/// A server's process, or one that runs by itself. Dropped, the process is killed.
pub struct Server {
    name: String,
    process: Option<Child>,
    /// The process group that ends with it: where it is somebody else's.
    _group: Option<Group>,
    /// Where `localhost` is: somebody else's server may be at one of its two addresses only.
    host: &'static str,
    port: u16,
    /// All lines that it printed on stdout, without their ends.
    printed: watch::Receiver<Vec<String>>,
    /// The same of stderr.
    complained: watch::Receiver<Vec<String>>,
}

impl Server {
    /// Starts a server that makes no updates of its own, but for the first (`QUIET=1`).
    pub async fn start(name: &str) -> Server {
        if let Some(Other::Port(port)) = OTHER.get() {
            let nothing = || watch::channel(Vec::new()).1;
            let (name, port) = (name.to_owned(), *port);
            let process = None;
            return Server {
                name,
                process,
                _group: None,
                host: V4,
                port,
                printed: nothing(),
                complained: nothing(),
            };
        }
        Server::start_with(name, &[("QUIET", "1")]).await
    }

    /// Starts a server that makes updates of its own.
    pub async fn start_loud(name: &str) -> Server {
        if let Some(Other::Port(_)) = OTHER.get() {
            return Server::start(name).await;
        }
        Server::start_with(name, &[]).await
    }

    /// Starts a server on a free port with these variables in its environment, and waits until it
    /// says where it listens. (Somebody else's may say what it likes, as long as it listens.)
    ///
    /// # Panics
    /// When it says anything else first.
    pub async fn start_with(name: &str, variables: &[(&str, &str)]) -> Server {
        let mut command = command(name);
        command.envs(variables.iter().copied());
        Server::started(name, command).await
    }

    async fn started(name: &str, mut command: Command) -> Server {
        let set = |name: &str| {
            let mut all = command.as_std().get_envs();
            all.find_map(|(one, value)| (one == name).then_some(value?.to_str()?.to_owned()))
        };
        let port = set("PORT").and_then(|port| port.parse().ok());
        let host = set("HOST").unwrap_or_else(|| "127.0.0.1".into());
        match port.filter(|port| is_other() && *port > 0) {
            Some(port) => Server::spawn_at(name, &mut command, &host, port).await,
            None => Server::spawn(name, &mut command).await,
        }
    }

    /// Starts a quiet server that may have so many files open, of which each connection is one.
    pub async fn start_limited(name: &str, files: u32) -> Server {
        let whole = command(name);
        let whole = whole.as_std();
        let mut limited = Command::new("sh");
        limited.arg("-c").arg(format!("ulimit -n {files} && exec \"$@\"")).arg("sh");
        limited.arg(whole.get_program()).args(whole.get_args()).env("QUIET", "1");
        for (name, value) in whole.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        Server::started(name, limited).await
    }

    /// Starts somebody else's server, and waits until it accepts connections there. Whether it says
    /// so too is tried by itself; here it gets a moment for it.
    async fn spawn_at(name: &str, command: &mut Command, host: &str, port: u16) -> Server {
        let mut server = Server::process_of(name, command);
        let accepts = async {
            loop {
                if let Some(host) = accepts(host, port).await {
                    return host;
                }
                let process = server.process.as_mut().expect("it has one");
                if let Ok(Some(status)) = process.try_wait() {
                    let _ = server.complained.wait_for(|lines| !lines.is_empty()).await;
                    late(); // another program may have taken its port meanwhile
                    panic!("it ended ({status}); on stderr: {}", server.complained().join(" / "));
                }
                sleep(Duration::from_millis(20)).await; // nobody tells when it does
            }
        };
        let what = format!("it accepts connections at PORT={port}");
        let host = within(A_START, &what, accepts).await;
        server.host = host;
        let says = server.printed.wait_for(|lines| !lines.is_empty());
        let _ = timeout(Duration::from_secs(1), says).await;
        server.port = port;
        server
    }

    fn process_of(name: &str, command: &mut Command) -> Server {
        let is_ours = !is_other();
        let group = (!is_ours).then(|| Group::of(command));
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let group = group.map(|group| group.led_by(&process));
        let printed = lines_of(process.stdout.take().expect("it is piped"), false);
        let complained = lines_of(process.stderr.take().expect("it is piped"), is_ours);
        let process = Some(process);
        Server { name: name.into(), process, _group: group, host: V4, port: 0, printed, complained }
    }

    /// Starts a server with this command, and waits until it says where it listens.
    ///
    /// # Panics
    /// When it says anything else first.
    pub async fn spawn(name: &str, command: &mut Command) -> Server {
        let mut server = Server::process_of(name, command);
        let first = server.printed.wait_for(|lines| !lines.is_empty());
        let first = soon("the first line on stdout", first).await.map(|lines| lines[0].clone());
        let Ok(first) = first else {
            let _ = server.complained.wait_for(|lines| !lines.is_empty()).await;
            let said = server.complained().join(" / ");
            panic!("{name} ended without a word on stdout; on stderr: {said}");
        };
        let port = first.strip_prefix("Listening at http://localhost:");
        let port = port.and_then(|port| port.parse().ok());
        server.port = port.unwrap_or_else(|| {
            panic!("it said first: {first:?}; expected: Listening at http://localhost:PORT")
        });
        server
    }

    /// Its name, which is its crate's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, as it stands in a URL: 127.0.0.1, unless it listens at `[::1]` only, and its port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The URL of a path (which begins with `/`) at this server.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The same as a WebSocket's URL.
    #[must_use]
    pub fn ws_url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address())
    }

    fn process(&self) -> &Child {
        self.process.as_ref().unwrap_or_else(|| panic_any(NotTried))
    }

    /// The lines that it has printed until now.
    #[must_use]
    pub fn printed(&self) -> Vec<String> {
        self.process();
        self.printed.borrow().clone()
    }

    /// The lines that it has written to stderr until now.
    #[must_use]
    pub fn complained(&self) -> Vec<String> {
        self.complained.borrow().clone()
    }

    /// Waits until it has printed such a line.
    ///
    /// # Panics
    /// When it ends before.
    pub async fn prints(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        self.process();
        let lines = self.printed.wait_for(|lines| lines.iter().any(|line| is_it(line))).await;
        let lines = lines.expect("it ended without such a line, or prints without end");
        lines.iter().find(|line| is_it(line)).expect("it was waited for").clone()
    }

    /// Its process id, under which `/proc` tells of its memory, time and open files.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process().id().expect("it has ended").try_into().expect("process ids are small")
    }

    /// How many files it has open, with what it has started; each connection is one.
    #[must_use]
    pub fn open_files(&self) -> usize {
        let files = |pid| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        self.family().into_iter().map(files).sum()
    }

    /// Its process, and those that it has started.
    fn family(&self) -> Vec<i32> {
        linux_only();
        family(self.pid())
    }

    /// Waits until it has so many files open.
    ///
    /// # Panics
    /// When it hasn't within the limit.
    pub async fn open_files_until(&self, limit: Duration, enough: impl Fn(usize) -> bool) {
        let waiting = async {
            while !enough(self.open_files()) {
                sleep(Duration::from_millis(20)).await; // nobody tells: it has to be polled
            }
        };
        let is_enough = timeout(limit, waiting).await.is_ok();
        if !is_enough {
            late();
        }
        let now = self.open_files();
        assert!(is_enough, "not within {limit:?}: {} has {now} files open", self.name);
    }

    /// How many KiB of memory it has in use (its resident set), with what it has started.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let memory = |pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        self.family().into_iter().filter_map(memory).sum()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        signal::kill(Pid::from_raw(self.pid()), signal).expect("it runs");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it doesn't end, or panicked at any time before.
    pub async fn end(mut self) -> ExitStatus {
        self.process();
        let process = self.process.as_mut().expect("it has one");
        let status = soon("its end", process.wait()).await.expect("it can be waited for");
        while self.complained.changed().await.is_ok() {} // until all is read
        let complaints = self.complained();
        let panicked = !is_other() && complaints.iter().any(|line| line.contains("panicked"));
        assert!(!panicked, "{} panicked: {complaints:?}", self.name);
        status
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// When it doesn't end, or panicked at any time before.
    pub async fn stop(self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.end().await
    }
}

/// The process groups of somebody else's servers and clients that run now, each led by one of them.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// All that somebody else's program starts: the process group that it leads, and what has left that.
/// Dropped, all of it is killed.
#[derive(Debug)]
pub struct Group {
    leader: Option<i32>,
    /// What each of them has in its environment.
    mark: String,
}

impl Group {
    /// The group of a program that is about to start.
    pub fn of(command: &mut Command) -> Group {
        let mark = format!("{}-{}", std::process::id(), rand::random::<u64>());
        command.process_group(0).env(MARK, &mark);
        Group { leader: None, mark }
    }

    /// It has started: this process leads it.
    #[must_use]
    pub fn led_by(mut self, process: &Child) -> Group {
        self.leader = process.id().and_then(|id| id.try_into().ok());
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).extend(self.leader);
        self
    }

    /// Sends a signal to all of it.
    pub fn signal(&self, signal: Signal) {
        let _ = self.leader.map(|group| signal::killpg(Pid::from_raw(group), signal)); // it may have ended
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.leader {
            GROUPS.lock().unwrap_or_else(PoisonError::into_inner).remove(&group);
            self.signal(Signal::SIGKILL);
            end_marked(&self.mark);
        }
    }
}

/// Ends all of somebody else's programs that this process has started: it is about to end itself.
pub fn end_all() {
    let groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
    for group in groups.iter() {
        let _ = signal::killpg(Pid::from_raw(*group), Signal::SIGKILL); // it may have ended
    }
    end_children();
}

/// Only there the system tells in `/proc` what a process holds.
fn linux_only() {
    if !cfg!(target_os = "linux") {
        panic_any(NotTried);
    }
}

static FEEDS: AtomicUsize = AtomicUsize::new(0);

/// A server's command on a free port, with nothing else of ours in its environment.
#[must_use]
pub fn command(name: &str) -> Command {
    raise_limit_of_open_files();
    let mut command = match OTHER.get() {
        None => Command::new(binary(name)),
        Some(Other::Port(_)) => panic_any(NotTried),
        Some(Other::Command(words)) => {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]);
            command
        }
    };
    // Where all servers are tried on one engine, each of them has a feed of its own there.
    let feed = FEEDS.fetch_add(1, Ordering::Relaxed);
    command.env("REDIS_KEY", format!("{}:{feed}", std::process::id()));
    // Many a server takes 0 for no port at all; whether it should is tried by itself.
    let port = if is_other() { free_port() } else { 0 };
    command
        .env("PORT", port.to_string())
        .env_remove("HOST")
        .env_remove("QUIET")
        .env_remove("ALLOWED_HOSTS")
        .env_remove("PAGES");
    command
}

/// How long another server may take to start; an interpreter on a busy machine takes its time.
const A_START: Duration = Duration::from_secs(100);

const V4: &str = "127.0.0.1";
const V6: &str = "[::1]";

/// Where somebody accepts connections at this port. Linux says so without one, which would count
/// among those that a case looks at.
async fn accepts(host: &str, port: u16) -> Option<&'static str> {
    let listens = |table: &str, at_any: bool| {
        let table = fs::read_to_string(table).unwrap_or_default();
        let end = format!(":{port:04X}");
        table.lines().any(|line| {
            let row: Vec<_> = line.split_whitespace().collect();
            let at = row.get(1).and_then(|at| at.strip_suffix(&end));
            let is_any = at.is_some_and(|at| at.bytes().all(|digit| digit == b'0'));
            at.is_some() && row.get(3) == Some(&"0A") && (is_any || !at_any)
        })
    };
    if cfg!(target_os = "linux") {
        // Who listens at any address of IPv6 does so at those of IPv4 too.
        let is_v4 = listens("/proc/net/tcp", false) || listens("/proc/net/tcp6", true);
        return if is_v4 { Some(V4) } else { listens("/proc/net/tcp6", false).then_some(V6) };
    }
    let is_there = async |host: &str| TcpStream::connect((host, port)).await.is_ok();
    if is_there(host).await {
        return Some(V4);
    }
    is_there("::1").await.then_some(V6)
}

/// The ports that this process has taken for servers: each is bound for UDP, which no server uses.
/// Servers are tried side by side, also by several checks, and one may take a while until it listens.
static PORTS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// A port that is free, below those that the system takes for connections (RFC 6335 §6).
pub fn free_port() -> u16 {
    // Where there is no IPv6, by IPv4 only.
    let is_free =
        |port: &u16| ["::", "0.0.0.0"].iter().any(|any| TcpListener::bind((*any, *port)).is_ok());
    let is_ours = |port: &u16| {
        let taken = UdpSocket::bind(("127.0.0.1", *port));
        taken.map(|it| PORTS.lock().unwrap_or_else(PoisonError::into_inner).push(it)).is_ok()
    };
    let port = (0..1_000).map(|_| rand::random_range(10_000..32_000));
    port.filter(is_free).find(is_ours).expect("there is a free port")
}

/// What a server says that can't start with these variables: it has to end by itself.
pub async fn refuses_to_start(name: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = command(name);
    let output = command.envs(variables.iter().copied()).kill_on_drop(true).output();
    soon("its refusal", output).await.expect("it starts")
}

/// A thousand clients are more than many systems allow a process, until it asks for more.
fn raise_limit_of_open_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("up to there it may be raised");
}

/// The most bytes of a server's output that are kept, and the most lines.
const OUTPUT: u64 = 16 << 20;
const MOST_LINES: usize = 200_000;

/// Reads lines for as long as there are some; more than that nobody waits for. Those of stderr are shown
/// with the test's own.
fn lines_of(
    pipe: impl AsyncRead + Send + Unpin + 'static,
    show: bool,
) -> watch::Receiver<Vec<String>> {
    let (reading, read) = watch::channel(Vec::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe.take(OUTPUT)).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if show {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
            reading.send_modify(|lines| lines.push(line));
            if reading.borrow().len() == MOST_LINES {
                break;
            }
        }
        drop(reading);
        let mut rest = lines.into_inner().into_inner().into_inner();
        let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
    });
    read
}

/// Where a server's binary is: in the folder `SERVERS` of the environment, where that is set; or else
/// beside the one that runs, of the same profile. There it is built first when `cargo test -p` or `cargo run -p` has built another package only.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    if let Some(folder) = env::var_os("SERVERS") {
        return PathBuf::from(folder).join(name);
    }
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
