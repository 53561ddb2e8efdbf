//! What the system says of a process: its memory and its processor time.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use nix::sys::resource::{UsageWho, getrusage};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

fn look_at<T>(pid: i32, answer: impl Fn(&sysinfo::Process) -> T) -> Result<T> {
    let pid = Pid::from_u32(pid.unsigned_abs());
    let mut system = System::new();
    let what = ProcessRefreshKind::nothing().with_cpu().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
    system.process(pid).map(answer).context("the server has ended")
}

/// Its resident bytes.
pub fn memory(pid: i32) -> Result<u64> {
    look_at(pid, sysinfo::Process::memory)
}

/// The user and system time of all its threads. Linux has it to the nanosecond; elsewhere it is
/// what the system says, mostly to the hundredth of a second.
pub fn cpu_time(pid: i32) -> Result<Duration> {
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

/// Only Linux lets a program choose its cores.
#[cfg(not(target_os = "linux"))]
pub fn stay_on_core(_: impl Fn(usize) -> bool) -> Result<()> {
    anyhow::bail!("only Linux lets a program choose its cores")
}
