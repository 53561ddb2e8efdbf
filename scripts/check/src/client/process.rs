//! Somebody's client: its process, what it prints, and how it ends.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lab::server::Group;
use nix::sys::signal::Signal;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// The most bytes of its output that are read.
const OUTPUT: u64 = 64 << 20;

pub struct Process {
    child: Child,
    group: Group,
    stdin: Option<ChildStdin>,
    /// What it prints, line by line. Who prints more than anybody reads waits.
    pub printed: mpsc::Receiver<String>,
    complained: Arc<Mutex<String>>,
}

impl Process {
    /// Starts it, as the leader of a process group that ends with it.
    pub fn start(words: &[String], port: u16) -> Result<Process, String> {
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env("SERVER", format!("http://localhost:{port}"))
            .env("NO_PROXY", "localhost") // whatever proxy there is, it is not for this
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let group = Group::of(&mut command);
        let child = command.spawn().map_err(|why| format!("{}: {why}", words[0]));
        let mut child = child?;
        let group = group.led_by(&child);
        let (lines, printed) = mpsc::channel(2_000);
        read(child.stdout.take(), move |line| {
            let lines = lines.clone();
            async move { lines.send(line).await.is_ok() }
        });
        let complained = Arc::<Mutex<String>>::default();
        let last = Arc::clone(&complained);
        read(child.stderr.take(), move |line| {
            if !line.trim().is_empty() {
                *last.lock().unwrap_or_else(PoisonError::into_inner) = line;
            }
            async { true }
        });
        Ok(Process { stdin: child.stdin.take(), child, group, printed, complained })
    }

    /// What it has to say for itself: how it has ended, if it has, and its last line on stderr.
    pub fn state(&mut self) -> String {
        let ended = self.child.try_wait().ok().flatten();
        let ended = ended.map_or(String::new(), |status| format!("; it has ended ({status})"));
        let said = self.complained.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let said = if said.is_empty() { said } else { format!("; last on stderr: {said}") };
        format!("{ended}{said}")
    }

    /// Waits for its end, for ever where there is none.
    pub async fn ended(&mut self) {
        let _ = self.child.wait().await;
    }

    pub async fn say(&mut self, line: &str) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(format!("{line}\n").as_bytes()).await; // it may not read
        }
    }

    pub fn signal(&self, signal: Signal) {
        self.group.signal(signal);
    }

    /// Whether it ends by itself within this time: of its own, as a busy machine may give it none.
    pub async fn ends_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let (begin, before) = (Instant::now(), self.starved());
        loop {
            let own = begin.elapsed().saturating_sub(self.starved().saturating_sub(before));
            let left = limit.checked_sub(own)?;
            if let Ok(status) = timeout(left, self.child.wait()).await {
                return status.ok();
            }
        }
    }

    /// For how long its threads could have run, and had to wait for a processor: on Linux, which says
    /// so (`Documentation/scheduler/sched-stats.rst`).
    fn starved(&self) -> Duration {
        let threads =
            self.child.id().and_then(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
        let said = threads.into_iter().flatten().flatten();
        let said = said.filter_map(|it| fs::read_to_string(it.path().join("schedstat")).ok());
        let waited = said.filter_map(|said| said.split(' ').nth(1)?.parse().ok());
        waited.map(Duration::from_nanos).sum()
    }
}

/// Whether a status is that of a process which SIGTERM has ended, or of one that ended by itself.
pub fn is_an_end(status: ExitStatus) -> bool {
    status.code().is_some() || status.signal() == Some(Signal::SIGTERM as i32)
}

fn read<F: Future<Output = bool> + Send>(
    pipe: Option<impl AsyncRead + Send + Unpin + 'static>,
    mut take: impl FnMut(String) -> F + Send + 'static,
) {
    let Some(pipe) = pipe else { return };
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe.take(OUTPUT)).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if !take(line).await {
                break;
            }
        }
        let mut rest = lines.into_inner().into_inner().into_inner();
        let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
    });
}
