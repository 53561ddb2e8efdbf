//! One bash on one terminal, in which the commands of a README are run in their order.

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{env, iter, net::TcpListener, thread, time::Duration};

use lab::{SERVERS, binary};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, ttyname};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::{sync::watch, time::timeout};

/// A command that has not ended after that long hangs. Long polls are held for 25
/// seconds, and the check waits for 20 for what does not come.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What bash runs: each command on the terminal that it is given. Then it prints a line that no
/// command prints, with the exit status, which the next command finds in `$?`.
const LOOP: &str = r#"
exec 9<&0 </dev/null
__status=0
while IFS= read -r -d '' -u 9 __terminal && IFS= read -r -d '' -u 9 __command; do
    (exit "$__status")
    eval "$__command" >"$__terminal" 2>&1 9<&-
    __status=$?
    printf '\n%s %s\n' "$0" "$__status"
done
"#;

/// Scripts that build and run a server find this `cargo`: the servers are built already, and the
/// real one would build them once more, as it is asked for other packages than the tests are.
const CARGO: &str = r#"#!/usr/bin/env bash
set -u
CALL=$*
[ "$1" != --quiet ] || shift
case $1 in
--version) exec echo 'cargo 1.999.0' ;;
build)
    while [[ $# -gt 0 && $CALL == *message-format* ]]; do
        case $1 in -p | --package) echo '{"executable":"SERVERS/'"$2"'"}' ;; esac
        shift
    done
    exit
    ;;
run)
    while [ "$1" != -p ]; do shift; done
    exec "SERVERS/$2" "${@:4}" # what is behind --
    ;;
esac
echo "the tests have no cargo $1" >&2
exit 1
"#;

/// No colours, and nothing of what a user has configured for themselves.
const CURLRC: &str = "no-styled-output\n";

pub struct Session {
    bash: Child,
    commands: ChildStdin,
    terminal: Terminal,
    /// How much of what is on the terminal has been looked at.
    seen: usize,
    marker: String,
    /// Whether bash has ended, or waits for a command that hangs: it takes no more commands.
    pub is_over: bool,
    /// Where scripts are that the tests have changed.
    pub folder: PathBuf,
}

impl Session {
    /// Starts bash at the root of the checkout.
    pub fn start(root: &Path) -> Session {
        let unique = rand::random::<u64>();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("readme-{unique:016x}"));
        for name in ["bin", "scripts"] {
            fs::create_dir_all(folder.join(name)).expect("the target folder can be written to");
        }
        let servers = SERVERS.map(binary);
        let _ = ["line", "measure"].map(binary); // they stand beside them
        let servers = servers[0].parent().expect("it is in a folder");
        let cargo = CARGO.replace("SERVERS", &servers.display().to_string());
        write_script(&folder.join("bin/cargo"), &cargo);
        let shared = "scripts/build.bash"; // beside the scripts
        fs::copy(root.join(shared), folder.join(shared)).expect("the folder is there");
        fs::write(folder.join(".curlrc"), CURLRC).expect("the folder is there");

        let terminal = Terminal::open();
        let marker = format!("end of command {unique:016x}:");
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-c", LOOP, &marker]).current_dir(root);
        set_environment(&mut bash, &folder);
        terminal.shows(bash.stdin(Stdio::piped()));
        let bash = bash.process_group(0).kill_on_drop(true).spawn();
        let mut bash = bash.expect("bash is there");
        let commands = bash.stdin.take().expect("it is piped");
        Session { bash, commands, terminal, seen: 0, marker, is_over: false, folder }
    }

    /// `scripts/all.sh`, of which the ports are these, in the place of 8001 to 8004.
    pub fn all_at(&self, ports: &[u16]) -> Command {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../all.sh");
        let script = fs::read_to_string(script).expect("it is there");
        let others = iter::zip(8001.., ports).fold(script, |script, (port, other): (u16, _)| {
            script.replace(&port.to_string(), &other.to_string())
        });
        let copy = self.folder.join("scripts/all.sh");
        write_script(&copy, &others);
        let mut command = Command::new(copy);
        set_environment(&mut command, &self.folder);
        command
    }

    /// Runs a command: what it prints, and its exit status.
    pub async fn run(&mut self, command: &str) -> Result<(String, i32), String> {
        let terminal = self.terminal.path.clone();
        self.run_on(&terminal, command).await
    }

    /// Runs a command that goes on (`… &`). What it prints comes on a terminal of its own.
    pub async fn run_beside(&mut self, command: &str) -> Result<Terminal, String> {
        let terminal = Terminal::open();
        self.run_on(&terminal.path.clone(), command).await?;
        Ok(terminal)
    }

    async fn run_on(&mut self, terminal: &str, command: &str) -> Result<(String, i32), String> {
        let line = format!("{terminal}\0{command}\0");
        let is_sent = self.commands.write_all(line.as_bytes()).await.is_ok();
        let marker = format!("\n{} ", self.marker);
        let seen = self.seen;
        // The status and the line's end belong to it.
        let find = |printed: &str| {
            let start = printed[seen..].find(&marker)? + seen;
            let status = start + marker.len();
            let end = printed[status..].find('\n')? + status;
            Some((start, status, end))
        };
        let found = self.terminal.printed.wait_for(|printed| find(printed).is_some());
        let ended = async {
            tokio::select! {
                found = found => found.is_ok(),
                _ = self.bash.wait() => false,
            }
        };
        let ended = timeout(LIMIT, ended).await;
        let printed = self.terminal.so_far();
        match find(&printed) {
            Some((start, status, end)) if is_sent && ended == Ok(true) => {
                self.seen = end + 1;
                let status = printed[status..end].trim().parse().expect("it is a number");
                Ok((printed[seen..start].into(), status))
            }
            _ => {
                self.is_over = true;
                let what = if ended.is_ok() { "It ended bash." } else { "It has not ended." };
                Err(format!(
                    "{what} What comes after it is not run. It printed:\n{}",
                    &printed[seen..]
                ))
            }
        }
    }
}

