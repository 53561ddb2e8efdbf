//! Past one machine: many servers on one engine, tried on a real Redis (or Valkey) of our own, with
//! servers that are built with `--features feed/redis`.
//!
//! Where there is no Redis or no nginx on this machine, these tests say so, and try nothing.

mod bad_days;
mod cluster;
mod failover;
mod line;
mod nginx;
mod shared;

use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Stdio};
use std::{env, sync::OnceLock};

use lab::{SERVERS, Server};
use tokio::process::Command;

/// Servers with the feature, beside the plain ones and never in their place; or those in the folder
/// `SERVERS` of the environment.
fn binaries() -> &'static Path {
    static BINARIES: OnceLock<PathBuf> = OnceLock::new();
    BINARIES.get_or_init(|| {
        if let Some(folder) = env::var_os("SERVERS") {
            return folder.into();
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("redis");
        let mut build = Blocking::new(env::var_os("CARGO").unwrap_or("cargo".into()));
        build.args(["build", "--quiet", "--features", "feed/redis", "--target-dir"]).arg(&target);
        build.args(SERVERS.into_iter().flat_map(|name| ["-p", name]));
        let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(status.is_ok_and(|status| status.success()), "the servers do not build");
        target.join("debug")
    })
}

/// Runs a test, if there is an engine to try it on, and these programs.
fn with(programs: &[&str], test: impl Future<Output = ()>) {
    let is_missing = |program: &&&str| {
        Blocking::new(program)
            .arg("-v")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_err()
    };
    if let Some(missing) = ["redis-server"].iter().chain(programs).find(is_missing) {
        assert!(env::var_os("CI").is_none(), "CI has {missing}");
        eprintln!(
            "not tried: {missing} is missing (Debian: apt-get install redis-server nginx-light;"
        );
        eprintln!("macOS: brew install redis nginx; Valkey serves as well)");
        return;
    }
    binaries();
    lab::run(test);
}

/// The command of a server with this engine.
fn command(name: &str, engine: &str) -> Command {
    let mut command = Command::new(binaries().join(name));
    command.envs([("REDIS_URL", engine), ("QUIET", "1"), ("PORT", "0")]);
    command.env_remove("REDIS_KEY").env_remove("HOST").env_remove("ALLOWED_HOSTS");
    command
}

async fn start(name: &str, engine: &str) -> Server {
    Server::spawn(name, &mut command(name, engine)).await
}
