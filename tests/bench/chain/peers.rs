//! The contenders, and a running chain of two nodes of one of them.
//!
//! Every node is a process of its own with two workers and an access log that goes to a file. A chain is
//! ready when a request has come through its front door; it is ended, with all its processes, when dropped.

mod haproxy;
mod nginx;
mod node;
mod ours;
mod stunnel;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub use self::node::Node;
use crate::pki::Pki;
use crate::process::{self, Cpu};

/// How long a program may take to be ready.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Threads or processes of each node, as many as the machine of the published figures has cores.
pub const WORKERS: usize = 2;

/// A pair of nodes and what they speak with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// mtls-bridge, HTTP/2 on the link (its default).
    OursH2,
    /// mtls-bridge, HTTP/1.1 on the link.
    OursH1,
    /// nginx, HTTP/1.1 on the link (it speaks no other).
    Nginx,
    /// HAProxy, HTTP/1.1 on the link.
    HaproxyH1,
    /// HAProxy, HTTP/2 on the link.
    HaproxyH2,
    /// An stunnel pair, which carries bytes and knows nothing of HTTP.
    Stunnel,
}

impl Contender {
    /// As it is called in tables and plots.
    pub fn name(self) -> &'static str {
        match self {
            Self::OursH2 => "mtls-bridge h2",
            Self::OursH1 => "mtls-bridge h1",
            Self::Nginx => "nginx h1",
            Self::HaproxyH1 => "HAProxy h1",
            Self::HaproxyH2 => "HAProxy h2",
            Self::Stunnel => "stunnel",
        }
    }

    /// Whether it is mtls-bridge.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::OursH2 | Self::OursH1)
    }

    /// Whether targets are measured against it.
    pub fn is_baseline(self) -> bool {
        matches!(self, Self::Nginx | Self::HaproxyH1 | Self::HaproxyH2)
    }

    fn program(self) -> Option<&'static str> {
        match self {
            Self::OursH2 | Self::OursH1 => None,
            Self::Nginx => Some("nginx"),
            Self::HaproxyH1 | Self::HaproxyH2 => Some("haproxy"),
            Self::Stunnel => Some("stunnel4"),
        }
    }
}

/// What every chain of a run has in common.
pub struct Site {
    pub folder: PathBuf,
    pub pki: Pki,
    /// The program that is measured as `mtls-bridge`.
    pub program: PathBuf,
    /// The plain service behind every gateway.
    pub upstream: SocketAddr,
}

/// Where one node listens, where it sends, and its folder for configuration and logs.
struct Place<'a> {
    site: &'a Site,
    workers: usize,
    folder: &'a Path,
    listen: SocketAddr,
    next: SocketAddr,
}

impl Place<'_> {
    fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

/// Two nodes that run, the reverse proxy in front of the gateway.
pub struct Chain<'a> {
    site: &'a Site,
    contender: Contender,
    workers: usize,
    folder: tempfile::TempDir,
    /// Where the reverse proxy accepts plain HTTP/1.1.
    pub front: SocketAddr,
    /// Where the gateway accepts TLS with a client certificate.
    pub door: SocketAddr,
    pub reverse_proxy: Node,
    pub gateway: Node,
}

impl<'a> Chain<'a> {
    /// Starts both nodes and waits for the first good answer.
    pub fn start(site: &'a Site, contender: Contender) -> anyhow::Result<Self> {
        Self::start_with(site, contender, WORKERS)
    }

    /// The same with so many workers on each node.
    pub fn start_with(site: &'a Site, contender: Contender, workers: usize) -> anyhow::Result<Self> {
        let (front, door) = (free_address(), free_address());
        let folder = tempfile::Builder::new().prefix("chain-").tempdir_in(&site.folder)?;
        let mut gateway =
            spawn(site, (contender, workers), Role::Gateway, folder.path(), (door, site.upstream))?;
        gateway.wait_for_port(door)?;
        let reverse_proxy =
            spawn(site, (contender, workers), Role::ReverseProxy, folder.path(), (front, door))?;
        let mut chain = Self { site, contender, workers, folder, front, door, reverse_proxy, gateway };
        chain.wait_until_ready(Duration::from_millis(5))?;
        Ok(chain)
    }

