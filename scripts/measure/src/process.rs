//! What the system says of a process: its memory and its processor time.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use lab::descendants::family;
use nix::sys::resource::{UsageWho, getrusage};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

fn look_at<T>(pid: i32, answer: impl Fn(&sysinfo::Process) -> T) -> Result<T> {
    let pid = Pid::from_u32(pid.unsigned_abs());
    let mut system = System::new();
    let what = ProcessRefreshKind::nothing().with_cpu().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
    system.process(pid).map(answer).context("the server has ended")
}

/// Its resident bytes, with those of all processes that it has started.
pub fn memory(pid: i32) -> Result<u64> {
    let theirs = family(pid).into_iter().skip(1);
    let theirs = theirs.filter_map(|pid| look_at(pid, sysinfo::Process::memory).ok()).sum::<u64>();
    Ok(look_at(pid, sysinfo::Process::memory)? + theirs)
}

/// The user and system time of all its threads, and of all processes that it has started. Linux has it
/// to the nanosecond; elsewhere it is what the system says, mostly to the hundredth of a second.
pub fn cpu_time(pid: i32) -> Result<Duration> {
    let theirs = family(pid).into_iter().skip(1).filter_map(|pid| own_threads(pid).ok());
    Ok(own_threads(pid)? + theirs.sum::<Duration>())
}

fn own_threads(pid: i32) -> Result<Duration> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return look_at(pid, |process| Duration::from_millis(process.accumulated_cpu_time()));
    };
    let mut nanoseconds = 0;
    for thread in threads {
        let statistics = fs::read_to_string(thread?.path().join("schedstat"))?;
        let running = statistics.split(' ').next().context("schedstat is empty")?;
        nanoseconds += running.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Which part of a process's time was the kernel's, between two looks: user and system time of
/// `/proc/PID/stat`, which count ticks of mostly a hundredth of a second. Linux only.
pub struct Share(i32, Option<(u64, u64)>);

impl Share {
    pub fn of(pid: i32) -> Share {
        Share(pid, ticks(pid))
    }

    pub fn of_kernel(&self) -> Option<f64> {
        let ((user_before, before), (user, system)) = (self.1?, ticks(self.0)?);
        let (user, system) = (user - user_before, system - before);
        (user + system > 0).then(|| system as f64 / (user + system) as f64)
    }
}

fn ticks(pid: i32) -> Option<(u64, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, stat) = stat.rsplit_once(") ")?; // a program's name may be anything
    let mut fields = stat.split(' ').skip(11).map(str::parse);
    Some((fields.next()?.ok()?, fields.next()?.ok()?))
}

/// The user and system time of this process.
pub fn own_cpu_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let microseconds = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec().unsigned_abs() * 1_000_000 + time.tv_usec().unsigned_abs());
    Ok(Duration::from_micros(microseconds.iter().sum()))
}

/// Keeps this process, and what it starts from now on, on those that are chosen of the processor cores
/// that it had at first; they are numbered from 0.
#[cfg(target_os = "linux")]
pub fn stay_on_core(choose: impl Fn(usize) -> bool) -> Result<()> {
    use nix::{sched, unistd::Pid};
    static ALL: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
    let allowed = sched::sched_getaffinity(Pid::from_raw(0))?;
    let is_allowed = |core: &usize| allowed.is_set(*core).unwrap_or(false);
    let all = ALL.get_or_init(|| (0..sched::CpuSet::count()).filter(is_allowed).collect());
    let mut cores = sched::CpuSet::new();
    for (_, core) in all.iter().enumerate().filter(|(number, _)| choose(*number)) {
        cores.set(*core)?;
    }
    Ok(sched::sched_setaffinity(Pid::from_raw(0), &cores)?)
}

/// What this starts has the first core, and this process the others. (Where no core can be chosen, both
/// have all of them.) `stay_on_core(|_| true)` ends it.
pub async fn on_one_core<T>(start: impl Future<Output = T>) -> T {
    let _ = stay_on_core(|core| core == 0); // what is started inherits it
    let started = start.await;
    let _ = stay_on_core(|core| core != 0);
    started
}

/// Only Linux lets a program choose its cores.
#[cfg(not(target_os = "linux"))]
pub fn stay_on_core(_: impl Fn(usize) -> bool) -> Result<()> {
    anyhow::bail!("only Linux lets a program choose its cores")
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    /// nginx works in a process that it starts: what that takes is nginx'.
    #[test]
    fn a_process_counts_with_those_that_it_has_started() -> Result<()> {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & echo; wait"])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(shell.stdout.take().context("it has one")?).read_line(&mut line)?;
        let pid = i32::try_from(shell.id())?;
        let [_, child] = family(pid)[..] else { anyhow::bail!("not one child") };
        assert!(memory(pid)? > memory(child)?);
        shell.kill()?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::SIGKILL)?;
        Ok(())
    }
}
