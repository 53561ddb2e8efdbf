//! Whether the machine had other things to do than this measurement: what all programs together took
//! of its processors, without this one and those that it started. Linux tells it (`proc_stat(5)`,
//! `proc_pid_stat(5)`); elsewhere nothing is known.

use std::collections::HashMap;
use std::fs;

/// Which part of all processors' time other programs may take, or another machine, before a round
/// counts as disturbed.
const LITTLE: f64 = 0.05;
/// Nothing is said of a time in which the clock ticked less often: it counts hundredths of a second.
const TICKS: u64 = 50;

/// Parts of all processors' time.
#[derive(Clone, Copy, Default)]
pub struct Load {
    pub others: f64,
    pub stolen: f64,
}

impl Load {
    pub fn disturbs(self) -> bool {
        self.others > LITTLE || self.stolen > LITTLE
    }
}

/// A look at the clocks.
pub struct Look {
    /// Ticks: all that there were, those in which a program ran, those of this program and its
    /// children, and those that another machine took.
    ticks: Option<[u64; 4]>,
}

impl Look {
    pub fn now() -> Look {
        Look { ticks: ticks() }
    }

    /// How far each has gone on since then.
    fn since(&self) -> Option<[u64; 4]> {
        let (then, now) = (self.ticks?, ticks()?);
        Some([0, 1, 2, 3].map(|index: usize| now[index].saturating_sub(then[index])))
    }

    /// What happened since then.
    pub fn load(&self) -> Load {
        let Some([all, busy, own, stolen]) = self.since() else { return Load::default() };
        if all < TICKS {
            return Load::default();
        }
        let part = |ticks: u64| ticks as f64 / all as f64;
        Load { others: part(busy.saturating_sub(own)), stolen: part(stolen) }
    }
}

fn ticks() -> Option<[u64; 4]> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let kinds: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [user, nice, system, .., stolen] = kinds.get(..8)? else { return None };
    // What interrupts take is no program's: much of it is this measurement's own packets.
    Some([kinds[..8].iter().sum(), user + nice + system, own()?, *stolen])
}

/// The ticks of this process and all below it, also of those that have ended and were waited for.
fn own() -> Option<u64> {
    let mut processes = HashMap::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default(); // it has ended
        let Some((_, stat)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<u64> = stat.split(' ').map(|field| field.parse().unwrap_or(0)).collect();
        let [_, parent, ..] = fields[..] else { continue };
        processes.insert(pid, (parent, fields.get(11..15)?.iter().sum::<u64>()));
    }
    let this = std::process::id();
    let is_own = |pid: u32| {
        let mut at = pid;
        while at != this {
            match processes.get(&at).and_then(|(parent, _)| u32::try_from(*parent).ok()) {
                Some(parent) if parent != at => at = parent,
                _ => return false,
            }
        }
        true
    };
    Some(processes.iter().filter(|(pid, _)| is_own(**pid)).map(|(_, (_, ticks))| ticks).sum())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Duration;

    /// Waits until the clocks have gone on so far, as it is judged.
    fn until(look: &Look, is_enough: impl Fn([u64; 4]) -> bool) {
        while !is_enough(look.since().expect("Linux tells it")) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What this program's children take is its own, also once they have ended; what others take is not.
    #[test]
    fn only_others_disturb() {
        let look = Look::now();
        let mut child =
            Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("it starts");
        until(&look, |[_, _, own, _]| own >= 30);
        child.kill().expect("it runs");
        child.wait().expect("it is a child");
        until(&look, |[_, busy, own, _]| own >= 30 && busy + 10 >= own);

        let look = Look::now();
        let orphan = "sh -c 'while :; do :; done' >/dev/null 2>&1 & echo $!"; // its parent ends at once
        let output = Command::new("sh").args(["-c", orphan]).output().expect("it starts");
        let pid = String::from_utf8(output.stdout).expect("it is a number");
        until(&look, |[_, busy, own, _]| busy >= own + 2 * TICKS);
        let load = look.load();
        assert!(Command::new("kill").arg(pid.trim()).status().expect("it starts").success());
        assert!(load.others > 0.0);
    }
}
