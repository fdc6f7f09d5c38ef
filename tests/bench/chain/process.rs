//! What a node costs: CPU time and memory of a process and all its descendants.
//!
//! The tree is read from /proc, so workers that are threads and workers that are processes count alike. CPU
//! time is the kernel's own account in nanoseconds (what /proc/PID/stat shows in ticks of 10 ms), ended
//! threads included, plus that of descendants which have ended and were waited for.

use std::fs;
use std::ops::Sub;
use std::time::Duration;

use anyhow::Context;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// CPU time of the two nodes of a chain since they were started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    pub reverse_proxy: Duration,
    pub gateway: Duration,
}

impl Cpu {
    /// Both nodes together.
    pub fn both(self) -> Duration {
        self.reverse_proxy + self.gateway
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            reverse_proxy: self.reverse_proxy.saturating_sub(earlier.reverse_proxy),
            gateway: self.gateway.saturating_sub(earlier.gateway),
        }
    }
}

/// CPU time of `root` and its descendants since they were started.
pub fn cpu(root: u32) -> anyhow::Result<Duration> {
    let mut sum = Duration::ZERO;
    for pid in tree(root)? {
        let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?))
            .with_context(|| format!("the CPU clock of process {pid}"))?;
        sum += Duration::from(clock_gettime(clock)?) + of_ended_children(pid)?;
    }
    Ok(sum)
}

/// Memory of `root` and its descendants in bytes, pages shared among them counted once (PSS).
pub fn memory(root: u32) -> anyhow::Result<u64> {
    let mut sum = 0;
    for pid in tree(root)? {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context(path)?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        sum += kilobytes * 1024;
    }
    Ok(sum)
}

/// `root` and all that descend from it.
fn tree(root: u32) -> anyhow::Result<Vec<u32>> {
    let mut found = vec![root];
    let mut looked_at = 0;
    while let Some(&pid) = found.get(looked_at) {
        looked_at += 1;
        let tasks = format!("/proc/{pid}/task");
        for task in fs::read_dir(&tasks).with_context(|| format!("process {pid} is gone"))? {
            // A thread may end between the listing and the look.
            let Ok(children) = fs::read_to_string(task?.path().join("children")) else { continue };
            for child in children.split_ascii_whitespace() {
                found.push(child.parse()?);
            }
        }
    }
    Ok(found)
}

fn of_ended_children(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    // The name in parentheses may hold spaces; what follows it begins with field 3.
    let fields = text.rsplit_once(") ").context(path.clone())?.1;
    let field = |number: usize| -> anyhow::Result<u64> {
        Ok(fields.split(' ').nth(number - 3).context(path.clone())?.parse()?)
    };
    let ticks = field(16)? + field(17)?; // cutime, cstime
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("ticks per second")?;
    Ok(Duration::from_secs(ticks) / u32::try_from(per_second)?)
}
