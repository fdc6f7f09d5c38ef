//! One node of the chain: the program under callgrind, with one worker, configured by its environment.
//!
//! Promise: [`Node::count`] gives what was executed since the call before, whatever came before that.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::profile::Profile;

/// Dropped, it is killed.
pub struct Node {
    /// Where it accepts requests.
    pub address: SocketAddr,
    child: Child,
    /// What callgrind writes to: its dumps are numbered from 1.
    out: PathBuf,
    dumps: u32,
    vgdb_prefix: String,
}

impl Node {
    /// Starts it in a mode; `name` is that of its files in `folder`.
    pub fn start(
        program: &Path,
        folder: &Path,
        mode: &str,
        name: &str,
        settings: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let out = folder.join(format!("{name}.callgrind"));
        let vgdb_prefix = format!("--vgdb-prefix={}", folder.join("vgdb").display());
        let mut child = Command::new("valgrind")
            .args(["--quiet", "--tool=callgrind", &vgdb_prefix])
            .arg(format!("--callgrind-out-file={}", out.display()))
            .args([program.as_os_str(), mode.as_ref()])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(COMMON)
            .envs(settings.iter().map(|(key, value)| (*key, value)))
            .stdin(Stdio::null())
            // The access log is part of the path that is counted; nobody reads it.
            .stdout(File::create("/dev/null")?)
            .stderr(Stdio::piped())
            .spawn()
            .context("starting valgrind")?;
        let log = child.stderr.take().context("its log is not piped")?;
        // From here on it is killed if anything fails.
        let mut node = Self { address: ([0, 0, 0, 0], 0).into(), child, out, dumps: 0, vgdb_prefix };
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        node.address = listening(&mut lines).with_context(|| format!("{name} does not start"))?;
        let name = name.to_owned();
        thread::spawn(move || {
            for line in lines.filter(|line| !line.contains(r#""level":"INFO""#)) {
                eprintln!("{name}: {line}");
            }
        });
        Ok(node)
    }

    /// What was executed since the last call, or since the start.
    pub fn count(&mut self) -> anyhow::Result<Profile> {
        let said = Command::new("vgdb")
            .args([&self.vgdb_prefix, &format!("--pid={}", self.child.id()), "dump"])
            .output()
            .context("starting vgdb, which comes with valgrind")?;
        ensure!(
            said.status.success(),
            "vgdb cannot reach the node: {}",
            String::from_utf8_lossy(&said.stderr)
        );
        self.dumps += 1;
        let path = PathBuf::from(format!("{}.{}", self.out.display(), self.dumps));
        let dump = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Profile::read(&dump)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // If it is gone already, so much the better.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the line with the address; fails with all lines if the node ends before.
fn listening(lines: &mut impl Iterator<Item = String>) -> anyhow::Result<SocketAddr> {
    let mut said = String::new();
    for line in lines {
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if event["message"] == "listening" {
            let address = event["address"].as_str().context("it listens without an address")?;
            return Ok(address.parse()?);
        }
        said.push_str(&line);
        said.push('\n');
    }
    bail!("{said}")
}

/// Under valgrind a node is some fifty times slower, which no deadline is to notice.
const COMMON: [(&str, &str); 7] = [
    ("WORKERS", "1"),
    ("STATUS_LISTEN", "off"),
    ("LOG_FORMAT", "json"),
    ("CONNECT_TIMEOUT", "120s"),
    ("HANDSHAKE_TIMEOUT", "120s"),
    ("CLIENT_HEADER_TIMEOUT", "120s"),
    ("LINK_TIMEOUT", "120s"),
];
