//! What a program has started, also what left its process group or lost its parent: it ends with it.
//! Each of them inherits the environment, and in it the program's mark.

use std::fs;

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// The variable with a program's mark.
pub const MARK: &str = "STARTED_BY_CHECK";

/// From now on, whoever loses their parent below this process becomes its child (`prctl(2)`).
pub fn adopt() {
    let _ = set_child_subreaper(true); // as Linux has it
}

/// Ends all processes with this mark.
pub fn end_marked(mark: &str) {
    let mark = format!("{MARK}={mark}");
    end_while(|pid| {
        let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    });
}

/// Ends all children of this process, and theirs, which become its children by that.
pub fn end_children() {
    let this = std::process::id().to_string();
    end_while(|pid| parent(pid).is_some_and(|parent| parent == this));
}

/// A process, and those that it has started and that still run. Linux only: elsewhere it is alone.
#[must_use]
pub fn family(pid: i32) -> Vec<i32> {
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(pid) = all.get(at) {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
        at += 1;
    }
    all
}

/// The parent's process id, which stands behind the name and the state (`proc_pid_stat(5)`).
fn parent(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut behind = stat.rsplit_once(')')?.1.split_whitespace();
    (behind.next()? != "Z").then(|| behind.next().map(ToOwned::to_owned))?
}

/// Ends those of whom it is true, until there are none: who is ended may just have started others.
fn end_while(is_it: impl Fn(i32) -> bool) {
    for _ in 0..1_000 {
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let pids: Vec<i32> = pids.filter(|pid| is_it(*pid)).collect();
        for pid in &pids {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            let _ = waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG)); // where it is a child
        }
        if pids.is_empty() {
            break;
        }
    }
}
