//! What the figures were measured on, for the report.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

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