impl Drop for Session {
    /// Ends bash and whatever still runs in it.
    fn drop(&mut self) {
        if let Some(pid) = self.bash.id().and_then(|pid| pid.try_into().ok()) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL); // it may have ended
        }
        let _ = fs::remove_dir_all(&self.folder); // it is in target/, where nobody minds
    }
}

/// Writes a script that can be started.
pub fn write_script(path: &Path, text: &str) {
    // Written by a process of its own: were it open for writing here while another test starts a
    // process, that process would hold it open, and it could not be started ("text file busy").
    let mut write = std::process::Command::new("tee");
    let mut write = write.arg(path).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let write = write.as_mut().expect("tee is there");
    let input = write.stdin.take().expect("it is piped").write_all(text.as_bytes());
    assert!(input.is_ok() && write.wait().is_ok_and(|status| status.success()), "it is written");
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("the file is ours");
}

/// What a command finds in its environment: not what the one who runs the tests has set.
pub fn set_environment(command: &mut Command, folder: &Path) {
    let path = env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", folder.join("bin").display()));
    command.env("CURL_HOME", folder).env("LC_ALL", "C.UTF-8").env("TERM", "dumb");
    command.env("no_proxy", "localhost,127.0.0.1").env("NO_OPEN", "1");
    for variable in ["HOST", "PORT", "QUIET", "PAGES", "ALLOWED_HOSTS", "CODESPACE_NAME"] {
        command.env_remove(variable);
    }
    for variable in ["BASH_ENV", "XDG_CONFIG_HOME", "GREP_OPTIONS", "CARGO_TERM_QUIET"] {
        command.env_remove(variable);
    }
}

/// Four ports that nobody listens on, and that nobody gets who asks for any free one.
pub fn free_ports() -> Vec<u16> {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let first = iter::repeat_with(|| rand::random_range(20_000..32_000));
    let mut four = first.map(|first: u16| (first..first + 4).collect::<Vec<_>>());
    four.find(|ports| ports.iter().all(is_free)).expect("there is no end of them")
}

/// What a user sees, for programs ask whether they print to a terminal: where curl does not, it
/// shows how far it is.
pub struct Terminal {
    /// All of it.
    pub printed: watch::Receiver<String>,
    /// The side of the programs. While it is open, the terminal is there.
    inner: File,
    /// The name by which programs open it.
    path: String,
}

impl Terminal {
    pub fn open() -> Terminal {
        let size = Winsize { ws_row: 50, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).expect("there is a terminal");
        let path = ttyname(&slave).expect("it has a name").display().to_string();
        let (print, printed) = watch::channel(String::new());
        let mut outer = File::from(master);
        // It ends with the last program that has the terminal open.
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = outer.read(&mut buffer) {
                bytes.extend_from_slice(&buffer[..count]);
                // A terminal adds a carriage return to each line's end, HTTP has one there already.
                let text = String::from_utf8_lossy(&bytes);
                print.send_replace(text.replace("\r\r\n", "\n").replace("\r\n", "\n"));
            }
        });
        Terminal { printed, inner: File::from(slave), path }
    }

    /// Prints to it what this command prints.
    pub fn shows(&self, command: &mut Command) {
        let output = || Stdio::from(self.inner.try_clone().expect("a file can be shared"));
        command.stdout(output()).stderr(output());
    }

    /// All that was printed until now.
    pub fn so_far(&self) -> String {
        self.printed.borrow().clone()
    }
}