    /// Ends the reverse proxy and starts it anew in front of the same gateway; from its start to its first
    /// good answer.
    pub fn restart_reverse_proxy(&mut self) -> anyhow::Result<Duration> {
        self.reverse_proxy.stop()?;
        let started = Instant::now();
        let ends = (self.front, self.door);
        self.reverse_proxy =
            spawn(self.site, (self.contender, self.workers), Role::ReverseProxy, self.folder.path(), ends)?;
        self.wait_until_ready(Duration::from_micros(200))?;
        Ok(started.elapsed())
    }

    /// CPU time of both nodes since their start.
    pub fn cpu(&self) -> anyhow::Result<Cpu> {
        Ok(Cpu {
            reverse_proxy: process::cpu(self.reverse_proxy.id())?,
            gateway: process::cpu(self.gateway.id())?,
        })
    }

    fn wait_until_ready(&mut self, pause: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let Err(error) = ask(self.front) else { return Ok(()) };
            for node in [&mut self.reverse_proxy, &mut self.gateway] {
                if let Some(status) = node.ended()? {
                    bail!("{} ended ({status}); {}", self.contender.name(), node.account());
                }
            }
            if begun.elapsed() > PATIENCE {
                let nodes = format!("{}\n{}", self.reverse_proxy.account(), self.gateway.account());
                return Err(error.context(format!("{} is not ready; {nodes}", self.contender.name())));
            }
            std::thread::sleep(pause);
        }
    }
}

/// Which of the two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    ReverseProxy,
    Gateway,
}

fn spawn(
    site: &Site,
    (contender, workers): (Contender, usize),
    role: Role,
    folder: &Path,
    (listen, next): (SocketAddr, SocketAddr),
) -> anyhow::Result<Node> {
    let name = match role {
        Role::ReverseProxy => "reverse-proxy",
        Role::Gateway => "gateway",
    };
    let folder = folder.join(name);
    fs::create_dir_all(&folder)?;
    let place = Place { site, workers, folder: &folder, listen, next };
    let command = match contender {
        Contender::OursH2 => ours::command(&place, role, true)?,
        Contender::OursH1 => ours::command(&place, role, false)?,
        Contender::Nginx => nginx::command(&place, role)?,
        Contender::HaproxyH1 => haproxy::command(&place, role, false)?,
        Contender::HaproxyH2 => haproxy::command(&place, role, true)?,
        Contender::Stunnel => stunnel::command(&place, role)?,
    };
    Node::spawn(command, &folder, format!("{}, {name}", contender.name()))
}

/// One request through `front` on a connection of its own, which stays open; an error unless it is answered
/// with 200 and the usual 12 bytes.
pub fn ask(front: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(front)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: orders.example\r\n\r\n")?;
    let mut answer = [0; 4096];
    let mut filled = 0;
    while !answer[..filled].ends_with(b"\r\n\r\nhello, world") {
        let read = stream.read(&mut answer[filled..])?;
        filled += read;
        ensure!(read > 0, "the answer is {:?}", String::from_utf8_lossy(&answer[..filled]));
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&answer[..filled]));
    Ok(stream)
}

/// A loopback address that nobody listens on, below the ports that the system gives away by itself.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let port = 20_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 12_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// An error that names what is missing and how to get it, when a program of `contenders` cannot be run.
pub fn all_installed(contenders: &[Contender]) -> anyhow::Result<()> {
    let mut missing: Vec<_> = contenders
        .iter()
        .filter_map(|contender| contender.program())
        .filter(|program| Command::new(program).arg("-v").output().is_err())
        .collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "not installed: {}. Debian's packages nginx, haproxy and stunnel4 have them; \
         tests/bench/chain/install-peers.sh installs those. To measure without them, name the contenders: \
         cargo bench --bench chain -- --only ours-h2 --only ours-h1",
        missing.join(", ")
    )
}
