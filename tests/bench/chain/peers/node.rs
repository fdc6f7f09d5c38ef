//! One program that runs: its standard output and error go to files in its folder.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::PATIENCE;
use crate::process;

/// How long a program may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);

/// A running node, ended with its workers when dropped.
pub struct Node {
    child: Child,
    name: String,
    folder: PathBuf,
}

impl Node {
    /// Starts it; `name` is what errors call it.
    pub fn spawn(mut command: Command, folder: &Path, name: String) -> anyhow::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(folder.join("access.log"))?)
            .stderr(File::create(folder.join("error.log"))?)
            .spawn()
            .with_context(|| format!("{name}: {command:?}"))?;
        Ok(Self { child, name, folder: folder.to_owned() })
    }

    /// Its process id; workers are below it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its memory in bytes, workers included, shared pages once.
    pub fn memory(&self) -> anyhow::Result<u64> {
        process::memory(self.id()).with_context(|| self.account())
    }

    /// Its exit status if it has ended by itself.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until it accepts there; an error when it ends instead, or takes too long.
    pub fn wait_for_port(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let begun = Instant::now();
        while let Err(error) = TcpStream::connect(address) {
            if let Some(status) = self.ended()? {
                bail!("{} ended ({status}); {}", self.name, self.account());
            }
            if begun.elapsed() > PATIENCE {
                return Err(error)
                    .with_context(|| format!("nothing accepts on {address}; {}", self.account()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// What it has written to its error log.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.folder.join("error.log"))?)
    }

    /// What it had to say, for errors.
    pub fn account(&self) -> String {
        let log = self.log().unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(20).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        format!("{} wrote to its error log:\n{}", self.name, lines.join("\n"))
    }

    /// SIGTERM, which masters pass on to their workers, then SIGKILL.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        kill(Pid::from_raw(i32::try_from(self.id())?), Signal::SIGTERM)?;
        let begun = Instant::now();
        while self.ended()?.is_none() {
            if begun.elapsed() > GRACE {
                self.child.kill()?;
                self.child.wait()?;
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{}: {error}", self.name);
        }
    }
}
