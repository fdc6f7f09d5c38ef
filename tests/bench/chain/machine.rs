//! What the figures were measured on, for the report.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use nix::unistd::{SysconfVar, sysconf};

use crate::process;
use crate::report::Machine;

/// Looks at this machine, and asks the programs for their versions.
pub fn look(program: &Path) -> anyhow::Result<Machine> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let processor = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let ours = program.display().to_string();
    let asked = [(ours.as_str(), "--version"), ("nginx", "-v"), ("haproxy", "-v"), ("stunnel4", "-version")];
    Ok(Machine {
        at: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        cores: std::thread::available_parallelism()?.get(),
        processor: processor.to_owned(),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        programs: asked.iter().filter_map(|(program, flag)| version(program, flag)).collect(),
    })
}

fn version(program: &str, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    // stunnel names its version in the second line.
    text.lines().find(|line| line.chars().any(|c| c.is_ascii_digit())).map(|line| line.trim().to_owned())
}

/// Raises the limit of open files as far as it goes, for this process and the nodes it starts; the limit.
pub fn raise_open_files() -> anyhow::Result<u64> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(most)
}

/// How busy the machine is with other things than this run, which spoils its figures.
pub struct OtherWork {
    begun: Instant,
    busy: Duration,
    ours: Duration,
}

impl OtherWork {
    /// From now on.
    pub fn watch() -> anyhow::Result<Self> {
        Ok(Self { begun: Instant::now(), busy: busy()?, ours: process::cpu(std::process::id())? })
    }

    /// Cores in use by others since then, on average, those included that the host gave to other machines.
    pub fn cores(&self) -> anyhow::Result<f64> {
        let ours = process::cpu(std::process::id())?.saturating_sub(self.ours);
        let others = (busy()? - self.busy).saturating_sub(ours);
        Ok(others.as_secs_f64() / self.begun.elapsed().as_secs_f64())
    }
}

/// CPU time spent on anything since the machine's start, all cores together.
fn busy() -> anyhow::Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let fields: Vec<u64> = line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = fields[..] else {
        anyhow::bail!("/proc/stat: {line}");
    };
    let ticks = user + nice + system + irq + softirq + steal;
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("ticks per second")?;
    Ok(Duration::from_secs(ticks) / u32::try_from(per_second)?)
}
