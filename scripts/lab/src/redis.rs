//! A Redis (or Valkey) of our own, for servers that are built with `--features feed/redis`.

use std::path::PathBuf;
use std::process::Stdio;
use std::{env, fs, io, net::TcpListener, process, time::Duration};

use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::time::soon;

/// How to get what is missing, where it is missing.
pub const MISSING: &str = "there is no redis-server here: apt-get install redis-server (Debian), \
    brew install redis (macOS); Valkey serves as well, under the name redis-server";

/// An engine on a free port, with an append-only file in a folder of its own. Dropped, it is killed,
/// and its folder removed.
pub struct Redis {
    port: u16,
    folder: PathBuf,
    options: Vec<String>,
    process: Option<Child>,
}

impl Redis {
    /// Starts it. `durable`: each update is on the disk before it is confirmed, so that not even a
    /// kill loses one; else once a second, which is what Redis does when nobody says otherwise.
    ///
    /// # Panics
    /// When there is no `redis-server` on this machine, or it doesn't answer.
    pub async fn start(durable: bool) -> Redis {
        let fsync = if durable { "always" } else { "everysec" };
        Redis::start_with(&["--appendfsync", fsync]).await
    }

    /// Starts it with these options.
    ///
    /// # Panics
    /// When there is no `redis-server` on this machine, or it doesn't answer.
    pub async fn start_with(options: &[&str]) -> Redis {
        let free = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = free.local_addr().expect("it is bound").port();
        let folder = env::temp_dir().join(format!("redis-{}-{port}", process::id()));
        fs::create_dir_all(&folder).expect("a folder can be made");
        drop(free);
        let options = options.iter().map(ToString::to_string).collect();
        let mut redis = Redis { port, folder, options, process: None };
        redis.go_on().await;
        redis
    }

    /// Whether there is one on this machine.
    ///
    /// # Errors
    /// Why it can't be started.
    pub fn is_here() -> io::Result<()> {
        process::Command::new("redis-server").arg("--version").output().map(drop)
    }

    /// Starts it, on the same port and with the same file.
    ///
    /// # Panics
    /// When it doesn't start, or doesn't answer.
    pub async fn go_on(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "yes"]).args(&self.options).arg("--dir").arg(&self.folder);
        command.stdout(Stdio::null()).kill_on_drop(true);
        self.process = Some(command.spawn().unwrap_or_else(|why| panic!("{MISSING} ({why})")));
        let answers = async {
            while self.cli(&["PING"]).await != "PONG" {
                sleep(Duration::from_millis(20)).await; // nobody tells when it listens
            }
        };
        soon("an answer of Redis", answers).await;
    }

    /// Kills it.
    ///
    /// # Panics
    /// When it doesn't run.
    pub async fn end(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().await.expect("it can be killed");
    }

    /// What it answers to a command, as `redis-cli` prints it.
    ///
    /// # Panics
    /// When there is no `redis-cli` on this machine.
    pub async fn cli(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        let output = command.args(["-p", &self.port.to_string()]).args(words).output().await;
        String::from_utf8_lossy(&output.expect("redis-cli is there").stdout).trim().into()
    }

    /// What a server finds in `REDIS_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port that it listens on, at 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it doesn't run.
    #[must_use]
    pub fn pid(&self) -> i32 {
        let id = self.process.as_ref().and_then(Child::id).expect("it runs");
        id.try_into().expect("process ids are small")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
