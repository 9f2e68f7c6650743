//! Processes on this machine: how they end, and what they take, from `/proc`.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

/// A child process that is never left behind.
#[derive(Debug)]
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The end of a log.
pub fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n")
}

/// Processes by their numbers, taken together.
#[derive(Clone, Debug)]
pub struct Watched {
    directories: Vec<PathBuf>,
}

impl Watched {
    /// Any processes.
    pub fn new(pids: &[u32]) -> Self {
        Self { directories: pids.iter().map(|pid| PathBuf::from(format!("/proc/{pid}"))).collect() }
    }

    /// Resident memory, bytes. `None`: one has ended, or this system has no `/proc`.
    pub fn resident(&self) -> Option<u64> {
        self.directories.iter().map(|directory| resident(directory)).sum()
    }

    /// Processor time used so far, in user and system mode.
    pub fn cpu(&self) -> Option<Duration> {
        self.directories.iter().map(|directory| cpu(directory)).sum()
    }
}

fn resident(directory: &Path) -> Option<u64> {
    let status = std::fs::read_to_string(directory.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

fn cpu(directory: &Path) -> Option<Duration> {
    let stat = std::fs::read_to_string(directory.join("stat")).ok()?;
    // The program's name, in brackets, may hold blanks; user and system time are fields 14 and 15 of proc(5).
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(from_ticks(ticks))
}

/// Processor time that was not idle, of all cores and all processes since the machine started.
pub fn machine_cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    // user nice system idle iowait irq softirq steal, proc(5); the guests' times behind them are in `user` already.
    let fields: Vec<u64> =
        stat.lines().next()?.split_whitespace().skip(1).take(8).filter_map(|n| n.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal] = *fields.first_chunk::<8>()?;
    Some(from_ticks(user + nice + system + irq + softirq + steal))
}

fn from_ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_time() {
        let process = Watched::new(&[std::process::id()]);
        assert!(process.resident().is_some_and(|bytes| bytes > 1 << 20));
        assert!(process.cpu().is_some());
        assert!(machine_cpu() >= process.cpu());
        let twice = Watched::new(&[std::process::id(); 2]);
        assert!(twice.resident() > process.resident());
        assert_eq!(Watched::new(&[std::process::id(), u32::MAX]).resident(), None);
    }
}
